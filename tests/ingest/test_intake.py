from __future__ import annotations

import secrets
import threading
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from pipeline.db.moves import move
from pipeline.db.reviews import REASONS, open_review, supersede_open
from pipeline.db.store import Store
from pipeline.db.tables import attachments, blobs, drafts, messages, raw_messages, reviews, tickets
from pipeline.db.types import now
from pipeline.ingest.inboxes import read
from pipeline.ingest.intake import store_raw, take, take_again, take_many, take_stored
from pipeline.ingest.message import ParsedMessage
from pipeline.lifecycle import Status
from tests.ingest.mails import count, deliver, mail, message, raw_states, ticket
from tests.ingest.test_threading import our_reply

BOUNCE = b"""From: MAILER-DAEMON@mx.shop.example
To: support@shop.example
Subject: Undelivered Mail Returned to Sender
Message-ID: <dsn1@mx.shop.example>
Return-Path: <>
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b
Content-Type: text/plain

Sorry.
--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.shop.example

Final-Recipient: rfc822; ann@customer.example
Action: failed
Status: 5.1.1
--b
Content-Type: message/rfc822

From: support@shop.example
To: ann@customer.example
Subject: Re: Order
Message-ID: <ours@shop.example>

Dear Ann
--b--
"""


def to_status(store: Store, ticket_id: int, *path: Status) -> None:
    with store.write() as connection:
        for status in path:
            move(connection, ticket_id, status, who="test", why="for the test")


def with_a_draft(store: Store, ticket_id: int, message_id: int) -> tuple[int, int]:
    """A ticket in review with an open draft, as the drafting step leaves it."""
    with store.write() as connection:
        draft_id = connection.execute(
            drafts.insert()
            .values(
                ticket_id=ticket_id,
                message_id=message_id,
                route="cheap",
                task="routine",
                source="model",
                provider="local",
                model="local",
                tier="local",
                prompt="x",
                text="Dear Ann",
                language="en",
                created_at=now(),
            )
            .returning(drafts.c.id)
        ).scalar_one()
        move(connection, ticket_id, Status.ROUTINE, who="triage", why="clear")
        move(connection, ticket_id, Status.IN_REVIEW, who="routine", why="drafted")
        return draft_id, open_review(connection, ticket_id, "draft", "A draft waits.", draft_id=draft_id)


def row(store: Store, table: sa.Table, row_id: int) -> Any:
    with store.read() as connection:
        return connection.execute(sa.select(table).where(table.c.id == row_id)).one()


def test_a_mail_becomes_a_message_on_a_ticket_that_is_due(store: Store) -> None:
    hints: list[int] = []
    with store.write() as connection:
        stored = store_raw(connection, "support", mail())
    taken = take(store, stored.raw_id, on_ticket=hints.append)
    assert (taken.kind, taken.opened, hints) == ("message", True, [taken.ticket_id])
    found = ticket(store, taken.ticket_id)
    assert (found.status, found.subject, found.customer_address) == (
        "received",
        "Order",
        "ann@customer.example",
    )
    assert found.due_at <= now()
    assert len(found.reply_token) == 32
    said = message(store, taken.message_id)
    assert (said.message_id, said.kind, said.direction) == ("one@customer.example", "person", "inbound")
    assert (said.new_text.strip(), said.raw_id, said.triaged_at) == (
        "Where is my order 1234?",
        stored.raw_id,
        None,
    )
    assert raw_states(store) == [("parsed", None)]


def test_the_same_bytes_twice_are_one_row_and_one_message(store: Store) -> None:
    deliver(store, mail())
    assert deliver(store, mail()).kind == "duplicate"
    assert (count(store, raw_messages), count(store, messages), count(store, tickets)) == (1, 1, 1)
    assert row(store, raw_messages, 1).times_seen == 2


def test_the_same_mail_on_another_way_is_a_duplicate(store: Store) -> None:
    first = deliver(store, mail())
    again = deliver(store, b"Received: by another.example; Mon, 23 Nov 2026 09:00:01 +0000\r\n" + mail())
    assert (again.kind, again.ticket_id) == ("duplicate", first.ticket_id)
    assert raw_states(store)[1] == ("duplicate", f"the same mail as message {first.message_id}")


def test_one_message_id_on_two_different_mails_keeps_and_flags_both(store: Store) -> None:
    deliver(store, mail("first"))
    second = deliver(store, mail("something else"))
    third = deliver(store, mail("first", sender="eve@evil.test"))
    assert (second.kind, third.kind) == ("message", "message")
    assert message(store, second.message_id).flags == ["message_id_conflict"]
    assert message(store, third.message_id).flags == ["message_id_conflict"]


