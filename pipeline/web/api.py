"""The JSON API of the review table, for an agent's bearer token; described at /api/docs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse, Response

from pipeline.db.reviews import REASONS
from pipeline.review import queue
from pipeline.review.corrections import correct
from pipeline.review.desk import REJECT_REASONS, Decided
from pipeline.review.queue import Filters
from pipeline.review.view import ticket_of, view
from pipeline.web.parts import WebParts
from pipeline.web.render import page
from pipeline.web.sessions import Bearer, Number, Parts

router = APIRouter()

_PRIVATE = frozenset(
    {"reply_token", "lease_token", "lease_owner", "lease_until", "fingerprint", "body_hash", "html"}
)


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")

    version: int = Field(
        ge=0, le=2**31, description="the ticket's version that the decision was made on; 409 when it changed"
    )


_NOT_NEEDED = Field(False, description="mark a strong draft: a routine answer would have done")


class Approval(_Body):
    not_needed: bool = _NOT_NEEDED


class Answer(_Body):
    text: str


class Edit(Answer):
    not_needed: bool = _NOT_NEEDED


class Rejection(_Body):
    reason: str = Field(description=", ".join(REJECT_REASONS))
    text: str = Field("", description="needed for other")


class Closing(_Body):
    why: str = ""


class Settling(_Body):
    choice: Literal["sent", "resend"]


class Assigning(_Body):
    to: str = Field("", description="a colleague's address; empty for nobody")


class Corrections(_Body):
    topic: str | None = None
    language: str | None = None
    urgency: str | None = None
    emotion: str | None = None
    clarity: str | None = None
    fields: dict[str, list[dict[str, str]]] | None = None


class Noting(BaseModel):
    model_config = ConfigDict(extra="forbid")

    text: str


@router.get("/api/v1/reviews", summary="The review table, the most urgent first")
def list_reviews(
    parts: Parts,
    agent: Bearer,
    state: Literal["open", "decided", "superseded"] = "open",
    topic: str | None = None,
    language: str | None = None,
    urgency: str | None = None,
    route: str | None = None,
    reason: Annotated[str | None, Query(description=", ".join(REASONS))] = None,
    inbox: str | None = None,
    search: str | None = None,
    after: Annotated[str | None, Query(description="`next` of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = queue.PAGE,
) -> Response:
    filters = Filters(
        state=state, topic=topic, language=language, urgency=urgency, route=route, reason=reason,
        inbox=inbox, search=search, reader=agent.id,
    )  # fmt: skip
    found = queue.page(parts.store, filters, after=after, limit=limit)
    return _json({"reviews": found.rows, "next": found.next})


@router.get("/api/v1/reviews/{review_id}", summary="A row of the review table with its whole ticket")
def get_review(parts: Parts, agent: Bearer, review_id: Number) -> Response:
    return _json(view(parts.store, ticket_of(parts.store, review_id)))


@router.get("/api/v1/tickets/{ticket_id}", summary="Everything about one ticket")
def get_ticket(parts: Parts, agent: Bearer, ticket_id: Number) -> Response:
    return _json(view(parts.store, ticket_id))


@router.post("/api/v1/reviews/{review_id}/claim", summary="Take a row for 15 minutes")
def claim(parts: Parts, agent: Bearer, review_id: Number) -> Response:
    return _json({"claimed_until": parts.desk.claim(review_id, agent)})


@router.post("/api/v1/reviews/{review_id}/release", summary="Give a row back")
def release(parts: Parts, agent: Bearer, review_id: Number) -> Response:
    parts.desk.release(review_id, agent)
    return _json({})


@router.post("/api/v1/reviews/{review_id}/approve", summary="Send the draft as it is")
def approve(parts: Parts, agent: Bearer, review_id: Number, body: Approval) -> Response:
    return _done(parts, parts.desk.approve(review_id, agent, body.version, not_needed=body.not_needed))


@router.post("/api/v1/reviews/{review_id}/edit", summary="Send an edited draft")
def edit(parts: Parts, agent: Bearer, review_id: Number, body: Edit) -> Response:
    done = parts.desk.edit(review_id, agent, body.version, body.text, not_needed=body.not_needed)
    return _done(parts, done)


@router.post("/api/v1/reviews/{review_id}/replace", summary="Answer without the draft")
def replace(parts: Parts, agent: Bearer, review_id: Number, body: Answer) -> Response:
    return _done(parts, parts.desk.replace(review_id, agent, body.version, body.text))


@router.post("/api/v1/reviews/{review_id}/reject", summary="Reject the draft, with a reason")
def reject(parts: Parts, agent: Bearer, review_id: Number, body: Rejection) -> Response:
    return _done(parts, parts.desk.reject(review_id, agent, body.version, body.reason, body.text))


@router.post("/api/v1/reviews/{review_id}/close", summary="Close the ticket without an answer")
def close(parts: Parts, agent: Bearer, review_id: Number, body: Closing) -> Response:
    return _done(parts, parts.desk.close(review_id, agent, body.version, body.why))


@router.post("/api/v1/reviews/{review_id}/spam", summary="Close the ticket as spam")
def spam(parts: Parts, agent: Bearer, review_id: Number, body: _Body) -> Response:
    return _done(parts, parts.desk.spam(review_id, agent, body.version))


@router.post("/api/v1/reviews/{review_id}/settle", summary="Settle a reply that may have gone out")
def settle(parts: Parts, agent: Bearer, review_id: Number, body: Settling) -> Response:
    return _done(parts, parts.desk.resolve_uncertain(review_id, agent, body.version, body.choice))


@router.post("/api/v1/reviews/{review_id}/confirm", summary="Agree to a draft that a spend cap stopped")
def confirm(parts: Parts, agent: Bearer, review_id: Number, body: _Body) -> Response:
    return _done(parts, parts.desk.confirm(review_id, agent, body.version))


@router.post("/api/v1/reviews/{review_id}/note", summary="Leave a note for colleagues")
def note(parts: Parts, agent: Bearer, review_id: Number, body: Noting) -> Response:
    parts.desk.note(review_id, agent, body.text)
    return _json({})


@router.post("/api/v1/tickets/{ticket_id}/assign", summary="Give the ticket to a colleague, or to nobody")
def assign(parts: Parts, agent: Bearer, ticket_id: Number, body: Assigning) -> Response:
    return _json({"version": parts.desk.assign(ticket_id, agent, body.version, body.to)})


@router.post("/api/v1/tickets/{ticket_id}/correct", summary="Put right what the cheap model read")
def put_right(parts: Parts, agent: Bearer, ticket_id: Number, body: Corrections) -> Response:
    changes = body.model_dump(exclude={"version"}, exclude_none=True)
    changed = correct(parts.store, ticket_id, agent, body.version, changes, parts.teams)
    return _json({name: {"old": old, "new": new} for name, (old, new) in changed.items()})


@router.get("/api/v1/openapi.json", include_in_schema=False)
def openapi(request: Request) -> Response:
    return JSONResponse(request.app.openapi())


@router.get("/api/docs", include_in_schema=False)
def docs(request: Request) -> Response:
    """A plain listing of our own: the usual one loads its script from elsewhere."""
    spec = request.app.openapi()
    return page(request, "api_docs.html", calls=_calls(spec), spec=spec)


def _calls(spec: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = []
    for path, methods in spec["paths"].items():
        for method, call in methods.items():
            body = (
                call.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
            )
            schema = (
                spec.get("components", {}).get("schemas", {}).get(body.get("$ref", "").rpartition("/")[2], {})
            )
            found.append(
                {
                    "method": method.upper(),
                    "path": path,
                    "summary": call.get("summary", ""),
                    "parameters": call.get("parameters", []),
                    "body": schema.get("properties", {}),
                    "required": schema.get("required", []),
                }
            )
    return found


def _done(parts: WebParts, decided: Decided) -> Response:
    parts.hint(decided.ticket_id)
    return _json(decided)


def _json(value: object) -> Response:
    return JSONResponse(as_json(value))


def as_json(value: Any) -> Any:
    """Plain JSON of our values: times in ISO 8601, money as text; tokens and leases are left out."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: as_json(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {as_json(str(key)): as_json(item) for key, item in value.items() if key not in _PRIVATE}
    if isinstance(value, list | tuple):
        return [as_json(item) for item in value]
    if isinstance(value, str):  # half a surrogate pair, as foreign JSON may bring, is no UTF-8
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if isinstance(value, Decimal) else value
