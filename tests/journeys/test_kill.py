"""`kill -9` at each step of the path, then a new start: every ticket ends where it should, no reply goes twice."""

from __future__ import annotations

import contextlib
import functools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from pipeline.db.tables import messages, model_calls, moves, raw_messages, replies, reviews, spend, tickets
from pipeline.review import agents
from tests.journeys import people, scripted
from tests.kit import places
from tests.kit.live import mail
from tests.kit.mail_servers import Line, Server, SmtpServer, append, imap_server
from tests.kit.model_server import ModelServer
from tests.kit.processes import Installation, inbox_of

APART = ("web", "worker", "beat", "watch")
LEASE_S = 5


@dataclass
class Place:
    """An installation among servers that can be made to stop, with an agent at its page."""

    installation: Installation
    imap: Server
    line: Line
    smtp: SmtpServer
    models: ModelServer
    silent: scripted.Silent
    agent: people.Forms

    def write(self, order: str, *, more: str = "") -> None:
        """The customer of this order asks for it."""
        body = f"Hello,\n\nwhere is my order {order}? It has not arrived yet.\n\nJane\n\n{more}"
        append(self.imap, mail(body, sender=customer(order), message_id=f"{order}@customer.example"))

    def ticket(self, order: str) -> sa.Row[Any] | None:
        found = self.installation.rows(
            sa.select(tickets).where(tickets.c.customer_address == customer(order))
        )
        assert len(found) <= 1, "one mail is one ticket"
        return found[0] if found else None

    def ends(self, order: str, status: str) -> int:
        """Wait until the ticket of this order stands there; returns its id."""

        def there() -> int | None:
            found = self.ticket(order)
            return found.id if found is not None and found.status == status else None

        return int(self.installation.until(there, f"the ticket of order {order} to be {status}"))

    def sent_to(self, order: str) -> int:
        """How many mails the customer has from us, by the mail server's journal."""
        return len(self.smtp.to(customer(order)))

    def reply_state(self, order: str) -> str:
        query = sa.select(replies.c.state).where(replies.c.to_address == customer(order))
        return str(self.installation.rows(query)[0].state)

    def trail(self, order: str) -> list[str]:
        """The statuses that the ticket went through."""
        query = (
            sa.select(moves.c.to_status).join(tickets).where(tickets.c.customer_address == customer(order))
        )
        return [row.to_status for row in self.installation.rows(query.order_by(moves.c.id))]

    def calls(self, order: str) -> list[tuple[str, str]]:
        """(task, state) of the ledger's rows for the ticket."""
        query = (
            sa.select(model_calls.c.task, model_calls.c.state)
            .join(tickets, tickets.c.id == model_calls.c.ticket_id)
            .where(tickets.c.customer_address == customer(order))
        )
        return [tuple(row) for row in self.installation.rows(query.order_by(model_calls.c.id))]


def customer(order: str) -> str:
    return f"jane-{order}@customer.example"


@contextlib.contextmanager
def place_of(home: Path, names: tuple[str, ...], **settings: Any) -> Iterator[Place]:
    silent = scripted.Silent()
    with (
        imap_server(home / "imap") as imap,
        Line(imap.port) as line,
        SmtpServer() as smtp,
        ModelServer(silent) as models,
        Installation(
            home / "triage",
            names,
            inboxes=inbox_of(imap, port=line.port),
            environment={
                "OPENAI_API_KEY": "sk-test",
                "OPENAI_BASE_URL": models.openai_url,
                "ANTHROPIC_API_KEY": "sk-ant-test",
                "ANTHROPIC_BASE_URL": models.anthropic_url,
            },
            smtp_url=smtp.url,
            **settings,
        ) as installation,
    ):
        installation.start()
        with people.by_forms(installation) as agent:
            made = agents.add(installation.store, people.EMAIL, "lead", "Anna")
            agents.set_password(installation.store, made.id, people.PASSWORD)
            agent.log_in()
            yield Place(installation, imap, line, smtp, models, silent, agent)


