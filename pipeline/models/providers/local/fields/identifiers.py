"""Order, invoice and account numbers: a cue word in one of many languages, then an identifier."""

from __future__ import annotations

import re
from collections.abc import Iterator

from rapidfuzz.distance import DamerauLevenshtein

from pipeline.models.providers.local.cues import alternatives, words
from pipeline.models.providers.local.fields.spans import Found

__all__ = ["account_ids", "invoice_numbers", "order_numbers"]

# "number" and its shorthands, as they stand between the cue and the identifier.
_NUMBER = alternatives("identifiers", "number")
# What may stand between: "order number is: ", "Bestellung Nr. ", "pedido con número ".
_GLUE = rf"(?:[\s:.=\-–(\[\"'«“]|\b{alternatives('identifiers', 'between')}\b){{0,6}}"
_ORDER = alternatives("identifiers", "order")
_INVOICE = alternatives("identifiers", "invoice")
_ACCOUNT = alternatives("identifiers", "account")
# Identifiers: digits, or letters and digits in one piece, or a short group of letters before digits.
_PIECE = r"[A-Za-z0-9](?:[A-Za-z0-9]|[-_/.](?=[A-Za-z0-9])){1,31}"
_SPACED = r"[A-Za-z]{1,4} \d{3,14}(?!\S*\d)"
_GROUPED = r"\d{3,5}(?: \d{3,5}){1,4}"
# Dictated: "as 43 s 6". Only after a word for "number", and nothing else may follow in the line.
_DICTATED = r"[A-Za-z]{1,3}(?: [A-Za-z0-9]{1,4}){2,4}(?=\s*(?:$|[.,\n]))"
_IDENTIFIER = rf"(?P<id>#?\s?(?:{_GROUPED}|{_SPACED}|{_PIECE}))(?![\w@])"

_JOINED = r"(?:s?nummern?|s?nr\.?|s?code|s?id|nummer)"


_SPELLED = rf"(?P<id>{_DICTATED})"


def _cued(noun: str) -> tuple[re.Pattern[str], ...]:
    """(noun + word for number + identifier, noun + identifier, noun + number + dictated identifier).

    The second needs a surer identifier.
    """
    # "order number", "Bestellnummer", "number of my order", "booking confirmation"
    cue = (
        rf"(?:{noun}{_JOINED}\b|{noun}\b{_GLUE}(?:confirmation\s)?{_NUMBER}(?!\w)"
        rf"|{_NUMBER}(?!\w)\.?\s(?:{_GLUE}){noun}\b)"
    )
    strong = rf"(?<!\w){cue}{_GLUE}(?:{_IDENTIFIER})"
    weak = rf"(?<!\w){noun}\b{_GLUE}{_IDENTIFIER}"
    spelled = rf"(?<!\w){cue}{_GLUE}{_SPELLED}"
    return tuple(re.compile(shape, re.IGNORECASE) for shape in (strong, weak, spelled))


_ORDER_CUES = _cued(_ORDER)
_INVOICE_CUES = _cued(_INVOICE)
_ACCOUNT_CUES = _cued(_ACCOUNT)
_HASH = re.compile(r"(?P<word>[^\W\d_]{2,20})?[\s:.(]{0,3}(?P<id>#\d{4,15})(?!\w)")
_MORE = re.compile(
    rf"(?:\s*[,;&/+]\s*|\s+(?:and|und|et|y|e|en|i|or|oder)\s+)(?P<id>#?{_PIECE})(?![\w@])", re.IGNORECASE
)
_PREFIXED = re.compile(
    r"(?<![\w-])(?P<id>(?P<kind>ORD|ORDER|BEST|INV|RE|RG|FA|FV)[-_ #]?\d{2,4}[-_/]?\d{2,12})(?![\w])"
)
_UNITS = re.compile(rf"\s*(?:%|€|\$|£|[.,]\d|\b{alternatives('identifiers', 'units')}\b)", re.IGNORECASE)
_INVOICE_WORDS = words("identifiers", "invoice_words")
_OTHER_HASHES = words("identifiers", "other_hashes")
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


def _hits(text: str, cues: tuple[re.Pattern[str], ...]) -> Iterator[Found]:
    for match in cues[2].finditer(text):
        value = match.group("id")
        pieces = value.split(" ")
        if any(ch.isdigit() for ch in pieces[-1]) and sum(piece.isdigit() for piece in pieces) >= 1:
            yield Found(match.start("id"), match.end("id"), value, value.replace(" ", ""))
    for sure, pattern in zip((True, False), cues[:2], strict=True):
        for match in pattern.finditer(text):
            found = _token(match)
            if not _plausible(found.value, sure=sure, after=text[found.end : found.end + 12]):
                continue
            yield found
            yield from _listed(text, found)


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


def _hashed(text: str) -> Iterator[tuple[str, Found]]:
    """("order" or "invoice", #12345): after a misspelt cue word, or after no noun of something else."""
    for match in _HASH.finditer(text):
        word = (match.group("word") or "").lower()
        if word in _OTHER_HASHES:
            continue
        value = match.group("id")
        found = Found(match.start("id"), match.end("id"), value, value.lstrip("#"))
        yield ("invoice" if _misspelt(word, _INVOICE_WORDS) else "order"), found


def _misspelt(word: str, nouns: frozenset[str]) -> bool:
    """Whether one slip of the keyboard (or a swap of neighbours) separates `word` from one of `nouns`."""
    if len(word) < 3:
        return False
    return any(DamerauLevenshtein.distance(word, noun, score_cutoff=1) <= 1 for noun in nouns)


def order_numbers(text: str) -> list[Found]:
    """Numbers of orders, bookings and shipments, in order of surety."""
    found = list(_hits(text, _ORDER_CUES))
    found += [one for kind, one in _hashed(text) if kind == "order"]
    found += [_token(m) for m in _PREFIXED.finditer(text) if m.group("kind") in ("ORD", "ORDER", "BEST")]
    return found


def invoice_numbers(text: str) -> list[Found]:
    """Numbers of invoices, bills and receipts."""
    found = list(_hits(text, _INVOICE_CUES))
    found += [one for kind, one in _hashed(text) if kind == "invoice"]
    found += [_token(m) for m in _PREFIXED.finditer(text) if m.group("kind") not in ("ORD", "ORDER", "BEST")]
    return found


def account_ids(text: str) -> list[Found]:
    """Numbers of accounts, customers, policies and contracts."""
    return list(_hits(text, _ACCOUNT_CUES))
