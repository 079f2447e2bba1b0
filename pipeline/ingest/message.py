"""One parsed message as plain frozen values, and its JSON form."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

Kind = Literal["person", "auto_reply", "bounce", "bulk", "quarantine"]


@dataclass(frozen=True, slots=True)
class Address:
    """A mailbox: `name` as shown (may be empty), `address` lower-cased in its domain only."""

    name: str
    address: str

    def to_json(self) -> dict[str, str]:
        return {"name": self.name, "address": self.address}


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that came with the message. `filename` is safe to show and to store, never a path."""

    filename: str
    content_type: str
    size: int
    sha256: str
    inline: bool
    content_id: str | None
    data: bytes = field(repr=False)

    def to_json(self) -> dict[str, Any]:
        return {
            "filename": self.filename,
            "content_type": self.content_type,
            "size": self.size,
            "sha256": self.sha256,
            "inline": self.inline,
            "content_id": self.content_id,
        }


@dataclass(frozen=True, slots=True)
class BouncedRecipient:
    """One address that a mail did not reach; `status` is the enhanced code of RFC 3463 where one is given."""

    address: str
    permanent: bool
    status: str | None

    def to_json(self) -> dict[str, Any]:
        return {"address": self.address, "permanent": self.permanent, "status": self.status}


@dataclass(frozen=True, slots=True)
class Bounce:
    """A delivery report. `original_message_id` is the id of the mail that came back, where it is told."""

    recipients: tuple[BouncedRecipient, ...]
    original_message_id: str | None = None
    original_references: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {"recipients": [r.to_json() for r in self.recipients]}


@dataclass(frozen=True, slots=True)
class ParsedMessage:
    """A message as everything behind the parser sees it.

    `message_id` and `subject` are empty strings where the mail has none. `from_trusted` only says that
    the From header names exactly one address and is well formed; whether the sender is who that says is
    for the authentication results. `html` is sanitised for display. `body_hash` is the SHA-256 of the
    normalised text and the attachments, for de-duplication.
    """

    kind: Kind
    kind_reason: str
    message_id: str = ""
    in_reply_to: str | None = None
    references: tuple[str, ...] = ()
    from_: Address | None = None
    from_trusted: bool = False
    sender: Address | None = None
    reply_to: tuple[Address, ...] = ()
    to: tuple[Address, ...] = ()
    cc: tuple[Address, ...] = ()
    delivered_to: tuple[str, ...] = ()
    subject: str = ""
    date: datetime | None = None
    text: str = ""
    new_text: str = ""
    html: str | None = None
    body_hash: str = ""
    attachments: tuple[Attachment, ...] = ()
    bounce: Bounce | None = None
    defects: tuple[str, ...] = ()
    authentication_results: tuple[str, ...] = ()
    auto_submitted: str | None = None
    return_path: str | None = None
    list_id: str | None = None
    list_post: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The document of `triage parse --json`, as CONTRACT describes it."""
        return {
            "kind": self.kind,
            "kind_reason": self.kind_reason,
            "message_id": self.message_id,
            "in_reply_to": self.in_reply_to,
            "references": list(self.references),
            "from": self.from_.to_json() if self.from_ else None,
            "reply_to": [a.to_json() for a in self.reply_to],
            "to": [a.to_json() for a in self.to],
            "cc": [a.to_json() for a in self.cc],
            "subject": self.subject,
            "date": self.date.isoformat() if self.date else None,
            "text": self.text,
            "new_text": self.new_text,
            "attachments": [a.to_json() for a in self.attachments],
            "bounce": self.bounce.to_json() if self.bounce else None,
            "defects": list(self.defects),
        }
