"""How far a reading's confidence can be believed: curves fitted per model and prompt, kept in calibration.json.

The file is reviewed and committed by a team like routes.toml; `triage calibrate --write` makes it. What it
holds no curve for is not calibrated, and says so. Fitting is in `fitting`; nothing here needs numpy.
"""

from __future__ import annotations

import json
import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import mul
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.errors import ConfigError
from pipeline.routing.table import LOCAL
from pipeline.triage.schema import TriageAnswer

FILE = "calibration.json"

ROUTING_CRITICAL = ("topic", "urgency", "emotion", "clarity")
"""The answers that the route hangs on; `confidence` is the probability that all of them are right."""

DISAGREED = 0.5
"""The most that an answer counts for with which a second reader disagrees, until that is fitted."""

_STATED_EDGE = 0.01
_CERTAINTY_EDGE = 1e-4
_EDGE = 0.001


@dataclass(frozen=True)
class Signals:
    """What speaks for one reading: the model's own word (0..1), the probability of the topic's tokens
    (0..1, None where the API tells none), and whether a second reader agreed (None: none was asked)."""

    stated: float
    certainty: float | None = None
    agreed: bool | None = None


@dataclass(frozen=True)
class Judged:
    """A confidence, 0..1, and whether it was measured: only then it can be taken at its word."""

    confidence: float
    calibrated: bool


def weighs(name: str, value: str) -> str | bool:
    """A routing-critical answer reduced to what the route hangs on: worried or calm is all one, angry is not."""
    if name == "clarity":
        return value == "clear"
    if name == "urgency":
        return value in ("high", "critical")
    return value == "angry" if name == "emotion" else value


def agree(first: TriageAnswer, second: TriageAnswer) -> bool:
    """Whether two readings of a message are the same in all that the route hangs on."""
    return all(
        weighs(name, getattr(first, name)) == weighs(name, getattr(second, name)) for name in ROUTING_CRITICAL
    )


def kept_if_sure(route: str, reasons: Iterable[str]) -> bool:
    """Whether nothing but a low confidence took, or could take, a decided reading off the cheap route."""
    return route == "cheap" or all(reason.startswith("Confidence ") for reason in reasons)


def uncalibrated(signals: Signals) -> float:
    """The most careful word on a reading that no curve is known for: the lowest of what speaks for it."""
    found = [signals.stated] if signals.certainty is None else [signals.stated, signals.certainty]
    return min(*found, 1.0 if signals.agreed is not False else DISAGREED)


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


Finite = Annotated[float, Field(allow_inf_nan=False)]


class Weights(_Closed):
    """What each signal counts for, 0 where it was not there to be fitted. A surer signal never lowers."""

    stated: Finite = Field(1.0, ge=0)
    certainty: Finite = Field(0.0, ge=0)
    agreed: Finite = Field(0.0, ge=0)


class Curve(_Closed):
    """One model's calibration under one prompt (its digest; empty for the built-in model, which reads none).

    The score is bias + weights · (logit of stated, logit of certainty, ±1 for agreed); the probability is its
    logistic, or where there are `steps` (score, probability), their line. `usual_certainty` is the logit that
    stands in where the API tells none. `source` is cases or tickets, of which `rows` were fitted.
    """

    model: str
    prompt: str
    method: Literal["platt", "isotonic"]
    bias: Finite
    weights: Weights
    usual_certainty: Finite = 0.0
    steps: tuple[tuple[Finite, Annotated[float, Field(ge=0, le=1)]], ...] = ()
    source: Literal["cases", "tickets"]
    rows: int = Field(ge=1)
    fitted: str

    def probability(self, signals: Signals) -> float:
        """That all routing-critical answers are right, 0..1 without the ends."""
        score = self.bias + sum(map(mul, _weights(self.weights), features(signals, self.usual_certainty)))
        value = _on_line(self.steps, score) if self.steps else 1.0 / (1.0 + math.exp(-_within(score, 30.0)))
        return min(max(value, _EDGE), 1.0 - _EDGE)


class _File(_Closed):
    curves: tuple[Curve, ...]


class Calibration:
    """All curves that are known; without one a model is not calibrated.

    The built-in model is the exception: its own training fits its confidence on lines that were held out,
    so it counts as calibrated until a curve of the team's own is there.
    """

    def __init__(self, curves: Iterable[Curve] = ()) -> None:
        self._curves = {_key(curve.model, curve.prompt): curve for curve in curves}

    def curve(self, model: str, prompt: str) -> Curve | None:
        """The curve of a model (its key in routes.toml) under a prompt's digest."""
        return self._curves.get(_key(model, prompt))

    def judge(self, model: str, prompt: str, signals: Signals) -> Judged:
        curve = self.curve(model, prompt)
        if curve is not None:
            return Judged(curve.probability(signals), True)
        return Judged(uncalibrated(signals), model == LOCAL)

    def with_curve(self, curve: Curve) -> Calibration:
        """The same with one more; the one of the same model and prompt gives way."""
        return Calibration([*self._curves.values(), curve])

    def write(self, path: Path) -> None:
        """Raises `ConfigError` where the file cannot be written."""
        curves = [curve.model_dump() for _, curve in sorted(self._curves.items())]
        part = path.with_name(f".{path.name}.part")
        try:
            part.write_text(json.dumps({"curves": curves}, indent=2) + "\n", encoding="utf-8")
            part.replace(path)
        except OSError as error:
            raise ConfigError(f"{path}: cannot be written: {error.strerror or error}") from None


def load(path: Path) -> Calibration:
    """Read calibration.json. Raises `ConfigError` with the curve and the key to mend."""
    try:
        found = _File.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise ConfigError(
            f"{path}: {where}: {first['msg']}; or remove it and run triage calibrate --write"
        ) from None
    return Calibration(found.curves)


def features(signals: Signals, usual_certainty: float = 0.0) -> tuple[float, float, float]:
    """What a curve's weights are for, in the order of `Weights`: log odds, log odds, and ±1 (0: not asked)."""
    certain = usual_certainty if signals.certainty is None else _logit(signals.certainty, _CERTAINTY_EDGE)
    agreed = 0.0 if signals.agreed is None else (1.0 if signals.agreed else -1.0)
    return _logit(signals.stated, _STATED_EDGE), certain, agreed


def _logit(probability: float, edge: float) -> float:
    p = min(max(probability, edge), 1.0 - edge)  # models like to say 1.0, and never mean it
    return math.log(p / (1.0 - p))


def _weights(weights: Weights) -> tuple[float, float, float]:
    return weights.stated, weights.certainty, weights.agreed


def _within(value: float, most: float) -> float:
    return max(-most, min(most, value))


def _on_line(steps: Sequence[tuple[float, float]], score: float) -> float:
    """The steps' value at a score: between two of them in proportion, beyond the ends the end's."""
    after = bisect_right(steps, score, key=lambda step: step[0])
    if after in (0, len(steps)):
        return steps[max(after - 1, 0)][1]
    (left, low), (right, high) = steps[after - 1], steps[after]
    return low + (high - low) * (score - left) / (right - left)


def _key(model: str, prompt: str) -> tuple[str, str]:
    return model, "" if model == LOCAL else prompt
