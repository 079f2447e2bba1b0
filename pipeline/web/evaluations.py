"""The runs of `triage eval` in this process's TRIAGE_HOME, and two of them side by side; for leads and admins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from pipeline.errors import InputError, NotFoundError
from pipeline.evaluation import runs
from pipeline.evaluation.comparing import compare
from pipeline.evaluation.results import ModelResult, Result, load, money
from pipeline.evaluation.runs import RunFolder
from pipeline.evaluation.showing import again
from pipeline.review.sessions import Session
from pipeline.web.render import page
from pipeline.web.sessions import Parts, SeesAll

router = APIRouter(include_in_schema=False)

NEWEST = 50
EXCERPT_CHARS = 600
FAILED_SHOWN = 100
CACHED = 128


def _lead(session: SeesAll) -> Session:
    """The session of a lead or an admin who sees every inbox: cases may be tickets of any; raises 403."""
    if session.agent.role not in ("lead", "admin"):
        raise HTTPException(403, "only a lead or an admin may see this")
    return session


Lead = Annotated[Session, Depends(_lead)]


def _root(parts: Parts) -> Path:
    if parts.evaluations is None:
        raise NotFoundError("this page was started without a folder for evaluations")
    return parts.evaluations


Root = Annotated[Path, Depends(_root)]


@dataclass(frozen=True)
class Row:
    """A run in the list; `damaged` says what is wrong with one that cannot be read."""

    name: str
    result: Result | None
    damaged: str = ""


@router.get("/evaluations")
def list_page(request: Request, session: Lead, root: Root) -> Response:
    rows = sorted((_row(folder) for folder in runs.every(root)), key=_newest_first, reverse=True)
    sides = _sides([row.result for row in rows[:NEWEST] if row.result])
    return page(
        request,
        "evaluations.html",
        session,
        rows=rows[:NEWEST],
        older=max(0, len(rows) - NEWEST),
        root=root,
        sides=sides,
        pair=_pair(sides),
        money=money,
    )


@router.get("/evaluations/run/{name}")
def run_page(request: Request, session: Lead, root: Root, name: str) -> Response:
    folder = _folder(root, name)
    result = _load(folder)
    return page(
        request,
        "evaluation.html",
        session,
        result=result,
        again=again(result),
        sides=_sides([row.result for row in map(_row, runs.every(root)) if row.result]),
        first=next((f"{name}:{model.model}" for model in result.tried), ""),
        failed_shown=FAILED_SHOWN,
        money=money,
        figure=figure,
    )


@router.get("/evaluations/compare")
def compare_page(
    request: Request, session: Lead, root: Root, a: str = "", b: str = "", measure: str = "passed"
) -> Response:
    first, second = _side(root, a), _side(root, b)
    if first[0].task != second[0].task:
        raise InputError(f"{first[0].task} and {second[0].task} cannot be compared; choose two of one task")
    found = compare(first[1], second[1])
    cases = {str(case.get("id")): case for name in (a, b) for case in _folder(root, _split(name)[0]).cases()}
    flips = found.flips(measure)
    return page(
        request,
        "comparison.html",
        session,
        a=a,
        b=b,
        first=first,
        second=second,
        found=found,
        measure=measure,
        flips=flips,
        excerpts={flip.case: excerpt(cases.get(flip.case, {})) for flip in flips},
        sides=_sides([row.result for row in map(_row, runs.every(root)) if row.result]),
        answer_rows=answer_rows,
        figure=figure,
    )


def figure(measure: str, value: float | None, *, sign: bool = False) -> str:
    """A measure's value as people read it: a share in percent, a time in ms, money in dollars."""
    if value is None:
        return "–"
    plus = "+" if sign and value > 0 else "−" if sign and value < 0 else ""
    size = abs(value) if sign else value
    if measure.endswith("_ms"):
        return f"{plus}{size:.0f} ms"
    if measure.endswith("_usd"):
        return f"{plus}{money(Decimal(repr(size)))}"
    return f"{plus}{size:.1%}"


def excerpt(case: Mapping[str, Any]) -> str:
    """What a case was about: its message, the last one of its thread, or its text; cut."""
    thread = case.get("thread")
    messages = case.get("messages") or (thread.get("messages") if isinstance(thread, dict) else None)
    text = str(messages[-1].get("text", "")) if messages else str(case.get("body") or case.get("text") or "")
    subject = str(case.get("subject") or (thread.get("subject") if isinstance(thread, dict) else "") or "")
    whole = "\n".join(part for part in (subject, text) if part)
    return whole if len(whole) <= EXCERPT_CHARS else f"{whole[:EXCERPT_CHARS]} …"


def answer_rows(
    answer: Mapping[str, Any] | None, other: Mapping[str, Any] | None
) -> list[tuple[str, str, bool]]:
    """(name, value, whether the other answer has it differently) for each part of an answer."""
    if answer is None:
        return [("answer", "none that could be used", other is not None)]
    rows = []
    for name, value in answer.items():
        differs = other is not None and other.get(name) != value
        rows.append((name, _shown(value), differs))
    return rows


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{name}: {_shown(item)}" for name, item in value.items()) or "none"
    if isinstance(value, list):
        items = (str(item.get("value", item)) if isinstance(item, dict) else str(item) for item in value)
        return ", ".join(items) or "none"
    return str(value)


def _sides(results: list[Result]) -> list[tuple[str, str]]:
    """(value, label) of everything that can be compared: a run's model that answered, the newest first."""
    ordered = sorted(results, key=lambda result: result.header.started, reverse=True)
    return [
        (
            f"{result.header.run}:{model.model}",
            f"{result.task} · {model.model} · {result.header.run}",
        )
        for result in ordered[:NEWEST]
        for model in result.tried
        if model.asked
    ]


def _pair(sides: list[tuple[str, str]]) -> tuple[str, str]:
    """What is compared unless somebody chooses: the newest two of one task, the older one first."""
    for number, (value, label) in enumerate(sides):
        for older, other in sides[number + 1 :]:
            if label.split(" · ")[0] == other.split(" · ")[0]:
                return older, value
    return "", ""


def _split(side: str) -> tuple[str, str]:
    name, _, model = side.partition(":")
    return name, model


def _side(root: Path, side: str) -> tuple[Result, ModelResult]:
    name, key = _split(side)
    result = _load(_folder(root, name))
    model = next((model for model in result.tried if model.model == key), None)
    if model is None:
        raise NotFoundError(f"the run {name} has no answers of that model; choose another")
    return result, model


def _folder(root: Path, name: str) -> RunFolder:
    folder = runs.find(root, name)
    if folder is None:
        raise NotFoundError("There is no such run here.")
    return folder


def _row(folder: RunFolder) -> Row:
    try:
        return Row(folder.name, _load(folder))
    except InputError as error:
        return Row(folder.name, None, str(error))


def _newest_first(row: Row) -> tuple[bool, str]:
    return row.result is not None, row.result.header.started.isoformat() if row.result else row.name


def _load(folder: RunFolder) -> Result:
    names = ("run.json", "ended.json", *runs.FILES)
    stamps = []
    for name in names:
        path = folder.path / name
        stamps.append((path.stat().st_mtime_ns, path.stat().st_size) if path.exists() else None)
    return _loaded(folder.path, tuple(stamps))


@lru_cache(maxsize=CACHED)
def _loaded(path: Path, _stamps: tuple[tuple[int, int] | None, ...]) -> Result:
    """A run as its files stand; the stamps are there so that a changed one is read again."""
    return load(RunFolder(path))
