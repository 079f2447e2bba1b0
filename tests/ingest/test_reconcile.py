"""Watchers over days and side by side: the daily comparison of every UID, and one that fails beside one that works."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.db.store import Store
from pipeline.db.tables import imap_uids, messages
from pipeline.ingest.imap import (
    RECONCILE_EVERY_S,
    RECONCILE_FIRST_S,
    Synced,
    _Daily,
    _looks,
    connected,
    watch,
)
from pipeline.ingest.imap_fetch import Suspects
from pipeline.ingest.inboxes import ImapInbox
from pipeline.ingest.mailboxes import mailboxes_of
from tests.ingest import imap_servers
from tests.ingest.imap_servers import Server
from tests.ingest.mails import count, mail


@pytest.fixture
def dovecot(tmp_path: Path) -> Iterator[Server]:
    home = tmp_path / "imap"
    home.mkdir()
    with imap_servers.dovecot(home) as running:
        yield running


def first_look(inbox: ImapInbox, store: Store, daily: _Daily) -> Synced:
    """What a watcher's first look on a new connection brings."""
    with connected(inbox) as client:
        return next(
            _looks(
                client, inbox, store, threading.Event(), None, {inbox.name: inbox}, Suspects(), daily, None
            )
        )


def test_the_daily_comparison_comes_although_the_connection_breaks(dovecot: Server, store: Store) -> None:
    person = dovecot.client()
    for number in range(3):
        person.append("INBOX", mail(f"mail {number}", message_id=f"<{number}@c>"))
    inbox = dovecot.inbox()
    daily = _Daily()
    assert first_look(inbox, store, daily) == Synced(stored=3)
    with store.write() as connection:  # our record lost a mail that is there
        connection.execute(imap_uids.delete().where(imap_uids.c.uid == 2))
    assert first_look(inbox, store, daily) == Synced()
    daily.due_at -= RECONCILE_FIRST_S
    assert first_look(inbox, store, daily) == Synced(stored=1)
    assert not daily.due()
    with store.write() as connection:
        connection.execute(imap_uids.delete().where(imap_uids.c.uid == 2))
    assert first_look(inbox, store, daily) == Synced()  # not before the next day
    daily.due_at -= RECONCILE_EVERY_S
    assert first_look(inbox, store, daily) == Synced(stored=1)
    assert count(store, messages) == 3


def test_an_inbox_that_fails_holds_up_no_other_and_its_state_shows(dovecot: Server, store: Store) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        nobody_there = taken.getsockname()[1]
    stop = threading.Event()
    both = [dovecot.inbox(name="away", port=nobody_there), dovecot.inbox(name="works")]
    threads = [threading.Thread(target=watch, args=(inbox, store, stop)) for inbox in both]
    for thread in threads:
        thread.start()
    try:
        dovecot.client().append("INBOX", mail())
        until = time.monotonic() + 20
        found: dict[str, str] = {}
        while count(store, messages) == 0 or found != {"away": "failing", "works": "ok"}:
            assert time.monotonic() < until, found
            time.sleep(0.05)
            with store.read() as connection:
                found = {one.inbox: one.state for one in mailboxes_of(connection)}
    finally:
        stop.set()
        for thread in threads:
            thread.join(20)
