"""Identifiers that no noun stands right before: the number named apart from it, and bare answers in a chat."""

from __future__ import annotations

import re
from collections.abc import Iterator

from rapidfuzz.distance import DamerauLevenshtein

from pipeline.models.providers.local.cues import alternatives, words
from pipeline.models.providers.local.fields.spans import Found
from pipeline.models.providers.local.fields.text import Text

__all__ = ["PIECE", "answered", "misspelt", "plausible", "said_apart"]

PIECE = r"[a-z0-9](?:[a-z0-9]|[-_/.](?=[a-z0-9])){1,31}"

_UNITS = re.compile(rf"\s*(?:%|€|\$|£|[.,]\d|\b{alternatives('identifiers', 'units')}\b)")
_YEAR = re.compile(r"(?:19|20)\d\d")
_DATE = re.compile(r"\d{1,4}[-./]\d{1,2}[-./]\d{1,4}|\d{1,4}[./]\d{1,2}")

_NOUNS = re.compile(
    rf"(?<!\w)(?:(?P<order>{alternatives('identifiers', 'order')})"
    rf"|(?P<invoice>{alternatives('identifiers', 'invoice')})|(?P<account>{alternatives('identifiers', 'account')})"
    rf"|(?P<other>{alternatives('identifiers', 'other_nouns')}))(?!\w)"
)
_SPACED = r"[a-z0-9]{1,4}(?: [a-z0-9]{1,4}){1,5}(?=\s*(?:$|[.,\n]))"
_APART_NUMBER = alternatives("identifiers", "number_apart")
# "The order from yesterday (no. 8-20551)", "my number is ab 123", with what says whose number it is before it.
_NUMBERED = re.compile(
    rf"(?:^|[.,;:!?(\n]\s*|(?<!\w){alternatives('identifiers', 'determiner')}\s){_APART_NUMBER}(?!\w)"
    rf"(?:[\s:.=]|\b(?:is|was|ist|lautet|est|es|è|é|to)\b){{1,5}}"
    rf"(?P<id>{_SPACED}|{PIECE})(?![\w@])"
)
# "Two orders on the same evening, 30117 and 30118": set off by a comma, a bracket or a list's dash.
_AND = r"(?:and|und|et|y|e|en|i|or|oder)\s"
_NUMBERISH = rf"#?(?=[a-z/_.-]{{0,6}}\d){PIECE}"
_SET_OFF = re.compile(
    rf"(?:[,(:–]\s?|\n\s?[-*•–]\s?|\s[-–]\s)(?P<id>{_NUMBERISH})(?=\s*(?:[.,;:)(\n]|$|\s{_AND}))"
    rf"|(?<!\w){_AND}(?P<id2>{_NUMBERISH})(?=\s*(?:[.,;:)\n]|$))"
)
_LOOK_BACK = 120
_BREAK = re.compile(r"[.!?]\s+(?=[A-ZÀ-Þ])|\n\s*\n")

_LEAD = r"(?:(?:sure|yes|yeah|ok|okay|sorry|oh|it'?s|it is|its|here(?: it is)?|hi|hello)[\s,.:]+){0,3}"
# Spoken letter by letter: groups of one to three letters and of one to three digits in turn.
_IN_TURN = (
    r"(?:[a-z]{1,3} \d{1,3}(?: [a-z]{1,3} \d{1,3}){1,2}(?: [a-z])?"
    r"|[a-z]{1,3} \d{1,3} [a-z]{1,2}|\d [a-z]{1,2}(?: \d{1,2} [a-z]{1,2}){1,2}(?: \d{1,2})?)"
)
_BARE_CODE = re.compile(
    rf"{_LEAD}(?P<id>{_IN_TURN}|[a-z]{{1,2}} \d{{4,8}}|#?[a-z]{{1,4}}-?\d{{4,10}})[\s.!]*"
)
# A surname and a code: what bookings are looked up by.
_NAME_AND_CODE = re.compile(
    rf"{_LEAD}(?P<name>[^\W\d_]{{3,20}}(?: (?!and |und )[^\W\d_]{{2,20}})?),? "
    rf"(?:{_AND}(?P<id>{_IN_TURN}|[a-z]{{2,3}} \d{{3}})|(?P<id2>{_IN_TURN}))[\s.!]*"
)
_REFERENCE = re.compile(r"\b(?:r[eé]f|riferim)")
_SPOKEN = re.compile(rf"{_IN_TURN}|[a-z]{{1,4}} \d{{2,8}}")
_ANSWER_CHARS = 60
_SMALL_WORDS = words("identifiers", "small_words")


