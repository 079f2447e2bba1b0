"""Which weeks the schedule has to write, and the written ones: a row a week, and a row for each letter.

What is written does not change any more. Two that write the same week at once are told apart by the
table's key: one row stands, and one letter for each address.
"""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from pipeline.db.store import Store
from pipeline.db.tables import messages, model_calls, raw_messages, report_letters, reviews, weekly_reports
from pipeline.db.types import now
from pipeline.reports.measures import Report
from pipeline.reports.reading_back import from_json
from pipeline.reports.rendering import as_json
from pipeline.reports.weeks import Week, zone_of

CATCH_UP_WEEKS = 8
"""How far back a schedule looks that was down; older weeks are counted when somebody asks for them."""


@dataclass(frozen=True)
class Timetable:
    """When a finished week is written: on `day` (0 is Monday), at `hour` o'clock of the zone."""

    day: int = 0
    hour: int = 7
    zone: str = "UTC"

    def moment(self, week: Week) -> datetime:
        """The one moment, in UTC: on the first such day after the week's end. An hour that the clocks of the
        zone skip is the hour after it, one that they show twice is the first of the two."""
        day = week.monday() + timedelta(days=7 + self.day)
        return datetime.combine(day, time(self.hour), zone_of(self.zone)).astimezone(UTC)

    def newest(self, at: datetime) -> Week:
        """The latest week whose moment has come."""
        week = Week.of(at, self.zone).before()
        while self.moment(week) > at:
            week = week.before()
        return week


def due(store: Store, timetable: Timetable, at: datetime | None = None) -> list[Week]:
    """The finished weeks that have to be written now, oldest first, at most `CATCH_UP_WEEKS`.

    After the first written week every one is, also one in which nothing came in. Before anything is written
    they begin with the first week in which something happened.
    """
    newest = timetable.newest(at or now())
    weeks = [newest.before(n) for n in range(CATCH_UP_WEEKS - 1, -1, -1)]
    with store.read() as connection:
        found = set(
            connection.execute(
                sa.select(weekly_reports.c.week).where(weekly_reports.c.week.in_([str(w) for w in weeks]))
            ).scalars()
        )
        if str(newest) in found and len(found) == len(weeks):
            return []
        first = connection.execute(sa.select(sa.func.min(weekly_reports.c.week))).scalar_one()
        missing = [week for week in weeks if str(week) not in found]
        if first is not None:
            return [week for week in missing if str(week) > first]
        while missing and not _anything(connection, *missing[0].bounds(timetable.zone)):
            missing.pop(0)
    return missing


def _anything(connection: sa.Connection, start: datetime, end: datetime) -> bool:
    """Whether anything came in, was decided or was asked of a model; each found by an index on time."""
    for table, at in (
        (messages, messages.c.received_at),
        (reviews, reviews.c.decided_at),
        (model_calls, model_calls.c.started_at),
    ):
        query = sa.select(table.c.id).where(at >= start, at < end).limit(1)
        if connection.execute(query).first() is not None:
            return True
    kept = sa.select(raw_messages.c.id).where(
        raw_messages.c.state == "quarantined",
        raw_messages.c.received_at >= start,
        raw_messages.c.received_at < end,
    )
    return connection.execute(kept.limit(1)).first() is not None


def write(store: Store, report: Report, recipients: Iterable[str] = (), *, domain: str = "localhost") -> bool:
    """Keep the report of a finished week, and a letter that waits for each recipient, in one transaction.

    False where the week was written already: then nothing changes. `domain` ends the letters' Message-IDs.
    """
    headline = report.headline
    row = {
        "week": report.week,
        "zone": report.zone,
        "made_at": report.made_at,
        "outcomes": {each.name: getattr(headline, each.name) for each in dataclasses.fields(headline)},
        "document": as_json(report),
    }
    try:
        with store.write() as connection:
            connection.execute(weekly_reports.insert().values(**row))
            address_letters(connection, report.week, recipients, domain=domain)
    except IntegrityError:
        if written(store, report.week) is None:
            raise
        return False
    return True


def address_letters(
    connection: sa.Connection, week: str, recipients: Iterable[str], *, domain: str
) -> list[str]:
    """A letter that waits, for each address that has none of this week yet; returns those addresses."""
    have = connection.execute(sa.select(report_letters.c.address).where(report_letters.c.week == week))
    known = {address.casefold() for address in have.scalars()}
    new = [address for address in recipients if address.casefold() not in known]
    for address in new:
        connection.execute(
            report_letters.insert().values(
                week=week,
                address=address,
                message_id=f"report.{week}.{secrets.token_hex(12)}@{domain}",
                state="waiting",
                attempts=0,
                due_at=now(),
            )
        )
    return new


def written(store: Store, week: str | Week) -> Report | None:
    """The report as it was written; None where it was not."""
    with store.read() as connection:
        document = connection.execute(
            sa.select(weekly_reports.c.document).where(weekly_reports.c.week == str(week))
        ).scalar_one_or_none()
    return from_json(Report, document) if document is not None else None
