"""Opening and superseding rows of the human-review table; what people do with them is `pipeline.review`."""

from __future__ import annotations

import sqlalchemy as sa

from pipeline.db.tables import agents, drafts, reviews, tickets, typed_texts
from pipeline.db.types import now

REASONS: dict[str, str] = {
    "draft": "a draft by a model waits to be judged",
    "template": "a reply from the templates waits to be judged: no strong model was at hand",
    "failed_triage": "the message could not be read by any model",
    "failed_draft": "no model could write a draft",
    "budget": "a spending cap was reached",
    "gave_up": "a step was begun several times and never ended",
    "send_failed": "the reply could not be sent",
    "send_uncertain": "the reply may or may not have been taken on the other side",
    "bounce": "our reply came back",
    "loop_cap": "too many messages in a short time: it may be two machines talking",
    "human_route": "an answer is due, and a person writes it",
}
"""Why a row stands in the review table: the code, and what people read."""

_FOR_THE_QUEUE = sa.select(
    (3 - tickets.c.urgency_rank).label("urgency_order"),
    *(tickets.c[name] for name in ("inbox", "topic", "language", "route", "team", "assignee_id")),
).where(tickets.c.id == sa.bindparam("ticket"))


def open_review(
    connection: sa.Connection, ticket_id: int, reason: str, detail: str, draft_id: int | None = None
) -> int:
    """Open the ticket's one review; one that is open already is superseded. Returns its id.

    `reason` is a key of `REASONS`, `detail` one plain sentence.
    """
    if reason not in REASONS:
        raise ValueError(f"{reason} is not a reason of REASONS")
    supersede_open(connection, ticket_id, f"replaced: {REASONS[reason]}", keep_draft=draft_id)
    ticket = connection.execute(_FOR_THE_QUEUE, {"ticket": ticket_id}).mappings().one()
    row = connection.execute(
        reviews.insert()
        .values(
            ticket_id=ticket_id,
            draft_id=draft_id,
            reason=reason,
            detail=detail,
            state="open",
            opened_at=now(),
            **ticket,
        )
        .returning(reviews.c.id)
    )
    review_id = int(row.scalar_one())
    _typed_becomes_a_note(connection, ticket_id, review_id)
    return review_id


_TYPED = (
    sa.select(typed_texts, agents.c.name, agents.c.email)
    .join(reviews, reviews.c.id == typed_texts.c.review_id)
    .join(agents, agents.c.id == typed_texts.c.agent_id)
    .where(reviews.c.ticket_id == sa.bindparam("ticket"), reviews.c.id != sa.bindparam("review"))
    .order_by(typed_texts.c.saved_at)
)


def _typed_becomes_a_note(connection: sa.Connection, ticket_id: int, review_id: int) -> None:
    """What people had typed on the ticket's earlier rows and not sent is not lost: it stands on the new one."""
    found = connection.execute(_TYPED, {"ticket": ticket_id, "review": review_id}).all()
    if not found:
        return
    lines = [
        f"{row.saved_at:%Y-%m-%d %H:%M} UTC, {row.name or row.email} had typed, and not sent:\n{row.text}"
        for row in found
    ]
    connection.execute(reviews.update().where(reviews.c.id == review_id).values(note="\n".join(lines)))
    connection.execute(
        typed_texts.delete().where(typed_texts.c.review_id.in_({row.review_id for row in found}))
    )


def supersede_open(
    connection: sa.Connection, ticket_id: int, why: str, *, keep_draft: int | None = None
) -> int | None:
    """End the ticket's open review undecided, and its drafts with it; returns the review's id, if any.

    A draft that nobody judged counts as `expired`; a failure row has no outcome. `why` is kept as its note,
    unless somebody wrote one. `keep_draft` is a new draft that stays good.
    """
    at = now()
    row = connection.execute(
        reviews.update()
        .where(reviews.c.ticket_id == ticket_id, reviews.c.state == "open")
        .values(
            state="superseded",
            claimed_by=None,
            claimed_until=None,
            note=sa.func.coalesce(reviews.c.note, why),
            outcome=sa.case((reviews.c.draft_id.is_not(None), "expired"), else_=None),
        )
        .returning(reviews.c.id)
    ).one_or_none()
    judged = sa.select(reviews.c.draft_id).where(
        reviews.c.ticket_id == ticket_id, reviews.c.state == "decided", reviews.c.draft_id.is_not(None)
    )
    connection.execute(
        drafts.update()
        .where(
            drafts.c.ticket_id == ticket_id,
            drafts.c.superseded_at.is_(None),
            drafts.c.id.not_in(judged),
            drafts.c.id != (keep_draft or 0),
        )
        .values(superseded_at=at)
    )
    return int(row.id) if row is not None else None
