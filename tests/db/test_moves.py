"""The one move function: the table of moves, the row that it writes, and what ends with a move."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa

from pipeline.db import leases
from pipeline.db.moves import move, open_ticket, touch
from pipeline.db.store import Store
from pipeline.db.tables import moves, tickets
from pipeline.errors import ConflictError, MoveRefused, NotFoundError
from pipeline.lifecycle import MEANING, MOVES, WORKED, Status
from pipeline.steps import STEPS


def new_ticket(store: Store, status: Status = Status.RECEIVED) -> int:
    with store.write() as connection:
        return open_ticket(
            connection, status, who="test", why="a test", inbox="support", reply_token=f"t{id(connection)}"
        )


def test_every_status_has_a_meaning_a_way_in_and_a_way_out() -> None:
    reached = set().union(*MOVES.values())
    for status in Status:
        assert MEANING[status]
        assert status in reached
        assert MOVES[status]


def test_every_status_that_is_worked_on_has_a_step_and_no_other_has() -> None:
    assert set(STEPS) == WORKED


def test_a_move_is_written_down_with_who_and_why(store: Store) -> None:
    ticket = new_ticket(store)
    with store.write() as connection:
        version = move(connection, ticket, Status.ESCALATED, who="triage", why="The customer is angry.")
    with store.read() as connection:
        rows = connection.execute(
            sa.select(moves).where(moves.c.ticket_id == ticket).order_by(moves.c.id)
        ).all()
    assert version == 2
    assert [(row.from_status, row.to_status, row.version, row.who) for row in rows] == [
        (None, "received", 1, "test"),
        ("received", "escalated", 2, "triage"),
    ]
    assert rows[1].why == "The customer is angry."
    assert rows[1].at.tzinfo is not None


def test_a_move_that_the_table_does_not_have_is_refused_and_changes_nothing(store: Store) -> None:
    ticket = new_ticket(store)
    with pytest.raises(MoveRefused, match="cannot go from received to answered"), store.write() as connection:
        move(connection, ticket, Status.ANSWERED, who="test", why="no")
    with store.read() as connection:
        row = connection.execute(sa.select(tickets).where(tickets.c.id == ticket)).one()
    assert (row.status, row.version) == ("received", 1)


def test_a_move_on_an_older_version_is_a_conflict(store: Store) -> None:
    ticket = new_ticket(store)
    with store.write() as connection:
        touch(connection, ticket)
    with pytest.raises(ConflictError), store.write() as connection:
        move(connection, ticket, Status.ESCALATED, who="test", why="late", version=1)


def test_a_ticket_that_is_not_there_is_named(store: Store) -> None:
    with pytest.raises(NotFoundError, match="no ticket 999"), store.write() as connection:
        move(connection, 999, Status.CLOSED, who="test", why="no")


def test_a_move_to_rest_is_not_due_and_a_move_to_work_is(store: Store) -> None:
    ticket = new_ticket(store)
    with store.write() as connection:
        move(connection, ticket, Status.IN_REVIEW, who="test", why="a person")
        assert leases.due(connection) == []
        move(connection, ticket, Status.APPROVED, who="test", why="ok", due_in=timedelta(hours=1))
        assert leases.due(connection) == []
        assert leases.pending(connection)[0] == 1
        move(connection, ticket, Status.RECEIVED, who="test", why="again")
        assert [row[0] for row in leases.due(connection)] == [ticket]
