"""The trained weights of the local model: made at first start, kept in a cache file, made again when stale."""

from __future__ import annotations

import contextlib
import json
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.models.providers.local import emotion, topics
from pipeline.models.providers.local.encoder import Encoder, library_version
from pipeline.models.providers.local.seeds import (
    LEARNED,
    Line,
    digest,
    emotion_lines,
    mail_lines,
    topic_lines,
)
from pipeline.models.providers.local.sentences import mail_sentences
from pipeline.models.providers.local.softmax import Weights

__all__ = ["Trained", "as_mail", "load_or_train"]

# Raised whenever the training code changes what it yields.
_RECIPE = "3"
# How much a team's own ticket counts against one of the package's mails: best of 1, 3 and 10.
_LEARNED_WEIGHT = 3.0
# How much one of those counts against a line: stories are few and vague, and must not draw plain sentences.
_MAIL_WEIGHT = 0.5


@dataclass(frozen=True)
class Trained:
    """Both trained models and the digest of what they were made of."""

    topics: topics.TopicModel
    emotion: emotion.EmotionModel
    digest: str


def load_or_train(
    encoder: Encoder,
    cache_dir: Path | None,
    extra_seeds: Mapping[str, Sequence[str]] | None = None,
    learned: Sequence[Line] = (),
) -> Trained:
    """From the cache where it fits, else trained (about 6 s of CPU) and written there.

    `learned` are a team's own tickets, subject and body on lines of their own, of kind `LEARNED`.
    A cache that cannot be read or written never stops the model: it is trained again, or kept in memory.
    """
    lines = topic_lines(extra_seeds)
    mails = (*mail_lines(), *learned)
    moods = emotion_lines()
    key = digest([*lines, *mails, *moods], _RECIPE, library_version(), np.__version__)
    path = None if cache_dir is None else cache_dir / f"local-model-{key}.npz"
    if path is not None:
        found = _read(path, key)
        if found is not None:
            return found
    with encoder.alone():
        trained = _train(encoder, lines, mails, moods, key)
    if path is not None:
        _write(path, trained)
    return trained


def _train(
    encoder: Encoder, lines: Sequence[Line], mails: Sequence[Line], moods: Sequence[Line], key: str
) -> Trained:
    vectors = encoder.encode([line.text for line in lines])
    return Trained(
        topics=topics.train(lines, vectors, [as_mail(encoder, mail) for mail in mails]),
        emotion=emotion.train(moods, encoder.encode([line.text for line in moods])),
        digest=key,
    )


def as_mail(encoder: Encoder, line: Line) -> topics.Mail:
    """A whole mail cut into sentences as the reader cuts it, and encoded."""
    if line.kind == LEARNED:
        head, _, text = line.text.partition("\n")
        said = mail_sentences(head, text)
    else:
        said = mail_sentences("", line.text)
    weight = _LEARNED_WEIGHT if line.kind == LEARNED else _MAIL_WEIGHT
    return topics.Mail(line.label, line.kind, line.family, encoder.encode(said or [line.text]), weight)


def _write(path: Path, trained: Trained) -> None:
    """Whole or not at all: written beside, then renamed. A folder that refuses is left alone."""
    about = {
        "digest": trained.digest,
        "classes": list(trained.topics.classes),
        "slope": trained.topics.slope,
        "offset": trained.topics.offset,
        "emotions": list(trained.emotion.classes),
    }
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as file:
            temporary = Path(file.name)
            np.savez(
                file,
                about=np.frombuffer(json.dumps(about).encode(), dtype=np.uint8),
                topic_matrix=trained.topics.weights.matrix,
                topic_bias=trained.topics.weights.bias,
                emotion_matrix=trained.emotion.weights.matrix,
                emotion_bias=trained.emotion.weights.bias,
            )
        temporary.replace(path)
    except OSError:
        # A read-only or full disk costs some seconds at each start, no more.
        if temporary is not None:
            with contextlib.suppress(OSError):
                temporary.unlink()


def _read(path: Path, key: str) -> Trained | None:
    """The cached weights, or None where the file is missing, cut, foreign or of another shape."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as data:
            about = json.loads(bytes(data["about"]))
            topic_weights = Weights(data["topic_matrix"], data["topic_bias"])
            emotion_weights = Weights(data["emotion_matrix"], data["emotion_bias"])
        if about["digest"] != key:
            return None
        classes = tuple((str(topic), str(kind)) for topic, kind in about["classes"])
        emotions = tuple((str(label), str(kind)) for label, kind in about["emotions"])
        slope, offset = float(about["slope"]), float(about["offset"])
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile):
        return None
    for weights, count in ((topic_weights, len(classes)), (emotion_weights, len(emotions))):
        if weights.bias.shape != (count,) or weights.matrix.ndim != 2 or weights.matrix.shape[1] != count:
            return None
        if not (np.isfinite(weights.matrix).all() and np.isfinite(weights.bias).all()):
            return None
    return Trained(
        topics=topics.TopicModel(topic_weights, classes, slope, offset),
        emotion=emotion.EmotionModel(emotion_weights, emotions),
        digest=key,
    )
