"""Commands about the installation: migrate, check, routes."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.output import Json, note, print_json, say


def register(app: typer.Typer) -> None:
    app.command()(migrate)
    app.command()(check)
    table = typer.Typer(help="The routing table as people read it.", invoke_without_command=True)
    table.callback()(routes)
    table.command("try")(try_routes)
    table.command("curve")(curve_of_routes)
    app.add_typer(table, name="routes")


def migrate() -> None:
    """Bring the database to the current schema."""
    from pipeline.db import schema
    from pipeline.db.store import Store
    from pipeline.settings import load

    before, after = schema.migrate(Store(load().database))
    say(f"the schema is {after}" + ("" if before == after else f" (it was {before or 'empty'})"))


def check(json: Json = False) -> None:
    """Try settings, database, broker, each inbox, each provider key, routes.toml and every prompt."""
    from pipeline.checkup import check_all

    results = check_all()
    if json:
        print_json([result.to_json() for result in results])
    else:
        for result in results:
            say(f"{'ok  ' if result.ok else 'FAIL'}  {result.what:22} {result.words}")
    failed = [result for result in results if not result.ok]
    if failed:
        note(
            f"triage: {len(failed)} of {len(results)} checks failed; first: {failed[0].what}: {failed[0].words}"
        )
        raise typer.Exit(1)


def routes(context: typer.Context, json: Json = False) -> None:
    """Print the routing table."""
    if context.invoked_subcommand:
        return
    from pipeline.assembly import open_providers, open_routes
    from pipeline.routing.printing import as_document, as_lines
    from pipeline.settings import load

    settings = load()
    table, available = open_routes(settings), open_providers(settings)
    if json:
        print_json(as_document(table, available))
        return
    for line in as_lines(table, available):
        say(line)


def try_routes(
    file: Annotated[Path, typer.Argument(help="another routes.toml")],
    since: Annotated[str, typer.Option(help="how far back, like 7d or 12h")] = "7d",
    json: Json = False,
) -> None:
    """What another table would have done with past tickets: each message's stored reading, decided anew.

    With the change in cost, and what is known of the rewrite rate of drafts for tickets like those that would move.
    """
    from pipeline.assembly import open_routes, open_store
    from pipeline.learning.trying import try_table
    from pipeline.routing.reading import read
    from pipeline.settings import load

    settings = load()
    other = read(file)
    result = try_table(open_store(settings), open_routes(settings), other, _since(since))
    if json:
        print_json(result.to_json())
        return
    for line in result.lines():
        say(line)


def curve_of_routes(
    since: Annotated[str, typer.Option(help="how far back, like 28d or 12h")] = "28d", json: Json = False
) -> None:
    """The trade-off: each escalation threshold against cost and the rewrite rate that is to be expected."""
    from pipeline.assembly import open_routes, open_store
    from pipeline.learning.curves import lines, stored_curve
    from pipeline.settings import load

    settings = load()
    found = stored_curve(open_store(settings), open_routes(settings), _since(since))
    if json:
        print_json(found.to_json())
        return
    for line in lines(found):
        say(line)


def _since(text: str) -> datetime:
    from pipeline.triage.dry_run import hours_back

    try:
        return hours_back(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--since") from None
