"""Whose account a single sign-on identity opens: bound once, to its issuer and subject, never by address alone.

It is bound at the first log-in, and only while an admin's invitation is open: the account has no password
yet, or a link that an admin made is unused; and only by an address that the provider says is verified.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from pipeline.db.store import Store
from pipeline.db.tables import agents, login_links
from pipeline.db.types import now
from pipeline.errors import InputError
from pipeline.review.agents import Agent, agent_of, end_sessions, find
from pipeline.review.audit import OPERATOR, note
from pipeline.review.oidc import Identity


def account_of(store: Store, who: Identity) -> Agent:
    """The account of an identity, bound at its first log-in. Raises `InputError` where there is none for them."""
    refused = InputError(
        "there is no account for you here, or it is disabled; ask an admin for an invitation"
    )
    with store.write() as connection:
        row = connection.execute(
            sa.select(agents).where(agents.c.oidc_issuer == who.issuer, agents.c.oidc_subject == who.subject)
        ).one_or_none()
        if row is None:
            row = _bind(connection, who)
        if row is None or row.disabled_at is not None:
            raise refused
        return agent_of(row)


def unbind(store: Store, email: str, *, by: str = OPERATOR) -> bool:
    """Forget whose account it is at the provider (it moved, or the person changed); their sessions end."""
    agent = find(store, email)
    with store.write() as connection:
        done = connection.execute(
            agents.update()
            .where(agents.c.id == agent.id, agents.c.oidc_subject.is_not(None))
            .values(oidc_issuer=None, oidc_subject=None)
        )
        if done.rowcount:
            end_sessions(connection, agent.id)
            note(connection, by, "sso_off", agent.email)
    return bool(done.rowcount)


def _bind(connection: sa.Connection, who: Identity) -> sa.Row[Any] | None:
    """The invited account of a verified address, from now on this identity's; None where there is none."""
    if who.email is None:
        return None
    at = now()
    open_link = sa.exists().where(
        login_links.c.agent_id == agents.c.id,
        login_links.c.purpose.in_(("invite", "reset")),
        login_links.c.used_at.is_(None),
        login_links.c.expires_at > at,
    )
    row = connection.execute(
        agents.update()
        .where(
            agents.c.email == who.email,
            agents.c.disabled_at.is_(None),
            agents.c.oidc_subject.is_(None),
            sa.or_(agents.c.password_hash.is_(None), open_link),
        )
        .values(oidc_issuer=who.issuer, oidc_subject=who.subject)
        .returning(agents)
    ).one_or_none()
    if row is not None:
        end_sessions(connection, row.id)
        note(connection, "sso", "sso_on", row.email, who.issuer)
    return row
