"""What a search in the queue finds: tickets by number, order number, subject, customer and text.

PostgreSQL looks words up in full-text indexes: whole words, the last one by its beginning, whatever stands
between them. SQLite, made for small stores, reads the texts and finds any piece of them.

The indexes of words know nothing of the queue's order, and PostgreSQL cannot say in how many tickets a word stands.
So the texts of the next `SAMPLE` rows are read. Where the words stand in many of them the queue is walked on; else
they are looked up and what is found is sorted, unless it is more than `COMMON`: then it is walked after all.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from pipeline.db.tables import FIELD_WORDS, MESSAGE_WORDS, TICKET_WORDS, messages, reviews, tickets, triages
from pipeline.review import narrowing
from pipeline.review.narrowing import Filters, Place

SAMPLE, OFTEN = 40, 4
WALKED = 3_000
COMMON = 30_000
"""About here both ways take equally long among a million tickets."""
READ = 500
"""Of so many rows the texts are read when those that a search finds are counted."""

_WORD = re.compile(r"[^\W_]+")
_LENGTH = 200
_PLACES = (
    (tickets.c.id, TICKET_WORDS),
    (triages.c.ticket_id, FIELD_WORDS),
    (messages.c.ticket_id, MESSAGE_WORDS),
)


def ids(
    connection: sa.Connection,
    filters: Filters,
    where: list[sa.ColumnElement[bool]],
    place: Place | None,
    limit: int,
) -> list[int]:
    """The next rows' ids, in order; `where` is all but the search."""
    if connection.dialect.name != "postgresql":
        where = [*where, _matches(connection, filters)]
        return narrowing.in_order(connection, filters, where, place, limit)
    found = _walked(connection, filters, where, place, limit, often=OFTEN)
    if found is None:
        found = _looked_up(connection, filters, where, place, limit, COMMON)
    if found is None:
        found = _walked(connection, filters, where, place, limit)
    if found is None:
        found = _looked_up(connection, filters, where, place, limit)
    return found or []


def count(
    connection: sa.Connection, filters: Filters, where: list[sa.ColumnElement[bool]], at_most: int
) -> int:
    """How many rows it finds, counted no further than `at_most`; `where` is all but the search."""
    one: sa.ColumnElement[int] = sa.literal_column("1").label("one")
    hit = _matches(connection, filters)
    if connection.dialect.name != "postgresql":
        return _length(connection, sa.select(one).select_from(reviews).where(*where, hit).limit(at_most))
    read = list(connection.execute(sa.select(reviews.c.id).where(*where).limit(READ)).scalars())
    hits = _length(connection, sa.select(one).where(reviews.c.id.in_(read), hit).limit(at_most))
    if hits >= at_most or len(read) < READ:
        return hits
    found, row = _found(filters, where, [reviews.c.id])
    return _length(connection, sa.select(one).select_from(found.join(row, sa.true())).limit(at_most))


def _length(connection: sa.Connection, some: sa.Select[Any]) -> int:
    return int(connection.execute(sa.select(sa.func.count()).select_from(some.subquery())).scalar_one())


# --- the two ways ---------------------------------------------------------------------------------------


def _walked(
    connection: sa.Connection,
    filters: Filters,
    where: list[sa.ColumnElement[bool]],
    place: Place | None,
    limit: int,
    often: int = 0,
) -> list[int] | None:
    """Row by row in the queue's order, whose texts hold the words; None if too few of those read do."""
    hit = _matches(connection, filters)
    found: list[int] = []
    size, read = SAMPLE, 0
    while read < WALKED:
        rows = narrowing.in_order(connection, filters, where, place, size)
        hits = set(connection.execute(sa.select(reviews.c.id).where(reviews.c.id.in_(rows), hit)).scalars())
        found += [one for one in rows if one in hits]
        if len(found) >= limit or len(rows) < size:
            return found[:limit]
        if len(found) < often:
            return None
        place, read, size = narrowing.place_of(connection, filters, rows[-1]), read + size, size * 4
    return None


def _looked_up(
    connection: sa.Connection,
    filters: Filters,
    where: list[sa.ColumnElement[bool]],
    place: Place | None,
    limit: int,
    at_most: int | None = None,
) -> list[int] | None:
    """The rows of the tickets that the indexes of words give, sorted; None if those are more than `at_most`."""
    columns = narrowing.sorted_by(filters)
    if place is not None:
        where = [*where, narrowing.beyond(filters, columns, place)]
    found, row = _found(filters, where, columns, at_most)
    ordered = narrowing.in_turn(filters, [row.c[column.name] for column in columns])
    rows = sa.select(row.c.id).select_from(found.join(row, sa.true())).order_by(*ordered).limit(limit)
    total = sa.select(sa.func.count()).select_from(found).scalar_subquery()
    if at_most is not None:
        rows = rows.where(total <= at_most)
    connection.execute(_BY_INDEX)
    n, listed = connection.execute(sa.select(total, sa.func.array(rows.scalar_subquery()))).one()
    return None if at_most is not None and n > at_most else list(listed)


