"""Everything about one ticket that a person judges it by, read in one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from pipeline.db.store import Store
from pipeline.db.tables import (
    account_facts,
    agents,
    attachments,
    blobs,
    corrections,
    drafts,
    messages,
    model_calls,
    moves,
    replies,
    reviews,
    tickets,
    triages,
)
from pipeline.db.types import now
from pipeline.errors import NotFoundError
from pipeline.lifecycle import Status
from pipeline.review import marks, preferences, sight, spam
from pipeline.review.agents import Agent
from pipeline.review.replying import answer_address

Values = Mapping[str, Any]
MESSAGES_SHOWN = 200
"""A longer thread shows its newest messages; `messages_left_out` says how many are not."""


@dataclass(frozen=True)
class TicketView:
    """Rows by column name. `review` is the open one or else the last; `draft` is the one it is about.

    `messages` carry their `attachments`; `triage` is the last one, with corrections applied in
    `clarity` and `fields`; `fields` are those of the whole thread; `facts` are the last look-up's of
    each connector; `prior_reply` is the last reply that did not go out, with the mail server's words.
    `calls` and `drafts` carry the address of who asked for them by hand, `asked_by_email`; `spam_before` is
    another ticket of this sender that somebody marked as spam. While `compared`, two drafts side by side,
    waits for a choice, neither `drafts` nor `calls` tell which model wrote which of them.
    """

    ticket: Values
    messages: tuple[Values, ...]
    messages_left_out: int
    triage: Values | None
    fields: Mapping[str, list[Any]]
    corrections: tuple[Values, ...]
    facts: tuple[Values, ...]
    review: Values | None
    reviews: tuple[Values, ...]
    draft: Values | None
    drafts: tuple[Values, ...]
    replies: tuple[Values, ...]
    moves: tuple[Values, ...]
    calls: tuple[Values, ...]
    spam_before: int | None = None
    compared: int | None = None

    @property
    def prior_reply(self) -> Values | None:
        unsent = ["failed", "waiting"]
        if self.ticket["status"] == Status.SEND_UNCERTAIN:
            unsent.append(
                "uncertain"
            )  # later it is no text to begin an answer with: the customer may have it
        waiting = [reply for reply in self.replies if reply["state"] in unsent]
        return waiting[-1] if waiting else None

    def answers_to(self, own_addresses: Iterable[str] = ()) -> str | None:
        """Where an answer to the message that is to be answered would go; None if nowhere."""
        inbound = [message for message in self.messages if message["direction"] == "inbound"]
        wanted = self.draft["message_id"] if self.draft else None
        found = [message for message in inbound if message["id"] == wanted]
        found = found or [message for message in inbound if message["kind"] == "person"] or inbound
        if not found:
            return None
        return answer_address(found[-1]["reply_to"], found[-1]["from_address"], own_addresses)

    @property
    def unsupported(self) -> list[str]:
        """The draft's claims that nothing in thread, account facts or policy supports."""
        return [words for words, _kind in marks.unsupported(self.draft["claims"])] if self.draft else []


@dataclass(frozen=True)
class Attachment:
    """An attachment's bytes, for a download."""

    filename: str
    data: bytes


def view(store: Store, ticket_id: int) -> TicketView:
    """The ticket with all that hangs on it; raises `NotFoundError`."""
    with store.read() as connection:
        return _view(connection, ticket_id)


def ticket_of(store: Store, review_id: int) -> int:
    """The ticket that a row of the review table is about; raises `NotFoundError`."""
    with store.read() as connection:
        found = connection.execute(sa.select(reviews.c.ticket_id).where(reviews.c.id == review_id)).scalar()
    if found is None:
        raise NotFoundError(f"there is no review {review_id}")
    return int(found)


def standing(store: Store, agent: Agent, ticket_id: int) -> tuple[int, str] | None:
    """(a ticket's version, its status); None where there is none that the agent may see."""
    with store.read() as connection:
        found = sa.select(tickets.c.version, tickets.c.status).where(
            tickets.c.id == ticket_id, sight.within(sight.inboxes_of(connection, agent.id))
        )
        row = connection.execute(found).one_or_none()
    return None if row is None else (int(row.version), str(row.status))


def since(store: Store, ticket_id: int, version: int) -> tuple[int, tuple[Values, ...]]:
    """(the ticket's version now, its moves after that version): what whoever saw it then has missed."""
    with store.read() as connection:
        at = connection.execute(sa.select(tickets.c.version).where(tickets.c.id == ticket_id)).scalar()
        if at is None:
            raise NotFoundError(f"there is no ticket {ticket_id}")
        later = (
            sa.select(moves)
            .where(moves.c.ticket_id == ticket_id, moves.c.version > version)
            .order_by(moves.c.id)
        )
        return int(at), tuple(dict(row) for row in connection.execute(later).mappings())


def attachment(store: Store, attachment_id: int) -> Attachment:
    """The bytes of an attachment; raises `NotFoundError`, also where retention removed them."""
    with store.read() as connection:
        row = connection.execute(
            sa.select(attachments.c.filename, blobs.c.data)
            .join(blobs, blobs.c.sha256 == attachments.c.sha256)
            .where(attachments.c.id == attachment_id)
        ).one_or_none()
    if row is None:
        raise NotFoundError(f"there is no attachment {attachment_id}")
    return Attachment(row.filename, bytes(row.data))


