"""Saved views: filters of the queue under a name, an agent's own or a lead's for everybody."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from pipeline.db.store import Store
from pipeline.db.tables import agents, saved_views
from pipeline.db.types import now
from pipeline.errors import ConflictError, InputError, NotFoundError
from pipeline.review.agents import Agent

NAME_AT_MOST = 40
VIEWS_AT_MOST = 30


@dataclass(frozen=True)
class SavedView:
    """`query` is the queue's filters as they stand in its address; `mine` if the reader made it."""

    id: int
    name: str
    query: str
    shared: bool
    mine: bool
    by: str


def views(store: Store, agent: Agent) -> list[SavedView]:
    """What an agent sees as tabs: the shared ones, then their own, each by name."""
    with store.read() as connection:
        rows = connection.execute(
            sa.select(saved_views, agents.c.email)
            .join(agents, agents.c.id == saved_views.c.agent_id)
            .where(sa.or_(saved_views.c.agent_id == agent.id, saved_views.c.shared.is_(sa.true())))
            .order_by(saved_views.c.shared.desc(), sa.func.lower(saved_views.c.name), saved_views.c.id)
        ).all()
    return [
        SavedView(row.id, row.name, row.query, row.shared, row.agent_id == agent.id, row.email)
        for row in rows
    ]


def save(store: Store, agent: Agent, name: str, query: str, *, shared: bool = False) -> int:
    """Keep filters under a name; returns the view's id. Only leads share.

    Raises `ConflictError` when the agent has one of that name, `InputError` for a poor name.
    """
    name = _name(name)
    if shared and not agent.leads:
        raise InputError("only a lead or an admin shares a view")
    with store.write() as connection:
        own = sa.select(sa.func.count()).where(saved_views.c.agent_id == agent.id)
        if connection.execute(own).scalar_one() >= VIEWS_AT_MOST:
            raise InputError(f"{VIEWS_AT_MOST} views are the most that one may have; delete one first")
        _refuse_taken(connection, agent, name)
        made = saved_views.insert().values(
            agent_id=agent.id, name=name, query=query[:2000], shared=shared, created_at=now()
        )
        return int(connection.execute(made.returning(saved_views.c.id)).scalar_one())


def change(
    store: Store, agent: Agent, view_id: int, *, name: str, query: str | None = None, shared: bool = False
) -> None:
    """Rename a view, keep other filters in it (None: those it has), or share it."""
    name = _name(name)
    if shared and not agent.leads:
        raise InputError("only a lead or an admin shares a view")
    values: dict[str, object] = {"name": name, "shared": shared}
    if query is not None:
        values["query"] = query[:2000]
    with store.write() as connection:
        _refuse_taken(connection, agent, name, but=view_id)
        done = connection.execute(saved_views.update().where(*_may_change(agent, view_id)).values(**values))
        if not done.rowcount:
            raise NotFoundError("there is no such view of yours")


def delete(store: Store, agent: Agent, view_id: int) -> None:
    """End a view: the agent's own, or, by a lead, a shared one."""
    with store.write() as connection:
        if not connection.execute(saved_views.delete().where(*_may_change(agent, view_id))).rowcount:
            raise NotFoundError("there is no such view of yours")


def _may_change(agent: Agent, view_id: int) -> tuple[sa.ColumnElement[bool], ...]:
    own = saved_views.c.agent_id == agent.id
    shared = saved_views.c.shared.is_(sa.true())
    return (saved_views.c.id == view_id, sa.or_(own, shared) if agent.leads else own)


def _name(name: str) -> str:
    name = " ".join(name.split())
    if not name or len(name) > NAME_AT_MOST or not name.isprintable():
        raise InputError(f"a view needs a name of 1 to {NAME_AT_MOST} characters")
    return name


def _refuse_taken(connection: sa.Connection, agent: Agent, name: str, but: int = 0) -> None:
    taken = sa.select(saved_views.c.id).where(
        saved_views.c.agent_id == agent.id, saved_views.c.name == name, saved_views.c.id != but
    )
    if connection.execute(taken).first():
        raise ConflictError(f"you have a view named {name} already")
