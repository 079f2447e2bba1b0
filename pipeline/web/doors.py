"""The doors for machines: webhooks in, health, readiness and metrics out."""

from __future__ import annotations

from typing import Any

import structlog
from fastapi import APIRouter, Request
from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, PlainTextResponse, Response

from pipeline.errors import NotFoundError, TriageError
from pipeline.ingest.mailboxes import mailboxes_of
from pipeline.web.metrics import CONTENT_TYPE, scrape
from pipeline.web.sessions import Parts

log = structlog.get_logger(__name__)

router = APIRouter(include_in_schema=False)


@router.post("/webhooks/{source}")
async def webhook(request: Request, parts: Parts, source: str) -> Response:
    """200 only once it is stored; whatever kept it from being stored is a 503, so that it is sent again."""
    try:
        limit = parts.webhook_limit(source) if parts.webhook_limit else parts.webhook_limit_bytes
    except NotFoundError:
        return _line(404, "there is no such webhook source")
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced[:18]) > limit:
        return _line(413, f"more than {limit:,} bytes are not taken")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            return _line(413, f"more than {limit:,} bytes are not taken")
    headers = {name.lower(): value for name, value in request.headers.items()}
    try:
        receipt = await run_in_threadpool(parts.receive_webhook, source, headers, bytes(body))
    except NotFoundError:
        return _line(404, "there is no such webhook source")
    except (TriageError, SQLAlchemyError, OSError) as error:
        log.error("webhook not stored", inbox=source, error=type(error).__name__)
        return PlainTextResponse("not stored; send it again later\n", 503, {"retry-after": "30"})
    if receipt.body is not None:
        return PlainTextResponse(receipt.body, receipt.status)
    return _line(receipt.status, receipt.reason)


@router.get("/healthz")
def healthz() -> Response:
    """The process lives."""
    return _line(200, "ok")


@router.get("/readyz")
def readyz(parts: Parts) -> Response:
    """Everything that it needs answers: {name: "ok" or what is wrong}, 503 when anything is wrong.

    `mailboxes` tells of each one whether it is read, and how long ago; a mailbox that fails makes nothing
    unready: the page, the API and every other inbox work, and taking them away would mend nothing.
    """
    found: dict[str, Any] = {}
    for name, check in parts.ready.items():
        try:
            check()
            found[name] = "ok"
        except TriageError as error:
            found[name] = type(error).__name__  # no addresses to whoever asks; the log has the words
            log.warning("not ready", part=name, error=str(error))
        except Exception as error:  # a probe reports whatever broke
            found[name] = type(error).__name__
            log.warning("not ready", part=name, error=type(error).__name__)
    good = all(state == "ok" for state in found.values())
    mailboxes = _mailboxes(parts) if found.get("database", "ok") == "ok" else []
    if mailboxes:
        found["mailboxes"] = mailboxes
    return JSONResponse(found, 200 if good else 503)


def _mailboxes(parts: Parts) -> list[dict[str, Any]]:
    try:
        with parts.store.read() as connection:
            return [mailbox.to_json() for mailbox in mailboxes_of(connection)]
    except (TriageError, SQLAlchemyError) as error:
        log.warning("the state of the mailboxes is not known", error=type(error).__name__)
        return []


@router.get("/metrics")
def metrics(parts: Parts) -> Response:
    """Prometheus text, counted in the database at this moment; no customer's data in it."""
    return Response(scrape(parts.store), media_type=CONTENT_TYPE)


def _line(status: int, words: str) -> Response:
    return PlainTextResponse(words + "\n", status)
