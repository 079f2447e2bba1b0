"""The week in numbers: one computation, whose result every form of the report shows.

Each figure is a count, or a share with its denominator; docs/report.md defines them all. Drafts count in the
week in which they were judged (or, unjudged, superseded); messages that the cheap model read, in the week in
which it read them. The work is in proportion to the rows of the week, and of the weeks of the line that were
not written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from pipeline.db.store import Store
from pipeline.db.types import now
from pipeline.models.base import Choice
from pipeline.reports import failures, queries, spending, trend
from pipeline.reports.escalation import Escalation, escalation
from pipeline.reports.failures import FailureGroup
from pipeline.reports.friction import Friction, friction, reopened
from pipeline.reports.guard import QUICK_S, Desk, Guard, desk, guard, worked
from pipeline.reports.movers import Movers, movers
from pipeline.reports.pairs import Diff, Pair, pairs
from pipeline.reports.rates import Outcomes, Share
from pipeline.reports.shadows import Missed, missed_escalations
from pipeline.reports.spending import Calls, Costs, Spent
from pipeline.reports.suggestions import Suggestion, suggested
from pipeline.reports.trend import Cut, WeekLine
from pipeline.reports.weeks import Week
from pipeline.routing.table import Budgets, Routes

CUTS: tuple[tuple[str, ...], ...] = (
    ("topic", "route"),
    ("route",),
    ("topic",),
    ("language",),
    ("model",),
    ("prompt",),
    ("source",),
    ("inbox",),
)
"""What the rewrite rate is broken down by in every report; `by` adds any other."""


@dataclass(frozen=True)
class Corrected:
    """How often a field of the cheap model's reading was changed afterwards, and by whom."""

    field: str
    share: Share
    by: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Report:
    """Everything that a form of the report shows; JSON-able by `rendering.as_json`.

    `only` are the filters: they narrow `headline`, `line`, `before` and `cuts`; everything else is of all.
    `by` is the breakdown that was asked for; it is among `cuts`. `late` counts the decisions of last week that
    came in after its report was written.
    """

    week: str
    start: datetime
    end: datetime
    zone: str
    made_at: datetime
    complete: bool
    thresholds: dict[str, float]
    headline: Outcomes
    line: tuple[WeekLine, ...]
    cuts: tuple[Cut, ...]
    read: int
    corrected: tuple[Corrected, ...]
    escalation: Escalation
    desk: Desk
    guard: Guard
    guard_before: Guard
    friction: Friction
    calls: tuple[Calls, ...]
    call_errors: tuple[tuple[str, str, int], ...]
    costs: Costs
    spent: tuple[Spent, ...]
    counts: dict[str, int]
    failures: tuple[tuple[str, int], ...]
    before: WeekLine | None = field(default=None)
    shadows: tuple[Missed, ...] = ()
    only: dict[str, str] = field(default_factory=dict)
    by: tuple[str, ...] = ()
    late: int = 0
    movers: Movers | None = None
    pairs: tuple[Pair, ...] = ()
    cheap_failures: tuple[FailureGroup, ...] = ()
    suggestions: tuple[Suggestion, ...] = ()


def report(
    store: Store,
    week: Week,
    *,
    zone: str = "UTC",
    budgets: Budgets | None = None,
    thresholds: dict[str, float] | None = None,
    made_at: datetime | None = None,
    by: Sequence[str] = (),
    only: Mapping[str, str] | None = None,
    strong: Choice | None = None,
    quick_s: float = QUICK_S,
    diff: Diff | None = None,
    routes: Routes | None = None,
    prompts: Path | None = None,
) -> Report:
    """Compute the week.

    `thresholds` are the edit shares that were in force, kept with the report. `by` is a breakdown of the
    rewrite rate beyond `CUTS`: one or two of `queries.DIMENSIONS` and "week"; `only` filters it by dimension.
    `strong` is the model of strong drafts, for what all-strong had cost; approvals within `quick_s` of
    opening count as quick. `diff` tells the most rewritten pairs apart; `routes` and the folder `prompts` are
    what suggestions would change, without `routes` there are none. Raises `InputError` for a dimension that
    there is not.
    """
    wanted, filters = trend.check_by(by), trend.check_only(only or {})
    made_at = made_at or now()
    start, end = week.bounds(zone)
    before = week.before().bounds(zone)
    with store.read() as connection:
        cells = queries.draft_cells(connection, start, end)
        narrowed = trend.kept(cells, filters)
        headline = trend.total(narrowed)
        past: dict[str, list[queries.Cell]] = {}
        if filters or trend.WEEK in wanted:
            past = trend.past_cells(connection, week, zone, filters)
        if filters:
            line, late = tuple(WeekLine(each, trend.total(found)) for each, found in past.items()), 0
        else:
            line, late = trend.line(connection, week, zone)
        cells_of = {str(week): narrowed}
        cuts = [trend.cut(cells_of, each) for each in CUTS]
        if wanted and wanted not in CUTS:
            cuts.append(trend.cut(past | cells_of if trend.WEEK in wanted else cells_of, wanted))
        calls, call_errors = spending.calls(connection, start, end)
        counts = queries.counts(connection, start, end)
        done = worked(connection, start, end, quick_s)
        back = reopened(connection, start, end)
        escalated = escalation(connection, start, end, cells, sum(each.route == "cheap" for each in back))
        return Report(
            week=str(week),
            start=start,
            end=end,
            zone=zone,
            made_at=made_at,
            complete=made_at >= end,
            thresholds=dict(thresholds or {}),
            headline=headline,
            line=(*line, WeekLine(str(week), headline)),
            cuts=tuple(cuts),
            read=escalated.read,
            corrected=tuple(
                Corrected(name, Share(count, escalated.read), kinds)
                for name, count, kinds in queries.corrected(connection, start, end)
            ),
            escalation=escalated,
            desk=desk(connection, start, end, made_at, done),
            guard=guard(connection, start, end, quick_s, done),
            guard_before=guard(connection, *before, quick_s, worked(connection, *before, quick_s)),
            friction=friction(connection, start, end, done.looks, back),
            calls=calls,
            call_errors=call_errors,
            costs=spending.costs(connection, start, end, calls, counts["replies"], strong),
            spent=spending.spent(connection, start, end, budgets, calls),
            counts=counts,
            failures=queries.failures(connection, start, end),
            before=line[-1] if line else None,
            shadows=missed_escalations(connection, start, end),
            only=filters,
            by=wanted,
            late=late,
            movers=movers(connection, week, zone, filters),
            pairs=pairs(connection, start, end, diff, filters),
            cheap_failures=failures.grouped(connection, start, end),
            suggestions=suggested(connection, week, zone, routes, prompts, calls, call_errors)
            if routes
            else (),
        )


__all__ = [
    "CUTS",
    "Calls",
    "Corrected",
    "Costs",
    "Cut",
    "Desk",
    "Escalation",
    "FailureGroup",
    "Friction",
    "Guard",
    "Movers",
    "Pair",
    "Report",
    "Spent",
    "Suggestion",
    "WeekLine",
    "report",
]
