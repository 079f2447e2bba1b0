"""What another routing table would have done: whose route changes, what it costs, what is known of such drafts."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from pipeline.db.store import Store
from pipeline.db.types import now
from pipeline.learning.answers import share_of
from pipeline.learning.evidence import (
    Judged,
    band,
    band_in_words,
    costs,
    judged,
    mean_usage,
    share,
)
from pipeline.models.base import Usage
from pipeline.reports.rates import Share
from pipeline.routing.table import Routes
from pipeline.triage.dry_run import Reading, readings
from pipeline.triage.escalation import Decision

SHOWN = 20
KNOWN_DAYS = 91
"""How far back judged drafts are looked for."""

_Key = tuple[str, str, str, str, int]


@dataclass(frozen=True)
class Changed:
    """A message whose route the other table would change."""

    ticket_id: int
    before: str
    after: str
    topic: str
    language: str
    confidence: float
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Group:
    """Messages that would move alike. `own` is the rewrite rate of their own drafts; `alike` that of drafts on the
    other route for messages of the same topic, language and tenth of confidence; `wider` of any confidence."""

    before: str
    after: str
    topic: str
    language: str
    band: int
    messages: int
    own: Share
    alike: Share
    wider: Share

    def to_json(self) -> dict[str, Any]:
        named = {name: getattr(self, name) for name in ("before", "after", "topic", "language", "messages")}
        rates = {name: share_of(getattr(self, name).count, getattr(self, name).of) for name in _RATES}
        return named | {"confidence": band_in_words(self.band)} | rates

    def line(self) -> str:
        there = (
            f"drafts on {self.after} for such messages: {self.alike.with_interval()} rewritten"
            if self.alike.of
            else f"such messages were never drafted on {self.after}"
            + (f"; of any confidence: {self.wider.with_interval()} rewritten" if self.wider.of else "")
        )
        own = (
            f"{self.own.with_interval()} of their own drafts were rewritten" if self.own.of else "none judged"
        )
        return (
            f"{self.messages:6}  {self.before} → {self.after}  {self.topic}, {self.language}, confidence "
            f"{band_in_words(self.band)}: {own}; {there}"
        )


_RATES = ("own", "alike", "wider")


@dataclass(frozen=True)
class Tried:
    """`counts` is (route before, route after) → messages; money is in dollars for all of `messages`, None where
    the ledger does not tell."""

    since: datetime
    messages: int
    counts: dict[tuple[str, str], int]
    changed: tuple[Changed, ...]
    before_usd: Decimal | None
    after_usd: Decimal | None
    cost_how: str
    groups: tuple[Group, ...]
    own: Share
    alike: Share
    wider: Share
    reviews: tuple[int, ...]
    """Of the drafts behind `own`."""
    unknown: int
    """Messages that would move to a route on which no message like them was ever drafted."""

    @property
    def change_usd(self) -> Decimal | None:
        if self.before_usd is None or self.after_usd is None:
            return None
        return self.after_usd - self.before_usd

    def to_json(self) -> dict[str, Any]:
        return {
            "since": self.since.isoformat(),
            "messages": self.messages,
            "counts": [{"before": b, "after": a, "messages": n} for (b, a), n in sorted(self.counts.items())],
            "cost": {
                "before_usd": _text(self.before_usd),
                "after_usd": _text(self.after_usd),
                "change_usd": _text(self.change_usd),
                "how": self.cost_how,
            },
            "rewrite_rate": {
                "own": share_of(self.own.count, self.own.of),
                "alike": share_of(self.alike.count, self.alike.of),
                "messages_never_tried": self.unknown,
                "groups": [group.to_json() for group in self.groups],
            },
            "changed": [
                {"ticket": c.ticket_id, "before": c.before, "after": c.after, "reasons": list(c.reasons)}
                for c in self.changed
            ],
        }

    @property
    def cost_line(self) -> str:
        if self.change_usd is None or self.before_usd is None or self.after_usd is None:
            return f"cost: {self.cost_how}"
        sign = "+" if self.change_usd >= 0 else "−"
        return (
            f"cost: ${self.before_usd:.4f} → ${self.after_usd:.4f} ({sign}${abs(self.change_usd):.4f}), by "
            f"{self.cost_how}"
        )

    @property
    def rate_line(self) -> str:
        moved = len(self.changed)
        if not moved:
            return "no message would move"
        known = (
            f"drafts for messages like them on the other route: {self.alike.with_interval()} rewritten"
            if self.alike.of
            else "no message like them was ever drafted on the other route: their rewrite rate there is not known"
        )
        some = f"; for {self.unknown} of them there is none" if self.alike.of and self.unknown else ""
        own = f"their own drafts: {self.own.with_interval()} rewritten; " if self.own.of else ""
        return f"of the {moved} that would move: {own}{known}{some}"

    def lines(self) -> list[str]:
        """For people."""
        found = [
            f"{self.messages} messages read since {self.since:%Y-%m-%d %H:%M} UTC; the other table would send"
        ]
        for (before, after), number in sorted(self.counts.items()):
            found.append(f"  {number:6}  {before} → {after}{'' if before == after else '   (changed)'}")
        found += [self.cost_line, self.rate_line, *(group.line() for group in self.groups[:SHOWN])]
        for change in self.changed[:SHOWN]:
            found.append(
                f"ticket {change.ticket_id}: {change.before} → {change.after}: {' '.join(change.reasons)}"
            )
        if len(self.changed) > SHOWN:
            found.append(f"… and {len(self.changed) - SHOWN} more; --json shows all")
        return found


def try_table(
    store: Store,
    present: Routes,
    other: Routes,
    since: datetime,
    until: datetime | None = None,
    *,
    newest: int | None = None,
) -> Tried:
    """Decide every stored reading since then by the rule of `other`; `present` is the table in force, whose models
    did the work. Judged drafts of the last `KNOWN_DAYS` days tell of the rewrite rate. A reading takes about 2 ms:
    `newest` bounds their number.
    """
    end = until or now()
    with store.read() as connection:
        stored = read_stored(connection, since, end, newest)
    return tried(stored, present, other, since)


@dataclass(frozen=True)
class Stored:
    """What a replay needs of a store, read once: readings, judged drafts, and the mean tokens of each task."""

    readings: list[Reading]
    known: list[Judged]
    usage: dict[str, tuple[int, Usage]]


def read_stored(
    connection: sa.Connection, since: datetime, until: datetime, newest: int | None = None
) -> Stored:
    """The readings of the time; judged drafts and the ledger from `KNOWN_DAYS` before its end on."""
    long_ago = min(since, until - timedelta(days=KNOWN_DAYS))
    return Stored(
        list(readings(connection, since, until, newest))[::-1],
        judged(connection, long_ago, until),
        mean_usage(connection, long_ago, until),
    )


def tried(
    stored: Stored,
    present: Routes,
    other: Routes,
    since: datetime,
    decided: Sequence[Decision] | None = None,
) -> Tried:
    """The replay itself, of what was read; see `try_table`. `decided` are the other rule's decisions where they are
    known already."""
    rows = stored.readings
    after = [row.decide(other.rule) for row in rows] if decided is None else decided
    counts = Counter((row.route, decision.route) for row, decision in zip(rows, after, strict=True))
    moved = [
        (row, decision) for row, decision in zip(rows, after, strict=True) if row.route != decision.route
    ]
    groups, pooled, unknown = _groups([(row, decision.route) for row, decision in moved], stored.known)
    as_is, as_other = costs(stored.usage, present), costs(stored.usage, other)
    return Tried(
        since,
        len(rows),
        dict(counts),
        tuple(
            Changed(
                row.ticket_id,
                row.route,
                decision.route,
                row.answer.topic,
                row.answer.language,
                row.answer.confidence,
                decision.reasons,
            )
            for row, decision in moved
        ),
        _sum(Counter(row.route for row in rows), as_is.of),
        _sum(Counter(decision.route for decision in after), as_other.of),
        as_other.how,
        groups,
        **{name: share(rows.values()) for name, rows in pooled.items()},
        reviews=tuple(sorted(pooled["own"])),
        unknown=unknown,
    )


def _groups(
    moved: Sequence[tuple[Reading, str]], known: Sequence[Judged]
) -> tuple[tuple[Group, ...], dict[str, dict[int, Judged]], int]:
    """The groups; the drafts behind each of their rates, every draft once; messages that were never tried."""
    members: dict[_Key, list[Reading]] = defaultdict(list)
    for row, after in moved:
        key = (row.route, after, row.answer.topic, row.answer.language, band(row.answer.confidence))
        members[key].append(row)
    by_message: dict[tuple[int, str], list[Judged]] = defaultdict(list)
    by_kind: dict[tuple[str, str, str], list[Judged]] = defaultdict(list)
    for one in known:
        by_message[one.message_id, one.route].append(one)
        by_kind[one.route, one.topic, one.language].append(one)
    groups, unknown = [], 0
    pooled: dict[str, dict[int, Judged]] = {name: {} for name in _RATES}
    for (before, after, topic, language, tenth), rows in members.items():
        own = [one for row in rows for one in by_message[row.message_id, before]]
        wider = by_kind[after, topic, language]
        alike = [one for one in wider if band(one.confidence) == tenth]
        for name, ones in zip(_RATES, (own, alike, wider), strict=True):
            pooled[name].update((one.review_id, one) for one in ones)
        unknown += 0 if alike else len(rows)
        groups.append(
            Group(before, after, topic, language, tenth, len(rows), share(own), share(alike), share(wider))
        )
    groups.sort(key=lambda group: (-group.messages, group.topic, group.language, group.band))
    return tuple(groups), pooled, unknown


def _sum(counts: Mapping[str, int], price: Any) -> Decimal | None:
    total = Decimal(0)
    for route, number in counts.items():
        one = price(route)
        if one is None:
            return None
        total += one * number
    return total


def _text(usd: Decimal | None) -> str | None:
    return None if usd is None else str(usd)
