"""How an approved text becomes a row of `replies`: Message-ID, address, subject and thread are fixed here."""

from __future__ import annotations

import re
import secrets
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from pipeline.db.tables import messages, replies
from pipeline.db.types import now
from pipeline.errors import ConflictError, InputError

MAX_REFERENCES = 20
MAX_TEXT = 100_000
_ADDRESS = re.compile(r"[^\s<>(),;:\"\[\]\\@]{1,64}@(?:[\w-]{1,63}\.)+[\w-]{2,63}")
_ANSWERING = re.compile(
    r"^\s*(?:re|aw|sv|vs|odp|ref|rif|antw|ynt|回复|答复|返信)(?:\[\d+\])?\s*[::]", re.IGNORECASE
)


def clean_text(text: str) -> str:
    """What an agent typed, fit to be sent: no control characters. Raises `InputError` if empty."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    text = "".join(c for c in text if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cs"))
    text = "\n".join(line.rstrip() for line in text.split("\n")).strip()
    if all(unicodedata.category(c)[0] in "ZC" for c in text):  # nothing that anybody could see
        raise InputError("the reply is empty; write something, or close the ticket without an answer")
    if len(text) > MAX_TEXT:
        raise InputError(f"the reply is longer than {MAX_TEXT:,} characters")
    return text


def answer_address(
    reply_to: Sequence[Mapping[str, Any]], from_address: str | None, own: Iterable[str] = ()
) -> str | None:
    """Where an answer goes: Reply-To if it is exactly one sound address that is not ours, else From.

    Ours are the `own` addresses with any plus part too: the Reply-To of our replies has one.
    """
    ours = {_without_plus(address) for address in own}

    def sound(address: object) -> bool:
        return (
            isinstance(address, str)
            and len(address) <= 254
            and bool(_ADDRESS.fullmatch(address))
            and _without_plus(address) not in ours
        )

    candidates = [entry.get("address") for entry in reply_to]
    if len(candidates) == 1 and sound(candidates[0]):
        return str(candidates[0])
    return from_address if sound(from_address) else None


def _without_plus(address: str) -> str:
    local, _, domain = address.lower().rpartition("@")
    return f"{local.partition('+')[0]}@{domain}"


def answer_subject(subject: str) -> str:
    """The customer's subject with `Re:` before it, unless an answer's mark stands there already."""
    subject = " ".join("".join(c if c.isprintable() else " " for c in subject).split())[:500]
    return subject if _ANSWERING.match(subject) else f"Re: {subject}".strip()


def answer_references(references: Sequence[str], message_id: str | None) -> list[str]:
    """The References of an answer: the first and the newest of the thread, then the message itself."""
    chain = [reference for reference in dict.fromkeys(references) if reference != message_id]
    if message_id:
        chain.append(message_id)
    return chain if len(chain) <= MAX_REFERENCES else [chain[0], *chain[-MAX_REFERENCES + 1 :]]


def answered_message(connection: sa.Connection, ticket_id: int, message_id: int | None) -> sa.RowMapping:
    """The message that a reply answers: the draft's, else the newest from a person, else the newest."""
    query = sa.select(messages).where(messages.c.ticket_id == ticket_id, messages.c.direction == "inbound")
    if message_id is not None:
        row = connection.execute(query.where(messages.c.id == message_id)).mappings().one_or_none()
    else:
        person_first = sa.case((messages.c.kind == "person", 0), else_=1)
        row = connection.execute(query.order_by(person_first, messages.c.id.desc())).mappings().first()
    if row is None:
        raise InputError(f"ticket {ticket_id} has no message to answer; close it instead")
    return row


def write_reply(
    connection: sa.Connection,
    answered: sa.RowMapping,
    *,
    review_id: int,
    agent_id: int,
    text: str,
    domain: str | None,
    own_addresses: Iterable[str] = (),
) -> int:
    """Insert the reply that waits to be sent; returns its id.

    An earlier reply of the ticket that was never sent is withdrawn. Raises `ConflictError` while one is
    being sent, `InputError` when there is no address to answer to.
    """
    ticket_id = answered["ticket_id"]
    under_way = connection.execute(
        sa.select(replies.c.id).where(replies.c.ticket_id == ticket_id, replies.c.state == "sending")
    ).first()
    if under_way is not None:
        raise ConflictError(
            f"an earlier reply of ticket {ticket_id} is being sent; wait for what becomes of it"
        )
    connection.execute(
        replies.update()
        .where(replies.c.ticket_id == ticket_id, replies.c.state.in_(["waiting", "failed"]))
        .values(state="withdrawn")
    )
    to_address = answer_address(answered["reply_to"], answered["from_address"], own_addresses)
    if to_address is None:
        raise InputError(
            f"ticket {ticket_id}: the message has no address that an answer could go to; close it"
        )
    result = connection.execute(
        replies.insert()
        .values(
            ticket_id=ticket_id,
            review_id=review_id,
            answers_id=answered["id"],
            agent_id=agent_id,
            message_id=f"{secrets.token_hex(16)}@{domain or _domain_written_to(answered)}",
            to_address=to_address,
            subject=answer_subject(answered["subject"]),
            in_reply_to=answered["message_id"],
            references=answer_references(answered["references"], answered["message_id"]),
            text=text,
            state="waiting",
            created_at=now(),
        )
        .returning(replies.c.id)
    )
    return int(result.scalar_one())


def _domain_written_to(answered: sa.RowMapping) -> str:
    """The domain that the customer wrote to, for a Message-ID where the inbox names none."""
    for entry in answered["to"]:
        address = entry.get("address") if isinstance(entry, dict) else None
        if isinstance(address, str) and address.isascii() and _ADDRESS.fullmatch(address):
            return address.rpartition("@")[2].lower()
    return "triage.invalid"
