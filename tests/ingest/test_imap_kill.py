"""The watcher killed again and again while mail arrives, people read and delete, and the mailbox is restored.

TRIAGE_TEST_IMAP_MAILS and TRIAGE_TEST_IMAP_KILLS make it longer: 5000 and 20 are the full run.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from pipeline.db.store import Store
from pipeline.db.tables import messages, raw_messages, tickets
from pipeline.ingest.intake import take_stored
from tests.ingest import imap_servers
from tests.ingest.imap_servers import Server
from tests.ingest.mails import count
from tests.ingest.test_imap import folder_row, look, numbered, put_uidvalidity, wait_for

MAILS = int(os.environ.get("TRIAGE_TEST_IMAP_MAILS", "240"))
KILLS = int(os.environ.get("TRIAGE_TEST_IMAP_KILLS", "5"))


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_every_mail_is_taken_once_however_often_the_watcher_is_killed(
    database_url: str, tmp_path: Path
) -> None:
    store = Store(database_url)
    home = tmp_path / "imap"
    home.mkdir()
    with imap_servers.dovecot(home) as server:
        arriving = threading.Thread(target=arrive, args=(server, 0, MAILS // 2))
        arriving.start()
        kills = 0
        while kills < KILLS or arriving.is_alive():
            run_and_kill(server, database_url, random.uniform(0.3, 1.5))
            kills += 1
            a_person_at_the_mailbox(server, store)
        arriving.join()
        look(server.inbox(), store)
        put_uidvalidity(server, folder_row(store).uidvalidity + 1)
        arrive(server, MAILS // 2, MAILS)
        run_and_kill(server, database_url, 1.5)
        process = start(server, database_url)
        try:
            wait_for(lambda: count(store, raw_messages) >= MAILS, 120)
        finally:
            process.kill()
            process.wait()
        look(server.inbox(), store)
        take_stored(store, 10_000, older_than=timedelta(0))
        with store.read() as connection:
            taken = Counter(connection.execute(sa.select(messages.c.message_id)).scalars())
            states = Counter(connection.execute(sa.select(raw_messages.c.state)).scalars())
        assert taken == Counter({f"{number}@c": 1 for number in range(MAILS)})
        assert states == Counter({"parsed": MAILS})
        assert count(store, tickets) == MAILS
    store.close()


def arrive(server: Server, first: int, end: int) -> None:
    """Mail comes in one by one, as from a mail server that knows nothing of us."""
    client = server.client()
    for number in range(first, end):
        client.append("INBOX", numbered(number))
        time.sleep(random.uniform(0, 0.01))


def a_person_at_the_mailbox(server: Server, store: Store) -> None:
    """Somebody reads mail, and deletes what has become a ticket."""
    with store.read() as connection:
        taken = connection.execute(sa.select(messages.c.message_id).limit(3)).scalars().all()
    client = server.client()
    client.select_folder("INBOX")
    uids = client.search(["ALL"])
    client.add_flags(uids[: len(uids) // 2], [b"\\Seen"])
    for message_id in taken:
        gone = client.search(["HEADER", "Message-ID", f"<{message_id}>"])
        if gone:
            client.delete_messages(gone)
    client.expunge()
    client.logout()


def start(server: Server, url: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.ingest.watcher_process", url, str(server.port), server.password]
    return subprocess.Popen(
        command, cwd=Path(__file__).parents[2], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def run_and_kill(server: Server, url: str, seconds: float) -> None:
    process = start(server, url)
    time.sleep(seconds)
    assert process.poll() is None, "the watcher ended by itself"
    process.send_signal(signal.SIGKILL)
    process.wait()
