"""Missed escalations: what the strong model found in the sample of kept messages that it read as well."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from pipeline.db.tables import shadows, triages
from pipeline.reports.rates import Share


@dataclass(frozen=True)
class Missed:
    """How many of the sampled messages of one kind should have been escalated.

    `key` is ("all", ""), ("topic", name) or ("language", code), as the cheap model read them.
    """

    key: tuple[str, str]
    share: Share


def missed_escalations(
    connection: sa.Connection, since: datetime, until: datetime | None = None
) -> tuple[Missed, ...]:
    """The samples read since then: over all, by topic and by language, the most missed first; none if none."""
    missed = sa.func.sum(sa.case((shadows.c.missed, 1), else_=0))
    query = (
        sa.select(triages.c.topic, triages.c.language, missed, sa.func.count())
        .select_from(shadows)
        .join(triages, triages.c.id == shadows.c.triage_id)
        .where(shadows.c.created_at >= since, shadows.c.call_id.is_not(None))
        .group_by(triages.c.topic, triages.c.language)
    )
    if until is not None:
        query = query.where(shadows.c.created_at < until)
    counts: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
    for topic, language, count, of in connection.execute(query):
        for key in (("all", ""), ("topic", topic), ("language", language)):
            counts[key][0] += int(count)
            counts[key][1] += int(of)
    order = ("all", "topic", "language")
    found = [Missed(key, Share(count, of)) for key, (count, of) in counts.items()]
    return tuple(sorted(found, key=lambda m: (order.index(m.key[0]), -m.share.count, -m.share.of, m.key)))


def missed_readings(
    connection: sa.Connection, start: datetime, end: datetime, only: Mapping[str, str]
) -> list[int]:
    """The ids of the sampled readings of the week that should have been escalated, of a topic or a language."""
    query = (
        sa.select(triages.c.id)
        .select_from(shadows)
        .join(triages, triages.c.id == shadows.c.triage_id)
        .where(
            shadows.c.created_at >= start,
            shadows.c.created_at < end,
            shadows.c.call_id.is_not(None),
            shadows.c.missed.is_(True),
            *(triages.c[name] == value for name, value in only.items()),
        )
    )
    return sorted(connection.execute(query).scalars())
