from __future__ import annotations

import secrets

from pipeline.db.moves import move
from pipeline.db.store import Store
from pipeline.db.tables import messages, tickets
from pipeline.db.types import now
from pipeline.delivery.compose import plus_address as reply_address
from pipeline.ingest.inboxes import read
from pipeline.ingest.reply_address import new_token, tokens_in
from pipeline.lifecycle import Status
from tests.ingest.mails import count, deliver, mail, message, ticket


def our_reply(store: Store, ticket_id: int, message_id: str) -> None:
    """An outbound message as the sending step leaves it."""
    with store.write() as connection:
        connection.execute(
            messages.insert().values(
                ticket_id=ticket_id,
                inbox="support",
                direction="outbound",
                kind="reply",
                message_id=message_id,
                from_address="support@shop.example",
                received_at=now(),
                body_hash="x",
                fingerprint=secrets.token_hex(),
                text="Dear Ann",
            )
        )


def test_a_token_is_random_and_survives_what_servers_do_to_addresses() -> None:
    token = new_token()
    assert len(bytes.fromhex(token)) == 16
    assert token != new_token()
    address = reply_address("support@shop.example", token)
    assert address == f"support+{token}@shop.example"
    assert reply_address(address, token) == address
    assert len(reply_address("a" * 30 + "@b.c", token).rpartition("@")[0]) <= 64
    assert tokens_in(["x@y.z", address.upper(), address]) == [token]


def test_a_reply_to_our_reply_comes_to_the_same_ticket(store: Store) -> None:
    first = deliver(store, mail())
    assert first.ticket_id is not None
    our_reply(store, first.ticket_id, "ours@shop.example")
    answer = mail(
        "Thank you",
        subject="AW: Order",
        message_id="<two@customer.example>",
        in_reply_to="<ours@shop.example>",
    )
    second = deliver(store, answer)
    assert second.ticket_id == first.ticket_id
    assert not second.opened
    assert message(store, second.message_id).flags == []


def test_the_references_join_where_in_reply_to_is_unknown(store: Store) -> None:
    first = deliver(store, mail())
    answer = mail(
        "PS", message_id="<two@c>", in_reply_to="<unknown@x>", references="<one@customer.example> <unknown@x>"
    )
    assert deliver(store, answer).ticket_id == first.ticket_id


def test_the_nearest_reference_decides(store: Store) -> None:
    first = deliver(store, mail())
    other = deliver(store, mail("Another thing", message_id="<other@c>"))
    answer = mail("PS", message_id="<3@c>", references="<one@customer.example> <other@c>")
    assert deliver(store, answer).ticket_id == other.ticket_id != first.ticket_id


def test_a_subject_joins_nothing_by_itself(store: Store) -> None:
    first = deliver(store, mail())
    second = deliver(store, mail("Again", message_id="<two@c>", subject="Re: Order"))
    assert second.ticket_id != first.ticket_id


def test_a_subject_joins_where_the_inbox_says_so(store: Store) -> None:
    inboxes = read('[inbox.support]\nkind = "folder"\npath = "x"\nmerge_by_subject = true\n')
    first = deliver(store, mail(), inboxes=inboxes)
    second = deliver(store, mail("Again", message_id="<two@c>", subject="Re: Order"), inboxes=inboxes)
    assert second.ticket_id == first.ticket_id
    assert message(store, second.message_id).flags == ["joined_by_subject"]
    stranger = mail("Mine too", message_id="<3@c>", subject="Order", sender="bob@elsewhere.example")
    assert deliver(store, stranger, inboxes=inboxes).ticket_id != first.ticket_id


def test_the_token_finds_the_ticket_whatever_the_headers_say(store: Store) -> None:
    first = deliver(store, mail())
    token = ticket(store, first.ticket_id).reply_token
    answer = mail(
        "Yes", message_id="<two@c>", to=f"Support <support+{token.upper()}@shop.example>", subject="Re: Order"
    )
    second = deliver(store, answer)
    assert second.ticket_id == first.ticket_id
    assert message(store, second.message_id).flags == []


