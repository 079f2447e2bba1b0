"""The Standard Webhooks signature: HMAC-SHA256 over id, timestamp and raw body, five minutes either way."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from datetime import datetime

from pipeline.errors import ConfigError
from pipeline.ingest.webhooks.shape import SignatureRefused, Verified

TOLERANCE_S = 300
_MOST_SIGNATURES = 20


def verify(headers: Mapping[str, str], body: bytes, secrets: Sequence[str], at: datetime) -> Verified:
    """Check `webhook-id`, `webhook-timestamp` and `webhook-signature`; the id is the event's.

    One signature of the header under one of the secrets is enough, so that keys can be changed.
    """
    event_id = headers.get("webhook-id", "")
    timestamp = headers.get("webhook-timestamp", "")
    signatures = headers.get("webhook-signature", "")
    if not event_id or not timestamp or not signatures:
        raise SignatureRefused("webhook-id, webhook-timestamp or webhook-signature is missing")
    if len(event_id) > 255 or not event_id.isprintable():
        raise SignatureRefused("webhook-id is too long or not text")
    fresh(timestamp, at, TOLERANCE_S)
    signed = f"{event_id}.{timestamp}.".encode() + body
    given = [_decoded(one[3:]) for one in signatures.split(" ")[:_MOST_SIGNATURES] if one.startswith("v1,")]
    for secret in secrets:
        expected = hmac.new(key(secret), signed, hashlib.sha256).digest()
        if any(hmac.compare_digest(expected, one) for one in given):
            return Verified(event_id)
    raise SignatureRefused("the signature does not match")


def key(secret: str) -> bytes:
    """The bytes of `whsec_…` (base64, as the specification has it). Raises `ConfigError`."""
    try:
        found = base64.b64decode(secret.removeprefix("whsec_") + "==", validate=False)
    except binascii.Error:
        found = b""
    if len(found) < 16:
        raise ConfigError(
            "a webhook secret is whsec_ and at least 24 random bytes in base64; "
            'make one with: python3 -c "import base64, os; '
            "print('whsec_' + base64.b64encode(os.urandom(32)).decode())\""
        )
    return found


def fresh(timestamp: str, at: datetime, tolerance_s: int) -> None:
    """Raise `SignatureRefused` unless the timestamp (whole seconds since 1970) is near enough."""
    if not timestamp.isascii() or not timestamp.isdigit() or len(timestamp) > 12:
        raise SignatureRefused("the timestamp is not a number of seconds")
    if abs(at.timestamp() - int(timestamp)) > tolerance_s:
        raise SignatureRefused("the timestamp is too old or too new")


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""
