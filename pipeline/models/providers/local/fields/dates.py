"""Days named in a text: numeric, with month names in many languages, or relative; times are left alone."""

from __future__ import annotations

import re
from datetime import date, datetime
from functools import reduce

from pipeline.models.providers.local.cues import alternatives, lines, phrases
from pipeline.models.providers.local.fields.spans import Found

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
# "Friday the 17th", "next Friday, 7 January": the weekday belongs to the date.
_ON = rf"(?:(?:(?:last|next|this) )?{_WEEKDAY},? (?:the |den |le |el )?)?"

_ISO = re.compile(rf"(?<![\w./-]){_YEAR}[-/.](?:0?[1-9]|1[0-2])[-/.]{_DAY}(?![\w]|[-/.]\d)")
_NUMERIC = re.compile(rf"(?<![\w./,-]){_DAY}(?P<sep>[-/.]) ?{_DAY}(?P=sep) ?(?:{_YEAR}|\d\d)(?![\w]|[-/.]\d)")
_SHORT = re.compile(rf"(?<![\w./,-]){_DAY}\.(?:0?[1-9]|1[0-2])\.(?!\w)")
_DAY_MONTH = re.compile(
    rf"(?<![\w./,-]){_ON}(?P<day>{_DAY}){_TH}?{_OF}[\s-]?(?P<month>{_MONTH})"
    rf"(?:,?(?:\s|-){_OF}(?P<year>{_YEAR})(?!\d))?",
    re.IGNORECASE,
)
_MONTH_DAY = re.compile(
    rf"(?<!\w){_ON}(?P<month>{_MONTH})\s(?:the\s)?(?P<day>{_DAY})(?!\d|[.,]\d|:|\s?[€$£%]){_TH}?"
    rf"(?:,?\s(?P<year>{_YEAR})(?!\d))?",
    re.IGNORECASE,
)
_MONTH_YEAR = re.compile(rf"(?<!\w)(?P<month>{_MONTH}),?\s(?P<year>{_YEAR})(?!\d)", re.IGNORECASE)
_MONTH_ALONE = re.compile(
    rf"(?<!\w)(?:in|until|till|since|from|of|im|seit|en|depuis|desde|dal|sinds|w|last|next|for)\s(?P<month>{_MONTH})(?!\w)",
    re.IGNORECASE,
)
_COMPACT = re.compile(
    r"(?<!\w)(?:date|on|dated|datum|am|le|fecha|data)[:\s]{1,2}(?:is |was |of |on )?(?P<value>\d{6}|\d{8})(?!\w)"
    r"|^(?P<alone>\d{8})(?= (?:and|to|around|at)\b)",
    re.IGNORECASE,
)
_TO = re.compile(r"\s(?:to|and|until|till|-)\s(?P<value>\d{6}|\d{8})(?!\w)", re.IGNORECASE)
_NTH = rf"{_DAY} ?(?:st|nd|rd|th)\b"
_NOT_A_DAY = (
    r"(?!\s?(?:time|floor|party|generation|street|st\b|ave|avenue|line|grade|item|row|of (?:each|every)))"
)
_BARE_ORDINAL = re.compile(
    rf"(?<!\w)(?:the|from|until|till|to|on|between|and)\s(?P<value>{_NTH}){_NOT_A_DAY}", re.IGNORECASE
)
_RANGE_START = re.compile(rf"(?<!\w)(?P<value>{_NTH}) (?:to|until|till|and|-) (?:the )?{_NTH}", re.IGNORECASE)
_WEEKDAY_NTH = re.compile(rf"(?<!\w)(?:(?:last|next|this) )?{_WEEKDAY},? (?:the )?{_NTH}", re.IGNORECASE)
_DISTANCE = reduce(
    lambda pattern, name: pattern.replace(name.upper(), alternatives("dates", name)),
    ("count", "unit", "weekday"),
    alternatives("dates", "distance"),
)
_RELATIVE = re.compile(
    rf"(?<!\w)(?:{alternatives('dates', 'near_day')}|{_DISTANCE}(?: next week)?)(?!\w)", re.IGNORECASE
)
_PERIOD = phrases("dates", "period", ignore_case=True)
_AHEAD_DAYS = 120
_MAY_BE_A_VERB = frozenset({"may", "march", "mar", "mag", "set", "out", "fev", "gen", "ago", "mars", "marco"})


def dates(text: str, received: datetime | None, region: str | None) -> list[Found]:
    """Dates with their ISO form where the text, or the day of receipt, settles it.

    03/05/2026 is the fifth of March only for a team in the United States (`region` "US"), unless one of the
    numbers cannot be a month.
    """
    today = received.date() if received is not None else None
    found = [Found(m.start(), m.end(), m.group(), _iso(m.group())) for m in _ISO.finditer(text)]
    for pattern in (_NUMERIC, _SHORT):
        for match in pattern.finditer(text):
            found.append(
                Found(match.start(), match.end(), match.group(), _numeric(match.group(), today, region))
            )
    for pattern in (_DAY_MONTH, _MONTH_DAY):
        found += [_named(match, today) for match in pattern.finditer(text)]
    found += _compact_dates(text, region)
    for match in _MONTH_YEAR.finditer(text):
        month = _MONTH_NUMBER[match.group("month").lower().rstrip(".")]
        found.append(Found(match.start(), match.end(), match.group(), f"{match.group('year')}-{month:02d}"))
    found += [Found(m.start(), m.end(), m.group()) for m in _WEEKDAY_NTH.finditer(text)]
    for match in _RELATIVE.finditer(text):
        found.append(Found(match.start(), match.end(), match.group(), _relative(match.group(), received)))
    found += [Found(m.start(), m.end(), m.group()) for m in _PERIOD.finditer(text)]
    for pattern in (_BARE_ORDINAL, _RANGE_START):
        found += [Found(*m.span("value"), m.group("value")) for m in pattern.finditer(text)]
    for match in _MONTH_ALONE.finditer(text):
        if match.group("month").lower() not in _MAY_BE_A_VERB and len(match.group("month")) > 3:
            found.append(Found(*match.span("month"), match.group("month")))
    return found


def _compact_dates(text: str, region: str | None) -> list[Found]:
    """Dates written as one number, 06042018 or 060418, where a word says that it is a date."""
    found: list[Found] = []
    for match in _COMPACT.finditer(text):
        group = "value" if match.group("value") else "alone"
        rest = _TO.match(text, match.end())
        for value, start in [(match.group(group), match.start(group))] + (
            [(rest.group("value"), rest.start("value"))] if rest else []
        ):
            normalised = _compact(value, region)
            if normalised is not None:
                found.append(Found(start, start + len(value), value, normalised))
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


def _named(match: re.Match[str], today: date | None) -> Found:
    month = _MONTH_NUMBER[match.group("month").lower().rstrip(".")]
    day = int(match.group("day"))
    year = int(match.group("year")) if match.group("year") else _year(month, day, today)
    value = match.group().rstrip(". ")
    return Found(
        match.start(), match.start() + len(value), value, None if year is None else _day(year, month, day)
    )


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
