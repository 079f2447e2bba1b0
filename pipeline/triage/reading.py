"""Reads one message with one structured call to the cheap model: everything about it at once."""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from functools import partial

from pipeline.errors import AllModelsFailed
from pipeline.models.gateway import Answered, Context, Gateway, Plan
from pipeline.models.prompts import Prompts
from pipeline.models.redaction import whole_until
from pipeline.routing.planning import data_class
from pipeline.routing.table import LOCAL, Routes
from pipeline.triage.calibration import Calibration, Signals, agree
from pipeline.triage.checks import checked
from pipeline.triage.escalation import Decision, decide
from pipeline.triage.schema import TriageAnswer, json_schema

MAX_CHARS = 24_000
"""How much of a message the cheap model reads. Longer ones are cut, and escalate for it."""


_UNKNOWN = Calibration()


@dataclass(frozen=True)
class Reading:
    """A message's reading with the decision that follows from it. `checked` as in `escalation.decide`.

    `answer.confidence` is the calibrated one where `calibrated`; the model's own is in `signals`. `second`
    is the answer of the second reader, where one was asked.
    """

    answered: Answered[TriageAnswer]
    decision: Decision
    checked: bool
    signals: Signals
    calibrated: bool
    second: Answered[TriageAnswer] | None = None

    @property
    def answer(self) -> TriageAnswer:
        return self.answered.value

    @property
    def cost_usd(self) -> Decimal:
        """Of both readers."""
        return self.answered.cost_usd + (self.second.cost_usd if self.second else Decimal(0))

    @property
    def latency_ms(self) -> int:
        """Of both readers, who were asked one after the other."""
        return self.answered.latency_ms + (self.second.latency_ms if self.second else 0)


def only(plan: Plan, model: str) -> Plan | None:
    """The plan with that model alone, neither backup nor safe default; None where it cannot be asked."""
    choices = tuple(choice for choice in plan.choices if choice.key == model)
    return replace(plan, choices=choices) if choices else None


def read(
    gateway: Gateway,
    prompts: Prompts,
    plan: Plan,
    context: Context,
    routes: Routes,
    *,
    subject: str | None,
    body: str,
    received: datetime | None = None,
    thread_length: int = 1,
    calibration: Calibration = _UNKNOWN,
    second: Plan | None = None,
    known_names: Collection[str] = (),
) -> Reading:
    """Ask the models of the plan in their order and decide the route.

    The plan `second` is another reader's: it is asked where only the confidence stands between the message
    and the cheap route, and its failure is no failure. `known_names` are redacted where the table says so.
    Raises `AllModelsFailed` where not even the built-in
    model could read it.
    """
    cut = len(body) > MAX_CHARS
    shown = body[: whole_until(body, MAX_CHARS)]
    subject = " ".join((subject or "").split())[:1000]
    prompt = prompts.load("triage", "cheap").render(
        known_names,
        topics="\n".join(f"- {topic.name}: {topic.description}" for topic in routes.topics.values()),
        languages=", ".join(routes.languages),
        subject=subject or "(none)",
        body=shown or "(empty)",
    )
    source = f"{subject}\n{shown}"
    ask = partial(
        gateway.ask,
        prompt=prompt,
        context=context,
        schema=json_schema(routes.topics),
        schema_name="triage",
        input={
            "subject": subject or None,
            "body": shown,
            "topics": list(routes.topics),
            "languages": list(routes.languages),
            "default_region": routes.region,
            "received": received,
        },
        check=partial(
            checked,
            source="\n".join((source, *prompt.marks.masked)),  # what is not put back comes back as this
            topics=list(routes.topics),
            languages=routes.languages,
        ),
        label="topic",
    )
    answered = ask(plan)
    # The safe default stands in for a model that answered, but not soundly: that is a reason to escalate.
    unsound = answered.choice.key == LOCAL and bool({"invalid", "cut", "refused"} & set(answered.attempts))

    def decided(answer: TriageAnswer, calibrated: bool = True) -> Decision:
        return decide(
            answer,
            routes.rule,
            text=source,
            thread_length=thread_length,
            checked=not unsound,
            calibrated=calibrated,
        )

    other = None
    hangs_on_confidence = not cut and decided(_as_sure_as(1.0, answered.value)).route == "cheap"
    if second is not None and hangs_on_confidence:
        along = second.choices[0].key
        if along != answered.choice.key and _may_see(routes, along, answered.value.topic):
            with contextlib.suppress(AllModelsFailed):
                other = ask(second)
    signals = Signals(
        stated=answered.value.confidence,
        certainty=answered.certainty,
        agreed=None if other is None else agree(answered.value, other.value),
    )
    judged = calibration.judge(answered.choice.key, answered.prompt, signals)
    answered = replace(answered, value=_as_sure_as(judged.confidence, answered.value))
    decision = decided(answered.value, judged.calibrated)
    if cut:
        reason = f"The message is longer than {MAX_CHARS} characters; only its start was read."
        kept = decision.reasons if decision.route == "strong" else ()
        decision = Decision("strong", (*kept, reason))
    return Reading(answered, decision, not unsound, signals, judged.calibrated, other)


def _may_see(routes: Routes, model: str, topic: str) -> bool:
    """Whether a model may see a message of this topic, which was not known when its plan was made."""
    known = routes.models.get(model)
    return known is None or data_class(routes, topic, None) in known.sees


def _as_sure_as(confidence: float, answer: TriageAnswer) -> TriageAnswer:
    return answer.model_copy(update={"confidence": confidence})
