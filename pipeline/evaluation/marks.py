"""How one answer did: a mark for each measure, what was missed, what came; and the question behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Protocol

from pipeline.models.gateway import Gateway, Plan


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

    `numbers` are measures that are no yes or no. `confidence` is (as the rule weighs it, whether all that
    the route hangs on was right), where the task has one. `answer` is what came, None where nothing usable did.
    `cost_usd` is what all attempts at it cost. With `unasked` it says why it was not put at all.
    """

    case: str
    marks: dict[str, bool]
    misses: tuple[Miss, ...] = ()
    latency_ms: int | None = None
    confidence: tuple[float, bool] | None = None
    unasked: str | None = None
    numbers: Mapping[str, float] = field(default_factory=dict)
    answer: Mapping[str, Any] | None = None
    cost_usd: Decimal = Decimal(0)

    def to_json(self) -> dict[str, Any]:
        """A line of a run's answers, without the model."""
        return {
            "case": self.case,
            "marks": self.marks,
            "misses": [miss.to_json() for miss in self.misses],
            "latency_ms": self.latency_ms,
            "confidence": self.confidence,
            "numbers": dict(self.numbers),
            "answer": self.answer,
            "cost_usd": f"{self.cost_usd:f}",
        }

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Marked:
        """Raises KeyError, TypeError or ValueError where the row is not one of `to_json`."""
        sure = row["confidence"]
        return cls(
            case=row["case"],
            marks=dict(row["marks"]),
            misses=tuple(Miss(miss["measure"], miss["expected"], miss["came"]) for miss in row["misses"]),
            latency_ms=row["latency_ms"],
            confidence=None if sure is None else (float(sure[0]), bool(sure[1])),
            numbers=dict(row["numbers"]),
            answer=row["answer"],
            cost_usd=Decimal(row["cost_usd"]),
        )


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

    def to_json(self) -> dict[str, Any]:
        """The case as it stands in its file."""

    def brief(self, answer: Mapping[str, Any]) -> dict[str, str] | None:
        """What a judge is shown of the case and the answer: task, language, facts, thread, answer.

        None where there is nothing to judge that a program does not know better.
        """


def listed(values: object) -> str:
    """What was expected or came, for people."""
    if isinstance(values, list | tuple):
        return ", ".join(str(value) for value in values) or "none"
    return str(values)
