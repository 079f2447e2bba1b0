"""The command `triage learn`: the built-in model takes up what a team's own tickets teach it."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
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
    apply: Annotated[bool, typer.Option("--apply", help="take the new model up, if it is better")] = False,
    forget: Annotated[bool, typer.Option("--forget", help="remove all that was learned")] = False,
    json: Json = False,
) -> None:
    """Teach the built-in model from topics that agents corrected, or let stand when they answered.

    A part of those tickets, always the same, is kept back: the new model is tested on it beside the one in use.
    Without --apply nothing is changed. With it, a better model is taken up: what it learned is kept in
    TRIAGE_HOME/learned.jsonl, without contact details, and is in force from the next start. Rows that were
    learned before stay.
    """
    if forget and (apply or rows is not None):
        raise typer.BadParameter("--forget goes alone", param_hint="--rows" if rows else "--apply")
    from pipeline.assembly import cache_dir, open_routes, open_store
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
        found = learned.compare(Encoder(), cache_dir(settings), old, all_rows, known)
    how = (
        f"on {found.held} tickets kept back, {found.before:.2f} of their topics right by the model in use, "
        f"{found.after:.2f} by the new one ({found.gained} gained, {found.lost} lost); confidence off by "
        f"{found.brier_before:.3f} before and {found.brier_after:.3f} after (Brier), "
        f"{found.stated_after:.2f} stated on average"
    )
    if apply and not found.better:
        what = "make the model worse" if found.worse else "not make the model better"
        raise InputError(
            f"nothing was learned from {found.taught} tickets, they would {what}: {how}; "
            "look whether their topics fit what routes.toml says of them"
        )
    if apply:
        learned.keep(path, all_rows)
    corrected = sum(one.corrected for one in all_rows)
    if json:
        print_json(
            {"corrected": corrected, "topics": dict(sorted(Counter(one.topic for one in all_rows).items()))}
            | {name: round(value, 4) for name, value in asdict(found).items()}
            | {"better": found.better, "applied": apply, "file": str(path)}
        )
        return
    said = f"{found.taught} tickets teach ({corrected} of all with a topic that a person gave): {how}"
    if apply:
        say(f"{said}; taken up, in force from the next start")
    elif found.better:
        say(f"{said}; better: `triage learn --apply` would take it up; nothing was changed")
    else:
        say(f"{said}; not better: --apply would refuse it; nothing was changed")
