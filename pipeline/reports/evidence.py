"""The week's judged drafts one by one, each with the reading that sent it its way: what suggestions count over.

A question like {"route": "cheap", "topic": "refund", "outcome": "rewrite"} counts here and lists its cases
behind the figure by the same test.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from pipeline.db.tables import drafts, reviews, triages
from pipeline.errors import InputError
from pipeline.reports import queries
from pipeline.reports.escalation import SHORT_ANSWER
from pipeline.reports.queries import DIMENSIONS, within
from pipeline.reports.rates import REVIEWED, REWRITE, Share

QUESTIONS = ("reason", "sole", "sure", "gauge", "needed")
"""What may be asked beside the dimensions and the outcome: the reject reason; how the one reason of the
escalation begins; a range of confidence like 0.60-0.65; `calibrated` or `uncalibrated`; `needed=no` for strong
drafts that an agent marked or that went out as they were and short."""


@dataclass(frozen=True)
class Judged:
    """A reviewed draft. `reasons` are why its message was escalated, `confidence` None without a reading."""

    review_id: int
    dims: Mapping[str, str]
    digest: str
    outcome: str
    reject_reason: str | None
    marked: bool
    length: int
    cost_usd: Decimal
    confidence: float | None
    calibrated: bool
    reasons: tuple[str, ...]

    @property
    def not_needed(self) -> bool:
        """Of a strong draft: a routine one would have done (as `escalation` counts it)."""
        return self.dims["route"] == "strong" and (
            self.marked or (self.outcome == "as_is" and self.length <= SHORT_ANSWER)
        )


def judged(connection: sa.Connection, start: datetime, end: datetime) -> list[Judged]:
    """All reviewed drafts that were judged in that time."""
    columns: list[Any] = [
        *(queries.COLUMNS[name].label(name) for name in DIMENSIONS),
        *(reviews.c[name] for name in ("id", "outcome", "reject_reason", "escalated_for_nothing")),
        *(drafts.c[name].label(f"draft_{name}") for name in ("prompt", "cost_usd")),
        sa.func.length(drafts.c.text).label("length"),
        *(triages.c[name] for name in ("confidence", "calibrated", "reasons")),
        triages.c.route.label("sent"),
    ]
    query = queries.from_reviews(sa.select(*columns), {}).where(
        within(reviews.c.decided_at, start, end), reviews.c.outcome.in_(REVIEWED)
    )
    return [
        Judged(
            review_id=row.id,
            dims=dict(zip(DIMENSIONS, row[: len(DIMENSIONS)], strict=True)),
            digest=row.draft_prompt,
            outcome=row.outcome,
            reject_reason=row.reject_reason,
            marked=bool(row.escalated_for_nothing),
            length=int(row.length),
            cost_usd=row.draft_cost_usd,
            confidence=row.confidence,
            calibrated=bool(row.calibrated),
            reasons=tuple(row.reasons or ()) if row.sent not in (None, "cheap") else (),
        )
        for row in connection.execute(query.execution_options(yield_per=1000))
    ]


def those(rows: Iterable[Judged], question: Mapping[str, str]) -> list[Judged]:
    """The drafts that a question is about; raises `InputError` for a range that is none."""
    tests = [_test(name, value) for name, value in question.items()]
    return [row for row in rows if all(test(row) for test in tests)]


def share(rows: Sequence[Judged]) -> Share:
    """How many of them were rewritten, replaced or rejected."""
    return Share(sum(row.outcome in REWRITE for row in rows), len(rows))


def ids(connection: sa.Connection, start: datetime, end: datetime, question: Mapping[str, str]) -> list[int]:
    """The reviews behind a count: what `those` finds in the week, in order."""
    return sorted(row.review_id for row in those(judged(connection, start, end), question))


def _test(name: str, value: str) -> Any:
    if name in DIMENSIONS:
        return lambda row: row.dims[name] == value
    if name == "outcome":
        wanted = {"reviewed": REVIEWED, "rewrite": REWRITE}.get(value, (value,))
        return lambda row: row.outcome in wanted
    if name == "reason":
        return lambda row: row.outcome == "rejected" and row.reject_reason == value
    if name == "sole":
        return lambda row: len(row.reasons) == 1 and row.reasons[0].startswith(value)
    if name == "gauge":
        return lambda row: row.calibrated == (value == "calibrated")
    if name == "needed":
        return lambda row: row.not_needed == (value == "no")
    if name == "sure":
        low, _, high = value.partition("-")
        try:
            least, below = float(low), float(high)
        except ValueError:
            raise InputError(f"{value[:40]!r} is no range of confidence; write it like 0.60-0.65") from None
        return lambda row: row.confidence is not None and least <= row.confidence < below
    raise InputError(f"drafts are not narrowed by {name!r}")
