"""What a run found: per model the measures, the bar, the misses; who is cheapest; and the answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from typing import Any

from pipeline.errors import ConfigError
from pipeline.evaluation.judging import Judged, judged
from pipeline.evaluation.marks import Marked
from pipeline.evaluation.questions import MEASURES, OF_TICKETS
from pipeline.evaluation.runs import Header, RunFolder, Sitter
from pipeline.evaluation.scores import Calibration, Share, calibration, percentile
from pipeline.models.prompts import Prompt

AT_MOST = frozenset(
    [
        "promises",
        "blocked",
        "rewritten",
        "missed_escalations",
        "needless_escalations",
        "edit_share",
        "ece",
        "latency_p50_ms",
        "latency_p95_ms",
        "cost_per_1000_usd",
    ]
)
"""Measures of which less is better: their bar is a maximum. That of every other is a minimum."""

BESIDES = ("ece", "latency_p50_ms", "latency_p95_ms", "cost_per_1000_usd")
"""Measures that are no shares of cases; a bar may name them too."""

ORDER = list(dict.fromkeys(name for names in (*MEASURES.values(), *OF_TICKETS.values()) for name in names))

NOUNS = {
    "triage": "tickets",
    "routine": "drafts",
    "draft": "drafts",
    "summary": "summaries",
    "writing": "texts",
}


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

    @property
    def short_by(self) -> float:
        """By how much of what is wanted it was missed; 0 where it is met."""
        if self.met:
            return 0.0
        return 1.0 if self.came is None else abs(self.came - self.wanted) / (abs(self.wanted) or 1.0)

    def to_json(self) -> dict[str, Any]:
        at = "most" if self.measure in AT_MOST else "least"
        came = None if self.came is None else round(self.came, 4)
        return {"measure": self.measure, "at": at, "wanted": self.wanted, "came": came, "met": self.met}

    @property
    def brief(self) -> str:
        """Like `topic 0.83 of 0.85`, or `promises 0.04, at most 0`."""
        name = self.measure.removesuffix("_accuracy").replace("_", " ")
        if self.came is None:
            return f"{name} not measured"
        came = f"{self.came:.2f}"
        if not self.met and came == f"{self.wanted:.2f}":
            came = f"{self.came:.4f}"
        many = self.measure in AT_MOST
        return f"{name} {came}, at most {self.wanted:g}" if many else f"{name} {came} of {self.wanted:.2f}"

    def __str__(self) -> str:
        at = "at most" if self.measure in AT_MOST else "at least"
        came = "not measured" if self.came is None else f"{self.came:.3f}"
        return f"{self.measure} {came}, {at} {self.wanted:g}: {'met' if self.met else 'NOT met'}"


@dataclass(frozen=True)
class ModelResult:
    """One model on one task's cases. `not_tried` says why it was not asked at all; then nothing else counts.

    `asked` are its answers as they came, of `of` cases; `unasked` says why cases were not put to it in the
    last session (a cap, no credit) → how many.
    """

    sitter: Sitter
    of: int
    asked: tuple[Marked, ...] = ()
    bar: Mapping[str, float] = field(default_factory=dict)
    not_tried: str | None = None
    unasked: Mapping[str, int] = field(default_factory=dict)
    judged: tuple[Judged, ...] = ()

    @property
    def model(self) -> str:
        return self.sitter.key

    @property
    def price_known(self) -> bool:
        return self.sitter.price_known

    @property
    def left(self) -> int:
        """How many cases have no answer yet."""
        return self.of - len(self.asked)

    @cached_property
    def by_case(self) -> dict[str, Marked]:
        return {marked.case: marked for marked in self.asked}

    @cached_property
    def shares(self) -> dict[str, Share]:
        """Measure → share of the cases that state it for which it holds."""
        hits: Counter[str] = Counter()
        stated: Counter[str] = Counter()
        for marked in self.asked:
            stated.update(marked.marks.keys())
            hits.update(name for name, holds in marked.marks.items() if holds)
        return {name: Share(hits[name], stated[name]) for name in sorted(stated, key=_place)}

    @cached_property
    def calibration(self) -> Calibration | None:
        return calibration([marked.confidence for marked in self.asked if marked.confidence is not None])

    @property
    def latencies_ms(self) -> list[float]:
        return [float(marked.latency_ms) for marked in self.asked if marked.latency_ms is not None]

    @property
    def cost_per_1000_usd(self) -> Decimal | None:
        """Of the answers that came, with all the attempts that they took."""
        if not self.asked:
            return None
        return sum((marked.cost_usd for marked in self.asked), Decimal(0)) * 1000 / len(self.asked)

    @cached_property
    def means(self) -> dict[str, float]:
        """Measures that are numbers for each case, on average."""
        found: dict[str, list[float]] = {}
        for marked in self.asked:
            for name, value in marked.numbers.items():
                found.setdefault(name, []).append(value)
        return {name: sum(values) / len(values) for name, values in found.items()}

    @cached_property
    def measures(self) -> dict[str, float]:
        """Every measure as one number, by the name under which a bar may ask for it."""
        found = {name: share.value for name, share in self.shares.items()} | self.means
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
        return [Bar(name, wanted, self.measures.get(name)) for name, wanted in self.bar.items()]

    @property
    def meets_bar(self) -> bool:
        """Whether every line of the bar is met, and on every case: half a test proves nothing."""
        return bool(self.bars) and bool(self.asked) and not self.left and all(bar.met for bar in self.bars)

    def to_json(self) -> dict[str, Any]:
        if self.not_tried is not None:
            return {"model": self.model, "not_tried": self.not_tried}
        cost = self.cost_per_1000_usd
        return {
            "model": self.model,
            "not_tried": None,
            "asked": len(self.asked),
            "left": self.left,
            "unasked": dict(self.unasked),
            "measures": {name: share.to_json() for name, share in self.shares.items()},
            "means": {name: round(value, 4) for name, value in self.means.items()},
            "calibration": self.calibration.to_json() if self.calibration else None,
            "latency_ms": {name: self.measures.get(f"latency_{name}_ms") for name in ("p50", "p95")},
            "cost_per_1000_usd": None if cost is None else f"{cost:.6f}",
            "price_known": self.price_known,
            "bar": [bar.to_json() for bar in self.bars],
            "meets_bar": self.meets_bar,
            "judged": [one.to_json() for one in self.judged],
            "failures": [
                {"case": marked.case, "misses": [miss.to_json() for miss in marked.misses]}
                for marked in self.asked
                if marked.misses
            ],
        }


@dataclass(frozen=True)
class Result:
    """One run: its prompt and cases, how each model did on them, and what all of it cost."""

    header: Header
    models: tuple[ModelResult, ...]
    spent_usd: Decimal
    ended: str | None = None
    unjudged: Mapping[str, int] = field(default_factory=dict)
    """Why answers were not judged in the last session → how many."""

    @property
    def task(self) -> str:
        return self.header.task

    @property
    def of(self) -> int:
        return self.header.of

    @property
    def tried(self) -> list[ModelResult]:
        return [model for model in self.models if model.not_tried is None]

    @property
    def left(self) -> int:
        """How many answers are missing of the models that can be asked."""
        return sum(model.left for model in self.tried)

    @property
    def cheapest(self) -> ModelResult | None:
        """The cheapest model that meets the bar, by what it cost here; of two that cost the same, the faster."""
        good = [model for model in self.tried if model.meets_bar]
        return min(
            good,
            key=lambda m: (m.cost_per_1000_usd or Decimal(0), m.measures.get("latency_p50_ms", 0.0)),
            default=None,
        )

    @property
    def answer(self) -> str:
        """What to use, in one sentence."""
        if not self.tried:
            return f"{self.task}: no model could be tried"
        if not self.header.bar:
            return f"{self.task}: {self.header.prompt_path} sets no bar, so no model can be said to meet it"
        best = self.cheapest
        if best is not None:
            return f"{self.task}: {best.model} is the cheapest model that meets the bar ({self._price(best)})"
        close = min(
            self.tried,
            key=lambda m: (
                -sum(bar.met for bar in m.bars),
                sum(bar.short_by for bar in m.bars),
                m.cost_per_1000_usd or Decimal(0),
            ),
        )
        missed = [bar.brief for bar in close.bars if not bar.met]
        if close.left:
            missed.append(f"{close.left} of {close.of} cases not asked yet")
        return f"{self.task}: no model meets the bar; {close.model} comes nearest ({'; '.join(missed)})"

    def _price(self, model: ModelResult) -> str:
        noun = NOUNS[self.task]
        cost = money(model.cost_per_1000_usd or Decimal(0))
        if model.price_known:
            return f"{cost} per 1,000 {noun}"
        return f"its price is not known; booked at the dearest, {cost} per 1,000 {noun}"

    def to_json(self) -> dict[str, Any]:
        best, header = self.cheapest, self.header
        return {
            "task": self.task,
            "run": header.run,
            "started": header.started.isoformat(),
            "prompt": header.prompt,
            "cases": {"file": header.source, "number": self.of},
            "bar": header.bar,
            "bar_not_measured": list(header.unmeasured),
            "answer": self.answer,
            "cheapest": best.model if best else None,
            "left": self.left,
            "unjudged": dict(self.unjudged),
            "spent_usd": f"{self.spent_usd:f}",
            "models": [model.to_json() for model in self.models],
        }


def load(folder: RunFolder) -> Result:
    """A run as it stands on disk. Raises `InputError` where it is damaged."""
    header, answers, ended = folder.header(), folder.answers(), folder.ended()
    verdicts = folder.verdicts()
    bar = {name: wanted for name, wanted in header.bar.items() if name not in header.unmeasured}
    models = []
    for sitter in header.models:
        own = {case: marked for (model, case), marked in answers.items() if model == sitter.key}
        said = [verdict for (_, model, _), verdict in verdicts.items() if model == sitter.key]
        models.append(
            ModelResult(
                sitter,
                header.of,
                tuple(own.values()),
                bar,
                not_tried=None if own else ended.get("not_tried", {}).get(sitter.key),
                unasked=ended.get("unasked", {}).get(sitter.key, {}),
                judged=tuple(judged(said, own)),
            )
        )
    unjudged: Counter[str] = Counter()
    for name, whys in ended.get("unasked", {}).items():
        if name not in {sitter.key for sitter in header.models}:
            unjudged.update(whys)
    return Result(header, tuple(models), folder.spent_usd(), ended.get("why"), dict(unjudged))


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


def money(usd: Decimal) -> str:
    """Dollars, with more digits where they are few: $0.31, $0.0042."""
    return "$0" if not usd else f"${usd:.2f}" if usd >= Decimal("0.1") else f"${usd:.4f}"


def _place(measure: str) -> tuple[int, str]:
    return (ORDER.index(measure) if measure in ORDER else len(ORDER)), measure
