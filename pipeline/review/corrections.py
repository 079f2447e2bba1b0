"""An agent puts right what the cheap stage read: topic, language, urgency, emotion, clarity, fields.

Each is a row of `corrections` against the triage that was wrong, and counts in that route's scorecard; one
line among the ticket's moves says what was changed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import sqlalchemy as sa

from pipeline.db.moves import note, touch
from pipeline.db.store import Store
from pipeline.db.tables import corrections, triages
from pipeline.db.types import now
from pipeline.errors import InputError
from pipeline.review.agents import Agent
from pipeline.review.holding import lock_ticket
from pipeline.review.queue import CLARITIES, EMOTIONS, URGENCIES

_LANGUAGE = re.compile(r"[a-z]{2,3}(?:-[a-z0-9]{2,8})?")
CORRECTABLE = ("topic", "language", "urgency", "emotion", "clarity", "fields")
FIELDS = (
    "order_numbers",
    "invoice_numbers",
    "account_ids",
    "amounts",
    "dates",
    "emails",
    "phones",
    "names",
)
LONGEST_VALUE = 200


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
        ticket = lock_ticket(connection, ticket_id, version)
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
            _write_down(connection, ticket_id, triage["id"], agent, name, old, new)
        if changed:
            touch(connection, ticket_id, **_columns(changed, teams))
            what = ", ".join(
                "the fields" if name == "fields" else f"{name}: {old or 'none'} is {new}"
                for name, (old, new) in changed.items()
            )
            note(connection, ticket_id, who=agent.who, why=f"{agent.shown} corrected {what}")
    return changed


def correct_fields(
    store: Store,
    ticket_id: int,
    agent: Agent,
    version: int,
    *,
    removed: Iterable[tuple[str, str]] = (),
    added: Iterable[tuple[str, str]] = (),
) -> bool:
    """Take values out of a thread's fields and put others in, each as (field, value); whether that changed any.

    A value is taken out of every reading that has it; what is put in belongs to the newest one. Raises
    `ConflictError` when the ticket changed meanwhile, `InputError` on a field or a value that cannot be.
    """
    out = {(name, value) for name, value in removed}
    given = [(name, " ".join(value.split())) for name, value in added]
    for name, value in [*out, *given]:
        if name not in FIELDS:
            raise InputError(f"a field is one of {', '.join(FIELDS)}")
        if not value or len(value) > LONGEST_VALUE:
            raise InputError(f"a value is 1 to {LONGEST_VALUE} characters long")
    with store.write() as connection:
        lock_ticket(connection, ticket_id, version)
        readings = connection.execute(
            sa.select(triages.c.id, triages.c.fields)
            .where(triages.c.ticket_id == ticket_id)
            .order_by(triages.c.id.desc())
        ).all()
        if not readings:
            raise InputError(f"ticket {ticket_id} was never read by a model: there is nothing to correct")
        changed = False
        for reading in readings:
            old = _last_correction(connection, reading.id, "fields", reading.fields) or {}
            new = {
                name: [item for item in values or [] if (name, value_of(item)) not in out]
                for name, values in old.items()
            }
            if reading.id == readings[0].id:
                for name, value in given:
                    kept = new.setdefault(name, [])
                    if value not in map(value_of, kept):
                        kept.append({"value": value})
            if {k: v for k, v in old.items() if v} != {k: v for k, v in new.items() if v}:
                _write_down(connection, ticket_id, reading.id, agent, "fields", old, new)
                changed = True
        if changed:
            touch(connection, ticket_id)
            words = [f"{value} is no {_in_words(name)}" for name, value in sorted(out)]
            words += [f"{value} is one of the {_in_words(name, many=True)}" for name, value in given]
            why = f"{agent.shown} corrected the fields: {'; '.join(words)}"
            note(connection, ticket_id, who=agent.who, why=why)
    return changed


def value_of(item: Any) -> str:
    """A field's value as it stands in the text; readings keep it as {"value", "normalised"}."""
    return str(item.get("value", "")) if isinstance(item, Mapping) else str(item)


def _in_words(name: str, *, many: bool = False) -> str:
    return (name if many else name.removesuffix("s")).replace("_", " ")


def _write_down(
    connection: sa.Connection, ticket_id: int, triage_id: int, agent: Agent, name: str, old: Any, new: Any
) -> None:
    connection.execute(
        corrections.insert().values(
            ticket_id=ticket_id,
            triage_id=triage_id,
            field=name,
            old=old,
            new=new,
            by_kind="agent",
            by_name=agent.who,
            at=now(),
        )
    )


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
        present[name] = _last_correction(connection, triage["id"], name, triage[name])
    return present


def _last_correction(connection: sa.Connection, triage_id: int, name: str, read: Any) -> Any:
    """What a reading's field was last corrected to; as it was read where nobody did."""
    last = connection.execute(
        sa.select(corrections.c.new)
        .where(corrections.c.triage_id == triage_id, corrections.c.field == name)
        .order_by(corrections.c.id.desc())
    ).first()
    return read if last is None else last.new


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
