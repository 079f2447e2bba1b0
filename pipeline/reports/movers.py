"""What moved the rewrite rate: groups whose week lies beyond chance from the weeks before, and the likely cause.

A change is split in two: *mix* (easier and harder parts of the group have other shares now) and *rate* (the
parts themselves are rewritten more or less often). A cause is what the rows show to fit: it must hold enough
of the week's drafts, be rewritten otherwise than the rest, and, where it has a date, come before the change.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from pipeline.db.tables import drafts, model_calls, reviews
from pipeline.reports import queries
from pipeline.reports.queries import within
from pipeline.reports.rates import REVIEWED, REWRITE, SMALL, Share
from pipeline.reports.weeks import Week, zone_of

WEEKS_BEFORE = 4
GROUPS: tuple[tuple[str, ...], ...] = (
    ("topic", "route"),
    ("route",),
    ("language",),
    ("inbox",),
    ("model",),
    ("prompt",),
)
MOST_MOVERS = 8
MOST_CAUSES = 3
CHANCE = 0.05
"""False discoveries allowed among the groups of a breakdown that are shown (Benjamini and Hochberg), and the
level at which a cause's own drafts must differ from the others."""
EXPLAINS = 0.3
"""The part of a group's change that a cause must account for to be named."""
NO_CAUSE = "no cause seen in the rows"


@dataclass(frozen=True)
class Cause:
    """`explains` is the part of the change that it accounts for, 1.0 all of it; `at` is set where it has a
    date: the first draft of its kind."""

    kind: str
    words: str
    explains: float
    at: datetime | None = None


@dataclass(frozen=True)
class Mover:
    """A group and its rewrite rate, this week and in the weeks before together. `mix` + `rate` is the change
    of the share, 0.10 for ten points. `by` and `key` are empty for all drafts together."""

    by: tuple[str, ...]
    key: tuple[str, ...]
    before: Share
    now: Share
    mix: float
    rate: float
    causes: tuple[Cause, ...]

    @property
    def change(self) -> float:
        return _value(self.now) - _value(self.before)

    @property
    def why(self) -> str:
        return "; ".join(cause.words for cause in self.causes) or NO_CAUSE


@dataclass(frozen=True)
class Movers:
    """`whole` is the change over all drafts, None where one side has too few; `beyond_chance` tells whether it is
    more than chance. `groups` are those that moved beyond chance, the largest number of drafts first."""

    weeks: tuple[str, ...]
    tested: int = 0
    whole: Mover | None = None
    beyond_chance: bool = False
    groups: tuple[Mover, ...] = ()


@dataclass(frozen=True)
class _Cell:
    """Reviewed drafts that are alike in everything that can be a cause."""

    dims: Mapping[str, str]
    task: str
    digest: str
    role: str
    agent: int | None
    count: int
    rewrites: int
    first: datetime
    """When the first of them was written."""


_Is = Callable[[_Cell], bool]


def movers(connection: sa.Connection, week: Week, zone: str, only: Mapping[str, str] | None = None) -> Movers:
    """The week against the weeks before it, of drafts that the filters `only` let through."""
    start, end = week.bounds(zone)
    begin = week.before(WEEKS_BEFORE).bounds(zone)[0]
    now = _cells(connection, start, end, only or {})
    old = _cells(connection, begin, start, only or {})
    found = [_Group(by, key, old, now) for by in GROUPS for key in _keys(by, now)]
    found = [group for group in found if not (group.before.small or group.now.small)]
    moved = _beyond_chance(found)
    moved.sort(key=lambda group: -abs(group.change) * group.now.of)
    whole = _Group((), (), old, now)
    too_few = whole.before.small or whole.now.small
    return Movers(
        weeks=tuple(str(week.before(n)) for n in range(WEEKS_BEFORE, 0, -1)),
        tested=len(found),
        whole=None if too_few else whole.mover(zone),
        beyond_chance=not too_few and whole.chance < CHANCE,
        groups=tuple(group.mover(zone) for group in _told_once(moved)[:MOST_MOVERS]),
    )


