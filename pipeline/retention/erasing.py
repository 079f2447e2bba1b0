"""A person's own rows, erased one ticket or message at a time in the caller's transaction; what is counted stays."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from pipeline.db.moves import move
from pipeline.db.reviews import supersede_open
from pipeline.db.tables import (
    account_facts,
    attachments,
    blobs,
    corrections,
    drafts,
    mentions,
    messages,
    model_calls,
    moves,
    raw_messages,
    replies,
    reviews,
    second_reads,
    spend,
    tickets,
    triages,
    typed_texts,
)
from pipeline.db.types import now
from pipeline.lifecycle import Status
from pipeline.retention.columns import ERASED, GONE, LENGTH, LIST, NULL, OBJECT
from pipeline.retention.keeping import AT_REST, in_length
from pipeline.routing.planning import hashed

if TYPE_CHECKING:
    from pipeline.db.store import Store
    from pipeline.retention.forgetting import Whole

WHO = "forget"
WHY = "the customer's data is erased on request"
TYPED = "had typed, and not sent:"
"""The report counts notes with these words (`pipeline.db.reviews`)."""


def ticket(connection: sa.Connection, id: int) -> Counter[str]:
    """Erase a ticket with all that is on it; one that is open is closed first."""
    erased: Counter[str] = Counter()
    row = connection.execute(sa.select(tickets.c.status).where(tickets.c.id == id).with_for_update()).one()
    if row.status not in AT_REST:
        _close(connection, id, Status(row.status))
    for table, where in of_ticket(id):
        erased[table.name] += _erase(connection, table, where)
    _delete_files(connection, messages.c.ticket_id == id)
    connection.execute(
        tickets.update()
        .where(tickets.c.id == id)
        .values(reply_token=secrets.token_hex(16), customer_verified=False, version=tickets.c.version + 1)
    )
    # last of all: by the address the ticket is found again, should this run end before its time
    erased["tickets"] += _erase(connection, tickets, tickets.c.id == id)
    return erased


def message(connection: sa.Connection, id: int) -> Counter[str]:
    """Erase one message on another person's ticket, and what was made of it."""
    erased: Counter[str] = Counter()
    for table, where in of_message(id):
        erased[table.name] += _erase(connection, table, where)
    _delete_files(connection, messages.c.id == id)
    erased["messages"] += _erase(connection, messages, messages.c.id == id)
    return erased


def raws(connection: sa.Connection, ids: Sequence[int]) -> Counter[str]:
    """The bytes of stored mails, and the HTML of the messages that were made of them."""
    where = sa.and_(raw_messages.c.id.in_(ids), raw_messages.c.body.is_not(None))
    connection.execute(messages.update().where(messages.c.raw_id.in_(ids)).values(html=None))
    return Counter(raw_messages=_erase(connection, raw_messages, where))


def caps(connection: sa.Connection, spellings: Sequence[str]) -> Counter[str]:
    """The caps of a day for this customer, kept under a hash of the address. The sums of all stay."""
    gone = 0
    for start in sorted({f"customer:{hashed(address)}:" for address in spellings}):
        gone += int(connection.execute(spend.delete().where(spend.c.scope.like(f"{start}%"))).rowcount)
        named = sa.cast(model_calls.c.scopes, sa.Text).like(f"%{start}%")
        for call in connection.execute(sa.select(model_calls.c.id, model_calls.c.scopes).where(named)).all():
            kept = [one for one in call.scopes if not one.startswith(start)]
            connection.execute(model_calls.update().where(model_calls.c.id == call.id).values(scopes=kept))
    return +Counter(spend=gone)


def count(store: Store, whole: Whole) -> Counter[str]:
    """The rows that `ticket` and `message` would erase."""
    found: Counter[str] = Counter()
    with store.read() as connection:
        parts = [pair for id in whole.tickets for pair in [*of_ticket(id), (tickets, tickets.c.id == id)]]
        parts += [
            pair for id in whole.messages for pair in [*of_message(id), (messages, messages.c.id == id)]
        ]
        for table, where in parts:
            query = sa.select(sa.func.count()).select_from(table).where(where)
            found[table.name] += connection.execute(query).scalar_one()
    found["raw_messages"] = max(found["raw_messages"], len(whole.raws))
    return +found


