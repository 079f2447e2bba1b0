"""Softmax regression in plain numpy: fitting, predicting, and calibrating what it says of itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Weights", "fit", "fit_platt", "platt", "probabilities"]

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
# 0: a class counts by its number of rows; 1: every class counts alike.
_EVENNESS = 0.75


@dataclass(frozen=True)
class Weights:
    """`matrix` is features by classes, `bias` one per class."""

    matrix: Floats
    bias: Floats


def _softmax(scores: Floats) -> Floats:
    scores = scores - scores.max(axis=1, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=1, keepdims=True)
    return scores


def probabilities(weights: Weights, features: Floats) -> Floats:
    """Rows of class probabilities, one per row of `features`."""
    return _softmax(features @ weights.matrix + weights.bias)


def fit(
    features: Floats,
    labels: Ints,
    classes: int,
    *,
    strength: float,
    rounds: int,
    emphasis: Floats | None = None,
    start: Weights | None = None,
) -> Weights:
    """L2-regularised softmax regression by accelerated gradient steps.

    `strength` is the inverse of the penalty: the higher, the closer to the data. Rows of a small class count
    more, so that a topic with few lines is not drowned; `emphasis` (one number per row) multiplies that. `start`
    are weights of the same shape to go on from. The same input gives the same weights.
    """
    rows, width = features.shape
    counts = np.bincount(labels, minlength=classes).astype(np.float32)
    row_weight = counts[labels] ** -_EVENNESS
    if emphasis is not None:
        row_weight = row_weight * emphasis
    row_weight = (row_weight / row_weight.sum()).astype(np.float32)[:, None]
    wanted = np.eye(classes, dtype=np.float32)[labels]
    penalty = np.float32(1.0 / (strength * rows))
    # Sentence vectors share one long direction, which says nothing and slows every step: it is taken out.
    middle = (features * row_weight).sum(axis=0)
    features = features - middle
    # The softmax loss curves at most half as much as the features do, and half as much along the bias; twice
    # that bounds both together, so that each may take its own step.
    spread = float(np.linalg.norm(features.T @ (features * row_weight), 2))
    bias_step = np.float32(1.0)
    step = np.float32(1.0 / (spread + float(penalty)))

    if start is None:
        start = Weights(np.zeros((width, classes), dtype=np.float32), np.zeros(classes, dtype=np.float32))
    matrix, bias = start.matrix, start.bias + middle @ start.matrix
    ahead, ahead_bias, momentum = matrix.copy(), bias.copy(), 1.0
    for _ in range(rounds):
        error = (_softmax(features @ ahead + ahead_bias) - wanted) * row_weight
        next_matrix = ahead - step * (features.T @ error + penalty * ahead)
        next_bias = ahead_bias - bias_step * error.sum(axis=0)
        next_momentum = (1.0 + float(np.sqrt(1.0 + 4.0 * momentum * momentum))) / 2.0
        push = np.float32((momentum - 1.0) / next_momentum)
        ahead = next_matrix + push * (next_matrix - matrix)
        ahead_bias = next_bias + push * (next_bias - bias)
        matrix, bias, momentum = next_matrix, next_bias, next_momentum
    return Weights(matrix, bias - middle @ matrix)


def fit_platt(scores: NDArray[np.float64], right: NDArray[np.bool_]) -> tuple[float, float]:
    """Slope and offset so that 1 / (1 + exp(-(slope * score + offset))) is the share that is right.

    Newton's method with Platt's smoothed targets, which keep it finite when nothing is wrong.
    """
    good = int(right.sum())
    bad = int(right.size) - good
    target = np.where(right, (good + 1.0) / (good + 2.0), 1.0 / (bad + 2.0))
    slope, offset = 1.0, 0.0
    for _ in range(50):
        said = 1.0 / (1.0 + np.exp(-np.clip(slope * scores + offset, -30, 30)))
        residual = said - target
        spread = said * (1.0 - said) + 1e-9
        gradient = np.array([(residual * scores).sum() + 1e-3 * (slope - 1.0), residual.sum()])
        cross = float((spread * scores).sum())
        hessian = np.array([[float((spread * scores**2).sum()) + 1e-3, cross], [cross, float(spread.sum())]])
        move = np.linalg.solve(hessian + 1e-6 * np.eye(2), gradient)
        slope, offset = slope - float(move[0]), offset - float(move[1])
        if float(np.abs(move).max()) < 1e-8:
            break
    # A slope that is not positive would say that surer is wronger: then the score tells nothing.
    return max(slope, 0.0), offset


def platt(score: float, slope: float, offset: float) -> float:
    """The calibrated probability of one score."""
    return float(1.0 / (1.0 + np.exp(-np.clip(slope * score + offset, -30, 30))))
