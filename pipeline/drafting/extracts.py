"""A thread cut down by program: how the customer's messages begin, what they ask, every figure.

No word of it is anybody's but the thread's, so nothing in it can be untrue to the thread.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pipeline.drafting.facts import Fact, facts_in, plain
from pipeline.drafting.promises import sentences
from pipeline.drafting.threads import Thread, ThreadMessage

OPENING_CHARS = 400
SENTENCE_CHARS = 200
MAX_QUESTIONS = 4
READ_CHARS = 200_000
"""How much of a thread is searched for facts, the newest first: a second of work at the most."""


@dataclass(frozen=True)
class Said:
    """Something that somebody in the thread stated; `said_by` is customer or team."""

    text: str
    said_by: str


@dataclass(frozen=True)
class Extract:
    """`questions` are the customer's that nobody answered; `facts` what neither they nor `text` hold."""

    text: str
    questions: tuple[str, ...]
    facts: tuple[Said, ...]


def extract(thread: Thread, max_chars: int) -> Extract:
    """The thread within about `max_chars` characters, each link, address, amount, date and code once.

    While there is room the facts stand in their sentence, after that bare; what even so finds no room is
    left out, the oldest last.
    """
    text = "\n".join(_openings(thread, max_chars // 2)) or thread.subject or "(empty)"
    asked = [
        _head(sentence, SENTENCE_CHARS)
        for message in _unanswered(thread)
        for sentence in sentences(plain(message.text))
        if sentence.endswith("?") and len(sentence.split()) > 2
    ]
    questions = tuple(dict.fromkeys(asked))[-MAX_QUESTIONS:]
    shown = "\n".join([text, *questions])
    room = max_chars - len(shown) - 3 * len(questions) - len("\nOpen:\nSaid:")
    return Extract(text, questions, tuple(_facts(_newest(thread), shown, room)))


def _openings(thread: Thread, room: int) -> list[str]:
    """How the customer's messages begin: the first and the newest, and of the others what finds room."""
    theirs = [message for message in thread.messages if message.role == "customer"] or thread.messages
    order = dict.fromkeys([0, len(theirs) - 1, *range(len(theirs) - 2, 0, -1)]) if theirs else {}
    shown: dict[int, str] = {}
    for number in order:
        opening = _head(theirs[number].text, OPENING_CHARS if len(shown) < 2 else SENTENCE_CHARS)
        if len(opening) > room:
            shown[number] = "[...]"
            break
        shown[number] = opening
        room -= len(opening)
    return [shown[number] for number in sorted(shown) if shown[number]]


def _unanswered(thread: Thread) -> list[ThreadMessage]:
    """The customer's messages since our last one; the newest one where we wrote last."""
    last = max((n for n, message in enumerate(thread.messages) if message.role == "agent"), default=-1)
    since = [message for message in thread.messages[last + 1 :] if message.role == "customer"]
    return since or [message for message in thread.messages if message.role == "customer"][-1:]


def _newest(thread: Thread) -> list[ThreadMessage]:
    read = 0
    kept: list[ThreadMessage] = []
    for message in reversed(thread.messages):
        read += len(message.text)
        if kept and read > READ_CHARS:
            break
        kept.append(message)
    return kept[::-1]


_LABEL = len("\n- customer: ")


def _facts(messages: Iterable[ThreadMessage], shown: str, room: int) -> Iterator[Said]:
    """Each checkable thing that is not `shown` yet; the newest have the first right to the room."""
    found: dict[tuple[str, str], tuple[Fact, str, str]] = {}
    seen = {(fact.kind, fact.text) for fact in facts_in(shown)}
    for message in messages:
        text = plain(message.text)
        said_by = "customer" if message.role == "customer" else "team"
        for fact in facts_in(text):
            if (fact.kind, fact.text) not in seen:
                found.setdefault((fact.kind, fact.text), (fact, text, said_by))
    kept: dict[tuple[str, str], int] = {}
    for key in reversed(found):
        if (cost := len(key[1]) + _LABEL) <= room:
            kept[key] = cost
            room -= cost
    told = ""
    for key, (fact, text, said_by) in found.items():
        if key not in kept:
            continue
        if fact.text in told:
            room += kept[key]
            continue
        around = _around(text, fact)
        words = around if len(around) - len(fact.text) <= room else fact.text
        room -= len(words) - len(fact.text)
        told += f"\n{words}"
        yield Said(words, said_by)


_STOP = re.compile(r"\n|[.!?](?=\s)")


def _around(text: str, fact: Fact) -> str:
    """The fact's sentence, or as much around it as fits; the fact itself is never cut."""
    start = max((match.end() for match in _STOP.finditer(text, 0, fact.start)), default=0)
    end = fact.start + len(fact.text)
    stop = _STOP.search(text, end)
    stop_at = stop.start() if stop else len(text)
    before, after = text[start : fact.start], text[end:stop_at]
    if len(before) > SENTENCE_CHARS // 2:
        before = "… " + before[-SENTENCE_CHARS // 2 :].partition(" ")[2]
    if len(after) > SENTENCE_CHARS // 2:
        after = after[: SENTENCE_CHARS // 2].rpartition(" ")[0] + " …"
    return f"{before}{fact.text}{after}".strip()


def _head(text: str, max_chars: int) -> str:
    text = " ".join(plain(text).split())
    if len(text) <= max_chars:
        return text
    return f"{text[:max_chars].rpartition(' ')[0] or text[:max_chars]} …"
