"""Finds what nobody outside may see in any text: payment card numbers and secrets.

A card is 13 to 19 digits (12 after a word for it) with an issuer's prefix and length and a right check
digit; a secret has a known shape or stands behind a cue word in one of eight languages. A password
without a digit, a sign or a cue is a word like any other: it is not found.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources
from itertools import accumulate
from typing import Any


@dataclass(frozen=True)
class Found:
    """A value in a text: `text[start:end] == value`. `kind` as in `[data] redact` of routes.toml."""

    kind: str
    start: int
    end: int
    value: str


@cache
def _words() -> dict[str, Any]:
    return tomllib.loads(
        resources.files("pipeline.models").joinpath("redaction.toml").read_text(encoding="utf-8")
    )


def words(kind: str, use: str) -> list[str]:
    """The cue words of redaction.toml."""
    return [str(word) for word in _words()[kind][use]]


def either(kind: str, use: str) -> str:
    """Any of these cue words, as a regular expression."""
    return "|".join(words(kind, use))


_ENOUGH_DIGITS = re.compile(r"(?:\d\D{0,6}){12}")
_HINTS = tuple(words("secrets", "hints"))


def suspicious(text: str) -> bool:
    """Whether it is worth looking closer; a quick pass that most texts end with."""
    return _ENOUGH_DIGITS.search(text) is not None or _hinted(text)


def _hinted(text: str) -> bool:
    folded = text.lower()
    return any(hint in folded for hint in _HINTS)


# --- cards ----------------------------------------------------------------------------------------------

_GAP = r"[ \t\u00a0\u2009\u202f.\-‐‑–—_·/:*~]{1,3}|[ \t]*\n[|> \t]*"
_RUN = re.compile(rf"(?<![\w+])\d+(?:(?:{_GAP})\d+)*(?!\w)")
_GROUP = re.compile(r"\d+")
_CARD_WORD = re.compile(rf"(?:{either('cards', 'before')})[^\d\n]{{0,30}}$", re.IGNORECASE)
ORDER_WORD = re.compile(rf"(?:{either('cards', 'not_before')})[^\d\n]{{0,14}}$", re.IGNORECASE)
_AS_PRINTED = {(4, 4, 4, 4), (4, 4, 4, 4, 3), (4, 6, 5), (4, 6, 4), (4, 4, 4, 1), (6, 13), (4, 4, 5)}
# first digits → lengths that the issuers give out: ISO/IEC 7812 prefixes as the schemes publish them
_ISSUERS: tuple[tuple[int, int, tuple[int, ...]], ...] = (
    (4, 4, (13, 16, 19)),
    (51, 55, (16,)),
    (2221, 2720, (16,)),
    (34, 34, (15,)),
    (37, 37, (15,)),
    (300, 305, (14, 16)),
    (3095, 3095, (14, 16)),
    (36, 36, (14, 16, 17, 18, 19)),
    (38, 39, (14, 16)),
    (3528, 3589, (16, 17, 18, 19)),
    (1800, 1800, (15,)),
    (2131, 2131, (15,)),
    (6011, 6011, (16, 19)),
    (644, 659, (16, 19)),
    (62, 62, (16, 17, 18, 19)),
    (81, 82, (16,)),
    (2200, 2204, (16, 19)),
    (50, 50, (13, 14, 15, 16, 17, 18, 19)),
    (56, 58, (13, 14, 15, 16, 17, 18, 19)),
    (60, 61, (13, 14, 15, 16, 17, 18, 19)),
    (63, 63, (13, 14, 15, 16, 17, 18, 19)),
    (67, 69, (13, 14, 15, 16, 17, 18, 19)),
)


_LENGTHS: dict[str, set[int]] = {}
for _low, _high, _lengths in _ISSUERS:
    for _prefix in range(_low, _high + 1):
        _LENGTHS.setdefault(str(_prefix), set()).update(_lengths)


def cards(text: str) -> list[Found]:
    """Payment card numbers, in whatever groups they are written, over a line's end too."""
    if _ENOUGH_DIGITS.search(text) is None:
        return []
    found: list[Found] = []
    for run in _RUN.finditer(text):
        if run.end() - run.start() >= 12:
            found += _cards_in(text, run.start(), run.end())
    return found


