"""Cases from the team's own reviewed tickets: what agents put right, let stand, and sent."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from pipeline.assembly import Parts
from pipeline.db.tables import (
    account_facts,
    corrections,
    drafts,
    messages,
    replies,
    reviews,
    tickets,
    triages,
)
from pipeline.drafting.threads import Thread, load_thread
from pipeline.errors import InputError, NotFoundError
from pipeline.evaluation.draft_cases import SentCase, SentMessage
from pipeline.evaluation.triage_cases import Expected, TriageCase
from pipeline.triage.schema import FIELD_KINDS

MAX_CASES = 1_000
"""The newest so many are taken."""


@dataclass(frozen=True)
class Gathered:
    """The cases as rows of a run, their data classes, and how many were left out for what reason."""

    rows: list[dict[str, Any]]
    data: tuple[str, ...]
    left_out: dict[str, int]


def gather(parts: Parts, task: str, since: datetime, hidden: Collection[str]) -> Gathered:
    """The cases of triage, routine or draft among tickets reviewed since then.

    `hidden` are the data classes that one of the models may not see: tickets of those are left out. Raises
    `InputError` where no ticket was reviewed.
    """
    left_out: dict[str, int] = {}
    found: list[dict[str, Any]] = []
    classes: set[str] = set()
    with parts.store.read() as connection:
        rows = _read_messages(connection, since) if task == "triage" else _sent(connection, task, since)
        for row in rows:
            why, case = _case(parts, connection, task, row, hidden)
            if case is not None:
                found.append(case)
                classes.add(
                    parts.data_class(topic=row.ticket_topic, inbox=row.inbox, ticket_id=row.ticket_id)
                )
            else:
                left_out[why] = left_out.get(why, 0) + 1
    if not found:
        beside = "".join(f"; left out: {number} ({why})" for why, number in left_out.items())
        what = "message was corrected or answered" if task == "triage" else f"{task} draft was sent"
        raise InputError(
            f"there are no reviewed tickets for {task}: no {what} since {since:%Y-%m-%d}{beside}; "
            "review some, look further back with --since, or leave --tickets out"
        )
    return Gathered(found, tuple(sorted(classes)), left_out)


def _case(
    parts: Parts, connection: sa.Connection, task: str, row: sa.Row[Any], hidden: Collection[str]
) -> tuple[str, dict[str, Any] | None]:
    """Why it is left out, or the case."""
    data = parts.data_class(topic=row.ticket_topic, inbox=row.inbox, ticket_id=row.ticket_id)
    if data in hidden:
        return f"{data}: a model may not see it", None
    if task == "triage":
        reading = _reading(connection, row)
        if reading is None:
            return "the ticket's topic is another message's", None
        if reading.expect.topic not in parts.routes.topics:
            return "its topic is no longer in routes.toml", None
        return "", reading.model_dump(mode="json", exclude_unset=True)
    thread = load_thread(connection, row.ticket_id, None, parts.sender_name(row.inbox))
    if thread.stranger is not None:
        return "a stranger wrote into the thread", None
    return "", _sent_case(connection, row, thread).model_dump(mode="json")


def _read_messages(connection: sa.Connection, since: datetime) -> Sequence[Any]:
    """Readings that an agent corrected, or whose reply went out with the tags as they were."""
    corrected = sa.exists().where(
        corrections.c.triage_id == triages.c.id, corrections.c.by_kind == "agent", corrections.c.at >= since
    )
    answered = sa.exists().where(
        replies.c.answers_id == triages.c.message_id, replies.c.state == "sent", replies.c.sent_at >= since
    )
    return connection.execute(
        _readings().where(sa.or_(corrected, answered)).order_by(triages.c.id.desc()).limit(MAX_CASES)
    ).all()


def _readings() -> sa.Select[Any]:
    return (
        sa.select(
            triages,
            messages.c.subject,
            messages.c.new_text,
            messages.c.text,
            messages.c.sent_at,
            messages.c.received_at,
            messages.c.from_name,
            tickets.c.inbox,
            tickets.c.customer_name,
            tickets.c.topic.label("ticket_topic"),
        )
        .join(messages, messages.c.id == triages.c.message_id)
        .join(tickets, tickets.c.id == triages.c.ticket_id)
    )


def case_of_message(connection: sa.Connection, message_id: int) -> TriageCase | None:
    """The message as it was read, with what agents put right in it; None where nobody vouches for its topic.

    Raises `NotFoundError` for one that no model has read.
    """
    row = connection.execute(
        _readings().where(triages.c.message_id == message_id).order_by(triages.c.id.desc()).limit(1)
    ).one_or_none()
    if row is None:
        raise NotFoundError(f"there is no reading of message {message_id}")
    return _reading(connection, row)


def _reading(connection: sa.Connection, row: sa.Row[Any]) -> TriageCase | None:
    """The reading with what agents put right in it."""
    right: dict[str, Any] = {
        name: getattr(row, name) for name in ("topic", "language", "urgency", "emotion", "clarity")
    }
    changed = connection.execute(
        sa.select(corrections.c.field, corrections.c.new)
        .where(corrections.c.triage_id == row.id, corrections.c.by_kind == "agent")
        .order_by(corrections.c.id)
    ).all()
    for field, new in changed:
        if field == "fields":  # only an agent who went over them vouches for all of them
            right |= {kind: [value_of(item) for item in new.get(kind) or []] for kind in FIELD_KINDS}
        else:
            right[field] = new
    if right["topic"] != row.ticket_topic and not any(field == "topic" for field, _ in changed):
        return None  # what the agent saw and let stand was the ticket's, not this message's
    return TriageCase(
        id=f"message-{row.message_id}",
        subject=row.subject or None,
        body=row.new_text or row.text,
        expect=Expected(**right),
        received=min(row.sent_at or row.received_at, row.received_at),
        known_names=[name for name in (row.customer_name, row.from_name) if name],
    )


def _sent(connection: sa.Connection, task: str, since: datetime) -> Sequence[Any]:
    """Drafts of the task that were judged, with the reply that went out."""
    return connection.execute(
        sa.select(
            drafts.c.id,
            drafts.c.ticket_id,
            drafts.c.message_id,
            drafts.c.language,
            drafts.c.created_at,
            replies.c.text.label("sent"),
            messages.c.received_at,
            tickets.c.inbox,
            tickets.c.topic.label("ticket_topic"),
        )
        .join(reviews, reviews.c.draft_id == drafts.c.id)
        .join(replies, replies.c.review_id == reviews.c.id)
        .join(messages, messages.c.id == drafts.c.message_id)
        .join(tickets, tickets.c.id == drafts.c.ticket_id)
        .where(drafts.c.task == task, replies.c.state == "sent", replies.c.sent_at >= since)
        .order_by(drafts.c.id.desc())
        .limit(MAX_CASES)
    ).all()


def _sent_case(connection: sa.Connection, row: sa.Row[Any], thread: Thread) -> SentCase:
    """The thread as it stood when the draft was written; what came or was learned later is taken out."""
    then = as_it_stood(connection, row, thread)
    return SentCase(
        id=f"draft-{row.id}",
        messages=[SentMessage(role=m.role, text=m.text, created=m.created) for m in then.messages],
        subject=then.subject,
        topic=then.topic,
        language=then.language,
        fields=dict(then.fields),
        emotion=then.emotion,
        customer_name=then.customer_name,
        customer_address=then.customer_address,
        sender_name=then.sender_name,
        account=dict(then.account) if then.account else None,
        reasons=list(then.reasons),
        sent=row.sent,
    )


def as_it_stood(connection: sa.Connection, row: Any, thread: Thread) -> Thread:
    """The thread of a draft's ticket as it was for the draft: what came or was learned later is taken out.

    `row` has the draft's `ticket_id`, `message_id` and `created_at`, and the `received_at` of its message.
    """
    known = connection.execute(
        sa.select(account_facts.c.facts)
        .where(account_facts.c.ticket_id == row.ticket_id, account_facts.c.fetched_at <= row.created_at)
        .order_by(account_facts.c.fetched_at.desc(), account_facts.c.id.desc())
        .limit(1)
    ).scalar_one_or_none()
    reasons = connection.execute(
        sa.select(triages.c.reasons).where(triages.c.message_id == row.message_id)
    ).scalar_one_or_none()
    then = replace(
        thread,
        messages=tuple(m for m in thread.messages if m.created and m.created <= row.received_at),
        account=known or None,
        reasons=tuple(reasons or ()),
    )
    written = then.text_by("customer")
    fields = {
        name: [item for item in items if value_of(item) in written] for name, items in thread.fields.items()
    }
    return replace(then, fields={name: items for name, items in fields.items() if items})


def value_of(item: object) -> str:
    """A field's value as it stands in the text."""
    return str(item.get("value")) if isinstance(item, Mapping) else str(item)
