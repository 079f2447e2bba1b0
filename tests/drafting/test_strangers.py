"""Whoever writes into a thread from another address is shown nothing of it, and neither is the model."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from pipeline.db.store import Store
from pipeline.db.tables import account_facts, messages, tickets, triages
from pipeline.db.types import now
from pipeline.drafting.threads import load_thread
from tests.ingest.mails import deliver, mail, ticket

ANN, EVE = "Ann <ann@customer.example>", "Eve <eve@evil.test>"


def thread_of(store: Store, ticket_id: int | None) -> Any:
    assert ticket_id is not None
    with store.read() as connection:
        return load_thread(connection, ticket_id, "our policy", "The shop")


def know(store: Store, ticket_id: int, message_id: int | None, order: str) -> None:
    with store.write() as connection:
        connection.execute(
            triages.insert().values(
                ticket_id=ticket_id, message_id=message_id, topic="refund", confidence=0.9, language="en",
                urgency="normal", emotion="calm", clarity="clear", route="strong", model="local", prompt="p",
                created_at=now(), fields={"order_numbers": [{"value": order}]}, reasons=[f"about {order}"],
            )
        )  # fmt: skip


def test_a_token_in_other_hands_shows_no_history(store: Store) -> None:
    first = deliver(store, mail("My order is 4711, my card ends in 42", sender=ANN, subject="Refund of 4711"))
    token = ticket(store, first.ticket_id).reply_token
    assert first.ticket_id is not None
    know(store, first.ticket_id, first.message_id, "4711")
    with store.write() as connection:
        ours = {
            "ticket_id": first.ticket_id, "inbox": "support", "direction": "outbound", "kind": "reply",
            "new_text": "Your refund of 4711 is on its way, Ann", "text": "", "received_at": now(), "body_hash": "h",
            "to": [{"name": "Ann", "address": "ann@customer.example"}], "fingerprint": "ours",
        }  # fmt: skip
        connection.execute(messages.insert().values(ours))
        connection.execute(
            account_facts.insert().values(
                ticket_id=first.ticket_id,
                connector="shop",
                address="ann@customer.example",
                facts={"balance": "99.00"},
                fetched_at=now(),
            )
        )
    assert "4711" in thread_of(store, first.ticket_id).text_by("customer")
    raw = mail("What is the state?", sender=EVE, message_id="<e@evil>", subject="Hello",
               to=f"support+{token}@shop.example")  # fmt: skip
    second = deliver(store, raw)
    assert second.ticket_id == first.ticket_id
    know(store, first.ticket_id, second.message_id, "9999")
    thread = thread_of(store, first.ticket_id)
    assert thread.stranger == "eve@evil.test"
    assert [message.text for message in thread.messages] == ["What is the state?"]
    assert (thread.subject, thread.customer_name, thread.account) == ("Hello", "Eve", None)
    assert thread.fields == {"order_numbers": [{"value": "9999"}]}
    assert thread.reasons == ()  # a reason may quote an earlier message
    assert "4711" not in repr(thread)
    assert "Ann" not in repr(thread)
    with store.write() as connection:  # what we wrote to the stranger is theirs to see
        connection.execute(
            messages.insert().values(
                ours
                | {
                    "new_text": "Who are you?",
                    "received_at": now(),
                    "to": [{"name": "", "address": "Eve@evil.test"}],
                    "fingerprint": "2",
                }
            )
        )
    assert [message.role for message in thread_of(store, first.ticket_id).messages] == ["customer", "agent"]


def test_when_the_customer_writes_again_the_whole_thread_is_there(store: Store) -> None:
    first = deliver(store, mail("One", sender=ANN))
    for number, who in enumerate((EVE, ANN)):
        raw = mail(
            f"more {number}", sender=who, message_id=f"<{number}@x>", in_reply_to="<one@customer.example>"
        )
        deliver(store, raw)
    thread = thread_of(store, first.ticket_id)
    assert thread.stranger is None
    assert [message.text for message in thread.messages] == ["One", "more 0", "more 1"]
    with store.read() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(tickets)).scalar_one() == 1
