"""The triage step: the cheap model reads one message, and the rule decides the route after the last one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from pipeline.db import leases
from pipeline.db.leases import Lease
from pipeline.db.moves import move
from pipeline.db.reviews import open_review
from pipeline.db.tables import messages, tickets, triages
from pipeline.db.types import now
from pipeline.errors import AllModelsFailed
from pipeline.lifecycle import Status
from pipeline.models.gateway import Context, Plan
from pipeline.models.prices import FREE
from pipeline.routing.planning import hashed
from pipeline.steps.to_a_person import to_a_person
from pipeline.triage.escalation import Decision, confidence_needed
from pipeline.triage.reading import Reading, only, read
from pipeline.triage.schema import EMOTIONS, URGENCIES

if TYPE_CHECKING:
    from pipeline.assembly import Parts

_STRANGER = "Another address than the customer's wrote into the thread."
_STILL = "Still unanswered: "


def triage(parts: Parts, lease: Lease) -> str:
    """Read the ticket's oldest unread message, store the reading, and decide the route after the last one."""
    with parts.store.read() as connection:
        ticket = connection.execute(sa.select(tickets).where(tickets.c.id == lease.ticket_id)).one()
        unread = connection.execute(_unread(lease.ticket_id)).first()
        length = connection.execute(
            sa.select(sa.func.count())
            .select_from(messages)
            .where(messages.c.ticket_id == lease.ticket_id, messages.c.kind.in_(("person", "reply")))
        ).scalar_one()
    if unread is None:
        return to_a_person(
            parts, lease, "triage", "human_route", "There is no unread message; a person decides."
        )
    customer = ticket.customer_address
    plan = parts.plan(
        "triage", ticket_id=lease.ticket_id, customer=customer, inbox=ticket.inbox, topic=ticket.topic
    )
    context = Context(
        task="triage",
        route="cheap",
        ticket_id=lease.ticket_id,
        message_id=unread.id,
        end_user=hashed(customer) if customer else None,
    )
    try:
        reading = read(
            parts.gateway,
            parts.prompts,
            plan,
            context,
            parts.routes,
            subject=unread.subject,
            body=unread.new_text or unread.text,
            received=min(unread.sent_at or unread.received_at, unread.received_at),
            thread_length=length,
            calibration=parts.calibration,
            second=_second_reader(parts, ticket),
            known_names=[name for name in (ticket.customer_name, unread.from_name) if name],
        )
    except AllModelsFailed as error:
        reason, why = "failed_triage", f"No model could read the message ({', '.join(error.kinds)})."
        if "budget" in error.kinds:
            reason, why = "budget", "The spend cap for reading is reached; a person decides."
        return to_a_person(parts, lease, "triage", reason, why, read_message=unread.id)
    # a backup that fitted under the cap has read it as well as any; `ask` is a person too: they read it
    capped = (
        "budget" in reading.answered.attempts
        and reading.answered.choice.provider in FREE
        and parts.routes.tasks["triage"].at_cap != "cheaper"
    )
    with parts.store.write() as connection:
        leases.hold(connection, lease)
        reading = _with_what_stands(connection, lease.ticket_id, unread, reading)
        _store_reading(connection, lease.ticket_id, unread.id, reading)
        more = connection.execute(_unread(lease.ticket_id)).first() is not None
        found = _ticket_columns(parts, reading, ticket, _unanswered(connection, lease.ticket_id))
        if capped:
            why = "The spend cap for reading is reached; a person decides."
            move(
                connection,
                lease.ticket_id,
                Status.IN_REVIEW,
                who="triage",
                why=why,
                **found | {"route": "human"},
            )
            open_review(connection, lease.ticket_id, "budget", why)
        elif more:  # a newer message arrived: it is read first
            connection.execute(tickets.update().where(tickets.c.id == lease.ticket_id).values(**found))
            leases.release(connection, lease, progressed=True)
            return "read; a newer message waits"
        else:
            to = Status.ROUTINE if reading.decision.route == "cheap" else Status.ESCALATED
            move(connection, lease.ticket_id, to, who="triage", why=reading.decision.sentence, **found)
    return f"{reading.answer.topic} → {reading.decision.route}"


