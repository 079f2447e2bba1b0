"""A ticket's thread is read from the tables as a draft needs it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from pipeline.db.store import Store
from pipeline.db.tables import account_facts, messages, metadata, tickets, triages
from pipeline.drafting.threads import load_thread
from pipeline.errors import NotFoundError

AT = datetime(2026, 11, 20, 9, tzinfo=UTC)


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sa.Connection]:
    store = Store(f"sqlite:///{tmp_path / 'triage.db'}")
    metadata.create_all(store.engine)
    with store.write() as opened:
        opened.execute(
            tickets.insert().values(
                id=7, inbox="shop", subject="Late", status="escalated", reply_token="t", created_at=AT,
                updated_at=AT, customer_name="Dana Whitlock", customer_address="dana@duinweg.example",
                topic="other", language="de", emotion="calm",
            )
        )  # fmt: skip
        yield opened
    store.close()


def add_message(connection: sa.Connection, number: int, **values: Any) -> None:
    row = {
        "id": number, "ticket_id": 7, "inbox": "shop", "direction": "inbound", "kind": "person",
        "new_text": f"m{number}", "text": f"m{number} > quoted", "received_at": AT + timedelta(hours=number),
        "body_hash": "h", "fingerprint": f"f{number}",
    }  # fmt: skip
    connection.execute(messages.insert().values({**row, **values}))


def add_triage(connection: sa.Connection, message: int, **values: Any) -> None:
    row = {
        "ticket_id": 7, "message_id": message, "topic": "order_shipping", "confidence": 0.9, "language": "en",
        "urgency": "normal", "emotion": "calm", "clarity": "clear", "route": "strong", "model": "local", "prompt": "p",
        "created_at": AT, "fields": {}, "reasons": [],
    }  # fmt: skip
    connection.execute(triages.insert().values({**row, **values}))


def test_people_and_our_replies_are_the_thread_and_machines_are_not(connection: sa.Connection) -> None:
    add_message(connection, 1)
    add_message(connection, 2, kind="auto_reply")
    add_message(connection, 4)
    add_message(connection, 3, direction="outbound", kind="reply")
    add_message(connection, 5, kind="bounce")
    add_message(connection, 6, new_text=" ", text="only a quote")
    thread = load_thread(connection, 7, "our policy", "Harbor Line")
    assert [(message.role, message.text) for message in thread.messages] == [
        ("customer", "m1"), ("agent", "m3"), ("customer", "m4"), ("customer", "only a quote")
    ]  # fmt: skip
    assert thread.messages[0].created == AT + timedelta(hours=1)
    assert (thread.policy, thread.sender_name, thread.subject) == ("our policy", "Harbor Line", "Late")
    assert (thread.customer_name, thread.customer_address) == ("Dana Whitlock", "dana@duinweg.example")


def test_the_tickets_own_topic_counts_and_fields_are_gathered_over_all_triages(
    connection: sa.Connection,
) -> None:
    add_message(connection, 1)
    add_message(connection, 2)
    add_triage(connection, 1, fields={"order_numbers": [{"value": "A-1"}], "dates": []})
    add_triage(
        connection, 2, topic="complaint", emotion="angry", reasons=["The customer is angry."],
        fields={"order_numbers": [{"value": "B-2"}, {"value": "A-1"}]},
    )  # fmt: skip
    thread = load_thread(connection, 7, None, "")
    assert (thread.topic, thread.emotion, thread.language) == (
        "other",
        "calm",
        "de",
    )  # an agent may have set them
    assert thread.reasons == ("The customer is angry.",)
    assert thread.fields == {"order_numbers": [{"value": "B-2"}, {"value": "A-1"}]}


def test_without_a_triage_the_ticket_speaks_for_itself(connection: sa.Connection) -> None:
    thread = load_thread(connection, 7, None, "")
    assert (thread.topic, thread.language, thread.account, thread.messages) == ("other", "de", None, ())


def test_the_latest_account_facts_count_and_a_failed_look_up_is_none(connection: sa.Connection) -> None:
    for number, facts in enumerate(({"plan": "Old"}, {"plan": "Team"})):
        connection.execute(
            account_facts.insert().values(
                ticket_id=7, connector="sql", address="dana@duinweg.example", facts=facts,
                fetched_at=AT + timedelta(minutes=number),
            )
        )  # fmt: skip
    assert load_thread(connection, 7, None, "").account == {"plan": "Team"}
    connection.execute(
        account_facts.insert().values(
            ticket_id=7,
            connector="sql",
            address="a",
            facts=None,
            error="timeout",
            fetched_at=AT + timedelta(hours=1),
        )
    )
    assert load_thread(connection, 7, None, "").account is None


def test_a_ticket_that_is_not_there_is_said_so(connection: sa.Connection) -> None:
    with pytest.raises(NotFoundError, match="no ticket 99"):
        load_thread(connection, 99, None, "")
