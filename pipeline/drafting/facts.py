"""What in a text can be checked: links, addresses, amounts, dates, numbers, found and put in one form.

Two spellings of one thing compare equal: "1.234,50 €" and "EUR 1234.5", "3. Mai" and "May 3, 2026".
Nothing here judges; `claims` does.
"""

from __future__ import annotations

import contextlib
import html
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from urllib.parse import unquote

from pipeline.drafting.words import (
    COUNTRY_TLDS,
    CURRENCIES,
    GENERIC_TLDS,
    LOOKALIKES,
    MONTHS,
    OTHER_SCRIPT_TLDS,
)
from pipeline.models.prompts import clean

KINDS = ("link", "email", "iban", "card", "phone", "amount", "percent", "date", "number")


@dataclass(frozen=True)
class Fact:
    """One checkable thing. `text` is verbatim from the plain form of the text, `start` its place there.

    `keys` are its normal forms; two facts of a kind are the same if they share one.
    """

    kind: str
    text: str
    start: int
    keys: frozenset[str]


def plain(text: str) -> str:
    """The text as a reader's eye or mail program takes it: no hidden characters, no disguised dots."""
    for _ in range(3):  # "&amp;#58;" is unescaped by one program on its way, and by another again
        once = html.unescape(text)
        if once == text:
            break
        text = once
    text = unicodedata.normalize("NFKC", clean(text))
    text = _ENCODED.sub(lambda match: unquote(match[0]), re.sub(r"[。．｡]", ".", text))
    return _SAID_AT.sub("@", _SAID_DOT.sub(".", text))


_ENCODED = re.compile(r"%(?:2e|2f|3a|40)", re.IGNORECASE)
_SAID_DOT = re.compile(
    r"(?<=[\w-])\s?[\[({<]\s?(?:\.|dot|punkt|point|punto|ponto|kropka)\s?[\])}>]\s?(?=\w)"
    r"|(?<=[\w-])\s(?:dot|kropka)\s(?=(?:com|net|org|io|example|info|biz|shop|site|xyz|top|app|eu|de|pl)\b)",
    re.IGNORECASE,
)
_SAID_AT = re.compile(
    r"(?<=[\w-])\s?[\[({<]\s?(?:@|at|ät|arroba|chiocciola|małpa)\s?[\])}>]\s?(?=\w)", re.IGNORECASE
)


def facts_in(text: str) -> list[Fact]:
    """Every checkable thing in a text that went through `plain`, in order; no two overlap.

    Earlier kinds win: an address holds no number, a date no amount.
    """
    taken = [False] * len(text)
    found: list[Fact] = []
    for kind, finder in _FINDERS:
        for match, keys in finder(text):
            start, end = match
            if keys and not any(taken[start:end]):
                taken[start:end] = [True] * (end - start)
                found.append(Fact(kind, text[start:end], start, frozenset(keys)))
    return sorted(found, key=lambda fact: fact.start)


_Found = Iterator[tuple[tuple[int, int], set[str]]]

# --- links ------------------------------------------------------------------------------------------

