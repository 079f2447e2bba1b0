"""Whether a text speaks to the machine that reads it instead of to a person: orders, roles, made-up turns.

A plain program check, which no text can talk out of its finding. It is no judgement on who wrote it: a hit
only ever sends a ticket to the stronger route and keeps a model's reply to it from going out unread. The
words stand in `manipulation.toml`, in eight languages; all are tried on every text.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from pipeline.routing.disguises import decoded, folded

LONGEST = 60_000
"""So many characters are looked at; nobody reads on after so many, and neither does a model of ours."""


@dataclass(frozen=True)
class Sign:
    """One place that speaks to the machine. `kind` is a table of `manipulation.toml`, or encoded.

    `sentence` is what stands around it, folded. A `hard` sign has no everyday meaning; a `quoted` one
    stands in quotation marks in a text that reports it, as when a customer asks whether a mail is genuine.
    """

    kind: str
    sentence: str
    hard: bool
    quoted: bool

    @property
    def plain_order(self) -> bool:
        """Whether this alone is reason enough to keep a reply from being approved unread."""
        return self.hard and not self.quoted


class _Kind(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    hard: bool
    said: str
    patterns: list[str]


@lru_cache(maxsize=16)
def signs_in(text: str) -> tuple[Sign, ...]:
    """Every kind of sign in a text, each kind's places at most five times.

    A message is asked about by more than one check in a row; hence the small cache.
    """
    text = text[:LONGEST]
    flat = folded(text)
    spans = _reported(flat)
    found: list[Sign] = []
    for name, kind in _kinds().items():
        for match in islice(kind.places(flat), 5):
            quoted = any(start <= match.start() and match.end() <= end for start, end in spans)
            found.append(Sign(name, _around(flat, match.start(), match.end()), kind.hard, quoted))
    if not any(sign.hard for sign in found) and any(
        _CORE.search(said) and any(kind.hard and next(kind.places(said), None) for kind in _kinds().values())
        for said in decoded(text)
    ):
        found.append(Sign("encoded", flat[:600], hard=True, quoted=False))
    return tuple(found)


def in_words(signs: Iterable[Sign]) -> str:
    """The signs as the sentence that the page shows; nothing of the text itself stands in it."""
    said = {name: kind.said for name, kind in _kinds().items()} | {"encoded": "hides orders in an encoding"}
    kinds = list(dict.fromkeys(sign.kind for sign in signs))
    return f"The message speaks to the machine: it {', '.join(said[kind] for kind in kinds[:3])}."


_CORE = re.compile(
    r"instru[ck]|anweisung|prompt|istruzion|consigne|polecen|ignor|disregard|reveal|system|restrict|overrid|forward"
    r"|regeln|rules|assistant|send_"
)
"""One of these stands in any order worth hiding; looking for them first spares the rest."""

_REPORTS = re.compile(
    r"phishing|scam|spam\b|suspicious|genuine|legit|fake|hoax|injection|attack|got (?:a|an|this)|receiv|"
    r"forwarded|someone|article|blog|lecture|course|test case|example of|betrug|verdachtig|echt\b|erhalten|bekommen|"
    r"recu\b|arnaque|hameconnage|suspect|recib|estafa|sospechos|ricevut|truffa|sospett|ontvangen|oplicht|verdacht|"
    r"receb|golpe|suspeit|otrzyma|dosta[lł]|oszustw|podejrzan"
)
_QUOTED = re.compile(r'"[^"]{8,800}"')


def _reported(flat: str) -> list[tuple[int, int]]:
    """The quotations of a text that says outside of them where they come from."""
    outside = _QUOTED.sub(" ", flat)
    return [match.span() for match in _QUOTED.finditer(flat)] if _REPORTS.search(outside) else []


def _around(flat: str, start: int, end: int) -> str:
    first = max(flat.rfind(mark, 0, start) for mark in (". ", "\n", "! ", "? ")) + 1
    last = min(
        (at for mark in (". ", "\n", "! ", "? ") if (at := flat.find(mark, end)) >= 0), default=len(flat)
    )
    return flat[first:last].strip()[:600]


@dataclass(frozen=True)
class _Patterns:
    """A kind with its patterns, those in one group that begin with the same one of the `words`."""

    said: str
    hard: bool
    groups: tuple[tuple[re.Pattern[str] | None, re.Pattern[str]], ...]

    def places(self, flat: str) -> Iterator[re.Match[str]]:
        # Most texts hold none of the words that a group begins with: that is one search instead of many.
        for gate, pattern in self.groups:
            if gate is None or gate.search(flat):
                yield from pattern.finditer(flat)


@lru_cache(maxsize=1)
def _kinds() -> dict[str, _Patterns]:
    table = tomllib.loads(Path(__file__).with_name("manipulation.toml").read_text(encoding="utf-8"))
    words: dict[str, str] = table.pop("words")
    kinds = {name: _Kind.model_validate(one) for name, one in table.items()}
    return {name: _Patterns(kind.said, kind.hard, _groups(kind, words)) for name, kind in kinds.items()}


def _groups(kind: _Kind, words: dict[str, str]) -> tuple[tuple[re.Pattern[str] | None, re.Pattern[str]], ...]:
    grouped: dict[str, list[str]] = {}
    for pattern in kind.patterns:
        begins = re.match(r"\\b\{(\w+)\}\\b", pattern)
        grouped.setdefault(begins[1] if begins and not _branches(pattern) else "", []).append(pattern)
    return tuple(
        (
            re.compile(rf"\b{words[name]}\b") if name else None,
            re.compile("|".join(_filled(pattern, words) for pattern in patterns)),
        )
        for name, patterns in grouped.items()
    )


def _branches(pattern: str) -> bool:
    """Whether a pattern has alternatives outside of any bracket."""
    depth = 0
    for character in re.sub(r"\\.|\[(?:\\.|[^\]])*\]", "", pattern):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == "|" and depth == 0:
            return True
    return False


def _filled(pattern: str, words: dict[str, str]) -> str:
    for name, listed in words.items():
        pattern = pattern.replace(f"{{{name}}}", listed)
    return pattern
