"""Which topic a mail is about: softmax regression on sentence vectors, boilerplate left out, calibrated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.models.providers.local.seeds import BOILERPLATE, Line
from pipeline.models.providers.local.softmax import Weights, fit, fit_platt, platt, probabilities

__all__ = ["FALLBACK", "TopicAnswer", "TopicModel", "train"]

FALLBACK = "other"
_STRENGTH = 4.0
_ROUNDS = 180
_FOLDS = 3
_HELD_BACK_ROUNDS = 100
# What a sentence may say against a topic at most: one stray sentence must not outvote the rest.
_FLOOR = 0.02
# A second topic is named from this share on; it makes a mail ambiguous only when it comes close to the first.
_NAMED = 0.22
_AMBIGUOUS_RATIO = 0.6
_LONG_MAIL = 8
# Two sides of one matter: a mail that touches both still asks for one thing.
_ONE_MATTER = frozenset(
    frozenset(pair)
    for pair in (
        ("bug_report", "how_to"),
        ("bug_report", "account_access"),
        ("bug_report", "feature_request"),
        ("bug_report", "complaint"),
        ("how_to", "account_access"),
        ("how_to", "feature_request"),
        ("feature_request", "complaint"),
        ("billing", "refund"),
    )
)

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class TopicAnswer:
    """`others` are further topics that the mail touches, `mixed` those of them that make it ask for more than
    one thing. `shares` sums to 1 over the allowed topics; per sentence, `weights` says how far it says anything, and
    `telling` how far it says the chosen topic (0..1 each)."""

    topic: str
    others: tuple[str, ...]
    mixed: tuple[str, ...]
    confidence: float
    shares: Mapping[str, float]
    weights: tuple[float, ...]
    telling: tuple[float, ...]


@dataclass(frozen=True)
class TopicModel:
    """Trained weights over (topic, kind) classes and the two numbers of the calibration."""

    weights: Weights
    classes: tuple[tuple[str, str], ...]
    slope: float
    offset: float

    @property
    def topics(self) -> tuple[str, ...]:
        """The topics that it can tell apart, boilerplate excluded."""
        return tuple(sorted({topic for topic, _ in self.classes} - {BOILERPLATE}))

    def answer(self, vectors: Floats, allowed: Sequence[str]) -> TopicAnswer:
        """The topic of a mail whose sentences have these vectors, among `allowed`.

        A topic that no seed line knows is never chosen. Without any allowed and known topic, or without a
        sentence, the answer is "other" (or the last allowed topic) with confidence 0.
        """
        names = [topic for topic in self.topics if topic in allowed]
        fallback = FALLBACK if FALLBACK in allowed or not allowed else allowed[-1]
        if not names or not len(vectors):
            nothing = (0.0,) * len(vectors)
            return TopicAnswer(fallback, (), (), 0.0, {fallback: 1.0}, nothing, nothing)
        per_sentence, said = _by_topic(self.weights, self.classes, vectors, names)
        shares, score = _pooled(per_sentence, said)
        order = np.argsort(-shares)
        best = names[int(order[0])]
        close = [names[int(i)] for i in order[1:3] if shares[i] >= _NAMED]
        rivals = [name for name in close if shares[names.index(name)] >= _AMBIGUOUS_RATIO * shares[order[0]]]
        beside = _asked_beside(per_sentence, said, names, best)
        others = tuple(dict.fromkeys([*close, *beside]))[:2]
        mixed = tuple(
            name
            for name in others
            if name in (*rivals, *beside) and frozenset((name, best)) not in _ONE_MATTER
        )
        return TopicAnswer(
            topic=best,
            others=others,
            mixed=mixed,
            confidence=platt(score, self.slope, self.offset),
            shares={name: float(share) for name, share in zip(names, shares, strict=True)},
            weights=tuple(float(w) for w in said),
            telling=tuple(float(t) for t in said * per_sentence[:, int(order[0])]),
        )


def _asked_beside(per_sentence: Doubles, said: Doubles, names: Sequence[str], best: str) -> list[str]:
    """Topics that some sentence is surely about, though the mail as a whole is about `best`.

    Not in long mails: a story touches many things on its way to the one that it is about.
    """
    telling = np.flatnonzero(said >= 0.5)
    if len(telling) > _LONG_MAIL:
        return []
    sure = [int(i) for i in telling if per_sentence[i].max() >= 0.6]
    picked = [names[int(per_sentence[i].argmax())] for i in sure]
    return [name for name in dict.fromkeys(picked) if name not in (best, FALLBACK)]


def _by_topic(
    weights: Weights, classes: Sequence[tuple[str, str]], vectors: Floats, names: Sequence[str]
) -> tuple[Doubles, Doubles]:
    """Per sentence the shares of `names` (rows sum to 1), and how far it says anything at all (0..1)."""
    fine = probabilities(weights, vectors).astype(np.float64)
    empty = sum(fine[:, i] for i, (topic, _) in enumerate(classes) if topic == BOILERPLATE)
    shares = np.zeros((len(vectors), len(names)))
    position = {name: i for i, name in enumerate(names)}
    for i, (topic, _) in enumerate(classes):
        if topic in position:
            shares[:, position[topic]] += fine[:, i]
    shares /= shares.sum(axis=1, keepdims=True) + 1e-12
    said: Doubles = (1.0 - np.asarray(empty, dtype=np.float64)) ** 2
    return shares, said


def _pooled(shares: Doubles, said: Doubles) -> tuple[Doubles, float]:
    """The mail's shares, and the score that the calibration reads: the log odds of the best topic.

    A weighted geometric mean: sentences that say something speak, greetings and signatures hardly do.
    """
    weight = said**2 + 1e-3
    logs = (np.log(shares + _FLOOR) * weight[:, None]).sum(axis=0) / weight.sum()
    pooled = np.exp(logs - logs.max())
    pooled /= pooled.sum()
    top = np.sort(pooled)[::-1]
    margin = np.log(top[0] + 1e-6) - np.log((1.0 - top[0]) + 1e-6)
    # A mail whose every sentence is boilerplate tells nothing, however the remainder leans.
    return pooled, float(margin + np.log(min(1.0, float(said.max()) + 1e-3)))


def train(lines: Sequence[Line], vectors: Floats) -> TopicModel:
    """Fit on all lines; the calibration comes from folds that the weights it judges have not seen."""
    classes = tuple(sorted({(line.label, line.kind) for line in lines}))
    index = {cls: i for i, cls in enumerate(classes)}
    labels = np.array([index[(line.label, line.kind)] for line in lines], dtype=np.int64)
    families = {family: i for i, family in enumerate(dict.fromkeys(line.family for line in lines))}
    fold = np.array([families[line.family] % _FOLDS for line in lines])
    names = sorted({topic for topic, _ in classes} - {BOILERPLATE})

    scores: list[float] = []
    right: list[bool] = []
    for held in range(_FOLDS):
        seen = fold != held
        weights = fit(vectors[seen], labels[seen], len(classes), strength=_STRENGTH, rounds=_HELD_BACK_ROUNDS)
        for best, truth, score in _judged(weights, classes, names, lines, vectors, np.flatnonzero(~seen)):
            scores.append(score)
            right.append(best == truth)
    slope, offset = fit_platt(np.array(scores), np.array(right))
    final = fit(vectors, labels, len(classes), strength=_STRENGTH, rounds=_ROUNDS)
    return TopicModel(final, classes, slope, offset)


def _judged(
    weights: Weights,
    classes: Sequence[tuple[str, str]],
    names: Sequence[str],
    lines: Sequence[Line],
    vectors: Floats,
    held: NDArray[np.int64],
) -> list[tuple[str, str, float]]:
    """(answer, truth, score) for held-back mails: each line alone, and wrapped in greeting and closing."""
    boilerplate = [i for i in held if lines[i].label == BOILERPLATE]
    shares, said = _by_topic(weights, classes, vectors[held], names)
    place = {int(i): row for row, i in enumerate(held)}
    judged: list[tuple[str, str, float]] = []
    for turn, i in enumerate(held):
        if lines[i].label == BOILERPLATE:
            continue
        mails = [[place[int(i)]]]
        if boilerplate:
            around = [place[int(boilerplate[(turn * step) % len(boilerplate)])] for step in (1, 7)]
            mails.append([around[0], place[int(i)], around[1]])
        for rows in mails:
            pooled, score = _pooled(shares[rows], said[rows])
            judged.append((names[int(pooled.argmax())], lines[i].label, score))
    return judged
