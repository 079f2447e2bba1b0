"""The files in TRIAGE_HOME that hold customers' words: evaluation runs, what was learned, cases, mail in folders."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from pipeline.errors import StoreError
from pipeline.retention.columns import GONE
from pipeline.retention.person import Person

RUNS = "evaluations"
LEARNED = "learned.jsonl"
CASES = "cases.jsonl"
TRAINED = "local-model-*.npz"
LARGEST = 50_000_000
"""Bytes of a file that is looked into; a larger one is named."""
_NAMED_BY = ("of", "id", "case")
_KEPT = ("id", "case", "model", "judge", "at", "call", "task", "language", "topic")


@dataclass
class Found:
    """`changed` are files in which rows were taken out or blanked, `deleted` whole files; `look_at` are those
    that name the person and that only people can mend."""

    changed: list[Path] = field(default_factory=list)
    deleted: list[Path] = field(default_factory=list)
    look_at: list[Path] = field(default_factory=list)

    def to_json(self) -> dict[str, list[str]]:
        return {name: [str(path) for path in sorted(paths)] for name, paths in vars(self).items()}


def old_runs(home: Path, before: datetime) -> list[Path]:
    """The folders of evaluation runs in which nothing was written since."""
    folder = home / RUNS
    if not folder.is_dir():
        return []
    found = []
    for run in sorted(folder.iterdir()):
        if run.is_symlink() or not run.is_dir():
            continue
        newest = max((path.stat().st_mtime for path in [run, *run.iterdir()]), default=0.0)
        if newest < before.timestamp():
            found.append(run)
    return found


def forget_in_files(
    home: Path,
    person: Person,
    outside: Iterable[Path] = (),
    marks: Collection[str] = (),
    *,
    dry_run: bool = False,
) -> Found:
    """Take the person out of the files in `home`; those `outside` (files or folders) are only named.

    `marks` are the names that rows of files have from the person's tickets, like "ticket 7" or "message-12".
    """
    found = Found()
    learned = False
    for path in _files(home):
        rows = _rows_of(home, path)
        if rows is not None:
            if _rewrite(path, person, marks, blank=rows == "blank", dry_run=dry_run):
                found.changed.append(path)
                learned |= path.name == LEARNED
        elif path.suffix == ".eml":
            if person.in_bytes.search(_bytes(path).replace(b"\r\n", b"\n").partition(b"\n\n")[0]):
                found.deleted.append(path)
                if not dry_run:
                    path.unlink(missing_ok=True)
            elif _names(path, person):
                found.look_at.append(path)
        elif _names(path, person):
            found.look_at.append(path)
    if learned:  # the built-in model is trained anew without those rows
        for path in (home / "cache").glob(TRAINED):
            found.deleted.append(path)
            if not dry_run:
                path.unlink(missing_ok=True)
    for place in outside:
        inside = [place] if place.is_file() else _files(place)
        found.look_at += [path for path in inside if not path.is_relative_to(home) and _names(path, person)]
    return found


def _rows_of(home: Path, path: Path) -> str | None:
    """What becomes of a person's rows in a file of JSON lines: they go, or lose their texts (of a run the figures
    stay). None for any other file."""
    if path == home / LEARNED or (path.name == CASES and path.is_relative_to(home / "prompts")):
        return "drop"
    if path.is_relative_to(home / RUNS) and path.suffix == ".jsonl":
        return "blank"
    return None


def _files(folder: Path) -> Iterator[Path]:
    """Files below a folder, in order; no links, no database, no weights."""
    for base, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in ("cache", "__pycache__", ".git", ".venv"))
        for name in sorted(names):
            path = Path(base) / name
            if (
                path.is_symlink()
                or not path.is_file()
                or ".db" in path.suffixes
                or name.endswith(("-wal", "-shm"))
            ):
                continue
            if path.suffix not in (".key", ".npz", ".png", ".lock"):
                yield path


def _names(path: Path, person: Person) -> bool:
    if path.stat().st_size > LARGEST:
        return False
    raw = _bytes(path)
    return bool(person.in_bytes.search(raw)) or person.quotes(raw.decode("utf-8", "replace"))


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise StoreError(f"{path} cannot be read ({error.strerror}): it may hold the person's data") from None


def _rewrite(path: Path, person: Person, marks: Collection[str], *, blank: bool, dry_run: bool) -> bool:
    """Take the person's rows out of a file of JSON lines, whole or not at all; whether there were any."""
    kept, changed = [], False
    for line in _bytes(path).decode("utf-8", "replace").splitlines(keepends=True):
        row: Any = None
        with contextlib.suppress(json.JSONDecodeError):
            row = json.loads(line)
        texts = "\n".join(_texts(row)) if row is not None else line
        named = person.quotes(texts) or bool(person.named and person.named.search(texts))
        if not named and not (isinstance(row, dict) and any(row.get(name) in marks for name in _NAMED_BY)):
            kept.append(line)
            continue
        changed = True
        if blank and isinstance(row, dict):
            kept.append(json.dumps({n: v if n in _KEPT else _blank(v) for n, v in row.items()}) + "\n")
    if changed and not dry_run:
        part = path.with_name(f".{path.name}.part")
        try:
            part.write_text("".join(kept), encoding="utf-8")
            part.chmod(path.stat().st_mode & 0o777)
            part.replace(path)
        except OSError as error:
            raise StoreError(
                f"{path} cannot be written ({error.strerror}): it holds the person's data"
            ) from None
    return changed


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, item in value.items():
            yield str(name)
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def _blank(value: Any) -> Any:
    if isinstance(value, str):
        return GONE if value and not _number(value) else value
    if isinstance(value, dict):
        return {name: _blank(item) for name, item in value.items()}
    return [_blank(item) for item in value] if isinstance(value, list) else value


def _number(text: str) -> bool:
    return text.replace(".", "", 1).lstrip("-").isdecimal()
