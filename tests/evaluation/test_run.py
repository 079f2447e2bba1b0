"""What an evaluation measures and answers: built-in models, and real SDKs over the wire."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

from pipeline.assembly import Brain
from pipeline.evaluation import Wish, evaluate, lines
from pipeline.models.base import Price
from pipeline.routing.table import Routes
from tests.evaluation.exams import CASES, file_of, only, reading, right_answer, triage
from tests.kit import model_replies as replies
from tests.kit.model_server import ModelServer

# --- the built-in parts


def test_the_local_model_reads_cases_alone_and_for_nothing(brain: Brain, tmp_path: Path) -> None:
    steps = Counter[str]()
    path = file_of(tmp_path)
    result = triage(brain, ["local"], path, lambda: steps.update(["case"]))
    model = result.models[0]
    assert steps["case"] == len(model.asked) == len(CASES)
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
    for result in evaluate(brain, Wish(models=["templates"]), lambda: None):
        model = result.models[0]
        assert result.task in ("routine", "draft")
        assert len(model.asked) == result.of >= 20
        assert model.shares["rubric"].of == model.shares["language"].of == result.of
        assert model.shares["schema_validity"].hits == result.of
        assert model.shares["promises"].hits == 0, "a template promises something"
        failed = {marked.case for marked in model.asked if marked.misses}
        assert result.of - len(failed) == model.shares["passed"].hits


def test_models_without_a_key_are_named_as_not_tried(brain: Brain, tmp_path: Path) -> None:
    result = triage(brain, None, file_of(tmp_path))
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
    result = triage(with_key, ["gpt-6-luna"], file_of(tmp_path))
    model = result.models[0]
    assert model.meets_bar
    assert model.shares["passed"].hits == 3
    assert model.price_known
    assert result.spent_usd > 0
    assert model.cost_per_1000_usd == result.spent_usd * 1000 / 3
    shown = result.to_json()
    assert shown["cheapest"] == "gpt-6-luna"
    assert re.fullmatch(
        r"triage: gpt-6-luna is the cheapest model that meets the bar \(\$[\d.]+ per 1,000 tickets\)",
        shown["answer"],
    )
    assert lines([result])[-1] == shown["answer"]


def test_a_wrong_answer_is_a_failure_with_what_was_expected_and_what_came(
    with_key: Brain, server: ModelServer, tmp_path: Path
) -> None:
    server.answer_by(lambda seen: right_answer(seen) | {"topic": "sales", "clarity": "vague"})
    result = triage(with_key, ["gpt-6-luna"], file_of(tmp_path, CASES[0]))
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
    assert result.answer == "triage: no model meets the bar; gpt-6-luna comes nearest (topic 0.00 of 0.85)"
    assert "    bar: topic_accuracy 0.000, at least 0.85: NOT met" in lines([result])


def test_an_invented_value_counts_though_the_repair_takes_it_out(
    with_key: Brain, server: ModelServer, tmp_path: Path
) -> None:
    invented = reading(CASES[0]["expect"])
    invented["fields"]["order_numbers"] = [{"value": "AB-9999", "normalised": None}]
    server.script(replies.ok(invented))
    server.answer_by(right_answer)
    result = triage(with_key, ["gpt-6-luna"], file_of(tmp_path, CASES[0]))
    model = result.models[0]
    assert model.shares["passed"].hits == 1
    assert model.shares["schema_validity"].hits == 1
    assert model.shares["values_verbatim"].hits == 0
    assert len(server.journal) == 2
    assert result.spent_usd == model.asked[0].cost_usd > 0


def test_a_model_is_asked_alone_so_its_failure_is_not_covered_by_another(
    with_key: Brain, server: ModelServer, tmp_path: Path
) -> None:
    server.answer_by(right_answer)
    server.script(replies.wrong_schema(), replies.wrong_schema())
    model = triage(with_key, ["gpt-6-luna"], file_of(tmp_path, CASES[0])).models[0]
    assert [miss.measure for miss in model.asked[0].misses] == ["answer"]
    assert model.shares["topic_accuracy"].hits == model.shares["schema_validity"].hits == 0
    assert len(server.journal) == 2


def test_a_model_that_refuses_the_key_is_not_asked_a_second_case(
    with_key: Brain, server: ModelServer, tmp_path: Path
) -> None:
    server.script(replies.refused_key())
    server.answer_by(right_answer)
    refused, local = triage(with_key, ["gpt-6-luna", "local"], file_of(tmp_path)).models
    assert refused.not_tried is not None
    assert "gpt-6-luna" in refused.not_tried
    assert len(server.journal) == 1
    assert local.not_tried is None


def test_credit_that_runs_out_on_the_way_leaves_cases_unasked_and_the_bar_unmet(
    with_key: Brain, server: ModelServer, tmp_path: Path
) -> None:
    server.script(replies.ok(reading(CASES[0]["expect"])), replies.out_of_credit(), replies.out_of_credit())
    model = triage(with_key, ["gpt-6-luna"], file_of(tmp_path)).models[0]
    assert len(model.asked) == 1
    assert sum(model.unasked.values()) == 2
    assert model.shares["passed"].value == 1.0
    assert not model.meets_bar


def test_the_caps_of_the_table_hold_for_an_evaluation(
    with_key: Brain, server: ModelServer, tmp_path: Path
) -> None:
    budgets = replace(with_key.routes.budgets, task_day={"triage": Decimal("0.000001")})
    capped = replace(with_key, routes=replace(with_key.routes, budgets=budgets))
    result = triage(capped, ["gpt-6-luna"], file_of(tmp_path))
    model = result.models[0]
    assert not server.journal
    assert sum(model.unasked.values()) == 3
    assert not model.meets_bar
    words = "the cap of $0.000001 (budget.task_day.triage of routes.toml; or --cap) is reached"
    assert f"    3 cases not asked: {words}" in lines([result])


def test_of_two_that_meet_the_bar_the_cheaper_is_named_and_of_equals_the_faster(
    with_key: Brain, server: ModelServer, tmp_path: Path
) -> None:
    server.answer_by(right_answer)
    result = triage(with_key, ["gpt-6.1-sol", "gpt-6-luna"], file_of(tmp_path))
    assert result.cheapest is not None
    assert result.cheapest.model == "gpt-6-luna"
    free = with_key.routes.models["gpt-6-luna"]
    priced = {
        key: replace(free, key=key, name=key, price=Price(input_usd="1", output_usd="0"))
        for key in ("slow", "fast")
    }
    slow_first = replace(with_key, routes=replace(with_key.routes, models=priced))
    tokens = replies.Tokens(plain=100, output=10)
    server.answer_by(
        lambda seen: replies.ok(right_answer(seen), tokens=tokens).later(0.3 if seen.model == "slow" else 0)
    )
    slow_first = replace(slow_first, routes=_with_task(slow_first, "slow"))
    result = triage(slow_first, ["slow", "fast"], file_of(tmp_path))
    slow, fast = result.models
    assert slow.cost_per_1000_usd == fast.cost_per_1000_usd
    assert result.cheapest is fast


def test_a_model_without_a_known_price_says_so_in_the_answer(
    with_key: Brain, server: ModelServer, tmp_path: Path
) -> None:
    server.answer_by(right_answer)
    model = replace(with_key.routes.models["gpt-6-luna"], key="house", name="house-model-1")
    routes = replace(with_key.routes, models={"house": model})
    priceless = replace(with_key, routes=_with_task(replace(with_key, routes=routes), "house"))
    result = triage(priceless, ["house"], file_of(tmp_path))
    assert "house is the cheapest model that meets the bar (its price is not known; booked" in result.answer


def _with_task(brain: Brain, model: str) -> Routes:
    task = replace(brain.routes.tasks["triage"], model=model, backups=())
    return replace(brain.routes, tasks={**brain.routes.tasks, "triage": task})


def test_summaries_and_texts_are_marked_by_their_own_cases(with_key: Brain, server: ModelServer) -> None:
    """Each text comes back as it was: figures kept, but no tool did its work."""
    server.answer_by(
        lambda seen: (
            {"summary": "A customer wrote.", "open_questions": [], "facts": []}
            if "summary" in (seen.schema or {})["properties"]
            else {"text": seen.user.rsplit("The text:\n", 1)[1].split(">>\n")[1].split("\n<</")[0]}
        )
    )
    for task in ("summary", "writing"):
        result = only(evaluate(with_key, Wish(task=task, models=["gpt-6-luna"]), lambda: None))
        model = result.models[0]
        assert len(model.asked) == result.of >= 20
        assert model.shares["schema_validity"].hits == result.of
        assert not model.meets_bar
        assert set(model.bar) <= set(model.measures)
        assert {marked.case for marked in model.asked if marked.misses}
        assert result.answer.startswith(f"{task}: no model meets the bar; gpt-6-luna comes nearest (")
    kept = model.shares["kept"]
    assert 0 < kept.hits < kept.of, "what cannot be left as it is (shorten, translate) is no answer"
