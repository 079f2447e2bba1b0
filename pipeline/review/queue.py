"""The review table as a list: filters, search, counts, keyset pages; the most urgent and oldest first."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from pipeline.db.store import Store
from pipeline.db.tables import agents, drafts, messages, reviews, tickets
from pipeline.db.types import now
from pipeline.errors import InputError

PAGE = 50
URGENCIES = ("low", "normal", "high", "critical")
EMOTIONS = ("calm", "worried", "frustrated", "angry")
CLARITIES = ("clear", "vague", "mixed")


@dataclass(frozen=True)
class Filters:
    """What the queue is narrowed to; None is everything. `search` looks at subject, customer and text.

    `state` is open, decided or superseded; `assignee` is an agent's id whose rows are wanted (claimed or
    assigned); `waited` is the least age of a row.
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
    waited: timedelta | None = None
    search: str | None = None


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


@dataclass(frozen=True)
class Page:
    """Rows of one page; `next` is the cursor of the one after, None at the end."""

    rows: tuple[Row, ...]
    next: str | None


@dataclass(frozen=True)
class Counts:
    """How many open rows there are, in all and by each value of the columns that people filter by."""

    total: int
    by: dict[str, dict[str, int]] = field(default_factory=dict)


def page(store: Store, filters: Filters, *, after: str | None = None, limit: int = PAGE) -> Page:
    """One page; `after` is the cursor that the page before gave. Raises `InputError` on a bad one."""
    limit = max(1, min(limit, 200))
    if filters.state == "open":
        order: tuple[sa.ColumnElement[Any], ...] = (
            tickets.c.urgency_rank.desc(),
            reviews.c.opened_at,
            reviews.c.id,
        )
    else:  # what is done is read backwards
        order = (sa.func.coalesce(reviews.c.decided_at, reviews.c.opened_at).desc(), reviews.c.id.desc())
    query = _select().where(*_conditions(filters)).order_by(*order).limit(limit + 1)
    if after:
        query = query.where(_beyond(filters, after))
    with store.read() as connection:
        rows = [_row(row) for row in connection.execute(query).mappings()]
    more = len(rows) > limit
    rows = rows[:limit]
    return Page(tuple(rows), _cursor(filters, rows[-1]) if more else None)


def counts(store: Store) -> Counts:
    """The open rows by topic, language, urgency, route, reason, inbox and team."""
    columns = [tickets.c[name] for name in ("topic", "language", "urgency", "route", "inbox", "team")]
    columns.append(reviews.c.reason)
    by: dict[str, dict[str, int]] = {column.name: {} for column in columns}
    total = 0
    # one grouped read; the number of groups is the number of combinations in use, not of rows
    query = (
        sa.select(*columns, sa.func.count().label("n"))
        .select_from(reviews.join(tickets, tickets.c.id == reviews.c.ticket_id))
        .where(reviews.c.state == "open")
        .group_by(*columns)
    )
    with store.read() as connection:
        for row in connection.execute(query).mappings():
            total += row["n"]
            for column in columns:
                value = row[column.name]
                if value is not None:
                    by[column.name][value] = by[column.name].get(value, 0) + row["n"]
    return Counts(total, {name: dict(sorted(values.items())) for name, values in by.items()})


def newer(store: Store, filters: Filters, since_id: int) -> tuple[int, int]:
    """How many matching open rows came after review `since_id`, and the newest id (since_id if none)."""
    query = (
        sa.select(sa.func.count(), sa.func.max(reviews.c.id))
        .select_from(_from())
        .where(*_conditions(filters), reviews.c.id > since_id)
    )
    with store.read() as connection:
        count, newest = connection.execute(query).one()
    return int(count), int(newest or since_id)


def newest_id(store: Store) -> int:
    """The id of the review row opened last; 0 when there is none."""
    with store.read() as connection:
        return int(connection.execute(sa.select(sa.func.max(reviews.c.id))).scalar() or 0)


def neighbour(store: Store, filters: Filters, review_id: int) -> int | None:
    """The ticket after this review's in the queue, for going on after a decision; the first one otherwise."""
    with store.read() as connection:
        here = connection.execute(
            sa.select(tickets.c.urgency_rank, reviews.c.opened_at, reviews.c.id)
            .select_from(reviews.join(tickets, tickets.c.id == reviews.c.ticket_id))
            .where(reviews.c.id == review_id)
        ).one_or_none()
        query = (
            sa.select(reviews.c.ticket_id)
            .select_from(_from())
            .where(*_conditions(filters), reviews.c.id != review_id)
            .order_by(tickets.c.urgency_rank.desc(), reviews.c.opened_at, reviews.c.id)
            .limit(1)
        )
        found = None
        if here is not None:
            beyond = _after_open(here.urgency_rank, here.opened_at, here.id)
            found = connection.execute(query.where(beyond)).scalar()
        return found or connection.execute(query).scalar()


