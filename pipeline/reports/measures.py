"""The week in numbers: one computation, whose result every form of the report shows.

Each figure is a count, or a share with its denominator. Drafts count in the week in which they were
judged (or, unjudged, superseded); messages that the cheap model read, in the week in which it read them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from pipeline.db.store import Store
from pipeline.db.types import now
from pipeline.reports import queries
from pipeline.reports.rates import Outcomes, Share
from pipeline.reports.shadows import Missed, missed_escalations
from pipeline.reports.weeks import Week
from pipeline.routing.table import Budgets

LINE_WEEKS = 12

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
"""What the rewrite rate is broken down by; any of `queries.DIMENSIONS`, alone or together."""


@dataclass(frozen=True)
class Group:
    """The outcomes of one cell of a cut, e.g. key ("refund", "strong")."""

    key: tuple[str, ...]
    outcomes: Outcomes


@dataclass(frozen=True)
class Cut:
    """The rewrite rate broken down by some dimensions, the largest groups first."""

    by: tuple[str, ...]
    groups: tuple[Group, ...]


@dataclass(frozen=True)
class WeekLine:
    """One point of the line of past weeks."""

    week: str
    outcomes: Outcomes


@dataclass(frozen=True)
class Corrected:
    """How often a field of the cheap model's reading was changed afterwards, and by whom."""

    field: str
    share: Share
    by: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Escalation:
    """What the rule did with the messages that were read. `over`: strong drafts that went out as they were
    and short; `missed`: cheap drafts that were rewritten, replaced or rejected."""

    read: int
    routes: tuple[tuple[str, Share], ...]
    reasons: tuple[tuple[str, int], ...]
    over: Share
    missed: Share


@dataclass(frozen=True)
class Desk:
    """How the review table was worked. Seconds are from a row's opening to its decision."""

    opened: int
    decided: int
    open_now: int
    oldest_open_s: float | None
    wait_p50_s: float | None
    wait_p95_s: float | None
    quick: Share
    unseen: Share


@dataclass(frozen=True)
class Calls:
    """The model calls of one route, task and model. Latency is of answered calls, in milliseconds."""

    route: str
    task: str
    model: str
    provider: str
    calls: int
    failed: int
    input_tokens: int
    cached_input_tokens: int
    output_tokens: int
    cost_usd: Decimal
    p50_ms: int | None
    p95_ms: int | None


@dataclass(frozen=True)
class Costs:
    """The week's money. `all_strong_usd` estimates what the week would have cost had the strong model
    drafted every reply: the cheap drafts at the mean price of this week's strong ones; None without any."""

    total_usd: Decimal
    tickets: int
    per_ticket_usd: Decimal | None
    replies: int
    per_reply_usd: Decimal | None
    all_strong_usd: Decimal | None


@dataclass(frozen=True)
class Spent:
    """One day's spend against one cap; `cap_usd` is None where no cap is set now."""

    day: str
    what: str
    spent_usd: Decimal
    cap_usd: Decimal | None


@dataclass(frozen=True)
class Report:
    """Everything that a form of the report shows; JSON-able by `rendering.as_json`."""

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
    calls: tuple[Calls, ...]
    call_errors: tuple[tuple[str, str, int], ...]
    costs: Costs
    spent: tuple[Spent, ...]
    counts: dict[str, int]
    failures: tuple[tuple[str, int], ...]
    before: WeekLine | None = field(default=None)
    shadows: tuple[Missed, ...] = ()


