"""What to do: at most five changes to routes.toml or a prompt, each with its evidence and what it should bring.

A suggestion needs enough cases: the bounds of Wilson's intervals must be apart, not just the shares. Nothing is
changed by this; the diff is for a person to read, and to apply with `git apply` or `patch -p1`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import sqlalchemy as sa

from pipeline.reports import (
    edits,
    evidence,
    spending,
    suggested_models,
    suggested_prompts,
    suggested_rules,
    suggested_topics,
)
from pipeline.reports.spending import Calls
from pipeline.reports.suggested import Evidence, Looked, Suggestion
from pipeline.reports.weeks import Week
from pipeline.routing.table import Routes

MOST = 5
LOOKED = 4
"""Weeks that are looked at together where the week alone has too few cases, as it has at a small desk."""


def suggested(
    connection: sa.Connection,
    week: Week,
    zone: str,
    routes: Routes,
    prompts: Path | None,
    calls: Sequence[Calls],
    errors: Sequence[tuple[str, str, int]],
) -> tuple[Suggestion, ...]:
    """The week's suggestions, then those that only it and the three weeks before together bear out."""
    start, end = week.bounds(zone)
    found = suggestions(connection, start, end, routes, prompts, calls, errors)
    if len(found) == MOST:
        return found
    first = week.before(LOOKED - 1)
    start = first.bounds(zone)[0]
    all_calls, all_errors = spending.calls(connection, start, end)
    together = suggestions(connection, start, end, routes, prompts, all_calls, all_errors, since=first)
    changed = {(one.file, one.before) for one in found}
    return (*found, *(one for one in together if (one.file, one.before) not in changed))[:MOST]


def suggestions(
    connection: sa.Connection,
    start: datetime,
    end: datetime,
    routes: Routes,
    prompts: Path | None,
    calls: Sequence[Calls],
    errors: Sequence[tuple[str, str, int]],
    since: Week | None = None,
) -> tuple[Suggestion, ...]:
    """The suggestions of a time, the most cases saved per dollar first; none where nothing stands out.

    `routes` is the table in force (its file is read anew for the diff), `prompts` the folder of the prompts;
    `calls` and `errors` are what `spending.calls` found. `since` is the first week where it is several.
    """
    text = edits.read(routes.path)
    rows = evidence.judged(connection, start, end)
    week = Looked(connection, start, end, rows, routes, text, prompts, tuple(calls), tuple(errors), since)
    found = list(suggested_prompts.found(week))
    if text is not None:
        for kind in (suggested_rules, suggested_models, suggested_topics):
            found += kind.found(week, text)
    found.sort(key=_worth)
    return tuple(found[:MOST])


def _worth(each: Suggestion) -> tuple[int, float, str]:
    """First what saves cases for nothing, then what saves cases for money, then what saves money."""
    cost = float(each.cost_usd or 0)
    if each.saved >= 0 and cost <= 0:
        return 0, -each.saved, each.title
    if each.saved > 0:
        return 1, -each.saved / cost, each.title
    return 2, each.saved / cost if cost else 0.0, each.title


__all__ = ["MOST", "Evidence", "Suggestion", "suggested", "suggestions"]
