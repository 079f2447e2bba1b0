"""The send step against a real SMTP server on loopback, with a fault at every point of the dialogue."""

from __future__ import annotations

from datetime import timedelta
from email import policy
from email.parser import BytesParser
from pathlib import Path

import pytest
import sqlalchemy as sa

from pipeline.db import leases
from pipeline.db.store import Store
from pipeline.db.tables import messages, moves, replies, reviews, tickets
from pipeline.db.types import now
from pipeline.delivery.compose import Outgoing, Sender
from pipeline.delivery.folder import FolderMailer
from pipeline.delivery.outcomes import Accepted, Outcome
from pipeline.delivery.send import claim, deliver, give_up, mark_sent, record, send_again
from pipeline.delivery.settling import WHO, Delivered
from pipeline.delivery.smtp import SmtpMailer, read_url
from pipeline.errors import ConfigError, InputError, LeaseLost
from pipeline.lifecycle import Status
from tests.delivery.conftest import Faulty, add_message, approve_one, take
from tests.kit.places import free_port

Smtp = tuple[Faulty, str]


def sender_of(_inbox: str) -> Sender:
    return Sender("support@shop.example", "Shop", "Your Shop")


def mailer(url: str, timeout_s: float = 5) -> SmtpMailer:
    return SmtpMailer(read_url(f"{url}?timeout_s={timeout_s}"))


def go(store: Store, ticket: int, url: str, timeout_s: float = 5) -> Delivered:
    return deliver(store, take(store, ticket), mailer(url, timeout_s), sender_of)


def state(store: Store, ticket: int) -> tuple[str, str, int]:
    """(ticket status, reply state, attempts)"""
    with store.read() as connection:
        row = connection.execute(
            sa.select(tickets.c.status, replies.c.state, replies.c.attempts)
            .join(replies, replies.c.ticket_id == tickets.c.id)
            .where(tickets.c.id == ticket)
        ).one()
    return row[0], row[1], row[2]


def open_reason(store: Store, ticket: int) -> tuple[str, str] | None:
    with store.read() as connection:
        row = connection.execute(
            sa.select(reviews.c.reason, reviews.c.detail).where(
                reviews.c.ticket_id == ticket, reviews.c.state == "open"
            )
        ).one_or_none()
    return (row[0], row[1]) if row else None


def test_an_accepted_reply_is_sent_once_and_recorded(store: Store, approved: int, smtp: Smtp) -> None:
    handler, url = smtp
    done = go(store, approved, url)
    assert done.status == Status.ANSWERED
    assert "taken as 4711" in done.why
    assert state(store, approved) == ("answered", "sent", 1)
    assert len(handler.journal) == 1
    mail = BytesParser(policy=policy.default).parsebytes(handler.journal[0])
    assert mail["To"] == "Ana <ana@customer.example>"
    assert mail["In-Reply-To"] == "<q1@customer.example>"
    with store.read() as connection:
        row = connection.execute(sa.select(messages).where(messages.c.direction == "outbound")).one()
        assert (row.message_id, row.kind, row.agent_id) == (mail["Message-ID"][1:-1], "reply", 1)
        assert row.new_text == "Hello Ana,\n\nit is on its way."
        assert row.text.endswith("-- \nYour Shop\n")
        due = connection.execute(sa.select(tickets.c.due_at).where(tickets.c.id == approved)).scalar_one()
        assert due is None
    assert leases_none(store, approved)


def leases_none(store: Store, ticket: int) -> bool:
    with store.write() as connection:
        return leases.claim(connection, ticket, "other:1:1", timedelta(seconds=5)) is None


def test_a_newer_message_of_the_customer_is_read_after_the_reply_is_out(
    store: Store, approved: int, smtp: Smtp
) -> None:
    with store.write() as connection:
        add_message(connection, approved, message_id="q2@customer.example")
    assert go(store, approved, smtp[1]).status == Status.RECEIVED
    assert state(store, approved) == ("received", "sent", 1)


def test_a_refused_connection_is_tried_again_later(store: Store, approved: int) -> None:
    done = go(store, approved, f"smtp://127.0.0.1:{free_port()}")
    assert done.status == Status.APPROVED
    assert "refused" in done.why.lower()
    assert state(store, approved) == ("approved", "waiting", 1)
    with store.read() as connection:
        row = connection.execute(sa.select(tickets).where(tickets.c.id == approved)).one()
    assert timedelta(seconds=50) < row.due_at - now() <= timedelta(seconds=60)
    assert "127.0.0.1" in row.last_error
    assert leases_none(store, approved)  # not due yet


