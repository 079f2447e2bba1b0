"""The review table as a list: filters, search, counts, keyset pages; the most urgent and oldest first.

Every query here stays inside one index of the open rows, so that a page costs the same with a million tickets:
the rows of a page are found by `reviews` alone, and only they are joined with their tickets and drafts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from pipeline.db.store import Store
from pipeline.db.tables import agents, drafts, reviews, tickets
from pipeline.db.types import UtcTime, now
from pipeline.errors import InputError, NotFoundError
from pipeline.review.searching import matches
from pipeline.review.sight import inboxes_of, within

PAGE = 50
COUNTED = 1000
COUNTED_EACH = 100
"""Counting ends here: an exact count of a million rows takes too long. Up to `COUNTED` rows every count is
exact; with more, the total is "1,000+" and the rows of one topic, language and so on are counted to 100."""

STATES = ("open", "snoozed", "decided", "superseded")
URGENCIES = ("low", "normal", "high", "critical")
EMOTIONS = ("calm", "worried", "frustrated", "angry")
CLARITIES = ("clear", "vague", "mixed")

_OPEN = reviews.c.state == sa.literal_column("'open'")  # a bound value would not fit the indexes of open rows
_COLUMNS = ("topic", "language", "route", "reason", "inbox")


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
class Row:
    """One row of the review table with what a list shows of its ticket."""

    review_id: int
    ticket_id: int
    version: int
    status: str
    reason: str
    detail: str
    state: str
    opened_at: datetime
    decided_at: datetime | None
    action: str | None
    outcome: str | None
    draft_id: int | None
    model: str | None
    tier: str | None
    source: str | None
    blocked: bool
    subject: str
    customer_name: str | None
    customer_address: str | None
    inbox: str
    topic: str | None
    language: str | None
    urgency: str | None
    urgency_rank: int
    emotion: str | None
    route: str | None
    decision: str | None
    team: str | None
    claimed_by: int | None
    claimed_by_email: str | None
    claimed_until: datetime | None
    assignee_id: int | None
    assignee_email: str | None
    snoozed_until: datetime | None


@dataclass(frozen=True)
class Page:
    """Rows of one page; `next` is the cursor of the one after, None at the end."""

    rows: tuple[Row, ...]
    next: str | None


@dataclass(frozen=True)
class Counts:
    """How many open rows there are, in all and by each value of the columns that people filter by.

    `total` and `snoozed` above `COUNTED`, and one of `by` above `most`, mean "more than that".
    """

    total: int
    snoozed: int = 0
    most: int = COUNTED
    by: dict[str, dict[str, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class _Place:
    """Where a page ends in the order of open rows."""

    order: int
    opened_at: datetime
    review_id: int


def page(store: Store, filters: Filters, *, after: str | None = None, limit: int = PAGE) -> Page:
    """One page; `after` is the cursor that the page before gave. Raises `InputError` on a bad one."""
    limit = max(1, min(limit, 200))
    with store.read() as connection:
        where = _conditions(connection, filters)
        if filters.state == "open":
            found = _open_ids(connection, filters, where, _place(after), limit + 1)
        else:
            found = _other_ids(connection, filters, where, after, limit + 1)
        rows = _rows(connection, found[:limit])
    return Page(tuple(rows), _cursor(filters, rows[-1]) if len(found) > limit else None)


def row(store: Store, review_id: int) -> Row:
    """One row as the list shows it; raises `NotFoundError`."""
    with store.read() as connection:
        found = _rows(connection, [review_id])
    if not found:
        raise NotFoundError(f"there is no review {review_id}")
    return found[0]


def counts(store: Store, reader: int | None = None) -> Counts:
    """The open rows by topic, language, urgency, route, reason and inbox, as far as the reader may see them."""
    with store.read() as connection:
        where = _conditions(connection, Filters(reader=reader))
        total = _count(connection, where, COUNTED + 1, _ORDER)
        names = (*_COLUMNS, "urgency_order")
        few = (
            total <= COUNTED or connection.dialect.name == "sqlite"
        )  # which has no million rows, nor LATERAL
        by = (_exactly if few else _up_to_the_limit)(connection, where, names)
        snoozed = _count(connection, _conditions(connection, Filters("snoozed", reader=reader)), COUNTED + 1)
    orders = by.pop("urgency_order")
    by["urgency"] = {name: orders[3 - rank] for rank, name in enumerate(URGENCIES) if orders.get(3 - rank)}
    shown = {name: dict(sorted(values.items())) for name, values in by.items()}
    return Counts(total, snoozed, COUNTED if few else COUNTED_EACH, shown)


def count(store: Store, filters: Filters, at_most: int = 100) -> int:
    """How many rows match, counted no further than `at_most`."""
    with store.read() as connection:
        order = _ORDER if filters.state == "open" else ()
        return _count(connection, _conditions(connection, filters), at_most, order)


def newer(
    store: Store, filters: Filters, since_id: int, since: datetime | None = None, at_most: int = 100
) -> int:
    """How many matching open rows came after review `since_id`, or were snoozed until after `since`."""
    come = reviews.c.id > since_id
    with store.read() as connection:
        where = _conditions(connection, filters)
        found = _count(connection, [*where, come], at_most)
        if since is not None and filters.state == "open":
            back = reviews.c.snoozed_until.between(since, now())
            found += _count(connection, [*where, back, sa.not_(come)], at_most)
    return found


def newest_id(store: Store) -> int:
    """The id of the review row opened last; 0 when there is none."""
    with store.read() as connection:
        return int(connection.execute(sa.select(sa.func.max(reviews.c.id))).scalar() or 0)


def neighbour(store: Store, filters: Filters, review_id: int) -> int | None:
    """The ticket after this review's in the queue, for going on after a decision; the first one otherwise."""
    with store.read() as connection:
        here = connection.execute(
            sa.select(reviews.c.urgency_order, reviews.c.opened_at).where(reviews.c.id == review_id)
        ).one_or_none()
        where = [*_conditions(connection, filters), reviews.c.id != review_id]
        found = []
        if here is not None:
            place = _Place(here.urgency_order, here.opened_at, review_id)
            found = _open_ids(connection, filters, where, place, 1)
        found = found or _open_ids(connection, filters, where, None, 1)
        if not found:
            return None
        return connection.execute(sa.select(reviews.c.ticket_id).where(reviews.c.id == found[0])).scalar()


