"""One raw message in, one parsed message out: `parse` takes any bytes and never raises."""

# ruff: noqa: SIM905 - a list of words reads best as words

from __future__ import annotations

import re
from collections.abc import Collection
from contextlib import suppress

from pipeline.ingest import bodies, bounces
from pipeline.ingest.addresses import AddressList, parse_addresses
from pipeline.ingest.automated import classify
from pipeline.ingest.bounds import DEFAULT_BOUNDS, Bounds, Meter, OverBound
from pipeline.ingest.charsets import clean_line, clean_text, decode
from pipeline.ingest.headers import Headers, as_text, decode_text, message_ids, parse_date, read_block
from pipeline.ingest.message import Address, Attachment, Bounce, Kind, ParsedMessage
from pipeline.ingest.quoting import split
from pipeline.ingest.structure import Part, read_tree

__all__ = ["DEFAULT_BOUNDS", "Bounds", "parse"]

# What makes a block of `Name: value` lines the headers of a mail and not the first lines of some text.
_MAIL_HEADERS = frozenset(
    "from to subject date message-id received return-path mime-version content-type cc bcc sender reply-to delivered-to"
    " in-reply-to references x-mailer list-id content-transfer-encoding".split()
)
_MAX_SUBJECT = 998


def parse(raw: bytes, bounds: Bounds = DEFAULT_BOUNDS, own: Collection[str] = frozenset()) -> ParsedMessage:
    """The message as values. Whatever is over a bound, or cannot be read, comes back with kind `quarantine`,
    the reason, and what could be read safely. `own` are the inboxes' addresses, for `classify`."""
    headers = Headers()
    try:
        if len(raw) > bounds.raw_bytes:
            headers, _ = read_block(raw, 0, min(len(raw), bounds.header_bytes), bounds)
            return _quarantined(headers, f"more than {bounds.raw_bytes} bytes")
        if not raw.strip(b"\x00 \t\r\n"):
            return ParsedMessage(kind="quarantine", kind_reason="it is empty")
        raw = _unwrapped(raw)
        headers, body_at = read_block(raw, 0, len(raw), bounds)
        if not any(name in _MAIL_HEADERS for name, _ in headers.fields):
            return _no_headers(raw, bounds)
        return _parsed(raw, headers, body_at, bounds, own)
    except OverBound as over:
        return _quarantined(headers, str(over))
    except RecursionError:
        return _quarantined(headers, "nested too deeply to be read")
    except Exception as error:
        # Whatever a reader of foreign bytes stumbles over must not block the next message: the raw bytes are
        # kept, the reason is shown, and the defect becomes a fixture.
        return _quarantined(headers, f"it could not be read ({type(error).__name__})")


def _unwrapped(raw: bytes) -> bytes:
    """Leading empty lines and a byte order mark before the headers are accidents of transport."""
    if raw.startswith(b"\xef\xbb\xbf"):
        raw = raw[3:]
    if raw[:1] in (b"\r", b"\n"):
        raw = raw.lstrip(b"\r\n")
    return raw


def _parsed(
    raw: bytes, headers: Headers, body_at: int, bounds: Bounds, own: Collection[str]
) -> ParsedMessage:
    meter = Meter(bounds)
    defects: list[str] = []
    root = read_tree(raw, meter, defects, block=(headers, body_at))
    people = _People(headers, defects, bounds)
    body = bodies.read_body(root, meter, defects)
    subject = _subject(headers, defects)
    meter.clock()
    marked, sender = body.marked, people.from_
    parts = split(marked, subject, sender.name if sender else "")
    text, new_text = body.text, parts.new_text
    if not text.strip():
        forwarded = _forwarded_text(root, meter, defects)
        if forwarded:
            text, new_text = forwarded
    meter.clock()
    bounced = bounces.read_bounce(root, headers, text, subject)
    if bounced:
        kind: Kind = "bounce"
        bounce: Bounce | None = bounced[0]
        reason = bounced[1]
    else:
        bounce = None
        kind, reason = classify(root, headers, subject, new_text, body.calendar_method, own)
    if kind == "person" and sender is None and not text.strip() and not body.attachments:
        kind, reason = "quarantine", "it has neither a sender nor a text"
    elif kind == "person" and sender is None and _garbage(text):
        kind, reason = "quarantine", "it has no sender, and its text cannot be read"
    ids = message_ids(headers.plain("message-id"), limit=10)
    if "message-id" in headers and not ids:
        defects.append("a Message-ID that names nothing")
    elif len(ids) > 1 or len(headers.raw_all("message-id")) > 1:
        defects.append("more than one Message-ID")
    parents = message_ids(headers.plain("in-reply-to"), limit=20)
    references = message_ids(" ".join(clean_line(as_text(v)) for v in headers.raw_all("references")))
    date = parse_date(headers.plain("date"))
    if "date" in headers and date is None:
        defects.append("a Date that cannot be read")
    return ParsedMessage(
        kind=kind,
        kind_reason=reason,
        message_id=ids[0] if ids else "",
        in_reply_to=parents[0] if parents else None,
        references=references + tuple(p for p in parents[1:] if p not in references),
        from_=sender,
        from_trusted=people.trusted,
        sender=people.sender,
        reply_to=people.reply_to,
        to=people.to,
        cc=people.cc,
        delivered_to=people.delivered_to,
        subject=subject,
        date=date,
        text=text,
        new_text=new_text,
        html=body.html,
        body_hash=bodies.body_hash(text, body.attachments),
        attachments=tuple(body.attachments),
        bounce=bounce,
        defects=tuple(dict.fromkeys(defects)),
        authentication_results=tuple(
            clean_line(as_text(v)) for v in headers.raw_all("authentication-results")[:20]
        ),
        auto_submitted=headers.plain("auto-submitted") or None,
        return_path=_return_path(headers),
        list_id=headers.plain("list-id")[:300] or None,
        list_post=headers.plain("list-post")[:300] or None,
    )


