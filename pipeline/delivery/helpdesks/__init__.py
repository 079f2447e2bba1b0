"""Replies written back into the helpdesk that the message came from: an answer, or a note to colleagues.

One file for each helpdesk, all of the shape of `Helpdesk`. None of the three takes a key that would make a
repeated request harmless here, so an answer that never came leaves the reply uncertain, as with mail.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from types import ModuleType
from typing import Protocol, cast

from pipeline.delivery.compose import Outgoing
from pipeline.delivery.helpdesks import chatwoot, zammad, zendesk
from pipeline.delivery.helpdesks.shape import Request, Site
from pipeline.delivery.outcomes import Accepted, Outcome, Permanent, Temporary, Uncertain
from pipeline.delivery.posting import Address, Answer
from pipeline.errors import ConfigError

__all__ = ["HELPDESKS", "Helpdesk", "HelpdeskMailer", "Site"]

NOT_TAKEN = frozenset({401, 403, 408, 409, 425, 429, 503})
"""Refusals before anything was written, that a person or time mends; other 5xx say nothing of what was done."""


class Helpdesk(Protocol):
    """What each file of this folder offers."""

    NAME: str

    def check(self, site: Site) -> None:
        """Raises `ConfigError` for what this helpdesk lacks."""
        ...

    def headers(self, site: Site) -> Mapping[str, str]:
        """Who we are."""
        ...

    def write(self, site: Site, ticket: str, outgoing: Outgoing) -> Request:
        """The request that writes the reply on its ticket."""
        ...


def _of(module: ModuleType) -> Helpdesk:
    return cast(Helpdesk, module)


HELPDESKS: dict[str, Helpdesk] = {
    "zendesk": _of(zendesk),
    "zammad": _of(zammad),
    "chatwoot": _of(chatwoot),
}


class HelpdeskMailer:
    """Writes each reply on the ticket that its conversation has there."""

    def __init__(self, name: str, site: Site) -> None:
        if name not in HELPDESKS:
            raise ConfigError(f"helpdesk: there is no {name!r}; there are: {', '.join(sorted(HELPDESKS))}")
        self.helpdesk = HELPDESKS[name]
        self.site = site
        self.helpdesk.check(site)
        self.address = Address.read(
            site.base_url, "base_url", allow_private=site.allow_private, timeout_s=site.timeout_s
        )

    @property
    def where(self) -> str:
        how = "internal notes" if self.site.as_note else "replies"
        return f"{self.helpdesk.NAME.capitalize()} at {self.address.host}, as {how}"

    def check(self) -> str:
        """See `Address.check`."""
        return self.address.check(self.where)

    def send(self, outgoing: Outgoing) -> Outcome:
        ticket = foreign_ticket(outgoing)
        if ticket is None:
            return Permanent(
                f"the message did not come from {self.helpdesk.NAME.capitalize()}: it has no ticket there"
            )
        request = self.helpdesk.write(self.site, ticket, outgoing)
        body = json.dumps(request.document, ensure_ascii=False).encode()
        headers = {
            "content-type": "application/json",
            "accept": "application/json",
            **self.helpdesk.headers(self.site),
        }
        answer = self.address.request(
            request.method, body, headers, where=self.where, url=self.site.base_url.rstrip("/") + request.path
        )
        if not isinstance(answer, Answer):
            return answer
        words = f"{self.where} answered {answer.words}"
        if 200 <= answer.status < 300:
            what = "an internal note" if self.site.as_note else "a reply"
            return Accepted(f"{what} on ticket {ticket} ({self.where} answered {answer.status})")
        if answer.status in NOT_TAKEN:
            return Temporary(words)
        if answer.status >= 500:
            return Uncertain(words)
        return Permanent(words + ("; redirects are not followed" if answer.status < 400 else ""))


def foreign_ticket(outgoing: Outgoing) -> str | None:
    """The number that the helpdesk gave the conversation: the first id of ours among the references, for
    what follows it may have been written by the customer (see `pipeline.ingest.webhooks.building`)."""
    end = f".thread@{outgoing.inbox}.webhook.invalid"
    first = next((each for each in outgoing.references if each.endswith(".webhook.invalid")), "")
    number = first.removesuffix(end)
    return number if first.endswith(end) and re.fullmatch(r"[0-9]{1,20}", number) else None
