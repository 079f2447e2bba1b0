"""Order, invoice and account numbers: a cue word in one of many languages, then an identifier."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pipeline.models.providers.local.fields.spans import Found

__all__ = ["account_ids", "invoice_numbers", "order_numbers"]

# "number" and its shorthands, as they stand between the cue and the identifier.
_NUMBER = alternatives("identifiers", "number")
# What may stand between: "order number is: ", "Bestellung Nr. ", "pedido con número ".
_GLUE = (
    r"(?:[\s:.=\-–(\[\"'«“]|\bis\b|\bwas\b|\bof\b|\bthe\b|\bmy\b|\blautet\b|\bist\b|\bmit\b|\bder\b|\bdie\b|\bes\b|\best\b"
    r"|\bcon\b|\bde\b|\bdel\b|\bel\b|\ble\b|\bla\b|\bavec\b|\bè\b|\bcom\b|\bo\b|\bé\b|\bmet\b|\bhet\b|\bvan\b|\bto\b|\bjest\b|\bwith\b){0,6}"
)
_ORDER = alternatives("identifiers", "order")
_INVOICE = alternatives("identifiers", "invoice")
_ACCOUNT = alternatives("identifiers", "account")
# Identifiers: digits, or letters and digits in one piece, or a short group of letters before digits.
_PIECE = r"[A-Za-z0-9](?:[A-Za-z0-9]|[-_/.](?=[A-Za-z0-9])){1,31}"
_SPACED = r"[A-Za-z]{1,4} \d{3,14}(?!\S*\d)"
_GROUPED = r"\d{3,5}(?: \d{3,5}){1,4}"
_IDENTIFIER = rf"(?P<id>#?\s?(?:{_GROUPED}|{_SPACED}|{_PIECE}))(?![\w@])"

_JOINED = r"(?:s?nummern?|s?nr\.?|s?code|s?id|nummer)"


def _cued(noun: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """(noun + word for number + identifier, noun + identifier): the second needs a surer identifier."""
    strong = rf"(?<!\w)(?:{noun}{_JOINED}\b|{noun}\b{_GLUE}(?:confirmation\s)?{_NUMBER}(?!\w)|{_NUMBER}(?!\w)\.?\s(?:{_GLUE}){noun}\b){_GLUE}{_IDENTIFIER}"
    weak = rf"(?<!\w){noun}\b{_GLUE}{_IDENTIFIER}"
    return re.compile(strong, re.IGNORECASE), re.compile(weak, re.IGNORECASE)


_ORDER_CUES = _cued(_ORDER)
_INVOICE_CUES = _cued(_INVOICE)
_ACCOUNT_CUES = _cued(_ACCOUNT)
_MORE = re.compile(
    rf"(?:\s*[,;&/+]\s*|\s+(?:and|und|et|y|e|en|i|or|oder)\s+)(?P<id>#?{_PIECE})(?![\w@])", re.IGNORECASE
)
_PREFIXED = re.compile(
    r"(?<![\w-])(?P<id>(?P<kind>ORD|ORDER|BEST|INV|RE|RG|FA|FV)[-_ #]?\d{2,4}[-_/]?\d{2,12})(?![\w])"
)
_UNITS = re.compile(
    r"\s*(?:%|€|\$|£|[.,]\d|\b(?:x|times|units?|pieces?|pcs|items?|copies|licen[cs]es?|seats?|people|users?|days?|weeks?|months?"
    r"|hours?|euros?|dollars?|pounds?|usd|eur|gbp|st[üu]ck|mal|tagen?|wochen|pi[èe]ces|unidades|pezzi|stuks|sztuk|gb|mb|kg)\b)",
    re.IGNORECASE,
)
_YEAR = re.compile(r"(?:19|20)\d\d")
_DATE = re.compile(r"\d{1,4}[-./]\d{1,2}[-./]\d{1,4}")


def _plausible(token: str, *, sure: bool, after: str) -> bool:
    """Whether a token is an identifier and not a word, a year, a date or an amount.

    `sure` says that a word for "number" stood before it; else it takes more to be believed.
    """
    bare = token.lstrip("# ")
    digits = sum(ch.isdigit() for ch in bare)
    letters = sum(ch.isalpha() for ch in bare)
    if digits < 2 or len(bare) < 3 or _DATE.fullmatch(bare):
        return False
    if letters > 12 or (letters and digits < letters / 3):
        return False
    if sure or token.startswith("#"):
        return digits >= 3 or bool(letters and not bare[0].isdigit())
    if _UNITS.match(after) or _YEAR.fullmatch(bare):
        return False
    if " " in bare:
        return digits >= 6 and not letters
    return digits >= 4 or (letters > 0 and digits >= 3 and not bare[0].isdigit())


def _token(match: re.Match[str]) -> Found:
    value = match.group("id")
    start = match.start("id")
    return Found(start, start + len(value), value, value.lstrip("# "))


def _hits(text: str, cues: tuple[re.Pattern[str], re.Pattern[str]]) -> Iterator[Found]:
    for sure, pattern in zip((True, False), cues, strict=True):
        for match in pattern.finditer(text):
            found = _fitted(text, _token(match), sure=sure)
            if found is None:
                continue
            yield found
            yield from _listed(text, found)


def _fitted(text: str, found: Found, *, sure: bool) -> Found | None:
    """`found` itself, or its first group where the whole is not an identifier, or None."""
    if _plausible(found.value, sure=sure, after=text[found.end : found.end + 12]):
        return found
    return None


def _listed(text: str, first: Found) -> Iterator[Found]:
    """The further numbers of a list: "orders 12345, 12346 and 12347"."""
    at = first.end
    shape = len(first.value.lstrip("#"))
    for _ in range(10):
        match = _MORE.match(text, at)
        if match is None:
            return
        found = _token(match)
        alike = abs(len(found.value.lstrip("#")) - shape) <= 2
        if not alike or not _plausible(found.value, sure=False, after=text[found.end : found.end + 12]):
            return
        yield found
        at = found.end


def order_numbers(text: str) -> list[Found]:
    """Numbers of orders, bookings and shipments, in order of surety."""
    found = list(_hits(text, _ORDER_CUES))
    found += [_token(m) for m in _PREFIXED.finditer(text) if m.group("kind") in ("ORD", "ORDER", "BEST")]
    return found


def invoice_numbers(text: str) -> list[Found]:
    """Numbers of invoices, bills and receipts."""
    found = list(_hits(text, _INVOICE_CUES))
    found += [_token(m) for m in _PREFIXED.finditer(text) if m.group("kind") not in ("ORD", "ORDER", "BEST")]
    return found


def account_ids(text: str) -> list[Found]:
    """Numbers of accounts, customers, policies and contracts."""
    return list(_hits(text, _ACCOUNT_CUES))
