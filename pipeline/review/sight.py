"""Which tickets a person may see: an agent or lead with inboxes of their own sees these only; admins see all.

What somebody may not see does not exist for them: the error has the words of a number that was never given.
"""

from __future__ import annotations

from collections.abc import Collection

import sqlalchemy as sa

from pipeline.db.store import Store
from pipeline.db.tables import (
    agent_inboxes,
    agents,
    attachments,
    comparisons,
    drafts,
    messages,
    replies,
    reviews,
    second_reads,
    tickets,
)
from pipeline.errors import InputError, NotFoundError
from pipeline.review.agents import Agent, find
from pipeline.review.audit import OPERATOR, note

_TICKET = {
    "ticket": sa.select(tickets.c.id.label("row_id"), tickets.c.id.label("ticket_id")),
    "attachment": sa.select(attachments.c.id.label("row_id"), messages.c.ticket_id).join(
        messages, messages.c.id == attachments.c.message_id
    ),
} | {
    name: sa.select(table.c.id.label("row_id"), table.c.ticket_id)
    for name, table in (
        ("review", reviews),
        ("draft", drafts),
        ("message", messages),
        ("reply", replies),
        ("comparison", comparisons),
        ("second_read", second_reads),
    )
}
"""Which ticket a row of each kind belongs to."""

KINDS = tuple(_TICKET)


def inboxes_of(connection: sa.Connection, agent_id: int) -> frozenset[str] | None:
    """The inboxes that an account is limited to; None where it sees all of them."""
    rows = connection.execute(
        sa.select(agent_inboxes.c.inbox)
        .join(agents, agents.c.id == agent_inboxes.c.agent_id)
        .where(agent_inboxes.c.agent_id == agent_id, agents.c.role != "admin")
    ).scalars()
    return frozenset(rows) or None


def sees_every_inbox(store: Store, agent: Agent) -> bool:
    """Whether pages that count all inboxes are for them."""
    with store.read() as connection:
        return inboxes_of(connection, agent.id) is None


def within(
    inboxes: frozenset[str] | None, inbox: sa.ColumnElement[str] = tickets.c.inbox
) -> sa.ColumnElement[bool]:
    """The condition for a query's WHERE that `inboxes_of` amounts to; `inbox` is the column of the row's inbox."""
    return sa.true() if inboxes is None else inbox.in_(sorted(inboxes))


def sees(connection: sa.Connection, agent: Agent, ticket_id: int) -> bool:
    """Whether there is such a ticket and its inbox is one of theirs."""
    found = sa.select(tickets.c.id).where(tickets.c.id == ticket_id)
    return connection.execute(found.where(within(inboxes_of(connection, agent.id)))).first() is not None


def refuse_unseen(connection: sa.Connection, agent: Agent, ticket_id: int) -> None:
    """Raise `NotFoundError` unless the agent may see the ticket."""
    if not sees(connection, agent, ticket_id):
        raise NotFoundError(f"there is no ticket {ticket_id}")


def refuse_unseen_row(connection: sa.Connection, agent: Agent, kind: str, row_id: int) -> None:
    """Raise `NotFoundError` for a row of `KINDS` whose ticket the agent may not see, or that is not there."""
    row = _TICKET[kind].subquery()
    found = sa.select(row.c.row_id).join(tickets, tickets.c.id == row.c.ticket_id)
    found = found.where(row.c.row_id == row_id, within(inboxes_of(connection, agent.id)))
    if connection.execute(found).first() is None:
        raise NotFoundError(f"there is no {kind} {row_id}")


def set_inboxes(
    store: Store, email: str, inboxes: Collection[str] | None, *, by: str = OPERATOR
) -> frozenset[str] | None:
    """Limit an account to these inboxes, or None: to none. It holds from its next request on."""
    agent = find(store, email)
    if inboxes is not None and not inboxes:
        raise InputError("name at least one inbox, or choose all")
    with store.write() as connection:
        connection.execute(agent_inboxes.delete().where(agent_inboxes.c.agent_id == agent.id))
        for inbox in sorted(set(inboxes or ())):
            connection.execute(agent_inboxes.insert().values(agent_id=agent.id, inbox=inbox))
        note(connection, by, "inboxes", agent.email, ", ".join(sorted(set(inboxes or ()))) or "all")
    return None if inboxes is None else frozenset(inboxes)


def known_inboxes(store: Store) -> set[str]:
    """The inboxes that tickets came by or that accounts are limited to."""
    with store.read() as connection:
        found = set(connection.execute(sa.select(agent_inboxes.c.inbox)).scalars())
        return found | set(connection.execute(sa.select(tickets.c.inbox).distinct()).scalars())
