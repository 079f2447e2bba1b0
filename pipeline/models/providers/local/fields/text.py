"""One text as the field patterns search it: in lower case, and where they need a digit only around digits."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.models.providers.local.fields.spans import Found

__all__ = ["Text", "text_of"]

# A cue and what stands between it and its number fit before, the longest value after.
_BEFORE = 110
_AFTER = 70
_DIGITS = re.compile(r"\d+")


@dataclass(frozen=True)
class Text:
    """`lower` has the same length as `raw`, so places found in one hold in the other.

    `places` are the stretches (start, end) around digits, in order, apart from each other.
    """

    raw: str
    lower: str
    places: tuple[tuple[int, int], ...]

    def near_digits(self, pattern: re.Pattern[str]) -> Iterator[re.Match[str]]:
        """Matches in `lower`, whose patterns are written in lower case, around digits."""
        for start, end in self.places:
            yield from pattern.finditer(self.lower, start, end)

    def as_written(self, pattern: re.Pattern[str]) -> Iterator[re.Match[str]]:
        """Matches in `raw` around digits, for patterns in which capitals count."""
        for start, end in self.places:
            yield from pattern.finditer(self.raw, start, end)

    def everywhere(self, pattern: re.Pattern[str]) -> Iterator[re.Match[str]]:
        """Matches in all of `lower`."""
        return pattern.finditer(self.lower)

    def found(self, match: re.Match[str], group: str | int = 0, normalised: str | None = None) -> Found:
        """The span of a group, with its value as it was written."""
        start, end = match.span(group)
        return Found(start, end, self.raw[start:end], normalised)

    def word(self, match: re.Match[str], group: str | int = 0) -> str:
        """What a group matched, as it was written; an empty text where it did not take part."""
        start, end = match.span(group)
        return self.raw[start:end] if start >= 0 else ""


def text_of(raw: str) -> Text:
    """The text with its stretches around digits, cut at blanks so that no word is halved."""
    lower = raw.lower()
    if len(lower) != len(raw):
        # A few capitals (the Turkish dotted I) become two characters; they are left as they are.
        lower = "".join(ch.lower() if len(ch.lower()) == 1 else ch for ch in raw)
    places: list[tuple[int, int]] = []
    for match in _DIGITS.finditer(lower):
        start, end = max(0, match.start() - _BEFORE), match.end() + _AFTER
        end = len(lower) if end >= len(lower) else _blank_after(lower, end)
        if places and start <= places[-1][1]:
            places[-1] = (places[-1][0], max(end, places[-1][1]))
        else:
            places.append((start, end))
    return Text(raw, lower, tuple(places))


def _blank_after(text: str, at: int) -> int:
    for place in range(at, min(at + 60, len(text))):
        if text[place].isspace():
            return place
    return min(at + 60, len(text))
