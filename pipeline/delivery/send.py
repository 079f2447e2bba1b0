"""The send step: claim an approved reply, hand it over once, record what became of it.

The claim (`waiting` → `sending`, the attempt counted) is committed before anybody connects. A reply
that is found in `sending` by a later attempt may have reached the other side: it becomes `uncertain`
and a person decides; nothing sends it again by itself. Only where the other side knows a reply by its id
and takes it once (`Manners.keyed`) is such an attempt made again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
import structlog

from pipeline import tracing
from pipeline.db import leases
from pipeline.db.leases import Lease
from pipeline.db.moves import move
from pipeline.db.store import Store
from pipeline.db.tables import messages, replies, tickets
from pipeline.db.types import now
from pipeline.delivery.compose import Outgoing, Sender, compose
from pipeline.delivery.outcomes import (
    BY_MAIL,
    Accepted,
    Gone,
    Mailer,
    Manners,
    Outcome,
    Permanent,
    Temporary,
    Uncertain,
)
from pipeline.delivery.settling import WHO, Delivered, late, sent, set_reply, to_a_person, uncertain
from pipeline.delivery.switched_off import switch_off, switched_off
from pipeline.errors import ConfigError, InputError, LeaseLost, NotFoundError, TriageError, UnreachableError
from pipeline.lifecycle import Status

log = structlog.get_logger(__name__)

RECORD_AGAIN_AFTER_S = (0.1, 0.5, 2.0)

KeepCopy = Callable[[Outgoing], object]
"""Keeps a copy of a reply that went out, as an entry of a mailbox's Sent folder; may raise anything."""

SenderOf = Callable[[str], Sender]
"""From an inbox's name to who it answers as; raises `ConfigError` where the inbox names no address."""


def deliver(
    store: Store,
    lease: Lease,
    mailer: Mailer,
    sender_of: SenderOf,
    *,
    manners: Manners = BY_MAIL,
    keep_copy: KeepCopy | None = None,
) -> Delivered:
    """Send the ticket's approved reply under this lease; raises `LeaseLost` when the step was taken away.

    The lease must outlive the mailer's own time limit, or the next holder finds the attempt under way
    and gives the reply to a person. `keep_copy` gets a reply that was taken, once that is recorded; what
    becomes of the copy changes nothing of the reply.
    """
    claimed = claim(store, lease, sender_of, manners)
    if isinstance(claimed, Delivered):
        return claimed
    with tracing.span("send", lease.ticket_id, {"triage.attempt": claimed.attempt}) as span:
        outcome = mailer.send(claimed)  # the network, outside any transaction
        span.note({"triage.outcome": type(outcome).__name__.lower()})
    done = _recorded(store, lease, claimed, outcome, manners)
    if keep_copy is not None and isinstance(outcome, Accepted):
        try:
            keep_copy(claimed)
        except Exception as error:  # the reply is out and recorded: nothing may make a failed step of it
            log.warning("no copy of the reply was kept", inbox=claimed.inbox, error=_of_copy(error))
    return done


def _recorded(
    store: Store, lease: Lease, outgoing: Outgoing, outcome: Outcome, manners: Manners
) -> Delivered:
    for wait_s in RECORD_AGAIN_AFTER_S:
        try:
            return record(store, lease, outgoing, outcome, manners)
        except UnreachableError:
            # the server's answer is known to nobody else: a database that blinks must not make it doubtful
            time.sleep(wait_s)
    return record(store, lease, outgoing, outcome, manners)


def claim(
    store: Store, lease: Lease, sender_of: SenderOf, manners: Manners = BY_MAIL
) -> Outgoing | Delivered:
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
            return to_a_person(
                connection, lease.ticket_id, "the ticket is approved, but no reply of it waits to be sent"
            )
        off = switched_off(connection, row.inbox) if manners.keyed else []
        repeats = manners.keyed and not off and row.attempts < manners.attempts
        doubtful = manners.keyed and row.attempts > 0 and row.sending_at is not None
        if row.state == "sending" and not repeats:
            return uncertain(
                connection,
                lease.ticket_id,
                row.id,
                f"attempt {row.attempts} of {_clock(row.sending_at)} ended without a word: "
                "the other side may or may not have taken the reply",
            )
        if off:
            why = f"the reply has no way out: {off[0].said}"
            if doubtful:
                return uncertain(connection, lease.ticket_id, row.id, why)
            set_reply(connection, row.id, state="failed", server_words=off[0].words)
            return to_a_person(connection, lease.ticket_id, why)
        try:
            outgoing = _outgoing(row, sender_of, doubtful)
            compose(outgoing)
        except (ConfigError, InputError) as error:
            set_reply(connection, row.id, state="failed", server_words=str(error))
            return to_a_person(connection, lease.ticket_id, f"the reply cannot be sent: {error}")
        set_reply(connection, row.id, state="sending", attempts=outgoing.attempt, sending_at=now())
        return outgoing


