"""What the metrics say of the work at hand: tickets, steps, the review table, the weekly report."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import sqlalchemy as sa

from pipeline.db.reviews import REASONS
from pipeline.db.tables import report_letters, reviews, second_reads, sending, tickets, weekly_reports
from pipeline.db.types import now
from pipeline.lifecycle import WORKED, Status
from pipeline.reports.rates import NAMES, Outcomes
from pipeline.web.gauges import Family, age, by, counted, number, single

LETTER_STATES = ("waiting", "sending", "sent", "failed", "uncertain")
LETTER_IS_LATE_AFTER = timedelta(hours=1)


def of_tickets(c: sa.Connection) -> Iterator[Family]:
    known = [s.value for s in Status]
    yield counted(c, "triage_tickets", "Tickets by status.", "status", tickets.c.status, known)


def of_steps(c: sa.Connection) -> Iterator[Family]:
    at = now()
    free = sa.or_(tickets.c.lease_until.is_(None), tickets.c.lease_until < at)
    # lower(): grouped by the bare column, SQLite walks the index of the status, which is every ticket there ever was
    step = sa.func.lower(tickets.c.status)
    rows = c.execute(
        sa.select(
            step.label("step"),
            sa.func.count().label("waiting"),
            sa.func.min(tickets.c.due_at, type_=tickets.c.due_at.type).label("oldest"),
            sa.func.sum(sa.case((tickets.c.last_error.is_not(None), 1), else_=0)).label("failed"),
            sa.func.min(
                sa.case((tickets.c.hinted_at.is_(None), tickets.c.due_at)), type_=tickets.c.due_at.type
            ).label("unannounced"),
        )
        .where(tickets.c.due_at <= at, free)
        .group_by(step)
    )
    found = {row.step: row for row in rows}
    due = Family("triage_step_due", "Tickets that are due for a step and in nobody's hands.", labels=["step"])
    oldest = Family(
        "triage_step_oldest_due_seconds",
        "How long the longest waiting ticket of a step is overdue: the age of the queue.",
        labels=["step"],
    )
    failed = Family(
        "triage_step_due_again", "Of those that are due, tickets whose last start failed.", labels=["step"]
    )
    missed: datetime | None = None
    for status in sorted(WORKED):
        row = found.get(status.value)
        due.add_metric([status.value], row.waiting if row else 0)
        oldest.add_metric([status.value], age(row.oldest if row else None))
        failed.add_metric([status.value], row.failed if row else 0)
        if row is not None and row.unannounced is not None:
            missed = min(missed or row.unannounced, row.unannounced)
    yield due
    yield oldest
    yield failed
    yield single(
        "triage_sweep_overdue_seconds",
        "How long the longest waiting ticket was not announced by the sweep: above a few sweeps, the "
        "schedule (triage beat) stands still.",
        age(missed),
    )
    kept = c.execute(sa.select(sending.c.beat_at, sending.c.held_at)).one_or_none()
    swept = Family("triage_sweep_timestamp_seconds", "When a sweep last ran, to the minute, in Unix time.")
    if kept is not None:
        swept.add_metric([], kept.beat_at.timestamp())
    yield swept
    yield single(
        "triage_sending_held",
        "1 while nothing is sent until a person releases it, as after a restore.",
        0 if kept is None or kept.held_at is None else 1,
    )


def of_leases(c: sa.Connection) -> Iterator[Family]:
    at = now()
    held = c.execute(
        sa.select(tickets.c.status, tickets.c.lease_owner, tickets.c.lease_until).where(
            tickets.c.lease_owner.is_not(None)
        )
    ).all()
    steps = dict.fromkeys((status.value for status in sorted(WORKED)), 0)
    hosts: dict[str, int] = {}
    expired = 0
    for row in held:
        if row.lease_until is None or row.lease_until < at:
            expired += 1
            continue
        steps[row.status] = steps.get(row.status, 0) + 1
        host = row.lease_owner.partition(":")[0]
        hosts[host] = hosts.get(host, 0) + 1
    yield by("triage_step_in_flight", "Tickets that a worker has in hand.", "step", steps)
    yield by("triage_worker_in_flight", "Tickets in hand by the worker's machine.", "host", hosts)
    yield single(
        "triage_leases_expired", "Leases whose time is over and that no worker has taken over yet.", expired
    )


def of_reviews(c: sa.Connection) -> Iterator[Family]:
    rows = c.execute(
        sa.select(
            reviews.c.reason,
            sa.func.count().label("open"),
            sa.func.min(reviews.c.opened_at, type_=reviews.c.opened_at.type).label("oldest"),
        )
        .where(reviews.c.state == "open")
        .group_by(reviews.c.reason)
    )
    found = {row.reason: row for row in rows}
    reasons = sorted({*REASONS, *found})
    yield by(
        "triage_reviews_open",
        "Open rows of the review table by reason.",
        "reason",
        {reason: found[reason].open if reason in found else 0 for reason in reasons},
    )
    yield by(
        "triage_reviews_open_oldest_seconds",
        "Age of the oldest open row of the review table by reason; 0 where none is open.",
        "reason",
        {reason: age(found[reason].oldest) if reason in found else 0 for reason in reasons},
    )
    yield single(
        "triage_review_oldest_seconds",
        "Age of the oldest open row of the review table.",
        max((age(row.oldest) for row in found.values()), default=0),
    )
    waiting = c.execute(
        sa.select(
            sa.func.count().label("n"),
            sa.func.min(second_reads.c.asked_at, type_=second_reads.c.asked_at.type).label("oldest"),
        ).where(second_reads.c.read_at.is_(None))
    ).one()
    yield single("triage_second_reads_waiting", "Second reads that nobody has done yet.", waiting.n)
    yield single("triage_second_reads_oldest_seconds", "Age of the oldest second read.", age(waiting.oldest))


def of_the_report(c: sa.Connection) -> Iterator[Family]:
    """Of the last week that was written: its outcomes are a row, so that no draft is counted again."""
    last = c.execute(
        sa.select(weekly_reports.c.made_at, weekly_reports.c.outcomes)
        .order_by(weekly_reports.c.week.desc())
        .limit(1)
    ).one_or_none()
    week = Outcomes.of({name: int(last.outcomes.get(name, 0)) for name in NAMES} if last else {})
    judged = {name: getattr(week, name) for name in NAMES}
    yield by("triage_drafts_judged", "Drafts of the last reported week by outcome.", "outcome", judged)
    ratio = Family(
        "triage_rewrite_ratio",
        "The rewrite rate of the last reported week, 0 to 1; missing where no draft was reviewed.",
    )
    made = Family(
        "triage_report_made_timestamp_seconds", "When the last weekly report was written, in Unix time."
    )
    if week.reviewed:
        ratio.add_metric([], week.rewrite.count / week.reviewed)
    if last is not None:
        made.add_metric([], last.made_at.timestamp())
    yield ratio
    yield made
    state = report_letters.c.state
    yield counted(
        c, "triage_report_letters", "Letters of the weekly report by state.", "state", state, LETTER_STATES
    )
    late = now() - LETTER_IS_LATE_AFTER
    yield single(
        "triage_report_letters_stuck",
        "Letters of the weekly report that failed, are uncertain, or have been due for over an hour.",
        number(
            c,
            report_letters,
            sa.or_(
                state.in_(("failed", "uncertain")),
                sa.and_(state == "waiting", report_letters.c.due_at < late),
                sa.and_(state == "sending", report_letters.c.sending_at < late),
            ),
        ),
    )
