"""Sums of money with a currency sign, code or word on either side, or after a word such as "amount"."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal

from pipeline.models.providers.local.cues import alternatives, lines, phrases
from pipeline.models.providers.local.fields.spans import Found
from pipeline.models.providers.local.fields.text import Text, text_of

__all__ = ["amounts"]

_SIGNS = {
    "€": "EUR",
    "$": "USD",
    "£": "GBP",
    "¥": "JPY",
    "₹": "INR",
    "₺": "TRY",
    "₽": "RUB",
    "₩": "KRW",
    "zł": "PLN",
    "kč": "CZK",
}
_CODES = "|".join(lines("amounts", "codes"))
_SMALL_CODES = "|".join(lines("amounts", "small_codes"))
_WORDS = {
    r"euros?|eur(?:o|ó)s?|evro": "EUR",
    r"(?:us )?dollars?|d[óo]lar(?:es)?|dollar[io]?|dólares|bucks": "USD",
    r"pounds?(?: sterling)?|quid|pfund|livres?|libras?|sterlin[ae]|pond": "GBP",
    r"z[łl]ot(?:y|ych|e|ys)|zlotys?|zł": "PLN",
    r"franken|francs? suisses?|chf": "CHF",
    r"kronor|kroner|kr": "",
    r"korun[ay]?|kč": "CZK",
    r"forint(?:ot)?": "HUF",
    r"reais|real(?=\s*(?:$|[.,;!?]))": "BRL",
    r"rupees?": "INR",
    r"yen": "JPY",
    r"lei": "RON",
    r"lira(?:s)?|tl": "TRY",
    r"cents?|pence": "",
}
_NUMBER = r"\d{1,3}(?:[.,'’ \u00a0\u202f]\d{3}){1,4}(?:[.,]\d{1,2})?(?!\d)|\d{1,12}(?:[.,]\d{1,2})?(?!\d)"
_SIGN = r"(?:[A-Z]{0,3}[$€£¥₹₺₽₩]|R\$)"
_WORD = "|".join(_WORDS)
# Those that nobody takes for something else after a number in words ("two cents", "three real problems").
_SAID = "|".join(words for words, code in _WORDS.items() if code not in ("", "BRL", "TRY", "RON"))
_BEFORE = re.compile(
    rf"(?<![\w$€£])(?<![a-z0-9]-)(?P<unit>{_SIGN}|(?:{_CODES}|{_SMALL_CODES})(?=[\s\d]))\s?(?P<number>{_NUMBER})(?:\s?[-–]{{1,2}}(?!\w))?"
)
_AFTER = re.compile(
    rf"(?<![\w.,#/-])(?P<number>{_NUMBER})(?:,[-–]{{1,2}})?[ \t\u00a0\u202f]?"
    rf"(?P<unit>[€$£¥₹₺₽₩]|(?:{_CODES}|{_SMALL_CODES}|zł|zl|Kč|kr|Ft)(?!\w)|(?i:{_WORD})(?!\w))"
)
_CUED = re.compile(
    rf"(?<!\w){alternatives('amounts', 'amount')}[:\s]{{1,3}}(?P<number>\d{{1,7}}(?:[.,]\d{{1,2}})?)"
    rf"(?![\w%/-]|[.,:]\d|\s?{alternatives('amounts', 'not_money')}(?!\w))"
)
# "12€50": the cents behind the sign.
_INSIDE = re.compile(
    r"(?<![\w.,])(?P<number>\d{1,5}) ?(?P<unit>€|£|zł|euros?) ?(?P<cents>\d\d)(?![\w.,]\d|\w|%)"
)
_IN_WORDS = re.compile(
    rf"(?<!\w)(?P<number>(?:{alternatives('amounts', 'number_words')}))\s(?P<unit>{_SAID})(?!\w)"
)
_PRICED = re.compile(
    rf"(?<!\w)(?P<noun>{alternatives('amounts', 'expense')})(?:\s(?:for|was|is|of|cost)|\s?[:=-])?\s"
    rf"(?P<number>\d{{1,6}}(?:[.,]\d{{1,2}})?)(?![\w%/-]|[.,:]\d|\s?{alternatives('amounts', 'not_money')}(?!\w))"
    rf"|^(?P<number2>\d{{1,6}})\s(?P<noun2>{alternatives('amounts', 'expense')})$"
)
_SPENDING = phrases("amounts", "spending")
# The number behind one of these may be its own; it is a price only in a list with something else.
_NUMBERED_THINGS = frozenset(
    {"room", "flight", "bus", "train", "gas", "ticket", "tickets", "cab", "tax", "visa", "insurance"}
)


def amounts(text: str | Text) -> list[Found]:
    """Amounts with normalised form "12.50 EUR"; without a currency in the text only the number."""
    read = text_of(text) if isinstance(text, str) else text
    found = list(_cents_inside(read))
    for pattern in (_BEFORE, _AFTER):
        found += [_found(match, match.group("unit")) for match in read.as_written(pattern)]
    for match in read.near_digits(_CUED):
        found.append(read.found(match, "number", _plain(match.group("number"))))
    # Without a normal form: the words say the sum.
    found += [read.found(match) for match in read.everywhere(_IN_WORDS)]
    return [*found, *_listed(read)]


def _cents_inside(text: Text) -> Iterator[Found]:
    for match in text.near_digits(_INSIDE):
        amount = f"{match.group('number')}.{match.group('cents')} {_currency(match.group('unit'))}"
        yield text.found(match, 0, amount.strip())


def _listed(text: Text) -> Iterator[Found]:
    """The sums of a list of expenses without a currency: "travel 45, food 55"."""
    found = list(text.near_digits(_PRICED))
    nouns = {match.group("noun") or match.group("noun2") for match in found}
    whole = len(found) == 1 and found[0].group() == text.lower.strip()
    if not nouns - _NUMBERED_THINGS or not (len(nouns) > 1 or whole or _SPENDING.search(text.lower)):
        return
    for match in found:
        group = "number" if match.group("number") else "number2"
        yield text.found(match, group, _plain(match.group(group)))


def _found(match: re.Match[str], unit: str) -> Found:
    value = match.group()
    number = _decimal(match.group("number"))
    if number is None:
        return Found(match.start(), match.end(), value)
    currency = _currency(unit)
    amount = f"{number:.2f}" if number == number.quantize(Decimal("0.01")) else str(number)
    return Found(match.start(), match.end(), value, f"{amount} {currency}" if currency else amount)


def _plain(number: str) -> str | None:
    value = _decimal(number)
    return None if value is None else f"{value:.2f}"


def _decimal(number: str) -> Decimal | None:
    """The number under the rules of whoever wrote it: the last separator with two digits is the decimal one."""
    from price_parser import Price

    squeezed = re.sub(r"(?<=\d)[ '’\u00a0\u202f](?=\d)", "", number)
    amount = Price.fromstring(squeezed).amount
    return amount if isinstance(amount, Decimal) else None


def _currency(unit: str) -> str:
    """The ISO code, or an empty string where the text does not say which (kr is used by three countries)."""
    bare = unit.strip()
    if re.fullmatch(_CODES, bare.upper()):
        return bare.upper()
    if bare == "R$":
        return "BRL"
    for sign, code in _SIGNS.items():
        if sign in bare.lower():
            return {"C$": "CAD", "CA$": "CAD", "A$": "AUD", "AU$": "AUD", "NZ$": "NZD"}.get(bare, code)
    for words, code in _WORDS.items():
        if re.fullmatch(words, bare, re.IGNORECASE):
            return code
    return {"zl": "PLN", "ft": "HUF", "real": "BRL"}.get(bare.lower(), "")
