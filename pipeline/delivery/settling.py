"""What became of a reply, written down with the move of its ticket: sent, uncertain, or back to a person."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from pipeline.db.moves import move
from pipeline.db.reviews import open_review
from pipeline.db.tables import agents, messages, replies, reviews, tickets
from pipeline.db.types import now
from pipeline.delivery.compose import Outgoing, Sender, body_text
from pipeline.delivery.outcomes import Accepted, Outcome, Uncertain
from pipeline.lifecycle import Status

WHO = "send"


@dataclass(frozen=True)
class Delivered:
    """What the step did: the ticket's status after it, and one sentence why."""

    ticket_id: int
    status: Status
    why: str


def sent(
    connection: sa.Connection,
    reply_id: int,
    words: str | None,
    *,
    who: str,
    why: str,
    sender: Sender | None,
) -> Delivered:
    """The reply becomes `sent` and an outbound message, the ticket answered (or received, if more waits)."""
    at = now()
    row = connection.execute(
        sa.select(replies, tickets.c.inbox)
        .join(tickets, tickets.c.id == replies.c.ticket_id)
        .where(replies.c.id == reply_id)
    ).one()
    values: dict[str, Any] = {"state": "sent", "sent_at": at}
    if words is not None:
        values["server_words"] = words
    set_reply(connection, reply_id, **values)
    whole = body_text(row.text, sender.signature if sender else "")
    agent = connection.execute(
        sa.select(agents.c.email, agents.c.name).where(agents.c.id == row.agent_id)
    ).one_or_none()
    connection.execute(
        messages.insert().values(
            ticket_id=row.ticket_id,
            inbox=row.inbox,
            direction="outbound",
            kind="reply",
            kind_reason=f"approved by {agent.email}" if agent else "approved",
            message_id=row.message_id,
            in_reply_to=row.in_reply_to,
            references=row.references,
            from_name=sender.name if sender else None,
            from_address=sender.address if sender else None,
            reply_to=[],
            to=[{"name": "", "address": row.to_address}],
            cc=[],
            subject=row.subject,
            sent_at=row.created_at,
            received_at=at,
            text=whole,
            new_text=row.text,
            body_hash=hashlib.sha256(row.text.encode()).hexdigest(),
            fingerprint=hashlib.sha256(f"outbound\0{row.message_id}".encode()).hexdigest(),
            triaged_at=at,
            agent_id=row.agent_id,
        )
    )
    waits = connection.execute(
        sa.select(sa.func.count()).where(
            messages.c.ticket_id == row.ticket_id,
            messages.c.direction == "inbound",
            messages.c.kind == "person",
            messages.c.triaged_at.is_(None),
        )
    ).scalar_one()
    to = Status.RECEIVED if waits else Status.ANSWERED
    if meanwhile := _came_meanwhile(connection, row.ticket_id, row.created_at):
        reason, said = meanwhile
        open_review(connection, row.ticket_id, reason, said)
        to, why = Status.IN_REVIEW, f"{why}; {said}"
    elif waits:
        why += "; a newer message of the customer waits"
    move(connection, row.ticket_id, to, who=who, why=why, last_message_at=at)
    return Delivered(row.ticket_id, to, why)


def _came_meanwhile(connection: sa.Connection, ticket_id: int, since: datetime) -> tuple[str, str] | None:
    """What a person has to see of the mail that came while the reply was under way: reason and sentence."""
    flags = [
        flag
        for row in connection.execute(
            sa.select(messages.c.flags).where(
                messages.c.ticket_id == ticket_id,
                messages.c.direction == "inbound",
                messages.c.received_at >= since,
            )
        )
        for flag in row.flags
    ]
    if "our_reply_bounced" in flags:
        return "bounce", "Our reply came back while its sending was being recorded."
    if "loop_cap" in flags:
        return "loop_cap", "A message that only a person may answer came while the reply was under way."
    return None


def uncertain(connection: sa.Connection, ticket_id: int, reply_id: int, why: str) -> Delivered:
    set_reply(connection, reply_id, state="uncertain", server_words=why)
    open_review(connection, ticket_id, reason="send_uncertain", detail=why)
    move(connection, ticket_id, Status.SEND_UNCERTAIN, who=WHO, why=why)
    return Delivered(ticket_id, Status.SEND_UNCERTAIN, why)


def to_a_person(connection: sa.Connection, ticket_id: int, why: str) -> Delivered:
    open_review(connection, ticket_id, reason="send_failed", detail=why)
    move(connection, ticket_id, Status.IN_REVIEW, who=WHO, why=why)
    return Delivered(ticket_id, Status.IN_REVIEW, why)


def late(connection: sa.Connection, outgoing: Outgoing, outcome: Outcome) -> Delivered | None:
    """An attempt that outlived its lease still knows more than the `uncertain` that was written for it."""
    row = connection.execute(
        sa.select(replies.c.state, replies.c.attempts, tickets.c.status)
        .join(tickets, tickets.c.id == replies.c.ticket_id)
        .where(replies.c.id == outgoing.reply_id)
        .with_for_update()
    ).one()
    if row.state == "waiting" and row.attempts == outgoing.attempt and isinstance(outcome, Accepted):
        # a person chose to send it again, which has not begun: it need not, and must not
        return sent(
            connection,
            outgoing.reply_id,
            outcome.words,
            who=WHO,
            why=f"the slow attempt was accepted after all: {outcome.words}",
            sender=outgoing.sender,
        )
    known = row.state == "uncertain" and row.attempts == outgoing.attempt
    if not known or row.status != Status.SEND_UNCERTAIN or isinstance(outcome, Uncertain):
        return None
    if isinstance(outcome, Accepted):
        connection.execute(
            reviews.update()
            .where(
                reviews.c.ticket_id == outgoing.ticket_id,
                reviews.c.state == "open",
                reviews.c.reason == "send_uncertain",
            )
            .values(state="superseded", decided_at=now(), note="the slow attempt was accepted after all")
        )
        return sent(
            connection,
            outgoing.reply_id,
            outcome.words,
            who=WHO,
            why=f"the slow attempt was accepted after all: {outcome.words}",
            sender=outgoing.sender,
        )
    words = f"the slow attempt was refused after all, so it was not sent: {outcome.words}"
    set_reply(connection, outgoing.reply_id, server_words=words)
    return Delivered(outgoing.ticket_id, Status.SEND_UNCERTAIN, words)


def set_reply(connection: sa.Connection, reply_id: int, **values: Any) -> None:
    connection.execute(replies.update().where(replies.c.id == reply_id).values(**values))