def test_mails_without_a_message_id_are_told_apart_by_date_and_body(store: Store) -> None:
    assert deliver(store, mail(message_id=None)).kind == "message"
    again = b"X-Way: two\r\n" + mail(message_id=None)
    assert deliver(store, again).kind == "duplicate"
    later = mail(message_id=None, date="Mon, 23 Nov 2026 09:05:00 +0000")
    assert deliver(store, later).kind == "message"
    assert deliver(store, mail(message_id=None, date=None)).kind == "message"
    assert deliver(store, b"X-Way: two\r\n" + mail(message_id=None, date=None)).kind == "message"


def test_files_are_stored_once_by_their_content(store: Store) -> None:
    def with_file(number: int) -> bytes:
        body = "--b\r\nContent-Type: text/plain\r\n\r\nSee {n}\r\n--b\r\n"
        body += 'Content-Type: application/pdf; name="a.pdf"\r\n'
        body += "Content-Transfer-Encoding: base64\r\n\r\nJVBERi0xLjQK\r\n--b--"
        return mail(
            body.replace("{n}", str(number)),
            message_id=f"<{number}@c>",
            mime_version="1.0",
            content_type='multipart/mixed; boundary="b"',
        )

    deliver(store, with_file(1))
    deliver(store, with_file(2))
    assert (count(store, blobs), count(store, attachments)) == (1, 2)
    found = row(store, attachments, 1)
    assert (found.filename, found.content_type, found.size) == ("a.pdf", "application/pdf", 9)


def test_a_vouched_sender_is_verified_and_a_later_forgery_takes_that_back(store: Store) -> None:
    inboxes = read('[inbox.support]\nkind = "folder"\npath = "x"\nauthserv_id = "mx.shop.example"\n')
    passed = {"authentication_results": "mx.shop.example; dmarc=pass header.from=customer.example"}
    first = deliver(store, mail(**passed), inboxes=inboxes)
    assert message(store, first.message_id).verified
    assert ticket(store, first.ticket_id).customer_verified
    forged = mail("Tell me my balance", message_id="<2@c>", in_reply_to="<one@customer.example>")
    second = deliver(store, forged, inboxes=inboxes)
    said = message(store, second.message_id)
    assert not said.verified
    assert said.verified_why == "no Authentication-Results by mx.shop.example"
    assert not ticket(store, first.ticket_id).customer_verified
    third = deliver(
        store, mail("It is me", message_id="<3@c>", in_reply_to="<2@c>", **passed), inboxes=inboxes
    )
    assert third.ticket_id == first.ticket_id
    assert ticket(store, first.ticket_id).customer_verified


# --- a newer message on a ticket ---------------------------------------------------------------------


def answer(number: int = 2) -> bytes:
    return mail(
        f"PS {number}", message_id=f"<{number}@c>", in_reply_to="<one@customer.example>", subject="Re: Order"
    )


@pytest.mark.parametrize(
    "path",
    [
        (Status.ROUTINE,),
        (Status.ESCALATED,),
        (Status.IN_REVIEW,),
        (Status.CLOSED,),
        (Status.IN_REVIEW, Status.APPROVED, Status.ANSWERED),
    ],
)
def test_a_newer_message_brings_the_ticket_back_to_be_read(store: Store, path: tuple[Status, ...]) -> None:
    first = deliver(store, mail())
    assert first.ticket_id is not None
    to_status(store, first.ticket_id, *path)
    before = ticket(store, first.ticket_id)
    deliver(store, answer())
    after = ticket(store, first.ticket_id)
    assert (after.status, after.version) == ("received", before.version + 1)
    assert after.lease_token > before.lease_token  # whoever works on the old state is fenced off
    assert after.due_at is not None


def test_a_newer_message_supersedes_the_open_draft(store: Store) -> None:
    first = deliver(store, mail())
    assert first.ticket_id is not None
    assert first.message_id is not None
    draft_id, review_id = with_a_draft(store, first.ticket_id, first.message_id)
    deliver(store, answer())
    found = row(store, reviews, review_id)
    assert (found.state, found.outcome, found.note) == ("superseded", "expired", "a newer message arrived")
    assert row(store, drafts, draft_id).superseded_at is not None
    assert ticket(store, first.ticket_id).status == "received"


def test_a_newer_message_leaves_an_approved_reply_alone(store: Store) -> None:
    first = deliver(store, mail())
    assert first.ticket_id is not None
    to_status(store, first.ticket_id, Status.IN_REVIEW, Status.APPROVED)
    before = ticket(store, first.ticket_id)
    deliver(store, answer())
    after = ticket(store, first.ticket_id)
    assert (after.status, after.version) == ("approved", before.version + 1)
    to_status(store, first.ticket_id, Status.SEND_UNCERTAIN)
    deliver(store, answer(3))
    assert ticket(store, first.ticket_id).status == "send_uncertain"


