"""Intercom: what a user wrote in a conversation; `X-Hub-Signature: sha1=` over the raw body."""

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
from pipeline.ingest.webhooks.shape import EVENT_BODY_BYTES, Event, NotUnderstood, Verified
from pipeline.ingest.webhooks.signing import check_hmac, event_id

NAME = "intercom"
MAX_BODY_BYTES = EVENT_BODY_BYTES
CONTENT_TYPES = ("application/json",)
TOPICS = ("conversation.user.created", "conversation.user.replied")


class _Author(Payload):
    type: str = "user"
    name: str | None = ""
    email: str | None = ""


class _Written(Payload):
    body: str | None = ""
    subject: str | None = ""
    author: _Author = _Author()
    created_at: int | None = None


class _Parts(Payload):
    conversation_parts: tuple[_Written, ...] = ()


class _Item(Payload):
    id: str | int
    source: _Written | None = None
    conversation_parts: _Parts = _Parts()


class _Data(Payload):
    item: _Item


class _Notification(Payload):
    topic: str
    created_at: int | None = None
    data: _Data


def verify(headers: Mapping[str, str], body: bytes, secrets: Sequence[str], at: datetime) -> Verified:
    given = headers.get("x-hub-signature", "").removeprefix("sha1=")
    check_hmac(given, body, secrets, "sha1", "hex")
    return event_id(body, "id")


def read(body: bytes, source: str) -> Event:
    found = document(body)
    if isinstance(found.get("topic"), str) and found["topic"] not in TOPICS:
        return Event(None, note=f"not a user's message: {found['topic'][:100]}")
    try:
        said = _Notification.model_validate(found)
    except ValidationError as error:
        raise understood(error) from None
    item = said.data.item
    first = item.source or _Written()
    parts = [part for part in item.conversation_parts.conversation_parts if part.author.type != "admin"]
    written = parts[-1] if said.topic == TOPICS[1] and parts else first
    if not (written.body or "").strip():
        raise NotUnderstood("the conversation holds no text of a user")
    author = written.author if written.author.email else first.author
    headers = [
        ("From", mailbox(author.name, author.email)),
        ("Subject", first.subject),
        ("Date", date_header(written.created_at or said.created_at)),
        ("References", thread_id(source, str(item.id))),
    ]
    return Event(parsed_mail(headers, None, written.body))
