"""A threshold worth moving: stored readings decided with others near it, and what is known of such drafts."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pipeline.learning.curves import key_of, messages_of
from pipeline.learning.trying import Stored, Tried, tried
from pipeline.reports.rates import SMALL, Share
from pipeline.routing.table import Routes
from pipeline.triage.escalation import Decision

STEPS = (0.05, 0.10, 0.15, 0.20)
LOWEST, HIGHEST = 0.30, 0.99
AS_GOOD = 0.05
"""The cheap route is good enough where at most so much more of it may have to be rewritten."""


@dataclass(frozen=True)
class Found:
    """`key` of [rule] is `old` and might be `new`; `tried` is the replay, `there` the rewrite rate that is known on
    the route to which messages would move."""

    key: str
    old: float
    new: float
    tried: Tried
    there: Share


def threshold(stored: Stored, routes: Routes, since: datetime) -> Found | None:
    """The best move of the threshold that counts for most readings; None where nothing known speaks for one.

    Up, where cheap drafts of the messages that would move were rewritten clearly more often than strong ones for
    such messages; down, where cheap drafts for such messages are as good as the strong ones and it saves money.
    """
    key = key_of(stored.readings)
    old = float(getattr(routes.rule, key))
    # what an agent or an older table sent another way says nothing about this threshold
    messages = messages_of(stored.readings, routes.rule, key)
    kept = [
        (row, message)
        for row, message in zip(stored.readings, messages, strict=True)
        if message.route(old) == row.route
    ]
    stored = dataclasses.replace(stored, readings=[row for row, _ in kept])
    found: list[tuple[float, Found]] = []
    for step in (*STEPS, *(-step for step in STEPS)):
        new = round(old + step, 2)
        if not LOWEST <= new <= HIGHEST:
            continue
        moved: dict[str, Any] = {key: new}
        rule = dataclasses.replace(routes.rule, **moved)
        decided = [Decision(message.route(new), ()) for _, message in kept]
        result = tried(stored, routes, dataclasses.replace(routes, rule=rule), since, decided)
        there = result.alike if result.alike.of >= SMALL else result.wider
        if result.own.of < SMALL or there.of < SMALL:
            continue
        worth = _worth(result, there, up=step > 0)
        if worth > 0:
            found.append((worth, Found(key, old, new, result, there)))
    # of the moves in the better direction the one that is worth most, the shorter one of equals
    return max(found, key=lambda one: (one[0], -abs(one[1].new - old)))[1] if found else None


def _worth(result: Tried, there: Share, *, up: bool) -> float:
    """Rewrites saved, or dollars; 0 where the figures do not speak for the move."""
    own, other = result.own.value, there.value
    own_low_high, low_high = result.own.interval, there.interval
    if own is None or other is None or own_low_high is None or low_high is None:
        return 0.0
    if up:
        # eight steps are tried: the best of them looks good by chance unless the intervals stand apart
        return len(result.changed) * (own - other) if low_high[1] < own_low_high[0] else 0.0
    saved = 0.0 if result.change_usd is None else -float(result.change_usd)
    return saved if saved > 0 and low_high[1] <= own + AS_GOOD else 0.0