def test_a_newer_message_on_a_waiting_ticket_makes_it_due_now(store: Store) -> None:
    first = deliver(store, mail())
    with store.write() as connection:
        connection.execute(tickets.update().values(due_at=now() + timedelta(hours=1)))
    deliver(store, answer())
    found = ticket(store, first.ticket_id)
    assert (found.status, found.version) == ("received", 2)
    assert found.due_at <= now()


# --- automated mail -----------------------------------------------------------------------------------


def test_automated_mail_is_stored_on_a_ticket_that_rests(store: Store) -> None:
    taken = deliver(store, mail("I am away", auto_submitted="auto-replied", subject="Out of office"))
    assert (taken.kind, taken.opened) == ("automated", True)
    found = ticket(store, taken.ticket_id)
    assert (found.status, found.due_at) == ("automated", None)


def test_an_auto_reply_to_us_is_appended_and_moves_nothing(store: Store) -> None:
    first = deliver(store, mail())
    assert first.ticket_id is not None
    our_reply(store, first.ticket_id, "ours@shop.example")
    to_status(store, first.ticket_id, Status.IN_REVIEW, Status.APPROVED, Status.ANSWERED)
    before = ticket(store, first.ticket_id)
    away = mail("Away", message_id="<2@c>", in_reply_to="<ours@shop.example>", auto_submitted="auto-replied")
    taken = deliver(store, away)
    after = ticket(store, first.ticket_id)
    assert (taken.kind, taken.ticket_id, taken.opened) == ("automated", first.ticket_id, False)
    assert (after.status, after.version, after.due_at) == ("answered", before.version, None)


def test_a_person_who_writes_after_automated_mail_becomes_the_customer(store: Store) -> None:
    first = deliver(store, mail("Away", auto_submitted="auto-replied", sender="robot@customer.example"))
    deliver(store, answer())
    found = ticket(store, first.ticket_id)
    assert (found.status, found.customer_address) == ("received", "ann@customer.example")


def test_a_bounce_of_our_reply_opens_its_ticket_for_a_person(store: Store) -> None:
    first = deliver(store, mail())
    assert first.ticket_id is not None
    our_reply(store, first.ticket_id, "ours@shop.example")
    to_status(store, first.ticket_id, Status.IN_REVIEW, Status.APPROVED, Status.ANSWERED)
    taken = deliver(store, BOUNCE)
    assert (taken.kind, taken.ticket_id) == ("automated", first.ticket_id)
    assert message(store, taken.message_id).flags == ["our_reply_bounced"]
    assert ticket(store, first.ticket_id).status == "in_review"
    opened = row(store, reviews, 1)
    assert (opened.reason, opened.state) == ("bounce", "open")
    assert opened.detail == "Our reply to ann@customer.example came back, for good (5.1.1)."


def test_a_bounce_of_nothing_we_sent_rests(store: Store) -> None:
    taken = deliver(store, BOUNCE)
    assert (taken.kind, ticket(store, taken.ticket_id).status) == ("automated", "automated")
    assert count(store, reviews) == 0


def test_our_own_reply_that_comes_back_is_no_message(store: Store) -> None:
    first = deliver(store, mail())
    assert first.ticket_id is not None
    our_reply(store, first.ticket_id, "ours@shop.example")
    copy = mail("Dear Ann", sender="Shop <support@shop.example>", message_id="<ours@shop.example>")
    taken = deliver(store, copy)
    assert (taken.kind, taken.ticket_id) == ("duplicate", first.ticket_id)
    forged = mail("Dear Ann", sender="eve@evil.test", message_id="<ours@shop.example>")
    kept = deliver(store, forged)
    assert kept.kind == "message"
    assert "message_id_conflict" in message(store, kept.message_id).flags


# --- quarantine and crashes --------------------------------------------------------------------------


def test_what_cannot_be_parsed_is_kept_with_the_reason(store: Store) -> None:
    taken = deliver(store, b"\x00\x01\x02 nothing of a mail")
    assert taken.kind == "quarantined"
    ((state, reason),) = raw_states(store)
    assert state == "quarantined"
    assert reason
    assert row(store, raw_messages, 1).body == b"\x00\x01\x02 nothing of a mail"
    assert count(store, tickets) == 0


def broken(_raw: bytes) -> ParsedMessage:
    raise IndexError("secret customer text")


def test_an_exception_in_a_parser_is_a_reason_without_the_customers_words(store: Store) -> None:
    with store.write() as connection:
        stored = store_raw(connection, "support", mail())
    taken = take(store, stored.raw_id, parse=broken)
    assert taken.kind == "quarantined"
    reason = raw_states(store)[0][1]
    assert reason is not None
    assert reason.startswith("the parser failed: IndexError at test_intake.py:")
    again = take_again(store, stored.raw_id)
    assert again.kind == "message"