@pytest.mark.parametrize("at", ["rcpt", "data"])
def test_a_4xx_is_tried_again_and_a_5xx_goes_to_a_person(store: Store, smtp: Smtp, at: str) -> None:
    handler, url = smtp
    setattr(handler, at, "451 4.7.1 greylisted, come back")
    first = approve_one(store)
    assert go(store, first, url).status == Status.APPROVED
    assert state(store, first) == ("approved", "waiting", 1)
    setattr(handler, at, "550 5.1.1 no such mailbox here")
    second = approve_one(store)
    assert go(store, second, url).status == Status.IN_REVIEW
    assert state(store, second) == ("in_review", "failed", 1)
    reason, detail = open_reason(store, second) or ("", "")
    assert reason == "send_failed"
    assert "550 5.1.1 no such mailbox here" in detail
    assert handler.journal == []


@pytest.mark.parametrize("at", ["MAIL", "RCPT"])
def test_a_connection_lost_before_the_text_is_certain_not_to_have_sent(
    store: Store, approved: int, smtp: Smtp, at: str
) -> None:
    handler, url = smtp
    handler.drop_at = at
    assert go(store, approved, url).status == Status.APPROVED
    assert state(store, approved) == ("approved", "waiting", 1)
    handler.drop_at = None
    make_due(store, approved)
    assert go(store, approved, url).status == Status.ANSWERED
    assert state(store, approved) == ("answered", "sent", 2)
    assert len(handler.journal) == 1


def make_due(store: Store, ticket: int) -> None:
    with store.write() as connection:
        connection.execute(tickets.update().where(tickets.c.id == ticket).values(due_at=now()))


@pytest.mark.parametrize("kept", [True, False])
def test_a_connection_lost_after_the_final_dot_is_uncertain_and_never_sent_again_by_itself(
    store: Store, approved: int, smtp: Smtp, kept: bool
) -> None:
    handler, url = smtp
    handler.drop_at, handler.keep_when_dropping = "DATA", kept
    assert go(store, approved, url).status == Status.SEND_UNCERTAIN
    assert state(store, approved) == ("send_uncertain", "uncertain", 1)
    assert (open_reason(store, approved) or ("",))[0] == "send_uncertain"
    make_due(store, approved)
    assert leases_none(store, approved)
    assert len(handler.journal) == int(kept)


def test_no_answer_after_the_final_dot_is_uncertain_within_the_time_limit(
    store: Store, approved: int, smtp: Smtp
) -> None:
    handler, url = smtp
    handler.wait_s = 3
    began = now()
    done = go(store, approved, url, timeout_s=0.5)
    assert done.status == Status.SEND_UNCERTAIN
    assert "0.5 s" in done.why
    assert now() - began < timedelta(seconds=2)


def test_a_worker_that_died_between_claim_and_record_leaves_the_reply_to_a_person(
    store: Store, approved: int, smtp: Smtp
) -> None:
    handler, url = smtp
    assert isinstance(claim(store, take(store, approved), sender_of), Outgoing)  # and then it dies
    assert state(store, approved) == ("approved", "sending", 1)
    expire(store, approved)
    assert go(store, approved, url).status == Status.SEND_UNCERTAIN
    assert state(store, approved) == ("send_uncertain", "uncertain", 1)
    assert handler.journal == []
    assert "attempt 1 of 20" in (open_reason(store, approved) or ("", ""))[1]


def expire(store: Store, ticket: int) -> None:
    with store.write() as connection:
        connection.execute(
            tickets.update().where(tickets.c.id == ticket).values(lease_until=now() - timedelta(seconds=1))
        )


def test_a_slow_attempt_that_was_accepted_after_its_lease_settles_the_uncertain_reply(
    store: Store, approved: int, smtp: Smtp
) -> None:
    lease = take(store, approved)
    claimed = claim(store, lease, sender_of)
    assert isinstance(claimed, Outgoing)
    outcome = mailer(smtp[1]).send(claimed)
    expire(store, approved)
    assert go(store, approved, smtp[1]).status == Status.SEND_UNCERTAIN
    assert record(store, lease, claimed, outcome).status == Status.ANSWERED
    assert state(store, approved) == ("answered", "sent", 1)
    assert open_reason(store, approved) is None
    assert len(smtp[0].journal) == 1


def test_a_lost_lease_records_nothing(store: Store, approved: int) -> None:
    lease = take(store, approved)
    claimed = claim(store, lease, sender_of)
    assert isinstance(claimed, Outgoing)
    expire(store, approved)
    take(store, approved)
    with pytest.raises(LeaseLost):
        record(store, lease, claimed, Accepted("250 fine"))
    assert state(store, approved) == ("approved", "sending", 1)