def nothing_is_left(place: Place) -> None:
    """Everything is at rest, settled and accounted for."""
    rows = place.installation.rows
    place.installation.until(
        lambda: not rows(sa.select(model_calls.c.id).where(model_calls.c.state == "reserved")),
        "the abandoned calls to be settled",
    )
    abandoned = {row.state for row in rows(sa.select(model_calls.c.state))} - {"ok"}
    assert abandoned <= {"unknown"}
    for ticket in rows(sa.select(tickets)):
        assert ticket.status in ("in_review", "answered"), ticket
        assert (ticket.due_at, ticket.lease_owner, ticket.lease_until) == (None, None, None)
    assert {row.state for row in rows(sa.select(raw_messages.c.state))} <= {"parsed"}
    untriaged = messages.c.triaged_at.is_(None) & (messages.c.kind == "person")
    assert not rows(sa.select(messages.c.id).where(untriaged))
    waiting = sa.select(tickets.c.id).where(
        tickets.c.status == "in_review",
        tickets.c.id.not_in(sa.select(reviews.c.ticket_id).where(reviews.c.state == "open")),
    )
    assert not rows(waiting), "a ticket waits for a person, and no person sees it"
    # the ledger: a row for each call that a provider saw, and no money held back
    asked = sa.select(model_calls).where(model_calls.c.state != "not_called")
    ledger = [row for row in rows(asked) if row.provider in ("openai", "anthropic")]
    assert Counter(row.model for row in ledger) == Counter(line.seen.model for line in place.models.journal)
    assert all(row.cost_usd > 0 for row in ledger)
    assert {row.reserved_usd for row in rows(sa.select(spend.c.reserved_usd))} <= {0}
    # the mail server's own journal: no reply twice, none that nobody approved
    ids = [str(accepted.message["Message-ID"]).strip("<>") for accepted in place.smtp.journal]
    sent = [row.message_id for row in rows(sa.select(replies.c.message_id).where(replies.c.state == "sent"))]
    assert sorted(ids) == sorted(sent)
    assert len(rows(sa.select(replies.c.id))) == len(sent)
    assert "Traceback" not in place.installation.logs(lines=100_000)


# --- one process, killed at one step after the other ----------------------------------------------------


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with place_of(tmp_path_factory.mktemp("one"), ("up",), lease_s=LEASE_S, worker_threads=1) as place:
        yield place


@pytest.fixture
def place(one: Place) -> Iterator[Place]:
    one.installation.start()
    yield one
    one.silent.no_more()
    one.smtp.let_go()
    one.line.carry_on()


def start_again(place: Place) -> None:
    """The process is dead already; the servers behave from now on."""
    place.silent.no_more()
    place.smtp.let_go()
    place.line.carry_on()
    place.installation.start()


def test_killed_while_a_mail_is_being_fetched_it_is_fetched_again(place: Place) -> None:
    place.line.stop_at(b"half of the mail")
    place.write("10001", more="half of the mail, and the other half\n")
    assert place.line.stopped.wait(20)
    place.installation.kill("up")
    assert place.ticket("10001") is None
    start_again(place)
    place.ends("10001", "in_review")
    assert place.calls("10001") == [("triage", "ok"), ("routine", "ok")]


def test_killed_when_a_mail_is_stored_and_not_parsed_it_is_parsed_later(place: Place) -> None:
    stored = sa.select(raw_messages.c.id).where(raw_messages.c.state == "stored")
    line = "> and then I looked at the tracking once more, and it said the same thing\n"
    long = "On Monday Jane Doe <jane@customer.example> wrote:\n" + line * 20_000
    for order in ("10011", "10012", "10013", "10014"):  # until it is caught between the two
        place.write(order, more=long)
        come = functools.partial(stored_or_taken, place, stored, order)
        place.installation.until(come, "the mail to be stored", every_s=0.001)
        place.installation.kill("up")
        caught = bool(place.installation.rows(stored))
        assert caught == (place.ticket(order) is None)
        start_again(place)
        if caught:
            break
    else:
        pytest.fail("parsing was too quick to be interrupted")
    place.ends(order, "in_review")
    query = sa.select(raw_messages.c.attempts).join(messages, messages.c.raw_id == raw_messages.c.id)
    row = place.installation.rows(query.where(messages.c.message_id == f"{order}@customer.example"))
    assert [found.attempts for found in row] == [2]


def stored_or_taken(place: Place, stored: sa.Select[Any], order: str) -> bool:
    return bool(place.installation.rows(stored) or place.ticket(order))


@pytest.mark.parametrize(("order", "reading"), [("10021", True), ("10022", False)])
def test_killed_in_a_model_call_it_is_called_again_and_both_are_booked(
    place: Place, order: str, reading: bool
) -> None:
    place.silent.about(order, reading=reading)
    place.write(order)
    place.installation.until(lambda: place.silent.asked(order, reading=reading), "the call to begin")
    place.installation.kill("up")
    start_again(place)
    place.ends(order, "in_review")
    assert place.trail(order) == ["received", "routine", "in_review"]
    tasks = ["triage", "triage", "routine"] if reading else ["triage", "routine", "routine"]
    states = ["abandoned", "ok", "ok"] if reading else ["ok", "abandoned", "ok"]
    found = place.calls(order)
    assert [task for task, _state in found] == tasks
    # the sweep settles it once its lease is over; until then its money stays reserved
    assert ["ok" if state == "ok" else "abandoned" for _task, state in found] == states


