"""Measures our IMAP `sync` against bare IMAPClient fetching the same mailbox in batches; Markdown to stdout.

.venv/bin/python -m tests.bench.imap [--mails N]
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.db import schema
from pipeline.db.store import Store
from pipeline.ingest.imap import connected, sync
from pipeline.ingest.inboxes import ImapInbox
from tests.bench.classify import table
from tests.bench.ingest import Spent, write_mails
from tests.ingest.imap_servers import Server, dovecot, pymap

if TYPE_CHECKING:
    from imapclient import IMAPClient

BATCH = 50
"""Mails a request, as our watcher asks for them."""


def put(server: Server, folder: Path) -> int:
    """The folder's mails into the mailbox; returns how many."""
    person = server.client()
    person.select_folder("INBOX")
    files = sorted(folder.glob("*.eml"))
    for path in files:
        person.append("INBOX", path.read_bytes())
    return len(files)


def spent(work: Callable[[], int], expected: int) -> Spent:
    """What the work took of the clock and of this process; it says how many mails it got."""
    wall, cpu = time.monotonic(), time.process_time()
    got = work()
    took = Spent(time.monotonic() - wall, time.process_time() - cpu)
    if got != expected:
        raise SystemExit(f"{got} mails were fetched, not {expected}")
    return took


def bare(client: IMAPClient) -> int:
    """Every mail of the mailbox, in batches; nothing is kept."""
    client.select_folder("INBOX", readonly=True)
    uids = client.search(["ALL"])
    got = 0
    for start in range(0, len(uids), BATCH):
        answer = client.fetch(uids[start : start + BATCH], ["BODY.PEEK[]"])
        got += sum(1 for parts in answer.values() if parts[b"BODY[]"])
    return got


def stored(client: IMAPClient, inbox: ImapInbox, store: Store) -> int:
    """Our look at the mailbox: sizes, mails, raw bytes committed, parsed, on tickets, UIDs noted."""
    return sync(client, inbox, store).stored


def fetched_only(client: IMAPClient, inbox: ImapInbox) -> int:
    """Our fetching alone: sizes first, bounded batches."""
    from pipeline.ingest.imap_fetch import Suspects, batches, fetched, search

    client.select_folder("INBOX", readonly=True)
    todo = sorted(search(client, ["ALL"]))
    suspects, failed = Suspects(), set[int]()
    got = 0
    for batch in batches(client, inbox, todo, suspects):
        got += sum(mail is not None for mail in fetched(client, inbox, batch, failed, suspects).values())
    return got


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--mails", type=int, default=5_000)
    options = arguments.parse_args()
    has_dovecot = shutil.which("dovecot") or Path("/usr/sbin/dovecot").exists()
    if not has_dovecot:
        print("Dovecot is missing (install dovecot-imapd); measured with pymap, in Python itself.\n")
    with tempfile.TemporaryDirectory(prefix="triage-bench-") as name:
        home = Path(name)
        write_mails(home / "mails", options.mails)
        served = home / "server"
        served.mkdir()
        with (dovecot if has_dovecot else pymap)(served) as server:
            count = put(server, home / "mails")
            inbox = server.inbox()
            store = Store(f"sqlite:///{home}/triage.db")
            schema.migrate(store)
            with connected(inbox) as client:
                first = spent(lambda: bare(client), count)  # the server's caches are warm from here on
                lines = {
                    f"bare IMAPClient, {BATCH} a request": spent(lambda: bare(client), count),
                    "our fetching alone": spent(lambda: fetched_only(client, inbox), count),
                    "our `sync` into SQLite: stored, parsed, on tickets": spent(
                        lambda: stored(client, inbox, store), count
                    ),
                    "bare IMAPClient, again": spent(lambda: bare(client), count),
                }
            store.close()
    bares = [one for what, one in lines.items() if what.startswith("bare")]
    base = Spent(sum(one.wall_s for one in bares) / 2, sum(one.cpu_s for one in bares) / 2)
    print(
        f"{count} mails of about 23 kB in {server.name}; a first fetch that warms the server took "
        f"{first.wall_s:.1f} s. Ratios are against the mean of the two bare runs; CPU is this process's alone.\n"
    )
    rows = [
        [
            what,
            f"{one.wall_s:.2f}",
            f"{one.cpu_s:.2f}",
            f"{count / one.wall_s:.0f}",
            f"{one.wall_s / base.wall_s:.2f}",
            f"{one.cpu_s / base.cpu_s:.2f}",
        ]
        for what, one in lines.items()
    ]
    print(table(["what", "wall s", "CPU s", "mails/s", "ratio of wall", "ratio of CPU"], rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
