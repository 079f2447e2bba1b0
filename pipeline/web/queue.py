"""The queue page: the review table with filters, counts, search, and more by keyset."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated
from urllib.parse import parse_qsl, urlencode

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from pipeline.lifecycle import Status
from pipeline.models.spend import caps_in_use
from pipeline.review import queue
from pipeline.review.queue import Filters
from pipeline.review.view import view
from pipeline.web.parts import WebParts
from pipeline.web.render import page
from pipeline.web.sessions import LoggedIn, Parts

router = APIRouter(include_in_schema=False)

_WORDS = ("topic", "language", "urgency", "route", "reason", "inbox", "team")
_NAMES = (*_WORDS, "state", "mine", "waited", "q")
WAITED = {"1": "1 hour", "4": "4 hours", "24": "1 day", "72": "3 days"}


@dataclass(frozen=True)
class Asked:
    """The filters as they stand in the address: {name: value} of those that are set."""

    values: dict[str, str]

    def filters(self, agent_id: int) -> Filters:
        hours = self.values.get("waited", "")
        state = self.values.get("state", "open")
        return Filters(
            state=state if state in ("open", "decided", "superseded") else "open",
            assignee=agent_id if self.values.get("mine") == "1" else None,
            waited=timedelta(hours=int(hours)) if hours in WAITED else None,
            search=self.values.get("q"),
            **{name: self.values.get(name) for name in _WORDS},
        )

    @property
    def query(self) -> str:
        """For an address; "" when nothing is set."""
        return urlencode(self.values)

    def without(self, *names: str) -> str:
        return urlencode({name: value for name, value in self.values.items() if name not in names})

    def changed(self, name: str, value: str) -> str:
        return urlencode({**self.values, name: value})


def asked_in(query: str) -> Asked:
    """The filters of a query string; what is not a filter is left out."""
    pairs = dict(parse_qsl(query[:2000]))
    return Asked({name: pairs[name][:200] for name in _NAMES if pairs.get(name, "").strip()})


def _asked(request: Request) -> Asked:
    return asked_in(request.url.query)


AskedFor = Annotated[Asked, Depends(_asked)]


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
    filters = asked.filters(session.agent.id)
    found = queue.page(parts.store, filters, after=after)
    partial = bool(request.headers.get("hx-request")) and after is not None
    if partial:
        return page(request, "_rows.html", session, rows=found.rows, next=found.next, asked=asked)
    counts = queue.counts(parts.store)
    with parts.store.read() as connection:
        alarms = [cap for cap in caps_in_use(connection) if cap.alarmed_at is not None]
    return page(
        request,
        "queue.html",
        session,
        rows=found.rows,
        next=found.next,
        asked=asked,
        counts=counts,
        alarms=alarms,
        newest=queue.newest_id(parts.store),
        topics=sorted(parts.routes.topics),
        languages=parts.routes.languages,
        inboxes=sorted({*parts.inbox_names, *counts.by["inbox"]}),
        waits=WAITED,
        done=done,
        done_ticket=t,
        undo=undo_version(parts, done, t),
        deeper=after is not None,
    )


@router.get("/queue/news")
def news(request: Request, parts: Parts, session: LoggedIn, asked: AskedFor, since: int = 0) -> Response:
    """How many rows came since the page was made; nothing on the page moves."""
    count, _newest = queue.newer(parts.store, asked.filters(session.agent.id), max(0, min(since, 2**53)))
    return page(request, "_news.html", session, count=count, asked=asked)


def undo_version(parts: WebParts, done: str, ticket_id: int | None) -> int | None:
    """The version to take an approval back at, while its undo window is open."""
    if done not in ("approve", "edit", "replace") or ticket_id is None or not parts.desk.undo:
        return None
    ticket = view(parts.store, ticket_id).ticket
    return int(ticket["version"]) if ticket["status"] == Status.APPROVED else None
