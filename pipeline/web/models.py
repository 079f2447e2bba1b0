"""The models in an agent's hand: another draft, a polish, two side by side, help with a text.

Each is a form that answers when the model has: without JavaScript the page waits, with it the button says so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from pipeline.assembly import Parts as LiveParts
from pipeline.drafting.writing import Written
from pipeline.errors import (
    AllModelsFailed,
    ConflictError,
    InputError,
    MoveRefused,
    NeedsAgreement,
    NotFoundError,
    OneSided,
)
from pipeline.review import marks, preferences, typed
from pipeline.review.sessions import Session
from pipeline.review.view import ticket_of, view
from pipeline.steps import redrafting
from pipeline.web.hand import Asked
from pipeline.web.parts import WebParts
from pipeline.web.queue import asked_in
from pipeline.web.render import page, usd
from pipeline.web.sessions import LoggedIn, MayChange, Number, Parts
from pipeline.web.ticket import Text, Version, address, show

router = APIRouter(include_in_schema=False)

KEPT_TEXTS = 5
"""So many steps of the writing tools can be taken back without JavaScript."""
_DONE = {
    "grammar": "Grammar fixed",
    "shorten": "Shortened",
    "formal": "Made more formal",
    "friendly": "Made friendlier",
    "translate": "Translated",
}


@router.post("/reviews/{review_id}/regenerate")
def regenerate(
    request: Request, parts: Parts, session: MayChange, review_id: Number, version: Version,
    model: Text = "", confirmed: Text = "", text: Text = "", back: Text = "",
) -> Response:  # fmt: skip
    """Have the draft written anew by the chosen model."""

    def act(live: LiveParts) -> str:
        redrafting.redraft(
            live, review_id, session.agent, version, model, confirmed=confirmed == "1", text=_lines(text)
        )
        return address(ticket_of(parts.store, review_id), back)

    asked = Asked("regenerate", model)
    return _do(request, parts, session, review_id, version, back, act, asked, text)


@router.post("/reviews/{review_id}/refine")
def refine(
    request: Request, parts: Parts, session: MayChange, review_id: Number, version: Version,
    model: Text = "", confirmed: Text = "", text: Text = "", back: Text = "",
) -> Response:  # fmt: skip
    """Have the draft polished by the chosen model."""

    def act(live: LiveParts) -> str:
        redrafting.refine(
            live, review_id, session.agent, version, model, confirmed=confirmed == "1", text=_lines(text)
        )
        return address(ticket_of(parts.store, review_id), back)

    return _do(request, parts, session, review_id, version, back, act, Asked("refine", model), text)


@router.post("/reviews/{review_id}/compare")
def compare(
    request: Request, parts: Parts, session: MayChange, review_id: Number, version: Version,
    model: Text = "", against: Text = "", confirmed: Text = "", text: Text = "", back: Text = "",
) -> Response:  # fmt: skip
    """Have two models draft side by side."""

    def act(live: LiveParts) -> str:
        made = redrafting.compare(
            live, review_id, session.agent, version, [model, against], confirmed=confirmed == "1",
            text=_lines(text),
        )  # fmt: skip
        _keep(parts, session, review_id, text)
        return f"/comparisons/{made}?{urlencode({'back': asked_in(back).query})}"

    asked = Asked("compare", model, against)
    return _do(request, parts, session, review_id, version, back, act, asked, text)


@router.post("/reviews/{review_id}/writing")
def help_with_text(
    request: Request, parts: Parts, session: MayChange, review_id: Number, version: Version,
    tool: Text = "", text: Text = "", before: Annotated[list[str] | None, Form()] = None, back: Text = "",
) -> Response:  # fmt: skip
    """Rework the text in the editor. The script takes JSON; without it the page comes back with the text
    before beside the new one."""
    text = _lines(text)
    kept = [_lines(one) for one in before or []]
    in_place = "application/json" in request.headers.get("accept", "")
    ticket_id = ticket_of(parts.store, review_id)
    if tool == "undo":
        _keep(parts, session, review_id, kept[-1] if kept else text)
        asked = Asked(before=tuple(kept[:-1]), said="Taken back." if kept else "")
        return show(request, parts, session, ticket_id, back, asked=asked)
    try:
        written = redrafting.help_write(_live(parts), review_id, session.agent, tool, text)
    except (ConflictError, InputError, AllModelsFailed) as error:
        if in_place:
            return JSONResponse({"error": f"{error}."}, _status(error))
        _keep(parts, session, review_id, text)
        return show(
            request, parts, session, ticket_id, back, refused=str(error), status=_status(error),
            asked=Asked(before=tuple(kept)),
        )  # fmt: skip
    if in_place:
        return JSONResponse({"text": written.text, "said": _said(tool, written)})
    _keep(parts, session, review_id, written.text)
    asked = Asked(before=tuple([*kept, text][-KEPT_TEXTS:]), said=_said(tool, written))
    return show(request, parts, session, ticket_id, back, asked=asked)


# --- two side by side ---------------------------------------------------------------------------------


@router.get("/comparisons/{comparison_id}")
def comparison_page(
    request: Request, parts: Parts, session: LoggedIn, comparison_id: Number, back: str = ""
) -> Response:
    return _side_by_side(request, parts, session, comparison_id, back)


@router.post("/comparisons/{comparison_id}/choose")
def choose(
    request: Request, parts: Parts, session: MayChange, comparison_id: Number, version: Version,
    choice: Text = "", back: Text = "",
) -> Response:  # fmt: skip
    try:
        ticket_id = preferences.choose(parts.store, comparison_id, session.agent, version, choice)
    except (ConflictError, InputError, MoveRefused) as error:
        return _side_by_side(
            request, parts, session, comparison_id, back, refused=str(error), status=_status(error)
        )
    return RedirectResponse(address(ticket_id, back), 303)


def _side_by_side(
    request: Request,
    parts: WebParts,
    session: Session,
    comparison_id: int,
    back: str,
    *,
    refused: str | None = None,
    status: int = 200,
) -> Response:
    found = preferences.comparison(parts.store, comparison_id)
    ticket = view(parts.store, found.ticket["id"])
    asks = [message for message in ticket.messages if message["id"] == found.left["message_id"]]
    return page(
        request,
        "compare.html",
        session,
        status=status,
        c=found,
        message=asks[0] if asks else None,
        sides=[
            (letter, name, draft, marks.unsupported(draft["claims"]))
            for letter, (name, draft) in zip("AB", found.sides, strict=True)
        ],
        refused=refused,
        back=asked_in(back).query,
    )


# --- how each of them answers ---------------------------------------------------------------------------


def _do(
    request: Request,
    parts: WebParts,
    session: Session,
    review_id: int,
    version: int,
    back: str,
    act: Callable[[LiveParts], str],
    asked: Asked,
    text: str,
) -> Response:
    """Do it and go where it says; a cap to be agreed to is a question, a refusal shows the ticket as it is now."""
    ticket_id = ticket_of(parts.store, review_id)
    try:
        return RedirectResponse(act(_live(parts)), 303)
    except (ConflictError, InputError, MoveRefused, AllModelsFailed) as error:
        if not isinstance(error, OneSided):  # then the text is a note by now: it was no edit of that draft
            _keep(parts, session, review_id, text)
        if isinstance(error, NeedsAgreement):
            asked = Asked(asked.action, asked.model, asked.against, question=str(error))
            return show(request, parts, session, ticket_id, back, status=409, asked=asked)
        return show(
            request, parts, session, ticket_id, back, refused=str(error), status=_status(error),
            seen_version=version, asked=Asked(model=asked.model, against=asked.against),
        )  # fmt: skip


def _live(parts: WebParts) -> LiveParts:
    if parts.models is None:
        raise NotFoundError("this page was started without models")
    return parts.models


def _status(error: Exception) -> int:
    if isinstance(error, AllModelsFailed):
        return 502
    return 422 if isinstance(error, InputError) else 409


def _keep(parts: WebParts, session: Session, review_id: int, text: str) -> None:
    """What was typed is in the editor again when the page comes back."""
    if text.strip():
        typed.keep(parts.store, review_id, session.agent, text)


def _lines(text: str) -> str:
    """A text as it was typed: forms send every line's end as two characters."""
    return text.replace("\r\n", "\n")


def _said(tool: str, written: Written) -> str:
    told = f"{_DONE[tool]} by {written.model}, {usd(written.cost_usd)}."
    return " ".join([told, *written.warnings])
