"""The MIME tree of a message, cut by searching for boundaries in the raw bytes, under bounds, without recursion
into the interpreter's mail parser."""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

from pipeline.ingest.bounds import Bounds, Meter, OverBound
from pipeline.ingest.charsets import clean_line, codec_for
from pipeline.ingest.headers import Headers, as_text, decode_base64, decode_text, iter_parameters, read_block

_TYPE = re.compile(r"\s*([\w!#$&^.+-]{1,100})\s*/\s*([\w!#$&^.+-]{1,100})\s*(?:;|$|\s)")
_TOKEN = re.compile(r"\s*\"?([\w.+-]{1,60})")


@dataclass(slots=True)
class Part:
    """One MIME part. `start` and `end` bound its still encoded body within `raw`."""

    raw: bytes
    headers: Headers
    start: int
    end: int
    content_type: str
    parameters: dict[str, str]
    disposition: str
    disposition_parameters: dict[str, str]
    children: list[Part] = field(default_factory=list)

    @property
    def maintype(self) -> str:
        return self.content_type.partition("/")[0]

    @property
    def is_container(self) -> bool:
        return bool(self.children)

    def walk(self) -> Iterator[Part]:
        """This part and all below it, in order."""
        stack = [self]
        while stack:
            part = stack.pop()
            yield part
            stack.extend(reversed(part.children))

    def filename(self) -> str:
        """The name as given, decoded; not yet safe. "" without one."""
        for parameters, name in ((self.disposition_parameters, "filename"), (self.parameters, "name")):
            if parameters.get(name):
                return decode_text(parameters[name])
        return ""

    def content_id(self) -> str | None:
        value = self.headers.plain("content-id").strip("<> ")
        return value[:250] or None

    def encoded(self) -> bytes:
        return self.raw[self.start : self.end]

    def decode(self, meter: Meter, defects: list[str]) -> bytes:
        """The body without its transfer encoding. Raises OverBound."""
        data = self.encoded()
        encoding = self.headers.plain("content-transfer-encoding").lower().strip("\"' ;")
        meter.clock()
        if encoding.startswith("base64"):
            data, damaged = decode_base64(data)
            if damaged:
                _once(defects, "damaged base64")
        elif encoding.startswith("quoted-printable"):
            if _QP_DAMAGE.search(data):
                _once(defects, "damaged quoted-printable")
            data = binascii.a2b_qp(data)
        elif encoding in ("x-uuencode", "uuencode", "x-uue", "uue"):
            data = _uudecode(data)
        elif encoding not in ("", "7bit", "8bit", "binary") and "bit" not in encoding:
            _once(defects, f'unknown transfer encoding "{clean_line(encoding)[:40]}"')
        meter.decoded(len(data))
        return data


_QP_DAMAGE = re.compile(rb"=(?![0-9A-Fa-f]{2}|[ \t]*\r?\n|[ \t]*\Z)")


def read_tree(
    raw: bytes,
    meter: Meter,
    defects: list[str],
    start: int = 0,
    end: int | None = None,
    block: tuple[Headers, int] | None = None,
) -> Part:
    """The whole message as a tree; `block` is its header block where that is read already (see read_block).

    Raises OverBound; takes any bytes.
    """
    stop = len(raw) if end is None else end
    block = block or read_block(raw, start, stop, meter.bounds)
    root = _part(raw, block, stop, "text/plain", meter.bounds, defects)
    stack: list[tuple[Part, int]] = [(root, 0)]
    while stack:
        part, depth = stack.pop()
        meter.part(depth)
        if part.maintype != "multipart":
            continue
        boundary = part.parameters.get("boundary", "")
        if not boundary:
            _once(defects, "a multipart without a boundary")
            _as_text(part)
            continue
        default = "message/rfc822" if part.content_type == "multipart/digest" else "text/plain"
        spans, closed = _spans(raw, part.start, part.end, boundary.rstrip(), meter)
        if not spans:
            _once(defects, "a multipart without parts")
            _as_text(part)
            continue
        if not closed:
            _once(defects, "a multipart that is not closed")
        part.children = [_read_part(raw, a, b, default, meter.bounds, defects) for a, b in spans]
        stack.extend((child, depth + 1) for child in reversed(part.children))
    return root


def _once(defects: list[str], text: str) -> None:
    if text not in defects:
        defects.append(text)


def _as_text(part: Part) -> None:
    """A container that holds nothing readable as parts is shown as the text that it is."""
    part.content_type = "text/plain"
    part.parameters = {}


def _read_part(raw: bytes, start: int, end: int, default: str, bounds: Bounds, defects: list[str]) -> Part:
    return _part(raw, read_block(raw, start, end, bounds), end, default, bounds, defects)


