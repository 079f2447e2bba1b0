"""Commands about what is kept: retention, forget; and sending, which is held after a restore."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.output import Json, note, print_json, say, whole_file
from pipeline.errors import InputError

if TYPE_CHECKING:
    from pipeline.db.store import Store
    from pipeline.retention.forgetting import Forgotten
    from pipeline.settings import Settings

DryRun = Annotated[bool, typer.Option("--dry-run", help="say what would go, and change nothing")]
sending = typer.Typer(help="Whether replies go out: held after a restore until a person releases them.")


def register(app: typer.Typer) -> None:
    app.command()(retention)
    app.command()(forget)
    app.add_typer(sending, name="sending")


def retention(dry_run: DryRun = False, json: Json = False) -> None:
    """Delete what is older than the days of TRIAGE_KEEP_…, of tickets at rest. The schedule does it by itself."""
    from dataclasses import asdict

    from pipeline.assembly import days_kept, open_store
    from pipeline.retention.keeping import keep
    from pipeline.settings import load

    settings = load()
    days = days_kept(settings)
    removed = keep(open_store(settings), _home(settings), days, dry_run=dry_run)
    if json:
        print_json({"dry_run": dry_run, "days": asdict(days), "removed": removed.to_json()})
        return
    verb = "would remove" if dry_run else "removed"
    for kept, number, what in (
        (days.raw, removed.raw, "raw mails"),
        (days.attachments, removed.files, "attached files"),
        (days.answers, removed.tickets, "tickets' drafts, extracted fields and facts"),
        (days.answers, removed.reports, "written reports' texts"),
        (days.answers, removed.evaluations, "evaluation runs"),
        (days.logins, removed.logins, "log-in attempts and looks at tickets"),
    ):
        say(f"{verb} {number:>8} {what}" + (f", older than {kept} days" if kept else ": kept for ever"))


def forget(
    address: Annotated[str, typer.Argument(help="the customer's mail address")],
    dry_run: DryRun = False,
    export: Annotated[
        Path | None, typer.Option(metavar="FILE", help="write the person's data there first (JSON lines)")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
    json: Json = False,
) -> None:
    """Erase one person's data; the counts stay. Can be run again, and goes on where a run was stopped."""
    from pipeline.assembly import open_store
    from pipeline.retention import forgetting
    from pipeline.retention.takeout import write_out
    from pipeline.settings import load

    settings = load()
    store = open_store(settings)
    home, outside = _home(settings), _outside(settings)
    whole = forgetting.find(store, address)
    planned = forgetting.forget(store, home, whole, outside, dry_run=True)
    if export is not None:
        with whole_file(export) as file:
            written = write_out(store, whole, file)
        export.chmod(0o600)
        note(f"wrote {written} rows to {export}")
    if dry_run:
        _print(planned, json, dry_run=True)
        return
    if not json:
        _print(planned, json, dry_run=True)
    if not (yes or json) and sys.stdin.isatty():
        typer.confirm(f"Erase this of {address}, for good?", abort=True)
    done = forgetting.forget(store, home, whole, outside)
    _print(done, json, dry_run=False)


def _print(done: Forgotten, json: bool, *, dry_run: bool) -> None:
    if json:
        print_json({"dry_run": dry_run, **done.to_json()})
        return
    say(f"{'would erase' if dry_run else 'erased'} of {done.address}:")
    for name, number in sorted(done.rows.items()):
        say(f"  {number:>8} {name.replace('_', ' ')}")
    for name, number in sorted(done.cut.items()):
        say(f"  {number:>8} {name.replace('_', ' ')} of others, in which the person is named or quoted")
    for path in done.files.changed:
        say(f"  rows of {path}")
    for path in done.files.deleted:
        say(f"  the file {path}")
    if not (done.rows or done.cut or done.files.changed or done.files.deleted):
        say("  nothing: there is no such person in the store")
    for sentence in done.left:
        say(f"left: {sentence}")
    for path in done.files.look_at:
        say(f"      {path}")


def _home(settings: Settings) -> Path:
    return settings.home.expanduser().resolve()


def _outside(settings: Settings) -> list[Path]:
    """The team's own files, which are named and left to people."""
    places = [
        settings.file("prompts", settings.prompts),
        settings.file("policy.md", settings.policy, shipped=False),
        settings.file("routes.toml", settings.routes),
    ]
    return [place.resolve() for place in places if place is not None]


@sending.command()
def status(json: Json = False) -> None:
    """Whether replies go out, and which wait."""
    from pipeline.assembly import open_store
    from pipeline.db.sending import state

    found = state(open_store())
    if json:
        held = found.held
        print_json(
            {
                "held": None if held is None else {"at": held.at, "why": held.why, "by": held.by},
                "waiting": list(found.waiting), "released_at": found.released_at, "released_by": found.released_by,
            }
        )  # fmt: skip
        return
    if found.held is None:
        say("replies go out")
    else:
        by = f" by {found.held.by}" if found.held.by else ""
        say(f"held since {found.held.at:%Y-%m-%d %H:%M} UTC{by}: {found.held.why}")
    if found.waiting:
        say(f"{len(found.waiting)} replies wait, on " + ", ".join(f"#{ticket}" for ticket in found.waiting))
    if found.released_at:
        say(f"last released at {found.released_at:%Y-%m-%d %H:%M} UTC by {found.released_by}")


@sending.command()
def hold(why: Annotated[str, typer.Option(help="one sentence, shown on the page")] = "held by hand") -> None:
    """Send nothing from now on, until `triage sending release`."""
    from pipeline.assembly import open_store
    from pipeline.db.sending import hold as hold_all
    from pipeline.review import audit

    store = open_store()
    found = hold_all(store, audit.OPERATOR, " ".join(why.split()) or "held by hand")
    with store.write() as connection:
        audit.note(connection, audit.OPERATOR, "sending_held", "", found.why)
    say(f"held since {found.at:%Y-%m-%d %H:%M} UTC: {found.why}")


@sending.command()
def release(
    as_: Annotated[
        str, typer.Option("--as", envvar="TRIAGE_AGENT", help="your account, which answers for it")
    ],
) -> None:
    """What waits may go out. Look at it first: `triage sending status` names the tickets."""
    from pipeline.assembly import open_store
    from pipeline.db.sending import release as release_all
    from pipeline.review import audit

    store = open_store()
    account = _account(store, as_)
    number = release_all(store, f"agent:{account}")
    with store.write() as connection:
        audit.note(connection, f"agent:{account}", "sending_released", account, f"{number} replies waited")
    say(f"released: {number} replies that wait go out now")


def _account(store: Store, email: str) -> str:
    from pipeline.review.agents import everyone

    for agent, _password, disabled in everyone(store):
        if agent.email == email.strip().lower() and not disabled:
            return agent.email
    raise InputError(f"there is no account {email}; see: triage agent list")
