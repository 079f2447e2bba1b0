"""Commands that ask models without a database: classify, draft, eval."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
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
    task: Annotated[
        str | None, typer.Argument(help="triage, routine, draft, summary or writing; default: all")
    ] = None,
    models: Annotated[str | None, typer.Option(help="models of routes.toml, separated by commas")] = None,
    cases: Annotated[
        Path | None, typer.Option(help="a cases file; default: the ones beside the prompt")
    ] = None,
    tickets: Annotated[
        bool, typer.Option("--tickets", help="the team's own reviewed tickets are the cases")
    ] = False,
    since: Annotated[str, typer.Option(help="with --tickets: how far back, like 90d or 12h")] = "90d",
    cap: Annotated[
        float | None, typer.Option(help="US dollars to spend at most; default: routes.toml, budget.day")
    ] = None,
    run: Annotated[
        str | None, typer.Option(help="a name for the run; one that is there is gone on with")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="go on with an unfinished run, or say that there is none")
    ] = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="begin anew, though the same was asked and not finished")
    ] = False,
    judge: Annotated[
        str | None, typer.Option(help="a model that judges drafts and summaries too; shown apart")
    ] = None,
    batch: Annotated[
        bool, typer.Option("--batch", help="ask through the batch APIs: half the price, up to a day")
    ] = False,
    json: Json = False,
) -> None:
    """Each route's prompt on its cases: quality, latency, cost, and the cheapest model that meets the bar.

    What comes is kept in TRIAGE_HOME/evaluations. Ctrl-C, a killed process or the cap ends a run; the same
    command goes on where it stopped and asks nothing twice.
    """
    from pipeline.assembly import open_brain, open_parts
    from pipeline.evaluation import Evaluation, Wish, lines
    from pipeline.settings import load
    from pipeline.triage.dry_run import hours_back

    try:
        start = hours_back(since) if tickets else None
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--since") from None
    settings = load()
    wish = Wish(
        task=task,
        models=None if models is None else [name.strip() for name in models.split(",") if name.strip()],
        cases=cases,
        since=start,
        since_words=since,
        run=run,
        resume=resume,
        fresh=fresh,
        cap_usd=None if cap is None else Decimal(str(cap)),
        judge=judge,
    )
    brain = open_parts(settings) if tickets else open_brain(settings)
    evaluation = Evaluation(brain.batched() if batch else brain, wish)
    for line in evaluation.notes:
        note(line)
    try:
        with progress("answers", evaluation.total, quiet=json) as step:
            found = evaluation.run(step)
    except KeyboardInterrupt:
        note("interrupted; what came is kept, and the same command goes on where it stopped")
        raise
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
