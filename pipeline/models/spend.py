"""Reservations against the caps: all scopes or none, in the caller's transaction, and their settlement."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from pipeline.db.tables import spend
from pipeline.db.types import now
from pipeline.errors import BudgetExceeded
from pipeline.models.base import Cap


def reserve(connection: sa.Connection, caps: Sequence[Cap], usd: Decimal) -> None:
    """Reserve `usd` in the scope of every cap; the last cent goes to one caller only.

    Each scope is one conditional statement that holds its row until the transaction ends, so racing
    workers queue up at the row and see each other's reservations. The scopes are taken in one order by
    everybody, so they cannot wait for each other in a ring. Raises `BudgetExceeded` naming the cap that
    would be passed: the caller's transaction must end in a rollback then, so that nothing stays reserved.
    """
    for cap in _in_order(caps):
        if usd > cap.limit_usd or not _add(connection, cap, usd):
            raise BudgetExceeded(f"{cap.label} is reached", scope=cap.scope)


def settle(connection: sa.Connection, scopes: Iterable[str], *, reserved: Decimal, spent: Decimal) -> None:
    """Turn a reservation into what the call really cost, in every scope that it was reserved in."""
    for scope in sorted(set(scopes), reverse=True):
        connection.execute(
            spend.update()
            .where(spend.c.scope == scope)
            .values(
                reserved_usd=spend.c.reserved_usd - reserved,
                spent_usd=spend.c.spent_usd + spent,
                updated_at=now(),
            )
        )


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


def _add(connection: sa.Connection, cap: Cap, usd: Decimal) -> bool:
    insert: Any = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    statement = insert(spend).values(
        scope=cap.scope, spent_usd=Decimal(0), reserved_usd=usd, updated_at=now()
    )
    limit = sa.bindparam("limit_usd", cap.limit_usd, type_=spend.c.spent_usd.type)
    statement = statement.on_conflict_do_update(
        index_elements=[spend.c.scope],
        set_={
            "reserved_usd": spend.c.reserved_usd + statement.excluded.reserved_usd,
            "updated_at": statement.excluded.updated_at,
        },
        where=spend.c.spent_usd + spend.c.reserved_usd + statement.excluded.reserved_usd <= limit,
    ).returning(spend.c.scope)
    return connection.execute(statement).one_or_none() is not None
