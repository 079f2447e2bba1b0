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
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline.errors import (
    ConflictError,
    InputError,
    MoveRefused,
    NotFoundError,
    StoreError,
    TriageError,
    UnreachableError,
)
from pipeline.web import (
    account,
    answers,
    api,
    changes,
    doors,
    evaluations,
    login,
    models,
    oidc,
    proposals,
    queue,
    report_cases,
    reports,
    second_reads,
    ticket,
)
from pipeline.web.parts import WebParts
from pipeline.web.render import STATIC, page
from pipeline.web.report_charts import Charts
from pipeline.web.sessions import NeedsLogin, login_address
from pipeline.web.shield import Shield

log = structlog.get_logger(__name__)

BROKEN = "Something broke on our side; the log says what. Nothing was changed."


class _Static(StaticFiles):
    """Files that may be kept for a day; their addresses carry the version."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers["cache-control"] = "public, max-age=86400"
        return response


class _NoTraceback:
    """Turns what nobody foresaw into one plain line, and logs where it was: its text may hold a customer's words."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def watched(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self.app(scope, receive, watched)
        except Exception as error:  # the last place that can still answer
            request = Request(scope)
            response = _bug(request, error)
            if not begun:
                await response(scope, receive, send)


def create_app(parts: WebParts) -> FastAPI:
    """An ASGI app over these parts; it starts nothing and owns nothing but its routes."""
    app = FastAPI(title="triage", version=parts.version, docs_url=None, redoc_url=None, openapi_url=None)
    app.state.parts = parts
    app.state.charts = Charts()
    app.add_middleware(_NoTraceback)
    app.add_middleware(Shield, https=parts.https, limit_bytes=parts.form_limit_bytes)
    for room in (
        doors,
        login,
        oidc,
        queue,
        ticket,
        answers,
        changes,
        models,
        account,
        reports,
        report_cases,
        second_reads,
        proposals,
        evaluations,
        api,
    ):
        app.include_router(room.router)
    app.mount("/static", _Static(directory=STATIC), name="static")
    app.add_exception_handler(NeedsLogin, _send_to_login)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _bad_request)
    app.add_exception_handler(TriageError, _triage_error)
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
    status = status_of(error)
    if status < 500:
        return _plain_answer(request, status, str(error))
    # what is wrong with our own parts (addresses, settings) is for the operator, not for whoever asks
    log.error("request failed", path=request.url.path, error=type(error).__name__, words=str(error))
    words = "The database does not answer; try again in a moment." if status == 503 else BROKEN
    return _plain_answer(request, status, words)


def status_of(error: Exception) -> int:
    """The HTTP status that says what kind of error of ours it is."""
    for kind, status in ((NotFoundError, 404), (ConflictError, 409), (MoveRefused, 409), (InputError, 422)):
        if isinstance(error, kind):
            return status
    return 503 if isinstance(error, StoreError | UnreachableError) else 500


def _bug(request: Request, error: Exception) -> Response:
    frame = traceback.extract_tb(error.__traceback__)[-1]
    log.error(
        "request failed",
        path=request.url.path,
        error=type(error).__name__,
        where=f"{Path(frame.filename).name}:{frame.lineno}",
    )
    return _plain_answer(request, 500, BROKEN)


def _plain_answer(
    request: Request, status: int, words: str, headers: dict[str, str] | None = None
) -> Response:
    """One plain line: as JSON for the API, as text for machines, as a page for people."""
    path = request.url.path
    words = words.encode(errors="replace").decode()  # half of a surrogate pair may come in JSON
    if path.startswith("/api/"):
        return JSONResponse({"error": words}, status, headers)
    if path.startswith("/webhooks/") or "text/html" not in request.headers.get("accept", ""):
        return PlainTextResponse(words + "\n", status, headers)
    response = page(request, "error.html", status=status, words_=words, code=status)
    response.headers.update(headers or {})
    return response
