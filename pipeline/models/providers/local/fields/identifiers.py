"""Order, invoice and account numbers: a cue word in one of many languages, then an identifier."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pipeline.models.providers.local.cues import alternatives, words
from pipeline.models.providers.local.fields.codes import PIECE, answered, misspelt, plausible, said_apart
from pipeline.models.providers.local.fields.spans import Found
from pipeline.models.providers.local.fields.text import Text

__all__ = ["account_ids", "invoice_numbers", "order_numbers", "tracking_numbers"]

# "number" and its shorthands, as they stand between the cue and the identifier.
_NUMBER = alternatives("identifiers", "number")
# What may stand between: "order number is: ", "Bestellung Nr. ", "pedido con número ". The Spanish "es" of
# "ES-10442" belongs to the identifier.
_GLUE = rf"(?:[\s:.=\-–(\[\"'«“]|\b{alternatives('identifiers', 'between')}\b(?![-_/.#]\w)){{0,6}}"
_ORDER = alternatives("identifiers", "order")
_INVOICE = alternatives("identifiers", "invoice")
_ACCOUNT = alternatives("identifiers", "account")
_TRACKING = alternatives("identifiers", "tracking")
# Identifiers: digits, or letters and digits in one piece, or a short group of letters before digits.
_SPACED = r"[a-z]{1,4} \d{3,14}(?!\S*\d)"
_GROUPED = r"\d{3,5}(?: \d{3,5}){1,4}"
# Dictated: "as 43 s 6". Only after a word for "number", and nothing else may follow in the line.
_DICTATED = r"(?:[a-z]{1,3}|\d)(?: [a-z0-9]{1,4}){2,5}(?=\s*(?:$|[.,\n]))"
_IDENTIFIER = rf"(?P<id>#?\s?(?:{_GROUPED}|{_SPACED}|{PIECE}))(?![\w@])"
_SPELLED = rf"(?P<id>{_DICTATED})"

_JOINED = r"(?:s?-?nummern?|s?-?nr\.?|s?code|s?id|nummer)"
_ORDER_SHORT = rf"{alternatives('identifiers', 'order_short')}[\s-]{{0,2}}(?:nr|no|num|n°|nº)\b"


def _cued(noun: str, short: str | None = None) -> tuple[re.Pattern[str], ...]:
    """(noun + word for number + identifier, noun + identifier, noun + number + dictated identifier).

    The second needs a surer identifier. `short` are forms that already hold a word for number.
    """
    # "order number", "Bestellnummer", "number of my order", "booking confirmation"
    cue = (
        rf"(?:{noun}{_JOINED}\b|{noun}\b{_GLUE}(?:confirmation\s)?{_NUMBER}(?!\w)"
        rf"|{_NUMBER}(?!\w)\.?\s(?:{_GLUE}){noun}\b" + (rf"|{short}" if short else "") + ")"
    )
    strong = rf"(?<!\w){cue}{_GLUE}(?:{_IDENTIFIER})"
    weak = rf"(?<!\w){noun}\b{_GLUE}{_IDENTIFIER}"
    spelled = rf"(?<!\w){cue}{_GLUE}{_SPELLED}"
    return tuple(re.compile(shape) for shape in (strong, weak, spelled))


_ORDER_CUES = _cued(_ORDER, _ORDER_SHORT)
_INVOICE_CUES = _cued(_INVOICE)
_ACCOUNT_CUES = _cued(_ACCOUNT)
_HASH = re.compile(r"(?P<word>[^\W\d_]{2,20})?[\s:.(]{0,3}(?P<id>#\d{4,15})(?!\w)")
_MORE = re.compile(rf"(?:\s*[,;&/+]\s*|\s+(?:and|und|et|y|e|en|i|or|oder)\s+)(?P<id>#?{PIECE})(?![\w@])")
_PREFIXED = re.compile(
    r"(?<![\w-])(?P<id>(?P<kind>ORD|ORDER|BEST|INV|RE|RG|FA|FV)[-_ #]?\d{2,4}[-_/]?\d{2,12})(?![\w])"
)
# "PO" is also a cue; with a dash it belongs to the number.
_DASHED = re.compile(r"(?<![\w-])(?P<id>(?:PO|SO)-\d{4,12})(?!\w)")
# A noun with one slip of the keyboard, with or without a word for number: "puurchase 0045", "conformation no 77".
_SLIP = re.compile(
    rf"(?<!\w)(?P<word>[^\W\d_]{{5,16}})\s(?P<number>{_NUMBER}(?!\w)\.?\s?)?"
    rf"(?:(?:is|ist|est|es|è|:)\s?)?(?:(?P<spelled>{_DICTATED})|(?P<id>#?(?:{_SPACED}|(?=\S*\d){PIECE})))(?![\w@])"
)
# A booking code is six capitals, digits among them or not; seen only where a word for it stands in front.
_LOCATOR = re.compile(
    rf"(?<!\w)(?i:bookings?|reservations?|confirmation|buchung|reservierung|réservation|reserva|prenotazione|boeking"
    rf"|rezerwacj[aięi])(?i:s?-?{_NUMBER})?(?!\w)(?i:{_GLUE}(?:{_NUMBER}(?!\w))?{_GLUE})(?P<id>[A-Z0-9]{{6}})(?![\w@-])"
)
# What carriers print: UPS, the post of any country, DHL.
_CARRIERS = re.compile(r"(?<!\w)(?:1Z[0-9A-Z]{16}|[A-Z]{2}\d{9}[A-Z]{2}|J[JV]?D\d{16,20})(?!\w)")
_TRACKED = re.compile(
    rf"(?<!\w){_TRACKING}[\s-]?(?:{_JOINED}(?!\w)|{_NUMBER}(?!\w))?{_GLUE}(?P<id>(?=\S*\d){PIECE}|{_GROUPED})(?![\w@])"
)
_TO = re.compile(r"\bto\s+$")
_INVOICE_WORDS = words("identifiers", "invoice_words")
_ORDER_WORDS = words("identifiers", "order_words")
_NO_SLIPS = words("identifiers", "no_slips")
_OTHER_HASHES = words("identifiers", "other_hashes")
_ORDER_KINDS = ("ORD", "ORDER", "BEST")


def _token(text: Text, match: re.Match[str], group: str = "id") -> Found:
    value = text.word(match, group)
    return text.found(match, group, value.lstrip("# "))


def _after(text: Text, found: Found) -> str:
    return text.lower[found.end : found.end + 12]


def _hits(text: Text, cues: tuple[re.Pattern[str], ...]) -> Iterator[Found]:
    for match in text.near_digits(cues[2]):
        value = text.word(match, "id")
        pieces = value.split(" ")
        if any(ch.isdigit() for ch in pieces[-1]) and sum(piece.isdigit() for piece in pieces) >= 1:
            yield text.found(match, "id", value.replace(" ", ""))
    for sure, pattern in zip((True, False), cues[:2], strict=True):
        for match in text.near_digits(pattern):
            found = _token(text, match)
            # "Ship the order to 12345 Main Street".
            if not sure and _TO.search(text.lower, match.start(), found.start):
                continue
            if plausible(found.value, sure=sure, after=_after(text, found)):
                yield found
                yield from _listed(text, found)


def _listed(text: Text, first: Found) -> Iterator[Found]:
    """The further numbers of a list: "orders 12345, 12346 and 12347"."""
    at = first.end
    shape = len(first.value.lstrip("#"))
    for _ in range(10):
        match = _MORE.match(text.lower, at)
        if match is None:
            return
        found = _token(text, match)
        alike = abs(len(found.value.lstrip("#")) - shape) <= 2
        if not alike or not plausible(found.value, sure=False, after=_after(text, found)):
            return
        yield found
        at = found.end


def _hashed(text: Text) -> Iterator[tuple[str, Found]]:
    """("order" or "invoice", #12345): after a misspelt cue word, or after no noun of something else."""
    if "#" not in text.lower:
        return
    for match in text.near_digits(_HASH):
        word = match.group("word") or ""
        if word not in _OTHER_HASHES:
            yield ("invoice" if misspelt(word, _INVOICE_WORDS) else "order"), _token(text, match)


def _slips(text: Text) -> Iterator[tuple[str, Found]]:
    """("order" or "invoice", identifier) after a noun that is one slip of the keyboard away."""
    for match in text.near_digits(_SLIP):
        word = match.group("word")
        if word in _NO_SLIPS:
            continue
        orders, invoices = misspelt(word, _ORDER_WORDS), misspelt(word, _INVOICE_WORDS)
        if not (orders or invoices):
            continue
        sure = match.group("number") is not None
        if match.group("spelled"):
            value = text.word(match, "spelled")
            if not sure or not value[-1].isdigit():
                continue
            found = text.found(match, "spelled", value.replace(" ", ""))
        else:
            found = _token(text, match)
            if not plausible(found.value, sure=sure, after=_after(text, found)):
                continue
        yield ("order" if orders else "invoice"), found


def _prefixed(text: Text, *, orders: bool) -> Iterator[Found]:
    for match in text.as_written(_PREFIXED):
        if (match["kind"] in _ORDER_KINDS) is orders:
            yield _token(text, match)


def order_numbers(text: Text) -> list[Found]:
    """Numbers of orders, bookings and shipments, in order of surety."""
    return [
        *(text.found(match, "id") for match in text.as_written(_DASHED)),
        *_hits(text, _ORDER_CUES),
        *_prefixed(text, orders=True),
        *(one for kind, one in (*_hashed(text), *_slips(text)) if kind == "order"),
        *(text.found(m, "id") for m in _LOCATOR.finditer(text.raw)),
        *said_apart(text, "order"),
        *answered(text),
    ]


def invoice_numbers(text: Text) -> list[Found]:
    """Numbers of invoices, bills and receipts."""
    return [
        *_hits(text, _INVOICE_CUES),
        *(one for kind, one in _hashed(text) if kind == "invoice"),
        *_prefixed(text, orders=False),
        *(one for kind, one in _slips(text) if kind == "invoice"),
        *said_apart(text, "invoice"),
    ]


def account_ids(text: Text) -> list[Found]:
    """Numbers of accounts, customers, policies and contracts."""
    return [*_hits(text, _ACCOUNT_CUES), *said_apart(text, "account")]


def tracking_numbers(text: Text) -> list[Found]:
    """Numbers that a carrier gave to a parcel: no field of their own, but nothing else either."""
    found = [text.found(match) for match in text.as_written(_CARRIERS)]
    for match in text.near_digits(_TRACKED):
        if sum(ch.isdigit() for ch in match["id"]) >= 6:
            found.append(_token(text, match))
    return found
