"""The review table as a list: filters, search, counts, keyset pages; the most urgent and oldest first.

Every query here stays inside one index of the open rows, so that a page costs the same with a million tickets:
the rows of a page are found by `reviews` alone, and only they are joined with their tickets and drafts. Those
indexes also hold what else can be filtered by, so that a rare pair of filters is sought in the index only.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

import sqlalchemy as sa

from pipeline.db.store import Store
from pipeline.db.tables import agents, drafts, reviews, tickets
from pipeline.db.types import now
from pipeline.errors import NotFoundError
from pipeline.review import counting, searching
from pipeline.review.narrowing import (
    COUNTED_BY,
    OPEN_ORDER,
    SORTED_BY,
    STATES,
    URGENCIES,
    Filters,
    Place,
    conditions,
    in_order,
    place_at,
    place_of,
    searches,
)

__all__ = ["STATES", "URGENCIES", "Counts", "Filters", "Page", "Row"]

PAGE = 50
COUNTED = 1000
COUNTED_EACH = 100
"""Counting ends here: an exact count of a million rows takes too long. Up to `COUNTED` rows every count is
exact; with more, the total is "1,000+" and the rows of one topic, language and so on are counted to 100."""

FEW_NEW = 10_000

EMOTIONS = ("calm", "worried", "frustrated", "angry")
CLARITIES = ("clear", "vague", "mixed")


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


def page(store: Store, filters: Filters, *, after: str | None = None, limit: int = PAGE) -> Page:
    """One page; `after` is the cursor that the page before gave. Raises `InputError` on a bad one."""
    limit = max(1, min(limit, 200))
    with store.read() as connection:
        found = _ids(
            connection, filters, conditions(connection, filters), place_at(filters, after), limit + 1
        )
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
        theirs, away = Filters(reader=reader), Filters("snoozed", reader=reader)
        where = conditions(connection, theirs)
        total = counting.count(connection, theirs, where, COUNTED + 1, OPEN_ORDER)
        names = (*COUNTED_BY, "urgency_order")
        few = total <= COUNTED or connection.dialect.name == "sqlite"  # which has no million rows
        if few:
            by = counting.exactly(connection, where, names)
        else:
            by = counting.up_to(COUNTED_EACH, connection, where, names)
        snoozed = counting.count(connection, away, conditions(connection, away), COUNTED + 1)
    orders = by.pop("urgency_order")
    by["urgency"] = {name: orders[3 - rank] for rank, name in enumerate(URGENCIES) if orders.get(3 - rank)}
    shown = {name: dict(sorted(values.items())) for name, values in by.items()}
    return Counts(total, snoozed, COUNTED if few else COUNTED_EACH, shown)


def count(store: Store, filters: Filters, at_most: int = 100) -> int:
    """How many rows match, counted no further than `at_most`."""
    with store.read() as connection:
        where = conditions(connection, filters)
        return counting.count(
            connection, filters, where, at_most, OPEN_ORDER if filters.state == "open" else ()
        )


def newer(
    store: Store, filters: Filters, since_id: int, since: datetime | None = None, at_most: int = 100
) -> int:
    """How many matching open rows came after review `since_id`, or were snoozed until after `since`."""
    come = reviews.c.id > since_id
    with store.read() as connection:
        where = conditions(connection, filters)
        few = _newest_id(connection) - since_id < FEW_NEW  # else among very many: by the filter's index
        order = (reviews.c.id,) if few else OPEN_ORDER
        found = counting.count(connection, filters, [*where, come], at_most, order)
        if since is not None and filters.state == "open":
            back = reviews.c.snoozed_until.between(since, now())
            back_too = [*where, back, sa.not_(come)]
            found += counting.count(connection, filters, back_too, at_most)
    return found


def newest_id(store: Store) -> int:
    """The id of the review row opened last; 0 when there is none."""
    with store.read() as connection:
        return _newest_id(connection)


def _newest_id(connection: sa.Connection) -> int:
    return int(connection.execute(sa.select(sa.func.max(reviews.c.id))).scalar() or 0)


def neighbour(store: Store, filters: Filters, review_id: int) -> int | None:
    """The ticket after this review's in the queue, for going on after a decision; the first one otherwise."""
    with store.read() as connection:
        here = place_of(connection, filters, review_id)
        where = [*conditions(connection, filters), reviews.c.id != review_id]
        found = _ids(connection, filters, where, here, 1) if here is not None else []
        found = found or _ids(connection, filters, where, None, 1)
        if not found:
            return None
        return connection.execute(sa.select(reviews.c.ticket_id).where(reviews.c.id == found[0])).scalar()


# --- the rows of a page -------------------------------------------------------------------------------


def _ids(
    connection: sa.Connection,
    filters: Filters,
    where: list[sa.ColumnElement[bool]],
    place: Place | None,
    limit: int,
) -> list[int]:
    """The next rows' ids, in order; `where` is all but the search."""
    way = searching.ids if searches(filters) else in_order
    return way(connection, filters, where, place, limit)


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


def _cursor(filters: Filters, last: Row) -> str:
    if filters.state == "open":
        return f"{3 - last.urgency_rank}~{last.opened_at.isoformat()}~{last.review_id}"
    return f"{getattr(last, SORTED_BY[filters.state]).isoformat()}~{last.review_id}"