def _view(connection: sa.Connection, ticket_id: int) -> TicketView:
    def rows(query: sa.Select[Any]) -> tuple[Values, ...]:
        return tuple(dict(row) for row in connection.execute(query).mappings())

    found = rows(
        sa.select(tickets, agents.c.email.label("assignee_email"))
        .outerjoin(agents, agents.c.id == tickets.c.assignee_id)
        .where(tickets.c.id == ticket_id)
    )
    if not found:
        raise NotFoundError(f"there is no ticket {ticket_id}")
    decider = agents.alias("decider")
    all_reviews = rows(
        sa.select(
            reviews, agents.c.email.label("claimed_by_email"), decider.c.email.label("decided_by_email")
        )
        .outerjoin(agents, agents.c.id == reviews.c.claimed_by)
        .outerjoin(decider, decider.c.id == reviews.c.decided_by)
        .where(reviews.c.ticket_id == ticket_id)
        .order_by(reviews.c.id)
    )
    all_reviews = tuple(_taken(row) for row in all_reviews)
    review = next((row for row in all_reviews if row["state"] == "open"), None)
    review = review or (all_reviews[-1] if all_reviews else None)
    all_drafts = rows(
        sa.select(drafts, agents.c.email.label("asked_by_email"))
        .outerjoin(agents, agents.c.id == drafts.c.asked_by)
        .where(drafts.c.ticket_id == ticket_id)
        .order_by(drafts.c.id)
    )
    draft = None
    if review is not None and review["draft_id"] is not None:
        draft = next(row for row in all_drafts if row["id"] == review["draft_id"])
    all_corrections = rows(
        sa.select(corrections).where(corrections.c.ticket_id == ticket_id).order_by(corrections.c.id)
    )
    thread, left_out = _thread(connection, ticket_id)
    newest_first = rows(
        sa.select(triages)
        .where(triages.c.ticket_id == ticket_id)
        .order_by(triages.c.id.desc())
        .limit(MESSAGES_SHOWN)
    )
    newest_first = tuple(_corrected(triage, all_corrections) for triage in newest_first)
    all_calls = rows(
        sa.select(model_calls, agents.c.email.label("asked_by_email"))
        .outerjoin(agents, agents.c.id == model_calls.c.agent_id)
        .where(model_calls.c.ticket_id == ticket_id)
        .order_by(model_calls.c.id)
    )
    blind = preferences.blind(connection, found[0])
    if blind is not None:
        all_drafts, all_calls = blind.hide(all_drafts, all_calls)
    return TicketView(
        ticket=found[0],
        messages=thread,
        messages_left_out=left_out,
        triage=newest_first[0] if newest_first else None,
        fields=_fields(newest_first),
        corrections=all_corrections,
        facts=_last_of_each(
            rows(
                sa.select(account_facts)
                .where(account_facts.c.ticket_id == ticket_id)
                .order_by(account_facts.c.id)
            )
        ),
        review=review,
        reviews=all_reviews,
        draft=draft,
        drafts=all_drafts,
        replies=rows(sa.select(replies).where(replies.c.ticket_id == ticket_id).order_by(replies.c.id)),
        moves=rows(sa.select(moves).where(moves.c.ticket_id == ticket_id).order_by(moves.c.id)),
        calls=all_calls,
        compared=blind.id if blind else None,
        spam_before=spam.marked_before(connection, ticket_id, found[0]["customer_address"]),
    )


def _taken(review: Values) -> Values:
    """A row as it is now: what somebody took is free once their time is over."""
    if review["state"] != "open" or review["claimed_until"] is None or review["claimed_until"] > now():
        return review
    return {**review, "claimed_by": None, "claimed_by_email": None, "claimed_until": None}


def _thread(connection: sa.Connection, ticket_id: int) -> tuple[tuple[Values, ...], int]:
    of_ticket = messages.c.ticket_id == ticket_id
    newest = (
        connection.execute(
            sa.select(messages).where(of_ticket).order_by(messages.c.id.desc()).limit(MESSAGES_SHOWN)
        )
        .mappings()
        .all()
    )
    total = connection.execute(sa.select(sa.func.count()).select_from(messages).where(of_ticket)).scalar_one()
    files: dict[int, list[Values]] = {}
    for row in connection.execute(
        sa.select(attachments)
        .where(attachments.c.message_id.in_([message["id"] for message in newest]))
        .order_by(attachments.c.id)
    ).mappings():
        files.setdefault(row["message_id"], []).append(dict(row))
    thread = tuple(dict(message) | {"attachments": files.get(message["id"], [])} for message in newest[::-1])
    return thread, int(total) - len(thread)


def _fields(newest_first: Sequence[Values]) -> dict[str, list[Any]]:
    """The extracted fields of a thread, each value once, in the order of the messages."""
    found: dict[str, list[Any]] = {}
    for triage in reversed(newest_first):
        for name, values in (triage["fields"] or {}).items():
            kept = found.setdefault(name, [])
            kept += [value for value in values or [] if value not in kept]
    return {name: values for name, values in found.items() if values}


def _corrected(triage: Values, corrected: tuple[Values, ...]) -> Values:
    """A reading with what people put right in it, the last word on each field."""
    right = {
        row["field"]: row["new"]
        for row in corrected
        if row["triage_id"] == triage["id"] and row["field"] in triage
    }
    return {**triage, **right}


def _last_of_each(found: tuple[Values, ...]) -> tuple[Values, ...]:
    return tuple({row["connector"]: row for row in found}.values())
