"""Migrations: they build exactly the tables of the code, and a wrong schema is refused with the mend."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from pipeline.db import schema
from pipeline.db.store import Store
from pipeline.db.tables import metadata
from pipeline.db.types import now
from pipeline.errors import ConfigError, SchemaError, StoreError, UnreachableError


# SQLite cannot show indexes on expressions; these are of PostgreSQL only
@pytest.mark.filterwarnings("ignore:autogenerate skipping metadata-specified expression-based index")
def test_the_migrations_build_the_tables_of_the_code(store: Store) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    with store.engine.connect() as connection:
        context = MigrationContext.configure(connection)
        assert compare_metadata(context, metadata) == []


def test_an_empty_database_is_refused_with_the_command_that_mends_it(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path}/empty.db")
    with pytest.raises(SchemaError, match="triage migrate"):
        schema.check(store)
    assert schema.migrate(store)[0] is None
    schema.check(store)
    store.close()


def test_a_schema_of_a_newer_triage_is_refused(store: Store) -> None:
    with store.write() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SchemaError, match="does not know"):
        schema.check(store)
    with pytest.raises(SchemaError, match="does not know"):
        schema.migrate(store)


def test_a_database_that_is_not_there_is_one_plain_line() -> None:
    store = Store("postgresql://nobody:secret@127.0.0.1:1/none")
    with pytest.raises(UnreachableError, match="TRIAGE_DATABASE_URL") as caught:
        schema.check(store)
    assert "secret" not in str(caught.value)


def test_a_file_that_is_no_database_is_one_plain_line(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_text("this is not a database, only some words that are long enough\n" * 20)
    store = Store(f"sqlite:///{tmp_path}/x.db")
    with pytest.raises(UnreachableError, match="not a SQLite database"):
        schema.check(store)


def test_a_file_that_can_only_be_read_is_one_plain_line(sqlite_store: Store) -> None:
    sa.event.listen(sqlite_store.engine, "connect", lambda raw, _: raw.execute("PRAGMA query_only = ON"))
    with sqlite_store.read() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM tickets")).scalar() == 0
    with pytest.raises(StoreError, match=r"triage\.db can only be read: let the user"), sqlite_store.write():
        pass


@pytest.mark.parametrize("url", ["", "nonsense", "mysql://x/y", "sqlite://"])
def test_an_address_that_cannot_work_names_the_variable(url: str) -> None:
    with pytest.raises(ConfigError, match="TRIAGE_DATABASE_URL"):
        Store(url)


def test_times_come_back_aware_and_money_exact(store: Store) -> None:
    from decimal import Decimal

    from pipeline.db.tables import spend

    at = now()
    with store.write() as connection:
        connection.execute(
            spend.insert().values(
                scope="day:x", spent_usd=Decimal("0.000000123"), reserved_usd=Decimal("1.10"), updated_at=at
            )
        )
    with store.read() as connection:
        row = connection.execute(sa.select(spend)).one()
        total = connection.execute(sa.select(sa.func.sum(spend.c.reserved_usd))).scalar_one()
    assert row.updated_at == at
    assert (row.spent_usd, row.reserved_usd, total) == (
        Decimal("0.000000123"),
        Decimal("1.1"),
        Decimal("1.1"),
    )


def test_a_naive_time_is_refused(store: Store) -> None:
    from pipeline.db.tables import spend

    with pytest.raises(sa.exc.StatementError, match="time zone"), store.write() as connection:
        connection.execute(spend.insert().values(scope="x", updated_at=now().replace(tzinfo=None)))
