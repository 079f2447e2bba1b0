"""One parsed message written down in the caller's transaction: duplicate, ticket, message, files, move."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa

from pipeline.db.moves import move, open_ticket, touch
from pipeline.db.reviews import open_review, supersede_open
from pipeline.db.tables import messages, raw_messages, reviews, tickets
from pipeline.db.types import now
from pipeline.ingest import loops, threading
from pipeline.ingest.inboxes import Inbox
from pipeline.ingest.message import Address, ParsedMessage
from pipeline.ingest.reply_address import new_token
from pipeline.ingest.rows import Readout, clean, clean_ids, insert_message
from pipeline.lifecycle import Status

GAVE_UP = "parsing was begun 3 times and never ended"
"""The reason of a quarantine that is only presumed; whoever does end the parsing still records it."""

BATCH = "triage_batch"
"""The execution option of a connection that records several messages in one transaction."""

# Built once: building a statement costs more than running it.
_PARSED = (
    raw_messages.update()
    .where(
        raw_messages.c.id == sa.bindparam("raw_id"),
        sa.or_(raw_messages.c.state == "stored", raw_messages.c.reason == GAVE_UP),
    )
    .values(state="parsed", reason=sa.bindparam("ignored"))
    .returning(raw_messages.c.received_at)
)
_SAME = sa.select(messages.c.id, messages.c.ticket_id).where(messages.c.fingerprint == sa.bindparam("print"))

_LOOK_FOR_OURS = 20
_AT_REST_FOR_A_BOUNCE = (Status.ANSWERED, Status.CLOSED, Status.AUTOMATED)


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a raw message. `opened` says that it opened its ticket."""

    kind: Literal["message", "automated", "duplicate", "quarantined", "ignored"]
    raw_id: int
    ticket_id: int | None = None
    message_id: int | None = None
    opened: bool = False
    reason: str | None = None


def record(connection: sa.Connection, readout: Readout, inboxes: Mapping[str, Inbox]) -> Taken:
    """Write one message down. Raises `Raced` when another process has the same mail under way."""
    inbox = inboxes.get(readout.inbox)
    raw = connection.execute(
        _PARSED, {"raw_id": readout.raw_id, "ignored": clean(readout.ignored) if readout.ignored else None}
    ).one_or_none()
    if raw is None:
        return Taken("duplicate", readout.raw_id, reason="it was taken already")
    parsed = readout.parsed
    if parsed is None:
        if readout.ignored is not None:
            return Taken("ignored", readout.raw_id, reason=readout.ignored)
        return _end(connection, readout.raw_id, "quarantined", readout.quarantine or "could not be parsed")
    parsed = clean_ids(parsed)
    print_ = fingerprint(parsed, readout.raw_id)
    same = connection.execute(_SAME, {"print": print_}).one_or_none()
    if same is not None:
        reason = f"the same mail as message {same.id}"
        return _end(connection, readout.raw_id, "duplicate", reason, same.ticket_id, same.id)
    ids = threading.referenced(parsed)
    known = threading.look_up(connection, [*ids, parsed.message_id] if parsed.message_id else ids)
    twins = [one for one in known if parsed.message_id and one.message_id == parsed.message_id]
    own = frozenset(address for one in inboxes.values() for address in one.own)
    sender = parsed.from_.address if parsed.from_ else None
    from_us = sender is not None and sender.lower() in own
    returned = next((one for one in twins if one.ours), None)
    if returned is not None and (from_us or _same(sender, returned.from_address)):
        reason = f"our own reply on ticket {returned.ticket_id} came back"
        return _end(connection, readout.raw_id, "duplicate", reason, returned.ticket_id)
    if parsed.kind == "person":
        taken = _person(
            connection, readout, parsed, inbox, raw.received_at, print_, known, bool(twins), from_us, own
        )
    else:
        taken = _automated(connection, readout, parsed, raw.received_at, print_, known, bool(twins))
    return taken


