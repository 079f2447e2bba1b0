"""Times by which a reply says that something will happen, in eight languages and one normal form."""

from __future__ import annotations

import re

from pipeline.drafting.promises import sentences

_UNITS = {
    "minute": r"minut\w*",
    "hour": r"hours?|hrs?|stunden?|heures?|horas?|ore|ora|uur|uren|godzin\w*",
    "workday": r"(?:business|working) days?|werktag\w*|arbeitstag\w*|jours? ouvr\w+"
    r"|días (?:hábiles|laborables)|giorni lavorativi|werkdag\w*|dias úteis"
    r"|dni robocz\w+|dnia roboczego",
    "day": r"days?|tage?n?|jours?|días?|giorn[io]|dag(?:en)?|dias?|dni|dnia|dzień|dniach",
    "week": r"weeks?|wochen?|semaines?|semanas?|settiman[ae]|we(?:ek|ken)|tygodni\w*|tydzień",
    "month": r"months?|monate?n?|mois|mes(?:es)?|mes[ei]|maand\w*|mês|meses|miesi[ąę]c\w*",
}
_FIGURE_WORDS = (
    "one a an ein eine einem einer un une una uno een um uma jeden jednej jednego jedną",
    "two zwei deux dos due twee dois duas dwa dwie dwóch",
    "three drei trois tres tre drie três trzy trzech",
    "four vier quatre cuatro quattro quatro cztery czterech",
    "five fünf cinq cinco cinque vijf pięć pięciu",
)
_FIGURES = {word: number for number, words in enumerate(_FIGURE_WORDS, 1) for word in words.split()}
_LEADS = (
    "within, in, inside, under, after, innerhalb, innerhalb von, binnen, in den, nach, dans, "
    "dans un délai de, sous, d'ici, en, en un plazo de, dentro de, entro, tra, fra, over, em, em até, "
    "no prazo de, w ciągu, za, do, w terminie, przez"
)
_NEXT = (
    "the next, the, nächsten, les, los próximos, las próximas, los, las, i prossimi, i, de, de komende, "
    "os próximos, najbliższych, kolejnych, następnych"
)
_BEFORE = (
    "by, until, on, bis, bis zum, spätestens, spätestens am, am, d'ici, d'ici à, avant, para el, "
    "antes de, antes del, el, entro, tegen, voor, uiterlijk, até, na, no, do, przed, najpóźniej, najpóźniej do, w, we"
)
_MOMENTS = (
    "tomorrow, today, tonight, end of the day, end of day, end of the week, "
    "monday, tuesday, wednesday, thursday, friday, saturday, sunday, "
    "morgen, heute, montag, dienstag, mittwoch, donnerstag, freitag, samstag, sonntag, ende der woche, "
    "demain, aujourd'hui, lundi, mardi, mercredi, jeudi, vendredi, samedi, dimanche, "
    "mañana, hoy, lunes, martes, miércoles, jueves, viernes, sábado, domingo, "
    "domani, oggi, lunedì, martedì, mercoledì, giovedì, venerdì, sabato, domenica, "
    "vandaag, maandag, dinsdag, woensdag, donderdag, vrijdag, zaterdag, zondag, "
    "amanhã, hoje, segunda, terça, quarta, quinta, sexta, "
    "jutra, dzisiaj, dziś, końca dnia, końca tygodnia, poniedziałku, poniedziałek, wtorku, wtorek, środy, środę, "
    "czwartku, czwartek, piątku, piątek, soboty, sobotę, niedzieli, niedzielę"
)
_AT_ONCE = (
    "tomorrow, domani, demain, amanhã, immediately, umgehend, sofort, unverzüglich, immédiatement, "
    "inmediatamente, immediatamente, onmiddellijk, imediatamente, right away, straight away, "
    "jutro, natychmiast, niezwłocznie, bezzwłocznie"
)


def _any(listed: str) -> str:
    words = sorted(listed.replace("'", "['’]").split(", "), key=len, reverse=True)
    return "|".join(words)


_SPAN = re.compile(
    rf"(?<!\w)(?:{_any(_LEADS)})\s(?:(?:{_any(_NEXT)})\s)?"
    rf"(?:(\d{{1,3}}|{'|'.join(_FIGURES)})(?:\s?(?:-|–|to|bis|à|a|tot)\s?(\d{{1,3}}))?)\s"
    rf"(?:{'|'.join(f'(?P<{unit}>{pattern})' for unit, pattern in _UNITS.items())})(?!\w)",
    re.IGNORECASE,
)
UNIT_AFTER = re.compile(
    rf"(?:[\s-]?(?:-|–|to|bis|à|a|tot)\s?\d{{1,3}})?[\s-]?(?:{'|'.join(_UNITS.values())})(?!\w)",
    re.IGNORECASE,
)
"""What makes a time of the figure before it, as in 10 working days."""
_MOMENT = re.compile(
    rf"(?<!\w)(?:{_any(_BEFORE)})\s(?:(?:the|den|next|nächsten|this)\s)?(?P<when>{_any(_MOMENTS)})(?!\w)"
    rf"|(?<!\w)(?P<alone>{_any(_AT_ONCE)})(?!\w)",
    re.IGNORECASE,
)


def deadlines_in(text: str) -> list[tuple[str, str]]:
    """(verbatim, normal form) of every time by which something is said to happen, e.g. "3 day" for
    "innerhalb von drei Tagen". A span such as "3-5 days" is known by its end."""
    found = []
    for sentence in sentences(text):
        if sentence.endswith("?"):
            continue
        for match in _SPAN.finditer(sentence):
            figure = match[2] or match[1].lower()
            count = int(figure) if figure.isdigit() else _FIGURES[figure]
            unit = next(unit for unit in _UNITS if match[unit])
            found.append((match[0], f"{count} {unit}"))
        for match in _MOMENT.finditer(sentence):
            found.append((match[0], (match["when"] or match["alone"]).lower()))
    return found
