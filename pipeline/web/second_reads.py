"""Second reads: drafts that somebody approved, judged once more by a colleague who is not told what became of them."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from pipeline.errors import InputError
from pipeline.review import second_reads
from pipeline.review.sessions import Session
from pipeline.web.parts import WebParts
from pipeline.web.render import page
from pipeline.web.sessions import LoggedIn, MayChange, Number, Parts
from pipeline.web.ticket import Text

router = APIRouter(include_in_schema=False)


@router.get("/second-reads")
def list_page(request: Request, parts: Parts, session: LoggedIn, done: str = "") -> Response:
    found = second_reads.waiting(parts.store, session.agent)
    return page(request, "second_reads.html", session, found=found, done=done == "1")


@router.get("/second-reads/{second_read_id}")
def read_page(request: Request, parts: Parts, session: LoggedIn, second_read_id: Number) -> Response:
    return _show(request, parts, session, second_read_id)


@router.post("/second-reads/{second_read_id}")
def judge(
    request: Request, parts: Parts, session: MayChange, second_read_id: Number,
    verdict: Text = "", note: Text = "",
) -> Response:  # fmt: skip
    """Keep the verdict and go on to the next one that waits."""
    try:
        second_reads.judge(parts.store, session.agent, second_read_id, verdict, note)
    except InputError as error:
        return _show(request, parts, session, second_read_id, wrong=str(error), note=note)
    following = second_reads.waiting(parts.store, session.agent, 1)
    return RedirectResponse(f"/second-reads/{following[0].id}" if following else "/second-reads?done=1", 303)


def _show(
    request: Request,
    parts: WebParts,
    session: Session,
    second_read_id: int,
    *,
    wrong: str = "",
    note: str = "",
) -> Response:
    found = second_reads.blind(parts.store, session.agent, second_read_id)
    return page(
        request,
        "second_read.html",
        session,
        status=422 if wrong else 200,
        found=found,
        verdicts=second_reads.VERDICTS,
        wrong=wrong,
        note=note,
    )
