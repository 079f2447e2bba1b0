"""The schema of the store: brought up to date by Alembic, and checked before anybody works on it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa

from pipeline.db.store import Store
from pipeline.errors import ConfigError, SchemaError

if TYPE_CHECKING:
    from alembic.config import Config

_PACKAGE = Path(__file__).resolve().parent.parent
_LOCK = 8_421_173  # any number of our own: one migration at a time on PostgreSQL


def migrate(store: Store) -> tuple[str | None, str]:
    """Bring the database to the newest schema; returns the revision before and after.

    All or nothing, in one transaction. Raises `SchemaError` when a newer triage has been here.
    """
    from alembic import command

    config = _config()
    newest = _newest(config)
    with store.write() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(sa.text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
        before = _current(connection)
        if before != newest:
            _refuse_unknown(config, before)
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    return before, newest


def check(store: Store) -> None:
    """Raise `SchemaError`, with the command that mends it, unless the schema is the one this code knows."""
    config = _config()
    newest = _newest(config)
    with store.read() as connection:
        current = _current(connection)
    if current == newest:
        return
    _refuse_unknown(config, current)
    if current is None:
        raise SchemaError("the database has no triage tables yet; run: triage migrate")
    raise SchemaError(f"the database has schema {current}, this triage needs {newest}; run: triage migrate")


def _config() -> Config:
    from alembic.config import Config

    for place in (_PACKAGE / "shipped", _PACKAGE.parent):
        if (place / "migrations" / "env.py").exists():
            config = Config()
            config.set_main_option("script_location", str(place / "migrations").replace("%", "%%"))
            return config
    raise ConfigError("the migrations folder is missing beside the package; install triage again")


def _newest(config: Config) -> str:
    from alembic.script import ScriptDirectory

    head = ScriptDirectory.from_config(config).get_current_head()
    if head is None:
        raise ConfigError("the migrations folder holds no revision; install triage again")
    return head


def _current(connection: sa.Connection) -> str | None:
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()


def _refuse_unknown(config: Config, current: str | None) -> None:
    from alembic.script import ScriptDirectory
    from alembic.util.exc import CommandError

    if current is None:
        return
    try:
        ScriptDirectory.from_config(config).get_revision(current)
    except CommandError:
        raise SchemaError(
            f"the database has schema {current}, which this triage does not know: a newer one has been here; "
            "install that version"
        ) from None
