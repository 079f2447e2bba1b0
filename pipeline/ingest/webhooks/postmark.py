"""Postmark inbound: a whole mail as JSON. It signs nothing; the address that it posts to carries a password.

The inbox's secret is `user:password`, as in `https://user:password@host/webhooks/NAME`.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from datetime import datetime

from pydantic import Field, ValidationError

from pipeline.ingest.webhooks.building import File, Payload, document, parsed_mail, understood
from pipeline.ingest.webhooks.shape import MAIL_BODY_BYTES, Event, NotUnderstood, SignatureRefused, Verified
from pipeline.ingest.webhooks.signing import check_secret, event_id

NAME = "postmark"
MAX_BODY_BYTES = MAIL_BODY_BYTES
CONTENT_TYPES = ("application/json",)


class _Header(Payload):
    name: str = Field(alias="Name")
    value: str = Field(alias="Value")


class _Attachment(Payload):
    name: str = Field("", alias="Name")
    content: str = Field(alias="Content")
    content_type: str = Field("application/octet-stream", alias="ContentType")
    content_id: str | None = Field(None, alias="ContentID")


class _Mail(Payload):
    from_: str = Field(alias="From", min_length=1)
    from_name: str = Field("", alias="FromName")
    to: str = Field("", alias="To")
    cc: str = Field("", alias="Cc")
    reply_to: str = Field("", alias="ReplyTo")
    original_recipient: str = Field("", alias="OriginalRecipient")
    subject: str = Field("", alias="Subject")
    date: str = Field("", alias="Date")
    text: str = Field("", alias="TextBody")
    html: str = Field("", alias="HtmlBody")
    headers: tuple[_Header, ...] = Field((), alias="Headers")
    attachments: tuple[_Attachment, ...] = Field((), alias="Attachments")
    raw: str | None = Field(None, alias="RawEmail")


def verify(headers: Mapping[str, str], body: bytes, secrets: Sequence[str], at: datetime) -> Verified:
    scheme, _, given = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        raise SignatureRefused("user and password are missing")
    try:
        check_secret(base64.b64decode(given, validate=True).decode(), secrets)
    except (binascii.Error, UnicodeDecodeError):
        raise SignatureRefused("user and password cannot be read") from None
    return event_id(body, "MessageID")


def read(body: bytes, source: str) -> Event:
    try:
        said = _Mail.model_validate(document(body))
        files = [
            File(one.name, one.content_type, base64.b64decode(one.content), one.content_id)
            for one in said.attachments
        ]
    except ValidationError as error:
        raise understood(error) from None
    except (binascii.Error, ValueError):
        raise NotUnderstood("an attachment is not base64") from None
    if said.raw:
        from pipeline.ingest.mime import parse

        return Event(parse(said.raw.encode("utf-8", "surrogateescape")), is_mail=True)
    address = [
        ("From", said.from_ if "<" in said.from_ else f'"{said.from_name}" <{said.from_}>'),
        ("To", said.to),
        ("Cc", said.cc),
        ("Reply-To", said.reply_to),
        ("Delivered-To", said.original_recipient),
        ("Subject", said.subject),
        ("Date", said.date),
    ]
    own = {name.lower() for name, _ in address}
    others = [(one.name, one.value) for one in said.headers if one.name.lower() not in own]
    return Event(parsed_mail([*others, *address], said.text, said.html, files), is_mail=True)
