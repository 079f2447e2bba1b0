"""What an evaluation found: per task and model the measures, the bar, the misses; and who is cheapest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any

from pipeline.errors import ConfigError
from pipeline.evaluation.questions import DraftQuestion, Marked, TriageQuestion
from pipeline.evaluation.scores import Calibration, Share, calibration, percentile
from pipeline.models.base import Choice
from pipeline.models.prompts import Prompt

AT_MOST = frozenset(
    [
        "promises",
        "blocked",
        "missed_escalations",
        "needless_escalations",
        "ece",
        "latency_p50_ms",
        "latency_p95_ms",
        "cost_per_1000_usd",
    ]
)
"""Measures of which less is better: their bar is a maximum. That of every other is a minimum."""

BESIDES = ("ece", "latency_p50_ms", "latency_p95_ms", "cost_per_1000_usd")
"""Measures that are no shares of cases; a bar may name them too."""

ORDER = list(dict.fromkeys((*TriageQuestion.MEASURES, *DraftQuestion.MEASURES)))
SHOWN = 8


@dataclass(frozen=True)
class Bar:
    """One line of a prompt's bar. `came` is None where no case measures it: then it is not met."""

    measure: str
    wanted: float
    came: float | None

    @property
    def met(self) -> bool:
        if self.came is None:
            return False
        return self.came <= self.wanted if self.measure in AT_MOST else self.came >= self.wanted

    def to_json(self) -> dict[str, Any]:
        at = "most" if self.measure in AT_MOST else "least"
        came = None if self.came is None else round(self.came, 4)
        return {"measure": self.measure, "at": at, "wanted": self.wanted, "came": came, "met": self.met}

    def __str__(self) -> str:
        at = "at most" if self.measure in AT_MOST else "at least"
        came = "not measured" if self.came is None else f"{self.came:.3f}"
        return f"{self.measure} {came}, {at} {self.wanted:g}: {'met' if self.met else 'NOT met'}"


@dataclass(frozen=True)
class ModelResult:
    """One model on one task's cases. `not_tried` says why it was not asked at all; then nothing else counts.

    `spent_usd` is what all its attempts cost, failed ones and repairs included.
    """

    choice: Choice
    marked: tuple[Marked, ...] = ()
    bar: Mapping[str, float] | None = None
    spent_usd: Decimal = Decimal(0)
    price_known: bool = True
    not_tried: str | None = None

    @property
    def model(self) -> str:
        return self.choice.key

    @cached_property
    def asked(self) -> tuple[Marked, ...]:
        return tuple(marked for marked in self.marked if marked.unasked is None)

    @property
    def unasked(self) -> dict[str, int]:
        """Why cases were not put to the model (a cap, no credit) → how many."""
        return dict(Counter(marked.unasked for marked in self.marked if marked.unasked is not None))

    @cached_property
    def shares(self) -> dict[str, Share]:
        """Measure → share of the cases that state it for which it holds."""
        hits: Counter[str] = Counter()
        stated: Counter[str] = Counter()
        for marked in self.asked:
            stated.update(marked.marks.keys())
            hits.update(name for name, holds in marked.marks.items() if holds)
        return {name: Share(hits[name], stated[name]) for name in sorted(stated, key=ORDER.index)}

    @cached_property
    def calibration(self) -> Calibration | None:
        return calibration([marked.confidence for marked in self.asked if marked.confidence is not None])

    @property
    def latencies_ms(self) -> list[float]:
        return [float(marked.latency_ms) for marked in self.asked if marked.latency_ms is not None]

    @property
    def cost_per_1000_usd(self) -> Decimal | None:
        return self.spent_usd * 1000 / len(self.asked) if self.asked else None

    @cached_property
    def measures(self) -> dict[str, float]:
        """Every measure as one number, by the name under which a bar may ask for it."""
        found = {name: share.value for name, share in self.shares.items()}
        if self.calibration is not None:
            found["ece"] = self.calibration.ece
        if self.latencies_ms:
            found["latency_p50_ms"] = percentile(self.latencies_ms, 0.50)
            found["latency_p95_ms"] = percentile(self.latencies_ms, 0.95)
        if self.cost_per_1000_usd is not None:
            found["cost_per_1000_usd"] = float(self.cost_per_1000_usd)
        return found

    @property
    def bars(self) -> list[Bar]:
        return [Bar(name, wanted, self.measures.get(name)) for name, wanted in (self.bar or {}).items()]

    @property
    def meets_bar(self) -> bool:
        """Whether every line of the bar is met, and on every case: half a test proves nothing."""
        return bool(self.bars) and bool(self.asked) and not self.unasked and all(bar.met for bar in self.bars)

    def to_json(self) -> dict[str, Any]:
        if self.not_tried is not None:
            return {"model": self.model, "not_tried": self.not_tried}
        cost = self.cost_per_1000_usd
        return {
            "model": self.model,
            "not_tried": None,
            "asked": len(self.asked),
            "unasked": self.unasked,
            "measures": {name: share.to_json() for name, share in self.shares.items()},
            "calibration": self.calibration.to_json() if self.calibration else None,
            "latency_ms": {name: self.measures.get(f"latency_{name}_ms") for name in ("p50", "p95")},
            "cost_per_1000_usd": None if cost is None else f"{cost:.6f}",
            "price_known": self.price_known,
            "bar": [bar.to_json() for bar in self.bars],
            "meets_bar": self.meets_bar,
            "failures": [
                {"case": marked.case, "misses": [miss.to_json() for miss in marked.misses]}
                for marked in self.asked
                if marked.misses
            ],
        }