def _from() -> sa.FromClause:
    return (
        reviews.join(tickets, tickets.c.id == reviews.c.ticket_id)
        .outerjoin(drafts, drafts.c.id == reviews.c.draft_id)
        .outerjoin(agents, agents.c.id == reviews.c.claimed_by)
    )


def _select() -> sa.Select[Any]:
    return sa.select(
        reviews.c.id.label("review_id"),
        reviews.c.reason,
        reviews.c.detail,
        reviews.c.state,
        reviews.c.opened_at,
        reviews.c.decided_at,
        reviews.c.action,
        reviews.c.outcome,
        reviews.c.draft_id,
        reviews.c.claimed_by,
        reviews.c.claimed_until,
        agents.c.email.label("claimed_by_email"),
        drafts.c.model,
        drafts.c.tier,
        drafts.c.source,
        drafts.c.blocked,
        tickets.c.id.label("ticket_id"),
        tickets.c.version,
        tickets.c.status,
        tickets.c.subject,
        tickets.c.customer_name,
        tickets.c.customer_address,
        tickets.c.inbox,
        tickets.c.topic,
        tickets.c.language,
        tickets.c.urgency,
        tickets.c.urgency_rank,
        tickets.c.emotion,
        tickets.c.route,
        tickets.c.decision,
        tickets.c.team,
    ).select_from(_from())


def _row(row: sa.RowMapping) -> Row:
    values = dict(row)
    values["blocked"] = bool(values["blocked"])
    if values["claimed_until"] is not None and values["claimed_until"] <= now():
        values.update(claimed_by=None, claimed_by_email=None, claimed_until=None)
    return Row(**values)


def _conditions(filters: Filters) -> list[sa.ColumnElement[bool]]:
    if filters.state not in ("open", "decided", "superseded"):
        raise InputError("state is open, decided or superseded")
    found: list[sa.ColumnElement[bool]] = [reviews.c.state == filters.state]
    for name in ("topic", "language", "urgency", "route", "inbox", "team"):
        value = getattr(filters, name)
        if value:
            found.append(tickets.c[name] == value)
    if filters.reason:
        found.append(reviews.c.reason == filters.reason)
    if filters.assignee is not None:
        mine = sa.and_(reviews.c.claimed_by == filters.assignee, reviews.c.claimed_until > now())
        found.append(sa.or_(mine, tickets.c.assignee_id == filters.assignee))
    if filters.waited is not None:
        found.append(reviews.c.opened_at <= now() - filters.waited)
    words = (filters.search or "").strip()
    if words:
        found.append(_search(words))
    return found


def _search(words: str) -> sa.ColumnElement[bool]:
    if words.startswith("#") and words[1:].isdigit() and len(words) < 19:
        return tickets.c.id == int(words[1:])
    pattern = "%" + words[:200].lower().replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"

    def has(column: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
        return sa.func.lower(column).like(pattern, escape="\\")

    in_text = sa.exists().where(messages.c.ticket_id == tickets.c.id, has(messages.c.text))
    return sa.or_(
        has(tickets.c.subject), has(tickets.c.customer_address), has(tickets.c.customer_name), in_text
    )


def _cursor(filters: Filters, last: Row) -> str:
    if filters.state == "open":
        return f"{last.urgency_rank}~{last.opened_at.isoformat()}~{last.review_id}"
    return f"{(last.decided_at or last.opened_at).isoformat()}~{last.review_id}"


def _beyond(filters: Filters, cursor: str) -> sa.ColumnElement[bool]:
    parts = cursor.split("~")
    try:
        if filters.state == "open":
            rank, opened_at, review_id = parts
            return _after_open(_whole(rank), _aware(opened_at), _whole(review_id))
        decided_at, review_id = parts
        at, last = _aware(decided_at), _whole(review_id)
    except ValueError:
        raise InputError("the page cursor is not one that this list gave") from None
    when = sa.func.coalesce(reviews.c.decided_at, reviews.c.opened_at, type_=reviews.c.opened_at.type)
    return sa.or_(when < at, sa.and_(when == at, reviews.c.id < last))


def _whole(text: str) -> int:
    if len(text) > 18:
        raise ValueError("too long for a number of ours")
    return int(text)


def _aware(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError("no time zone")
    return at


def _after_open(rank: int, opened_at: datetime, review_id: int) -> sa.ColumnElement[bool]:
    return sa.or_(
        tickets.c.urgency_rank < rank,
        sa.and_(
            tickets.c.urgency_rank == rank,
            sa.or_(
                reviews.c.opened_at > opened_at,
                sa.and_(reviews.c.opened_at == opened_at, reviews.c.id > review_id),
            ),
        ),
    )
