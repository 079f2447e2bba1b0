"""Notes to colleagues on a row, and who is called by name in them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from pipeline.db.store import Store
from pipeline.db.tables import agent_inboxes, agents, mentions, reviews, tickets
from pipeline.db.types import now
from pipeline.errors import InputError
from pipeline.review import sight
from pipeline.review.agents import Agent, agent_of
from pipeline.review.holding import review_row
from pipeline.review.replying import clean_text

LONGEST = 2000
SHOWN = 100
_CALL = re.compile(r"(?<![\w@.])@([^\s@,;:!?()<>\"]{1,64}(?:@[\w.-]{1,250})?)")


@dataclass(frozen=True)
class Mention:
    """A note in which somebody was called; `seen_at` is None while they have not looked."""

    id: int
    ticket_id: int
    subject: str
    by: str
    text: str
    at: datetime
    seen_at: datetime | None


def leave(store: Store, review_id: int, agent: Agent, text: str) -> tuple[Agent, ...]:
    """Add a note to the row; returns the colleagues that `@name` in it calls, who see a mention of it.

    A name is an address, what stands in it before the @, or a first or whole name without spaces. A name that
    fits two calls nobody. Raises `InputError` for one that fits only colleagues who may not see the ticket:
    they would never read it; and for a note over `LONGEST` characters.
    """
    text = clean_text(text)
    if len(text) > LONGEST:
        raise InputError(f"a note has at most {LONGEST:,} characters; this one has {len(text):,}")
    with store.write() as connection:
        review = review_row(connection, review_id, lock=True)
        seeing = colleagues(connection, review["ticket_id"])
        _refuse_unseeing(connection, text, seeing)
        within = text.replace("\n", "\n  ")  # else a line of it could pass for a note of somebody else's
        line = f"{now():%Y-%m-%d %H:%M} UTC, {agent.shown}: {within}"
        note = f"{review['note']}\n{line}" if review["note"] else line
        connection.execute(reviews.update().where(reviews.c.id == review_id).values(note=note))
        called = tuple(one for one in called_in(text, seeing) if one.id != agent.id)
        for one in called:
            connection.execute(
                mentions.insert().values(
                    ticket_id=review["ticket_id"], agent_id=one.id, by_id=agent.id, text=text, at=now()
                )
            )
    return called


def called_in(text: str, people: Iterable[Agent]) -> list[Agent]:
    """The people that the text calls, each once, in its order."""
    by_name = _by_name(people)
    found: dict[Agent, None] = {}
    for name in _names_in(text):
        fitting = by_name.get(name, set())
        if len(fitting) == 1:
            found[next(iter(fitting))] = None
    return list(found)


def _names_in(text: str) -> Iterator[str]:
    return (match[1].lower().rstrip(".") for match in _CALL.finditer(text))


def _by_name(people: Iterable[Agent]) -> dict[str, set[Agent]]:
    found: dict[str, set[Agent]] = {}
    for one in people:
        first = one.name.split()[:1]
        names = {one.email, one.email.split("@")[0], one.name.replace(" ", ""), *first}
        for name in names - {""}:
            found.setdefault(name.lower(), set()).add(one)
    return found


def _refuse_unseeing(connection: sa.Connection, text: str, seeing: list[Agent]) -> None:
    names = list(_names_in(text))
    if not names:
        return
    everybody = connection.execute(sa.select(agents).where(agents.c.disabled_at.is_(None)))
    known = {one.id for one in seeing}
    unseeing = _by_name(one for one in map(agent_of, everybody) if one.id not in known)
    fit = _by_name(seeing)
    for name in names:
        if name in unseeing and name not in fit:
            raise InputError(
                f"@{name} does not see this inbox, so the note was not left; call somebody else, or write the "
                "name without the @"
            )


def colleagues(connection: sa.Connection, ticket_id: int) -> list[Agent]:
    """Everybody with an account who may see the ticket, by address."""
    limited = sa.exists().where(agent_inboxes.c.agent_id == agents.c.id)
    inbox = sa.select(tickets.c.inbox).where(tickets.c.id == ticket_id).scalar_subquery()
    in_it = sa.exists().where(agent_inboxes.c.agent_id == agents.c.id, agent_inboxes.c.inbox == inbox)
    query = (
        sa.select(agents)
        .where(agents.c.disabled_at.is_(None), sa.or_(agents.c.role == "admin", ~limited, in_it))
        .order_by(agents.c.email)
    )
    return [agent_of(row) for row in connection.execute(query)]


def waiting(store: Store, agent: Agent) -> int:
    """How many mentions of the agent they have not seen."""
    with store.read() as connection:
        query = _of(connection, agent).where(mentions.c.seen_at.is_(None))
        return int(connection.execute(query.with_only_columns(sa.func.count())).scalar_one())


def mentions_of(store: Store, agent: Agent) -> tuple[Mention, ...]:
    """The last mentions of the agent, unseen ones first, then the newest."""
    with store.read() as connection:
        query = (
            _of(connection, agent)
            .join(agents, agents.c.id == mentions.c.by_id)
            .with_only_columns(mentions, tickets.c.subject, agents.c.name, agents.c.email)
            .order_by(mentions.c.seen_at.is_not(None), mentions.c.id.desc())
            .limit(SHOWN)
        )
        return tuple(
            Mention(row.id, row.ticket_id, row.subject, row.name or row.email, row.text, row.at, row.seen_at)
            for row in connection.execute(query)
        )


def seen(store: Store, agent: Agent, ticket_id: int | None = None) -> None:
    """The agent has looked at a ticket's mentions of them, or at all of theirs."""
    of_ticket = sa.true() if ticket_id is None else mentions.c.ticket_id == ticket_id
    unseen = sa.and_(mentions.c.agent_id == agent.id, mentions.c.seen_at.is_(None), of_ticket)
    with store.read() as connection:  # mostly there is none: then nothing is written
        if connection.execute(sa.select(mentions.c.id).where(unseen).limit(1)).first() is None:
            return
    with store.write() as connection:
        connection.execute(mentions.update().where(unseen).values(seen_at=now()))


def _of(connection: sa.Connection, agent: Agent) -> sa.Select[tuple[int]]:
    """The agent's mentions on tickets that they may still see."""
    return (
        sa.select(mentions.c.id)
        .select_from(mentions)
        .join(tickets, tickets.c.id == mentions.c.ticket_id)
        .where(mentions.c.agent_id == agent.id, sight.within(sight.inboxes_of(connection, agent.id)))
    )
