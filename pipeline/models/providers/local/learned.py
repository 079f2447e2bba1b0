"""What the built-in model learns from a team: its own tickets with the topic that an agent stands by.

They are kept as rows of `learned.jsonl`, without contact details, and join the package's own examples when
the model is trained. A part of the tickets, always the same, is kept back: no model in force is ever trained on
them, so that each new one can be compared with the one in use on tickets that neither has seen.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from pipeline.db.store import Store
from pipeline.db.tables import corrections, messages, replies, tickets, triages
from pipeline.errors import ConfigError, InputError
from pipeline.models.providers.local.encoder import Encoder
from pipeline.models.providers.local.seeds import BOILERPLATE, LEARNED, Line
from pipeline.models.providers.local.sentences import MAX_CHARS, mail_sentences, reading_text
from pipeline.models.providers.local.trained import as_mail, load_or_train
from pipeline.models.redaction import ALWAYS, Redactor

__all__ = [
    "FEWEST",
    "FEWEST_HELD",
    "MOST",
    "Compared",
    "Row",
    "Standing",
    "as_lines",
    "check_enough",
    "compare",
    "from_file",
    "from_store",
    "given_mail",
    "held_against",
    "is_kept_back",
    "keep",
    "keep_lines",
    "merged",
    "read",
    "row",
    "standing",
    "taught",
]

FEWEST = 10
"""Fewer rows than this teach nothing."""
FEWEST_HELD = 5
"""Fewer kept-back rows than this tell no model from another."""
MOST = 2_000
"""The newest so many are kept."""

_KEPT_BACK = 4  # one ticket of so many
_REDACTED = (*ALWAYS, "emails", "phones", "ibans")


@dataclass(frozen=True)
class Row:
    """One ticket as it is kept: redacted, cut to what the model reads. `corrected`: an agent changed its topic.
    `of` names its ticket, so that all of a ticket is kept back or none; empty, the text stands for itself."""

    topic: str
    subject: str
    body: str
    corrected: bool = False
    of: str = ""

    @property
    def kept_back(self) -> bool:
        """Whether it is only ever tested on: by a hash, so that it is so for good."""
        return is_kept_back(self.of or f"{self.subject}\0{self.body}")


@dataclass(frozen=True)
class Standing:
    """A message, and what its topic or language is to a person; `corrected`: it was read as something else."""

    ticket_id: int
    stands: str
    corrected: bool
    subject: str | None
    body: str


@dataclass(frozen=True)
class Compared:
    """The model in use and the new one on the same kept-back rows. `before` and `after` are the shares read
    right; `gained` rows only the new one has right, `lost` only the old one. `brier_*` is the mean squared
    distance between the stated confidence and being right (0 is best), `stated_*` the mean confidence."""

    rows: int
    taught: int
    held: int
    before: float
    after: float
    gained: int
    lost: int
    brier_before: float
    brier_after: float
    stated_before: float
    stated_after: float

    @property
    def worse(self) -> bool:
        return self.after < self.before

    @property
    def better(self) -> bool:
        """More of them right, or as many with a confidence that can be believed more."""
        return (self.after, -round(self.brier_after, 3)) > (self.before, -round(self.brier_before, 3))


def row(
    topic: str,
    subject: str | None,
    body: str,
    *,
    region: str | None = None,
    corrected: bool = False,
    of: str = "",
) -> Row:
    """A row without mail addresses, telephone, card and account numbers, and passwords."""
    shown, _ = Redactor(_REDACTED, region).redact([(subject or "")[:400], body[:MAX_CHARS]])
    return Row(topic, shown[0], shown[1], corrected, of)


def is_kept_back(name: str) -> bool:
    """Whether what has this name is only ever tested on."""
    return int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) % _KEPT_BACK == 0


def standing(store: Store, field: Literal["topic", "language"]) -> list[Standing]:
    """The newest `MOST` messages whose `field` a person stands by, the oldest of them first: agents put it right, or
    let it stand when they answered.
    """
    right = (
        sa.select(corrections.c.new)
        .where(
            corrections.c.triage_id == triages.c.id,
            corrections.c.field == field,
            corrections.c.by_kind == "agent",
        )
        .order_by(corrections.c.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    answered = sa.exists().where(replies.c.answers_id == triages.c.message_id, replies.c.state == "sent")
    wanted = (
        sa.select(
            triages.c.ticket_id,
            triages.c[field].label("was_read"),
            right.label("put_right"),
            messages.c.subject,
            messages.c.new_text,
            messages.c.text,
        )
        .join(messages, messages.c.id == triages.c.message_id)
        .join(tickets, tickets.c.id == triages.c.ticket_id)
        # A reading stood only where the agent saw this message's, not a later one's.
        .where(sa.or_(right.is_not(None), sa.and_(answered, tickets.c[field] == triages.c[field])))
        .order_by(triages.c.id.desc())
        .limit(MOST)
    )
    with store.read() as connection:
        found = [
            Standing(
                ticket_id=one.ticket_id,
                stands=one.was_read if one.put_right is None else str(one.put_right),
                corrected=one.put_right is not None,
                subject=one.subject,
                body=one.new_text or one.text or "",
            )
            for one in connection.execute(wanted)
        ]
    return found[::-1]


def from_store(store: Store, known: Collection[str], *, region: str | None = None) -> list[Row]:
    """The team's own tickets, newest last: topics that agents put right, and those that stood when they answered.

    Topics that are not `known` (no longer in routes.toml) are left out.
    """
    return [
        row(
            one.stands,
            one.subject,
            one.body,
            region=region,
            corrected=one.corrected,
            of=f"ticket {one.ticket_id}",
        )
        for one in standing(store, "topic")
        if one.stands in known
    ]


def read(path: Path) -> list[Row]:
    """The rows of a learned file; none where there is no such file. Raises `ConfigError` naming the line."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}; `triage learn --forget` removes it") from None
    rows = []
    for number, line in enumerate(text.splitlines(), 1):
        try:
            given = json.loads(line)
            rows.append(_row(given))
        except (ValueError, KeyError, TypeError):
            raise ConfigError(
                f"{path}:{number}: not a learned row; `triage learn --forget` removes the file"
            ) from None
    return rows


