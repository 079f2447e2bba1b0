"""Zendesk: ticket events, or a trigger's own JSON; HMAC-SHA256 over the timestamp and the raw body.

A trigger's JSON names what an event leaves out, the customer's address; CONTRIBUTING shows the template:

    {"ticket_id": "{{ticket.id}}", "comment_id": "{{ticket.latest_public_comment.id}}",
     "subject": "{{ticket.title}}", "name": "{{ticket.requester.name}}",
     "address": "{{ticket.requester.email}}", "text": "{{ticket.latest_public_comment}}"}
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

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
from pipeline.ingest.webhooks.shape import EVENT_BODY_BYTES, Event, SignatureRefused, Verified
from pipeline.ingest.webhooks.signing import check_hmac, event_id

NAME = "zendesk"
MAX_BODY_BYTES = EVENT_BODY_BYTES
CONTENT_TYPES = ("application/json",)
TOLERANCE_S = 900


class _Trigger(Payload):
    ticket_id: str | int
    comment_id: str | int | None = None
    subject: str = ""
    name: str = ""
    address: str
    text: str


class _Author(Payload):
    name: str = ""
    email: str | None = None
    is_staff: bool = False


class _Comment(Payload):
    body: str
    author: _Author = _Author()
    is_public: bool = True


class _Change(Payload):
    comment: _Comment


class _Detail(Payload):
    id: str | int
    subject: str = ""


class _TicketEvent(Payload):
    time: str = ""
    detail: _Detail
    event: _Change


def verify(headers: Mapping[str, str], body: bytes, secrets: Sequence[str], at: datetime) -> Verified:
    timestamp = headers.get("x-zendesk-webhook-signature-timestamp", "")
    signed = timestamp.encode("utf-8", "replace") + body
    check_hmac(headers.get("x-zendesk-webhook-signature"), signed, secrets, "sha256", "base64")
    try:
        when = datetime.fromisoformat(timestamp)
        age_s = abs((at - when).total_seconds())
    except (ValueError, TypeError):
        raise SignatureRefused("the timestamp is not a time") from None
    if age_s > TOLERANCE_S:
        raise SignatureRefused("the timestamp is too old or too new")
    return _id(body)


def _id(body: bytes) -> Verified:
    """The event's own id, or a trigger's ticket and comment."""
    own = event_id(body, "id")
    if own.event_id:
        return own
    ticket, comment = event_id(body, "ticket_id").event_id, event_id(body, "comment_id").event_id
    return Verified(f"{ticket}:{comment}" if ticket and comment else "")


def read(body: bytes, source: str) -> Event:
    said: dict[str, Any] = document(body)
    try:
        if "ticket_id" in said:
            trigger = _Trigger.model_validate(said)
            return _event(
                source, trigger.ticket_id, trigger.subject, trigger.name, trigger.address, trigger.text
            )
        if said.get("type") != "zen:event-type:ticket.comment_added":
            kind = json.dumps(said.get("type"))[:100]
            if isinstance(said.get("type"), str):
                return Event(None, note=f"not a comment: {kind}")
        happened = _TicketEvent.model_validate(said)
    except ValidationError as error:
        raise understood(error) from None
    comment = happened.event.comment
    if comment.author.is_staff or not comment.is_public:
        return Event(None, note="a comment of an agent, or an internal one")
    return _event(
        source,
        happened.detail.id,
        happened.detail.subject,
        comment.author.name,
        comment.author.email or "",
        comment.body,
        happened.time,
    )


def _event(
    source: str, ticket: str | int, subject: str, name: str, address: str, text: str, time: str = ""
) -> Event:
    headers = [
        ("From", mailbox(name, address)),
        ("Subject", subject),
        ("Date", date_header(time or None)),
        ("References", thread_id(source, str(ticket))),
    ]
    return Event(parsed_mail(headers, text))
