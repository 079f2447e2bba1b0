"""One report a week and one mail for each recipient: two schedulers, a kill at each step, a clock that jumps."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
import sqlalchemy as sa
from click.testing import Result
from typer.testing import CliRunner

from pipeline import checkup
from pipeline.assembly import Parts, weekly_report
from pipeline.cli import app
from pipeline.db.store import Store
from pipeline.db.tables import report_letters, weekly_reports
from pipeline.db.types import by_clock
from pipeline.delivery.outcomes import BY_MAIL, Accepted, Outcome, Permanent, Temporary, Uncertain
from pipeline.errors import ConfigError, InputError, NotFoundError
from pipeline.reports.rendering import as_json
from pipeline.reports.weeks import Week
from pipeline.reports.written import write, written
from pipeline.review import agents
from pipeline.steps import reporting
from pipeline.tasks import Hints, make_app, register
from tests.kit import mail_servers
from tests.kit.live import close
from tests.kit.mail_servers import SmtpServer
from tests.kit.places import free_port, wait_for
from tests.kit.reporting_process import TO, reporting_parts, tend
from tests.reports.conftest import Seed, hour

WEEK = Week.parse("2026-W47")
DUE = datetime(2026, 11, 23, 7, tzinfo=UTC)
"""Monday at 7: the week before is written."""

LATER = DUE + timedelta(minutes=20)


@pytest.fixture(scope="module")
def server() -> Iterator[SmtpServer]:
    multiprocessing.get_context("forkserver").set_forkserver_preload(["tests.kit.reporting_process"])
    with SmtpServer() as server:
        yield server


@pytest.fixture
def smtp(server: SmtpServer) -> SmtpServer:
    server.let_go()
    server.journal.clear()
    return server


def work(url: str) -> None:
    """Two judged drafts in the week."""
    store = Store(url)
    agents.add(store, "ann@shop.example", role="agent")
    with store.write() as connection:
        seed = Seed(connection)
        seed.judged(hour(20), "as_is")
        seed.judged(hour(21), "rejected")
    store.close()


@pytest.fixture
def parts(tmp_path: Path, sqlite_url: str, smtp: SmtpServer) -> Iterator[Parts]:
    work(sqlite_url)
    parts = reporting_parts(tmp_path / "home", sqlite_url, smtp.url)
    yield parts
    close(parts)


def minute(parts: Parts, at: datetime) -> None:
    with by_clock(lambda: at):
        reporting.tend(parts)


def written_weeks(store: Store) -> list[str]:
    with store.read() as connection:
        return list(connection.execute(sa.select(weekly_reports.c.week).order_by("week")).scalars())


def letters(store: Store, week: Week = WEEK) -> dict[str, str]:
    return {each.address: each.state for each in reporting.states(store, week)}


def mails(smtp: SmtpServer) -> Counter[str]:
    return Counter(address for accepted in smtp.journal for address in accepted.recipients)


# --- one a week ------------------------------------------------------------------------------------------


def test_the_week_is_written_and_mailed_once_however_often_the_schedule_looks(
    parts: Parts, smtp: SmtpServer
) -> None:
    minute(parts, DUE - timedelta(seconds=1))
    assert (written_weeks(parts.store), mails(smtp)) == ([], {})
    for minutes in (0, 1, 2, 60, -60, 3 * 24 * 60):  # an hour back as well: a clock that was set
        minute(parts, DUE + timedelta(minutes=minutes))
    assert written_weeks(parts.store) == ["2026-W47"]
    assert mails(smtp) == dict.fromkeys(TO, 1)
    assert letters(parts.store) == dict.fromkeys(TO, "sent")
    assert {mail.message["Subject"] for mail in smtp.journal} == {
        "Support week 2026-W47: rewrite rate 1 of 2"
    }
    assert {mail.sender for mail in smtp.journal} == {"support@shop.example"}


def begin(home: Path, url: str, smtp: SmtpServer, hold: str, at: datetime) -> tuple[BaseProcess, Connection]:
    context = multiprocessing.get_context("forkserver")
    here, there = context.Pipe()
    process = context.Process(target=tend, args=(home, url, smtp.url, at, hold, there))
    process.start()
    there.close()
    return process, here


def test_two_schedulers_at_once_write_one_report_and_one_mail_each(
    tmp_path: Path, database_url: str, smtp: SmtpServer
) -> None:
    work(database_url)
    both = [begin(tmp_path / name, database_url, smtp, "", DUE) for name in ("one", "two")]
    for _process, pipe in both:
        assert pipe.recv() == "ready"
    for _process, pipe in both:
        pipe.send("go")
    for process, pipe in both:
        process.join(60)
        assert process.exitcode == 0
        pipe.close()
    store = Store(database_url)
    assert written_weeks(store) == ["2026-W47"]
    assert letters(store) == dict.fromkeys(TO, "sent")
    assert mails(smtp) == dict.fromkeys(TO, 1)
    store.close()


@pytest.mark.parametrize(
    ("hold", "taken", "ends"),
    [
        ("before write", 0, "sent"),
        ("after write", 0, "sent"),
        ("before connect", 0, "uncertain"),
        ("after DATA", 1, "uncertain"),
        ("before record", 1, "uncertain"),
    ],
)
def test_a_kill_at_any_step_leaves_one_report_and_never_a_second_mail(
    tmp_path: Path, sqlite_url: str, smtp: SmtpServer, hold: str, taken: int, ends: str
) -> None:
    work(sqlite_url)
    if hold == "after DATA":
        smtp.hold("dot")
    process, pipe = begin(tmp_path / "home", sqlite_url, smtp, hold, DUE)
    if hold == "after DATA":
        wait_for(lambda: smtp.holds("dot"), "the server to have the whole mail")
    else:
        assert pipe.recv() == "held"
    assert process.pid
    os.kill(process.pid, signal.SIGKILL)
    process.join(20)
    pipe.close()
    smtp.let_go()
    assert mails(smtp) == ({TO[0]: 1} if taken else {})
    parts = reporting_parts(tmp_path / "home", sqlite_url, smtp.url)
    minute(parts, DUE + timedelta(minutes=1))
    if ends == "uncertain":  # it may still be under way elsewhere
        assert letters(parts.store)[TO[0]] == "sending"
    minute(parts, LATER)
    minute(parts, LATER + timedelta(hours=30))
    assert written_weeks(parts.store) == ["2026-W47"]
    assert letters(parts.store) == {TO[0]: ends, TO[1]: "sent"}
    assert mails(smtp) == {TO[0]: 1, TO[1]: 1} if ends == "sent" or taken else {TO[1]: 1}
    close(parts)


def test_a_person_sends_an_uncertain_letter_again_under_its_message_id(
    parts: Parts, smtp: SmtpServer
) -> None:
    with by_clock(lambda: DUE):
        reporting.write_due(parts)
        first = reporting._due(parts.store)[0]
        assert reporting.claim(parts.store, first.id, 0) is not None
        assert reporting.claim(parts.store, first.id, 0) is None  # somebody else was faster
    minute(parts, LATER)
    with pytest.raises(ConfigError, match=f"triage report --week 2026-W47 --again {TO[0]}"):
        checkup._weekly_report(parts.settings)
    with by_clock(lambda: LATER):
        with pytest.raises(InputError, match="sent"):
            reporting.send_again(parts, WEEK, TO[1])
        with pytest.raises(NotFoundError, match="no letter"):
            reporting.send_again(parts, WEEK, "nobody@shop.example")
        reporting.send_again(parts, WEEK, TO[0].upper())
    assert letters(parts.store) == dict.fromkeys(TO, "sent")
    assert checkup._weekly_report(parts.settings).startswith(
        "written on mondays at 7:00, UTC, to 2 by the mail"
    )
    assert [mail.message["Message-ID"] for mail in smtp.to(TO[0])] == [f"<{first.message_id}>"]


# --- what the clocks say ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zone", "day", "around"),
    [
        ("Europe/Berlin", "sunday", "2026-03-29T01:00"),  # 2 o'clock does not exist
        ("Europe/Berlin", "sunday", "2026-10-25T00:00"),  # 2 o'clock comes twice
        ("America/New_York", "sunday", "2026-03-08T07:00"),
        ("America/New_York", "sunday", "2026-11-01T05:00"),  # 1 o'clock comes twice, 2 o'clock once
    ],
)
def test_a_clock_change_at_the_hour_of_the_report_makes_one_report(
    parts: Parts, smtp: SmtpServer, zone: str, day: str, around: str
) -> None:
    hour_of = 1 if around.startswith("2026-11") else 2
    plan = {"zone": zone, "report_day": day, "report_hour": hour_of, "report_to": TO[0]}
    parts.settings = parts.settings.model_copy(update=plan)
    moment = datetime.fromisoformat(around).replace(tzinfo=UTC)
    week = Week.of(moment, zone).before()
    with parts.store.write() as connection:
        seed = Seed(connection, count(100))
        seed.message(seed.ticket(moment), week.bounds(zone)[0])
    assert reporting.timetable(parts.settings).moment(week) == moment
    for minutes in range(-90, 150, 30):  # each half hour, also the one that the wall shows twice
        minute(parts, moment + timedelta(minutes=minutes))
        assert written_weeks(parts.store) == ([str(week)] if minutes >= 0 else []), minutes
    assert mails(smtp) == {TO[0]: 1}


# --- empty weeks, missed weeks, late data ----------------------------------------------------------------


def test_a_week_in_which_nothing_came_in_is_written_and_says_so(parts: Parts, smtp: SmtpServer) -> None:
    minute(parts, DUE)
    minute(parts, DUE + timedelta(days=7))
    assert written_weeks(parts.store) == ["2026-W47", "2026-W48"]
    assert [mail.message["Subject"] for mail in smtp.to(TO[0])][1:] == [
        "Support week 2026-W48: nothing came in"
    ]


def test_after_weeks_without_a_schedule_all_are_written_and_the_newest_is_mailed(
    parts: Parts, smtp: SmtpServer
) -> None:
    minute(parts, DUE)
    smtp.journal.clear()
    minute(parts, DUE + timedelta(days=4 * 7))
    assert written_weeks(parts.store) == [f"2026-W{n}" for n in range(47, 52)]
    assert mails(smtp) == dict.fromkeys(TO, 1)
    assert "2026-W51" in smtp.journal[0].message["Subject"]


def test_what_comes_late_leaves_the_report_as_it_was_and_stands_in_the_next(
    parts: Parts, smtp: SmtpServer
) -> None:
    minute(parts, DUE)
    before = written(parts.store, WEEK)
    assert before is not None
    with parts.store.write() as connection:
        Seed(connection, count(100)).judged(hour(30), "rejected")
    with by_clock(lambda: LATER):
        shown = weekly_report(parts.settings, parts.store, parts.routes, str(WEEK))
        fresh = weekly_report(parts.settings, parts.store, parts.routes, str(WEEK), fresh=True)
    assert as_json(shown) == as_json(before)
    assert (shown.headline.reviewed, fresh.headline.reviewed) == (2, 3)
    assert not write(parts.store, fresh)
    assert written(parts.store, WEEK) == before
    minute(parts, DUE + timedelta(days=7))
    said = smtp.to(TO[0])[-1].message.get_body(("plain",))
    assert said is not None
    assert "1 decision of last week came in after its report" in " ".join(said.get_content().split())


# --- mail servers that fail, and settings that are missing -----------------------------------------------


def test_a_mail_server_that_is_away_is_asked_again_later(parts: Parts, smtp: SmtpServer) -> None:
    parts.__dict__.pop("mailers", None)
    away = f"smtp://127.0.0.1:{free_port()}?starttls=no"
    there = parts.settings
    parts.settings = load_with(there, away)
    minute(parts, DUE)
    assert letters(parts.store) == dict.fromkeys(TO, "waiting")
    parts.__dict__.pop("mailers", None)
    parts.settings = there
    minute(parts, DUE + timedelta(seconds=30))
    assert not mails(smtp)
    minute(parts, DUE + timedelta(seconds=61))
    assert mails(smtp) == dict.fromkeys(TO, 1)


def test_each_answer_of_a_mail_server_has_its_end(parts: Parts) -> None:
    with by_clock(lambda: DUE):
        reporting.write_due(parts)

    def attempt(at: datetime, outcome: Outcome, *, dead_first: bool = False) -> str:
        with by_clock(lambda: at):
            row = reporting._due(parts.store)[0]
            claimed = reporting.claim(parts.store, row.id, row.attempts)
            assert claimed is not None
        if dead_first:  # another scheduler gave the slow attempt up before its answer came
            with by_clock(lambda: at + timedelta(minutes=16)):
                reporting._give_up_the_dead(parts.store)
                assert letters(parts.store)[row.address] == "uncertain"
        with by_clock(lambda: at):
            reporting.record(parts.store, claimed, outcome)
        return letters(parts.store)[row.address]

    assert attempt(DUE, Permanent("550 no such user")) == "failed"
    at = DUE
    for wait in (*BY_MAIL.waits, None):  # the other letter: busy at every attempt
        assert attempt(at, Temporary("451 later")) == ("waiting" if wait else "failed")
        at += wait or timedelta(0)
    with parts.store.write() as connection:
        connection.execute(report_letters.update().values(state="waiting", attempts=0, due_at=DUE))
    assert attempt(DUE, Uncertain("no answer")) == "uncertain"
    assert attempt(DUE, Accepted("250 taken"), dead_first=True) == "sent"


def load_with(settings: reporting.Settings, url: str) -> reporting.Settings:
    from pydantic import SecretStr

    return settings.model_copy(update={"smtp_url": SecretStr(url)})


def test_without_a_mail_server_or_recipients_the_report_is_only_written(
    tmp_path: Path, sqlite_url: str, smtp: SmtpServer
) -> None:
    work(sqlite_url)
    for settings in ({"smtp_url": None}, {"smtp_url": smtp.url, "report_to": ""}):
        parts = reporting_parts(tmp_path / "home", sqlite_url, **{"report_to": ",".join(TO), **settings})
        minute(parts, DUE)
        assert written_weeks(parts.store) == ["2026-W47"]
        assert letters(parts.store) == {}
        with by_clock(lambda: DUE), pytest.raises(ConfigError, match="TRIAGE_"):
            reporting.send_now(parts, WEEK)
        close(parts)
    parts = reporting_parts(tmp_path / "home", sqlite_url, smtp.url)
    with by_clock(lambda: DUE):  # a person may still send what was only written, once
        for _ in range(2):
            assert {each.state for each in reporting.send_now(parts, WEEK)} == {"sent"}
        with pytest.raises(InputError, match="not over"):
            reporting.send_now(parts, Week.parse("2026-W48"))
    assert mails(smtp) == dict.fromkeys(TO, 1)
    close(parts)


def test_the_schedule_has_the_report_in_it(parts: Parts) -> None:
    celery = make_app(None)
    register(celery, parts, Hints(celery))
    entry = celery.conf.beat_schedule["report"]
    assert (entry["task"], entry["schedule"]) == ("triage.report", 60.0)
    with by_clock(lambda: DUE):
        celery.tasks["triage.report"]()
    assert written_weeks(parts.store) == ["2026-W47"]
    with parts.store.read() as connection:
        assert set(connection.execute(sa.select(report_letters.c.state)).scalars()) == {"sent"}


# --- by command ------------------------------------------------------------------------------------------


def test_the_command_sends_shows_and_sends_again(
    parts: Parts, smtp: SmtpServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"HOME": parts.home, "DATABASE_URL": parts.settings.database, "SMTP_URL": smtp.url}
    for name, value in (settings | {"REPORT_TO": TO[0]}).items():
        monkeypatch.setenv(f"TRIAGE_{name}", str(value))

    def triage(*words: str) -> Result:
        with by_clock(lambda: DUE - timedelta(hours=1)):  # over, but before its moment
            return CliRunner().invoke(app, ["report", *words])

    counted = json.loads(triage("--week", str(WEEK), "--json").stdout)
    assert (counted["as_written"], counted["complete"]) == (False, True)
    assert isinstance(triage("--week", "2026-W48", "--send").exception, InputError)
    assert f"\n2026-W47 {TO[0]}: sent (250 2.0.0 taken)\n" in triage("--send").stdout
    assert triage("--send").stdout == f"2026-W47 sent before: {TO[0]}: sent (250 2.0.0 taken)\n"
    with parts.store.write() as connection:
        Seed(connection, count(100)).judged(hour(30), "rejected")
        connection.execute(report_letters.update().values(state="uncertain"))
    assert "sent (250" in triage("--again", TO[0]).stdout
    assert mails(smtp) == {TO[0]: 2}
    as_was = json.loads(triage("--week", str(WEEK), "--json").stdout)
    anew = json.loads(triage("--week", str(WEEK), "--json", "--fresh").stdout)
    assert (as_was["as_written"], as_was["headline"]) == (True, counted["headline"])
    assert (anew["as_written"], anew["headline"]["reviewed"]) == (False, 3)
    file = tmp_path / "report.eml"
    assert triage("--week", str(WEEK), "--mail", str(file)).exit_code == 0
    shown, sent = mail_servers.Accepted("", (), file.read_bytes()).message, smtp.journal[0].message
    assert (shown["To"], shown["Subject"], shown["Date"]) == (sent["To"], sent["Subject"], sent["Date"])
    bodies = [mail.get_body(("html",)) for mail in (shown, sent)]
    assert bodies[0] is not None
    assert bodies[1] is not None
    assert bodies[0].get_content() == bodies[1].get_content()