def _row(given: Mapping[str, Any]) -> Row:
    values = given["topic"], given["subject"], given["body"]
    if not all(isinstance(value, str) for value in values):
        raise TypeError("topic, subject and body are text")
    of = given.get("of", "")
    if not isinstance(of, str):
        raise TypeError("of is text")
    return Row(*values, corrected=given.get("corrected") is True, of=of)


def merged(old: Iterable[Row], new: Iterable[Row]) -> list[Row]:
    """Both, each text once with its newest topic, empty ones left out; at most the newest `MOST`."""
    by_text: dict[tuple[str, str], Row] = {}
    for one in (*old, *new):
        if mail_sentences(*reading_text(one.subject, one.body)):
            by_text.pop((one.subject, one.body), None)
            by_text[one.subject, one.body] = one
    return list(by_text.values())[-MOST:]


def keep(path: Path, rows: Sequence[Row]) -> None:
    """Write the file whole or not at all, readable by its owner only. Raises `ConfigError`."""
    lines = [
        json.dumps(
            {"topic": one.topic, "subject": one.subject, "body": one.body, "corrected": one.corrected}
            | ({"of": one.of} if one.of else {}),
            ensure_ascii=False,
        )
        for one in rows
    ]
    keep_lines(path, lines)


def keep_lines(path: Path, lines: Iterable[str]) -> None:
    """Write the lines whole or not at all, readable by the owner only. Raises `ConfigError`."""
    part = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.unlink(missing_ok=True)
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in lines)
        part.replace(path)
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror or error}") from None


def as_lines(rows: Sequence[Row]) -> list[Line]:
    """The rows as examples that the topic model is trained on: subject and body on lines of their own."""
    lines = []
    for one in rows:
        head, text = reading_text(one.subject, one.body)
        name = hashlib.sha256(f"{head}\0{text}".encode()).hexdigest()
        lines.append(Line(one.topic, LEARNED, "", f"{' '.join(head.split())}\n{text}", f"{LEARNED}/{name}"))
    return lines


def taught(rows: Iterable[Row]) -> list[Row]:
    """The rows that a model is trained on; the others are for testing it."""
    return [one for one in rows if not one.kept_back]


