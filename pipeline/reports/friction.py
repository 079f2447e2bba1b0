"""What made work beside the judging: drafts asked for again, second tries, tickets that came back angrier.

A draft that gave way to one that somebody asked for is on no review any more: nobody judged it, so it is in no
rewrite rate; it is counted here (`given_up`), in the week in which it gave way.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

import sqlalchemy as sa

from pipeline.db.tables import (
    comparisons,
    drafts,
    messages,
    model_calls,
    moves,
    replies,
    reviews,
    triages,
    typed_texts,
)
from pipeline.reports.queries import within
from pipeline.reports.rates import percentile
from pipeline.reports.spending import made_in

REOPENED_WITHIN = timedelta(days=7)
ANGER = ("calm", "worried", "frustrated", "angry")
"""From calm to angry, as the readings word it."""
SECOND_TRIES = ("retry", "repair", "backup", "safe_default")
HAD_TYPED = "had typed, and not sent:"
"""How `pipeline.db.reviews` and `pipeline.review.preferences` begin the note that an unsent edit becomes."""

Asked = Literal["regenerated", "refined", "compared"]


@dataclass(frozen=True)
class Friction:
    """Counts of the week. `look` seconds are from a row's first opening on the page to its decision.

    `regenerated`, `refined`: drafts written anew or polished because somebody asked; `compared`: pairs written
    side by side; `given_up`: drafts that gave way to another unjudged; `retries`: calls that were not a task's
    first, by role. `reopened`: replies whose customer wrote again within 7 days, so that an answered or closed
    ticket was to be read again; `complaints`: those of them in which they were angrier than before;
    `abandoned`: rows opened in the week on which an edit was typed and never sent.
    """

    regenerated: int
    refined: int
    compared: int
    given_up: int
    retries: tuple[tuple[str, int], ...]
    look_p50_s: float | None
    look_p95_s: float | None
    reopened: int
    complaints: int
    abandoned: int


@dataclass(frozen=True)
class Reopening:
    """A ticket that came back: the reply after which it did, and that reply's route if any."""

    reply_id: int
    route: str | None
    angrier: bool


def friction(
    connection: sa.Connection,
    start: datetime,
    end: datetime,
    looks: Counter[float],
    reopenings: list[Reopening],
) -> Friction:
    """`looks` are the week's seconds from opening to decision, `reopenings` those of `reopened`."""
    asked = asked_for(connection, start, end)
    roles = connection.execute(
        sa.select(model_calls.c.role, sa.func.count())
        .where(second_tries(start, end))
        .group_by(model_calls.c.role)
    )
    found = {row[0]: int(row[1]) for row in roles}
    return Friction(
        regenerated=len(asked["regenerated"]),
        refined=len(asked["refined"]),
        compared=len(asked["compared"]),
        given_up=len(given_up(connection, start, end)),
        retries=tuple((role, found[role]) for role in SECOND_TRIES if role in found),
        look_p50_s=percentile(looks.items(), 0.50),
        look_p95_s=percentile(looks.items(), 0.95),
        reopened=len(reopenings),
        complaints=sum(each.angrier for each in reopenings),
        abandoned=len(abandoned(connection, start, end)),
    )


def asked_for(connection: sa.Connection, start: datetime, end: datetime) -> dict[Asked, list[int]]:
    """Ids of the drafts of the week that somebody asked for; of two side by side, the left one."""
    query = (
        sa.select(drafts.c.id, drafts.c.refines_id, comparisons.c.left_id)
        .outerjoin(
            comparisons,
            sa.and_(
                comparisons.c.ticket_id == drafts.c.ticket_id,
                sa.or_(comparisons.c.left_id == drafts.c.id, comparisons.c.right_id == drafts.c.id),
            ),
        )
        .where(within(drafts.c.created_at, start, end), drafts.c.asked_by.is_not(None))
    )
    found: dict[Asked, list[int]] = {"regenerated": [], "refined": [], "compared": []}
    for draft_id, refines, left in sorted(connection.execute(query), key=lambda row: row.id):
        if left is not None:
            if left == draft_id:
                found["compared"].append(draft_id)
        else:
            found["regenerated" if refines is None else "refined"].append(draft_id)
    return found


