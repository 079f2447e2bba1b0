"""Zammad: a trigger's default payload, ticket and article; `X-Hub-Signature: sha1=` over the raw body."""

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
from pipeline.ingest.webhooks.shape import EVENT_BODY_BYTES, Event, Verified
from pipeline.ingest.webhooks.signing import check_hmac, event_id

NAME = "zammad"
MAX_BODY_BYTES = EVENT_BODY_BYTES
CONTENT_TYPES = ("application/json",)


class _Customer(Payload):
    email: str = ""
    firstname: str | None = ""
    lastname: str | None = ""


class _Ticket(Payload):
    id: int
    title: str = ""
    customer: _Customer | None = None


class _Article(Payload):
    id: int
    sender: str = "Customer"
    internal: bool = False
    from_: str | None = Field(None, alias="from")
    to: str | None = None
    cc: str | None = None
    subject: str | None = None
    body: str = ""
    content_type: str = "text/plain"
    message_id: str | None = None
    in_reply_to: str | None = None
    references: str | None = None
    created_at: str | None = None


class _Payload(Payload):
    ticket: _Ticket
    article: _Article


def verify(headers: Mapping[str, str], body: bytes, secrets: Sequence[str], at: datetime) -> Verified:
    given = headers.get("x-hub-signature", "").removeprefix("sha1=")
    check_hmac(given, body, secrets, "sha1", "hex")
    article = event_id(body, "article", "id").event_id
    return Verified(f"article:{article}" if article else "")


def read(body: bytes, source: str) -> Event:
    try:
        said = _Payload.model_validate(document(body))
    except ValidationError as error:
        raise understood(error) from None
    article, customer = said.article, said.ticket.customer or _Customer()
    if article.sender != "Customer" or article.internal:
        return Event(None, note="an article of an agent or of the system, or an internal one")
    name = " ".join(part for part in (customer.firstname, customer.lastname) if part)
    html = article.content_type == "text/html"
    thread = thread_id(source, str(said.ticket.id))
    headers = [
        ("From", mailbox(name, customer.email) or article.from_),
        ("To", article.to),
        ("Cc", article.cc),
        ("Subject", article.subject or said.ticket.title),
        ("Date", date_header(article.created_at)),
        ("Message-ID", message_id(article.message_id)),
        ("In-Reply-To", message_id(article.in_reply_to)),
        ("References", f"{thread} {article.references or ''}"),
    ]
    return Event(parsed_mail(headers, None if html else article.body, article.body if html else None))
