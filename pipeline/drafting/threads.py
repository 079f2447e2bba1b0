"""A ticket's thread as a draft needs it: who wrote what, what is known, and on whose behalf we answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from pipeline.db import tables
from pipeline.errors import NotFoundError
from pipeline.models.redaction import whole_until

FIELD_NAMES = (
    "order_numbers",
    "account_ids",
    "emails",
    "phones",
    "amounts",
    "dates",
    "names",
    "invoice_numbers",
)


MAX_MESSAGE_CHARS = 50_000
"""How much of one message a draft may rest on: more than any person writes, and little enough to check."""


@dataclass(frozen=True)
class ThreadMessage:
    """`role` is customer or agent; `text` is what its author wrote then, without quotes and signature.

    A thread that was shortened for a model has one message with the role summary.
    """

    role: str
    text: str
    created: datetime | None = None


@dataclass(frozen=True)
class Thread:
    """All that a draft may rest on. Messages are oldest first; `fields` as a triage stores them.

    `account` are facts that a connector vouches for, `policy` the team's own text. `reasons` are the
    rule's plain sentences for the route. `customer_address` is whose ticket it is; `stranger` is the
    address that wrote last, where it is another one: the reply would go there, and the thread holds
    nothing but what that address wrote and what we wrote to it.
    """

    messages: tuple[ThreadMessage, ...]
    subject: str = ""
    topic: str = "other"
    language: str = "en"
    fields: Mapping[str, Any] = field(default_factory=dict)
    emotion: str = "calm"
    customer_name: str | None = None
    sender_name: str = ""
    account: Mapping[str, Any] | None = None
    policy: str | None = None
    reasons: tuple[str, ...] = ()
    customer_address: str | None = None
    stranger: str | None = None

    def text_by(self, role: str) -> str:
        """Everything that one side wrote, oldest first; the subject counts as the customer's."""
        texts = [self.subject] if role == "customer" and self.subject else []
        return "\n".join([*texts, *(message.text for message in self.messages if message.role == role)])


def older_messages(thread: Thread) -> tuple[ThreadMessage, ...]:
    """What a summary may stand for: all but the customer's newest message and our last reply."""
    kept = _never_summarised(thread)
    return tuple(message for number, message in enumerate(thread.messages) if number not in kept)


def shortened(thread: Thread, summary: str, room_chars: int) -> Thread:
    """The thread with its older messages as a summary, made to fit a transcript of `room_chars`.

    The customer's newest message stays as it is; of our last reply and of the customer's first message
    the opening stays.
    """
    kept = _never_summarised(thread)
    first = next((n for n, m in enumerate(thread.messages) if m.role == "customer" and n not in kept), None)
    messages = [ThreadMessage("summary", summary)]
    if first is not None:
        messages.insert(0, _opening(thread.messages[first], room_chars // 12))
    for number in sorted(kept):
        message = thread.messages[number]
        messages.append(message if message.role == "customer" else _opening(message, room_chars // 8))
    return replace(thread, messages=tuple(messages))


def _never_summarised(thread: Thread) -> set[int]:
    """The places of the newest message of each side."""
    return {
        max((n for n, message in enumerate(thread.messages) if message.role == role), default=-1)
        for role in ("customer", "agent")
    } - {-1}


def _opening(message: ThreadMessage, max_chars: int) -> ThreadMessage:
    if len(message.text) <= max_chars:
        return message
    return replace(message, text=f"{message.text[: whole_until(message.text, max_chars)]} [... cut]")


def load_thread(connection: sa.Connection, ticket_id: int, policy: str | None, sender_name: str) -> Thread:
    """The thread of a ticket: people's messages and our replies, what is known of it, the latest facts.

    Topic, language and emotion are the ticket's own, which an agent may have corrected.

    Fields are gathered over all triages, the newest first, so that an order number given in the first
    mail is still known in the third. Raises `NotFoundError`.
    """
    tickets, messages, triages, facts = (
        tables.tickets,
        tables.messages,
        tables.triages,
        tables.account_facts,
    )
    ticket = connection.execute(sa.select(tickets).where(tickets.c.id == ticket_id)).one_or_none()
    if ticket is None:
        raise NotFoundError(f"there is no ticket {ticket_id}")
    spoken = connection.execute(
        sa.select(
            messages.c.id,
            messages.c.direction,
            messages.c.to,
            messages.c.subject,
            messages.c.new_text,
            messages.c.text,
            messages.c.received_at,
            messages.c.from_address,
            messages.c.from_name,
        )
        .where(
            messages.c.ticket_id == ticket_id,
            sa.or_(
                sa.and_(messages.c.direction == "inbound", messages.c.kind == "person"),
                messages.c.direction == "outbound",
            ),
        )
        .order_by(messages.c.received_at, messages.c.id)
    ).all()
    read = connection.execute(
        sa.select(triages).where(triages.c.ticket_id == ticket_id).order_by(triages.c.id.desc())
    ).all()
    account = connection.execute(
        sa.select(facts.c.facts)
        .where(facts.c.ticket_id == ticket_id)
        .order_by(facts.c.fetched_at.desc(), facts.c.id.desc())
        .limit(1)
    ).scalar_one_or_none()
    newest = read[0] if read else None
    writer = next((row for row in reversed(spoken) if row.direction == "inbound"), None)
    stranger = None
    if writer and writer.from_address and ticket.customer_address:
        stranger = None if _same(writer.from_address, ticket.customer_address) else writer.from_address
    if stranger is not None:
        # nobody vouches for whoever holds the address or an id of the thread: nothing of it is theirs to see
        spoken = [row for row in spoken if _is_between(row, stranger)]
        theirs = {row.id for row in spoken}
        read = [row for row in read if row.message_id in theirs]
        account = None
        newest = read[0] if read else None
    return Thread(
        messages=tuple(
            ThreadMessage(
                "customer" if row.direction == "inbound" else "agent",
                (row.new_text.strip() or row.text)[:MAX_MESSAGE_CHARS],
                row.received_at,
            )
            for row in spoken
        ),
        subject=writer.subject if writer and stranger else ticket.subject,
        topic=ticket.topic or (newest.topic if newest else None) or "other",
        language=ticket.language or (newest.language if newest else None) or "en",
        fields=_gathered([row.fields for row in read]),
        emotion=ticket.emotion or (newest.emotion if newest else None) or "calm",
        customer_name=writer.from_name if writer and stranger else ticket.customer_name,
        sender_name=sender_name,
        account=account or None,
        policy=policy,
        # a reason may come from an earlier message, and quote it
        reasons=tuple(newest.reasons) if newest and not stranger else (),
        customer_address=ticket.customer_address,
        stranger=stranger,
    )


def _is_between(row: Any, address: str) -> bool:
    """Whether a message was written by this address, or by us to it."""
    if row.direction == "inbound":
        return row.from_address is not None and _same(row.from_address, address)
    return any(_same(str(to.get("address", "")), address) for to in row.to or ())


def _same(one: str, other: str) -> bool:
    return one.lower() == other.lower()


def _gathered(several: list[Mapping[str, Any]]) -> dict[str, list[Any]]:
    gathered: dict[str, list[Any]] = {}
    for name in FIELD_NAMES:
        known: dict[str, Any] = {}
        for fields in several:
            for item in fields.get(name) or []:
                known.setdefault(str(item.get("value") if isinstance(item, Mapping) else item), item)
        if known:
            gathered[name] = list(known.values())
    return gathered
