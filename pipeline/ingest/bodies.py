"""Which parts of the MIME tree are the text, which are attachments, and the text itself."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from itertools import islice

from pipeline.ingest import html as html_text
from pipeline.ingest.bounds import Meter
from pipeline.ingest.charsets import clean_line, decode
from pipeline.ingest.headers import Headers
from pipeline.ingest.message import Attachment
from pipeline.ingest.structure import Part, uu_line

_SHOWN_AS_TEXT = frozenset(
    ("text/plain", "text/markdown", "text/enriched", "text/richtext", "text/x-amp-html")
)
_EXTENSIONS = {
    "text/calendar": "ics",
    "text/html": "html",
    "text/csv": "csv",
    "text/plain": "txt",
    "text/vcard": "vcf",
    "text/x-vcard": "vcf",
    "text/directory": "vcf",
    "message/rfc822": "eml",
    "message/delivery-status": "txt",
    "application/pdf": "pdf",
    "application/zip": "zip",
    "application/json": "json",
    "application/ms-tnef": "dat",
    "application/pgp-signature": "asc",
    "application/pgp-encrypted": "asc",
    "application/pkcs7-signature": "p7s",
    "application/x-pkcs7-signature": "p7s",
    "application/pkcs7-mime": "p7m",
    "application/x-pkcs7-mime": "p7m",
    "image/jpeg": "jpg",
    "image/jpg": "jpg",
    "image/png": "png",
    "image/gif": "gif",
    "image/webp": "webp",
    "image/svg+xml": "svg",
    "audio/mpeg": "mp3",
}
# A text part that only says where the real one is.
_PLACEHOLDER = re.compile(
    r"html|view (?:this|it|the) (?:e-?mail|message|mail)?|web ?browser|does(?:n[o']t| not) support"
    r"|multi-?part|im browser"
    r"|navigateur|navegador|niet goed|w przeglądarce",
    re.I,
)
_UU_BEGIN = re.compile(r"^begin [0-7]{3,4} (\S[^\n]{0,200})$", re.M)
_BAD_NAME = re.compile(
    r"[\x00-\x1f\x7f-\x9f<>:\"/\\|?*\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]+"
)
_RESERVED = re.compile(r"(?i)(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|$)")
_MAX_NAME = 120


@dataclass(slots=True)
class Body:
    """What a message says and carries. `marked` is `text` with HTML's private marks, for the quote finder."""

    text: str = ""
    marked: str = ""
    html: str | None = None
    attachments: list[Attachment] = field(default_factory=list)
    calendar_method: str = ""


@dataclass(slots=True)
class _Alternative:
    plain: str | None = None
    html: str | None = None


def read_body(root: Part, meter: Meter, defects: list[str]) -> Body:
    """Text, HTML for display and attachments of a message. Raises OverBound."""
    body = Body()
    pieces: list[_Alternative] = []
    _collect(root, meter, defects, pieces, body)
    texts: list[str] = []
    pages: list[str] = []
    has_html = any(piece.html is not None for piece in pieces)
    for piece in pieces:
        texts.append(_marked_text(piece, meter))
        if has_html:
            pages.append(piece.html if piece.html is not None else _as_html(piece.plain or ""))
    body.marked = "\n\n".join(text for text in texts if text.strip()).strip("\n")
    meter.text(len(body.marked))
    body.text = html_text.without_marks(body.marked)
    meter.clock()
    if has_html:
        body.html = html_text.sanitise("\n<hr>\n".join(pages)) or None
    return body


def safe_filename(name: str, content_type: str, number: int) -> str:
    """A name without path, control characters, direction marks or reserved words, at most 120 characters."""
    name = re.split(r"[/\\]", clean_line(name))[-1]
    name = _BAD_NAME.sub("_", name).strip(" .")
    if not name or not name.strip("_"):
        extension = _EXTENSIONS.get(content_type, "bin")
        kind = "image" if content_type.startswith("image/") else "attachment"
        name = f"{kind}-{number}.{extension}"
    if _RESERVED.match(name):
        name = "_" + name
    if len(name.encode()) > _MAX_NAME:
        stem, dot, extension = name.rpartition(".")
        if not dot or len(extension.encode()) > 16:
            stem, extension, dot = name, "", ""
        room = _MAX_NAME - len((dot + extension).encode())
        name = stem.encode()[:room].decode("utf-8", "ignore") + dot + extension
    return name