def test_the_token_wins_over_references(store: Store) -> None:
    first = deliver(store, mail())
    deliver(store, mail("Another thing", message_id="<other@c>"))
    token = ticket(store, first.ticket_id).reply_token
    answer = mail("Yes", message_id="<3@c>", to=f"support+{token}@shop.example", in_reply_to="<other@c>")
    assert deliver(store, answer).ticket_id == first.ticket_id


def test_a_token_in_another_senders_hands_is_noted(store: Store) -> None:
    first = deliver(store, mail())
    token = ticket(store, first.ticket_id).reply_token
    stranger = mail("Hi", sender="eve@evil.test", message_id="<e@evil>", to=f"support+{token}@shop.example")
    second = deliver(store, stranger)
    assert second.ticket_id == first.ticket_id
    assert "unverified_token" in message(store, second.message_id).flags
    assert ticket(store, first.ticket_id).customer_address == "ann@customer.example"


def test_an_unknown_token_joins_nothing(store: Store) -> None:
    first = deliver(store, mail())
    guess = mail("Hi", message_id="<e@evil>", to=f"support+{new_token()}@shop.example")
    assert deliver(store, guess).ticket_id != first.ticket_id


def test_another_sender_in_the_thread_is_noted(store: Store) -> None:
    first = deliver(store, mail())
    second = deliver(
        store,
        mail(
            "I am her colleague",
            sender="bob@customer.example",
            message_id="<b@c>",
            subject="Re: Order",
            in_reply_to="<one@customer.example>",
        ),
    )
    assert second.ticket_id == first.ticket_id
    assert message(store, second.message_id).flags == ["other_sender"]
    assert not ticket(store, first.ticket_id).customer_verified


def test_a_changed_subject_stays_in_the_thread_and_is_noted(store: Store) -> None:
    first = deliver(store, mail())
    second = deliver(
        store,
        mail("New topic", message_id="<b@c>", subject="Invoice", in_reply_to="<one@customer.example>"),
    )
    assert second.ticket_id == first.ticket_id
    assert message(store, second.message_id).flags == ["subject_changed"]


def test_a_thread_that_arrives_in_the_wrong_order_is_one_ticket(store: Store) -> None:
    late = mail(
        "Answer", message_id="<2@c>", in_reply_to="<1@c>", references="<0@c> <1@c>", subject="Re: Order"
    )
    taken = [
        deliver(store, late),
        deliver(store, mail("Original", message_id="<0@c>")),
        deliver(store, mail("Sibling", message_id="<3@c>", references="<0@c>", subject="Re: Order")),
    ]
    assert len({one.ticket_id for one in taken}) == 1


def test_a_reply_to_an_old_ticket_opens_it_again(store: Store) -> None:
    first = deliver(store, mail())
    assert first.ticket_id is not None
    with store.write() as connection:
        move(connection, first.ticket_id, Status.CLOSED, who="agent:x", why="done")
    deliver(store, mail("Still broken", message_id="<2@c>", in_reply_to="<one@customer.example>"))
    found = ticket(store, first.ticket_id)
    assert (found.status, found.due_at is not None) == ("received", True)
    assert count(store, tickets) == 1


def test_no_mail_may_name_a_webhooks_conversation(store: Store) -> None:
    first = deliver(store, mail(message_id=None))
    with store.write() as connection:
        connection.execute(messages.update().values(message_id="7.thread@shop.webhook.invalid"))
    forged = mail(
        "Hi",
        sender="eve@evil.test",
        message_id="<e@evil>",
        in_reply_to="<7.thread@shop.webhook.invalid>",
        references="<7.thread@shop.webhook.invalid>",
    )
    assert deliver(store, forged).ticket_id != first.ticket_id