def report(
    store: Store,
    week: Week,
    *,
    zone: str = "UTC",
    budgets: Budgets | None = None,
    thresholds: dict[str, float] | None = None,
    made_at: datetime | None = None,
) -> Report:
    """Compute the week. `thresholds` are the edit shares that were in force, kept with the report."""
    made_at = made_at or now()
    start, end = week.bounds(zone)
    with store.read() as connection:
        cells = queries.draft_cells(connection, start, end)
        line = tuple(
            WeekLine(str(each), queries.outcomes(connection, *each.bounds(zone)))
            for each in (week.before(n) for n in range(LINE_WEEKS - 1, 0, -1))
        )
        headline = _sum(cells)
        calls, call_errors = queries.calls(connection, start, end)
        drafts = queries.drafts_made(connection, start, end)
        read = queries.read(connection, start, end)
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
            cuts=tuple(_cut(cells, by) for by in CUTS),
            read=read,
            corrected=tuple(
                Corrected(name, Share(count, read), by)
                for name, count, by in queries.corrected(connection, start, end)
            ),
            escalation=_escalation(
                queries.routes(connection, start, end),
                queries.reasons(connection, start, end),
                cells,
                queries.short_as_is(connection, start, end),
            ),
            desk=Desk(*queries.desk(connection, start, end, made_at)),
            calls=calls,
            call_errors=call_errors,
            costs=_costs(calls, drafts, *queries.worked(connection, start, end)),
            spent=tuple(_spent(queries.spend_rows(connection, start, end, _tasks(calls, budgets)), budgets)),
            counts=queries.counts(connection, start, end),
            failures=queries.failures(connection, start, end),
            before=line[-1] if line else None,
            shadows=missed_escalations(connection, start, end),
        )


def _sum(cells: list[queries.Cell]) -> Outcomes:
    total: dict[str, int] = {}
    for cell in cells:
        total[cell.outcome] = total.get(cell.outcome, 0) + cell.count
    return Outcomes.of(total)


def _cut(cells: list[queries.Cell], by: tuple[str, ...]) -> Cut:
    groups: dict[tuple[str, ...], Outcomes] = {}
    for cell in cells:
        key = tuple(cell.key[name] for name in by)
        groups[key] = groups.get(key, Outcomes()) + Outcomes.of({cell.outcome: cell.count})
    ordered = sorted(groups.items(), key=lambda item: (-item[1].reviewed, item[0]))
    return Cut(by, tuple(Group(key, outcomes) for key, outcomes in ordered))


def _escalation(
    routes: dict[str, int],
    reasons: tuple[tuple[str, int], ...],
    cells: list[queries.Cell],
    short_as_is: int,
) -> Escalation:
    read = sum(routes.values())
    strong = _sum([cell for cell in cells if cell.key["route"] == "strong"])
    cheap = _sum([cell for cell in cells if cell.key["route"] == "cheap"])
    return Escalation(
        read=read,
        routes=tuple((name, Share(routes.get(name, 0), read)) for name in ("cheap", "strong", "human")),
        reasons=reasons,
        over=Share(short_as_is, strong.reviewed),
        missed=cheap.rewrite,
    )


def _costs(
    calls: tuple[Calls, ...], drafts: dict[str, tuple[int, Decimal]], tickets: int, replies: int
) -> Costs:
    total = sum((row.cost_usd for row in calls), Decimal(0))
    strong, strong_usd = drafts.get("strong", (0, Decimal(0)))
    cheap, cheap_usd = drafts.get("cheap", (0, Decimal(0)))
    return Costs(
        total_usd=total,
        tickets=tickets,
        per_ticket_usd=total / tickets if tickets else None,
        replies=replies,
        per_reply_usd=total / replies if replies else None,
        all_strong_usd=total - cheap_usd + strong_usd / strong * cheap if strong_usd else None,
    )


def _tasks(calls: tuple[Calls, ...], budgets: Budgets | None) -> list[str]:
    capped = list(budgets.task_day) if budgets is not None else []
    return sorted({*capped, *(row.task for row in calls)})


def _spent(rows: list[tuple[str, str, Decimal]], budgets: Budgets | None) -> list[Spent]:
    found = []
    for day, what, spent in rows:
        cap = None
        if budgets is not None:
            cap = budgets.day if what == "all" else budgets.task_day.get(what)
        found.append(Spent(day, what, spent, cap))
    return found