@dataclass(frozen=True)
class Result:
    """One task: its prompt and cases, and how each model did on them."""

    task: str
    prompt: Prompt
    cases: Path
    models: tuple[ModelResult, ...]
    of: int

    @property
    def tried(self) -> list[ModelResult]:
        return [model for model in self.models if model.not_tried is None]

    @property
    def cheapest(self) -> ModelResult | None:
        """The cheapest model that meets the bar; of two that cost the same, the one that is right more often."""
        good = [model for model in self.tried if model.meets_bar]
        return min(good, key=lambda m: (m.cost_per_1000_usd or 0, -m.measures["passed"]), default=None)

    @property
    def answer(self) -> str:
        """What to use, in one sentence."""
        if not self.tried:
            return f"No model could be tried for {self.task}."
        if not self.prompt.front.bar:
            return f"{self.prompt.path} sets no bar for {self.task}, so no model can be said to meet it."
        best = self.cheapest
        if best is not None:
            cost = best.cost_per_1000_usd
            return f"The cheapest model that meets the bar for {self.task} is {best.model}, at ${cost:.2f} per 1,000."
        close = max(self.tried, key=lambda m: (sum(bar.met for bar in m.bars), m.measures.get("passed", 0.0)))
        missed = "; ".join(str(bar) for bar in close.bars if not bar.met) or "not every case was asked"
        return (
            f"No model that was tried meets the bar for {self.task}; {close.model} comes closest ({missed})."
        )

    def to_json(self) -> dict[str, Any]:
        best = self.cheapest
        return {
            "task": self.task,
            "prompt": self.prompt.digest,
            "cases": {"file": str(self.cases), "number": self.of},
            "bar": self.prompt.front.bar,
            "answer": self.answer,
            "cheapest": best.model if best else None,
            "models": [model.to_json() for model in self.models],
        }


def read_bar(prompt: Prompt, measures: Sequence[str]) -> dict[str, float]:
    """The bar of a prompt's front matter: measure → number. Raises `ConfigError` naming the file."""
    bar = prompt.front.bar
    if not bar:
        return {}
    if isinstance(bar, str):
        raise ConfigError(
            f"{prompt.path}: front matter, bar: must be a table of measures, "
            "like { topic_accuracy = 0.85 }, for a program to check it"
        )
    for name, wanted in bar.items():
        if name not in measures and name not in BESIDES:
            known = ", ".join([*measures, *BESIDES])
            raise ConfigError(f"{prompt.path}: front matter, bar: {name} is not measured; known are {known}")
        if isinstance(wanted, bool) or not isinstance(wanted, int | float):
            raise ConfigError(f"{prompt.path}: front matter, bar: {name} must be a number, not {wanted!r}")
    return {name: float(wanted) for name, wanted in bar.items()}


def lines(results: Sequence[Result]) -> list[str]:
    """For people; the last lines give the answer for each task."""
    found: list[str] = []
    for result in results:
        found.append(f"{result.task}: {result.of} cases of {result.cases}, prompt {result.prompt.digest}")
        for model in result.tried:
            found += [f"  {line}" for line in _model_lines(model)]
        found += [
            f"  {model.model}: not tried: {model.not_tried}" for model in result.models if model.not_tried
        ]
        found.append("")
    return [*found, *(result.answer for result in results)]


def _model_lines(model: ModelResult) -> list[str]:
    found = [model.model]
    width = max((len(name) for name in model.shares), default=0)
    found += [f"  {name:{width}}  {share}" for name, share in model.shares.items()]
    if model.calibration is not None:
        found.append(f"  confidence: expected calibration error {model.calibration.ece:.3f}")
        found += [
            f"    {b.start:.1f} to {b.end:.1f}: {b.answers:4} answers, "
            f"{b.mean_confidence:.2f} sure, {b.right:.2f} right"
            for b in model.calibration.bins
        ]
    if model.latencies_ms:
        p50, p95 = (model.measures[f"latency_{name}_ms"] for name in ("p50", "p95"))
        found.append(f"  latency p50 {p50:.0f} ms, p95 {p95:.0f} ms")
    if model.cost_per_1000_usd is not None:
        guess = (
            ""
            if model.price_known
            else " (no price is known; booked at the dearest: set price in routes.toml)"
        )
        found.append(f"  ${model.cost_per_1000_usd:.4f} per 1,000{guess}")
    found += [f"  {number} cases not asked: {why}" for why, number in model.unasked.items()]
    found += [f"  bar: {bar}" for bar in model.bars]
    failed = [marked for marked in model.asked if marked.misses]
    for marked in failed[:SHOWN]:
        found.append(f"  failed {marked.case}: {'; '.join(str(miss) for miss in marked.misses)}")
    if len(failed) > SHOWN:
        found.append(f"  … and {len(failed) - SHOWN} more failed; --json shows all")
    return found
