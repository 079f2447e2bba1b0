"""The scorecard of a route, a model or a prompt version: how its work fared over some weeks, and what it cost.

It counts as the weekly report does (docs/report.md), over the weeks together; each figure knows the query of the
cases behind it, as the report's do, to be opened with the scorecard's own week.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import sqlalchemy as sa

from pipeline.db.store import Store
from pipeline.db.tables import corrections, model_calls, reviews, triages, weekly_reports
from pipeline.db.types import now
from pipeline.errors import InputError, NotFoundError
from pipeline.reports import queries, spending, trend
from pipeline.reports.escalation import MARKED, SHORT
from pipeline.reports.queries import within
from pipeline.reports.rates import REVIEWED, Outcomes, Share, many
from pipeline.reports.tables import OUTCOME_HEADS, Cell, Table, outcome_cells, query
from pipeline.reports.trend import WeekLine
from pipeline.reports.weeks import Week
from pipeline.reports.words import milliseconds, money

KINDS = ("route", "model", "prompt")
WEEKS = 12


@dataclass(frozen=True)
class Scorecard:
    """`week` is the last one, `since` the first; a cell's `behind` is to be opened with `week`."""

    kind: str
    name: str
    week: str
    since: str
    total: Outcomes
    line: tuple[WeekLine, ...]
    tables: tuple[Table, ...]


@dataclass(frozen=True)
class Card:
    """An entry of the index: what has a scorecard, with its rewrite rate and calls over the weeks."""

    kind: str
    name: str
    rewrite: Share
    calls: int


@dataclass(frozen=True)
class _Span:
    """Some weeks of one route, model or prompt."""

    kind: str
    name: str
    weeks: tuple[Week, ...]
    zone: str
    only: dict[str, str] = field(default_factory=dict)

    @property
    def start(self) -> datetime:
        return self.weeks[0].bounds(self.zone)[0]

    @property
    def end(self) -> datetime:
        return self.weeks[-1].bounds(self.zone)[1]

    def link(self, count: int, figure: str, **values: str) -> str | None:
        return query(figure, **self.only | values, since=str(self.weeks[0])) if count else None

    def count(self, count: int, figure: str, **values: str) -> Cell:
        return Cell(f"{count:,}", self.link(count, figure, **values))

    def share(self, share: Share, figure: str, **values: str) -> Cell:
        return Cell(share.with_interval(), self.link(share.count, figure, **values))


def scorecard(
    store: Store,
    kind: str,
    name: str,
    zone: str,
    weeks: int = WEEKS,
    *,
    week: Week | None = None,
    thresholds: Mapping[str, float] | None = None,
) -> Scorecard:
    """The scorecard over `weeks` weeks up to `week` (None: the present one).

    `kind` is one of `KINDS`; a prompt's name is its task and the first 8 characters of its digest, as
    everywhere in the report. `thresholds` are the edit shares now in force. Raises `InputError` for another
    kind, `NotFoundError` where these weeks know nothing of the name.
    """
    if kind not in KINDS:
        raise InputError(f"there is no scorecard of a {kind[:40]!r}; there are {', '.join(KINDS)}")
    span = _Span(kind, name, _weeks(week, zone, weeks), zone, {kind: name})
    with store.read() as connection:
        cells = {str(each): _cells(connection, each, span) for each in span.weeks}
        everything = [cell for found in cells.values() for cell in found]
        total = trend.total(everything)
        line = tuple(WeekLine(each, trend.total(found)) for each, found in cells.items())
        made, errors = spending.calls(connection, span.start, span.end, *_of_calls(kind, name))
        read = _readings(connection, span)
        if total == Outcomes() and not made and not read:
            raise NotFoundError(f"these {many(len(span.weeks), 'week')} know no {kind} {name[:60]!r}")
        tables = [_by_week(span, line)]
        tables += [_by(span, everything, dimension) for dimension in ("topic", "language")]
        tables += [_corrected(connection, span, read)] if read else []
        tables += [
            _escalation(connection, span, everything),
            _rejected(connection, span),
            _calls(span, made),
            _errors(span, errors),
            _thresholds(connection, span, thresholds or {}),
        ]
    return Scorecard(kind, name, str(span.weeks[-1]), str(span.weeks[0]), total, line, tuple(tables))


