"""A store with one approved reply in it, and a real SMTP server on loopback whose faults are scripted."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from pipeline.db import leases
from pipeline.db.moves import move, open_ticket
from pipeline.db.reviews import open_review
from pipeline.db.store import Store
from pipeline.db.tables import agents, messages, replies
from pipeline.db.types import now
from pipeline.lifecycle import Status
from tests.kit.places import free_port


@pytest.fixture
def approved(store: Store) -> int:
    """A ticket whose reply a person approved; returns its id (its reply, message and agent are number 1)."""
    return approve_one(store)


def approve_one(store: Store, **reply: Any) -> int:
    with store.write() as connection:
        agent = connection.execute(
            agents.insert()
            .values(email=f"{secrets.token_hex(4)}@shop.example", role="agent", created_at=now())
            .returning(agents.c.id)
        ).scalar_one()
        ticket = open_ticket(
            connection,
            Status.RECEIVED,
            who="ingest",
            why="a mail came",
            inbox="support",
            subject="Where is it?",
            customer_address="ana@customer.example",
            reply_token=secrets.token_hex(16),
        )
        message = add_message(connection, ticket, triaged_at=now())
        move(connection, ticket, Status.IN_REVIEW, who="triage", why="a draft waits")
        review = open_review(connection, ticket, "draft", "a draft waits")
        values: dict[str, Any] = {
            "ticket_id": ticket,
            "review_id": review,
            "answers_id": message,
            "agent_id": agent,
            "message_id": f"{secrets.token_hex(8)}@shop.example",
            "to_address": "ana@customer.example",
            "subject": "Re: Where is it?",
            "in_reply_to": "q1@customer.example",
            "references": ["q0@customer.example", "q1@customer.example"],
            "text": "Hello Ana,\n\nit is on its way.",
            "state": "waiting",
            "created_at": now(),
        }
        connection.execute(replies.insert().values(**{**values, **reply}))
        connection.execute(sa.text("UPDATE reviews SET state = 'decided' WHERE id = :id"), {"id": review})
        move(connection, ticket, Status.APPROVED, who="agent:ann@shop.example", why="approved")
    return ticket


def add_message(connection: sa.Connection, ticket: int, **values: Any) -> int:
    row = {
        "ticket_id": ticket,
        "inbox": "support",
        "direction": "inbound",
        "kind": "person",
        "message_id": "q1@customer.example",
        "from_name": "Ana",
        "from_address": "ana@customer.example",
        "subject": "Where is it?",
        "received_at": now(),
        "text": "Where is my parcel?",
        "new_text": "Where is my parcel?",
        "body_hash": "x",
        "fingerprint": secrets.token_hex(16),
    }
    return int(
        connection.execute(
            messages.insert().values(**{**row, **values}).returning(messages.c.id)
        ).scalar_one()
    )


def take(store: Store, ticket: int) -> leases.Lease:
    with store.write() as connection:
        lease = leases.claim(connection, ticket, "test:1:1", timedelta(seconds=60))
    assert lease is not None
    return lease


class Faulty:
    """aiosmtpd's handler: takes mail into `journal`, but for the faults that a test scripts."""

    def __init__(self) -> None:
        self.journal: list[bytes] = []
        self.peers = 0
        self.rcpt: str | None = None
        self.data: str | None = None
        self.drop_at: str | None = None
        self.keep_when_dropping = False
        self.wait_s = 0.0

    async def handle_EHLO(
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        self.peers += 1
        session.host_name = hostname
        return responses

    async def handle_MAIL(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.drop_at == "MAIL":
            return self._drop(server)
        envelope.mail_from = address
        return "250 fine"

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.drop_at == "RCPT":
            return self._drop(server)
        if self.rcpt:
            return self.rcpt
        envelope.rcpt_tos.append(address)
        return "250 fine"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        import asyncio

        if self.data:
            return self.data
        if self.drop_at != "DATA" or self.keep_when_dropping:
            assert isinstance(envelope.original_content, bytes)
            self.journal.append(envelope.original_content)
        if self.wait_s:
            await asyncio.sleep(self.wait_s)
        if self.drop_at == "DATA":
            return self._drop(server)
        return "250 2.0.0 taken as 4711"

    @staticmethod
    def _drop(server: SMTP) -> str:
        assert server.transport is not None
        server.transport.abort()
        return "250 never read"


@pytest.fixture
def smtp() -> Iterator[tuple[Faulty, str]]:
    """The handler, and the server's address."""
    handler = Faulty()
    controller = Controller(handler, hostname="127.0.0.1", port=free_port(), enable_SMTPUTF8=True)
    controller.start()
    yield handler, f"smtp://127.0.0.1:{controller.port}"
    controller.stop()
