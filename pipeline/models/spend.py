"""Reservations against the caps: all scopes or none, in the caller's transaction, and their settlement.

A reservation that takes a cap past the share that the table names for an alarm raises it: once, by the same
statement. A settlement only ever lowers the sum of what is spent and reserved, so it raises none.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cache, partial
from typing import Any

import sqlalchemy as sa
import structlog
from sqlalchemy.dialects import postgresql, sqlite

from pipeline.db.tables import spend
from pipeline.db.types import Money, UtcTime, now
from pipeline.errors import BudgetExceeded
from pipeline.models.base import Cap

log = structlog.get_logger("pipeline.models")


def reserve(connection: sa.Connection, caps: Sequence[Cap], usd: Decimal) -> None:
    """Reserve `usd` in the scope of every cap; the last cent goes to one caller only.

    Each scope is one conditional statement that holds its row until the transaction ends, so racing
    workers queue up at the row and see each other's reservations. The scopes are taken in one order by
    everybody, so they cannot wait for each other in a ring. Raises `BudgetExceeded` naming the cap that
    would be passed: the caller's transaction must end in a rollback then, so that nothing stays reserved.
    Alarms are logged when the transaction commits.
    """
    for cap in _in_order(caps):
        if usd > cap.limit_usd or not _add(connection, cap, usd):
            raise BudgetExceeded(f"{cap.label} is reached", scope=cap.scope)


def settle(connection: sa.Connection, scopes: Iterable[str], *, reserved: Decimal, spent: Decimal) -> None:
    """Turn a reservation into what the call really cost, in every scope that it was reserved in."""
    at = now()
    rows = [
        {"of": scope, "reserved": reserved, "spent": spent, "at": at}
        for scope in sorted(set(scopes), reverse=True)
    ]
    if rows:  # in the order in which they were reserved: a ring of waiting cannot come about
        connection.execute(_SETTLE, rows)


def spent_in(connection: sa.Connection, scopes: Iterable[str]) -> dict[str, tuple[Decimal, Decimal]]:
    """(settled, reserved) US dollars of each scope that has any."""
    rows = connection.execute(
        sa.select(spend.c.scope, spend.c.spent_usd, spend.c.reserved_usd).where(
            spend.c.scope.in_(list(scopes))
        )
    )
    return {row.scope: (row.spent_usd, row.reserved_usd) for row in rows}


def _in_order(caps: Sequence[Cap]) -> list[Cap]:
    """One cap per scope, the strictest; narrow scopes first, so that the one row that everybody needs
    (`day:…`) is held for the shortest time."""
    strictest: dict[str, Cap] = {}
    for cap in caps:
        kept = strictest.get(cap.scope)
        if kept is None or cap.limit_usd < kept.limit_usd:
            strictest[cap.scope] = cap
    return [strictest[scope] for scope in sorted(strictest, reverse=True)]


_NEVER = Decimal(1_000_000_000)
"""At the whole of the limit there is no alarm: the cap itself speaks then."""


def _add(connection: sa.Connection, cap: Cap, usd: Decimal) -> bool:
    at = now()
    row = connection.execute(
        _statement(connection.dialect.name),
        {
            "scope": cap.scope,
            "usd": usd,
            "limit": cap.limit_usd,
            "label": cap.label,
            "alarm": cap.limit_usd * Decimal(str(cap.alarm_at)) if cap.alarm_at < 1 else _NEVER,
            "at": at,
        },
    ).one_or_none()
    if row is not None and row.alarmed_at == at:
        said = partial(_say, cap, row.spent_usd, row.reserved_usd)
        sa.event.listen(connection, "commit", said, once=True)
    return row is not None


def _say(cap: Cap, spent: Decimal, reserved: Decimal, _connection: sa.Connection) -> None:
    log.warning(
        "spend_alarm",
        cap=cap.label,
        scope=cap.scope,
        spent_usd=f"{spent:f}",
        reserved_usd=f"{reserved:f}",
        limit_usd=f"{cap.limit_usd:f}",
    )


_SETTLE = (
    spend.update()
    .where(spend.c.scope == sa.bindparam("of", type_=sa.Text))
    .values(
        reserved_usd=spend.c.reserved_usd - sa.bindparam("reserved", type_=Money),
        spent_usd=spend.c.spent_usd + sa.bindparam("spent", type_=Money),
        updated_at=sa.bindparam("at", type_=UtcTime),
    )
)


@cache
def _statement(dialect: str) -> sa.Executable:
    """One scope's reservation: refused (no row comes back) where it would pass the limit."""
    insert: Any = sqlite.insert if dialect == "sqlite" else postgresql.insert
    usd, limit, alarm = (sa.bindparam(name, type_=Money) for name in ("usd", "limit", "alarm"))
    at = sa.bindparam("at", type_=UtcTime)
    statement = insert(spend).values(
        scope=sa.bindparam("scope", type_=sa.Text),
        spent_usd=sa.literal(Decimal(0), type_=Money),
        reserved_usd=usd,
        limit_usd=limit,
        label=sa.bindparam("label", type_=sa.Text),
        alarmed_at=sa.case((usd >= alarm, at), else_=sa.null()),
        updated_at=at,
    )
    new = statement.excluded
    total = spend.c.spent_usd + spend.c.reserved_usd + new.reserved_usd
    return (  # type: ignore[no-any-return]  # the two dialects' inserts share no base that has it
        statement.on_conflict_do_update(
            index_elements=[spend.c.scope],
            set_={
                "reserved_usd": spend.c.reserved_usd + new.reserved_usd,
                "limit_usd": new.limit_usd,
                "label": new.label,
                "alarmed_at": sa.case(
                    (sa.and_(spend.c.alarmed_at.is_(None), total >= alarm), new.updated_at),
                    else_=spend.c.alarmed_at,
                ),
                "updated_at": new.updated_at,
            },
            where=total <= new.limit_usd,
        ).returning(spend.c.spent_usd, spend.c.reserved_usd, spend.c.alarmed_at)
    )


