"""What is old goes, of tickets at rest alone; second deliveries are still known, and the figures stay."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from threading import Thread
from typing import Any

import sqlalchemy as sa
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.db.store import Store
from pipeline.db.tables import (
    UNTRIMMED,
    account_facts,
    attachments,
    blobs,
    drafts,
    login_attempts,
    messages,
    raw_messages,
    tickets,
    triages,
    typed_texts,
    weekly_reports,
)
from pipeline.db.types import by_clock, now
from pipeline.ingest.files import ingest_paths
from pipeline.reports.weeks import Week
from pipeline.reports.written import written
from pipeline.retention.keeping import Days, Removed, keep
from tests.kit.live import mail
from tests.reports import busy
from tests.reports.conftest import hour
from tests.retention import canaries
from tests.retention.canaries import AT, row
from tests.retention.test_forget import dump, figures

DAYS = Days()


@contextmanager
def years_later() -> Iterator[datetime]:
    later = AT + timedelta(days=366)
    with by_clock(lambda: later):
        yield later


def one(store: Store, *columns: Any) -> sa.Row[Any]:
    with store.read() as connection:
        return connection.execute(sa.select(*columns)).one()


def test_of_a_ticket_at_rest_the_old_goes_and_the_figures_stay(store: Store, tmp_path: Path) -> None:
    busy.fill(store)
    ids = canaries.plant(store, {"pairs": []})
    with store.write() as connection:
        connection.execute(weekly_reports.update().values(document=figures(store, texts=True), made_at=AT))
        connection.execute(tickets.update().values(created_at=AT, updated_at=AT))
    counted, before = figures(store), dump(store)
    run = tmp_path / "evaluations" / "old"
    run.mkdir(parents=True)
    (run / "cases.jsonl").write_text("{}")
    os.utime(run / "cases.jsonl", (0, 0))
    os.utime(run, (0, 0))

    with years_later():
        planned = keep(store, tmp_path, DAYS, dry_run=True)
        assert dump(store) == before
        assert keep(store, tmp_path, DAYS) == planned
        assert keep(store, tmp_path, DAYS) == Removed(), "a second run finds nothing"
    # four mails of Ann and Bob, and three of nobody's that lay in quarantine for a year
    assert (planned.raw, planned.files, planned.reports, planned.evaluations) == (7, 1, 1, 1)
    assert not run.exists()
    assert figures(store) == counted
    kept = written(store, Week.parse("2026-W47"))
    assert kept is not None
    assert {pair.draft for pair in kept.pairs} <= {"[erased]", ""}
    with store.read() as connection:
        row = connection.execute(sa.select(drafts).where(drafts.c.id == ids["draft"])).one()
        assert row.text.strip() == "[erased]"
        assert len(row.text) > 400
        reading = connection.execute(sa.select(triages).where(triages.c.ticket_id == ids["ticket"])).one()
        assert (reading.fields, reading.summary, reading.topic) == ({}, "", "billing")
        text = connection.execute(
            sa.select(messages.c.text).where(messages.c.id == ids["message"])
        ).scalar_one()
        assert "CANARY" in text, "the conversation itself stays"
        for table in (account_facts, login_attempts, blobs):
            assert connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one() == 0
        typed = connection.execute(sa.select(typed_texts.c.text)).scalars()
        assert set(typed) == {"", "Dear"}, "what was typed on an open ticket stays"
        assert connection.execute(sa.select(attachments.c.filename)).scalars().all()
        open_ones = sa.select(tickets.c.trimmed_at).where(tickets.c.status == "in_review").distinct()
        assert connection.execute(open_ones).scalars().all() == [None]


def test_what_is_open_or_new_is_not_touched_and_zero_days_keep_all(
    sqlite_store: Store, tmp_path: Path
) -> None:
    """Two tickets share a file: one is old and closed, the other waits."""
    store = sqlite_store
    with store.write() as connection:
        for number, status in ((1, "closed"), (2, "in_review")):
            ticket = row(connection, "tickets", status=status, updated_at=AT, reply_token=f"t{number}")
            raw = row(connection, "raw_messages", body=b"x", state="parsed", received_at=AT)
            message = row(connection, "messages", ticket_id=ticket, raw_id=raw, html="<p>", received_at=AT)
            row(connection, "attachments", message_id=message, sha256="s", inline=False)
        row(connection, "raw_messages", body=b"y", state="stored", received_at=AT)
        connection.execute(blobs.insert().values(sha256="s", data=b"file"))
    before = dump(store)
    with years_later():
        assert keep(store, tmp_path, Days(0, 0, 0, 0)) == Removed()
        assert dump(store) == before
        assert keep(store, tmp_path, DAYS, for_s=-1) == Removed(finished=False)
        done = keep(store, tmp_path, DAYS)
    assert (done.raw, done.files, done.tickets) == (1, 0, 1)
    with store.read() as connection:
        bodies = (
            connection.execute(sa.select(raw_messages.c.body).order_by(raw_messages.c.id)).scalars().all()
        )
        assert bodies == [None, b"x", b"y"]
        assert connection.execute(sa.select(messages.c.html).order_by(messages.c.id)).scalars().all() == [
            None,
            "<p>",
        ]
    with store.write() as connection:
        connection.execute(tickets.update().values(status="closed"))
    with years_later():
        assert keep(store, tmp_path, DAYS, for_s=60).files == 1


def test_the_same_mail_is_still_known_when_its_bytes_are_gone(sqlite_store: Store, tmp_path: Path) -> None:
    for name, headers in (
        ("1.eml", ""),
        ("2.eml", "Received: by another; Mon, 23 Nov 2026 09:00:00 +0000\r\n"),
    ):
        (tmp_path / name).write_bytes(mail("Hello there", headers=headers))
    ingest_paths(sqlite_store, [tmp_path / "1.eml"], "support")
    with sqlite_store.write() as connection:
        connection.execute(tickets.update().values(status="closed", due_at=None))
    later = now() + timedelta(days=366)
    with by_clock(lambda: later):
        assert keep(sqlite_store, tmp_path / "home", DAYS).raw == 1
        for name in ("1.eml", "2.eml"):  # by its bytes, and by its Message-ID, sender and text
            assert ingest_paths(sqlite_store, [tmp_path / name], "support").to_json()["duplicates"] == 1
    assert one(sqlite_store, sa.func.count(messages.c.id))[0] == 1


def test_two_at_once_do_no_harm(store: Store, tmp_path: Path) -> None:
    with store.write() as connection:
        ticket = row(connection, "tickets", status="closed", updated_at=AT)
        for _ in range(450):
            raw = row(connection, "raw_messages", body=b"x", state="parsed", received_at=AT)
            row(connection, "messages", ticket_id=ticket, raw_id=raw, received_at=AT)
            row(connection, "login_attempts", ok=False)
    done: list[Removed] = []
    with years_later():
        threads = [Thread(target=lambda: done.append(keep(store, tmp_path, DAYS))) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(done) == 2
    assert sum(each.raw for each in done) == 450
    assert sum(each.logins for each in done) == 450
    assert one(store, sa.func.count(raw_messages.c.body))[0] == 0


def test_the_old_is_found_by_an_index(sqlite_store: Store) -> None:
    with sqlite_store.read() as connection:
        for sql, index in (
            (
                "SELECT id FROM raw_messages WHERE body IS NOT NULL AND received_at < 1 ORDER BY received_at, id",
                "ix_raw_messages_kept",
            ),
            (
                f"SELECT id FROM tickets WHERE ({UNTRIMMED}) AND updated_at < 1 ORDER BY updated_at, id",
                "ix_tickets_untrimmed",
            ),
            ("SELECT id FROM attachments WHERE sha256 = 'x'", "ix_attachments_sha256"),
            ("SELECT id FROM messages WHERE raw_id = 1", "ix_messages_raw_id"),
            ("SELECT id FROM login_attempts WHERE at < 1 ORDER BY at", "ix_login_attempts_at"),
        ):
            plan = str(connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}").all())
            assert index in plan, plan
            assert "TEMP B-TREE" not in plan


def test_the_command_says_what_goes(sqlite_url: str, tmp_path: Path) -> None:
    store = Store(sqlite_url)
    with store.write() as connection:
        ticket = row(connection, "tickets", status="closed", updated_at=hour(-20_000))
        raw = row(connection, "raw_messages", body=b"x", state="parsed", received_at=hour(-20_000))
        row(connection, "messages", ticket_id=ticket, raw_id=raw)
    store.close()
    env = {
        "TRIAGE_HOME": str(tmp_path),
        "TRIAGE_DATABASE_URL": sqlite_url,
        "TRIAGE_KEEP_ATTACHMENTS_DAYS": "0",
    }
    said = CliRunner().invoke(app, ["retention", "--dry-run"], env=env).output
    assert "would remove        1 raw mails, older than 365 days" in said
    assert "attached files: kept for ever" in said
    assert '"raw": 1' in CliRunner().invoke(app, ["retention", "--json"], env=env).output
    assert "removed        0 raw mails" in CliRunner().invoke(app, ["retention"], env=env).output
