"""The models of the simulation: a `Provider` that answers what the plan says, in the plan's own time."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

from pipeline.errors import ModelOverloaded, ModelTimeout, Usage
from pipeline.models.base import ModelAnswer, ModelRequest
from pipeline.simulation import texts
from pipeline.simulation.plan import Case, Turn
from pipeline.simulation.texts import ORDERED

_TYPICAL_S = {"triage": 0.9, "routine": 1.8, "shadow": 2.2}
_CACHED = 0.6
"""The share of a prompt that a provider has in its cache, on most calls."""


_ahead: ContextVar[timedelta] = ContextVar("_ahead", default=timedelta(0))


class Clock:
    """The simulation's time. Whoever waits for a model is ahead of it by what they waited; of two that wait
    side by side, each in a context of its own, neither waits for the other."""

    def __init__(self, at: datetime) -> None:
        self._at = at

    def __call__(self) -> datetime:
        return self._at + _ahead.get()

    def go_to(self, at: datetime) -> None:
        self._at = at
        _ahead.set(timedelta(0))

    def wait(self, seconds: float) -> None:
        _ahead.set(_ahead.get() + timedelta(milliseconds=round(seconds * 1000)))


@dataclass
class Stage:
    """What is being worked on now: whoever is asked answers this. `drafts` counts those already written."""

    case: Case
    turn: Turn
    drafts: int = 0
    failed: int = 0


class PlannedProvider:
    """One provider of the simulation; several share a stage. `of_body` finds the turn of a shadowed mail."""

    def __init__(
        self, name: str, clock: Clock, stage: Callable[[], Stage], of_body: Callable[[str], Stage]
    ) -> None:
        self.name = name
        self._clock = clock
        self._stage = stage
        self._of_body = of_body

    def complete(self, request: ModelRequest, *, deadline_s: float) -> ModelAnswer:
        """The planned answer. Raises the planned `ModelError`."""
        stage = self._stage() if request.task != "shadow" else self._of_body(str(request.input["body"]))
        rng = Random(f"{stage.turn.variant} {request.task} {request.model} {stage.failed}")
        spoilt = self._fail(stage, request, rng, deadline_s)
        self._clock.wait(
            min(deadline_s * 0.8, _TYPICAL_S.get(request.task, 6.0) * rng.lognormvariate(0, 0.45))
        )
        answer = (
            reading(stage, request.task) if request.task in ("triage", "shadow") else drafted(stage, request)
        )
        text = json.dumps(answer, ensure_ascii=False)
        return ModelAnswer(
            text=text[: len(text) // 2] if spoilt else text,
            usage=_usage(request, text, rng),
            model=request.model,
            request_id=f"sim-{rng.getrandbits(48):012x}",
        )

    def _fail(self, stage: Stage, request: ModelRequest, rng: Random, deadline_s: float) -> bool:
        """Raise what the plan has go wrong at this attempt; True where the answer is to be spoilt."""
        failure = stage.turn.failure
        task = "triage" if stage.turn.failed_task == "triage" else "draft"
        asked = "draft" if request.task in ("draft", "routine") else request.task
        most = {"retry": 1, "repair": 1, "backup": 2, "template": 4}.get(failure or "", 0)
        if task != asked or stage.failed >= most:
            return False
        stage.failed += 1
        if failure == "repair":
            return True
        if rng.random() < 0.5:
            self._clock.wait(deadline_s)
            raise ModelTimeout(f"no answer within {deadline_s:.0f} s")
        self._clock.wait(0.2 + rng.random())
        raise ModelOverloaded("503: the service is overloaded", status=503, usage=Usage())


def reading(stage: Stage, task: str) -> dict[str, object]:
    """The reading that the plan has; a shadow's is right, and sees the anger that the cheap one missed."""
    case, turn = stage.case, stage.turn
    shadow = task == "shadow"
    priced = turn.topic == "refund" and turn.mood != "vague" and not turn.again
    fields: dict[str, list[dict[str, str | None]]] = {
        kind: [] for kind in ("account_ids", "emails", "phones", "dates", "names", "invoice_numbers")
    }
    fields["order_numbers"] = [{"value": case.order, "normalised": None}] if turn.topic in ORDERED else []
    fields["amounts"] = [{"value": case.amount, "normalised": case.amount}] if priced else []
    return {
        "topic": turn.topic if shadow else turn.read_topic,
        "other_topics": [],
        "confidence": 0.97 if shadow else turn.confidence,
        "language": case.language,
        "urgency": turn.urgency,
        "emotion": "angry" if shadow and turn.shadow_missed else turn.emotion,
        "clarity": turn.clarity,
        "fields": fields,
        "summary": f"The customer writes about {turn.topic.replace('_', ' ')}.",
    }


def drafted(stage: Stage, request: ModelRequest) -> dict[str, object]:
    case, turn = stage.case, stage.turn
    reply = texts.draft(
        case.language,
        turn.read_topic,
        first=case.customer.first,
        order=case.order,
        variant=turn.variant + sum(map(ord, request.model)),
        bait=turn.blocked and not stage.drafts,
    )
    return {
        "reply": reply,
        "language": case.language,
        "asks": [],
        "why": f"It answers what was asked about {turn.read_topic.replace('_', ' ')}.",
        "claims": [],
    }


def _usage(request: ModelRequest, answer: str, rng: Random) -> Usage:
    """Tokens as a provider would count them, about four characters each."""
    given = (len(request.system) + len(request.user)) // 4 + 60
    cached = int(len(request.system) // 4 * _CACHED) if rng.random() < 0.8 else 0
    return Usage(input_tokens=given, cached_input_tokens=cached, output_tokens=len(answer) // 4 + 12)
