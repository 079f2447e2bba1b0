"""How cases are listed: for each kind of row its columns, and one statement that fetches a page of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from pipeline.db.tables import (
    comparisons,
    drafts,
    messages,
    model_calls,
    raw_messages,
    replies,
    reviews,
    second_reads,
    tickets,
    triages,
)
from pipeline.reports.weeks import zone_of
from pipeline.reports.words import milliseconds, money


@dataclass(frozen=True)
class Row:
    """One case. `ticket_id` is None for mail that is on no ticket, `review_id` where there is no review."""

    ticket_id: int | None
    cells: tuple[str, ...]
    review_id: int | None


@dataclass(frozen=True)
class Show:
    """A kind of case: its heads, and its rows by their ids, in the order of the ids."""

    heads: tuple[str, ...]
    query: sa.Select[Any]
    id: sa.Column[int]
    cells: Callable[[sa.Row[Any]], tuple[str | datetime | None, ...]]

    def rows(self, connection: sa.Connection, ids: Sequence[int], zone: str) -> tuple[Row, ...]:
        """Times are by the clocks of the zone, as the weeks are."""
        if not ids:
            return ()
        found = connection.execute(self.query.where(self.id.in_(list(ids))).order_by(self.id))
        return tuple(
            Row(
                ticket_id=row.ticket_id,
                cells=tuple(_text(cell, zone) for cell in self.cells(row)),
                review_id=row.review_id,
            )
            for row in found
        )


_NO_REVIEW = sa.null().label("review_id")

REVIEWS = Show(
    ("subject", "outcome", "edit share", "HTER", "topic", "language", "route", "model", "decided"),
    sa.select(
        reviews.c.ticket_id,
        reviews.c.id.label("review_id"),
        tickets.c.subject,
        reviews.c.outcome,
        reviews.c.reason,
        reviews.c.edit_share,
        reviews.c.hter,
        sa.func.coalesce(triages.c.topic, tickets.c.topic).label("topic"),
        sa.func.coalesce(drafts.c.language, tickets.c.language).label("language"),
        drafts.c.route,
        drafts.c.model,
        reviews.c.decided_at,
    )
    .join(tickets, tickets.c.id == reviews.c.ticket_id)
    .outerjoin(drafts, drafts.c.id == reviews.c.draft_id)
    .outerjoin(triages, triages.c.message_id == drafts.c.message_id),
    reviews.c.id,
    lambda row: (
        row.subject,
        (row.outcome or row.reason).replace("_", " "),
        "" if row.edit_share is None else f"{row.edit_share:.0%}",
        "" if row.hter is None else f"{row.hter:.2f}",
        row.topic or "",
        row.language or "",
        row.route or "",
        row.model or "",
        row.decided_at,
    ),
)
READINGS = Show(
    ("subject", "topic", "language", "confidence", "route", "because", "read"),
    sa.select(
        triages.c.ticket_id,
        _NO_REVIEW,
        tickets.c.subject,
        triages.c.topic,
        triages.c.language,
        triages.c.confidence,
        triages.c.route,
        triages.c.reasons,
        triages.c.created_at,
    ).join(tickets, tickets.c.id == triages.c.ticket_id),
    triages.c.id,
    lambda row: (
        row.subject,
        row.topic,
        row.language,
        f"{row.confidence:.2f}",
        row.route,
        " ".join(row.reasons or ()),
        row.created_at,
    ),
)
# one of two side by side: whoever chooses is not told which model wrote which
_BLIND = (
    sa.exists()
    .where(
        comparisons.c.ticket_id == drafts.c.ticket_id,
        comparisons.c.chosen_at.is_(None),
        sa.or_(comparisons.c.left_id == drafts.c.id, comparisons.c.right_id == drafts.c.id),
        drafts.c.superseded_at.is_(None),
    )
    .correlate(drafts)
)
DRAFTS = Show(
    ("subject", "route", "model", "language", "cost", "written", "gave way"),
    sa.select(
        drafts.c.ticket_id,
        reviews.c.id.label("review_id"),
        tickets.c.subject,
        drafts.c.route,
        drafts.c.model,
        drafts.c.language,
        drafts.c.cost_usd,
        drafts.c.created_at,
        drafts.c.superseded_at,
        _BLIND.label("blind"),
    )
    .join(tickets, tickets.c.id == drafts.c.ticket_id)
    .outerjoin(reviews, reviews.c.draft_id == drafts.c.id),
    drafts.c.id,
    lambda row: (
        row.subject,
        *(("", "not told until one is chosen") if row.blind else (row.route, row.model)),
        row.language,
        "" if row.blind else money(row.cost_usd),
        row.created_at,
        row.superseded_at,
    ),
)
CALLS = Show(
    ("task", "route", "model", "role", "ended", "latency", "cost", "begun"),
    sa.select(
        model_calls.c.ticket_id,
        _NO_REVIEW,
        model_calls.c.task,
        model_calls.c.route,
        model_calls.c.model,
        model_calls.c.role,
        model_calls.c.state,
        model_calls.c.error_kind,
        model_calls.c.latency_ms,
        model_calls.c.cost_usd,
        model_calls.c.started_at,
    ),
    model_calls.c.id,
    lambda row: (
        row.task,
        row.route,
        row.model,
        row.role,
        f"{row.state}: {row.error_kind}" if row.error_kind else row.state,
        milliseconds(row.latency_ms),
        money(row.cost_usd),
        row.started_at,
    ),
)
REPLIES = Show(
    ("subject", "route", "outcome", "sent"),
    sa.select(
        replies.c.ticket_id,
        replies.c.review_id,
        tickets.c.subject,
        drafts.c.route,
        reviews.c.outcome,
        replies.c.sent_at,
    )
    .join(tickets, tickets.c.id == replies.c.ticket_id)
    .join(reviews, reviews.c.id == replies.c.review_id)
    .outerjoin(drafts, drafts.c.id == reviews.c.draft_id),
    replies.c.id,
    lambda row: (
        row.subject,
        row.route or "",
        (row.outcome or "").replace("_", " "),
        row.sent_at,
    ),
)
MESSAGES = Show(
    ("subject", "inbox", "kind", "why", "received"),
    sa.select(
        messages.c.ticket_id,
        _NO_REVIEW,
        messages.c.subject,
        messages.c.inbox,
        messages.c.kind,
        messages.c.kind_reason,
        messages.c.received_at,
    ),
    messages.c.id,
    lambda row: (row.subject, row.inbox, row.kind, row.kind_reason, row.received_at),
)
TICKETS = Show(
    ("subject", "inbox", "topic", "language", "status", "opened"),
    sa.select(
        tickets.c.id.label("ticket_id"),
        _NO_REVIEW,
        tickets.c.subject,
        tickets.c.inbox,
        tickets.c.topic,
        tickets.c.language,
        tickets.c.status,
        tickets.c.created_at,
    ),
    tickets.c.id,
    lambda row: (
        row.subject,
        row.inbox,
        row.topic or "",
        row.language or "",
        row.status.replace("_", " "),
        row.created_at,
    ),
)
RAW = Show(
    ("number", "inbox", "format", "bytes", "why", "received"),
    sa.select(
        sa.null().label("ticket_id"),
        _NO_REVIEW,
        raw_messages.c.id,
        raw_messages.c.inbox,
        raw_messages.c.format,
        raw_messages.c.size,
        raw_messages.c.reason,
        raw_messages.c.received_at,
    ),
    raw_messages.c.id,
    lambda row: (
        str(row.id),
        row.inbox,
        row.format,
        f"{row.size:,}",
        row.reason or "",
        row.received_at,
    ),
)
SECOND_READS = Show(
    ("subject", "asked", "read", "verdict", "note"),
    sa.select(
        second_reads.c.ticket_id,
        second_reads.c.review_id,
        tickets.c.subject,
        second_reads.c.asked_at,
        second_reads.c.read_at,
        second_reads.c.verdict,
        second_reads.c.note,
    ).join(tickets, tickets.c.id == second_reads.c.ticket_id),
    second_reads.c.id,
    lambda row: (
        row.subject,
        row.asked_at,
        row.read_at,
        (row.verdict or "").replace("_", " "),
        row.note or "",
    ),
)


def _text(cell: str | datetime | None, zone: str) -> str:
    if isinstance(cell, datetime):
        return f"{cell.astimezone(zone_of(zone)):%Y-%m-%d %H:%M}"
    return " ".join((cell or "").split())
