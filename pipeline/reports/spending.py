"""The week's money: calls by route, task and model, spend against every cap, and what all-strong had cost."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import sqlalchemy as sa

from pipeline.db.tables import drafts, model_calls, spend
from pipeline.models.base import Choice, Usage
from pipeline.models.prices import FREE, Prices
from pipeline.reports.queries import within
from pipeline.reports.rates import Share, many, percentile
from pipeline.routing.table import Budgets, Routes

FAILED = ("failed", "unknown")
STRONG_TASK = "draft"


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

    @property
    def cached(self) -> Share:
        """The share of the input that came out of the provider's cache."""
        return Share(self.cached_input_tokens, self.input_tokens)


@dataclass(frozen=True)
class Costs:
    """The week's money. `all_strong_usd` is what the week would have cost had the strong model drafted every
    reply, the reading left as it is; `all_strong_how` says how it was computed, or why it was not."""

    total_usd: Decimal
    tickets: int
    per_ticket_usd: Decimal | None
    replies: int
    per_reply_usd: Decimal | None
    all_strong_usd: Decimal | None
    all_strong_how: str


@dataclass(frozen=True)
class Spent:
    """The spend against one cap in one period: `period` is a UTC day, an ISO week or a month as the caps
    count them; `what` is all, a task's name, or like "route strong", "inbox support", "week", "month".
    `cap_usd` is None where no cap is set now; `scope` is its row's name in the table of spends."""

    day: str
    what: str
    spent_usd: Decimal
    cap_usd: Decimal | None
    scope: str


def made_in(start: datetime, end: datetime) -> sa.ColumnElement[bool]:
    return sa.and_(within(model_calls.c.started_at, start, end), model_calls.c.state != "not_called")


def calls(
    connection: sa.Connection, start: datetime, end: datetime, *more: sa.ColumnElement[bool]
) -> tuple[tuple[Calls, ...], tuple[tuple[str, str, int], ...]]:
    """The ledger by route, task and model, the dearest first; and its failures by model and kind. `more` are
    further conditions on `model_calls`."""
    key = [model_calls.c.route, model_calls.c.task, model_calls.c.model, model_calls.c.provider]
    sums = (
        sa.select(
            *key,
            sa.func.count().label("calls"),
            sa.func.sum(sa.case((model_calls.c.state.in_(FAILED), 1), else_=0)).label("failed"),
            sa.func.coalesce(sa.func.sum(model_calls.c.input_tokens), 0).label("input_tokens"),
            sa.func.coalesce(sa.func.sum(model_calls.c.cached_input_tokens), 0).label("cached"),
            sa.func.coalesce(sa.func.sum(model_calls.c.output_tokens), 0).label("output_tokens"),
            sa.func.sum(model_calls.c.cost_usd).label("cost"),
        )
        .where(made_in(start, end), *more)
        .group_by(*key)
    )
    latencies: dict[tuple[str, ...], list[tuple[float, int]]] = defaultdict(list)
    histogram = (
        sa.select(*key, model_calls.c.latency_ms, sa.func.count())
        .where(made_in(start, end), model_calls.c.state == "ok", model_calls.c.latency_ms.is_not(None), *more)
        .group_by(*key, model_calls.c.latency_ms)
    )
    for row in connection.execute(histogram):
        latencies[tuple(row[:4])].append((row[4], row[5]))
    rows = []
    for row in connection.execute(sums):
        found = latencies[tuple(row[:4])]
        p50, p95 = percentile(found, 0.50), percentile(found, 0.95)
        rows.append(
            Calls(
                *row[:4],
                calls=int(row.calls),
                failed=int(row.failed),
                input_tokens=int(row.input_tokens),
                cached_input_tokens=int(row.cached),
                output_tokens=int(row.output_tokens),
                cost_usd=row.cost or Decimal(0),
                p50_ms=int(p50) if p50 is not None else None,
                p95_ms=int(p95) if p95 is not None else None,
            )
        )
    errors = connection.execute(
        sa.select(model_calls.c.model, model_calls.c.error_kind, sa.func.count())
        .where(within(model_calls.c.started_at, start, end), model_calls.c.error_kind.is_not(None), *more)
        .group_by(model_calls.c.model, model_calls.c.error_kind)
    )
    return (
        tuple(sorted(rows, key=lambda row: (-row.cost_usd, -row.calls, row.model))),
        tuple(sorted(((m, k, n) for m, k, n in errors), key=lambda row: (-row[2], row[0], row[1]))),
    )


# --- costs --------------------------------------------------------------------------------------------


def costs(
    connection: sa.Connection,
    start: datetime,
    end: datetime,
    made: Iterable[Calls],
    replies: int,
    strong: Choice | None,
) -> Costs:
    """`made` are the week's calls, `replies` how many went out, `strong` the model of the strong drafts."""
    total = sum((row.cost_usd for row in made), Decimal(0))
    tickets = connection.execute(
        sa.select(sa.func.count(model_calls.c.ticket_id.distinct())).where(made_in(start, end))
    ).scalar_one()
    dearer, how = _all_strong(connection, start, end, strong)
    return Costs(
        total_usd=total,
        tickets=int(tickets),
        per_ticket_usd=total / tickets if tickets else None,
        replies=replies,
        per_reply_usd=total / replies if replies else None,
        all_strong_usd=None if dearer is None else total + dearer,
        all_strong_how=how,
    )


