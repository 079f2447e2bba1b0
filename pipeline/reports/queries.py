"""The report's questions to the store: each one statement over one week's rows, found by an index on time."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from pipeline.db.tables import (
    corrections,
    drafts,
    messages,
    model_calls,
    raw_messages,
    replies,
    reviews,
    spend,
    tickets,
    triages,
)
from pipeline.reports.rates import NAMES, Outcomes, Share, percentile

if TYPE_CHECKING:
    from pipeline.reports.measures import Calls

DIMENSIONS = ("route", "topic", "language", "inbox", "model", "prompt", "source")
SHORT_ANSWER = 400
"""Characters: a strong draft that went out as it was and is no longer could have been the cheap route's."""

QUICK = timedelta(seconds=5)
"""An approval this soon after the row was opened on the page was hardly read."""

NONE = "(none)"
_STATES = ("open", "decided", "superseded")


@dataclass(frozen=True)
class Cell:
    """How many drafts of one combination of the dimensions ended one way."""

    key: dict[str, str]
    outcome: str
    count: int


def _judged(start: datetime, end: datetime) -> list[sa.ColumnElement[bool]]:
    """Judged in the week, or superseded in it unjudged: each review with a draft falls in one week only."""
    return [
        sa.and_(reviews.c.decided_at >= start, reviews.c.decided_at < end),
        sa.and_(
            reviews.c.decided_at.is_(None),
            drafts.c.superseded_at >= start,
            drafts.c.superseded_at < end,
        ),
    ]


def draft_cells(connection: sa.Connection, start: datetime, end: datetime) -> list[Cell]:
    """Counts of outcomes by all dimensions together; every cut of the report is a sum of these."""
    topic = sa.func.coalesce(triages.c.topic, tickets.c.topic, NONE)
    prompt = drafts.c.task + " " + sa.func.substr(drafts.c.prompt, 1, 8)
    columns = [
        drafts.c.route.label("route"),
        topic.label("topic"),
        drafts.c.language.label("language"),
        tickets.c.inbox.label("inbox"),
        drafts.c.model.label("model"),
        prompt.label("prompt"),
        drafts.c.source.label("source"),
        reviews.c.outcome.label("outcome"),
    ]
    counts: Counter[tuple[str, ...]] = Counter()
    for when in _judged(start, end):
        query = (
            sa.select(*columns, sa.func.count().label("count"))
            .select_from(reviews)
            .join(drafts, drafts.c.id == reviews.c.draft_id)
            .join(tickets, tickets.c.id == reviews.c.ticket_id)
            .outerjoin(triages, triages.c.message_id == drafts.c.message_id)
            .where(when, reviews.c.outcome.is_not(None))
            .group_by(*[sa.text(str(n + 1)) for n in range(len(columns))])
        )
        for row in connection.execute(query):
            counts[tuple(row[:-1])] += int(row[-1])
    return [
        Cell(dict(zip(DIMENSIONS, key[:-1], strict=True)), key[-1], count)
        for key, count in sorted(counts.items())
    ]


def outcomes(connection: sa.Connection, start: datetime, end: datetime) -> Outcomes:
    """The week's outcomes without any dimension, for the line of past weeks."""
    counts: Counter[str] = Counter()
    for when in _judged(start, end):
        query = (
            sa.select(reviews.c.outcome, sa.func.count())
            .join(drafts, drafts.c.id == reviews.c.draft_id)
            .where(when, reviews.c.outcome.in_(NAMES))
            .group_by(reviews.c.outcome)
        )
        for outcome, count in connection.execute(query):
            counts[outcome] += count
    return Outcomes.of(counts)


def short_as_is(connection: sa.Connection, start: datetime, end: datetime) -> int:
    """Strong drafts judged in the week that went out as they were and are short."""
    return int(
        connection.execute(
            sa.select(sa.func.count())
            .select_from(reviews)
            .join(drafts, drafts.c.id == reviews.c.draft_id)
            .where(
                reviews.c.decided_at >= start,
                reviews.c.decided_at < end,
                reviews.c.outcome == "as_is",
                drafts.c.route == "strong",
                sa.func.length(drafts.c.text) <= SHORT_ANSWER,
            )
        ).scalar_one()
    )


def read(connection: sa.Connection, start: datetime, end: datetime) -> int:
    """Messages that the cheap stage read in the week."""
    return sum(routes(connection, start, end).values())


def routes(connection: sa.Connection, start: datetime, end: datetime) -> dict[str, int]:
    query = (
        sa.select(triages.c.route, sa.func.count())
        .where(triages.c.created_at >= start, triages.c.created_at < end)
        .group_by(triages.c.route)
    )
    return {row[0]: int(row[1]) for row in connection.execute(query)}


