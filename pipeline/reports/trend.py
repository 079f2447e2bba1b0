"""The rewrite rate over dimensions and over weeks: cuts, and the line of past weeks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from pipeline.db.tables import weekly_reports
from pipeline.errors import InputError
from pipeline.reports import queries
from pipeline.reports.queries import DIMENSIONS
from pipeline.reports.rates import NAMES, Outcomes
from pipeline.reports.weeks import Week

LINE_WEEKS = 12
WEEK = "week"


@dataclass(frozen=True)
class Group:
    """The outcomes of one cell of a cut, e.g. key ("refund", "strong")."""

    key: tuple[str, ...]
    outcomes: Outcomes


@dataclass(frozen=True)
class Cut:
    """The rewrite rate broken down by some dimensions, the largest groups first (weeks: the latest first)."""

    by: tuple[str, ...]
    groups: tuple[Group, ...]


@dataclass(frozen=True)
class WeekLine:
    """One point of the line of past weeks."""

    week: str
    outcomes: Outcomes


def check_by(by: Sequence[str]) -> tuple[str, ...]:
    """One or two different dimensions, `week` among them; raises `InputError`."""
    wrong = [name for name in by if name not in (*DIMENSIONS, WEEK)]
    if wrong or len(by) > 2 or len(set(by)) != len(by):
        raise InputError(
            f"the rewrite rate is broken down by one or two of {', '.join((*DIMENSIONS, WEEK))}, "
            f"written like topic,language; not by {','.join(by)!r}"
        )
    return tuple(by)


def check_only(only: Mapping[str, str]) -> dict[str, str]:
    """Filters by dimension, in the order of the dimensions; raises `InputError`."""
    wrong = [name for name in only if name not in DIMENSIONS]
    if wrong:
        raise InputError(f"{wrong[0]!r} is no filter of the report; there are {', '.join(DIMENSIONS)}")
    return {name: only[name] for name in DIMENSIONS if only.get(name)}


def kept(cells: Iterable[queries.Cell], only: Mapping[str, str]) -> list[queries.Cell]:
    """The cells that all filters let through."""
    return [cell for cell in cells if all(cell.key[name] == value for name, value in only.items())]


def total(cells: Iterable[queries.Cell]) -> Outcomes:
    found: dict[str, int] = {}
    for cell in cells:
        found[cell.outcome] = found.get(cell.outcome, 0) + cell.count
    return Outcomes.of(found)


def cut(cells_of: Mapping[str, Iterable[queries.Cell]], by: tuple[str, ...]) -> Cut:
    """The cut of cells by week (2026-W47 → its cells)."""
    groups: dict[tuple[str, ...], Outcomes] = {}
    for week, cells in cells_of.items():
        for cell in cells:
            key = tuple(week if name == WEEK else cell.key[name] for name in by)
            groups[key] = groups.get(key, Outcomes()) + Outcomes.of({cell.outcome: cell.count})
    ordered = sorted(groups.items(), key=lambda item: (-item[1].reviewed, item[0]))
    if WEEK in by:
        ordered.sort(key=lambda item: item[0][by.index(WEEK)], reverse=True)
    return Cut(by, tuple(Group(key, outcomes) for key, outcomes in ordered))


def past_cells(
    connection: sa.Connection, week: Week, zone: str, only: Mapping[str, str]
) -> dict[str, list[queries.Cell]]:
    """The cells of the weeks before, oldest first: for a cut by week, and for a line under filters."""
    return {
        str(each): kept(queries.draft_cells(connection, *each.bounds(zone)), only) for each in _before(week)
    }


def line(connection: sa.Connection, week: Week, zone: str) -> tuple[tuple[WeekLine, ...], int]:
    """The weeks before, oldest first, and how many decisions of the last of them came in after its report.

    A written week is taken from its row; a week that was not written, and the last one, are counted.
    """
    before = _before(week)
    rows = connection.execute(
        sa.select(weekly_reports.c.week, weekly_reports.c.outcomes).where(
            weekly_reports.c.week.in_([str(each) for each in before]), weekly_reports.c.zone == zone
        )
    )
    written = {
        row.week: Outcomes.of({name: int(row.outcomes.get(name, 0)) for name in NAMES}) for row in rows
    }
    found, late = [], 0
    for each in before:
        known = written.get(str(each))
        last = each == before[-1]
        counted = queries.outcomes(connection, *each.bounds(zone)) if last or known is None else known
        if last and known is not None:
            late = _apart(known, counted)
        found.append(WeekLine(str(each), counted))
    return tuple(found), late


def _apart(written: Outcomes, counted: Outcomes) -> int:
    """How many decisions at least stand between the two: one that was taken back counts as one that came."""
    moved: list[int] = [getattr(counted, name) - getattr(written, name) for name in NAMES]
    return max(sum(n for n in moved if n > 0), -sum(n for n in moved if n < 0))


def _before(week: Week) -> list[Week]:
    return [week.before(n) for n in range(LINE_WEEKS - 1, 0, -1)]
