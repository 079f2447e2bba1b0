"""A person's address, name and lines in the rows of others: cut, and nothing else of those rows."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import sqlalchemy as sa

from pipeline.db.store import Store
from pipeline.db.tables import audit, messages, metadata, proposals, raw_messages, reviews, weekly_reports
from pipeline.retention import documents
from pipeline.retention.columns import GONE, SWEPT, searched
from pipeline.retention.person import Person

BATCH = 200


def sweep(
    store: Store,
    person: Person,
    own: Collection[int],
    mails: Collection[int],
    shared: Sequence[int],
    message_ids: Sequence[str],
    *,
    dry_run: bool = False,
) -> Counter[str]:
    """Cut the person out of every row that names the address, that stands on a ticket of `shared`, or that is a
    message in answer to theirs; returns the rows by table. Rows of the tickets `own`, and the messages
    `mails`, that go whole are left."""
    changed: Counter[str] = Counter()
    own, mails = set(own), set(mails)
    for table in metadata.sorted_tables:
        columns = searched(table)
        if not columns:
            continue
        keys = _keys(store, table, columns, person, own, shared, message_ids)
        if table is messages:  # by their sender they are found again, should this run end before its time
            keys = [key for key in keys if key[0] not in mails]
        for start in range(0, len(keys), BATCH):
            part = keys[start : start + BATCH]
            with store.write() as connection, _writable(connection, table):
                for key in part:
                    changed[table.name] += _cut(connection, table, columns, key, person, dry_run)
    changed["weekly_reports"] += _reports(store, own, dry_run)
    changed["proposals"] += _proposals(store, own, dry_run)
    return +changed


def _keys(
    store: Store,
    table: sa.Table,
    columns: Sequence[sa.Column[Any]],
    person: Person,
    own: Collection[int],
    shared: Sequence[int],
    message_ids: Sequence[str],
) -> list[tuple[Any, ...]]:
    named = sa.or_(*(sa.func.lower(sa.cast(one, sa.Text)).like(person.like, escape="\\") for one in columns))
    ticket = table.c.id if table.name == "tickets" else table.c.get("ticket_id")
    wanted: list[sa.ColumnElement[bool]] = [named]
    if ticket is not None:
        wanted += [ticket.in_(shared[start : start + 500]) for start in range(0, len(shared), 500)]
    if table is messages:
        parts = range(0, len(message_ids), 500)
        wanted += [messages.c.in_reply_to.in_(message_ids[start : start + 500]) for start in parts]
    key = list(table.primary_key.columns)
    query = [*key, ticket if ticket is not None else sa.null()]
    found: dict[tuple[Any, ...], None] = {}
    with store.read() as connection:
        for where in wanted:
            for row in connection.execute(sa.select(*query).where(where).order_by(*key)):
                if row[-1] not in own or table.name in SWEPT:  # these keep their other columns
                    found[tuple(row[:-1])] = None
    return list(found)


def _cut(
    connection: sa.Connection,
    table: sa.Table,
    columns: Sequence[sa.Column[Any]],
    key: tuple[Any, ...],
    person: Person,
    dry_run: bool,
) -> int:
    mine = [column == value for column, value in zip(table.primary_key.columns, key, strict=True)]
    found = connection.execute(sa.select(table).where(*mine).with_for_update()).mappings().one_or_none()
    if found is None:
        return 0
    values: dict[str, Any] = {}
    for column in columns:
        old = found[column.name]
        new = person.cut(old) if old is not None else None
        if new != old:
            values[column.name] = new
    if not values or dry_run:
        return int(bool(values))
    # what names a row must stay apart from the others' names
    if table is proposals and "key" in values:
        values["key"] = f"{GONE} {found['id']}"
    if table.name == "saved_views" and "name" in values:
        values["name"] += f" {found['id']}"
    if table is messages:
        values["html"] = None
        # its bytes cannot be cut: the message itself stays, without the person
        raw = raw_messages.c.id == found["raw_id"]
        connection.execute(raw_messages.update().where(raw).values(body=None))
    connection.execute(table.update().where(*mine).values(**values))
    return 1


def _reports(store: Store, own: Collection[int], dry_run: bool) -> int:
    """Entries about the person's tickets in written reports lose their texts."""
    changed = 0
    with store.read() as connection:
        weeks = list(connection.execute(sa.select(weekly_reports.c.week)).scalars())
    for week in weeks:
        with store.write() as connection:
            row = weekly_reports.c.week == week
            document = connection.execute(
                sa.select(weekly_reports.c.document).where(row).with_for_update()
            ).scalar_one()
            cut = documents.without_texts(document, own)
            if cut != document:
                changed += 1
                if not dry_run:
                    connection.execute(weekly_reports.update().where(row).values(document=cut))
    return changed


def _proposals(store: Store, own: Collection[int], dry_run: bool) -> int:
    """What was proposed because of this person's tickets alone loses its texts, and is nobody's to approve."""
    changed = 0
    with store.write() as connection:
        rows = connection.execute(
            sa.select(proposals)
            .where(proposals.c.kind != "threshold")
            .order_by(proposals.c.id)
            .with_for_update()
        ).all()
        for row in rows:
            seen = connection.execute(
                sa.select(reviews.c.ticket_id).where(
                    reviews.c.id.in_([id for id in row.evidence or () if id])
                )
            ).scalars()
            of = set(seen)
            if not of or not of <= set(own) or row.title == GONE:
                continue
            changed += 1
            if not dry_run:
                connection.execute(
                    proposals.update()
                    .where(proposals.c.id == row.id)
                    .values(
                        key=f"{GONE} {row.id}",
                        title=GONE,
                        content=dict.fromkeys(row.content, GONE),
                        effect={},
                        state="dismissed" if row.state == "open" else row.state,
                    )
                )
    return changed


@contextlib.contextmanager
def _writable(connection: sa.Connection, table: sa.Table) -> Iterator[None]:
    """The audit takes no change, but for this one: its triggers are off within this transaction alone."""
    if table is not audit:
        yield
        return
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text("ALTER TABLE audit DISABLE TRIGGER audit_append_only"))
        yield
        connection.execute(sa.text("ALTER TABLE audit ENABLE TRIGGER audit_append_only"))
        return
    query = sa.text("SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'audit'")
    triggers = connection.execute(query).all()
    for trigger in triggers:
        connection.exec_driver_sql(f'DROP TRIGGER "{trigger.name}"')
    yield
    for trigger in triggers:
        connection.exec_driver_sql(trigger.sql)
