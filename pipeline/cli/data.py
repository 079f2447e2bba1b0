"""Commands that move data: parse, ingest, backfill, run, show, export, report."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.backfill import Batch, backfill, work_held
from pipeline.cli.output import Json, counting, note, print_json, progress, say, whole_file
from pipeline.errors import InputError

if TYPE_CHECKING:
    from pipeline.reports.measures import Report


def register(app: typer.Typer) -> None:
    app.command()(parse)
    app.command()(ingest)
    app.command()(backfill)
    app.command()(run)
    app.command()(show)
    app.command()(export)
    app.command()(report)


def parse(file: Annotated[Path, typer.Argument(help="one raw message")], json: Json = False) -> None:
    """Parse one raw message, without a database."""
    from pipeline.ingest.mime import parse as parse_message

    parsed = parse_message(_read(file)).to_json()
    if json:
        print_json(parsed)
        return
    say(f"kind      {parsed['kind']}: {parsed['kind_reason']}")
    sender = parsed["from"]
    say(f"from      {sender['name']} <{sender['address']}>" if sender else "from      (nobody)")
    say(f"subject   {parsed['subject']}")
    say(f"date      {parsed['date'] or '(none)'}")
    say(f"id        {parsed['message_id'] or '(none)'}")
    for attachment in parsed["attachments"]:
        say(f"attached  {attachment['filename']} ({attachment['content_type']}, {attachment['size']} bytes)")
    for defect in parsed["defects"]:
        say(f"defect    {defect}")
    say()
    say(parsed["new_text"])


def ingest(
    paths: Annotated[list[Path], typer.Argument(help=".eml, mbox, Maildir, or a folder of them")],
    inbox: Annotated[str, typer.Option(help="the inbox they belong to")] = "files",
    batch: Batch = False,
    json: Json = False,
) -> None:
    """Take messages from files into the store."""
    from pipeline.assembly import open_inboxes, open_parts, open_store
    from pipeline.db.types import now
    from pipeline.ingest.files import ingest_paths
    from pipeline.settings import load
    from pipeline.steps.in_batches import Held

    for path in paths:
        if not path.exists():
            raise InputError(f"there is no file or folder {path}")
    settings = load()
    inboxes = open_inboxes(settings)
    if inboxes and inbox != "files" and inbox not in inboxes:
        raise InputError(f"there is no inbox {inbox!r} in inboxes.toml; there are: {', '.join(inboxes)}")
    store = open_store(settings)
    held = Held(store, now()) if batch else None
    hold = held.hold if held else None
    with progress("reading mail", None, quiet=json) as step:
        counts = ingest_paths(store, paths, inbox, inboxes=inboxes, progress=counting(step), on_ticket=hold)
    steps = work_held(open_parts(settings, store), held, quiet=json) if held else {}
    if json:
        print_json(counts.to_json() | ({"steps": steps} if held else {}))
    else:
        for name, number in counts.to_json().items():
            say(f"{name:12} {number}")
        for name, number in steps.items():
            say(f"{name:12} {number}")
    if counts.problems:
        raise InputError(f"{len(counts.problems)} files could not be read; the first: {counts.problems[0]}")


def run(
    until_idle: Annotated[bool, typer.Option("--until-idle", help="end when nothing is due")] = False,
    json: Json = False,
) -> None:
    """Work off everything that is due, then end; says what was done per step."""
    from pipeline.assembly import next_due, open_parts, status_counts
    from pipeline.ingest.intake import take_stored
    from pipeline.settings import load
    from pipeline.steps import run_until_sent

    if not until_idle:
        raise typer.BadParameter("say --until-idle; a worker that stays is `triage worker` or `triage up`")
    settings = load()
    _configure_logs(settings)
    parts = open_parts(settings)
    take_stored(parts.store, inboxes=parts.inboxes, older_than=timedelta(0), limit=100_000)
    parts.keep_house()
    parts.warm()
    with progress("working", None, quiet=json) as step:
        done = run_until_sent(parts, threads=settings.worker_threads, on_step=lambda _outcome: step())
    tickets = status_counts(parts.store)
    later = next_due(parts.store)
    if json:
        print_json({"steps": done, "tickets": tickets, "next_due": later})
        return
    for name, number in done.items():
        say(f"{name:15} {number}")
    if not done:
        say("nothing was due")
    say("tickets: " + ", ".join(f"{number} {status}" for status, number in tickets.items() if number))
    if later:
        note(f"the next ticket is due at {later:%Y-%m-%d %H:%M:%S} UTC")


def show(ticket: Annotated[int, typer.Argument(help="the ticket's number")], json: Json = False) -> None:
    """Everything about one ticket: messages, triage, moves with reasons, model calls, drafts, review."""
    from pipeline.assembly import open_store
    from pipeline.reports.show import explain
    from pipeline.reports.show import show as everything

    store = open_store()
    found = everything(store, ticket)
    if json:
        print_json(found)
        return
    for line in explain(found):
        say(line)


def export(
    what: Annotated[
        str,
        typer.Argument(
            help="tickets, messages, raw, triages, corrections, shadows, drafts, comparisons, reviews, "
            "second_reads, typed, replies, calls, spend, reports, proposals or moves"
        ),
    ],
    since: Annotated[str | None, typer.Option(help="a date, YYYY-MM-DD (UTC)")] = None,
    format: Annotated[str, typer.Option(help="jsonl or csv")] = "jsonl",
) -> None:
    """Write rows to standard output, for other tools."""
    import sys

    from pipeline.assembly import open_store
    from pipeline.reports.export import export as write_rows

    start = None
    if since is not None:
        try:
            start = datetime.strptime(since, "%Y-%m-%d").replace(tzinfo=UTC)
        except ValueError:
            raise typer.BadParameter(f"{since!r} is not a date like 2026-11-23") from None
    write_rows(open_store(), what, start, format, sys.stdout)


def report(
    week: Annotated[str | None, typer.Option(help="like 2026-W47; default: the present week")] = None,
    json: Json = False,
    format: Annotated[str, typer.Option(help="html, md, csv or json")] = "md",
    out: Annotated[Path | None, typer.Option(help="a file; default: standard output")] = None,
    by: Annotated[
        str | None, typer.Option(help="break the rewrite rate down by one or two, like topic,language")
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(help="narrow the rewrite rate, like topic=refund; may be repeated")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="count a written week anew")] = False,
    mail: Annotated[Path | None, typer.Option(help="write the mail to this file (.eml)")] = None,
    send: Annotated[
        bool, typer.Option("--send", help="send it now to TRIAGE_REPORT_TO; default: of last week")
    ] = False,
    again: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="send a letter again that failed or is uncertain")
    ] = None,
) -> None:
    """The weekly report. A week that the schedule has written is shown as it was written."""
    from pipeline.assembly import open_routes, open_store, weekly_report
    from pipeline.cli.mailing import send_letters, write_mail
    from pipeline.reports.rendering import render
    from pipeline.reports.written import written
    from pipeline.settings import load

    settings = load()
    if send or again:
        send_letters(settings, week, again, json=json)
        return
    store = open_store(settings)
    wanted = [name.strip() for name in by.split(",")] if by else []
    filters = _filters(only or [])
    made = weekly_report(settings, store, open_routes(settings), week, fresh=fresh, by=wanted, only=filters)
    as_written = not (fresh or wanted or filters) and written(store, made.week) is not None
    if mail is not None:
        write_mail(settings, store, made, mail)
        return
    if as_written:
        note(f"as written at {made.made_at:%Y-%m-%d %H:%M} UTC; --fresh counts it anew")
    text = _document(made, as_written) if json or format == "json" else render(made, format)
    if out is None:
        say(text.rstrip("\n"))
        return
    with whole_file(out) as file:
        file.write(text)
    note(f"wrote {out}")


def _filters(given: list[str]) -> dict[str, str]:
    found = {}
    for text in given:
        name, mark, value = text.partition("=")
        if not (mark and name.strip() and value.strip()):
            raise InputError(f"{text!r} is not a filter; write it like topic=refund")
        found[name.strip()] = value.strip()
    return found


def _document(report: Report, as_written: bool) -> str:
    """The report as JSON, and whether it is the one that was written or counted just now."""
    import json

    from pipeline.reports.rendering import as_json

    return json.dumps({**as_json(report), "as_written": as_written}, ensure_ascii=False, indent=2) + "\n"


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from None


def _configure_logs(settings: object) -> None:
    from pipeline.logging import configure
    from pipeline.settings import Settings

    assert isinstance(settings, Settings)
    configure(settings.log_format, "warning" if settings.log_level == "info" else settings.log_level)
