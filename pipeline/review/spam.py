"""Marking a ticket as spam: it is closed, and later mail of its sender is shown with that mark.

Nothing else follows from it by itself: the mark is a person's hint to the next one who looks.
"""

from __future__ import annotations

import sqlalchemy as sa

from pipeline.db.moves import move
from pipeline.db.tables import reviews, tickets
from pipeline.errors import InputError
from pipeline.lifecycle import Status
from pipeline.review import outcomes
from pipeline.review.agents import Agent
from pipeline.review.holding import Held, decide

ACTION = "spam"


def mark(connection: sa.Connection, row: Held, agent: Agent) -> tuple[int, outcomes.Measured | None]:
    """Close the held row's ticket as spam; returns (the ticket's new version, what it says of the draft)."""
    if row.ticket["status"] == Status.SEND_UNCERTAIN:
        raise InputError("settle first whether the reply was sent")
    measured = None
    if row.draft is not None:
        measured = outcomes.Measured(outcomes.UNSCORABLE, None, None, "marked as spam")
    decide(connection, row, agent, ACTION, measured)
    why = f"{agent.shown} marked it as spam"
    return move(connection, row.ticket["id"], Status.CLOSED, who=agent.who, why=why), measured


def marked_before(connection: sa.Connection, ticket_id: int, address: str | None) -> int | None:
    """The last other ticket of this sender that was marked as spam; reopening one lifts its mark."""
    if not address:
        return None
    later = reviews.alias("later")
    query = (
        sa.select(reviews.c.ticket_id)
        .join(tickets, tickets.c.id == reviews.c.ticket_id)
        .where(
            tickets.c.customer_address == address,
            tickets.c.id != ticket_id,
            reviews.c.action == ACTION,
            ~sa.exists().where(later.c.ticket_id == reviews.c.ticket_id, later.c.id > reviews.c.id),
        )
        .order_by(reviews.c.id.desc())
        .limit(1)
    )
    return connection.execute(query).scalar()
