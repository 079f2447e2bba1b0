"""An approved reply as a mail: every header checked, the same bytes at every attempt."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email import policy
from email.errors import MessageError
from email.headerregistry import Address, HeaderRegistry, UnstructuredHeader
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import Policy
from email.utils import format_datetime

from pipeline.delivery.markup import as_html
from pipeline.errors import InputError

WIDTH = 76
"""Characters in a line of the text before it is flowed, RFC 3676 section 4.2 (at most 78)."""

MAX_REFERENCES = 20

_MESSAGE_ID = re.compile(r"[!-;=?-~]{3,900}")  # visible ASCII but for the angle brackets
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_BIDI = re.compile(r"[\u200e\u200f\u202a-\u202e\u2066-\u2069]")


class _MessageIds(UnstructuredHeader):
    """A header of message ids, one a line: the library would encode a long id as if it were text."""

    name: str

    def fold(self, *, policy: Policy) -> str:
        return f"{self.name}: " + f"{policy.linesep} ".join(str(self).split()) + policy.linesep


_HEADERS = HeaderRegistry()
for _name in ("in-reply-to", "references", "message-id"):
    _HEADERS.map_to_type(_name, _MessageIds)  # type: ignore[arg-type]  # mixed with BaseHeader there
POLICY = policy.SMTP.clone(header_factory=_HEADERS)


@dataclass(frozen=True)
class Sender:
    """Who an inbox answers as. `signature` is put under every reply; with `plus_address` the Reply-To
    carries the ticket's token (support+TOKEN@example.com), for which the mail server must accept plus
    addresses."""

    address: str
    name: str = ""
    signature: str = ""
    plus_address: bool = True


@dataclass(frozen=True)
class Outgoing:
    """One approved reply on its way out: the row of `replies`, its ticket's token, and the sender.

    Message ids are without angle brackets. `approved_at` becomes the Date, so that a second attempt
    sends the same bytes as the first. `doubtful`: of an earlier attempt nobody knows how it ended.
    """

    reply_id: int
    ticket_id: int
    inbox: str
    attempt: int
    message_id: str
    to_address: str
    subject: str
    text: str
    sender: Sender
    reply_token: str
    approved_at: datetime
    to_name: str = ""
    in_reply_to: str | None = None
    references: tuple[str, ...] = field(default=())
    doubtful: bool = False


def compose(outgoing: Outgoing) -> EmailMessage:
    """The mail. Raises `InputError` when an address or the Message-ID cannot stand in a header.

    What a customer wrote (subject, names, references) is cleaned rather than refused: a broken header
    of theirs must not keep them from an answer. The text goes out plain, and as HTML of the same words.
    Auto-Submitted and Precedence are not set: a person approved the text, and nothing else is ever sent.
    """
    sender = outgoing.sender
    if not _MESSAGE_ID.fullmatch(outgoing.message_id):
        raise InputError(f"reply {outgoing.reply_id}: its Message-ID cannot stand in a header")
    message = EmailMessage(policy=POLICY)
    message["From"] = header_address(sender.address, sender.name, "the inbox's from_address")
    message["To"] = header_address(outgoing.to_address, outgoing.to_name, "the customer's address")
    message["Subject"] = one_line(outgoing.subject)
    message["Date"] = format_datetime(outgoing.approved_at.astimezone(UTC))
    message["Message-ID"] = f"<{outgoing.message_id}>"
    if sender.plus_address:
        message["Reply-To"] = header_address(
            plus_address(sender.address, outgoing.reply_token), sender.name, "the reply address"
        )
    chain = [item for item in outgoing.references if _MESSAGE_ID.fullmatch(item)]
    if outgoing.in_reply_to and _MESSAGE_ID.fullmatch(outgoing.in_reply_to):
        message["In-Reply-To"] = f"<{outgoing.in_reply_to}>"
        if outgoing.in_reply_to not in chain:
            chain.append(outgoing.in_reply_to)
    if len(chain) > MAX_REFERENCES:  # the first names the thread, the last its newest mails
        chain = chain[:1] + chain[1 - MAX_REFERENCES :]
    if chain:
        message["References"] = " ".join(f"<{item}>" for item in chain)
    text = body_text(outgoing.text, sender.signature)
    message.set_content(flow(text), charset="utf-8", cte="quoted-printable", params={"format": "flowed"})
    message.add_alternative(as_html(text), subtype="html", charset="utf-8", cte="quoted-printable")
    # not a random one: a second attempt sends the same bytes. "=_" stands in no quoted-printable text.
    message.set_boundary(f"=_{hashlib.sha256(outgoing.message_id.encode()).hexdigest()[:32]}")
    check_headers(message)
    return message


def wire_bytes(message: EmailMessage) -> tuple[bytes, bool]:
    """The mail with CRLF line ends, and whether the server must know SMTPUTF8 (a non-ASCII mailbox name)."""
    addresses = [a.addr_spec for name in ("From", "To", "Reply-To") for a in _listed(message, name)]
    utf8 = not all(address.isascii() for address in addresses)
    return message.as_bytes(policy=policy.SMTPUTF8 if utf8 else policy.SMTP), utf8


def plus_address(address: str, token: str) -> str:
    """support@example.com and a token: support+TOKEN@example.com; a plus part of its own gives way."""
    local, _, domain = address.rpartition("@")
    return f"{local.partition('+')[0]}+{token}@{domain}"


def envelope(address: str) -> str:
    """The address as SMTP's envelope carries it: an international domain in its ASCII form."""
    local, _, domain = address.rpartition("@")
    return f"{local}@{domain if domain.isascii() else domain.encode('idna').decode('ascii')}"


