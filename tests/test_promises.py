"""What a fresh reading of the core found broken: each promise with the case that broke it, on both databases."""

from __future__ import annotations

import contextlib
import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from pipeline import steps
from pipeline.assembly import Parts
from pipeline.db import leases
from pipeline.db.tables import drafts, messages, replies, reviews, tickets, triages
from pipeline.db.types import now
from pipeline.delivery import send
from pipeline.delivery.compose import Outgoing
from pipeline.delivery.outcomes import Accepted, Outcome, Permanent, Uncertain
from pipeline.errors import ConflictError, LeaseLost, UnreachableError
from pipeline.ingest import intake, recording
from pipeline.ingest.intake import Taken, store_raw, take, take_stored
from pipeline.models.base import ModelAnswer, ModelRequest
from pipeline.models.gateway import Gateway
from pipeline.models.ledger import StoreLedger
from pipeline.models.prices import Prices
from pipeline.review import agents
from pipeline.review.agents import Agent
from pipeline.review.corrections import correct
from tests.kit.live import live_parts, mail

CLEAR = "Hello,\n\nwhere is my order 48213? I ordered a week ago and the tracking shows nothing.\n\nJane"
ANGRY = "This is an absolute disgrace!!! My lawyer will take you to court. Give me my money back NOW!"
FOLLOWS = "In-Reply-To: <m1@customer.example>\r\n"


@pytest.fixture
def parts(tmp_path: Path, database_url: str) -> Iterator[Parts]:
    parts = live_parts(tmp_path / "home", database_url)
    yield parts
    parts.store.close()


@pytest.fixture
def ann(parts: Parts) -> Agent:
    return agents.add(parts.store, "ann@shop.example", "agent", "Ann")


class Way:
    """A way out whose answers are scripted; `journal` is what it was handed."""

    where = "a scripted mail server"

    def __init__(self, outcome: Outcome, during: Callable[[], object] | None = None) -> None:
        self.outcome, self.during = outcome, during
        self.journal: list[Outgoing] = []

    def send(self, outgoing: Outgoing) -> Outcome:
        self.journal.append(outgoing)
        if self.during is not None:
            self.during()
        return self.outcome


def way_out(parts: Parts, way: Way) -> Way:
    parts.__dict__["mailers"] = lambda _inbox: way
    return way


class Meanwhile:
    """A model's own part, with something happening once while it works."""

    def __init__(self, parts: Parts, name: str, happening: Callable[[], object]) -> None:
        self.name, self._real, self._happening, self._done = name, parts.providers[name], happening, False
        parts.providers = {**parts.providers, name: self}
        parts.gateway = Gateway(parts.providers, StoreLedger(parts.store), Prices())

    def complete(self, request: ModelRequest, *, deadline_s: float) -> ModelAnswer:
        if not self._done:
            self._done = True
            self._happening()
        return self._real.complete(request, deadline_s=deadline_s)


def bring(parts: Parts, body: str, number: int = 1, **more: Any) -> Taken:
    more.setdefault("headers", FOLLOWS if number > 1 else "")
    raw = mail(body, message_id=f"m{number}@customer.example", **more)
    with parts.store.write() as connection:
        stored = store_raw(connection, "support", raw)
    return take(parts.store, stored.raw_id, inboxes=parts.inboxes)


def ticket_row(parts: Parts) -> Any:
    with parts.store.read() as connection:
        return connection.execute(sa.select(tickets).order_by(tickets.c.id)).first()


def open_row(parts: Parts) -> Any:
    with parts.store.read() as connection:
        return connection.execute(sa.select(reviews).where(reviews.c.state == "open")).one_or_none()


def count(parts: Parts, table: sa.Table) -> int:
    with parts.store.read() as connection:
        return int(connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())


def work(parts: Parts) -> dict[str, int]:
    return steps.run_until_idle(parts, threads=1)


def approved(parts: Parts, ann: Agent) -> int:
    """One clear mail, drafted, its draft approved; returns the ticket."""
    ticket = bring(parts, CLEAR, subject="Where is my order 48213?").ticket_id
    assert ticket is not None
    work(parts)
    row = open_row(parts)
    parts.desk.approve(row.id, ann, ticket_row(parts).version)
    return ticket


# --- nothing is lost ------------------------------------------------------------------------------


