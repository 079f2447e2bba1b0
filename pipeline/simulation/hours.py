"""When things happen in the simulation: mails mostly by day, agents' work in their hours."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, time, timedelta
from random import Random
from zoneinfo import ZoneInfo

_OPENS, _SHUTS = time(8), time(17)


def arrival(rng: Random, start: datetime, until: datetime, growth: float = 1.0) -> datetime:
    """When a mail arrives: mostly on working days, mostly by day. With a `growth` of 2, ever more of them."""
    while True:
        at = start + (until - start) * math.pow(rng.random(), 1 / growth)
        share = (1.0 if at.weekday() < 5 else 0.25) * (1.0 if 6 <= at.hour < 20 else 0.15)
        if rng.random() < share:
            return at.replace(microsecond=0)


def on_the_edge(at: datetime, zone: str) -> bool:
    """Whether it is the week's last hour: then a reading might fall into another week than its mail."""
    local = at.astimezone(ZoneInfo(zone))
    return local.weekday() == 6 and local.hour == 23


def working(at: datetime) -> datetime:
    """The moment itself in working hours, else a little after the next opening."""
    while True:
        if at.weekday() < 5 and _OPENS <= at.time() < _SHUTS:
            return at
        day: date = at.date() if at.time() < _OPENS else at.date() + timedelta(days=1)
        late = timedelta(seconds=at.second * 61 + at.minute * 37)  # not all at eight sharp
        at = datetime.combine(day, _OPENS, UTC) + late


def within(span: tuple[datetime, datetime], at: datetime) -> bool:
    """Whether the moment lies in the span, whose end is not part of it."""
    return span[0] <= at < span[1]
