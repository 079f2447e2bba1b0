"""What people do to a ticket without deciding its row: take, assign, note, put right, reopen; and mentions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Form, Request
from starlette.responses import RedirectResponse, Response

from pipeline.errors import ConflictError, InputError, MoveRefused
from pipeline.review import notes
from pipeline.review.agents import Agent
from pipeline.review.corrections import correct, correct_fields
from pipeline.review.sessions import Session
from pipeline.review.view import ticket_of
from pipeline.web.parts import WebParts
from pipeline.web.render import page
from pipeline.web.sessions import LoggedIn, MayChange, Number, Parts
from pipeline.web.ticket import Text, Version, address, show

router = APIRouter(include_in_schema=False)

Texts = Annotated[list[str] | None, Form()]


@router.post("/reviews/{review_id}/claim")
def claim(
    request: Request,
    parts: Parts,
    session: MayChange,
    review_id: Number,
    take_over: Text = "",
    back: Text = "",
) -> Response:
    return _change(
        request, parts, session, ticket_of(parts.store, review_id), back,
        lambda agent: parts.desk.claim(review_id, agent, take_over=take_over == "1"),
    )  # fmt: skip


@router.post("/reviews/{review_id}/release")
def release(
    request: Request, parts: Parts, session: MayChange, review_id: Number, back: Text = ""
) -> Response:
    return _change(
        request, parts, session, ticket_of(parts.store, review_id), back,
        lambda agent: parts.desk.release(review_id, agent),
    )  # fmt: skip


@router.post("/reviews/{review_id}/note")
def note(
    request: Request, parts: Parts, session: MayChange, review_id: Number, text: Text = "", back: Text = ""
) -> Response:
    return _change(
        request, parts, session, ticket_of(parts.store, review_id), back,
        lambda agent: parts.desk.note(review_id, agent, text), note=text,
    )  # fmt: skip


@router.post("/tickets/{ticket_id}/assign")
def assign(
    request: Request, parts: Parts, session: MayChange, ticket_id: Number, version: Version,
    to: Text = "", back: Text = "",
) -> Response:  # fmt: skip
    """Give the ticket to a colleague by address, or to nobody."""
    return _change(
        request, parts, session, ticket_id, back,
        lambda agent: parts.desk.assign(ticket_id, agent, version, to), version,
    )  # fmt: skip


@router.post("/tickets/{ticket_id}/correct")
def put_right(
    request: Request, parts: Parts, session: MayChange, ticket_id: Number, version: Version,
    topic: Text = "", language: Text = "", urgency: Text = "", emotion: Text = "", back: Text = "",
) -> Response:  # fmt: skip
    given = {"topic": topic, "language": language, "urgency": urgency, "emotion": emotion}
    changes = {name: value for name, value in given.items() if value}
    return _change(
        request, parts, session, ticket_id, back,
        lambda agent: correct(parts.store, ticket_id, agent, version, changes, parts.teams), version,
    )  # fmt: skip


@router.post("/tickets/{ticket_id}/fields")
def put_fields_right(
    request: Request, parts: Parts, session: MayChange, ticket_id: Number, version: Version,
    name: Texts = None, old: Texts = None, new: Texts = None, back: Text = "",
) -> Response:  # fmt: skip
    """Each value with its field as it was and as it is to be; empty takes it out, an empty `old` puts one in."""

    def act(agent: Agent) -> object:
        rows = list(zip(name or [], old or [], new or [], strict=False))
        changed = [(field, was.strip(), to.strip()) for field, was, to in rows if was.strip() != to.strip()]
        return correct_fields(
            parts.store, ticket_id, agent, version,
            removed=[(field, was) for field, was, _to in changed if was],
            added=[(field, to) for field, _was, to in changed if to],
        )  # fmt: skip

    return _change(request, parts, session, ticket_id, back, act, version)


@router.post("/tickets/{ticket_id}/reopen")
def reopen(
    request: Request, parts: Parts, session: MayChange, ticket_id: Number, version: Version,
    why: Text = "", back: Text = "",
) -> Response:  # fmt: skip
    return _change(
        request, parts, session, ticket_id, back,
        lambda agent: parts.desk.reopen(ticket_id, agent, version, why), version,
    )  # fmt: skip


@router.post("/tickets/{ticket_id}/withdraw")
def withdraw(
    request: Request, parts: Parts, session: MayChange, ticket_id: Number, version: Version, back: Text = ""
) -> Response:
    return _change(
        request, parts, session, ticket_id, back,
        lambda agent: parts.desk.withdraw(ticket_id, agent, version), version,
    )  # fmt: skip


@router.get("/mentions")
def mentions(request: Request, parts: Parts, session: LoggedIn) -> Response:
    return page(request, "mentions.html", session, found=notes.mentions_of(parts.store, session.agent))


@router.post("/mentions/seen")
def mentions_seen(parts: Parts, session: MayChange) -> Response:
    notes.seen(parts.store, session.agent)
    return RedirectResponse("/mentions", 303)


def _change(
    request: Request,
    parts: WebParts,
    session: Session,
    ticket_id: int,
    back: str,
    act: Callable[[Agent], object],
    version: int | None = None,
    note: str = "",
) -> Response:
    """Do it and show the ticket anew; when refused, show it as it is now with what happened since."""
    try:
        act(session.agent)
    except (ConflictError, InputError, MoveRefused) as error:
        status = 422 if isinstance(error, InputError) else 409
        return show(
            request, parts, session, ticket_id, back, refused=str(error), status=status, seen_version=version,
            note=note,
        )  # fmt: skip
    return RedirectResponse(address(ticket_id, back), 303)
