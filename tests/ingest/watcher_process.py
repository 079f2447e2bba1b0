"""A watcher as a process of its own, to be killed: `python -m tests.ingest.watcher_process URL PORT PASSWORD`."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from pipeline.db.store import Store
from pipeline.ingest.imap import watch
from tests.ingest.imap_servers import Server


def main(url: str, port: str, password: str) -> None:
    inbox = Server("dovecot", int(port), password, Path()).inbox()
    watch(inbox, Store(url), threading.Event())


if __name__ == "__main__":
    main(*sys.argv[1:])
