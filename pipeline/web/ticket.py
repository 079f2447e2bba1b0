"""The ticket page: what it shows, how it is shown after a refused action, and what it asks for by itself."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Form, Request
from starlette.responses import RedirectResponse, Response

from pipeline.db.types import now
from pipeline.lifecycle import Status
from pipeline.review import marks, notes, presence, snoozing, typed
from pipeline.review.corrections import FIELDS
from pipeline.review.diff import diff
from pipeline.review.sessions import Session
from pipeline.review.view import attachment, since, ticket_of, view
from pipeline.web.hand import Asked, hand
from pipeline.web.parts import WebParts
from pipeline.web.queue import asked_in, just_done
from pipeline.web.render import clean, page
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
    return show(request, parts, session, ticket_id, back, done=done, done_ticket=t)


@router.get("/reviews/{review_id}")
def by_review(parts: Parts, session: LoggedIn, review_id: Number) -> Response:
    return RedirectResponse(f"/tickets/{ticket_of(parts.store, review_id)}", 303)


@router.get("/attachments/{attachment_id}")
def download(parts: Parts, session: LoggedIn, attachment_id: Number) -> Response:
    """Always a download, never shown: what a customer sent is not opened within our page."""
    found = attachment(parts.store, attachment_id)
    name = clean(
        found.filename
    )  # as the page shows it: a turned-round name would hide what kind of file it is
    ascii_name = "".join(c if c.isascii() and (c.isalnum() or c in "._- ") else "_" for c in name)
    return Response(
        found.data,
        media_type="application/octet-stream",
        headers={
            "content-disposition": f'attachment; filename="{ascii_name[:100] or "attachment"}"; '
            f"filename*=UTF-8''{quote(name[:200], safe='')}",
            "content-security-policy": "sandbox; default-src 'none'",
        },
    )


# --- what the page asks for by itself -------------------------------------------------------------------


@router.post("/reviews/{review_id}/seen")
def seen(parts: Parts, session: MayChange, review_id: Number) -> Response:
    parts.desk.seen(review_id)
    return Response(status_code=204)


@router.post("/tickets/{ticket_id}/here")
def here(
    request: Request, parts: Parts, session: MayChange, ticket_id: Number, version: Version,
    typing: Text = "", leaving: Text = "",
) -> Response:  # fmt: skip
    """The page is open: who else has it open, and what happened since it was made."""
    if leaving == "1":
        presence.gone(parts.store, ticket_id, session.agent)
        return Response(status_code=204)
    presence.here(parts.store, ticket_id, session.agent, typing=typing == "1")
    notes.seen(parts.store, session.agent, ticket_id)
    now_at, moves = since(parts.store, ticket_id, version)
    return page(
        request,
        "_here.html",
        session,
        others=presence.others(parts.store, ticket_id, session.agent),
        changed=now_at > version,
        since=moves,
        ticket_id=ticket_id,
    )


@router.post("/reviews/{review_id}/diff")
def live_diff(
    request: Request, parts: Parts, session: MayChange, review_id: Number, text: Text = ""
) -> Response:
    """What the typed text changes in the draft, and which doubtful claims still stand in it; the text is kept."""
    typed.keep(parts.store, review_id, session.agent, text)
    draft = view(parts.store, ticket_of(parts.store, review_id)).draft
    pieces = diff(draft["text"], text, draft["language"]) if draft else []
    claims = marks.unsupported(draft["claims"]) if draft else []
    return page(request, "_diff.html", session, pieces=pieces, standing=marks.find(text, claims))


@router.post("/reviews/{review_id}/typed")
def keep_typed(
    parts: Parts, session: MayChange, review_id: Number, text: Text = "", instead: Text = ""
) -> Response:
    """Keep what is being typed where there is no draft, or beside it."""
    typed.keep(parts.store, review_id, session.agent, text, instead=instead == "1")
    return Response(status_code=204)


@router.post("/reviews/{review_id}/forget")
def forget_typed(parts: Parts, session: MayChange, review_id: Number, back: Text = "") -> Response:
    """Throw away what was typed on this row."""
    typed.forget(parts.store, review_id, session.agent)
    return RedirectResponse(address(ticket_of(parts.store, review_id), back), 303)


# --- the page ---------------------------------------------------------------------------------------------


def address(ticket_id: int, back: str) -> str:
    """The ticket's page, with the way back to the queue as it was filtered."""
    query = asked_in(back).query
    return f"/tickets/{ticket_id}" + (f"?{urlencode({'back': query})}" if query else "")


def show(
    request: Request,
    parts: WebParts,
    session: Session,
    ticket_id: int,
    back: str,
    *,
    status: int = 200,
    refused: str | None = None,
    seen_version: int | None = None,
    done: str = "",
    done_ticket: int | None = None,
    asked: Asked | None = None,
    note: str = "",
    not_needed: bool = False,
) -> Response:
    """The ticket as it is now. `refused` says why an action was not done, and what happened since
    `seen_version` stands beside it. What the agent typed and did not send is in its editor again, and a
    `note` that was refused in its box; `not_needed` is the agent's tick on a strong draft."""
    found = view(parts.store, ticket_id)
    review = found.review if found.review and found.review["state"] == "open" else None
    draft = found.draft if review else None
    unsent = typed.of(parts.store, ticket_id, session.agent)
    edited = next((one for one in unsent if one.open and not one.instead), None)
    instead = next((one for one in unsent if one.open and one.instead), None)
    claims = marks.unsupported(draft["claims"]) if draft else []
    with parts.store.read() as connection:
        colleagues = notes.colleagues(connection, ticket_id)
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
        typed=edited,
        instead=instead,
        lost=[one for one in unsent if not one.open],
        claims=claims,
        pieces=diff(draft["text"], edited.text, draft["language"]) if draft and edited else None,
        standing=marks.find(edited.text, claims) if edited else [],
        refused=refused,
        since=since(parts.store, ticket_id, seen_version)[1] if seen_version is not None else (),
        others=presence.others(parts.store, ticket_id, session.agent),
        colleagues=colleagues,
        snoozed=bool(review and review["snoozed_until"] and review["snoozed_until"] > now()),
        snoozes=snoozing.CHOICES,
        field_names=FIELDS,
        back=asked_in(back).query,
        topics=sorted(parts.routes.topics),
        languages=parts.routes.languages,
        **just_done(parts, session.agent, done, done_ticket),
        answer_to=found.answers_to(parts.desk.own_addresses),
        hand=hand(parts, found, session, asked),
        note_again=note,
        not_needed=not_needed,
    )
