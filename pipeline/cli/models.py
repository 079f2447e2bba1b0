"""Commands that ask models without a database: classify, draft, eval."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.cli.output import Json, as_json, note, print_json, progress, read_jsonl, say, whole_file
from pipeline.errors import InputError

AT_ONCE = 8
"""Rows under way at the same time; the output keeps the input's order."""

In = Annotated[Path, typer.Option("--in", help="JSONL, one row per message")]
Out = Annotated[Path, typer.Option("--out", help="JSONL, in the order of the input")]
ModelName = Annotated[
    str | None, typer.Option("--model", help="a model of routes.toml, or local / templates")
]


def register(app: typer.Typer) -> None:
    app.command()(classify)
    app.command()(draft)
    app.command("eval")(evaluate)


def classify(in_: In, out: Out, model: ModelName = None) -> None:
    """The cheap stage alone: no database, JSONL in and out."""
    from pipeline.assembly import open_brain
    from pipeline.batch import classify_row
    from pipeline.settings import load

    brain = open_brain(load())
    brain.plan("triage", model=model)  # an unknown model is refused before anything is read
    brain.warm()
    _rows(in_, out, "reading", lambda row: classify_row(brain, row, model), model in (None, "local"))


def draft(in_: In, out: Out, model: ModelName = None) -> None:
    """The strong stage alone, on whole threads: no database, JSONL in and out."""
    from pipeline.assembly import open_brain
    from pipeline.batch import draft_row
    from pipeline.settings import load

    brain = open_brain(load())
    brain.plan("draft", model=model)
    brain.warm()
    _rows(in_, out, "drafting", lambda row: draft_row(brain, row, model), model == "templates")


def evaluate(
    task: Annotated[str | None, typer.Argument(help="triage, routine or draft; default: all")] = None,
    models: Annotated[str | None, typer.Option(help="models of routes.toml, separated by commas")] = None,
    cases: Annotated[
        Path | None, typer.Option(help="a cases file; default: the ones beside the prompt")
    ] = None,
    json: Json = False,
) -> None:
    """Each route's prompt on its own cases: quality, latency, cost, and the cheapest model that meets the bar."""
    from pipeline.assembly import open_brain
    from pipeline.evaluation import evaluate as run_cases
    from pipeline.evaluation import lines
    from pipeline.settings import load

    brain = open_brain(load())
    wanted = [name.strip() for name in models.split(",") if name.strip()] if models else None
    with progress("cases", None, quiet=json) as step:
        found = run_cases(brain, task, wanted, cases, step)
    if json:
        print_json([result.to_json() for result in found])
        return
    for line in lines(found):
        say(line)


def _rows(
    in_: Path, out: Path, what: str, work: Callable[[dict[str, Any]], dict[str, Any]], one_by_one: bool
) -> None:
    rows = read_jsonl(in_)
    done = 0
    with whole_file(out) as file, progress(what, None) as step:
        results: Iterable[dict[str, Any]] = (
            (_numbered(in_, number, row, work) for number, row in rows)
            if one_by_one  # the built-in parts only compute: threads would take turns
            else _in_parallel(in_, rows, work)
        )
        for result in results:
            file.write(as_json(result) + "\n")
            done += 1
            step()
    note(f"{done} rows written to {out}")


def _in_parallel(
    in_: Path, rows: Iterator[tuple[int, dict[str, Any]]], work: Callable[[dict[str, Any]], dict[str, Any]]
) -> Iterator[dict[str, Any]]:
    from collections import deque
    from concurrent.futures import Future

    waiting: deque[Future[dict[str, Any]]] = deque()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for number, row in rows:
            waiting.append(pool.submit(_numbered, in_, number, row, work))
            if len(waiting) >= AT_ONCE * 4:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _numbered(
    in_: Path, number: int, row: dict[str, Any], work: Callable[[dict[str, Any]], dict[str, Any]]
) -> dict[str, Any]:
    try:
        return work(row)
    except InputError as error:
        raise InputError(f"{in_}:{number}: {error}") from None