def chance(one: Share, other: Share) -> float:
    """How likely two shares as far apart as these are if nothing is the matter: two-sided, by the normal
    approximation with Yates' correction (which is strict where cases are few); 1 where one is of nothing."""
    if not one.of or not other.of:
        return 1.0
    p = (one.count + other.count) / (one.of + other.of)
    spread = math.sqrt(p * (1 - p) * (1 / one.of + 1 / other.of))
    apart = abs(_value(one) - _value(other)) - (1 / one.of + 1 / other.of) / 2
    return math.erfc(max(0.0, apart) / spread / math.sqrt(2)) if spread else 1.0


# --- the rows -----------------------------------------------------------------------------------------


def _cells(connection: sa.Connection, start: datetime, end: datetime, only: Mapping[str, str]) -> list[_Cell]:
    """One statement over the drafts that were judged in that time."""
    dims: list[Any] = [queries.COLUMNS[name].label(name) for name in queries.DIMENSIONS]
    rest: list[Any] = [
        drafts.c.task,
        drafts.c.prompt.label("digest"),
        model_calls.c.role,
        reviews.c.decided_by,
    ]
    rewritten = sa.case((reviews.c.outcome.in_(REWRITE), 1), else_=0)
    # numbered, as PostgreSQL takes a parameter in a column's expression for another one in GROUP BY
    by = [sa.text(str(n + 1)) for n in range(len(dims) + len(rest))]
    query = (
        queries.from_reviews(
            sa.select(
                *dims, *rest, sa.func.count(), sa.func.sum(rewritten), sa.func.min(drafts.c.created_at)
            ),
            only,
        )
        .outerjoin(model_calls, model_calls.c.id == drafts.c.call_id)
        .where(within(reviews.c.decided_at, start, end), reviews.c.outcome.in_(REVIEWED))
        .group_by(*by)
    )
    n = len(dims)
    return [
        _Cell(
            dict(zip(queries.DIMENSIONS, row[:n], strict=True)),
            *(row[n], row[n + 1], row[n + 2] or "", row[n + 3]),
            *(int(row[n + 4]), int(row[n + 5]), row[n + 6]),
        )
        for row in connection.execute(query)
    ]


def _share(cells: Iterable[_Cell]) -> Share:
    count = of = 0
    for cell in cells:
        count, of = count + cell.rewrites, of + cell.count
    return Share(count, of)


def _value(share: Share) -> float:
    return share.count / share.of if share.of else 0.0


def _keys(by: tuple[str, ...], cells: Iterable[_Cell]) -> list[tuple[str, ...]]:
    return sorted({tuple(cell.dims[name] for name in by) for cell in cells})


# --- a group ------------------------------------------------------------------------------------------


class _Group:
    def __init__(
        self, by: tuple[str, ...], key: tuple[str, ...], old: Sequence[_Cell], now: Sequence[_Cell]
    ) -> None:
        self.by, self.key = by, key
        wanted = dict(zip(by, key, strict=True))

        def mine(cells: Sequence[_Cell]) -> list[_Cell]:
            return [cell for cell in cells if all(cell.dims[n] == value for n, value in wanted.items())]

        self.old_cells, self.now_cells = mine(old), mine(now)
        self.before, self.now = _share(self.old_cells), _share(self.now_cells)
        self.change = _value(self.now) - _value(self.before)
        self.chance = chance(self.before, self.now)

    def mover(self, zone: str) -> Mover:
        mix, rate = self._split()
        return Mover(self.by, self.key, self.before, self.now, mix, rate, _causes(self, zone))

    def _split(self) -> tuple[float, float]:
        """Mix and rate: each part's change of share at its mean rate, and of rate at its mean share.

        The parts are topic and route, within these languages. A part that stands on one side only has no
        rate to compare, so its whole weight is mix.
        """
        parts = tuple(name for name in ("topic", "route") if name not in self.by) or ("language",)
        split: dict[tuple[str, ...], list[Share]] = defaultdict(lambda: [Share(0, 0), Share(0, 0)])
        for side, cells in enumerate((self.old_cells, self.now_cells)):
            for cell in cells:
                found = split[tuple(cell.dims[name] for name in parts)]
                found[side] = Share(found[side].count + cell.rewrites, found[side].of + cell.count)
        mix = 0.0
        for old, now in split.values():
            then, today = _value(old if old.of else now), _value(now if now.of else old)
            mix += (now.of / self.now.of - old.of / self.before.of) * (then + today) / 2
        return mix, self.change - mix