_SCHEME = re.compile(
    r"(?:\b[a-z][a-z0-9+.\-]{1,20}:(?=[/\\])[/\\]+|(?<![\w/\\:])[/\\]{2}(?=[\w-]+\.))[^\s<>\"'`|]+",
    re.IGNORECASE,
)
_ACTIVE = re.compile(
    r"\b(?:javascript|vbscript)\s*:\S*|\bdata\s*:\s*[\w.+-]+/[\w.+-]+\s*[;,]\S*",
    re.IGNORECASE,
)
_LABEL = r"[^\W_](?:[\w-]{0,61}[^\W_])?"
_BARE = re.compile(rf"(?<![\w@.\-])(?:{_LABEL}\.)+({_LABEL})\.?(?![\w@])(?::\d+)?(?:[/?#][^\s<>\"'`|]*)?")
_ADDRESS_HOST = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?=[/:])(?::\d+)?(?:/[^\s<>\"'`|]*)?")
_TRAILING = ".,;:!?)]}»”’*_"


def _links(text: str) -> _Found:
    for pattern in (_SCHEME, _ACTIVE, _ADDRESS_HOST):
        for match in pattern.finditer(text):
            shown = match[0].rstrip(_TRAILING)
            if host := host_of(shown):
                yield (match.start(), match.start() + len(shown)), {host}


def _bare_links(text: str) -> _Found:
    for match in _BARE.finditer(text):
        shown = match[0].rstrip(_TRAILING)
        if host := _bare_host(shown, match[1]):
            yield (match.start(), match.start() + len(shown)), {host}


def host_of(link: str) -> str:
    """The host that a link leads to, in ASCII lower case without `www.`; its scheme where it has no host."""
    link = unquote(link).replace("\\", "/").strip()
    scheme, colon, rest = link.partition(":")
    if colon and not rest.startswith("/") and scheme.isalpha() and "." not in scheme:
        return f"{scheme.lower()}:"
    rest = re.sub(r"^(?:[A-Za-z][A-Za-z0-9+.\-]*:)?/*", "", link)
    host = re.split(r"[/?#]", rest, maxsplit=1)[0].rsplit("@", 1)[-1]
    host = host.split(":")[0].strip(".").lower()
    with contextlib.suppress(UnicodeError):  # it stays as written, and equals no allowed host but itself
        host = host.encode("idna").decode("ascii")
    return host.removeprefix("www.")


def hosts_inside(link: str) -> set[str]:
    """The hosts of links that a link carries along, as in `https://ours.example/go?to=https://evil.example`."""
    inner = link
    for _ in range(3):
        inner = unquote(inner)
    _, _, tail = inner.replace("\\", "/").partition("//")
    return {
        host
        for match in re.finditer(r"(?:https?:|[=&?/])//+[\w.-]+", tail)
        if (host := host_of(match[0].lstrip("=&?")))
    }


def _bare_host(shown: str, tld: str) -> str | None:
    """The host of `example.com/x` without a scheme, or None where the dots are not those of a host."""
    labels = re.split(r"[/?#:]", shown, maxsplit=1)[0].strip(".").split(".")
    tld = labels[-1].lower()
    if all(label.isdigit() for label in labels):
        return None
    latin = tld.translate(LOOKALIKES)
    known = (
        latin in GENERIC_TLDS or latin in COUNTRY_TLDS or tld.startswith("xn--") or tld in OTHER_SCRIPT_TLDS
    )
    if not known or any(not label for label in labels):
        return None
    two_words = len(labels) == 2 and "/" not in shown
    # "Danke.An" and "u.a": a sentence without its space, or an abbreviation, is no host.
    if two_words and (len(labels[0]) == 1 or labels[1][0].isupper() or labels[0].isdigit()):
        return None
    return host_of(shown)


# --- addresses and numbers that reach somebody or his money -------------------------------------------

_EMAIL = re.compile(r"[\w.!#$%&'*+=?^`{|}~-]{1,64}@(?:[\w-]{1,63}\.)+[^\W\d_]{2,24}")
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?:[ -]?[A-Z0-9]){11,30}\b")
_CARD = re.compile(
    r"(?<![\w.])[3-6]\d{3}(?:[ -]?\d{4}){2}[ -]?\d{3,4}(?![\w])|(?<!\w)3\d{3}[ -]?\d{6}[ -]?\d{5}(?!\w)"
)
_PHONE = re.compile(
    r"(?<![\w+.,/-])(?:\d{3}|\(\d{3}\))[ .-]\d{3}[ .-]\d{4}(?!\w)"
    r"|(?<![\w+.,/-])(?:\+|00|\(\+?\d{1,4}\)\s?|0)\d[\d ()/.\-]{5,20}\d(?!\w)"
)


def _emails(text: str) -> _Found:
    for match in _EMAIL.finditer(text):
        yield match.span(), {re.sub(r"\s", "", match[0]).lower().lstrip("'`")}


def _ibans(text: str) -> _Found:
    for match in _IBAN.finditer(text):
        code = re.sub(r"[ -]", "", match[0])
        if sum(character.isdigit() for character in code) >= 10 and (_iban_holds(code) or " " in match[0]):
            yield match.span(), {code}


def _iban_holds(code: str) -> bool:
    moved = code[4:] + code[:4]
    return int("".join(str(int(character, 36)) for character in moved)) % 97 == 1


def _cards(text: str) -> _Found:
    for match in _CARD.finditer(text):
        digits = re.sub(r"\D", "", match[0])
        doubled = [int(d) * 2 if i % 2 else int(d) for i, d in enumerate(reversed(digits))]
        if sum(d - 9 if d > 9 else d for d in doubled) % 10 == 0:
            yield match.span(), {digits}


def _phones(text: str) -> _Found:
    for match in _PHONE.finditer(text):
        digits = re.sub(r"\D", "", re.sub(r"\(0\)", "", match[0]))
        if 7 <= len(digits) <= 15 and not _DATE_NUMERIC.fullmatch(match[0].strip()):
            yield match.span(), {digits.lstrip("0"), digits[-8:]}


# --- amounts ------------------------------------------------------------------------------------------

_SIGNS = "|".join(sorted((re.escape(sign) for sign in CURRENCIES), key=len, reverse=True))
_FIGURE = r"\d{1,3}(?:[.,'’   ]\d{3})+(?:[.,]\d{1,2})?(?!\d)|\d+(?:[.,]\d{1,2}(?!\d))?"
_AMOUNT = re.compile(
    rf"(?<![\w.,])(?P<before>{_SIGNS})\s?(?P<figure>{_FIGURE})(?:[.,][-–—]{{1,2}})?"
    rf"|(?<![\w.,])(?P<figure2>{_FIGURE})(?:[.,][-–—]{{1,2}})?\s?(?P<after>{_SIGNS})(?![^\W\d_])",
    re.IGNORECASE,
)
_PERCENT = re.compile(
    r"(?<![\w.,])(\d{1,3}(?:[.,]\d{1,2})?)\s?"
    r"(?:%|(?:percent|per ?cento?|prozent|por ?cient?o|por cento|pour ?cent|procent)\b)",
    re.IGNORECASE,
)