def fingerprint(parsed: ParsedMessage, raw_id: int) -> str:
    """What makes two mails the same one: Message-ID, From and body; never the Message-ID alone.

    Without a Message-ID its Date, recipients and subject stand in for it; without those too, a mail is
    the same as no other (equal bytes were told apart before).
    """
    if parsed.message_id:
        identity = ["id", parsed.message_id]
    elif parsed.date is not None:
        identity = ["date", parsed.date.isoformat(), parsed.subject, *(to.address for to in parsed.to)]
    else:
        identity = ["raw", str(raw_id)]
    sender = parsed.from_.address if parsed.from_ else ""
    text = "\0".join([*identity, "\0", sender, parsed.body_hash])
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _person(
    connection: sa.Connection,
    readout: Readout,
    parsed: ParsedMessage,
    inbox: Inbox | None,
    received_at: datetime,
    print_: str,
    known: Sequence[threading.Known],
    conflict: bool,
    from_us: bool,
    own: frozenset[str],
) -> Taken:
    at = loops.moment(received_at, parsed.date)
    customer, verified = _customer(readout, parsed, own, from_us)
    earlier = threading.by_sender(connection, parsed.from_.address if parsed.from_ else None)
    merge_days = inbox.merge_days if inbox is not None and inbox.merge_by_subject else None
    place = threading.place(
        connection, parsed, known, earlier, at=received_at, inbox=readout.inbox, merge_days=merge_days
    )
    flags = list(place.flags)
    if conflict:
        flags.append("message_id_conflict")
    capped: str | None = None
    if from_us:
        flags.append("own_address")
        if customer is None:
            capped = "The mail says that it comes from our own address."
    recent = [(one.ticket_id, loops.moment(one.received_at, one.sent_at)) for one in earlier]
    reply_caps = inbox.reply_caps if inbox is not None else loops.REPLY_CAPS
    capped = capped or loops.over_reply_cap(connection, recent, at, reply_caps)
    who = f"ingest:{readout.inbox}"
    if place.ticket_id is None:
        if capped:
            flags.append("loop_cap")
        ticket_id = open_ticket(
            connection,
            Status.IN_REVIEW if capped else Status.RECEIVED,
            who=who,
            why=capped or "a new message arrived",
            **_ticket_columns(readout, parsed, customer, verified, received_at),
        )
        message_id = insert_message(
            connection, readout, parsed, ticket_id, received_at, print_, flags, read=bool(capped)
        )
        if capped:
            open_review(connection, ticket_id, "loop_cap", capped)
        return Taken("message", readout.raw_id, ticket_id, message_id, opened=True)
    ticket_id = place.ticket_id
    ticket = _locked(connection, ticket_id)
    message_caps = inbox.message_caps if inbox is not None else loops.TICKET_CAPS
    capped = capped or loops.over_ticket_cap(connection, ticket_id, at, message_caps)
    if capped:
        flags.append("loop_cap")
    message_id = insert_message(
        connection, readout, parsed, ticket_id, received_at, print_, flags, read=bool(capped)
    )
    changes: dict[str, Any] = {"last_message_at": received_at}
    status = Status(ticket.status)
    if customer is not None and (ticket.customer_address is None or status is Status.AUTOMATED):
        changes |= {"customer_address": customer.address, "customer_name": customer.name or None}
        changes["customer_verified"] = verified
    elif customer is not None and _same(customer.address, ticket.customer_address):
        changes["customer_verified"] = verified
    elif ticket.customer_address is not None:
        changes["customer_verified"] = False  # the latest word on the ticket is not the customer's own
    if capped:
        _to_a_person(connection, ticket_id, status, who, capped, changes)
    else:
        _to_be_read(connection, ticket_id, status, who, changes)
    return Taken("message", readout.raw_id, ticket_id, message_id)


def _locked(connection: sa.Connection, ticket_id: int) -> sa.Row[Any, Any]:
    """The ticket's row, locked. A batch does not wait for it: holding some tickets while waiting for others
    is how two batches, or a batch and an agent, come to wait for each other."""
    nowait = bool(connection.get_execution_options().get(BATCH))
    return connection.execute(
        sa.select(tickets.c.status, tickets.c.customer_address)
        .where(tickets.c.id == ticket_id)
        .with_for_update(nowait=nowait)
    ).one()


def _to_be_read(
    connection: sa.Connection, ticket_id: int, status: Status, who: str, changes: dict[str, Any]
) -> None:
    """A person's message on a ticket: what was drafted before it is stale, and it is to be read."""
    if status is Status.RECEIVED:
        touch(connection, ticket_id, due_at=now(), **changes)
    elif status in (Status.APPROVED, Status.SEND_UNCERTAIN):
        touch(connection, ticket_id, **changes)  # read as soon as the reply under way is settled
    else:
        supersede_open(connection, ticket_id, "a newer message arrived")
        move(connection, ticket_id, Status.RECEIVED, who=who, why="a newer message arrived", **changes)


def _to_a_person(
    connection: sa.Connection, ticket_id: int, status: Status, who: str, why: str, changes: dict[str, Any]
) -> None:
    """Over a cap: a person looks before any machine does, once, however many more arrive."""
    if status in (Status.APPROVED, Status.SEND_UNCERTAIN):
        touch(connection, ticket_id, **changes)
        return
    waiting = connection.execute(
        sa.select(reviews.c.id).where(
            reviews.c.ticket_id == ticket_id, reviews.c.state == "open", reviews.c.reason == "loop_cap"
        )
    ).first()
    if status is Status.IN_REVIEW and waiting is not None:
        touch(connection, ticket_id, **changes)
        return
    move(connection, ticket_id, Status.IN_REVIEW, who=who, why=why, **changes)
    open_review(connection, ticket_id, "loop_cap", why)


