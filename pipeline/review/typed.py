"""What an agent typed and has not sent: kept from keystroke to keystroke, given back, never lost.

Once its row is decided or superseded, it waits for its author on the ticket's page; the next row that opens
takes it as a note (`pipeline.db.reviews.open_review`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from pipeline.db.store import Store
from pipeline.db.tables import drafts, reviews, typed_texts
from pipeline.db.types import now
from pipeline.errors import NotFoundError
from pipeline.review.agents import Agent


@dataclass(frozen=True)
class Typed:
    """An unsent text. `instead` says that it was to answer without the draft; `open` that it still can."""

    review_id: int
    instead: bool
    text: str
    saved_at: datetime
    open: bool


def keep(
    store: Store, review_id: int, agent: Agent, text: str, *, instead: bool = False, late: bool = False
) -> None:
    """Keep what stands in the editor now; the draft itself, or nothing, is nothing typed.

    On a row that the agent has decided it is what they sent, a moment ago: kept only where `late` says that
    it is another answer, which came too late.
    """
    text = text.replace("\r\n", "\n").replace("\x00", "")
    with store.write() as connection:
        row = connection.execute(
            sa.select(reviews.c.decided_by, reviews.c.sent_text, drafts.c.text)
            .outerjoin(drafts, drafts.c.id == reviews.c.draft_id)
            .where(reviews.c.id == review_id)
            .with_for_update(of=reviews)
        ).one_or_none()
        if row is None:
            raise NotFoundError(f"there is no review {review_id}")
        unchanged = not instead and row.text is not None and row.text.split() == text.split()
        theirs = row.decided_by == agent.id
        sent_already = theirs and (not late or (row.sent_text or "").split() == text.split())
        if unchanged or sent_already or not text.strip():
            _remove(connection, review_id, agent.id, [instead])
        else:
            put(connection, review_id, agent.id, text, instead=instead)


def put(connection: sa.Connection, review_id: int, agent_id: int, text: str, *, instead: bool) -> None:
    """Keep a text within a transaction of the caller's."""
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    row = insert(typed_texts).values(
        review_id=review_id, agent_id=agent_id, instead=instead, text=text, saved_at=now()
    )
    connection.execute(
        row.on_conflict_do_update(
            index_elements=["review_id", "agent_id", "instead"],
            set_={"text": row.excluded.text, "saved_at": row.excluded.saved_at},
        )
    )


def forget(store: Store, review_id: int, agent: Agent) -> None:
    """The author throws away what they typed on a row."""
    with store.write() as connection:
        sent(connection, review_id, agent.id)


def sent(connection: sa.Connection, review_id: int, agent_id: int) -> None:
    """The agent's answer on this row is on its way: nothing of it waits any more."""
    _remove(connection, review_id, agent_id, [False, True])


def of(store: Store, ticket_id: int, agent: Agent) -> tuple[Typed, ...]:
    """The agent's unsent texts on a ticket, the oldest first."""
    query = (
        sa.select(typed_texts, reviews.c.state)
        .join(reviews, reviews.c.id == typed_texts.c.review_id)
        .where(reviews.c.ticket_id == ticket_id, typed_texts.c.agent_id == agent.id)
        .order_by(typed_texts.c.saved_at)
    )
    with store.read() as connection:
        return tuple(
            Typed(row.review_id, row.instead, row.text, row.saved_at, row.state == "open")
            for row in connection.execute(query)
        )


def _remove(connection: sa.Connection, review_id: int, agent_id: int, which: Sequence[bool]) -> None:
    connection.execute(
        typed_texts.delete().where(
            typed_texts.c.review_id == review_id,
            typed_texts.c.agent_id == agent_id,
            typed_texts.c.instead.in_(which),
        )
    )