# --- the rows of a page -------------------------------------------------------------------------------


def _open_ids(
    connection: sa.Connection,
    filters: Filters,
    where: list[sa.ColumnElement[bool]],
    place: _Place | None,
    limit: int,
) -> list[int]:
    """The next rows' ids. One urgency after the other: then each query is a plain range of an index."""
    found: list[int] = []
    for order in range(place.order if place else 0, 4):
        if filters.urgency and filters.urgency != URGENCIES[3 - order]:
            continue
        query = (
            sa.select(reviews.c.id)
            .where(reviews.c.urgency_order == order, *where)
            .order_by(reviews.c.opened_at, reviews.c.id)
            .limit(limit - len(found))
        )
        if place is not None and place.order == order:
            query = query.where(_key(reviews.c.opened_at) > _at(place.opened_at, place.review_id))
        found += connection.execute(query).scalars()
        if len(found) >= limit:
            break
    return found


def _other_ids(
    connection: sa.Connection,
    filters: Filters,
    where: list[sa.ColumnElement[bool]],
    after: str | None,
    limit: int,
) -> list[int]:
    """What is snoozed in the order of its return, what is done backwards."""
    column = reviews.c[_SORTED_BY[filters.state]]
    key = _key(column)
    query = sa.select(reviews.c.id).where(column.is_not(None), *where).limit(limit)
    if filters.state == "snoozed":
        query = query.order_by(column, reviews.c.id)
    else:
        query = query.order_by(column.desc(), reviews.c.id.desc())
    if after:
        last = _at(*_moment_and_id(after))
        query = query.where(key > last if filters.state == "snoozed" else key < last)
    return list(connection.execute(query).scalars())


_SORTED_BY = {"snoozed": "snoozed_until", "decided": "decided_at", "superseded": "opened_at"}


def _rows(connection: sa.Connection, ids: list[int]) -> list[Row]:
    """The rows in the order of their ids as given."""
    assignee = agents.alias("assignee")
    query = (
        sa.select(
            reviews.c.id.label("review_id"),
            *(reviews.c[name] for name in _OF_REVIEWS),
            *(drafts.c[name] for name in ("model", "tier", "source", "blocked")),
            *(tickets.c[name] for name in _OF_TICKETS),
            tickets.c.id.label("ticket_id"),
            agents.c.email.label("claimed_by_email"),
            assignee.c.email.label("assignee_email"),
        )
        .select_from(
            reviews.join(tickets, tickets.c.id == reviews.c.ticket_id)
            .outerjoin(drafts, drafts.c.id == reviews.c.draft_id)
            .outerjoin(agents, agents.c.id == reviews.c.claimed_by)
            .outerjoin(assignee, assignee.c.id == tickets.c.assignee_id)
        )
        .where(reviews.c.id.in_(ids))
    )
    found = {row["review_id"]: _row(row) for row in connection.execute(query).mappings()}
    return [found[one] for one in ids if one in found]


_OF_REVIEWS = (
    "reason", "detail", "state", "opened_at", "decided_at", "action", "outcome", "draft_id", "claimed_by",
    "claimed_until", "snoozed_until",
)  # fmt: skip
_OF_TICKETS = (
    "version", "status", "subject", "customer_name", "customer_address", "inbox", "topic", "language",
    "urgency", "urgency_rank", "emotion", "route", "decision", "team", "assignee_id",
)  # fmt: skip


def _row(row: sa.RowMapping) -> Row:
    values = dict(row)
    values["blocked"] = bool(values["blocked"])
    if values["claimed_until"] is not None and values["claimed_until"] <= now():
        values.update(claimed_by=None, claimed_by_email=None, claimed_until=None)
    if values["snoozed_until"] is not None and values["snoozed_until"] <= now():
        values["snoozed_until"] = None
    return Row(**values)