def _automated(
    connection: sa.Connection,
    readout: Readout,
    parsed: ParsedMessage,
    received_at: datetime,
    print_: str,
    known: Sequence[threading.Known],
    conflict: bool,
) -> Taken:
    who = f"ingest:{readout.inbox}"
    flags = ["message_id_conflict"] if conflict else []
    bounced = _bounced_reply(connection, parsed, known) if parsed.kind == "bounce" else None
    if bounced is not None:
        ticket_id: int | None = bounced.ticket_id
        flags.append("our_reply_bounced")
    else:
        sender = parsed.from_.address if parsed.from_ else None
        earlier = threading.by_sender(connection, sender) if parsed.kind != "bounce" else []
        place = threading.place(connection, parsed, known, earlier, at=received_at, inbox=readout.inbox)
        ticket_id = place.ticket_id
        flags += place.flags
    if ticket_id is None:
        ticket_id = open_ticket(
            connection,
            Status.AUTOMATED,
            who=who,
            why=f"automated mail: {clean(parsed.kind_reason) or parsed.kind}",
            **_ticket_columns(readout, parsed, parsed.from_, False, received_at),
        )
        message_id = insert_message(connection, readout, parsed, ticket_id, received_at, print_, flags)
        return Taken("automated", readout.raw_id, ticket_id, message_id, opened=True)
    ticket = _locked(connection, ticket_id)
    message_id = insert_message(connection, readout, parsed, ticket_id, received_at, print_, flags)
    if bounced is not None and Status(ticket.status) in _AT_REST_FOR_A_BOUNCE:
        why = _bounce_words(parsed)
        move(connection, ticket_id, Status.IN_REVIEW, who=who, why=why, last_message_at=received_at)
        open_review(connection, ticket_id, "bounce", why)
    else:
        # its version stays: what a worker or an agent has before them is not stale because of it
        connection.execute(
            tickets.update()
            .where(tickets.c.id == ticket_id)
            .values(last_message_at=received_at, updated_at=now())
        )
    return Taken("automated", readout.raw_id, ticket_id, message_id)


def _bounced_reply(
    connection: sa.Connection, parsed: ParsedMessage, known: Sequence[threading.Known]
) -> threading.Known | None:
    """The reply of ours that came back: by the report's ids, else by an id of ours in its text."""
    ours = [one for one in known if one.ours and one.message_id != parsed.message_id]
    for wanted in threading.referenced(parsed):
        for one in ours:
            if one.message_id == wanted:
                return one
    found = threading.ids_in_text(parsed.text)[:_LOOK_FOR_OURS]
    return next((one for one in threading.look_up(connection, found) if one.ours), None)


def _bounce_words(parsed: ParsedMessage) -> str:
    recipients = parsed.bounce.recipients if parsed.bounce is not None else ()
    if not recipients:
        return "Our reply came back."
    first = recipients[0]
    more = f" and {len(recipients) - 1} more" if len(recipients) > 1 else ""
    how = "for good" if first.permanent else "for now"
    status = f" ({first.status})" if first.status else ""
    return clean(f"Our reply to {first.address}{more} came back, {how}{status}.")


def _customer(
    readout: Readout, parsed: ParsedMessage, own: frozenset[str], from_us: bool
) -> tuple[Address | None, bool]:
    """Who is to be answered, and whether the inbox vouches for that address.

    A form on our own site writes in our name with the customer in Reply-To: nobody vouches for that one.
    """
    if not from_us:
        return parsed.from_, readout.sender_verified
    others = [one for one in parsed.reply_to if one.address.lower() not in own]
    return (others[0], False) if len(others) == 1 else (None, False)


def _ticket_columns(
    readout: Readout, parsed: ParsedMessage, customer: Address | None, verified: bool, received_at: datetime
) -> dict[str, Any]:
    return {
        "inbox": readout.inbox,
        "subject": clean(parsed.subject),
        "customer_address": clean(customer.address) if customer else None,
        "customer_name": (clean(customer.name) or None) if customer else None,
        "customer_verified": verified,
        "reply_token": new_token(),
        "last_message_at": received_at,
    }


def _end(
    connection: sa.Connection,
    raw_id: int,
    state: Literal["duplicate", "quarantined"],
    reason: str,
    ticket_id: int | None = None,
    message_id: int | None = None,
) -> Taken:
    connection.execute(
        raw_messages.update().where(raw_messages.c.id == raw_id).values(state=state, reason=clean(reason))
    )
    return Taken(state, raw_id, ticket_id, message_id, reason=reason)


def _same(one: str | None, other: str | None) -> bool:
    return one is not None and other is not None and one.lower() == other.lower()
