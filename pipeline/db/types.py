"""Column types that read the same on SQLite and PostgreSQL: aware UTC times, exact money, JSON."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

NANO = Decimal("0.000000001")

Id = sa.BigInteger().with_variant(sa.Integer, "sqlite")
Json = sa.JSON().with_variant(JSONB, "postgresql")


class UtcTime(sa.TypeDecorator[datetime]):
    """An aware datetime in UTC; a naive one is refused. SQLite keeps it as sortable text."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        if dialect.name == "sqlite":
            return dialect.type_descriptor(sa.DateTime())
        return dialect.type_descriptor(sa.DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a datetime without a time zone does not go into the database")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Money(sa.TypeDecorator[Decimal]):
    """US dollars as a whole number of billionths, so that sums are exact on every database."""

    impl = sa.BigInteger
    cache_ok = True

    def process_bind_param(self, value: Decimal | int | None, dialect: sa.Dialect) -> int | None:
        if value is None:
            return None
        return int((Decimal(value) / NANO).to_integral_value(rounding=ROUND_HALF_UP))

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> Decimal | None:
        if value is None:
            return None
        return (Decimal(int(value)) * NANO).normalize() + Decimal(0)


_clock: Callable[[], datetime] | None = None


def now() -> datetime:
    """The present moment, aware, in UTC; inside `by_clock`, what that clock says."""
    return datetime.now(UTC) if _clock is None else _clock()


def seconds() -> float:
    """A clock to measure durations by, in seconds; inside `by_clock`, that clock's."""
    return time.perf_counter() if _clock is None else _clock().timestamp()


@contextmanager
def by_clock(clock: Callable[[], datetime]) -> Iterator[None]:
    """Within the block, every thread of this process takes `clock` (aware, UTC) for the present moment.

    For what happens at other times than it is run: the simulated quarter, and tests of clocks that jump.
    """
    global _clock
    before, _clock = _clock, clock
    try:
        yield
    finally:
        _clock = before