def index(store: Store, zone: str, weeks: int = WEEKS, *, week: Week | None = None) -> tuple[Card, ...]:
    """Everything that has a scorecard over these weeks: routes, models, prompts; the busiest first."""
    span = _weeks(week, zone, weeks)
    start, end = span[0].bounds(zone)[0], span[-1].bounds(zone)[1]
    rates: dict[tuple[str, str], Outcomes] = {}
    calls: dict[tuple[str, str], int] = {}
    with store.read() as connection:
        for cell in queries.draft_cells(connection, start, end):
            for kind in KINDS:
                if kind == "prompt" and cell.key["source"] != "model":
                    continue  # a template's file is no prompt
                key = (kind, cell.key[kind])
                rates[key] = rates.get(key, Outcomes()) + Outcomes.of({cell.outcome: cell.count})
        made = model_calls.c
        digest = sa.func.substr(made.prompt, 1, 8)
        rows = connection.execute(
            sa.select(made.route, made.model, made.task, digest, sa.func.count())
            .where(spending.made_in(start, end))
            .group_by(made.route, made.model, made.task, sa.text("4"))
        )
        for route, model, task, begins, count in rows:
            for key in (("route", route), ("model", model), ("prompt", f"{task} {begins}")):
                calls[key] = calls.get(key, 0) + int(count)
    found = [Card(*key, rates.get(key, Outcomes()).rewrite, calls.get(key, 0)) for key in {*rates, *calls}]
    return tuple(sorted(found, key=lambda c: (KINDS.index(c.kind), -c.rewrite.of, -c.calls, c.name)))


def _weeks(week: Week | None, zone: str, weeks: int) -> tuple[Week, ...]:
    last = week or Week.of(now(), zone)
    return tuple(last.before(n) for n in range(max(1, weeks) - 1, -1, -1))


def _cells(connection: sa.Connection, week: Week, span: _Span) -> list[queries.Cell]:
    return trend.kept(queries.draft_cells(connection, *week.bounds(span.zone)), span.only)


# --- the rewrite rate ---------------------------------------------------------------------------------


def _outcomes(span: _Span, outcomes: Outcomes, values: Mapping[str, str]) -> tuple[Cell, ...]:
    """Without `past`, over all weeks."""
    when = {} if "past" in values else {"since": str(span.weeks[0])}
    return outcome_cells(outcomes, span.only | dict(values) | when)


def _by_week(span: _Span, line: Sequence[WeekLine]) -> Table:
    rows = tuple(
        (Cell(point.week), *_outcomes(span, point.outcomes, {"past": point.week}))
        for point in reversed(line)
        if point.outcomes != Outcomes()
    )
    return Table("By week", ("week", *OUTCOME_HEADS), rows, "" if rows else "No draft was judged.")


def _by(span: _Span, cells: Sequence[queries.Cell], dimension: str) -> Table:
    groups = trend.cut({"": cells}, (dimension,)).groups
    rows = tuple((Cell(g.key[0]), *_outcomes(span, g.outcomes, {dimension: g.key[0]})) for g in groups)
    return Table(f"By {dimension}", (dimension, *OUTCOME_HEADS), rows, "" if rows else "No draft was judged.")


def _rejected(connection: sa.Connection, span: _Span) -> Table:
    found = connection.execute(
        queries.from_reviews(sa.select(reviews.c.reject_reason, sa.func.count()), span.only)
        .where(within(reviews.c.decided_at, span.start, span.end), reviews.c.outcome == "rejected")
        .group_by(reviews.c.reject_reason)
    )
    rows = tuple(
        (
            Cell((reason or "none given").replace("_", " ")),
            span.count(int(count), "drafts", reason=reason) if reason else Cell(f"{count:,}"),
        )
        for reason, count in sorted(found, key=lambda row: (-row[1], row[0] or ""))
    )
    return Table("Why drafts were rejected", ("reason", "drafts"), rows, "" if rows else "None was rejected.")


def _escalation(connection: sa.Connection, span: _Span, cells: Sequence[queries.Cell]) -> Table:
    """Strong drafts that were not needed, cheap ones that were rewritten: each of its own route only."""
    rows = []
    strong = trend.total(trend.kept(cells, {"route": "strong"})).reviewed
    if strong:
        asked = span.only | {"route": "strong"}
        over = queries.judged_reviews(
            connection, span.start, span.end, REVIEWED, asked, sa.or_(MARKED, SHORT)
        )
        share = Share(len(over), strong)
        said = "strong drafts that were not needed (by an agent's mark, or sent as they were and short)"
        rows.append((Cell(said), span.share(share, "drafts", route="strong", needed="no")))
    cheap = trend.total(trend.kept(cells, {"route": "cheap"})).rewrite
    if cheap.of:
        said = "routine drafts that were rewritten, replaced or rejected: better escalated"
        rows.append((Cell(said), span.share(cheap, "drafts", route="cheap", outcome="rewrite")))
    return Table("Escalation errors", ("what", "drafts"), tuple(rows), "" if rows else "No draft was judged.")


