"""The command `triage simulate`: a quarter of work whose true rates are known, in a store of its own."""

from __future__ import annotations

import json as json_lib
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.output import Json, note, print_json, progress, say, whole_file
from pipeline.errors import InputError


def register(app: typer.Typer) -> None:
    app.command()(simulate)


def simulate(
    weeks: Annotated[int, typer.Option(min=1, max=52, help="whole weeks of work")] = 13,
    tickets: Annotated[int, typer.Option(min=1, max=200_000, help="how many tickets they bring")] = 5000,
    seed: Annotated[int, typer.Option(help="the same seed, the same quarter")] = 1,
    dir: Annotated[Path | None, typer.Option(help="where to make the store; later: TRIAGE_HOME=DIR")] = None,
    here: Annotated[bool, typer.Option("--here", help="into the empty store of the settings")] = False,
    until: Annotated[str, typer.Option(help="the last moment, like 2026-11-23; default: this Monday")] = "",
    json: Json = False,
) -> None:
    """Simulate weeks of work: mails, readings, drafts, agents' decisions, replies, through the real functions.

    No network, no key. What is true of it stands in truth.json beside the store: every figure of the report
    can be held against it.
    """
    from pipeline.assembly import open_parts
    from pipeline.demo import prepare
    from pipeline.logging import configure
    from pipeline.reports.weeks import Week
    from pipeline.settings import load
    from pipeline.simulation import plan, run

    configure("auto", "error")  # failures are part of the plan
    if here and dir:
        raise typer.BadParameter("either --dir or --here", param_hint="--here")
    home = dir.expanduser().resolve() if dir else Path(tempfile.mkdtemp(prefix="triage-simulation-"))
    settings = load() if here else prepare(home, inboxes=2)
    home = settings.home.expanduser().resolve()
    parts = open_parts(settings)
    if not parts.inboxes:
        raise InputError("the simulation writes to your inboxes; inboxes.toml names none")
    end = _moment(until) if until else Week.of(datetime.now(UTC), settings.zone).bounds(settings.zone)[0]
    planned = plan.make(seed, weeks, tickets, end, tuple(parts.inboxes)[:2], zone=settings.zone)
    if not json:
        note(f"{tickets} tickets in {weeks} weeks, into {home}")
    with progress("simulating", tickets, quiet=json) as step:
        truth = run.simulate(parts, planned, on_ticket=step)
    known = planned.facts() | truth.to_json()
    with whole_file(home / "truth.json") as file:
        json_lib.dump(known, file, ensure_ascii=False, indent=1)
    parts.store.close()
    if json:
        print_json({"home": str(home), "truth": str(home / "truth.json")} | planned.facts() | truth.totals())
        return
    totals = truth.totals()
    say(
        f"{tickets} tickets, {totals['messages_person']} messages of people, {totals['replies']} replies sent"
    )
    say("drafts: " + ", ".join(f"{number} {name}" for name, number in truth.outcomes().most_common()))
    say(f"what is true of it: {home / 'truth.json'}")
    say(f"Look at it with: TRIAGE_HOME={home} triage report --week {max(truth.weeks)}")


def _moment(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise InputError(f"--until {text!r} is no date; write it like 2026-11-23") from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)
