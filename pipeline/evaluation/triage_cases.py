"""Cases of triage: a message, and what a careful reader says of it."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from pipeline.assembly import Brain
from pipeline.errors import InputError, ModelOutputInvalid
from pipeline.evaluation.marks import Marked, Miss, listed
from pipeline.models.cases import read_cases
from pipeline.models.gateway import Context, Gateway, Plan
from pipeline.triage.checks import checked
from pipeline.triage.reading import MAX_CHARS, read
from pipeline.triage.schema import FIELD_KINDS

RECEIVED = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
"""When the mail of a case came, so that "tomorrow" means the same in every run."""

SOUNDNESS = ("schema_validity", "values_verbatim")
SCALES = ("urgency", "emotion", "clarity")


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Expected(_Closed):
    """What a careful reader says of the message. `topic_also` are topics that are no mistake either.

    A field kind that is given lists all its values in the message: none left out, none besides. `route`
    is what the shipped rule makes of a right reading.
    """

    topic: str
    topic_also: list[str] = []
    language: str
    urgency: Literal["low", "normal", "high", "critical"] | None = None
    emotion: Literal["calm", "worried", "frustrated", "angry"] | None = None
    clarity: Literal["clear", "vague", "mixed"] | None = None
    route: Literal["cheap", "strong"] | None = None
    order_numbers: list[str] | None = None
    account_ids: list[str] | None = None
    emails: list[str] | None = None
    phones: list[str] | None = None
    amounts: list[str] | None = None
    dates: list[str] | None = None
    names: list[str] | None = None
    invoice_numbers: list[str] | None = None


class TriageCase(_Closed):
    """`received` is when a real message came; a case that was written for the file has none.

    `known_names` are people's names that are redacted in it, where the table says so.
    """

    id: str
    subject: str | None
    body: str
    expect: Expected
    why: str = ""
    received: datetime | None = None
    known_names: list[str] = []


def read_triage_cases(path: Path, topics: Collection[str]) -> list[TriageCase]:
    """The cases of a file. Raises `InputError` naming file and line."""
    found = read_cases(path, TriageCase)
    for number, case in found:
        unknown = [name for name in (case.expect.topic, *case.expect.topic_also) if name not in topics]
        if unknown:
            raise InputError(
                f"{path}:{number}: expect.topic: {unknown[0]} is no topic of routes.toml; "
                f"those are {', '.join(topics)}"
            )
    return [case for _, case in found]


@dataclass(frozen=True)
class TriageQuestion:
    """A message to read, through the same call, checks and rule as in the pipeline."""

    brain: Brain = field(repr=False)
    case: TriageCase

    MEASURES = (
        "passed",
        *(f"{name}_accuracy" for name in ("topic", "language", "urgency", "emotion", "clarity", "route")),
        "fields_accuracy",
        *(f"{kind}_accuracy" for kind in FIELD_KINDS),
        "missed_escalations",
        "needless_escalations",
        *SOUNDNESS,
    )

    @property
    def id(self) -> str:
        return self.case.id

    def ask(self, gateway: Gateway, plan: Plan) -> Marked:
        reading = read(
            gateway,
            self.brain.prompts,
            plan,
            Context(task="triage", route="cheap"),
            self.brain.routes,
            subject=self.case.subject,
            body=self.case.body,
            received=self.case.received or RECEIVED,
            calibration=self.brain.calibration,
            known_names=self.case.known_names,
        )
        answer, expect = reading.answer, self.case.expect
        marks: dict[str, bool] = {}
        misses: list[Miss] = []

        def mark(name: str, right: bool, expected: object, came: object) -> None:
            marks[f"{name}_accuracy"] = right
            if not right:
                misses.append(Miss(name, str(expected), str(came)))

        mark("topic", answer.topic in (expect.topic, *expect.topic_also), expect.topic, answer.topic)
        mark("language", answer.language == expect.language, expect.language, answer.language)
        for name in SCALES:
            if (wanted := getattr(expect, name)) is not None:
                mark(name, getattr(answer, name) == wanted, wanted, getattr(answer, name))
        sure = all(marks.get(f"{name}_accuracy", True) for name in ("topic", *SCALES))
        if expect.route is not None:
            mark("route", reading.decision.route == expect.route, expect.route, reading.decision.route)
        fields = [(kind, getattr(expect, kind)) for kind in FIELD_KINDS if getattr(expect, kind) is not None]
        for kind, wanted in fields:
            came = [value.value for value in getattr(answer.fields, kind)]
            same = {_key(kind, value) for value in wanted} == {_key(kind, value) for value in came}
            mark(kind, same, listed(wanted), listed(came))
        if fields:
            marks["fields_accuracy"] = all(marks[f"{kind}_accuracy"] for kind, _ in fields)
        if expect.route is not None:
            harm = "missed_escalations" if expect.route == "strong" else "needless_escalations"
            marks[harm] = reading.decision.route != expect.route
        return Marked(
            case=self.id,
            marks=marks | {"passed": not misses},
            misses=tuple(misses),
            latency_ms=reading.answered.latency_ms,
            confidence=(answer.confidence, sure),
            answer={
                **answer.model_dump(mode="json", exclude={"fields"}),
                "fields": {kind: values for kind, values in answer.fields.to_json().items() if values},
                "route": reading.decision.route,
            },
        )

    def unanswered(self, why: str) -> Marked:
        stated = [
            name for name in (*SCALES, "route", *FIELD_KINDS) if getattr(self.case.expect, name) is not None
        ]
        if any(name in FIELD_KINDS for name in stated):
            stated.append("fields")
        marks = {f"{name}_accuracy": False for name in ("topic", "language", *stated)} | {"passed": False}
        return Marked(self.id, marks, (Miss("answer", "a reading", why),))

    def soundness(self, raw: str) -> dict[str, bool]:
        subject = " ".join((self.case.subject or "").split())
        source = f"{subject}\n{self.case.body[:MAX_CHARS]}"
        try:
            checked(raw, source=source, topics=list(self.brain.routes.topics))
        except ModelOutputInvalid as error:
            invented = "does not stand verbatim" in str(error)
            return (
                {"schema_validity": True, "values_verbatim": False}
                if invented
                else {"schema_validity": False}
            )
        return dict.fromkeys(SOUNDNESS, True)

    def to_json(self) -> dict[str, Any]:
        return self.case.model_dump(mode="json", exclude_unset=True)

    def brief(self, _answer: Mapping[str, Any]) -> None:
        return None


def _key(kind: str, value: str) -> str:
    """A value as it is compared: spacing, case and marks around a number say nothing about what was found."""
    if kind in ("amounts", "phones"):
        return re.sub(r"\D", "", value)
    return re.sub(r"[\W_]", "", value).casefold()
