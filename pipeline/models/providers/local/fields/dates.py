"""Days named in a text: numeric, with month names in many languages, or relative; times are left alone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, datetime
from functools import reduce

from pipeline.models.providers.local.cues import alternatives, lines
from pipeline.models.providers.local.fields.spans import Found
from pipeline.models.providers.local.fields.text import Text

__all__ = ["dates"]

# Month by month, in en de fr es it nl pt pl cs sv da; short forms where they are used.
_MONTH_NUMBER = {
    name: number for number, row in enumerate(lines("dates", "months"), start=1) for name in row.split("|")
}
_MONTH = "(?:" + "|".join(sorted(_MONTH_NUMBER, key=len, reverse=True)) + r")\b\.?"
_DAY = r"(?:0?[1-9]|[12]\d|3[01])"
_TH = r"(?: ?(?:st|nd|rd|th)\b|\.|º|er\b|e\b|ª)"
_YEAR = r"(?:(?:19|20)\d\d)"
_OF = r"(?:\s(?:of|de|del|di|the|von|van)(?=\s))?"
_WEEKDAY = alternatives("dates", "weekday")
# "Friday the 17th", "Friday, 7 January": the weekday belongs to the date; "next" before it says no more.
_ON = rf"(?:{_WEEKDAY},? (?:the |den |le |el )?)?"

_ISO = re.compile(rf"(?<![\w./-]){_YEAR}[-/.](?:0?[1-9]|1[0-2])[-/.]{_DAY}(?![\w]|[-/.]\d)")
_NUMERIC = re.compile(rf"(?<![\w./,-]){_DAY}(?P<sep>[-/.]) ?{_DAY}(?P=sep)(?: ?{_YEAR}|\d\d)(?![\w]|[-/.]\d)")
# As it is said on the phone: "18th of the 8th 2017", "27/11 1989".
_SAID = re.compile(
    rf"(?<![\w./,-])(?:{_DAY} ?(?:st|nd|rd|th)(?: of)?(?: the)? {_DAY}(?: ?(?:st|nd|rd|th))?|{_DAY}[/.-]{_DAY})"
    rf" {_YEAR}(?![\w]|[-/.,]\d)"
)
_SHORT = re.compile(rf"(?<![\w./,-]){_DAY}\. ?(?:0?[1-9]|1[0-2])\.(?!\w|\d)")
_SLASHED = re.compile(
    rf"(?<!\w){alternatives('dates', 'before_day')}\s"
    rf"(?P<value>{_DAY}/(?:0?[1-9]|1[0-2])|(?:0?[1-9]|1[0-2])/{_DAY})(?![\w/]|[.,]\d)"
)
_DAY_MONTH = re.compile(
    rf"(?<![\w./,-]){_ON}(?P<day>{_DAY}){_TH}?{_OF}[\s-]?(?P<month>{_MONTH})"
    rf"(?:,?(?:\s|-){_OF}(?P<year>{_YEAR})(?!\d))?"
)
_MONTH_DAY = re.compile(
    rf"(?<!\w)(?<!\bi )(?<!\byou )(?<!\bit )(?<!\bwe )(?<!\bthey ){_ON}(?P<month>{_MONTH})"
    rf"\s(?:the\s)?(?P<day>{_DAY})(?!\d|[.,]\d|:|\s?[€$£%]){_TH}?"
    rf"(?:,?\s(?P<year>{_YEAR})(?!\d))?"
)
_MONTH_YEAR = re.compile(rf"(?<!\w)(?P<month>{_MONTH}),?\s(?P<year>{_YEAR})(?!\d)")
_MONTH_ALONE = re.compile(
    rf"(?<!\w){alternatives('dates', 'of_month')}[\s-](?P<month>{_MONTH})(?!\w| (?:this|last|next) year)"
)
_COMPACT = re.compile(
    r"(?<!\w)(?:date|on|dated|datum|am|le|fecha|data|used)[:\s]{1,2}(?:is |was |of |on )?(?P<value>\d{6}|\d{8})(?!\w)"
    r"|(?<![\w.,#/+-])(?P<alone>[0-3]\d(?:0[1-9]|1[0-2])20[0-4]\d|(?:0[1-9]|1[0-2])[0-3]\d20[0-4]\d"
    r"|\d{6}(?= (?:around|at|to)\b))(?![\w-]|[.,/]\d)"
)
_TO = re.compile(r"\s(?:to|and|until|till|-)\s(?P<value>\d{6}|\d{8})(?!\w)")
_NTH = rf"{_DAY} ?(?:st|nd|rd|th)\b"
# A noun after it makes "the 2nd" a second something.
_IS_A_DAY = rf"(?=\s*(?:$|[.,;:!?)\n–-]|{alternatives('dates', 'after_ordinal')}(?!\w)))"
_BARE_ORDINAL = re.compile(rf"(?<!\w)(?:the|from|until|till|to|on|between|and)\s(?P<value>{_NTH}){_IS_A_DAY}")
_RANGE_START = re.compile(rf"(?<!\w)(?P<value>{_NTH}) (?:to|until|till|and|-) (?:the )?{_NTH}")
_WEEKDAY_NTH = re.compile(rf"(?<!\w){_WEEKDAY},? (?:the )?{_NTH}")


def _filled(section: str) -> str:
    """The lines of a section with COUNT, UNIT and WEEKDAY put in."""
    return reduce(
        lambda pattern, name: pattern.replace(name.upper(), alternatives("dates", name)),
        ("count", "unit", "weekday"),
        alternatives("dates", section),
    )


_NEAR_DAY = re.compile(rf"(?<!\w){alternatives('dates', 'near_day')}(?!\w)")
_BACK = re.compile(rf"(?<!\w){_filled('back')}(?!\w)")
_BACK_CUE = re.compile(rf"(?<!\w){alternatives('dates', 'back_cue')}(?!\w)")
_AHEAD = re.compile(rf"(?<!\w){_filled('ahead')}(?!\w)")
_WEEKDAY_NAME = re.compile(_WEEKDAY)
_ON_WEEKDAY = re.compile(rf"(?<!\w){_filled('on_weekday')}(?: next week)?(?!\w)")
_RECURRING = re.compile(rf"(?<!\w){alternatives('dates', 'recurring')}\s$")
_RANGE = re.compile(
    rf"(?<![\w./,-])(?P<value>{_DAY}(?: ?(?:st|nd|rd|th)\b)?)\.? ?{alternatives('dates', 'range')} (?:the )?$"
)
_AHEAD_DAYS = 120
_RANGE_CHARS = 20
_SHORT_MONTHS = frozenset({"May", "Mai", "mai", "mei", "maj"})
_WORDS_TOO = frozenset({"out", "set", "ago"})
_MAY_BE_A_VERB = frozenset({"may", "march", "mar", "mag", "set", "out", "fev", "gen", "ago", "mars", "marco"})


def dates(text: Text, received: datetime | None, region: str | None) -> list[Found]:
    """Dates with their ISO form where the text, or the day of receipt, settles it.

    Dates are days: "next month" is none. 03/05/2026 is the fifth of March only for a team in the United States
    (`region` "US"), unless one of the numbers cannot be a month.
    """
    today = received.date() if received is not None else None
    found = [text.found(match, 0, _iso(match.group())) for match in text.near_digits(_ISO)]
    for pattern in (_NUMERIC, _SHORT):
        found += [
            text.found(match, 0, _numeric(match.group(), today, region))
            for match in text.near_digits(pattern)
        ]
    for match in text.near_digits(_SAID):
        figures = ".".join(re.findall(r"\d+", match.group()))
        found.append(text.found(match, 0, _numeric(figures, today, region)))
    for match in text.near_digits(_SLASHED):
        found.append(text.found(match, "value", _numeric(match.group("value"), today, region)))
    for pattern in (_DAY_MONTH, _MONTH_DAY):
        for match in text.near_digits(pattern):
            # "1 out of 3", "5 set": English words that are months in other languages.
            if match.group("month") in _WORDS_TOO and not (match.group("year") or " de " in match.group()):
                continue
            found.append(_named(text, match, today))
            # "3 - 5 May": the first day of the two stands alone.
            before = max(0, match.start() - _RANGE_CHARS)
            first = _RANGE.search(text.lower, before, match.start()) if pattern is _DAY_MONTH else None
            if first is not None:
                found.append(text.found(first, "value"))
    found += _compact_dates(text, region)
    for match in text.near_digits(_MONTH_YEAR):
        month = _MONTH_NUMBER[match.group("month").rstrip(".")]
        found.append(text.found(match, 0, f"{match.group('year')}-{month:02d}"))
    found += [text.found(match) for match in text.near_digits(_WEEKDAY_NTH)]
    found += _relative_days(text, received)
    for pattern in (_BARE_ORDINAL, _RANGE_START):
        found += [text.found(match, "value") for match in text.near_digits(pattern)]
    for match in text.everywhere(_MONTH_ALONE):
        month_name = text.word(match, "month").rstrip(".")
        verb = match.group("month").rstrip(".") in _MAY_BE_A_VERB and not month_name[0].isupper()
        if not verb and (len(month_name) > 3 or month_name in _SHORT_MONTHS):
            start = match.start("month")
            found.append(Found(start, start + len(month_name), month_name))
    return found


def _relative_days(text: Text, received: datetime | None) -> Iterator[Found]:
    """ "Yesterday", "next Friday", "three days ago"; not "every Monday"."""
    patterns = [_NEAR_DAY, _AHEAD]
    # The distances that end in their cue begin with any number: searched for only where the cue is.
    if _BACK_CUE.search(text.lower):
        patterns.insert(0, _BACK)
    if _WEEKDAY_NAME.search(text.lower):
        patterns.append(_ON_WEEKDAY)
    for pattern in patterns:
        for match in text.everywhere(pattern):
            if not _RECURRING.search(text.lower, max(0, match.start() - 16), match.start()):
                yield text.found(match, 0, _relative(match.group(), received))


def _compact_dates(text: Text, region: str | None) -> list[Found]:
    """Dates written as one number, 06042018 or 060418, where a word or the year shows that it is a date."""
    found: list[Found] = []
    for match in text.near_digits(_COMPACT):
        group = "value" if match.group("value") else "alone"
        rest = _TO.match(text.lower, match.end())
        for one, name in ((match, group), (rest, "value")):
            normalised = None if one is None else _compact(one.group(name), region)
            if one is not None and normalised is not None:
                found.append(text.found(one, name, normalised))
    return found


def _day(year: int, month: int, day: int) -> str | None:
    try:
        return date(year, month, day).isoformat()
    except ValueError:
        return None


def _iso(value: str) -> str | None:
    year, month, day = re.split(r"[-/.]", value)
    return _day(int(year), int(month), int(day))


def _year(month: int, day: int, today: date | None) -> int | None:
    """The year of a date without one: the last such day, or the next if it is at most four months ahead.

    None without a day of receipt, and for a day that no year around it has.
    """
    if today is None:
        return None
    for year in (today.year + 1, today.year, today.year - 1):
        value = _day(year, month, day)
        if value is not None and (date.fromisoformat(value) - today).days <= _AHEAD_DAYS:
            return year
    return None


def _numeric(value: str, today: date | None, region: str | None) -> str | None:
    parts = [int(part) for part in re.split(r"[-/. ]+", value.strip(". ")) if part]
    first, second = parts[0], parts[1]
    month_first = region == "US" and "." not in value
    if second > 12 >= first:
        month_first = True
    elif first > 12:
        month_first = False
    month, day = (first, second) if month_first else (second, first)
    year = parts[2] if len(parts) == 3 else _year(month, day, today)
    if year is None:
        return None
    return _day(year + 2000 if year < 100 else year, month, day)


def _compact(value: str, region: str | None) -> str | None:
    year = int(value[4:])
    if len(value) == 8 and not 1900 <= year <= 2100:
        return None
    return _numeric(f"{value[:2]}/{value[2:4]}/{value[4:]}", None, region)


def _named(text: Text, match: re.Match[str], today: date | None) -> Found:
    month = _MONTH_NUMBER[match.group("month").rstrip(".")]
    day = int(match.group("day"))
    year = int(match.group("year")) if match.group("year") else _year(month, day, today)
    value = text.word(match).rstrip(". ")
    iso = None if year is None else _day(year, month, day)
    return Found(match.start(), match.start() + len(value), value, iso)


def _relative(value: str, received: datetime | None) -> str | None:
    """By dateparser, on this span alone: on whole texts it finds dates everywhere."""
    if received is None or value.lower().endswith("next week"):
        return None
    import dateparser

    parsed = dateparser.parse(
        value,
        languages=["en", "de", "fr", "es", "it", "nl", "pt", "pl"],
        settings={
            "RELATIVE_BASE": received.replace(tzinfo=None),
            "PREFER_DATES_FROM": "future"
            if re.match(r"next|nächst|kommend|volgende", value, re.I)
            else "past",
        },
    )
    return None if parsed is None else parsed.date().isoformat()