def _collect(root: Part, meter: Meter, defects: list[str], pieces: list[_Alternative], body: Body) -> None:
    """Walks the tree in order without recursion; each entry says whether it is the body of its container."""
    stack: list[tuple[Part, bool]] = [(root, False)]
    while stack:
        part, related = stack.pop()
        if part.children:
            kind = part.content_type
            if kind == "multipart/alternative":
                rest = _alternative(part, meter, defects, pieces)
                stack.extend((child, True) for child in reversed(rest))
            elif kind == "multipart/related":
                first, others = _related_root(part)
                stack.extend((child, True) for child in reversed(others))
                stack.append((first, False))
            elif kind == "multipart/encrypted":
                _note(defects, "an encrypted message that cannot be read")
                stack.extend((child, False) for child in reversed(part.children))
            else:
                stack.extend((child, related) for child in reversed(part.children))
            continue
        if _is_text(part) and not (related and part.content_type == "text/html" and part.content_id()):
            piece = _Alternative()
            text = _text_of(part, meter, defects)
            if part.content_type == "text/html":
                piece.html = text
            else:
                piece.plain = _without_uuencoded(text, body, meter, defects)
            pieces.append(piece)
        else:
            _attach(part, related, meter, defects, body)


def _alternative(part: Part, meter: Meter, defects: list[str], pieces: list[_Alternative]) -> list[Part]:
    """One piece out of the plain and the HTML form; what is neither is returned, to be attached."""
    piece = _Alternative()
    rest: list[Part] = []
    pages: list[str] = []
    plains: list[str] = []
    queue = list(part.children)
    while queue:
        child = queue.pop(0)
        if child.children:
            if child.content_type == "multipart/related":
                first, others = _related_root(child)
                queue.insert(0, first)
                rest.extend(others)
            elif len(child.children) < 200:
                queue[:0] = child.children
            else:
                rest.append(child)
        elif _is_text(child):
            text = _text_of(child, meter, defects)
            (pages if child.content_type == "text/html" else plains).append(text)
        else:
            rest.append(child)
    if pages:
        piece.html = "\n<br>\n".join(pages)
    if plains:
        piece.plain = "\n\n".join(plains)
    if pages or plains:
        pieces.append(piece)
    return rest


def _related_root(part: Part) -> tuple[Part, list[Part]]:
    start = part.parameters.get("start", "").strip("<> ")
    for child in part.children:
        if start and child.content_id() == start:
            return child, [c for c in part.children if c is not child]
    for child in part.children:
        # The first is the root; where a program put an image first, the first text is.
        if child.maintype in ("text", "multipart"):
            return child, [c for c in part.children if c is not child]
    return part.children[0], part.children[1:]


def _is_text(part: Part) -> bool:
    if part.disposition == "attachment":
        return False
    if part.content_type == "text/html":
        return not part.filename() or (part.disposition != "attachment" and not part.filename())
    if part.content_type not in _SHOWN_AS_TEXT:
        return False
    return not part.filename()


