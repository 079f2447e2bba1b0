"""Sessions kept on the server, and single-use links that open one; of every token only the hash is stored."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import timedelta

import sqlalchemy as sa

from pipeline.db.store import Store
from pipeline.db.tables import agent_sessions, agents, login_links
from pipeline.db.types import now
from pipeline.errors import InputError
from pipeline.review.agents import Agent, agent_of, digest
from pipeline.review.audit import OPERATOR, note

IDLE = timedelta(hours=12)
ABSOLUTE = timedelta(days=7)
SEEN_EVERY = timedelta(minutes=1)
"""How exactly the last use of a session is kept: one write a minute at most."""

PURPOSES: dict[str, timedelta] = {
    "invite": timedelta(days=7),
    "reset": timedelta(hours=2),
    "demo": timedelta(days=1),
}
"""What a link is for, and how long it holds."""

SECOND_STEP = "second_step"
SECOND_STEP_HOLDS = timedelta(minutes=10)
"""A log-in whose password was right and whose second factor is still to come. It opens nothing by itself."""


_PERSON = (agents.c.id, agents.c.email, agents.c.name, agents.c.role, agents.c.zone)


@dataclass(frozen=True)
class Session:
    """A logged-in agent. `csrf_token` stands in every form of the session."""

    agent: Agent
    csrf_token: str
    token_hash: str


@dataclass(frozen=True)
class Link:
    """A single-use link that still holds."""

    agent: Agent
    purpose: str


def start(store: Store, agent: Agent) -> tuple[str, Session]:
    """Open a session: (the token for the cookie, the session)."""
    token = secrets.token_urlsafe(32)
    with store.write() as connection:
        return token, _insert(connection, agent, token)


def resume(store: Store, token: str) -> Session | None:
    """The session of a cookie; None when it is unknown, idle or too old, or its account is disabled."""
    at = now()
    with store.read() as connection:
        row = connection.execute(
            sa.select(
                agent_sessions.c.token_hash,
                agent_sessions.c.csrf_token,
                agent_sessions.c.last_seen_at,
                *_PERSON,
            )
            .join(agents, agents.c.id == agent_sessions.c.agent_id)
            .where(
                agent_sessions.c.token_hash == digest(token),
                agent_sessions.c.expires_at > at,
                agent_sessions.c.last_seen_at > at - IDLE,
                agents.c.disabled_at.is_(None),
            )
        ).one_or_none()
    if row is None:
        return None
    if row.last_seen_at < at - SEEN_EVERY:
        with store.write() as connection:
            connection.execute(
                agent_sessions.update()
                .where(agent_sessions.c.token_hash == row.token_hash)
                .values(last_seen_at=at)
            )
    return Session(agent_of(row), row.csrf_token, row.token_hash)


def end(store: Store, session: Session) -> None:
    """Log out."""
    with store.write() as connection:
        connection.execute(agent_sessions.delete().where(agent_sessions.c.token_hash == session.token_hash))


def make_link(store: Store, agent: Agent, purpose: str, *, by: str = OPERATOR) -> str:
    """The token of a new single-use link; its page is `/enter/TOKEN`. Links of the same purpose end."""
    holds = PURPOSES[purpose]
    with store.write() as connection:
        note(connection, by, "link", agent.email, purpose)
        return _insert_link(connection, agent, purpose, holds)


def begin_second_step(store: Store, agent: Agent) -> str:
    """The token by which the log-in goes on once the second factor is shown; see `second_step`."""
    with store.write() as connection:
        return _insert_link(connection, agent, SECOND_STEP, SECOND_STEP_HOLDS)


def _insert_link(connection: sa.Connection, agent: Agent, purpose: str, holds: timedelta) -> str:
    token = secrets.token_urlsafe(32)
    if purpose != SECOND_STEP:  # who knows a password may not end the log-in that its owner is in
        connection.execute(
            login_links.update()
            .where(
                login_links.c.agent_id == agent.id,
                login_links.c.purpose == purpose,
                login_links.c.used_at.is_(None),
            )
            .values(used_at=now())
        )
    connection.execute(
        login_links.insert().values(
            token_hash=digest(token), agent_id=agent.id, purpose=purpose, expires_at=now() + holds
        )
    )
    return token


def look_at_link(store: Store, token: str) -> Link | None:
    """Whose link it is, without using it up (mail scanners open links); None if it no longer holds."""
    return _look(store, token, login_links.c.purpose.in_(sorted(PURPOSES)))


def second_step(store: Store, token: str) -> Agent | None:
    """Whose log-in waits for its second factor; None if it no longer does."""
    found = _look(store, token, login_links.c.purpose == SECOND_STEP)
    return found.agent if found else None


def _look(store: Store, token: str, purpose: sa.ColumnElement[bool]) -> Link | None:
    with store.read() as connection:
        row = connection.execute(
            sa.select(login_links.c.purpose, *_PERSON)
            .join(agents, agents.c.id == login_links.c.agent_id)
            .where(
                purpose,
                login_links.c.token_hash == digest(token),
                login_links.c.used_at.is_(None),
                login_links.c.expires_at > now(),
                agents.c.disabled_at.is_(None),
            )
        ).one_or_none()
    return Link(agent_of(row), row.purpose) if row is not None else None


def use_link(store: Store, token: str) -> Agent:
    """Use a link up and return whose it is; of two at once exactly one gets in. Raises `InputError`."""
    link = look_at_link(store, token)
    if link is None or not _use_up(store, token):
        raise InputError("this link was used already or is too old; ask an admin for a new one")
    return link.agent


def end_second_step(store: Store, token: str) -> Agent:
    """Use the half-done log-in up, once its second factor held. Raises `InputError`."""
    agent = second_step(store, token)
    if agent is None or not _use_up(store, token):
        raise InputError("this log-in took too long; begin again")
    return agent


def _use_up(store: Store, token: str) -> bool:
    with store.write() as connection:
        used = connection.execute(
            login_links.update()
            .where(
                login_links.c.token_hash == digest(token),
                login_links.c.used_at.is_(None),
                login_links.c.expires_at > now(),
            )
            .values(used_at=now())
        )
    return used.rowcount == 1


def prune(store: Store) -> int:
    """Delete sessions and links that no longer hold; returns how many."""
    at = now()
    with store.write() as connection:
        gone = connection.execute(
            agent_sessions.delete().where(
                sa.or_(agent_sessions.c.expires_at <= at, agent_sessions.c.last_seen_at <= at - IDLE)
            )
        ).rowcount
        gone += connection.execute(login_links.delete().where(login_links.c.expires_at <= at)).rowcount
    return int(gone)


def _insert(connection: sa.Connection, agent: Agent, token: str) -> Session:
    at = now()
    session = Session(agent, secrets.token_urlsafe(32), digest(token))
    connection.execute(
        agent_sessions.insert().values(
            token_hash=session.token_hash,
            agent_id=agent.id,
            csrf_token=session.csrf_token,
            created_at=at,
            last_seen_at=at,
            expires_at=at + ABSOLUTE,
        )
    )
    return session