def _amounts(text: str) -> _Found:
    for match in _AMOUNT.finditer(text):
        value = number_value(match["figure"] or match["figure2"])
        if value is not None:
            sign = (match["before"] or match["after"]).lower()
            yield match.span(), {f"{value} {CURRENCIES.get(sign, sign)}"}


def _percents(text: str) -> _Found:
    for match in _PERCENT.finditer(text):
        value = number_value(match[1])
        if value is not None:
            yield match.span(), {str(value)}


def number_value(figure: str) -> str | None:
    """A figure in any country's spelling as plain digits: "1.234,50" is "1234.5", "1,000" is "1000"."""
    figure = re.sub(r"[\s'’]", "", figure)
    last = max(figure.rfind("."), figure.rfind(","))
    if last >= 0 and len(figure) - last - 1 == 3 and not figure.startswith("0"):
        figure = re.sub(r"[.,]", "", figure)
    elif last >= 0:
        figure = re.sub(r"[.,]", "", figure[:last]) + "." + figure[last + 1 :]
    try:
        value = Decimal(figure)
    except InvalidOperation:
        return None
    return f"{value.normalize():f}"


# --- dates --------------------------------------------------------------------------------------------

_MONTH_WORDS = "|".join(sorted((re.escape(word) for word in MONTHS), key=len, reverse=True))
_DATE_NUMERIC = re.compile(r"(?<![\w.,/-])(\d{1,2})([./-])(\d{1,2})\2(\d{4}|\d{2})?(?![\w/-])")
_DATE_ISO = re.compile(
    r"(?<![\w-])(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})(?=[T\s.,;:!?)]|$)(?:[T ]\d{2}:\d{2}\S*)?"
)
_DATE_DAY_FIRST = re.compile(
    rf"(?<![\w.])(\d{{1,2}})(?:\.|st|nd|rd|th|er|º|°)?\s?(?:of\s|de\s|d[ei]\s)?({_MONTH_WORDS})\b"
    r"(?:\.?,?\s(?:de\s|del\s)?(\d{4}))?",
    re.IGNORECASE,
)
_DATE_MONTH_FIRST = re.compile(
    rf"\b({_MONTH_WORDS})\.?\s(\d{{1,2}})(?:st|nd|rd|th)?(?!\d)(?:,?\s(\d{{4}}))?", re.IGNORECASE
)


def _dates(text: str) -> _Found:
    for match in _DATE_ISO.finditer(text):
        yield match.span(), _date_keys(match[1], match[2], match[3])
    for match in _DATE_NUMERIC.finditer(text):
        if match[4] is None and match[2] != ".":
            continue
        year = match[4] and (match[4] if len(match[4]) == 4 else f"20{match[4]}")
        yield match.span(), _date_keys(year, match[3], match[1]) | _date_keys(year, match[1], match[3])
    for match in _DATE_DAY_FIRST.finditer(text):
        yield match.span(), _date_keys(match[3], MONTHS[match[2].lower()], match[1])
    for match in _DATE_MONTH_FIRST.finditer(text):
        yield match.span(), _date_keys(match[3], MONTHS[match[1].lower()], match[2])


def _date_keys(year: str | None, month: str | int, day: str | int) -> set[str]:
    """`2026-05-03`, or `*-05-03` for a day said without its year; empty for what is no date."""
    if not (1 <= int(month) <= 12 and 1 <= int(day) <= 31):
        return set()
    return {f"{year or '*'}-{int(month):02d}-{int(day):02d}"}


def same(kind: str, keys: frozenset[str], others: frozenset[str]) -> bool:
    """Whether two facts of a kind may be one: a shared form; a date without a year fits any year."""
    if keys & others:
        return True
    if kind != "date":
        return False
    return any(one[-5:] == other[-5:] and "*" in (one[0], other[0]) for one in keys for other in others)


# --- numbers of orders, invoices, accounts --------------------------------------------------------------

_CODE = re.compile(r"(?<![\w@#])#?[^\W_](?:[\w#/.\-]{0,58}[^\W_])?")
_YEAR = re.compile(r"(?:19|20)\d\d")


def _numbers(text: str) -> _Found:
    for match in _CODE.finditer(text):
        digits = sum(character.isdigit() for character in match[0])
        key = code_key(match[0])
        if digits >= 3 and len(key) >= 4 and not _YEAR.fullmatch(key):
            yield match.span(), {key}


def code_key(text: str) -> str:
    """A number as a clerk compares it: letters and digits only, upper case."""
    return "".join(character for character in text if character.isalnum()).upper()


_FINDERS = (
    ("link", _links),
    ("email", _emails),
    ("link", _bare_links),
    ("iban", _ibans),
    ("card", _cards),
    ("amount", _amounts),
    ("percent", _percents),
    ("date", _dates),
    ("phone", _phones),
    ("number", _numbers),
)
