"""Replies to a webhook source: a signed POST (Standard Webhooks) to the address that the team set.

The webhook-id is the reply's Message-ID, the same at every attempt: a receiver that keeps ids takes the
reply once, so an attempt without an answer may be repeated. Redirects are not followed, and an address
that resolves to anything but the public network is refused unless the setting allows it.
"""

from __future__ import annotations

import ipaddress
import json
import socket
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import urlsplit

from pipeline.accounts.deadline import Deadline
from pipeline.delivery.compose import Outgoing, body_text
from pipeline.delivery.outcomes import Accepted, Outcome, Permanent, Temporary, plain
from pipeline.errors import ConfigError

AGAIN = frozenset({408, 425, 429})
"""Refusals that a later attempt may get past; every 5xx is one too."""

MAX_ANSWER_BYTES = 2_000


@dataclass(frozen=True)
class Callback:
    """Where replies of a webhook inbox are posted. `secret` is the shared key, whsec_… in base64."""

    url: str
    secret: str = field(repr=False)
    allow_private: bool = False
    timeout_s: float = 20.0


class CallbackMailer:
    """Posts replies as JSON: {"type": "reply.approved", "timestamp": …, "data": {…}}."""

    def __init__(self, callback: Callback) -> None:
        parts = urlsplit(callback.url)
        if parts.scheme not in ("https", "http") or not parts.hostname or parts.username:
            raise ConfigError("the callback's url is written like https://host/path")
        if parts.scheme == "http" and not callback.allow_private:
            raise ConfigError("the callback's url is https; plain http only with allow_private = true")
        self.callback = callback
        self.host = parts.hostname
        self.port = parts.port or (443 if parts.scheme == "https" else 80)

    @property
    def where(self) -> str:
        return f"the callback {self.host}:{self.port}"

    def send(self, outgoing: Outgoing) -> Outcome:
        """One attempt. An answer that never came is `Temporary`: the same id cannot be taken twice."""
        with Deadline(self.callback.timeout_s) as deadline:
            try:
                found = self._addresses()
            except OSError as error:
                return Temporary(plain(f"{self.where} has no address: {error.strerror or error}"))
            refused = [each for each in found if not (self.callback.allow_private or _public(each))]
            if refused:
                return Permanent(f"{self.where} resolves to {refused[0]}, which is not on the public network")
            return self._post(found[0], outgoing, deadline)

    def _addresses(self) -> list[str]:
        rows = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        return list(dict.fromkeys(str(row[4][0]) for row in rows))

    def _post(self, address: str, outgoing: Outgoing, deadline: Deadline) -> Outcome:
        import httpx2

        body = body_of(outgoing)
        # the address that was checked is the one that is connected to: no second look-up in between
        url = httpx2.URL(self.callback.url).copy_with(host=address)
        extensions = {"trace": deadline.trace, "sni_hostname": self.host}
        answer = bytearray()
        try:
            with (
                httpx2.Client(
                    follow_redirects=False, trust_env=False, timeout=self.callback.timeout_s
                ) as client,
                client.stream(
                    "POST", url, content=body, headers=self._headers(outgoing, body), extensions=extensions
                ) as response,
            ):
                for piece in response.iter_raw():
                    answer += piece
                    if len(answer) > MAX_ANSWER_BYTES:
                        break
                status = response.status_code
        except (httpx2.HTTPError, OSError) as error:
            if deadline.passed or isinstance(error, httpx2.TimeoutException):
                return Temporary(f"{self.where} did not answer within {self.callback.timeout_s:g} s")
            return Temporary(plain(f"{self.where} cannot be reached: {str(error) or type(error).__name__}"))
        words = plain(f"{status} {bytes(answer[:200]).decode('utf-8', 'replace')}")
        if 200 <= status < 300:
            return Accepted(words)
        if status in AGAIN or status >= 500:
            return Temporary(f"{self.where} answered {words}")
        why = {410: "it wants no more replies (410)"}.get(status, f"it answered {words}")
        return Permanent(f"{self.where}: {why}" + ("; redirects are not followed" if status < 400 else ""))

    def _headers(self, outgoing: Outgoing, body: bytes) -> dict[str, str]:
        from standardwebhooks.webhooks import Webhook

        at = datetime.now(UTC)
        signature = Webhook(self.callback.secret).sign(outgoing.message_id, at, body.decode())
        default = 443 if self.callback.url.startswith("https:") else 80
        host = f"[{self.host}]" if ":" in self.host else self.host
        return {
            "host": host if self.port == default else f"{host}:{self.port}",
            "content-type": "application/json",
            "user-agent": "triage",
            "webhook-id": outgoing.message_id,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": signature,
        }


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


def _public(address: str) -> bool:
    """Whether an address is on the public network; one wrapped in IPv6 counts as what is inside."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if inner is None and ip in ipaddress.ip_network("64:ff9b::/96"):
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            return inner.is_global and not inner.is_multicast
    return ip.is_global and not ip.is_multicast
