"""Logging in by password or by a single-use link, and out."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response

from pipeline.errors import InputError
from pipeline.review import agents, sessions
from pipeline.web.parts import WebParts
from pipeline.web.render import page
from pipeline.web.sessions import (
    MayChange,
    NeedsLogin,
    Parts,
    clear_cookie,
    cookie_name,
    logged_in,
    own_path,
    set_cookie,
)
from pipeline.web.shield import from_our_page

router = APIRouter(include_in_schema=False)


@router.get("/login")
def login_page(request: Request, parts: Parts, next: str = "/") -> Response:
    try:
        logged_in(request, parts)
    except NeedsLogin:
        return page(request, "login.html", next=own_path(next), email="", wrong=None)
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
        agent = agents.check_login(parts.store, email, password, _address(request))
    except InputError as error:
        return page(
            request, "login.html", status=403, next=own_path(next), email=email[:320], wrong=str(error)
        )
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
    if needs_password and len(password) < agents.PASSWORD_AT_LEAST:
        wrong = f"a password has at least {agents.PASSWORD_AT_LEAST} characters"
        return page(request, "enter.html", status=422, link=link, token=token, wrong=wrong)
    agent = sessions.use_link(parts.store, token)
    if needs_password:
        agents.set_password(parts.store, agent.id, password)
    return _enter(request, parts, agent, "/")


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


def _address(request: Request) -> str:
    return request.client.host if request.client else "unknown"
