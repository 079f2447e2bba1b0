from __future__ import annotations

import base64
import json
import threading
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
import sqlalchemy as sa
import standardwebhooks

from pipeline.db.store import Store
from pipeline.db.tables import attachments, messages, raw_messages, tickets, webhook_events
from pipeline.errors import ConfigError
from pipeline.ingest.inboxes import WebhookInbox
from pipeline.ingest.intake import take_stored
from pipeline.ingest.webhooks import ADAPTERS
from pipeline.ingest.webhooks.receiving import Receipt, body_limit, forget_events, receive
from tests.ingest.mails import count, mail, message, raw_states, ticket
from tests.ingest.webhook_senders import (
    AT,
    SENDERS,
    Request,
    Sender,
    generic,
    multipart,
    standard_headers,
)

EVERY = pytest.mark.parametrize("sender", SENDERS.values(), ids=SENDERS.keys())

WITH_AN_ID = pytest.mark.parametrize(
    "sender",
    [sender for sender in SENDERS.values() if sender.has_id],
    ids=[sender.name for sender in SENDERS.values() if sender.has_id],
)


def send(store: Store, sender: Sender, request: Request, at: datetime = AT, **inbox: Any) -> Receipt:
    return receive(store, sender.inbox(**inbox), request.headers, request.body, at)


def test_every_adapter_has_its_sender_here() -> None:
    assert set(SENDERS) == set(ADAPTERS)
    assert all(name == adapter.NAME for name, adapter in ADAPTERS.items())


@EVERY
def test_a_valid_event_is_a_message_on_a_ticket(store: Store, sender: Sender) -> None:
    receipt = send(store, sender, sender.request("e1", "Where is my order 1234?"))
    assert receipt.status == 200, receipt
    assert receipt.ticket_id is not None
    found = ticket(store, receipt.ticket_id)
    assert (found.status, found.inbox) == ("received", "hook")
    assert found.customer_address == sender.customer
    with store.read() as connection:
        said = connection.execute(sa.select(messages)).one()
    assert said.new_text.strip() == "Where is my order 1234?"
    assert raw_states(store) == [("parsed", None)]


@EVERY
def test_a_tampered_event_is_refused_and_not_kept(sqlite_store: Store, sender: Sender) -> None:
    request = sender.tampered(sender.request("e1", "Hello"))
    assert send(sqlite_store, sender, request).status == 401
    assert count(sqlite_store, raw_messages) == count(sqlite_store, webhook_events) == 0


@EVERY
def test_a_wrong_key_is_refused(sqlite_store: Store, sender: Sender) -> None:
    request = sender.request("e1", "Hello")
    assert send(sqlite_store, sender, request, secret=sender.other_secret).status == 401


@EVERY
def test_an_unsigned_event_is_refused(sqlite_store: Store, sender: Sender) -> None:
    bare = sender.unsigned(sender.request("e1", "Hello"))
    assert send(sqlite_store, sender, bare).status == 401


@EVERY
def test_a_stale_event_is_refused_where_the_scheme_has_a_time(sqlite_store: Store, sender: Sender) -> None:
    request = sender.request("e1", "Hello")
    late = send(sqlite_store, sender, request, at=AT + timedelta(hours=25))
    assert late.status == (401 if sender.has_time else 200)
    early = send(sqlite_store, sender, request, at=AT - timedelta(hours=25))
    assert early.status == (401 if sender.has_time else 200)


@EVERY
def test_a_replay_is_answered_well_and_opens_nothing(store: Store, sender: Sender) -> None:
    request = sender.request("e1", "Hello")
    assert send(store, sender, request).status == 200
    again = send(store, sender, request)
    assert (again.status, again.ticket_id) == (200, None)
    assert count(store, tickets) == count(store, messages) == count(store, webhook_events) == 1


@EVERY
def test_a_body_over_the_limit_is_refused(sqlite_store: Store, sender: Sender) -> None:
    request = sender.request("e1", "x" * 3_000)
    assert send(sqlite_store, sender, request, max_body_bytes=1_000).status == 413
    assert body_limit(sender.inbox()) in (1_000_000, 30_000_000)


@EVERY
def test_another_content_type_is_not_understood_and_kept(store: Store, sender: Sender) -> None:
    request = sender.request("e1", "Hello")
    wrong = Request({**request.headers, "content-type": "text/plain"}, request.body)
    receipt = send(store, sender, wrong)
    assert receipt.status == 422
    assert raw_states(store)[0][0] == "quarantined"
    assert send(store, sender, wrong).status == 422
    assert count(store, tickets) == 0


