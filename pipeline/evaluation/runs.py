"""Runs of `triage eval` on disk, in TRIAGE_HOME/evaluations/<run>/: what makes them resumable and shown.

- `run.json`: what was asked of which models, with the digests of prompt and cases; written once
- `cases.jsonl`: the cases as they were put; written once
- `answers.jsonl`: an answer with its marks, as it comes; a case that stands here is not asked again
- `verdicts.jsonl`: what a judge said of an answer
- `spend.jsonl`: a reservation before each paid call, its settlement after it
- `ended.json`: how the last session ended

Files are readable by their owner alone and hold no key; of customers' texts, the cases' own and the
answers to them. A last line that was cut short (a killed process) is dropped.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import secrets
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from pipeline.db.types import now
from pipeline.errors import ConflictError, InputError, StoreError
from pipeline.evaluation.marks import Marked

FOLDER = "evaluations"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
FILES = ("answers.jsonl", "verdicts.jsonl", "spend.jsonl")


@dataclass(frozen=True)
class Sitter:
    """A model that sits a run: its key in routes.toml, who serves it, and whether its price is known."""

    key: str
    provider: str
    name: str
    tier: str
    price_known: bool


@dataclass(frozen=True)
class Header:
    """What a run is. `source` is the cases' file, or says that they are tickets; `of` counts the cases.

    `bar` is what the prompt's front matter asks for; `unmeasured` of it these cases cannot show. With
    `batch` the calls travelled in batches: at that price, and without a latency. `data` are the data classes
    of the tickets among the cases.
    """

    run: str
    task: str
    prompt: str
    prompt_path: str
    bar: dict[str, float]
    unmeasured: tuple[str, ...]
    source: str
    cases: str
    of: int
    models: tuple[Sitter, ...]
    started: datetime
    batch: bool = False
    data: tuple[str, ...] = ()

    @property
    def same(self) -> tuple[Any, ...]:
        """Two runs that are equal in this ask the same."""
        return self.task, self.prompt, self.source, self.cases, self.models, self.batch

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "started": self.started.isoformat()}

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Header:
        return cls(
            **{
                **row,
                "models": tuple(Sitter(**model) for model in row["models"]),
                "unmeasured": tuple(row["unmeasured"]),
                "data": tuple(row["data"]),
                "started": datetime.fromisoformat(row["started"]),
            }
        )


@dataclass(frozen=True)
class Verdict:
    """What a judge said of one answer: criterion → whether it is good, and a sentence."""

    judge: str
    model: str
    case: str
    marks: dict[str, bool]
    why: str
    cost_usd: Decimal = Decimal(0)

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "cost_usd": f"{self.cost_usd:f}"}

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Verdict:
        return cls(**{**row, "cost_usd": Decimal(row["cost_usd"])})


class RunFolder:
    """One run on disk. Threads may append; one process at a time holds it open for that."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        return self.path.name

    @classmethod
    def create(cls, root: Path, header: Header, cases: list[dict[str, Any]]) -> RunFolder:
        """A new run under `root`. Raises `StoreError` where it cannot be written."""
        folder = cls(root / header.run)
        try:
            root.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.path.mkdir(mode=0o700)
            folder._write_whole("cases.jsonl", "".join(_line(case) for case in cases))
            folder._write_whole("run.json", _line(header.to_json()))  # last: with it the run is there
        except OSError as error:
            raise StoreError(f"{folder.path}: cannot be written: {error.strerror or error}") from None
        return folder

    def header(self) -> Header:
        """Raises `InputError` where the folder holds no run that this version can read."""
        path = self.path / "run.json"
        try:
            return Header.from_json(json.loads(path.read_bytes()))
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None
        except (ValueError, TypeError, KeyError, AttributeError):
            raise InputError(f"{path}: is no run of this version; remove {self.path}") from None

    def cases(self) -> list[dict[str, Any]]:
        return [row for _, row in self._rows("cases.jsonl")]

    def answers(self) -> dict[tuple[str, str], Marked]:
        """(model, case) → the answer with its marks, in the order in which they came."""
        found: dict[tuple[str, str], Marked] = {}
        for number, row in self._rows("answers.jsonl"):
            try:
                found[row["model"], row["case"]] = Marked.from_json(row)
            except (KeyError, TypeError, ValueError, ArithmeticError):
                raise self._damaged("answers.jsonl", number) from None
        return found

    def verdicts(self) -> dict[tuple[str, str, str], Verdict]:
        """(judge, model, case) → verdict."""
        found: dict[tuple[str, str, str], Verdict] = {}
        for number, row in self._rows("verdicts.jsonl"):
            try:
                verdict = Verdict.from_json(row)
            except (KeyError, TypeError, ValueError, ArithmeticError):
                raise self._damaged("verdicts.jsonl", number) from None
            found[verdict.judge, verdict.model, verdict.case] = verdict
        return found

    def spent_usd(self) -> Decimal:
        """What all sessions have spent; a call that was never settled counts at its worst price."""
        booked: dict[str, Decimal] = {}
        for number, row in self._rows("spend.jsonl"):
            try:
                booked[row["call"]] = Decimal(row["reserved"] if "reserved" in row else row["spent"])
            except (KeyError, TypeError, ValueError, ArithmeticError):
                raise self._damaged("spend.jsonl", number) from None
        return sum(booked.values(), Decimal(0))

    def ended(self) -> dict[str, Any]:
        """How the last session ended: {"at", "why", "not_tried": {model: why}}; empty while none has."""
        try:
            found = json.loads((self.path / "ended.json").read_bytes())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    # --- writing, while held -------------------------------------------------------------------------

    @contextmanager
    def held(self) -> Iterator[None]:
        """Raises `ConflictError` while another process works on the run."""
        handle = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)  # ends with the process, however it ends
            except BlockingIOError:
                raise ConflictError(
                    f"the run {self.name} is under way in another process; wait for it, or name another with --run"
                ) from None
            for name in FILES:
                self._drop_torn(name)
            yield
        finally:
            os.close(handle)

    def reserve(self, model: str, case: str, usd: Decimal) -> str:
        """Write a reservation down; returns the call's name for `settle`."""
        call = secrets.token_hex(6)
        self._append("spend.jsonl", {"call": call, "model": model, "case": case, "reserved": f"{usd:f}"})
        return call

    def settle(self, call: str, usd: Decimal) -> None:
        self._append("spend.jsonl", {"call": call, "spent": f"{usd:f}"})

    def answer(self, model: str, marked: Marked) -> None:
        self._append("answers.jsonl", {"model": model, "at": now().isoformat(), **marked.to_json()})

    def judge(self, verdict: Verdict) -> None:
        self._append("verdicts.jsonl", verdict.to_json())

    def end(self, why: str, not_tried: Mapping[str, str], unasked: Mapping[str, Mapping[str, int]]) -> None:
        row = {"at": now().isoformat(), "why": why, "not_tried": not_tried, "unasked": unasked}
        self._write_whole("ended.json", _line(row))

    def _append(self, name: str, row: Mapping[str, Any]) -> None:
        data = _line(row).encode()
        try:
            with self._lock:
                handle = os.open(self.path / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
                try:
                    while data:
                        data = data[os.write(handle, data) :]
                finally:
                    os.close(handle)
        except OSError as error:
            raise StoreError(f"{self.path / name}: cannot be written: {error.strerror or error}") from None

    def _write_whole(self, name: str, text: str) -> None:
        part = self.path / f".{name}.part"
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        part.replace(self.path / name)

    def _drop_torn(self, name: str) -> None:
        path = self.path / name
        if not path.exists():
            return
        data = path.read_bytes()
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            os.truncate(path, whole)

    def _rows(self, name: str) -> Iterator[tuple[int, dict[str, Any]]]:
        path = self.path / name
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None
        lines = data.split(b"\n")
        for number, line in enumerate(lines[:-1], 1):  # what follows the last line end is torn, or nothing
            try:
                row = json.loads(line)
            except ValueError:
                raise self._damaged(name, number) from None
            if not isinstance(row, dict):
                raise self._damaged(name, number)
            yield number, row

    def _damaged(self, name: str, number: int) -> InputError:
        return InputError(
            f"{self.path / name}:{number}: the line is damaged; remove it, and the run goes on without it"
        )


def find(root: Path, name: str) -> RunFolder | None:
    """The run of that name; None where there is none, or the name cannot be one."""
    if not NAME.fullmatch(name) or not (root / name / "run.json").is_file():
        return None
    return RunFolder(root / name)


def every(root: Path) -> list[RunFolder]:
    """All runs under `root`, in no order."""
    if not root.is_dir():
        return []
    return [RunFolder(path.parent) for path in root.glob("*/run.json") if NAME.fullmatch(path.parent.name)]


def _line(row: Mapping[str, Any]) -> str:
    return json.dumps(row, separators=(",", ":"), default=str) + "\n"
