"""The example lines that the local model is trained on, read from the text files in `seeds/`."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

__all__ = ["BOILERPLATE", "LEARNED", "Line", "digest", "emotion_lines", "mail_lines", "topic_lines"]

BOILERPLATE = "boilerplate"
LEARNED = "learned"
_FOLDER = Path(__file__).parent / "seeds"
_FRAMES_PER_PHRASE = 4
_LINE = re.compile(r"([a-z]{2})(:|~) (.+)")


@dataclass(frozen=True)
class Line:
    """One example: `text` in `language` belongs to `label`.

    `kind` is the finer group inside the label. `family` is the same for lines made of one phrase, so that
    they are held back together.
    """

    label: str
    kind: str
    language: str
    text: str
    family: str


def _read(path: Path, frames: Sequence[str], start: int = 0) -> list[Line]:
    """The lines of one file: `[kind]` headings, `en: whole line`, `en~ verb phrase` put into frames.

    Raises ValueError with file and line number: a broken seed file is a broken package.
    """
    kind = ""
    lines: list[Line] = []
    turn = start
    for number, raw in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not raw.strip():
            continue
        if raw.startswith("[") and raw.endswith("]"):
            kind = raw[1:-1]
            continue
        match = _LINE.fullmatch(raw)
        if match is None or not kind:
            raise ValueError(f"{path.name}:{number}: not a seed line: {raw!r}")
        language, mark, text = match.groups()
        family = f"{path.stem}:{number}"
        if mark == ":":
            lines.append(Line(path.stem, kind, language, text, family))
            continue
        for _ in range(_FRAMES_PER_PHRASE):
            framed = frames[turn % len(frames)].replace("{x}", text)
            lines.append(Line(path.stem, kind, language, framed, family))
            turn += 1
    return lines


def _frames() -> tuple[str, ...]:
    return tuple((_FOLDER / "frames.txt").read_text(encoding="utf-8").splitlines())


@lru_cache(maxsize=1)
def _shipped() -> tuple[Line, ...]:
    frames = _frames()
    lines: list[Line] = []
    for path in sorted((_FOLDER / "topics").glob("*.txt")):
        # The rotation goes on from file to file, so that no topic gets the same frames first.
        lines.extend(_read(path, frames, start=len(lines)))
    return tuple(lines)


def topic_lines(extra_seeds: Mapping[str, Sequence[str]] | None = None) -> tuple[Line, ...]:
    """All topic and boilerplate lines; `extra_seeds` maps a topic (also a new one) to a team's own lines."""
    lines = list(_shipped())
    for topic, texts in sorted((extra_seeds or {}).items()):
        for number, text in enumerate(texts):
            if text.strip():
                lines.append(Line(topic, "extra", "", text.strip(), f"extra:{topic}:{number}"))
    return tuple(lines)


@lru_cache(maxsize=1)
def mail_lines() -> tuple[Line, ...]:
    """Whole mails by topic, one a line: stories in which no single sentence need name the matter."""
    return tuple(
        replace(line, family=f"mail/{line.family}")
        for path in sorted((_FOLDER / "mails").glob("*.txt"))
        for line in _read(path, ())
    )


@lru_cache(maxsize=1)
def emotion_lines() -> tuple[Line, ...]:
    """The lines of the four emotions, one file each."""
    return tuple(
        line for path in sorted((_FOLDER / "emotions").glob("*.txt")) for line in _read(path, _frames())
    )


def digest(lines: Sequence[Line], *parts: str) -> str:
    """A short hash of the lines and of whatever else decides what training yields."""
    sha = hashlib.sha256()
    for line in lines:
        sha.update(f"{line.label}\0{line.kind}\0{line.text}\n".encode())
    for part in parts:
        sha.update(f"\1{part}".encode())
    return sha.hexdigest()[:24]
