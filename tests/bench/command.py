"""Measures `triage classify`, the command itself, with the local model over foreign data; Markdown to stdout.

.venv/bin/python -m tests.bench.command [--data DIR]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.bench.classify import EIGHT, Row, macro_f1, read_rows, table

ROOT = Path(__file__).parents[2]
TRIAGE = Path(sys.executable).with_name("triage")


def classify(rows: Sequence[Row], languages: Sequence[str], home: Path) -> tuple[list[dict[str, Any]], float]:
    """The command's rows, and the seconds that it took from start to end."""
    routes = (ROOT / "routes.toml").read_text(encoding="utf-8").splitlines()
    listed = ", ".join(f'"{code}"' for code in languages)
    lines = [f"languages = [{listed}]" if line.startswith("languages =") else line for line in routes]
    (home / "routes.toml").write_text("\n".join(lines), encoding="utf-8")
    (home / "in.jsonl").write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    started = time.monotonic()
    subprocess.run(
        [TRIAGE, "classify", "--in", home / "in.jsonl", "--out", home / "out.jsonl", "--model", "local"],
        check=True,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "TRIAGE_HOME": str(home)},
    )
    took = time.monotonic() - started
    return [json.loads(line) for line in (home / "out.jsonl").read_text(encoding="utf-8").splitlines()], took


def tickets(data: Path, home: Path) -> Iterator[str]:
    """Topics per source on the strong rows, and the speed."""
    rows = read_rows(data / "tickets-dev.jsonl")
    said, took = classify(rows, EIGHT, home)
    assert [row["id"] for row in rows] == [row["id"] for row in said], "the output keeps the input's order"
    pairs = [(row, out) for row, out in zip(rows, said, strict=True) if row["topic_strength"] == "strong"]
    sources = sorted({row["source"] for row, _ in pairs})
    lines = []
    for name in ["all", *sources]:
        some = [(row, out) for row, out in pairs if name in ("all", row["source"])]
        truth = [row["topic"] for row, _ in some]
        topics = [out["topic"] for _, out in some]
        accuracy = sum(a == b for a, b in zip(truth, topics, strict=True)) / len(some)
        strong = sum(out["route"] == "strong" for _, out in some) / len(some)
        lines.append([name, len(some), f"{accuracy:.3f}", f"{macro_f1(truth, topics):.3f}", f"{strong:.3f}"])
    yield table(["strong rows of", "n", "accuracy", "macro-F1", "escalated by the rule"], lines)
    yield f"{len(rows)} messages in {took:.1f} s, start and training included: {len(rows) / took:.0f} messages/s."


def languages(data: Path, home: Path) -> Iterator[str]:
    """Language accuracy over all the file's codes, and over eight."""
    rows = read_rows(data / "language-dev.jsonl")
    codes = sorted({row["language"] for row in rows})
    lines = []
    for name, some, allowed in (
        (f"all {len(codes)} codes", rows, codes),
        (" ".join(EIGHT), [row for row in rows if row["language"] in EIGHT], EIGHT),
    ):
        given = [{"id": str(number), "body": row["text"]} for number, row in enumerate(some)]
        said, _ = classify(given, allowed, home)
        right = sum(row["language"] == out["language"] for row, out in zip(some, said, strict=True))
        lines.append([name, len(some), f"{right / len(some):.3f}"])
    yield table(["language", "n", "accuracy"], lines)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    beside = ROOT / "../shared/data"
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("TRIAGE_TEST_DATA", beside)))
    data: Path = parser.parse_args().data
    if not (data / "tickets-dev.jsonl").exists():
        print(f"SKIPPED FOR WANT OF DATA: there is no {data / 'tickets-dev.jsonl'}", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="triage-bench-") as folder:
        for part in (tickets, languages):
            print("\n\n".join(part(data, Path(folder))), end="\n\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
