from __future__ import annotations

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from pipeline.db.store import Store
from pipeline.db.tables import messages, reviews, tickets
from pipeline.db.types import now
from pipeline.ingest.inboxes import read
from pipeline.ingest.loops import moment, over_ticket_cap
from tests.ingest.mails import count, deliver, mail, message, ticket
from tests.ingest.test_threading import our_reply


def in_thread(number: int, date: str | None = None) -> bytes:
    return mail(
        f"Ping {number}",
        message_id=f"<p{number}@c>",
        in_reply_to="<one@customer.example>",
        subject="Re: Order",
        date=date,
    )


def test_over_the_cap_the_ticket_waits_for_a_person(store: Store) -> None:
    first = deliver(store, mail(date=None))
    for number in range(9):
        assert deliver(store, in_thread(number)).ticket_id == first.ticket_id
    assert ticket(store, first.ticket_id).status == "received"
    over = deliver(store, in_thread(9))
    assert message(store, over.message_id).flags == ["loop_cap"]
    assert message(store, over.message_id).triaged_at is not None  # no model reads it
    assert ticket(store, first.ticket_id).status == "in_review"
    deliver(store, in_thread(10))
    with store.read() as connection:
        rows = connection.execute(sa.select(reviews.c.reason, reviews.c.detail, reviews.c.state)).all()
    assert [tuple(row) for row in rows] == [
        ("loop_cap", "More than 10 messages on this ticket within 10 minutes.", "open")
    ]
    assert count(store, messages) == 12  # nothing is lost


def test_old_mail_that_is_read_in_at_once_is_no_loop(store: Store) -> None:
    first = deliver(store, mail())
    for day in range(1, 28):
        deliver(store, in_thread(day, f"{day:02d} Oct 2026 10:00:00 +0000"))
    found = ticket(store, first.ticket_id)
    assert found.status == "received"
    assert count(store, messages) == 28


def test_a_mail_cannot_be_from_the_future() -> None:
    at = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
    assert moment(at, at + timedelta(days=400)) == at
    assert moment(at, at - timedelta(days=1)) == at - timedelta(days=1)
    assert moment(at, None) == at


def test_a_slow_burst_passes_a_longer_cap(store: Store) -> None:
    first = deliver(store, mail(date=None))
    assert first.ticket_id is not None
    begin = now() - timedelta(hours=4)
    with store.write() as connection:
        for number in range(49):
            at = begin + timedelta(minutes=3.5 * number)
            connection.execute(
                messages.insert().values(
                    ticket_id=first.ticket_id,
                    inbox="support",
                    direction="inbound",
                    kind="person",
                    received_at=at,
                    body_hash="x",
                    fingerprint=str(number),
                )
            )
        end = begin + timedelta(minutes=3.5 * 49)
        assert over_ticket_cap(connection, first.ticket_id, end + timedelta(minutes=30)) is None
        connection.execute(messages.update().values(received_at=end))
        words = over_ticket_cap(connection, first.ticket_id, end)
    assert words == "More than 10 messages on this ticket within 10 minutes."


def test_too_many_replies_to_one_sender_bring_a_person(store: Store) -> None:
    for number in range(5):
        taken = deliver(store, mail(f"New thing {number}", message_id=f"<n{number}@c>", date=None))
        assert taken.ticket_id is not None
        our_reply(store, taken.ticket_id, f"o{number}@shop.example")
    over = deliver(store, mail("New thing 6", message_id="<n6@c>", date=None))
    assert over.opened
    assert ticket(store, over.ticket_id).status == "in_review"
    other = deliver(store, mail("Hello", sender="bob@elsewhere.example", message_id="<b@e>", date=None))
    assert ticket(store, other.ticket_id).status == "received"


def test_mail_in_our_own_name_goes_to_a_person_and_a_form_to_its_customer(store: Store) -> None:
    inboxes = read(
        '[inbox.support]\nkind = "folder"\npath = "x"\nfrom_address = "support@shop.example"\n'
        'authserv_id = "mx.shop.example"\n'
    )
    passed = {"authentication_results": "mx.shop.example; dmarc=pass header.from=shop.example"}
    own = mail("Hello me", sender="Support@shop.example", **passed)
    taken = deliver(store, own, inboxes=inboxes)
    found = ticket(store, taken.ticket_id)
    assert (found.status, found.customer_address) == ("in_review", None)
    form = mail(
        "From the form",
        sender="support@shop.example",
        message_id="<f@s>",
        reply_to="Zoe <zoe@x.example>",
        **passed,
    )
    taken = deliver(store, form, inboxes=inboxes)
    found = ticket(store, taken.ticket_id)
    assert (found.status, found.customer_address) == ("received", "zoe@x.example")
    assert not found.customer_verified  # the form vouches for itself, not for what was typed into it
    assert count(store, tickets) == 2
