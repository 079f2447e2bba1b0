"""An agent puts right what the cheap stage read: topic, language, urgency, emotion, clarity, fields.

Each is a row of `corrections` against the triage that was wrong, and counts in that route's scorecard.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from pipeline.db.moves import touch
from pipeline.db.store import Store
from pipeline.db.tables import corrections, tickets, triages
from pipeline.db.types import now
from pipeline.errors import ConflictError, InputError, NotFoundError
from pipeline.review.agents import Agent
from pipeline.review.queue import CLARITIES, EMOTIONS, URGENCIES

_LANGUAGE = re.compile(r"[a-z]{2,3}(?:-[a-z0-9]{2,8})?")
CORRECTABLE = ("topic", "language", "urgency", "emotion", "clarity", "fields")


def correct(
    store: Store,
    ticket_id: int,
    agent: Agent,
    version: int,
    changes: Mapping[str, Any],
    teams: Mapping[str, str],
) -> dict[str, tuple[Any, Any]]:
    """Write down what was wrong and change the ticket; returns {field: (old, new)} of what did change.

    `teams` are the topics that there are, with the team of each: a corrected topic moves the ticket to
    its team. Raises `ConflictError` when the ticket changed meanwhile, `InputError` on an unknown value.
    """
    for name, value in changes.items():
        _check(name, value, teams)
    with store.write() as connection:
        ticket = (
            connection.execute(sa.select(tickets).where(tickets.c.id == ticket_id).with_for_update())
            .mappings()
            .one_or_none()
        )
        if ticket is None:
            raise NotFoundError(f"there is no ticket {ticket_id}")
        if ticket["version"] != version:
            raise ConflictError(f"Ticket {ticket_id} changed since you opened it; look again")
        triage = (
            connection.execute(
                sa.select(triages).where(triages.c.ticket_id == ticket_id).order_by(triages.c.id.desc())
            )
            .mappings()
            .first()
        )
        if triage is None:
            raise InputError(f"ticket {ticket_id} was never read by a model: there is nothing to correct")
        present = _present(connection, ticket, triage)
        changed = {name: (present[name], new) for name, new in changes.items() if present[name] != new}
        for name, (old, new) in changed.items():
            connection.execute(
                corrections.insert().values(
                    ticket_id=ticket_id,
                    triage_id=triage["id"],
                    field=name,
                    old=old,
                    new=new,
                    by_kind="agent",
                    by_name=agent.who,
                    at=now(),
                )
            )
        if changed:
            touch(connection, ticket_id, **_columns(changed, teams))
    return changed


def _check(name: str, value: Any, teams: Mapping[str, str]) -> None:
    scales: dict[str, tuple[str, ...]] = {
        "topic": tuple(teams),
        "urgency": URGENCIES,
        "emotion": EMOTIONS,
        "clarity": CLARITIES,
    }
    if name not in CORRECTABLE:
        raise InputError(f"{name} cannot be corrected; one of {', '.join(CORRECTABLE)} can")
    if name in scales and value not in scales[name]:
        raise InputError(f"{name} is one of {', '.join(scales[name])}")
    if name == "language" and not (isinstance(value, str) and _LANGUAGE.fullmatch(value)):
        raise InputError("a language is a code like en or pt-br")
    if name == "fields" and not isinstance(value, dict):
        raise InputError("fields are lists of values by name")


def _present(connection: sa.Connection, ticket: sa.RowMapping, triage: sa.RowMapping) -> dict[str, Any]:
    """What is held true now: the ticket's columns, and for the rest the triage with its corrections."""
    present = {name: ticket[name] for name in ("topic", "language", "urgency", "emotion")}
    for name in ("clarity", "fields"):
        present[name] = triage[name]
        last = connection.execute(
            sa.select(corrections.c.new)
            .where(corrections.c.triage_id == triage["id"], corrections.c.field == name)
            .order_by(corrections.c.id.desc())
        ).first()
        if last is not None:
            present[name] = last.new
    return present


def _columns(changed: Mapping[str, tuple[Any, Any]], teams: Mapping[str, str]) -> dict[str, Any]:
    columns: dict[str, Any] = {
        name: new
        for name, (_old, new) in changed.items()
        if name in ("topic", "language", "urgency", "emotion")
    }
    if "topic" in columns:
        columns["team"] = teams[columns["topic"]]
    if "urgency" in columns:
        columns["urgency_rank"] = URGENCIES.index(columns["urgency"])
    return columns
