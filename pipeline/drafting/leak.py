"""Whether a text gives away the instructions that the model was given, plainly or in disguise."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache

from pipeline.routing.disguises import decoded, folded

RUN = 8
"""So many words in a row as in the instructions are no accident; shorter runs are everyday phrases."""
SHORT_RUN, SHORT_RUNS = 4, 6
"""Nor are so many short runs, with other words put in between them."""
STRETCH = 40
"""So many letters in a row, however they are spaced."""
MARK = 8
"""So many characters in a row of the call's random delimiter are no accident either."""

_Words = Callable[[str], list[str]]


def leaked(reply: str, instructions: str, fence: str, allowed: Iterable[str]) -> bool:
    """Whether the reply holds the call's delimiter, or runs of words from the instructions.

    Encoded, mirrored, spelled out and masked text is read too. Runs that stand in `allowed` (thread,
    policy, account facts) do not count: they are known anyway.
    """
    forms = [folded(reply), *decoded(reply)]
    if fence and any(_marked(form, fence) for form in forms):
        return True
    told, known = folded(instructions), [folded(text) for text in allowed]
    return (
        _shared(forms, told, known, _plain, RUN) >= 1
        or _shared(forms, told, known, _consonants, RUN) >= 1
        or _shared(forms, told, known, _plain, SHORT_RUN) >= SHORT_RUNS
        or _stretch(forms, _joined(told), [_joined(text) for text in known])
    )


def _stretch(forms: list[str], told: str, known: list[str]) -> bool:
    joined = [_joined(form) for form in forms]
    stretches = (told[start : start + STRETCH] for start in range(0, len(told) - STRETCH + 1, STRETCH // 4))
    return any(
        any(stretch in form for form in joined) and not any(stretch in text for text in known)
        for stretch in stretches
    )


def _shared(forms: list[str], told: str, known: list[str], words: _Words, size: int) -> int:
    """How many runs of so many words the forms share with what was told and not with what is known."""
    shared = set().union(*(_runs(words(form), size) for form in forms)) & _told_runs(told, words, size)
    for text in known:
        if shared:
            shared -= _runs(words(text), size)
    return len(shared)


@lru_cache(maxsize=16)
def _told_runs(told: str, words: _Words, size: int) -> frozenset[tuple[str, ...]]:
    """Those of the instructions, which are the same from call to call."""
    return frozenset(_runs(words(told), size))


def _runs(words: list[str], size: int) -> set[tuple[str, ...]]:
    return {tuple(words[start : start + size]) for start in range(len(words) - size + 1)}


def _plain(text: str) -> list[str]:
    return re.findall(r"\w+", text)


def _consonants(text: str) -> list[str]:
    """What is left of each word when its vowels are taken out, or put out of sight by other signs."""
    return [bare for word in text.split() if (bare := re.sub(r"[aeiou\W_]", "", word))]


def _marked(form: str, fence: str) -> bool:
    joined, mark = _joined(form), _joined(fence.rpartition("-")[2])
    return _joined(fence) in joined or any(
        mark[start : start + MARK] in joined for start in range(max(1, len(mark) - MARK + 1))
    )


def _joined(text: str) -> str:
    return "".join(re.findall(r"[^\W_]+", text.lower()))