def test_many_messages_that_wait_together_are_all_read(parts: Parts) -> None:
    """A backlog of five mails on one ticket is no failure: each reading that succeeds is progress."""
    for number in range(1, 6):
        bring(parts, CLEAR + f"\n\n({number})", number)
    work(parts)
    assert count(parts, triages) == 5
    assert open_row(parts).reason == "template"


@pytest.mark.parametrize("uncertain", [False, True])
def test_a_message_over_a_cap_comes_before_a_person_whatever_the_reply_is_up_to(
    parts: Parts, ann: Agent, uncertain: bool
) -> None:
    """It is marked as read when it comes, so nobody else would ever look at it."""
    approved(parts, ann)
    way_out(parts, Way(Uncertain("no word") if uncertain else Accepted("250 ok")))
    if uncertain:
        work(parts)
        assert ticket_row(parts).status == "send_uncertain"
    ours = "Bob <support@shop.example>"  # a cap that one mail reaches; five replies an hour is another
    bring(parts, "I told the customer something else by telephone, do not send this!", 2, sender=ours)
    if uncertain:
        parts.desk.resolve_uncertain(open_row(parts).id, ann, ticket_row(parts).version, "sent")
    work(parts)
    assert ticket_row(parts).status == "in_review"
    assert open_row(parts).reason == "loop_cap"


def test_a_bounce_that_overtakes_the_record_of_the_sending_is_not_lost(parts: Parts, ann: Agent) -> None:
    approved(parts, ann)

    def bounces() -> None:
        with parts.store.read() as connection:
            our_id = connection.execute(sa.select(replies.c.message_id)).scalar_one()
        raw = (
            "From: MAILER-DAEMON@mx.customer.example\r\nTo: support@shop.example\r\nSubject: Undelivered\r\n"
            "Message-ID: <b1@mx.customer.example>\r\nAuto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n"
            "Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n"
            "--b\r\nContent-Type: text/plain\r\n\r\nNo such user.\r\n"
            "--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx\r\n\r\n"
            "Final-Recipient: rfc822; jane@customer.example\r\nAction: failed\r\nStatus: 5.1.1\r\n\r\n"
            f"--b\r\nContent-Type: text/rfc822-headers\r\n\r\nMessage-ID: <{our_id}>\r\n\r\n--b--\r\n"
        ).encode()
        with parts.store.write() as connection:
            stored = store_raw(connection, "support", raw)
        assert take(parts.store, stored.raw_id, inboxes=parts.inboxes).kind == "automated"

    way_out(parts, Way(Accepted("250 ok"), during=bounces))
    work(parts)
    assert ticket_row(parts).status == "in_review"
    assert open_row(parts).reason == "bounce"


@pytest.mark.parametrize("where", ["message_id", "sender"])
def test_a_mail_with_an_endless_identifier_goes_to_quarantine_or_through_but_blocks_nobody(
    parts: Parts, where: str
) -> None:
    """PostgreSQL's indexes refuse long values; that is the mail's fault, not an unreachable database."""
    long = secrets.token_hex(8000)
    raw = (
        mail(CLEAR, message_id=f"{long}@x.example")
        if where == "message_id"
        else mail(CLEAR, sender=f"<{long}@x.example>")
    )
    with parts.store.write() as connection:
        store_raw(connection, "support", raw)
        store_raw(connection, "support", mail(CLEAR, message_id="next@customer.example"))
    kinds = [one.kind for one in take_stored(parts.store, inboxes=parts.inboxes, older_than=timedelta(0))]
    assert kinds[-1] == "message"


@pytest.mark.parametrize(("model", "key"), [("local", "summary"), ("templates", "reply")])
def test_a_models_nul_character_is_no_failed_step(parts: Parts, model: str, key: str) -> None:
    """PostgreSQL takes no NUL: each start would pay for the answer and then lose it."""
    bring(parts, CLEAR, subject="Where is my order 48213?")
    real = parts.providers[model]

    class Odd:
        name = model

        def complete(self, request: ModelRequest, *, deadline_s: float) -> ModelAnswer:
            answer = real.complete(request, deadline_s=deadline_s)
            said = json.loads(answer.text)
            return replace(answer, text=json.dumps(said | {key: said[key] + "\0"}))

    parts.providers = {**parts.providers, model: Odd()}
    parts.gateway = Gateway(parts.providers, StoreLedger(parts.store), Prices())
    work(parts)
    assert ticket_row(parts).status == "in_review"
    assert count(parts, drafts) == 1


# --- nothing is stuck -------------------------------------------------------------------------------


