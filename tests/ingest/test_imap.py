from __future__ import annotations

import contextlib
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from imapclient import IMAPClient

from pipeline.db.store import Store
from pipeline.db.tables import imap_folders, messages, raw_messages, tickets
from pipeline.db.types import now
from pipeline.errors import ConfigError
from pipeline.ingest import imap, imap_fetch, uids
from pipeline.ingest.imap import Synced, connected, sync, try_login, watch
from pipeline.ingest.imap_fetch import Suspects
from pipeline.ingest.inboxes import ImapInbox
from pipeline.ingest.intake import take_stored
from tests.ingest import imap_servers
from tests.ingest.imap_servers import Server
from tests.ingest.mails import count, mail, raw_states
from tests.kit import places


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


def numbered(number: int, text: str = "") -> bytes:
    return mail(f"mail {number} {text}", message_id=f"<{number}@c>")


def put(person: IMAPClient, *raws: bytes, folder: str = "INBOX") -> None:
    for raw in raws:
        person.append(folder, raw)


def look(inbox: ImapInbox, store: Store, **more: Any) -> Synced:
    with connected(inbox) as client:
        return sync(client, inbox, store, **more)


def folder_row(store: Store) -> Any:
    with store.read() as connection:
        return connection.execute(sa.select(imap_folders)).one()


def gone(store: Store) -> int:
    with store.read() as connection:
        return uids.gone(connection, "support")


def wait_for(condition: Callable[[], object], seconds: float = 15.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.03)


@contextlib.contextmanager
def watching(inbox: ImapInbox, store: Store, hints: list[int]) -> Iterator[threading.Event]:
    stop = threading.Event()
    thread = threading.Thread(target=watch, args=(inbox, store, stop, hints.append))
    thread.start()
    try:
        yield stop
    finally:
        stop.set()
        thread.join(20)
        assert not thread.is_alive()


def test_every_mail_is_taken_once_and_left_unread(server: Server, store: Store) -> None:
    person = server.client()
    put(person, *(numbered(number) for number in range(7)))
    inbox = server.inbox()
    hints: list[int] = []
    before = look(inbox, store, on_ticket=hints.append)
    assert before.stored >= 7
    assert look(inbox, store) == Synced()
    person.select_folder("INBOX", readonly=True)
    mine = [uid for uid in person.search(["ALL"]) if uid > before.stored - 7]
    assert all(b"\\Seen" not in flags[b"FLAGS"] for flags in person.fetch(mine, ["FLAGS"]).values())
    with store.read() as connection:
        ids = connection.execute(sa.select(messages.c.message_id)).scalars().all()
    assert {f"{number}@c" for number in range(7)} <= set(ids)
    assert folder_row(store).last_ok_at is not None


def test_a_person_who_reads_and_deletes_makes_no_ticket_vanish(dovecot: Server, store: Store) -> None:
    person = dovecot.client()
    inbox = dovecot.inbox()
    put(person, numbered(1))
    look(inbox, store)
    put(person, *(numbered(number) for number in range(2, 8)))
    person.select_folder("INBOX")
    person.add_flags([2, 3, 4], [b"\\Seen"])
    person.delete_messages([4, 7])
    person.expunge()
    person.delete_messages([1])
    person.expunge()
    assert look(inbox, store) == Synced(stored=4, gone=2)
    assert gone(store) == 2
    assert folder_row(store).watermark == 7
    assert look(inbox, store) == Synced()
    assert count(store, messages) == 5


def test_the_first_connection_starts_now_unless_told_otherwise(server: Server, store: Store) -> None:
    person = server.client()
    put(person, numbered(1))
    inbox = server.inbox(start="now")
    assert look(inbox, store) == Synced()
    put(person, numbered(2))
    assert look(inbox, store) == Synced(stored=1)
    with store.read() as connection:
        assert connection.execute(sa.select(messages.c.message_id)).scalars().all() == ["2@c"]
    assert look(inbox, store, reconcile=True) == Synced()  # what is older than our start stays untouched


def test_the_first_connection_can_start_at_a_date(dovecot: Server, store: Store) -> None:
    person = dovecot.client()
    person.append("INBOX", numbered(1), msg_time=datetime(2026, 1, 5, tzinfo=UTC))
    person.append("INBOX", numbered(2), msg_time=datetime(2026, 3, 5, tzinfo=UTC))
    person.append("INBOX", numbered(3), msg_time=datetime(2026, 4, 5, tzinfo=UTC))
    inbox = dovecot.inbox(start=date(2026, 3, 1))
    assert look(inbox, store).stored == 2
    with store.read() as connection:
        assert connection.execute(sa.select(messages.c.message_id)).scalars().all() == ["2@c", "3@c"]


