"""One header block: cut, unfolded, decoded by our own rules, so that nothing in it can become a new header."""

# ruff: noqa: SIM905 - a list of words reads best as words

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone

from pipeline.ingest.bounds import Bounds, OverBound
from pipeline.ingest.charsets import clean_line, codec_for

_NAME = re.compile(rb"([!-9;-~]+)[ \t]*:")
_ENCODED_WORD = re.compile(r"=\?([^?\s]{1,60})\?([bBqQ])\?([^?]*)\?=")
_WORD_REMAINS = re.compile(r"=\?[\w.:*+-]{1,60}\?[bBqQ]\?|\?=")
_MESSAGE_ID = re.compile(r"<([^<>]{1,998})>")
_DATE = re.compile(
    r"(?P<day>\d{1,2})[\s-]+(?P<month>[A-Za-z]{3})[A-Za-z]*\.?[\s-]+(?P<year>\d{2,4})"
    r"[\s,]+(?P<hour>\d{1,2})[:.](?P<minute>\d{2})(?:[:.](?P<second>\d{2}))?"
    r"(?:\s*(?P<zone>[+-]\d{2}:?\d{2}|[A-Za-z]{1,5}))?"
)
_ASCTIME = re.compile(
    r"(?P<month>[A-Za-z]{3})[a-z]*\s+(?P<day>\d{1,2})\s+(?P<hour>\d{1,2}):(?P<minute>\d{2}):(?P<second>\d{2})"
    r"(?:\s+(?P<zone>[+-]\d{4}|[A-Z]{1,5}))?\s+(?P<year>\d{4})(?:\s+(?P<late>[+-]\d{4}))?"
)
_MONTHS = {
    name: n for n, name in enumerate("jan feb mar apr may jun jul aug sep oct nov dec".split(), start=1)
}
_ZONES = {"EST": -5, "EDT": -4, "CST": -6, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8, "PDT": -7}
_ZONES |= {"CET": 1, "CEST": 2, "MEZ": 1, "MESZ": 2, "BST": 1, "EET": 2, "EEST": 3, "MSK": 3, "JST": 9}


@dataclass(slots=True)
class Headers:
    """The fields of one block in order: lower-case name, raw unfolded value."""

    fields: list[tuple[str, bytes]] = field(default_factory=list)
    defects: list[str] = field(default_factory=list)

    def raw(self, name: str) -> bytes | None:
        for known, value in self.fields:
            if known == name:
                return value
        return None

    def raw_all(self, name: str) -> list[bytes]:
        return [value for known, value in self.fields if known == name]

    def text(self, name: str) -> str:
        """The value for people: encoded words decoded, one line, no control characters; "" without it."""
        value = self.raw(name)
        return decode_text(as_text(value)) if value is not None else ""

    def plain(self, name: str) -> str:
        """The value as it stands (structured headers), one line, no control characters; "" without it."""
        value = self.raw(name)
        return clean_line(as_text(value)) if value is not None else ""

    def __contains__(self, name: str) -> bool:
        return any(known == name for known, _ in self.fields)


def read_block(raw: bytes, start: int, end: int, bounds: Bounds) -> tuple[Headers, int]:
    """The header block at `start`; also where the body begins. Raises OverBound."""
    headers = Headers()
    at = start
    limit = min(end, start + bounds.header_bytes + 1)
    name: str | None = None
    value: list[bytes] = []
    first = True
    while at < end:
        if at >= limit:
            raise OverBound(f"more than {bounds.header_bytes} bytes of headers")
        stop, after = _line_end(raw, at, end, limit)
        if stop == at:
            at = after
            break
        line = raw[at:stop]
        if line[:1] in (b" ", b"\t"):
            if not line.strip():
                # A line of blanks: the end for most programs, and so for us, unless nothing has begun.
                if name is not None and not _looks_like_header(raw, after, end):
                    at = after
                    break
            elif name is not None:
                value.append(line.strip())
            elif not first:
                pass  # the continuation of an mbox separator
            else:
                return headers, start
        else:
            match = _NAME.match(line)
            if match:
                if name is not None:
                    headers.fields.append((name, b" ".join(value)))
                    if len(headers.fields) >= bounds.header_count:
                        raise OverBound(f"more than {bounds.header_count} header lines")
                name = match.group(1).decode("ascii").lower()
                value = [line[match.end() :].strip()]
            elif first and line.startswith((b"From ", b">From ")):
                pass  # the separator line of an mbox
            elif name is None:
                return headers, start
            elif line.startswith(b">From "):
                pass
            else:
                headers.defects.append("the headers end without a blank line")
                break
        first = False
        at = after
    if name is not None:
        headers.fields.append((name, b" ".join(value)))
    return headers, at


def _line_end(raw: bytes, at: int, end: int, limit: int) -> tuple[int, int]:
    """Where the line at `at` stops and where the next begins; CRLF, LF and a lone CR all end a line."""
    stop = raw.find(b"\n", at, min(end, limit + 1))
    if stop < 0:
        stop = min(end, limit)
        after = stop
    else:
        after = stop + 1
    carriage = raw.find(b"\r", at, stop)
    if carriage >= 0:
        if carriage == stop - 1 and after > stop:
            return carriage, after
        nxt = carriage + 1
        while nxt < stop and raw[nxt : nxt + 1] == b"\r":
            nxt += 1
        # CR CR LF is one damaged line end; a CR amid a line ends it, as it would for the next program.
        return carriage, after if nxt == stop and after > stop else nxt
    return stop, after


