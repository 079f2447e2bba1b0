"""The queue page: the review table with filters, counts, search, saved views, snoozing, and more by keyset."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any
from urllib.parse import parse_qsl, urlencode
from zoneinfo import available_timezones

from fastapi import APIRouter, Depends, Form, Request
from starlette.responses import RedirectResponse, Response

from pipeline.db.types import now
from pipeline.lifecycle import Status
from pipeline.models.spend import caps_in_use
from pipeline.review import queue, saved_views, snoozing
from pipeline.review.agents import Agent, everyone
from pipeline.review.queue import Filters
from pipeline.review.sight import inboxes_of
from pipeline.review.view import standing, ticket_of
from pipeline.web.parts import WebParts
from pipeline.web.render import page
from pipeline.web.sessions import LoggedIn, MayChange, Number, Parts

router = APIRouter(include_in_schema=False)

Text = Annotated[str, Form()]

_WORDS = ("topic", "language", "urgency", "route", "reason", "inbox", "team")
_NAMES = (*_WORDS, "assignee", "waited", "state", "q")
WAITED = {"1": "1 hour", "4": "4 hours", "24": "1 day", "72": "3 days"}
TABS_COUNTED = 12
"""So many saved views say how many rows they hold."""


@dataclass(frozen=True)
class Asked:
    """The filters as they stand in the address: {name: value} of those that are set."""

    values: dict[str, str]

    def filters(self, agent_id: int) -> Filters:
        """What they mean for this agent, who sees no row of an inbox that is not theirs."""
        hours = self.values.get("waited", "")
        whose = self.values.get("assignee", "")
        assignee = agent_id if whose == "me" else int(whose) if _is_number(whose) else None
        return Filters(
            state=self.state,
            assignee=assignee,
            unassigned=whose == "nobody",
            waited=timedelta(hours=int(hours)) if hours in WAITED else None,
            search=self.values.get("q"),
            reader=agent_id,
            **{name: self.values.get(name) for name in _WORDS},
        )

    @property
    def state(self) -> str:
        given = self.values.get("state", "open")
        return given if given in queue.STATES else "open"

    @property
    def query(self) -> str:
        """For an address; "" when nothing is set."""
        return urlencode(self.values)

    def without(self, *names: str) -> str:
        return urlencode({name: value for name, value in self.values.items() if name not in names})

    def changed(self, name: str, value: str) -> str:
        return urlencode({**self.values, name: value})


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 17


def asked_in(query: str) -> Asked:
    """The filters of a query string; what is not a filter is left out."""
    pairs = dict(parse_qsl(query[:2000]))
    return Asked({name: pairs[name][:200] for name in _NAMES if pairs.get(name, "").strip()})


def _asked(request: Request) -> Asked:
    return asked_in(request.url.query)


AskedFor = Annotated[Asked, Depends(_asked)]


def shown(count: int, most: int = queue.COUNTED) -> str:
    """A count as people read it; 1001 of something that is counted up to 1000 is "1,000+"."""
    return f"{most:,}+" if count > most else f"{count:,}"


@router.get("/")
def queue_page(
    request: Request,
    parts: Parts,
    session: LoggedIn,
    asked: AskedFor,
    after: str | None = None,
    done: str = "",
    t: int | None = None,
) -> Response:
    agent = session.agent
    found = queue.page(parts.store, asked.filters(agent.id), after=after)
    partial = bool(request.headers.get("hx-request")) and after is not None
    if partial:
        return page(request, "_rows.html", session, rows=found.rows, next=found.next, asked=asked)
    at = now()
    newest = queue.newest_id(parts.store)
    counts = queue.counts(parts.store, agent.id)
    with parts.store.read() as connection:
        alarms = [cap for cap in caps_in_use(connection) if cap.alarmed_at is not None]
        theirs = inboxes_of(connection, agent.id)
    inboxes = {*parts.inbox_names, *counts.by["inbox"]}
    tabs = _tabs(parts, agent)
    return page(
        request,
        "queue.html",
        session,
        rows=found.rows,
        next=found.next,
        asked=asked,
        counts=counts,
        shown=shown,
        alarms=alarms,
        newest=newest,
        at=at.isoformat(timespec="seconds"),
        topics=sorted({*parts.routes.topics, *counts.by["topic"]}),
        languages=parts.routes.languages,
        inboxes=sorted(inboxes if theirs is None else inboxes & theirs),
        people={str(one.id): one.shown for one, _password, disabled in everyone(parts.store) if not disabled},
        waits=WAITED,
        tabs=tabs,
        tab=next((tab for tab, _n in tabs if tab.query == asked.query), None),
        snoozes=snoozing.CHOICES,
        **just_done(parts, agent, done, t),
        deeper=after is not None,
    )


def _tabs(parts: WebParts, agent: Agent) -> list[tuple[saved_views.SavedView, str]]:
    """The saved views with how many rows each holds; a search is not run for that."""
    tabs = []
    for number, saved in enumerate(saved_views.views(parts.store, agent)):
        asked = asked_in(saved.query)
        counted = number < TABS_COUNTED and "q" not in asked.values
        n = queue.count(parts.store, asked.filters(agent.id), 100) if counted else 0
        tabs.append((saved, shown(n, 99) if counted else ""))
    return tabs


@router.get("/queue/news")
def news(
    request: Request,
    parts: Parts,
    session: LoggedIn,
    asked: AskedFor,
    since: int = 0,
    at: datetime | None = None,
) -> Response:
    """How many rows came since the page was made; nothing on the page moves."""
    if at is not None and (at.tzinfo is None or not 2000 < at.year < 3000):  # the first years have no UTC
        at = None
    filters = asked.filters(session.agent.id)
    count = queue.newer(parts.store, filters, max(0, min(since, 2**53)), at)
    return page(request, "_news.html", session, count=count, shown=shown, asked=asked)


@router.post("/reviews/{review_id}/take")
def take(request: Request, parts: Parts, session: MayChange, review_id: Number, back: Text = "") -> Response:
    """Take the row, or give it back, from the list; answers with the list's row as it is now."""
    ticket_id = ticket_of(parts.store, review_id)
    row = queue.row(parts.store, review_id)
    if row.claimed_by == session.agent.id:
        parts.desk.release(review_id, session.agent)
    else:
        parts.desk.claim(review_id, session.agent)
    asked = asked_in(back)
    if not request.headers.get("hx-request"):
        return RedirectResponse(f"/tickets/{ticket_id}?{urlencode({'back': asked.query})}", 303)
    rows = [queue.row(parts.store, review_id)]
    return page(request, "_rows.html", session, rows=rows, next=None, asked=asked)


