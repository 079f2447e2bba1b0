"""Chatwoot: `message_created` events; `X-Chatwoot-Signature: sha256=` over `timestamp.body`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from pydantic import ValidationError

from pipeline.ingest.webhooks.building import (
    Payload,
    date_header,
    document,
    mailbox,
    parsed_mail,
    thread_id,
    understood,
)
from pipeline.ingest.webhooks.shape import EVENT_BODY_BYTES, Event, Verified
from pipeline.ingest.webhooks.signing import check_hmac, event_id
from pipeline.ingest.webhooks.standard import fresh

NAME = "chatwoot"
MAX_BODY_BYTES = EVENT_BODY_BYTES
CONTENT_TYPES = ("application/json",)
TOLERANCE_S = 300


class _Sender(Payload):
    name: str | None = ""
    email: str | None = ""


class _Conversation(Payload):
    id: int


class _Message(Payload):
    event: str
    id: int
    content: str | None = ""
    message_type: str | int
    private: bool = False
    created_at: str | int | None = None
    sender: _Sender = _Sender()
    conversation: _Conversation


def verify(headers: Mapping[str, str], body: bytes, secrets: Sequence[str], at: datetime) -> Verified:
    timestamp = headers.get("x-chatwoot-timestamp", "")
    given = headers.get("x-chatwoot-signature", "").removeprefix("sha256=")
    check_hmac(given, timestamp.encode("utf-8", "replace") + b"." + body, secrets, "sha256", "hex")
    fresh(timestamp, at, TOLERANCE_S)
    kind, number = event_id(body, "event").event_id, event_id(body, "id").event_id
    return Verified(f"{kind}:{number}"[:255] if kind and number else "")


def read(body: bytes, source: str) -> Event:
    found = document(body)
    if isinstance(found.get("event"), str) and found["event"] != "message_created":
        return Event(None, note=f"not a message: {found['event'][:100]}")
    try:
        said = _Message.model_validate(found)
    except ValidationError as error:
        raise understood(error) from None
    if said.message_type not in ("incoming", 0) or said.private:
        return Event(None, note="a message of an agent, or a private note")
    headers = [
        ("From", mailbox(said.sender.name, said.sender.email)),
        ("Date", date_header(said.created_at)),
        ("References", thread_id(source, str(said.conversation.id))),
    ]
    return Event(parsed_mail(headers, said.content))
