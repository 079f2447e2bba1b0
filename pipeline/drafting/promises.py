"""Promise-like sentences in eight languages: money back, money off, a replacement.

A promise is a word for the thing together with a word that commits to it, in one clause and with no word
before it that takes the commitment back: "we will refund you" is one, "we are checking whether a refund
is possible" is not. The words stand in `promises.toml`; all languages are tried on every sentence.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict

CATEGORIES = ("refund", "discount", "replacement")
NAMED = {"refund": "money back", "discount": "a price reduction", "replacement": "a replacement"}


def _alternatives(listed: list[str]) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w)(?:{'|'.join(listed)})", re.IGNORECASE)


_Pattern = Annotated[re.Pattern[str], BeforeValidator(_alternatives)]


@dataclass(frozen=True)
class Promise:
    """A sentence of the reply that commits to something; `category` is one of `CATEGORIES`."""

    category: str
    sentence: str


class _Language(BaseModel):
    """One language of `promises.toml`: alternatives of patterns by what they are for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    joins: _Pattern
    conditions: _Pattern
    refund_nouns: _Pattern
    discount_nouns: _Pattern
    replacement_nouns: _Pattern
    refund_verbs: _Pattern
    replacement_verbs: _Pattern
    grants: _Pattern
    commits: _Pattern
    hedges: _Pattern
    undone: _Pattern
    negated: _Pattern

    def noun(self, category: str) -> re.Pattern[str]:
        return {
            "refund": self.refund_nouns,
            "discount": self.discount_nouns,
            "replacement": self.replacement_nouns,
        }[category]

    def verb(self, category: str) -> re.Pattern[str] | None:
        return {"refund": self.refund_verbs, "replacement": self.replacement_verbs}.get(category)


_SENTENCE = re.compile(r"(?<=[.!?…])\s+(?=[^\s\d])|\n+")


def sentences(text: str) -> list[str]:
    """The sentences of a text, by its full stops and line ends."""
    return [part.strip() for part in _SENTENCE.split(text) if part.strip()]


def promises_in(text: str) -> list[Promise]:
    """Every promise of money back, money off or a replacement in a text that went through `facts.plain`."""
    return [
        Promise(category, sentence)
        for sentence in sentences(text)
        for category in CATEGORIES
        if any(_promises(sentence, category, language) for language in _languages())
    ]


def mentions_in(text: str) -> list[Promise]:
    """Sentences that speak of such a thing as if it stood, without promising it: for a mark, not a block."""
    found = []
    for sentence in sentences(text):
        if sentence.rstrip().endswith("?"):
            continue
        for category in CATEGORIES:
            views = {_mentions(sentence, category, language) for language in _languages()} - {None}
            if views == {True}:  # related languages share words; the one that knows its hedge decides
                found.append(Promise(category, sentence))
    return found


def speaks_of(text: str, category: str) -> bool:
    """Whether any sentence of a policy speaks of the thing without refusing it."""
    for sentence in sentences(text):
        for language in _languages():
            patterns = [language.noun(category), language.verb(category)]
            named = any(pattern and pattern.search(sentence) for pattern in patterns)
            if named and not language.negated.search(sentence):
                return True
    return False


_REACH = 300
"""So many characters before a clause still tell who does what its verb says."""


def _promises(sentence: str, category: str, language: _Language) -> bool:
    noun, verb = language.noun(category), language.verb(category)
    if not noun.search(sentence) and not (verb and verb.search(sentence)):
        return False
    question = sentence.rstrip().endswith("?")
    before = ""
    clauses = _clauses(sentence, language)
    for number, clause in enumerate(clauses):
        if not language.conditions.match(clause.strip(_SPACE_AND_MARKS)):
            later = " ".join(clauses[number + 1 : number + 4])
            if not question and _granted(clause, later, noun, language):
                return True
            if verb is not None and _committed(clause, before, verb, language, question):
                return True
        before = f"{before} {clause}"[-_REACH:]
    return False


def _mentions(sentence: str, category: str, language: _Language) -> bool | None:
    """Whether the sentence speaks of it unhedged; None where this language does not find it at all."""
    patterns = [language.noun(category), language.verb(category)]
    if not any(pattern and pattern.search(sentence) for pattern in patterns):
        return None
    views = [
        not language.conditions.match(clause.strip(_SPACE_AND_MARKS)) and _stands(clause, match, language)
        for clause in _clauses(sentence, language)
        for pattern in patterns
        if pattern is not None
        for match in islice(pattern.finditer(clause), MANY)
    ]
    return any(views) if views else None


_SUM = re.compile(
    r"\d\s?(?:%|€|\$|£|eur|usd|chf|dollar|prozent|per ?cent)|(?:[€$£]|eur|usd|chf)\s?\d", re.IGNORECASE
)
"""A sum beside the word for it is as good as a grant ("a discount of 20 %"), unless what follows undoes it."""


MANY = 20
"""A clause that names the thing more often than this is no letter; it counts as the promise it may hide."""


def _granted(clause: str, later: str, noun: re.Pattern[str], language: _Language) -> bool:
    named = list(islice(noun.finditer(clause), MANY + 1))
    return len(named) > MANY or any(
        (
            language.grants.search(f"{clause[: match.start()]} · {clause[match.end() :]}")
            or (_SUM.search(clause) and not language.undone.search(later))
        )
        and _stands(clause, match, language)
        for match in named
    )


def _committed(clause: str, before: str, verb: re.Pattern[str], language: _Language, question: bool) -> bool:
    if question or not language.commits.search(f"{before} {clause}"):
        return False
    said = list(islice(verb.finditer(clause), MANY + 1))
    return len(said) > MANY or any(_stands(clause, match, language) for match in said)


def _stands(clause: str, match: re.Match[str], language: _Language) -> bool:
    before, after = clause[: match.start()], clause[match.end() :]
    return not (language.hedges.search(before) or language.negated.search(before)) and not (
        language.undone.search(after)
    )


_MARKS = re.compile(r"[,;:()–—](?=\s|$)")
_SPACE_AND_MARKS = " \t'\"“”„«»¿¡*-"


def _clauses(sentence: str, language: _Language) -> list[str]:
    return [
        clause
        for part in _MARKS.split(sentence)
        for clause in language.joins.split(f" {part} ")
        if clause and clause.strip()
    ]


@lru_cache(maxsize=1)
def _languages() -> tuple[_Language, ...]:
    table = tomllib.loads(Path(__file__).with_name("promises.toml").read_text(encoding="utf-8"))
    return tuple(_Language.model_validate(language) for language in table.values())
