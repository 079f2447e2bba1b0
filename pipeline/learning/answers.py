"""The week's answers: each draft that a person judged beside what went out in its place."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from pipeline.db.tables import drafts, reviews, tickets, triages
from pipeline.drafting.promises import sentences
from pipeline.reports.queries import within
from pipeline.reports.rates import Share
from pipeline.review.outcomes import WITHOUT_SPACES, measure


@dataclass(frozen=True)
class Answer:
    """A draft and the text that was sent. `customer` is an address, or empty where there is none; `values` are
    what the reading found in the customer's message (order numbers, amounts ...): it belongs to this ticket."""

    review_id: int
    ticket_id: int
    customer: str
    customer_name: str
    task: str
    route: str
    source: str
    topic: str
    language: str
    draft: str
    sent: str
    values: frozenset[str]

    def told_by(self, text: str) -> bool:
        """Whether the text has a name of this customer, or a value of this ticket."""
        folded = text.casefold()
        words = re.findall(r"\w+", folded)
        named = any(part in words for part in re.findall(r"\w{2,}", self.customer_name.casefold()))
        return named or any(value in folded for value in self.values)


@dataclass(frozen=True)
class Closer:
    """What a change would have done to stored drafts: of `of`, `closer` would have needed fewer edits and
    `farther` more; the mean edit share (0..1) was `before` and would be `after`."""

    of: int
    closer: int
    farther: int
    before: float
    after: float

    def to_json(self) -> dict[str, Any]:
        return {
            "drafts": self.of,
            "closer": self.closer,
            "farther": self.farther,
            "edit_share_before": round(self.before, 4),
            "edit_share_after": round(self.after, 4),
        }


def answers(connection: sa.Connection, start: datetime, end: datetime) -> list[Answer]:
    """Those that were decided in the time, oldest first, whatever became of the draft, if a text was sent."""
    query = (
        sa.select(
            reviews.c.id.label("review_id"),
            reviews.c.ticket_id,
            tickets.c.customer_address,
            tickets.c.customer_name,
            *(drafts.c[name] for name in ("task", "route", "source", "language")),
            sa.func.coalesce(triages.c.topic, tickets.c.topic, "other").label("topic"),
            drafts.c.text.label("draft"),
            reviews.c.sent_text.label("sent"),
            triages.c.fields,
        )
        .join(drafts, drafts.c.id == reviews.c.draft_id)
        .join(tickets, tickets.c.id == reviews.c.ticket_id)
        .outerjoin(triages, triages.c.message_id == drafts.c.message_id)
        .where(within(reviews.c.decided_at, start, end), reviews.c.sent_text.is_not(None))
        .order_by(reviews.c.id)
    )
    return [
        Answer(
            customer=(row.customer_address or "").casefold(),
            customer_name=row.customer_name or "",
            values=_values(row.fields or {}),
            **{
                name: getattr(row, name)
                for name in Answer.__dataclass_fields__
                if name not in ("customer", "customer_name", "values")
            },
        )
        for row in connection.execute(query)
    ]


def replayed(rows: Sequence[Answer], changed: Sequence[str]) -> Closer:
    """Each draft as it was and as `changed` has it, both measured against what was sent."""
    pairs = []
    for row, text in zip(rows, changed, strict=True):
        before = measure(row.draft, row.sent, row.language).edit_share
        after = measure(text, row.sent, row.language).edit_share
        if before is not None and after is not None:
            pairs.append((before, after))
    count = max(1, len(pairs))
    return Closer(
        len(pairs),
        sum(after < before for before, after in pairs),
        sum(after > before for before, after in pairs),
        sum(before for before, _ in pairs) / count,
        sum(after for _, after in pairs) / count,
    )


def parts_of(text: str, language: str) -> list[str]:
    """The sentences of a text; in languages that end them without a space, by their full stops."""
    found = sentences(text)
    if language.split("-")[0] not in WITHOUT_SPACES:
        return found
    return [part for line in found for one in line.split("。") if (part := one.strip())]


def share_of(count: int, of: int) -> dict[str, Any]:
    """A share as it stands in an effect: counts, and the interval where they are enough for one."""
    share = Share(count, of)
    low_high = share.interval
    return {
        "count": count,
        "of": of,
        "interval": None if low_high is None else [round(x, 4) for x in low_high],
    }


def _values(fields: Any) -> frozenset[str]:
    found: set[str] = set()
    for items in fields.values() if isinstance(fields, dict) else ():
        for item in items if isinstance(items, list) else ():
            value = item.get("value") if isinstance(item, dict) else item
            if isinstance(value, str) and value.strip():
                found.add(value.strip().casefold())
    return frozenset(found)
