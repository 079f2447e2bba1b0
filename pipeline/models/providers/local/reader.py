"""Reads one mail: puts topic, language, emotion, urgency, clarity, fields and summary together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from pipeline.models.providers.local.clarity import announced_parts, clarity
from pipeline.models.providers.local.encoder import Encoder
from pipeline.models.providers.local.fields import extract
from pipeline.models.providers.local.language import (
    LEANING_FILE,
    NO_LEANING,
    LanguageReader,
    read_leaning,
    telling_text,
)
from pipeline.models.providers.local.learned import as_lines, read, taught
from pipeline.models.providers.local.sentences import mail_sentences, reading_text, sentences
from pipeline.models.providers.local.summary import summary
from pipeline.models.providers.local.topics import FALLBACK
from pipeline.models.providers.local.trained import load_or_train
from pipeline.models.providers.local.urgency import urgency

__all__ = ["DEFAULT_LANGUAGES", "Reader"]

DEFAULT_LANGUAGES = ("en", "de", "fr", "es", "it", "nl", "pt", "pl")
# Below this a sentence counts as greeting, closing or signature.
_SAYS_SOMETHING = 0.25
# From this confidence on a part of a mail counts as a matter of its own.
_NAMES_A_MATTER = 0.5


class Reader:
    """The loaded model. Safe to share between threads."""

    def __init__(
        self,
        cache_dir: Path | None,
        extra_seeds: Mapping[str, Sequence[str]],
        learned: Path | None = None,
    ) -> None:
        self._encoder = Encoder()
        rows = as_lines(taught(read(learned))) if learned else []
        self._trained = load_or_train(self._encoder, cache_dir, extra_seeds, rows)
        leaning = read_leaning(learned.with_name(LEANING_FILE)) if learned else NO_LEANING
        self._languages = LanguageReader(leaning)

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
        said_lines = mail_sentences(head, text)
        whole = f"{head}\n{text}" if head else text
        known = topics or self._trained.topics.topics
        with self._encoder.alone():
            vectors = self._encoder.encode(said_lines)
            topic = self._trained.topics.answer(vectors, known)
            emotion = self._trained.emotion.answer(vectors, topic.weights, whole)
        language = self._languages.read(telling_text(head, text), languages or DEFAULT_LANGUAGES)
        fields = extract(subject, body, region=region, received=received)
        content = [
            line for line, weight in zip(said_lines, topic.weights, strict=True) if weight >= _SAYS_SOMETHING
        ]
        if not content and topic.confidence >= _NAMES_A_MATTER:
            content = said_lines  # two words and a "please" look like boilerplate, but name their matter
        mixed = topic.mixed or self._announced(whole, content, topic.topic, known)
        numbers = any(fields[kind] for kind in ("order_numbers", "invoice_numbers", "account_ids"))
        return {
            "topic": topic.topic,
            "other_topics": list(dict.fromkeys([*topic.others, *mixed]))[:2],
            "confidence": round(topic.confidence, 4),
            "language": language.language,
            "urgency": urgency(content or said_lines, topic.topic, emotion.emotion, said=said_lines),
            "emotion": emotion.emotion,
            "clarity": clarity(content, confidence=topic.confidence, mixed=mixed, has_numbers=numbers),
            "fields": fields,
            "summary": summary(said_lines, topic.telling, head),
        }

    def _announced(
        self, whole: str, content: Sequence[str], topic: str, known: Sequence[str]
    ) -> tuple[str, ...]:
        """Topics beside `topic` in a mail that says that it asks for several things."""
        parts = announced_parts(whole, content)
        if not parts:
            return ()
        with self._encoder.alone():
            vectors = self._encoder.encode(parts)
            found = [self._trained.topics.answer(vectors[i : i + 1], known) for i in range(len(parts))]
        named = [one.topic for one in found if one.confidence >= _NAMES_A_MATTER]
        return tuple(name for name in dict.fromkeys(named) if name not in (topic, FALLBACK))

    def displeasure(self, text: str) -> float:
        """How far a text reads as frustrated or angry, 0..1: for ranking and for benchmarks."""
        _, body = reading_text(None, text)
        lines = sentences(body)
        return self._trained.emotion.answer(self._encoder.encode(lines), (1.0,) * len(lines), body).displeased
