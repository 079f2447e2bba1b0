"""The ticket page and its actions. Every action is a form; a refused one keeps the typed text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Form, Request
from starlette.responses import RedirectResponse, Response

from pipeline.errors import ConflictError, InputError, MoveRefused
from pipeline.lifecycle import Status
from pipeline.review import queue
from pipeline.review.agents import Agent
from pipeline.review.corrections import correct
from pipeline.review.desk import Decided
from pipeline.review.diff import diff
from pipeline.review.queue import Filters
from pipeline.review.sessions import Session
from pipeline.review.view import attachment, ticket_of, view
from pipeline.web.parts import WebParts
from pipeline.web.queue import asked_in, undo_version
from pipeline.web.render import page
from pipeline.web.sessions import LoggedIn, MayChange, Number, Parts

router = APIRouter(include_in_schema=False)

Text = Annotated[str, Form()]
Version = Annotated[int, Form(ge=0, le=2**31)]


@router.get("/tickets/{ticket_id}")
def ticket_page(
    request: Request,
    parts: Parts,
    session: LoggedIn,
    ticket_id: Number,
    back: str = "",
    done: str = "",
    t: int | None = None,
) -> Response:
    return _show(request, parts, session, ticket_id, back, done=done, done_ticket=t)


@router.get("/reviews/{review_id}")
def by_review(parts: Parts, session: LoggedIn, review_id: Number) -> Response:
    return RedirectResponse(f"/tickets/{ticket_of(parts.store, review_id)}", 303)


@router.get("/attachments/{attachment_id}")
def download(parts: Parts, session: LoggedIn, attachment_id: Number) -> Response:
    """Always a download, never shown: what a customer sent is not opened within our page."""
    found = attachment(parts.store, attachment_id)
    ascii_name = "".join(c if c.isascii() and (c.isalnum() or c in "._- ") else "_" for c in found.filename)
    return Response(
        found.data,
        media_type="application/octet-stream",
        headers={
            "content-disposition": f'attachment; filename="{ascii_name[:100] or "attachment"}"; '
            f"filename*=UTF-8''{quote(found.filename[:200], safe='')}",
            "content-security-policy": "sandbox; default-src 'none'",
        },
    )


# --- answers ------------------------------------------------------------------------------------------


@router.post("/reviews/{review_id}/approve")
def approve(
    request: Request, parts: Parts, session: MayChange, review_id: Number, version: Version,
    text: Text = "", back: Text = "",
) -> Response:  # fmt: skip
    """Send the draft as it is. A text that was changed is never thrown away: it is refused here and kept."""

    def act(agent: Agent) -> Decided:
        draft = view(parts.store, ticket_of(parts.store, review_id)).draft
        if text.strip() and draft is not None and text.split() != draft["text"].split():
            raise InputError("you changed the text: send it as your edit, or put the draft back first")
        return parts.desk.approve(review_id, agent, version)

    return _decide(request, parts, session, review_id, act, back, typed=text)


@router.post("/reviews/{review_id}/edit")
def edit(
    request: Request, parts: Parts, session: MayChange, review_id: Number, version: Version,
    text: Text = "", back: Text = "",
) -> Response:  # fmt: skip
    return _decide(
        request, parts, session, review_id,
        lambda agent: parts.desk.edit(review_id, agent, version, text), back, typed=text,
    )  # fmt: skip


@router.post("/reviews/{review_id}/replace")
def replace(
    request: Request, parts: Parts, session: MayChange, review_id: Number, version: Version,
    text: Text = "", back: Text = "",
) -> Response:  # fmt: skip
    return _decide(
        request, parts, session, review_id,
        lambda agent: parts.desk.replace(review_id, agent, version, text), back, typed_instead=text,
    )  # fmt: skip


@router.post("/reviews/{review_id}/reject")
def reject(
    request: Request, parts: Parts, session: MayChange, review_id: Number, version: Version,
    reason: Text = "", words: Text = "", back: Text = "",
) -> Response:  # fmt: skip
    return _decide(
        request, parts, session, review_id,
        lambda agent: parts.desk.reject(review_id, agent, version, reason, words), back,
    )  # fmt: skip


@router.post("/reviews/{review_id}/close")
def close(
    request: Request, parts: Parts, session: MayChange, review_id: Number, version: Version,
    why: Text = "", back: Text = "",
) -> Response:  # fmt: skip
    return _decide(
        request, parts, session, review_id,
        lambda agent: parts.desk.close(review_id, agent, version, why), back,
    )  # fmt: skip


@router.post("/reviews/{review_id}/settle")
def settle(
    request: Request, parts: Parts, session: MayChange, review_id: Number, version: Version,
    choice: Text = "", back: Text = "",
) -> Response:  # fmt: skip
    return _decide(
        request, parts, session, review_id,
        lambda agent: parts.desk.resolve_uncertain(review_id, agent, version, choice), back,
    )  # fmt: skip


@router.post("/reviews/{review_id}/confirm")
def confirm(
    request: Request, parts: Parts, session: MayChange, review_id: Number, version: Version, back: Text = ""
) -> Response:
    """Have the draft written that a spend cap stopped."""
    return _decide(
        request, parts, session, review_id,
        lambda agent: parts.desk.confirm(review_id, agent, version), back,
    )  # fmt: skip


# --- what leaves the row open ---------------------------------------------------------------------------


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
        lambda agent: parts.desk.note(review_id, agent, text),
    )  # fmt: skip


@router.post("/reviews/{review_id}/seen")
def seen(parts: Parts, session: MayChange, review_id: Number) -> Response:
    parts.desk.seen(review_id)
    return Response(status_code=204)


@router.post("/reviews/{review_id}/diff")
def live_diff(
    request: Request, parts: Parts, session: MayChange, review_id: Number, text: Text = ""
) -> Response:
    """What the typed text changes in the draft; stores nothing."""
    draft = view(parts.store, ticket_of(parts.store, review_id)).draft
    pieces = diff(draft["text"], text, draft["language"]) if draft else []
    return page(request, "_diff.html", session, pieces=pieces)


@router.post("/tickets/{ticket_id}/correct")
def put_right(
    request: Request, parts: Parts, session: MayChange, ticket_id: Number, version: Version,
    topic: Text = "", language: Text = "", urgency: Text = "", emotion: Text = "", back: Text = "",
) -> Response:  # fmt: skip
    given = {"topic": topic, "language": language, "urgency": urgency, "emotion": emotion}
    changes = {name: value for name, value in given.items() if value}
    return _change(
        request, parts, session, ticket_id, back,
        lambda agent: correct(parts.store, ticket_id, agent, version, changes, parts.teams),
    )  # fmt: skip


@router.post("/tickets/{ticket_id}/reopen")
def reopen(
    request: Request, parts: Parts, session: MayChange, ticket_id: Number, version: Version,
    why: Text = "", back: Text = "",
) -> Response:  # fmt: skip
    return _change(
        request, parts, session, ticket_id, back,
        lambda agent: parts.desk.reopen(ticket_id, agent, version, why),
    )  # fmt: skip


@router.post("/tickets/{ticket_id}/withdraw")
def withdraw(
    request: Request, parts: Parts, session: MayChange, ticket_id: Number, version: Version, back: Text = ""
) -> Response:
    return _change(
        request, parts, session, ticket_id, back,
        lambda agent: parts.desk.withdraw(ticket_id, agent, version),
    )  # fmt: skip


# --- how each of them answers ---------------------------------------------------------------------------


def _decide(
    request: Request,
    parts: WebParts,
    session: Session,
    review_id: int,
    act: Callable[[Agent], Decided],
    back: str,
    *,
    typed: str | None = None,
    typed_instead: str | None = None,
) -> Response:
    """Do it and go on to the next ticket of the queue; when refused, show the ticket as it is now."""
    ticket_id = ticket_of(parts.store, review_id)
    try:
        decided = act(session.agent)
    except (ConflictError, InputError, MoveRefused) as error:
        status = 422 if isinstance(error, InputError) else 409
        return _show(
            request, parts, session, ticket_id, back,
            refused=str(error), status=status, typed=typed, typed_instead=typed_instead,
        )  # fmt: skip
    parts.hint(decided.ticket_id)
    asked = asked_in(back)
    following = queue.neighbour(parts.store, _open_only(asked.filters(session.agent.id)), review_id)
    told = urlencode({"done": decided.action, "t": decided.ticket_id})
    if following is None:
        return RedirectResponse(f"/?{told}" + (f"&{asked.query}" if asked.query else ""), 303)
    return RedirectResponse(f"/tickets/{following}?{told}&{urlencode({'back': asked.query})}", 303)


def _open_only(filters: Filters) -> Filters:
    return filters if filters.state == "open" else Filters()


def _change(
    request: Request,
    parts: WebParts,
    session: Session,
    ticket_id: int,
    back: str,
    act: Callable[[Agent], object],
) -> Response:
    try:
        act(session.agent)
    except (ConflictError, InputError, MoveRefused) as error:
        status = 422 if isinstance(error, InputError) else 409
        return _show(request, parts, session, ticket_id, back, refused=str(error), status=status)
    query = asked_in(back).query
    return RedirectResponse(
        f"/tickets/{ticket_id}" + (f"?{urlencode({'back': query})}" if query else ""), 303
    )


def _show(
    request: Request,
    parts: WebParts,
    session: Session,
    ticket_id: int,
    back: str,
    *,
    status: int = 200,
    refused: str | None = None,
    typed: str | None = None,
    typed_instead: str | None = None,
    done: str = "",
    done_ticket: int | None = None,
) -> Response:
    found = view(parts.store, ticket_id)
    review = found.review if found.review and found.review["state"] == "open" else None
    draft = found.draft if review else None
    pieces = None
    if draft is not None and typed and typed.split() != draft["text"].split():
        pieces = diff(draft["text"], typed, draft["language"])
    return page(
        request,
        "ticket.html",
        session,
        status=status,
        v=found,
        ticket=found.ticket,
        review=review,
        draft=draft,
        can_answer=review is not None and found.ticket["status"] == Status.IN_REVIEW,
        asks_spend=parts.desk.asks_to_confirm(review),
        uncertain=review is not None and found.ticket["status"] == Status.SEND_UNCERTAIN,
        typed=typed,
        typed_instead=typed_instead,
        pieces=pieces,
        refused=refused,
        back=asked_in(back).query,
        topics=sorted(parts.routes.topics),
        languages=parts.routes.languages,
        done=done,
        done_ticket=done_ticket,
        undo=undo_version(parts, done, done_ticket),
        answer_to=found.answers_to(parts.desk.own_addresses),
    )