@dataclass(frozen=True)
class CapUse:
    """How far a cap of the present day, week or month is used. `kind` is the scope's first part."""

    kind: str
    scope: str
    label: str
    spent_usd: Decimal
    reserved_usd: Decimal
    limit_usd: Decimal
    alarmed_at: datetime | None


WIDE = ("day", "week", "month", "task", "route", "inbox", "agent")
"""The kinds of caps that many tickets share; those of one ticket or one customer are not listed."""


def caps_in_use(connection: sa.Connection) -> list[CapUse]:
    """The wide caps that count now and were reserved in, as they stand."""
    at = now()
    day = at.date().isoformat()
    year, week, _ = at.isocalendar()
    rows = connection.execute(
        sa.select(spend)
        .where(
            spend.c.limit_usd.is_not(None),
            sa.or_(
                spend.c.scope.in_([f"day:{day}", f"week:{year}-W{week:02}", f"month:{day[:7]}"]),
                *(sa.and_(_begins(kind), spend.c.scope.startswith(f"{kind}:"), spend.c.scope.endswith(f":{day}"))
                  for kind in WIDE[3:]),
            ),
        )
        .order_by(spend.c.scope)
    )  # fmt: skip
    return [
        CapUse(
            kind=row.scope.partition(":")[0],
            scope=row.scope,
            label=row.label or row.scope,
            spent_usd=row.spent_usd,
            reserved_usd=row.reserved_usd,
            limit_usd=row.limit_usd,
            alarmed_at=row.alarmed_at,
        )
        for row in rows
    ]


def _begins(kind: str) -> sa.ColumnElement[bool]:
    """A range of the key around all scopes of a kind, in any collation: LIKE would read a row of every ticket."""
    return sa.and_(spend.c.scope >= kind, spend.c.scope < kind[:-1] + chr(ord(kind[-1]) + 1))
