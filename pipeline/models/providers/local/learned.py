"""What the built-in model learns from a team: its own tickets with the topic that an agent stands by.

They are kept as rows of `learned.jsonl`, without contact details, and join the package's own examples when
the model is trained. Nothing is kept that makes the model worse on those very tickets.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa

from pipeline.db.store import Store
from pipeline.db.tables import corrections, messages, replies, tickets, triages
from pipeline.errors import ConfigError, InputError
from pipeline.models.providers.local import topics
from pipeline.models.providers.local.encoder import Encoder
from pipeline.models.providers.local.seeds import BOILERPLATE, LEARNED, Line, mail_lines, topic_lines
from pipeline.models.providers.local.sentences import MAX_CHARS, mail_sentences, reading_text
from pipeline.models.providers.local.trained import as_mail
from pipeline.models.redaction import ALWAYS, Redactor

__all__ = [
    "FEWEST",
    "MOST",
    "Measured",
    "Row",
    "as_lines",
    "from_file",
    "from_store",
    "keep",
    "measure",
    "merged",
    "read",
    "row",
]

FEWEST = 10
"""Fewer rows than this say nothing by cross-validation."""
MOST = 2_000
"""The newest so many are kept."""

_FOLDS = 5
_REDACTED = (*ALWAYS, "emails", "phones", "ibans")


@dataclass(frozen=True)
class Row:
    """One ticket as it is kept: redacted, cut to what the model reads. `corrected`: an agent changed its topic."""

    topic: str
    subject: str
    body: str
    corrected: bool = False


@dataclass(frozen=True)
class Measured:
    """Shares of the rows whose topic is right: by the package alone, and by cross-validation with the others."""

    rows: int
    folds: int
    before: float
    after: float


def row(
    topic: str, subject: str | None, body: str, *, region: str | None = None, corrected: bool = False
) -> Row:
    """A row without mail addresses, telephone, card and account numbers, and passwords."""
    shown, _ = Redactor(_REDACTED, region).redact([(subject or "")[:400], body[:MAX_CHARS]])
    return Row(topic, shown[0], shown[1], corrected)


def from_store(store: Store, known: Collection[str], *, region: str | None = None) -> list[Row]:
    """The team's own tickets, newest last: topics that agents put right, and those that stood when they answered.

    Topics that are not `known` (no longer in routes.toml) are left out.
    """
    right = (
        sa.select(corrections.c.new)
        .where(
            corrections.c.triage_id == triages.c.id,
            corrections.c.field == "topic",
            corrections.c.by_kind == "agent",
        )
        .order_by(corrections.c.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    answered = sa.exists().where(replies.c.answers_id == triages.c.message_id, replies.c.state == "sent")
    wanted = (
        sa.select(
            triages.c.topic,
            right.label("put_right"),
            messages.c.subject,
            messages.c.new_text,
            messages.c.text,
        )
        .join(messages, messages.c.id == triages.c.message_id)
        .join(tickets, tickets.c.id == triages.c.ticket_id)
        # A topic stood only where the agent saw this message's, not a later one's.
        .where(sa.or_(right.is_not(None), sa.and_(answered, tickets.c.topic == triages.c.topic)))
        .order_by(triages.c.id.desc())
        .limit(MOST)
    )
    found: list[Row] = []
    with store.read() as connection:
        for one in connection.execute(wanted):
            topic = one.topic if one.put_right is None else str(one.put_right)
            if topic in known:
                body = one.new_text or one.text
                found.append(
                    row(topic, one.subject, body, region=region, corrected=one.put_right is not None)
                )
    return found[::-1]


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
    return Row(*values, corrected=given.get("corrected") is True)


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
    part = path.with_name(f".{path.name}.part")
    lines = [
        json.dumps(
            {"topic": one.topic, "subject": one.subject, "body": one.body, "corrected": one.corrected},
            ensure_ascii=False,
        )
        for one in rows
    ]
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


def measure(encoder: Encoder, rows: Sequence[Row], known: Sequence[str]) -> Measured:
    """How well the model reads the rows without them, and with those of the other folds; about 2 s a fold.

    Raises `InputError` where there are too few rows to tell.
    """
    if len(rows) < FEWEST:
        raise InputError(
            f"{len(rows)} tickets with a topic that stands are too few to learn from, {FEWEST} is the least; "
            "correct topics on the review page, or name labelled rows with --rows"
        )
    lines = topic_lines()
    with encoder.alone():
        vectors = encoder.encode([line.text for line in lines])
        mails = [as_mail(encoder, mail) for mail in mail_lines()]
        own = [as_mail(encoder, line) for line in as_lines(rows)]
        # The family is a hash of the text: the folds are the same each time, and no order in time shows.
        order = sorted(range(len(own)), key=lambda i: own[i].family)
        fold = np.empty(len(own), dtype=np.int64)
        fold[order] = np.arange(len(own)) % _FOLDS
        plain = topics.fitted(lines, vectors, mails)
        before = sum(plain.answer(mail.vectors, known).topic == mail.label for mail in own)
        after = 0
        for held in range(_FOLDS):
            taught = [mail for mail, at in zip(own, fold, strict=True) if at != held]
            model = topics.fitted(lines, vectors, [*mails, *taught], plain)
            asked = [mail for mail, at in zip(own, fold, strict=True) if at == held]
            after += sum(model.answer(mail.vectors, known).topic == mail.label for mail in asked)
    return Measured(len(rows), _FOLDS, before / len(own), after / len(own))


def from_file(
    given: Iterable[tuple[int, Mapping[str, Any]]],
    path: Path,
    known: Collection[str],
    *,
    region: str | None = None,
) -> list[Row]:
    """Labelled rows that were handed in: `{"subject", "body", "topic"}`. Raises `InputError` naming the line."""
    rows = []
    for number, one in given:
        topic, subject, body = one.get("topic"), one.get("subject"), one.get("body")
        if not isinstance(body, str) or not isinstance(subject, str | None):
            raise InputError(f"{path}:{number}: a row needs a body and may have a subject, both text")
        if not isinstance(topic, str) or topic not in known or topic == BOILERPLATE:
            raise InputError(f"{path}:{number}: the topic {topic!r} is not in routes.toml")
        rows.append(row(topic, subject, body, region=region, corrected=True))
    return rows