def _cards_in(text: str, start: int, end: int) -> Iterator[Found]:
    """The cards within one run of digit groups, which may hold an expiry date or another number too."""
    groups = [m.span() for m in _GROUP.finditer(text, start, end)]
    numbers = [digits(text[s:e]) for s, e in groups]
    gaps = [text[groups[n][1] : groups[n + 1][0]] for n in range(len(groups) - 1)]
    first = 0
    while first < len(groups):
        step = 1
        lengths = [len(number) for number in numbers[first : first + 20]]
        cue: bool | None = None
        for count in [n for n, total in enumerate(accumulate(lengths), 1) if 12 <= total <= 19][::-1]:
            printed = tuple(lengths[:count]) in _AS_PRINTED
            between = set(gaps[first : first + count - 1])
            # several numbers in a row, or in a column, look like one that is cut into groups
            if not printed and (len(between) > 1 or any("\n" in gap for gap in between)):
                continue
            number = "".join(numbers[first : first + count])
            right = _checks(number) and _issued(number)
            if not right or not printed:
                before = text[max(0, groups[first][0] - 40) : groups[first][0]]
                cue = _CARD_WORD.search(before) is not None if cue is None else cue
                if not cue and (not right or ORDER_WORD.search(before)):
                    continue
                if (
                    not right
                    and len(number) not in (15, 16)
                    and not (_checks(number) and _issued(number, True))
                ):
                    continue
            s, e = groups[first][0], groups[first + count - 1][1]
            yield Found("cards", s, e, text[s:e])
            step = count
            break
        first += step


def _issued(number: str, any_length: bool = False) -> bool:
    """Whether an issuer gives out numbers like this; with `any_length`, one that begins so."""
    return any(
        any_length or len(number) in _LENGTHS[number[:size]]
        for size in (1, 2, 3, 4)
        if number[:size] in _LENGTHS
    )


def _checks(number: str) -> bool:
    """The check digit of ISO/IEC 7812, also called Luhn's."""
    if len(set(number)) == 1:
        return False
    odd, even = number[-1::-2], number[-2::-2]
    return (sum(map(int, odd)) + sum(_DOUBLED[digit] for digit in even)) % 10 == 0


_DOUBLED = {str(digit): sum(divmod(2 * digit, 10)) for digit in range(10)}


def digits(text: str) -> str:
    """The decimal digits of a text, in whatever script, as 0 to 9."""
    return "".join(str(int(character)) for character in text if character.isdecimal())


# --- secrets --------------------------------------------------------------------------------------------

_KEY_BLOCK = re.compile(
    r"-----BEGIN[A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
    r"(?:[\s\S]{0,20000}?-----END[A-Z0-9 ]{0,40}-----|[\s|>A-Za-z0-9+/=:,.\-]{0,20000})"
)
_SHAPES = re.compile(
    r"""
      \beyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*){0,3}
    | \bsk-[A-Za-z0-9_-]{12,}
    | \b(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{10,}
    | \bwhsec_[A-Za-z0-9+/=]{8,}
    | \b(?:AKIA|ASIA|AROA)[0-9A-Z]{16}\b
    | \bgh[pousr]_[A-Za-z0-9]{20,} | \bgithub_pat_\w{20,}
    | \bgl(?:pat|rt|dt)-[\w-]{16,}
    | \bxox[abeoprs]-[A-Za-z0-9-]{10,} | \bxapp-[A-Za-z0-9-]{10,}
    | hooks\.slack\.com/services/[\w/]{20,}
    | \bAIza[\w-]{30,} | \bya29\.[\w-]{20,} | \bGOCSPX-[\w-]{20,}
    | \bSG\.[\w-]{16,}\.[\w-]{16,}
    | \bkey-[0-9a-f]{32}\b | \bdapi[0-9a-f]{32}\b
    | \bnpm_[A-Za-z0-9]{30,} | \bpypi-[\w-]{16,} | \bhf_[A-Za-z0-9]{20,}
    | \bshp(?:at|ca|pa|ss)_[0-9a-fA-F]{20,} | \bsq0(?:atp|csp)-[\w-]{20,} | \bdo[opr]_v1_[0-9a-f]{32,}
    | \b\d{8,10}:AA[\w-]{30,}
    | \bAGE-SECRET-KEY-1[0-9A-Z]{30,}
    """,
    re.VERBOSE,
)
_IN_ADDRESS = re.compile(r"://[^\s/:@?#]{0,200}:(?P<value>[^\s/@?#]{1,200})@")
_IN_QUERY = re.compile(
    r"[?&;](?:access_token|refresh_token|id_token|token|api_?key|key|secret|client_secret|sig|signature|password"
    r"|passwd|pwd|auth|session(?:_?id)?)=(?P<value>[^&\s#;\"'<>]{6,500})",
    re.IGNORECASE,
)
_BEARER = re.compile(
    r"\b(?:bearer|basic|token)[ \t]+(?P<value>(?=[\w.~+/=-]{0,60}\d)[\w.~+/=-]{12,2000})", re.IGNORECASE
)
_CUES = f"{either('secrets', 'password')}|{either('secrets', 'key')}"
_IS = rf"(?:{either('secrets', 'is')})(?=\s)|=>|->|[:=：]"
_CUED = re.compile(
    rf"(?<![\w-])(?:{_CUES})\b"
    r"(?P<between>[^\S\n]{0,4}(?:\([^()\n]{0,30}\)[^\S\n]{0,3})?"
    rf"(?:[\"'`]?[^\S\n]{{0,3}}(?:{_IS})[^\S\n]{{0,4}}(?:\n[|> \t]{{0,4}})?){{1,2}})"
    r"(?:[\"'`„“«‚](?P<quoted>[^\"'`”“»‘\n]{3,200})[\"'`”“»‘]"
    r"|(?P<bare>(?:[^\s\"'`„“«,;]|[,;](?=\S)){3,200}))"
    r"(?P<rest>[^\n]{0,3})",
    re.IGNORECASE,
)
_CODE = re.compile(
    rf"(?<!\w)(?:{either('secrets', 'code')})\b[^\S\n]{{0,3}}"
    rf"(?:[^\w\n]{{0,4}}(?:{either('secrets', 'is')})\b)?[^\w\n]{{0,4}}(?P<value>\d{{3,8}})(?!\w|[.,]\d)",
    re.IGNORECASE,
)
_TELLING = re.compile(
    r"(?=.*\d)|(?=.*[a-z].*[A-Z])|(?=.*[A-Z].*[a-z].*[A-Z])|(?=.*[!$%^&*+=#~_|\\/<>{}\[\]@])"
)