def _beyond_chance(groups: Sequence[_Group]) -> list[_Group]:
    """Those whose change is more than chance; of each breakdown, the number of its groups is allowed for."""
    found: list[_Group] = []
    for by in GROUPS:
        ordered = sorted((each for each in groups if each.by == by), key=lambda group: group.chance)
        ranks = [n for n, each in enumerate(ordered, 1) if each.chance <= CHANCE * n / len(ordered)]
        found += ordered[: max(ranks, default=0)]
    return found


def _told_once(groups: Iterable[_Group]) -> list[_Group]:
    """Without the groups that hold the same drafts as one before them (a route with one model, say)."""
    seen: set[tuple[Share, Share]] = set()
    found = []
    for group in groups:
        if (group.before, group.now) not in seen:
            found.append(group)
        seen.add((group.before, group.now))
    return found


# --- causes -------------------------------------------------------------------------------------------


def _causes(group: _Group, zone: str) -> tuple[Cause, ...]:
    found = [*_changed(group, zone), *_grown(group)]
    # of two values that share a group, both explain the same: the one that grew is told
    found.sort(key=lambda cause: -round(cause.explains, 3))
    return tuple(_one_of_each(found))[:MOST_CAUSES]


def _one_of_each(causes: Iterable[Cause]) -> list[Cause]:
    """The one that explains most of each kind: where one topic grew, another shrank."""
    seen: set[str] = set()
    return [cause for cause in causes if not (cause.kind in seen or seen.add(cause.kind))]  # type: ignore[func-returns-value]


def _changed(group: _Group, zone: str) -> Iterable[Cause]:
    """A prompt or a model that took another's place, with its day."""
    for task in sorted({cell.task for cell in group.now_cells}):
        route = next(cell.dims["route"] for cell in group.now_cells if cell.task == task)

        def own(cell: _Cell, task: str = task) -> bool:
            return cell.task == task and cell.dims["source"] == "model" and cell.role != "backup"

        yield from _taken_over(
            group, own, lambda cell: cell.digest, "prompt", f"prompt {task}/{route}", 8, zone
        )
        name = f"model of {task}"
        yield from _taken_over(group, own, lambda cell: cell.dims["model"], "model", name, None, zone)


def _taken_over(
    group: _Group, own: _Is, value: Callable[[_Cell], str], kind: str, name: str, shown: int | None, zone: str
) -> Iterable[Cause]:
    now, old = [c for c in group.now_cells if own(c)], [c for c in group.old_cells if own(c)]
    if not now or not old:
        return
    was, since = _most(old, value), {value(cell) for cell in now} - {""}
    firsts = {each: min(c.first for c in (*old, *now) if value(c) == each) for each in since}
    begun = min(c.first for c in old if value(c) == was)
    later = [each for each in since if each != was and firsts[each] > begun]
    if not later:
        return
    new = max(later, key=lambda each: (sum(c.count for c in now if value(c) == each), firsts[each]))

    def is_new(cell: _Cell) -> bool:
        return own(cell) and value(cell) == new

    # the change must not have been there before it: this week's drafts of the old kind stay near the old rate
    left = _share(c for c in now if not is_new(c))
    ahead = (_value(left) - _value(group.before)) / group.change
    if not left.small and ahead > 0.5 and chance(left, group.before) < CHANCE:
        return
    # nor may the new kind have fared otherwise before this week: then something else happened since
    earlier, today = _share(c for c in old if is_new(c)), _share(c for c in now if is_new(c))
    if not earlier.small and chance(earlier, today) < CHANCE:
        return
    explains = _explains(group, is_new, lambda cell: own(cell) and value(cell) == was)
    if explains is None:
        return
    day = firsts[new].astimezone(zone_of(zone))
    words = f"{name} changed on {day:%A} {day.day} {day:%B} ({was[:shown]} → {new[:shown]})"
    if kind == "model":
        words = f"{name} changed from {was} to {new} on {day:%A} {day.day} {day:%B}"
    yield Cause(kind, words, explains, firsts[new])


