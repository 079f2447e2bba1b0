"""An agent's own account, the admin's list of accounts, and the weekly report's page."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response

from pipeline.errors import InputError, TriageError
from pipeline.review import agents, sessions
from pipeline.review.sessions import Session
from pipeline.web.parts import WebParts
from pipeline.web.render import page
from pipeline.web.sessions import Admin, AdminMayChange, LoggedIn, MayChange, Parts, clear_cookie

router = APIRouter(include_in_schema=False)


@router.get("/account")
def account_page(request: Request, session: LoggedIn) -> Response:
    return page(request, "account.html", session, token=None, wrong=None)


@router.post("/account/password")
def change_password(
    request: Request,
    parts: Parts,
    session: MayChange,
    new: Annotated[str, Form()] = "",
    again: Annotated[str, Form()] = "",
    old: Annotated[str, Form()] = "",
) -> Response:
    """Every session ends with it, this one too."""
    try:
        if new != again:
            raise InputError("the two new passwords differ")
        address = request.client.host if request.client else "unknown"
        agents.check_login(parts.store, session.agent.email, old, address)
        agents.set_password(parts.store, session.agent.id, new)
    except InputError as error:
        return page(request, "account.html", session, status=422, token=None, wrong=str(error))
    response = RedirectResponse("/login", 303)
    clear_cookie(response, parts)
    return response


@router.post("/account/token")
def new_token(request: Request, parts: Parts, session: MayChange) -> Response:
    token = agents.make_api_token(parts.store, session.agent.id)
    return page(request, "account.html", session, token=token, wrong=None)


@router.get("/agents")
def agents_page(request: Request, parts: Parts, session: Admin) -> Response:
    return _agents(request, parts, session)


@router.post("/agents")
def add_agent(
    request: Request,
    parts: Parts,
    session: AdminMayChange,
    email: Annotated[str, Form()] = "",
    name: Annotated[str, Form()] = "",
    role: Annotated[str, Form()] = "agent",
) -> Response:
    try:
        agent = agents.add(parts.store, email, role, name)
    except TriageError as error:
        return _agents(request, parts, session, wrong=str(error))
    return _agents(request, parts, session, link=_link(parts, agent, "invite"), link_for=agent.email)


@router.post("/agents/link")
def make_link(
    request: Request, parts: Parts, session: AdminMayChange, email: Annotated[str, Form()] = ""
) -> Response:
    agent = agents.find(parts.store, email)
    return _agents(request, parts, session, link=_link(parts, agent, "reset"), link_for=agent.email)


@router.post("/agents/disable")
def disable_agent(
    request: Request, parts: Parts, session: AdminMayChange, email: Annotated[str, Form()] = ""
) -> Response:
    if email.strip().lower() == session.agent.email:
        return _agents(request, parts, session, wrong="you cannot disable yourself")
    agents.disable(parts.store, email)
    return RedirectResponse("/agents", 303)


@router.get("/reports")
def report_page(request: Request, parts: Parts, session: LoggedIn, week: str | None = None) -> Response:
    if parts.report is None:
        raise HTTPException(404, "There is no report here.")
    from pipeline.reports import tables

    report = parts.report(week)
    return page(
        request,
        "report.html",
        session,
        report=report,
        summary=tables.summary(report),
        tables=tables.sections(report),
        week=week,
    )


def _link(parts: WebParts, agent: agents.Agent, purpose: str) -> str:
    return f"{parts.public_url.rstrip('/')}/enter/{sessions.make_link(parts.store, agent, purpose)}"


def _agents(
    request: Request,
    parts: WebParts,
    session: Session,
    *,
    link: str | None = None,
    link_for: str = "",
    wrong: str | None = None,
) -> Response:
    return page(
        request,
        "agents.html",
        session,
        status=422 if wrong else 200,
        everyone=agents.everyone(parts.store),
        roles=agents.ROLES,
        link=link,
        link_for=link_for,
        wrong=wrong,
    )
