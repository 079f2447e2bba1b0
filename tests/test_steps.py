"""The steps table at work on real stores with the built-in parts: done, failed, given up, overtaken."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from pipeline import steps
from pipeline.assembly import Parts
from pipeline.db import leases
from pipeline.db.store import Store
from pipeline.db.tables import drafts, messages, model_calls, moves, reviews, tickets, triages
from pipeline.errors import ModelRejected
from pipeline.ingest.intake import store_raw, take
from pipeline.models.base import ModelAnswer, ModelRequest
from pipeline.models.gateway import Gateway
from pipeline.models.ledger import StoreLedger
from pipeline.models.prices import Prices
from tests.kit.live import live_parts, mail


@pytest.fixture
def parts(tmp_path: Path, database_url: str) -> Iterator[Parts]:
    parts = live_parts(tmp_path / "home", database_url)
    yield parts
    parts.store.close()


def bring(parts: Parts, raw: bytes) -> int:
    with parts.store.write() as connection:
        stored = store_raw(connection, "support", raw)
    taken = take(parts.store, stored.raw_id, inboxes=parts.inboxes)
    assert taken.ticket_id is not None
    return taken.ticket_id


def row(store: Store, ticket: int) -> sa.Row[tuple[object, ...]]:
    with store.read() as connection:
        return connection.execute(sa.select(tickets).where(tickets.c.id == ticket)).one()


def count(store: Store, table: sa.Table) -> int:
    with store.read() as connection:
        return int(connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())


class Broken:
    """A provider that always fails in the same way; the gateway and everything above it are real."""

    def __init__(self, name: str, error: Exception, before: object = None) -> None:
        self.name, self.error, self.before = name, error, before

    def complete(self, request: ModelRequest, *, deadline_s: float) -> ModelAnswer:
        if callable(self.before):
            self.before()
        raise self.error


def with_provider(parts: Parts, provider: Broken) -> None:
    parts.providers = {**parts.providers, provider.name: provider}
    parts.gateway = Gateway(parts.providers, StoreLedger(parts.store), Prices())


CLEAR = "Hello,\n\nwhere is my order 48213? I ordered a week ago and the tracking shows nothing.\n\nJane"


def test_a_clear_mail_becomes_a_routine_draft_before_a_person(parts: Parts) -> None:
    ticket = bring(parts, mail(CLEAR, subject="Where is my order 48213?"))
    done = steps.run_until_idle(parts, threads=2)
    assert done == {"triage": 1, "routine": 1}
    found = row(parts.store, ticket)
    assert (found.status, found.route, found.topic, found.language) == (
        "in_review",
        "cheap",
        "order_shipping",
        "en",
    )
    with parts.store.read() as connection:
        draft = connection.execute(sa.select(drafts)).one()
        review = connection.execute(sa.select(reviews)).one()
        trail = [r.to_status for r in connection.execute(sa.select(moves).order_by(moves.c.id))]
        calls = connection.execute(sa.select(model_calls).order_by(model_calls.c.id)).all()
    assert "48213" in draft.text
    assert (draft.source, draft.tier, draft.blocked) == ("template", "template", [])
    assert (review.state, review.reason, review.draft_id) == ("open", "template", draft.id)
    assert "this is a template" in review.detail
    assert trail == ["received", "routine", "in_review"]
    assert [(c.task, c.model, c.state) for c in calls] == [
        ("triage", "local", "ok"),
        ("routine", "templates", "ok"),
    ]


def test_an_angry_mail_takes_the_strong_route_with_its_reason(parts: Parts) -> None:
    body = "This is an absolute disgrace!!! You stole my money, you incompetent liars. I want it back NOW!"
    ticket = bring(parts, mail(body, subject="UNACCEPTABLE"))
    steps.run_until_idle(parts, threads=2)
    found = row(parts.store, ticket)
    assert found.route == "strong"
    assert "The customer is angry" in found.decision
    with parts.store.read() as connection:
        assert connection.execute(sa.select(drafts.c.route)).scalar_one() == "strong"


def test_a_step_that_fails_is_tried_again_later_and_given_up_after_three_starts(parts: Parts) -> None:
    ticket = bring(parts, mail(CLEAR))
    with_provider(parts, Broken("local", ZeroDivisionError("a bug with a customer's words: Jane")))
    for attempt in (1, 2, 3):
        outcome = steps.advance(parts, ticket)
        assert outcome is not None
        assert not outcome.done
        found = row(parts.store, ticket)
        assert found.attempts == attempt
        assert "Jane" not in (found.last_error or "")
        assert steps.advance(parts, ticket) is None  # it waits
        make_due(parts.store, ticket)
    outcome = steps.advance(parts, ticket)
    assert outcome is not None
    assert outcome.done
    assert row(parts.store, ticket).status == "in_review"
    with parts.store.read() as connection:
        review = connection.execute(sa.select(reviews)).one()
    assert review.reason == "failed_triage"
    assert "given up after 3 starts" in review.detail
    assert steps.run_until_idle(parts, threads=1) == {}


def test_when_no_model_can_read_it_a_person_gets_it_at_once(parts: Parts) -> None:
    ticket = bring(parts, mail(CLEAR))
    with_provider(parts, Broken("local", ModelRejected("no")))
    steps.run_until_idle(parts, threads=1)
    assert row(parts.store, ticket).status == "in_review"
    with parts.store.read() as connection:
        assert connection.execute(sa.select(reviews.c.reason)).scalar_one() == "failed_triage"


def test_a_message_that_arrives_while_the_first_is_read_is_read_too_and_decides(parts: Parts) -> None:
    ticket = bring(parts, mail(CLEAR, message_id="m1@customer.example"))
    local = parts.providers["local"]

    class Slow:
        name = "local"
        arrived = False

        def complete(self, request: ModelRequest, *, deadline_s: float) -> ModelAnswer:
            if not self.arrived:
                self.arrived = True
                reply = mail(
                    "You are all liars and thieves, this is a disgrace!!! Give me my money back NOW!",
                    message_id="m2@customer.example",
                    headers="In-Reply-To: <m1@customer.example>\r\nReferences: <m1@customer.example>\r\n",
                )
                assert bring(parts, reply) == ticket
            return local.complete(request, deadline_s=deadline_s)

    parts.providers = {**parts.providers, "local": Slow()}
    parts.gateway = Gateway(parts.providers, StoreLedger(parts.store), Prices())
    steps.run_until_idle(parts, threads=1)
    assert count(parts.store, triages) == 2
    assert count(parts.store, drafts) == 1
    assert row(parts.store, ticket).route == "strong"
    with parts.store.read() as connection:
        answered = connection.execute(
            sa.select(messages.c.message_id).join(drafts, drafts.c.message_id == messages.c.id)
        ).scalar_one()
    assert answered == "m2@customer.example"


def test_a_draft_that_was_overtaken_by_a_newer_message_is_dropped(parts: Parts) -> None:
    ticket = bring(parts, mail(CLEAR, message_id="m1@customer.example"))
    assert steps.advance(parts, ticket)  # triage
    templates = parts.providers["templates"]

    class Slow:
        name = "templates"
        arrived = False

        def complete(self, request: ModelRequest, *, deadline_s: float) -> ModelAnswer:
            if not self.arrived:
                self.arrived = True
                headers = "In-Reply-To: <m1@customer.example>\r\n"
                bring(
                    parts,
                    mail("Sorry, the order number is 77777.", message_id="m2@c.example", headers=headers),
                )
            return templates.complete(request, deadline_s=deadline_s)

    parts.providers = {**parts.providers, "templates": Slow()}
    parts.gateway = Gateway(parts.providers, StoreLedger(parts.store), Prices())
    outcome = steps.advance(parts, ticket)
    assert outcome is not None
    assert "moved on" in outcome.what
    assert count(parts.store, drafts) == 0
    assert row(parts.store, ticket).status == "received"
    steps.run_until_idle(parts, threads=1)
    assert count(parts.store, drafts) == 1
    assert row(parts.store, ticket).status == "in_review"


def test_two_workers_on_one_ticket_make_one_draft(parts: Parts) -> None:
    from concurrent.futures import ThreadPoolExecutor

    ticket = bring(parts, mail(CLEAR))
    with ThreadPoolExecutor(6) as pool:
        for _ in range(3):
            list(pool.map(lambda _: steps.advance(parts, ticket), range(6)))
    assert count(parts.store, triages) == 1
    assert count(parts.store, drafts) == 1


def test_a_dead_workers_step_is_taken_up_by_the_next(parts: Parts) -> None:
    from datetime import timedelta

    ticket = bring(parts, mail(CLEAR))
    host = leases.owner_name().split(":")[0]
    with parts.store.write() as connection:
        assert leases.claim(connection, ticket, f"{host}:999999:1", timedelta(hours=1))
    assert steps.advance(parts, ticket) is None
    parts.keep_house()
    assert steps.advance(parts, ticket) is not None


def make_due(store: Store, ticket: int) -> None:
    from pipeline.db.types import now

    with store.write() as connection:
        connection.execute(tickets.update().where(tickets.c.id == ticket).values(due_at=now()))


def test_a_vague_follow_up_keeps_the_threads_topic(parts: Parts) -> None:
    ticket = bring(parts, mail(CLEAR, subject="Where is my order 48213?", message_id="m1@customer.example"))
    steps.run_until_idle(parts, threads=1)
    headers = "In-Reply-To: <m1@customer.example>\r\n"
    assert (
        bring(parts, mail("And? Still nothing.", message_id="m2@customer.example", headers=headers)) == ticket
    )
    steps.run_until_idle(parts, threads=1)
    found = row(parts.store, ticket)
    assert (found.topic, found.route, found.team) == ("order_shipping", "strong", "orders")


def test_a_thread_of_many_unread_messages_is_read_to_its_end(parts: Parts) -> None:
    ticket = bring(parts, mail(CLEAR, message_id="m0@customer.example"))
    for number in range(1, 6):
        headers = f"In-Reply-To: <m{number - 1}@customer.example>\r\n"
        raw = mail(
            f"And one more thing, number {number}: {CLEAR}",
            message_id=f"m{number}@customer.example",
            headers=headers,
        )
        assert bring(parts, raw) == ticket
    steps.run_until_idle(parts, threads=2)
    assert count(parts.store, triages) == 6
    assert row(parts.store, ticket).status == "in_review"
    with parts.store.read() as connection:
        assert connection.execute(sa.select(reviews.c.reason)).scalars().all() == ["template"]
