"""The trade-off curve of a store: its stored readings and judged drafts, the table in force, words and a chart."""

from __future__ import annotations

import dataclasses
from datetime import datetime, timedelta

from pipeline.db.store import Store
from pipeline.db.types import now
from pipeline.learning.evidence import costs, judged, mean_usage
from pipeline.learning.tradeoff import UNKNOWN_MOST, Curve, Message, Point, curve
from pipeline.learning.trying import KNOWN_DAYS
from pipeline.routing.table import Routes, Rule
from pipeline.triage.dry_run import Reading, readings

KEYS = ("confidence_below", "confidence_below_uncalibrated")


def stored_curve(
    store: Store,
    routes: Routes,
    since: datetime,
    until: datetime | None = None,
    *,
    newest: int | None = None,
) -> Curve:
    """The curve over the readings since then, or over the `newest` so many of them.

    It moves the threshold that counts for most of them; readings that the other one counts for (of a calibrated
    model, or of one that is not) stay as the table has them.
    """
    end = until or now()
    with store.read() as connection:
        rows = list(readings(connection, since, end, newest))
        known = judged(connection, min(since, end - timedelta(days=KNOWN_DAYS)), end)
        usage = mean_usage(connection, since, end)
    key = key_of(rows)
    return curve(messages_of(rows, routes.rule, key), known, routes.rule, key, costs(usage, routes))


def key_of(rows: list[Reading]) -> str:
    """The threshold that counts for most of the readings."""
    calibrated = sum(row.calibrated for row in rows)
    return KEYS[0] if calibrated * 2 >= len(rows) else KEYS[1]


def messages_of(rows: list[Reading], rule: Rule, key: str) -> list[Message]:
    """The readings as the curve needs them."""
    # At a threshold of nothing, whatever still escalates does so for another reason.
    without = dataclasses.replace(rule, confidence_below=0.0, confidence_below_uncalibrated=0.0)
    return [
        Message(
            row.message_id,
            row.answer.confidence,
            row.decide(without).route == "strong",
            row.needed(rule),
            fixed=row.calibrated != (key == KEYS[0]),
        )
        for row in rows
    ]


def lines(found: Curve) -> list[str]:
    """For people."""
    if not found.messages:
        return ["no message was read in this time"]
    said = [
        f"{found.messages} messages, {found.judged} judged drafts; {found.key} moves; cost by {found.cost_how}",
        "threshold  escalated  $ per 1,000  rewrite rate expected",
    ]
    for point in found.points:
        usd = "not known" if point.usd_per_1000 is None else f"{point.usd_per_1000:.2f}"
        mark = "   ← in force" if point is found.present else ""
        said.append(f"{point.threshold:9.2f}  {point.escalated:9.0%}  {usd:>11}  {rate(point)}{mark}")
    return said


def rate(point: Point) -> str:
    """The expected rewrite rate of a point in words."""
    if point.rate is None or point.low is None or point.high is None:
        if not point.judged:
            return "not known: no draft like these was judged"
        return f"not known: {point.unknown:.0%} of the messages were never drafted this way"
    never = f"; {point.unknown:.0%} never drafted this way" if point.unknown else ""
    return f"{point.rate:.0%} (95% between {point.low:.0%} and {point.high:.0%}; {point.judged} judged drafts{never})"


__all__ = ["KEYS", "UNKNOWN_MOST", "key_of", "lines", "messages_of", "rate", "stored_curve"]