def check_enough(what: Literal["topic", "language"], rows: int, held: int) -> None:
    """Raises `InputError` where there are too few rows to teach or, kept back, to tell."""
    if rows < FEWEST:
        raise InputError(
            f"{rows} tickets with a {what} that stands are too few to learn from, {FEWEST} is the least; "
            f"correct {what}s on the review page, or name labelled rows with --rows"
        )
    if held < FEWEST_HELD:
        raise InputError(
            f"{held} of the {rows} tickets are kept back to test on, {FEWEST_HELD} is the least; about "
            f"one in {_KEPT_BACK} is: learn again when there are more"
        )


def compare(
    encoder: Encoder,
    cache_dir: Path | None,
    old: Sequence[Row],
    rows: Sequence[Row],
    known: Sequence[str],
) -> Compared:
    """Train a model on the taught part of `rows` and test it on the part kept back, beside the one in use, which
    `old` taught; some 6 s of CPU. What is trained stays in the cache, where a start finds it if it is taken up.

    Raises `InputError` where there are too few rows to teach or to tell.
    """
    held = [one for one in rows if one.kept_back]
    check_enough("topic", len(rows), len(held))
    once = _Once(encoder)
    mails = [as_mail(once, line) for line in as_lines(held)]
    models = [load_or_train(once, cache_dir, None, as_lines(taught(some))).topics for some in (old, rows)]
    with encoder.alone():
        answers = [[model.answer(mail.vectors, known) for mail in mails] for model in models]
    right = [
        [answer.topic == mail.label for answer, mail in zip(some, mails, strict=True)] for some in answers
    ]
    stated = [[answer.confidence for answer in some] for some in answers]
    off = [
        [(said - good) ** 2 for said, good in zip(some, hits, strict=True)]
        for some, hits in zip(stated, right, strict=True)
    ]
    return held_against(len(rows), right, stated, off)


def held_against(
    rows: int,
    right: Sequence[Sequence[bool]],
    stated: Sequence[Sequence[float]],
    off: Sequence[Sequence[float]],
) -> Compared:
    """The figures of two models, the one in use first: whether each of the same kept-back tickets was read right,
    with which confidence, and how far that was off, squared. `rows` counts all tickets, those that teach included."""
    held = len(right[0])
    pairs = list(zip(*right, strict=True))
    return Compared(
        rows=rows,
        taught=rows - held,
        held=held,
        before=sum(right[0]) / held,
        after=sum(right[1]) / held,
        gained=sum(new and not was for was, new in pairs),
        lost=sum(was and not new for was, new in pairs),
        brier_before=sum(off[0]) / held,
        brier_after=sum(off[1]) / held,
        stated_before=sum(stated[0]) / held,
        stated_after=sum(stated[1]) / held,
    )


class _Once(Encoder):
    """Encodes each text once: both models are made of nearly the same ones."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self._inner = encoder
        self._known: dict[str, NDArray[np.float32]] = {}

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        self._known.update(zip(new, self._inner.encode(new), strict=True))
        if not texts:
            return self._inner.encode(())
        return np.stack([self._known[text] for text in texts])


def from_file(
    given: Iterable[tuple[int, Mapping[str, Any]]],
    path: Path,
    known: Collection[str],
    *,
    region: str | None = None,
) -> list[Row]:
    """Labelled rows that were handed in: `{"subject", "body", "topic"}`; those that have only a
    `language` are left out. Raises `InputError` naming the line."""
    rows = []
    for number, one in given:
        subject, body = given_mail(one, path, number)
        topic = one.get("topic")
        if topic is None and one.get("language") is not None:
            continue
        if not isinstance(topic, str) or topic not in known or topic == BOILERPLATE:
            raise InputError(f"{path}:{number}: the topic {topic!r} is not in routes.toml")
        rows.append(row(topic, subject, body, region=region, corrected=True))
    return rows


def given_mail(one: Mapping[str, Any], path: Path, number: int) -> tuple[str | None, str]:
    """Subject and body of a labelled row. Raises `InputError` naming the line."""
    subject, body = one.get("subject"), one.get("body")
    if not isinstance(body, str) or not isinstance(subject, str | None):
        raise InputError(f"{path}:{number}: a row needs a body and may have a subject, both text")
    return subject, body
