"""Alembic's environment: runs on the connection it is given, or on the settings' database."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import context

from pipeline.db.store import Store
from pipeline.db.tables import metadata
from pipeline.db.types import Money, UtcTime


def _render(kind: str, value: object, _context: object) -> str | bool:
    """A revision names plain types, so that it means the same when our own types change."""
    if kind == "type" and isinstance(value, UtcTime):
        return "sa.DateTime(timezone=True)"
    if kind == "type" and isinstance(value, Money):
        return "sa.BigInteger()"
    if kind == "type" and isinstance(value, sa.JSON):
        return 'sa.JSON().with_variant(postgresql.JSONB(), "postgresql")'
    return False


def _run(connection: object) -> None:
    context.configure(
        connection=connection,  # type: ignore[arg-type]
        target_metadata=metadata,
        render_as_batch=True,  # SQLite cannot alter a table in place
        render_item=_render,
    )
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    _run(given)
else:
    from pipeline import settings

    store = Store(settings.load().database)
    with store.write() as connection:
        _run(connection)
