"""Which ticket a message belongs to: by the token in our address, then by ids that we know, then by nothing.

Order: the token of our reply address; In-Reply-To and References against the ids of messages and replies
that we have; the references that the same sender's mails share. A subject joins nothing unless the inbox
says so.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

import sqlalchemy as sa

from pipeline.db.tables import messages, replies, tickets
from pipeline.ingest.message import ParsedMessage
from pipeline.ingest.reply_address import tokens_in
from pipeline.ingest.subjects import bare_subject
from pipeline.lifecycle import Status

_MAX_IDS = 60
_RECENT = 100

OURS = ".webhook.invalid"
"""The end of the ids that we make of a webhook source's conversation ids; no mail may speak of them."""
_ID_IN_TEXT = re.compile(r"<([^<>\s@]{1,200}@[^<>\s@]{1,200})>")


@dataclass(frozen=True, slots=True)
class Known:
    """A message or reply that we have under some Message-ID."""

    ticket_id: int
    message_id: str
    ours: bool
    from_address: str | None
    row_id: int


@dataclass(frozen=True, slots=True)
class Earlier:
    """One of the same sender's latest messages."""

    ticket_id: int
    received_at: datetime
    sent_at: datetime | None
    message_id: str | None
    in_reply_to: str | None
    references: tuple[str, ...]
    subject: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where a message goes: an existing ticket, or none. `flags` are what is noted with the message."""

    ticket_id: int | None
    by: Literal["token", "reference", "subject", "nothing"]
    flags: tuple[str, ...] = ()


def without_ours(parsed: ParsedMessage) -> ParsedMessage:
    """A mail without the ids that only webhook events may refer to: those could be guessed."""
    named = (parsed.message_id, parsed.in_reply_to or "", *parsed.references)
    if not any(one.endswith(OURS) for one in named):
        return parsed
    return replace(
        parsed,
        message_id="" if parsed.message_id.endswith(OURS) else parsed.message_id,
        in_reply_to=None if (parsed.in_reply_to or "").endswith(OURS) else parsed.in_reply_to,
        references=tuple(one for one in parsed.references if not one.endswith(OURS)),
    )


def conversation(parsed: ParsedMessage) -> str | None:
    """The source's conversation that an event belongs to, as an id."""
    return next((one for one in parsed.references if one.endswith(OURS)), None)


def referenced(parsed: ParsedMessage) -> list[str]:
    """The ids that a message points at, the nearest first; of a delivery report those of what came back."""
    ids: list[str] = []
    if parsed.bounce is not None:
        if parsed.bounce.original_message_id:
            ids.append(parsed.bounce.original_message_id)
        ids += reversed(parsed.bounce.original_references)
    if parsed.in_reply_to:
        ids.append(parsed.in_reply_to)
    ids += reversed(parsed.references)
    return [one for one in dict.fromkeys(ids) if one != parsed.message_id][:_MAX_IDS]


# Built once: building a statement costs more than running it.
_BY_MESSAGE_ID = (
    sa.select(
        messages.c.ticket_id,
        messages.c.message_id,
        messages.c.direction,
        messages.c.from_address,
        messages.c.id,
    )
    .where(messages.c.message_id.in_(sa.bindparam("ids", expanding=True)))
    .order_by(messages.c.id)
    .limit(500)
)
_APPROVED = sa.select(replies.c.ticket_id, replies.c.message_id, replies.c.id).where(
    replies.c.message_id.in_(sa.bindparam("ids", expanding=True))
)
_BY_SENDER = (
    sa.select(
        messages.c.ticket_id,
        messages.c.received_at,
        messages.c.sent_at,
        messages.c.message_id,
        messages.c.in_reply_to,
        messages.c.references,
        messages.c.subject,
    )
    .where(messages.c.from_address == sa.bindparam("address"), messages.c.direction == "inbound")
    .order_by(messages.c.received_at.desc(), messages.c.id.desc())
    .limit(_RECENT)
)


def look_up(connection: sa.Connection, ids: Sequence[str]) -> list[Known]:
    """What we have under these Message-IDs; our own before others', the oldest first."""
    if not ids:
        return []
    stored = connection.execute(_BY_MESSAGE_ID, {"ids": list(ids)})
    known = [
        Known(row.ticket_id, row.message_id, row.direction == "outbound", row.from_address, row.id)
        for row in stored
    ]
    # a reply has its id from the approval on, and may have arrived although nobody could tell us so
    approved = connection.execute(_APPROVED, {"ids": list(ids)})
    known += [Known(row.ticket_id, row.message_id, True, None, row.id) for row in approved]
    return sorted(known, key=lambda one: not one.ours)


