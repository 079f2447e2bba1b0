"""Facts that agents keep adding by hand: what they would like the policy to say, as sentences.

A sentence counts where it stands in what was sent and in no form in the draft. It is proposed where agents of
at least three tickets and two customers added it, where it says nothing of a person or of one ticket, and where
the policy does not say it already. Whether it is true, a person decides.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from rapidfuzz import fuzz

from pipeline.drafting.facts import facts_in, plain
from pipeline.learning.answers import Answer, Closer, parts_of, replayed
from pipeline.models.redaction import WORDS, Redactor
from pipeline.review.letters import take_apart
from pipeline.review.outcomes import tokens

TICKETS = 3
CUSTOMERS = 2
SAME = 88.0
"""Two sentences that are at least so alike (0..100), with the same figures, are one fact."""
REWORDED = 60.0
"""So alike, a sentence is the draft's own in other words: that is a phrase, not a fact."""
FEWEST_WORDS, MOST_CHARS = 4, 300

# "I have looked at your case" is no fact of the team's
_OF_ONESELF = re.compile(
    r"(?<!\w)(?:i|i'm|i've|my|me|myself|ich|mein\w*|mir|mich|je|j['’]\w+|mon|ma|mes|yo|mis?|io|mio|mia|ik|mijn"
    r"|eu|meu|minha|sorry|apologi[sz]e\w*|entschuldig\w*|désolée?s?|siento|lamento|spiace|przepraszam\w*)(?!\w)",
    re.IGNORECASE,
)
_Group = list[tuple[str, Answer]]


@dataclass(frozen=True)
class Found:
    """A fact: the sentence in the words that most agents used, who added it, and what it would have done."""

    text: str
    language: str
    reviews: tuple[int, ...]
    tickets: int
    customers: int
    effect: Closer


def facts(rows: Sequence[Answer], policy: str, *, region: str | None = None) -> list[Found]:
    """The facts of these answers, those with figures or links first, then by how many tickets they were added in."""
    redactor = Redactor(tuple(WORDS), region)
    added = ((one, row) for row in rows for one in _added(row) if not _personal(one, row, redactor))
    said = [line for line in parts_of(_bare(policy), "") if line]
    found = []
    for group in _grouped(added):
        by_ticket = {row.ticket_id for _, row in group}
        customers = {row.customer for _, row in group if row.customer}
        if len(by_ticket) < TICKETS or len(customers) < CUSTOMERS:
            continue
        texts = [text for text, _ in group]
        text = max(dict.fromkeys(texts), key=texts.count)
        if supported(text, said):
            continue
        members = list({row.review_id: row for _, row in group}.values())
        effect = replayed(members, [_with(row, text) for row in members])
        if effect.closer < 2 * effect.farther or not effect.closer:
            continue  # too often agents said something else instead of it
        found.append(
            Found(
                text,
                members[0].language,
                tuple(row.review_id for row in members),
                len(by_ticket),
                len(customers),
                effect,
            )
        )
    return sorted(found, key=lambda one: (not _figures(one.text), -one.tickets, one.text))


def alike(one: str, other: str) -> bool:
    """Whether two sentences say the same: nearly the same words, and the same figures and links."""
    return _figures(one) == _figures(other) and fuzz.ratio(_folded(one), _folded(other)) >= SAME


def supported(sentence: str, policy: Collection[str]) -> bool:
    """Whether a line of the policy says it: all its figures, and most of its words."""
    figures = _figures(sentence)
    return any(
        figures <= _figures(line) and fuzz.token_set_ratio(_folded(sentence), _folded(line)) >= SAME
        for line in policy
    )


def _added(row: Answer) -> Iterator[str]:
    """Sentences of what was sent that the draft has in no form."""
    before = parts_of(plain(row.draft), row.language)
    for sentence in parts_of(plain(take_apart(row.sent).body), row.language):
        short = len(tokens(sentence, row.language)) < FEWEST_WORDS
        if short or len(sentence) > MOST_CHARS or sentence.endswith(("?", "？")) or "{{" in sentence:
            continue
        if _OF_ONESELF.search(sentence) or any(_reworded(one, sentence) for one in before):
            continue
        yield sentence


def _reworded(draft: str, sentence: str) -> bool:
    """Whether a sentence is one of the draft's in other words: with a figure of its own it says something else."""
    old, new = _folded(draft), _folded(sentence)
    nearness = max(fuzz.ratio(old, new), fuzz.ratio(old.split(), new.split()))
    return nearness >= REWORDED and _figures(sentence) <= _figures(draft)


def _personal(sentence: str, row: Answer, redactor: Redactor) -> bool:
    """Whether it says something of a person, or of this ticket: a name, an address, a number of an order."""
    if row.told_by(sentence):
        return True
    if any(fact.kind == "number" for fact in facts_in(sentence)):
        return True  # of an order, an invoice, an account
    return bool(redactor.redact([sentence])[1])


def _grouped(added: Iterable[tuple[str, Answer]]) -> list[_Group]:
    """Alike sentences of one language together. Only those with the same figures are compared: a busy week has
    thousands of sentences."""
    groups: list[_Group] = []
    by_figures: dict[tuple[str, frozenset[str]], list[tuple[str, _Group]]] = defaultdict(list)
    for sentence, row in added:
        folded, near = _folded(sentence), by_figures[row.language, _figures(sentence)]
        group = next((of for first, of in near if fuzz.ratio(folded, first, score_cutoff=SAME) >= SAME), None)
        if group is None:
            group = []
            near.append((folded, group))
            groups.append(group)
        group.append((sentence, row))
    return groups


def _with(row: Answer, sentence: str) -> str:
    """The draft with the sentence where it stands in what was sent: behind the sentence that is before it there."""
    sent = parts_of(plain(row.sent), row.language)
    at = next((n for n, one in enumerate(sent) if alike(one, sentence)), len(sent))
    for before in reversed(sent[:at]):
        start = row.draft.find(before)
        if start >= 0:
            end = start + len(before)
            return f"{row.draft[:end]} {sentence}{row.draft[end:]}"
    letter = take_apart(row.draft)
    return "\n\n".join(part for part in (letter.greeting, letter.body, sentence, letter.sign_off) if part)


def _figures(text: str) -> frozenset[str]:
    """Its digits in order of size, and its links: what makes one fact another."""
    links = {key for fact in facts_in(text) if fact.kind in ("link", "email") for key in fact.keys}
    return frozenset(re.findall(r"\d+(?:[.,:]\d+)*", text)) | links


def _folded(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))


def _bare(markdown: str) -> str:
    """The policy without its marks, each item one line."""
    joined = re.sub(r"\n(?=[ \t]+\S)|(?<=[^\n])\n(?=[^\s\-#*\d])", " ", markdown)
    return re.sub(r"[*_`#]|^\s*-\s+", "", joined, flags=re.MULTILINE)
