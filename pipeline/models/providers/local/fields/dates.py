"""Days named in a text: numeric, with month names in many languages, or relative; times are left alone."""

from __future__ import annotations

import re
from datetime import date, datetime

from pipeline.models.providers.local.fields.spans import Found

__all__ = ["dates"]

# Month by month, in en de fr es it nl pt pl cs sv da; short forms where they are used.
_MONTHS = (
    "january|jan|januar|jänner|janvier|janv|enero|ene|gennaio|gen|januari|janeiro|stycznia|styczeń|ledna",
    "february|feb|februar|feber|février|fevrier|févr|febrero|febbraio|febbr|februari|fevereiro|fev|lutego|luty|února",
    "march|mar|märz|maerz|mär|mars|marzo|maart|mrt|março|marco|marca|marzec|března",
    "april|apr|avril|avr|abril|abr|aprile|kwietnia|kwiecień|dubna",
    "may|mai|mayo|maggio|mag|mei|maio|maja|maj|května",
    "june|jun|juni|juin|junio|giugno|giu|junho|czerwca|czerwiec|června",
    "july|jul|juli|juillet|juil|julio|luglio|lug|julho|lipca|lipiec|července",
    "august|aug|août|aout|agosto|ago|augustus|sierpnia|sierpień|srpna|augusti",
    "september|sept|sep|septembre|septiembre|setiembre|settembre|sett|setembro|set|września|wrzesień|září",
    "october|oct|oktober|okt|octobre|octubre|ottobre|ott|outubro|out|października|październik|října",
    "november|nov|novembre|noviembre|novembro|listopada|listopad",
    "december|dec|dezember|dez|décembre|decembre|déc|diciembre|dic|dicembre|dezembro|grudnia|grudzień|prosince",
)
_MONTH_NUMBER = {name: number for number, names in enumerate(_MONTHS, start=1) for name in names.split("|")}
_MONTH = "(?:" + "|".join(sorted(_MONTH_NUMBER, key=len, reverse=True)) + r")\b\.?"
_DAY = r"(?:0?[1-9]|[12]\d|3[01])"
_ORDINAL = r"(?: ?(?:st|nd|rd|th)\b|\.|º|er\b|e\b|ª)?"
_YEAR = r"(?:(?:19|20)\d\d)"
_OF = r"(?:\s?(?:of|de|del|di|the|von|van)\s)?"

_ISO = re.compile(rf"(?<![\w./-]){_YEAR}[-/.](?:0?[1-9]|1[0-2])[-/.]{_DAY}(?![\w]|[-/.]\d)")
_NUMERIC = re.compile(rf"(?<![\w./,-]){_DAY}(?P<sep>[-/.]) ?{_DAY}(?P=sep) ?(?:{_YEAR}|\d\d)(?![\w]|[-/.]\d)")
_SHORT = re.compile(rf"(?<![\w./,-])(?:0?[1-9]|[12]\d|3[01])\.(?:0?[1-9]|1[0-2])\.(?![\w])")
_DAY_MONTH = re.compile(
    rf"(?<![\w./,-])(?P<day>{_DAY}){_ORDINAL}\s?{_OF}(?:\s?|-)(?P<month>{_MONTH})(?:,?[\s-]{_OF}(?P<year>{_YEAR})(?!\d))?",
    re.IGNORECASE,
)
_MONTH_DAY = re.compile(
    rf"(?<!\w)(?P<month>{_MONTH})\s(?:the\s)?(?P<day>{_DAY})(?!\d|[.,]\d|:)(?: ?(?:st|nd|rd|th)\b)?(?:,?\s(?P<year>{_YEAR})(?!\d))?",
    re.IGNORECASE,
)
_MONTH_YEAR = re.compile(rf"(?<!\w)(?P<month>{_MONTH}),?\s(?P<year>{_YEAR})(?!\d)", re.IGNORECASE)
_COMPACT = re.compile(
    r"(?<!\w)(?:date|on|dated|to|datum|am|le|fecha|data)[:\s]{1,2}(?P<value>\d{6}|\d{8})(?!\w)", re.IGNORECASE
)
_BARE_ORDINAL = re.compile(
    r"(?<!\w)(?:the|from|until|till|to|on|between|and)\s(?P<value>(?:0?[1-9]|[12]\d|3[01]) ?(?:st|nd|rd|th)\b)"
    r"(?!\s?(?:time|floor|party|generation|street|ave|avenue|line|of\s(?!(?:this|next|the)\b)))",
    re.IGNORECASE,
)

