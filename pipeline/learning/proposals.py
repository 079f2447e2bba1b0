"""Proposals: what the machine would change in the team's files, kept until a person says yes or no.

Each has a key and is proposed once. One that is proposed again while it is open gathers evidence; one that was
dismissed comes back only when its evidence has doubled since. A person may change a decision.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from pipeline.db.store import Store
from pipeline.db.tables import drafts, proposals, reviews
from pipeline.db.types import now
from pipeline.errors import ConflictError, NotFoundError
from pipeline.review import audit
from pipeline.review.agents import Agent
from pipeline.review.diff import Piece, diff

OPEN, APPROVED, DISMISSED = "open", "approved", "dismissed"
STATES = (OPEN, APPROVED, DISMISSED)
PAIRS = 10
_SINCE = "since_dismissed"


@dataclass(frozen=True)
class Draft:
    """A proposal before it is kept."""

    key: str
    kind: str
    title: str
    file: str
    content: dict[str, Any]
    evidence: tuple[int, ...]
    effect: dict[str, Any]


@dataclass(frozen=True)
class Proposal(Draft):
    """One that is kept. `week` is whose edits it came out of first."""

    id: int
    week: str
    state: str
    created_at: datetime
    decided_at: datetime | None

    def to_json(self) -> dict[str, Any]:
        shown = ("id", "kind", "title", "file", "state", "week", "content", "effect", "key")
        return {name: getattr(self, name) for name in shown} | {"evidence": list(self.evidence)}

    @property
    def effect_line(self) -> str:
        """The effect in one sentence."""
        return str(self.effect.get("words", ""))


@dataclass(frozen=True)
class Pair:
    """A draft and what was sent, as the pieces of their difference."""

    review_id: int
    ticket_id: int
    pieces: tuple[Piece, ...]


def keep(store: Store, week: str, found: Sequence[Draft]) -> list[int]:
    """Store what is new, gather evidence for what is open; returns the ids that are open because of this call."""
    opened = []
    with store.write() as connection:
        if connection.dialect.name == "postgresql":  # SQLite has one writer anyway
            connection.execute(sa.text("LOCK TABLE proposals IN SHARE ROW EXCLUSIVE MODE"))
        for one in found:
            row = connection.execute(sa.select(proposals).where(proposals.c.key == one.key)).one_or_none()
            if row is None:
                opened.append(_insert(connection, week, one))
            elif row.state == OPEN:
                _update(connection, row.id, _together(row.evidence, one.evidence), one.effect)
            elif row.state == DISMISSED:
                since = _together(row.effect.get(_SINCE, ()), set(one.evidence) - set(row.evidence))
                if since and len(since) >= len(row.evidence):
                    _update(connection, row.id, _together(row.evidence, since), one.effect, state=OPEN)
                    opened.append(row.id)
                else:
                    _update(connection, row.id, row.evidence, {**row.effect, _SINCE: since})
    return opened


def every(store: Store, states: Collection[str] = STATES, limit: int = 200) -> list[Proposal]:
    """The proposals in these states, the newest first."""
    with store.read() as connection:
        rows = connection.execute(
            sa.select(proposals)
            .where(proposals.c.state.in_(list(states)))
            .order_by(proposals.c.id.desc())
            .limit(limit)
        )
        return [_proposal(row) for row in rows]


def one(store: Store, id: int) -> Proposal:
    """Raises `NotFoundError`."""
    with store.read() as connection:
        row = connection.execute(sa.select(proposals).where(proposals.c.id == id)).one_or_none()
    if row is None:
        raise NotFoundError(f"there is no proposal {id}")
    return _proposal(row)


def decide(
    store: Store, id: int, state: str, agent: Agent | None = None, *, seen: str | None = None
) -> Proposal:
    """Approve or dismiss; `agent` is None for the operator of the command line, `seen` the state on the page.

    Raises `ConflictError` where somebody decided otherwise meanwhile, or it is so already.
    """
    with store.write() as connection:
        row = connection.execute(
            sa.select(proposals).where(proposals.c.id == id).with_for_update()
        ).one_or_none()
        if row is None:
            raise NotFoundError(f"there is no proposal {id}")
        if row.state == state:
            raise ConflictError(f"proposal {id} is {state} already")
        if seen is not None and row.state != seen:
            raise ConflictError(f"somebody {row.state} this proposal meanwhile; look at it again")
        connection.execute(
            proposals.update()
            .where(proposals.c.id == id)
            .values(
                state=state,
                decided_at=now(),
                decided_by=None if agent is None else agent.id,
                effect={name: value for name, value in row.effect.items() if name != _SINCE},
            )
        )
        who = audit.OPERATOR if agent is None else agent.who
        audit.note(connection, who, f"proposal_{state}", f"proposal {id}", " ".join(row.title.split()))
    return one(store, id)


def pairs(store: Store, found: Proposal, limit: int = PAIRS) -> list[Pair]:
    """The drafts behind a proposal, each against what was sent."""
    with store.read() as connection:
        rows = connection.execute(
            sa.select(
                reviews.c.id,
                reviews.c.ticket_id,
                reviews.c.sent_text,
                drafts.c.text,
                drafts.c.language,
            )
            .join(drafts, drafts.c.id == reviews.c.draft_id)
            .where(reviews.c.id.in_(list(found.evidence)[:limit]))
            .order_by(reviews.c.id)
        )
        return [
            Pair(row.id, row.ticket_id, tuple(diff(row.text, row.sent_text, row.language)))
            for row in rows
            if row.sent_text is not None
        ]


def _insert(connection: sa.Connection, week: str, found: Draft) -> int:
    values = {name: getattr(found, name) for name in ("key", "kind", "title", "file", "content", "effect")}
    values |= {"evidence": list(found.evidence), "week": week, "state": OPEN, "created_at": now()}
    return int(connection.execute(proposals.insert().values(values).returning(proposals.c.id)).scalar_one())


def _update(connection: sa.Connection, id: int, evidence: Any, effect: Any, **more: Any) -> None:
    values = {"evidence": list(evidence), "effect": effect, **more}
    connection.execute(proposals.update().where(proposals.c.id == id).values(values))


def _together(one: Collection[int], other: Collection[int]) -> list[int]:
    return sorted({*one, *other})


def _proposal(row: sa.Row[Any]) -> Proposal:
    names = ("id", "key", "kind", "title", "file", "content", "effect", "week", "state", "created_at")
    return Proposal(
        **{name: getattr(row, name) for name in names},
        evidence=tuple(row.evidence),
        decided_at=row.decided_at,
    )