def test_another_uidvalidity_takes_nothing_twice_and_loses_nothing(dovecot: Server, store: Store) -> None:
    person = dovecot.client()
    inbox = dovecot.inbox(start="now")
    person.append("INBOX", numbered(0), msg_time=now() - timedelta(days=400))  # before our time
    look(inbox, store)
    put(person, *(numbered(number) for number in range(1, 6)))
    look(inbox, store)
    before = folder_row(store).uidvalidity
    person.logout()
    put_uidvalidity(dovecot, before + 7)
    person = dovecot.client()
    put(person, numbered(6))
    look(inbox, store)
    assert folder_row(store).uidvalidity == before + 7
    assert count(store, messages) == 6
    assert look(inbox, store) == Synced()
    assert look(inbox, store, reconcile=True) == Synced()
    assert gone(store) == 0
    assert {state for state, _ in raw_states(store)} == {"parsed"}


def put_uidvalidity(server: Server, value: int) -> None:
    """A mailbox that was restored: its index is gone, and its UIDs are others."""
    for path in (server.home / "mail").glob("dovecot*"):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    (server.home / "mail" / "dovecot-uidlist").write_text(
        f"3 V{value} N1 G0123456789abcdef0123456789abcdef\n"
    )


def test_mail_that_is_pushed_arrives_at_once(server: Server, store: Store) -> None:
    person = server.client()
    hints: list[int] = []
    with watching(server.inbox(start="now", poll_s=120), store, hints):
        wait_for(lambda: count(store, imap_folders) and folder_row(store).last_ok_at)
        put(person, numbered(1))
        wait_for(lambda: len(hints) == 1)
        put(person, numbered(2))
        wait_for(lambda: len(hints) == 2)
    assert count(store, messages) == 2


def test_a_keyword_or_a_folder_shows_people_what_was_taken(dovecot: Server, store: Store) -> None:
    person = dovecot.client()
    put(person, numbered(1), numbered(2))
    look(dovecot.inbox(after={"keyword": "Triaged"}), store)
    person.select_folder("INBOX")
    assert all(b"Triaged" in flags[b"FLAGS"] for flags in person.fetch([1, 2], ["FLAGS"]).values())
    person.create_folder("Done")
    put(person, numbered(3))
    moving = dovecot.inbox(after={"move": "Done"})
    assert try_login(moving) is None
    look(moving, store)
    person.noop()
    assert person.folder_status("Done", ["MESSAGES"])[b"MESSAGES"] == 1
    assert look(moving, store) == Synced()
    assert count(store, messages) == 3
    assert "no folder 'Nowhere'" in str(try_login(dovecot.inbox(after={"move": "Nowhere"})))


def test_a_mail_over_the_limit_is_kept_as_its_beginning(server: Server, store: Store) -> None:
    person = server.client()
    put(person, numbered(1, "x" * 70 + "\n" + ("y" * 70 + "\n") * 20_000), numbered(2))
    inbox = server.inbox(max_message_bytes=1_000_000)
    assert look(inbox, store).stored >= 2
    state = [(state, reason) for state, reason in raw_states(store) if state == "quarantined"]
    assert len(state) == 1
    assert "over max_message_bytes" in str(state[0][1])
    assert look(inbox, store) == Synced()


def test_a_large_mail_comes_in_pieces_unchanged(server: Server, store: Store) -> None:
    raw = numbered(1, "begin\r\n" + ("z" * 76 + "\r\n") * 120_000)
    assert len(raw) > 2 * imap_fetch.CHUNK_BYTES
    put(server.client(), raw)
    look(server.inbox(), store)
    with store.read() as connection:
        bodies = connection.execute(
            sa.select(raw_messages.c.body).where(raw_messages.c.size > imap_fetch.CHUNK_BYTES)
        ).scalars()
        assert [bytes(body) == raw for body in bodies] == [True]


def test_what_was_stored_before_a_crash_is_parsed_after_it(dovecot: Server, store: Store) -> None:
    put(dovecot.client(), numbered(1), numbered(2))
    inbox = dovecot.inbox()
    crashed: list[int] = []

    def dies(ticket_id: int) -> None:
        crashed.append(ticket_id)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        look(inbox, store, on_ticket=dies)
    assert look(inbox, store) == Synced()
    take_stored(store, older_than=timedelta(0))
    assert count(store, messages) == 2
    assert folder_row(store).watermark == 2


