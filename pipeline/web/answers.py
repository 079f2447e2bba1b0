"""The decisions on a row: each is a form; a refused one shows the ticket as it is now and keeps the typed text."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from pipeline.errors import ConflictError, InputError, MoveRefused
from pipeline.review import queue, typed
from pipeline.review.agents import Agent
from pipeline.review.desk import Decided
from pipeline.review.queue import Filters
from pipeline.review.sessions import Session
from pipeline.review.view import ticket_of, view
from pipeline.web.parts import WebParts
from pipeline.web.queue import asked_in
from pipeline.web.sessions import MayChange, Number, Parts
from pipeline.web.ticket import Text, Version, show

router = APIRouter(include_in_schema=False)


@router.post("/reviews/{review_id}/approve")
def approve(
    request: Request, parts: Parts, session: MayChange, review_id: Number, version: Version,
    text: Text = "", back: Text = "", not_needed: Text = "",
) -> Response:  # fmt: skip
    """Send the draft as it is. A text that was changed is never thrown away: it is refused here and kept."""

    def act(agent: Agent) -> Decided:
        draft = view(parts.store, ticket_of(parts.store, review_id)).draft
        if text.strip() and draft is not None and text.split() != draft["text"].split():
            raise InputError("you changed the text: send it as your edit, or put the draft back first")
        return parts.desk.approve(review_id, agent, version, not_needed=not_needed == "1")

    return _decide(
        request, parts, session, review_id, act, back, version, typed_text=text, not_needed=not_needed == "1"
    )


@router.post("/reviews/{review_id}/edit")
def edit(
    request: Request, parts: Parts, session: MayChange, review_id: Number, version: Version,
    text: Text = "", back: Text = "", not_needed: Text = "",
) -> Response:  # fmt: skip
    marked = not_needed == "1"
    return _decide(
        request, parts, session, review_id,
        lambda agent: parts.desk.edit(review_id, agent, version, text, not_needed=marked), back, version,
        typed_text=text, not_needed=marked,
    )  # fmt: skip


@router.post("/reviews/{review_id}/replace")
def replace(
    request: Request, parts: Parts, session: MayChange, review_id: Number, version: Version,
    text: Text = "", back: Text = "",
) -> Response:  # fmt: skip
    return _decide(
        request, parts, session, review_id,
        lambda agent: parts.desk.replace(review_id, agent, version, text), back, version, typed_instead=text,
    )  # fmt: skip


@router.post("/reviews/{review_id}/reject")
def reject(
    request: Request, parts: Parts, session: MayChange, review_id: Number, version: Version,
    reason: Text = "", words: Text = "", back: Text = "",
) -> Response:  # fmt: skip
    return _decide(
        request, parts, session, review_id,
        lambda agent: parts.desk.reject(review_id, agent, version, reason, words), back, version,
    )  # fmt: skip


@router.post("/reviews/{review_id}/close")
def close(
    request: Request, parts: Parts, session: MayChange, review_id: Number, version: Version,
    why: Text = "", back: Text = "",
) -> Response:  # fmt: skip
    return _decide(
        request, parts, session, review_id,
        lambda agent: parts.desk.close(review_id, agent, version, why), back, version,
    )  # fmt: skip


@router.post("/reviews/{review_id}/spam")
def spam(
    request: Request, parts: Parts, session: MayChange, review_id: Number, version: Version, back: Text = ""
) -> Response:
    return _decide(
        request, parts, session, review_id,
        lambda agent: parts.desk.spam(review_id, agent, version), back, version,
    )  # fmt: skip


@router.post("/reviews/{review_id}/settle")
def settle(
    request: Request, parts: Parts, session: MayChange, review_id: Number, version: Version,
    choice: Text = "", back: Text = "",
) -> Response:  # fmt: skip
    return _decide(
        request, parts, session, review_id,
        lambda agent: parts.desk.resolve_uncertain(review_id, agent, version, choice), back, version,
    )  # fmt: skip


@router.post("/reviews/{review_id}/confirm")
def confirm(
    request: Request, parts: Parts, session: MayChange, review_id: Number, version: Version, back: Text = ""
) -> Response:
    """Have the draft written that a spend cap stopped."""
    return _decide(
        request, parts, session, review_id,
        lambda agent: parts.desk.confirm(review_id, agent, version), back, version,
    )  # fmt: skip


def _decide(
    request: Request,
    parts: WebParts,
    session: Session,
    review_id: int,
    act: Callable[[Agent], Decided],
    back: str,
    version: int,
    *,
    typed_text: str | None = None,
    typed_instead: str | None = None,
    not_needed: bool = False,
) -> Response:
    """Do it and go on to the next ticket of the queue; when refused, show the ticket as it is now."""
    ticket_id = ticket_of(parts.store, review_id)
    try:
        decided = act(session.agent)
    except (ConflictError, InputError, MoveRefused) as error:
        for text, instead in ((typed_text, False), (typed_instead, _has_draft(parts, review_id))):
            if text and text.strip():
                typed.keep(parts.store, review_id, session.agent, text, instead=instead, late=True)
        status = 422 if isinstance(error, InputError) else 409
        return show(
            request, parts, session, ticket_id, back, refused=str(error), status=status,
            seen_version=version, not_needed=not_needed,
        )  # fmt: skip
    parts.hint(decided.ticket_id)
    asked = asked_in(back)
    filters = asked.filters(session.agent.id)
    if filters.state != "open":
        filters = Filters(reader=session.agent.id)
    following = queue.neighbour(parts.store, filters, review_id)
    told = urlencode({"done": decided.action, "t": decided.ticket_id})
    if following is None:
        return RedirectResponse(f"/?{told}" + (f"&{asked.query}" if asked.query else ""), 303)
    return RedirectResponse(f"/tickets/{following}?{told}&{urlencode({'back': asked.query})}", 303)


def _has_draft(parts: WebParts, review_id: int) -> bool:
    """Whether a typed answer stands beside a draft; without one it is the only text there is."""
    found = view(parts.store, ticket_of(parts.store, review_id))
    return any(row["id"] == review_id and row["draft_id"] is not None for row in found.reviews)
