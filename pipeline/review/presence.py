"""Who has a ticket's page open, and who is typing there: a sign every 20 seconds, forgotten when it stays away."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from pipeline.db.store import Store
from pipeline.db.tables import agents, presences
from pipeline.db.types import now
from pipeline.review.agents import Agent

HOLDS = timedelta(seconds=50)
"""How long a sign is believed: two may be late before somebody counts as gone."""
_KEPT = timedelta(hours=1)


@dataclass(frozen=True)
class Present:
    """Somebody else who has the ticket before them."""

    shown: str
    typing: bool
    seen_at: datetime


def here(store: Store, ticket_id: int, agent: Agent, *, typing: bool = False) -> None:
    """The agent has the ticket's page open."""
    at = now()
    with store.write() as connection:
        insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
        row = insert(presences).values(ticket_id=ticket_id, agent_id=agent.id, seen_at=at, typing=typing)
        connection.execute(
            row.on_conflict_do_update(
                index_elements=["ticket_id", "agent_id"], set_={"seen_at": at, "typing": typing}
            )
        )
        connection.execute(
            presences.delete().where(presences.c.agent_id == agent.id, presences.c.seen_at < at - _KEPT)
        )


def gone(store: Store, ticket_id: int, agent: Agent) -> None:
    """The agent left the page."""
    with store.write() as connection:
        connection.execute(
            presences.delete().where(presences.c.ticket_id == ticket_id, presences.c.agent_id == agent.id)
        )


def others(store: Store, ticket_id: int, agent: Agent) -> tuple[Present, ...]:
    """Who else is there now, by name."""
    query = (
        sa.select(agents.c.name, agents.c.email, presences.c.typing, presences.c.seen_at)
        .join(agents, agents.c.id == presences.c.agent_id)
        .where(
            presences.c.ticket_id == ticket_id,
            presences.c.agent_id != agent.id,
            presences.c.seen_at > now() - HOLDS,
            agents.c.disabled_at.is_(None),
        )
        .order_by(agents.c.email)
    )
    with store.read() as connection:
        return tuple(
            Present(row.name or row.email, row.typing, row.seen_at) for row in connection.execute(query)
        )