def of_ticket(id: int) -> list[tuple[sa.Table, sa.ColumnElement[bool]]]:
    """The rows that hang on a ticket, without its own."""
    rows = sa.select(reviews.c.id).where(reviews.c.ticket_id == id)
    mails = sa.select(messages.c.id).where(messages.c.ticket_id == id)
    came = sa.select(messages.c.raw_id).where(messages.c.ticket_id == id, messages.c.raw_id.is_not(None))
    return [
        (raw_messages, raw_messages.c.id.in_(came)),
        (attachments, attachments.c.message_id.in_(mails)),
        (typed_texts, typed_texts.c.review_id.in_(rows)),
        *(
            (table, table.c.ticket_id == id)
            for table in (
                model_calls, triages, corrections, account_facts, drafts, reviews, replies, mentions, second_reads,
                moves, messages,
            )
        ),
    ]  # fmt: skip


def of_message(id: int) -> list[tuple[sa.Table, sa.ColumnElement[bool]]]:
    """The rows that were made of a message, without its own."""
    drafted = sa.select(drafts.c.id).where(drafts.c.message_id == id)
    answered = sa.select(replies.c.review_id).where(replies.c.answers_id == id)
    judged = sa.or_(reviews.c.draft_id.in_(drafted), reviews.c.id.in_(answered))
    rows = sa.select(reviews.c.id).where(judged)
    sent = sa.select(replies.c.message_id).where(replies.c.answers_id == id)
    return [
        (raw_messages, raw_messages.c.id.in_(sa.select(messages.c.raw_id).where(messages.c.id == id))),
        (attachments, attachments.c.message_id == id),
        (typed_texts, typed_texts.c.review_id.in_(rows)),
        (second_reads, second_reads.c.review_id.in_(rows)),
        (model_calls, model_calls.c.message_id == id),
        (corrections, corrections.c.triage_id.in_(sa.select(triages.c.id).where(triages.c.message_id == id))),
        (triages, triages.c.message_id == id),
        (messages, sa.and_(messages.c.direction == "outbound", messages.c.message_id.in_(sent))),
        (reviews, judged),
        (drafts, drafts.c.message_id == id),
        (replies, replies.c.answers_id == id),
    ]


def _close(connection: sa.Connection, id: int, status: Status) -> None:
    """Nothing is sent to, or thought about, this person any more: a worker's lease ends with the move."""
    waits = replies.c.state.in_(("waiting", "uncertain"))
    connection.execute(replies.update().where(replies.c.ticket_id == id, waits).values(state="withdrawn"))
    supersede_open(connection, id, WHY)
    unread = (messages.c.ticket_id == id, messages.c.triaged_at.is_(None), messages.c.direction == "inbound")
    connection.execute(messages.update().where(*unread).values(triaged_at=now()))
    if status is Status.APPROVED:
        move(connection, id, Status.IN_REVIEW, who=WHO, why=WHY)
    move(connection, id, Status.CLOSED, who=WHO, why=WHY)


def _delete_files(connection: sa.Connection, where: sa.ColumnElement[bool]) -> None:
    """The bytes of erased attachments that nobody else's message has too."""
    erased = (
        sa.select(attachments.c.sha256).join(messages, messages.c.id == attachments.c.message_id).where(where)
    )
    others = sa.exists().where(attachments.c.sha256 == blobs.c.sha256, attachments.c.filename != GONE)
    hashes = list(connection.execute(erased.distinct()).scalars())
    # whoever takes in a mail with the same file holds it; the next statement then sees that mail
    connection.execute(sa.select(blobs.c.sha256).where(blobs.c.sha256.in_(hashes)).with_for_update())
    connection.execute(blobs.delete().where(blobs.c.sha256.in_(hashes), ~others))


def _erase(connection: sa.Connection, table: sa.Table, where: sa.ColumnElement[bool]) -> int:
    if table is corrections:  # the others are words of closed lists, and counted by them
        where = sa.and_(where, corrections.c.field == "fields")
    values = {
        name: _value(table.c[name], how, connection.dialect.name) for name, how in ERASED[table.name].items()
    }
    if table is reviews:
        kept = sa.case(
            (reviews.c.note.is_(None), sa.null()),
            (reviews.c.note.contains(TYPED, autoescape=True), f"{TYPED} {GONE}"),
            else_=GONE,
        )
        values["note"] = kept
    if table is replies:  # an answer to it must not find the old ticket
        values["message_id"] = sa.literal("erased-") + sa.cast(replies.c.id, sa.Text)
    return int(connection.execute(table.update().where(where).values(**values)).rowcount)


def _value(column: sa.Column[Any], how: str, dialect: str) -> Any:
    if how == NULL:
        return sa.null()
    if how == LIST:
        return []
    if how == OBJECT:
        return {}
    if how == LENGTH:
        return in_length(column, dialect)
    if isinstance(column.type, sa.JSON) or column.table is attachments:
        return GONE
    return sa.case((sa.func.length(column) > 0, GONE), else_=column)