_WEEKDAY = (
    r"(?:monday|tuesday|wednesday|thursday|friday|saturday|sunday|montag|dienstag|mittwoch|donnerstag|freitag|samstag|sonntag"
    r"|lundi|mardi|mercredi|jeudi|vendredi|samedi|dimanche|lunes|martes|miércoles|jueves|viernes|sábado|domingo"
    r"|lunedì|martedì|mercoledì|giovedì|venerdì|sabato|domenica|maandag|dinsdag|woensdag|donderdag|vrijdag|zaterdag|zondag"
    r"|segunda-feira|terça-feira|quarta-feira|quinta-feira|sexta-feira|poniedziałek|wtorek|środa|środę|czwartek|piątek|sobota|niedziela)"
)
_COUNT = r"(?:\d{1,3}|a|an|one|two|three|four|five|six|seven|einer?|einem|zwei|drei|vier|deux|trois|une?|dos|tres|un[oa]?|due|tre|twee|drie|dois|duas|três)"
_UNIT = r"(?:days?|weeks?|months?|years?|tage?n?|wochen?|monate?n?|jours?|semaines?|mois|días?|semanas?|mes(?:es)?|giorni|settiman[ae]|mesi|dagen|weken|maand(?:en)?|dias?|dni|tygodni)"
_RELATIVE = re.compile(
    rf"(?<!\w)(?:(?:the )?day (?:after tomorrow|before yesterday)|yesterday|today|tomorrow|tonight|gestern|vorgestern|heute|morgen früh|übermorgen"
    rf"|aujourd'hui|hier(?=[\s,.!?]|$)(?! (?:ist|geht|gibt|war|kann|habe))|avant-hier|demain|ayer|anteayer|hoy|pasado mañana|ieri|oggi|domani|dopodomani"
    rf"|gisteren|eergisteren|vandaag|overmorgen|ontem|hoje|amanhã|wczoraj|dzisiaj|dziś|jutro"
    rf"|{_COUNT} {_UNIT} (?:ago|earlier)|vor {_COUNT} {_UNIT}|il y a {_COUNT} {_UNIT}|hace {_COUNT} {_UNIT}|{_COUNT} {_UNIT} (?:fa|geleden|atrás|temu)|há {_COUNT} {_UNIT}"
    rf"|(?:last|next|this|letzten|nächsten|diesen|kommenden|vorigen|afgelopen|volgende|il prossimo|scorso|el próximo|el pasado|próxim[ao]|passad[ao]|w zeszły|w przyszły)\s{_WEEKDAY}"
    rf"|{_WEEKDAY}(?: (?:dernier|prochain|pasado|próximo|scorso|prossimo|passad[ao]))?)(?!\w)",
    re.IGNORECASE,
)


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
        for match in pattern.finditer(text):
            found.append(_named(match, today))
    for match in _COMPACT.finditer(text):
        value, start = match.group("value"), match.start("value")
        normalised = _compact(value, region)
        if normalised is not None:
            found.append(Found(start, start + len(value), value, normalised))
    for match in _MONTH_YEAR.finditer(text):
        month = _MONTH_NUMBER[match.group("month").lower().rstrip(".")]
        found.append(Found(match.start(), match.end(), match.group(), f"{match.group('year')}-{month:02d}"))
    for match in _RELATIVE.finditer(text):
        found.append(Found(match.start(), match.end(), match.group(), _relative(match.group(), received)))
    for match in _BARE_ORDINAL.finditer(text):
        found.append(Found(match.start("value"), match.end("value"), match.group("value")))
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
    """The year that brings the date closest to the day of receipt; None without one."""
    if today is None:
        return None
    days: list[tuple[int, int]] = []
    for year in (today.year - 1, today.year, today.year + 1):
        value = _day(year, month, day)
        if value is not None:
            days.append((abs((date.fromisoformat(value) - today).days), year))
    return min(days)[1] if days else None


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
    if received is None:
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
