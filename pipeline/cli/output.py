"""How commands print: JSON alone on standard output, people's lines and progress on the terminal."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.errors import InputError

Json = Annotated[bool, typer.Option("--json", help="one JSON document on standard output")]


def say(text: str = "") -> None:
    """A line for people, on standard output."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def note(text: str) -> None:
    """A line beside the result, on standard error."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def as_json(value: Any) -> str:
    """One JSON document on one line; times as ISO 8601, money as text."""
    return json.dumps(value, ensure_ascii=False, default=_plain)


def print_json(value: Any) -> None:
    """One JSON document on standard output and nothing else."""
    say(as_json(value))


def _plain(value: Any) -> Any:
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return format(value, "f")
    raise TypeError(f"{type(value).__name__} has no JSON form")


def read_jsonl(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line number, object) of a JSONL file. Raises `InputError` naming file and line."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, 1):
                if not line.strip():
                    continue
                try:
                    row = json.loads(line)
                except json.JSONDecodeError as error:
                    raise InputError(f"{path}:{number}: not JSON: {error.msg}") from None
                if not isinstance(row, dict):
                    raise InputError(f"{path}:{number}: each line must be one JSON object")
                yield number, row
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: is not UTF-8 text") from None


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Any]:
    """A text file that appears under its name only when all of it is written."""
    part = path.with_name(f".{path.name}.part")
    try:
        file = part.open("w", encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from None
    try:
        with file:
            yield file
        part.replace(path)
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


@contextlib.contextmanager
def progress(what: str, total: int | None, *, quiet: bool = False) -> Iterator[Callable[..., None]]:
    """A bar on the terminal; yields `step(n=1)`. Silent where standard error is no terminal."""
    if quiet or not sys.stderr.isatty():
        yield lambda *_args: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda n=1: bar.advance(task, n)


def counting(step: Callable[..., None]) -> Callable[[Any], None]:
    """Turn a bar's `step` into a report of running counts (an object with `received`)."""
    seen = 0

    def show(counts: Any) -> None:
        nonlocal seen
        step(counts.received - seen)
        seen = counts.received

    return show
