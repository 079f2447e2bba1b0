"""The shapes of metrics: a single value, values by a label, ages."""

from __future__ import annotations

import time
import weakref
from collections.abc import Mapping
from datetime import datetime, timedelta

import sqlalchemy as sa
from prometheus_client.core import GaugeMetricFamily

from pipeline.db.types import now

Family = GaugeMetricFamily

RECENT = timedelta(minutes=10)
"""The time that the gauges of what happens often look back over."""
SERIES = 500
"""Of one metric: a label's values are few by what they are (models, inboxes, hosts); this makes it sure."""

_KEPT_TIMES = 200
_KEPT_AT_MOST_S = 600.0
_kept: weakref.WeakKeyDictionary[sa.Engine, dict[str, tuple[float, dict[str, int]]]] = (
    weakref.WeakKeyDictionary()
)


def counted(
    c: sa.Connection,
    name: str,
    words: str,
    label: str,
    column: sa.Column[str],
    known: tuple[str, ...] | list[str],
) -> Family:
    """A gauge of all rows of a table by the values of a column; known values are there even when they are 0.

    The only figures that cost the more the longer the store is in use: what was found is kept for two hundred
    times as long as it took.
    """
    kept = _kept.setdefault(c.engine, {})
    until, found = kept.get(name, (0.0, {}))
    begun = time.monotonic()
    if begun >= until:
        found = {row[0]: row[1] for row in c.execute(sa.select(column, sa.func.count()).group_by(column))}
        ended = time.monotonic()
        kept[name] = (ended + min(_KEPT_AT_MOST_S, _KEPT_TIMES * (ended - begun)), found)
    return by(name, words, label, {value: found.get(value, 0) for value in sorted({*known, *found})})


def by(name: str, words: str, label: str, values: Mapping[str, float]) -> Family:
    family = Family(name, words, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family


def single(name: str, words: str, value: float) -> Family:
    return Family(name, words, value=value)


def number(c: sa.Connection, table: sa.Table, condition: sa.ColumnElement[bool]) -> int:
    return int(c.execute(sa.select(sa.func.count()).select_from(table).where(condition)).scalar_one())


def age(at: datetime | None) -> float:
    return max(0.0, (now() - at).total_seconds()) if at is not None else 0.0
