"""The one function that changes a ticket's status, and the row that it writes: audit trail and statistics."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from pipeline.db.tables import moves, reviews, tickets
from pipeline.db.types import now
from pipeline.errors import ConflictError, NotFoundError
from pipeline.lifecycle import WORKED, Status, check_move

# Built once: building a statement costs more than running it.
_OPEN = tickets.insert().returning(tickets.c.id)
_WRITE_DOWN = moves.insert()
_IN_THE_QUEUE = ("topic", "language", "route", "team", "assignee_id")


def move(
    connection: sa.Connection,
    ticket_id: int,
    to: Status,
    *,
    who: str,
    why: str,
    version: int | None = None,
    due_in: timedelta = timedelta(0),
    **changes: Any,
) -> int:
    """Move a ticket to a status and write it down; returns the ticket's new version.

    `who` is `agent:EMAIL` or the name of the step; `why` one plain sentence. With `version`, the move
    is refused (`ConflictError`) unless the ticket still has it. The step's lease and attempts end with
    the move: whoever still works on the old status finds its fencing token stale. `changes` are further
    columns of the ticket. Raises `MoveRefused` where the lifecycle has no such move.
    """
    row = connection.execute(
        sa.select(tickets.c.status, tickets.c.version).where(tickets.c.id == ticket_id).with_for_update()
    ).one_or_none()
    if row is None:
        raise NotFoundError(f"there is no ticket {ticket_id}")
    if version is not None and row.version != version:
        raise ConflictError(f"ticket {ticket_id} changed meanwhile (version {row.version}, not {version})")
    old = Status(row.status)
    check_move(old, to)
    at = now()
    connection.execute(
        tickets.update()
        .where(tickets.c.id == ticket_id)
        .values(
            status=to.value,
            version=row.version + 1,
            updated_at=at,
            due_at=at + due_in if to in WORKED else None,
            attempts=0,
            lease_token=tickets.c.lease_token + 1,
            lease_owner=None,
            lease_until=None,
            last_error=None,
            **changes,
        )
    )
    _follow_in_the_queue(connection, ticket_id, changes)
    _write_down(connection, ticket_id, old, to, row.version + 1, who, why, at)
    return int(row.version) + 1


def open_ticket(connection: sa.Connection, to: Status, *, who: str, why: str, **columns: Any) -> int:
    """Insert a ticket in its first status and write that move down; returns its id."""
    check_move(None, to)
    at = now()
    values = {
        "status": to.value,
        "version": 1,
        "created_at": at,
        "updated_at": at,
        "due_at": at if to in WORKED else None,
        **columns,
    }
    ticket_id = int(connection.execute(_OPEN, values).scalar_one())
    _write_down(connection, ticket_id, None, to, 1, who, why, at)
    return ticket_id


def touch(connection: sa.Connection, ticket_id: int, **changes: Any) -> None:
    """Change a ticket without moving it: its version is raised, its status and its lease stay."""
    connection.execute(
        tickets.update()
        .where(tickets.c.id == ticket_id)
        .values(version=tickets.c.version + 1, updated_at=now(), **changes)
    )
    _follow_in_the_queue(connection, ticket_id, changes)


def note(connection: sa.Connection, ticket_id: int, *, who: str, why: str) -> None:
    """Write down, among the moves, what somebody did that neither moves nor changes the ticket."""
    row = connection.execute(
        sa.select(tickets.c.status, tickets.c.version).where(tickets.c.id == ticket_id)
    ).one_or_none()
    if row is None:
        raise NotFoundError(f"there is no ticket {ticket_id}")
    status = Status(row.status)
    _write_down(connection, ticket_id, status, status, row.version, who, why, now())


def _follow_in_the_queue(connection: sa.Connection, ticket_id: int, changes: dict[str, Any]) -> None:
    """The review table keeps what the queue is sorted and filtered by; a customer's message ends a snooze."""
    kept = {name: changes[name] for name in _IN_THE_QUEUE if name in changes}
    if "urgency_rank" in changes:
        kept["urgency_order"] = 3 - changes["urgency_rank"]
    if "last_message_at" in changes:
        kept["snoozed_until"] = None
    if kept:
        connection.execute(reviews.update().where(reviews.c.ticket_id == ticket_id).values(**kept))


def _write_down(
    connection: sa.Connection,
    ticket_id: int,
    old: Status | None,
    to: Status,
    version: int,
    who: str,
    why: str,
    at: datetime,
) -> None:
    connection.execute(
        _WRITE_DOWN,
        {
            "ticket_id": ticket_id,
            "from_status": old.value if old else None,
            "to_status": to.value,
            "version": version,
            "who": who,
            "why": why,
            "at": at,
        },
    )
