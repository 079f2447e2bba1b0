"""The connector of another database: named queries, read only, bounded in time and rows."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from pipeline.accounts.facts import AccountFacts, Source, from_rows
from pipeline.db.types import now
from pipeline.errors import ConfigError, UnreachableError

if TYPE_CHECKING:
    from pipeline.accounts.config import SqlTable

_DRIVERS = {"postgresql": "postgresql+psycopg", "mysql": "mysql+pymysql", "mariadb": "mariadb+pymysql"}


class SqlConnector:
    """Runs the named queries with :address (and :order_number, once per number that the customer named).

    Read only three times over: the transaction is, the statements are SELECTs (config), and the account
    that the team gives us should be. A query that uses :order_number is skipped when none was named.
    """

    def __init__(self, table: SqlTable, where: str, *, home: Path) -> None:
        self.table = table
        self.where = where
        try:
            url = sa.make_url(table.address(where).replace("{home}", str(home.expanduser().resolve())))
        except sa.exc.ArgumentError:
            raise ConfigError(f"{where}: url is not a database address") from None
        self.dialect = url.get_backend_name()
        if self.dialect not in ("sqlite", *_DRIVERS):
            raise ConfigError(f"{where}: {self.dialect} is not supported; use sqlite, postgresql or mysql")
        self.url = url if self.dialect == "sqlite" else url.set(drivername=_DRIVERS[self.dialect])
        self._engine: sa.Engine | None = None

    @property
    def name(self) -> str:
        return self.table.name

    def fetch(self, address: str, order_numbers: Sequence[str]) -> AccountFacts:
        """The customer's rows as facts; raises `UnreachableError` or `ConfigError` with one plain line."""
        rows: dict[str, list[Mapping[str, Any]]] = {}
        sources: dict[str, Source] = {}
        ends = time.monotonic() + self.table.timeout_s
        query = ""
        try:
            with self._connected(ends) as connection:
                for query, text in self.table.queries.items():
                    self._bound(connection, ends)
                    sources[query] = Source(f"{self.name}.{query}", now())
                    rows[query] = self._rows(connection, text, address, order_numbers)
        except SQLAlchemyError as error:
            raise self._plain(error, query, time.monotonic() >= ends) from error
        return from_rows(rows, sources, minor_units=self.table.minor_units)

    def check(self) -> str:
        """Run every query for an address that nobody has."""
        self.fetch("nobody@example.invalid", ["0"])
        count = len(self.table.queries)
        return f"{self.name}: {count} {'query runs' if count == 1 else 'queries run'}"

    def _connected(self, ends: float) -> sa.Connection:
        if self._engine is None:
            self._engine = self._create()
        connection = self._engine.connect()
        if self.dialect == "postgresql":
            return connection.execution_options(postgresql_readonly=True)
        if self.dialect in ("mysql", "mariadb"):
            connection.exec_driver_sql("SET SESSION TRANSACTION READ ONLY")
            connection.commit()
        if self.dialect == "sqlite":
            raw: Any = connection.connection.driver_connection
            raw.set_progress_handler(lambda: time.monotonic() > ends, 10_000)
        return connection

    def _create(self) -> sa.Engine:
        seconds = max(1, round(self.table.timeout_s))
        try:
            if self.dialect == "sqlite":
                return self._sqlite()
            wait = {"connect_timeout": seconds}
            if self.dialect != "postgresql":
                wait |= {"read_timeout": seconds, "write_timeout": seconds}
            return sa.create_engine(self.url, poolclass=NullPool, connect_args=wait)
        except ModuleNotFoundError as error:
            raise ConfigError(
                f"{self.where}: the driver {error.name} is missing; install it beside triage"
            ) from None

    def _sqlite(self) -> sa.Engine:
        """A file that is opened for reading only: a missing one is an error, not an empty new database."""
        path = Path(self.url.database or "")
        if not path.is_file():
            raise UnreachableError(f"{self.name}: there is no database file {path}")
        import sqlite3
        from urllib.parse import quote

        uri = f"file:{quote(str(path.resolve()))}?mode=ro"
        timeout_s = self.table.timeout_s
        return sa.create_engine(
            "sqlite://", poolclass=NullPool, creator=lambda: sqlite3.connect(uri, uri=True, timeout=timeout_s)
        )

    def _bound(self, connection: sa.Connection, ends: float) -> None:
        """Tell the server how long the next statement may take: what is left of the whole look-up."""
        left_ms = max(1, round((ends - time.monotonic()) * 1000))
        if self.dialect == "postgresql":
            connection.exec_driver_sql(f"SET LOCAL statement_timeout = {left_ms}")
        elif self.dialect == "mysql":
            connection.exec_driver_sql(f"SET SESSION max_execution_time = {left_ms}")
        elif self.dialect == "mariadb":
            connection.exec_driver_sql(f"SET SESSION max_statement_time = {left_ms / 1000}")

    def _rows(
        self, connection: sa.Connection, text: str, address: str, order_numbers: Sequence[str]
    ) -> list[Mapping[str, Any]]:
        statement = sa.text(text)
        by_order = bool(re.search(r"(?<!:):order_number\b", text))
        found: list[Mapping[str, Any]] = []
        for number in order_numbers if by_order else [None]:
            values = {"address": address} | ({"order_number": number} if by_order else {})
            result = connection.execute(statement, values)
            found += [dict(row) for row in result.mappings().fetchmany(self.table.max_rows - len(found))]
            result.close()
            if len(found) >= self.table.max_rows:
                break
        return found

    def _plain(self, error: SQLAlchemyError, query: str, late: bool) -> UnreachableError:
        words = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        at = f"query {query}" if query else "the connection"
        timed_out = late or "statement timeout" in words or "interrupted" in words
        if timed_out:
            return UnreachableError(f"{self.name}: {at} took longer than {self.table.timeout_s:g} s")
        return UnreachableError(f"{self.name}: {at} failed: {words[:200]}")
