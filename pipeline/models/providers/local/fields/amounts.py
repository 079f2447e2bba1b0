"""Sums of money with a currency sign, code or word on either side, or after a word such as "amount"."""

from __future__ import annotations

import re
from decimal import Decimal

from pipeline.models.providers.local.cues import alternatives, lines
from pipeline.models.providers.local.fields.spans import Found

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
_WORDS = {
    r"euros?|eur(?:o|ó)s?|evro": "EUR",
    r"(?:us )?dollars?|d[óo]lar(?:es)?|dollar[io]?|dólares|bucks": "USD",
    r"pounds?(?: sterling)?|quid|pfund|livres?|libras?|sterlin[ae]|pond": "GBP",
    r"z[łl]ot(?:y|ych|e|ys)|zlotys?|zł": "PLN",
    r"franken|francs? suisses?|chf": "CHF",
    r"kronor|kroner|kr": "",
    r"korun[ay]?|kč": "CZK",
    r"forint(?:ot)?|ft": "HUF",
    r"reais|real": "BRL",
    r"rupees?": "INR",
    r"yen": "JPY",
    r"lei": "RON",
    r"lira(?:s)?|tl": "TRY",
    r"cents?|pence": "",
}
_NUMBER = r"\d{1,3}(?:[.,'’ \u00a0\u202f]\d{3}){1,4}(?:[.,]\d{1,2})?(?!\d)|\d{1,12}(?:[.,]\d{1,2})?(?!\d)"
_SIGN = r"(?:[A-Z]{0,3}[$€£¥₹₺₽₩]|R\$)"
_WORD = "|".join(_WORDS)
_BEFORE = re.compile(
    rf"(?<![\w$€£])(?P<unit>{_SIGN}|(?:{_CODES})(?=[\s\d]))\s?(?P<number>{_NUMBER})(?:\s?[-–]{{1,2}}(?!\w))?"
)
_AFTER = re.compile(
    rf"(?<![\w.,#/-])(?P<number>{_NUMBER})(?:,[-–]{{1,2}})?\s?(?P<unit>[€$£¥₹₺₽₩]|(?:{_CODES}|zł|zl|Kč|kr|Ft)(?!\w)|(?i:{_WORD})(?!\w))"
)
_CUED = re.compile(
    rf"(?<!\w){alternatives('amounts', 'amount')}[:\s]{{1,3}}(?P<number>\d{{1,7}}(?:[.,]\d{{1,2}})?)"
    rf"(?![\w%/-]|[.,:]\d|\s?{alternatives('amounts', 'not_money')}(?!\w))",
    re.IGNORECASE,
)


def amounts(text: str) -> list[Found]:
    """Amounts with normalised form "12.50 EUR"; without a currency in the text only the number."""
    found = [_found(m, m.group("unit")) for pattern in (_BEFORE, _AFTER) for m in pattern.finditer(text)]
    for match in _CUED.finditer(text):
        start, end = match.span("number")
        found.append(Found(start, end, match.group("number"), _plain(match.group("number"))))
    return found


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
    if re.fullmatch(_CODES, bare):
        return bare
    if bare == "R$":
        return "BRL"
    for sign, code in _SIGNS.items():
        if sign in bare.lower():
            return {"C$": "CAD", "CA$": "CAD", "A$": "AUD", "AU$": "AUD", "NZ$": "NZD"}.get(bare, code)
    for words, code in _WORDS.items():
        if re.fullmatch(words, bare, re.IGNORECASE):
            return code
    return "PLN" if bare.lower() == "zl" else ""
