"""Measures the built-in model on foreign data and prints Markdown tables.

    .venv/bin/python -m tests.bench.classify [--data DIR] [--out FILE]

Nothing of the data is trained on. Without --data it is taken from TRIAGE_TEST_DATA, else from ../shared/data
beside the checkout. Ends with status 1 where the data is missing.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipeline.models.base import ModelRequest
from pipeline.models.providers.local import LocalProvider

Row = dict[str, Any]
EIGHT = ("en", "de", "fr", "es", "pt", "it", "nl", "pl")
TOPICS = (
    *("billing", "refund", "order_shipping", "account_access", "bug_report", "how_to", "sales"),
    *("feature_request", "cancellation", "complaint", "other"),
)
FIELD_OF = {
    "order_number": "order_numbers",
    "invoice_number": "invoice_numbers",
    "email": "emails",
    "phone": "phones",
    "amount": "amounts",
    "date": "dates",
}
# Rows whose text is an alignment record of two languages, not a sentence of one.
_ALIGNMENT = re.compile(r"\.xml\.gz")


def read_rows(path: Path) -> list[Row]:
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.strip()]


class Model:
    """The provider with the one question that all tables ask."""

    def __init__(self, cache_dir: Path) -> None:
        self.provider = LocalProvider(cache_dir)
        started = time.perf_counter(), time.process_time()
        self.provider.warm()
        self.start_s = time.perf_counter() - started[0]
        self.start_cpu_s = time.process_time() - started[1]

    def read(self, subject: str | None, body: str, languages: Sequence[str] = EIGHT) -> Row:
        given = {
            "subject": subject,
            "body": body,
            "topics": TOPICS,
            "languages": list(languages),
            "default_region": None,
            "received": datetime(2022, 3, 15, tzinfo=UTC),
        }
        request = ModelRequest(task="triage", model="local", system="", user="", input=given)
        answer: Row = json.loads(self.provider.complete(request, deadline_s=30).text)
        return answer


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(_cell(value) for value in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def _cell(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def macro_f1(truth: Sequence[str], said: Sequence[str]) -> float:
    scores = [f1 for _, _, f1, _ in per_label(truth, said).values()]
    return sum(scores) / len(scores)


def per_label(truth: Sequence[str], said: Sequence[str]) -> dict[str, tuple[float, float, float, int]]:
    """label -> (precision, recall, F1, rows), for the labels that the truth has."""
    result = {}
    for label in sorted(set(truth)):
        hits = sum(t == label == s for t, s in zip(truth, said, strict=True))
        precision = hits / max(1, said.count(label))
        recall = hits / truth.count(label)
        f1 = 2 * precision * recall / max(1e-9, precision + recall)
        result[label] = (precision, recall, f1, truth.count(label))
    return result


def kept_share(right: Sequence[bool], confidence: Sequence[float], wanted: float = 0.95) -> float:
    """The largest share of rows, surest first, that is right at least as often as `wanted`."""
    order = sorted(range(len(right)), key=lambda i: -confidence[i])
    hits, kept = 0, 0
    for rank, i in enumerate(order, start=1):
        hits += right[i]
        if hits / rank >= wanted:
            kept = rank
    return kept / len(right)


def calibration_error(right: Sequence[bool], confidence: Sequence[float], bins: int = 10) -> float:
    held: dict[int, list[int]] = defaultdict(list)
    for i, value in enumerate(confidence):
        held[min(bins - 1, int(value * bins))].append(i)
    gaps = (
        len(rows) * abs(sum(confidence[i] for i in rows) - sum(right[i] for i in rows)) / len(rows)
        for rows in held.values()
    )
    return sum(gaps) / len(right)


def auc(positive: Sequence[bool], score: Sequence[float]) -> float:
    """The chance that a positive row scores above another one, ties counted half."""
    order = sorted(range(len(score)), key=lambda i: score[i])
    ranks = [0.0] * len(score)
    at = 0
    while at < len(order):
        end = at
        while end + 1 < len(order) and score[order[end + 1]] == score[order[at]]:
            end += 1
        for i in range(at, end + 1):
            ranks[order[i]] = (at + end) / 2 + 1
        at = end + 1
    good = sum(positive)
    bad = len(positive) - good
    return (sum(rank for rank, yes in zip(ranks, positive, strict=True) if yes) - good * (good + 1) / 2) / (
        good * bad
    )


def topics(model: Model, rows: list[Row]) -> Iterator[str]:
    strong = [row for row in rows if row["topic"] and row["topic_strength"] == "strong"]
    weak = [row for row in rows if row["topic"] and row["topic_strength"] == "weak"]
    answers = {row["id"]: model.read(row["subject"], row["body"]) for row in strong + weak}
    groups: list[tuple[str, list[Row]]] = [("strong, all", strong)]
    groups += [
        (f"strong, {s}", [r for r in strong if r["source"] == s])
        for s in sorted({r["source"] for r in strong})
    ]
    groups.append(("weak, all", weak))
    lines = []
    for name, group in groups:
        truth = [row["topic"] for row in group]
        said = [answers[row["id"]]["topic"] for row in group]
        right = [t == s for t, s in zip(truth, said, strict=True)]
        sure = [answers[row["id"]]["confidence"] for row in group]
        clear = sum(answers[row["id"]]["clarity"] == "clear" for row in group) / len(group)
        kept, error = kept_share(right, sure), calibration_error(right, sure)
        lines.append((name, len(group), sum(right) / len(right), macro_f1(truth, said), kept, error, clear))
    yield "### Topic\n"
    yield table(
        (
            "rows",
            "n",
            "accuracy",
            "macro-F1",
            "share kept at 95% precision",
            "calibration error",
            "called clear",
        ),
        lines,
    )
    yield table(
        ("topic (strong rows)", "precision", "recall", "F1", "n"),
        [
            (label, *values)
            for label, values in per_label(
                [row["topic"] for row in strong], [answers[row["id"]]["topic"] for row in strong]
            ).items()
        ],
    )


def languages(model: Model, rows: list[Row]) -> Iterator[str]:
    yield "### Language\n"
    lines: list[tuple[object, ...]] = []
    every = sorted({row["language"] for row in rows})
    whole = [row for row in rows if not _ALIGNMENT.search(row["text"])]
    for name, codes, group in (
        (f"all {len(every)} codes configured", every, rows),
        (f"all {len(every)} codes, without {len(rows) - len(whole)} rows of two languages", every, whole),
        (", ".join(EIGHT), EIGHT, [r for r in rows if r["language"] in EIGHT]),
        (
            ", ".join(EIGHT) + ", without rows of two languages",
            EIGHT,
            [r for r in whole if r["language"] in EIGHT],
        ),
    ):
        right = sum(model.read(None, row["text"], codes)["language"] == row["language"] for row in group)
        lines.append((name, len(group), right / len(group)))
    yield table(("configured", "n", "accuracy"), lines)


def _same(kind: str) -> Callable[[str], str]:
    """What is compared: numbers without blanks and signs, sums without currency, dates without small words."""
    shapes = {
        "amount": lambda value: re.sub(r"[^\d.]", "", value).rstrip("."),
        "date": lambda value: re.sub(r"\b(?:the|on)\b|[^a-z0-9]", "", value.lower()),
        "email": lambda value: value.lower().replace(" ", ""),
    }
    return shapes.get(kind, lambda value: re.sub(r"[^a-z0-9]", "", value.lower()))


def fields(model: Model, rows: list[Row]) -> Iterator[str]:
    hits: Counter[tuple[str, str]] = Counter()
    extra: Counter[tuple[str, str]] = Counter()
    missed: Counter[tuple[str, str]] = Counter()
    for row in rows:
        found = model.read(None, row["text"])["fields"]
        for kind, name in FIELD_OF.items():
            same = _same(kind)
            wanted = {same(one["value"]) for one in row["fields"] if one["type"] == kind}
            got = {same(one["value"]) for one in found[name]}
            for place in ((kind, row["source"]), (kind, "all")):
                hits[place] += len(wanted & got)
                extra[place] += len(got - wanted)
                missed[place] += len(wanted - got)
    yield "### Fields\n"
    lines: list[tuple[object, ...]] = []
    for kind, source in sorted(hits, key=lambda place: (list(FIELD_OF).index(place[0]), place[1])):
        place = (kind, source)
        if hits[place] + missed[place] == 0:
            if extra[place]:
                lines.append((kind, source, 0, 0.0, "-"))
            continue
        precision = hits[place] / max(1, hits[place] + extra[place])
        lines.append(
            (
                kind,
                source,
                hits[place] + missed[place],
                precision,
                hits[place] / (hits[place] + missed[place]),
            )
        )
    yield table(("field", "source", "n", "precision", "recall"), lines)


def emotions(model: Model, rows: list[Row]) -> Iterator[str]:
    """How well "angry or frustrated" ranks the rows; the labels are of film lines and comments, and noisy."""
    score = {"calm": 0.0, "worried": 1.0, "frustrated": 2.0, "angry": 3.0}
    reader = model.provider.reader()
    ranked = {row["id"]: reader.displeasure(row["text"]) for row in rows}
    named = {row["id"]: score[model.read(None, row["text"])["emotion"]] for row in rows}
    yield "### Emotion: displeased (anger or disgust) against the rest\n"
    lines: list[tuple[object, ...]] = []
    for name, group in (
        ("all", rows),
        ("goemotions", [r for r in rows if r["source"] == "goemotions"]),
        ("goemotions, anger alone against joy or neutral", [r for r in rows if _plain_contrast(r)]),
        ("xed, English", [r for r in rows if r["source"] == "xed" and r["language"] == "en"]),
        (
            "xed, others (projected labels)",
            [r for r in rows if r["source"] == "xed" and r["language"] != "en"],
        ),
    ):
        positive = [bool({"anger", "disgust"} & set(row["emotions_group"])) for row in group]
        lines.append(
            (
                name,
                len(group),
                auc(positive, [ranked[r["id"]] for r in group]),
                auc(positive, [named[r["id"]] for r in group]),
            )
        )
    yield table(("rows", "n", "AUC of the score", "AUC of the named emotion"), lines)


def _plain_contrast(row: Row) -> bool:
    return row["source"] == "goemotions" and len(row["emotions_group"]) == 1 and row["emotions_group"][0] in (
        "anger",
        "joy",
        "neutral",
    )  # fmt: skip


def speed(model: Model, rows: list[Row]) -> Iterator[str]:
    sample = [(row["subject"], row["body"]) for row in rows[::4]]
    wall, cpu = time.perf_counter(), time.process_time()
    for subject, body in sample:
        model.read(subject, body)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    text = " ".join(row["body"] for row in rows if row["source"] == "sumo-firefox")
    thousand = [text[at : at + 1000] for at in range(0, 100_000, 1000)]
    started = time.process_time()
    for body in thousand:
        model.read(None, body)
    long_ms = (time.process_time() - started) / len(thousand) * 1e3
    yield "### Speed\n"
    yield table(
        ("measure", "value"),
        [
            ("first start: training and loading, s", model.start_s),
            ("first start, CPU s", model.start_cpu_s),
            ("messages per second, one thread", len(sample) / wall),
            ("CPU per message, ms (mean of the tickets)", cpu / len(sample) * 1e3),
            ("CPU per message of 1,000 characters, ms", long_ms),
        ],
    )


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    beside = Path(__file__).resolve().parents[2] / ".." / "shared" / "data"
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("TRIAGE_TEST_DATA", beside)))
    parser.add_argument("--out", type=Path, help="write the tables there too")
    asked = parser.parse_args()
    try:
        tickets = read_rows(asked.data / "tickets-dev.jsonl")
        others = {
            name: read_rows(asked.data / f"{name}-dev.jsonl") for name in ("language", "fields", "emotion")
        }
    except OSError as exc:
        print(
            f"the data cannot be read: {exc}; name its folder with --data or TRIAGE_TEST_DATA",
            file=sys.stderr,
        )
        return 1
    with tempfile.TemporaryDirectory() as folder:
        model = Model(Path(folder))
        parts: list[str] = []
        for section in (
            topics(model, tickets),
            languages(model, others["language"]),
            fields(model, others["fields"]),
            emotions(model, others["emotion"]),
            speed(model, tickets),
        ):
            for part in section:
                print(part, flush=True)
                parts.append(part)
    if asked.out is not None:
        asked.out.parent.mkdir(parents=True, exist_ok=True)
        asked.out.write_text("\n".join(parts), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