def one_line(text: str) -> str:
    """A header's display text on one line, without control characters and direction overrides.

    Text that looks like an encoded word (=?utf-8?q?=0A?=) is broken up: the library would decode it again.
    """
    text = text.replace("=?", "= ?")
    return re.sub(r"\s+", " ", _CONTROL.sub(" ", _BIDI.sub("", _encodable(text)))).strip()


def body_text(text: str, signature: str) -> str:
    """The approved text and the signature below its `-- ` line; no control characters but tab and newline."""
    text = _clean_body(text)
    if signature.strip():
        text += "\n\n-- \n" + _clean_body(signature)
    return text + "\n"


def flow(text: str) -> str:
    """The text as format=flowed (RFC 3676): long paragraphs in lines that end in a space."""
    lines: list[str] = []
    for line in text.split("\n"):
        if line == "-- ":
            lines.append(line)
            continue
        lines.extend(_flow_line(line.rstrip(" ")))
    return "\n".join(lines)


def _flow_line(line: str) -> list[str]:
    """Broken after spaces only, so that joining the parts gives the line back."""
    parts: list[str] = []
    part, width = "", 0
    for word in re.findall(r" *[^ ]+ ?| +", line):
        wide = _width(word)
        # never after "-- " alone: for mail programs what follows such a line is the signature
        if part and width + wide > WIDTH and part.endswith(" ") and part != "-- ":
            parts.append(part)
            part, width = "", 0
        part, width = part + word, width + wide
    parts.append(part)
    return [f" {part}" if part.startswith((" ", ">", "From ")) else part for part in parts]


def _width(text: str) -> int:
    """Columns on a screen: East Asian wide characters take two."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def _clean_body(text: str) -> str:
    text = _encodable(text).replace("\r\n", "\n").replace("\r", "\n").replace("\u2028", "\n")
    text = text.replace("\u2029", "\n\n")
    return re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", "", text).strip("\n").rstrip()


def _encodable(text: str) -> str:
    """Without lone surrogates, which UTF-8 has no bytes for."""
    return text.encode("utf-8", "replace").decode("utf-8")


def header_address(address: str, name: str, what: str) -> Address:
    """As a header carries it; raises `InputError`, which calls the address `what`."""
    local, at, domain = address.rpartition("@")
    if not at or not local or not domain or len(address) > 320:
        raise InputError(f"{what} {address[:80]!r} is not a mail address")
    if re.search(r"[\s<>(),;:\\\"\[\]]", address) or _CONTROL.search(address) or _BIDI.search(address):
        raise InputError(f"{what} {address[:80]!r} has characters that no header may carry")
    try:
        domain = domain if domain.isascii() else domain.encode("idna").decode("ascii")
        return Address(display_name=one_line(name), username=local, domain=domain)
    except (UnicodeError, ValueError, IndexError, MessageError) as error:
        raise InputError(f"{what} {address[:80]!r} is not a mail address: {error}") from None


def _listed(message: EmailMessage, name: str) -> tuple[Address, ...]:
    header = message[name]
    return tuple(header.addresses) if header is not None else ()


def check_headers(message: EmailMessage) -> None:
    """Read the mail back as a server would: exactly our headers, each once, none with a line break.

    Python 3.11 lets an encoded line break in a value become a real one when it is written.
    """
    for name, value in message.items():
        if _CONTROL.search(str(value)):
            raise InputError(f"the {name} header of the mail would carry a control character")
    data, _utf8 = wire_bytes(message)
    read = BytesParser(policy=policy.compat32).parsebytes(data, headersonly=True)
    if [name.lower() for name in read.keys()] != [name.lower() for name in message.keys()] or read.defects:  # noqa: SIM118
        raise InputError("the mail's headers do not read back as written; look at its subject and names")
