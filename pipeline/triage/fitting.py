"""Fits a confidence to what turned out right, and proposes the threshold that keeps a promise on errors.

Whatever is said of a fit is measured on rows that it did not see.
"""

from __future__ import annotations

import math
import random
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import accumulate
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.triage.calibration import Curve, Signals, Weights, features, uncalibrated

FEWEST_ROWS = 30
"""Below that nothing is fitted: a handful of rows says more about chance than about the model."""

ISOTONIC_ROWS = 200
"""From so many rows on a free curve is tried beside the two-number one, and taken where it foretells better."""

FOLDS = 5
LEVEL = 0.05
_LEVEL_OF_EACH = LEVEL / 4
_FEWEST_WITH_SIGNAL = 20
_FEWEST_TO_HOPE = 50
_MOST_ROWS = 20_000  # nobody labels more by hand
_PENALTY = 1.0
_LAXEST, _STRICTEST = 30, 99  # thresholds tried, in hundredths as routes.toml has them

Doubles = NDArray[np.float64]
Method = Literal["platt", "isotonic"]


@dataclass(frozen=True)
class Row:
    """One reading whose truth is known. `kept`: only its confidence can take it off the cheap route."""

    signals: Signals
    right: bool
    kept: bool = True


@dataclass(frozen=True)
class Proposal:
    """The lowest threshold whose kept rows have fewer errors than the target, with 95% confidence.

    `threshold` is None where none has; then `errors` of `of` are those of the rows that went best, and
    `needed` how many rows would show the target, as far as that can be told (None: more rows would not
    help). `share` is of all rows; `bound` the one-sided upper 95% bound on the error share.
    """

    threshold: float | None
    target: float
    errors: int
    of: int
    share: float
    bound: float
    needed: int | None = None


def fit(rows: Sequence[Row], *, model: str, prompt: str, source: Literal["cases", "tickets"]) -> Curve:
    """The curve of these rows, at least one."""
    method = best_method(rows)
    return _curve(rows, method, model, prompt, source)


def best_method(rows: Sequence[Row]) -> Method:
    """Which kind of curve foretells rows better that it was not fitted on."""
    if len(rows) < ISOTONIC_ROWS:
        return "platt"
    losses: dict[Method, float] = {
        "platt": _log_loss(rows, held_out(rows, "platt")),
        "isotonic": _log_loss(rows, held_out(rows, "isotonic")),
    }
    return min(losses, key=lambda name: losses[name])


def held_out(rows: Sequence[Row], method: Method) -> list[float]:
    """Each row's probability by a curve fitted on the other folds; at least two rows."""
    order = list(range(len(rows)))
    random.Random(0).shuffle(order)  # the same folds in every run
    order.sort(key=lambda n: rows[n].right)  # each fold gets its share of errors
    fold_of = {n: place % min(FOLDS, len(rows)) for place, n in enumerate(order)}
    found = [0.0] * len(rows)
    for fold in set(fold_of.values()):
        curve = _curve([rows[n] for n in order if fold_of[n] != fold], method, "", "", "cases")
        for n in order:
            if fold_of[n] == fold:
                found[n] = curve.probability(rows[n].signals)
    return found


def before(rows: Sequence[Row]) -> list[float]:
    """The rows' confidence without any curve."""
    return [uncalibrated(row.signals) for row in rows]


def propose(confidences: Sequence[float], rows: Sequence[Row], target: float) -> Proposal:
    """The threshold that keeps most messages cheap while the target holds among the kept ones.

    It is the best of many that are tried, and one of many passes by luck more easily than one alone: so
    each is held to `_LEVEL_OF_EACH`, at which the promise of 95% was kept in simulations, also where the
    confidence says nothing about errors.
    """
    kept = sorted((told, row.right) for told, row in zip(confidences, rows, strict=True) if row.kept)
    errors_below = [0, *accumulate(not right for _, right in kept)]
    tried: list[tuple[float, int, int]] = []  # threshold, errors, rows at or above it
    for hundredths in range(_LAXEST, _STRICTEST + 1):
        below = bisect_left(kept, (hundredths / 100,))
        tried.append((hundredths / 100, errors_below[-1] - errors_below[below], len(kept) - below))
    for threshold, errors, of in tried:
        if errors < target * of and _tail(errors, of, target) <= _LEVEL_OF_EACH:
            return Proposal(threshold, target, errors, of, of / len(rows), upper_bound(errors, of))
    # none: then how many rows would do if those that went best are no accident
    enough = [found for found in tried if found[2] >= min(_FEWEST_TO_HOPE, tried[0][2])]
    _, errors, of = min(enough, key=lambda found: (found[1] / max(found[2], 1), -found[2]))
    more = _more(errors, of, target) if of else None
    needed = None if more is None else math.ceil(more * len(rows) / of)
    return Proposal(None, target, errors, of, of / len(rows), upper_bound(errors, of), needed)


def upper_bound(errors: int, of: int, level: float = LEVEL) -> float:
    """Clopper and Pearson's one-sided upper bound on a share of which `errors` of `of` were seen."""
    if errors >= of:
        return 1.0
    low, high = errors / of, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if _tail(errors, of, middle) > level else (low, middle)
    return high


