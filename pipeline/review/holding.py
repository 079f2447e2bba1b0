"""What every decision begins with: the ticket locked; version, row and claim as the agent saw them."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from pipeline.db.tables import agents, drafts, messages, moves, reviews, tickets
from pipeline.db.types import now
from pipeline.errors import ConflictError, InputError, NotFoundError
from pipeline.review.agents import Agent
from pipeline.review.outcomes import Measured, tokens

CLAIM = timedelta(minutes=15)
"""How long a row that somebody took is theirs."""


@dataclass(frozen=True)
class Held:
    """An open row whose ticket is locked. `draft` is its draft's row or None."""

    review: sa.RowMapping
    ticket: sa.RowMapping
    draft: sa.RowMapping | None


def hold(connection: sa.Connection, review_id: int, agent: Agent, version: int) -> Held:
    """Lock the row's ticket. Raises `ConflictError` when it is decided, changed, or somebody else's now."""
    before = review_row(connection, review_id)
    ticket = lock_ticket(connection, before["ticket_id"], None)
    review = review_row(connection, review_id)  # as it is now that nobody else can change it
    refuse_done(connection, review)
    if ticket["version"] != version:
        raise ConflictError(_what_changed(connection, ticket, version))
    refuse_claimed(connection, review, agent)
    draft = None
    if review["draft_id"] is not None:
        query = sa.select(drafts).where(drafts.c.id == review["draft_id"])
        draft = connection.execute(query).mappings().one()
    return Held(review, ticket, draft)


def review_row(connection: sa.Connection, review_id: int, *, lock: bool = False) -> sa.RowMapping:
    query = sa.select(reviews).where(reviews.c.id == review_id)
    row = connection.execute(query.with_for_update() if lock else query).mappings().one_or_none()
    if row is None:
        raise NotFoundError(f"there is no review {review_id}")
    return row


def lock_ticket(connection: sa.Connection, ticket_id: int, version: int | None) -> sa.RowMapping:
    query = sa.select(tickets).where(tickets.c.id == ticket_id).with_for_update()
    ticket = connection.execute(query).mappings().one_or_none()
    if ticket is None:
        raise NotFoundError(f"there is no ticket {ticket_id}")
    if version is not None and ticket["version"] != version:
        raise ConflictError(_what_changed(connection, ticket, version))
    return ticket


def _what_changed(connection: sa.Connection, ticket: sa.RowMapping, version: int) -> str:
    """One sentence for the loser of a race: what happened since the version that they saw."""
    last = connection.execute(
        sa.select(moves.c.why, moves.c.at)
        .where(moves.c.ticket_id == ticket["id"], moves.c.version > version)
        .order_by(moves.c.id.desc())
    ).first()
    what = f"{last.why} ({last.at:%H:%M} UTC)" if last else "its details changed"
    return f"Ticket {ticket['id']} changed since you opened it: {what}"


def refuse_done(connection: sa.Connection, review: sa.RowMapping) -> None:
    if review["state"] == "open":
        return
    if review["state"] == "superseded":
        raise ConflictError(
            f"Ticket {review['ticket_id']}: this row is superseded, something newer happened; look again"
        )
    who = connection.execute(sa.select(agents.c.email).where(agents.c.id == review["decided_by"])).scalar()
    at = f" at {review['decided_at']:%H:%M} UTC" if review["decided_at"] else ""
    raise ConflictError(
        f"Ticket {review['ticket_id']}: this row is already decided ({review['action']}) "
        f"by {who or 'somebody'}{at}"
    )


def refuse_claimed(connection: sa.Connection, review: sa.RowMapping, agent: Agent) -> None:
    until = review["claimed_until"]
    if review["claimed_by"] in (None, agent.id) or until is None or until <= now():
        return
    who = connection.execute(sa.select(agents.c.email).where(agents.c.id == review["claimed_by"])).scalar()
    raise ConflictError(f"{who} has taken ticket {review['ticket_id']} until {until:%H:%M} UTC")


def refuse_blocked(connection: sa.Connection, row: Held, text: str) -> None:
    """Raise `InputError` where a text has the words of a blocked draft of the ticket, whichever way it comes.

    Spaces, capitals, what nobody sees and the marks of a sentence make no other text of it. The row's own draft
    comes first: what was blocked once and is not any more may go out.
    """
    said = _words(text)
    if row.draft is not None and not row.draft["blocked"] and _words(row.draft["text"]) == said:
        return
    found = connection.execute(
        sa.select(drafts.c.text, drafts.c.blocked).where(drafts.c.ticket_id == row.ticket["id"])
    )
    for draft in found:
        if draft.blocked and _words(draft.text) == said:
            reasons = "; ".join(str(reason) for reason in draft.blocked)
            raise InputError(f"the draft may not go out as it stands: {reasons}")


_SENTENCE_MARKS = frozenset(".,;:!?…\"'-()")
_FILLERS = "\u115f\u1160\u3164\uffa0"  # letters by their category, and yet nothing to be seen


def _words(text: str) -> str:
    """What a text says: numbers, signs of money and the like stay, for they make another text of it."""
    seen = "".join(c for c in text if unicodedata.category(c) != "Cf" and c not in _FILLERS)
    return "".join(token.casefold() for token in tokens(seen, "") if token not in _SENTENCE_MARKS)


def decide(
    connection: sa.Connection,
    row: Held,
    agent: Agent,
    action: str,
    measured: Measured | None,
    **values: Any,
) -> None:
    if values.get("note") and row.review["note"]:
        values["note"] = f"{row.review['note']}\n{values['note']}"
    elif not values.get("note"):
        values.pop("note", None)
    if measured is not None:
        values.update(
            outcome=measured.outcome,
            outcome_why=measured.why or None,
            edit_share=measured.edit_share,
            hter=measured.hter,
        )
    done = connection.execute(
        reviews.update()
        .where(reviews.c.id == row.review["id"], reviews.c.state == "open")
        .values(state="decided", action=action, decided_at=now(), decided_by=agent.id, **values)
    )
    if done.rowcount != 1:
        raise ConflictError(f"review {row.review['id']} was decided by somebody else just now")


def unread(connection: sa.Connection, ticket_id: int) -> bool:
    """Whether a person's message waits to be read."""
    return (
        connection.execute(sa.select(messages.c.id).where(*_waiting(ticket_id)).limit(1)).first() is not None
    )


def all_read(connection: sa.Connection, ticket_id: int) -> None:
    """The agent who answers has the whole thread before them (the version says so): nothing of it waits."""
    connection.execute(messages.update().where(*_waiting(ticket_id)).values(triaged_at=now()))


def _waiting(ticket_id: int) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        messages.c.ticket_id == ticket_id,
        messages.c.direction == "inbound",
        messages.c.kind == "person",
        messages.c.triaged_at.is_(None),
    )
