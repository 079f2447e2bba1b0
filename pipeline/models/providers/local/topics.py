"""Which topic a mail is about: softmax regression on sentence vectors, boilerplate left out, calibrated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.models.providers.local.seeds import BOILERPLATE, Line
from pipeline.models.providers.local.softmax import Weights, fit, fit_platt, platt, probabilities

__all__ = ["FALLBACK", "Mail", "TopicAnswer", "TopicModel", "fitted", "train"]

FALLBACK = "other"
_STRENGTH = 4.0
_ROUNDS = 100
_FOLDS = 3
_HELD_BACK_ROUNDS = 60
_FIRST_ROUNDS = 30
_MORE_ROUNDS = 40
# What a sentence may say against a topic at most: one stray sentence must not outvote the rest.
_FLOOR = 0.02
# A second topic is named from this share on; it makes a mail ambiguous only when it comes close to the first.
_NAMED = 0.22
_AMBIGUOUS_RATIO = 0.6
_LONG_MAIL = 8
# From this share on a sentence is about its own matter.
_SURE = 0.7
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
        ("billing", "how_to"),
        ("billing", "sales"),
        ("cancellation", "refund"),
        ("cancellation", "order_shipping"),
        ("cancellation", "account_access"),
        ("order_shipping", "refund"),
        ("order_shipping", "sales"),
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
class Mail:
    """A whole mail as an example: `vectors` holds one row per sentence; the rest is as in `Line`.

    `weight` says how often it counts against a line.
    """

    label: str
    kind: str
    family: str
    vectors: Floats
    weight: float = 1.0


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
        shares, score = _pooled(self.weights, self.classes, vectors, names, per_sentence, said)
        order = np.argsort(-shares)
        best = names[int(order[0])]
        close = [names[int(i)] for i in order[1:3] if shares[i] >= _NAMED]
        rivals = [name for name in close if shares[names.index(name)] >= _AMBIGUOUS_RATIO * shares[order[0]]]
        beside = _asked_beside(per_sentence, said, names, best)
        others = tuple(dict.fromkeys([*close, *beside]))[:2]
        mixed = tuple(
            name
            for name in others
            if name in (*rivals, *beside) and name != FALLBACK and frozenset((name, best)) not in _ONE_MATTER
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
    sure = [int(i) for i in telling if per_sentence[i].max() >= _SURE]
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


def _gist(vectors: Floats, said: Doubles) -> Floats:
    """One vector for a whole mail: its sentences' sum, each as far as it says anything."""
    total = (vectors * (said**2 + 1e-3)[:, None]).sum(axis=0, keepdims=True)
    return np.asarray(total / (np.linalg.norm(total) + 1e-9), dtype=np.float32)


def _pooled(
    weights: Weights,
    classes: Sequence[tuple[str, str]],
    vectors: Floats,
    names: Sequence[str],
    per_sentence: Doubles,
    said: Doubles,
) -> tuple[Doubles, float]:
    """The mail's shares, and the score that the calibration reads: the log odds of the best topic.

    Two readings count alike: a weighted geometric mean over the sentences, in which greetings and signatures
    hardly speak, and the sum of the sentences read as one. The first is better where one sentence tells it
    all, the second where a story does.
    """
    weight = said**2 + 1e-3
    spoken = (np.log(per_sentence + _FLOOR) * weight[:, None]).sum(axis=0) / weight.sum()
    spoken = np.exp(spoken - spoken.max())
    whole, _ = _by_topic(weights, classes, _gist(vectors, said), names)
    logs = np.log(spoken / spoken.sum() + _FLOOR) + np.log(whole[0] + _FLOOR)
    pooled = np.exp(0.5 * (logs - logs.max()))
    pooled /= pooled.sum()
    best = float(pooled.max())
    margin = np.log(best + 1e-6) - np.log((1.0 - best) + 1e-6)
    # A mail whose every sentence is boilerplate tells nothing, however the remainder leans.
    return pooled, float(margin + np.log(min(1.0, float(said.max()) + 1e-3)))


def fitted(
    lines: Sequence[Line], vectors: Floats, mails: Sequence[Mail], base: TopicModel | None = None
) -> TopicModel:
    """Fit without a calibration: good for comparing topics, not for believing its confidence.

    `base` is a model fitted on most of the same to go on from, which takes a quarter of the time.
    """
    classes = _classes(lines, mails)
    if base is None:
        first = _first(lines, vectors, classes)
        return TopicModel(_fit(lines, vectors, mails, classes, first, rounds=_ROUNDS), classes, 1.0, 0.0)
    place = {cls: i for i, cls in enumerate(base.classes)}
    columns = [place.get(cls, -1) for cls in classes]
    known = np.array([column >= 0 for column in columns], dtype=np.float32)
    start = Weights(base.weights.matrix[:, columns] * known, base.weights.bias[columns] * known)
    weights = _fit(lines, vectors, mails, classes, base, rounds=_MORE_ROUNDS, start=start)
    return TopicModel(weights, classes, 1.0, 0.0)


