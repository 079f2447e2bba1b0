"""Freshdesk: an automation's webhook. It signs nothing; a header that the automation adds carries the secret.

In the automation: a custom header `X-Webhook-Secret`, and as JSON content at least ticket_id,
ticket_subject, ticket_contact_name, ticket_contact_email, ticket_latest_public_comment (or
ticket_description) and ticket_updated_at, under `freshdesk_webhook` as Freshdesk puts them or at the top.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from pydantic import AliasChoices, Field, ValidationError

from pipeline.ingest.webhooks.building import Payload, document, mailbox, parsed_mail, thread_id, understood
from pipeline.ingest.webhooks.shape import EVENT_BODY_BYTES, Event, NotUnderstood, Verified
from pipeline.ingest.webhooks.signing import check_secret

NAME = "freshdesk"
MAX_BODY_BYTES = EVENT_BODY_BYTES
CONTENT_TYPES = ("application/json",)


class _Ticket(Payload):
    ticket_id: str | int
    ticket_subject: str | None = ""
    name: str | None = Field(
        "", validation_alias=AliasChoices("ticket_contact_name", "ticket_requester_name")
    )
    email: str | None = Field(
        "", validation_alias=AliasChoices("ticket_contact_email", "ticket_requester_email")
    )
    ticket_latest_public_comment: str | None = ""
    ticket_description: str | None = ""
    ticket_updated_at: str | None = None
    triggered_event: str | None = ""


def verify(headers: Mapping[str, str], body: bytes, secrets: Sequence[str], at: datetime) -> Verified:
    check_secret(headers.get("x-webhook-secret"), secrets)
    try:
        said = _read(body)
    except NotUnderstood:
        return Verified("")
    if not said.ticket_updated_at:
        return Verified("")
    return Verified(f"{said.ticket_id}:{said.triggered_event or ''}:{said.ticket_updated_at}"[:255])


def read(body: bytes, source: str) -> Event:
    said = _read(body)
    html = said.ticket_latest_public_comment or said.ticket_description or ""
    if not html.strip():
        raise NotUnderstood("the ticket holds no text")
    headers = [
        ("From", mailbox(said.name, said.email)),
        ("Subject", said.ticket_subject),
        ("References", thread_id(source, str(said.ticket_id))),
    ]
    return Event(parsed_mail(headers, None, html))


def _read(body: bytes) -> _Ticket:
    found = document(body)
    inner = found.get("freshdesk_webhook", found)
    try:
        return _Ticket.model_validate(inner)
    except ValidationError as error:
        raise understood(error) from None
