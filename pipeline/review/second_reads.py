"""A sample of the drafts that went out as they were, judged once more by somebody else who is not told so.

It is the guard against rubber-stamping: a rewrite rate that falls because drafts are read less shows here.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any

import sqlalchemy as sa

from pipeline.db.store import Store
from pipeline.db.tables import drafts, messages, reviews, second_reads, tickets
from pipeline.db.types import now
from pipeline.errors import ConflictError, InputError, NotFoundError
from pipeline.review import sight
from pipeline.review.agents import Agent

VERDICTS: dict[str, str] = {
    "as_is": "send it as it is",
    "light": "send it with small changes",
    "rewritten": "write most of it anew",
    "rejected": "not use it at all",
}
"""What a second reader would do with the draft."""

LISTED = 50
COUNTED = 99
"""As far as the number in the navigation counts."""
LONGEST_NOTE = 500
THREAD = 50
"""A longer thread shows its newest messages."""


@dataclass(frozen=True)
class Sample:
    """Which approvals are read again: `share` (0..1) of them, by the review's id and a secret, so that nobody
    can tell beforehand which, and the same review is always decided alike."""

    key: str = field(repr=False)
    share: float

    def draws(self, review_id: int) -> bool:
        digest = hmac.new(self.key.encode(), f"second read of review {review_id}".encode(), sha256).digest()
        return int.from_bytes(digest[:8], "big") < self.share * 2**64


@dataclass(frozen=True)
class Waiting:
    """A draft that waits for a second reader."""

    id: int
    subject: str
    topic: str | None
    language: str | None
    asked_at: datetime


@dataclass(frozen=True)
class Blind:
    """The thread as it was when the draft was written, and the draft: neither who judged it nor how."""

    id: int
    subject: str
    topic: str | None
    messages: tuple[Mapping[str, Any], ...]
    draft: str
    language: str


def ask(connection: sa.Connection, sample: Sample | None, review: sa.RowMapping, agent: Agent) -> bool:
    """Within the approval's transaction: have the draft read once more, if it is drawn. Once for each review."""
    if sample is None or not sample.draws(review["id"]):
        return False
    known = sa.select(second_reads.c.id).where(second_reads.c.review_id == review["id"])
    if connection.execute(known).first() is not None:  # approved, taken back and approved again
        return False
    connection.execute(
        second_reads.insert().values(
            review_id=review["id"], ticket_id=review["ticket_id"], first_by=agent.id, asked_at=now()
        )
    )
    return True


def take_back(connection: sa.Connection, review_id: int) -> None:
    """The approval is taken back: nothing went out that a second person would have to read."""
    connection.execute(
        second_reads.delete().where(second_reads.c.review_id == review_id, second_reads.c.read_at.is_(None))
    )


def count(store: Store, agent: Agent) -> int:
    """How many wait that this agent may read, `COUNTED` at most."""
    with store.read() as connection:
        some = _waiting_for(connection, agent, second_reads.c.id).limit(COUNTED).subquery()
        return int(connection.execute(sa.select(sa.func.count()).select_from(some)).scalar_one())


def waiting(store: Store, agent: Agent, limit: int = LISTED) -> tuple[Waiting, ...]:
    """Those that this agent may read, the longest waiting first."""
    columns = (
        second_reads.c.id,
        tickets.c.subject,
        tickets.c.topic,
        drafts.c.language,
        second_reads.c.asked_at,
    )
    with store.read() as connection:
        query = (
            _waiting_for(connection, agent, *columns)
            .join(reviews, reviews.c.id == second_reads.c.review_id)
            .join(drafts, drafts.c.id == reviews.c.draft_id)
            .order_by(second_reads.c.id)
            .limit(limit)
        )
        return tuple(Waiting(*row) for row in connection.execute(query))


def blind(store: Store, agent: Agent, second_read_id: int) -> Blind:
    """What the second reader judges. Raises `NotFoundError` for one that is not theirs to read, `ConflictError`
    for one that was read."""
    with store.read() as connection:
        _mine(connection, agent, second_read_id)
        row = connection.execute(
            sa.select(tickets.c.subject, tickets.c.topic, second_reads.c.ticket_id, drafts)
            .select_from(second_reads)
            .join(tickets, tickets.c.id == second_reads.c.ticket_id)
            .join(reviews, reviews.c.id == second_reads.c.review_id)
            .join(drafts, drafts.c.id == reviews.c.draft_id)
            .where(second_reads.c.id == second_read_id)
        ).one()
        thread = connection.execute(
            sa.select(messages)
            .where(messages.c.ticket_id == row.ticket_id, messages.c.received_at <= row.created_at)
            .order_by(messages.c.id.desc())
            .limit(THREAD)
        ).mappings()
        return Blind(
            id=second_read_id,
            subject=row.subject,
            topic=row.topic,
            messages=tuple(dict(message) for message in thread)[::-1],
            draft=row.text,
            language=row.language,
        )


def judge(store: Store, agent: Agent, second_read_id: int, verdict: str, note: str = "") -> None:
    """Write down what the second reader would have done; `verdict` is one of `VERDICTS`.

    Raises `InputError` for another word, and as `blind`; of two readers the first one counts.
    """
    if verdict not in VERDICTS:
        raise InputError(f"choose what you would do with the draft: {', '.join(VERDICTS.values())}")
    with store.write() as connection:
        _mine(connection, agent, second_read_id)
        done = connection.execute(
            second_reads.update()
            .where(second_reads.c.id == second_read_id, second_reads.c.read_at.is_(None))
            .values(
                read_by=agent.id,
                read_at=now(),
                verdict=verdict,
                note=" ".join(note.split())[:LONGEST_NOTE] or None,
            )
        )
        if done.rowcount != 1:
            raise ConflictError("somebody else read this draft just now")


def _waiting_for(connection: sa.Connection, agent: Agent, *columns: sa.ColumnElement[Any]) -> sa.Select[Any]:
    return (
        sa.select(*columns)
        .select_from(second_reads)
        .join(tickets, tickets.c.id == second_reads.c.ticket_id)
        .where(
            second_reads.c.read_at.is_(None),
            second_reads.c.first_by != agent.id,
            sight.within(sight.inboxes_of(connection, agent.id)),
        )
    )


def _mine(connection: sa.Connection, agent: Agent, second_read_id: int) -> None:
    row = connection.execute(
        sa.select(second_reads.c.first_by, second_reads.c.read_at, tickets.c.inbox)
        .join(tickets, tickets.c.id == second_reads.c.ticket_id)
        .where(second_reads.c.id == second_read_id, sight.within(sight.inboxes_of(connection, agent.id)))
    ).one_or_none()
    if row is None or row.first_by == agent.id:
        raise NotFoundError(f"there is no second read {second_read_id} for you")
    if row.read_at is not None:
        raise ConflictError("this draft was read already; nothing more is to do")
