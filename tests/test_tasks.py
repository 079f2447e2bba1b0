"""Hints over each broker: work is done at once, and a lost or doubled hint changes nothing."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from pipeline.assembly import Parts
from pipeline.db.tables import drafts, reviews
from pipeline.errors import ConfigError, UnreachableError
from pipeline.review import agents
from pipeline.tasks import EmbeddedWorker, Hints, make_app, register
from tests.kit.live import live_parts, mail
from tests.kit.places import wait_for
from tests.test_steps import CLEAR, bring, row


@pytest.fixture(params=["memory", "redis", "rabbitmq"])
def broker_url(request: pytest.FixtureRequest) -> str | None:
    return None if request.param == "memory" else str(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture
def parts(tmp_path: Path, broker_url: str | None, request: pytest.FixtureRequest) -> Iterator[Parts]:
    database = str(request.getfixturevalue("sqlite_url" if broker_url is None else "postgres_url"))
    parts = live_parts(
        tmp_path / "home",
        database,
        broker_url=broker_url,
        queue=f"triage-test-{secrets.token_hex(6)}",
        sweep_s=0.5,
    )
    yield parts
    parts.store.close()


@pytest.fixture
def working(parts: Parts, broker_url: str | None) -> Iterator[Hints]:
    app = make_app(broker_url, sweep_s=parts.settings.sweep_s, queue=parts.settings.queue)
    hints = Hints(app)
    register(app, parts, hints)
    worker = EmbeddedWorker(app, threads=2)
    worker.start()
    yield hints
    worker.stop(10)
    assert not worker.died.is_set()
    with app.connection_for_write() as connection:
        connection.default_channel.queue_delete(parts.settings.queue)


def test_a_hint_brings_a_ticket_all_the_way_to_a_person(parts: Parts, working: Hints) -> None:
    ticket = bring(parts, mail(CLEAR))
    working.announce_if_due(parts, ticket)
    wait_for(lambda: row(parts.store, ticket).status == "in_review", "the ticket to reach a person")


def test_a_hint_that_was_lost_is_made_up_for_by_the_sweep(parts: Parts, working: Hints) -> None:
    ticket = bring(parts, mail(CLEAR))  # nobody announces it
    wait_for(lambda: row(parts.store, ticket).status == "in_review", "the sweep to find the ticket")


def test_a_reply_in_its_undo_window_goes_out_at_the_first_sweep_after_it(
    parts: Parts, working: Hints
) -> None:
    parts.settings = parts.settings.model_copy(update={"undo_s": 1.0})
    ticket = bring(parts, mail(CLEAR))
    working.announce_if_due(parts, ticket)
    wait_for(lambda: row(parts.store, ticket).status == "in_review", "the ticket to reach a person")
    agent = agents.add(parts.store, "ann@shop.example", role="agent")
    with parts.store.read() as connection:
        review = connection.execute(sa.select(reviews.c.id).where(reviews.c.state == "open")).scalar_one()
    parts.desk.approve(review, agent, row(parts.store, ticket).version)
    assert row(parts.store, ticket).status == "approved"
    wait_for(lambda: row(parts.store, ticket).status == "answered", "the reply to go out", 15)


def test_hints_that_come_many_times_do_the_work_once(parts: Parts, working: Hints) -> None:
    ticket = bring(parts, mail(CLEAR))
    for _ in range(20):
        working.announce(ticket, "triage", 1)
    wait_for(lambda: row(parts.store, ticket).status == "in_review", "the ticket to reach a person")
    working.announce(ticket, "triage", 1)
    working.announce(424242, "triage", 1)
    wait_for(lambda: working.waiting() == 0, "the queue to empty")
    with parts.store.read() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(drafts)).scalar_one() == 1


def test_only_ids_cross_the_broker(parts: Parts, broker_url: str | None) -> None:
    app = make_app(broker_url, queue=parts.settings.queue)
    hints = Hints(app)
    ticket = bring(parts, mail("CANARY " + CLEAR))
    hints.announce_if_due(parts, ticket)
    with app.connection_for_read() as connection:
        queue = connection.SimpleQueue(parts.settings.queue)
        message = queue.get(timeout=5)
        message.ack()
        sent = message.body if isinstance(message.body, str) else bytes(message.body).decode()
        connection.default_channel.queue_delete(parts.settings.queue)
    assert "CANARY" not in sent + str(message.headers)
    assert f"[{ticket}," in sent.replace(" ", "")


def test_a_broker_that_is_away_is_one_plain_line_and_loses_nothing() -> None:
    app = make_app("amqp://guest:secret@127.0.0.1:1//")
    hints = Hints(app)
    assert hints.announce(1) is False
    with pytest.raises(UnreachableError, match="TRIAGE_BROKER_URL") as caught:
        hints.check()
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_worker_thread_that_dies_says_so() -> None:
    app = make_app("amqp://guest:guest@127.0.0.1:1//")
    app.conf.broker_connection_retry_on_startup = False
    worker = EmbeddedWorker(app, threads=1, schedule=False)
    worker.start()
    assert worker.died.wait(10)


@pytest.mark.parametrize("url", ["nonsense://", "http://x", "localhost:5672"])
def test_an_address_that_is_no_brokers_names_the_variable(url: str) -> None:
    with pytest.raises(ConfigError, match="TRIAGE_BROKER_URL"):
        make_app(url)