def strong_choice(routes: Routes) -> Choice | None:
    """The model that the table has for strong drafts; None where it is a part of this process."""
    task = routes.tasks.get(STRONG_TASK)
    model = routes.models.get(task.model) if task is not None else None
    if model is None:
        return None
    return Choice(model.key, model.provider, model.name, model.tier, price=model.price)


def _all_strong(
    connection: sa.Connection, start: datetime, end: datetime, strong: Choice | None
) -> tuple[Decimal | None, str]:
    """What the week's cheap drafts would have cost more by the strong model, and how that was computed.

    A cheap draft whose tokens the ledger has is priced at the strong model's price; any other, and all where
    no price is known, at the mean cost of the week's strong drafts. None where neither can be had. Templates
    are no drafts of a model: they are left as they are.
    """
    by_model = sa.and_(within(drafts.c.created_at, start, end), drafts.c.source == "model")
    count, usd = connection.execute(
        sa.select(sa.func.count(), sa.func.sum(drafts.c.cost_usd)).where(
            by_model, drafts.c.route == "strong", drafts.c.provider.not_in(FREE)
        )
    ).one()
    mean = (usd or Decimal(0)) / count if count else None
    prices = Prices()
    priced = strong is not None and strong.provider not in FREE and prices.known(strong)
    cheap = connection.execute(
        sa.select(
            drafts.c.cost_usd,
            model_calls.c.input_tokens,
            model_calls.c.cached_input_tokens,
            model_calls.c.cache_write_tokens,
            model_calls.c.output_tokens,
        )
        .select_from(drafts)
        .outerjoin(model_calls, model_calls.c.id == drafts.c.call_id)
        .where(by_model, drafts.c.route == "cheap")
    )
    dearer, by_tokens, by_mean = Decimal(0), 0, 0
    for row in cheap.all():
        if priced and strong is not None and row.input_tokens:
            usage = Usage(
                input_tokens=row.input_tokens,
                cached_input_tokens=row.cached_input_tokens or 0,
                cache_write_tokens=row.cache_write_tokens or 0,
                output_tokens=row.output_tokens or 0,
            )
            dearer += prices.cost(strong, usage) - row.cost_usd
            by_tokens += 1
        elif mean:
            dearer += mean - row.cost_usd
            by_mean += 1
        else:
            return None, "not known: there is neither a price of the strong model nor a strong draft to go by"
    said = []
    if by_tokens and strong is not None:
        said.append(f"the tokens of {many(by_tokens, 'cheap draft')} at the price of {strong.key}")
    if by_mean:
        said.append(f"{many(by_mean, 'cheap draft')} at the mean cost of a strong one this week")
    if not said:
        return Decimal(0), "no cheap draft was written by a model"
    return dearer, " and ".join(said) + "; reading as it was"


# --- caps ---------------------------------------------------------------------------------------------


def spent(
    connection: sa.Connection, start: datetime, end: datetime, budgets: Budgets | None, made: Iterable[Calls]
) -> tuple[Spent, ...]:
    """The settled dollars of every cap that many tickets share and that counted in the week, by period."""
    budgets = budgets or Budgets()
    made = list(made)
    wanted = _scopes(start, end, budgets, {row.task for row in made}, {row.route for row in made})
    rows = connection.execute(
        sa.select(spend.c.scope, spend.c.spent_usd).where(spend.c.scope.in_(list(wanted)))
    )
    found = [Spent(*wanted[scope][:2], usd, wanted[scope][2], scope) for scope, usd in rows]
    return tuple(sorted(found, key=lambda row: (row.day, row.what)))


def _scopes(
    start: datetime, end: datetime, budgets: Budgets, tasks: set[str], routes: set[str]
) -> dict[str, tuple[str, str, Decimal | None]]:
    """(period, what, cap) of each row of spends as `planning.caps` names them: UTC days, weeks and months."""
    found: dict[str, tuple[str, str, Decimal | None]] = {}
    day: date = start.astimezone(UTC).date()
    while datetime(day.year, day.month, day.day, tzinfo=UTC) < end:
        text = day.isoformat()
        year, week, _ = day.isocalendar()
        found[f"day:{text}"] = (text, "all", budgets.day)
        found[f"week:{year}-W{week:02}"] = (f"{year}-W{week:02}", "week", budgets.week)
        found[f"month:{text[:7]}"] = (text[:7], "month", budgets.month)
        for task in sorted({*tasks, *budgets.task_day}):
            found[f"task:{task}:{text}"] = (text, task, budgets.task_day.get(task))
        for route in sorted({*routes, *budgets.route_day}):
            found[f"route:{route}:{text}"] = (text, f"route {route}", budgets.route_day.get(route))
        for inbox in sorted(budgets.inbox_day):
            found[f"inbox:{inbox}:{text}"] = (text, f"inbox {inbox}", budgets.inbox_day[inbox])
        day += timedelta(days=1)
    return found


def calls_of_scope(connection: sa.Connection, start: datetime, end: datetime, scope: str) -> list[int]:
    """Ids of the calls that were counted in a cap's row; the period is a little wider than the row's, as a
    call that began just before midnight may count for the day after. Looks at the calls around the week only.
    """
    margin = timedelta(days=1)
    query = sa.select(model_calls.c.id, model_calls.c.scopes).where(
        made_in(start - margin, end + margin), model_calls.c.cost_usd > 0
    )
    rows = connection.execute(query.execution_options(yield_per=1000))
    return sorted(int(id) for id, scopes in rows if scope in (scopes or ()))