def reasons(connection: sa.Connection, start: datetime, end: datetime) -> tuple[tuple[str, int], ...]:
    """Why messages were escalated; sentences that differ in their figures only are one reason."""
    counts: Counter[str] = Counter()
    query = sa.select(triages.c.reasons).where(
        triages.c.created_at >= start, triages.c.created_at < end, triages.c.route != "cheap"
    )
    for found in connection.execute(query.execution_options(yield_per=1000)).scalars():
        counts.update({re.sub(r"\d+(?:[.,]\d+)*", "…", str(sentence)) for sentence in found or ()})
    return tuple(counts.most_common())


def corrected(
    connection: sa.Connection, start: datetime, end: datetime
) -> list[tuple[str, int, tuple[tuple[str, int], ...]]]:
    """(field, readings of the week in which it was changed since, changes by kind of corrector)."""
    query = (
        sa.select(corrections.c.field, corrections.c.by_kind, corrections.c.triage_id)
        .join(triages, triages.c.id == corrections.c.triage_id)
        .where(triages.c.created_at >= start, triages.c.created_at < end)
        .distinct()
    )
    readings: dict[str, set[int]] = defaultdict(set)
    by: dict[str, Counter[str]] = defaultdict(Counter)
    for name, kind, triage in connection.execute(query):
        readings[name].add(triage)
        by[name][kind] += 1
    order = sorted(readings, key=lambda name: (-len(readings[name]), name))
    return [(name, len(readings[name]), tuple(sorted(by[name].items()))) for name in order]


def desk(connection: sa.Connection, start: datetime, end: datetime, at: datetime) -> tuple[Any, ...]:
    """The fields of `measures.Desk`, in its order."""
    opened = connection.execute(
        sa.select(sa.func.count()).where(
            reviews.c.state.in_(_STATES), reviews.c.opened_at >= start, reviews.c.opened_at < end
        )
    ).scalar_one()
    waits: Counter[float] = Counter()
    approvals = quick = unseen = 0
    decided = connection.execute(
        sa.select(reviews.c.opened_at, reviews.c.decided_at, reviews.c.first_viewed_at, reviews.c.action)
        .where(reviews.c.state == "decided", reviews.c.decided_at >= start, reviews.c.decided_at < end)
        .execution_options(yield_per=1000)
    )
    for row in decided:
        waits[round((row.decided_at - row.opened_at).total_seconds(), 1)] += 1
        if row.action == "approve":
            approvals += 1
            unseen += row.first_viewed_at is None
            quick += row.first_viewed_at is not None and row.decided_at - row.first_viewed_at < QUICK
    waiting = connection.execute(
        sa.select(sa.func.count(), sa.func.min(reviews.c.opened_at)).where(reviews.c.state == "open")
    ).one()
    return (
        opened,
        sum(waits.values()),
        waiting[0],
        max(0.0, (at - waiting[1]).total_seconds()) if waiting[1] else None,
        percentile(waits.items(), 0.50),
        percentile(waits.items(), 0.95),
        Share(quick, approvals),
        Share(unseen, approvals),
    )


def calls(
    connection: sa.Connection, start: datetime, end: datetime
) -> tuple[tuple[Calls, ...], tuple[tuple[str, str, int], ...]]:
    """The ledger by route, task and model, the dearest first; and its failures by model and kind."""
    from pipeline.reports.measures import Calls

    key = [model_calls.c.route, model_calls.c.task, model_calls.c.model, model_calls.c.provider]
    made = (
        model_calls.c.started_at >= start,
        model_calls.c.started_at < end,
        model_calls.c.state != "not_called",
    )
    sums = (
        sa.select(
            *key,
            sa.func.count().label("calls"),
            sa.func.sum(sa.case((model_calls.c.state.in_(("failed", "unknown")), 1), else_=0)).label(
                "failed"
            ),
            sa.func.coalesce(sa.func.sum(model_calls.c.input_tokens), 0).label("input_tokens"),
            sa.func.coalesce(sa.func.sum(model_calls.c.cached_input_tokens), 0).label("cached"),
            sa.func.coalesce(sa.func.sum(model_calls.c.output_tokens), 0).label("output_tokens"),
            sa.func.sum(model_calls.c.cost_usd).label("cost"),
        )
        .where(*made)
        .group_by(*key)
    )
    latencies: dict[tuple[str, ...], list[tuple[float, int]]] = defaultdict(list)
    histogram = (
        sa.select(*key, model_calls.c.latency_ms, sa.func.count())
        .where(*made, model_calls.c.state == "ok", model_calls.c.latency_ms.is_not(None))
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
        .where(
            model_calls.c.started_at >= start,
            model_calls.c.started_at < end,
            model_calls.c.error_kind.is_not(None),
        )
        .group_by(model_calls.c.model, model_calls.c.error_kind)
    )
    return (
        tuple(sorted(rows, key=lambda row: (-row.cost_usd, -row.calls, row.model))),
        tuple(sorted(((m, k, n) for m, k, n in errors), key=lambda row: (-row[2], row[0], row[1]))),
    )