def train(lines: Sequence[Line], vectors: Floats, mails: Sequence[Mail] = ()) -> TopicModel:
    """Fit on all lines and mails; the calibration comes from folds that the weights it judges have not seen.

    `vectors` holds one row per line.
    """
    classes = _classes(lines, mails)
    names = sorted({topic for topic, _ in classes} - {BOILERPLATE})
    folds = _folds(lines), _folds(mails)
    first = _first(lines, vectors, classes)
    judged: list[tuple[float, bool]] = []
    for held in range(_FOLDS):
        seen_lines, seen_mails = folds[0] != held, folds[1] != held
        weights = _fit(
            [line for line, seen in zip(lines, seen_lines, strict=True) if seen],
            vectors[seen_lines],
            [mail for mail, seen in zip(mails, seen_mails, strict=True) if seen],
            classes,
            first,
            rounds=_HELD_BACK_ROUNDS,
        )
        kept_back = [mail for mail, seen in zip(mails, seen_mails, strict=True) if not seen]
        kept_back += _wrapped(lines, vectors, np.flatnonzero(~seen_lines))
        for mail in kept_back:
            pooled, score = _pooled(
                weights, classes, mail.vectors, names, *_by_topic(weights, classes, mail.vectors, names)
            )
            judged.append((score, names[int(pooled.argmax())] == mail.label))
    slope, offset = fit_platt(
        np.array([score for score, _ in judged]), np.array([right for _, right in judged])
    )
    weights = _fit(lines, vectors, mails, classes, first, rounds=_ROUNDS)
    return TopicModel(weights, classes, slope, offset)


def _named(lines: Sequence[Line], mails: Sequence[Mail]) -> list[tuple[str, str]]:
    return [(line.label, line.kind) for line in lines] + [(mail.label, mail.kind) for mail in mails]


def _classes(lines: Sequence[Line], mails: Sequence[Mail]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(set(_named(lines, mails))))


def _folds(examples: Sequence[Line | Mail]) -> NDArray[np.int64]:
    """The fold of each example; those of one family are held back together."""
    families = {family: i for i, family in enumerate(dict.fromkeys(one.family for one in examples))}
    return np.array([families[one.family] % _FOLDS for one in examples], dtype=np.int64)


def _first(lines: Sequence[Line], vectors: Floats, classes: Sequence[tuple[str, str]]) -> TopicModel:
    """A rough model of the lines alone: it only has to tell which sentences of a mail say anything."""
    index = {cls: i for i, cls in enumerate(classes)}
    labels = np.array([index[(line.label, line.kind)] for line in lines], dtype=np.int64)
    weights = fit(vectors, labels, len(classes), strength=_STRENGTH, rounds=_FIRST_ROUNDS)
    return TopicModel(weights, tuple(classes), 1.0, 0.0)


def _fit(
    lines: Sequence[Line],
    vectors: Floats,
    mails: Sequence[Mail],
    classes: Sequence[tuple[str, str]],
    base: TopicModel,
    *,
    rounds: int,
    start: Weights | None = None,
) -> Weights:
    """Weights fitted on lines and on the gists of mails, which `base` makes."""
    index = {cls: i for i, cls in enumerate(classes)}
    labels = np.array([index[name] for name in _named(lines, mails)], dtype=np.int64)
    told = [_by_topic(base.weights, base.classes, mail.vectors, [])[1] for mail in mails]
    gists = [_gist(mail.vectors, said) for mail, said in zip(mails, told, strict=True)]
    emphasis = np.array([1.0] * len(lines) + [mail.weight for mail in mails], dtype=np.float32)
    return fit(
        np.concatenate([vectors, *gists]),
        labels,
        len(classes),
        strength=_STRENGTH,
        rounds=rounds,
        emphasis=emphasis,
        start=start,
    )


def _wrapped(lines: Sequence[Line], vectors: Floats, held: NDArray[np.int64]) -> list[Mail]:
    """Held-back mails made of lines: each line alone, and wrapped in greeting and closing."""
    boilerplate = [int(i) for i in held if lines[i].label == BOILERPLATE]
    made: list[Mail] = []
    for turn, i in enumerate(int(i) for i in held):
        line = lines[i]
        if line.label == BOILERPLATE:
            continue
        rows = [[i]]
        if boilerplate:
            before, after = (boilerplate[(turn * step) % len(boilerplate)] for step in (1, 7))
            rows.append([before, i, after])
        made += [Mail(line.label, line.kind, line.family, vectors[chosen]) for chosen in rows]
    return made
