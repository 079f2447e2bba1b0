"""What became of a draft: how much of it an agent changed before it went out. Pure, no database.

The edit share is the token-level edit distance between the bodies, divided by the longer one's tokens
(0..1). Quotes, signature and white space are removed; greeting and sign-off are compared apart and do
not count, nor does the style of quotation marks, dashes and full-width characters. Languages without spaces
are compared by characters. HTER is the same distance divided by the tokens of what was sent.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from pipeline.review.letters import take_apart

AS_IS, LIGHT, HEAVY, REWRITTEN = "as_is", "light", "heavy", "rewritten"
REPLACED, REJECTED, EXPIRED, UNSCORABLE = "replaced", "rejected", "expired", "unscorable"
COUNTED_AS_REWRITE = frozenset({REWRITTEN, REPLACED, REJECTED})
"""The denominator of the rewrite rate; expired and unscorable stand beside it."""

WITHOUT_SPACES = frozenset({"ja", "zh", "th", "lo", "km", "my", "bo", "yue"})
MAX_TOKENS = 20_000


@dataclass(frozen=True)
class Thresholds:
    """Edit shares: as_is <= `as_is` < light < `heavy` <= heavy < `rewritten` <= rewritten."""

    as_is: float = 0.05
    heavy: float = 0.40
    rewritten: float = 0.60


@dataclass(frozen=True)
class Measured:
    """`edit_share` is 0..1, `hter` 0.. (over 1 where the draft was longer); None where unscorable.

    `why` is one plain sentence: why it could not be scored, or what the figure leaves out ("" if nothing).
    """

    outcome: str
    edit_share: float | None
    hter: float | None
    why: str


DEFAULT_THRESHOLDS = Thresholds()


def measure(draft: str, sent: str, language: str, thresholds: Thresholds = DEFAULT_THRESHOLDS) -> Measured:
    """Compare an immutable draft with the body that was approved; `language` is its ISO 639 code."""
    from rapidfuzz.distance import Levenshtein

    ours, theirs = take_apart(draft), take_apart(sent)
    why = ""
    if ours.body and theirs.body:
        before, after = tokens(ours.body, language), tokens(theirs.body, language)
        changed = [
            name
            for name, old, new in (
                ("greeting", ours.greeting, theirs.greeting),
                ("sign-off", ours.sign_off, theirs.sign_off),
            )
            if tokens(old, language) != tokens(new, language)
        ]
        if changed:
            why = f"the {' and the '.join(changed)} changed too, which does not count"
    else:  # nothing but a greeting or a sign-off on one side: then they are the text
        before, after = tokens(draft, language), tokens(sent, language)
    if not before:
        return Measured(UNSCORABLE, None, None, "the draft has no words to compare")
    if not after:
        return Measured(UNSCORABLE, None, None, "what was sent has no words to compare")
    if max(len(before), len(after)) > MAX_TOKENS:
        return Measured(UNSCORABLE, None, None, f"more than {MAX_TOKENS:,} words: too long to compare")
    distance = Levenshtein.distance(before, after)
    share = distance / max(len(before), len(after))
    return Measured(grade(share, thresholds), share, distance / len(after), why)


def grade(share: float, thresholds: Thresholds = DEFAULT_THRESHOLDS) -> str:
    """The outcome that an edit share stands for."""
    if share <= thresholds.as_is:
        return AS_IS
    if share < thresholds.heavy:
        return LIGHT
    return HEAVY if share < thresholds.rewritten else REWRITTEN


# Han, kana, Thai, Lao, Tibetan, Myanmar, Khmer: scripts that put no space between words
_NO_SPACE = (
    "\u0e00-\u0eff\u0f00-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u3400-\u9fff\uff66-\uff9f"
    "\U00020000-\U0003ffff"
)
_WORD = rf"[^\W{_NO_SPACE}]+(?:[.,'’@/:_\-]+[^\W{_NO_SPACE}]+)*"
_TOKEN = re.compile(rf"[{_NO_SPACE}]|{_WORD}|[^\w\s]")
_CHARACTER = re.compile(rf"[^\W{_NO_SPACE}\d_]|[\d_]+(?:[.,:/\-][\d_]+)*|\S")


_STYLES = str.maketrans("„“”«»‹›‟‘’‚‛–—―", '"' * 8 + "'" * 4 + "-" * 3)


def tokens(text: str, language: str) -> list[str]:
    """Words, numbers and punctuation marks; single characters in scripts or languages without spaces.

    Marks that differ in style only (“ and ", full and half width) are the same token.
    """
    text = unicodedata.normalize("NFKC", text).translate(_STYLES)
    if language.lower().split("-")[0] in WITHOUT_SPACES:
        return _CHARACTER.findall(text)
    return _TOKEN.findall(text)
