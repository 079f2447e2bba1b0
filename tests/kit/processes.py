"""A whole installation as its operator has it: `triage` processes with an environment, a folder and ports of
their own, which a test may kill as a machine would."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest
import sqlalchemy as sa

from pipeline.db.store import Store
from tests.kit import places
from tests.kit.live import CACHE
from tests.kit.mail_servers import USER, Server

TRIAGE = Path(sys.executable).parent / "triage"

INBOX = """
[inbox.support]
kind = "imap"
host = "127.0.0.1"
port = {port}
username = "{user}"
password = "{password}"
tls = "none"
start = "all"
from_address = "support@shop.example"
from_name = "The Shop"
signature = "Your friends at The Shop"
authserv_id = "mx.shop.example"
"""


def inbox_of(server: Server, *, port: int | None = None) -> str:
    """An inboxes.toml that watches this mailbox, through another port where one is given."""
    return INBOX.format(port=port or server.port, user=USER, password=server.password)


class Installation:
    """Processes of one installation. `names` are what it consists of: `("up",)`, or web, worker, beat, watch.

    `settings` are `triage`'s own, by field name; `environment` is added as it is.
    """

    def __init__(
        self,
        home: Path,
        names: tuple[str, ...],
        *,
        database_url: str | None = None,
        broker_url: str | None = None,
        inboxes: str = "",
        routes: str | None = None,
        environment: Mapping[str, str] | None = None,
        **settings: object,
    ) -> None:
        home.mkdir(parents=True, exist_ok=True)
        CACHE.mkdir(parents=True, exist_ok=True)
        (home / "cache").symlink_to(CACHE, target_is_directory=True)
        (home / "inboxes.toml").write_text(inboxes, encoding="utf-8")
        if routes is not None:
            (home / "routes.toml").write_text(routes, encoding="utf-8")
        port = places.free_port()
        self.home, self.names = home, names
        self.address = f"http://127.0.0.1:{port}"
        self.database_url = database_url or f"sqlite:///{home / 'triage.db'}"
        self.broker_url = broker_url
        self.queue = f"triage-test-{secrets.token_hex(6)}"
        given: dict[str, object] = {
            "home": home,
            "database_url": self.database_url,
            "queue": self.queue,
            "bind": f"127.0.0.1:{port}",
            "public_url": self.address,
            "log_format": "json",
            "worker_threads": 3,
            "sweep_s": 0.5,
            "undo_s": 0,
            **settings,
        }
        if broker_url:
            given["broker_url"] = broker_url
        self.environment = {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "HOME": str(home),
            "LANG": "C.UTF-8",
            **{f"TRIAGE_{name.upper()}": str(value) for name, value in given.items()},
            **(environment or {}),
        }
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._store: Store | None = None

    # --- its processes ----------------------------------------------------------------------------------

    def start(self, *names: str) -> None:
        """Start these parts, or all that do not run; returns when the page is ready."""
        for name in names or self.names:
            if name in self._running:
                continue
            with (self.home / f"{name}.log").open("ab") as out:
                self._running[name] = subprocess.Popen(
                    [str(TRIAGE), name],
                    cwd=self.home,
                    env=self.environment,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=out,
                    start_new_session=True,
                )
        if {"up", "web"} & set(self._running):
            self.until(self._ready, "the page to be ready", 60)

    def kill(self, name: str) -> None:
        """SIGKILL, for this part and whatever it started: nothing of it gets to finish anything."""
        process = self._running.pop(name)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(20)

    def stop(self) -> None:
        """Ask all parts to end; those that do not are killed."""
        for process in self._running.values():
            process.send_signal(signal.SIGTERM)
        for name, process in list(self._running.items()):
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill(name)
        self._running.clear()

    def __enter__(self) -> Installation:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name in list(self._running):
            with contextlib.suppress(ProcessLookupError):
                self.kill(name)
        if self._store is not None:
            self._store.close()
        if self.broker_url:
            _forget_queue(self.broker_url, self.queue)

    def command(self, *arguments: str) -> str:
        """Run one `triage` command to its end and return its standard output."""
        done = subprocess.run(
            [str(TRIAGE), *arguments],
            cwd=self.home,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, f"triage {' '.join(arguments)}: {done.stderr.decode()}"
        return done.stdout.decode()

    def json(self, *arguments: str) -> Any:
        """Run one command that prints a JSON document, and read it."""
        return json.loads(self.command(*arguments))

    def jsonl(self, *arguments: str) -> list[Any]:
        """Run one command that prints JSON lines, and read them."""
        return [json.loads(line) for line in self.command(*arguments).splitlines()]

    # --- what became of it ------------------------------------------------------------------------------

    @property
    def store(self) -> Store:
        """The installation's database, for looking."""
        if self._store is None:
            self._store = Store(self.database_url)
        return self._store

    def rows(self, query: sa.Select[Any]) -> list[sa.Row[Any]]:
        with self.store.read() as connection:
            return list(connection.execute(query))

    def until(
        self, condition: Callable[[], object], what: str, seconds: float = 30.0, *, every_s: float = 0.03
    ) -> Any:
        """Wait until `condition()` is true and return it. A process that ended by itself fails the test."""
        end = time.monotonic() + seconds
        while not (found := condition()):
            for name, process in self._running.items():
                if process.poll() is not None:
                    pytest.fail(f"triage {name} ended with {process.returncode}\n{self.logs()}")
            if time.monotonic() > end:
                pytest.fail(f"waited {seconds:.0f} s in vain for {what}\n{self.logs()}")
            time.sleep(every_s)
        return found

    def logs(self, lines: int = 25) -> str:
        """The end of each process's log."""
        ends = []
        for path in sorted(self.home.glob("*.log")):
            tail = path.read_text(errors="replace").splitlines()[-lines:]
            ends.append("\n".join([f"--- {path.name}", *tail]))
        return "\n".join(ends)

    def _ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.address}/readyz", timeout=5) as answer:
                return bool(answer.status == 200)
        except urllib.error.HTTPError as error:
            error.close()
            return False
        except OSError:
            return False


def _forget_queue(broker_url: str, queue: str) -> None:
    from pipeline.tasks import make_app

    app = make_app(broker_url, queue=queue)
    with contextlib.suppress(Exception), app.connection_for_write() as connection:
        connection.default_channel.queue_delete(queue)
    app.close()