# --- snoozing -------------------------------------------------------------------------------------------


@router.post("/reviews/{review_id}/snooze")
def snooze(
    parts: Parts, session: MayChange, review_id: Number,
    until: Text = "later", at: Text = "", zone: Text = "", back: Text = "", go_on: Text = "",
) -> Response:  # fmt: skip
    """Put the row off; `zone` is the browser's, for agents who chose none. `go_on` leads to the next ticket."""
    ticket_id = ticket_of(parts.store, review_id)
    clock = session.agent.zone or (zone if zone in available_timezones() else None)
    snoozing.snooze(parts.store, review_id, session.agent, snoozing.moment(until, at, clock, now()))
    asked = asked_in(back)
    told = {"done": "snooze", "t": str(ticket_id)}
    if go_on:
        filters = asked.filters(session.agent.id)
        following = queue.neighbour(
            parts.store, filters if filters.state == "open" else Filters(reader=session.agent.id), review_id
        )
        if following is not None:
            return RedirectResponse(f"/tickets/{following}?{urlencode({**told, 'back': asked.query})}", 303)
    return RedirectResponse(f"/?{urlencode({**asked.values, **told})}", 303)


@router.post("/reviews/{review_id}/wake")
def wake(parts: Parts, session: MayChange, review_id: Number, back: Text = "") -> Response:
    snoozing.wake(parts.store, review_id, session.agent)
    return RedirectResponse(
        f"/tickets/{ticket_of(parts.store, review_id)}?{urlencode({'back': asked_in(back).query})}", 303
    )


# --- saved views ----------------------------------------------------------------------------------------


@router.post("/views")
def save_view(
    parts: Parts, session: MayChange, name: Text = "", query: Text = "", shared: Text = ""
) -> Response:
    asked = asked_in(query)
    saved_views.save(parts.store, session.agent, name, asked.query, shared=shared == "1")
    return RedirectResponse(f"/?{asked.query}", 303)


@router.post("/views/{view_id}")
def change_view(
    parts: Parts, session: MayChange, view_id: Number, name: Text = "", query: Text = "", shared: Text = ""
) -> Response:
    asked = asked_in(query)
    saved_views.change(parts.store, session.agent, view_id, name=name, shared=shared == "1")
    return RedirectResponse(f"/?{asked.query}", 303)


@router.post("/views/{view_id}/delete")
def delete_view(parts: Parts, session: MayChange, view_id: Number) -> Response:
    saved_views.delete(parts.store, session.agent, view_id)
    return RedirectResponse("/", 303)


def just_done(parts: WebParts, agent: Agent, done: str, ticket_id: int | None) -> dict[str, Any]:
    """What the page says of the decision before: `done`, `done_ticket`, and `undo`, the version to take an
    approval back at while its undo window is open. The address is anybody's to write: of a ticket that is not
    there or not theirs the agent is told nothing."""
    at = standing(parts.store, agent, ticket_id) if ticket_id is not None and 0 < ticket_id < 2**53 else None
    if at is None:
        return {"done": "", "done_ticket": None, "undo": None}
    version, status = at
    open_still = done in ("approve", "edit", "replace") and parts.desk.undo and status == Status.APPROVED
    return {"done": done, "done_ticket": ticket_id, "undo": version if open_still else None}
