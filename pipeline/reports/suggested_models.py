"""Suggestions on models and money: another model first, a backup, a cap that is too low."""

from __future__ import annotations

import math
from collections.abc import Iterator
from decimal import Decimal

import sqlalchemy as sa

from pipeline.db.tables import model_calls
from pipeline.models.prices import FREE
from pipeline.reports import edits
from pipeline.reports.queries import within
from pipeline.reports.rates import Share, many
from pipeline.reports.spending import Calls
from pipeline.reports.suggested import ENOUGH, FAILING, Evidence, Looked, Suggestion, high, link, low
from pipeline.routing.planning import caps
from pipeline.routing.table import Task


def found(week: Looked, text: str) -> Iterator[Suggestion]:
    """`text` is that of the table's file."""
    yield from _model(week, text)
    yield from _cap(week, text)


def _model(week: Looked, text: str) -> Iterator[Suggestion]:
    """A model that fails often: its backup first, or a backup where there is none."""
    for task in week.routes.tasks.values():
        mine = next((c for c in week.calls if (c.task, c.model) == (task.name, task.model)), None)
        if mine is None or task.model not in week.routes.models:
            continue
        failed = Share(mine.failed, mine.calls)
        if failed.of < ENOUGH or low(failed) < FAILING:
            continue
        said = Evidence(
            f"calls of {task.model} for {task.name} that failed: {failed.with_interval()}",
            link(
                "calls",
                route=mine.route,
                task=mine.task,
                model=mine.model,
                provider=mine.provider,
                state="failed",
            ),
        )
        provider = week.routes.models[task.model].provider
        backups = [key for key in task.backups if week.routes.models[key].provider != provider]
        if backups:
            yield from _swapped(week, text, task, mine, failed, said, backups[0])
        else:
            yield from _backed(week, text, task, failed, said, provider)


def _swapped(
    week: Looked, text: str, task: Task, mine: Calls, failed: Share, said: Evidence, backup: str
) -> Iterator[Suggestion]:
    theirs = [call for call in week.calls if call.model == backup]
    other = Share(sum(c.failed for c in theirs), sum(c.calls for c in theirs))
    if other.small or high(other) >= low(failed):
        return
    new: str | None = text
    if task.model not in task.backups:
        new = edits.set_value(text, ["task", task.name], "backup", [task.model, *task.backups])
    if new is not None:
        new = edits.set_value(new, ["task", task.name], "model", backup)
    mean = sum((c.cost_usd for c in theirs), Decimal(0)) / other.of
    saved = mine.calls * ((failed.value or 0.0) - (other.value or 0.0))
    dearer = (mean - mine.cost_usd / mine.calls) * mine.calls
    cost = dearer if any(call.task == task.name for call in theirs) else None
    yield from week.made(
        "model",
        f"Let {backup} do {task.name} first: {task.model} fails often.",
        week.change(new),
        (said, Evidence(f"calls of {backup} that failed: {other.with_interval()}")),
        saved,
        cost,
        f"about {saved:.0f} fewer of {many(mine.calls, 'call')} {week.span} fail; {week.dollars(cost)}",
    )


def _backed(
    week: Looked, text: str, task: Task, failed: Share, said: Evidence, provider: str
) -> Iterator[Suggestion]:
    tier = week.routes.models[task.model].tier
    others = [
        m.key for m in week.routes.models.values() if m.tier == tier and m.provider not in (provider, "local")
    ]
    if not others:
        return
    yield from week.made(
        "model",
        f"Give {task.name} a backup of another provider: {task.model} fails often.",
        week.change(edits.set_value(text, ["task", task.name], "backup", [*task.backups, others[0]])),
        (said,),
        failed.count,
        None,
        f"up to {many(failed.count, 'failed call')} {week.span} would be answered by {others[0]}; {week.dollars(None)}",
    )


def _cap(week: Looked, text: str) -> Iterator[Suggestion]:
    """A cap that refused calls on two days or more: what the week would have needed."""
    made = model_calls.c
    query = sa.select(made.started_at, made.error, made.task, made.ticket_id, made.message_id).where(
        within(made.started_at, week.start, week.end),
        made.state == "not_called",
        made.error_kind == "budget",
    )
    refused: dict[str, dict[str, set[tuple[object, ...]]]] = {}
    for row in week.connection.execute(query):
        label = (row.error or "").removesuffix(" is reached")
        days = refused.setdefault(label, {})
        days.setdefault(row.started_at.date().isoformat(), set()).add(
            (row.task, row.ticket_id, row.message_id)
        )
    for label, days in sorted(refused.items()):
        place = _place(week, label)
        if place is None or len(days) < 2:
            continue
        table, key, now = place
        costs = {day: sum((_mean(week, str(a[0])) for a in asked), Decimal(0)) for day, asked in days.items()}
        more = max(costs.values()) if table or key == "day" else sum(costs.values(), Decimal(0))
        if more <= 0:
            continue
        new = _rounded(now + more)
        answers = sum(len(asked) for asked in days.values())
        total = sum(costs.values(), Decimal(0))
        said = [
            Evidence(f"the cap of {label} was reached on {len(days)} days, {many(answers, 'answer')} refused")
        ]
        said += [
            Evidence(
                f"{many(count, 'call')} of {model} refused by a cap", link("errors", model=model, kind=kind)
            )
            for model, kind, count in week.errors
            if kind == "budget"
        ]
        yield from week.made(
            "cap",
            f"Raise the cap of {label} to ${new:.2f}: it was reached on {len(days)} days.",
            week.change(edits.set_value(text, ["budget", *table], key, float(new))),
            said,
            answers,
            total,
            f"about {many(answers, 'answer')} {week.span} by the model instead of the way out at a cap; "
            f"{week.dollars(total)}",
        )


def _place(week: Looked, label: str) -> tuple[tuple[str, ...], str, Decimal] | None:
    """Where a cap stands in the table, by the words that the refusal names it with; None where it is now
    another one, or one of a single ticket, customer or agent."""
    budgets = week.routes.budgets
    for task in week.routes.tasks.values():
        for inbox in (None, *budgets.inbox_day):
            for cap in caps(budgets, task, week.start, inbox=inbox):
                if cap.label == label:
                    period, _, rest = cap.scope.partition(":")
                    if period in ("task", "route", "inbox"):
                        return (f"{period}_day",), rest.rpartition(":")[0], cap.limit_usd
                    return (), period, cap.limit_usd
    return None


def _mean(week: Looked, task: str) -> Decimal:
    """What an answer of a task cost on average where its model gave it."""
    paid = [call for call in week.calls if call.task == task and call.provider not in FREE]
    answered = sum(call.calls - call.failed for call in paid)
    return sum((call.cost_usd for call in paid), Decimal(0)) / answered if answered else Decimal(0)


def _rounded(usd: Decimal) -> Decimal:
    """Up to two digits: 12.31 → 13, 0.123 → 0.13."""
    step = Decimal(10) ** max(-2, math.floor(math.log10(usd)) - 1)
    return (usd / step).to_integral_value(rounding="ROUND_CEILING") * step
