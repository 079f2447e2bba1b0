"""Finds what says who a customer is: e-mail addresses, phone numbers, IBANs and names.

Addresses, IBANs and international phone numbers have a shape. A national phone number is found where it is
valid in the team's region or stands beside a word for it. A name is found where it is known, or where a
greeting, a sign-off, a title or "my name is" leads to it; one that merely stands in a sentence is not.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from pipeline.models.sensitive import ORDER_WORD, Found, digits, either, words

_EMAIL = re.compile(
    r"(?<![\w.+-])[^\W_][\w.+'%-]{0,63}@(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.){1,6}[^\W\d_]{2,24}(?![\w@-])"
)


def emails(text: str) -> list[Found]:
    """Addresses as written, in any script."""
    if "@" not in text:
        return []
    return [Found("emails", m.start(), m.end(), m[0]) for m in _EMAIL.finditer(text)]


# --- IBANs ----------------------------------------------------------------------------------------------

_IBAN = re.compile(r"(?<![^\W_])[A-Z]{2}\d{2}(?:[ \u00a0\u202f\-–.]?[A-Z0-9]){11,38}", re.IGNORECASE)
_IBAN_WORD = re.compile(r"\biban\b[^\w\n]{0,6}(?:is|ist|est|es|è|é|to|jest|nr|no|number)?[^\w\n]{0,4}$", re.I)
# the length of an IBAN by country, from the SWIFT registry
_LENGTHS = {
    code: length
    for length, codes in {
        15: "NO", 16: "BE", 18: "DK FO FI GL NL SD", 19: "MK SI", 20: "AT BA EE KZ LT LU MN XK",
        21: "CH HR LI LV", 22: "BG BH CR DE GB GE IE ME RS VA", 23: "AE GI IL IQ OM SO TL",
        24: "AD CZ ES MD PK RO SA SE SK TN VG", 25: "LY PT ST", 26: "IS TR", 27: "BI DJ FR GR IT MC MR SM",
        28: "AL AZ BY CY DO FK GT HU LB NI PL SV", 29: "BR EG PS QA UA", 30: "JO KW MU YE", 31: "MT SC",
        32: "LC", 33: "RU",
    }.items()
    for code in codes.split()
}  # fmt: skip


def ibans(text: str) -> list[Found]:
    """Account numbers of a country's length and with the right check digits; behind the word IBAN, any."""
    found = []
    for match in _IBAN.finditer(text):
        length = _LENGTHS.get(match[0][:2].upper())
        if length is None:
            continue
        end, taken = match.start(), 0
        while taken < length and end < match.end():
            taken += text[end].isalnum()
            end += 1
        value = text[match.start() : end]
        if taken < length or (end < len(text) and text[end].isalnum()):
            continue
        if _mod97(value) or _IBAN_WORD.search(text[max(0, match.start() - 30) : match.start()]):
            found.append(Found("ibans", match.start(), end, value))
    return found


def _mod97(value: str) -> bool:
    """The check of ISO 13616."""
    plain = re.sub(r"[^A-Za-z0-9]", "", value).upper()
    return int("".join(str(int(character, 36)) for character in plain[4:] + plain[:4])) % 97 == 1


# --- phone numbers --------------------------------------------------------------------------------------

_NUMBER = r"\(?\d(?:[\d()]|[ \t\u00a0\u2009\u202f./\-–‑](?=[\d( ])){4,22}\d"
_EXTENSION = r"(?:[ \t]?(?:x|ext\.?)[ \t]?\d{1,6})?"
_INTERNATIONAL = re.compile(rf"(?<![\w+])\+[ \t]?{_NUMBER}{_EXTENSION}(?![\w@])", re.I)
_CUED = re.compile(
    rf"(?<!\w)(?:{either('phones', 'before')})\b[^\d\n@+#(]{{0,24}}(?:\n[|> \t]{{0,4}})?"
    rf"(?P<number>{_NUMBER}{_EXTENSION})(?![\w@%€$£]|[.,]\d|[ ]?(?:€|EUR|USD|GBP|PLN|zł))",
    re.IGNORECASE,
)
_LABELLED = re.compile(
    rf"(?<![\w+#.,/-])(?P<number>{_NUMBER})[ \t]*[-–(]?[ \t]*(?:{either('phones', 'after')})\b", re.IGNORECASE
)
_NATIONAL = re.compile(rf"(?<![\w+#.,/\-])(?P<number>{_NUMBER})(?![\w@%€$£]|[.,/-]\d)")
_DATE = re.compile(r"\d{1,4}[-./ ]\d{1,2}[-./ ]\d{1,4}")


