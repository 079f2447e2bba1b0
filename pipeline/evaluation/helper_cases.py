"""Cases of the helpers' tasks: summaries of long threads, and work on an agent's own text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline.assembly import Brain
from pipeline.drafting import summaries, writing
from pipeline.drafting.transcript import transcript
from pipeline.errors import AllModelsFailed, ModelOutputInvalid
from pipeline.evaluation.draft_cases import JUDGED_CHARS
from pipeline.evaluation.marks import Marked, Miss, listed
from pipeline.models.gateway import Context, Gateway, Plan


@dataclass(frozen=True)
class SummaryQuestion:
    """A thread to sum up, through the same call and checks as for the page."""

    brain: Brain = field(repr=False)
    case: summaries.Case

    MEASURES = (
        "passed",
        *summaries.Rubric.model_fields,
        "figures",
        "schema_validity",
    )

    @property
    def id(self) -> str:
        return self.case.id

    def ask(self, gateway: Gateway, plan: Plan) -> Marked:
        summary = summaries.summarise(
            gateway,
            self.brain.prompts,
            plan,
            Context(task="summary", route="cheap"),
            self.case.to_thread(),
            language=self.case.rubric.language,
        )
        if summary.by is None:  # the program's stand-in is no answer of the model
            raise AllModelsFailed("no model summed the thread up", kinds=summary.attempts)
        marks = summaries.marks(self.case, summary)
        return Marked(
            self.id,
            marks | {"passed": all(marks.values())},
            _misses(marks, self.case.rubric, summary.as_text()),
            summary.latency_ms,
            answer={
                "summary": summary.text,
                "open_questions": list(summary.open_questions),
                "facts": [f"{fact.said_by}: {fact.text}" for fact in summary.facts],
            },
        )

    def unanswered(self, why: str) -> Marked:
        marks = {"passed": False, "language": False, "figures": False}
        return Marked(self.id, marks, (Miss("answer", "a summary", why),))

    def soundness(self, raw: str) -> dict[str, bool]:
        try:
            summaries.read_json(raw, summaries.SummaryAnswer)
        except ModelOutputInvalid:
            return {"schema_validity": False}
        return {"schema_validity": True}

    def to_json(self) -> dict[str, Any]:
        return self.case.model_dump(mode="json", exclude_unset=True)

    def brief(self, answer: Mapping[str, Any]) -> dict[str, str]:
        open_ = [f"- {question}" for question in answer["open_questions"]]
        said = [f"- {fact}" for fact in answer["facts"]]
        return {
            "task": "a summary of the thread, for a colleague who reads it instead of the thread",
            "language": self.case.rubric.language,
            "customer_name": "(unknown)",
            "facts": "none besides the thread",
            "thread": transcript(self.case.to_thread(), JUDGED_CHARS),
            "answer": "\n".join([str(answer["summary"]), "Open:", *open_, "Said:", *said]),
        }


@dataclass(frozen=True)
class WritingQuestion:
    """A text to rework with one tool, through the same call and checks as on the page."""

    brain: Brain = field(repr=False)
    case: writing.Case

    MEASURES = ("passed", *writing.Rubric.model_fields, "kept", "shorter", "schema_validity")

    @property
    def id(self) -> str:
        return self.case.id

    def ask(self, gateway: Gateway, plan: Plan) -> Marked:
        written = writing.write(
            gateway,
            self.brain.prompts,
            plan,
            Context(task="writing", route="cheap"),
            tool=self.case.tool,
            text=self.case.text,
            language=self.case.rubric.language,
            thread=self.case.to_thread(),
        )
        marks = writing.marks(self.case, written.text)
        return Marked(
            self.id,
            marks | {"passed": all(marks.values())},
            _misses(marks, self.case.rubric, written.text),
            written.latency_ms,
            answer={"text": written.text},
        )

    def unanswered(self, why: str) -> Marked:
        marks = {"passed": False, "language": False, "kept": False}
        return Marked(self.id, marks, (Miss("answer", "a reworked text", why),))

    def soundness(self, raw: str) -> dict[str, bool]:
        try:
            summaries.read_json(raw, writing.WrittenAnswer)
        except ModelOutputInvalid:
            return {"schema_validity": False}
        return {"schema_validity": True}

    def to_json(self) -> dict[str, Any]:
        return self.case.model_dump(mode="json", exclude_unset=True)

    def brief(self, _answer: Mapping[str, Any]) -> None:
        return None


_SHOWN_CHARS = 160


def _misses(marks: Mapping[str, bool], rubric: object, came: str) -> tuple[Miss, ...]:
    flat = " ".join(came.split())
    shown = flat if len(flat) <= _SHOWN_CHARS else f"{flat[:_SHOWN_CHARS]}…"
    return tuple(
        Miss(name, listed(getattr(rubric, name, "to hold")), shown)
        for name, holds in marks.items()
        if not holds
    )