def test_killed_while_an_approved_reply_waits_it_goes_out_once(place: Place) -> None:
    place.write("10031")
    ticket = place.ends("10031", "in_review")
    place.silent.about("10032", reading=True)
    place.write("10032")
    place.installation.until(lambda: place.silent.asked("10032", reading=True), "the only worker to be busy")
    place.agent.send_draft(ticket)
    place.installation.kill("up")
    assert (place.reply_state("10031"), place.sent_to("10031")) == ("waiting", 0)
    start_again(place)
    place.ends("10031", "answered")
    assert place.sent_to("10031") == 1
    place.ends("10032", "in_review")


@pytest.mark.parametrize(
    ("order", "at", "had", "choice"),
    [("10041", "text", 0, "resend"), ("10042", "dot", 1, "sent")],
)
def test_killed_while_the_reply_is_handed_over_a_person_decides(
    place: Place, order: str, at: str, had: int, choice: str
) -> None:
    place.write(order)
    ticket = place.ends(order, "in_review")
    place.smtp.hold(at, customer(order))
    place.agent.send_draft(ticket)
    place.installation.until(lambda: place.smtp.holds(at), f"the dialogue to come to the {at}")
    place.installation.kill("up")
    assert (place.reply_state(order), place.sent_to(order)) == ("sending", had)
    start_again(place)
    place.ends(order, "send_uncertain")
    assert place.sent_to(order) == had, "nothing is sent again by itself"
    place.agent.settle(ticket, choice)
    place.ends(order, "answered")
    assert place.sent_to(order) == 1


def test_after_all_of_it_nothing_is_left_and_nothing_went_twice(place: Place) -> None:
    nothing_is_left(place)


# --- processes apart, killed at all steps at once --------------------------------------------------------


@pytest.fixture(params=["rabbitmq", "redis"])
def apart(
    request: pytest.FixtureRequest, tmp_path: Path, postgres: str, migrated_postgres: str
) -> Iterator[Place]:
    broker = request.getfixturevalue(f"{request.param}_url")
    with (
        places.scratch_database(postgres, migrated_postgres) as database,
        # as long as this lasts, nothing but the death of its holder ends a lease
        place_of(
            tmp_path, APART, database_url=database, broker_url=broker, lease_s=600, worker_threads=6
        ) as place,
    ):
        yield place


def test_a_worker_and_a_watcher_killed_at_every_step_at_once_leave_nothing_behind(apart: Place) -> None:
    reading, drafting, waiting, at_text, at_dot, fetched = (f"2000{number}" for number in range(1, 7))
    apart.silent.about(reading, reading=True)
    apart.silent.about(drafting, reading=False)
    for order in (reading, drafting, waiting, at_text, at_dot):
        apart.write(order)
    apart.smtp.hold("text", customer(at_text))
    apart.smtp.hold("dot", customer(at_dot))
    for order in (at_text, at_dot):
        apart.agent.send_draft(apart.ends(order, "in_review"))
    until = apart.installation.until
    until(lambda: apart.silent.asked(reading, reading=True), "the reading to begin")
    until(lambda: apart.silent.asked(drafting, reading=False), "the draft to begin")
    until(lambda: apart.smtp.holds("text") and apart.smtp.holds("dot"), "both dialogues to stop")
    apart.line.stop_at(b"half of the mail")
    apart.write(fetched, more="half of the mail, and the other half\n")
    assert apart.line.stopped.wait(20)
    ticket = apart.ends(waiting, "in_review")
    apart.installation.kill("worker")
    apart.installation.kill("watch")
    apart.agent.send_draft(ticket)
    assert [apart.reply_state(order) for order in (waiting, at_text, at_dot)] == [
        "waiting", "sending", "sending",
    ]  # fmt: skip
    held = sa.select(tickets.c.id).where(tickets.c.lease_owner.is_not(None))
    assert len(apart.installation.rows(held)) == 4

    apart.installation.environment["TRIAGE_LEASE_S"] = "5"
    start_again(apart)
    for order in (reading, drafting, fetched):
        apart.ends(order, "in_review")
    apart.ends(waiting, "answered")
    assert apart.sent_to(waiting) == 1
    for order, had, choice in ((at_text, 0, "resend"), (at_dot, 1, "sent")):
        ticket = apart.ends(order, "send_uncertain")
        assert apart.sent_to(order) == had
        apart.agent.settle(ticket, choice)
        apart.ends(order, "answered")
        assert apart.sent_to(order) == 1
    nothing_is_left(apart)