def by_sender(connection: sa.Connection, address: str | None) -> list[Earlier]:
    """The sender's latest messages, the newest first."""
    if not address:
        return []
    rows = connection.execute(_BY_SENDER, {"address": address})
    return [
        Earlier(
            row.ticket_id,
            row.received_at,
            row.sent_at,
            row.message_id,
            row.in_reply_to,
            tuple(row.references or ()),
            row.subject,
        )
        for row in rows
    ]


def place(
    connection: sa.Connection,
    parsed: ParsedMessage,
    known: Sequence[Known],
    earlier: Sequence[Earlier],
    *,
    at: datetime,
    inbox: str,
    merge_days: int | None = None,
) -> Place:
    """Find the ticket of a message.

    `known` is what `look_up` found for `referenced`, `earlier` what `by_sender` found; `merge_days` is
    set where the inbox joins mails of one sender and subject.
    """
    ticket_id = _by_token(connection, parsed)
    if ticket_id is not None:
        return _noted(connection, parsed, ticket_id, "token", "unverified_token")
    ids = referenced(parsed)
    ticket_id = _by_id(ids, known)
    if ticket_id is None:
        ticket_id = _by_shared_id(parsed, ids, earlier)
    if ticket_id is not None:
        return _noted(connection, parsed, ticket_id, "reference", "other_sender")
    if merge_days is not None and not ids:
        ticket_id = _by_subject(connection, parsed, earlier, at - timedelta(days=merge_days), inbox)
        if ticket_id is not None:
            return Place(ticket_id, "subject", ("joined_by_subject",))
    return Place(None, "nothing")


def _by_token(connection: sa.Connection, parsed: ParsedMessage) -> int | None:
    addresses = [one.address for one in (*parsed.to, *parsed.cc)] + list(parsed.delivered_to)
    tokens = tokens_in(addresses)[:10]
    if not tokens:
        return None
    rows = connection.execute(
        sa.select(tickets.c.id, tickets.c.reply_token).where(tickets.c.reply_token.in_(tokens))
    ).all()
    found = {row.reply_token: int(row.id) for row in rows}
    return next((found[token] for token in tokens if token in found), None)


def _by_id(ids: Sequence[str], known: Sequence[Known]) -> int | None:
    for wanted in ids:
        for one in known:
            if one.message_id == wanted:
                return one.ticket_id
    return None


def _by_shared_id(parsed: ParsedMessage, ids: Sequence[str], earlier: Sequence[Earlier]) -> int | None:
    """Two mails of one sender that name a common mail, or of which the later one came in first."""
    wanted = set(ids)
    if parsed.message_id:
        wanted.add(parsed.message_id)
    if not wanted:
        return None
    for one in earlier:
        if wanted & {one.in_reply_to, *one.references}:
            return one.ticket_id
    return None


def _by_subject(
    connection: sa.Connection, parsed: ParsedMessage, earlier: Sequence[Earlier], since: datetime, inbox: str
) -> int | None:
    subject = bare_subject(parsed.subject).casefold()
    if len(subject) < 4:  # "hi" joins nothing
        return None
    for one in earlier:
        if one.received_at >= since and bare_subject(one.subject).casefold() == subject:
            found = connection.execute(
                sa.select(tickets.c.id).where(
                    tickets.c.id == one.ticket_id,
                    tickets.c.inbox == inbox,
                    tickets.c.status != Status.CLOSED.value,
                )
            ).one_or_none()
            if found is not None:
                return int(found.id)
    return None


def _noted(
    connection: sa.Connection,
    parsed: ParsedMessage,
    ticket_id: int,
    by: Literal["token", "reference"],
    other_sender: str,
) -> Place:
    """The place with its flags: who else wrote, and whether the subject is another one."""
    row = connection.execute(
        sa.select(tickets.c.customer_address, tickets.c.subject).where(tickets.c.id == ticket_id)
    ).one()
    flags = []
    if parsed.kind == "person":
        sender = parsed.from_.address if parsed.from_ else None
        customer = row.customer_address
        if customer and (sender is None or sender.lower() != customer.lower()):
            flags.append(other_sender)
        if bare_subject(parsed.subject).casefold() != bare_subject(row.subject).casefold():
            flags.append("subject_changed")
    return Place(ticket_id, by, tuple(flags))


def ids_in_text(text: str) -> list[str]:
    """What looks like a Message-ID in a report that is only prose."""
    return list(dict.fromkeys(_ID_IN_TEXT.findall(text[:100_000])))
