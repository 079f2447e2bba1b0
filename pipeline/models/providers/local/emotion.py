"""How the writer feels: regression on the sentence vectors, moved by plain signs such as shouting."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.models.providers.local.cues import phrases
from pipeline.models.providers.local.seeds import Line
from pipeline.models.providers.local.softmax import Weights, fit, probabilities

__all__ = ["EMOTIONS", "EmotionAnswer", "EmotionModel", "train"]

EMOTIONS = ("calm", "worried", "frustrated", "angry")
_STRENGTH = 2.0
_ROUNDS = 150

_SWEARING = phrases("emotion", "swearing")
_ANGER = phrases("emotion", "anger")
_WEARY = phrases("emotion", "weary")
_FEAR = phrases("emotion", "fear")
_SCORN = phrases("emotion", "scorn")
_FOND = phrases("emotion", "fond")
_PIECE = re.compile(r"[.!?…\n]+")
# Most mail is calm, the seed lines are not: the log odds that every mail starts with.
_CALM_AHEAD = 0.2
# How far a word of contempt, or of kindness, moves a sentence; at most three of them count.
_SCORN_PUSH, _FOND_PUSH = 0.9, 0.6
_WORD = re.compile(r"[^\W\d_]{2,}")
_EXCLAIMED = re.compile(r"!{2,}|[!?]{3,}")


@dataclass(frozen=True)
class EmotionAnswer:
    """`shares` sums to 1; `displeased` is frustrated and angry together, for ranking."""

    emotion: str
    shares: Mapping[str, float]

    @property
    def displeased(self) -> float:
        return self.shares["frustrated"] + self.shares["angry"]


@dataclass(frozen=True)
class EmotionModel:
    """Trained weights over (emotion, kind) classes: anger in a mail and in a quarrel are not one cloud."""

    weights: Weights
    classes: tuple[tuple[str, str], ...]

    def answer(self, vectors: NDArray[np.float32], said: Sequence[float], text: str) -> EmotionAnswer:
        """The mail's emotion from its sentence vectors, how far each counts, and signs in the text."""
        logs = np.log(np.full(len(EMOTIONS), 1.0 / len(EMOTIONS)))
        if len(vectors):
            fine = probabilities(self.weights, vectors).astype(np.float64)
            shares = np.zeros((len(vectors), len(EMOTIONS)))
            for column, (label, _) in enumerate(self.classes):
                shares[:, EMOTIONS.index(label)] += fine[:, column]
            weight = np.asarray(said, dtype=np.float64) + 0.1
            # Anger stands in one sentence of a long mail: half the mean, half the angriest one.
            mean = (shares * weight[:, None]).sum(axis=0) / weight.sum()
            hot = [EMOTIONS.index("frustrated"), EMOTIONS.index("angry")]
            peak = shares[int(shares[:, hot].sum(axis=1).argmax())]
            logs = np.log(0.5 * mean + 0.5 * peak + 1e-4)
        logs[EMOTIONS.index("calm")] += _CALM_AHEAD
        for label, push in _signs(text).items():
            logs[EMOTIONS.index(label)] += push
        shares_out = np.exp(logs - logs.max())
        shares_out /= shares_out.sum()
        named = dict(zip(EMOTIONS, (float(v) for v in shares_out), strict=True))
        return EmotionAnswer(max(EMOTIONS, key=lambda label: named[label]), named)


def _signs(text: str) -> dict[str, float]:
    """What can be seen without understanding: by how much each emotion's log share moves."""
    words = _WORD.findall(text)
    lowered = text.lower()
    shouted = sum(len(word) >= 4 and word.isupper() for word in words)
    push = {"angry": 0.0, "frustrated": 0.0, "worried": 0.0}
    push["angry"] += 1.2 * min(2, len(_SWEARING.findall(lowered))) + 1.3 * min(
        2, len(_ANGER.findall(lowered))
    )
    if len(words) >= 4 and shouted >= 3 and shouted / len(words) > 0.3:
        push["angry"] += 1.2
    if _EXCLAIMED.search(text):
        push["angry"] += 0.6
        push["frustrated"] += 0.3
    push["frustrated"] += 1.0 * min(2, len(_WEARY.findall(lowered)))
    push["worried"] += 1.4 * min(1, len(_FEAR.findall(lowered)))
    dislike = _dislike(lowered)
    push["angry"] += dislike
    push["frustrated"] += 0.8 * dislike
    return push


def _dislike(lowered: str) -> float:
    """Words of contempt against words of kindness, sentence by sentence, half the mean and half the worst.

    So the thanks that close a mail do not make up for what stands before them.
    """
    pieces = [
        _SCORN_PUSH * min(3, len(_SCORN.findall(piece))) - _FOND_PUSH * min(3, len(_FOND.findall(piece)))
        for piece in _PIECE.split(lowered)
        if piece.strip()
    ]
    return 0.5 * sum(pieces) / len(pieces) + 0.5 * max(pieces) if pieces else 0.0


def train(lines: Sequence[Line], vectors: NDArray[np.float32]) -> EmotionModel:
    """Fit on the emotion seed lines."""
    classes = tuple(sorted({(line.label, line.kind) for line in lines}))
    labels = np.array([classes.index((line.label, line.kind)) for line in lines], dtype=np.int64)
    return EmotionModel(fit(vectors, labels, len(classes), strength=_STRENGTH, rounds=_ROUNDS), classes)
