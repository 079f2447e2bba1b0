"""The drafting steps: account look-up, then a routine or a strong draft, laid before a person."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from pipeline.accounts.lookup import other_open_tickets, together
from pipeline.db import leases
from pipeline.db.leases import Lease
from pipeline.db.moves import move
from pipeline.db.reviews import open_review
from pipeline.db.tables import account_facts, drafts, messages, tickets, triages
from pipeline.db.types import now
from pipeline.drafting.draft import DraftResult, write_draft
from pipeline.drafting.summaries import Summary, summarise
from pipeline.drafting.threads import Thread, load_thread
from pipeline.errors import AllModelsFailed, LeaseLost
from pipeline.lifecycle import Status
from pipeline.models.gateway import Context
from pipeline.routing.planning import hashed
from pipeline.steps.at_cap import agreed, question
from pipeline.steps.to_a_person import to_a_person

if TYPE_CHECKING:
    from pipeline.assembly import Parts


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
        agent_id = agreed(connection, ticket)
        fields = connection.execute(
            sa.select(triages.c.fields)
            .where(triages.c.ticket_id == lease.ticket_id)
            .order_by(triages.c.id.desc())
        ).scalar()
    if answers is None:
        return to_a_person(parts, lease, task, "human_route", "There is no customer's message to answer.")
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
        agent_id=agent_id,
        end_user=hashed(customer) if customer else None,
    )
    whose: dict[str, Any] = {
        "ticket_id": lease.ticket_id,
        "customer": customer,
        "inbox": ticket.inbox,
        "topic": ticket.topic,
        "agent_id": agent_id,
    }
    plan = parts.plan(task, **whose, confirmed=agent_id is not None)
    summariser = partial(_summary, parts, context, whose)
    written: DraftResult | None = None
    try:
        written = write_draft(
            parts.gateway, parts.prompts, plan, context, thread, strong=strong, summariser=summariser
        )
        kinds = written.attempts
    except AllModelsFailed as error:
        kinds = error.kinds
    if "budget" in kinds and (written is None or written.source == "template"):
        at_cap = parts.routes.tasks[task].at_cap
        if at_cap == "ask":
            return to_a_person(parts, lease, task, "budget", question(parts, plan, thread, strong=strong))
        if at_cap == "cheaper" and strong:
            cheaper = _by_cheap_model(parts, context, whose, thread, summariser)
            if cheaper is not None:
                written, strong = cheaper, False
        if written is None or at_cap == "human":
            why = "The spend cap for drafts is reached; a person answers."
            return to_a_person(parts, lease, task, "budget", why)
    elif written is None:
        why = f"No model could draft a reply ({', '.join(kinds)}); a person answers."
        return to_a_person(parts, lease, task, "failed_draft", why)
    with parts.store.write() as connection:
        if leases.hold(connection, lease) != lease.version:
            raise LeaseLost(f"ticket {lease.ticket_id}: it changed while the draft was written")
        draft_id = store_draft(connection, lease.ticket_id, answers.id, strong, written)
        lesser = not strong and lease.status is Status.ESCALATED
        reason, detail = _why_review(written, strong, lesser, ticket.decision or "")
        move(connection, lease.ticket_id, Status.IN_REVIEW, who=task, why=detail, confirmed_by=None)
        open_review(connection, lease.ticket_id, reason, detail, draft_id=draft_id)
    return f"drafted by {written.choice.key}"


def _by_cheap_model(
    parts: Parts,
    context: Context,
    whose: Mapping[str, Any],
    thread: Thread,
    summariser: Callable[[Thread], Summary],
) -> DraftResult | None:
    """What the cheap model drafts of a ticket whose strong draft a cap stopped; None where it cannot."""
    plan = parts.plan("routine", **whose)
    context = replace(context, task="routine", route="cheap")
    try:
        written = write_draft(
            parts.gateway, parts.prompts, plan, context, thread, strong=False, summariser=summariser
        )
    except AllModelsFailed:
        return None
    return None if written.source == "template" else written


def _summary(parts: Parts, context: Context, whose: Mapping[str, Any], thread: Thread) -> Summary:
    """The older messages of a thread that is too long, in short; as the task `summary` pays for it."""
    plan = parts.plan("summary", **whose)
    context = replace(context, task="summary", route="cheap")
    return summarise(parts.gateway, parts.prompts, plan, context, thread)


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


def store_draft(
    connection: sa.Connection,
    ticket_id: int,
    message_id: int,
    strong: bool,
    written: DraftResult,
    *,
    asked_by: int | None = None,
    refines_id: int | None = None,
) -> int:
    """Keep a draft as a row; returns its id. `asked_by` is the agent who wanted it by hand."""
    return int(
        connection.execute(
            drafts.insert()
            .values(
                ticket_id=ticket_id,
                message_id=message_id,
                call_id=written.call_id,
                route="strong" if strong else "cheap",
                task="draft" if strong else "routine",
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
                summarised=written.summary is not None,
                asked_by=asked_by,
                refines_id=refines_id,
                created_at=now(),
            )
            .returning(drafts.c.id)
        ).scalar_one()
    )


def _why_review(written: DraftResult, strong: bool, lesser: bool, decision: str) -> tuple[str, str]:
    """The reason of the review row, and its sentence. A `lesser` draft stands in for a strong one."""
    if lesser:
        return "budget", f"{decision} The spend cap is reached: drafted by {written.choice.key}.".strip()
    if written.source != "template":
        return "draft", f"{decision} Drafted by {written.choice.key}.".strip()
    failed = [kind for kind in written.attempts if kind not in ("ok", "no_key")]
    if "budget" in failed:
        return "budget", f"{decision} The spend cap is reached: this is a template."
    if failed:
        return "template", f"{decision} No model answered ({', '.join(failed)}): this is a template."
    words = "strong" if strong else "cheap"
    return "template", f"{decision} No {words} model has a key: this is a template.".strip()
