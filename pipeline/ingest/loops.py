"""The caps that stop two machines from talking to each other; over one, the ticket waits for a person.

Nothing is ever answered without a person's approval, so a loop costs readings and drafts, not mail; the
caps bound that, and bring it before somebody's eyes.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa

from pipeline.db.tables import messages

TICKET_CAPS: tuple[tuple[int, int], ...] = ((10, 10), (30, 15), (60, 25), (180, 50), (600, 100))
"""(minutes, inbound messages) on one ticket: well above what an upset customer writes."""

REPLY_CAPS: tuple[tuple[int, int], ...] = ((60, 5), (1440, 20))
"""(minutes, replies of ours) to one sender, over all tickets."""


def moment(received_at: datetime, sent_at: datetime | None) -> datetime:
    """When a mail was on its way: its own Date, which nobody can set later than its arrival.

    So a mailbox of old mail that is read in at once is not taken for a loop.
    """
    return min(received_at, sent_at) if sent_at is not None else received_at


def over_ticket_cap(
    connection: sa.Connection, ticket_id: int, at: datetime, caps: Sequence[tuple[int, int]] = TICKET_CAPS
) -> str | None:
    """One sentence if a message of the moment `at` would pass a cap on the ticket; None if it may go on."""
    rows = connection.execute(
        sa.select(messages.c.received_at, messages.c.sent_at)
        .where(messages.c.ticket_id == ticket_id, messages.c.direction == "inbound")
        .order_by(messages.c.id.desc())
        .limit(max((cap for _, cap in caps), default=0))
    ).all()
    moments = [moment(row.received_at, row.sent_at) for row in rows]
    for minutes, cap in caps:
        if _within(moments, at, minutes) >= cap:
            return f"More than {cap} messages on this ticket within {_words(minutes)}."
    return None


def over_reply_cap(
    connection: sa.Connection,
    recent: Sequence[tuple[int, datetime]],
    at: datetime,
    caps: Sequence[tuple[int, int]] = REPLY_CAPS,
) -> str | None:
    """One sentence if we answered this sender too often of late; None if it may go on.

    `recent` are (ticket id, moment) of the sender's latest messages. There cannot be more replies than
    messages that they answer, so the database is asked only where those alone reach a cap.
    """
    for minutes, cap in caps:
        if _within([when for _, when in recent], at, minutes) < cap:
            continue
        replies = connection.execute(
            sa.select(sa.func.count())
            .select_from(messages)
            .where(
                messages.c.ticket_id.in_({ticket_id for ticket_id, _ in recent}),
                messages.c.direction == "outbound",
                messages.c.received_at > at - timedelta(minutes=minutes),
            )
        ).scalar_one()
        if replies >= cap:
            return f"More than {cap} replies to this sender within {_words(minutes)}."
    return None


def _within(moments: Sequence[datetime], at: datetime, minutes: int) -> int:
    since = at - timedelta(minutes=minutes)
    return sum(since < when <= at for when in moments)


def _words(minutes: int) -> str:
    if minutes % 60 or minutes < 60:
        return f"{minutes} minutes"
    return "an hour" if minutes == 60 else f"{minutes // 60} hours"
