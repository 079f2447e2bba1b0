"""Measures the local model's language and emotion on foreign data and on the own cases; Markdown to stdout.

.venv/bin/python -m tests.bench.tone [--data DIR]

Nothing of the data is trained on, but settings were compared on it. Ends with status 1 where the data is missing.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from pipeline.models.providers.local import LocalProvider
from pipeline.models.providers.local.language import LanguageReader
from pipeline.models.providers.local.reader import Reader
from tests.bench.classify import EIGHT, Row, auc, read_rows, table

ROOT = Path(__file__).resolve().parents[2]
# Rows whose text is an alignment record of two languages, not a sentence of one.
_ALIGNMENT = re.compile(r"\.xml\.gz")
DISPLEASED = ("frustrated", "angry")


def languages(rows: list[Row]) -> Iterator[str]:
    """The share of texts whose language is named, among all codes of the file and among the eight."""
    reader = LanguageReader()
    every = sorted({row["language"] for row in rows})
    lines: list[tuple[object, ...]] = []
    for codes, goal in ((every, 0.88), (EIGHT, 0.97)):
        chosen = [row for row in rows if row["language"] in codes]
        right = {row["id"]: reader.read(row["text"], codes).language == row["language"] for row in chosen}
        groups = [("all", chosen)]
        groups += [
            (s, [r for r in chosen if r["source"] == s]) for s in sorted({r["source"] for r in chosen})
        ]
        groups.append(
            ("without rows of two languages", [r for r in chosen if not _ALIGNMENT.search(r["text"])])
        )
        for name, group in groups:
            share = sum(right[row["id"]] for row in group) / len(group)
            lines.append(
                (f"{len(codes)} codes", name, len(group), share, f"≥ {goal}" if name == "all" else "")
            )
    yield "### Language\n"
    yield table(("configured", "rows", "n", "accuracy", "wanted"), lines)


def _grouped(*emotions: str) -> Callable[[Row], bool]:
    return lambda row: bool(set(emotions) & set(row["emotions_group"]))


def _labelled(*emotions: str) -> Callable[[Row], bool]:
    return lambda row: bool(set(emotions) & set(row["emotions_original"]))


def foreign_emotions(reader: Reader, rows: list[Row]) -> Iterator[str]:
    """How well "angry or frustrated" ranks film lines and comments; no row is customer mail."""
    score = {row["id"]: reader.displeasure(row["text"]) for row in rows}
    go = [row for row in rows if row["source"] == "goemotions"]
    films = [row for row in rows if row["source"] == "xed"]
    mild = _labelled("disapproval", "disgust")
    cross = _labelled("anger", "annoyance")
    lines: list[tuple[object, ...]] = []
    for name, group, positive in (
        ("all: anger or disgust (groups)", rows, _grouped("anger", "disgust")),
        ("goemotions: anger or disgust (groups)", go, _grouped("anger", "disgust")),
        ("goemotions: anger or annoyance", go, cross),
        (
            "goemotions: the same, rows of disapproval or disgust alone left out",
            [row for row in go if cross(row) or not mild(row)],
            cross,
        ),
        ("xed, English", [row for row in films if row["language"] == "en"], _grouped("anger", "disgust")),
        ("xed, projected", [row for row in films if row["language"] != "en"], _grouped("anger", "disgust")),
    ):
        marked = [positive(row) for row in group]
        lines.append((name, len(group), sum(marked), auc(marked, [score[row["id"]] for row in group])))
    yield "### Emotion: angry or frustrated against the rest (emotion-dev; wanted ≥ 0.88)\n"
    yield table(("rows and label", "n", "positive", "AUC"), lines)


def own_emotions(reader: Reader, rows: list[Row]) -> Iterator[str]:
    """The own triage cases: the ranking, and the named emotion. They were read while seeds were written."""
    rows = [row for row in rows if "emotion" in row["expect"]]
    marked = [row["expect"]["emotion"] in DISPLEASED for row in rows]
    said = [
        reader.read(subject=row["subject"], body=row["body"], topics=(), languages=EIGHT)["emotion"]
        for row in rows
    ]
    named = [emotion in DISPLEASED for emotion in said]
    score = [reader.displeasure("\n".join(filter(None, (row["subject"], row["body"])))) for row in rows]
    right = sum(one == row["expect"]["emotion"] for one, row in zip(said, rows, strict=True))
    seen = sum(one and yes for one, yes in zip(named, marked, strict=True))
    false = sum(named) - seen
    yield "### Emotion on the own triage cases (customer mail in eight languages)\n"
    yield table(
        ("measure", "n", "value"),
        [
            ("AUC, angry or frustrated against the rest", len(rows), auc(marked, score)),
            ("named emotion is right", len(rows), right / len(rows)),
            ("angry or frustrated mails named so", sum(marked), seen / sum(marked)),
            ("others named angry or frustrated", len(rows) - sum(marked), false / (len(rows) - sum(marked))),
        ],
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    beside = ROOT / ".." / "shared" / "data"
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("TRIAGE_TEST_DATA", beside)))
    data = parser.parse_args().data
    try:
        texts = read_rows(data / "language-dev.jsonl")
        felt = read_rows(data / "emotion-dev.jsonl")
    except OSError as exc:
        print(
            f"the data cannot be read: {exc}; name its folder with --data or TRIAGE_TEST_DATA",
            file=sys.stderr,
        )
        return 1
    own = (ROOT / "prompts" / "triage" / "cases.jsonl").read_text(encoding="utf-8").splitlines()
    with tempfile.TemporaryDirectory() as folder:
        reader = LocalProvider(Path(folder)).reader()
        sections: list[Iterable[str]] = [
            languages(texts),
            foreign_emotions(reader, felt),
            own_emotions(reader, [json.loads(line) for line in own if line.strip()]),
        ]
        for section in sections:
            for part in section:
                print(part, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