def given_up(connection: sa.Connection, start: datetime, end: datetime) -> list[int]:
    """Ids of the drafts that gave way in the week and are on no review."""
    query = (
        sa.select(drafts.c.id)
        .outerjoin(reviews, reviews.c.draft_id == drafts.c.id)
        .where(within(drafts.c.superseded_at, start, end), reviews.c.id.is_(None))
    )
    return sorted(connection.execute(query).scalars())


def second_tries(start: datetime, end: datetime) -> sa.ColumnElement[bool]:
    return sa.and_(made_in(start, end), model_calls.c.role.in_(SECOND_TRIES))


def abandoned(connection: sa.Connection, start: datetime, end: datetime) -> list[int]:
    """Ids of the rows opened in the week that are done with while an edit of them still waits, or that carry,
    as a note, what was typed on the row before."""
    waits = sa.exists().where(typed_texts.c.review_id == reviews.c.id)
    query = sa.select(reviews.c.id).where(
        within(reviews.c.opened_at, start, end),
        sa.or_(
            reviews.c.note.contains(HAD_TYPED, autoescape=True), sa.and_(reviews.c.state != "open", waits)
        ),
    )
    return sorted(connection.execute(query).scalars())


def reopened(connection: sa.Connection, start: datetime, end: datetime) -> list[Reopening]:
    """The replies after which a ticket came back in the week, each once.

    A reply counts where a person's message came in at most 7 days after it was sent, it was the last reply
    sent before that message, and the ticket then went from answered or closed back to received. Angrier
    compares the reading of that message with the reading of the message that the reply answered.
    """
    query = (
        sa.select(
            replies.c.id,
            replies.c.sent_at,
            replies.c.answers_id,
            # who answers without the draft does not send a routine reply
            sa.case((reviews.c.action != "replace", drafts.c.route)).label("route"),
            messages.c.id.label("message_id"),
            messages.c.received_at,
            moves.c.id.label("move_id"),
        )
        .select_from(moves)
        .join(
            messages,
            sa.and_(
                messages.c.ticket_id == moves.c.ticket_id,
                messages.c.direction == "inbound",
                messages.c.kind == "person",
                messages.c.received_at <= moves.c.at,
            ),
        )
        .join(
            replies,
            sa.and_(
                replies.c.ticket_id == moves.c.ticket_id,
                replies.c.sent_at < messages.c.received_at,  # null unless it was sent
            ),
        )
        .join(reviews, reviews.c.id == replies.c.review_id)
        .outerjoin(drafts, drafts.c.id == reviews.c.draft_id)
        .where(
            within(moves.c.at, start, end),
            moves.c.to_status == "received",
            moves.c.from_status.in_(("answered", "closed")),
        )
        .order_by(moves.c.id, messages.c.id.desc(), replies.c.id.desc())
    )
    newest: dict[int, Any] = {}
    for row in connection.execute(query):
        newest.setdefault(row.move_id, row)  # the move's own message, and the last reply before it
    found = {
        row.id: row for row in reversed(newest.values()) if row.received_at - row.sent_at <= REOPENED_WITHIN
    }
    emotions = _emotions(
        connection, [id for row in found.values() for id in (row.answers_id, row.message_id)]
    )
    return [
        Reopening(
            reply_id=row.id,
            route=row.route,
            angrier=_angrier(emotions.get(row.answers_id), emotions.get(row.message_id)),
        )
        for _id, row in sorted(found.items())
    ]


def _emotions(connection: sa.Connection, message_ids: list[int]) -> dict[int, str]:
    found: dict[int, str] = {}
    for n in range(0, len(message_ids), 500):
        query = sa.select(triages.c.message_id, triages.c.emotion).where(
            triages.c.message_id.in_(message_ids[n : n + 500])
        )
        found |= {row.message_id: row.emotion for row in connection.execute(query)}
    return found


def _angrier(before: str | None, after: str | None) -> bool:
    """Whether the second reading is angrier; a message that was not read is not."""
    return before in ANGER and after in ANGER and ANGER.index(after) > ANGER.index(before)
