"""Whether a mail says what it wants: clear, vague (nothing to hold on to) or mixed (several things at once)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pipeline.models.providers.local.cues import alternatives, phrases, words
from pipeline.models.providers.local.language import common_words

__all__ = ["CLARITIES", "announced_parts", "clarity"]

CLARITIES = ("clear", "vague", "mixed")

_WORD = re.compile(r"[^\W_]+(?:['’][^\W\d_]+)?")
# Words that name no matter: trouble in general, asking for help, the things that every mail is about.
_TROUBLE = words("clarity", "trouble")
_OBJECTS = words("clarity", "objects")
_ASKING = words("clarity", "asking")
# A wish stated plainly is clear with two words: "cancel my order", "Konto löschen".
_DOING = phrases("clarity", "doing")
_ANNOUNCED = phrases("clarity", "announced")
_PARTS = re.compile(rf"(?<!\w){alternatives('clarity', 'parts')}(?!\w)|[,;:]\s", re.IGNORECASE)
_MAX_PARTS = 8
_MIN_PART_CHARS = 15
_UNSURE = 0.33
_CERTAIN = 0.95
_HARDLY = 0.2
_SHORT = 6


def announced_parts(text: str, content: Sequence[str]) -> list[str]:
    """The parts of a mail that says of itself that it asks for several things ("two questions: ..."), else [].

    Sentences are cut further at numbers, "also" and the like, for such lists often stand in one sentence.
    """
    if not _ANNOUNCED.search(text.lower()):
        return []
    parts = [part.strip() for sentence in content for part in _PARTS.split(sentence)]
    return [part for part in parts if len(part) >= _MIN_PART_CHARS][:_MAX_PARTS]


def clarity(content: Sequence[str], *, confidence: float, mixed: Sequence[str], has_numbers: bool) -> str:
    """One of "clear", "vague", "mixed".

    `content` are the sentences that are not boilerplate, `confidence` is the topic's, `mixed` the
    further topics that are asked beside it. `has_numbers` says whether an order, invoice or account number
    was found, which alone is something to hold on to.
    """
    found = [word.lower().replace("’", "'") for sentence in content for word in _WORD.findall(sentence)]
    if not found:
        return "vague"
    ordinary = common_words()
    objects = [word for word in found if word in _OBJECTS]
    troubled = any(word in _TROUBLE for word in found)
    telling = {
        word
        for word in found
        if word not in _TROUBLE and word not in _OBJECTS and word not in _ASKING
        and (word not in ordinary or word.isdigit()) and len(word) > 2
    }  # fmt: skip
    asked = any(word in _ASKING for word in found) and bool(objects) and not troubled
    stated = asked or has_numbers or _DOING.search("\n".join(content).lower()) is not None
    # Ordinary words may name a matter all the same: "the invoice for May".
    if not telling and not stated and (troubled or confidence < _CERTAIN):
        return "vague"
    few = len(telling) <= 2 and not stated
    if (confidence < _HARDLY and len(telling) <= _SHORT) or (confidence < _UNSURE and few):
        return "vague"
    if troubled and not stated and len(telling) <= 1 and len(found) <= 12 and confidence < 0.75:
        return "vague"
    if mixed:
        return "mixed"
    return "clear"
