"""The trade-off: for each escalation threshold what 1,000 messages cost and how many drafts would be rewritten.

Pure, over stored readings and judged drafts. Messages are put into cells (a tenth of confidence, and whether the
rule escalates them for another reason anyway); a cell's rewrite rate on a route is what its judged drafts on that
route show. Where a cell was never drafted on the route that a threshold would give it, nothing is known and nothing
is made up: beyond `UNKNOWN_MOST` of the messages such a point has no rate, below it the interval allows for all or
none of them being rewritten.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from pipeline.learning.evidence import Costs, Judged, band, share
from pipeline.reports.rates import wilson
from pipeline.routing.table import Rule

STEP = 0.05
UNKNOWN_MOST = 0.20

_Cell = tuple[int, bool]


@dataclass(frozen=True)
class Message:
    """A reading as the curve needs it: `anyway` if the rule escalates it whatever its confidence; `fixed` if the
    threshold that the curve moves is not the one that counts for it, `needed` is that one."""

    message_id: int
    confidence: float
    anyway: bool
    needed: float
    fixed: bool = False

    def route(self, threshold: float) -> str:
        limit = self.needed if self.fixed else threshold
        return "strong" if self.anyway or self.confidence < limit else "cheap"


@dataclass(frozen=True)
class Point:
    """One threshold: the share of messages that it escalates, US dollars per 1,000 messages (None: not known), the
    expected rewrite rate with its 95% interval (None: not known), the share of messages whose drafts on this route
    nobody has ever judged, and on how many judged drafts the rate rests."""

    threshold: float
    escalated: float
    usd_per_1000: Decimal | None
    rate: float | None
    low: float | None
    high: float | None
    unknown: float
    judged: int

    def to_json(self) -> dict[str, Any]:
        found = {name: getattr(self, name) for name in self.__dataclass_fields__}
        rounded = {k: round(v, 4) if isinstance(v, float) else v for k, v in found.items()}
        return rounded | {"usd_per_1000": None if self.usd_per_1000 is None else str(self.usd_per_1000)}


@dataclass(frozen=True)
class Curve:
    """`key` is the value of [rule] that is moved; `present` is the point in force, which is one of `points`."""

    key: str
    points: tuple[Point, ...]
    present: Point
    messages: int
    judged: int
    cost_how: str

    def to_json(self) -> dict[str, Any]:
        return {
            "key": self.key,
            "messages": self.messages,
            "judged_drafts": self.judged,
            "cost_how": self.cost_how,
            "present": self.present.to_json(),
            "points": [point.to_json() for point in self.points],
        }


def curve(
    messages: Sequence[Message],
    known: Sequence[Judged],
    rule: Rule,
    key: str,
    cost: Costs,
    step: float = STEP,
) -> Curve:
    """The points from 0.00 to 1.00, and the one in force. `known` are judged drafts of any route and time."""
    present = float(getattr(rule, key))
    thresholds = sorted({round(n * step, 4) for n in range(round(1 / step) + 1)} | {present})
    anyway = {message.message_id: message.anyway for message in messages}
    cells: dict[tuple[_Cell, str], list[Judged]] = defaultdict(list)
    for one in known:
        if one.message_id in anyway:
            cells[(band(one.confidence), anyway[one.message_id]), one.route].append(one)
    shares = {name: share(rows) for name, rows in cells.items()}
    points = []
    for threshold in thresholds:
        routed = Counter(
            ((band(message.confidence), message.anyway), message.route(threshold)) for message in messages
        )
        points.append(_point(threshold, routed, shares, cost))
    now = next(point for point in points if point.threshold == present)
    return Curve(key, tuple(points), now, len(messages), sum(len(rows) for rows in cells.values()), cost.how)


def _point(
    threshold: float, routed: Counter[tuple[_Cell, str]], shares: dict[Any, Any], cost: Costs
) -> Point:
    total = routed.total()
    if not total:
        return Point(threshold, 0.0, None, None, None, None, 0.0, 0)
    escalated = sum(n for (_, route), n in routed.items() if route == "strong") / total
    strong, cheap = cost.of("strong"), cost.of("cheap")
    usd = None
    if strong is not None and cheap is not None:
        part = Decimal(repr(escalated))
        usd = (1000 * (strong * part + cheap * (1 - part))).quantize(Decimal("0.0001"))
    unknown = sum(n for name, n in routed.items() if name not in shares) / total
    judged = sum(shares[name].of for name in routed if name in shares)
    if unknown > UNKNOWN_MOST or not judged:
        return Point(threshold, escalated, usd, None, None, None, unknown, judged)
    # The cells are independent: their squared distances to Wilson's bounds add up (MOVER, Zou and Donner 2008).
    middle = below = above = 0.0
    for name, number in routed.items():
        if name in shares:
            weight, one = number / total, shares[name]
            low, high = wilson(one.count, one.of)
            p = one.count / one.of
            middle += weight * p
            below += (weight * (p - low)) ** 2
            above += (weight * (high - p)) ** 2
    known = 1 - unknown
    low, high = middle - math.sqrt(below), middle + math.sqrt(above)
    return Point(
        threshold, escalated, usd, middle / known, max(0.0, low), min(1.0, high + unknown), unknown, judged
    )
