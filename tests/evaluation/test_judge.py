"""The second reader: its verdicts stand apart, the bar does not hang on them, and they are paid once."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from pipeline.assembly import Brain
from pipeline.errors import ModelOutputInvalid
from pipeline.evaluation import Wish, evaluate, lines
from pipeline.evaluation.judging import CRITERIA, read_verdict
from pipeline.evaluation.planning import root_of
from pipeline.evaluation.runs import every
from tests.evaluation.exams import file_of, only
from tests.kit.model_replies import Seen
from tests.kit.model_server import ModelServer

GOOD: dict[str, Any] = dict.fromkeys(CRITERIA, True) | {"why": "No fault found."}


def three(brain: Brain, folder: Path) -> Path:
    text = (brain.prompts.folder / "draft" / "cases.jsonl").read_text(encoding="utf-8")
    return file_of(folder, *(json.loads(line) for line in text.splitlines()[:3]))


def drafts_and_verdicts(verdict: dict[str, Any]) -> Any:
    def answer(seen: Seen) -> Any:
        if "correct" in (seen.schema or {})["properties"]:
            return verdict
        return {
            "reply": "Hello, thank you for writing.",
            "language": "en",
            "asks": [],
            "why": "",
            "claims": [],
        }

    return answer


def test_a_judges_verdicts_are_shown_apart_with_how_often_it_agrees(
    with_key: Brain, server: ModelServer, tmp_path: Path
) -> None:
    server.answer_by(drafts_and_verdicts(GOOD))
    wish = Wish(
        task="draft", models=["gpt-6.1-sol"], cases=three(with_key, tmp_path), judge="claude-sonnet-5-5"
    )
    result = only(evaluate(with_key, wish, lambda: None))
    model = result.models[0]
    (judged,) = model.judged
    assert judged.judge == "claude-sonnet-5-5"
    assert (judged.good["all"].hits, judged.good["all"].of) == (3, 3)
    assert judged.agreement["passed"].hits == model.shares["passed"].hits < 3
    assert not model.meets_bar, "what a judge likes does not meet the bar"
    assert set(model.bar).isdisjoint({"correct", "complete", "tone"})
    assert "    judged by claude-sonnet-5-5; the bar does not count it:" in lines([result])
    paid = model.cost_per_1000_usd
    assert paid is not None
    assert result.spent_usd > paid * 3 / 1000, "the judge is paid too, and not by the model's price"
    asked = [line.seen for line in server.journal if line.seen.model == "claude-sonnet-5-5"]
    assert len(asked) == 3
    assert all("Hello, thank you for writing." in seen.user for seen in asked)
    assert all("Hello, thank you for writing." not in seen.system for seen in asked)


def test_a_judge_can_come_later_and_asks_the_models_nothing_again(
    with_key: Brain, server: ModelServer, tmp_path: Path
) -> None:
    server.answer_by(drafts_and_verdicts(GOOD | {"tone": False, "why": "Curt."}))
    path = three(with_key, tmp_path)
    plain = only(evaluate(with_key, Wish(task="draft", models=["gpt-6.1-sol"], cases=path), lambda: None))
    assert plain.models[0].judged == ()
    wish = Wish(task="draft", models=["gpt-6.1-sol"], cases=path, judge="claude-sonnet-5-5")
    result = only(evaluate(with_key, wish, lambda: None))
    assert result.header.run == plain.header.run
    assert [model for model, _ in server.kinds].count("gpt-6.1-sol") == 3
    assert result.models[0].judged[0].good["tone"].hits == 0
    evaluate(with_key, wish, lambda: None)
    (first, second) = sorted(every(root_of(with_key)), key=lambda folder: folder.name)
    assert len(first.verdicts()) == 3, "nothing is judged twice: asking again is a run of its own"
    assert len(second.verdicts()) == 3


def test_a_judge_stays_within_the_cap(with_key: Brain, server: ModelServer, tmp_path: Path) -> None:
    server.answer_by(drafts_and_verdicts(GOOD))
    wish = Wish(task="draft", models=["gpt-6.1-sol"], cases=three(with_key, tmp_path))
    drafted = only(evaluate(with_key, wish, lambda: None)).spent_usd
    cap = drafted + Decimal("0.02")  # one verdict at its worst price
    result = only(evaluate(with_key, replace(wish, judge="claude-sonnet-5-5", cap_usd=cap), lambda: None))
    assert drafted < result.spent_usd <= cap
    judged = result.models[0].judged[0].good["all"].of
    assert 0 < judged < 3
    words = f"the cap of ${cap:f} (--cap) is reached"
    assert f"  {3 - judged} answers not judged: {words}" in lines([result])


def test_a_verdict_must_answer_every_question_with_true_or_false() -> None:
    assert read_verdict(json.dumps(GOOD)).correct
    for broken in (GOOD | {"tone": "yes"}, {"correct": True}, GOOD | {"score": 9}):
        with pytest.raises(ModelOutputInvalid):
            read_verdict(json.dumps(broken))
