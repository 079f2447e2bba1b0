"""Reads one message with one structured call to the cheap model: everything about it at once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import partial

from pipeline.models.gateway import Answered, Context, Gateway, Plan
from pipeline.models.prompts import Prompts
from pipeline.routing.table import LOCAL, Routes
from pipeline.triage.checks import checked
from pipeline.triage.escalation import Decision, decide
from pipeline.triage.schema import TriageAnswer, json_schema

MAX_CHARS = 24_000
"""How much of a message the cheap model reads. Longer ones are cut, and escalate for it."""


@dataclass(frozen=True)
class Reading:
    """A message's reading with the decision that follows from it. `checked` as in `escalation.decide`."""

    answered: Answered[TriageAnswer]
    decision: Decision
    checked: bool

    @property
    def answer(self) -> TriageAnswer:
        return self.answered.value


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
) -> Reading:
    """Ask the models of the plan in their order and decide the route.

    Raises `AllModelsFailed` where not even the built-in model could read it.
    """
    cut = len(body) > MAX_CHARS
    shown = body[:MAX_CHARS]
    subject = " ".join((subject or "").split())[:1000]
    prompt = prompts.load("triage", "cheap").render(
        topics="\n".join(f"- {topic.name}: {topic.description}" for topic in routes.topics.values()),
        languages=", ".join(routes.languages),
        subject=subject or "(none)",
        body=shown or "(empty)",
    )
    source = f"{subject}\n{shown}"
    answered = gateway.ask(
        plan,
        prompt,
        context,
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
        check=partial(checked, source=source, topics=list(routes.topics), languages=routes.languages),
    )
    # The safe default stands in for a model that answered, but not soundly: that is a reason to escalate.
    unsound = answered.choice.key == LOCAL and bool({"invalid", "cut", "refused"} & set(answered.attempts))
    decision = decide(
        answered.value, routes.rule, text=source, thread_length=thread_length, checked=not unsound
    )
    if cut:
        reason = f"The message is longer than {MAX_CHARS} characters; only its start was read."
        kept = decision.reasons if decision.route == "strong" else ()
        decision = Decision("strong", (*kept, reason))
    return Reading(answered, decision, not unsound)
