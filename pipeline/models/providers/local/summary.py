"""One line that tells what a mail is about: its most telling sentence, as it was written."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["MAX_CHARS", "summary"]

MAX_CHARS = 140


def summary(sentences: Sequence[str], telling: Sequence[float], subject: str) -> str:
    """The sentence with the highest `telling` (0..1 each), cut at a word near 140 characters.

    Without any sentence the subject, and without that an empty line.
    """
    if not sentences:
        return _cut(subject)
    # Of equally telling sentences the longer says more; two words say little, however sure the topic is.
    best = max(range(len(sentences)), key=lambda i: telling[i] * min(1.0, 0.4 + len(sentences[i]) / 60.0))
    return _cut(sentences[best])


def _cut(line: str) -> str:
    line = " ".join(line.split())
    if len(line) <= MAX_CHARS:
        return line
    head = line[: MAX_CHARS - 1]
    space = head.rfind(" ")
    return (head[:space] if space > MAX_CHARS // 2 else head).rstrip(" ,;:-") + "…"
