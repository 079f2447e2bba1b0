"""What the rule did with the messages that were read, and where it was wrong in either direction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from pipeline.db.tables import drafts, reviews
from pipeline.reports import queries
from pipeline.reports.queries import Cell
from pipeline.reports.rates import REVIEWED, Share
from pipeline.reports.trend import kept, total

SHORT_ANSWER = 400
"""Characters: a strong draft that went out as it was and is no longer could have been the cheap route's."""

MARKED = reviews.c.escalated_for_nothing.is_(True)
SHORT = sa.and_(reviews.c.outcome == "as_is", sa.func.length(drafts.c.text) <= SHORT_ANSWER)
_STRONG = {"route": "strong"}


@dataclass(frozen=True)
class Escalation:
    """`over`: reviewed strong drafts that an agent marked as not needed (`marked`), or that went out as they
    were and short (`short`); one that is both counts once in `over`. `missed`: reviewed cheap drafts that
    were rewritten, replaced or rejected; `reopened`: tickets that came back after a routine reply."""

    read: int
    routes: tuple[tuple[str, Share], ...]
    reasons: tuple[tuple[str, int], ...]
    over: Share
    missed: Share
    marked: Share
    short: Share
    reopened: int


def escalation(
    connection: sa.Connection, start: datetime, end: datetime, cells: Sequence[Cell], reopened: int
) -> Escalation:
    """`cells` are the week's drafts, `reopened` is `friction`'s count after a routine reply."""
    routes = queries.routes(connection, start, end)
    read = sum(routes.values())
    marked = set(over(connection, start, end, "marked"))
    short = set(over(connection, start, end, "short"))
    strong = total(kept(cells, _STRONG)).reviewed
    return Escalation(
        read=read,
        routes=tuple((name, Share(routes.get(name, 0), read)) for name in ("cheap", "strong", "human")),
        reasons=queries.reasons(connection, start, end),
        over=Share(len(marked | short), strong),
        missed=total(kept(cells, {"route": "cheap"})).rewrite,
        marked=Share(len(marked), strong),
        short=Share(len(short), strong),
        reopened=reopened,
    )


def over(connection: sa.Connection, start: datetime, end: datetime, how: str) -> list[int]:
    """The ids of the week's reviewed strong drafts that were not needed: `marked`, `short`, or `either`."""
    which = {"marked": MARKED, "short": SHORT}.get(how, sa.or_(MARKED, SHORT))
    return queries.judged_reviews(connection, start, end, REVIEWED, _STRONG, which)
