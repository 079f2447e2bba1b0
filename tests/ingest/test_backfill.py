from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from pipeline.db.store import Store
from pipeline.db.tables import messages, raw_messages
from pipeline.ingest import imap_fetch
from pipeline.ingest.backfill import Filled, fill, wanted
from pipeline.ingest.imap import Synced, connected, sync
from pipeline.ingest.inboxes import ImapInbox
from tests.ingest import imap_servers
from tests.ingest.imap_servers import USER, Server
from tests.ingest.mails import count, mail

BATCH = imap_fetch.BATCH_MESSAGES


@pytest.fixture(params=["pymap", "dovecot"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    home = tmp_path / "imap"
    home.mkdir()
    with getattr(imap_servers, request.param)(home) as running:
        yield running


@pytest.fixture
def dovecot(tmp_path: Path) -> Iterator[Server]:
    home = tmp_path / "imap"
    home.mkdir()
    with imap_servers.dovecot(home) as running:
        yield running


def numbered(number: int) -> bytes:
    return mail(f"mail {number}", message_id=f"<{number}@c>")


def look(inbox: ImapInbox, store: Store, **more: Any) -> Synced:
    with connected(inbox) as client:
        return sync(client, inbox, store, **more)


def backfill(inbox: ImapInbox, store: Store, since: date | None = None, **more: Any) -> Filled:
    with connected(inbox) as client:
        return fill(client, inbox, store, wanted(client, inbox, store, since), **more)


def ids(store: Store) -> list[str]:
    with store.read() as connection:
        return list(connection.execute(sa.select(messages.c.message_id).order_by(messages.c.id)).scalars())


def test_what_came_before_we_began_is_fetched_once_beside_the_watcher(server: Server, store: Store) -> None:
    person = server.client()
    for number in range(5):
        person.append("INBOX", numbered(number))
    inbox = server.inbox(start="now")
    assert look(inbox, store) == Synced()
    person.append("INBOX", numbered(5))
    assert look(inbox, store) == Synced(stored=1)
    assert backfill(inbox, store).stored >= 5  # one of the servers has mail of its own
    assert {f"{number}@c" for number in range(6)} <= set(ids(store))
    there = count(store, raw_messages)
    assert backfill(inbox, store) == Filled()
    assert look(inbox, store, reconcile=True) == Synced()
    assert count(store, raw_messages) == there


def test_an_interrupted_backfill_goes_on_where_it_was(dovecot: Server, store: Store) -> None:
    person = dovecot.client()
    for number in range(BATCH * 2 + 10):
        person.append("INBOX", numbered(number))
    inbox = dovecot.inbox(start="now")
    assert look(inbox, store) == Synced()
    stop = threading.Event()
    steps: list[int] = []

    def progress(done: int) -> None:
        steps.append(done)
        stop.set()

    assert backfill(inbox, store, stop=stop, progress=progress) == Filled(stored=BATCH, left=BATCH + 10)
    assert steps == [BATCH]
    assert f"{BATCH * 2 + 9}@c" in ids(store)  # the newest came first
    assert "0@c" not in ids(store)
    assert look(inbox, store, reconcile=True) == Synced()  # the rest is left to whoever asked for it
    assert backfill(inbox, store) == Filled(stored=BATCH + 10)
    assert sorted(ids(store)) == sorted(f"{number}@c" for number in range(BATCH * 2 + 10))


def test_a_backfill_since_a_day_leaves_older_mail_alone(dovecot: Server, store: Store) -> None:
    person = dovecot.client()
    months = [3, 1, 4, 2, 5]  # somebody moved mail about: the numbers do not go with the days
    for number, month in enumerate(months):
        person.append("INBOX", numbered(number), msg_time=datetime(2026, month, 5, tzinfo=UTC))
    inbox = dovecot.inbox(start="now")
    assert backfill(inbox, store, date(2026, 3, 1)) == Filled(stored=3)
    assert sorted(ids(store)) == ["0@c", "2@c", "4@c"]
    assert look(inbox, store, reconcile=True) == Synced()
    assert backfill(inbox, store, date(2026, 2, 1)) == Filled(stored=1)
    assert backfill(inbox, store) == Filled(stored=1)
    assert count(store, raw_messages) == 5


def test_the_command_is_interrupted_and_goes_on(dovecot: Server, sqlite_store: Store, tmp_path: Path) -> None:
    person = dovecot.client()
    for number in range(600):
        person.append("INBOX", numbered(number))
    (tmp_path / "password").write_text(dovecot.password, encoding="utf-8")
    (tmp_path / "inboxes.toml").write_text(
        f'[inbox.support]\nkind = "imap"\nhost = "127.0.0.1"\nport = {dovecot.port}\nusername = "{USER}"\n'
        f'password_file = "{tmp_path / "password"}"\ntls = "none"\n',
        encoding="utf-8",
    )
    command = [sys.executable, "-c", "from pipeline.cli import main; main()", "backfill", "support"]
    environment = {
        **os.environ,
        "TRIAGE_HOME": str(tmp_path),
        "TRIAGE_DATABASE_URL": sqlite_store.url.render_as_string(hide_password=False),
    }
    first = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    until = time.monotonic() + 30
    while count(sqlite_store, raw_messages) == 0:
        assert time.monotonic() < until, "nothing arrived"
        assert first.poll() is None, "it ended by itself"
        time.sleep(0.005)
    first.send_signal(signal.SIGINT)
    _said, beside = first.communicate(timeout=30)
    assert first.returncode == 130, beside
    assert "go on with: triage backfill support" in beside
    assert 0 < count(sqlite_store, raw_messages) < 600
    again = subprocess.run(
        [*command, "--json"], env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    counts = json.loads(again.stdout)
    assert counts["stored"] + counts["known"] == 600
    assert (counts["left"], counts["failed"], counts["gone"]) == (0, 0, 0)
    assert count(sqlite_store, messages) == 600
    wrong = subprocess.run(
        [*command[:-1], "nobody"], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert "there are: support" in wrong.stderr
