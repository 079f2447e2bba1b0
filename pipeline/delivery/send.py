"""The send step: claim an approved reply, hand it over once, record what became of it.

The claim (`waiting` → `sending`, the attempt counted) is committed before anybody connects. A reply
that is found in `sending` by a later attempt may have reached the mail server: it becomes `uncertain`
and a person decides; nothing sends it again by itself.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from pipeline.db import leases
from pipeline.db.leases import Lease
from pipeline.db.moves import move
from pipeline.db.reviews import open_review
from pipeline.db.store import Store
from pipeline.db.tables import agents, messages, replies, reviews, tickets
from pipeline.db.types import now
from pipeline.delivery.compose import Outgoing, Sender, body_text, compose
from pipeline.delivery.outcomes import Accepted, Mailer, Outcome, Permanent, Temporary, Uncertain
from pipeline.errors import ConfigError, InputError, LeaseLost, NotFoundError, UnreachableError
from pipeline.lifecycle import Status

WHO = "send"

MAX_ATTEMPTS = 5
BACKOFF = (timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=15), timedelta(hours=1))
"""How long a refused reply waits before attempt 2, 3, 4 and 5: long enough for greylisting."""

RECORD_AGAIN_AFTER_S = (0.1, 0.5, 2.0)

SenderOf = Callable[[str], Sender]
"""From an inbox's name to who it answers as; raises `ConfigError` where the inbox names no address."""


@dataclass(frozen=True)
class Delivered:
    """What the step did: the ticket's status after it, and one sentence why."""

    ticket_id: int
    status: Status
    why: str


def deliver(
    store: Store,
    lease: Lease,
    mailer: Mailer,
    sender_of: SenderOf,
    *,
    max_attempts: int = MAX_ATTEMPTS,
    backoff: tuple[timedelta, ...] = BACKOFF,
) -> Delivered:
    """Send the ticket's approved reply under this lease; raises `LeaseLost` when the step was taken away.

    The lease must outlive the mailer's own time limit, or the next holder finds the attempt under way
    and gives the reply to a person.
    """
    claimed = claim(store, lease, sender_of)
    if isinstance(claimed, Delivered):
        return claimed
    outcome = mailer.send(claimed)  # the network, outside any transaction
    for wait_s in RECORD_AGAIN_AFTER_S:
        try:
            return record(store, lease, claimed, outcome, max_attempts=max_attempts, backoff=backoff)
        except UnreachableError:
            # the server's answer is known to nobody else: a database that blinks must not make it doubtful
            time.sleep(wait_s)
    return record(store, lease, claimed, outcome, max_attempts=max_attempts, backoff=backoff)


def claim(store: Store, lease: Lease, sender_of: SenderOf) -> Outgoing | Delivered:
    """Mark the waiting reply as being sent, and commit; or settle what a dead attempt left behind."""
    with store.write() as connection:
        leases.hold(connection, lease)
        row = connection.execute(
            sa.select(
                replies,
                tickets.c.inbox,
                tickets.c.reply_token,
                messages.c.from_name.label("customer_name"),
                messages.c.from_address.label("customer_address"),
            )
            .join(tickets, tickets.c.id == replies.c.ticket_id)
            .join(messages, messages.c.id == replies.c.answers_id)
            .where(replies.c.ticket_id == lease.ticket_id, replies.c.state.in_(("waiting", "sending")))
            .order_by(replies.c.id)
            .limit(1)
        ).one_or_none()
        if row is None:
            return _to_a_person(
                connection, lease.ticket_id, "the ticket is approved, but no reply of it waits to be sent"
            )
        if row.state == "sending":
            return _uncertain(
                connection,
                lease.ticket_id,
                row.id,
                f"attempt {row.attempts} of {_clock(row.sending_at)} ended without a word: "
                "the mail server may or may not have taken the reply",
            )
        try:
            outgoing = _outgoing(row, sender_of)
            compose(outgoing)
        except (ConfigError, InputError) as error:
            connection.execute(
                replies.update().where(replies.c.id == row.id).values(state="failed", server_words=str(error))
            )
            return _to_a_person(connection, lease.ticket_id, f"the reply cannot be sent: {error}")
        connection.execute(
            replies.update()
            .where(replies.c.id == row.id)
            .values(state="sending", attempts=outgoing.attempt, sending_at=now())
        )
        return outgoing


def record(
    store: Store,
    lease: Lease,
    outgoing: Outgoing,
    outcome: Outcome,
    *,
    max_attempts: int = MAX_ATTEMPTS,
    backoff: tuple[timedelta, ...] = BACKOFF,
) -> Delivered:
    """Write down what became of the attempt, in one transaction with the ticket's move."""
    with store.write() as connection:
        try:
            leases.hold(connection, lease)
        except LeaseLost:
            late = _late(connection, outgoing, outcome)
            if late is None:
                raise
            return late
        if isinstance(outcome, Accepted):
            why = f"{outgoing.to_address}: {outcome.words}"
            return _sent(
                connection,
                outgoing.reply_id,
                outcome.words,
                who=WHO,
                why=f"sent to {why}",
                sender=outgoing.sender,
            )
        if isinstance(outcome, Uncertain):
            return _uncertain(connection, outgoing.ticket_id, outgoing.reply_id, outcome.words)
        if isinstance(outcome, Temporary) and outgoing.attempt < max_attempts:
            _set(connection, outgoing.reply_id, state="waiting", server_words=outcome.words)
            wait = backoff[min(outgoing.attempt, len(backoff)) - 1]
            leases.release(connection, lease, due_in=wait, error=outcome.words)
            minutes = round(wait.total_seconds() / 60)
            return Delivered(outgoing.ticket_id, Status.APPROVED, f"again in {minutes} min: {outcome.words}")
        _set(connection, outgoing.reply_id, state="failed", server_words=outcome.words)
        if isinstance(outcome, Permanent):
            why = f"the reply was refused for good: {outcome.words}"
        else:
            why = f"the reply was not taken in {outgoing.attempt} attempts; at last: {outcome.words}"
        return _to_a_person(connection, outgoing.ticket_id, why)


