"""How the writer feels: regression on the sentence vectors, moved by plain signs such as shouting."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.models.providers.local.seeds import Line
from pipeline.models.providers.local.softmax import Weights, fit, probabilities

__all__ = ["EMOTIONS", "EmotionAnswer", "EmotionModel", "train"]

EMOTIONS = ("calm", "worried", "frustrated", "angry")
_STRENGTH = 2.0
_ROUNDS = 150

_SWEARING = re.compile(
    r"\b(?:fuck\w*|f\*+k\w*|shit\w*|bullshit|damn\w*|crap|wtf|asshole\w*|bastards?|bitch\w*|piss(?:ed)? off"
    r"|scheiss\w*|scheiß\w*|verdammt\w*|arschl\w*|verarsch\w*|putain|merde\w*|connards?|bordel|salauds?"
    r"|mierda\w*|joder|coño|cabr[oó]n\w*|puta\w*|hijos? de puta|cazzo|merda\w*|stronz\w*|vaffanculo|schifo"
    r"|klootz\w*|godverdomme|kut|klote\w*|caralho|porra|foda-se|kurwa\w*|cholera|pierdol\w*|gówn\w*"
    r"|sakra|hovno|jävl\w*|skit\w*|helvete|siktir\w*|perkele|vittu\w*|saatana)\b",
    re.IGNORECASE,
)
_ANGER = re.compile(
    r"\b(?:furious|outrag\w+|scam(?:mers?)?|crooks?|thie(?:f|ves)|robbery|disgrace\w*|disgusting|ashamed|shame on"
    r"|unacceptable|ridiculous|idiots?|incompetent|liars?|lying|how dare|sue you|go to hell|hate you|shut up"
    r"|frechheit|unversch[äa]mt\w*|betr[üu]ger\w*|betrug|abzocke\w*|stinksauer|w[üu]tend|skandal\w*|saftladen"
    r"|scandaleu\w+|honteu\w+|une honte|voleurs?|arnaque\w*|escrocs?|furieu\w+|inadmissible|inacceptable"
    r"|indignante|verg[üu]enza|ladrones|estafa\w*|furios\w+|inaceptable|timo"
    r"|vergogna|truff\w+|ladri|inaccettabile|scandalos\w+|denuncio"
    r"|schandalig\w*|oplicht\w+|woedend|onacceptabel|belachelijk\w*"
    r"|vergonha|ladr[oõ]es|golpe|inaceit[áa]vel|palha[çc]ada|absurdo"
    r"|skandal|z[łl]odziej\w*|oszu[śs]\w+|w[śs]ciek[łl]\w+|ha[ńn]ba|niedopuszczaln\w+)\b",
    re.IGNORECASE,
)
_WEARY = re.compile(
    r"\b(?:(?:second|third|fourth|fifth|2nd|3rd|4th|5th) time|still (?:no|not|nothing|waiting)|again and again"
    r"|fed up|sick of|tired of|annoy\w+|frustrat\w+|disappoint\w+|ridiculous|no (?:answer|reply|response)"
    r"|nobody (?:answers|cares|helps)|keeps? (?:crashing|failing|happening)|waste of time|for weeks|useless"
    r"|zum (?:dritten|vierten|wiederholten) mal|immer noch (?:nicht|keine?n?)|nerv(?:t|en|ig\w*)|entt[äa]uscht?"
    r"|troisi[èe]me fois|toujours (?:pas|aucun\w*)|ras le bol|marre|d[ée][çc]u\w*|tercera vez|sigue sin|harto"
    r"|cansad[oa]|decepcionad[oa]|terza volta|stuf[oa]|delus[oa]|ancora nessun\w*|derde keer|nog steeds (?:niet|geen)"
    r"|teleurgesteld|terceira vez|insatisfeit[oa]|trzeci raz|mam do[śs][ćc]|rozczarowan\w+|nadal nie)\b",
    re.IGNORECASE,
)
_FEAR = re.compile(
    r"\b(?:worr(?:y|ied|ying)|afraid|scared|anxious|concerned|panick?\w*|hacked|stolen|sorgen?|angst|besorgt"
    r"|inqui[èe]t\w*|peur|preocupad[oa]|miedo|preoccupat[oa]|paura|ongerust|zorgen|bang|medo|martwi\w*|boj[ęe]"
    r"|oroli?g|rädd|endişe\w*|aggód\w*|huolissani|strach)\b",
    re.IGNORECASE,
)
_SHOUTED = re.compile(r"\b[^\W\d_a-zà-ÿ]{4,}\b")
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
    """Trained weights over the four emotions, in the order of `labels`."""

    weights: Weights
    labels: tuple[str, ...]

    def answer(self, vectors: NDArray[np.float32], said: Sequence[float], text: str) -> EmotionAnswer:
        """The mail's emotion from its sentence vectors, how far each counts, and signs in the text."""
        logs = np.log(np.full(len(self.labels), 1.0 / len(self.labels)))
        if len(vectors):
            shares = probabilities(self.weights, vectors).astype(np.float64)
            weight = np.asarray(said, dtype=np.float64) + 0.1
            # Anger stands in one sentence of a long mail: half the mean, half the angriest one.
            mean = (shares * weight[:, None]).sum(axis=0) / weight.sum()
            hot = [self.labels.index("frustrated"), self.labels.index("angry")]
            peak = shares[int(shares[:, hot].sum(axis=1).argmax())]
            logs = np.log(0.5 * mean + 0.5 * peak + 1e-4)
        for label, push in _signs(text).items():
            logs[self.labels.index(label)] += push
        shares_out = np.exp(logs - logs.max())
        shares_out /= shares_out.sum()
        named = dict(zip(self.labels, (float(v) for v in shares_out), strict=True))
        return EmotionAnswer(max(EMOTIONS, key=lambda label: named[label]), named)


def _signs(text: str) -> dict[str, float]:
    """What can be seen without understanding: by how much each emotion's log share moves."""
    words = _WORD.findall(text)
    shouted = len(_SHOUTED.findall(text))
    push = {"angry": 0.0, "frustrated": 0.0, "worried": 0.0}
    push["angry"] += 1.2 * min(2, len(_SWEARING.findall(text))) + 1.3 * min(2, len(_ANGER.findall(text)))
    if len(words) >= 4 and shouted >= 3 and shouted / len(words) > 0.3:
        push["angry"] += 1.2
    if _EXCLAIMED.search(text):
        push["angry"] += 0.6
        push["frustrated"] += 0.3
    push["frustrated"] += 1.0 * min(2, len(_WEARY.findall(text)))
    push["worried"] += 1.2 * min(1, len(_FEAR.findall(text)))
    return push


def train(lines: Sequence[Line], vectors: NDArray[np.float32]) -> EmotionModel:
    """Fit on the emotion seed lines."""
    labels = np.array([EMOTIONS.index(line.label) for line in lines], dtype=np.int64)
    weights = fit(vectors, labels, len(EMOTIONS), strength=_STRENGTH, rounds=_ROUNDS)
    return EmotionModel(weights, EMOTIONS)
