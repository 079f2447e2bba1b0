"""What a model is asked in an evaluation, and how its answer is marked: cases of triage and of drafts.

A case is a line of `prompts/<task>/cases.jsonl`. Marking is done by program alone, against what the case
states; what it leaves out is not marked.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict, ValidationError

from pipeline.assembly import Brain
from pipeline.drafting import rubric
from pipeline.drafting.answer import read_answer
from pipeline.drafting.draft import write_draft
from pipeline.errors import ConfigError, InputError, ModelOutputInvalid
from pipeline.models.gateway import Context, Gateway, Plan
from pipeline.triage.checks import checked
from pipeline.triage.reading import MAX_CHARS, read
from pipeline.triage.schema import FIELD_KINDS

RECEIVED = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
"""When the mail of a case came, so that "tomorrow" means the same in every run."""

SOUNDNESS = ("schema_validity", "values_verbatim")
SCALES = ("urgency", "emotion", "clarity")


@dataclass(frozen=True)
class Miss:
    """One thing that an answer got wrong."""

    measure: str
    expected: str
    came: str

    def to_json(self) -> dict[str, str]:
        return {"measure": self.measure, "expected": self.expected, "came": self.came}

    def __str__(self) -> str:
        return f"{self.measure}: expected {self.expected}; came: {self.came}"


@dataclass(frozen=True)
class Marked:
    """How one answer did. `marks` is measure → whether it holds, for what the case states.

    `confidence` is (as stated, whether all that the route hangs on was right), where the task has one.
    """

    case: str
    marks: dict[str, bool]
    misses: tuple[Miss, ...]
    latency_ms: int | None = None
    confidence: tuple[float, bool] | None = None
    unasked: str | None = None


class Question(Protocol):
    """One case, ready to be put to a model."""

    @property
    def id(self) -> str: ...

    def ask(self, gateway: Gateway, plan: Plan) -> Marked:
        """Put it and mark the answer. Raises `AllModelsFailed`."""

    def unanswered(self, why: str) -> Marked:
        """The marks of a model that gave no usable answer: all that the case states is wrong."""

    def soundness(self, raw: str) -> dict[str, bool]:
        """The marks of the raw text of a first answer, before any repair."""


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
    id: str
    subject: str | None
    body: str
    expect: Expected
    why: str = ""


def read_triage_cases(path: Path, topics: Collection[str]) -> list[TriageCase]:
    """The cases of a file. Raises `InputError` naming file and line."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"{path}: the cases cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: the cases are not UTF-8 text") from None
    cases: dict[str, TriageCase] = {}
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            case = TriageCase.model_validate_json(line)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"]) or "the line"
            words = "there is no such key" if first["type"] == "extra_forbidden" else first["msg"]
            raise InputError(f"{path}:{number}: {where}: {words}") from None
        if case.id in cases:
            raise InputError(f"{path}:{number}: the id {case.id} is there twice")
        unknown = [name for name in (case.expect.topic, *case.expect.topic_also) if name not in topics]
        if unknown:
            raise InputError(
                f"{path}:{number}: expect.topic: {unknown[0]} is no topic of routes.toml; "
                f"those are {', '.join(topics)}"
            )
        cases[case.id] = case
    return list(cases.values())


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
            received=RECEIVED,
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
            mark(kind, same, _listed(wanted), _listed(came))
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


@dataclass(frozen=True)
class DraftQuestion:
    """A thread to answer, through the same call and checks as in the pipeline, marked by its rubric."""

    brain: Brain = field(repr=False)
    case: rubric.Case
    strong: bool

    MEASURES = ("passed", "rubric", *rubric.Rubric.model_fields, "promises", "blocked", "schema_validity")

    @property
    def id(self) -> str:
        return self.case.id

    def ask(self, gateway: Gateway, plan: Plan) -> Marked:
        context = (
            Context(task="draft", route="strong") if self.strong else Context(task="routine", route="cheap")
        )
        draft = write_draft(
            gateway, self.brain.prompts, plan, context, self.case.to_thread(), strong=self.strong
        )
        spoken = rubric.spoken_language(draft.reply)
        marks: dict[str, bool] = {}
        misses: list[Miss] = []
        for key, wanted in self._stated().items():
            # the case with this one line of its rubric, the others made to hold
            alone = rubric.Rubric.model_validate({"language": spoken, "max_words": 10**6, key: wanted})
            found = rubric.failures(self.case.model_copy(update={"rubric": alone}), draft.reply, draft.asks)
            marks[key] = not found
            misses += [Miss(key, _listed(wanted), sentence) for sentence in found]
        if "must_not_promise" in marks:
            marks["promises"] = not marks["must_not_promise"]
        passed = {"passed": not misses, "rubric": not misses, "blocked": bool(draft.blocked)}
        return Marked(self.id, marks | passed, tuple(misses), draft.latency_ms)

    def unanswered(self, why: str) -> Marked:
        marks = dict.fromkeys((*self._stated(), "passed", "rubric"), False)
        return Marked(self.id, marks, (Miss("answer", "a draft", why),))

    def soundness(self, raw: str) -> dict[str, bool]:
        try:
            read_answer(raw)
        except ModelOutputInvalid:
            return {"schema_validity": False}
        return {"schema_validity": True}

    def _stated(self) -> dict[str, Any]:
        stated = self.case.rubric.model_dump(exclude_unset=True)
        return {key: wanted for key, wanted in stated.items() if wanted}


def questions(brain: Brain, task: str, path: Path) -> list[Question]:
    """The cases of a task's file. Raises `InputError` or `ConfigError` naming file and line."""
    if not path.is_file():
        raise InputError(
            f"{path}: there are no cases for {task}; write some there, one JSON object a line, "
            "or name a file with --cases"
        )
    found: list[Question]
    if task == "triage":
        found = [TriageQuestion(brain, case) for case in read_triage_cases(path, brain.routes.topics)]
    else:
        found = [DraftQuestion(brain, case, task == "draft") for case in _rubric_cases(path)]
    if not found:
        raise InputError(f"{path}: holds no case; write some, one JSON object a line")
    return found


def _rubric_cases(path: Path) -> list[rubric.Case]:
    cases = rubric.read_cases(path)
    for case in cases:
        for key in rubric.Rubric.model_fields:
            patterns = getattr(case.rubric, key)
            for pattern in patterns if isinstance(patterns, list) else ():
                try:
                    re.compile(pattern)
                except re.error as error:
                    raise ConfigError(f"{path}: case {case.id}, {key}: {pattern!r}: {error}") from None
    return cases


def _key(kind: str, value: str) -> str:
    """A value as it is compared: spacing, case and marks around a number say nothing about what was found."""
    if kind in ("amounts", "phones"):
        return re.sub(r"\D", "", value)
    return re.sub(r"[\W_]", "", value).casefold()


def _listed(values: object) -> str:
    if isinstance(values, list):
        return ", ".join(str(value) for value in values) or "none"
    return str(values)
