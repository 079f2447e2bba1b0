"""An agent's own account, and the admin's list of accounts."""

from __future__ import annotations

from typing import Annotated
from zoneinfo import available_timezones

from fastapi import APIRouter, Form, Request
from markupsafe import Markup
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response

from pipeline.errors import ConfigError, InputError, TriageError
from pipeline.review import agents, audit, identities, sessions, sight, totp
from pipeline.review.sessions import Session
from pipeline.review.totp import SecondFactors
from pipeline.web.parts import WebParts
from pipeline.web.render import page
from pipeline.web.sessions import (
    Admin,
    AdminMayChange,
    LoggedIn,
    MayChange,
    Parts,
    address_of,
    clear_cookie,
)

router = APIRouter(include_in_schema=False)


@router.get("/account")
def account_page(request: Request, parts: Parts, session: LoggedIn) -> Response:
    return _account(request, parts, session)


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
        agents.refuse_poor(new)
        agents.check_login(parts.store, session.agent.email, old, address_of(request))
        agents.set_password(parts.store, session.agent.id, new)
    except InputError as error:
        return _account(request, parts, session, wrong=str(error))
    return _logged_out(parts)


@router.post("/account/zone")
def change_zone(
    request: Request, parts: Parts, session: MayChange, zone: Annotated[str, Form()] = ""
) -> Response:
    try:
        agents.set_zone(parts.store, session.agent.id, zone.strip())
    except InputError as error:
        return _account(request, parts, session, wrong=str(error))
    return RedirectResponse("/account", 303)


@router.post("/account/totp/begin")
def begin_second_factor(
    request: Request, parts: Parts, session: MayChange, password: Annotated[str, Form()] = ""
) -> Response:
    """Draw a secret, for somebody who knows the account's password where it has one."""
    factors = _factors(parts)
    try:
        if _has_password(parts, session.agent):
            agents.check_login(parts.store, session.agent.email, password, address_of(request))
        factors.begin(session.agent)
    except InputError as error:
        return _account(request, parts, session, wrong=str(error))
    return RedirectResponse("/account", 303)


@router.post("/account/totp/confirm")
def confirm_second_factor(
    request: Request, parts: Parts, session: MayChange, code: Annotated[str, Form()] = ""
) -> Response:
    """In force from the first good code on; the account's other sessions end."""
    try:
        _factors(parts).confirm(
            session.agent, code[:20], address_of(request), session_hash=session.token_hash
        )
    except InputError as error:
        return _account(request, parts, session, wrong=str(error))
    return RedirectResponse("/account", 303)


@router.post("/account/totp/off")
def end_second_factor(
    request: Request, parts: Parts, session: MayChange, code: Annotated[str, Form()] = ""
) -> Response:
    """Every session ends with it, this one too."""
    try:
        _factors(parts).turn_off(session.agent, code[:20], address_of(request))
    except InputError as error:
        return _account(request, parts, session, wrong=str(error))
    return _logged_out(parts)


@router.post("/account/token")
def new_token(request: Request, parts: Parts, session: MayChange) -> Response:
    token = agents.make_api_token(parts.store, session.agent.id)
    return _account(request, parts, session, token=token)


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
        agent = agents.add(parts.store, email, role, name, by=session.agent.who)
    except TriageError as error:
        return _agents(request, parts, session, wrong=str(error))
    return _agents(request, parts, session, link=_link(parts, agent, "invite", session), link_for=agent.email)


@router.post("/agents/link")
def make_link(
    request: Request, parts: Parts, session: AdminMayChange, email: Annotated[str, Form()] = ""
) -> Response:
    agent = agents.find(parts.store, email)
    return _agents(request, parts, session, link=_link(parts, agent, "reset", session), link_for=agent.email)


@router.post("/agents/disable")
def disable_agent(
    request: Request, parts: Parts, session: AdminMayChange, email: Annotated[str, Form()] = ""
) -> Response:
    if email.strip().lower() == session.agent.email:
        return _agents(request, parts, session, wrong="you cannot disable yourself")
    agents.disable(parts.store, email, by=session.agent.who)
    return RedirectResponse("/agents", 303)


@router.post("/agents/enable")
def enable_agent(parts: Parts, session: AdminMayChange, email: Annotated[str, Form()] = "") -> Response:
    agents.enable(parts.store, email, by=session.agent.who)
    return RedirectResponse("/agents", 303)


