"""Mails for the tests of the doors, written by hand as bytes, and rows read back."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from pipeline.db.store import Store
from pipeline.db.tables import messages, raw_messages, tickets
from pipeline.ingest.inboxes import Inbox
from pipeline.ingest.intake import Taken, store_raw, take


def mail(
    text: str = "Where is my order 1234?",
    *,
    sender: str = "Ann <ann@customer.example>",
    to: str = "support@shop.example",
    subject: str = "Order",
    message_id: str | None = "<one@customer.example>",
    date: str | None = "Mon, 23 Nov 2026 09:00:00 +0000",
    **headers: str,
) -> bytes:
    """One plain mail; further headers as keywords (`in_reply_to="<…>"`)."""
    lines = [f"From: {sender}", f"To: {to}", f"Subject: {subject}"]
    lines += [f"Message-ID: {message_id}"] if message_id else []
    lines += [f"Date: {date}"] if date else []
    lines += [f"{name.replace('_', '-').title()}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n" + text + "\r\n").encode()


def deliver(
    store: Store, raw: bytes, inbox: str = "support", inboxes: dict[str, Inbox] | None = None
) -> Taken:
    """Store and take one mail."""
    with store.write() as connection:
        stored = store_raw(connection, inbox, raw)
    return take(store, stored.raw_id, inboxes=inboxes)


def ticket(store: Store, ticket_id: int | None) -> Any:
    with store.read() as connection:
        return connection.execute(sa.select(tickets).where(tickets.c.id == ticket_id)).one()


def message(store: Store, message_id: int | None) -> Any:
    with store.read() as connection:
        return connection.execute(sa.select(messages).where(messages.c.id == message_id)).one()


def raw_states(store: Store) -> list[tuple[str, str | None]]:
    with store.read() as connection:
        rows = connection.execute(
            sa.select(raw_messages.c.state, raw_messages.c.reason).order_by(raw_messages.c.id)
        )
        return [(row.state, row.reason) for row in rows]


def count(store: Store, table: sa.Table) -> int:
    with store.read() as connection:
        return int(connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())
