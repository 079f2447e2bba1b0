"""Measures redaction on foreign data: what of each kind is found, and what else is taken out with it.

    .venv/bin/python -m tests.bench.redaction [--data DIR]

The data is synthetic: many of its phone numbers exist in no country and its cards are not all of an issuer's
length; a find counts as right where it covers the whole marked value. Every name in the data counts, though
only names that a cue leads to can be found. Ends with status 1 where the data is missing.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from pathlib import Path

from pipeline.models.redaction import Redactor
from tests.bench.classify import Row, read_rows, table

KINDS = {
    "CREDIT_CARD": "cards",
    "IBAN_CODE": "ibans",
    "EMAIL_ADDRESS": "emails",
    "PHONE_NUMBER": "phones",
    "PERSON": "names",
}
ALL = tuple(KINDS.values())


def spans(rows: list[Row], redactor: Redactor) -> str:
    """Found and marked values of each kind, and how they meet."""
    marked, found, right, hit = (Counter[str]() for _ in range(4))
    for row in rows:
        finds = redactor.find(row["text"])
        wanted = [(KINDS[s["type"]], s["start"], s["end"]) for s in row["spans"] if s["type"] in KINDS]
        for kind, start, end in wanted:
            marked[kind] += 1
            hit[kind] += any(f.kind == kind and f.start <= start and end <= f.end for f in finds)
        for one in finds:
            found[one.kind] += 1
            # a title or half of a long number is right too, as long as it lies on what is marked
            right[one.kind] += any(one.start < end and start < one.end for _, start, end in wanted)
    lines = [
        [kind, marked[kind], hit[kind] / marked[kind], found[kind], right[kind] / max(1, found[kind])]
        for kind in ALL
    ]
    return table(["kind", "marked", "recall (whole value gone)", "found", "precision"], lines)


def numbers(rows: list[Row], redactor: Redactor) -> str:
    """How many order and invoice numbers are taken for something else."""
    lost: Counter[str] = Counter()
    all_of: Counter[str] = Counter()
    for row in rows:
        finds = redactor.find(row["text"])
        for one in row["fields"]:
            if one["type"] not in ("order_number", "invoice_number"):
                continue
            all_of[one["type"]] += 1
            lost[one["type"]] += any(f.start < one["end"] and one["start"] < f.end for f in finds)
    lines = [[what, lost[what], number] for what, number in sorted(all_of.items())]
    return table(["kind", "taken for something else", "of"], lines)


def in_mail(rows: list[Row], redactor: Redactor) -> str:
    """Finds in customer messages that hold no marks: how often each kind is taken out."""
    found: Counter[str] = Counter()
    chars, started = 0, time.process_time()
    for row in rows:
        text = f"{row.get('subject') or ''}\n{row.get('text') or row.get('body') or ''}"
        chars += len(text)
        found.update(f.kind for f in redactor.find(text))
    per_1000 = (time.process_time() - started) / max(1, chars) * 1e6
    lines = [[kind, found[kind], f"{found[kind] / len(rows):.4f}"] for kind in ("secrets", *ALL)]
    return (
        table(["kind", "finds", "per message"], lines)
        + f"\n{len(rows)} messages, {per_1000:.2f} ms of CPU per 1,000 characters with every kind on."
    )


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path)
    data: Path | None = parser.parse_args().data
    if data is None:
        given = os.environ.get("TRIAGE_TEST_DATA")
        data = Path(given) if given else Path(__file__).parents[3] / "shared" / "data"
    files = [data / f"{name}-dev.jsonl" for name in ("pii", "fields", "tickets")]
    for file in files:
        if not file.exists():
            print(f"SKIPPED FOR WANT OF A PART: {file}; set TRIAGE_TEST_DATA", file=sys.stderr)
            return 1
    pii, fields, tickets = (read_rows(file) for file in files)
    redactor = Redactor(ALL, "US")
    print(f"Of {len(pii)} sentences with marked values:\n\n{spans(pii, redactor)}\n")
    print(
        f"Order and invoice numbers of {len(fields)} messages, every kind on:\n\n{numbers(fields, redactor)}\n"
    )
    print(f"The same, cards and secrets only:\n\n{numbers(fields, Redactor())}\n")
    print(f"Customer messages without marks:\n\n{in_mail(tickets, redactor)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
