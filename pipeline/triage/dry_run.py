"""Stored readings decided anew: what another rule would have made of messages that were read already.

No model is asked. `pipeline.learning.trying` says what it would have cost, and what is known of its drafts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from pipeline.db.tables import messages, triages
from pipeline.db.types import now
from pipeline.routing.table import LOCAL, Rule
from pipeline.triage.escalation import Decision, confidence_needed, decide
from pipeline.triage.schema import Fields, TriageAnswer


@dataclass(frozen=True)
class Reading:
    """One message as it was read: its `answer`, the route it took, and what else the rule looks at."""

    ticket_id: int
    message_id: int
    route: str
    answer: TriageAnswer
    text: str
    thread_length: int
    checked: bool
    calibrated: bool

    def decide(self, rule: Rule) -> Decision:
        """The decision by another rule."""
        return decide(
            self.answer,
            rule,
            text=self.text,
            thread_length=self.thread_length,
            checked=self.checked,
            calibrated=self.calibrated,
        )

    def needed(self, rule: Rule) -> float:
        """The confidence below which the rule escalates this reading."""
        return confidence_needed(rule, self.calibrated)


def hours_back(text: str) -> datetime:
    """The moment that lies `7d` or `12h` back. Raises `ValueError`."""
    match = re.fullmatch(r"(\d{1,4})([dh])", text.strip())
    if not match:
        raise ValueError(f"{text!r} is not a span like 7d or 12h")
    span = timedelta(days=int(match[1])) if match[2] == "d" else timedelta(hours=int(match[1]))
    return now() - span


def readings(
    connection: sa.Connection, since: datetime, until: datetime | None = None, newest: int | None = None
) -> Iterator[Reading]:
    """Every reading that was stored in the time, or the `newest` so many of them; the newest first.

    Only a rule can be tried on them: a reading that another model or prompt would have made is not known.
    """
    earlier = messages.alias()
    length = (
        sa.select(sa.func.count())
        .where(
            earlier.c.ticket_id == messages.c.ticket_id,
            earlier.c.id <= messages.c.id,
            earlier.c.kind.in_(("person", "reply")),
        )
        .scalar_subquery()
    )
    rows = connection.execute(
        sa.select(triages, messages.c.subject, messages.c.new_text, messages.c.text, length.label("length"))
        .join(messages, messages.c.id == triages.c.message_id)
        .where(triages.c.created_at >= since, *([] if until is None else [triages.c.created_at < until]))
        .order_by(triages.c.id.desc())
        .limit(newest)
    )
    for row in rows:
        yield Reading(
            ticket_id=row.ticket_id,
            message_id=row.message_id,
            route=row.route,
            answer=TriageAnswer(
                topic=row.topic,
                other_topics=row.other_topics,
                confidence=row.confidence,
                language=row.language,
                urgency=row.urgency,
                emotion=row.emotion,
                clarity=row.clarity,
                fields=Fields.model_validate(row.fields),
                summary=row.summary[:400],
            ),
            text=f"{row.subject}\n{row.new_text or row.text}",
            thread_length=row.length,
            checked=row.checked,
            calibrated=row.calibrated or row.model == LOCAL,
        )