class _People:
    """Everybody that the headers name; From is trusted only when it names one address, once, without defects."""

    def __init__(self, headers: Headers, defects: list[str], bounds: Bounds) -> None:
        self._headers = headers
        self._defects = defects
        self._limit = bounds.addresses
        from_ = self._read("from")
        count = len(headers.raw_all("from"))
        if count > 1:
            defects.append("more than one From header")
        if len(from_.addresses) > 1:
            defects.append("From names more than one address")
        self.from_: Address | None = from_.addresses[0] if from_.addresses else None
        self.trusted = count == 1 and len(from_.addresses) == 1 and not from_.defects
        sender = self._read("sender").addresses
        self.sender: Address | None = sender[0] if sender else None
        self.reply_to = self._read("reply-to").addresses
        self.to = self._read("to").addresses
        self.cc = self._read("cc").addresses
        delivered: list[str] = []
        for name in ("delivered-to", "x-original-to", "envelope-to", "x-forwarded-to", "apparently-to"):
            for value in headers.raw_all(name)[:20]:
                found = parse_addresses(as_text(value), decode_text, self._limit).addresses
                delivered.extend(a.address for a in found if a.address not in delivered)
        self.delivered_to = tuple(delivered)

    def _read(self, name: str) -> AddressList:
        values = self._headers.raw_all(name)
        if not values:
            return AddressList((), ())
        # A From that is repeated is judged by its first; To and Cc may stand in several lines.
        text = as_text(values[0] if name in ("from", "sender") else b", ".join(values))
        found = parse_addresses(text, decode_text, self._limit)
        self._defects.extend(f"{name.title()}: {defect}" for defect in found.defects[:5])
        return found


def _subject(headers: Headers, defects: list[str]) -> str:
    subject = headers.text("subject")
    if len(headers.raw_all("subject")) > 1:
        defects.append("more than one Subject")
    return subject[:_MAX_SUBJECT]


def _return_path(headers: Headers) -> str | None:
    value = headers.raw("return-path")
    if value is None:
        return None
    inside = clean_line(as_text(value)).strip("<> ")
    return inside[:320]


def _forwarded_text(root: Part, meter: Meter, defects: list[str]) -> tuple[str, str] | None:
    """A mail that only carries another one as its attachment speaks with that one's text."""
    carried = next((p for p in root.walk() if p.content_type == "message/rfc822" and not p.children), None)
    if carried is None or root.content_type == "multipart/report":
        return None
    if carried.headers.plain("content-transfer-encoding").lower().startswith(("base64", "quoted")):
        raw = carried.decode(meter, defects)
        inner = read_tree(raw, meter, defects)
    else:
        inner = read_tree(carried.raw, meter, defects, carried.start, carried.end)
    body = bodies.read_body(inner, meter, [])
    if not body.text.strip():
        return None
    head = [
        f"{name.title()}: {value}"
        for name in ("from", "date", "subject")
        if (value := inner.headers.text(name)[:300])
    ]
    text = "\n".join([*head, "", body.text])
    return text, text


_READABLE = re.compile(r"[\w\s.,;:!?'\"()/@<>=+&%$#*\[\]{}|~^`\\-]")


def _garbage(text: str) -> bool:
    """Whether a text is more replacement marks and odd signs than words."""
    sample = text[:4_000]
    if not sample.strip():
        return True
    readable = len(_READABLE.findall(sample))
    return readable * 10 < len(sample) * 7 or sample.count("\ufffd") * 5 > len(sample)


def _no_headers(raw: bytes, bounds: Bounds) -> ParsedMessage:
    """Bytes without the headers of a mail: kept, with whatever text they hold."""
    meter = Meter(bounds)
    meter.text(len(raw) // 4)
    looks_html = re.match(
        rb"\s*(?:<!doctype|<html|<\?xml|<(?:div|p|body|head|span|table)\b)", raw[:400], re.I
    )
    text, defect = decode(raw, None, html=bool(looks_html))
    meter.text(len(text))
    html: str | None = None
    marked = text
    if looks_html:
        from pipeline.ingest import html as html_text

        marked = html_text.to_text(text)
        meter.clock()
        html = html_text.sanitise(text) or None
        text = html_text.without_marks(marked)
    attachments: list[Attachment] = []
    return ParsedMessage(
        kind="quarantine",
        kind_reason="no mail headers",
        text=text,
        new_text=split(marked).new_text,
        html=html,
        body_hash=bodies.body_hash(text, attachments),
        defects=(defect,) if defect else (),
    )


def _quarantined(headers: Headers, reason: str) -> ParsedMessage:
    """What the headers say, each read by itself, so that one that cannot be read does not hide the others."""
    from_: tuple[Address, ...] = ()
    to: tuple[Address, ...] = ()
    ids: tuple[str, ...] = ()
    subject = ""
    # The message is in quarantine already, with its raw bytes; a header that breaks its reader is left out.
    with suppress(Exception):
        subject = headers.text("subject")[:_MAX_SUBJECT]
        ids = message_ids(headers.plain("message-id")[:2_000], limit=10)
        from_ = parse_addresses(as_text((headers.raw("from") or b"")[:2_000]), decode_text, 100).addresses
        to = parse_addresses(as_text((headers.raw("to") or b"")[:2_000]), decode_text, 100).addresses
    return ParsedMessage(
        kind="quarantine",
        kind_reason=clean_text(reason),
        message_id=ids[0] if ids else "",
        from_=from_[0] if from_ else None,
        to=to,
        subject=subject,
        date=parse_date(headers.plain("date")),
        body_hash=bodies.body_hash("", []),
    )
