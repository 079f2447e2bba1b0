"""The drafts of the week that were rewritten most, beside what was sent instead, ready to be read as diffs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import sqlalchemy as sa

from pipeline.db.tables import drafts, replies, reviews
from pipeline.reports import queries
from pipeline.reports.queries import within

MOST = 10
LONGEST = 3_000
"""Characters of either text that a report keeps: it is read, mailed, and stored for good."""


class Run(Protocol):
    """A run of text: in both (`same`), only in what was sent (`added`), only in the draft (`removed`)."""

    @property
    def kind(self) -> str: ...

    @property
    def text(self) -> str: ...


Diff = Callable[[str, str, str], Iterable[Run]]
"""From draft, sent text and language to runs in reading order; `pipeline.review.diff.diff` is one."""


@dataclass(frozen=True)
class Piece:
    kind: str
    text: str


@dataclass(frozen=True)
class Pair:
    """A draft and what became of it. `sent` is None where nothing was sent in its place, `pieces` are empty
    then; `edit_share` is 0..1 where the two were compared, `hter` (of the sent text's tokens) 0 and more."""

    ticket_id: int
    review_id: int
    decided_at: datetime
    outcome: str
    edit_share: float | None
    reject_reason: str | None
    note: str | None
    route: str
    topic: str
    language: str
    model: str
    prompt: str
    draft: str
    sent: str | None
    pieces: tuple[Piece, ...]
    hter: float | None = None


def pairs(
    connection: sa.Connection,
    start: datetime,
    end: datetime,
    diff: Diff | None,
    only: Mapping[str, str] | None = None,
    limit: int = MOST,
) -> tuple[Pair, ...]:
    """Rewritten drafts first, the largest edit share first; then replaced, then rejected ones, the latest first.

    Without `diff` they have no pieces. What was sent in place of a rejected draft is the next reply to the
    same message.
    """
    found: list[sa.Row[Any]] = []
    for outcome in ("rewritten", "replaced", "rejected"):
        if len(found) < limit:
            found += connection.execute(_query(start, end, outcome, only or {}).limit(limit - len(found)))
    return tuple(_pair(connection, row, diff) for row in found)


def heading(pair: Pair) -> str:
    """Ticket 12: rewritten, 83% changed (HTER 0.91); refund, de, strong route, big, draft e5f6a7b8."""
    changed = "" if pair.edit_share is None else f", {pair.edit_share:.0%} changed"
    if pair.hter is not None:
        changed += f" (HTER {pair.hter:.2f})"
    because = [each for each in ((pair.reject_reason or "").replace("_", " "), pair.note) if each]
    why = f" ({': '.join(because)})" if because else ""
    what = f"{pair.topic}, {pair.language}, {pair.route} route, {pair.model}, {pair.prompt}"
    return f"Ticket {pair.ticket_id}: {pair.outcome}{changed}{why}; {what}"


def _query(start: datetime, end: datetime, outcome: str, only: Mapping[str, str]) -> sa.Select[Any]:
    columns: list[Any] = [
        reviews.c.id.label("review_id"),
        *(reviews.c[name] for name in ("ticket_id", "decided_at", "outcome", "edit_share", "hter")),
        *(reviews.c[name] for name in ("reject_reason", "note", "sent_text")),
        *(queries.COLUMNS[name].label(name) for name in ("route", "topic", "language", "model", "prompt")),
        drafts.c.text,
        drafts.c.message_id,
    ]
    share = sa.func.coalesce(reviews.c.edit_share, 0.0)
    query = queries.from_reviews(sa.select(*columns), only).where(
        within(reviews.c.decided_at, start, end), reviews.c.outcome == outcome
    )
    return query.order_by(share.desc(), reviews.c.decided_at.desc(), reviews.c.id.desc())


def _pair(connection: sa.Connection, row: sa.Row[Any], diff: Diff | None) -> Pair:
    sent = row.sent_text if row.sent_text is not None else _sent_after(connection, row)
    draft, sent = _cut(row.text), None if sent is None else _cut(sent)
    pieces = () if sent is None or diff is None else diff(draft, sent, row.language)
    return Pair(
        **{name: getattr(row, name) for name in ("ticket_id", "review_id", "decided_at", "outcome")},
        **{name: getattr(row, name) for name in ("edit_share", "hter", "reject_reason", "note")},
        **{name: getattr(row, name) for name in ("route", "topic", "language", "model", "prompt")},
        draft=draft,
        sent=sent,
        pieces=tuple(Piece(piece.kind, piece.text) for piece in pieces),
    )


def _sent_after(connection: sa.Connection, row: sa.Row[Any]) -> str | None:
    query = (
        sa.select(replies.c.text)
        .where(
            replies.c.ticket_id == row.ticket_id,
            replies.c.answers_id == row.message_id,
            replies.c.review_id > row.review_id,
            replies.c.state != "withdrawn",
        )
        .order_by(replies.c.id)
        .limit(1)
    )
    return connection.execute(query).scalar_one_or_none()


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 2] + " …"


__all__ = ["Diff", "Pair", "Piece", "Run", "heading", "pairs"]
