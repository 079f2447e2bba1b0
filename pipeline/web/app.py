"""The web app: review pages, API, webhooks' door, health and metrics, put together from live parts."""

from __future__ import annotations

import traceback
from pathlib import Path

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from pipeline.errors import (
    ConflictError,
    InputError,
    NotFoundError,
    StoreError,
    TriageError,
    UnreachableError,
)
from pipeline.web import account, api, doors, login, queue, ticket
from pipeline.web.parts import WebParts
from pipeline.web.render import STATIC, page
from pipeline.web.sessions import NeedsLogin, login_address
from pipeline.web.shield import Shield

log = structlog.get_logger(__name__)


class _Static(StaticFiles):
    """Files that may be kept for a day; their addresses carry the version."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers["cache-control"] = "public, max-age=86400"
        return response


def create_app(parts: WebParts) -> FastAPI:
    """An ASGI app over these parts; it starts nothing and owns nothing but its routes."""
    app = FastAPI(title="triage", version=parts.version, docs_url=None, redoc_url=None, openapi_url=None)
    app.state.parts = parts
    app.add_middleware(Shield, https=parts.https, limit_bytes=parts.form_limit_bytes)
    for room in (doors, login, queue, ticket, account, api):
        app.include_router(room.router)
    app.mount("/static", _Static(directory=STATIC), name="static")
    app.add_exception_handler(NeedsLogin, _send_to_login)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _bad_request)
    app.add_exception_handler(TriageError, _triage_error)
    app.add_exception_handler(Exception, _bug)
    return app


def _send_to_login(request: Request, error: Exception) -> Response:
    assert isinstance(error, NeedsLogin)
    if request.headers.get("hx-request"):  # a part of a page: the whole page goes to the log-in
        return Response(status_code=401, headers={"hx-redirect": login_address("/")})
    return RedirectResponse(login_address(error.back_to), 303)


def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    words = error.detail if error.detail and error.detail != "Not Found" else "There is no such page."
    return _plain_answer(request, error.status_code, str(words), dict(error.headers or {}))


def _bad_request(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"][1:]) or "the request"
    return _plain_answer(request, 422, f"{name}: {first['msg']}")


def _triage_error(request: Request, error: Exception) -> Response:
    return _plain_answer(request, status_of(error), str(error))


def status_of(error: Exception) -> int:
    """The HTTP status that says what kind of error of ours it is."""
    for kind, status in ((NotFoundError, 404), (ConflictError, 409), (InputError, 422)):
        if isinstance(error, kind):
            return status
    return 503 if isinstance(error, StoreError | UnreachableError) else 500


def _bug(request: Request, error: Exception) -> Response:
    frame = traceback.extract_tb(error.__traceback__)[-1]
    log.error(
        "request failed",
        path=request.url.path,
        error=type(error).__name__,  # its text may hold a customer's words
        where=f"{Path(frame.filename).name}:{frame.lineno}",
    )
    return _plain_answer(request, 500, "Something broke on our side; the log says what. Nothing was changed.")


def _plain_answer(
    request: Request, status: int, words: str, headers: dict[str, str] | None = None
) -> Response:
    """One plain line: as JSON for the API, as text for machines, as a page for people."""
    path = request.url.path
    if path.startswith("/api/"):
        return JSONResponse({"error": words}, status, headers)
    if path.startswith("/webhooks/") or "text/html" not in request.headers.get("accept", ""):
        return PlainTextResponse(words + "\n", status, headers)
    response = page(request, "error.html", status=status, words_=words, code=status)
    response.headers.update(headers or {})
    return response
