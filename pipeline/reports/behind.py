"""The cases behind a figure of the report: as many rows as the figure says, a page at a time.

Each figure is found by the same conditions that counted it (`queries`, `escalation`, `friction`, `guard`,
`spending`); `cases` shows the rows.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from pipeline.db.store import Store
from pipeline.db.tables import messages, model_calls, raw_messages, replies, reviews, second_reads, tickets
from pipeline.errors import InputError
from pipeline.reports import (
    cases,
    escalation,
    evidence,
    failures,
    friction,
    guard,
    queries,
    shadows,
    spending,
)
from pipeline.reports.cases import Row
from pipeline.reports.queries import DIMENSIONS, within
from pipeline.reports.rates import NAMES, REVIEWED, REWRITE
from pipeline.reports.trend import LINE_WEEKS
from pipeline.reports.weeks import Week

LONGEST_QUICK_S = 86_400
"""As the setting has it."""

Query = Mapping[str, str]
Find = Callable[[sa.Connection, datetime, datetime, Query], list[int]]


@dataclass(frozen=True)
class Behind:
    """A page of the cases behind a figure. `total` is the figure; `next` asks for the page after, if any."""

    title: str
    heads: tuple[str, ...]
    rows: tuple[Row, ...]
    next: str | None
    total: int


@dataclass(frozen=True)
class _Figure:
    title: str
    show: cases.Show
    find: Find
    takes: tuple[str, ...] = ()


def behind(
    store: Store, week: Week, zone: str, query: Query, after: str | None = None, limit: int = 50
) -> Behind:
    """The cases behind the figure that a `tables.Cell` names, oldest first, from the one after `after` on.

    Raises `InputError` for a figure that there is not, or one asked for in words that it does not know.
    """
    figure = FIGURES.get(query.get("figure", ""))
    if figure is None:
        raise InputError(f"there is no figure {query.get('figure', '')!r} in the report")
    asked = {name: value for name, value in query.items() if name != "figure" and value}
    past = asked.pop("past", "")  # another week than the report's
    since = asked.pop("since", "")  # that week and all up to this one, as on a scorecard
    unknown = [name for name in asked if name not in figure.takes]
    if unknown:
        raise InputError(f"this figure is not narrowed by {unknown[0]!r}")
    start, end = (Week.parse(past) if past else week).bounds(zone)
    if since:
        start = _first(week, since).bounds(zone)[0]
    if after is not None and not (after.isascii() and after.isdigit() and len(after) < 19):
        raise InputError(f"{after[:40]!r} is no place in this list")
    with store.read() as connection:
        ids = figure.find(connection, start, end, asked)
        begin = bisect_right(ids, int(after)) if after is not None else 0
        chosen = ids[begin : begin + limit]
        rows = figure.show.rows(connection, chosen, zone)
    said = ", ".join(f"{_SAID.get(name, name)} {value}" for name, value in asked.items())
    if past:
        said += f"{', ' if said else ''}in {past}"
    if since:
        said += f"{', ' if said else ''}since {since}"
    return Behind(
        title=f"{figure.title}: {said}" if said else figure.title,
        heads=figure.show.heads,
        rows=rows,
        next=str(chosen[-1]) if begin + len(chosen) < len(ids) else None,
        total=len(ids),
    )


def _first(week: Week, since: str) -> Week:
    """No list is of more weeks than the longest figure is: its cost goes with them."""
    first = Week.parse(since)
    if not week.before(LINE_WEEKS - 1) <= first <= week:
        raise InputError(f"a list looks back {LINE_WEEKS} weeks at most, not to {first} from {week}")
    return first


_SAID = {"how": "by", "under": "seconds below"}


def _ids(
    column: sa.ColumnElement[int], where: Callable[[datetime, datetime, Query], sa.ColumnElement[bool]]
) -> Find:
    """The figures that are one table's rows under one condition."""

    def find(connection: sa.Connection, start: datetime, end: datetime, query: Query) -> list[int]:
        return sorted(connection.execute(sa.select(column).where(where(start, end, query))).scalars())

    return find