# --- conditions ----------------------------------------------------------------------------------------


def _conditions(connection: sa.Connection, filters: Filters) -> list[sa.ColumnElement[bool]]:
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
    if filters.team:
        of_team = sa.exists().where(tickets.c.id == reviews.c.ticket_id, tickets.c.team == filters.team)
        found.append(of_team)
    taken = reviews.c.claimed_until > at
    if filters.assignee is not None:
        mine = sa.and_(reviews.c.claimed_by == filters.assignee, taken)
        found.append(sa.or_(mine, reviews.c.assignee_id == filters.assignee))
    if filters.unassigned:
        found += [reviews.c.assignee_id.is_(None), sa.or_(reviews.c.claimed_until.is_(None), sa.not_(taken))]
    if filters.waited is not None:
        found.append(reviews.c.opened_at <= at - filters.waited)
    if (filters.search or "").strip():
        found.append(matches(connection.dialect.name, str(filters.search)))
    inboxes = inboxes_of(connection, filters.reader) if filters.reader is not None else None
    if inboxes is not None:
        found.append(within(inboxes, reviews.c.inbox))
    return found


def _key(column: sa.Column[datetime]) -> sa.Tuple:
    return sa.tuple_(column, reviews.c.id)


def _at(moment: datetime, review_id: int) -> sa.Tuple:
    return sa.tuple_(sa.literal(moment, UtcTime()), sa.literal(review_id, sa.BigInteger()))


def _cursor(filters: Filters, last: Row) -> str:
    if filters.state == "open":
        return f"{3 - last.urgency_rank}~{last.opened_at.isoformat()}~{last.review_id}"
    return f"{getattr(last, _SORTED_BY[filters.state]).isoformat()}~{last.review_id}"


def _place(cursor: str | None) -> _Place | None:
    if not cursor:
        return None
    order, _, rest = cursor.partition("~")
    if order not in ("0", "1", "2", "3"):
        raise InputError(_BAD_CURSOR)
    return _Place(int(order), *_moment_and_id(rest))


_BAD_CURSOR = "the page cursor is not one that this list gave"


def _moment_and_id(cursor: str) -> tuple[datetime, int]:
    moment, _, number = cursor.partition("~")
    try:
        at = datetime.fromisoformat(moment)
        if at.tzinfo is None or len(number) > 18:
            raise ValueError("no zone, or too long for a number of ours")
        return at, int(number)
    except ValueError:
        raise InputError(_BAD_CURSOR) from None


# --- counting -------------------------------------------------------------------------------------------


def _count(
    connection: sa.Connection,
    where: list[sa.ColumnElement[bool]],
    at_most: int,
    order: tuple[sa.ColumnElement[Any], ...] = (),
) -> int:
    """With an `order`, an index that has it is read as far as needed; without one any way is good."""
    one: sa.ColumnElement[int] = sa.literal_column("1")
    some = sa.select(one).select_from(reviews).where(*where).order_by(*order).limit(at_most)
    return int(connection.execute(sa.select(sa.func.count()).select_from(some.subquery())).scalar_one())


_ORDER = (reviews.c.urgency_order, reviews.c.opened_at, reviews.c.id)


def _exactly(
    connection: sa.Connection, where: list[sa.ColumnElement[bool]], names: tuple[str, ...]
) -> dict[str, dict[Any, int]]:
    """One grouped read of few rows."""
    columns = [reviews.c[name] for name in names]
    query = sa.select(*columns, sa.func.count().label("n")).where(*where).group_by(*columns)
    by: dict[str, dict[Any, int]] = {name: {} for name in names}
    for row in connection.execute(query).mappings():
        for name in names:
            if row[name] is not None:
                by[name][row[name]] = by[name].get(row[name], 0) + row["n"]
    return by


def _up_to_the_limit(
    connection: sa.Connection, where: list[sa.ColumnElement[bool]], names: tuple[str, ...]
) -> dict[str, dict[Any, int]]:
    """Among many rows: from one value to the next by the column's index, each counted up to the limit."""
    each = []
    for name in names:
        column = reviews.c[name]
        values = (
            sa.select(sa.func.min(column).label("value")).where(*where).cte(f"seen_{name}", recursive=True)
        )
        following = sa.select(sa.func.min(column)).where(*where, column > values.c.value).scalar_subquery()
        values = values.union_all(sa.select(following).where(values.c.value.is_not(None)))
        some = (
            sa.select(sa.literal_column("1").label("one"))
            .where(*where, column == values.c.value)
            .order_by(*_ORDER)
            .limit(COUNTED_EACH + 1)
            .lateral()
        )
        each.append(
            sa.select(sa.literal(name).label("name"), sa.cast(values.c.value, sa.Text), sa.func.count())
            .select_from(values.join(some, sa.true()))
            .group_by(values.c.value)
        )
    by: dict[str, dict[Any, int]] = {name: {} for name in names}
    for name, value, n in connection.execute(sa.union_all(*each)):
        by[name][int(value) if name == "urgency_order" else value] = n
    return by