def record(
    store: Store,
    lease: Lease,
    outgoing: Outgoing,
    outcome: Outcome,
    manners: Manners = BY_MAIL,
) -> Delivered:
    """Write down what became of the attempt, in one transaction with the ticket's move."""
    with store.write() as connection:
        try:
            leases.hold(connection, lease)
        except LeaseLost:
            settled = late(connection, outgoing, outcome)
            if settled is None:
                raise
            return settled
        if isinstance(outcome, Accepted):
            why = f"{outgoing.to_address}: {outcome.words}"
            return sent(
                connection,
                outgoing.reply_id,
                outcome.words,
                who=WHO,
                why=f"sent to {why}",
                sender=outgoing.sender,
            )
        unknown = isinstance(outcome, Uncertain)
        more = outgoing.attempt < manners.attempts
        if more and (isinstance(outcome, Temporary) or (manners.keyed and unknown)):
            _again(connection, lease, outgoing, outcome, manners)
            wait = _in_words(manners.waits[outgoing.attempt - 1])
            return Delivered(outgoing.ticket_id, Status.APPROVED, f"again in {wait}: {outcome.words}")
        if isinstance(outcome, Gone):
            switch_off(connection, outgoing.inbox, outcome.words)
            off = switched_off(connection, outgoing.inbox)[0].said
            why = f"the reply was refused for good: {off}"
        elif isinstance(outcome, Permanent):
            why = f"the reply was refused for good: {outcome.words}"
        elif outgoing.doubtful:
            why = f"none of {outgoing.attempt} attempts was confirmed; at last: {outcome.words}"
        elif unknown:
            why = outcome.words
        else:
            why = f"the reply was not taken in {outgoing.attempt} attempts; at last: {outcome.words}"
        if unknown or outgoing.doubtful:
            return uncertain(connection, outgoing.ticket_id, outgoing.reply_id, why)
        set_reply(connection, outgoing.reply_id, state="failed", server_words=outcome.words)
        return to_a_person(connection, outgoing.ticket_id, why)


def _again(
    connection: sa.Connection, lease: Lease, outgoing: Outgoing, outcome: Outcome, manners: Manners
) -> None:
    """The reply waits for its next attempt; `sending_at` stays where nobody knows how this one ended."""
    values: dict[str, Any] = {"state": "waiting", "server_words": outcome.words}
    if isinstance(outcome, Temporary) and not outgoing.doubtful:
        values["sending_at"] = None
    set_reply(connection, outgoing.reply_id, **values)
    # an attempt that ended is counted on the reply: only those that died count against the step
    wait = manners.waits[outgoing.attempt - 1]
    leases.release(connection, lease, due_in=wait, error=outcome.words, progressed=True)


def untried_due_in(store: Store) -> timedelta | None:
    """How long until the last of the replies in their undo window is due; None where none waits."""
    with store.read() as connection:
        due = connection.execute(
            sa.select(sa.func.max(tickets.c.due_at, type_=tickets.c.due_at.type))
            .join(replies, replies.c.ticket_id == tickets.c.id)
            .where(
                tickets.c.status == Status.APPROVED,
                tickets.c.due_at > now(),
                replies.c.state == "waiting",
                replies.c.attempts == 0,
            )
        ).scalar_one()
    return max(due - now(), timedelta(0)) if due else None


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
        return uncertain(connection, ticket_id, reply.id, why)
    if reply is not None:
        set_reply(connection, reply.id, state="failed", server_words=why)
    return to_a_person(connection, ticket_id, why)


def mark_sent(
    connection: sa.Connection, reply_id: int, *, who: str, why: str, sender: Sender | None = None
) -> Delivered:
    """A person's word that an uncertain reply did arrive: recorded as sent. The caller settles its review."""
    _is_uncertain(connection, reply_id)
    return sent(connection, reply_id, None, who=who, why=why, sender=sender)


def send_again(connection: sa.Connection, reply_id: int, *, who: str, why: str) -> Delivered:
    """A person's decision to send an uncertain reply once more, under the same Message-ID."""
    ticket_id = _is_uncertain(connection, reply_id)
    set_reply(connection, reply_id, state="waiting")
    move(connection, ticket_id, Status.APPROVED, who=who, why=why)
    return Delivered(ticket_id, Status.APPROVED, why)


def _outgoing(row: sa.Row[Any], sender_of: SenderOf, doubtful: bool) -> Outgoing:
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
        doubtful=doubtful,
    )


def _is_uncertain(connection: sa.Connection, reply_id: int) -> int:
    row = connection.execute(
        sa.select(replies.c.ticket_id, replies.c.state).where(replies.c.id == reply_id).with_for_update()
    ).one_or_none()
    if row is None:
        raise NotFoundError(f"there is no reply {reply_id}")
    if row.state != "uncertain":
        raise InputError(f"reply {reply_id} is {row.state}, not uncertain: nothing to decide")
    return int(row.ticket_id)


def _clock(at: datetime | None) -> str:
    return at.strftime("%Y-%m-%d %H:%M UTC") if at else "an unknown time"


def _in_words(wait: timedelta) -> str:
    seconds = round(wait.total_seconds())
    if seconds < 60:
        return f"{seconds} s"
    return f"{seconds // 60} min" if seconds < 7200 else f"{seconds // 3600} h"


def _of_copy(error: Exception) -> str:
    """Our own words, or the error's type: its text may hold what a customer wrote."""
    return str(error) if isinstance(error, TriageError) else type(error).__name__
