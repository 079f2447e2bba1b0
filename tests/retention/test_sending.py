"""After a restore nothing goes out until a person releases it: an old dump over a history that went on."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from pipeline import checkup
from pipeline.assembly import Parts
from pipeline.cli import app
from pipeline.db import sending
from pipeline.db.sending import Witness
from pipeline.db.store import Store
from pipeline.db.tables import replies, reviews, tickets
from pipeline.db.types import by_clock, now
from pipeline.errors import InputError, StoreError
from pipeline.ingest.files import ingest_paths
from pipeline.review import agents
from pipeline.steps import run_until_idle
from tests.kit.live import close, live_parts, mail
from tests.kit.mail_servers import SmtpServer
from tests.retention.canaries import row


@pytest.fixture(scope="module")
def smtp() -> Iterator[SmtpServer]:
    with SmtpServer() as server:
        yield server


def begin(home: Path, url: str, smtp: SmtpServer) -> Parts:
    return live_parts(home, url, smtp_url=smtp.url)


def two_approved(parts: Parts, folder: Path) -> None:
    """Two customers' mails, read, drafted, and both drafts approved by Ann."""
    folder.mkdir()
    for number in (1, 2):
        raw = mail(
            f"Where is order A-{number}123?", sender=f"c{number}@x.example", message_id=f"m{number}@x.example"
        )
        (folder / f"{number}.eml").write_bytes(raw)
    ingest_paths(parts.store, [folder], "support", inboxes=parts.inboxes)
    run_until_idle(parts, threads=1)
    ann = agents.add(parts.store, "ann@shop.example", role="lead")
    with parts.store.read() as connection:
        query = sa.select(reviews.c.id, tickets.c.version).join(tickets, tickets.c.id == reviews.c.ticket_id)
        found = connection.execute(query.where(reviews.c.state == "open")).all()
    for each in found:
        parts.desk.replace(each.id, ann, each.version, "We look into it.")


def test_an_old_dump_over_a_running_history_sends_nothing_until_a_person_releases_it(
    sqlite_url: str, tmp_path: Path, smtp: SmtpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    smtp.journal.clear()
    parts = begin(tmp_path / "home", sqlite_url, smtp)
    two_approved(parts, tmp_path / "mails")
    # the backup, as docs/operations.md says: while it runs
    path, dump = Path(str(parts.store.url.database)), tmp_path / "dump.db"
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(dump)) as target:
        source.backup(target)
    run_until_idle(parts, threads=1)
    assert len(smtp.journal) == 2, "the history goes on: both replies are out"
    close(parts)

    for leftover in path.parent.glob(f"{path.name}-*"):
        leftover.unlink()
    shutil.copy(dump, path)
    parts = begin(tmp_path / "home", sqlite_url, smtp)
    run_until_idle(parts, threads=1)
    parts.keep_house()
    run_until_idle(parts, threads=1)
    assert len(smtp.journal) == 2, "the restored database sends neither again"
    found = sending.state(parts.store)
    assert found.held is not None
    assert "restored" in found.held.why
    assert found.waiting == (1, 2)

    env = {
        "TRIAGE_HOME": str(tmp_path / "home"), "TRIAGE_DATABASE_URL": sqlite_url, "TRIAGE_SMTP_URL": smtp.url,
    }  # fmt: skip
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    line = next(each for each in checkup.check_all() if each.what == "sending")
    assert not line.ok
    assert "triage sending release" in line.words

    def triage(*words: str) -> str:
        return str(CliRunner().invoke(app, ["sending", *words]).output)

    assert "2 replies wait, on #1, #2" in triage("status")
    with parts.store.write() as connection:  # the person sees that the first is out, and takes it back
        connection.execute(tickets.update().where(tickets.c.id == 1).values(status="in_review", due_at=None))
        connection.execute(replies.update().where(replies.c.ticket_id == 1).values(state="withdrawn"))
    refused = CliRunner().invoke(app, ["sending", "release", "--as", "nobody@shop.example"])
    assert isinstance(refused.exception, InputError)
    assert "released: 1 replies that wait go out now" in triage("release", "--as", "ann@shop.example")
    later = now() + timedelta(seconds=11)
    with by_clock(lambda: later):
        run_until_idle(parts, threads=1)
    assert len(smtp.journal) == 3
    assert "last released" in triage("status")
    assert next(each for each in checkup.check_all() if each.what == "sending").ok
    close(parts)


