"""What a team's own tickets teach the built-in model, on foreign data: a curve per source.

Each source of tickets-dev.jsonl plays the team in turn (no source is ever among the package's examples): some of
its labelled rows are learned, the rest are read. Means over five draws. Run:

    .venv/bin/python -m tests.bench.learn [--data FOLDER]
"""

from __future__ import annotations

import argparse
import os
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.models.providers.local import topics
from pipeline.models.providers.local.encoder import Encoder
from pipeline.models.providers.local.learned import Row, as_lines
from pipeline.models.providers.local.seeds import mail_lines, topic_lines
from pipeline.models.providers.local.trained import as_mail
from tests.bench.classify import TOPICS, read_rows, table

SIZES = (0, 10, 30, 60, 200)
DRAWS = 5
# At least this many rows are left to be read after the largest lesson that a source can give.
_LEFT = 60


class Package:
    """The package's own examples, encoded once."""

    def __init__(self, encoder: Encoder) -> None:
        self._lines = topic_lines()
        self._vectors = encoder.encode([line.text for line in self._lines])
        self._mails = [as_mail(encoder, line) for line in mail_lines()]
        self.plain = topics.fitted(self._lines, self._vectors, self._mails)

    def taught(self, mails: Sequence[topics.Mail]) -> topics.TopicModel:
        """The model after learning these."""
        if not mails:
            return self.plain
        return topics.fitted(self._lines, self._vectors, [*self._mails, *mails], self.plain)


def curve(
    package: Package, mails: Sequence[topics.Mail], sizes: Sequence[int], draws: int
) -> list[float | str]:
    """The accuracy on the rest of a source after `sizes` of its rows; "-" where too few would be left."""
    found: list[float | str] = []
    for size in sizes:
        if len(mails) - size < _LEFT:
            found.append("-")
            continue
        shares = []
        for draw in range(draws):
            shuffled = random.Random(draw).sample(list(mails), len(mails))
            model = package.taught(shuffled[:size])
            asked = shuffled[size:]
            right = sum(model.answer(mail.vectors, TOPICS).topic == mail.label for mail in asked)
            shares.append(right / len(asked))
            if not size:
                break  # nothing is drawn
        found.append(sum(shares) / len(shares))
    return found


def _encoded(encoder: Encoder, rows: Sequence[dict[str, Any]]) -> list[topics.Mail]:
    given = [Row(row["topic"], row["subject"] or "", row["body"]) for row in rows]
    return [as_mail(encoder, line) for line in as_lines(given)]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    beside = Path(__file__).resolve().parents[2] / ".." / "shared" / "data"
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("TRIAGE_TEST_DATA", beside)))
    parser.add_argument("--draws", type=int, default=DRAWS)
    asked = parser.parse_args()
    try:
        rows = [row for row in read_rows(asked.data / "tickets-dev.jsonl") if row["topic"]]
    except OSError as exc:
        print(
            f"the data cannot be read: {exc}; name its folder with --data or TRIAGE_TEST_DATA",
            file=sys.stderr,
        )
        return 1
    encoder = Encoder()
    lines: list[tuple[object, ...]] = []
    with encoder.alone():
        package = Package(encoder)
        for strength in ("strong", "strong and weak"):
            for source in sorted({row["source"] for row in rows}):
                of_source = [
                    row for row in rows if row["source"] == source and row["topic_strength"] in strength
                ]
                if len(of_source) < 2 * _LEFT:
                    continue
                mails = _encoded(encoder, of_source)
                lines.append((source, strength, len(mails), *curve(package, mails, SIZES, asked.draws)))
                print(f"{source}, {strength}: done", file=sys.stderr)
    print("### Accuracy after learning so many of a source's own rows\n")
    print(table(("source", "labels", "rows", *map(str, SIZES)), lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