def rows_needed(target: float, errors: int, level: float = LEVEL) -> int:
    """How many rows show an error share under the target although so many of them are errors."""
    low, high = errors, errors + 1
    while _tail(errors, high, target) > level:
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _tail(errors, middle, target) > level else (low, middle)
    return high


def _tail(errors: int, of: int, share: float) -> float:
    """How likely so few errors are, or fewer, if their true share is `share` (above 0, below 1)."""
    if errors >= of:
        return 1.0
    logs = [
        math.lgamma(of + 1)
        - math.lgamma(n + 1)
        - math.lgamma(of - n + 1)
        + n * math.log(share)
        + (of - n) * math.log1p(-share)
        for n in range(errors + 1)
    ]
    return min(1.0, math.fsum(map(math.exp, logs)))


def _more(errors: int, of: int, target: float) -> int | None:
    """How many rows would show the target, were the same share of them wrong; None where hardly any number would."""
    number = max(of, rows_needed(target, 0, _LEVEL_OF_EACH))
    while errors / of < target and number < _MOST_ROWS:
        if _tail(round(errors / of * number), number, target) <= _LEVEL_OF_EACH:
            return number
        number += max(1, number // 10)
    return None


def _curve(
    rows: Sequence[Row], method: Method, model: str, prompt: str, source: Literal["cases", "tickets"]
) -> Curve:
    told = [features(row.signals)[1] for row in rows if row.signals.certainty is not None]
    usual = float(np.mean(told)) if told else 0.0
    table = np.array([features(row.signals, usual) for row in rows])
    right = np.array([row.right for row in rows])
    asked = sum(row.signals.agreed is not None for row in rows)
    usable = [True, len(told) >= _FEWEST_WITH_SIGNAL, asked >= _FEWEST_WITH_SIGNAL]
    bias, weights = _platt(table, right, [n for n, yes in enumerate(usable) if yes])
    steps = _isotonic(bias + table @ weights, right) if method == "isotonic" else ()
    return Curve(
        model=model,
        prompt=prompt,
        method=method,
        bias=bias,
        weights=Weights(stated=weights[0], certainty=weights[1], agreed=weights[2]),
        usual_certainty=usual,
        steps=steps,
        source=source,
        rows=len(rows),
        fitted=datetime.now(UTC).date().isoformat(),
    )


def _platt(table: Doubles, right: NDArray[np.bool_], used: list[int]) -> tuple[float, Doubles]:
    """Bias and one weight per column of `table`: logistic regression with Platt's smoothed targets.

    Weights are drawn towards what the model says itself (1 for the stated log odds, 0 for the rest), so
    few rows change little. A signal that would count against itself is left out.
    """
    good, all_rows = int(right.sum()), int(right.size)
    targets = np.where(right, (good + 1) / (good + 2), 1 / (all_rows - good + 2))
    x = np.column_stack([np.ones(all_rows), table[:, used]])
    prior = np.array([0.0, *(1.0 if column == 0 else 0.0 for column in used)])
    penalty = np.array([1e-6, *([_PENALTY] * len(used))])
    found = prior.copy()
    for _ in range(50):
        said = 1 / (1 + np.exp(-np.clip(x @ found, -30, 30)))
        gradient = x.T @ (said - targets) + penalty * (found - prior)
        curvature = (x * (said * (1 - said) + 1e-9)[:, None]).T @ x + np.diag(penalty)
        move = np.linalg.solve(curvature, gradient)
        found -= np.clip(move, -2, 2)  # far steps overshoot where all rows say the same
        if float(np.abs(move).max()) < 1e-9:
            break
    if used and float(found[1:].min()) < 0:
        worst = used[int(found[1:].argmin())]
        return _platt(table, right, [column for column in used if column != worst])
    weights = np.zeros(table.shape[1])
    weights[used] = found[1:]
    return float(found[0]), weights


def _isotonic(scores: Doubles, right: NDArray[np.bool_]) -> tuple[tuple[float, float], ...]:
    """The rising steps that lie nearest to the rows, by pooling neighbours that are out of order."""
    order = np.argsort(scores, kind="stable")
    blocks: list[list[float]] = []  # first score, last score, rows, right ones
    for score, good in zip(scores[order].tolist(), right[order].tolist(), strict=True):
        if blocks and blocks[-1][1] == score:
            blocks[-1][2] += 1
            blocks[-1][3] += good
        else:
            blocks.append([score, score, 1.0, float(good)])
        while len(blocks) > 1 and blocks[-2][3] / blocks[-2][2] >= blocks[-1][3] / blocks[-1][2]:
            _, last, number, hits = blocks.pop()
            blocks[-1][1] = last
            blocks[-1][2] += number
            blocks[-1][3] += hits
    steps: list[tuple[float, float]] = []
    for first, last, number, hits in blocks:
        # no block is so pure that its next row could not be another
        value = max(steps[-1][1] if steps else 0.0, (hits + 0.5) / (number + 1))
        steps += [(first, value)] if first == last else [(first, value), (last, value)]
    return tuple(steps)


def _log_loss(rows: Sequence[Row], confidences: Sequence[float]) -> float:
    return -math.fsum(
        math.log(p if row.right else 1 - p) for p, row in zip(confidences, rows, strict=True)
    ) / len(rows)
