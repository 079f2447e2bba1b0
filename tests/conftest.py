"""Fixtures that many rooms share: a migrated store on each database, and each broker."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
import structlog

from pipeline.db import schema
from pipeline.db.store import Store
from tests.kit import places
from tests.kit.databases import Databases

# No test may pick up what the developer's own shell or .env says.
for name in list(os.environ):
    if name.startswith(("TRIAGE_", "OPENAI_", "ANTHROPIC_", "OTEL_")) and not name.startswith("TRIAGE_TEST_"):
        del os.environ[name]


def _logging_restored() -> Iterator[None]:
    before = structlog.get_config()
    yield
    structlog.configure(**before)


# A command run in a test sets up logging for the process: no other test may find it so, whatever the order.
logging_of_a_module = pytest.fixture(scope="module", autouse=True)(_logging_restored)
logging_of_a_test = pytest.fixture(autouse=True)(_logging_restored)


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "triage.db"
    store = Store(f"sqlite:///{path}")
    schema.migrate(store)
    store.close()  # the last connection's end writes the log back into the one file
    return path


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    with places.postgres_server() as url:
        yield url


@pytest.fixture(scope="session")
def migrated_postgres(postgres: str) -> Iterator[str]:
    with places.scratch_database(postgres) as url:
        store = Store(url)
        schema.migrate(store)
        store.close()
        yield str(sa.make_url(url).database)


@pytest.fixture
def sqlite_url(migrated_sqlite: Path, tmp_path: Path) -> str:
    path = tmp_path / "triage.db"
    shutil.copy(migrated_sqlite, path)
    return f"sqlite:///{path}"


@pytest.fixture(scope="session")
def postgres_databases(postgres: str, migrated_postgres: str) -> Iterator[Databases]:
    databases = Databases(postgres, migrated_postgres)
    yield databases
    databases.close()


@pytest.fixture
def postgres_url(postgres_databases: Databases) -> Iterator[str]:
    name = postgres_databases.take()
    yield postgres_databases.url(name)
    postgres_databases.give_back(name)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """A migrated, empty database of its own, on each kind."""
    return str(request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url"))


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    """A store on each kind of database."""
    store = Store(database_url)
    yield store
    store.close()


@pytest.fixture
def sqlite_store(sqlite_url: str) -> Iterator[Store]:
    store = Store(sqlite_url)
    yield store
    store.close()


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    with places.redis_server() as url:
        yield url


@pytest.fixture(scope="session")
def rabbitmq_url() -> str:
    return places.rabbitmq_server()
