"""Which weeks are due when, and that a written report reads back as it was."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count

import pytest
import sqlalchemy as sa

from pipeline.db.store import Store
from pipeline.db.tables import report_letters, weekly_reports
from pipeline.errors import ConfigError
from pipeline.reports.measures import Report, report
from pipeline.reports.reading_back import from_json
from pipeline.reports.rendering import FORMATS, as_json, render
from pipeline.reports.weeks import Week
from pipeline.reports.written import CATCH_UP_WEEKS, Timetable, due, write, written
from pipeline.routing.table import Budgets
from pipeline.settings import load
from tests.reports.conftest import MONDAY, WEEK, Seed

BUDGETS = Budgets(
    day=Decimal(20), ticket=None, customer_day=None, agent_day=None, task_day={"draft": Decimal(15)}
)
PLAN = Timetable()
MONDAY_AT_7 = MONDAY + timedelta(days=7, hours=7)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("plan", "week", "moment"),
    [
        (Timetable(0, 7, "UTC"), "2026-W47", "2026-11-23T07:00"),
        (Timetable(0, 0, "UTC"), "2026-W47", "2026-11-23T00:00"),  # the first moment after the week
        (Timetable(6, 23, "Asia/Tokyo"), "2026-W52", "2027-01-03T14:00"),
        (Timetable(6, 2, "Europe/Berlin"), "2026-W12", "2026-03-29T01:00"),  # 2 o'clock is skipped: 3 o'clock
        (Timetable(6, 2, "Europe/Berlin"), "2026-W42", "2026-10-25T00:00"),  # it comes twice: the first
        (Timetable(6, 2, "America/New_York"), "2026-W09", "2026-03-08T07:00"),
        (Timetable(6, 1, "America/New_York"), "2026-W43", "2026-11-01T05:00"),
    ],
)
def test_each_week_has_one_moment_by_the_clocks_of_its_zone(plan: Timetable, week: str, moment: str) -> None:
    assert plan.moment(Week.parse(week)) == utc(moment)
    assert str(plan.newest(utc(moment))) == week
    assert plan.newest(utc(moment) - timedelta(microseconds=1)) == Week.parse(week).before()


def make(store: Store, week: str, at: datetime) -> Report:
    made = report(store, Week.parse(week), budgets=BUDGETS, made_at=at)
    assert write(store, made)
    return made


def weeks_due(store: Store, at: datetime) -> list[str]:
    return [str(week) for week in due(store, PLAN, at)]


def test_a_fresh_store_begins_with_the_first_week_in_which_something_happened(sqlite_store: Store) -> None:
    assert weeks_due(sqlite_store, MONDAY_AT_7) == []
    with sqlite_store.write() as connection:
        seed = Seed(connection)
        seed.message(seed.ticket(MONDAY), MONDAY - timedelta(days=10))
    assert weeks_due(sqlite_store, MONDAY_AT_7 - timedelta(seconds=1)) == ["2026-W45", "2026-W46"]
    assert weeks_due(sqlite_store, MONDAY_AT_7 + timedelta(days=7)) == [
        "2026-W45", "2026-W46", "2026-W47", "2026-W48",
    ]  # fmt: skip
    with sqlite_store.write() as connection:
        seed = Seed(connection, count(10))
        seed.message(seed.ticket(MONDAY), MONDAY - timedelta(days=400))
    assert len(weeks_due(sqlite_store, MONDAY_AT_7 + timedelta(days=70))) == 0  # nothing in the last weeks


def test_after_the_first_every_week_is_due_and_older_ones_are_not(sqlite_store: Store) -> None:
    make(sqlite_store, "2026-W47", MONDAY_AT_7)
    assert weeks_due(sqlite_store, MONDAY_AT_7) == []
    assert weeks_due(sqlite_store, MONDAY_AT_7 + timedelta(days=21)) == ["2026-W48", "2026-W49", "2026-W50"]
    make(sqlite_store, "2026-W49", MONDAY_AT_7)  # a hole is filled
    assert weeks_due(sqlite_store, MONDAY_AT_7 + timedelta(days=14)) == ["2026-W48"]
    later = weeks_due(sqlite_store, MONDAY_AT_7 + timedelta(days=700))
    assert len(later) == CATCH_UP_WEEKS
    assert later == sorted(later)


def test_what_was_written_reads_back_the_same_in_every_form(seeded: Store) -> None:
    made = make(seeded, WEEK, MONDAY_AT_7)
    kept = written(seeded, WEEK)
    assert kept is not None
    assert as_json(kept) == as_json(made)
    for form in FORMATS:
        assert render(kept, form) == render(made, form)
    with seeded.read() as connection:
        outcomes = connection.execute(sa.select(weekly_reports.c.outcomes)).scalar_one()
    assert (outcomes["as_is"], sum(outcomes.values())) == (made.headline.as_is, 17)


def test_a_week_is_written_once_with_one_letter_for_each_recipient(sqlite_store: Store) -> None:
    made = report(sqlite_store, Week.parse(WEEK), made_at=MONDAY_AT_7)
    assert write(sqlite_store, made, ["a@shop.example"], domain="shop.example")
    assert not write(sqlite_store, made, ["b@shop.example"], domain="shop.example")
    with sqlite_store.read() as connection:
        row = connection.execute(sa.select(report_letters)).one()
    assert (row.address, row.state, row.attempts) == ("a@shop.example", "waiting", 0)
    assert row.message_id.endswith("@shop.example")


def test_a_document_of_an_older_release_is_shown_with_what_it_has() -> None:
    times = {"start": MONDAY.isoformat(), "end": MONDAY_AT_7.isoformat(), "made_at": MONDAY_AT_7.isoformat()}
    old = from_json(Report, {"week": WEEK, "zone": "UTC", **times})
    assert old.headline.reviewed == 0
    assert (old.cuts, old.before, old.start) == ((), None, MONDAY)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("zone", "Mars", "TRIAGE_ZONE: 'Mars' is not a time zone"),
        ("report_day", "someday", "TRIAGE_REPORT_DAY: 'someday' is not a day"),
        ("report_hour", 24, "TRIAGE_REPORT_HOUR: "),
        ("report_to", "a@shop.example, b", "TRIAGE_REPORT_TO: 'b' is not a mail address"),
        ("report_to", "a@shop.example\r\nBcc: x@y.example", "TRIAGE_REPORT_TO: "),
        ("report_from", "a@shop.example,b@shop.example", "TRIAGE_REPORT_FROM: a report comes from one"),
    ],
)
def test_a_setting_that_cannot_be_is_one_plain_line(name: str, value: object, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(**{name: value})
    assert str(caught.value).startswith(words)
    assert "\n" not in str(caught.value)


def test_recipients_are_separated_by_commas_and_each_stands_once() -> None:
    assert load(report_to=" a@x.example ,, B@x.example,b@x.example ").report_recipients == (
        "a@x.example", "b@x.example",
    )  # fmt: skip
    assert load(report_day="Sunday").report_day == "sunday"
