"""SendGrid inbound parse: a mail as a multipart form, signed by ECDSA over the timestamp and the raw body.

The inbox's secret is the verification key that SendGrid shows: a P-256 public key in base64.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from pipeline.errors import ConfigError
from pipeline.ingest.webhooks.building import parsed_mail
from pipeline.ingest.webhooks.forms import Form, read_form
from pipeline.ingest.webhooks.shape import MAIL_BODY_BYTES, Event, NotUnderstood, SignatureRefused, Verified
from pipeline.ingest.webhooks.standard import fresh

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

NAME = "sendgrid"
MAX_BODY_BYTES = MAIL_BODY_BYTES
CONTENT_TYPES = ("multipart/form-data",)
TOLERANCE_S = 600


def verify(headers: Mapping[str, str], body: bytes, secrets: Sequence[str], at: datetime) -> Verified:
    timestamp = headers.get("x-twilio-email-event-webhook-timestamp", "")
    try:
        signature = base64.b64decode(headers.get("x-twilio-email-event-webhook-signature", ""), validate=True)
    except (binascii.Error, ValueError):
        signature = b""
    if not timestamp or not signature:
        raise SignatureRefused("the signature or its timestamp is missing")
    fresh(timestamp, at, TOLERANCE_S)
    keys = [_key(secret) for secret in secrets]
    if not any(_holds(key, signature, timestamp.encode() + body) for key in keys):
        raise SignatureRefused("the signature does not match")
    return Verified("")  # it gives its posts no id: the body is its own


def read(body: bytes, source: str) -> Event:
    form = read_form(body)
    if "email" in form.fields:  # "POST the raw, full MIME message"
        from pipeline.ingest.mime import parse

        return Event(parse(form.fields["email"]), is_mail=True)
    if not form.text("from") and "headers" not in form.fields:
        raise NotUnderstood("the form names no sender")
    charsets = _object(form, "charsets")
    headers = _lines(form.text("headers"))
    known = {name.lower() for name, _ in headers}
    for name in ("From", "To", "Subject"):
        if name.lower() not in known:
            headers.append((name, form.text(name.lower(), str(charsets.get(name.lower(), "utf-8")))))
    recipients = _object(form, "envelope").get("to")
    if isinstance(recipients, list):
        headers += [("Delivered-To", str(one)) for one in recipients[:20]]
    text = form.text("text", str(charsets.get("text", "utf-8")))
    html = form.text("html", str(charsets.get("html", "utf-8")))
    files = [one for field, one in form.files if field.startswith("attachment")]
    return Event(parsed_mail(headers, text, html, files), is_mail=True)


def _key(secret: str) -> EllipticCurvePublicKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import load_der_public_key

    try:
        key = load_der_public_key(base64.b64decode(secret, validate=True))
        if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
            return key
    except (binascii.Error, ValueError, UnsupportedAlgorithm):
        pass
    raise ConfigError("the secret of a sendgrid inbox is its verification key, in base64")


def _holds(key: EllipticCurvePublicKey, signature: bytes, signed: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.hashes import SHA256

    try:
        key.verify(signature, signed, ec.ECDSA(SHA256()))
    except InvalidSignature:
        return False
    return True


def _object(form: Form, name: str) -> dict[str, object]:
    try:
        found = json.loads(form.text(name) or "{}")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _lines(block: str) -> list[tuple[str, str]]:
    """A header block as it came, unfolded."""
    headers: list[tuple[str, str]] = []
    for line in block.splitlines()[:2_000]:
        if line[:1] in (" ", "\t") and headers:
            headers[-1] = (headers[-1][0], headers[-1][1] + " " + line.strip())
        else:
            name, colon, value = line.partition(":")
            if colon:
                headers.append((name.strip(), value.strip()))
    return headers
