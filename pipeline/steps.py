"""The whole pipeline in one table: what a ticket in each status needs, and `advance`, which does it.

A worker claims the step, thinks outside any transaction, and records in a short one that is refused
when its lease is stale. What fails is tried again after a while; after `max_attempts` starts it is a
row of the review table.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
import structlog

from pipeline.accounts.lookup import other_open_tickets, together
from pipeline.db import leases
from pipeline.db.leases import Lease
from pipeline.db.moves import move
from pipeline.db.reviews import open_review
from pipeline.db.tables import account_facts, drafts, messages, tickets, triages
from pipeline.db.types import now
from pipeline.delivery import send
from pipeline.drafting.draft import DraftResult, write_draft
from pipeline.drafting.threads import load_thread
from pipeline.errors import AllModelsFailed, LeaseLost, ModelError, TriageError
from pipeline.lifecycle import Status
from pipeline.models.gateway import Context
from pipeline.routing.planning import hashed
from pipeline.triage.escalation import Decision
from pipeline.triage.reading import Reading, read
from pipeline.triage.schema import EMOTIONS, URGENCIES

if TYPE_CHECKING:
    from pipeline.assembly import Parts

log = structlog.get_logger(__name__)

RETRY_AFTER = (timedelta(seconds=5), timedelta(seconds=60), timedelta(seconds=300))
"""How long a failed step waits before its second, third, ... start."""


@dataclass(frozen=True)
class Step:
    """What is done for a ticket in one status. `work` returns what it did, in a few words."""

    name: str
    words: str
    work: Callable[[Parts, Lease], str]
    max_attempts: int
    gives_up_as: str


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
        return _to_a_person(parts, lease, "human_route", "There is no unread message; a person decides.")
    customer = ticket.customer_address
    plan = parts.plan("triage", ticket_id=lease.ticket_id, customer=customer)
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
        )
    except AllModelsFailed as error:
        why = f"No model could read the message ({', '.join(error.kinds)})."
        return _to_a_person(parts, lease, "failed_triage", why, read_message=unread.id)
    capped = "budget" in reading.answered.attempts and parts.routes.tasks["triage"].at_cap == "human"
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


def draft(parts: Parts, lease: Lease) -> str:
    """Look the account up, write the draft that the route wants, and lay it before a person."""
    strong = lease.status is Status.ESCALATED
    task = "draft" if strong else "routine"
    with parts.store.read() as connection:
        ticket = connection.execute(sa.select(tickets).where(tickets.c.id == lease.ticket_id)).one()
        answers = connection.execute(
            sa.select(messages)
            .where(
                messages.c.ticket_id == lease.ticket_id,
                messages.c.direction == "inbound",
                messages.c.kind == "person",
            )
            .order_by(messages.c.id.desc())
        ).first()
        fields = connection.execute(
            sa.select(triages.c.fields)
            .where(triages.c.ticket_id == lease.ticket_id)
            .order_by(triages.c.id.desc())
        ).scalar()
    if answers is None:
        return _to_a_person(parts, lease, "human_route", "There is no customer's message to answer.")
    known: dict[str, Any] | None = None
    if ticket.customer_verified and answers.verified:
        known = _look_up(parts, lease, ticket.customer_address, fields or {})
    with parts.store.read() as connection:
        thread = load_thread(
            connection, lease.ticket_id, policy=parts.policy, sender_name=parts.sender_name(ticket.inbox)
        )
    thread = replace(thread, account=known)
    customer = ticket.customer_address
    context = Context(
        task=task,
        route="strong" if strong else "cheap",
        ticket_id=lease.ticket_id,
        message_id=answers.id,
        end_user=hashed(customer) if customer else None,
    )
    plan = parts.plan(task, ticket_id=lease.ticket_id, customer=customer)
    try:
        written = write_draft(parts.gateway, parts.prompts, plan, context, thread, strong=strong)
    except AllModelsFailed as error:
        capped = "budget" in error.kinds
        why = (
            "The spend cap is reached; a person answers."
            if capped
            else f"No model could draft a reply ({', '.join(error.kinds)}); a person answers."
        )
        return _to_a_person(parts, lease, "budget" if capped else "failed_draft", why)
    if "budget" in written.attempts and parts.routes.tasks[task].at_cap == "human":
        why = "The spend cap for drafts is reached; a person answers."
        return _to_a_person(parts, lease, "budget", why)
    with parts.store.write() as connection:
        if leases.hold(connection, lease) != lease.version:
            raise LeaseLost(f"ticket {lease.ticket_id}: it changed while the draft was written")
        draft_id = _store_draft(connection, lease.ticket_id, answers.id, task, strong, written)
        reason, detail = _why_review(written, strong, ticket.decision or "")
        move(connection, lease.ticket_id, Status.IN_REVIEW, who=task, why=detail)
        open_review(connection, lease.ticket_id, reason, detail, draft_id=draft_id)
    return f"drafted by {written.choice.key}"


def _send(parts: Parts, lease: Lease) -> str:
    return parts.deliver(lease)


STEPS: dict[Status, Step] = {
    Status.RECEIVED: Step("triage", "the cheap model reads the message", triage, 3, "failed_triage"),
    Status.ROUTINE: Step("routine", "the cheap model drafts a routine reply", draft, 3, "failed_draft"),
    Status.ESCALATED: Step(
        "draft", "the strong model drafts from the whole thread", draft, 3, "failed_draft"
    ),
    Status.APPROVED: Step("send", "the approved reply is sent", _send, 8, "send_failed"),
}


@dataclass(frozen=True)
class Advanced:
    """What one `advance` did. `done` is False where the step failed and will be tried again."""

    ticket_id: int
    step: str
    what: str
    done: bool


def advance(parts: Parts, ticket_id: int) -> Advanced | None:
    """Do what the ticket is due for; None where nothing is, or another worker has it."""
    with parts.store.write() as connection:
        lease = leases.claim(connection, ticket_id, parts.owner, timedelta(seconds=parts.settings.lease_s))
    if lease is None:
        return None
    step = STEPS[lease.status]
    with structlog.contextvars.bound_contextvars(ticket=ticket_id, step=step.name):
        return _run(parts, lease, step)


def _run(parts: Parts, lease: Lease, step: Step) -> Advanced:
    def result(what: str, done: bool) -> Advanced:
        return Advanced(lease.ticket_id, step.name, what, done)

    if lease.attempt > step.max_attempts:
        _give_up(parts, lease, step)
        return result("gave up; a person decides", True)
    try:
        what = step.work(parts, lease)
    except LeaseLost:
        with parts.store.write() as connection:
            # does nothing where the step was taken away; where only the ticket changed, it is due at once
            leases.release(connection, lease)
        log.info("result dropped: the ticket moved on meanwhile")
        return result("dropped: the ticket moved on meanwhile", False)
    except Exception as error:  # the one place where a step's failure is turned into a later try
        words = _words(error)
        log.warning("step failed", attempt=lease.attempt, error=words)
        wait = RETRY_AFTER[min(lease.attempt, len(RETRY_AFTER)) - 1]
        with parts.store.write() as connection:
            leases.release(connection, lease, due_in=wait, error=words)
        return result("failed; due again later", False)
    log.info("step done", result=what)  # route, model or status: never a customer's address or words
    return result(what, True)


def _give_up(parts: Parts, lease: Lease, step: Step) -> None:
    with parts.store.write() as connection:
        leases.hold(connection, lease)
        last_error = connection.execute(
            sa.select(tickets.c.last_error).where(tickets.c.id == lease.ticket_id)
        ).scalar_one()
        why = f"{step.words[:1].upper()}{step.words[1:]}: given up after {step.max_attempts} starts."
        if last_error:
            why += f" The last error: {last_error}"
        if step.name == "triage":  # or the same messages would bring the ticket back here for ever
            connection.execute(
                messages.update()
                .where(messages.c.ticket_id == lease.ticket_id, messages.c.triaged_at.is_(None))
                .values(triaged_at=now())
            )
        if step.name == "send":
            send.give_up(connection, lease.ticket_id, why)
            return
        move(
            connection, lease.ticket_id, Status.IN_REVIEW, who=step.name, why=why, route="human", decision=why
        )
        open_review(connection, lease.ticket_id, step.gives_up_as, why)
    log.warning("step given up", attempts=step.max_attempts)


def _words(error: Exception) -> str:
    """What may be stored and logged of an error: our own words, or its type and place; never its text."""
    if isinstance(error, TriageError):
        return (
            f"{getattr(error, 'kind', type(error).__name__)}: {error}"
            if isinstance(error, ModelError)
            else str(error)
        )
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} at {Path(frame.filename).name}:{frame.lineno}"


def run_until_idle(
    parts: Parts, *, threads: int, on_step: Callable[[Advanced], None] | None = None
) -> dict[str, int]:
    """Work off everything that is due now, without a broker; returns how often each step was done.

    Tickets whose next start lies in the future (a failed step's next try, an undo window) are left.
    """
    from concurrent.futures import ThreadPoolExecutor

    done: dict[str, int] = {}
    with ThreadPoolExecutor(max_workers=threads, thread_name_prefix="step") as pool:
        while True:
            with parts.store.read() as connection:
                batch = leases.due(connection, limit=threads * 25)
            if not batch:
                return done
            progressed = False
            for outcome in pool.map(lambda ticket_id: advance(parts, ticket_id), [row[0] for row in batch]):
                if outcome is None:
                    continue
                progressed = True
                key = outcome.step if outcome.done else f"{outcome.step}_failed"
                done[key] = done.get(key, 0) + 1
                if on_step:
                    on_step(outcome)
            if not progressed:  # other workers have all of it
                return done


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


_STRANGER = "Another address than the customer's wrote into the thread."


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


_STILL = "Still unanswered: "


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
    unsure = answer.clarity == "vague" or answer.confidence < parts.routes.rule.confidence_below
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


def _look_up(parts: Parts, lease: Lease, address: str, fields: dict[str, Any]) -> dict[str, Any] | None:
    """Ask every connector about the customer, keep what each said with its time, and put it together."""
    orders = [str(value.get("normalised") or value["value"]) for value in fields.get("order_numbers", [])]
    found = parts.look_up(address, order_numbers=orders)
    with parts.store.write() as connection:
        leases.hold(connection, lease)
        for one in found:
            connection.execute(account_facts.insert().values(**one.as_row(lease.ticket_id)))
        others = other_open_tickets(connection, address, lease.ticket_id)
    facts = together(found, others)
    return {"facts": facts.lines()} if facts else None


def _store_draft(
    connection: sa.Connection, ticket_id: int, message_id: int, task: str, strong: bool, written: DraftResult
) -> int:
    return int(
        connection.execute(
            drafts.insert()
            .values(
                ticket_id=ticket_id,
                message_id=message_id,
                call_id=written.call_id,
                route="strong" if strong else "cheap",
                task=task,
                source=written.source,
                provider=written.choice.provider,
                model=written.choice.key,
                tier=written.choice.tier,
                prompt=written.prompt,
                text=written.reply,
                language=written.language,
                asks=list(written.asks),
                why=written.why,
                claims=[claim.to_json() for claim in written.claims],
                blocked=list(written.blocked),
                cost_usd=written.cost_usd,
                latency_ms=written.latency_ms,
                created_at=now(),
            )
            .returning(drafts.c.id)
        ).scalar_one()
    )


def _why_review(written: DraftResult, strong: bool, decision: str) -> tuple[str, str]:
    """The reason of the review row, and its sentence."""
    if written.source != "template":
        return "draft", f"{decision} Drafted by {written.choice.key}.".strip()
    failed = [kind for kind in written.attempts if kind not in ("ok", "no_key")]
    if "budget" in failed:
        return "budget", f"{decision} The spend cap is reached: this is a template."
    if failed:
        return "template", f"{decision} No model answered ({', '.join(failed)}): this is a template."
    words = "strong" if strong else "cheap"
    return "template", f"{decision} No {words} model has a key: this is a template.".strip()


def _to_a_person(
    parts: Parts, lease: Lease, reason: str, why: str, *, read_message: int | None = None
) -> str:
    with parts.store.write() as connection:
        leases.hold(connection, lease)
        if read_message is not None:
            connection.execute(
                messages.update().where(messages.c.id == read_message).values(triaged_at=now())
            )
        step = STEPS[lease.status].name
        move(connection, lease.ticket_id, Status.IN_REVIEW, who=step, why=why, route="human", decision=why)
        open_review(connection, lease.ticket_id, reason, why)
    return f"to a person: {reason}"
