"""The generic source: our own JSON shape, signed by Standard Webhooks.

    {"id": "...", "from": {"name": "...", "address": "..."}, "to": [{...}], "subject": "...", "text": "...",
     "html": "...", "date": "2026-11-23T09:00:00Z", "message_id": "...", "in_reply_to": "...",
     "references": ["..."], "thread": "...", "verified_sender": true,
     "attachments": [{"name": "...", "content_type": "...", "data": "base64", "content_id": null}]}

`text` or `html` is needed, and `from`. `thread` is the source's own id of a conversation: what bears the
same one goes on the same ticket. `verified_sender` says that the source knows the sender to be who the
address says, as a shop knows a customer who is logged in.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from pipeline.ingest.webhooks import standard
from pipeline.ingest.webhooks.building import (
    File,
    date_header,
    document,
    mailbox,
    message_id,
    parsed_mail,
    thread_id,
    understood,
)
from pipeline.ingest.webhooks.shape import MAIL_BODY_BYTES, Event, Verified

NAME = "generic"
MAX_BODY_BYTES = MAIL_BODY_BYTES
CONTENT_TYPES = ("application/json",)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class _Person(_Strict):
    name: str | None = None
    address: str

    @field_validator("address")
    @classmethod
    def _address(cls, value: str) -> str:
        if not mailbox(None, value):
            raise ValueError("is not a mail address")
        return value


class _Attachment(_Strict):
    name: str = ""
    content_type: str = "application/octet-stream"
    data: bytes
    content_id: str | None = None

    @field_validator("data", mode="before")
    @classmethod
    def _base64(cls, value: object) -> bytes:
        if not isinstance(value, str):
            raise ValueError("is not base64 text")
        try:
            return base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            raise ValueError("is not base64 text") from None


class _Message(_Strict):
    id: str | None = Field(None, max_length=255)
    from_: _Person = Field(alias="from")
    to: tuple[_Person, ...] = ()
    subject: str | None = None
    text: str | None = None
    html: str | None = None
    date: datetime | None = None
    message_id: str | None = None
    in_reply_to: str | None = None
    references: tuple[str, ...] = ()
    thread: str | None = Field(None, max_length=255)
    verified_sender: bool = False
    attachments: tuple[_Attachment, ...] = Field((), max_length=200)

    @field_validator("to", mode="before")
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        if isinstance(value, str):
            return [{"address": value}]
        if isinstance(value, Mapping):
            return [value]
        return [{"address": one} if isinstance(one, str) else one for one in value] if value else ()  # type: ignore[attr-defined]  # whatever else it is, pydantic refuses it

    @model_validator(mode="after")
    def _a_body(self) -> _Message:
        if not (self.text or "").strip() and not (self.html or "").strip() and not self.attachments:
            raise ValueError("text, html and attachments are all empty")
        return self


def verify(headers: Mapping[str, str], body: bytes, secrets: Sequence[str], at: datetime) -> Verified:
    return standard.verify(headers, body, secrets, at)


def read(body: bytes, source: str) -> Event:
    try:
        said = _Message.model_validate(document(body))
    except ValidationError as error:
        raise understood(error) from None
    own, references = message_id(said.message_id), [message_id(one) for one in said.references]
    if said.thread:
        references.insert(0, thread_id(source, said.thread))
    message = parsed_mail(
        [
            ("From", mailbox(said.from_.name, said.from_.address)),
            ("To", ", ".join(mailbox(one.name, one.address) for one in said.to)),
            ("Subject", said.subject),
            ("Date", date_header(said.date)),
            ("Message-ID", own),
            ("In-Reply-To", message_id(said.in_reply_to)),
            ("References", " ".join(one for one in references if one)),
        ],
        said.text,
        said.html,
        [File(one.name, one.content_type, one.data, one.content_id) for one in said.attachments],
    )
    return Event(message, sender_verified=said.verified_sender)
