"""Leases on a ticket's present step: who works on it, until when, and the fence against the one before.

A claim is one conditional statement that raises the fencing token and the attempt count *before* any
work is done. What the work found is recorded only while the token is still the one of the claim.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import sqlalchemy as sa

from pipeline.db.tables import tickets
from pipeline.db.types import now
from pipeline.errors import LeaseLost
from pipeline.lifecycle import WORKED, Status

_WORKED = [status.value for status in WORKED]


@dataclass(frozen=True)
class Lease:
    """A claim on one ticket's step. `token` is the fence, `attempt` counts starts from 1."""

    ticket_id: int
    status: Status
    version: int
    token: int
    attempt: int
    owner: str
    until: datetime


def owner_name() -> str:
    """This process, so that another on the same machine can tell whether it still lives."""
    pid = os.getpid()
    return f"{socket.gethostname()}:{pid}:{_started(pid)}"


def claim(connection: sa.Connection, ticket_id: int, owner: str, lease: timedelta) -> Lease | None:
    """Take the ticket's due step for `lease`; None when nothing is due or somebody else has it."""
    at = now()
    row = connection.execute(
        tickets.update()
        .where(
            tickets.c.id == ticket_id,
            tickets.c.status.in_(_WORKED),
            tickets.c.due_at <= at,
            sa.or_(tickets.c.lease_until.is_(None), tickets.c.lease_until < at),
        )
        .values(
            lease_token=tickets.c.lease_token + 1,
            attempts=tickets.c.attempts + 1,
            lease_owner=owner,
            hinted_at=None,  # given back, it is announced at the next sweep
            lease_until=at + lease,
        )
        .returning(tickets.c.status, tickets.c.version, tickets.c.lease_token, tickets.c.attempts)
    ).one_or_none()
    if row is None:
        return None
    return Lease(
        ticket_id=ticket_id,
        status=Status(row.status),
        version=row.version,
        token=row.lease_token,
        attempt=row.attempts,
        owner=owner,
        until=at + lease,
    )


def hold(connection: sa.Connection, lease: Lease) -> int:
    """Lock the ticket's row and raise `LeaseLost` unless the lease's token still stands.

    Called first in every recording transaction. Returns the ticket's present version: one above the
    lease's means that a message arrived or somebody changed the ticket meanwhile.
    """
    row = connection.execute(
        sa.select(tickets.c.lease_token, tickets.c.version)
        .where(tickets.c.id == lease.ticket_id)
        .with_for_update()
    ).one_or_none()
    if row is None or row.lease_token != lease.token:
        raise LeaseLost(f"ticket {lease.ticket_id}: another worker has the step, or the ticket moved on")
    return int(row.version)


def release(
    connection: sa.Connection,
    lease: Lease,
    *,
    due_in: timedelta = timedelta(0),
    error: str | None = None,
    progressed: bool = False,
) -> bool:
    """Give the step back, due again after `due_in`. False if it was lost already.

    Attempts stay counted, unless the step `progressed`: part of its work is recorded, the rest starts anew.
    """
    values: dict[str, object] = {"attempts": 0} if progressed else {}
    result = connection.execute(
        tickets.update()
        .where(tickets.c.id == lease.ticket_id, tickets.c.lease_token == lease.token)
        .values(
            lease_token=tickets.c.lease_token + 1,
            lease_owner=None,
            lease_until=None,
            due_at=now() + due_in,
            last_error=error,
            **values,
        )
    )
    return bool(result.rowcount)


def due(
    connection: sa.Connection, limit: int = 500, *, not_hinted_for: timedelta = timedelta(0)
) -> list[tuple[int, str, int]]:
    """(ticket id, status, version) of what is due and free, the longest waiting first.

    With `not_hinted_for`, only what no sweep announced for that long, and each is marked as announced.
    """
    at = now()
    wanted = [
        tickets.c.due_at <= at,
        sa.or_(tickets.c.lease_until.is_(None), tickets.c.lease_until < at),
    ]
    if not_hinted_for:
        wanted.append(sa.or_(tickets.c.hinted_at.is_(None), tickets.c.hinted_at < at - not_hinted_for))
    rows = connection.execute(
        sa.select(tickets.c.id, tickets.c.status, tickets.c.version)
        .where(*wanted)
        .order_by(tickets.c.due_at, tickets.c.id)
        .limit(limit)
    ).all()
    if not_hinted_for and rows:
        connection.execute(
            tickets.update().where(tickets.c.id.in_([row.id for row in rows])).values(hinted_at=at)
        )
    return [(row.id, row.status, row.version) for row in rows]


def pending(connection: sa.Connection) -> tuple[int, datetime | None]:
    """How many tickets wait for a step, now or later, and when the next one is due."""
    row = connection.execute(
        sa.select(sa.func.count(), sa.func.min(tickets.c.due_at)).where(tickets.c.due_at.is_not(None))
    ).one()
    return int(row[0]), row[1]


def free_the_dead(connection: sa.Connection) -> int:
    """End the leases of processes of this machine that no longer live; returns how many."""
    owners = connection.execute(
        sa.select(tickets.c.lease_owner).where(tickets.c.lease_owner.is_not(None)).distinct()
    ).scalars()
    dead = [owner for owner in owners if _is_dead(owner)]
    return _free(connection, dead)


def _free(connection: sa.Connection, owners: Iterable[str]) -> int:
    owners = list(owners)
    if not owners:
        return 0
    result = connection.execute(
        tickets.update()
        .where(tickets.c.lease_owner.in_(owners))
        .values(lease_token=tickets.c.lease_token + 1, lease_owner=None, lease_until=None)
    )
    return int(result.rowcount)


def _is_dead(owner: str) -> bool:
    host, _, rest = owner.partition(":")
    pid, _, started = rest.partition(":")
    if host != socket.gethostname() or not pid.isdigit():
        return False  # another machine's: only time can tell
    return _started(int(pid)) != started


def _started(pid: int) -> str:
    """When the kernel says that the process began, "alive" where it does not say, "" if there is none."""
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().rpartition(")")[2].split()[19]
    except OSError:
        if Path("/proc/self/stat").exists():
            return ""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return ""
    except PermissionError:
        pass
    return "alive"
