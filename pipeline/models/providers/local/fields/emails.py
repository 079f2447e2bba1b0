"""E-mail addresses: as they are written, as they are spoken, and as chats leave them without their signs."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pipeline.models.providers.local.cues import alternatives, words
from pipeline.models.providers.local.fields.spans import Found
from pipeline.models.providers.local.fields.text import Text

__all__ = ["emails"]

_EMAIL = re.compile(
    r"(?<![\w.+-])\w[\w.+'-]{0,63}@[^\W_](?:[\w-]{0,61}[^\W_])?(?:\.[^\W_][\w-]{0,61}){0,4}"
    r"\.[^\W\d_]{2,24}(?![\w-])"
)
_ENDS = alternatives("contacts", "ends")
_AT = rf"(?: ?[(\[{{<] ?{alternatives('contacts', 'at')} ?[)\]}}>] ?| {alternatives('contacts', 'at')} )"
_SAID = rf"(?:{alternatives('contacts', 'dot')}|\.)"
_DOT = rf"(?: ?[(\[{{<] ?{_SAID} ?[)\]}}>] ?| {_SAID} |\.)"
_DASH = rf"(?: {alternatives('contacts', 'dash')} | {alternatives('contacts', 'underscore')} |[-_])"
_PART = r"[^\W_]{1,40}"
_SPOKEN = re.compile(
    rf"(?<![\w@.])(?P<local>{_PART}(?:(?:{_DOT}|{_DASH}){_PART}){{0,4}}){_AT}"
    rf"(?P<host>{_PART}(?:(?:{_DOT}|{_DASH}){_PART}){{0,3}}?{_DOT}{_ENDS})(?!\w)"
)
_SIGNS = (
    (re.compile(_AT), "@"),
    (re.compile(_DOT), "."),
    (re.compile(rf" {alternatives('contacts', 'underscore')} "), "_"),
    (re.compile(rf" {alternatives('contacts', 'dash')} "), "-"),
)
_SAID_AT = re.compile(
    rf"[(\[{{<] ?{alternatives('contacts', 'at')} ?[)\]}}>]| {alternatives('contacts', 'at')} "
)
_SAID_DOT = re.compile(rf" {alternatives('contacts', 'dot')} ")
# "at" is an everyday word: only the hosts of mail, or a spoken dot too, make "meet me at example.com" an address.
_MAIL_HOSTS = (
    r"(?:\w{0,10}mail|yahoo|ymail|outlook|icloud|gmx|web|aol|live|msn|proton|orange|wanadoo|libero|wp|onet"
    r"|uol|ziggo)"
)
_BIG_HOSTS = "gmail|googlemail|hotmail|yahoo|outlook|icloud|gmx"
_SQUEEZED = re.compile(
    r"(?<!\w)(?P<name>[a-z][a-z0-9_.]{0,40}?(?: \d{1,6})?) ?@?"
    rf"(?:(?P<host>{_BIG_HOSTS}|aol|live|web|(?:proton|fast|free|y|red+iff?)?mail)\.? ?(?P<end>com|net|org)"
    rf"|(?P<host2>{_BIG_HOSTS})\.?(?P<end2>in|de|at|ch|fr|es|it|nl|pt|pl|co ?uk))\b"
)
_SQUEEZED_END = re.compile(rf"(?:{_BIG_HOSTS}|aol|live|web|mail)\.? ?(?:com|net|org|[a-z]{{2}})\b")
# Where a word for mail stands before it, or a message is one word, the end alone shows an address without signs.
_RUN_ON = re.compile(
    rf"(?:(?<!\w){alternatives('contacts', 'mail')}(?: (?:address|id))?(?:\s(?:is|ist|est|es|è|é|to|its|it'?s)|[:=])?\s"
    r"|^(?:(?:its|it'?s|it is|sorry|sure|yes|ok)\s){0,2}|\b(?:its|it'?s)\s)"
    r"(?P<all>[a-z][a-z0-9_]{5,40}(?:com|net|org))(?!\w)(?=\s*$|\s(?:and|und|et|y)\s|\s\+?\d)"
)
_NOT_LOCAL = words("contacts", "not_local")
_NOT_HOSTS = words("contacts", "not_hosts")


def emails(text: Text) -> list[Found]:
    """Addresses as written; those that lost their signs get the likely address as normalised form."""
    found: list[Found] = []
    if "@" in text.lower:
        found += [text.found(m, 0, _lowered(text.word(m))) for m in _EMAIL.finditer(text.raw)]
    if _SAID_AT.search(text.lower):
        found += _spoken(text)
    for match in text.everywhere(_SQUEEZED) if _SQUEEZED_END.search(text.lower) else ():
        if "@" in match.group() or "." in match.group():
            continue
        name = match.group("name").replace(" ", "")
        host, end = match.group("host") or match.group("host2"), match.group("end") or match.group("end2")
        found.append(text.found(match, 0, f"{name}@{host}.{re.sub('co ?uk', 'co.uk', end)}"))
    for match in text.everywhere(_RUN_ON):
        if match.group("all") not in _NOT_HOSTS:
            found.append(text.found(match, "all"))
    return found


def _spoken(text: Text) -> Iterator[Found]:
    """ "Jane dot doe at example dot com", "jane (at) example.com"."""
    for match in text.everywhere(_SPOKEN):
        local, host = match.group("local"), match.group("host")
        said = match.group()[len(local) : -len(host)].strip()
        named = re.match(_MAIL_HOSTS, host) is not None
        dotted = _SAID_DOT.search(f"{local} {host}") is not None
        if said in ("at", "ät") and not (named or _SAID_DOT.search(host)):
            continue
        # French has its own word for @: "the screen at any point in time" is no address.
        if said == "at" and (local in _NOT_LOCAL or not dotted or " point " in host):
            continue
        address = match.group()
        for sign, written in _SIGNS:
            address = sign.sub(written, address)
        yield text.found(match, 0, address.replace(" ", ""))


def _lowered(address: str) -> str:
    """Only the domain part: what stands before the @ belongs to the other side."""
    local, _, domain = address.rpartition("@")
    return f"{local}@{domain.lower()}"
