"""Who is asking: the session of a cookie, the CSRF token of a form, the bearer token of the API."""

from __future__ import annotations

import secrets
from typing import Annotated
from urllib.parse import quote

from fastapi import Depends, Form, Header, Path, Request, Response
from starlette.exceptions import HTTPException

from pipeline.errors import NotFoundError
from pipeline.review import agents as accounts
from pipeline.review import sessions, sight
from pipeline.review.agents import Agent
from pipeline.review.sessions import Session
from pipeline.web.parts import WebParts
from pipeline.web.shield import from_our_page

MAX_AGE_S = int(sessions.ABSOLUTE.total_seconds())


class NeedsLogin(Exception):
    """Nobody is logged in; a page sends them to the log-in and back to `next`."""

    def __init__(self, back_to: str) -> None:
        super().__init__("log in first")
        self.back_to = back_to


def parts_of(request: Request) -> WebParts:
    """The live parts that the app was made with."""
    parts: WebParts = request.app.state.parts
    return parts


Parts = Annotated[WebParts, Depends(parts_of)]
Number = Annotated[int, Path(ge=1, le=2**53)]
"""The number of a row in an address."""


def logged_in(request: Request, parts: Parts) -> Session:
    """The session that the cookie opens; raises `NeedsLogin`, and `NotFoundError` for what it may not see."""
    token = request.cookies.get(cookie_name(parts), "")
    session = sessions.resume(parts.store, token) if 20 <= len(token) <= 100 else None
    if session is None:
        path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        raise NeedsLogin(path if request.method == "GET" else "/")
    _refuse_unseen(request, parts, session.agent)
    return session


def _refuse_unseen(request: Request, parts: WebParts, agent: Agent) -> None:
    """What an address names by number must be in the agent's inboxes: here, so that no route can forget it."""
    named = [(kind, request.path_params.get(f"{kind}_id")) for kind in sight.KINDS]
    given = [(kind, str(value)) for kind, value in named if value is not None]
    if not given:
        return
    with parts.store.read() as connection:
        if sight.inboxes_of(connection, agent.id) is None:
            return
        for kind, value in given:
            if not (value.isascii() and value.isdecimal() and len(value) < 17):
                raise NotFoundError(f"there is no such {kind}")
            sight.refuse_unseen_row(connection, agent, kind, int(value))


LoggedIn = Annotated[Session, Depends(logged_in)]


def may_change(
    request: Request,
    parts: Parts,
    session: LoggedIn,
    csrf: Annotated[str, Form()] = "",
    x_csrf_token: Annotated[str, Header()] = "",
) -> Session:
    """The session of a form of ours: sent by our page, with the session's token. Raises 403."""
    if not from_our_page(request.headers, parts.public_url):
        raise HTTPException(403, "this form was not sent by a page of ours")
    given = csrf or x_csrf_token
    if not secrets.compare_digest(given.encode(), session.csrf_token.encode()):
        raise HTTPException(403, "the page was too old; load it again")
    return session


MayChange = Annotated[Session, Depends(may_change)]


def admin(session: LoggedIn) -> Session:
    """The session of an admin; raises 403."""
    if session.agent.role != "admin":
        raise HTTPException(403, "only an admin may do this")
    return session


def admin_may_change(session: MayChange) -> Session:
    """The session of an admin's form of ours; raises 403."""
    return admin(session)


def sees_all(parts: Parts, session: LoggedIn) -> Session:
    """The session of somebody who is not limited to some inboxes; raises 403: for what counts all of them."""
    with parts.store.read() as connection:
        if sight.inboxes_of(connection, session.agent.id) is not None:
            raise HTTPException(
                403, "this page counts every inbox, and yours are limited; ask a lead or an admin"
            )
    return session


def lead(session: LoggedIn) -> Session:
    """The session of a lead or an admin; raises 403."""
    if session.agent.role not in ("lead", "admin"):
        raise HTTPException(403, "only a lead or an admin may do this")
    return session


def lead_may_change(session: MayChange) -> Session:
    """The session of a lead's or an admin's form of ours; raises 403."""
    return lead(session)


SeesAll = Annotated[Session, Depends(sees_all)]
Lead = Annotated[Session, Depends(lead)]
LeadMayChange = Annotated[Session, Depends(lead_may_change)]
Admin = Annotated[Session, Depends(admin)]
AdminMayChange = Annotated[Session, Depends(admin_may_change)]


def bearer(
    request: Request, parts: Parts, authorization: Annotated[str, Header(include_in_schema=False)] = ""
) -> Agent:
    """The agent whose API token was sent; raises 401. Cookies do not open the API."""
    scheme, _, token = authorization.partition(" ")
    agent = None
    if scheme.lower() == "bearer" and token.startswith("tri_") and len(token) <= 100:
        agent = accounts.by_api_token(parts.store, token)
    if agent is None:
        raise HTTPException(
            401, "send an agent's token: Authorization: Bearer tri_...", {"www-authenticate": "Bearer"}
        )
    _refuse_unseen(request, parts, agent)
    return agent


Bearer = Annotated[Agent, Depends(bearer)]


def address_of(request: Request) -> str:
    """Where a request comes from, for the throttle."""
    return request.client.host if request.client else "unknown"


def cookie_name(parts: WebParts) -> str:
    # the prefix makes the browser refuse one that another host or plain http set
    return "__Host-triage" if parts.https else "triage_session"


def set_cookie(response: Response, parts: WebParts, token: str) -> None:
    response.set_cookie(
        cookie_name(parts),
        token,
        max_age=MAX_AGE_S,
        path="/",
        httponly=True,
        samesite="lax",
        secure=parts.https,
    )


def clear_cookie(response: Response, parts: WebParts) -> None:
    response.delete_cookie(cookie_name(parts), path="/", httponly=True, samesite="lax", secure=parts.https)


def login_address(back_to: str) -> str:
    return "/login" if back_to in ("", "/") else f"/login?next={quote(back_to, safe='')}"


def own_path(path: str) -> str:
    """`path` if it is a path of this site, else the queue: nobody is led elsewhere after the log-in."""
    good = (
        path.startswith("/")
        and not path.startswith(("//", "/\\"))
        and path.isprintable()
        and "\\" not in path
    )
    return path if good and len(path) < 2000 else "/"
