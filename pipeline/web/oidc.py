"""The way to the single sign-on provider and back; what makes an answer good stands in `review.oidc`."""

from __future__ import annotations

import structlog
from fastapi import APIRouter, Request
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response

from pipeline.errors import ConfigError, InputError, UnreachableError
from pipeline.review import identities, oidc
from pipeline.web.login import known, login_form
from pipeline.web.parts import WebParts
from pipeline.web.sessions import Parts, own_path

router = APIRouter(include_in_schema=False)
log = structlog.get_logger(__name__)

CALLBACK = "/oidc/callback"


@router.get("/oidc/start")
def start(request: Request, parts: Parts, next: str = "/") -> Response:
    """To the provider. It changes nothing here: what must be remembered goes along in a sealed cookie."""
    try:
        begun = _provider(parts).begin(own_path(next))
    except (UnreachableError, ConfigError) as error:
        return _failed(request, parts, error)
    response = RedirectResponse(begun.address, 303)
    response.set_cookie(
        _cookie_name(parts),
        begun.cookie,
        max_age=oidc.LOGIN_HOLDS_S,
        path="/",
        httponly=True,
        samesite="lax",  # it must come along when the provider sends the browser back
        secure=parts.https,
    )
    return response


@router.get(CALLBACK)
def callback(request: Request, parts: Parts) -> Response:
    """Back from the provider. The protocol comes back by GET; the cookie and the state make it safe."""
    try:
        who, to = _provider(parts).finish(
            request.cookies.get(_cookie_name(parts), ""), dict(request.query_params)
        )
        agent = identities.account_of(parts.store, who)
    except (InputError, UnreachableError, ConfigError) as error:
        response = _failed(request, parts, error)
    else:
        response = known(request, parts, agent, to)
    response.delete_cookie(_cookie_name(parts), path="/", httponly=True, samesite="lax", secure=parts.https)
    return response


def _provider(parts: WebParts) -> oidc.SingleSignOn:
    if parts.single_sign_on is None:
        raise HTTPException(404, "There is no single sign-on here.")
    return parts.single_sign_on


def _failed(request: Request, parts: WebParts, error: Exception) -> Response:
    """Back to the log-in page, with what its reader can act on; the rest is for the operator's log."""
    if isinstance(error, InputError):
        return login_form(request, parts, "/", wrong=str(error), status=403)
    log.error("single sign-on failed", error=type(error).__name__, words=str(error))
    wrong = "single sign-on does not work at the moment; the log says why"
    return login_form(request, parts, "/", wrong=wrong, status=503)


def _cookie_name(parts: WebParts) -> str:
    return "__Host-triage-sso" if parts.https else "triage_sso"
