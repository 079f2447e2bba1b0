"""The report as people and programs read it: Markdown, HTML, CSV, JSON. All of one `Report`, none counts anew."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from pipeline.errors import InputError
from pipeline.reports.export import safe_cell
from pipeline.reports.measures import Report
from pipeline.reports.pairs import heading
from pipeline.reports.rates import Outcomes, Share
from pipeline.reports.tables import sections, summary
from pipeline.reports.weeks import Week

if TYPE_CHECKING:
    from jinja2 import Environment

NOTHING = (
    "Nothing stands out: no change has enough cases behind it, in this week or in the last four. "
    "The scorecards look at 12 weeks."
)


def render(report: Report, format: str) -> str:
    """The report as `md`, `html`, `csv` or `json`; raises `InputError` for another format."""
    try:
        return FORMATS[format](report)
    except KeyError:
        raise InputError(f"{format!r} is not a form of the report; there are {', '.join(FORMATS)}") from None


def markdown(report: Report) -> str:
    lines = [
        f"# Support week {report.week}",
        "",
        f"{_days(report)} ({report.zone})",
        "",
        *[f"{line}  " for line in summary(report)],
        "",
        *_to_do(report),
    ]
    for table in sections(report):
        lines += [f"## {table.title}", ""]
        if table.note:
            lines += [table.note, ""]
        if table.rows:
            lines += [
                "| " + " | ".join(_cell(head) for head in table.heads) + " |",
                "|" + "|".join("---" if n < table.words else "---:" for n in range(len(table.heads))) + "|",
                *["| " + " | ".join(_cell(cell.text) for cell in row) + " |" for row in table.rows],
                "",
            ]
    lines += _rewritten(report)
    return "\n".join(lines).rstrip() + "\n"


def _to_do(report: Report) -> list[str]:
    lines = ["## What to do", ""]
    if not report.suggestions:
        lines += [NOTHING, ""]
    for number, each in enumerate(report.suggestions, 1):
        lines += [f"{number}. **{_cell(each.title)}** Expected: {_cell(each.effect)}.", ""]
        lines += [*(f"   - {_cell(said.text)}" for said in each.evidence), ""]
        lines += ["   ```diff", *(f"   {line}" for line in each.diff.splitlines()), "   ```", ""]
    return lines


def _rewritten(report: Report) -> list[str]:
    """The pairs as quotes: what was taken out struck through, what was put in bold."""
    marks = {"removed": "~~", "added": "**", "same": ""}
    lines = ["## The most rewritten drafts", ""] if report.pairs else []
    for pair in report.pairs:
        text = "".join(_marked(piece.text, marks[piece.kind]) for piece in pair.pieces)
        text = text or _cell_lines(pair.draft if pair.sent is None else pair.sent)
        lines += [f"{_cell(heading(pair))}{'; nothing was sent' if pair.sent is None else ''}", ""]
        lines += [*(f"> {line}" for line in text.splitlines()), ""]
    return lines


def _marked(text: str, mark: str) -> str:
    """A mark holds within its line, and next to no space."""
    parts = re.split(r"(\s*\n\s*)", _cell_lines(text))
    return "".join(
        re.sub(r"^(\s*)(.*?)(\s*)$", rf"\1{mark}\2{mark}\3", part) if part.strip() and mark else part
        for part in parts
    )


def _cell_lines(text: str) -> str:
    return re.sub(r"([\\`*_~<|\[\]#>])", r"\\\1", text)


def html(report: Report) -> str:
    """A page that stands alone: no script, no remote part; its styles are its own."""
    page = templates().get_template("page.html")
    return page.render(
        report=report,
        summary=summary(report),
        tables=sections(report),
        line=_points(report),
        days=_days(report),
        heading=heading,
        nothing=NOTHING,
    )


def templates() -> Environment:
    """The report's templates: what ends in .html is escaped, what is not given is an error."""
    from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

    return Environment(
        loader=PackageLoader("pipeline.reports", "."),
        autoescape=select_autoescape(("html",)),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def as_csv(report: Report) -> str:
    """One row per figure: section, what, measure, value; the same figures as in `json`."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(["week", "section", "what", "measure", "value"])
    for section, value in as_json(report).items():
        if isinstance(value, dict | list):
            for path, leaf in _leaves(value):
                what, _, measure = path.rpartition("/")
                writer.writerow([report.week, section, safe_cell(what), safe_cell(measure), safe_cell(leaf)])
        elif section != "week":
            writer.writerow([report.week, section, "", "", safe_cell(value)])
    return out.getvalue()


def as_json(report: Report) -> dict[str, Any]:
    """The whole report; shares as {"count", "of", "share", "low", "high"}, money as text, seconds as numbers."""
    document = _plain(report)
    assert isinstance(document, dict)
    return document


def _plain(value: Any) -> Any:
    if isinstance(value, Outcomes):
        fields = {each.name: getattr(value, each.name) for each in dataclasses.fields(value)}
        return {**fields, "reviewed": value.reviewed, "rewrite_rate": _plain(value.rewrite)}
    if isinstance(value, Share):
        low, high = value.interval or (None, None)
        return {"count": value.count, "of": value.of, "share": value.value, "low": low, "high": high}
    if dataclasses.is_dataclass(value):
        return {each.name: _plain(getattr(value, each.name)) for each in dataclasses.fields(value)}
    if isinstance(value, dict):
        # sorted, as a database may give the keys of a written report back in another order
        return {str(key): _plain(item) for key, item in sorted(value.items())}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, Decimal):
        return format(value, "f")
    return value.isoformat() if isinstance(value, datetime) else value


def _leaves(value: Any, path: str = "") -> list[tuple[str, Any]]:
    if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        return [(path, " ".join(value))]
    if isinstance(value, dict):
        items = [(str(key), item) for key, item in value.items()]
    elif isinstance(value, list):
        # ["mini", "timeout", 3] is a figure with its name before it
        items = [
            (" ".join(item[:-1]), item[-1]) if _named(item) else (_name(item, n), item)
            for n, item in enumerate(value)
        ]
    else:
        return [(path, value)]
    return [leaf for key, item in items for leaf in _leaves(item, f"{path}/{key}" if path else key)]


def _named(item: Any) -> bool:
    return isinstance(item, list) and len(item) > 1 and all(isinstance(part, str) for part in item[:-1])


def _name(item: Any, number: int) -> str:
    """How a row of a list is called in the CSV: by what names it, else by its number."""
    if isinstance(item, dict):
        for keys in (("key",), ("by",), ("week",), ("field",), ("route", "task", "model"), ("scope",)):
            if all(key in item and not isinstance(item[key], dict) for key in keys):
                parts = [item[key] if isinstance(item[key], list) else [item[key]] for key in keys]
                return " ".join(str(part) for many in parts for part in many)
    return str(number)


def _cell(value: str) -> str:
    value = value.replace("\\", "\\\\").replace("|", "\\|").replace("[", "\\[")
    return value.replace("\n", " ").replace("<", "&lt;")


@dataclasses.dataclass(frozen=True)
class _Point:
    """A bar of the line: its height 0..1 (None: nothing was reviewed), and what stands on it."""

    week: str
    height: float | None
    label: str
    words: str
    small: bool


def _points(report: Report) -> list[_Point]:
    """The line of weeks, the highest bar as high as the drawing; small groups with counts, no percentages."""
    shares = [(point.week, point.outcomes.rewrite) for point in report.line]
    highest = max([0.25, *(share.value or 0.0 for _week, share in shares)])
    return [
        _Point(
            week,
            None if share.value is None else share.value / highest,
            f"{share.count} of {share.of}" if share.small else f"{share.value or 0.0:.0%}",
            share.in_words(),
            share.small,
        )
        for week, share in shares
    ]


def _days(report: Report) -> str:
    """Its first and its last day by the clocks of its zone: 2026-11-16 to 2026-11-22."""
    monday = Week.parse(report.week).monday()
    return f"{monday} to {monday + timedelta(days=6)}"


FORMATS: dict[str, Callable[[Report], str]] = {
    "md": markdown,
    "html": html,
    "csv": as_csv,
    "json": lambda report: json.dumps(as_json(report), ensure_ascii=False, indent=2) + "\n",
}

__all__ = ["FORMATS", "NOTHING", "as_csv", "as_json", "html", "markdown", "render", "templates"]
