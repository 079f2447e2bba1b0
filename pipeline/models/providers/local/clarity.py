"""Whether a mail says what it wants: clear, vague (nothing to hold on to) or mixed (several things at once)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pipeline.models.providers.local.cues import phrases, words
from pipeline.models.providers.local.language import common_words

__all__ = ["CLARITIES", "clarity"]

CLARITIES = ("clear", "vague", "mixed")

_WORD = re.compile(r"[^\W_]+(?:['’][^\W\d_]+)?")
# Words that name no matter: trouble in general, asking for help, the things that every mail is about.
_TROUBLE = words("clarity", "trouble")
_OBJECTS = words("clarity", "objects")
_ASKING = words("clarity", "asking")
# A wish stated plainly is clear with two words: "cancel my order", "Konto löschen".
_DOING = phrases("clarity", "doing")
_UNSURE = 0.33
_HARDLY = 0.2


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
    if not telling and not stated:
        return "vague"
    if confidence < _HARDLY or (confidence < _UNSURE and len(telling) <= 2 and not stated):
        return "vague"
    if troubled and not stated and len(telling) <= 1 and len(found) <= 12 and confidence < 0.75:
        return "vague"
    if mixed:
        return "mixed"
    return "clear"
