"""A mail that triage itself writes, to its own team: plain text, HTML, and pictures within the mail."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime

from pipeline.delivery.compose import POLICY, check_headers, header_address, one_line

NAME = "Support report"


@dataclass(frozen=True)
class Letter:
    """`html` shows the `pictures` (PNG by name) as cid:NAME@triage. `message_id` is without angle brackets."""

    message_id: str
    sender: str
    to: str
    subject: str
    at: datetime
    text: str
    html: str
    pictures: Mapping[str, bytes] = field(default_factory=dict)


def compose_letter(letter: Letter) -> EmailMessage:
    """The mail; the same letter is the same bytes. Raises `InputError` when an address cannot stand in a header.

    multipart/alternative: the text, then multipart/related with the HTML and its pictures. Auto-Submitted
    (RFC 3834) keeps other programs from answering it.
    """
    message = EmailMessage(policy=POLICY)
    message["From"] = header_address(letter.sender, NAME, "TRIAGE_REPORT_FROM:")
    message["To"] = header_address(letter.to, "", "TRIAGE_REPORT_TO:")
    message["Subject"] = one_line(letter.subject)
    message["Date"] = format_datetime(letter.at.astimezone(UTC))
    message["Message-ID"] = f"<{letter.message_id}>"
    message["Auto-Submitted"] = "auto-generated"
    message["X-Auto-Response-Suppress"] = "All"  # the same, for Exchange
    message.set_content(letter.text, charset="utf-8", cte="quoted-printable")
    message.add_alternative(letter.html, subtype="html", charset="utf-8", cte="quoted-printable")
    html = message.get_payload()[1]  # type: ignore[index]  # two alternatives were just made
    assert isinstance(html, EmailMessage)
    for name, data in letter.pictures.items():
        html.add_related(
            data, "image", "png", cid=f"<{name}@triage>", disposition="inline", filename=f"{name}.png"
        )
    digest = hashlib.sha256(letter.message_id.encode()).hexdigest()
    message.set_boundary(f"=_{digest[:32]}")
    if letter.pictures:
        html.set_boundary(f"=_{digest[32:]}")
    check_headers(message)
    return message