def plausible(token: str, *, sure: bool, after: str) -> bool:
    """Whether a token is an identifier and not a word, a year, a date or an amount.

    `sure` says that a word for "number" stood before it; else it takes more to be believed.
    """
    bare = token.lstrip("# ")
    digits = sum(ch.isdigit() for ch in bare)
    letters = sum(ch.isalpha() for ch in bare)
    if digits < 2 or len(bare) < 3 or (_DATE.fullmatch(bare) and not (sure and bare.count("/") == 1)):
        return False
    if letters > 12 or (letters and digits < letters / 3):
        return False
    if sure or token.startswith("#"):
        return digits >= 3 or bool(letters and not bare[0].isdigit())
    if _UNITS.match(after) or _YEAR.fullmatch(bare):
        return False
    if " " in bare:
        return digits >= 6 and not letters
    # "3317/A", "77-B12": a dash or slash inside is what identifiers have and quantities have not.
    return digits >= 4 or (letters > 0 and digits >= 3 and not bare[0].isdigit())


def misspelt(word: str, nouns: frozenset[str]) -> bool:
    """Whether one slip of the keyboard (or a swap of neighbours) separates `word` from one of `nouns`."""
    if len(word) < 3:
        return False
    return any(DamerauLevenshtein.distance(word, noun, score_cutoff=1) <= 1 for noun in nouns)


def said_apart(text: Text, kind: str) -> Iterator[Found]:
    """Numbers of `kind` ("order", "invoice" or "account") whose noun stands earlier in the sentence.

    The nearest noun decides; after a noun of another thing (a phone, a model, a ticket) there is none.
    """
    for match in text.near_digits(_NUMBERED):
        value = text.word(match, "id")
        joined = value.replace(" ", "")
        digits = sum(ch.isdigit() for ch in joined)
        if (" " in value and not _SPOKEN.fullmatch(value.lower())) or (digits < 3 and len(joined) < 6):
            continue
        mixed = 0 < digits < sum(ch.isalnum() for ch in joined)
        # "My reference is ..." alone may be a ticket's.
        alone = "order" if mixed and not _REFERENCE.search(match.group()) else None
        wanted = _noun_before(text, match.start()) or alone
        if wanted == kind and plausible(joined, sure=True, after=""):
            yield text.found(match, "id", joined)
    for match in text.near_digits(_SET_OFF):
        group = "id" if match.group("id") else "id2"
        value = text.word(match, group)
        if _stands_alone(value) and _noun_before(text, match.start(group)) == kind:
            yield text.found(match, group, value.lstrip("#"))


def _stands_alone(value: str) -> bool:
    """Whether a number set off in a sentence can be an identifier at all: five digits, or a code with letters."""
    bare = value.lstrip("#")
    digits = sum(ch.isdigit() for ch in bare)
    letters = sum(ch.isalpha() for ch in bare)
    if "." in bare or _DATE.fullmatch(bare) or _YEAR.fullmatch(bare) or letters > 6:
        return False
    if letters:
        return digits >= 4 and not bare[0].isdigit()
    return bare.isdigit() and 5 <= digits <= 12 and bare[0] != "0"


def _noun_before(text: Text, at: int) -> str | None:
    """The kind of the nearest noun in the same sentence before `at`; "other" for what is none of ours."""
    start = max(0, at - _LOOK_BACK)
    for cut in _BREAK.finditer(text.raw, start, at):
        start = cut.end()
    found = list(_NOUNS.finditer(text.lower, start, at))
    return found[-1].lastgroup if found else None


def answered(text: Text) -> list[Found]:
    """The code of a message that says nothing else: the answer to a question asked in a chat.

    Three letters and three digits alone are left: numbers of claims, models and plates look the same.
    """
    whole = text.lower.strip()
    if not 3 <= len(whole) <= _ANSWER_CHARS or "\n" in whole or not text.places:
        return []
    start = text.lower.index(whole)
    end = start + len(whole)
    match = _BARE_CODE.fullmatch(text.lower, start, end)
    group = "id"
    if match is None:
        match = _NAME_AND_CODE.fullmatch(text.lower, start, end)
        if match is None or set(match.group("name").split()) & _SMALL_WORDS:
            return []
        group = "id" if match.group("id") else "id2"
    value = text.word(match, group)
    joined = re.sub(r"[ #]", "", value)
    groups = [piece for piece in value.lower().split() if piece.isalpha()]
    wordy = sum(len(piece) > 1 and piece in _SMALL_WORDS for piece in groups)
    if 2 * wordy >= max(1, len(groups)) or not 5 <= len(joined) <= 14:
        return []
    return [text.found(match, group, joined)]
