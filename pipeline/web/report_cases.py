"""Make it a test case: what an agent did, as a redacted row of its prompt's cases, for a person to confirm."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response

from pipeline.assembly import Parts as LiveParts
from pipeline.errors import ConflictError, InputError
from pipeline.learning import cases
from pipeline.learning.cases import Offer
from pipeline.review.diff import diff
from pipeline.review.sessions import Session
from pipeline.web.render import page
from pipeline.web.sessions import Lead, LeadMayChange, Number, Parts

router = APIRouter(include_in_schema=False)

Text = Annotated[str, Form()]


def _live(parts: Parts, _session: Lead) -> LiveParts:
    if parts.models is None:
        raise HTTPException(404, "This page was started without the prompts that cases are of.")
    return parts.models


Live = Annotated[LiveParts, Depends(_live)]


@router.get("/reviews/{review_id}/case")
def of_review(request: Request, live: Live, session: Lead, review_id: Number, done: str = "") -> Response:
    return _show(request, session, cases.of_review(live, review_id), done=done == "1")


@router.post("/reviews/{review_id}/case")
def keep_of_review(
    request: Request,
    live: Live,
    session: LeadMayChange,
    review_id: Number,
    text: Text = "",
    not_personal: Text = "",
) -> Response:
    return _keep(request, live, session, cases.of_review(live, review_id), text, not_personal == "1")


@router.get("/messages/{message_id}/case")
def of_message(request: Request, live: Live, session: Lead, message_id: Number, done: str = "") -> Response:
    return _show(request, session, cases.of_message(live, message_id), done=done == "1")


@router.post("/messages/{message_id}/case")
def keep_of_message(
    request: Request,
    live: Live,
    session: LeadMayChange,
    message_id: Number,
    text: Text = "",
    not_personal: Text = "",
) -> Response:
    return _keep(request, live, session, cases.of_message(live, message_id), text, not_personal == "1")


def _keep(
    request: Request, live: LiveParts, session: Session, offer: Offer, text: str, not_personal: bool
) -> Response:
    try:
        cases.keep(live, offer, session.agent, text, not_personal=not_personal)
    except (InputError, ConflictError) as error:
        return _show(request, session, offer, wrong=str(error), text=text, status=422)
    return RedirectResponse(f"{request.url.path}?done=1", 303)


def _show(
    request: Request,
    session: Session,
    offer: Offer,
    *,
    wrong: str = "",
    text: str | None = None,
    status: int = 200,
    done: bool = False,
) -> Response:
    return page(
        request,
        "make_case.html",
        session,
        status=status,
        offer=offer,
        text=offer.text if text is None else text,
        pieces=diff(offer.draft, offer.sent, offer.language) if offer.sent else (),
        wrong=wrong,
        may_be_personal="looks like" in wrong,
        done=done and offer.kept,
    )
