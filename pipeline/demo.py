"""The demo: a fresh store, past weeks of simulated work, the sample inbox, its account data, a ready login."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from pipeline.assembly import Parts
from pipeline.db import schema
from pipeline.db.store import Store
from pipeline.db.tables import reviews, tickets
from pipeline.errors import InputError
from pipeline.ingest.files import Counts, ingest_paths
from pipeline.settings import PACKAGE, Settings, load

SAMPLES = PACKAGE / "samples"
INBOX = "support"
AGENT = "demo@larkfield.example"
PAST_WEEKS, PAST_TICKETS = 8, 160
"""What was before the sample inbox: simulated work, for the report."""

_INBOXES = """\
# The demo's inbox: the sample mails were fed in from files; nothing is fetched, nothing is sent.
[inbox.support]
kind = "folder"
path = "{home}/inbox"
from_address = "support@larkfield.example"
from_name = "Larkfield support"
authserv_id = "mx.larkfield.example"
"""
_SECOND = """
[inbox.shop]
kind = "folder"
path = "{home}/shop"
from_address = "shop@larkfield.example"
from_name = "Larkfield shop"
authserv_id = "mx.larkfield.example"
"""


def prepare(home: Path, *, inboxes: int = 1) -> Settings:
    """Make the demo's folder and store; returns settings that take nothing from the environment's servers.

    Raises `InputError` where a store stands already.
    """
    if (home / "triage.db").exists():
        raise InputError(f"{home} holds a store already; name a folder that is empty or not there yet")
    try:
        (home / "inbox").mkdir(parents=True, exist_ok=True)
        table = _INBOXES + (_SECOND if inboxes > 1 else "")
        (home / "inboxes.toml").write_text(table.format(home=home.as_posix()), encoding="utf-8")
        for name in ("accounts.toml", "policy.md"):
            (home / name).write_bytes((SAMPLES / name).read_bytes())
        accounts = home / "demo-accounts.db"
        accounts.unlink(missing_ok=True)
        with sqlite3.connect(accounts) as connection:
            connection.executescript((SAMPLES / "account.sql").read_text(encoding="utf-8"))
        connection.close()
    except OSError as error:
        raise InputError(f"cannot make the demo in {home}: {error.strerror or error}") from None
    settings = _settings(home)
    store = Store(settings.database)
    schema.migrate(store)
    store.close()
    return settings


def _settings(home: Path) -> Settings:
    return load(
        home=home,
        database_url=f"sqlite:///{home / 'triage.db'}",
        broker_url=None,
        smtp_url=None,
        openai_api_key=None,
        openai_base_url=None,
        anthropic_api_key=None,
        anthropic_base_url=None,
        inboxes=home / "inboxes.toml",
        accounts=home / "accounts.toml",
        policy=home / "policy.md",
    )


def begin_history(home: Path, tickets: int = PAST_TICKETS) -> Future[int]:
    """Begin to fill the store with past weeks of work, in a process of its own; the result is how many tickets.

    The simulation has a clock of its own, which nothing else may run by; beside it the local model warms up.
    """
    pool = ProcessPoolExecutor(1, mp_context=get_context("spawn"))
    found = pool.submit(_history, home, tickets)
    pool.shutdown(wait=False)
    return found


def _history(home: Path, number: int) -> int:
    from pipeline.assembly import open_parts
    from pipeline.logging import configure
    from pipeline.simulation import plan, run

    configure("auto", "error")  # the failures are part of the plan
    parts = open_parts(_settings(home))
    until = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    planned = plan.make(
        1, PAST_WEEKS, number, until, tuple(parts.inboxes), zone=parts.settings.zone, growth=2.5
    )
    run.simulate(parts, planned)
    parts.store.close()
    return number


def ingest(parts: Parts, show: Callable[[Counts], None]) -> Counts:
    """Make the demo's agent, and feed the sample inbox in."""
    from pipeline.review import agents

    agents.add(parts.store, AGENT, role="admin", name="Demo agent")
    return ingest_paths(parts.store, [SAMPLES / "inbox"], INBOX, inboxes=parts.inboxes, progress=show)


def login_link(parts: Parts, address: str) -> str:
    """A single-use link that logs the demo's agent in."""
    from pipeline.review import agents, sessions

    agent = agents.find(parts.store, AGENT)
    return f"{address}/enter/{sessions.make_link(parts.store, agent, 'demo')}"


def summary(parts: Parts, counts: Counts, done: dict[str, int], since: datetime) -> list[str]:
    """What happened to the sample inbox, which came in after `since`, for the terminal."""
    found: list[str] = []
    taken = counts.to_json()
    found.append(
        f"{taken['received']} mails: {taken['messages']} messages on {taken['tickets']} tickets, "
        f"{taken['automated']} automated, {taken['duplicates']} duplicates, {taken['quarantined']} quarantined"
    )
    found.append("steps done: " + ", ".join(f"{number} {name}" for name, number in done.items()))
    new = tickets.c.created_at >= since
    with parts.store.read() as connection:
        statuses = _counted(connection, tickets.c.status, new)
        routes = _counted(connection, tickets.c.route, new)
        topics = _counted(connection, tickets.c.topic, new)
        languages = _counted(connection, tickets.c.language, new)
        reasons = _counted(
            connection, reviews.c.reason, reviews.c.state == "open", reviews.c.opened_at >= since
        )
    found.append("tickets: " + _listed(statuses))
    found.append("routes: " + _listed(routes))
    found.append("topics: " + _listed(topics))
    found.append("languages: " + _listed(languages))
    found.append("to be judged by a person: " + (_listed(reasons) or "nothing"))
    return found


def _counted(connection: sa.Connection, column: Any, *where: Any) -> list[tuple[str, int]]:
    rows = connection.execute(
        sa.select(column, sa.func.count())
        .where(column.is_not(None), *where)
        .group_by(column)
        .order_by(sa.desc(sa.func.count()), column)
    )
    return [(str(row[0]), int(row[1])) for row in rows]


def _listed(rows: list[tuple[str, int]]) -> str:
    return ", ".join(f"{number} {name}" for name, number in rows)
