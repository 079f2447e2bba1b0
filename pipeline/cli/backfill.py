"""`triage backfill`: the older mail of a mailbox, with a bar, to be interrupted and gone on with at will."""

from __future__ import annotations

import signal
import threading
from datetime import date
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.output import Json, note, print_json, progress, say
from pipeline.errors import InputError

if TYPE_CHECKING:
    from pipeline.assembly import Parts
    from pipeline.steps.in_batches import Held

Batch = Annotated[
    bool, typer.Option("--batch", help="read them through the batch APIs: half the price, up to a day")
]


def backfill(
    inbox: Annotated[str, typer.Argument(help="an IMAP inbox of inboxes.toml")],
    since: Annotated[
        str | None, typer.Option(help="what arrived on or after this date, YYYY-MM-DD; default: all")
    ] = None,
    batch: Batch = False,
    json: Json = False,
) -> None:
    """Take in the mail that a mailbox held before its watcher began; the newest first.

    Each mail becomes a ticket like any other, and is read by a model, within the budget. Ctrl-C ends it
    after the mails under way; the same command again goes on where it was.
    """
    from pipeline.assembly import open_inboxes, open_parts, open_store, secret_key
    from pipeline.db.types import now
    from pipeline.ingest.backfill import fill, wanted
    from pipeline.ingest.imap import connected
    from pipeline.ingest.inboxes import ImapInbox
    from pipeline.ingest.oauth import Tokens
    from pipeline.settings import load
    from pipeline.steps.in_batches import Held

    start = _date(since)
    settings = load()
    inboxes = open_inboxes(settings)
    mailbox = inboxes.get(inbox)
    if not isinstance(mailbox, ImapInbox):
        known = ", ".join(name for name, one in inboxes.items() if isinstance(one, ImapInbox)) or "none"
        raise InputError(f"inboxes.toml has no IMAP inbox {inbox!r}; there are: {known}")
    store = open_store(settings)
    stop = threading.Event()

    def end(_number: int, _frame: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt  # asked twice: at once; what is committed stays
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    held = Held(store, now()) if batch else None
    hold = held.hold if held else None
    tokens = Tokens(store, secret_key(settings)) if mailbox.oauth else None
    with connected(mailbox, tokens) as client:
        plan = wanted(client, mailbox, store, start)
        if not json:
            note(f"{len(plan.todo)} mails to fetch, {plan.known} are here already")
        with progress(f"reading {inbox}", len(plan.todo), quiet=json) as step:
            done = fill(
                client, mailbox, store, plan, inboxes=inboxes, stop=stop, progress=step, on_ticket=hold
            )
    counts = {
        "stored": done.stored,
        "known": plan.known,
        "gone": done.gone,
        "failed": done.failed,
        "left": done.left,
    }
    steps = work_held(open_parts(settings, store), held, quiet=json) if held else {}
    if json:
        print_json(counts | ({"steps": steps} if held else {}))
    else:
        for name, number_of in counts.items():
            say(f"{name:8} {number_of}")
        for name, number_of in steps.items():
            say(f"{name:8} {number_of}")
    if done.left:
        note(f"interrupted; go on with: triage backfill {inbox}" + (f" --since {since}" if since else ""))
        raise typer.Exit(130)
    if done.failed:
        raise InputError(f"{done.failed} mails could not be fetched; the same command tries them again")


def work_held(parts: Parts, held: Held, *, quiet: bool) -> dict[str, int]:
    """Have the tickets that were opened just now read in batches; what is left, live workers take later."""
    from pipeline.steps.in_batches import work_in_batches

    if not quiet:
        note(f"{len(held.ids)} new tickets go to the models in batches; that may take hours")

    def end(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    with progress("in batches", None, quiet=quiet) as step:
        return work_in_batches(parts, held.ids, on_step=lambda _outcome: step())


def _date(text: str | None) -> date | None:
    try:
        return date.fromisoformat(text) if text is not None else None
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a date like 2026-11-23", param_hint="--since") from None
