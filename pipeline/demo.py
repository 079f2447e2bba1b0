"""The demo: a fresh store, the sample inbox and its account data, and a login that is ready."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
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

_INBOXES = """\
# The demo's inbox: the sample mails were fed in from files; nothing is fetched, nothing is sent.
[inbox.support]
kind = "folder"
path = "{home}/inbox"
from_address = "support@larkfield.example"
from_name = "Larkfield support"
authserv_id = "mx.larkfield.example"
"""


def prepare(home: Path) -> Settings:
    """Make the demo's folder and store; returns settings that take nothing from the environment's servers.

    Raises `InputError` where a store stands already.
    """
    if (home / "triage.db").exists():
        raise InputError(f"{home} holds a store already; name a folder that is empty or not there yet")
    try:
        (home / "inbox").mkdir(parents=True, exist_ok=True)
        (home / "inboxes.toml").write_text(_INBOXES.format(home=home.as_posix()), encoding="utf-8")
        for name in ("accounts.toml", "policy.md"):
            (home / name).write_bytes((SAMPLES / name).read_bytes())
        accounts = home / "demo-accounts.db"
        accounts.unlink(missing_ok=True)
        with sqlite3.connect(accounts) as connection:
            connection.executescript((SAMPLES / "account.sql").read_text(encoding="utf-8"))
        connection.close()
    except OSError as error:
        raise InputError(f"cannot make the demo in {home}: {error.strerror or error}") from None
    settings = load(
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
    store = Store(settings.database)
    schema.migrate(store)
    store.close()
    return settings


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


def summary(parts: Parts, counts: Counts, done: dict[str, int], statuses: dict[str, int]) -> list[str]:
    """What happened, for the terminal."""
    found: list[str] = []
    taken = counts.to_json()
    found.append(
        f"{taken['received']} mails: {taken['messages']} messages on {taken['tickets']} tickets, "
        f"{taken['automated']} automated, {taken['duplicates']} duplicates, {taken['quarantined']} quarantined"
    )
    found.append("steps done: " + ", ".join(f"{number} {name}" for name, number in done.items()))
    found.append("tickets: " + ", ".join(f"{n} {name}" for name, n in statuses.items() if n))
    with parts.store.read() as connection:
        routes = _counted(connection, tickets.c.route)
        topics = _counted(connection, tickets.c.topic)
        languages = _counted(connection, tickets.c.language)
        reasons = _counted(connection, reviews.c.reason, reviews.c.state == "open")
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
