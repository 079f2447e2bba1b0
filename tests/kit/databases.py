"""PostgreSQL databases for one test each: emptied and given out again under a new name.

Making and dropping a database costs 0.4 s, emptying it a few milliseconds. The new name shuts out whatever
the last test left running: a thread or process that still knows the old one finds no database there.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator

import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

_LARGE = 60_000_000
"""Bytes above which a database is dropped: emptying it would leave too much behind."""

_EMPTY = """
DO $$
DECLARE name text; full_ boolean;
BEGIN
  SET LOCAL session_replication_role = replica;  -- no foreign key, and no trigger that forbids it
  FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version' LOOP
    EXECUTE 'SELECT EXISTS (SELECT 1 FROM ' || quote_ident(name) || ')' INTO full_;
    IF full_ THEN EXECUTE 'DELETE FROM ' || quote_ident(name); END IF;
  END LOOP;
  PERFORM setval(oid::regclass, 1, false) FROM pg_class WHERE relkind = 'S';
END $$
"""
_SHAPE = """
SELECT md5(string_agg(line, ' ' ORDER BY line)) FROM (
  SELECT concat(c.relname, c.relkind, c.relnatts) AS line FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'public'
  UNION ALL SELECT concat(tgname, tgenabled) FROM pg_trigger WHERE NOT tgisinternal
  UNION ALL SELECT proname FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = 'public'
  UNION ALL SELECT conname FROM pg_constraint
  UNION ALL SELECT version_num FROM alembic_version
  UNION ALL SELECT unnest(setconfig) FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase
    WHERE d.datname = current_database()
) lines
"""


class Databases:
    """Copies of one migrated database on one server, for the tests of one process."""

    def __init__(self, server: str, template: str) -> None:
        self._server = sa.make_url(server)
        self._template = template
        self._admin = sa.create_engine(
            self._server.set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT"
        )
        self._spare: list[str] = []
        with self._connected(template) as connection:
            self._shape = connection.exec_driver_sql(_SHAPE).scalar_one()

    def take(self) -> str:
        """The name of an empty, migrated database that nobody else has."""
        name = f"triage_test_{secrets.token_hex(6)}"
        if self._spare:
            self._run(f"ALTER DATABASE {self._spare.pop()} RENAME TO {name}")
        else:
            self._run(f"CREATE DATABASE {name} TEMPLATE {self._template}")
        return name

    def give_back(self, name: str) -> None:
        """Empty the database for the next test, or drop it where it is not as it was made."""
        self._shut(name)
        resting = f"{name}_resting"
        self._run(f"ALTER DATABASE {name} RENAME TO {resting}")
        as_made = False
        with contextlib.suppress(OperationalError), self._connected(resting) as connection:
            size = connection.exec_driver_sql("SELECT pg_database_size(current_database())").scalar_one()
            as_made = size < _LARGE and connection.exec_driver_sql(_SHAPE).scalar_one() == self._shape
            if as_made:
                connection.exec_driver_sql(_EMPTY)
        if as_made:
            self._spare.append(resting)
        else:
            self._run(f"DROP DATABASE {resting} WITH (FORCE)")

    def url(self, name: str) -> str:
        return self._server.set(database=name).render_as_string(hide_password=False)

    def close(self) -> None:
        for name in self._spare:
            self._run(f"DROP DATABASE {name} WITH (FORCE)")
        self._admin.dispose()

    @contextlib.contextmanager
    def _connected(self, name: str) -> Iterator[sa.Connection]:
        url = self._server.set(drivername="postgresql+psycopg", database=name)
        engine = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
        with engine.connect() as connection:
            yield connection

    def _run(self, statement: str) -> None:
        with self._admin.connect() as connection:
            connection.exec_driver_sql(statement)

    def _shut(self, name: str) -> None:
        """End every connection to it, and wait until they are gone: one may not be renamed before."""
        ends = "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity WHERE datname = :name"
        with self._admin.connect() as connection:
            connection.execute(sa.text(ends), {"name": name})