def drafts_made(connection: sa.Connection, start: datetime, end: datetime) -> dict[str, tuple[int, Decimal]]:
    """By route: how many drafts models wrote in the week, and what they cost."""
    query = (
        sa.select(drafts.c.route, sa.func.count(), sa.func.sum(drafts.c.cost_usd))
        .where(drafts.c.created_at >= start, drafts.c.created_at < end, drafts.c.source == "model")
        .group_by(drafts.c.route)
    )
    return {route: (int(count), cost or Decimal(0)) for route, count, cost in connection.execute(query)}


def worked(connection: sa.Connection, start: datetime, end: datetime) -> tuple[int, int]:
    """How many tickets a model worked on in the week, and how many replies went out."""
    touched = connection.execute(
        sa.select(sa.func.count(model_calls.c.ticket_id.distinct())).where(
            model_calls.c.started_at >= start,
            model_calls.c.started_at < end,
            model_calls.c.state != "not_called",
        )
    ).scalar_one()
    return int(touched), _sent(connection, start, end)


def _sent(connection: sa.Connection, start: datetime, end: datetime) -> int:
    query = sa.select(sa.func.count()).where(
        replies.c.state == "sent", replies.c.sent_at >= start, replies.c.sent_at < end
    )
    return int(connection.execute(query).scalar_one())


def spend_rows(
    connection: sa.Connection, start: datetime, end: datetime, tasks: Iterable[str]
) -> list[tuple[str, str, Decimal]]:
    """(UTC day, "all" or a task, settled dollars) of each day's caps; the caps count by UTC days."""
    wanted: dict[str, tuple[str, str]] = {}
    day: date = start.astimezone(UTC).date()
    while datetime(day.year, day.month, day.day, tzinfo=UTC) < end:
        text = day.isoformat()
        wanted[f"day:{text}"] = (text, "all")
        wanted |= {f"task:{task}:{text}": (text, task) for task in tasks}
        day += timedelta(days=1)
    query = sa.select(spend.c.scope, spend.c.spent_usd).where(spend.c.scope.in_(list(wanted)))
    return sorted((*wanted[scope], spent) for scope, spent in connection.execute(query))


def counts(connection: sa.Connection, start: datetime, end: datetime) -> dict[str, int]:
    """Messages by kind, tickets opened, replies sent, raw messages in quarantine and duplicates."""
    found = {
        f"messages_{kind}": count
        for kind, count in connection.execute(
            sa.select(messages.c.kind, sa.func.count())
            .where(
                messages.c.received_at >= start,
                messages.c.received_at < end,
                messages.c.direction == "inbound",
            )
            .group_by(messages.c.kind)
        )
    }
    found["tickets"] = connection.execute(
        sa.select(sa.func.count()).where(tickets.c.created_at >= start, tickets.c.created_at < end)
    ).scalar_one()
    raw = connection.execute(
        sa.select(raw_messages.c.state, sa.func.count())
        .where(
            raw_messages.c.state.in_(("quarantined", "duplicate")),
            raw_messages.c.received_at >= start,
            raw_messages.c.received_at < end,
        )
        .group_by(raw_messages.c.state)
    )
    kept: dict[str, int] = {row[0]: int(row[1]) for row in raw}
    people = found.get("messages_person", 0)
    inbound = sum(count for name, count in found.items() if name.startswith("messages_"))
    return {
        "messages": inbound,
        "from_people": people,
        "automated": inbound - people,
        "quarantined": kept.get("quarantined", 0),
        "duplicates": kept.get("duplicate", 0),
        "tickets": int(found["tickets"]),
        "replies": _sent(connection, start, end),
    }


def failures(connection: sa.Connection, start: datetime, end: datetime) -> tuple[tuple[str, int], ...]:
    """Review rows opened in the week for something other than a draft to judge, by reason."""
    query = (
        sa.select(reviews.c.reason, sa.func.count())
        .where(
            reviews.c.state.in_(_STATES),
            reviews.c.opened_at >= start,
            reviews.c.opened_at < end,
            reviews.c.draft_id.is_(None),
        )
        .group_by(reviews.c.reason)
    )
    rows = [(reason, int(count)) for reason, count in connection.execute(query)]
    return tuple(sorted(rows, key=lambda row: (-row[1], row[0])))
