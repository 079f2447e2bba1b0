"""The difference between what the model wrote and what an agent makes of it, word by word, for reading."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from pipeline.review.outcomes import MAX_TOKENS, WITHOUT_SPACES


@dataclass(frozen=True)
class Piece:
    """A run of text: in both (`same`), only in the agent's text (`added`), only in the draft (`removed`)."""

    kind: Literal["same", "added", "removed"]
    text: str


def diff(draft: str, text: str, language: str = "") -> list[Piece]:
    """The pieces in reading order; joined without `removed` they are `text`, without `added` the draft."""
    from rapidfuzz.distance import Indel

    draft, text = draft.replace("\r\n", "\n"), text.replace("\r\n", "\n")
    cut = list if language.lower().split("-")[0] in WITHOUT_SPACES else _words
    before, after = cut(draft), cut(text)
    if max(len(before), len(after)) > 2 * MAX_TOKENS:
        return [Piece("removed", draft), Piece("added", text)]
    pieces: list[Piece] = []
    for step in Indel.opcodes(before, after):
        if step.tag == "equal":
            _add(pieces, "same", before[step.src_start : step.src_end])
        else:
            _add(pieces, "removed", before[step.src_start : step.src_end])
            _add(pieces, "added", after[step.dest_start : step.dest_end])
    return _together(pieces)


def _together(pieces: list[Piece]) -> list[Piece]:
    """Changed words with nothing but a space between them read as one change: first out, then in."""
    found: list[Piece] = []
    removed = added = gap = ""

    def close() -> None:
        nonlocal removed, added, gap
        changes: list[tuple[Literal["same", "added", "removed"], str]] = [
            ("removed", removed),
            ("added", added),
            ("same", gap),
        ]
        for kind, text in changes:
            _add(found, kind, [text] if text else [])
        removed = added = gap = ""

    for piece in pieces:
        if piece.kind == "same":
            if piece.text.isspace() and "\n" not in piece.text and (removed or added):
                gap += piece.text
            else:
                close()
                _add(found, "same", [piece.text])
            continue
        removed, added, gap = removed + gap, added + gap, ""
        if piece.kind == "removed":
            removed += piece.text
        else:
            added += piece.text
    close()
    return found


def _words(text: str) -> list[str]:
    return re.findall(r"\s+|\w+|[^\w\s]", text)


def _add(pieces: list[Piece], kind: Literal["same", "added", "removed"], words: list[str]) -> None:
    if not words:
        return
    if pieces and pieces[-1].kind == kind:
        pieces[-1] = Piece(kind, pieces[-1].text + "".join(words))
    else:
        pieces.append(Piece(kind, "".join(words)))