def phones(text: str, region: str | None) -> list[Found]:
    """Numbers with a country code, beside a word for them, or valid in `region` (ISO 3166; None: unknown)."""
    if re.search(r"\d\D{0,4}\d\D{0,4}\d\D{0,4}\d", text) is None:
        return []
    found = [Found("phones", m.start(), m.end(), m[0]) for m in _INTERNATIONAL.finditer(text)]
    for pattern in (_CUED, _LABELLED):
        found += [Found("phones", *m.span("number"), m["number"]) for m in pattern.finditer(text)]
    if region is not None:
        found += [
            Found("phones", *m.span("number"), m["number"])
            for m in _NATIONAL.finditer(text)
            if 9 <= len(digits(m["number"])) <= 15
            and not ORDER_WORD.search(text[max(0, m.start() - 40) : m.start()])
            and _valid(m["number"], region)
        ]
    return [one for one in found if 6 <= len(digits(one.value)) <= 17 and not _DATE.fullmatch(one.value)]


@lru_cache(maxsize=4096)
def _valid(value: str, region: str) -> bool:
    import phonenumbers

    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(re.sub(r"^00", "+", value), region))
    except phonenumbers.NumberParseException:
        return False


# --- names ----------------------------------------------------------------------------------------------

_PART = r"[^\W\d_a-zà-öø-ÿ][^\W\d_]*(?:['’\-][^\W\d_]+)*\.?"
_MORE = rf"[ ](?:(?:{either('names', 'within')})[ ]){{0,2}}{_PART}"
_ONE = rf"(?P<name>{_PART}(?:{_MORE}){{0,3}})"
_TWO = rf"(?P<name>{_PART}(?:{_MORE}){{1,2}})"


def _lead(
    use: str, between: str, name: str = _ONE, start: str = r"(?<!\w)", end: str = ""
) -> re.Pattern[str]:
    """The words of one use, then what stands between, then a name: only the words may be in any case."""
    return re.compile(rf"{start}(?i:{either('names', use)}){between}{name}{end}", re.MULTILINE)


_LEADS = (
    _lead("said", "[ ]+"),
    _lead("labelled", "[ ]?:[ ]*"),
    _lead("titles", r"\.?[ ]+"),
    _lead("presented", "[ ]+", _TWO),
    _lead("greetings", "[ ]+", start=r"^[|> \t]*", end="[ ]*[,!.:–-]"),
    _lead(
        "sign_offs",
        r"[ ]?[,!.–-]{0,2}[ \t]*(?:\n[|> \t]*){0,3}(?:[-–—~][ ]?)?",
        end=r"[ ]*[.]?[ \t]*$",
    ),
)
_NEVER = frozenset(words("names", "never"))


def named(text: str) -> list[str]:
    """The names that the text itself points out, as written."""
    found = []
    for pattern in _LEADS:
        for match in pattern.finditer(text):
            parts = match["name"].rstrip(".").split()
            while parts and parts[-1].casefold() in _NEVER:
                parts.pop()
            if parts and parts[0].casefold() not in _NEVER and len("".join(parts)) > 1:
                found.append(" ".join(parts))
    return list(dict.fromkeys(found))


def names(text: str, wanted: Sequence[str]) -> list[Found]:
    """Every place where one of the names stands, whole or by one of its capitalised parts."""
    forms: set[str] = set()
    for name in wanted:
        plain = " ".join(name.split())
        parts = [part for part in plain.split() if part[:1].isupper() and len(part.rstrip(".")) > 2]
        forms.update(one for one in (plain, *parts) if len(one) > 1 and one.casefold() not in _NEVER)
    if not forms:
        return []
    longest = sorted(forms, key=lambda form: (-len(form), form))
    pattern = "|".join(re.escape(form).replace(r"\ ", r"\s+") for form in longest)
    return [
        Found("names", m.start(), m.end(), m[0])
        for m in re.finditer(rf"(?<![^\W_]){'(?:' + pattern + ')'}(?![^\W_])", text)
    ]