def _part(
    raw: bytes, block: tuple[Headers, int], end: int, default: str, bounds: Bounds, defects: list[str]
) -> Part:
    headers, body = block
    for defect in headers.defects:
        _once(defects, defect)
    content_type = default
    parameters: dict[str, str] = {}
    value = headers.raw("content-type")
    if value is not None:
        content_type, parameters = _content_type(as_text(value), default, bounds, defects)
    disposition = ""
    disposition_parameters: dict[str, str] = {}
    value = headers.raw("content-disposition")
    if value is not None:
        text = as_text(value)
        token = _TOKEN.match(text)
        disposition = token.group(1).lower() if token else ""
        disposition_parameters = _parameters(text, bounds)
    return Part(raw, headers, body, end, content_type, parameters, disposition, disposition_parameters)


def _content_type(text: str, default: str, bounds: Bounds, defects: list[str]) -> tuple[str, dict[str, str]]:
    match = _TYPE.match(text)
    parameters = _parameters(text, bounds)
    if match:
        return f"{match.group(1)}/{match.group(2)}".lower(), parameters
    word = text.partition(";")[0].strip().lower()
    if word in ("text", "html", "plain"):
        return ("text/html" if word == "html" else "text/plain"), parameters
    if word.startswith("multipart") and parameters.get("boundary"):
        return "multipart/mixed", parameters
    _once(defects, "a Content-Type that cannot be read")
    return default, parameters


def _parameters(text: str, bounds: Bounds) -> dict[str, str]:
    """Parameters with RFC 2231 continuations and character sets put together; the first of a name counts."""
    plain: dict[str, str] = {}
    pieces: dict[str, dict[int, tuple[str, bool]]] = {}
    for name, value in iter_parameters(text, bounds.parameters):
        if "*" not in name:
            plain.setdefault(name, value)
            continue
        base, _, rest = name.partition("*")
        encoded = rest == "" or rest.endswith("*")
        number = rest.rstrip("*")
        if number == "" or (number.isascii() and number.isdigit() and len(number) < 4):
            pieces.setdefault(base, {}).setdefault(int(number or 0), (value, encoded))
    for base, numbered in pieces.items():
        plain[base] = _join_2231(numbered)
    return plain


def _join_2231(numbered: dict[int, tuple[str, bool]]) -> str:
    charset = ""
    data = b""
    for position, number in enumerate(sorted(numbered)):
        if number != position:
            break
        value, encoded = numbered[number]
        if encoded and position == 0 and value.count("'") >= 2:
            charset, _, value = value.split("'", 2)
        data += unquote_to_bytes(value) if encoded else value.encode("utf-8", "replace")
    codec = codec_for(charset) or "utf-8"
    try:
        return data.decode(codec)
    except (UnicodeDecodeError, ValueError):
        return data.decode("utf-8", "replace")


def _spans(
    raw: bytes, start: int, end: int, boundary: str, meter: Meter
) -> tuple[list[tuple[int, int]], bool]:
    """Where the parts between the boundary lines lie, and whether the closing line was seen."""
    mark = b"\n--" + boundary.encode("utf-8", "replace")[:200]
    spans: list[tuple[int, int]] = []
    open_at: int | None = None
    misses = 0
    at = max(0, start - 1)  # the line end before the first boundary may belong to the headers
    while True:
        found = raw.find(mark, at, end)
        if found < 0:
            if at == 0 and raw.startswith(mark[1:], start):
                found = start - 1
            else:
                break
        at = found + len(mark)
        line_end = raw.find(b"\n", at, end)
        if line_end < 0:
            line_end = end
        tail = raw[at : min(line_end, at + 200)].strip()
        if tail not in (b"", b"--"):
            misses += 1
            if misses > 20 * meter.bounds.parts:
                raise OverBound("boundary lines that are none, without end")
            continue
        if open_at is not None:
            spans.append((open_at, _before_line(raw, open_at, found + 1)))
            if len(spans) > meter.bounds.parts:
                raise OverBound(f"more than {meter.bounds.parts} parts")
        if tail == b"--":
            return spans, True
        open_at = min(line_end + 1, end)
        at = line_end
    if open_at is not None:
        spans.append((open_at, end))
    return spans, False


def _before_line(raw: bytes, low: int, at: int) -> int:
    """The line end before a boundary belongs to the boundary."""
    if at - 2 >= low and raw[at - 2 : at] == b"\r\n":
        return at - 2
    return max(low, at - 1)


def _uudecode(data: bytes) -> bytes:
    out: list[bytes] = []
    for line in data.splitlines():
        if line.startswith(b"begin ") or not line.strip():
            continue
        if line.strip() == b"end":
            break
        decoded = uu_line(line)
        if decoded is None:
            break
        out.append(decoded)
    return b"".join(out)


def uu_line(line: bytes) -> bytes | None:
    """One uuencoded line; None when it is none. Encoders that add a check character are forgiven."""
    try:
        return binascii.a2b_uu(line)
    except binascii.Error:
        length = (((line[0] - 32) & 63) * 4 + 5) // 3
        try:
            return binascii.a2b_uu(line[: length + 1])
        except binascii.Error:
            return None
