"""From, To and Cc read without the interpreter's parser: linear, and never talked into another address."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from pipeline.ingest.bounds import OverBound
from pipeline.ingest.charsets import clean_line
from pipeline.ingest.message import Address

_MAX_ADDRESS = 320
_FAST = re.compile(
    r'\s*(?:"(?P<quoted>[^"\\<>@]*)"|(?P<plain>[^"\\<>@,;:()\[\]]*))\s*'
    r"<(?P<address>[^\s<>@\",;:()\\\[\]]+@[^\s<>@\",;:()\\\[\]]+)>\s*\Z"
)
_LOCAL = re.compile(r"[^\s<>@\",;:()\\\[\]\x00-\x20\x7f]+\Z")
_DOMAIN = re.compile(
    r"(?:[^\s<>@\",;:()\\\[\]\x00-\x20\x7f.]+\.)*[^\s<>@\",;:()\\\[\]\x00-\x20\x7f.]+\.?\Z"
    r"|\[[0-9A-Fa-f.:IPv]+\]\Z"
)
_EMBEDDED = re.compile(r"[\w.+%-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}")
_SPECIAL = re.compile(r"[\"(<>\\,;:\[\]]")


@dataclass(frozen=True, slots=True)
class AddressList:
    """The addresses of one header, and what was wrong with it in plain words."""

    addresses: tuple[Address, ...]
    defects: tuple[str, ...]


def parse_addresses(value: str, decode_name: Callable[[str], str], limit: int = 3_000) -> AddressList:
    """The mailboxes of a raw (not yet decoded) header value; encoded words are decoded in names only.

    Names are decoded after the structure is known, so an encoded comma or bracket stays part of a name.
    Raises OverBound when there are more than `limit`.
    """
    # Brackets are counted too: each one that is not closed would search the rest of the header.
    if any(value.count(mark) > limit * 4 for mark in ",@<["):
        raise OverBound(f"more than {limit} addresses in one header")
    fast = _FAST.match(value)
    if fast:
        name = fast.group("quoted")
        mailbox = _mailbox(
            fast.group("address"), name if name is not None else fast.group("plain"), decode_name
        )
        return AddressList((mailbox[0],) if mailbox[0] else (), tuple(mailbox[1]))
    found: list[Address] = []
    defects: list[str] = []
    pieces, unbalanced = _split(value)
    if unbalanced:
        defects.append(unbalanced)
    for piece in pieces:
        if not piece.has_content:
            continue
        address, problems = _read(piece, decode_name)
        defects.extend(p for p in problems if p not in defects)
        if address:
            found.append(address)
            if len(found) > limit:
                raise OverBound(f"more than {limit} addresses in one header")
    return AddressList(tuple(found), tuple(defects))


def normalise_address(raw: str) -> str | None:
    """`local@domain` with the domain in lower case, or None when it is not an address."""
    raw = raw.strip()
    local, at, domain = raw.rpartition("@")
    if not at or not local or len(raw) > _MAX_ADDRESS or clean_line(raw) != raw:
        return None
    if not _DOMAIN.match(domain):
        return None
    if not _LOCAL.match(local) and not re.fullmatch(r'"[^"\\\x00-\x1f\x7f]+"', local):
        return None
    return f"{local}@{domain.rstrip('.').lower()}"


class _Piece:
    """One mailbox before its parts are judged: text outside, angle parts, comments, quoted strings."""

    __slots__ = ("angles", "comments", "outside")

    def __init__(self) -> None:
        self.outside: list[str] = []
        self.angles: list[str] = []
        self.comments: list[str] = []

    @property
    def has_content(self) -> bool:
        return bool(self.angles or self.comments or "".join(self.outside).strip())


def _split(value: str) -> tuple[list[_Piece], str | None]:
    """The header cut at its commas and groups, in one pass over the special characters."""
    pieces: list[_Piece] = []
    piece = _Piece()
    problem: str | None = None
    at, end = 0, len(value)
    while at < end:
        special = _SPECIAL.search(value, at)
        if special is None:
            piece.outside.append(value[at:])
            break
        start = special.start()
        piece.outside.append(value[at:start])
        char = special.group()
        at = start + 1
        if char == '"':
            text, at, closed = _quoted(value, at)
            if not closed:
                problem = "a quotation mark is not closed"
            piece.outside.append('"' + text + '"' if _continues_address(value, at) else text)
        elif char == "(":
            text, at, closed = _comment(value, at)
            if not closed:
                problem = "a comment is not closed"
            piece.comments.append(text)
        elif char == "<":
            close = value.find(">", at)
            nested = value.find("<", at)
            if close < 0:
                problem = "an angle bracket is not closed"
                piece.angles.append(value[at:])
                at = end
            elif 0 <= nested < close:
                problem = "angle brackets inside one another"
                piece.angles.append(value[at:nested])
                at = nested
            else:
                piece.angles.append(value[at:close])
                at = close + 1
        elif char in ",;":
            pieces.append(piece)
            piece = _Piece()
        elif char == ":":
            # A group's name ends here; what was read so far names nobody. "mailto:" is a habit of web forms.
            piece.outside.clear()
        elif char == ">":
            problem = "an angle bracket that nothing opened"
        elif char == "[":
            close = value.find("]", at)
            stop = close + 1 if close >= 0 else at
            piece.outside.append("[" + value[at:stop])
            at = stop
        elif char == "\\":
            piece.outside.append(value[at : at + 1])
            at += 1
    pieces.append(piece)
    return pieces, problem


def _quoted(value: str, at: int) -> tuple[str, int, bool]:
    out: list[str] = []
    while True:
        close = value.find('"', at)
        if close < 0:
            out.append(value[at:])
            return "".join(out), len(value), False
        escape = value.find("\\", at, close)
        if escape < 0:
            out.append(value[at:close])
            return "".join(out), close + 1, True
        out.append(value[at:escape])
        out.append(value[escape + 1 : escape + 2])
        at = escape + 2


def _comment(value: str, at: int) -> tuple[str, int, bool]:
    depth = 1
    start = at
    for mark in re.compile(r"[()\\]").finditer(value, at):
        if mark.start() < at:
            continue
        if mark.group() == "\\":
            at = mark.end() + 1
        elif mark.group() == "(":
            depth += 1
        else:
            depth -= 1
            if depth == 0:
                return value[start : mark.start()], mark.end(), True
    return value[start:], len(value), False


def _continues_address(value: str, at: int) -> bool:
    return value[at : at + 1] == "@"


def _read(piece: _Piece, decode_name: Callable[[str], str]) -> tuple[Address | None, list[str]]:
    outside = " ".join("".join(piece.outside).split())
    if len(piece.angles) > 1:
        address, problems = _mailbox(piece.angles[-1], outside, decode_name)
        return address, [*problems, "several addresses in angle brackets for one mailbox"]
    if piece.angles:
        return _mailbox(piece.angles[0], outside, decode_name)
    bare = outside.replace(" ", "") if outside.count("@") == 1 else outside
    name = decode_name(" ".join(piece.comments)) if piece.comments else ""
    normal = normalise_address(bare)
    if normal:
        defects = ["white space inside an address"] if " " in outside else []
        return Address(name, normal), defects
    embedded = _EMBEDDED.findall(outside)
    if len(embedded) == 1:
        normal = normalise_address(embedded[0])
        if normal:
            rest = outside.replace(embedded[0], " ")
            return Address(decode_name(rest), normal), ["an address without angle brackets beside other text"]
    return None, [f"not an address: {decode_name(outside)[:80]}"]


def _mailbox(
    inside: str, outside: str, decode_name: Callable[[str], str]
) -> tuple[Address | None, list[str]]:
    """The angle address counts, whatever the display name claims to be."""
    defects: list[str] = []
    name = decode_name(outside)
    raw = inside.strip()
    if raw.startswith("@") and ":" in raw:
        raw = raw.partition(":")[2]  # a source route of RFC 822
    if raw.lower().startswith("mailto:"):
        raw = raw[7:]
    address = normalise_address(raw)
    if address is None:
        squeezed = normalise_address("".join(raw.split()))
        if squeezed:
            return Address(name, squeezed), ["white space inside an address"]
        return None, [f"not an address: {decode_name(raw)[:80]}" if raw else "an empty address"]
    for claimed in _EMBEDDED.findall(name):
        if claimed.lower() != address.lower():
            defects.append("the display name holds another address")
            break
    return Address(name, address), defects
