"""Two models, prompts or days on the same cases: each measure's difference, and the cases that flipped."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.evaluation.marks import Marked
from pipeline.evaluation.results import AT_MOST, ModelResult
from pipeline.evaluation.scores import Difference, difference_of_means, difference_of_shares

LESS = AT_MOST | {"latency_mean_ms"}


@dataclass(frozen=True)
class Compared:
    """One measure on the cases where both state it. `better` is None where the interval holds no difference."""

    measure: str
    of: int
    first: float
    second: float
    difference: Difference
    gained: int | None = None
    lost: int | None = None

    @property
    def better(self) -> bool | None:
        if not self.difference.sure:
            return None
        return (self.difference.value < 0) == (self.measure in LESS)


@dataclass(frozen=True)
class Flip:
    """A case on which a mark differs, with both answers. `gained` is better in the second."""

    case: str
    first: Marked
    second: Marked
    gained: bool


@dataclass(frozen=True)
class Comparison:
    """`shared` counts the cases that both answered; `apart` are those that only one did."""

    first: ModelResult
    second: ModelResult
    shared: int
    apart: int
    measures: tuple[Compared, ...]

    def flips(self, measure: str) -> list[Flip]:
        """The shared cases on which this mark differs, those that got worse first."""
        found = []
        for case, one in self.first.by_case.items():
            other = self.second.by_case.get(case)
            if other is None or one.marks.get(measure) == other.marks.get(measure):
                continue
            if measure in one.marks and measure in other.marks:
                gained = other.marks[measure] != (measure in AT_MOST)
                found.append(Flip(case, one, other, gained))
        return sorted(found, key=lambda flip: (flip.gained, flip.case))


def compare(first: ModelResult, second: ModelResult) -> Comparison:
    """On the cases that both answered, by their ids."""
    shared = [case for case in first.by_case if case in second.by_case]
    measures = []
    for name in first.shares:
        both = [
            (one.marks[name], other.marks[name])
            for case in shared
            for one, other in [(first.by_case[case], second.by_case[case])]
            if name in one.marks and name in other.marks
        ]
        if both:
            gained = sum(other and not one for one, other in both)
            lost = sum(one and not other for one, other in both)
            measures.append(
                Compared(
                    name,
                    len(both),
                    sum(one for one, _ in both) / len(both),
                    sum(other for _, other in both) / len(both),
                    difference_of_shares(gained, lost, len(both)),
                    gained,
                    lost,
                )
            )
    pairs = [(first.by_case[case], second.by_case[case]) for case in shared]
    for name in first.means:
        measures += _numbers(name, [(a.numbers.get(name), b.numbers.get(name)) for a, b in pairs])
    measures += _numbers("latency_mean_ms", [(a.latency_ms, b.latency_ms) for a, b in pairs])
    measures += _numbers(
        "cost_per_1000_usd", [(float(a.cost_usd) * 1000, float(b.cost_usd) * 1000) for a, b in pairs]
    )
    apart = len(first.by_case) + len(second.by_case) - 2 * len(shared)
    return Comparison(first, second, len(shared), apart, tuple(measures))


def _numbers(name: str, values: list[tuple[float | int | None, float | int | None]]) -> list[Compared]:
    both = [(float(a), float(b)) for a, b in values if a is not None and b is not None]
    if not both:
        return []
    first, second = (sum(pair[side] for pair in both) / len(both) for side in (0, 1))
    return [Compared(name, len(both), first, second, difference_of_means(both))]