def _text_of(part: Part, meter: Meter, defects: list[str]) -> str:
    data = part.decode(meter, defects)
    meter.text(len(data) // 4)
    is_html = part.content_type == "text/html"
    text, defect = decode(data, part.parameters.get("charset"), html=is_html)
    if defect:
        _note(defects, defect)
    meter.text(len(text))
    if part.parameters.get("format", "").lower() == "flowed" and not is_html:
        text = unflow(text, delsp=part.parameters.get("delsp", "").lower() == "yes")
    return text


def unflow(text: str, delsp: bool = False) -> str:
    """format=flowed (RFC 3676): a line that ends in a blank goes on in the next of the same quote depth."""
    out: list[str] = []
    open_depth = -1
    for line in text.split("\n"):
        bare = line.lstrip(">")
        depth = len(line) - len(bare)
        if bare[:1] == " ":
            bare = bare[1:]
        signature = bare in ("-- ", "--")
        if open_depth == depth and not signature and out:
            out[-1] += bare
        else:
            out.append((">" * depth + " " if depth else "") + bare)
        flows = bare.endswith(" ") and not signature
        if flows and delsp:
            out[-1] = out[-1][:-1]
        open_depth = depth if flows else -1
    return "\n".join(out)


def _marked_text(piece: _Alternative, meter: Meter) -> str:
    """The plain form where it has substance, else the HTML one."""
    if piece.html is None:
        return piece.plain or ""
    plain = (piece.plain or "").strip()
    if plain and not (len(plain) < 300 and _PLACEHOLDER.search(plain)) and not _is_markup(plain):
        return piece.plain or ""
    meter.clock()
    text = html_text.to_text(piece.html)
    return text if text.strip() else plain


def _is_markup(plain: str) -> bool:
    head = plain[:300].lower()
    return head.startswith(("<!doctype html", "<html", "<?xml", "<body")) or "</style>" in head


def _as_html(plain: str) -> str:
    escaped = plain.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return "<pre>" + escaped + "</pre>"


def _without_uuencoded(text: str, body: Body, meter: Meter, defects: list[str]) -> str:
    """uuencoded files in a text become attachments."""
    if "\nend" not in text or "begin " not in text:
        return text
    out: list[str] = []
    at = 0
    for match in islice(_UU_BEGIN.finditer(text), 20):
        if match.start() < at:
            continue
        found = _uu_data(text, match.end())
        if found is None:
            continue
        data, end = found
        meter.decoded(len(data))
        meter.clock()
        _add(body, match.group(1), "application/octet-stream", data, False, None)
        out.append(text[at : match.start()])
        at = end
    out.append(text[at:])
    return "".join(out)


def _uu_data(text: str, at: int) -> tuple[bytes, int] | None:
    """The bytes of the lines from `at` to `end`, and where the text goes on; None if a line is no such line."""
    decoded: list[bytes] = []
    while True:
        stop = text.find("\n", at + 1)
        line = text[at + 1 : stop if stop >= 0 else len(text)]
        if line.strip() == "end":
            return (b"".join(decoded), stop if stop >= 0 else len(text)) if any(decoded) else None
        if stop < 0 or len(line) > 200:
            return None
        data = uu_line(line.encode("ascii", "replace")) if line.strip() else b""
        if data is None:
            return None
        decoded.append(data)
        at = stop


def _attach(part: Part, related: bool, meter: Meter, defects: list[str], body: Body) -> None:
    content_type = part.content_type
    if content_type == "text/calendar" and not body.calendar_method:
        body.calendar_method = part.parameters.get("method", "").lower()[:20]
    encoded = content_type.startswith("message/") and not part.headers.plain("content-transfer-encoding")
    data = part.encoded() if encoded else part.decode(meter, defects)
    if encoded:
        meter.decoded(len(data))
    if content_type in ("application/pkcs7-mime", "application/x-pkcs7-mime"):
        _note(defects, "a signed or encrypted S/MIME body that is not opened")
    name = part.filename()
    if not name and content_type == "message/rfc822":
        name = _subject_name(part)
    cid = part.content_id()
    inline = part.maintype == "image" and (
        (related and part.disposition != "attachment") or part.disposition == "inline"
    )
    if cid and related and part.maintype == "image":
        inline = True
    _add(body, name, content_type, data, inline, cid)


def _subject_name(part: Part) -> str:
    inner = embedded_headers(part)
    subject = inner.text("subject") if inner else ""
    return f"{subject[:80]}.eml" if subject else ""


def embedded_headers(part: Part) -> Headers | None:
    """The header block of a message that came as a part; None where it cannot be read in bounds."""
    from pipeline.ingest.bounds import DEFAULT_BOUNDS, OverBound
    from pipeline.ingest.headers import read_block

    try:
        return read_block(part.raw, part.start, part.end, DEFAULT_BOUNDS)[0]
    except OverBound:
        return None


def _add(body: Body, name: str, content_type: str, data: bytes, inline: bool, cid: str | None) -> None:
    body.attachments.append(
        Attachment(
            filename=safe_filename(name, content_type, len(body.attachments) + 1),
            content_type=content_type,
            size=len(data),
            sha256=hashlib.sha256(data).hexdigest(),
            inline=inline,
            content_id=cid,
            data=data,
        )
    )


def _note(defects: list[str], text: str) -> None:
    if text not in defects:
        defects.append(text)


def body_hash(text: str, attachments: list[Attachment]) -> str:
    """SHA-256 over the words of the text (white space aside) and the files, the same on every route of a mail."""
    digest = hashlib.sha256(" ".join(text.split()).encode("utf-8", "replace"))
    for attachment in attachments:
        digest.update(b"\0" + attachment.sha256.encode())
    return digest.hexdigest()
