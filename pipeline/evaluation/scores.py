"""The arithmetic of an evaluation: shares with their intervals, percentiles, calibration. Pure."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

Z_95 = 1.959964
BINS = 10


@dataclass(frozen=True)
class Share:
    """`hits` of `of` cases; `of` is at least 1."""

    hits: int
    of: int

    @property
    def value(self) -> float:
        return self.hits / self.of

    @property
    def interval(self) -> tuple[float, float]:
        """The Wilson score interval at 95%: honest for few cases and for shares near 0 and 1."""
        n, p = self.of, self.value
        middle = p + Z_95**2 / (2 * n)
        spread = Z_95 * math.sqrt(p * (1 - p) / n + Z_95**2 / (4 * n * n))
        scale = 1 + Z_95**2 / n
        return max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale)

    def to_json(self) -> dict[str, Any]:
        low, high = self.interval
        return {
            "share": round(self.value, 4),
            "low": round(low, 4),
            "high": round(high, 4),
            "hits": self.hits,
            "of": self.of,
        }

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.value:6.1%}  ({low:.1%} to {high:.1%}; {self.hits} of {self.of})"


@dataclass(frozen=True)
class Difference:
    """Second minus first over the same cases, with its interval at 95%; none where there are too few cases."""

    value: float
    interval: tuple[float, float] | None

    @property
    def sure(self) -> bool:
        """Whether the interval leaves out that there is no difference."""
        return self.interval is not None and (self.interval[0] > 0 or self.interval[1] < 0)


def difference_of_shares(gained: int, lost: int, of: int) -> Difference:
    """Of the `of` cases that both answered, `gained` hold in the second only and `lost` in the first only.

    The interval is Wald's for paired shares, with half a case added to each of the four cells (Agresti and
    Min 2005): close to what it promises from about 10 cases on.
    """
    n, more, less = of + 2, gained + 0.5, lost + 0.5
    middle = (more - less) / n
    spread = Z_95 * math.sqrt(max(0.0, more + less - (more - less) ** 2 / n)) / n
    return Difference((gained - lost) / of, (max(-1.0, middle - spread), min(1.0, middle + spread)))


def difference_of_means(pairs: Sequence[tuple[float, float]]) -> Difference:
    """Of (first, second) values, at least one; normal approximation."""
    gaps = [second - first for first, second in pairs]
    mean = sum(gaps) / len(gaps)
    if len(gaps) < 2:
        return Difference(mean, None)
    spread = Z_95 * math.sqrt(sum((gap - mean) ** 2 for gap in gaps) / (len(gaps) - 1) / len(gaps))
    return Difference(mean, (mean - spread, mean + spread))


@dataclass(frozen=True)
class Bin:
    """Answers whose confidence lies in [start, end): how sure they were, and how many were right."""

    start: float
    end: float
    answers: int
    mean_confidence: float
    right: float

    def to_json(self) -> dict[str, Any]:
        return {
            "from": self.start,
            "to": self.end,
            "answers": self.answers,
            "mean_confidence": round(self.mean_confidence, 4),
            "right": round(self.right, 4),
        }


@dataclass(frozen=True)
class Calibration:
    """The reliability table and its expected calibration error (0 is perfect), empty bins left out."""

    ece: float
    bins: tuple[Bin, ...]

    def to_json(self) -> dict[str, Any]:
        return {"ece": round(self.ece, 4), "bins": [found.to_json() for found in self.bins]}


def calibration(answers: Collection[tuple[float, bool]]) -> Calibration | None:
    """From (stated confidence 0..1, whether the answer was right); None where there is no answer."""
    if not answers:
        return None
    sorted_in: dict[int, list[tuple[float, bool]]] = {}
    for confidence, right in answers:
        sorted_in.setdefault(min(int(confidence * BINS), BINS - 1), []).append((confidence, right))
    bins = tuple(
        Bin(
            start=number / BINS,
            end=(number + 1) / BINS,
            answers=len(found),
            mean_confidence=sum(confidence for confidence, _ in found) / len(found),
            right=sum(right for _, right in found) / len(found),
        )
        for number, found in sorted(sorted_in.items())
    )
    ece = sum(abs(b.mean_confidence - b.right) * b.answers for b in bins) / len(answers)
    return Calibration(ece, bins)


def percentile(values: Sequence[float], share: float) -> float:
    """The nearest-rank percentile of at least one value; `share` is 0 to 1."""
    ranked = sorted(values)
    return ranked[max(0, math.ceil(share * len(ranked)) - 1)]
