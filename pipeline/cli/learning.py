"""The command `triage learn`: the built-in model takes up what a team's own tickets teach it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.output import Json, print_json, progress, read_jsonl, say


def register(app: typer.Typer) -> None:
    app.command()(learn)


def learn(
    rows: Annotated[
        Path | None,
        typer.Option(help='labelled rows, JSONL: {"subject", "body", "topic"}; default: the store'),
    ] = None,
    forget: Annotated[bool, typer.Option("--forget", help="remove all that was learned")] = False,
    json: Json = False,
) -> None:
    """Teach the built-in model from topics that agents corrected, or let stand when they answered.

    What is learned is measured by cross-validation on those tickets and kept in TRIAGE_HOME/learned.jsonl,
    without contact details, unless it makes the model worse; it is in force from the next start. Rows that
    were learned before stay.
    """
    if forget and rows is not None:
        raise typer.BadParameter("--forget takes no rows", param_hint="--rows")
    from pipeline.assembly import open_routes, open_store
    from pipeline.errors import InputError
    from pipeline.models.providers.local import LEARNED_FILE, learned
    from pipeline.models.providers.local.encoder import Encoder
    from pipeline.settings import load

    settings = load()
    path = settings.home.expanduser().resolve() / LEARNED_FILE
    if forget:
        gone = path.exists()
        path.unlink(missing_ok=True)
        if json:
            print_json({"forgotten": gone, "file": str(path)})
        else:
            say(
                "forgotten; the package's own examples are in force from the next start"
                if gone
                else "nothing was learned yet"
            )
        return
    routes = open_routes(settings)
    known = list(routes.topics)
    if rows is not None:
        new = learned.from_file(read_jsonl(rows), rows, known, region=routes.region)
    else:
        store = open_store(settings)
        try:
            new = learned.from_store(store, known, region=routes.region)
        finally:
            store.close()
    old = [one for one in learned.read(path) if one.topic in known]
    all_rows = learned.merged(old, new)
    with progress("learning", None):
        found = learned.measure(Encoder(), all_rows, known)
    shares = f"{found.before:.2f} of their topics right before, {found.after:.2f} after"
    if found.after < found.before:
        raise InputError(
            f"nothing was learned from {found.rows} tickets, they would make the model worse ({shares}); "
            "look whether their topics fit what routes.toml says of them"
        )
    learned.keep(path, all_rows)
    corrected = sum(one.corrected for one in all_rows)
    if json:
        print_json(
            {
                "rows": found.rows,
                "corrected": corrected,
                "topics": dict(sorted(Counter(one.topic for one in all_rows).items())),
                "folds": found.folds,
                "before": round(found.before, 4),
                "after": round(found.after, 4),
                "file": str(path),
            }
        )
    else:
        say(
            f"learned from {found.rows} tickets ({corrected} with a topic that a person gave): {shares} "
            f"({found.folds}-fold cross-validation); in force from the next start"
        )
