"""The weekly report's pages: a week with its charts and tables, the cases behind each figure, scorecards, failures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Form, Request
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response

from pipeline.db.types import now
from pipeline.errors import NotFoundError
from pipeline.reports import failures, queries, scorecard
from pipeline.reports.behind import behind
from pipeline.reports.charts import Chart, charts
from pipeline.reports.charts import line as line_chart
from pipeline.reports.kept import kept_reports
from pipeline.reports.measures import Report
from pipeline.reports.queries import DIMENSIONS
from pipeline.reports.sentences import summary
from pipeline.reports.tables import sections
from pipeline.reports.weeks import Week
from pipeline.steps import reporting
from pipeline.web.parts import ReportOf, WebParts
from pipeline.web.render import page
from pipeline.web.report_charts import Charts, Key
from pipeline.web.sessions import LeadMayChange, Parts, SeesAll

router = APIRouter(include_in_schema=False)

AT_ONCE = 50
LONGEST = 300
"""Characters of a value in an address of these pages."""


def _report_of(parts: Parts, _session: SeesAll) -> ReportOf:
    if parts.report is None:
        raise HTTPException(404, "There is no report here.")
    return parts.report


Reports = Annotated[ReportOf, Depends(_report_of)]


@dataclass(frozen=True)
class Asked:
    """What an address of the report asks for: filters by dimension, and at most two dimensions to break it by."""

    week: str | None
    only: Mapping[str, str]
    by: tuple[str, ...]
    fresh: bool

    @classmethod
    def of(cls, parts: WebParts, request: Request) -> Asked:
        query = request.query_params
        by = dict.fromkeys(name for name in (query.get("by", ""), query.get("by2", "")) if name)
        only = {name: query[name][:LONGEST] for name in DIMENSIONS if query.get(name)}
        week = query.get("week", "").strip()
        if not week and not only and not by:
            week = _newest(parts)
        return cls(week or None, only, tuple(by), query.get("fresh") == "1")

    @property
    def key(self) -> Key:
        return (
            self.week or "",
            "fresh" if self.fresh else "",
            *(f"{name}={value}" for name, value in sorted(self.only.items())),
        )

    def report(self, compute: ReportOf) -> Report:
        if self.fresh:
            return compute(self.week, by=self.by, only=self.only, fresh=True)
        if not self.only and not self.by:
            return compute(self.week)
        return compute(self.week, by=self.by, only=self.only)


def _newest(parts: WebParts) -> str:
    """The week that was reported last: on a Monday the one that one wants to read. The present one where none was."""
    kept = kept_reports(parts.store, 1)
    return kept[0].week if kept else ""


@router.get("/reports")
def report_page(request: Request, parts: Parts, compute: Reports, session: SeesAll) -> Response:
    asked = Asked.of(parts, request)
    found = asked.report(compute)
    week = Week.parse(found.week)
    present = Week.of(now(), found.zone)
    with parts.store.read() as connection:
        cells = queries.draft_cells(connection, found.start, found.end)
    kept = kept_reports(parts.store)
    only = urlencode({**asked.only, **_by(asked)})
    return page(
        request,
        "report.html",
        session,
        report=found,
        days=(week.monday(), week.monday() + timedelta(days=6)),
        earlier=str(week.before()),
        later=str(week.before(-1)) if week < present else None,
        present=str(present),
        written=next(
            (one.made_at for one in kept if one.week == found.week and one.made_at == found.made_at), None
        ),
        summary=summary(found),
        tables=sections(found),
        charts=_charts(request).keep(_key(asked, found), charts(found)),
        asked=asked,
        by=_by(asked),
        only=f"&{only}" if only else "",
        drawn=urlencode({"week": found.week, **asked.only, **({"fresh": "1"} if asked.fresh else {})}),
        values={
            name: sorted({cell.key[name] for cell in cells} | _chosen(asked, name)) for name in DIMENSIONS
        },
        dimensions=DIMENSIONS,
        kept=kept,
        may_send=session.agent.leads,
    )


@router.get("/reports/scorecard")
def scorecards_page(
    request: Request, parts: Parts, _compute: Reports, session: SeesAll, week: str = ""
) -> Response:
    """Every route, model and prompt version of the last weeks."""
    chosen = _week(parts, week)
    cards = scorecard.index(parts.store, parts.zone, week=chosen)
    return page(request, "scorecards.html", session, cards=cards, week=str(chosen), weeks=scorecard.WEEKS)


@router.get("/reports/scorecard/{kind}/{name:path}")
def scorecard_page(
    request: Request, parts: Parts, _compute: Reports, session: SeesAll, kind: str, name: str, week: str = ""
) -> Response:
    chosen = _week(parts, week)
    card = scorecard.scorecard(
        parts.store, kind, name, parts.zone, week=chosen, thresholds=asdict(parts.desk.thresholds)
    )
    drawn = line_chart(card.line)
    _charts(request).keep(("scorecard", kind, name, str(chosen)), (drawn,))
    return page(
        request,
        "scorecard.html",
        session,
        card=card,
        chart=drawn,
        drawn=urlencode({"week": str(chosen), "kind": kind, "name": name}),
    )


@router.get("/reports/chart/scorecard.png")
def scorecard_chart(
    request: Request, parts: Parts, _compute: Reports, _session: SeesAll,
    kind: str = "", name: str = "", week: str = "", dark: str = "",
) -> Response:  # fmt: skip
    chosen = _week(parts, week)

    def count() -> tuple[Chart, ...]:
        return (line_chart(scorecard.scorecard(parts.store, kind, name, parts.zone, week=chosen).line),)

    (drawn,) = _charts(request).of(("scorecard", kind, name, str(chosen)), count)
    return _png(drawn, dark)


@router.get("/reports/chart/{name}.png")
def chart(
    request: Request, parts: Parts, compute: Reports, _session: SeesAll, name: str, dark: str = ""
) -> Response:
    asked = Asked.of(parts, request)
    for one in _charts(request).of(_key(asked, None), lambda: charts(asked.report(compute))):
        if one.name == name:
            return _png(one, dark)
    raise HTTPException(404, "There is no such chart.")


@router.get("/reports/cases")
def cases_page(
    request: Request,
    parts: Parts,
    _compute: Reports,
    session: SeesAll,
    week: str = "",
    after: str | None = None,
) -> Response:
    """The rows behind a figure; whatever else stands in the address narrows them."""
    chosen = _week(parts, week)
    query = {
        name: value[:LONGEST] for name, value in request.query_params.items() if name not in ("week", "after")
    }
    found = behind(parts.store, chosen, parts.zone, query, after or None, AT_ONCE)
    return page(
        request,
        "report_cases.html",
        session,
        week=str(chosen),
        found=found,
        this_week="past" not in query and "since" not in query,
        clocks=parts.zone,
        query=urlencode({"week": str(chosen), **query}),
        later=after is not None,
        makes_cases=session.agent.leads and parts.models is not None,
    )


@router.get("/reports/failures")
def failures_page(
    request: Request,
    parts: Parts,
    _compute: Reports,
    session: SeesAll,
    week: str = "",
    after: str | None = None,
) -> Response:
    """Where the cheap route failed, one by one: its prompt, what it said, what the agent did, and why."""
    chosen = _week(parts, week)
    only = {
        name: request.query_params[name][:LONGEST]
        for name in failures.FILTERS
        if request.query_params.get(name)
    }
    folder = parts.models.prompts.folder if parts.models else None
    found = failures.listed(parts.store, chosen, parts.zone, only, after or None, AT_ONCE, folder)
    with parts.store.read() as connection:
        groups = failures.grouped(connection, *chosen.bounds(parts.zone))
    return page(
        request,
        "failures.html",
        session,
        week=str(chosen),
        earlier=str(chosen.before()),
        later=str(chosen.before(-1)) if chosen < Week.of(now(), parts.zone) else None,
        found=found,
        groups=groups,
        kinds=failures.KINDS,
        only=only,
        query=urlencode({"week": str(chosen), **only}),
        prompts=sorted(
            {group.prompt for group in groups} | ({only["prompt"]} if "prompt" in only else set())
        ),
        makes_cases=session.agent.leads and parts.models is not None,
    )


@router.post("/reports/letters/again")
def send_again(
    parts: Parts,
    _compute: Reports,
    _session: LeadMayChange,
    week: Annotated[str, Form()] = "",
    address: Annotated[str, Form()] = "",
) -> Response:
    """A lead has a letter sent again of which nobody knows whether it arrived, or that failed."""
    if parts.models is None:
        raise NotFoundError("this page was started without a way out for letters")
    reporting.send_again(parts.models, Week.parse(week), address)
    return RedirectResponse(f"/reports?{urlencode({'week': str(Week.parse(week))})}#written", 303)


def _png(drawn: Chart, dark: str) -> Response:
    data = drawn.png(dark=dark == "1", transparent=True)
    return Response(data, media_type="image/png")


def _week(parts: WebParts, text: str) -> Week:
    """As asked for; else the one that the report opens with."""
    text = text or _newest(parts)
    return Week.parse(text) if text else Week.of(now(), parts.zone)


def _by(asked: Asked) -> dict[str, str]:
    return dict(zip(("by", "by2"), asked.by, strict=False))


def _chosen(asked: Asked, name: str) -> set[str]:
    return {asked.only[name]} if name in asked.only else set()


def _key(asked: Asked, found: Report | None) -> Key:
    """The breakdown is no part of it: it changes no chart."""
    return (found.week, *asked.key[1:]) if found else asked.key


def _charts(request: Request) -> Charts:
    kept: Charts = request.app.state.charts
    return kept
