"""The command `triage calibrate`: how far a model's confidence can be believed, and the threshold for it."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.output import Json, note, print_json, progress, say

if TYPE_CHECKING:
    from pipeline.settings import Settings
    from pipeline.triage.calibration import Curve


class Source(Enum):
    tickets = "tickets"
    cases = "cases"


def register(app: typer.Typer) -> None:
    app.command()(calibrate)


def calibrate(
    source: Annotated[
        Source | None,
        typer.Option("--from", help="reviewed tickets, or labelled cases; default: tickets"),
    ] = None,
    cases: Annotated[
        Path | None, typer.Option(help="labelled cases; default: the ones beside the prompt")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="a model of routes.toml, or local; default: the table's")
    ] = None,
    target: Annotated[
        float, typer.Option(min=0.001, max=0.5, help="the share of errors among kept messages to stay under")
    ] = 0.02,
    since: Annotated[str, typer.Option(help="how far back reviewed tickets count, like 90d")] = "90d",
    write: Annotated[bool, typer.Option("--write", help="keep the fit in calibration.json")] = False,
    json: Json = False,
) -> None:
    """How far a model's confidence can be believed, and the threshold that keeps a promise on errors."""
    if cases is not None and source is Source.tickets:
        raise typer.BadParameter("--cases names labelled cases; leave out --from tickets")
    from pipeline.assembly import open_brain, open_store
    from pipeline.calibrate import calibrate as fit
    from pipeline.calibrate import from_cases, from_tickets
    from pipeline.settings import load
    from pipeline.triage.dry_run import hours_back

    try:
        start = hours_back(since)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    settings = load()
    # what is fitted here may be missing yet, and counts for nothing while it is fitted
    brain = open_brain(settings.model_copy(update={"calibration": None}))
    if cases is not None or source is Source.cases:
        path = cases or brain.prompts.folder / "triage" / "cases.jsonl"
        with progress("reading cases", None, quiet=json) as step:
            gathered = from_cases(brain, path, model, step)
    else:
        gathered = from_tickets(brain, open_store(settings), model, start)
    result = fit(brain, gathered, target)
    written = _write(settings, result.curve) if write else None
    if json:
        print_json(result.to_json() | {"written": str(written) if written else None})
        return
    *lines, answer = result.lines()
    for line in lines:
        say(line)
    if written:
        note(f"the fit is in {written}; review and commit it like routes.toml")
    else:
        note("nothing was changed; --write keeps the fit in calibration.json")
    say(answer)


def _write(settings: Settings, curve: Curve) -> Path:
    """Put the curve into the file in force, or into a new one where it will be found: see `Settings.file`."""
    from pipeline.triage.calibration import FILE, Calibration, load

    home = settings.home.expanduser()
    path = settings.calibration or settings.file(FILE, None, shipped=False)
    if path is None:
        here = Path("routes.toml").exists() and not (home / "routes.toml").exists()
        path = Path(FILE) if here else home / FILE
    path = path.expanduser()
    path.parent.mkdir(parents=True, exist_ok=True)
    (load(path) if path.exists() else Calibration()).with_curve(curve).write(path)
    return path
