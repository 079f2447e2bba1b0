"""The store: one engine, short read and write transactions, and the check of its schema.

SQLite runs in WAL mode and takes its write lock at BEGIN, so that two writers wait for each other
instead of failing half-way; PostgreSQL runs at READ COMMITTED, and every claim is one conditional
statement.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DataError, DBAPIError, OperationalError

from pipeline.errors import ConfigError, InputError, SchemaError, StoreError, UnreachableError

SQLITE_BUSY_TIMEOUT_MS = 30_000


class Store:
    """A database with the triage tables. Threads may share it; each transaction takes its own connection."""

    def __init__(self, url: str, *, pool_size: int = 10) -> None:
        try:
            self.url = sa.make_url(url)
        except sa.exc.ArgumentError:
            raise ConfigError(
                "TRIAGE_DATABASE_URL is not a database address; "
                "write it like postgresql://user:password@host/name or sqlite:///triage.db"
            ) from None
        backend = self.url.get_backend_name()
        if backend == "postgresql":
            self.url = self.url.set(drivername="postgresql+psycopg")
            self.engine = sa.create_engine(
                self.url,
                pool_size=pool_size,
                max_overflow=pool_size,
                pool_pre_ping=True,
                hide_parameters=True,  # an error's text may reach a log; customer text may not
                connect_args={"connect_timeout": 10},
            )
        elif backend == "sqlite":
            if self.url.database in (None, "", ":memory:"):
                raise ConfigError("TRIAGE_DATABASE_URL: SQLite needs a file, like sqlite:///triage.db")
            Path(str(self.url.database)).expanduser().parent.mkdir(parents=True, exist_ok=True)
            self.engine = sa.create_engine(
                self.url,
                pool_size=pool_size,
                max_overflow=-1,
                hide_parameters=True,
                connect_args={"check_same_thread": False},
            )
            sa.event.listen(self.engine, "connect", _sqlite_connect)
            sa.event.listen(self.engine, "begin", _sqlite_begin)
        else:
            raise ConfigError(
                f"TRIAGE_DATABASE_URL: {backend} is not supported; use postgresql:// or sqlite:///"
            )

    @contextlib.contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """A transaction that commits at the end of the block, and rolls back on any error."""
        with _plain_errors(self), self.engine.begin() as connection:
            yield connection

    @contextlib.contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A transaction for reading only: nothing done in it stays."""
        with _plain_errors(self), self.engine.connect() as connection:
            connection = connection.execution_options(triage_read=True)
            try:
                yield connection
            finally:
                connection.rollback()

    def close(self) -> None:
        """Give all connections back; the store can be used again afterwards."""
        self.engine.dispose()


@contextlib.contextmanager
def _plain_errors(store: Store) -> Iterator[None]:
    """Turn the driver's "cannot connect" and "no such table" into one plain line with the mend."""
    try:
        yield
    except OperationalError as error:
        words = str(error.orig).strip().splitlines()[0] if error.orig else str(error)
        if "no such table" in words:
            raise SchemaError("the database has no triage tables yet; run: triage migrate") from error
        if "database is locked" in words:
            raise UnreachableError(
                f"{store.url.database} stayed locked by another program; try again when it is done"
            ) from error
        if "readonly database" in words:
            raise StoreError(
                f"{store.url.database} can only be read: let the user that triage runs as write to the file and "
                "to its folder, or see TRIAGE_DATABASE_URL"
            ) from error
        if (
            error.connection_invalidated
            or store.engine.dialect.name == "postgresql"
            or "unable to open" in words
        ):
            raise UnreachableError(
                f"the database {_where(store)} cannot be used: {words}; see TRIAGE_DATABASE_URL"
            ) from error
        raise
    except (DataError, UnicodeEncodeError) as error:
        raise InputError(
            "a text or a number was given that the database cannot keep: take out what is no character, such as a NUL"
        ) from error
    except OverflowError as error:
        if "SQLite INTEGER" not in str(error):
            raise
        raise InputError("a number was given that is too large for the database") from error
    except DBAPIError as error:
        if "UndefinedTable" in type(error.orig).__name__:
            raise SchemaError("the database has no triage tables yet; run: triage migrate") from error
        if error.connection_invalidated:
            raise UnreachableError(f"the connection to the database {_where(store)} was lost") from error
        if isinstance(error.orig, sqlite3.DatabaseError) and "not a database" in str(error.orig):
            raise UnreachableError(
                f"{store.url.database} is not a SQLite database; see TRIAGE_DATABASE_URL"
            ) from error
        raise


def _where(store: Store) -> str:
    return store.url.render_as_string(hide_password=True)


def _sqlite_connect(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves, see _sqlite_begin
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {SQLITE_BUSY_TIMEOUT_MS}")
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = FULL")  # a commit that we acknowledged survives a power cut
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _sqlite_begin(connection: sa.Connection) -> None:
    reading = connection.get_execution_options().get("triage_read")
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")