def give_up(connection: sa.Connection, ticket_id: int, why: str) -> Delivered:
    """The step was begun too often and never ended: a person decides. A reply whose last attempt died on
    the way is uncertain, one that only waits has failed. The caller holds the lease."""
    reply = connection.execute(
        sa.select(replies.c.id, replies.c.state)
        .where(replies.c.ticket_id == ticket_id, replies.c.state.in_(("waiting", "sending")))
        .order_by(replies.c.state)  # sending before waiting
        .limit(1)
    ).one_or_none()
    if reply is not None and reply.state == "sending":
        return _uncertain(connection, ticket_id, reply.id, why)
    if reply is not None:
        _set(connection, reply.id, state="failed", server_words=why)
    return _to_a_person(connection, ticket_id, why)


def mark_sent(
    connection: sa.Connection, reply_id: int, *, who: str, why: str, sender: Sender | None = None
) -> Delivered:
    """A person's word that an uncertain reply did arrive: recorded as sent. The caller settles its review."""
    _is_uncertain(connection, reply_id)
    return _sent(connection, reply_id, None, who=who, why=why, sender=sender)


def send_again(connection: sa.Connection, reply_id: int, *, who: str, why: str) -> Delivered:
    """A person's decision to send an uncertain reply once more, under the same Message-ID."""
    ticket_id = _is_uncertain(connection, reply_id)
    _set(connection, reply_id, state="waiting")
    move(connection, ticket_id, Status.APPROVED, who=who, why=why)
    return Delivered(ticket_id, Status.APPROVED, why)


def _outgoing(row: sa.Row[Any], sender_of: SenderOf) -> Outgoing:
    same = (row.customer_address or "").casefold() == row.to_address.casefold()
    return Outgoing(
        reply_id=row.id,
        ticket_id=row.ticket_id,
        inbox=row.inbox,
        attempt=row.attempts + 1,
        message_id=row.message_id,
        to_address=row.to_address,
        to_name=(row.customer_name or "") if same else "",
        subject=row.subject,
        text=row.text,
        sender=sender_of(row.inbox),
        reply_token=row.reply_token,
        approved_at=row.created_at,
        in_reply_to=row.in_reply_to,
        references=tuple(row.references or ()),
    )


def _sent(
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
    _set(connection, reply_id, **values)
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


def _uncertain(connection: sa.Connection, ticket_id: int, reply_id: int, why: str) -> Delivered:
    _set(connection, reply_id, state="uncertain", server_words=why)
    open_review(connection, ticket_id, reason="send_uncertain", detail=why)
    move(connection, ticket_id, Status.SEND_UNCERTAIN, who=WHO, why=why)
    return Delivered(ticket_id, Status.SEND_UNCERTAIN, why)


def _to_a_person(connection: sa.Connection, ticket_id: int, why: str) -> Delivered:
    open_review(connection, ticket_id, reason="send_failed", detail=why)
    move(connection, ticket_id, Status.IN_REVIEW, who=WHO, why=why)
    return Delivered(ticket_id, Status.IN_REVIEW, why)


def _late(connection: sa.Connection, outgoing: Outgoing, outcome: Outcome) -> Delivered | None:
    """An attempt that outlived its lease still knows more than the `uncertain` that was written for it."""
    row = connection.execute(
        sa.select(replies.c.state, replies.c.attempts, tickets.c.status)
        .join(tickets, tickets.c.id == replies.c.ticket_id)
        .where(replies.c.id == outgoing.reply_id)
        .with_for_update()
    ).one()
    if row.state == "waiting" and row.attempts == outgoing.attempt and isinstance(outcome, Accepted):
        # a person chose to send it again, which has not begun: it need not, and must not
        return _sent(
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
        return _sent(
            connection,
            outgoing.reply_id,
            outcome.words,
            who=WHO,
            why=f"the slow attempt was accepted after all: {outcome.words}",
            sender=outgoing.sender,
        )
    words = f"the slow attempt was refused after all, so it was not sent: {outcome.words}"
    _set(connection, outgoing.reply_id, server_words=words)
    return Delivered(outgoing.ticket_id, Status.SEND_UNCERTAIN, words)


def _is_uncertain(connection: sa.Connection, reply_id: int) -> int:
    row = connection.execute(
        sa.select(replies.c.ticket_id, replies.c.state).where(replies.c.id == reply_id).with_for_update()
    ).one_or_none()
    if row is None:
        raise NotFoundError(f"there is no reply {reply_id}")
    if row.state != "uncertain":
        raise InputError(f"reply {reply_id} is {row.state}, not uncertain: nothing to decide")
    return int(row.ticket_id)


def _set(connection: sa.Connection, reply_id: int, **values: Any) -> None:
    connection.execute(replies.update().where(replies.c.id == reply_id).values(**values))


def _clock(at: datetime | None) -> str:
    return at.strftime("%Y-%m-%d %H:%M UTC") if at else "an unknown time"
