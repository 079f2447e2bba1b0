"""Whether a reply gives away the instructions that the model was given."""

from __future__ import annotations

import re
from collections.abc import Iterable

RUN = 8
"""So many words in a row as in the instructions are no accident; shorter runs are everyday phrases."""


def leaked(reply: str, instructions: str, fence: str, allowed: Iterable[str]) -> bool:
    """Whether the reply holds the call's delimiter, or a run of words from the instructions.

    Runs that stand in `allowed` (thread, policy, account facts) do not count: they are known anyway.
    """
    if fence and _joined(fence) in _joined(reply):
        return True
    shared = _runs(reply) & _runs(instructions)
    for text in allowed:
        if not shared:
            return False
        shared -= _runs(text)
    return bool(shared)


def _runs(text: str) -> set[tuple[str, ...]]:
    words = re.findall(r"\w+", text.lower())
    return {tuple(words[start : start + RUN]) for start in range(len(words) - RUN + 1)}


def _joined(text: str) -> str:
    return "".join(re.findall(r"\w+", text.lower()))
