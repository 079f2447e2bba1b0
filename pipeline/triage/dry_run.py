"""What another routing table would have decided for messages that were read already: no model is asked."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from pipeline.db.store import Store
from pipeline.db.tables import messages, triages
from pipeline.db.types import now
from pipeline.routing.table import LOCAL, Routes
from pipeline.triage.escalation import decide
from pipeline.triage.schema import Fields, TriageAnswer

SHOWN = 20


@dataclass(frozen=True)
class Changed:
    """A message whose route the other table would change."""

    ticket_id: int
    before: str
    after: str
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class DryRun:
    """`counts` is (route before, route after) → messages."""

    since: datetime
    messages: int
    counts: dict[tuple[str, str], int]
    changed: tuple[Changed, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "since": self.since.isoformat(),
            "messages": self.messages,
            "counts": [{"before": b, "after": a, "messages": n} for (b, a), n in sorted(self.counts.items())],
            "changed": [
                {"ticket": c.ticket_id, "before": c.before, "after": c.after, "reasons": list(c.reasons)}
                for c in self.changed
            ],
        }

    def lines(self) -> list[str]:
        """For people."""
        found = [
            f"{self.messages} messages read since {self.since:%Y-%m-%d %H:%M} UTC; the other table would send"
        ]
        for (before, after), number in sorted(self.counts.items()):
            found.append(f"  {number:6}  {before} → {after}{'' if before == after else '   (changed)'}")
        for change in self.changed[:SHOWN]:
            found.append(
                f"ticket {change.ticket_id}: {change.before} → {change.after}: {' '.join(change.reasons)}"
            )
        if len(self.changed) > SHOWN:
            found.append(f"… and {len(self.changed) - SHOWN} more; --json shows all")
        return found


def hours_back(text: str) -> datetime:
    """The moment that lies `7d` or `12h` back. Raises `ValueError`."""
    match = re.fullmatch(r"(\d{1,4})([dh])", text.strip())
    if not match:
        raise ValueError(f"{text!r} is not a span like 7d or 12h")
    span = timedelta(days=int(match[1])) if match[2] == "d" else timedelta(hours=int(match[1]))
    return now() - span


def dry_run(store: Store, routes: Routes, since: datetime) -> DryRun:
    """Decide every stored reading since then by the rule of `routes`.

    Only the rule is tried: a reading that another model or prompt would have made is not known.
    """
    counts: Counter[tuple[str, str]] = Counter()
    changed = []
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
    with store.read() as connection:
        rows = connection.execute(
            sa.select(
                triages, messages.c.subject, messages.c.new_text, messages.c.text, length.label("length")
            )
            .join(messages, messages.c.id == triages.c.message_id)
            .where(triages.c.created_at >= since)
            .order_by(triages.c.id)
        )
        for row in rows:
            answer = TriageAnswer(
                topic=row.topic,
                other_topics=row.other_topics,
                confidence=row.confidence,
                language=row.language,
                urgency=row.urgency,
                emotion=row.emotion,
                clarity=row.clarity,
                fields=Fields.model_validate(row.fields),
                summary=row.summary[:400],
            )
            decision = decide(
                answer,
                routes.rule,
                text=f"{row.subject}\n{row.new_text or row.text}",
                thread_length=row.length,
                checked=row.checked,
                calibrated=row.calibrated or row.model == LOCAL,
            )
            counts[row.route, decision.route] += 1
            if row.route != decision.route:
                changed.append(Changed(row.ticket_id, row.route, decision.route, decision.reasons))
    return DryRun(since, sum(counts.values()), dict(counts), tuple(changed))
