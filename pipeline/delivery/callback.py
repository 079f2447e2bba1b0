"""Replies to a webhook source: a signed POST (Standard Webhooks) to the address that the team set.

The webhook-id is the reply's Message-ID, the same at every attempt: a receiver that keeps ids takes the
reply once, so an attempt without an answer may be repeated. 410 ends it for the inbox.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime

from pipeline.delivery.compose import Outgoing, body_text
from pipeline.delivery.outcomes import Accepted, Gone, Outcome, Permanent, Temporary, Uncertain
from pipeline.delivery.posting import TIMEOUT_S, Address, Answer
from pipeline.errors import ConfigError

AGAIN = frozenset({408, 425, 429})
"""Refusals that a later attempt may get past. So may any 5xx, but that says nothing of what was done."""

MIN_KEY_BYTES = 24
"""What Standard Webhooks asks for."""


@dataclass(frozen=True)
class Callback:
    """Where replies of a webhook inbox are posted. `secret` is the shared key, whsec_… in base64."""

    url: str
    secret: str = field(repr=False)
    allow_private: bool = False
    timeout_s: float = TIMEOUT_S


class CallbackMailer:
    """Posts replies as JSON: {"type": "reply.approved", "timestamp": …, "data": {…}}."""

    def __init__(self, callback: Callback) -> None:
        self.callback = callback
        self.address = Address.read(
            callback.url,
            "callback_url",
            allow_private=callback.allow_private,
            timeout_s=callback.timeout_s,
        )
        _check_key(callback.secret)

    @property
    def where(self) -> str:
        return f"the callback {self.address.host}:{self.address.port}"

    def send(self, outgoing: Outgoing) -> Outcome:
        """One attempt. Without an answer, or after a 5xx, it is `Uncertain`, and safe to repeat: see
        `BY_CALLBACK`."""
        body = body_of(outgoing)
        answer = self.address.request("POST", body, self._headers(outgoing, body), where=self.where)
        if not isinstance(answer, Answer):
            return answer
        if 200 <= answer.status < 300:
            return Accepted(answer.words)
        if answer.status in AGAIN:
            return Temporary(f"{self.where} answered {answer.words}")
        if answer.status >= 500:
            return Uncertain(f"{self.where} answered {answer.words}")
        if answer.status == 410:
            return Gone(f"{self.where} answered {answer.words}")
        more = "; redirects are not followed" if answer.status < 400 else ""
        return Permanent(f"{self.where} answered {answer.words}{more}")

    def check(self) -> str:
        """See `Address.check`."""
        return self.address.check(self.where)

    def _headers(self, outgoing: Outgoing, body: bytes) -> dict[str, str]:
        from standardwebhooks.webhooks import Webhook

        at = datetime.now(UTC)
        return {
            "content-type": "application/json",
            "webhook-id": outgoing.message_id,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": Webhook(self.callback.secret).sign(outgoing.message_id, at, body.decode()),
        }


def _check_key(secret: str) -> None:
    """Raises `ConfigError`, which the library would not for what is nearly base64."""
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except ValueError:
        key = b""
    if len(key) < MIN_KEY_BYTES:
        raise ConfigError(
            f"callback_secret is a key of {MIN_KEY_BYTES} bytes or more in base64, like whsec_…"
        )


def body_of(outgoing: Outgoing) -> bytes:
    """The JSON that is posted: the same bytes at every attempt."""
    document = {
        "type": "reply.approved",
        "timestamp": outgoing.approved_at.isoformat(),
        "data": {
            "ticket": outgoing.ticket_id,
            "inbox": outgoing.inbox,
            "message_id": outgoing.message_id,
            "in_reply_to": outgoing.in_reply_to,
            "references": list(outgoing.references),
            "to": outgoing.to_address,
            "subject": outgoing.subject,
            "text": body_text(outgoing.text, outgoing.sender.signature),
        },
    }
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
