"""How the review table was worked, and the guard against rubber-stamping."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from pipeline.db.tables import reviews, second_reads
from pipeline.reports.queries import STATES, within
from pipeline.reports.rates import Share, percentile

QUICK_S = 5.0
AGREES = "as_is"
"""What a second reader says of a draft that they too would have sent as it was."""


@dataclass(frozen=True)
class Desk:
    """How the review table was worked. `wait` seconds are from a row's opening to its decision."""

    opened: int
    decided: int
    open_now: int
    oldest_open_s: float | None
    wait_p50_s: float | None
    wait_p95_s: float | None


@dataclass(frozen=True)
class Guard:
    """Of the approvals of a draft as it is: decided less than `quick_s` after the row was opened on the page,
    decided without opening it (`unseen`), and either of the two (`hasty`). Of second reads: those asked for in
    the week, those read in it, and how many of these would have sent the draft as it was, too (`agreed`)."""

    quick_s: float
    quick: Share
    unseen: Share
    hasty: Share
    asked: int
    agreed: Share
    verdicts: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Worked:
    """The week's decisions: seconds from opening to decision, those from the first look, and the approvals'
    reviews that were quick or unseen."""

    waits: Counter[float]
    looks: Counter[float]
    approvals: int
    quick: tuple[int, ...]
    unseen: tuple[int, ...]


def worked(connection: sa.Connection, start: datetime, end: datetime, quick_s: float) -> Worked:
    waits: Counter[float] = Counter()
    looks: Counter[float] = Counter()
    approvals, quick, unseen = 0, [], []
    columns = [reviews.c[name] for name in ("id", "opened_at", "decided_at", "first_viewed_at", "action")]
    query = sa.select(*columns).where(decided_in(start, end)).execution_options(yield_per=1000)
    for row in connection.execute(query):
        waits[round((row.decided_at - row.opened_at).total_seconds(), 1)] += 1
        if row.first_viewed_at is not None:
            looks[round((row.decided_at - row.first_viewed_at).total_seconds(), 1)] += 1
        if row.action == "approve":
            approvals += 1
            if row.first_viewed_at is None:
                unseen.append(row.id)
            elif row.decided_at - row.first_viewed_at < timedelta(seconds=quick_s):
                quick.append(row.id)
    return Worked(waits, looks, approvals, tuple(quick), tuple(unseen))


def decided_in(start: datetime, end: datetime) -> sa.ColumnElement[bool]:
    # as an equality the state would lure SQLite to the index on it, which holds nearly all rows
    return sa.and_(reviews.c.state.not_in(("open", "superseded")), within(reviews.c.decided_at, start, end))


def opened_in(start: datetime, end: datetime) -> sa.ColumnElement[bool]:
    return sa.and_(reviews.c.state.in_(STATES), within(reviews.c.opened_at, start, end))


def desk(connection: sa.Connection, start: datetime, end: datetime, at: datetime, done: Worked) -> Desk:
    """`at` is the moment at which the queue's age is taken."""
    opened = connection.execute(sa.select(sa.func.count()).where(opened_in(start, end))).scalar_one()
    waiting = connection.execute(
        sa.select(sa.func.count(), sa.func.min(reviews.c.opened_at)).where(reviews.c.state == "open")
    ).one()
    return Desk(
        opened=int(opened),
        decided=sum(done.waits.values()),
        open_now=int(waiting[0]),
        oldest_open_s=max(0.0, (at - waiting[1]).total_seconds()) if waiting[1] else None,
        wait_p50_s=percentile(done.waits.items(), 0.50),
        wait_p95_s=percentile(done.waits.items(), 0.95),
    )


def guard(connection: sa.Connection, start: datetime, end: datetime, quick_s: float, done: Worked) -> Guard:
    asked = connection.execute(
        sa.select(sa.func.count()).where(within(second_reads.c.asked_at, start, end))
    ).scalar_one()
    read = connection.execute(
        sa.select(second_reads.c.verdict, sa.func.count())
        .where(within(second_reads.c.read_at, start, end))
        .group_by(second_reads.c.verdict)
    )
    verdicts = {row[0] or "": int(row[1]) for row in read}
    return Guard(
        quick_s=quick_s,
        quick=Share(len(done.quick), done.approvals),
        unseen=Share(len(done.unseen), done.approvals),
        hasty=Share(len(done.quick) + len(done.unseen), done.approvals),
        asked=int(asked),
        agreed=Share(verdicts.get(AGREES, 0), sum(verdicts.values())),
        verdicts=tuple(sorted(verdicts.items(), key=lambda item: (-item[1], item[0]))),
    )
