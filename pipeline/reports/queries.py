"""The report's questions about drafts, readings and arrivals: each one statement over one week's rows, found by
an index on time. What counts a figure and what lists the cases behind it share their conditions here.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from pipeline.db.tables import (
    corrections,
    drafts,
    messages,
    raw_messages,
    replies,
    reviews,
    tickets,
    triages,
)
from pipeline.reports.rates import NAMES, Outcomes

DIMENSIONS = ("route", "topic", "language", "inbox", "model", "prompt", "source")
NONE = "(none)"
STATES = ("open", "decided", "superseded")

COLUMNS: dict[str, sa.ColumnElement[str]] = {
    "route": drafts.c.route,
    # as the draft's own message was read, whatever the ticket became later
    "topic": sa.func.coalesce(triages.c.topic, tickets.c.topic, NONE),
    "language": drafts.c.language,
    "inbox": tickets.c.inbox,
    "model": drafts.c.model,
    "prompt": drafts.c.task + " " + sa.func.substr(drafts.c.prompt, 1, 8),
    "source": drafts.c.source,
}


@dataclass(frozen=True)
class Cell:
    """How many drafts of one combination of the dimensions ended one way."""

    key: dict[str, str]
    outcome: str
    count: int


def within(column: sa.ColumnElement[datetime], start: datetime, end: datetime) -> sa.ColumnElement[bool]:
    return sa.and_(column >= start, column < end)


def of_prompt(
    task: sa.ColumnElement[str], digest: sa.ColumnElement[str], prompt: str
) -> sa.ColumnElement[bool]:
    """Rows of a prompt version as the report names it: the task and the first 8 characters of the digest."""
    name, _, begins = prompt.partition(" ")
    return sa.and_(task == name, sa.func.substr(digest, 1, 8) == begins)


# --- drafts -------------------------------------------------------------------------------------------


def _judged(start: datetime, end: datetime) -> list[sa.ColumnElement[bool]]:
    """Judged in the week, or superseded in it unjudged: each review with a draft falls in one week only.

    A draft that was regenerated away is on no review any more, so it is in neither (see `friction`).
    """
    return [
        within(reviews.c.decided_at, start, end),
        sa.and_(reviews.c.decided_at.is_(None), within(drafts.c.superseded_at, start, end)),
    ]


def from_reviews(query: sa.Select[Any], only: Mapping[str, str]) -> sa.Select[Any]:
    query = (
        query.select_from(reviews)
        .join(drafts, drafts.c.id == reviews.c.draft_id)
        .join(tickets, tickets.c.id == reviews.c.ticket_id)
        .outerjoin(triages, triages.c.message_id == drafts.c.message_id)
    )
    return query.where(*(COLUMNS[name] == value for name, value in only.items()))


def draft_cells(connection: sa.Connection, start: datetime, end: datetime) -> list[Cell]:
    """Counts of outcomes by all dimensions together; every cut of the report is a sum of these."""
    columns = [*(COLUMNS[name].label(name) for name in DIMENSIONS), reviews.c.outcome.label("outcome")]
    counts: Counter[tuple[str, ...]] = Counter()
    for when in _judged(start, end):
        query = (
            from_reviews(sa.select(*columns, sa.func.count().label("count")), {})
            .where(when, reviews.c.outcome.is_not(None))
            .group_by(*[sa.text(str(n + 1)) for n in range(len(columns))])
        )
        for row in connection.execute(query):
            counts[tuple(row[:-1])] += int(row[-1])
    return [
        Cell(dict(zip(DIMENSIONS, key[:-1], strict=True)), key[-1], count)
        for key, count in sorted(counts.items())
    ]


def judged_reviews(
    connection: sa.Connection,
    start: datetime,
    end: datetime,
    outcomes: Collection[str],
    only: Mapping[str, str],
    *more: sa.ColumnElement[bool],
) -> list[int]:
    """The ids of the week's reviews whose drafts ended so: what stands behind a figure of `draft_cells`."""
    found: set[int] = set()
    for when in _judged(start, end):
        query = from_reviews(sa.select(reviews.c.id), only).where(
            when, reviews.c.outcome.in_(list(outcomes)), *more
        )
        found.update(int(row[0]) for row in connection.execute(query))
    return sorted(found)


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


# --- readings -----------------------------------------------------------------------------------------


def routes(connection: sa.Connection, start: datetime, end: datetime) -> dict[str, int]:
    """Messages that the cheap stage read in the week, by what the rule made of them."""
    query = (
        sa.select(triages.c.route, sa.func.count())
        .where(within(triages.c.created_at, start, end))
        .group_by(triages.c.route)
    )
    return {row[0]: int(row[1]) for row in connection.execute(query)}


