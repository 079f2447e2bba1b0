"""Reads one mail: puts topic, language, emotion, urgency, clarity, fields and summary together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from pipeline.models.providers.local.clarity import clarity
from pipeline.models.providers.local.encoder import Encoder
from pipeline.models.providers.local.fields import extract
from pipeline.models.providers.local.language import LanguageReader
from pipeline.models.providers.local.sentences import reading_text, sentences, without_signature
from pipeline.models.providers.local.summary import summary
from pipeline.models.providers.local.trained import load_or_train
from pipeline.models.providers.local.urgency import urgency

__all__ = ["DEFAULT_LANGUAGES", "Reader"]

DEFAULT_LANGUAGES = ("en", "de", "fr", "es", "it", "nl", "pt", "pl")
# Below this a sentence counts as greeting, closing or signature.
_SAYS_SOMETHING = 0.25


class Reader:
    """The loaded model. Safe to share between threads."""

    def __init__(self, cache_dir: Path | None, extra_seeds: Mapping[str, Sequence[str]]) -> None:
        self._encoder = Encoder()
        self._trained = load_or_train(self._encoder, cache_dir, extra_seeds)
        self._languages = LanguageReader()

    def read(
        self,
        *,
        subject: str | None,
        body: str,
        topics: Sequence[str],
        languages: Sequence[str],
        region: str | None = None,
        received: datetime | None = None,
    ) -> dict[str, Any]:
        """The triage answer as a plain mapping, in the shape of the `triage` task.

        No `topics` means all that were trained, no `languages` the eight most common in Europe. The time is
        bounded: of a long mail the first 6,000 characters and at most 21 sentences are read.
        """
        head, text = reading_text(subject, body)
        said_lines = ([head] if head else []) + without_signature(sentences(text))
        whole = f"{head}\n{text}" if head else text
        with self._encoder.alone():
            vectors = self._encoder.encode(said_lines)
            topic = self._trained.topics.answer(vectors, topics or self._trained.topics.topics)
            emotion = self._trained.emotion.answer(vectors, topic.weights, whole)
        language = self._languages.read(text if len(text) > 40 else whole, languages or DEFAULT_LANGUAGES)
        fields = extract(subject, body, region=region, received=received)
        content = [
            line for line, weight in zip(said_lines, topic.weights, strict=True) if weight >= _SAYS_SOMETHING
        ]
        numbers = any(fields[kind] for kind in ("order_numbers", "invoice_numbers", "account_ids"))
        return {
            "topic": topic.topic,
            "other_topics": list(topic.others),
            "confidence": round(topic.confidence, 4),
            "language": language.language,
            "urgency": urgency(content or said_lines, topic.topic, emotion.emotion),
            "emotion": emotion.emotion,
            "clarity": clarity(content, confidence=topic.confidence, mixed=topic.mixed, has_numbers=numbers),
            "fields": fields,
            "summary": summary(said_lines, topic.telling, head),
        }

    def displeasure(self, text: str) -> float:
        """How far a text reads as frustrated or angry, 0..1: for ranking and for benchmarks."""
        _, body = reading_text(None, text)
        lines = sentences(body)
        return self._trained.emotion.answer(self._encoder.encode(lines), (1.0,) * len(lines), body).displeased
