"""Logging in by password, by a single-use link and by a second factor's code, and out."""

from __future__ import annotations

from typing import Annotated

import structlog
from fastapi import APIRouter, Form, Request
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response

from pipeline.errors import ConfigError, InputError
from pipeline.review import agents, sessions, totp
from pipeline.web.parts import WebParts
from pipeline.web.render import page
from pipeline.web.sessions import (
    MayChange,
    NeedsLogin,
    Parts,
    address_of,
    clear_cookie,
    cookie_name,
    logged_in,
    own_path,
    set_cookie,
)
from pipeline.web.shield import from_our_page

router = APIRouter(include_in_schema=False)
log = structlog.get_logger(__name__)


@router.get("/login")
def login_page(request: Request, parts: Parts, next: str = "/") -> Response:
    try:
        logged_in(request, parts)
    except NeedsLogin:
        return login_form(request, parts, next)
    return RedirectResponse(own_path(next), 303)


@router.post("/login")
def login(
    request: Request,
    parts: Parts,
    email: Annotated[str, Form()] = "",
    password: Annotated[str, Form()] = "",
    next: Annotated[str, Form()] = "/",
) -> Response:
    _only_our_page(request, parts)
    try:
        agent = agents.check_login(parts.store, email, password, address_of(request))
    except InputError as error:
        return login_form(request, parts, next, email=email[:320], wrong=str(error), status=403)
    return known(request, parts, agent, next)


@router.post("/login/code")
def second_step(
    request: Request,
    parts: Parts,
    token: Annotated[str, Form()] = "",
    code: Annotated[str, Form()] = "",
    next: Annotated[str, Form()] = "/",
) -> Response:
    """The second factor of a log-in whose first one held."""
    _only_our_page(request, parts)
    agent = sessions.second_step(parts.store, token)
    if agent is None:
        wrong = "this log-in took too long; begin again"
        return login_form(request, parts, next, wrong=wrong, status=403)
    if parts.second_factors is None:
        raise HTTPException(503, "Second factors cannot be checked here; ask an admin.")
    try:
        parts.second_factors.check(agent, code[:20], address_of(request))
        agent = sessions.end_second_step(parts.store, token)
    except InputError as error:
        return _code_form(request, token, next, wrong=str(error), status=403)
    except ConfigError as error:
        log.error("second factor cannot be read", words=str(error))
        raise HTTPException(
            503, "Second factors cannot be checked here; the log says what to mend."
        ) from None
    return _enter(request, parts, agent, own_path(next))


@router.post("/logout")
def logout(parts: Parts, session: MayChange) -> Response:
    sessions.end(parts.store, session)
    response = RedirectResponse("/login", 303)
    clear_cookie(response, parts)
    return response


@router.get("/enter/{token}")
def link_page(request: Request, parts: Parts, token: str) -> Response:
    """Looking does not use the link up: mail scanners open links too."""
    link = sessions.look_at_link(parts.store, token)
    return page(request, "enter.html", status=200 if link else 410, link=link, token=token, wrong=None)


@router.post("/enter/{token}")
def use_link(request: Request, parts: Parts, token: str, password: Annotated[str, Form()] = "") -> Response:
    _only_our_page(request, parts)
    link = sessions.look_at_link(parts.store, token)
    if link is None:
        return page(request, "enter.html", status=410, link=None, token=token, wrong=None)
    needs_password = link.purpose != "demo"
    if needs_password:
        try:
            agents.refuse_poor(password)  # before the link is used up
        except InputError as error:
            return page(request, "enter.html", status=422, link=link, token=token, wrong=str(error))
    agent = sessions.use_link(parts.store, token)
    if needs_password:
        agents.set_password(parts.store, agent.id, password, by="link")
    return known(request, parts, agent, "/")


def login_form(
    request: Request,
    parts: WebParts,
    next: str,
    *,
    email: str = "",
    wrong: str | None = None,
    status: int = 200,
) -> Response:
    """The log-in page; `next` is where it leads, if that is a page of ours."""
    sso = parts.single_sign_on.label if parts.single_sign_on else None
    return page(request, "login.html", status=status, next=own_path(next), email=email, wrong=wrong, sso=sso)


def known(request: Request, parts: WebParts, agent: agents.Agent, to: str) -> Response:
    """The first factor held, whichever it was: ask for the second where there is one, else let them in."""
    if totp.is_on(parts.store, agent.id):
        return _code_form(request, sessions.begin_second_step(parts.store, agent), to)
    return _enter(request, parts, agent, own_path(to))


def _code_form(
    request: Request, token: str, next: str, *, wrong: str | None = None, status: int = 200
) -> Response:
    return page(request, "code.html", status=status, token=token, next=own_path(next), wrong=wrong)


def _enter(request: Request, parts: WebParts, agent: agents.Agent, to: str) -> Response:
    """A fresh session: the one that the browser may have had before ends."""
    before = sessions.resume(parts.store, request.cookies.get(cookie_name(parts), ""))
    if before is not None:
        sessions.end(parts.store, before)
    token, _session = sessions.start(parts.store, agent)
    response = RedirectResponse(to, 303)
    set_cookie(response, parts, token)
    return response


def _only_our_page(request: Request, parts: WebParts) -> None:
    if not from_our_page(request.headers, parts.public_url):
        raise HTTPException(403, "this form was not sent by a page of ours")