_BLANK = re.compile(r"\s|$")
_BEFORE, _BEHIND = 40, 240


def secrets(text: str) -> list[Found]:
    """Keys of known shapes, private-key blocks, tokens, passwords in addresses and behind cue words."""
    found = [Found("secrets", m.start(), m.end(), m[0]) for m in _KEY_BLOCK.finditer(text)]
    for start, end in _windows(text):
        found += [Found("secrets", m.start(), m.end(), m[0]) for m in _SHAPES.finditer(text, start, end)]
        for pattern in (_IN_ADDRESS, _IN_QUERY, _BEARER, _CODE):
            found += [_secret(m, "value") for m in pattern.finditer(text, start, end)]
        found += [one for m in _CUED.finditer(text, start, end) if (one := _cued(m)) is not None]
    return found


def _windows(text: str) -> list[tuple[int, int]]:
    """Where a hint stands, with room for a cue before it and for a value behind it."""
    folded = text.lower()
    if len(folded) != len(text):  # a few letters are longer in small: then the places would not fit
        return [(0, len(text))] if any(hint in folded for hint in _HINTS) else []
    places = sorted(at for hint in _HINTS for at in _places(folded, hint))
    windows: list[tuple[int, int]] = []
    for at in places:
        if windows and at + _BEHIND <= windows[-1][1]:
            continue
        blank = _BLANK.search(text, min(len(text), at + _BEHIND))
        start, end = max(0, at - _BEFORE), blank.start() if blank else len(text)
        if windows and start <= windows[-1][1]:
            windows[-1] = windows[-1][0], end
        else:
            windows.append((start, end))
    return windows


def _places(text: str, part: str) -> Iterator[int]:
    at = text.find(part)
    while at >= 0:
        yield at
        at = text.find(part, at + 1)


def _cued(match: re.Match[str]) -> Found | None:
    if match["quoted"] is not None:
        return _secret(match, "quoted")
    value = match["bare"].rstrip(".!?)")
    signed = any(sign in match["between"] for sign in ":=：>")
    alone = not match["rest"].strip() or match["rest"].startswith((",", ";"))
    # "the password is wrong" says nothing; "Password: swordfish" at a line's end does
    if len(value) < 3 or not (_TELLING.match(value) or (signed and alone and len(value) > 3)):
        return None
    start = match.start("bare")
    return Found("secrets", start, start + len(value), value)


def _secret(match: re.Match[str], group: str) -> Found:
    return Found("secrets", match.start(group), match.end(group), match[group])
