"""The report as a mail reads it: subject, plain text, HTML with its styles inline, and the charts as pictures.

Only the words and pictures; how they become a mail is `pipeline.delivery.letters`. Mail clients drop
`<style>`, scripts and remote pictures, and many are 600 pixels wide or less.
"""

from __future__ import annotations

import functools
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.reports.charts import Chart, charts
from pipeline.reports.measures import Report
from pipeline.reports.movers import words
from pipeline.reports.rendering import NOTHING, templates
from pipeline.reports.suggested import Evidence
from pipeline.reports.tables import Cell, Table, sections, summary
from pipeline.reports.weeks import zone_of

if TYPE_CHECKING:
    from jinja2 import Environment

MOST_ROWS = 12
"""Of a table in the mail; the page has all."""

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "Rewrite rate by topic and route": ("topic", "route", "rewrite rate", "95% between"),
    "What came to a person without a draft": ("why", "rows"),
}
"""The tables of the mail, and of each the columns that a phone has room for."""


@dataclass(frozen=True)
class Written:
    """The mail's content. `pictures` are PNG by the name under which the HTML shows them (cid:NAME@triage)."""

    subject: str
    text: str
    html: str
    pictures: Mapping[str, bytes]


@dataclass(frozen=True)
class _Figure:
    """One cell of a table; `link` is the page of the cases behind it."""

    text: str
    link: str | None


@dataclass(frozen=True)
class _ToDo:
    """A suggestion: its sentence, what shows it, and what it should bring."""

    title: str
    evidence: tuple[_Figure, ...]
    effect: str


@dataclass(frozen=True)
class _Part:
    """A table of the mail with its columns chosen; `more` rows are on the page only."""

    title: str
    note: str
    heads: tuple[str, ...]
    rows: tuple[tuple[_Figure, ...], ...]
    words: int
    more: int


def letter(report: Report, *, public_url: str) -> Written:
    """The mail of a report; `public_url` is where the team reaches the pages of triage."""
    url = public_url.rstrip("/")
    drawn = charts(report)
    zone = zone_of(report.zone)
    known = {
        "report": report,
        "page": f"{url}/reports?week={report.week}",
        "start": report.start.astimezone(zone),
        "end": report.end.astimezone(zone),
        "summary": summary(report),
        "moved": _moved(report),
        "to_do": _to_do(report, url),
        "nothing": NOTHING,
        "charts": {chart.name: chart for chart in drawn},
        "tables": {part.title: part for part in _parts(report, url)},
    }
    return Written(
        subject=subject(report),
        text=_environment().get_template("mail.txt").render(known),
        html=_environment().get_template("mail.html").render(known),
        pictures=_pictures(drawn),
    )


def subject(report: Report) -> str:
    """Support week 2026-W47: rewrite rate 18% (44 of 245)."""
    rewrite = report.headline.rewrite
    if rewrite.of:
        return f"Support week {report.week}: rewrite rate {rewrite.in_words()}"
    what = "no draft was reviewed" if report.counts.get("messages") else "nothing came in"
    return f"Support week {report.week}: {what}"


def _moved(report: Report) -> list[str]:
    """The groups that moved beyond chance, each with its likely cause, in a sentence."""
    found = report.movers
    if found is None:
        return []
    weeks = f"in the {len(found.weeks)} weeks before"
    return [
        f"{' · '.join(mover.key)}: {mover.now.in_words()}, {mover.before.in_words()} {weeks}; {words(mover)}. "
        f"Likely cause: {mover.why}."
        for mover in found.groups
    ]


def _to_do(report: Report, url: str) -> list[_ToDo]:
    return [
        _ToDo(each.title, tuple(_figure(one, report, url) for one in each.evidence), each.effect)
        for each in report.suggestions
    ]


def _figure(cell: Cell | Evidence, report: Report, url: str) -> _Figure:
    link = f"{url}/reports/cases?week={report.week}&{cell.behind}" if cell.behind else None
    return _Figure(cell.text, link)


def _pictures(drawn: tuple[Chart, ...]) -> dict[str, bytes]:
    return {chart.name: chart.png() for chart in drawn}


def _parts(report: Report, url: str) -> list[_Part]:
    return [_part(table, report, url) for table in sections(report) if table.title in COLUMNS]


def _part(table: Table, report: Report, url: str) -> _Part:
    places = [table.heads.index(head) for head in COLUMNS[table.title] if head in table.heads]

    return _Part(
        title=table.title,
        note=table.note,
        heads=tuple(table.heads[n] for n in places),
        rows=tuple(tuple(_figure(row[n], report, url) for n in places) for row in table.rows[:MOST_ROWS]),
        words=min(table.words, len(places)),
        more=max(0, len(table.rows) - MOST_ROWS),
    )


def _aligned(part: _Part) -> str:
    """A table as plain text: words to the left, figures to the right."""
    lines = [part.heads, *(tuple(figure.text for figure in row) for row in part.rows)]
    widths = [max(len(line[n]) for line in lines) for n in range(len(part.heads))]
    return "\n".join(
        "  ".join(
            text.ljust(width) if n < part.words else text.rjust(width)
            for n, (text, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


@functools.cache
def _environment() -> Environment:
    environment = templates()
    environment.filters["aligned"] = _aligned
    environment.filters["wrapped"] = lambda text: textwrap.fill(
        text, 76, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
    )
    return environment