@WITH_AN_ID
def test_the_same_id_with_another_body_is_kept_and_flagged(store: Store, sender: Sender) -> None:
    send(store, sender, sender.request("e1", "Hello"))
    receipt = send(store, sender, sender.request("e1", "Something else"))
    assert (receipt.status, receipt.ticket_id) == (200, None)
    assert count(store, tickets) == 1
    assert [state for state, _ in raw_states(store)] == ["parsed", "quarantined"]
    with store.read() as connection:
        assert connection.execute(sa.select(webhook_events.c.conflicts)).scalar_one() == 1


@EVERY
def test_fifty_repeats_at_once_are_one_ticket(store: Store, sender: Sender) -> None:
    request = sender.request("e1", "Hello")
    start = threading.Barrier(10)
    statuses: list[int] = []

    def one() -> None:
        start.wait()
        for _ in range(5):
            statuses.append(send(store, sender, request).status)

    threads = [threading.Thread(target=one) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 50
    assert count(store, tickets) == count(store, messages) == 1


@EVERY
def test_a_genuine_body_that_says_nothing_is_kept(store: Store, sender: Sender) -> None:
    for number, body in enumerate(sender.nothings):
        request = sender.signed(f"n{number}", body)
        receipt = send(store, sender, request)
        assert receipt.status in (200, 422), receipt
    assert count(store, tickets) == 0
    assert count(store, raw_messages) == len(sender.nothings)


@EVERY
def test_a_conversation_stays_on_its_ticket(store: Store, sender: Sender) -> None:
    first = send(store, sender, sender.request("e1", "Hello", thread="77"))
    second = send(store, sender, sender.request("e2", "And another thing", thread="77"))
    other = send(store, sender, sender.request("e3", "Mine is new", thread="78"))
    assert first.ticket_id == second.ticket_id is not None
    assert other.ticket_id not in (None, first.ticket_id)


# --- the generic shape --------------------------------------------------------------------------------


def post(store: Store, event_id: str = "e1", **said: Any) -> Receipt:
    document = {
        "id": event_id,
        "from": {"name": "Ann", "address": "ann@customer.example"},
        "subject": "Order",
    }
    body = json.dumps({k: v for k, v in (document | said).items() if v is not None}).encode()
    return receive(store, generic.inbox(), standard_headers(event_id, body, generic.secret), body, AT)


def test_everything_that_the_shape_names_arrives(store: Store) -> None:
    receipt = post(
        store,
        to=[{"address": "support@shop.example"}],
        text="Please see the file.\n\nOn Mon, Nov 23, 2026 at 9:00 AM Shop <s@shop.example> wrote:\n> Hi\n",
        html="<p>Please see <b>the file</b>.</p><script>alert(1)</script>",
        date="2026-11-23T08:00:00+01:00",
        message_id="<m1@customer.example>",
        verified_sender=True,
        attachments=[
            {
                "name": "../a.pdf",
                "content_type": "application/pdf",
                "data": base64.b64encode(b"%PDF").decode(),
            }
        ],
    )
    said = message(store, 1)
    assert (said.message_id, said.verified, said.verified_why) == (
        "m1@customer.example", True, "the signed webhook says so",
    )  # fmt: skip
    assert said.sent_at == datetime(2026, 11, 23, 7, tzinfo=UTC)
    assert said.new_text.strip() == "Please see the file."
    assert "script" not in said.html
    assert said.to == [{"name": "", "address": "support@shop.example"}]
    assert ticket(store, receipt.ticket_id).customer_verified
    with store.read() as connection:
        file = connection.execute(sa.select(attachments)).one()
    assert (file.filename, file.content_type, file.size) == ("a.pdf", "application/pdf", 4)


def test_a_sender_is_not_verified_unless_the_source_says_so(sqlite_store: Store) -> None:
    post(sqlite_store, text="Hello")
    assert not message(sqlite_store, 1).verified
    assert not ticket(sqlite_store, 1).customer_verified


def test_a_mail_thread_goes_on_through_the_webhook(sqlite_store: Store) -> None:
    first = post(sqlite_store, text="Hello", message_id="m1@c")
    second = post(sqlite_store, "e2", text="More", message_id="m2@c", in_reply_to="<m1@c>")
    third = post(sqlite_store, "e3", text="Yet more", references=["m2@c"])
    assert first.ticket_id == second.ticket_id == third.ticket_id is not None


def test_another_sender_in_a_conversation_comes_to_its_ticket(store: Store) -> None:
    first = post(store, text="Hello", thread="9")
    bob: dict[str, Any] = {"from": {"address": "bob@customer.example"}}
    second = post(store, "e2", text="I too", thread="9", **bob)
    assert first.ticket_id == second.ticket_id
    assert message(store, 2).flags == ["other_sender"]


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"text": None}, "text, html and attachments are all empty"),
        ({"text": "x", "from": {"address": "nobody"}}, "from.address: is not a mail address"),
        ({"text": "x", "from": None}, "from: Field required"),
        ({"text": "x", "colour": "red"}, "colour: Extra inputs are not permitted"),
        ({"text": "x", "to": 3}, "to"),
        ({"text": "x", "attachments": [{"data": "not base64!"}]}, "attachments.0.data: is not base64 text"),
    ],
)
def test_a_shape_that_is_wrong_names_the_field(sqlite_store: Store, said: dict[str, Any], words: str) -> None:
    receipt = post(sqlite_store, **said)
    assert receipt.status == 422
    assert words in receipt.reason
    assert raw_states(sqlite_store)[0][0] == "quarantined"


