"""Mailgun routes: a mail as form fields, or whole in `body-mime`.

Its signature covers a timestamp and a token, not the mail: so each token is good once. It repeats an
undelivered post for eight hours, which is why the timestamp may be that old.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime

from pipeline.ingest.webhooks.building import parsed_mail
from pipeline.ingest.webhooks.forms import Form, read_form
from pipeline.ingest.webhooks.shape import MAIL_BODY_BYTES, Event, NotUnderstood, SignatureRefused, Verified
from pipeline.ingest.webhooks.signing import check_hmac
from pipeline.ingest.webhooks.standard import fresh

NAME = "mailgun"
MAX_BODY_BYTES = MAIL_BODY_BYTES
CONTENT_TYPES = ("application/x-www-form-urlencoded", "multipart/form-data")
TOLERANCE_S = 12 * 3600


def verify(headers: Mapping[str, str], body: bytes, secrets: Sequence[str], at: datetime) -> Verified:
    try:
        form = read_form(body)  # the signature stands in the body, so its three fields are read first
    except NotUnderstood as error:
        raise SignatureRefused(str(error)) from None
    timestamp, token = form.text("timestamp"), form.text("token")
    if not timestamp or not token or len(token) > 200:
        raise SignatureRefused("timestamp or token is missing")
    check_hmac(form.text("signature"), (timestamp + token).encode(), secrets, "sha256", "hex")
    fresh(timestamp, at, TOLERANCE_S)
    return Verified(token)


def read(body: bytes, source: str) -> Event:
    form = read_form(body)
    if "body-mime" in form.fields:
        from pipeline.ingest.mime import parse

        return Event(parse(form.fields["body-mime"]), is_mail=True)
    sender = form.text("from") or form.text("sender")
    if not sender:
        raise NotUnderstood("the form names no sender")
    headers = _headers(form)
    known = {name.lower() for name, _ in headers}
    for name, field in (
        ("From", "from"),
        ("To", "To"),
        ("Subject", "subject"),
        ("Delivered-To", "recipient"),
    ):
        if name.lower() not in known:
            headers.append((name, form.text(field) or (sender if name == "From" else "")))
    files = [one for field, one in form.files if field.startswith("attachment")]
    return Event(parsed_mail(headers, form.text("body-plain"), form.text("body-html"), files), is_mail=True)


def _headers(form: Form) -> list[tuple[str, str | None]]:
    """The mail's own headers: a JSON list of [name, value]."""
    if "message-headers" not in form.fields:
        return []
    try:
        pairs = json.loads(form.text("message-headers"))
        return [(str(name), str(value)) for name, value in pairs]
    except (ValueError, TypeError, RecursionError):
        raise NotUnderstood("message-headers is not a list of names and values") from None