def test_a_correction_while_a_follow_up_is_read_does_not_lose_its_route(parts: Parts, ann: Agent) -> None:
    ticket = bring(parts, CLEAR, subject="Where is my order 48213?").ticket_id
    assert ticket is not None
    work(parts)
    bring(parts, "Sorry, the order number is 48214. Where is it?", 2)
    Meanwhile(parts, "local", lambda: put_right(parts, ticket, ann))
    work(parts)
    assert open_row(parts).draft_id is not None, open_row(parts).detail


def test_a_correction_while_a_draft_is_written_does_not_hold_the_ticket_for_the_whole_lease(
    parts: Parts, ann: Agent
) -> None:
    ticket = bring(parts, CLEAR, subject="Where is my order 48213?").ticket_id
    assert ticket is not None
    steps.advance(parts, ticket)
    Meanwhile(parts, "templates", lambda: put_right(parts, ticket, ann))
    work(parts)
    assert ticket_row(parts).status == "in_review", (ticket_row(parts).status, ticket_row(parts).lease_until)


def put_right(parts: Parts, ticket: int, ann: Agent) -> None:
    teams = {name: topic.team for name, topic in parts.routes.topics.items()}
    correct(parts.store, ticket, ann, ticket_row(parts).version, {"topic": "billing"}, teams)


def test_a_step_given_back_is_announced_at_the_next_sweep_not_a_minute_later(parts: Parts) -> None:
    ticket = bring(parts, CLEAR).ticket_id
    assert ticket is not None
    minute = timedelta(seconds=60)
    with parts.store.write() as connection:
        assert leases.due(connection, not_hinted_for=minute)
        lease = leases.claim(connection, ticket, "test:1:1", minute)
        assert lease is not None
        leases.release(connection, lease)
    with parts.store.write() as connection:
        assert leases.due(connection, not_hinted_for=minute)


