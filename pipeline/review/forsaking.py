"""A ticket is closed while nobody knows whether its reply arrived: the reply is settled with it."""

from __future__ import annotations

import sqlalchemy as sa

from pipeline.db.tables import replies


def forsake_uncertain(connection: sa.Connection, ticket_id: int, who: str) -> str:
    """Withdraw the ticket's uncertain reply: it is never sent again, and waits for nobody's word any more.

    What the server last said stays with it. Returns what the move's sentence says of it, empty where there
    is none.
    """
    words = sa.func.coalesce(replies.c.server_words, "")
    kept = f"{who} closed the ticket without knowing whether it arrived; before that: "
    forsaken = connection.execute(
        replies.update()
        .where(replies.c.ticket_id == ticket_id, replies.c.state == "uncertain")
        .values(state="withdrawn", server_words=sa.literal(kept) + words)
    ).rowcount
    return "; nobody knows whether the last reply arrived, and it is not sent again" if forsaken else ""
