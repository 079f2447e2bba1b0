"""What is known of the drafts for messages like these: counts by route, topic, language and confidence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import sqlalchemy as sa

from pipeline.db.tables import drafts, model_calls, reviews, triages
from pipeline.models.base import Choice, Usage
from pipeline.models.prices import FREE, Prices
from pipeline.reports.queries import within
from pipeline.reports.rates import REVIEWED, REWRITE, Share
from pipeline.routing.table import Routes

BANDS = 10
"""Confidence is compared by tenths."""

TASKS = {"cheap": "routine", "strong": "draft"}
READS = "triage"


def band(confidence: float) -> int:
    """The tenth that a confidence lies in, 0..9."""
    return min(BANDS - 1, max(0, int(confidence * BANDS + 1e-9)))


def band_in_words(number: int) -> str:
    return f"{number / BANDS:.1f} to {(number + 1) / BANDS:.1f}"


@dataclass(frozen=True)
class Judged:
    """A judged draft: of which message, by which route, whether it was rewritten."""

    message_id: int
    review_id: int
    route: str
    topic: str
    language: str
    confidence: float
    rewritten: bool


def judged(connection: sa.Connection, since: datetime, until: datetime) -> list[Judged]:
    """The drafts that people judged in the time; those that wait, expired or could not be scored are not in it."""
    query = (
        sa.select(
            drafts.c.message_id,
            reviews.c.id.label("review_id"),
            drafts.c.route,
            triages.c.topic,
            triages.c.language,
            triages.c.confidence,
            reviews.c.outcome.in_(REWRITE).label("rewritten"),
        )
        .select_from(reviews)
        .join(drafts, drafts.c.id == reviews.c.draft_id)
        .join(triages, triages.c.message_id == drafts.c.message_id)
        .where(within(reviews.c.decided_at, since, until), reviews.c.outcome.in_(REVIEWED))
        .order_by(reviews.c.id)
    )
    return [
        Judged(r.message_id, r.review_id, r.route, r.topic, r.language, r.confidence, bool(r.rewritten))
        for r in connection.execute(query)
    ]


def share(rows: Iterable[Judged]) -> Share:
    """The rewrite rate of these drafts."""
    counts = Counter(row.rewritten for row in rows)
    return Share(counts[True], counts.total())


# --- what a draft costs -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Costs:
    """What one reading and one draft of each route cost with a table's models, in dollars; None where neither
    the ledger nor the prices tell. `how` says in one sentence what they rest on."""

    reading_usd: Decimal | None
    draft_usd: Mapping[str, Decimal | None]
    how: str

    def of(self, route: str) -> Decimal | None:
        """One message by this route: read and drafted."""
        drafted = self.draft_usd.get(route)
        return None if drafted is None or self.reading_usd is None else self.reading_usd + drafted


def mean_usage(connection: sa.Connection, since: datetime, until: datetime) -> dict[str, tuple[int, Usage]]:
    """Per task: how many answered calls the ledger has in the time, and the mean tokens of one."""
    columns = ("input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens")
    query = (
        sa.select(
            model_calls.c.task,
            sa.func.count().label("calls"),
            *(sa.func.coalesce(sa.func.avg(model_calls.c[name]), 0).label(name) for name in columns),
        )
        .where(
            within(model_calls.c.started_at, since, until),
            model_calls.c.state == "ok",
            model_calls.c.task.in_((READS, *TASKS.values())),
            model_calls.c.provider.not_in(FREE),
            model_calls.c.input_tokens.is_not(None),
        )
        .group_by(model_calls.c.task)
    )
    return {
        row.task: (int(row.calls), Usage(**{name: round(getattr(row, name)) for name in columns}))
        for row in connection.execute(query)
    }


def costs(usage: Mapping[str, tuple[int, Usage]], routes: Routes) -> Costs:
    """The mean tokens of each task at the price of the model that the table names for it.

    A task that no model did in the time is priced by the tokens of the other drafting task, if there is one.
    """
    said = []

    def priced(task: str, other: str | None = None) -> Decimal | None:
        named = routes.tasks.get(task)
        model = routes.models.get(named.model) if named is not None else None
        if model is None:
            return Decimal(0) if named is not None else None  # a part of this process
        key = task if task in usage else other
        if key is None or key not in usage:
            return None
        calls, tokens = usage[key]
        said.append(f"{calls} calls for {key}" + ("" if key == task else f" in the place of {task}"))
        choice = Choice(model.key, model.provider, model.name, model.tier, price=model.price)
        return Prices().cost(choice, tokens)

    reading = priced(READS)
    drafted = {
        route: priced(task, next(other for other in TASKS.values() if other != task))
        for route, task in TASKS.items()
    }
    how = (
        f"the mean tokens of {', '.join(dict.fromkeys(said))} at the price of the table's models"
        if said
        else "not known: the ledger has no paid call in this time"
    )
    return Costs(reading, drafted, how)