def test_two_batches_of_mail_taken_in_at_once_cost_nobody_else_a_deadlock(
    tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL picks its victim among all who wait: here an agent's decision, or a sending's record."""
    parts = live_parts(tmp_path / "home", postgres_url)
    ann = agents.add(parts.store, "ann@shop.example", "agent", "Ann")
    one, other = bring(parts, CLEAR, 1).ticket_id, bring(parts, CLEAR, 9, headers="").ticket_id
    work(parts)
    assert one is not None
    with parts.store.read() as connection:
        row = connection.execute(sa.select(reviews).where(reviews.c.ticket_id == one)).one()
        version = connection.execute(sa.select(tickets.c.version).where(tickets.c.id == one)).scalar_one()
    real, go = recording.record, {one: threading.Event(), other: threading.Event()}
    begun = {one: threading.Event(), other: threading.Event()}

    def slowly(*args: Any) -> Taken:
        taken = real(*args)
        if threading.current_thread() is not threading.main_thread() and taken.ticket_id is not None:
            begun[taken.ticket_id].set()
            go[taken.ticket_id].wait(5)
        return taken

    monkeypatch.setattr(intake, "record", slowly)
    batches = []
    for batch, order in enumerate(((1, 9), (9, 1))):
        with parts.store.write() as connection:
            ids = [
                store_raw(
                    connection,
                    "support",
                    mail(
                        f"More of it. {batch}",
                        message_id=f"{batch}-{number}@customer.example",
                        headers=f"In-Reply-To: <m{number}@customer.example>\r\n",
                    ),
                    begun=True,
                ).raw_id
                for number in order
            ]
        batches.append(
            threading.Thread(
                target=intake.take_many, args=(parts.store, ids), kwargs={"inboxes": parts.inboxes}
            )
        )
    failed: list[BaseException] = []

    def decide() -> None:
        try:
            parts.desk.edit(row.id, ann, version, "Dear Jane, it left us today.")
        except ConflictError:
            pass  # the ticket changed: what the agent is to be told
        except BaseException as error:
            failed.append(error)

    deciding = threading.Thread(target=decide)
    for thread in batches:
        thread.start()
    assert all(event.wait(5) for event in begun.values())  # each batch holds its first ticket
    deciding.start()
    time.sleep(0.2)
    go[other].set()  # the second batch now waits for the first ticket, behind the agent
    time.sleep(0.2)
    go[one].set()  # the first for the second: a ring
    for thread in (*batches, deciding):
        thread.join(20)
    parts.store.close()
    assert failed == []


# --- nothing stale is shown as fresh ------------------------------------------------------------------


def test_an_approval_taken_back_after_a_newer_message_does_not_show_its_draft_as_fresh(
    parts: Parts, ann: Agent
) -> None:
    parts.settings = parts.settings.model_copy(update={"undo_s": 60.0})
    ticket = approved(parts, ann)
    bring(parts, "Forget it, it has arrived. I have another question: how do I return it?", 2)
    parts.desk.withdraw(ticket, ann, ticket_row(parts).version)
    row = open_row(parts)
    with parts.store.read() as connection:
        newest = connection.execute(sa.select(sa.func.max(messages.c.id))).scalar_one()
        answers = (
            connection.execute(sa.select(drafts.c.message_id).where(drafts.c.id == row.draft_id)).scalar_one()
            if row is not None
            else newest
        )
    assert answers == newest


def test_a_message_that_a_person_has_answered_is_not_drafted_again(parts: Parts, ann: Agent) -> None:
    approved(parts, ann)
    way_out(parts, Way(Permanent("550 no"), during=lambda: bring(parts, "And where is order 48214?", 2)))
    work(parts)
    row = open_row(parts)
    if row.reason == "send_failed":
        parts.desk.replace(row.id, ann, ticket_row(parts).version, "Both orders left today.")
        way_out(parts, Way(Accepted("250 ok")))
        work(parts)
        assert ticket_row(parts).status == "answered"
    else:  # read as soon as the reply under way was settled
        assert row.draft_id is not None


def test_a_calm_afterthought_does_not_lower_the_route_of_what_is_still_unanswered(parts: Parts) -> None:
    bring(parts, ANGRY, subject="Order 48213")
    assert bring(parts, CLEAR, 2, subject="Where is my order 48213?").opened is False
    work(parts)
    assert ticket_row(parts).route == "strong", ticket_row(parts).decision


# --- nothing goes out twice -----------------------------------------------------------------------------


def test_a_slow_attempt_that_was_accepted_after_all_stops_the_one_that_waits_to_go_again(
    parts: Parts, ann: Agent
) -> None:
    """The lease runs out during the attempt, a person chooses to send again, then the first answer comes."""
    ticket = approved(parts, ann)
    with parts.store.write() as connection:
        first = leases.claim(connection, ticket, "slow:1:1", timedelta(seconds=-1))
    assert first is not None
    outgoing = send.claim(parts.store, first, parts.sender_of)
    assert isinstance(outgoing, Outgoing)
    way = way_out(parts, Way(Accepted("250 ok")))
    work(parts)  # finds the attempt under way
    assert ticket_row(parts).status == "send_uncertain"
    parts.desk.resolve_uncertain(open_row(parts).id, ann, ticket_row(parts).version, "resend")
    with contextlib.suppress(LeaseLost):
        send.record(parts.store, first, outgoing, Accepted("250 queued"))
    work(parts)
    assert ticket_row(parts).status == "answered"
    assert way.journal == []


def test_a_database_that_blinks_after_the_mail_server_accepted_leaves_no_doubt(
    parts: Parts, ann: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here the protocol did tell: only our own record of it failed, once."""
    ticket = approved(parts, ann)
    blinks = [False]
    real = type(parts.store).write

    def write(store: Any) -> Any:
        if blinks[0]:
            blinks[0] = False
            raise UnreachableError("the database cannot be used: deadlock detected")
        return real(store)

    monkeypatch.setattr(type(parts.store), "write", write)
    way = way_out(parts, Way(Accepted("250 ok"), during=lambda: blinks.__setitem__(0, True)))
    work(parts)
    with parts.store.write() as connection:
        connection.execute(tickets.update().where(tickets.c.id == ticket).values(due_at=now()))
    work(parts)
    assert len(way.journal) == 1
    assert ticket_row(parts).status == "answered"


def test_a_draft_for_somebody_else_than_the_customer_may_not_go_out_as_it_stands(
    parts: Parts, ann: Agent
) -> None:
    """Whoever knows a Message-ID writes into the thread; the answer goes to them, greets Jane, and knows hers."""
    approved(parts, ann)
    way_out(parts, Way(Accepted("250 ok")))
    work(parts)
    bring(parts, "Please send me the status of this order again.", 2, sender="<mallory@evil.example>")
    work(parts)
    with parts.store.read() as connection:
        draft = connection.execute(sa.select(drafts).order_by(drafts.c.id.desc())).first()
    assert draft is not None
    assert draft.blocked or "Jane" not in draft.text
