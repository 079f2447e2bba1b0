"""E-mail addresses and phone numbers."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pipeline.models.providers.local.cues import alternatives
from pipeline.models.providers.local.fields.spans import Found, overlaps

__all__ = ["emails", "phones"]

_EMAIL = re.compile(
    r"(?<![\w.+-])[A-Za-z0-9][\w.+'-]{0,63}@[A-Za-z0-9](?:[A-Za-z0-9-]{0,62}\.){1,5}[A-Za-z]{2,24}(?![\w-])"
)
# Chat logs and dictated text lose the signs: "jane dot doe at gmail dot com", "janedoe 12 gmailcom".
_HOSTS = r"(?:gmail|googlemail|yahoo|hotmail|outlook|icloud|gmx|web|aol|live|proton(?:mail)?)"
_ENDS = r"(?:com|net|org|de|fr|es|it|nl|pt|pl|co uk|me)"
_SPOKEN = re.compile(
    rf"(?<!\w)[A-Za-z][\w-]{{1,40}}(?: (?:dot|punkt|point|punto) [\w-]{{1,40}}){{0,3}} (?:at|@|\(at\)|\[at\]) "
    rf"[\w-]{{2,40}} (?:dot|\(dot\)|\[dot\]|\.) {_ENDS}\b",
    re.IGNORECASE,
)
_SQUEEZED = re.compile(
    rf"(?<!\w)(?P<name>[a-z][a-z0-9_.]{{0,40}}?(?: \d{{1,6}})?) ?@?(?P<host>{_HOSTS})\.? ?(?P<end>com|net|org)\b",
    re.IGNORECASE,
)

_PHONE_CUE = alternatives("contacts", "phone")
_CUED = re.compile(
    rf"(?<!\w){_PHONE_CUE}\b[^\d\n@+(]{{0,25}}(?P<number>\+?\(?\d(?:[\d()]|[ ./\-–](?=[\d(])){{5,20}}\d)(?![\w@])",
    re.IGNORECASE,
)
_INTERNATIONAL = re.compile(
    r"(?<![\w+])(?P<number>(?:\+|00)[1-9](?:[\d()]|[ ./\-–](?=[\d(])){6,20}\d)(?![\w@])"
)
_BESIDE = re.compile(r"(?<![\w+#.,/-])(?P<number>\d{10,11}|\d{3}[ -]\d{3}[ -]\d{4})(?![\w@]|[.,/-]\d)")
_NATIONAL = re.compile(
    r"(?<![\w+#.,/-])(?P<number>\(?\d(?:[\d()]|[ ./\-–](?=[\d(])){6,18}\d)(?![\w@]|[.,/-]\d)"
)


def emails(text: str) -> list[Found]:
    """Addresses as written; those that lost their signs get the likely address as normalised form."""
    found = [Found(m.start(), m.end(), m.group(), _lowered(m.group())) for m in _EMAIL.finditer(text)]
    for match in _SPOKEN.finditer(text):
        spoken = re.sub(
            r" (?:dot|punkt|point|punto|\(dot\)|\[dot\]|\.) ", ".", match.group(), flags=re.IGNORECASE
        )
        address = re.sub(r" (?:at|@|\(at\)|\[at\]) ", "@", spoken, count=1, flags=re.IGNORECASE).replace(
            " ", "."
        )
        found.append(Found(match.start(), match.end(), match.group(), address.lower()))
    for match in _SQUEEZED.finditer(text):
        if "@" in match.group() or "." in match.group():
            continue
        name = match.group("name").replace(" ", "")
        address = f"{name}@{match.group('host')}.{match.group('end')}".lower()
        found.append(Found(match.start(), match.end(), match.group(), address))
    return found


def _lowered(address: str) -> str:
    """Only the domain part: what stands before the @ belongs to the other side."""
    local, _, domain = address.rpartition("@")
    return f"{local}@{domain.lower()}"


def phones(text: str, region: str | None, taken: Sequence[Found], mails: Sequence[Found] = ()) -> list[Found]:
    """Phone numbers with their E.164 form where the country is known.

    A number with + or after a cue word needs to be possible; one that merely stands there has to be valid
    in the default region (ISO 3166, None: unknown), or stand beside an address of `mails`. Nothing that
    another field has `taken` is a phone number.
    """
    found: list[Found] = []
    # Who writes down an e-mail address gives contact details: then ten digits beside it are a phone number.
    contact = any("@" in one.value or one.value.endswith(("com", "net", "org")) for one in mails)
    for pattern, mere in ((_INTERNATIONAL, False), (_CUED, False), (_BESIDE, False), (_NATIONAL, True)):
        if (mere and region is None) or (pattern is _BESIDE and not contact):
            continue
        for match in pattern.finditer(text):
            value = match.group("number")
            start = match.start("number")
            one = Found(start, start + len(value), value)
            if overlaps(one, found) or overlaps(one, taken):
                continue
            digits = sum(ch.isdigit() for ch in value)
            if not 7 <= digits <= 15 or _looks_like_date(value):
                continue
            number, valid = _e164(value, region)
            if mere and not valid:
                continue
            found.append(Found(one.start, one.end, value, number))
    return found


def _looks_like_date(value: str) -> bool:
    return re.fullmatch(r"\d{1,4}[-./ ]\d{1,2}[-./ ]\d{2,4}", value) is not None


def _e164(value: str, region: str | None) -> tuple[str | None, bool]:
    """(the number in E.164 or None, whether it is one that can exist in its country)."""
    import phonenumbers

    try:
        parsed = phonenumbers.parse(re.sub(r"^00", "+", value), region)
    except phonenumbers.NumberParseException:
        return None, False
    valid = phonenumbers.is_valid_number(parsed)
    if not phonenumbers.is_possible_number(parsed):
        return None, False
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164), valid