def _second_reader(parts: Parts, ticket: sa.Row[Any]) -> Plan | None:
    """The other cheap model that routes.toml names to read along, where it can be asked."""
    model = parts.routes.tasks["triage"].second_model
    if model is None:
        return None
    plan = parts.plan(
        "triage",
        ticket_id=ticket.id,
        customer=ticket.customer_address,
        model=model,
        inbox=ticket.inbox,
        topic=ticket.topic,
    )
    return only(plan, model)


def _unread(ticket_id: int) -> sa.Select[Any]:
    return (
        sa.select(messages)
        .where(
            messages.c.ticket_id == ticket_id,
            messages.c.direction == "inbound",
            messages.c.kind == "person",
            messages.c.triaged_at.is_(None),
        )
        .order_by(messages.c.id)
        .limit(1)
    )


def _store_reading(connection: sa.Connection, ticket_id: int, message_id: int, reading: Reading) -> None:
    answer, at = reading.answer, now()
    connection.execute(
        triages.insert().values(
            ticket_id=ticket_id,
            message_id=message_id,
            call_id=reading.answered.call_id,
            topic=answer.topic,
            other_topics=answer.other_topics,
            confidence=answer.confidence,
            stated=reading.signals.stated,
            certainty=reading.signals.certainty,
            agreed=reading.signals.agreed,
            calibrated=reading.calibrated,
            language=answer.language,
            urgency=answer.urgency,
            emotion=answer.emotion,
            clarity=answer.clarity,
            fields=answer.fields.to_json(),
            summary=answer.summary,
            checked=reading.checked,
            route=reading.decision.route,
            reasons=list(reading.decision.reasons),
            model=reading.answered.choice.key,
            prompt=reading.answered.prompt,
            created_at=at,
        )
    )
    connection.execute(messages.update().where(messages.c.id == message_id).values(triaged_at=at))


def _with_what_stands(
    connection: sa.Connection, ticket_id: int, message: sa.Row[Any], reading: Reading
) -> Reading:
    """The reading, its route raised where an unanswered message before it, or a stranger, asks for that.

    A calm afterthought does not make an angry mail that nobody has answered yet harmless.
    """
    reasons = [_STRANGER] if {"other_sender", "unverified_token"} & set(message.flags) else []
    for earlier in _unanswered(connection, ticket_id):
        if earlier.route == "strong":
            reasons += [_STILL + reason.removeprefix(_STILL) for reason in earlier.reasons]
    if not reasons:
        return reading
    own = reading.decision.reasons if reading.decision.route == "strong" else ()
    return replace(reading, decision=Decision("strong", tuple(dict.fromkeys((*own, *reasons)))))


def _unanswered(connection: sa.Connection, ticket_id: int) -> list[sa.Row[Any]]:
    """The readings of the messages that came since our last reply on the ticket."""
    last_reply = (
        sa.select(sa.func.coalesce(sa.func.max(messages.c.id), 0))
        .where(messages.c.ticket_id == ticket_id, messages.c.direction == "outbound")
        .scalar_subquery()
    )
    return list(
        connection.execute(
            sa.select(triages).where(triages.c.ticket_id == ticket_id, triages.c.message_id > last_reply)
        )
    )


def _ticket_columns(
    parts: Parts, reading: Reading, ticket: sa.Row[Any], unanswered: Sequence[sa.Row[Any]]
) -> dict[str, Any]:
    answer = reading.answer
    urgency = max((answer.urgency, *(row.urgency for row in unanswered)), key=URGENCIES.index)
    emotion = max((answer.emotion, *(row.emotion for row in unanswered)), key=EMOTIONS.index)
    # "And? Still nothing!" says nothing of the matter: the thread's topic stands.
    needed = confidence_needed(parts.routes.rule, reading.calibrated)
    unsure = answer.clarity == "vague" or answer.confidence < needed
    name = ticket.topic if ticket.topic and unsure else answer.topic
    topic = parts.routes.topics.get(name)
    return {
        "topic": name,
        "language": answer.language,
        "urgency": urgency,
        "urgency_rank": URGENCIES.index(urgency),
        "emotion": emotion,
        "team": topic.team if topic else None,
        "route": reading.decision.route,
        "decision": reading.decision.sentence,
    }
