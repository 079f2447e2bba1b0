"""The rows of the queue that filters leave, in their order, from one place on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from pipeline.db.tables import reviews
from pipeline.db.types import now
from pipeline.errors import InputError
from pipeline.review.sight import inboxes_of, within

STATES = ("open", "snoozed", "decided", "superseded")
URGENCIES = ("low", "normal", "high", "critical")

COUNTED_BY = ("topic", "language", "route", "reason", "inbox")
_COLUMNS = (*COUNTED_BY, "team")
_OPEN = reviews.c.state == sa.literal_column("'open'")  # a bound value would not fit the indexes of open rows

OPEN_ORDER = (reviews.c.urgency_order, reviews.c.opened_at, reviews.c.id)
SORTED_BY = {"snoozed": "snoozed_until", "decided": "decided_at", "superseded": "opened_at"}


@dataclass(frozen=True)
class Filters:
    """What the queue is narrowed to; None is everything.

    `state` is one of `STATES`: open rows that are not snoozed, snoozed ones, or what is done. `assignee` is
    the agent whose rows are wanted (taken or assigned), `unassigned` those of nobody; `waited` is the least
    age of a row. `search` looks at subject, customer, order number and text. `reader` is the agent who looks:
    what is not in their inboxes is left out.
    """

    state: str = "open"
    topic: str | None = None
    language: str | None = None
    urgency: str | None = None
    route: str | None = None
    reason: str | None = None
    inbox: str | None = None
    team: str | None = None
    assignee: int | None = None
    unassigned: bool = False
    waited: timedelta | None = None
    search: str | None = None
    reader: int | None = None


@dataclass(frozen=True)
class Place:
    """Where a page ends: the row's `sorted_by`, its id last."""

    key: tuple[Any, ...]


def conditions(connection: sa.Connection, filters: Filters) -> list[sa.ColumnElement[bool]]:
    """What a row of `reviews` must meet, but for the search. Raises `InputError` for an unknown state."""
    if filters.state not in STATES:
        raise InputError(f"state is one of {', '.join(STATES)}")
    at = now()
    found: list[sa.ColumnElement[bool]] = []
    if filters.state == "open":
        found += [_OPEN, sa.or_(reviews.c.snoozed_until.is_(None), reviews.c.snoozed_until <= at)]
    elif filters.state == "snoozed":
        found += [_OPEN, reviews.c.snoozed_until > at]
    else:
        found.append(reviews.c.state == filters.state)
    for name in _COLUMNS:
        value = getattr(filters, name)
        if value:
            found.append(reviews.c[name] == value)
    if filters.urgency:
        known = filters.urgency in URGENCIES
        order = 3 - URGENCIES.index(filters.urgency) if known else -1
        found.append(reviews.c.urgency_order == order)
    taken = reviews.c.claimed_until > at
    if filters.assignee is not None:
        mine = sa.and_(reviews.c.claimed_by == filters.assignee, taken)
        found.append(sa.or_(mine, reviews.c.assignee_id == filters.assignee))
    if filters.unassigned:
        found += [reviews.c.assignee_id.is_(None), sa.or_(reviews.c.claimed_until.is_(None), sa.not_(taken))]
    if filters.waited is not None:
        found.append(reviews.c.opened_at <= at - filters.waited)
    inboxes = inboxes_of(connection, filters.reader) if filters.reader is not None else None
    if inboxes is not None:
        found.append(within(inboxes, reviews.c.inbox))
    return found


def searches(filters: Filters) -> bool:
    """Whether there is anything to search for."""
    return bool((filters.search or "").strip())


def in_order(
    connection: sa.Connection,
    filters: Filters,
    where: list[sa.ColumnElement[bool]],
    place: Place | None,
    limit: int,
) -> list[int]:
    """The ids of the next rows that meet `where`, in the order of the state's list, at most `limit`."""
    if filters.state != "open":
        return _a_range(connection, filters, where, place, limit)
    found: list[int] = []
    for order in range(place.key[0] if place else 0, 4):  # each is then a plain range of an index
        if filters.urgency and filters.urgency != URGENCIES[3 - order]:
            continue
        here = place if place is not None and place.key[0] == order else None
        of_order = [reviews.c.urgency_order == order, *where]
        found += _a_range(connection, filters, of_order, here, limit - len(found))
        if len(found) >= limit:
            break
    return found


def _a_range(
    connection: sa.Connection,
    filters: Filters,
    where: list[sa.ColumnElement[bool]],
    place: Place | None,
    limit: int,
) -> list[int]:
    """Rows of one urgency by age, what is snoozed in the order of its return, what is done backwards."""
    columns = sorted_by(filters)[-2:]
    query = sa.select(reviews.c.id).where(*where).order_by(*in_turn(filters, columns)).limit(limit)
    if filters.state != "open":
        query = query.where(columns[0].is_not(None))
    if place is not None:
        query = query.where(beyond(filters, columns, place))
    return list(connection.execute(query).scalars())


def sorted_by(filters: Filters) -> list[sa.Column[Any]]:
    """What the rows are sorted by; of open rows by urgency before that."""
    if filters.state == "open":
        return list(OPEN_ORDER)
    return [reviews.c[SORTED_BY[filters.state]], reviews.c.id]


def in_turn(filters: Filters, columns: Sequence[sa.ColumnElement[Any]]) -> list[sa.ColumnElement[Any]]:
    """The columns for ORDER BY: what is done stands backwards."""
    return list(columns) if filters.state in ("open", "snoozed") else [column.desc() for column in columns]


def beyond(filters: Filters, columns: Sequence[sa.Column[Any]], place: Place) -> sa.ColumnElement[bool]:
    """Rows after the place, by the last of its key where there are fewer columns."""
    key = place.key[-len(columns) :]
    at = sa.tuple_(*(sa.literal(value, column.type) for value, column in zip(key, columns, strict=True)))
    row = sa.tuple_(*columns)
    return row > at if filters.state in ("open", "snoozed") else row < at


def place_of(connection: sa.Connection, filters: Filters, review_id: int) -> Place | None:
    """Where a row stands in the list; None if there is no such row."""
    found = connection.execute(sa.select(*sorted_by(filters)).where(reviews.c.id == review_id)).one_or_none()
    return None if found is None else Place(tuple(found))


def place_at(filters: Filters, cursor: str | None) -> Place | None:
    """What a page's cursor means; raises `InputError` on one that no page gave."""
    if not cursor:
        return None
    if filters.state != "open":
        return Place(_moment_and_id(cursor))
    order, _, rest = cursor.partition("~")
    if order not in ("0", "1", "2", "3"):
        raise InputError(_BAD_CURSOR)
    return Place((int(order), *_moment_and_id(rest)))


_BAD_CURSOR = "the page cursor is not one that this list gave"


def _moment_and_id(cursor: str) -> tuple[datetime, int]:
    moment, _, number = cursor.partition("~")
    try:
        at = datetime.fromisoformat(moment)
        if at.tzinfo is None or len(number) > 18:
            raise ValueError("no zone, or too long for a number of ours")
        return at.astimezone(UTC), int(number)
    except (ValueError, OverflowError):  # the calendar's first and last hours have no UTC
        raise InputError(_BAD_CURSOR) from None