def _looks_like_header(raw: bytes, at: int, end: int) -> bool:
    return _NAME.match(raw, at, min(end, at + 200)) is not None


def as_text(value: bytes) -> str:
    """Raw header bytes as text: ASCII, UTF-8 (RFC 6532), or else the commonest 8-bit habit."""
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        try:
            return value.decode("cp1252")
        except UnicodeDecodeError:
            return value.decode("latin-1")


def decode_text(value: str) -> str:
    """A header value for people. What decodes to a line break or to another encoded word stays harmless."""
    if "=?" in value:
        value = _WORD_REMAINS.sub("", _decode_words(value))
    return clean_line(value)


def _decode_words(value: str) -> str:
    out: list[str] = []
    pending: list[tuple[str, bytes]] = []
    at = 0

    def flush() -> None:
        for charset, data in pending:
            out.append(_to_text(data, charset))
        pending.clear()

    for match in _ENCODED_WORD.finditer(value):
        between = value[at : match.start()]
        if between.strip() or not pending:
            flush()
            out.append(between)
        charset = match.group(1).partition("*")[0].lower()
        data = _word_bytes(match.group(2), match.group(3))
        # A character may be cut in two between words of one charset, so their bytes are joined first.
        if pending and pending[-1][0] == charset:
            pending[-1] = (charset, pending[-1][1] + data)
        else:
            pending.append((charset, data))
        at = match.end()
    flush()
    out.append(value[at:])
    return "".join(out)


def _word_bytes(encoding: str, text: str) -> bytes:
    raw = text.encode("utf-8", "replace")
    if encoding in "bB":
        return decode_base64(raw)[0]
    return binascii.a2b_qp(raw.replace(b"_", b" "), header=False)


def _to_text(data: bytes, charset: str) -> str:
    codec = codec_for(charset) or "utf-8"
    try:
        return data.decode(codec)
    except (UnicodeDecodeError, ValueError):
        pass
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode(codec if codec != "ascii" else "cp1252", "replace")


def decode_base64(data: bytes) -> tuple[bytes, bool]:
    """`(bytes, damaged)`: whatever can be had, with foreign characters and bad padding passed over."""
    try:
        return binascii.a2b_base64(data), False
    except (binascii.Error, ValueError):
        pass
    kept = re.sub(rb"[^A-Za-z0-9+/]", b"", data)
    kept = kept[: len(kept) - (len(kept) % 4 == 1)]
    return base64.b64decode(kept + b"=" * (-len(kept) % 4)), True


def message_ids(value: str, limit: int = 200) -> tuple[str, ...]:
    """The ids in a Message-ID, In-Reply-To or References value, without brackets, each once, in order.

    Of a very long list the first and the latest are kept: the root and the near ancestors thread best.
    """
    found = [re.sub(r"\s+", "", m) for m in _MESSAGE_ID.findall(value)]
    if not found and "<" not in value:
        found = [word for word in value.split() if "@" in word and len(word) < 998]
    unique = list(dict.fromkeys(clean_line(i) for i in found if i))
    if len(unique) > limit:
        unique = unique[: limit // 2] + unique[-limit // 2 :]
    return tuple(unique)


def parse_date(value: str) -> datetime | None:
    """A Date header as an aware UTC time; a missing or unknown zone is read as UTC. None if unreadable."""
    value = value[:200]
    match = _DATE.search(value) or _ASCTIME.search(value)
    if match is None:
        try:
            moment = datetime.fromisoformat(value.strip())
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
        except (ValueError, OverflowError):
            return None
    part = match.groupdict()
    month = _MONTHS.get(part["month"].lower())
    if month is None:
        return None
    year = int(part["year"])
    if year < 100:
        year += 2000 if year < 69 else 1900
    elif year < 1000:
        year += 1900  # programs that counted years from 1900
    try:
        moment = datetime(
            year,
            month,
            int(part["day"]),
            int(part["hour"]) % 24,
            int(part["minute"]),
            min(int(part["second"] or 0), 59),
            tzinfo=_zone(part.get("late") or part["zone"] or ""),
        )
        return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _zone(text: str) -> timezone:
    if text[:1] in ("+", "-"):
        digits = text[1:].replace(":", "")
        minutes = int(digits[:2]) * 60 + int(digits[2:4])
        if minutes >= 24 * 60:
            return UTC
        return timezone(timedelta(minutes=-minutes if text[0] == "-" else minutes))
    return timezone(timedelta(hours=_ZONES.get(text.upper(), 0)))


def iter_parameters(value: str, limit: int) -> Iterator[tuple[str, str]]:
    """`name=value` pairs after the first `;`, in one pass. Raises OverBound beyond `limit` of them."""
    at = value.find(";")
    count = 0
    while 0 <= at < len(value):
        match = _PARAMETER.match(value, at)
        if match is None:
            at = value.find(";", at + 1)
            continue
        count += 1
        if count > limit:
            raise OverBound(f"more than {limit} parameters in one header")
        quoted = match.group(2)
        text = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else match.group(3).strip()
        yield match.group(1).lower(), text
        at = value.find(";", match.end())


_PARAMETER = re.compile(r';\s*([^\s=;"]{1,100})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^;]*))')