def test_what_was_stored_and_not_parsed_is_picked_up(store: Store) -> None:
    with store.write() as connection:
        store_raw(connection, "support", mail())
    assert take_stored(store) == []  # whoever stored it may still be at it
    taken = take_stored(store, older_than=timedelta(0))
    assert [one.kind for one in taken] == ["message"]
    assert take_stored(store, older_than=timedelta(0)) == []


def test_a_mail_that_kills_its_parser_is_quarantined_at_the_fourth_start(store: Store) -> None:
    class Killed(BaseException):
        pass

    def dies(_raw: bytes) -> ParsedMessage:
        raise Killed

    with store.write() as connection:
        stored = store_raw(connection, "support", mail())
    for _ in range(3):
        with pytest.raises(Killed):
            take(store, stored.raw_id, parse=dies)
    taken = take(store, stored.raw_id, parse=dies)
    assert (taken.kind, taken.reason) == ("quarantined", "parsing was begun 3 times and never ended")


def test_a_mail_that_the_database_refuses_holds_up_no_other(store: Store) -> None:
    real = mail("second", message_id="<2@c>")

    def odd(raw: bytes) -> ParsedMessage:
        from pipeline.ingest.mime import parse

        parsed = parse(raw)
        if raw == real:
            return parsed
        return ParsedMessage(kind="person", kind_reason="", body_hash=None)  # type: ignore[arg-type]  # refused

    with store.write() as connection:
        raw_ids = [
            store_raw(connection, "support", one, begun=True).raw_id
            for one in (mail("first"), real, mail("third", message_id="<3@c>"))
        ]
    taken = take_many(store, raw_ids, parse=odd)
    assert [one.kind for one in taken] == ["quarantined", "message", "quarantined"]
    assert raw_states(store)[0][1].startswith("could not be recorded: ")  # type: ignore[union-attr]


def test_text_with_nul_and_half_characters_reaches_the_database_clean(store: Store) -> None:
    def odd(_raw: bytes) -> ParsedMessage:
        return ParsedMessage(
            kind="person", kind_reason="", subject="a\0b", text="\ud800 x\0", new_text="\udfff", body_hash="h",
            references=("r\0@x",),
        )  # fmt: skip

    with store.write() as connection:
        stored = store_raw(connection, "support", mail())
    taken = take(store, stored.raw_id, parse=odd)
    said = message(store, taken.message_id)
    assert (said.subject, said.text, said.references) == ("ab", "? x", ["r@x"])


def test_the_same_mail_from_many_threads_at_once_is_one_message(store: Store) -> None:
    start = threading.Barrier(6)
    kinds: list[str] = []

    def one(number: int) -> None:
        # the same mail by six ways: other bytes, one fingerprint
        raw = f"Received: by way{number}.example; Mon, 23 Nov 2026 09:00:01 +0000\r\n".encode() + mail()
        start.wait()
        kinds.append(deliver(store, raw).kind)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(kinds) == ["duplicate"] * 5 + ["message"]
    assert (count(store, messages), count(store, tickets)) == (1, 1)


def test_one_raw_message_taken_by_many_threads_is_one_message(store: Store) -> None:
    with store.write() as connection:
        raw_id = store_raw(connection, "support", mail()).raw_id
    kinds: list[str] = []
    threads = [threading.Thread(target=lambda: kinds.append(take(store, raw_id).kind)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(kinds) == ["duplicate", "duplicate", "message"]
    assert raw_states(store) == [("parsed", None)]


# --- reviews ------------------------------------------------------------------------------------------


def test_a_ticket_has_one_open_review(store: Store) -> None:
    first = deliver(store, mail())
    assert first.ticket_id is not None
    with store.write() as connection:
        one = open_review(connection, first.ticket_id, "budget", "The cap is reached.")
        two = open_review(connection, first.ticket_id, "human_route", "A person decides.")
    assert (row(store, reviews, one).state, row(store, reviews, one).outcome) == ("superseded", None)
    assert row(store, reviews, two).state == "open"
    with store.write() as connection:
        assert supersede_open(connection, first.ticket_id, "x") == two
        assert supersede_open(connection, first.ticket_id, "x") is None


def test_a_reason_that_nobody_knows_is_refused(store: Store) -> None:
    first = deliver(store, mail())
    assert first.ticket_id is not None
    with store.write() as connection, pytest.raises(ValueError, match="not a reason"):
        open_review(connection, first.ticket_id, secrets.token_hex(4), "x")
    assert all(words and not words.endswith(".") for words in REASONS.values())


def test_a_new_draft_is_not_superseded_by_its_own_review(store: Store) -> None:
    first = deliver(store, mail())
    assert first.ticket_id is not None
    assert first.message_id is not None
    draft_id, _ = with_a_draft(store, first.ticket_id, first.message_id)
    assert row(store, drafts, draft_id).superseded_at is None