def test_five_refusals_and_then_a_person(store: Store, approved: int, smtp: Smtp) -> None:
    handler, url = smtp
    handler.rcpt = "421 4.3.2 later, please"
    waits = []
    for _ in range(4):
        assert go(store, approved, url).status == Status.APPROVED
        with store.read() as connection:
            due = connection.execute(sa.select(tickets.c.due_at).where(tickets.c.id == approved)).scalar_one()
        waits.append(round((due - now()).total_seconds() / 60))
        make_due(store, approved)
    assert waits == [1, 5, 15, 60]
    assert go(store, approved, url).status == Status.IN_REVIEW
    assert state(store, approved) == ("in_review", "failed", 5)
    reason, detail = open_reason(store, approved) or ("", "")
    assert reason == "send_failed"
    assert "5 attempts" in detail
    assert "421 4.3.2 later, please" in detail


def test_an_inbox_without_an_address_goes_to_a_person_before_anything_is_sent(
    store: Store, approved: int, smtp: Smtp
) -> None:
    def nobody(inbox: str) -> Sender:
        raise ConfigError(f"inboxes.toml, inbox.{inbox}: from_address is missing")

    done = deliver(store, take(store, approved), mailer(smtp[1]), nobody)
    assert done.status == Status.IN_REVIEW
    assert "from_address is missing" in (open_reason(store, approved) or ("", ""))[1]
    assert state(store, approved) == ("in_review", "failed", 0)


def test_an_approved_ticket_without_a_reply_goes_to_a_person(store: Store, approved: int, smtp: Smtp) -> None:
    with store.write() as connection:
        connection.execute(replies.update().values(state="withdrawn"))
    assert go(store, approved, smtp[1]).status == Status.IN_REVIEW


def test_a_person_settles_an_uncertain_reply_either_way(store: Store, smtp: Smtp) -> None:
    handler, url = smtp
    handler.drop_at = "DATA"
    arrived, lost = approve_one(store), approve_one(store)
    for ticket in (arrived, lost):
        assert go(store, ticket, url).status == Status.SEND_UNCERTAIN
    handler.drop_at = None
    with store.write() as connection:
        rows = connection.execute(sa.select(replies.c.ticket_id, replies.c.id)).all()
        ids = {row.ticket_id: row.id for row in rows}
        mark_sent(connection, ids[arrived], who="agent:ann@shop.example", why="the customer has it")
        send_again(connection, ids[lost], who="agent:ann@shop.example", why="the customer has nothing")
    assert state(store, arrived) == ("answered", "sent", 1)
    assert go(store, lost, url).status == Status.ANSWERED
    assert state(store, lost) == ("answered", "sent", 2)
    with store.write() as connection, pytest.raises(InputError):
        mark_sent(connection, ids[arrived], who="agent:ann@shop.example", why="again")


def test_the_claim_is_committed_before_anybody_connects(store: Store, approved: int) -> None:
    class Looking:
        where = "a test"
        seen: tuple[str, str, int] | None = None

        def send(self, outgoing: Outgoing) -> Outcome:
            self.seen = state(store, approved)
            return Accepted("fine")

    looking = Looking()
    deliver(store, take(store, approved), looking, sender_of)
    assert looking.seen == ("approved", "sending", 1)


def test_the_folder_mailer_writes_one_file_per_reply(store: Store, approved: int, tmp_path: Path) -> None:
    folder = FolderMailer(tmp_path / "outbox")
    done = deliver(store, take(store, approved), folder, sender_of)
    assert done.status == Status.ANSWERED
    files = list((tmp_path / "outbox").iterdir())
    assert len(files) == 1
    assert b"Subject: Re: Where is it?" in files[0].read_bytes()
    assert "TRIAGE_SMTP_URL" in folder.where


@pytest.mark.parametrize("dead", [True, False])
def test_giving_up_leaves_no_reply_half_way(store: Store, approved: int, dead: bool) -> None:
    lease = take(store, approved)
    if dead:
        claim(store, lease, sender_of)
    with store.write() as connection:
        give_up(connection, approved, "begun ten times")
    expected = ("send_uncertain", "uncertain", 1) if dead else ("in_review", "failed", 0)
    assert state(store, approved) == expected
    assert (open_reason(store, approved) or ("",))[0] == ("send_uncertain" if dead else "send_failed")


def test_every_move_says_who_and_why(store: Store, approved: int, smtp: Smtp) -> None:
    go(store, approved, smtp[1])
    with store.read() as connection:
        row = connection.execute(sa.select(moves).order_by(moves.c.id.desc()).limit(1)).one()
    assert row.who == WHO
    assert row.why.startswith("sent to ana@customer.example")
