"""Commands about the installation: migrate, check, routes."""

from __future__ import annotations

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
    """What another table would have done with past tickets: each message's stored reading, decided anew."""
    from pipeline.assembly import open_store
    from pipeline.routing.reading import read
    from pipeline.triage.dry_run import dry_run, hours_back

    try:
        start = hours_back(since)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    result = dry_run(open_store(), read(file), start)
    if json:
        print_json(result.to_json())
        return
    for line in result.lines():
        say(line)
