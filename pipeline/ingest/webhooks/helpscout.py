"""Help Scout: a customer's part of a conversation; `X-HelpScout-Signature`, base64 HMAC-SHA1 of the raw body.

It sends whole conversations: the newest part that a customer wrote is the message, and its number the
event's, so that every later event about the same part is a repeat.
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
    parsed_mail,
    thread_id,
    understood,
)
from pipeline.ingest.webhooks.shape import EVENT_BODY_BYTES, Event, NotUnderstood, Verified
from pipeline.ingest.webhooks.signing import check_hmac

NAME = "helpscout"
MAX_BODY_BYTES = EVENT_BODY_BYTES
CONTENT_TYPES = ("application/json",)


class _Person(Payload):
    type: str = "customer"
    first: str | None = ""
    last: str | None = ""
    email: str | None = ""


class _Thread(Payload):
    id: int
    type: str = ""
    body: str | None = ""
    created_at: str | None = Field(None, alias="createdAt")
    created_by: _Person = Field(_Person(), alias="createdBy")


class _Embedded(Payload):
    threads: tuple[_Thread, ...] = ()


class _Conversation(Payload):
    id: int
    subject: str | None = ""
    customer: _Person | None = Field(None, alias="primaryCustomer")
    embedded: _Embedded = Field(_Embedded(), alias="_embedded")
    threads: tuple[_Thread, ...] = ()


def verify(headers: Mapping[str, str], body: bytes, secrets: Sequence[str], at: datetime) -> Verified:
    check_hmac(headers.get("x-helpscout-signature"), body, secrets, "sha1", "base64")
    try:
        conversation, thread = _newest(body)
    except NotUnderstood:
        return Verified("")
    return Verified(f"{conversation.id}:{thread.id}")


def read(body: bytes, source: str) -> Event:
    conversation, thread = _newest(body)
    person = thread.created_by if thread.created_by.email else conversation.customer or thread.created_by
    headers = [
        ("From", mailbox(" ".join(part for part in (person.first, person.last) if part), person.email)),
        ("Subject", conversation.subject),
        ("Date", date_header(thread.created_at)),
        ("References", thread_id(source, str(conversation.id))),
    ]
    return Event(parsed_mail(headers, None, thread.body))


def _newest(body: bytes) -> tuple[_Conversation, _Thread]:
    try:
        found = _Conversation.model_validate(document(body))
    except ValidationError as error:
        raise understood(error) from None
    threads = [
        one
        for one in (*found.embedded.threads, *found.threads)
        if one.type == "customer" and (one.body or "").strip()
    ]
    if not threads:
        raise NotUnderstood("the conversation holds no text of a customer")
    return found, max(threads, key=lambda one: one.id)
