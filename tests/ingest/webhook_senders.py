"""Every webhook source as it sends: its body for a customer's message, and its signature over that body."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from pipeline.ingest.inboxes import WebhookInbox

AT = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
JSON = "application/json"


@dataclass(frozen=True)
class Request:
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Sender:
    """`body(event_id, text, thread)` is what it sends, `sign(event_id, body, secret)` its headers.

    `seal` puts the proof into the body, for the one source that does so. `covers_body` says whether the
    proof would notice another body.
    """

    name: str
    secret: str
    other_secret: str
    body: Callable[[str, str, str], bytes]
    sign: Callable[[str, bytes, str], dict[str, str]]
    has_time: bool = True
    has_id: bool = True
    covers_body: bool = True
    customer: str | None = "ann@customer.example"
    seal: Callable[[str, bytes, str], bytes] | None = None
    nothings: Sequence[bytes] = field(default=(b"{", b"[]", b"{}", b"null", b"\xff\xfe", b'{"a": ' * 3000))

    def inbox(self, **more: Any) -> WebhookInbox:
        values = {"name": "hook", "kind": "webhook", "adapter": self.name, "secret": self.secret}
        return WebhookInbox.model_validate(values | more)

    def signed(self, event_id: str, body: bytes) -> Request:
        if self.seal is not None:
            body = self.seal(event_id, body, self.secret)
        return Request(self.sign(event_id, body, self.secret), body)

    def request(self, event_id: str, text: str, thread: str = "7") -> Request:
        return self.signed(event_id, self.body(event_id, text, thread))

    def tampered(self, request: Request) -> Request:
        """Another text under the same proof; where that would not be noticed, the proof altered a little."""
        if self.covers_body:
            assert b"Hello" in request.body
            return Request(request.headers, request.body.replace(b"Hello", b"Hallo"))
        if self.seal is not None:
            return Request(request.headers, request.body.replace(b"&token=", b"&token=0"))
        changed = {name: value[:-3] + "abc" for name, value in request.headers.items() if name in PROOFS}
        return Request(request.headers | changed, request.body)

    def unsigned(self, request: Request) -> Request:
        bare = {"content-type": request.headers["content-type"]}
        return Request(bare, request.body.partition(b"&signature=")[0])


PROOFS = ("authorization", "x-webhook-secret")


def standard_headers(event_id: str, body: bytes, secret: str) -> dict[str, str]:
    key = base64.b64decode(secret.removeprefix("whsec_"))
    timestamp = str(int(AT.timestamp()))
    signature = hmac.new(key, f"{event_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return {
        "content-type": JSON,
        "webhook-id": event_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": "v1," + base64.b64encode(signature).decode(),
    }


def _generic(event_id: str, text: str, thread: str) -> bytes:
    return json.dumps(
        {
            "id": event_id,
            "from": {"name": "Ann", "address": "ann@customer.example"},
            "subject": "Order",
            "text": text,
            "thread": thread,
        }
    ).encode()


generic = Sender(
    name="generic",
    secret="whsec_" + base64.b64encode(b"k" * 32).decode(),
    other_secret="whsec_" + base64.b64encode(b"o" * 32).decode(),
    body=_generic,
    sign=standard_headers,
)


def _hmac(secret: str, message: bytes, algorithm: str) -> bytes:
    return hmac.new(secret.encode(), message, algorithm).digest()


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _dump(**said: Any) -> bytes:
    return json.dumps(said).encode()


def _html(text: str) -> str:
    return f"<p>{text}</p>"


# --- those that pass on whole mails ------------------------------------------------------------------


def _postmark(event_id: str, text: str, thread: str) -> bytes:
    return _dump(
        From="ann@customer.example", FromName="Ann", FromFull={"Email": "ann@customer.example", "Name": "Ann"},
        To="support@shop.example", Subject="Order", MessageID=event_id, TextBody=text, HtmlBody="",
        Date="Mon, 23 Nov 2026 09:00:00 +0000", MailboxHash="",
        Headers=[
            {"Name": "Message-ID", "Value": f"<{event_id}@customer.example>"},
            {"Name": "References", "Value": f"<{thread}@customer.example>"},
        ],
        Attachments=[],
    )  # fmt: skip


postmark = Sender(
    name="postmark",
    secret="hook:pass-word-1",
    other_secret="hook:pass-word-2",
    body=_postmark,
    sign=lambda _id, _body, secret: {
        "content-type": JSON,
        "authorization": "Basic " + _b64(secret.encode()),
    },
    has_time=False,
    covers_body=False,
)


def _mailgun(event_id: str, text: str, thread: str) -> bytes:
    headers = [
        ["Message-Id", f"<{event_id}@customer.example>"],
        ["References", f"<{thread}@customer.example>"],
    ]
    return urlencode(
        {
            "sender": "ann@customer.example",
            "from": "Ann <ann@customer.example>",
            "recipient": "support@shop.example",
            "subject": "Order",
            "body-plain": text,
            "message-headers": json.dumps(headers),
        }
    ).encode()


def _mailgun_seal(event_id: str, body: bytes, secret: str) -> bytes:
    timestamp, token = str(int(AT.timestamp())), event_id.ljust(50, "0")
    proof = {
        "timestamp": timestamp,
        "token": token,
        "signature": _hmac(secret, (timestamp + token).encode(), "sha256").hex(),
    }
    return body + b"&" + urlencode(proof).encode()


mailgun = Sender(
    name="mailgun",
    secret="mailgun-signing-key",
    other_secret="another-signing-key",
    body=_mailgun,
    sign=lambda *_: {"content-type": "application/x-www-form-urlencoded"},
    seal=_mailgun_seal,
    covers_body=False,
    nothings=(b"", b"from=", b"x=1", b"from=a&message-headers=%5B1%5D"),
)


def multipart(fields: dict[str, str], boundary: str = "xYzZY") -> bytes:
    parts = "".join(
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    )
    return (parts + f"--{boundary}--\r\n").encode()


def _sendgrid(event_id: str, text: str, thread: str) -> bytes:
    return multipart(
        {
            "headers": f"Message-ID: <{event_id}@customer.example>\nReferences:\n <{thread}@customer.example>\n",
            "from": "Ann <ann@customer.example>",
            "to": "support@shop.example",
            "subject": "Order",
            "envelope": '{"to": ["support@shop.example"], "from": "ann@customer.example"}',
            "charsets": '{"text": "utf-8"}',
            "text": text,
        }
    )


def p256_key(secret: int) -> str:
    public = ec.derive_private_key(secret, ec.SECP256R1()).public_key()
    return _b64(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def p256_sign(secret: int, message: bytes) -> bytes:
    return ec.derive_private_key(secret, ec.SECP256R1()).sign(message, ec.ECDSA(SHA256()))


def _sendgrid_headers(_id: str, body: bytes, _secret: str) -> dict[str, str]:
    timestamp = str(int(AT.timestamp()))
    return {
        "content-type": "multipart/form-data; boundary=xYzZY",
        "x-twilio-email-event-webhook-timestamp": timestamp,
        "x-twilio-email-event-webhook-signature": _b64(p256_sign(12345, timestamp.encode() + body)),
    }


sendgrid = Sender(
    name="sendgrid",
    secret=p256_key(12345),
    other_secret=p256_key(54321),
    body=_sendgrid,
    sign=_sendgrid_headers,
    has_id=False,
    nothings=(b"", b"--", b"--x\r\n", multipart({"text": "x"}), b"--x\r\n\r\n\r\n--x" * 2000),
)

# --- helpdesks ----------------------------------------------------------------------------------------


def _zendesk(event_id: str, text: str, thread: str) -> bytes:
    return _dump(
        ticket_id=thread,
        comment_id=event_id,
        subject="Order",
        name="Ann",
        address="ann@customer.example",
        text=text,
    )


def _zendesk_headers(_id: str, body: bytes, secret: str) -> dict[str, str]:
    timestamp = AT.isoformat().replace("+00:00", "Z")
    return {
        "content-type": JSON,
        "x-zendesk-webhook-signature-timestamp": timestamp,
        "x-zendesk-webhook-signature": _b64(_hmac(secret, timestamp.encode() + body, "sha256")),
    }


zendesk = Sender("zendesk", "zendesk-secret", "another", _zendesk, _zendesk_headers)


def _hub(_id: str, body: bytes, secret: str) -> dict[str, str]:
    return {"content-type": JSON, "x-hub-signature": "sha1=" + _hmac(secret, body, "sha1").hex()}


def _number(event_id: str) -> int:
    return int.from_bytes(event_id.encode())


def _zammad(event_id: str, text: str, thread: str) -> bytes:
    return _dump(
        ticket={"id": int(thread), "number": "31007", "title": "Order",
                "customer": {"email": "ann@customer.example", "firstname": "Ann", "lastname": "Bee"}},
        article={"id": _number(event_id), "sender": "Customer", "internal": False, "body": text,
                 "content_type": "text/plain", "from": "Ann Bee <ann@customer.example>", "subject": "Order",
                 "created_at": "2026-11-23T09:00:00.000Z", "message_id": None, "attachments": []},
    )  # fmt: skip


zammad = Sender("zammad", "zammad-token", "another", _zammad, _hub, has_time=False)


def _chatwoot(event_id: str, text: str, thread: str) -> bytes:
    return _dump(
        event="message_created", id=_number(event_id), content=text, message_type="incoming", private=False,
        created_at="2026-11-23T09:00:00.000Z", conversation={"id": int(thread), "status": "open"},
        sender={"id": 1, "name": "Ann", "email": "ann@customer.example"}, account={"id": 1, "name": "Shop"},
    )  # fmt: skip


def _chatwoot_headers(_id: str, body: bytes, secret: str) -> dict[str, str]:
    timestamp = str(int(AT.timestamp()))
    return {
        "content-type": JSON,
        "x-chatwoot-timestamp": timestamp,
        "x-chatwoot-signature": "sha256=" + _hmac(secret, timestamp.encode() + b"." + body, "sha256").hex(),
    }


chatwoot = Sender("chatwoot", "chatwoot-secret", "another", _chatwoot, _chatwoot_headers)


def _intercom(event_id: str, text: str, thread: str) -> bytes:
    user = {"type": "user", "id": "u1", "name": "Ann", "email": "ann@customer.example"}
    return _dump(
        type="notification_event", topic="conversation.user.replied", id=f"notif_{event_id}", created_at=1795424400,
        data={"item": {
            "type": "conversation", "id": thread,
            "source": {"type": "conversation", "subject": "<p>Order</p>", "body": "<p>first</p>", "author": user},
            "conversation_parts": {"conversation_parts": [
                {"id": "1", "body": _html(text), "author": user, "created_at": 1795424400},
            ]},
        }},
    )  # fmt: skip


intercom = Sender("intercom", "intercom-client-secret", "another", _intercom, _hub, has_time=False)


def _helpscout(event_id: str, text: str, thread: str) -> bytes:
    ann = {"type": "customer", "first": "Ann", "last": "Bee", "email": "ann@customer.example"}
    return _dump(
        id=int(thread), number=12, subject="Order", primaryCustomer=ann,
        _embedded={"threads": [
            {"id": 1, "type": "message", "body": "from us", "createdBy": {"type": "user", "email": "us@shop.example"}},
            {"id": _number(event_id), "type": "customer", "body": _html(text), "createdBy": ann,
             "createdAt": "2026-11-23T09:00:00Z"},
        ]},
    )  # fmt: skip


helpscout = Sender(
    name="helpscout",
    secret="helpscout-secret",
    other_secret="another",
    body=_helpscout,
    sign=lambda _id, body, secret: {
        "content-type": JSON,
        "x-helpscout-signature": _b64(_hmac(secret, body, "sha1")),
    },
    has_time=False,
)


def _freshdesk(event_id: str, text: str, thread: str) -> bytes:
    return _dump(
        freshdesk_webhook={
            "ticket_id": int(thread), "ticket_subject": "Order", "ticket_contact_name": "Ann",
            "ticket_contact_email": "ann@customer.example", "ticket_latest_public_comment": _html(text),
            "ticket_updated_at": event_id, "triggered_event": "{reply:sent}",
        }
    )  # fmt: skip


freshdesk = Sender(
    name="freshdesk",
    secret="a-long-random-secret",
    other_secret="another",
    body=_freshdesk,
    sign=lambda _id, _body, secret: {"content-type": JSON, "x-webhook-secret": secret},
    has_time=False,
    covers_body=False,
)


def _front(event_id: str, text: str, thread: str) -> bytes:
    return _dump(
        type="inbound_received", authorization={"id": "cmp_1"},
        payload={
            "id": f"evt_{event_id}", "type": "inbound", "conversation": {"id": f"cnv_{thread}", "subject": "Order"},
            "target": {"_meta": {"type": "message"}, "data": {
                "id": "msg_1", "type": "email", "is_inbound": True, "created_at": 1795424400.5, "subject": "Order",
                "body": _html(text), "text": text,
                "recipients": [{"handle": "ann@customer.example", "name": "Ann", "role": "from"},
                               {"handle": "support@shop.example", "role": "to"}],
            }},
        },
    )  # fmt: skip


def _front_headers(_id: str, body: bytes, secret: str) -> dict[str, str]:
    timestamp = str(int(AT.timestamp() * 1000))
    return {
        "content-type": JSON,
        "x-front-request-timestamp": timestamp,
        "x-front-signature": _b64(_hmac(secret, timestamp.encode() + b":" + body, "sha256")),
    }


front = Sender("front", "front-signing-key", "another", _front, _front_headers)

SENDERS: dict[str, Sender] = {
    sender.name: sender
    for sender in (
        generic, postmark, mailgun, sendgrid, zendesk, zammad, chatwoot, intercom, helpscout, freshdesk, front,
    )
}  # fmt: skip
