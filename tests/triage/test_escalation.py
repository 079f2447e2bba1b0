"""The escalation rule: each of its reasons alone, in a plain sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.routing.reading import read
from pipeline.triage.escalation import Decision, decide
from pipeline.triage.schema import TriageAnswer

RULE = read(Path(__file__).parents[2] / "routes.toml").rule


def reading(**changes: Any) -> TriageAnswer:
    whole = {
        "topic": "order_shipping",
        "confidence": 0.93,
        "language": "en",
        "urgency": "normal",
        "emotion": "calm",
        "clarity": "clear",
        "summary": "asks where the order is",
    }
    return TriageAnswer.model_validate(whole | changes)


def decided(
    text: str = "Where is my order?", length: int = 1, checked: bool = True, **changes: Any
) -> Decision:
    return decide(reading(**changes), RULE, text=text, thread_length=length, checked=checked)


def amounts(*normalised: str | None) -> dict[str, Any]:
    return {"amounts": [{"value": "x", "normalised": value} for value in normalised]}


def test_a_clear_calm_harmless_message_stays_cheap_and_says_why() -> None:
    decision = decided()
    assert decision.route == "cheap"
    assert decision.sentence == (
        "cheap: Topic order_shipping with confidence 0.93, clear, calm, urgency normal."
    )


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"confidence": 0.52}, "Confidence 0.52 is below 0.65."),
        ({"clarity": "vague"}, "The message is vague."),
        ({"clarity": "mixed"}, "The message mixes several matters."),
        ({"emotion": "angry"}, "The customer is angry."),
        ({"urgency": "critical"}, "The urgency is critical."),
        ({"topic": "cancellation"}, "Topic cancellation: a cancellation is hard to take back."),
        ({"other_topics": ["cancellation"]}, "Topic cancellation: a cancellation is hard to take back."),
        (
            {"topic": "refund", "fields": amounts("250.00 EUR")},
            "Topic refund: a refund over 100 is decided with care.",
        ),
        (
            {"topic": "refund", "fields": amounts(None)},
            "Topic refund: a refund over 100 is decided with care.",
        ),
        ({"length": 7}, "The thread has 7 messages, more than 6."),
        ({"checked": False}, "The cheap model's answer failed its check twice."),
        ({"text": "I will call my lawyer"}, "The message speaks of legal matters (“lawyer”)."),
        ({"text": "Ich schalte meinen ANWALT ein"}, "The message speaks of legal matters (“anwalt”)."),
        ({"text": "I was hacked"}, "The message speaks of security matters (“hacked”)."),
    ],
)
def test_each_reason_alone_escalates(changes: dict[str, Any], reason: str) -> None:
    decision = decided(**changes)
    assert decision.route == "strong"
    assert decision.reasons == (reason,)


@pytest.mark.parametrize(
    "changes",
    [
        {"topic": "refund", "fields": amounts("99.99 EUR")},
        {"topic": "refund"},
        {"emotion": "frustrated"},
        {"urgency": "high"},
        {"length": 6},
        {"confidence": 0.65},
        {"text": "the courtyard gate code"},
    ],
)
def test_what_is_just_inside_the_rule_stays_cheap(changes: dict[str, Any]) -> None:
    assert decided(**changes).route == "cheap"


def test_topics_that_contradict_escalate() -> None:
    decision = decided(topic="cancellation", other_topics=["sales"])
    assert "The topics cancellation and sales contradict each other." in decision.reasons