# --- readings -----------------------------------------------------------------------------------------


def _of_readings(span: _Span) -> sa.ColumnElement[bool]:
    in_time = within(triages.c.created_at, span.start, span.end)
    if span.kind == "model":
        return sa.and_(in_time, triages.c.model == span.name)
    if span.kind == "prompt":
        return sa.and_(in_time, queries.of_prompt(sa.literal("triage"), triages.c.prompt, span.name))
    return sa.and_(in_time, sa.literal(span.name) == "cheap")  # all reading is the cheap route's


def _readings(connection: sa.Connection, span: _Span) -> int:
    return int(connection.execute(sa.select(sa.func.count()).where(_of_readings(span))).scalar_one())


def _corrected(connection: sa.Connection, span: _Span, read: int) -> Table:
    found = connection.execute(
        sa.select(corrections.c.field, sa.func.count(corrections.c.triage_id.distinct()))
        .join(triages, triages.c.id == corrections.c.triage_id)
        .where(_of_readings(span))
        .group_by(corrections.c.field)
    )
    narrow = {} if span.kind == "route" else span.only
    rows = tuple(
        (
            Cell(name),
            Cell(
                Share(int(count), read).with_interval(),
                query("corrected", field=name, **narrow, since=str(span.weeks[0])),
            ),
        )
        for name, count in sorted(found, key=lambda row: (-row[1], row[0]))
    )
    note = f"Of {many(read, 'message')} that it read" + (":" if rows else "; none was corrected.")
    return Table("Corrections", ("field", "corrected"), rows, note)


# --- calls --------------------------------------------------------------------------------------------


def _of_calls(kind: str, name: str) -> tuple[sa.ColumnElement[bool], ...]:
    if kind == "prompt":
        return (queries.of_prompt(model_calls.c.task, model_calls.c.prompt, name),)
    return (model_calls.c[kind] == name,)


def _calls(span: _Span, made: Sequence[spending.Calls]) -> Table:
    rows = []
    for row in made:
        key = {"route": row.route, "task": row.task, "model": row.model, "provider": row.provider}
        rows.append(
            (
                *(Cell(text) for text in (row.route, row.task, row.model)),
                span.count(row.calls, "calls", **key),
                span.share(Share(row.failed, row.calls), "calls", **key, state="failed"),
                Cell(money(row.cost_usd), span.link(row.calls, "calls", **key)),
                Cell(money(row.cost_usd / row.calls)),
                *(Cell(milliseconds(value)) for value in (row.p50_ms, row.p95_ms)),
            )
        )
    heads = ("route", "task", "model", "calls", "failed", "cost", "cost of a call", "p50", "p95")
    return Table("Calls", heads, tuple(rows), "" if rows else "No model was called.", words=3)


def _errors(span: _Span, errors: Sequence[tuple[str, str, int]]) -> Table:
    rows = tuple(
        (
            Cell(model),
            Cell(kind),
            span.count(count, "errors", **span.only | {"model": model, "kind": kind}),
        )
        for model, kind, count in errors
    )
    return Table("Failed calls", ("model", "error", "calls"), rows, "" if rows else "None failed.", words=2)


def _thresholds(connection: sa.Connection, span: _Span, now_in_force: Mapping[str, float]) -> Table:
    """The edit shares by which drafts were judged: as each week's report was written with, and now."""
    found = connection.execute(
        sa.select(weekly_reports.c.week, weekly_reports.c.document["thresholds"])
        .where(weekly_reports.c.week.in_([str(each) for each in span.weeks]))
        .order_by(weekly_reports.c.week.desc())
    )
    known = [("now", dict(now_in_force)), *((week, dict(values or {})) for week, values in found)]
    names = sorted({name for _week, values in known for name in values}, key=lambda name: str(name))
    rows = tuple(
        (Cell(week), *(Cell(f"{values[name]:.2f}" if name in values else "–") for name in names))
        for week, values in known
        if values
    )
    note = "Edit shares by which drafts were judged." if rows else "No report was written in these weeks."
    return Table("Thresholds", ("week", *(name.replace("_", " ") for name in names)), rows, note)


__all__ = ["KINDS", "Card", "Scorecard", "index", "scorecard"]