def test_line_breaks_in_fields_make_no_headers(sqlite_store: Store) -> None:
    said: dict[str, Any] = {
        "from": {"name": 'Ann"\r\nReply-To: eve@evil.test', "address": "ann@customer.example"},
        "subject": "Hi\r\nBcc: eve@evil.test\r\n\r\nbody",
    }
    post(sqlite_store, text="x", **said)
    kept = message(sqlite_store, 1)
    assert kept.subject == "Hi Bcc: eve@evil.test body"
    assert (kept.from_address, kept.reply_to, kept.new_text.strip()) == ("ann@customer.example", [], "x")


def test_the_signature_is_the_one_of_the_standard(sqlite_store: Store) -> None:
    body = json.dumps({"from": {"address": "ann@customer.example"}, "text": "Grüße"}).encode()
    signature = standardwebhooks.Webhook(generic.secret).sign("msg_1", AT, body.decode())
    headers = {
        "Webhook-Id": "msg_1",
        "Webhook-Timestamp": str(int(AT.timestamp())),
        "Webhook-Signature": f"v1a,xxx v1,AAAA {signature}",
        "Content-Type": "application/json; charset=utf-8",
    }
    assert receive(sqlite_store, generic.inbox(), headers, body, AT).status == 200


def test_a_key_can_be_changed_without_losing_an_event(sqlite_store: Store) -> None:
    inbox = generic.inbox(secret=(generic.other_secret, generic.secret))
    request = generic.request("e1", "Hello")
    assert receive(sqlite_store, inbox, request.headers, request.body, AT).status == 200


def test_a_secret_that_is_none_is_our_failure(sqlite_store: Store) -> None:
    request = generic.request("e1", "Hello")
    with pytest.raises(ConfigError, match="at least 24 random bytes"):
        receive(sqlite_store, generic.inbox(secret="short"), request.headers, request.body, AT)


def test_an_event_whose_reader_died_is_read_by_the_sweep(store: Store) -> None:
    request = generic.request("e1", "Hello")

    def dies(_ticket_id: int) -> None:
        raise KeyboardInterrupt

    inbox = generic.inbox()
    with pytest.raises(KeyboardInterrupt):
        receive(store, inbox, request.headers, request.body, AT, dies)
    with store.write() as connection:  # as if it had died a moment earlier
        connection.execute(messages.delete())
        connection.execute(raw_messages.update().values(state="stored"))
    (taken,) = take_stored(store, older_than=timedelta(0), inboxes={"hook": inbox})
    assert taken.kind == "message"


def test_event_ids_are_kept_for_thirty_days(sqlite_store: Store) -> None:
    post(sqlite_store, text="Hello")
    assert forget_events(sqlite_store) == 0
    with sqlite_store.write() as connection:
        connection.execute(webhook_events.update().values(received_at=datetime.now(UTC) - timedelta(days=31)))
    assert forget_events(sqlite_store) == 1
    assert post(sqlite_store, text="Hello").status == 200  # the same bytes are still no second message
    assert count(sqlite_store, messages) == 1


def test_two_sources_do_not_share_their_conversations(sqlite_store: Store) -> None:
    first = post(sqlite_store, text="Hello", thread="1")
    body = json.dumps({"from": {"address": "bob@x.example"}, "text": "Hi", "thread": "1"}).encode()
    other = WebhookInbox(name="other", kind="webhook", secret=generic.secret)  # type: ignore[arg-type]
    second = receive(sqlite_store, other, standard_headers("e1", body, generic.secret), body, AT)
    assert second.ticket_id != first.ticket_id


# --- what is particular to one source -----------------------------------------------------------------


def test_a_key_that_is_not_on_the_curve_is_our_failure(sqlite_store: Store) -> None:
    sender = SENDERS["sendgrid"]
    request = sender.request("e1", "Hello")
    for secret in ("not base64!", "AAAA", sender.secret[:-8] + "AAAAAAA="):
        with pytest.raises(ConfigError, match="verification key"):
            send(sqlite_store, sender, request, secret=secret)


