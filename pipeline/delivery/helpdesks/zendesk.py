"""Zendesk: a comment is written by an update of its ticket.

With `user` the token is an API token of that agent, without it an OAuth access token.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping

from pipeline.delivery.compose import Outgoing, body_text
from pipeline.delivery.helpdesks.shape import Request, Site

NAME = "zendesk"


def check(site: Site) -> None:
    """Nothing more is needed."""


def headers(site: Site) -> Mapping[str, str]:
    if site.user is None:
        return {"authorization": f"Bearer {site.token}"}
    pair = f"{site.user}/token:{site.token}".encode()
    return {"authorization": f"Basic {base64.b64encode(pair).decode()}"}


def write(site: Site, ticket: str, outgoing: Outgoing) -> Request:
    text = body_text(outgoing.text, outgoing.sender.signature)
    comment = {"body": text, "public": not site.as_note}
    return Request("PUT", f"/api/v2/tickets/{ticket}.json", {"ticket": {"comment": comment}})
