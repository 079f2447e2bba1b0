"""Taking an approval back before its reply was tried: the row is open again, with what was to be sent typed in."""

from __future__ import annotations

import sqlalchemy as sa

from pipeline.db.moves import move
from pipeline.db.tables import replies, reviews
from pipeline.db.types import now
from pipeline.errors import ConflictError
from pipeline.lifecycle import Status
from pipeline.review import second_reads, typed
from pipeline.review.agents import Agent
from pipeline.review.holding import CLAIM, lock_ticket, unread


def take_back(connection: sa.Connection, ticket_id: int, agent: Agent, version: int) -> int:
    """Delete the untried reply and open its row; returns the ticket's version.

    Raises `ConflictError` once the reply was tried, or when the ticket changed meanwhile.
    """
    ticket = lock_ticket(connection, ticket_id, version)
    reply = connection.execute(
        sa.select(replies.c.id, replies.c.review_id).where(
            replies.c.ticket_id == ticket_id, replies.c.state == "waiting", replies.c.attempts == 0
        )
    ).one_or_none()
    if ticket["status"] != Status.APPROVED or reply is None:
        raise ConflictError("it is too late: the reply is on its way or out")
    _type_again(connection, reply.review_id, agent)
    second_reads.take_back(connection, reply.review_id)
    # never tried, so nobody outside knows its Message-ID: what was done stands in the moves
    connection.execute(replies.delete().where(replies.c.id == reply.id))
    if unread(connection, ticket_id):  # the draft is stale by now: what waits is read first
        connection.execute(
            reviews.update()
            .where(reviews.c.id == reply.review_id)
            .values(state="superseded", outcome="expired", edit_share=None, hter=None)
        )
        return move(
            connection,
            ticket_id,
            Status.RECEIVED,
            who=agent.who,
            why=f"{agent.shown} took the approval back; a newer message waits",
        )
    new = move(
        connection,
        ticket_id,
        Status.IN_REVIEW,
        who=agent.who,
        why=f"{agent.shown} took the approval back",
    )
    connection.execute(
        reviews.update()
        .where(reviews.c.id == reply.review_id)
        .values(
            state="open",
            claimed_by=agent.id,
            claimed_until=now() + CLAIM,
            **dict.fromkeys(
                (
                    "decided_at",
                    "decided_by",
                    "action",
                    "sent_text",
                    "outcome",
                    "outcome_why",
                    "edit_share",
                    "hter",
                    "escalated_for_nothing",
                )
            ),
        )
    )
    return new


def _type_again(connection: sa.Connection, review_id: int, agent: Agent) -> None:
    """What was approved and is taken back stands in the editor again, unless it is the draft itself."""
    row = connection.execute(
        sa.select(reviews.c.action, reviews.c.sent_text, reviews.c.draft_id).where(reviews.c.id == review_id)
    ).one()
    if row.action in ("edit", "replace") and row.sent_text:
        instead = row.action == "replace" and row.draft_id is not None
        typed.put(connection, review_id, agent.id, row.sent_text, instead=instead)
