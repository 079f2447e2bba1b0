"""How many rows the queue holds, and of each topic, language and so on; among many no further than a limit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from pipeline.db.tables import reviews
from pipeline.review import searching
from pipeline.review.narrowing import OPEN_ORDER, Filters, searches


def count(
    connection: sa.Connection,
    filters: Filters,
    where: list[sa.ColumnElement[bool]],
    at_most: int,
    order: Sequence[sa.ColumnElement[Any]] = (),
) -> int:
    """Rows, counted no further than `at_most`; `where` is all but the search.

    An `order` names the index that is read as far as needed, whatever the database expects to find.
    """
    if searches(filters):
        return searching.count(connection, filters, where, at_most)
    one: sa.ColumnElement[int] = sa.literal_column("1").label("one")
    some = sa.select(one).select_from(reviews).where(*where).order_by(*order).limit(at_most)
    return int(connection.execute(sa.select(sa.func.count()).select_from(some.subquery())).scalar_one())


def exactly(
    connection: sa.Connection, where: list[sa.ColumnElement[bool]], names: tuple[str, ...]
) -> dict[str, dict[Any, int]]:
    """{column: {value: rows}} by one grouped read of few rows."""
    columns = [reviews.c[name] for name in names]
    query = sa.select(*columns, sa.func.count().label("n")).where(*where).group_by(*columns)
    by: dict[str, dict[Any, int]] = {name: {} for name in names}
    for row in connection.execute(query).mappings():
        for name in names:
            if row[name] is not None:
                by[name][row[name]] = by[name].get(row[name], 0) + row["n"]
    return by


def up_to(
    limit: int, connection: sa.Connection, where: list[sa.ColumnElement[bool]], names: tuple[str, ...]
) -> dict[str, dict[Any, int]]:
    """The same among many rows: from one value to the next by the column's index, each counted to `limit` + 1.

    PostgreSQL only, for it needs LATERAL.
    """
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
            .order_by(*OPEN_ORDER)
            .limit(limit + 1)
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
