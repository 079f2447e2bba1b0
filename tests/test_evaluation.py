"""`triage eval`: the shipped cases, what is measured, who is named, and each way in which it can be refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from pipeline.assembly import Brain, open_brain
from pipeline.errors import ConfigError, InputError
from pipeline.evaluation import Result, evaluate, lines
from pipeline.evaluation.questions import read_triage_cases
from pipeline.evaluation.results import Bar, read_bar
from pipeline.evaluation.scores import Share, calibration, percentile
from pipeline.models.providers.openai import OpenAIProvider
from pipeline.settings import load
from pipeline.triage.schema import FIELD_KINDS
from tests.kit import model_replies as replies
from tests.kit.model_replies import Seen
from tests.kit.model_server import ModelServer

CASES = [
    {
        "id": "invoice",
        "subject": "Invoice",
        "body": "Please send me the invoice for order AB-1042 again, the PDF is damaged.",
        "expect": {
            "topic": "billing",
            "language": "en",
            "clarity": "clear",
            "route": "cheap",
            "order_numbers": ["AB-1042"],
        },
    },
    {
        "id": "kuendigung",
        "subject": "Kündigung",
        "body": "Hiermit kündige ich mein Abonnement zum Monatsende. Bitte bestätigen Sie die Kündigung.",
        "expect": {"topic": "cancellation", "language": "de", "route": "strong", "order_numbers": []},
    },
    {
        "id": "mot-de-passe",
        "subject": None,
        "body": "Bonjour, je n'arrive plus à me connecter, le mot de passe est refusé.",
        "expect": {"topic": "account_access", "language": "fr"},
    },
]
STEP = Counter[str]()


def step() -> None:
    STEP["cases"] += 1


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def brain(home: Path) -> Brain:
    """As shipped, without a key."""
    return open_brain(load(home=home))


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer() as server:
        yield server


@pytest.fixture
def with_key(brain: Brain, server: ModelServer) -> Iterator[Brain]:
    provider = OpenAIProvider("sk-test", server.openai_url)
    yield replace(brain, providers={**brain.providers, "openai": provider})
    provider.close()


def file_of(folder: Path, *rows: Any) -> Path:
    path = folder / "cases.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows or CASES), encoding="utf-8")
    return path


def right_answer(seen: Seen) -> dict[str, Any]:
    """What a perfect reader answers to CASES."""
    case = next(case for case in CASES if str(case["body"]) in seen.user)
    return reading(case["expect"])


def reading(expect: Any, **changed: Any) -> dict[str, Any]:
    numbers = [{"value": value, "normalised": None} for value in expect.get("order_numbers", [])]
    return {
        "topic": expect["topic"],
        "other_topics": [],
        "confidence": 0.95,
        "language": expect["language"],
        "urgency": "normal",
        "emotion": "calm",
        "clarity": "clear",
        "fields": {kind: [] for kind in FIELD_KINDS} | {"order_numbers": numbers},
        "summary": "A message.",
    } | changed


def only(results: list[Result]) -> Result:
    assert len(results) == 1
    return results[0]


# --- the cases that the package ships


def test_the_shipped_triage_cases_cover_all_topics_and_eight_languages(brain: Brain) -> None:
    cases = read_triage_cases(brain.prompts.folder / "triage" / "cases.jsonl", brain.routes.topics)
    topics = Counter(case.expect.topic for case in cases)
    languages = Counter(case.expect.language for case in cases)
    assert len(cases) >= 150
    assert set(topics) == set(brain.routes.topics)
    assert min(topics.values()) >= 10
    assert set(languages) == {"en", "de", "fr", "es", "it", "nl", "pt", "pl"}
    assert min(languages.values()) >= 12
    for name in ("urgency", "emotion", "clarity", "route"):
        stated = {getattr(case.expect, name) for case in cases} - {None}
        scale = Counter(getattr(case.expect, name) for case in cases)
        assert all(scale[value] >= 3 for value in stated), f"{name}: {scale}"
    assert any(len(case.expect.order_numbers or []) > 1 for case in cases)


def test_every_field_value_of_a_shipped_case_stands_in_its_message(brain: Brain) -> None:
    cases = read_triage_cases(brain.prompts.folder / "triage" / "cases.jsonl", brain.routes.topics)
    for case in cases:
        text = f"{case.subject or ''}\n{case.body}"
        for kind in FIELD_KINDS:
            for value in getattr(case.expect, kind) or []:
                assert value in text, f"{case.id}: {kind} {value}"


# --- the arithmetic


def test_the_interval_is_wilsons() -> None:
    low, high = Share(8, 10).interval
    assert (round(low, 3), round(high, 3)) == (0.490, 0.943)
    assert Share(0, 20).interval[0] == 0.0
    assert 0.16 < Share(0, 20).interval[1] < 0.17


def test_the_calibration_error_is_the_weighted_gap_between_sure_and_right() -> None:
    found = calibration([(0.95, True), (0.95, False), (0.35, False), (1.0, True)])
    assert found is not None
    assert [(b.start, b.answers) for b in found.bins] == [(0.3, 1), (0.9, 3)]
    assert found.ece == pytest.approx((0.35 * 1 + abs((0.95 + 0.95 + 1.0) / 3 - 2 / 3) * 3) / 4)
    assert calibration([]) is None


def test_percentiles_are_values_that_were_measured() -> None:
    values = [float(number) for number in range(1, 101)]
    assert (percentile(values, 0.5), percentile(values, 0.95), percentile([7.0], 0.95)) == (50.0, 95.0, 7.0)


def test_less_is_better_where_a_measure_counts_harm() -> None:
    assert Bar("promises", 0.0, 0.0).met
    assert not Bar("promises", 0.0, 0.02).met
    assert Bar("topic_accuracy", 0.85, 0.85).met
    assert not Bar("topic_accuracy", 0.85, None).met


# --- the built-in parts


def test_the_local_model_reads_cases_alone_and_for_nothing(brain: Brain, tmp_path: Path) -> None:
    STEP.clear()
    path = file_of(tmp_path)
    result = only(evaluate(brain, "triage", ["local"], path, step))
    model = result.models[0]
    assert STEP["cases"] == len(model.asked) == len(CASES)
    assert model.shares["topic_accuracy"].of == 3
    assert model.shares["route_accuracy"].of == 2
    assert model.shares["fields_accuracy"].of == model.shares["order_numbers_accuracy"].of == 2
    assert model.shares["language_accuracy"].hits == 3
    assert model.shares["schema_validity"].hits == model.shares["values_verbatim"].hits == 3
    assert model.cost_per_1000_usd == 0
    assert model.calibration is not None
    assert sum(found.answers for found in model.calibration.bins) == 3
    assert [bar.measure for bar in model.bars] == list(brain.prompts.load("triage", "cheap").front.bar)


def test_the_templates_are_marked_by_the_rubrics_that_ship(brain: Brain) -> None:
    for result in evaluate(brain, None, ["templates"], None, step):
        model = result.models[0]
        assert result.task in ("routine", "draft")
        assert len(model.asked) == result.of >= 20
        assert model.shares["rubric"].of == model.shares["language"].of == result.of
        assert model.shares["schema_validity"].hits == result.of
        assert model.shares["promises"].hits == 0, "a template promises something"
        failed = {marked.case for marked in model.asked if marked.misses}
        assert result.of - len(failed) == model.shares["passed"].hits


def test_models_without_a_key_are_named_as_not_tried(brain: Brain, tmp_path: Path) -> None:
    result = only(evaluate(brain, "triage", None, file_of(tmp_path), step))
    tried = {model.model: model.not_tried for model in result.models}
    assert tried["local"] is None
    assert tried["gpt-6-luna"] == "no key is set for openai: set OPENAI_API_KEY"
    assert tried["claude-haiku-5-5"] == "no key is set for anthropic: set ANTHROPIC_API_KEY"
    assert "  gpt-6-luna: not tried: no key is set for openai: set OPENAI_API_KEY" in lines([result])


# --- models over the wire


def test_the_cheapest_model_that_meets_the_bar_is_named(
    with_key: Brain, server: ModelServer, tmp_path: Path
) -> None:
    server.answer_by(right_answer)
    result = only(evaluate(with_key, "triage", ["gpt-6-luna"], file_of(tmp_path), step))
    model = result.models[0]
    assert model.meets_bar
    assert model.shares["passed"].hits == 3
    assert model.price_known
    assert model.spent_usd > 0
    assert model.cost_per_1000_usd == model.spent_usd * 1000 / 3
    shown = result.to_json()
    assert shown["cheapest"] == "gpt-6-luna"
    assert shown["answer"].startswith("The cheapest model that meets the bar for triage is gpt-6-luna, at $")
    assert lines([result])[-1] == shown["answer"]


def test_a_wrong_answer_is_a_failure_with_what_was_expected_and_what_came(
    with_key: Brain, server: ModelServer, tmp_path: Path
) -> None:
    server.answer_by(lambda seen: right_answer(seen) | {"topic": "sales", "clarity": "vague"})
    result = only(evaluate(with_key, "triage", ["gpt-6-luna"], file_of(tmp_path, CASES[0]), step))
    model = result.to_json()["models"][0]
    assert not model["meets_bar"]
    assert model["failures"] == [
        {
            "case": "invoice",
            "misses": [
                {"measure": "topic", "expected": "billing", "came": "sales"},
                {"measure": "clarity", "expected": "clear", "came": "vague"},
                {"measure": "route", "expected": "cheap", "came": "strong"},
            ],
        }
    ]
    assert "No model that was tried meets the bar for triage; gpt-6-luna comes closest" in result.answer
    assert "topic_accuracy 0.000, at least 0.85: NOT met" in result.answer


def test_an_invented_value_counts_though_the_repair_takes_it_out(
    with_key: Brain, server: ModelServer, tmp_path: Path
) -> None:
    invented = reading(CASES[0]["expect"])
    invented["fields"]["order_numbers"] = [{"value": "AB-9999", "normalised": None}]
    server.script(replies.ok(invented))
    server.answer_by(right_answer)
    model = only(evaluate(with_key, "triage", ["gpt-6-luna"], file_of(tmp_path, CASES[0]), step)).models[0]
    assert model.shares["passed"].hits == 1
    assert model.shares["schema_validity"].hits == 1
    assert model.shares["values_verbatim"].hits == 0
    assert len(server.journal) == 2
    assert model.spent_usd > Decimal(0)


def test_a_model_is_asked_alone_so_its_failure_is_not_covered_by_another(
    with_key: Brain, server: ModelServer, tmp_path: Path
) -> None:
    server.answer_by(right_answer)
    server.script(replies.wrong_schema(), replies.wrong_schema())
    model = only(evaluate(with_key, "triage", ["gpt-6-luna"], file_of(tmp_path, CASES[0]), step)).models[0]
    assert [miss.measure for miss in model.asked[0].misses] == ["answer"]
    assert model.shares["topic_accuracy"].hits == model.shares["schema_validity"].hits == 0
    assert len(server.journal) == 2


def test_a_model_that_refuses_the_key_is_not_asked_a_second_case(
    with_key: Brain, server: ModelServer, tmp_path: Path
) -> None:
    server.script(replies.refused_key())
    server.answer_by(right_answer)
    results = evaluate(with_key, "triage", ["gpt-6-luna", "local"], file_of(tmp_path), step)
    refused, local = only(results).models
    assert refused.not_tried is not None
    assert "gpt-6-luna" in refused.not_tried
    assert len(server.journal) == 1
    assert local.not_tried is None


def test_credit_that_runs_out_on_the_way_leaves_cases_unasked_and_the_bar_unmet(
    with_key: Brain, server: ModelServer, tmp_path: Path
) -> None:
    server.script(replies.ok(reading(CASES[0]["expect"])), replies.out_of_credit(), replies.out_of_credit())
    model = only(evaluate(with_key, "triage", ["gpt-6-luna"], file_of(tmp_path), step)).models[0]
    assert len(model.asked) == 1
    assert sum(model.unasked.values()) == 2
    assert model.shares["passed"].value == 1.0
    assert not model.meets_bar


def test_the_caps_of_the_table_hold_for_an_evaluation(
    with_key: Brain, server: ModelServer, tmp_path: Path
) -> None:
    budgets = replace(with_key.routes.budgets, task_day={"triage": Decimal("0.000001")})
    capped = replace(with_key, routes=replace(with_key.routes, budgets=budgets))
    model = only(evaluate(capped, "triage", ["gpt-6-luna"], file_of(tmp_path), step)).models[0]
    assert not server.journal
    assert sum(model.unasked.values()) == 3
    assert not model.meets_bar
    assert any(
        "cases not asked: a cap of routes.toml is reached" in line for line in lines([_result(capped, model)])
    )


def _result(brain: Brain, model: Any) -> Result:
    prompt = brain.prompts.load("triage", "cheap")
    return Result("triage", prompt, Path("cases.jsonl"), (model,), 3)


# --- what is refused, in one line with the mend


BILLING = {"topic": "billing", "language": "en"}


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({**CASES[0], "expect": BILLING | {"mood": "calm"}}, "expect.mood: there is no such key"),
        ({**CASES[0], "expect": BILLING | {"topic": "bills"}}, "expect.topic: bills is no topic of routes"),
        ({**CASES[0], "expect": BILLING | {"topic_also": ["bills"]}}, "expect.topic: bills is no topic"),
        ({**CASES[0], "expect": {"topic": "billing"}}, "expect.language: Field required"),
        ({**CASES[0], "expect": BILLING | {"urgency": "soon"}}, "expect.urgency: Input should be"),
        (CASES[1], "the id kuendigung is there twice"),
        (["not", "an", "object"], "Input should be an object"),
    ],
)
def test_a_bad_row_is_refused_with_its_line(brain: Brain, tmp_path: Path, row: Any, words: str) -> None:
    path = file_of(tmp_path, CASES[1], CASES[2], row)
    with pytest.raises(InputError, match=r"cases\.jsonl:3: ") as refused:
        evaluate(brain, "triage", ["local"], path, step)
    assert words in str(refused.value)


def test_an_unknown_key_of_a_rubric_is_refused_with_its_line(brain: Brain, tmp_path: Path) -> None:
    text = (brain.prompts.folder / "routine" / "cases.jsonl").read_text(encoding="utf-8").splitlines()[0]
    case = json.loads(text)
    case["rubric"]["must_rhyme"] = True
    with pytest.raises(ConfigError, match=r"cases\.jsonl:1: rubric\.must_rhyme"):
        evaluate(brain, "routine", ["templates"], file_of(tmp_path, case), step)


def test_a_rubric_that_is_no_pattern_is_refused(brain: Brain, tmp_path: Path) -> None:
    text = (brain.prompts.folder / "routine" / "cases.jsonl").read_text(encoding="utf-8").splitlines()[0]
    case = json.loads(text)
    case["rubric"]["must_mention"] = ["(open"]
    with pytest.raises(ConfigError, match="must_mention"):
        evaluate(brain, "routine", ["templates"], file_of(tmp_path, case), step)


def test_broken_json_missing_and_empty_files_are_refused(brain: Brain, tmp_path: Path) -> None:
    path = tmp_path / "cases.jsonl"
    with pytest.raises(InputError, match="there are no cases for triage; write some there"):
        evaluate(brain, "triage", ["local"], path, step)
    path.write_text("\n\n", encoding="utf-8")
    with pytest.raises(InputError, match="holds no case"):
        evaluate(brain, "triage", ["local"], path, step)
    path.write_text('{"id": "cut', encoding="utf-8")
    with pytest.raises(InputError, match=r"cases\.jsonl:1: the line: Invalid JSON"):
        evaluate(brain, "triage", ["local"], path, step)
    path.write_bytes(b'{"id": "\xff"}')
    with pytest.raises(InputError, match="not UTF-8"):
        evaluate(brain, "triage", ["local"], path, step)


def test_unknown_tasks_and_models_are_refused_with_those_that_are_known(brain: Brain, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no task summary; known are triage, routine, draft"):
        evaluate(brain, "summary", None, None, step)
    with pytest.raises(ConfigError, match=r"'gpt-2' is not among the models of .*; known are gpt-6-luna"):
        evaluate(brain, "triage", ["gpt-2"], None, step)
    with pytest.raises(ConfigError, match="'local' is not among the models"):
        evaluate(brain, "draft", ["local"], None, step)
    with pytest.raises(InputError, match="--models names no model"):
        evaluate(brain, "triage", [], None, step)
    with pytest.raises(InputError, match="say which task"):
        evaluate(brain, None, ["local"], file_of(tmp_path), step)


def test_where_none_of_the_named_models_can_be_asked_it_says_which_key_is_missing(brain: Brain) -> None:
    with pytest.raises(
        ConfigError, match=r"none of the models could be tried: gpt-6-luna: .*set OPENAI_API_KEY"
    ):
        evaluate(brain, "triage", ["gpt-6-luna"], None, step)


def test_a_bar_that_nothing_measures_is_refused(brain: Brain) -> None:
    prompt = brain.prompts.load("triage", "cheap")
    with pytest.raises(ConfigError, match="bar: charm is not measured; known are passed"):
        read_bar(replace(prompt, front=prompt.front.model_copy(update={"bar": {"charm": 0.9}})), ["passed"])
    with pytest.raises(ConfigError, match="must be a table of measures"):
        read_bar(replace(prompt, front=prompt.front.model_copy(update={"bar": "good"})), ["passed"])
    with pytest.raises(ConfigError, match="passed must be a number"):
        read_bar(
            replace(prompt, front=prompt.front.model_copy(update={"bar": {"passed": "0.9"}})), ["passed"]
        )


def triage(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from pipeline.cli import main; main()", *arguments],
        env={**os.environ, "TRIAGE_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=100,
    )


def test_the_command_prints_one_json_document_and_nothing_else(home: Path, tmp_path: Path) -> None:
    path = file_of(tmp_path)
    ran = triage(home, "eval", "triage", "--models", "local", "--cases", str(path), "--json")
    assert ran.returncode == 0, ran.stderr
    shown = json.loads(ran.stdout)
    assert shown[0]["task"] == "triage"
    assert shown[0]["cases"] == {"file": str(path), "number": 3}
    assert shown[0]["models"][0]["measures"]["topic_accuracy"]["of"] == 3


def test_the_command_ends_with_one_plain_line_when_it_cannot_be_done(home: Path, tmp_path: Path) -> None:
    ran = triage(home, "eval", "triage", "--cases", str(tmp_path / "none.jsonl"))
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr.strip().endswith("or name a file with --cases")
    assert "Traceback" not in ran.stderr
