"""Front: an application webhook's inbound messages; base64 HMAC-SHA256 over `timestamp:body`.

When the webhook is set up, Front sends a challenge that is answered word for word.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from pydantic import Field, ValidationError

from pipeline.ingest.webhooks.building import (
    Payload,
    date_header,
    document,
    mailbox,
    message_id,
    parsed_mail,
    thread_id,
    understood,
)
from pipeline.ingest.webhooks.shape import EVENT_BODY_BYTES, Event, NotUnderstood, SignatureRefused, Verified
from pipeline.ingest.webhooks.signing import check_hmac, event_id

NAME = "front"
MAX_BODY_BYTES = EVENT_BODY_BYTES
CONTENT_TYPES = ("application/json",)
TOLERANCE_S = 300


class _Recipient(Payload):
    handle: str = ""
    name: str | None = ""
    role: str = ""


class _Headers(Payload):
    in_reply_to: str | None = None


class _Metadata(Payload):
    headers: _Headers | None = None


class _Message(Payload):
    is_inbound: bool = True
    subject: str | None = ""
    body: str | None = ""
    text: str | None = ""
    created_at: float | None = None
    recipients: tuple[_Recipient, ...] = ()
    metadata: _Metadata | None = None


class _Target(Payload):
    data: _Message


class _Conversation(Payload):
    id: str
    subject: str | None = ""


class _Happened(Payload):
    conversation: _Conversation
    target: _Target


class _Payload(Payload):
    type: str
    payload: _Happened = Field()


def verify(headers: Mapping[str, str], body: bytes, secrets: Sequence[str], at: datetime) -> Verified:
    timestamp = headers.get("x-front-request-timestamp", "")
    signed = timestamp.encode("utf-8", "replace") + b":" + body
    check_hmac(headers.get("x-front-signature"), signed, secrets, "sha256", "base64")
    if not timestamp.isascii() or not timestamp.isdigit() or len(timestamp) > 16:
        raise SignatureRefused("the timestamp is not a number of milliseconds")
    if abs(at.timestamp() - int(timestamp) / 1000) > TOLERANCE_S:
        raise SignatureRefused("the timestamp is too old or too new")
    challenge = headers.get("x-front-challenge")
    found = event_id(body, "payload", "id")
    return Verified(found.event_id, answer=challenge[:1_000] if challenge else None)


def read(body: bytes, source: str) -> Event:
    found = document(body)
    if isinstance(found.get("type"), str) and found["type"] not in ("inbound_received", "inbound"):
        return Event(None, note=f"not an inbound message: {found['type'][:100]}")
    try:
        said = _Payload.model_validate(found).payload
    except ValidationError as error:
        raise understood(error) from None
    message = said.target.data
    if not message.is_inbound:
        return Event(None, note="a message of an agent")
    sender = next((one for one in message.recipients if one.role == "from"), None)
    if sender is None:
        raise NotUnderstood("the message names no sender")
    in_reply_to = (
        message.metadata.headers.in_reply_to if message.metadata and message.metadata.headers else None
    )
    headers = [
        ("From", mailbox(sender.name, sender.handle)),
        ("To", ", ".join(mailbox(one.name, one.handle) for one in message.recipients if one.role == "to")),
        ("Subject", message.subject or said.conversation.subject),
        ("Date", date_header(message.created_at)),
        ("In-Reply-To", message_id(in_reply_to)),
        ("References", thread_id(source, said.conversation.id)),
    ]
    return Event(parsed_mail(headers, message.text, message.body))
