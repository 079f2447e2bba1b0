"""Shares with their denominators: outcomes of drafts, the rewrite rate, Wilson's interval, percentiles."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

SMALL = 10
"""Below so many cases a share is shown as counts only: one case would move it by ten points or more."""

_Z = 1.959963984540054  # two-sided 95%


@dataclass(frozen=True)
class Share:
    """`count` of `of`, with Wilson's 95% interval; share and interval are None where `of` is 0."""

    count: int
    of: int

    @property
    def value(self) -> float | None:
        return self.count / self.of if self.of else None

    @property
    def interval(self) -> tuple[float, float] | None:
        return wilson(self.count, self.of) if self.of else None

    @property
    def small(self) -> bool:
        return self.of < SMALL

    def in_words(self) -> str:
        """25% (5 of 20), or 2 of 4 where there are too few for a percentage."""
        counts = f"{self.count:,} of {self.of:,}"
        return counts if self.value is None or self.small else f"{self.value:.0%} ({counts})"

    def with_interval(self) -> str:
        """25% (5 of 20; 95% between 11% and 47%)."""
        if self.interval is None or self.small or self.value is None:
            return self.in_words()
        low, high = self.interval
        return f"{self.value:.0%} ({self.count:,} of {self.of:,}; 95% between {low:.0%} and {high:.0%})"


def wilson(count: int, of: int) -> tuple[float, float]:
    """Wilson's score interval at 95% for `count` of `of` (`of` above 0); 0..1."""
    p = count / of
    middle = p + _Z * _Z / (2 * of)
    spread = _Z * math.sqrt(p * (1 - p) / of + _Z * _Z / (4 * of * of))
    scale = 1 + _Z * _Z / of
    low, high = (middle - spread) / scale, (middle + spread) / scale
    return (max(0.0, low) if count else 0.0), (min(1.0, high) if count < of else 1.0)


@dataclass(frozen=True)
class Outcomes:
    """How many drafts ended how. Expired (nobody judged it in time) and unscorable ones are not reviewed."""

    as_is: int = 0
    light: int = 0
    heavy: int = 0
    rewritten: int = 0
    replaced: int = 0
    rejected: int = 0
    expired: int = 0
    unscorable: int = 0

    @classmethod
    def of(cls, counts: Mapping[str, int]) -> Outcomes:
        """Out of counts by outcome; an outcome that nobody knows is an error, not a silent loss."""
        return cls(**dict(counts))

    @property
    def reviewed(self) -> int:
        return self.as_is + self.light + self.heavy + self.rewritten + self.replaced + self.rejected

    @property
    def rewrite(self) -> Share:
        """The number to steer by: (rewritten + replaced + rejected) / reviewed."""
        return Share(self.rewritten + self.replaced + self.rejected, self.reviewed)

    def __add__(self, other: Outcomes) -> Outcomes:
        return Outcomes(*(getattr(self, name) + getattr(other, name) for name in NAMES))


NAMES = ("as_is", "light", "heavy", "rewritten", "replaced", "rejected", "expired", "unscorable")
REVIEWED = NAMES[:6]
REWRITE = ("rewritten", "replaced", "rejected")


def percentile(histogram: Iterable[tuple[float, int]], share: float) -> float | None:
    """The nearest-rank percentile of (value, how often) pairs: the smallest value with at least `share` of
    all at or below it; None of nothing."""
    pairs = sorted((value, often) for value, often in histogram if often > 0)
    total = sum(often for _value, often in pairs)
    if not total:
        return None
    rank = max(1, math.ceil(share * total))
    seen = 0
    for value, often in pairs:
        seen += often
        if seen >= rank:
            return value
    return pairs[-1][0]


def many(count: int, one: str, more: str = "") -> str:
    """1 failure, 2 failures, 1,000 failures."""
    return f"{count:,} {one if count == 1 else more or one + 's'}"
