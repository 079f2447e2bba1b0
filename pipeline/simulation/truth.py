"""What is true of a simulated quarter, counted from the plan as it is carried out, never from the store."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

DIMENSIONS = ("route", "topic", "language", "inbox", "model", "prompt", "source")
"""Of a draft: topic is as the cheap model read it, prompt the digest of the prompt file."""


@dataclass
class Truth:
    """The counts by ISO week of `zone`, each in the week of its own moment."""

    zone: str
    cells: Counter[tuple[str, ...]] = field(default_factory=Counter)
    weeks: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))

    def week_of(self, at: datetime) -> str:
        year, week, _ = at.astimezone(ZoneInfo(self.zone)).isocalendar()
        return f"{year}-W{week:02}"

    def judged(self, at: datetime, outcome: str, **draft: str) -> None:
        """A draft came to its end; `draft` has a value for each of `DIMENSIONS`."""
        self.cells[(self.week_of(at), *(draft[name] for name in DIMENSIONS), outcome)] += 1

    def count(self, at: datetime, what: str, number: int = 1) -> None:
        self.weeks[self.week_of(at)][what] += number

    def outcomes(self) -> Counter[str]:
        found: Counter[str] = Counter()
        for cell, count in self.cells.items():
            found[cell[-1]] += count
        return found

    def totals(self) -> Counter[str]:
        """What `count` counted, all weeks together."""
        found: Counter[str] = Counter()
        for counts in self.weeks.values():
            found.update(counts)
        return found

    def to_json(self) -> dict[str, Any]:
        names = ("week", *DIMENSIONS, "outcome")
        return {
            "zone": self.zone,
            "cells": [
                dict(zip(names, cell, strict=True)) | {"count": count}
                for cell, count in sorted(self.cells.items())
            ],
            "weeks": {week: dict(sorted(counts.items())) for week, counts in sorted(self.weeks.items())},
        }
