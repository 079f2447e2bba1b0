"""The commands `triage proposals …`: what people's edits speak for, a person's yes or no, and the diff of it."""

from __future__ import annotations

from typing import Annotated

import typer

from pipeline.cli.output import Json, note, print_json, say
from pipeline.errors import InputError

Number = Annotated[int, typer.Argument(help="the proposal's number")]


def register(app: typer.Typer) -> None:
    table = typer.Typer(help="What agents' edits speak for, and the diff of what was approved.")
    for name, command in (
        ("make", make),
        ("list", list_all),
        ("show", show),
        ("approve", approve),
        ("dismiss", dismiss),
        ("diff", diff),
    ):
        table.command(name)(command)
    app.add_typer(table, name="proposals", no_args_is_help=True)


def make(
    week: Annotated[str | None, typer.Option(help="like 2026-W47; default: the last whole week")] = None,
    json: Json = False,
) -> None:
    """Make the proposals of a week; the schedule does so after its weekly report. Safe to repeat."""
    from pipeline.assembly import open_parts
    from pipeline.db.types import now
    from pipeline.learning.proposals import one
    from pipeline.learning.proposing import propose
    from pipeline.reports.weeks import Week

    parts = open_parts()
    chosen = Week.parse(week) if week else Week.of(now(), parts.settings.zone).before()
    made = [one(parts.store, id) for id in propose(parts, chosen)]
    if json:
        print_json([proposal.to_json() for proposal in made])
        return
    for proposal in made:
        say(f"{proposal.id:5}  {proposal.kind:9}  {proposal.title}")
    if not made:
        say(f"nothing new to propose out of {chosen}")


def list_all(
    state: Annotated[str, typer.Option(help="open, approved, dismissed or all")] = "open", json: Json = False
) -> None:
    """The proposals, the newest first."""
    from pipeline.assembly import open_store
    from pipeline.learning.proposals import STATES, every

    if state not in (*STATES, "all"):
        raise typer.BadParameter(f"{state!r} is none of {', '.join(STATES)}, all", param_hint="--state")
    found = every(open_store(), STATES if state == "all" else (state,))
    if json:
        print_json([proposal.to_json() for proposal in found])
        return
    for proposal in found:
        say(f"{proposal.id:5}  {proposal.state:9}  {proposal.kind:9}  {proposal.title}")
    if not found:
        say("there is none" if state == "all" else f"none is {state}")


def show(number: Number, json: Json = False) -> None:
    """One proposal: what it rests on, its effect in the replay, and the diff that an approval makes."""
    from pipeline.assembly import open_parts
    from pipeline.learning.changes import changes
    from pipeline.learning.proposals import one, pairs

    parts = open_parts()
    found = one(parts.store, number)
    made = changes(parts, [found])
    if json:
        print_json(found.to_json() | {"diff": made.diff})
        return
    say(f"{found.title} ({found.state}; out of {found.week})")
    if found.effect_line:
        say(found.effect_line)
    for pair in pairs(parts.store, found):
        marks = {"same": "{}", "added": "[+{}+]", "removed": "[-{}-]"}
        say(f"\nticket {pair.ticket_id}, review {pair.review_id}:")
        say("".join(marks[piece.kind].format(piece.text) for piece in pair.pieces))
    say(f"\n{made.diff}" if made.diff else "\nthe file says it already" if not made.notes else "")
    for line in made.notes:
        note(line)


def approve(number: Number) -> None:
    """Say yes: it becomes a part of `triage proposals diff`. No file is changed."""
    _decide(number, "approved")


def dismiss(number: Number) -> None:
    """Say no: it does not come back unless twice as much speaks for it."""
    _decide(number, "dismissed")


def diff(
    file: Annotated[str | None, typer.Option(help="of this file only, like policy.md")] = None,
) -> None:
    """All approved proposals that the files do not hold yet, as one diff for `git apply` or `patch -p1`."""
    from pipeline.assembly import open_parts
    from pipeline.learning.changes import changes
    from pipeline.learning.proposals import APPROVED, every

    parts = open_parts()
    approved = every(parts.store, (APPROVED,), limit=10_000)[::-1]
    names = sorted({proposal.file for proposal in approved})
    if file is not None and file not in names:
        raise InputError(f"no approved proposal is about {file}; there are: {', '.join(names) or 'none'}")
    made = changes(parts, [proposal for proposal in approved if file in (None, proposal.file)])
    if made.diff:
        say(made.diff.rstrip("\n"))
    else:
        note("the files hold all that is approved" if approved else "nothing is approved yet")
    for line in made.notes:
        note(line)


def _decide(number: int, state: str) -> None:
    from pipeline.assembly import open_store
    from pipeline.learning.proposals import decide

    found = decide(open_store(), number, state)
    more = "; `triage proposals diff` prints the change" if state == "approved" else ""
    say(f"{found.title}: {state}{more}")