def _drafts(connection: sa.Connection, start: datetime, end: datetime, query: Query) -> list[int]:
    if any(name in query for name in evidence.QUESTIONS):
        return evidence.ids(connection, start, end, query)
    outcome = query.get("outcome", "")
    wanted = {"reviewed": REVIEWED, "rewrite": REWRITE, "": NAMES}.get(outcome, (outcome,))
    only = {name: value for name, value in query.items() if name in DIMENSIONS}
    return queries.judged_reviews(connection, start, end, wanted, only)


def _prompt(query: Query) -> list[sa.ColumnElement[bool]]:
    if "prompt" not in query:
        return []
    return [queries.of_prompt(model_calls.c.task, model_calls.c.prompt, query["prompt"])]


def _calls(start: datetime, end: datetime, query: Query) -> sa.ColumnElement[bool]:
    named = [model_calls.c[name] == query[name] for name in (*_CALL_KEY, "role") if name in query]
    named += _prompt(query)
    if "kind" in query:
        named.append(sa.func.coalesce(model_calls.c.error_kind, model_calls.c.state) == query["kind"])
    if "then" in query:
        named.append(failures.followed_by(query["then"]))
    if query.get("state") == "failed":
        named.append(model_calls.c.state.in_(spending.FAILED))
    return sa.and_(spending.made_in(start, end), *named)


def _messages(start: datetime, end: datetime, query: Query) -> sa.ColumnElement[bool]:
    person = messages.c.kind == "person"
    kind = {"person": person, "automated": ~person}.get(query.get("kind", ""), sa.true())
    return sa.and_(queries.inbound_in(start, end), kind)


def _failed(start: datetime, end: datetime, query: Query) -> sa.ColumnElement[bool]:
    reason = reviews.c.reason == query["reason"] if "reason" in query else sa.true()
    return sa.and_(queries.failed_in(start, end), reason)


def _hasty(which: str) -> Find:
    def find(connection: sa.Connection, start: datetime, end: datetime, query: Query) -> list[int]:
        try:
            under = float(query.get("under", guard.QUICK_S))
            if not 0 <= under <= LONGEST_QUICK_S:
                raise ValueError
        except ValueError:
            raise InputError(f"{query['under'][:40]!r} is no number of seconds") from None
        done = guard.worked(connection, start, end, under)
        quick = done.quick if which != "unseen" else ()
        return sorted((*quick, *(done.unseen if which != "quick" else ())))

    return find


def _back(connection: sa.Connection, start: datetime, end: datetime, query: Query) -> list[int]:
    found = friction.reopened(connection, start, end)
    return [each.reply_id for each in found if query.get("route") in (None, each.route)]


def _angrier(connection: sa.Connection, start: datetime, end: datetime, query: Query) -> list[int]:
    return [each.reply_id for each in friction.reopened(connection, start, end) if each.angrier]


def _asked(which: friction.Asked) -> Find:
    return lambda connection, start, end, _query: friction.asked_for(connection, start, end)[which]


