"""Phrases that agents keep exchanging: what the draft said, and what they made of it, per prompt and language."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.learning.answers import Answer, Closer, replayed
from pipeline.models.redaction import WORDS, Redactor
from pipeline.review.diff import diff
from pipeline.review.outcomes import WITHOUT_SPACES, tokens

TICKETS = 3
MOST_WORDS = 12
NEAR = 2
"""So many unchanged words between two changes make them one."""


@dataclass(frozen=True)
class Found:
    """`old` was exchanged for `new` in drafts of a task (routine, draft) in a language."""

    task: str
    route: str
    language: str
    old: str
    new: str
    reviews: tuple[int, ...]
    tickets: int
    effect: Closer


def phrases(rows: Sequence[Answer], *, region: str | None = None) -> list[Found]:
    """The exchanges that recur in at least three tickets, the commonest first. Drafts out of templates are left
    out: no prompt of the team's wrote them; so are languages without spaces, whose changed runs are no phrases."""
    redactor = Redactor(tuple(WORDS), region)
    rows = [row for row in rows if row.source == "model" and row.language.split("-")[0] not in WITHOUT_SPACES]
    groups: dict[tuple[str, str, str, str, str], dict[int, Answer]] = defaultdict(dict)
    for row in rows:
        for old, new in _exchanged(row):
            if not _personal(f"{old} {new}", row, redactor):
                groups[row.task, row.route, row.language, old, new][row.review_id] = row
    found = []
    for (task, route, language, old, new), members in groups.items():
        counted = len({row.ticket_id for row in members.values()})
        if counted < TICKETS:
            continue
        same = [row for row in rows if (row.task, row.language) == (task, language) and _has(row.draft, old)]
        effect = replayed(same, [_put(row.draft, old, new) for row in same])
        if effect.farther >= effect.closer and effect.farther:
            continue  # as many agents let the old words stand: no preference of the team's
        found.append(Found(task, route, language, old, new, tuple(members), counted, effect))
    return sorted(found, key=lambda one: (-one.tickets, one.old, one.new))


def _exchanged(row: Answer) -> list[tuple[str, str]]:
    """What was exchanged for what. A change on both sides of a word or two that stayed is one change."""
    runs: list[tuple[str, str]] = []
    gap: str | None = None
    for piece in diff(row.draft, row.sent, row.language):
        if piece.kind == "same":
            words = tokens(piece.text, row.language)
            short = len(words) <= NEAR and all(map(str.isalnum, words)) and "\n" not in piece.text
            gap = piece.text if short and runs and gap is None else None
            if not short:
                runs.append(("", ""))  # what comes next is a change of its own
            continue
        old, new = (piece.text, "") if piece.kind == "removed" else ("", piece.text)
        if not runs:
            runs.append(("", ""))
        before = runs.pop()
        between = gap or ""
        runs.append((before[0] + between + old, before[1] + between + new))
        gap = None
    found = []
    for run in runs:
        old, new = (" ".join(text.split()).strip(" ,.;:") for text in run)
        sizes = [len(tokens(text, row.language)) for text in (old, new)]
        worded = all(re.search(r"[^\W\d_]{2}", text) for text in (old, new))
        if worded and max(sizes) <= MOST_WORDS and old.casefold() != new.casefold() and "{{" not in old + new:
            found.append((old, new))
    return list(dict.fromkeys(found))


def _personal(text: str, row: Answer, redactor: Redactor) -> bool:
    return row.told_by(text) or bool(redactor.redact([text])[1])


def _has(text: str, phrase: str) -> bool:
    return re.search(_pattern(phrase), text) is not None


def _put(text: str, old: str, new: str) -> str:
    return re.sub(_pattern(old), lambda _: new, text)


def _pattern(phrase: str) -> str:
    return r"(?<!\w)" + r"\s+".join(re.escape(word) for word in phrase.split()) + r"(?!\w)"
