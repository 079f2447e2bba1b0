"""The `triage` command. Entry points only: each loads its parts, calls the rooms, and prints."""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path

import typer

from pipeline.cli import (
    calibration,
    data,
    learning,
    models,
    people,
    privacy,
    processes,
    proposals,
    setup,
    simulate,
)
from pipeline.errors import TriageError

app = typer.Typer(
    name="triage",
    help="Support-ticket triage: a cheap model reads, a plain rule escalates, a strong model drafts, people decide.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

for part in (processes, setup, data, models, calibration, learning, proposals, people, privacy, simulate):
    part.register(app)


def main() -> None:
    """Run the command; exit 0 done, 1 it could not be done (the last line says what mends it), 2 wrong usage."""
    from pipeline.logging import configure

    configure(
        level="warning"
    )  # until a command that stays reads its settings; standard output is for results
    try:
        app()
    except TriageError as error:
        _end(str(error))
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # the reader of our output has gone; nobody is left to tell
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        if os.environ.get("TRIAGE_DEBUG"):
            raise
        frame = traceback.extract_tb(error.__traceback__)[-1]
        _end(
            f"unexpected {type(error).__name__} at {Path(frame.filename).name}:{frame.lineno}; "
            "nothing was left half-done; run again with TRIAGE_DEBUG=1 to see more, and please report it"
        )


def _end(line: str) -> None:
    print(f"triage: {' '.join(line.split())}", file=sys.stderr)  # noqa: T201  # the one line that a failed command ends with
    sys.exit(1)
