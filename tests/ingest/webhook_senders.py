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

from pipeline.ingest.inboxes import WebhookInbox

AT = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
JSON = "application/json"


@dataclass(frozen=True)
class Request:
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Sender:
    """`body(event_id, text, thread)` is what it sends, `sign(event_id, body, secret)` its headers."""

    name: str
    secret: str
    other_secret: str
    body: Callable[[str, str, str], bytes]
    sign: Callable[[str, bytes, str], dict[str, str]]
    has_time: bool = True
    has_id: bool = True
    customer: str = "ann@customer.example"
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
        return Request(request.headers, request.body.replace(b"Hello", b"Hallo"))

    def unsigned(self, body: bytes) -> bytes:
        return body

    def nonsense(self) -> Sequence[bytes]:
        return self.nothings


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

SENDERS: dict[str, Sender] = {sender.name: sender for sender in (generic,)}
