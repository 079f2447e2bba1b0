"""A customer's other open tickets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipeline.accounts.lookup import other_open_tickets
from pipeline.db.moves import open_ticket
from pipeline.db.store import Store
from pipeline.db.tables import metadata
from pipeline.lifecycle import Status


def test_only_open_tickets_of_the_same_verified_customer_are_shown(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'triage.db'}")
    metadata.create_all(store.engine)

    def add(connection: Any, token: str, **values: Any) -> int:
        row = {"customer_address": "ana@customer.example", "customer_verified": True, "subject": token}
        return open_ticket(
            connection,
            Status.RECEIVED,
            who="t",
            why="t",
            inbox="support",
            reply_token=token,
            **{**row, **values},
        )

    with store.write() as connection:
        mine = add(connection, "mine")
        other = add(connection, "other")
        add(connection, "forged", customer_verified=False)
        add(connection, "bob", customer_address="bob@customer.example")
        from pipeline.db.moves import move

        move(connection, add(connection, "done"), Status.CLOSED, who="t", why="t")
    with store.read() as connection:
        found = other_open_tickets(connection, "ana@customer.example", except_ticket=mine)
        assert [(ticket.id, ticket.subject, ticket.status) for ticket in found] == [
            (other, "other", "received")
        ]
        assert other_open_tickets(connection, None, except_ticket=mine) == ()
    store.close()
