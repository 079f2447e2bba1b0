"""Prometheus metrics, counted in the database at the scrape, so that every process says the same."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import sqlalchemy as sa
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from pipeline.db.reviews import REASONS
from pipeline.db.store import Store
from pipeline.db.tables import (
    model_calls,
    raw_messages,
    replies,
    reviews,
    spend,
    tickets,
)
from pipeline.db.types import now
from pipeline.ingest import uids
from pipeline.ingest.mailboxes import mailboxes_of
from pipeline.lifecycle import WORKED, Status
from pipeline.models.spend import CapUse, caps_in_use

CONTENT_TYPE = CONTENT_TYPE_LATEST
CALL_STATES = ("reserved", "ok", "failed", "unknown", "not_called")
REPLY_STATES = ("waiting", "sending", "sent", "failed", "uncertain", "withdrawn")
RAW_STATES = ("stored", "parsed", "duplicate", "quarantined")


def scrape(store: Store) -> bytes:
    """All metrics as Prometheus reads them."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_FromDatabase(store))
    return generate_latest(registry)


class _FromDatabase(Collector):
    def __init__(self, store: Store) -> None:
        self.store = store

    def describe(self) -> Iterator[GaugeMetricFamily]:
        return iter(())

    def collect(self) -> Iterator[GaugeMetricFamily]:
        with self.store.read() as connection:
            yield from _collect(connection)


def _collect(connection: sa.Connection) -> Iterator[GaugeMetricFamily]:
    yield _counted(
        connection,
        "triage_tickets",
        "Tickets by status.",
        "status",
        tickets.c.status,
        [s.value for s in Status],
    )
    yield _counted(
        connection,
        "triage_reviews_open",
        "Open rows of the review table by reason.",
        "reason",
        reviews.c.reason,
        list(REASONS),
        reviews.c.state == "open",
    )
    yield _counted(
        connection, "triage_model_calls", "Model calls by state.", "state", model_calls.c.state, CALL_STATES
    )
    yield _counted(connection, "triage_replies", "Replies by state.", "state", replies.c.state, REPLY_STATES)
    yield _counted(
        connection, "triage_raw_messages", "Raw messages by state.", "state", raw_messages.c.state, RAW_STATES
    )
    yield _single(
        "triage_quarantine",
        "Raw messages that could not be parsed and wait for a person.",
        _number(connection, raw_messages, raw_messages.c.state == "quarantined"),
    )
    yield _single(
        "triage_send_uncertain",
        "Replies that may or may not have gone out and wait for a person.",
        _number(connection, replies, replies.c.state == "uncertain"),
    )
    yield _single(
        "triage_review_oldest_seconds",
        "Age of the oldest open row of the review table.",
        _age(
            connection.execute(
                sa.select(sa.func.min(reviews.c.opened_at)).where(reviews.c.state == "open")
            ).scalar()
        ),
    )
    yield _steps(connection)
    yield from _spend(connection)
    yield from _inboxes(connection)


def _counted(
    connection: sa.Connection,
    name: str,
    words: str,
    label: str,
    column: sa.Column[str],
    known: tuple[str, ...] | list[str],
    *conditions: sa.ColumnElement[bool],
) -> GaugeMetricFamily:
    """A gauge by the values of a column; known values are there even when they are 0."""
    query = sa.select(column, sa.func.count()).where(*conditions).group_by(column)
    found = {row[0]: row[1] for row in connection.execute(query)}
    family = GaugeMetricFamily(name, words, labels=[label])
    for value in sorted({*known, *found}):
        family.add_metric([value], found.get(value, 0))
    return family


def _steps(connection: sa.Connection) -> GaugeMetricFamily:
    family = GaugeMetricFamily(
        "triage_step_oldest_due_seconds",
        "How long the longest waiting ticket of a step is overdue.",
        labels=["step"],
    )
    rows = connection.execute(
        sa.select(tickets.c.status, sa.func.min(tickets.c.due_at))
        .where(tickets.c.due_at.is_not(None))
        .group_by(tickets.c.status)
    )
    oldest = {row[0]: row[1] for row in rows}
    for status in sorted(WORKED):
        family.add_metric([status.value], _age(oldest.get(status.value)))
    return family


def _spend(connection: sa.Connection) -> Iterator[GaugeMetricFamily]:
    day = f"day:{now():%Y-%m-%d}"
    row = connection.execute(
        sa.select(spend.c.spent_usd, spend.c.reserved_usd).where(spend.c.scope == day)
    ).one_or_none()
    yield _single(
        "triage_spend_today_usd", "US dollars spent on models today.", float(row.spent_usd) if row else 0
    )
    yield _single(
        "triage_spend_reserved_usd",
        "US dollars reserved for calls under way.",
        float(row.reserved_usd) if row else 0,
    )
    spent, limit, alarm = (
        GaugeMetricFamily(name, words, labels=["cap", "of"])
        for name, words in (
            ("triage_cap_used_usd", "US dollars spent and reserved under a cap of the present time."),
            ("triage_cap_limit_usd", "The cap, as it stood at the last reservation."),
            ("triage_cap_alarm", "1 once the cap's share for an alarm was passed."),
        )
    )
    for cap in caps_in_use(connection):
        labels = [cap.kind, _of(cap)]
        spent.add_metric(labels, float(cap.spent_usd + cap.reserved_usd))
        limit.add_metric(labels, float(cap.limit_usd))
        alarm.add_metric(labels, 0 if cap.alarmed_at is None else 1)
    yield spent
    yield limit
    yield alarm


def _of(cap: CapUse) -> str:
    """Whose cap it is: the task, route, inbox or agent; "" for the caps of all. No date: a series must last."""
    return ":".join(cap.scope.split(":")[1:-1])


def _inboxes(connection: sa.Connection) -> Iterator[GaugeMetricFamily]:
    lag = GaugeMetricFamily(
        "triage_inbox_last_ok_seconds",
        "How long ago the mailbox was last read to its end without an error.",
        labels=["inbox", "folder"],
    )
    failing = GaugeMetricFamily(
        "triage_inbox_failing", "1 while the last attempt on the mailbox failed.", labels=["inbox", "folder"]
    )
    gone = GaugeMetricFamily(
        "triage_inbox_gone", "Mails that were gone before they could be fetched.", labels=["inbox"]
    )
    mailboxes = mailboxes_of(connection)
    for mailbox in mailboxes:
        labels = [mailbox.inbox, mailbox.folder]
        if mailbox.lag_s is not None:
            lag.add_metric(labels, mailbox.lag_s)
        failing.add_metric(labels, 1 if mailbox.state == "failing" else 0)
    for name in sorted({mailbox.inbox for mailbox in mailboxes}):
        gone.add_metric([name], uids.gone(connection, name))
    yield lag
    yield failing
    yield gone


def _single(name: str, words: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, words, value=value)


def _number(connection: sa.Connection, table: sa.Table, condition: sa.ColumnElement[bool]) -> int:
    return int(
        connection.execute(sa.select(sa.func.count()).select_from(table).where(condition)).scalar_one()
    )


def _age(at: datetime | None) -> float:
    return max(0.0, (now() - at).total_seconds()) if at is not None else 0.0
