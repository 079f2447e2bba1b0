"""Zammad: an article on the ticket; one of the type email goes to the customer, an internal note to nobody."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.delivery.compose import Outgoing, body_text
from pipeline.delivery.helpdesks.shape import Request, Site

NAME = "zammad"


def check(site: Site) -> None:
    """Nothing more is needed."""


def headers(site: Site) -> Mapping[str, str]:
    return {"authorization": f"Token token={site.token}"}


def write(site: Site, ticket: str, outgoing: Outgoing) -> Request:
    article: dict[str, object] = {
        "ticket_id": int(ticket),
        "subject": outgoing.subject,
        "body": body_text(outgoing.text, outgoing.sender.signature),
        "content_type": "text/plain",
        "sender": "Agent",
        "type": "note" if site.as_note else "email",
        "internal": site.as_note,
    }
    if not site.as_note:
        article["to"] = outgoing.to_address
    return Request("POST", "/api/v1/ticket_articles", article)
