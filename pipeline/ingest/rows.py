"""The rows of one message, its files and their bytes; every text made fit for every database."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from pipeline.db.tables import attachments, blobs, messages
from pipeline.db.types import now
from pipeline.ingest.message import Address, ParsedMessage
from pipeline.ingest.threading import conversation


class Raced(Exception):
    """Another process recorded the same mail meanwhile: roll back, and it is a duplicate."""


@dataclass(frozen=True, slots=True)
class Readout:
    """What parsing one raw message gave: a message, or why there is none."""

    raw_id: int
    inbox: str
    parsed: ParsedMessage | None
    sender_verified: bool = False
    verified_why: str = ""
    quarantine: str | None = None
    ignored: str | None = None


def insert_message(
    connection: sa.Connection,
    readout: Readout,
    parsed: ParsedMessage,
    ticket_id: int,
    received_at: datetime,
    print_: str,
    flags: Sequence[str],
    *,
    read: bool = False,
) -> int:
    """Insert the message and its files; returns its id. Raises `Raced` if its fingerprint is there by now."""
    sender = parsed.from_
    message_id = connection.execute(
        _message_insert(connection.dialect.name),
        {
            "ticket_id": ticket_id,
            "raw_id": readout.raw_id,
            "inbox": readout.inbox,
            "direction": "inbound",
            "kind": parsed.kind,
            "kind_reason": clean(parsed.kind_reason),
            # the first event of a conversation bears its id, so that the next ones find it
            "message_id": clean(parsed.message_id or conversation(parsed) or "") or None,
            "in_reply_to": clean(parsed.in_reply_to) if parsed.in_reply_to else None,
            "references": [clean(one) for one in parsed.references],
            "from_name": clean(sender.name) if sender else None,
            "from_address": clean(sender.address) if sender else None,
            "reply_to": _addresses(parsed.reply_to),
            "to": _addresses(parsed.to),
            "cc": _addresses(parsed.cc),
            "subject": clean(parsed.subject),
            "sent_at": parsed.date,
            "received_at": received_at,
            "text": clean(parsed.text),
            "new_text": clean(parsed.new_text),
            "html": clean(parsed.html) if parsed.html is not None else None,
            "verified": readout.sender_verified,
            "verified_why": clean(readout.verified_why),
            "body_hash": parsed.body_hash,
            "fingerprint": print_,
            "bounce": parsed.bounce.to_json() if parsed.bounce else None,
            "defects": [clean(defect) for defect in parsed.defects],
            "flags": list(flags),
            "triaged_at": now() if read else None,
        },
    ).scalar_one_or_none()
    if message_id is None:
        raise Raced
    _insert_files(connection, int(message_id), parsed)
    return int(message_id)


@functools.cache
def _message_insert(dialect: str) -> Any:
    """Built once: building a statement costs more than running it."""
    insert = postgresql.insert if dialect == "postgresql" else sqlite.insert
    return insert(messages).on_conflict_do_nothing(index_elements=["fingerprint"]).returning(messages.c.id)


def _insert_files(connection: sa.Connection, message_id: int, parsed: ParsedMessage) -> None:
    if not parsed.attachments:
        return
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    by_hash = {one.sha256: one.data for one in parsed.attachments}
    # locked, so that no retention deletes them before this message is seen to need them
    stored = sa.select(blobs.c.sha256).where(blobs.c.sha256.in_(by_hash))
    have = set(connection.execute(stored.with_for_update(read=True, key_share=True)).scalars())
    for digest in sorted(by_hash.keys() - have):  # in one order everywhere, or two would wait for each other
        connection.execute(
            insert(blobs)
            .values(sha256=digest, data=by_hash[digest])
            .on_conflict_do_nothing(index_elements=["sha256"])
        )
    connection.execute(
        attachments.insert(),
        [
            {
                "message_id": message_id,
                "filename": clean(one.filename),
                "content_type": clean(one.content_type),
                "size": one.size,
                "sha256": one.sha256,
                "inline": one.inline,
                "content_id": clean(one.content_id) if one.content_id else None,
            }
            for one in parsed.attachments
        ],
    )


def _addresses(addresses: Sequence[Address]) -> list[dict[str, str]]:
    return [{"name": clean(one.name), "address": clean(one.address)} for one in addresses]


def clean_ids(parsed: ParsedMessage) -> ParsedMessage:
    """Ids and addresses that the database can be asked for; a parser's slip must not stop the message."""
    sender = parsed.from_
    named = (
        parsed.message_id,
        parsed.in_reply_to or "",
        *parsed.references,
        sender.address if sender else "",
    )
    if all(clean(one) == one for one in named):
        return parsed
    return replace(
        parsed,
        message_id=clean(parsed.message_id),
        in_reply_to=clean(parsed.in_reply_to) if parsed.in_reply_to else None,
        references=tuple(clean(one) for one in parsed.references),
        from_=Address(clean(sender.name), clean(sender.address)) if sender else None,
    )


def clean(text: str) -> str:
    """What every database takes: no NUL, no half of a surrogate pair."""
    if "\0" in text:
        text = text.replace("\0", "")
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")
