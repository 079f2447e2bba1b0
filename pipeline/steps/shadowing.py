"""Shadowing: a sample of what was kept cheap is read by the strong model too, to measure missed escalations.

It is done when nothing else is due, changes no ticket, and counts against the caps of the day and of the task
`shadow` only: a customer's ticket never gets less because it was in the sample.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
import structlog
from sqlalchemy.dialects import postgresql, sqlite

from pipeline.db.tables import messages, model_calls, shadows, tickets, triages
from pipeline.db.types import now
from pipeline.errors import AllModelsFailed
from pipeline.models.gateway import Context, Plan
from pipeline.routing.planning import hashed
from pipeline.routing.table import DATA_CLASSES, Routes
from pipeline.triage.escalation import decide
from pipeline.triage.reading import Reading, read

if TYPE_CHECKING:
    from pipeline.assembly import Parts

log = structlog.get_logger(__name__)

TASK = "shadow"
LOOKS_BACK = timedelta(days=2)
"""Older readings are left alone: a first key, or a raised share, does not send the whole past."""

_SPREAD, _RANGE = 2_654_435_761, 2**32
"""Knuth's multiplicative hash: neighbouring numbers end far apart, and every stretch holds its share."""

_AT_MOST = 1000
_NOT_READ = ""


def take_shadows(parts: Parts, *, limit: int = 100, go_on: Callable[[], bool] = lambda: True) -> int:
    """Read what the sample still lacks, at most `limit`, while `go_on()`; returns how many were read.

    Nothing happens where no model of the task has a key. What the caps or a failure stop is not tried again.
    """
    if not parts.plan(TASK).choices or not parts.routes.rule.shadow_share:
        return 0
    with parts.store.read() as connection:
        wanted = connection.execute(_sample(parts.routes.rule.shadow_share)).all()
    taken = 0
    for row in wanted:
        if taken == limit or not go_on():
            break
        # an agent may have put the topic right since: the stricter of both counts
        known = (row.topic, row.ticket_topic)
        topic = max(known, key=lambda one: DATA_CLASSES.index(parts.data_class(topic=one, inbox=row.inbox)))
        plan = parts.plan(TASK, inbox=row.inbox, topic=topic)
        # a ticket that no such model may see is passed over
        taken += bool(plan.choices) and _take(parts, plan, row)
    return taken


def in_sample(triage_id: int, share: float) -> bool:
    """Whether a kept reading belongs to the sample: fixed by its number, whoever asks and whenever."""
    return triage_id * _SPREAD % _RANGE < int(share * _RANGE)


def _sample(share: float) -> sa.Select[Any]:
    """The kept readings of the sample that no strong model was asked about yet, the oldest first."""
    asked = sa.exists().where(
        model_calls.c.ticket_id == triages.c.ticket_id,
        model_calls.c.message_id == triages.c.message_id,
        model_calls.c.task == TASK,
    )
    return (
        sa.select(
            triages.c.id,
            triages.c.ticket_id,
            triages.c.message_id,
            triages.c.topic,
            triages.c.language,
            tickets.c.inbox,
            tickets.c.topic.label("ticket_topic"),
            tickets.c.customer_address,
        )
        .join(tickets, tickets.c.id == triages.c.ticket_id)
        .where(
            triages.c.route == "cheap",
            triages.c.created_at >= now() - LOOKS_BACK,
            (triages.c.id * sa.literal(_SPREAD, sa.BigInteger)) % sa.literal(_RANGE, sa.BigInteger)
            < sa.literal(int(share * _RANGE), sa.BigInteger),
            ~sa.exists().where(shadows.c.triage_id == triages.c.id),
            ~asked,
        )
        .order_by(triages.c.id)
        .limit(_AT_MOST)
    )


def _take(parts: Parts, plan: Plan, triage: sa.Row[Any]) -> bool:
    """Claim one reading by its row, so that no other worker pays for it too, and have it read."""
    with parts.store.write() as connection:
        claimed = connection.execute(_claim(connection, triage)).one_or_none()
    if claimed is None:
        return False
    try:
        done = _read(parts, plan, triage, claimed.id)
    except BaseException:
        _give_back(parts, claimed.id)
        raise
    if not done:
        _give_back(parts, claimed.id)
    return done


def _claim(connection: sa.Connection, triage: sa.Row[Any]) -> Any:
    """An insert of a row that counts for nothing yet: without a call, it was not read."""
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    return (
        insert(shadows)
        .values(
            ticket_id=triage.ticket_id,
            triage_id=triage.id,
            topic=triage.topic,
            language=triage.language,
            route="cheap",
            reasons=[],
            model=_NOT_READ,
            missed=False,
            created_at=now(),
        )
        .on_conflict_do_nothing(index_elements=["triage_id"])
        .returning(shadows.c.id)
    )


def _give_back(parts: Parts, shadow_id: int) -> None:
    with parts.store.write() as connection:
        connection.execute(shadows.delete().where(shadows.c.id == shadow_id))


def _read(parts: Parts, plan: Plan, triage: sa.Row[Any], shadow_id: int) -> bool:
    with parts.store.read() as connection:
        message = connection.execute(sa.select(messages).where(messages.c.id == triage.message_id)).one()
        length = connection.execute(
            sa.select(sa.func.count()).where(
                messages.c.ticket_id == triage.ticket_id,
                messages.c.id <= triage.message_id,
                messages.c.kind.in_(("person", "reply")),
            )
        ).scalar_one()
    body, customer = message.new_text or message.text, triage.customer_address
    try:
        reading = read(
            parts.gateway,
            parts.prompts,
            plan,
            Context(
                task=TASK,
                route="strong",
                ticket_id=triage.ticket_id,
                message_id=triage.message_id,
                end_user=hashed(customer) if customer else None,
            ),
            parts.routes,
            subject=message.subject,
            body=body,
            received=min(message.sent_at or message.received_at, message.received_at),
            thread_length=length,
            known_names=[message.from_name] if message.from_name else [],
        )
    except AllModelsFailed as error:
        log.info("shadow not taken", ticket=triage.ticket_id, attempts=error.kinds)
        return False
    text = f"{message.subject or ''}\n{body}"
    reasons = why_missed(triage.topic, reading, parts.routes, text=text, thread_length=length)
    with parts.store.write() as connection:
        connection.execute(
            shadows.update()
            .where(shadows.c.id == shadow_id)
            .values(
                call_id=reading.answered.call_id,
                topic=reading.answer.topic,
                language=reading.answer.language,
                route="strong" if reasons else "cheap",
                reasons=list(reasons),
                model=reading.answered.choice.key,
                missed=bool(reasons),
                created_at=now(),
            )
        )
    return True


def why_missed(
    kept_topic: str, reading: Reading, routes: Routes, *, text: str, thread_length: int
) -> tuple[str, ...]:
    """Why the message should not have been kept as it was; empty where the strong model bears the cheap one out.

    It was missed where the rule escalates on the strong model's reading, whatever its confidence, or where
    its topic belongs to another team: the routine reply then answered another question.
    """
    sure = reading.answer.model_copy(update={"confidence": 1.0})
    decision = decide(sure, routes.rule, text=text, thread_length=thread_length, checked=True)
    reasons = decision.reasons if decision.route == "strong" else ()
    teams = [found.team for name in (kept_topic, sure.topic) if (found := routes.topics.get(name))]
    if len(set(teams)) > 1:
        reasons += (f"It is about {sure.topic}, for the team {teams[1]}, not about {kept_topic}.",)
    return reasons
