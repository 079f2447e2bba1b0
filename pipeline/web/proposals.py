"""What agents' edits speak for, for a lead's yes or no; another routing table tried; the trade-off curve."""

from __future__ import annotations

import tempfile
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, File, Form, Request, UploadFile
from starlette.responses import RedirectResponse, Response

from pipeline.assembly import Parts as LiveParts
from pipeline.db.types import now
from pipeline.errors import InputError, NotFoundError, TriageError
from pipeline.learning import proposals
from pipeline.learning.changes import changes
from pipeline.learning.chart import chart
from pipeline.learning.curves import rate, stored_curve
from pipeline.learning.tradeoff import Curve
from pipeline.learning.trying import Tried, try_table
from pipeline.reports.charts import Chart
from pipeline.review.sessions import Session
from pipeline.routing.reading import read
from pipeline.routing.table import Routes
from pipeline.web.render import page
from pipeline.web.sessions import Lead, LeadMayChange, Parts, SeesAll

router = APIRouter(include_in_schema=False)

NEWEST = 2_000
"""So many messages are tried on a page: some seconds; `triage routes try` takes all."""
SPANS = {"7d": 7, "28d": 28, "91d": 91}
DECIDED_SHOWN = 30


def _live(parts: Parts, _lead: Lead, _all: SeesAll) -> LiveParts:
    if parts.models is None:
        raise NotFoundError("this page was started without the team's files")
    return parts.models


Live = Annotated[LiveParts, Depends(_live)]


@router.get("/proposals")
def list_page(request: Request, parts: Parts, session: Lead, _all: SeesAll) -> Response:
    live = parts.models
    opened = proposals.every(parts.store, (proposals.OPEN,))
    approved = proposals.every(parts.store, (proposals.APPROVED,), limit=1000)[::-1]
    rows = [
        (one, proposals.pairs(parts.store, one, 3), changes(live, [one]) if live else None) for one in opened
    ]
    return page(
        request,
        "proposals.html",
        session,
        rows=rows,
        approved=approved[::-1][:DECIDED_SHOWN],
        dismissed=proposals.every(parts.store, (proposals.DISMISSED,), limit=DECIDED_SHOWN),
        whole=changes(live, approved) if live and approved else None,
    )


@router.get("/proposals/{proposal_id}")
def one_page(request: Request, parts: Parts, session: Lead, _all: SeesAll, proposal_id: int) -> Response:
    found = proposals.one(parts.store, proposal_id)
    return page(
        request,
        "proposal.html",
        session,
        one=found,
        pairs=proposals.pairs(parts.store, found, 30),
        made=changes(parts.models, [found]) if parts.models else None,
    )


@router.post("/proposals/{proposal_id}/{decision}")
def decide(
    parts: Parts,
    session: LeadMayChange,
    _all: SeesAll,
    proposal_id: int,
    decision: str,
    seen: Annotated[str, Form()] = "",
) -> Response:
    """`decision` is approve or dismiss; `seen` the state that the page showed."""
    states = {"approve": proposals.APPROVED, "dismiss": proposals.DISMISSED}
    if decision not in states:
        raise NotFoundError("There is no such page.")
    proposals.decide(parts.store, proposal_id, states[decision], session.agent, seen=seen or None)
    return RedirectResponse("/proposals", 303)


# --- another routing table ----------------------------------------------------------------------------


@router.get("/routes/try")
def try_page(request: Request, session: Lead, live: Live, since: str = "28d") -> Response:
    return _try_page(request, session, live, since, text=live.routes.path.read_text(encoding="utf-8"))


@router.post("/routes/try")
def try_another(
    request: Request,
    session: LeadMayChange,
    live: Live,
    since: Annotated[str, Form()] = "28d",
    text: Annotated[str, Form()] = "",
    file: Annotated[UploadFile | None, File()] = None,
) -> Response:
    """Nothing is changed by it: the table is read, tried on stored readings, and forgotten."""
    try:
        if file is not None and file.filename:
            text = file.file.read().decode("utf-8")
        other = _table(text)
        result = try_table(live.store, live.routes, other, _start(since), newest=NEWEST)
    except UnicodeDecodeError:
        return _try_page(request, session, live, since, text="", wrong="the file is not UTF-8 text")
    except TriageError as error:
        return _try_page(request, session, live, since, text=text, wrong=str(error))
    return _try_page(request, session, live, since, text=text, result=result)


@router.get("/routes/curve.png")
def curve_png(request: Request, live: Live, since: str = "28d", dark: str = "") -> Response:
    (drawn,) = request.app.state.charts.of(("curve", since), lambda: (chart(_curve(live, since)),))
    assert isinstance(drawn, Chart)
    return Response(drawn.png(dark=dark == "1", transparent=True), media_type="image/png")


def _try_page(
    request: Request,
    session: Session,
    live: LiveParts,
    since: str,
    *,
    text: str,
    wrong: str = "",
    result: Tried | None = None,
) -> Response:
    since = since if since in SPANS else "28d"
    found = _curve(live, since)
    (drawn,) = request.app.state.charts.keep(("curve", since), (chart(found),))
    return page(
        request,
        "routes_try.html",
        session,
        status=422 if wrong else 200,
        since=since,
        spans=SPANS,
        text=text,
        wrong=wrong,
        result=result,
        found=found,
        drawn=drawn,
        rate=rate,
        newest=NEWEST,
    )


def _curve(live: LiveParts, since: str) -> Curve:
    return stored_curve(live.store, live.routes, _start(since), newest=NEWEST)


def _start(since: str) -> datetime:
    if since not in SPANS:
        raise InputError(f"{since!r} is none of {', '.join(SPANS)}")
    return now() - timedelta(days=SPANS[since])


def _table(text: str) -> Routes:
    if not text.strip():
        raise InputError("paste a routing table, or choose a file")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "routes.toml"
        path.write_text(text.replace("\r\n", "\n"), encoding="utf-8", errors="replace")
        try:
            return read(path)
        except TriageError as error:
            raise InputError(str(error).replace(str(path), "the table")) from None