def _grown(group: _Group) -> Iterable[Cause]:
    """A part of the group that is larger or smaller now and is rewritten more or less than the rest."""
    tests: list[tuple[str, str, _Is]] = [
        ("backup", "the backup answered {now} of calls ({then} before)", lambda c: c.role == "backup"),
        (
            "template",
            "a template stood in for {now} of drafts ({then} before)",
            lambda c: c.dims["source"] == "template",
        ),
    ]
    agents = {cell.agent for cell in group.now_cells} - {None}
    if len(agents) > 1:
        for agent in sorted(agents, key=str):
            words = "one agent judged {now} of them ({then} before)"
            tests.append(("agent", words, lambda c, agent=agent: c.agent == agent))  # type: ignore[misc]
    for name in ("topic", "language", "inbox", "route"):
        if name in group.by:
            continue
        for (value,) in _keys((name,), (*group.old_cells, *group.now_cells)):
            words = f"{'new topic mix: ' if name == 'topic' else name + ' '}{value} {{then}} → {{now}}"
            tests.append((name, words, lambda c, n=name, v=value: c.dims[n] == v))  # type: ignore[misc]
    shrunk = []
    for kind, words, part in tests:
        then = Share(sum(c.count for c in group.old_cells if part(c)), group.before.of)
        now = Share(sum(c.count for c in group.now_cells if part(c)), group.now.of)
        only_grown = kind in ("backup", "template", "agent") and now.count * then.of <= then.count * now.of
        if only_grown or max(now.count, then.count) < SMALL or chance(then, now) >= CHANCE / len(tests):
            continue
        explains = _explains(group, part, lambda c, part=part: not part(c))  # type: ignore[misc]
        if explains is None:
            continue
        cause = Cause(kind, words.format(now=f"{_value(now):.0%}", then=f"{_value(then):.0%}"), explains)
        if _value(now) > _value(then):
            yield cause
        else:
            shrunk.append(cause)
    yield from shrunk


def _explains(group: _Group, part: _Is, rest: _Is) -> float | None:
    """The part of the group's change that comes of `part` having another share now, given how differently it
    is rewritten from `rest`; None where that is too little, the other way round, or within chance."""
    everything = (*group.old_cells, *group.now_cells)
    mine, others = _share(c for c in everything if part(c)), _share(c for c in everything if rest(c))
    if mine.small or others.small or chance(mine, others) >= CHANCE or not group.change:
        return None
    now = sum(c.count for c in group.now_cells if part(c)) / group.now.of
    then = sum(c.count for c in group.old_cells if part(c)) / group.before.of
    explains = (now - then) * (_value(mine) - _value(others)) / group.change
    return explains if explains >= EXPLAINS else None


def _most(cells: Iterable[_Cell], value: Callable[[_Cell], str]) -> str:
    counts: Counter[str] = Counter()
    for cell in cells:
        counts[value(cell)] += cell.count
    return max(counts, key=lambda each: (counts[each], each))


def words(mover: Mover) -> str:
    """+12 points (mix +2, rate +10)."""
    change, mix, rate = points(mover)
    return f"{change:+d} points (mix {mix:+d}, rate {rate:+d})"


def points(mover: Mover) -> tuple[int, int, int]:
    """Change, mix and rate in whole points, the two parts rounded so that they add up."""
    change, mix = round(mover.change * 100), round(mover.mix * 100)
    return change, mix, change - mix


__all__ = ["NO_CAUSE", "Cause", "Mover", "Movers", "chance", "movers", "points", "words"]
