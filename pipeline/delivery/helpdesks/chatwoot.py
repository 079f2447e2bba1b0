"""Chatwoot: an outgoing message in the conversation; a private one is seen by colleagues alone."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.delivery.compose import Outgoing, body_text
from pipeline.delivery.helpdesks.shape import Request, Site
from pipeline.errors import ConfigError

NAME = "chatwoot"


def check(site: Site) -> None:
    if site.account is None:
        raise ConfigError("account is the number of the Chatwoot account, and is needed")


def headers(site: Site) -> Mapping[str, str]:
    return {"api_access_token": site.token}


def write(site: Site, ticket: str, outgoing: Outgoing) -> Request:
    message = {
        "content": body_text(outgoing.text, outgoing.sender.signature),
        "message_type": "outgoing",
        "content_type": "text",
        "private": site.as_note,
    }
    return Request("POST", f"/api/v1/accounts/{site.account}/conversations/{ticket}/messages", message)