_CALL_KEY = ("route", "task", "model", "provider")
FIGURES: dict[str, _Figure] = {
    "drafts": _Figure("Drafts", cases.REVIEWS, _drafts, (*DIMENSIONS, "outcome", *evidence.QUESTIONS)),
    "routine": _Figure(
        "Routine drafts that were not used", cases.REVIEWS, _drafts, ("prompt", "outcome", "reason")
    ),
    "over": _Figure(
        "Strong drafts that were not needed",
        cases.REVIEWS,
        lambda c, start, end, q: escalation.over(c, start, end, q.get("how", "either")),
        ("how",),
    ),
    "readings": _Figure(
        "Messages that were read",
        cases.READINGS,
        lambda c, start, end, q: queries.readings(
            c, start, end, route=q.get("route", ""), because=q.get("because", "")
        ),
        ("route", "because"),
    ),
    "corrected": _Figure(
        "Readings that were corrected",
        cases.READINGS,
        failures.corrected_readings,
        failures.OF_READINGS,
    ),
    "missed": _Figure(
        "Kept messages that should have been escalated",
        cases.READINGS,
        shadows.missed_readings,
        ("topic", "language"),
    ),
    "reopened": _Figure("Replies after which the ticket came back", cases.REPLIES, _back, ("route",)),
    "complaints": _Figure("Replies after which the customer was angrier", cases.REPLIES, _angrier),
    "regenerated": _Figure("Drafts written anew", cases.DRAFTS, _asked("regenerated")),
    "refined": _Figure("Drafts polished", cases.DRAFTS, _asked("refined")),
    "compared": _Figure("Drafts written side by side (the left one)", cases.DRAFTS, _asked("compared")),
    "given_up": _Figure(
        "Drafts that gave way unjudged",
        cases.DRAFTS,
        lambda c, start, end, _q: friction.given_up(c, start, end),
    ),
    "retries": _Figure(
        "Second tries",
        cases.CALLS,
        _ids(
            model_calls.c.id,
            lambda start, end, q: sa.and_(
                friction.second_tries(start, end),
                model_calls.c.role == q["role"] if "role" in q else sa.true(),
            ),
        ),
        ("role",),
    ),
    "calls": _Figure(
        "Model calls",
        cases.CALLS,
        _ids(model_calls.c.id, _calls),
        (*_CALL_KEY, "state", "prompt", "kind", "role", "then"),
    ),
    "errors": _Figure(
        "Model calls that failed",
        cases.CALLS,
        _ids(
            model_calls.c.id,
            lambda start, end, q: sa.and_(
                within(model_calls.c.started_at, start, end),
                model_calls.c.error_kind == q.get("kind", ""),
                model_calls.c.model == q.get("model", ""),
                *(model_calls.c[name] == q[name] for name in ("route",) if name in q),
                *_prompt(q),
            ),
        ),
        ("model", "kind", "route", "prompt"),
    ),
    "cap": _Figure(
        "Model calls that counted",
        cases.CALLS,
        lambda c, start, end, q: spending.calls_of_scope(c, start, end, q.get("scope", "")),
        ("scope",),
    ),
    "opened": _Figure(
        "Rows opened", cases.REVIEWS, _ids(reviews.c.id, lambda start, end, _q: guard.opened_in(start, end))
    ),
    "decided": _Figure(
        "Rows decided",
        cases.REVIEWS,
        _ids(reviews.c.id, lambda start, end, _q: guard.decided_in(start, end)),
    ),
    "waiting": _Figure(
        "Rows that wait now", cases.REVIEWS, _ids(reviews.c.id, lambda *_: reviews.c.state == "open")
    ),
    "quick": _Figure("Approved soon after opening", cases.REVIEWS, _hasty("quick"), ("under",)),
    "unseen": _Figure("Approved without opening", cases.REVIEWS, _hasty("unseen")),
    "hasty": _Figure("Approved soon or unopened", cases.REVIEWS, _hasty("either"), ("under",)),
    "abandoned": _Figure(
        "Rows with an edit that was never sent",
        cases.REVIEWS,
        lambda c, start, end, _q: friction.abandoned(c, start, end),
    ),
    "failed": _Figure("What came to a person", cases.REVIEWS, _ids(reviews.c.id, _failed), ("reason",)),
    "second_asked": _Figure(
        "Second reads asked for",
        cases.SECOND_READS,
        _ids(second_reads.c.id, lambda start, end, _q: within(second_reads.c.asked_at, start, end)),
    ),
    "second_read": _Figure(
        "Second reads",
        cases.SECOND_READS,
        _ids(
            second_reads.c.id,
            lambda start, end, q: sa.and_(
                within(second_reads.c.read_at, start, end),
                second_reads.c.verdict == q["verdict"] if "verdict" in q else sa.true(),
            ),
        ),
        ("verdict",),
    ),
    "messages": _Figure("Messages", cases.MESSAGES, _ids(messages.c.id, _messages), ("kind",)),
    "tickets": _Figure(
        "New tickets",
        cases.TICKETS,
        _ids(tickets.c.id, lambda start, end, _q: within(tickets.c.created_at, start, end)),
    ),
    "replies": _Figure(
        "Replies sent", cases.REPLIES, _ids(replies.c.id, lambda start, end, _q: queries.sent_in(start, end))
    ),
    "raw": _Figure(
        "Mail as it came in",
        cases.RAW,
        _ids(
            raw_messages.c.id, lambda start, end, q: queries.raw_in(q.get("state", "quarantined"), start, end)
        ),
        ("state",),
    ),
}