@pytest.mark.parametrize("name", ["mailgun", "sendgrid"])
def test_a_whole_mail_in_a_form_is_parsed_as_mail(sqlite_store: Store, name: str) -> None:
    sender = SENDERS[name]
    raw = mail(
        "The raw one", authentication_results="mx.shop.example; dmarc=pass header.from=customer.example"
    )
    field = {"mailgun": "body-mime", "sendgrid": "email"}[name]
    body = urlencode({field: raw}).encode() if name == "mailgun" else multipart({field: raw.decode()})
    request = sender.signed("e1", body)
    assert send(sqlite_store, sender, request, authserv_id="mx.shop.example").status == 200
    said = message(sqlite_store, 1)
    assert (said.message_id, said.new_text.strip(), said.verified) == (
        "one@customer.example",
        "The raw one",
        True,
    )


def test_a_multipart_form_brings_its_files(sqlite_store: Store) -> None:
    sender = SENDERS["sendgrid"]
    body = sender.body("e1", "See the file", "7").removesuffix(b"--xYzZY--\r\n")
    body += b'--xYzZY\r\nContent-Disposition: form-data; name="attachment1"; filename="a.pdf"\r\n'
    body += b"Content-Type: application/pdf\r\n\r\n%PDF\r\n\x00\xff\r\n--xYzZY--\r\n"
    assert send(sqlite_store, sender, sender.signed("e1", body)).status == 200
    with sqlite_store.read() as connection:
        file = connection.execute(sa.select(attachments)).one()
    assert (file.filename, file.size) == ("a.pdf", 8)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("zendesk", {"id": "x", "type": "zen:event-type:ticket.status_changed", "detail": {"id": 1}, "event": {}}),
        ("zendesk", {"id": "x", "type": "zen:event-type:ticket.comment_added", "detail": {"id": 1},
                     "event": {"comment": {"body": "Hi", "author": {"is_staff": True}}}}),
        ("zammad", {"ticket": {"id": 1}, "article": {"id": 2, "sender": "Agent", "body": "Hi"}}),
        ("chatwoot", {"event": "conversation_updated", "id": 1}),
        ("chatwoot", {"event": "message_created", "id": 1, "message_type": "outgoing", "content": "Hi",
                      "conversation": {"id": 1}}),
        ("intercom", {"topic": "ping", "id": "notif_1", "data": {}}),
        ("front", {"type": "outbound_sent", "payload": {"id": "evt_1"}}),
    ],
)  # fmt: skip
def test_what_our_own_people_wrote_is_no_message(
    sqlite_store: Store, name: str, said: dict[str, Any]
) -> None:
    sender = SENDERS[name]
    receipt = send(sqlite_store, sender, sender.signed("x", json.dumps(said).encode()))
    assert (receipt.status, receipt.ticket_id) == (200, None)
    assert count(sqlite_store, messages) == 0
    ((state, reason),) = raw_states(sqlite_store)
    assert (state, reason) == ("parsed", receipt.reason)


def test_a_zendesk_event_is_a_message_too(sqlite_store: Store) -> None:
    sender = SENDERS["zendesk"]
    said = {"id": "x", "type": "zen:event-type:ticket.comment_added", "time": "2026-11-23T09:00:00Z",
            "detail": {"id": "7", "subject": "Order"},
            "event": {"comment": {"id": "1", "body": "Where?", "is_public": True,
                                  "author": {"id": "2", "name": "Ann", "is_staff": False}}}}  # fmt: skip
    receipt = send(sqlite_store, sender, sender.signed("x", json.dumps(said).encode()))
    assert ticket(sqlite_store, receipt.ticket_id).customer_address is None
    joined = send(sqlite_store, sender, sender.request("c2", "More", thread="7"))
    assert joined.ticket_id == receipt.ticket_id
    assert ticket(sqlite_store, receipt.ticket_id).customer_address == "ann@customer.example"


def test_fronts_challenge_is_answered_word_for_word_if_it_is_signed(sqlite_store: Store) -> None:
    sender = SENDERS["front"]
    request = sender.signed("x", b'{"type": "sync", "authorization": {"id": "cmp_abc"}}')
    challenge = Request({**request.headers, "X-Front-Challenge": "abc123"}, request.body)
    assert send(sqlite_store, sender, challenge).body == "abc123"
    assert send(sqlite_store, sender, challenge, secret="another").status == 401
    assert count(sqlite_store, raw_messages) == 0


def test_a_signature_may_stand_under_any_of_several_secrets(sqlite_store: Store) -> None:
    for number, sender in enumerate(SENDERS.values()):
        request = sender.request(f"e{number}", "Hello")
        assert send(sqlite_store, sender, request, secret=(sender.other_secret, sender.secret)).status == 200