def test_two_watchers_of_one_mailbox_take_each_mail_once(dovecot: Server, store: Store) -> None:
    put(dovecot.client(), *(numbered(number) for number in range(130)))
    inbox = dovecot.inbox()
    threads = [threading.Thread(target=look, args=(inbox, store)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    take_stored(store, older_than=timedelta(0))
    assert (count(store, messages), count(store, raw_messages), count(store, tickets)) == (130, 130, 130)


def test_a_long_backfill_shows_its_progress_and_goes_on_where_it_was(dovecot: Server, store: Store) -> None:
    put(dovecot.client(), *(numbered(number) for number in range(imap_fetch.BATCH_MESSAGES * 2 + 10)))
    inbox = dovecot.inbox()
    stop = threading.Event()
    seen: list[tuple[int, int]] = []

    def progress(done: int, of: int) -> None:
        seen.append((done, of))
        stop.set()

    first = look(inbox, store, stop=stop, progress=progress)
    assert first.stored == imap_fetch.BATCH_MESSAGES
    assert seen == [(imap_fetch.BATCH_MESSAGES, imap_fetch.BATCH_MESSAGES * 2 + 10)]
    assert folder_row(store).watermark == imap_fetch.BATCH_MESSAGES
    assert look(inbox, store).stored == imap_fetch.BATCH_MESSAGES + 10


# --- trouble ------------------------------------------------------------------------------------------


def test_a_wrong_password_is_one_plain_line(server: Server) -> None:
    words = try_login(server.inbox(password="wrong"))
    assert words is not None
    assert "127.0.0.1 does not take the user name and password" in words
    assert "wrong" not in words
    assert try_login(server.inbox()) is None


def test_a_folder_that_is_not_there_is_one_plain_line(server: Server) -> None:
    words = try_login(server.inbox(folder="Nowhere"))
    assert words is not None
    assert words.startswith("inbox.support: 127.0.0.1:")


def test_a_server_that_is_away_is_waited_out(tmp_path: Path, sqlite_store: Store) -> None:
    port = places.free_port()
    gone = Server("nobody", port, "x", tmp_path).inbox()
    assert "Connection refused" in str(try_login(gone))
    hints: list[int] = []
    with watching(gone, sqlite_store, hints):
        wait_for(lambda: count(sqlite_store, imap_folders))
        assert "Connection refused" in folder_row(sqlite_store).last_error
    row = folder_row(sqlite_store)
    assert (row.uidvalidity, row.last_ok_at) == (uids.NEVER, None)


def test_a_server_that_talks_nonsense_does_not_end_the_watcher(tmp_path: Path, sqlite_store: Store) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    accepted = threading.Event()

    def nonsense() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection:
                    connection.sendall(b"* OK ready\r\n")
                    connection.recv(1000)
                    connection.sendall(b"* \xff\x00 ((( {99999999999}\r\n")
                accepted.set()

    thread = threading.Thread(target=nonsense, daemon=True)
    thread.start()
    inbox = Server("nonsense", listener.getsockname()[1], "x", tmp_path).inbox(timeout_s=5)
    with watching(inbox, sqlite_store, []) as stop:
        wait_for(lambda: accepted.is_set() and count(sqlite_store, imap_folders))
        assert not stop.is_set()
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(5)
    assert folder_row(sqlite_store).last_error


def test_the_certificate_is_checked(tmp_path: Path) -> None:
    cert, key = imap_servers.certificate(tmp_path)
    home = tmp_path / "imap"
    home.mkdir()
    with imap_servers.dovecot(home, certificate=(cert, key)) as server:
        secure = {"tls": "tls", "port": server.tls_port, "host": "localhost"}
        words = try_login(server.inbox(**secure))
        assert words is not None
        assert "certificate is refused" in words
        assert try_login(server.inbox(**secure, ca_file=cert)) is None
        starttls = {"tls": "starttls", "host": "localhost", "ca_file": cert}
        assert try_login(server.inbox(**starttls)) is None
        wrong_name = try_login(server.inbox(**secure | {"host": "127.0.0.1"}, ca_file=cert))
        assert "certificate is refused" in str(wrong_name)
        assert "no TLS there" in str(try_login(server.inbox(tls="tls", ca_file=cert)))


def test_an_argument_with_a_line_break_is_refused() -> None:
    with pytest.raises(ConfigError, match="line break"):
        imap._argument("INBOX\r\nA1 DELETE INBOX")


def test_a_mail_that_breaks_the_connection_is_left_out_after_a_while() -> None:
    suspects = Suspects()
    suspects.under_way = [4, 5, 6]
    suspects.broke()
    assert all(suspects.alone(uid) for uid in (4, 5, 6))
    suspects.under_way = [4]
    suspects.fine()
    assert not suspects.alone(4)
    for _ in range(2):
        assert not suspects.left_out(5)
        suspects.under_way = [5]
        suspects.broke()
    assert suspects.left_out(5)
    assert not suspects.left_out(6)
