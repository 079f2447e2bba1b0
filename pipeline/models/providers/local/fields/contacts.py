"""Phone numbers: by their shape, by the words around them, or dictated digit by digit."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from pipeline.models.providers.local.cues import alternatives, lines
from pipeline.models.providers.local.fields.spans import Found, overlaps
from pipeline.models.providers.local.fields.text import Text

__all__ = ["phones"]

_CUE = alternatives("contacts", "phone")
_LABEL = alternatives("contacts", "phone_label")
_JOIN = r"(?: ?[./\-–] ?| {1,2})(?=[\d(])"
_BODY = rf"(?:[\d()]|{_JOIN})"
_EXTENSION = (
    r"(?:,? ?(?:x|ext(?:ension)?\.?|durchwahl|dw|poste|interno|int\.|toestel|ramal|wew\.) ?\d{1,6}(?!\w))?"
)
_CUED = re.compile(
    rf"(?<!\w){_CUE}\b[^\d\n@+(]{{0,25}}(?::\s?\n\s?)?(?P<number>\+?\(?\d{_BODY}{{5,22}}\d{_EXTENSION})(?![\w@])"
)
_LABELLED = re.compile(rf"(?<![\w+#./-])(?P<number>\(?\d{_BODY}{{5,20}}\d)(?=[ \t]?[-–(,]?[ \t]?{_LABEL}\b)")
_INTERNATIONAL = re.compile(
    rf"(?<![\w+./-])(?P<number>(?:\+ ?|(?<!\d )00)[1-9]{_BODY}{{6,22}}\d{_EXTENSION})(?![\w@])"
)
# A trunk prefix and groups, "0160 5550188", or three, three and four digits: nothing else in a mail looks like it.
_GROUPED = re.compile(
    rf"(?<![\w+#.,/-])(?<!\d )(?P<number>\(?0\d{{1,4}}\)? ?[ /\-–] ?\d{{2,8}}(?:[ \-–/]\d{{2,5}}){{0,4}}"
    rf"|(?:1[ -])?(?:\([2-9]\d\d\) ?|[2-9]\d\d(?P<sep>[ .-]))[2-9]\d\d(?(sep)(?P=sep)|[ .-])\d{{4}}"
    rf"{_EXTENSION})(?![\w@]|[.,/:-]\d)"
)
_BESIDE = re.compile(r"(?<![\w+#.,/-])(?P<number>\d{10,11}|\d{3}[ -]\d{3}[ -]?\d{4})(?![\w@]|[.,/-]\d)")
_NATIONAL = re.compile(
    r"(?<![\w+#.,/-])(?P<number>\(?\d(?:[\d()]|[ ./\-–](?=[\d(])){6,18}\d)(?![\w@]|[.,/-]\d)"
)
_STREET = re.compile(rf"(?<!\w){alternatives('contacts', 'street')}(?!\w)")
_DIGITS = {
    word: str(digit) for digit, row in enumerate(lines("contacts", "digits")) for word in row.split("|")
}
_DIGITS |= {"zera": "0", "zero": "0"}
_TIMES = {"double": 2, "doppel": 2, "triple": 3}
_SAID_WORD = "(?:" + "|".join(sorted([*_DIGITS, *_TIMES, "plus", r"\d"], key=len, reverse=True)) + ")"
_SAID = re.compile(rf"(?<!\w){_SAID_WORD}(?:[ ,.-]{{1,2}}{_SAID_WORD}){{6,16}}(?!\w)")


def phones(
    text: Text, region: str | None, taken: Sequence[Found], mails: Sequence[Found] = ()
) -> list[Found]:
    """Phone numbers with their E.164 form where the country is known, extension included in the span.

    A number with +, in the grouping of a phone number, or near a word for one needs to be possible; one that
    merely stands there has to be valid in the default region (ISO 3166, None: unknown), or stand beside an
    address of `mails` or a street. Nothing that another field has `taken` is a phone number.
    """
    found: list[Found] = []
    # Who writes down an address gives contact details: then ten digits beside it are a phone number.
    contact = bool(mails) or _STREET.search(text.lower) is not None
    for pattern in (_INTERNATIONAL, _CUED, _LABELLED, _GROUPED, _BESIDE, _NATIONAL):
        mere = pattern is _NATIONAL
        if (mere and region is None) or (pattern is _BESIDE and not contact):
            continue
        for match in text.near_digits(pattern):
            one = _number(text, match, region, mere=mere)
            if one is not None and not overlaps(one, found) and not overlaps(one, taken):
                found.append(one)
    found += [one for one in _dictated(text, region) if not overlaps(one, [*found, *taken])]
    return found


def _number(text: Text, match: re.Match[str], region: str | None, *, mere: bool) -> Found | None:
    value = text.word(match, "number")
    main = re.split(r"(?i),? ?(?:x|ext|durchwahl|dw|poste|int|toestel|ramal|wew)", value, maxsplit=1)[0]
    digits = sum(ch.isdigit() for ch in main)
    if not 7 <= digits <= 15 or _looks_like_date(value):
        return None
    if match.re is _GROUPED and digits < 9:
        return None
    number, valid = _e164(main, region)
    # Twelve digits that begin with 00 are a phone number only where they can be one.
    if not valid and (mere or (match.re is _INTERNATIONAL and value.startswith("00") and value.isdigit())):
        return None
    return text.found(match, "number", number)


def _dictated(text: Text, region: str | None) -> Iterator[Found]:
    """Seven and more digits said as words, "oh seven double five …", a few of them in figures."""
    for match in text.everywhere(_SAID):
        times, digits, figures = 1, "", 0
        for word in re.findall(r"\w+", match.group()):
            if word in _TIMES:
                times = _TIMES[word]
            elif word == "plus":
                digits += "+"
            else:
                figures += word.isdigit()
                digits += _DIGITS.get(word, word) * times
                times = 1
        if len(digits) >= 7 and figures * 2 < len(digits):
            yield text.found(match, 0, _e164(digits, region)[0] or digits)


def _looks_like_date(value: str) -> bool:
    return re.fullmatch(r"(?:\d{4}|\d\d?)[-./ ]\d\d?[-./ ](?:\d{4}|\d\d)", value) is not None


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