@router.post("/agents/role")
def change_role(
    request: Request,
    parts: Parts,
    session: AdminMayChange,
    email: Annotated[str, Form()] = "",
    role: Annotated[str, Form()] = "",
) -> Response:
    try:
        if email.strip().lower() == session.agent.email:
            raise InputError("you cannot change your own role")
        agents.set_role(parts.store, email, role, by=session.agent.who)
    except InputError as error:
        return _agents(request, parts, session, wrong=str(error))
    return RedirectResponse("/agents", 303)


@router.post("/agents/inboxes")
def change_inboxes(
    request: Request,
    parts: Parts,
    session: AdminMayChange,
    email: Annotated[str, Form()] = "",
    which: Annotated[str, Form()] = "",
    inbox: Annotated[list[str] | None, Form()] = None,
) -> Response:
    """`which` is all or these; no tick at all is never taken for all."""
    try:
        if which not in ("all", "these"):
            raise InputError("choose all inboxes, or these")
        chosen = None if which == "all" else inbox or []
        unknown = sorted(set(chosen or ()) - set(_inboxes(parts)))
        if unknown:
            raise InputError(f"there is no inbox {unknown[0][:100]!r}")
        sight.set_inboxes(parts.store, email, chosen, by=session.agent.who)
    except InputError as error:
        return _agents(request, parts, session, wrong=str(error))
    return RedirectResponse("/agents", 303)


@router.post("/agents/totp-off")
def reset_second_factor(
    parts: Parts, session: AdminMayChange, email: Annotated[str, Form()] = ""
) -> Response:
    """For one who lost the phone."""
    totp.off(parts.store, email, by=session.agent.who)
    return RedirectResponse("/agents", 303)


@router.post("/agents/sso-off")
def forget_single_sign_on(
    parts: Parts, session: AdminMayChange, email: Annotated[str, Form()] = ""
) -> Response:
    """The next log-in by single sign-on binds anew, after a fresh link."""
    identities.unbind(parts.store, email, by=session.agent.who)
    return RedirectResponse("/agents", 303)


def _account(
    request: Request, parts: WebParts, session: Session, *, token: str | None = None, wrong: str | None = None
) -> Response:
    agent = session.agent
    enrolment = None
    if parts.second_factors is not None:
        try:
            enrolment = parts.second_factors.begun(agent)
        except ConfigError as error:
            wrong = wrong or str(error)
    return page(
        request,
        "account.html",
        session,
        status=422 if wrong else 200,
        token=token,
        wrong=wrong,
        zones=sorted(available_timezones()),
        has_password=_has_password(parts, agent),
        factors=parts.second_factors is not None,
        factor_on=totp.is_on(parts.store, agent.id),
        enrolment=enrolment,
        qr=_qr(enrolment.uri) if enrolment else None,
    )


def _qr(text: str) -> Markup:
    """A QR code as an inline drawing, dark on light whatever the page's colours are."""
    import segno

    drawn: str = segno.make(text, error="m", micro=False).svg_inline(
        scale=4, dark="#000", light="#fff", svgclass="qr", lineclass=None
    )
    return Markup(drawn)  # noqa: S704  # drawn from black and white modules: the text does not stand in it


def _factors(parts: WebParts) -> SecondFactors:
    if parts.second_factors is None:
        raise HTTPException(404, "There are no second factors here.")
    return parts.second_factors


def _has_password(parts: WebParts, agent: agents.Agent) -> bool:
    return any(found.has_password for found in agents.accounts(parts.store) if found.agent.id == agent.id)


def _logged_out(parts: WebParts) -> Response:
    response = RedirectResponse("/login", 303)
    clear_cookie(response, parts)
    return response


def _inboxes(parts: WebParts) -> list[str]:
    return sorted({*parts.inbox_names, *sight.known_inboxes(parts.store)})


def _link(parts: WebParts, agent: agents.Agent, purpose: str, session: Session) -> str:
    token = sessions.make_link(parts.store, agent, purpose, by=session.agent.who)
    return f"{parts.public_url.rstrip('/')}/enter/{token}"


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
        everyone=agents.accounts(parts.store),
        roles=agents.ROLES,
        inboxes=_inboxes(parts),
        audit=audit.newest(parts.store, 50),
        link=link,
        link_for=link_for,
        wrong=wrong,
    )
