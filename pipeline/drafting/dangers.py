"""What a reply does that no support team does, and what of an order to the machine it carries out.

Each finding keeps a reply from being approved as it stands. Nothing here needs to know who wrote it: a
model that was talked into something shows it in its words.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from pipeline.routing.disguises import encoded, folded
from pipeline.routing.manipulation import Sign, signs_in

ECHO = 5
"""So many words in a row of an order to the machine are an echo of it."""


def dangers(text: str, signs: Sequence[Sign], ours: Iterable[str], theirs: str) -> Iterator[str]:
    """Why a reply may not go out as it stands, one plain sentence each.

    `signs` are those in what the customer wrote (`theirs`); `ours` is what policy, account and our own
    messages say, which a reply may always repeat.
    """
    flat = folded(text)
    known = " ".join(folded(one) for one in ours)
    if _asks_for_secrets(flat):
        yield "It asks the customer for a password, a code or a card number."
    if _MARKUP.search(text):
        yield "It holds markup; a reply is plain text."
    if any(
        "%" not in piece and " " in said.strip() and folded(piece) not in known
        for piece, said in encoded(text)
    ):
        yield "It holds encoded text that no reader can check."
    if any(match[0] not in known for match in _words().machine.finditer(flat)) or any(
        sign.hard and sign.kind in _OWN and sign.sentence not in known for sign in signs_in(text)
    ):
        yield "It speaks as a machine, not as a person of the team."
    if _echo(flat, known, folded(theirs), signs):
        yield "It repeats what the message told the machine to write."


def _asks_for_secrets(flat: str) -> bool:
    asked, refused = _words().asked, _words().refused
    return any(
        not refused.search(_clause(sentence, match.start(), match.end()))
        for sentence in re.split(r"[.!?\n]", flat)
        for match in asked.finditer(sentence)
    )


def _clause(sentence: str, start: int, end: int) -> str:
    """What of a sentence can refuse what is asked there: "if you did not get it, send us your PIN" does not."""
    begin = max(sentence.rfind(mark, 0, start) for mark in ",;:") + 1
    behind = _FEW_WORDS.match(sentence, end)
    return sentence[begin : behind.end() if behind else end]


_FEW_WORDS = re.compile(r"(?:[^\w,;:]+\w+){0,3}")
_MARKUP = re.compile(
    r"<\s*/?\s*(?:script|img|iframe|svg|object|embed|form|input|style|link|meta|base|video|audio|a|body|html|div|span)\b[^>]{0,300}>"
    r"|\bon(?:error|load|click|mouseover)\s*=|\bsrcset?\s*=\s*[\"']",
    re.IGNORECASE,
)

_OWN = frozenset(("persona", "turn"))
_CODE = re.compile(r"(?<!\w)(?=\S*(?:\d|_|[a-z]-[a-z]|\{))[\w{][\w{}.:@/-]{3,}[\w}]")


def _echo(flat: str, known: str, theirs: str, signs: Sequence[Sign]) -> bool:
    """Whether the reply says over what an order to the machine says, or brings the word it asks for."""
    ordered = [sign.sentence for sign in signs if sign.hard]
    if not ordered:
        return False
    runs = set().union(*(_runs(sentence) for sentence in ordered)) - _runs(known)
    if runs & _runs(flat):
        return True
    elsewhere = theirs
    for sentence in ordered:
        elsewhere = elsewhere.replace(sentence, " ")
    asked = {code for sentence in ordered for code in _CODE.findall(sentence)}
    return any(code in flat and code not in elsewhere and code not in known for code in asked)


def _runs(text: str) -> set[tuple[str, ...]]:
    words = re.findall(r"\w+", text)
    return {tuple(words[start : start + ECHO]) for start in range(len(words) - ECHO + 1)}


@dataclass(frozen=True)
class _Words:
    asked: re.Pattern[str]
    refused: re.Pattern[str]
    machine: re.Pattern[str]


@lru_cache(maxsize=1)
def _words() -> _Words:
    table = tomllib.loads(Path(__file__).with_name("dangers.toml").read_text(encoding="utf-8"))
    give, secret, refused = ("|".join(table["secrets"][name]) for name in ("give", "secret", "not"))
    return _Words(
        asked=re.compile(rf"\b(?:{give})\b.{{0,60}}?\b(?:{secret})"),
        refused=re.compile(rf"\b(?:{refused})\b"),
        machine=re.compile(rf"\b(?:{'|'.join(table['machine']['patterns'])})"),
    )