def reasons(connection: sa.Connection, start: datetime, end: datetime) -> tuple[tuple[str, int], ...]:
    """Why messages were escalated; sentences that differ in their figures only are one reason."""
    counts: Counter[str] = Counter()
    for _id, found in _escalated(connection, start, end):
        counts.update(found)
    return tuple(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def readings(
    connection: sa.Connection, start: datetime, end: datetime, *, route: str = "", because: str = ""
) -> list[int]:
    """The ids of the week's readings, of a route or escalated for a reason as `reasons` words it."""
    if because:
        return sorted(id for id, found in _escalated(connection, start, end) if because in found)
    query = sa.select(triages.c.id).where(within(triages.c.created_at, start, end))
    if route:
        query = query.where(triages.c.route == route)
    return sorted(connection.execute(query).scalars())


def _escalated(connection: sa.Connection, start: datetime, end: datetime) -> list[tuple[int, set[str]]]:
    query = sa.select(triages.c.id, triages.c.reasons).where(
        within(triages.c.created_at, start, end), triages.c.route != "cheap"
    )
    return [
        (int(id), {re.sub(r"\d+(?:[.,]\d+)*", "…", str(sentence)) for sentence in found or ()})
        for id, found in connection.execute(query.execution_options(yield_per=1000))
    ]


def corrected(
    connection: sa.Connection, start: datetime, end: datetime
) -> list[tuple[str, int, tuple[tuple[str, int], ...]]]:
    """(field, readings of the week in which it was changed since, changes by kind of corrector)."""
    query = (
        sa.select(corrections.c.field, corrections.c.by_kind, corrections.c.triage_id)
        .join(triages, triages.c.id == corrections.c.triage_id)
        .where(within(triages.c.created_at, start, end))
        .distinct()
    )
    readings: dict[str, set[int]] = defaultdict(set)
    by: dict[str, Counter[str]] = defaultdict(Counter)
    for name, kind, triage in connection.execute(query):
        readings[name].add(triage)
        by[name][kind] += 1
    order = sorted(readings, key=lambda name: (-len(readings[name]), name))
    return [(name, len(readings[name]), tuple(sorted(by[name].items()))) for name in order]


# --- what came in, what went out, what failed ---------------------------------------------------------


def sent_in(start: datetime, end: datetime) -> sa.ColumnElement[bool]:
    return sa.and_(replies.c.state == "sent", within(replies.c.sent_at, start, end))


def raw_in(state: str, start: datetime, end: datetime) -> sa.ColumnElement[bool]:
    return sa.and_(raw_messages.c.state == state, within(raw_messages.c.received_at, start, end))


def inbound_in(start: datetime, end: datetime) -> sa.ColumnElement[bool]:
    return sa.and_(messages.c.direction == "inbound", within(messages.c.received_at, start, end))


def failed_in(start: datetime, end: datetime) -> sa.ColumnElement[bool]:
    """Review rows opened for something other than a draft to judge."""
    return sa.and_(
        reviews.c.state.in_(STATES), reviews.c.draft_id.is_(None), within(reviews.c.opened_at, start, end)
    )


def counts(connection: sa.Connection, start: datetime, end: datetime) -> dict[str, int]:
    """Messages by kind, tickets opened, replies sent, raw messages in quarantine and duplicates."""

    def count(where: sa.ColumnElement[bool]) -> int:
        return int(connection.execute(sa.select(sa.func.count()).where(where)).scalar_one())

    kinds = {
        row[0]: int(row[1])
        for row in connection.execute(
            sa.select(messages.c.kind, sa.func.count())
            .where(inbound_in(start, end))
            .group_by(messages.c.kind)
        )
    }
    people, inbound = kinds.get("person", 0), sum(kinds.values())
    return {
        "messages": inbound,
        "from_people": people,
        "automated": inbound - people,
        "quarantined": count(raw_in("quarantined", start, end)),
        "duplicates": count(raw_in("duplicate", start, end)),
        "tickets": count(within(tickets.c.created_at, start, end)),
        "replies": count(sent_in(start, end)),
    }


def failures(connection: sa.Connection, start: datetime, end: datetime) -> tuple[tuple[str, int], ...]:
    """Review rows opened in the week for something other than a draft to judge, by reason."""
    query = (
        sa.select(reviews.c.reason, sa.func.count()).where(failed_in(start, end)).group_by(reviews.c.reason)
    )
    rows = [(reason, int(count)) for reason, count in connection.execute(query)]
    return tuple(sorted(rows, key=lambda row: (-row[1], row[0])))
