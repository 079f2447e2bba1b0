"""ISO weeks in a team's time zone: Monday 00:00 to the next Monday 00:00, as the clocks there say."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pipeline.errors import InputError

YEARS = range(1971, 9999)
"""Beyond them a calendar has no weeks before or after to compare with."""


@dataclass(frozen=True, order=True)
class Week:
    """A week of the ISO calendar, e.g. 2026-W47."""

    year: int
    number: int

    @classmethod
    def parse(cls, text: str) -> Week:
        """2026-W47 → the week; raises `InputError`."""
        match = re.fullmatch(r"(\d{4})-?W(\d{1,2})", text.strip(), re.IGNORECASE)
        try:
            if match is None:
                raise ValueError
            week = cls(int(match[1]), int(match[2]))
            week.monday()
            if week.year not in YEARS:
                raise ValueError
        except ValueError:
            raise InputError(f"{text!r} is not a week; write it like 2026-W47") from None
        return week

    @classmethod
    def of(cls, moment: datetime, zone: str = "UTC") -> Week:
        """The week that an aware moment lies in, by the clocks of the zone."""
        year, number, _day = moment.astimezone(zone_of(zone)).isocalendar()
        return cls(year, number)

    def monday(self) -> date:
        return date.fromisocalendar(self.year, self.number, 1)

    def bounds(self, zone: str = "UTC") -> tuple[datetime, datetime]:
        """Its beginning and its end (which belongs to the next week), in UTC. A week with a clock change
        has 167 or 169 hours."""
        return _midnight(self.monday(), zone), _midnight(self.monday() + timedelta(days=7), zone)

    def before(self, weeks: int = 1) -> Week:
        year, number, _day = (self.monday() - timedelta(weeks=weeks)).isocalendar()
        return Week(year, number)

    def __str__(self) -> str:
        return f"{self.year}-W{self.number:02d}"


def zone_of(name: str) -> ZoneInfo:
    """The time zone of a name like Europe/Berlin; raises `InputError`."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InputError(f"{name!r} is not a time zone; write it like Europe/Berlin or UTC") from None


def _midnight(day: date, zone: str) -> datetime:
    return datetime.combine(day, time(), zone_of(zone)).astimezone(UTC)