# PostgreSQL expects words in far more rows than have them: it would read all texts, or compile for ever.
_BY_INDEX = sa.select(
    *(
        sa.func.set_config(name, value, True)  # until the end of the transaction
        for name, value in (
            ("enable_seqscan", "off"),
            ("jit", "off"),
            ("max_parallel_workers_per_gather", "0"),
        )
    )
)


def _found(
    filters: Filters,
    where: list[sa.ColumnElement[bool]],
    columns: Sequence[sa.Column[Any]],
    at_most: int | None = None,
) -> tuple[sa.FromClause, sa.FromClause]:
    """What to join: the tickets found, and of each one the rows. OFFSET keeps PostgreSQL to that order.

    With `at_most` some tickets may be missing once there are more than that.
    """
    search = _bounded(str(filters.search))
    parts: list[sa.Select[Any]] = []
    for ticket_id, words in _PLACES if _WORD.search(search) else ():
        part = sa.select(ticket_id.label("ticket_id")).where(
            sa.literal_column(words).op("@@")(_asked(search))
        )
        if at_most is not None:
            part = sa.select(part.limit(at_most + 1).subquery().c.ticket_id)
        parts.append(part)
    number = _number(search)
    parts.append(sa.select(tickets.c.id).where(sa.false() if number is None else tickets.c.id == number))
    found = sa.union(*parts).cte("found")
    rows = sa.select(*columns).where(reviews.c.ticket_id == found.c[0], *where)
    return found, rows.offset(0).lateral()


# --- the condition on one row ---------------------------------------------------------------------------


def _matches(connection: sa.Connection, filters: Filters) -> sa.ColumnElement[bool]:
    """On a row of `reviews`, whose texts are read; a search without any letter or digit finds nothing."""
    search = _bounded(str(filters.search))
    if not _WORD.search(search):
        return sa.false()
    if connection.dialect.name == "postgresql":
        asked = _asked(search)
        hit = sa.or_(
            *(
                sa.exists().where(ticket_id == reviews.c.ticket_id, sa.literal_column(words).op("@@")(asked))
                for ticket_id, words in _PLACES
            )
        )
    else:
        hit = _by_pieces(search, search.removeprefix("#"))
    number = _number(search)
    return hit if number is None else sa.or_(reviews.c.ticket_id == number, hit)


def _bounded(search: str) -> str:
    """On one line, as long as is looked for, its accents composed as mail and keyboards write them."""
    return unicodedata.normalize("NFC", " ".join(search.split()))[:_LENGTH]


def _asked(search: str) -> sa.ColumnElement[Any]:
    """All words, the last one perhaps typed half; a number with its sign is meant as it stands."""
    words = " & ".join(_WORD.findall(search)) + ("" if search.startswith("#") else ":*")
    return sa.func.to_tsquery(sa.literal_column("'simple'::regconfig"), words)


def _number(search: str) -> int | None:
    """The ticket's number in a search for `#123`."""
    return int(search[1:]) if re.fullmatch(r"#[0-9]{1,18}", search) else None


def _by_pieces(search: str, bare: str) -> sa.ColumnElement[bool]:
    pattern = "%" + search.lower().replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"

    def has(column: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
        return sa.func.lower(column).like(pattern, escape="\\")

    part = sa.func.json_tree(triages.c.fields).table_valued("key", "atom", name="part")
    of_ticket = sa.or_(has(tickets.c.subject), has(tickets.c.customer_name), has(tickets.c.customer_address))
    return sa.or_(
        sa.exists().where(tickets.c.id == reviews.c.ticket_id, of_ticket),
        sa.exists().where(messages.c.ticket_id == reviews.c.ticket_id, has(messages.c.text)),
        sa.exists()
        .select_from(triages.join(part, sa.true()))
        .where(
            triages.c.ticket_id == reviews.c.ticket_id,
            part.c.key.in_(("value", "normalised")),
            sa.or_(has(part.c.atom), sa.func.lower(part.c.atom) == bare.lower()),
        ),
    )
