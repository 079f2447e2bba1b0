"""Suggestions on the topics' descriptions, which the prompt shows: what is often taken for another topic."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal

import sqlalchemy as sa

from pipeline.db.tables import corrections, triages
from pipeline.reports import edits
from pipeline.reports.queries import within
from pipeline.reports.rates import SMALL, Share, many
from pipeline.reports.suggested import FAILING, Evidence, Looked, Suggestion, link, low


def found(week: Looked, text: str) -> Iterator[Suggestion]:
    """A topic that agents often correct to another one. `text` is that of the table's file."""
    in_week = within(triages.c.created_at, week.start, week.end)
    read = {
        topic: int(count)
        for topic, count in week.connection.execute(
            sa.select(triages.c.topic, sa.func.count()).where(in_week).group_by(triages.c.topic)
        )
    }
    rows = week.connection.execute(
        sa.select(triages.c.id, corrections.c.old, corrections.c.new)
        .join(triages, triages.c.id == corrections.c.triage_id)
        .where(in_week, corrections.c.field == "topic", corrections.c.by_kind == "agent")
    )
    readings: dict[tuple[str, str], set[int]] = {}
    for id, old, new in rows:
        readings.setdefault((old, new), set()).add(id)
    topics = week.routes.topics
    for (old, new), ids in sorted(readings.items(), key=lambda item: (-len(item[1]), str(item[0]))):
        if old not in topics or new not in topics or len(ids) < SMALL:
            continue
        share = Share(len(ids), max(len(ids), read.get(old, 0)))
        if low(share) < FAILING:
            continue
        about = re.split(r"[;:,(]", topics[new].description)[0].strip()
        meant = f"{topics[old].description}; not {new}: {about}"
        yield from week.made(
            "topic",
            f"Say in the description of {old} what is {new}: the two are mixed up.",
            week.change(edits.set_value(text, ["topics", old], "description", meant)),
            (
                Evidence(
                    f"messages read as {old} that agents corrected to {new}: {share.with_interval()}",
                    link("corrected", field="topic", by="agent", old=old, new=new),
                ),
            ),
            len(ids),
            Decimal(0),
            f"up to {many(len(ids), 'correction')} fewer {week.span}; it costs nothing to speak of",
        )