def witness(store: Store, home: Path, hours: float | None = 12) -> Witness:
    return Witness(store, home, None if hours is None else timedelta(hours=hours))


def test_a_running_process_finds_out_and_other_machines_take_a_persons_word(
    store: Store, tmp_path: Path
) -> None:
    """Two machines; the database is set back under both, released once, and set back once more."""
    here, there = witness(store, tmp_path / "a"), witness(store, tmp_path / "b")
    with store.write() as connection:
        row(connection, "tickets", status="in_review")
    assert here.take_turn() is None
    with store.read() as connection:
        dump = dict(connection.execute(sa.select(sending.table)).mappings().one())

    def restore() -> None:
        with store.write() as connection:
            connection.execute(sending.table.update().values(**dump))

    assert there.take_turn() is None
    assert here.take_turn() is None
    restore()
    for machine in (here, there):
        held = machine.take_turn()
        assert held is not None
        assert "older than what was last sent" in held.why
    assert sending.release(store, "agent:ann@shop.example") == 0
    with pytest.raises(InputError, match="not held"):
        sending.release(store, "agent:ann@shop.example")
    assert (here.take_turn(), there.take_turn(), here.beat()) == (None, None, None)
    restore()
    assert there.beat() is not None


def test_without_a_witness_the_clock_stands_in(sqlite_store: Store, tmp_path: Path) -> None:
    """A dump on a new machine: held where replies wait and nobody worked on it for long."""
    store = sqlite_store
    assert witness(store, tmp_path / "old").take_turn() is None
    later = now() + timedelta(hours=13)
    with by_clock(lambda: later):
        assert witness(store, tmp_path / "new").beat() is None, "nothing waits"
    with store.write() as connection:
        ticket = row(connection, "tickets", status="approved")
        row(connection, "agents", id=1, role="agent")
        review = row(connection, "reviews", ticket_id=ticket, state="decided")
        message = row(connection, "messages", ticket_id=ticket)
        row(
            connection,
            "replies",
            ticket_id=ticket,
            review_id=review,
            answers_id=message,
            agent_id=1,
            state="waiting",
        )
    later += timedelta(hours=11)
    with by_clock(lambda: later):
        assert witness(store, tmp_path / "new").beat() is None
    later += timedelta(hours=13)
    with by_clock(lambda: later):
        assert witness(store, tmp_path / "new", None).take_turn() is None, "0 hours: the clock is left out"
    later += timedelta(hours=13)
    with by_clock(lambda: later):
        held = witness(store, tmp_path / "newer").take_turn()
    assert held is not None
    assert "nobody worked on this database for 13 hours" in held.why


def test_another_database_is_held_and_an_empty_one_is_not(sqlite_store: Store, tmp_path: Path) -> None:
    (tmp_path / sending.FILE).write_text('{"store": "another", "era": 0, "turn": 1}')
    machine = witness(sqlite_store, tmp_path)
    assert machine.take_turn() is None, "nothing could be answered twice"
    (tmp_path / sending.FILE).write_text('{"store": "another", "era": 0, "turn": 1}')
    with sqlite_store.write() as connection:
        row(connection, "tickets", status="in_review")
    assert machine.take_turn() is not None


def test_a_witness_that_cannot_be_read_holds_and_says_what_mends_it(
    sqlite_store: Store, tmp_path: Path
) -> None:
    (tmp_path / sending.FILE).write_text("{")
    with pytest.raises(StoreError, match="triage sending hold, delete it"):
        witness(sqlite_store, tmp_path).take_turn()


def test_a_hold_by_hand_stands_until_it_is_released(sqlite_store: Store, tmp_path: Path) -> None:
    sending.hold(sqlite_store, "operator", "we move")
    held = witness(sqlite_store, tmp_path).take_turn()
    assert held is not None
    assert (held.why, held.by) == ("we move", "operator")
    assert sending.held(sqlite_store) == held
