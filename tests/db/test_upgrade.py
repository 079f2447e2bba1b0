"""A store that is in use is brought to the next revision with every row in place."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import command

from pipeline.db import schema
from pipeline.db.store import Store

FIRST = "0001"


def back_to(store: Store, revision: str) -> None:
    config = schema._config()
    with store.write() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, revision)


def write_as_before(store: Store) -> None:
    """A ticket with a message and a model call, written through the tables as they were then."""
    before = sa.MetaData()
    with store.write() as connection:
        before.reflect(connection, only=["tickets", "messages", "model_calls", "raw_messages"])
        for name, row in (
            ("tickets", {"id": 1, "inbox": "support", "reply_token": "t", "status": "received"}),
            ("messages", {"id": 1, "ticket_id": 1, "direction": "inbound", "kind": "person"}),
            ("model_calls", {"id": 1, "ticket_id": 1, "message_id": 1, "state": "ok", "task": "triage"}),
        ):
            table = before.tables[name]
            fill = {column.name: _anything(column) for column in table.c if not column.nullable}
            connection.execute(table.insert().values(fill | row))


def _anything(column: sa.Column[object]) -> object:
    kind = column.type
    if isinstance(kind, sa.JSON):
        return []
    if isinstance(kind, sa.DateTime):
        return sa.func.current_timestamp()
    return 0 if isinstance(kind, sa.Integer | sa.Boolean | sa.Float) else "x"


def test_a_store_in_use_keeps_its_rows(store: Store) -> None:
    back_to(store, FIRST)
    write_as_before(store)
    assert schema.migrate(store)[0] == FIRST
    schema.check(store)
    with store.read() as connection:
        for name in ("tickets", "messages", "model_calls"):
            assert connection.execute(sa.text(f"SELECT count(*) FROM {name}")).scalar() == 1
        if connection.dialect.name == "sqlite":
            assert connection.execute(sa.text("PRAGMA foreign_key_check")).all() == []


def test_what_the_release_before_writes_is_taken(store: Store) -> None:
    back_to(store, FIRST)
    before = sa.MetaData()
    with store.read() as connection:
        before.reflect(connection)
    schema.migrate(store)
    after = sa.MetaData()
    with store.read() as connection:
        after.reflect(connection)
    for name, table in before.tables.items():
        for column in after.tables[name].c:
            known = column.name in table.c
            assert known or column.nullable or column.server_default is not None, f"{name}.{column.name}"
