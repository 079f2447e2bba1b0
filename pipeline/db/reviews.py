"""Opening and superseding rows of the human-review table; what people do with them is `pipeline.review`."""

from __future__ import annotations

import sqlalchemy as sa

from pipeline.db.tables import drafts, reviews, tickets
from pipeline.db.types import now

REASONS: dict[str, str] = {
    "draft": "a draft by a model waits to be judged",
    "template": "a reply from the templates waits to be judged: no strong model was at hand",
    "failed_triage": "the message could not be read by any model",
    "failed_draft": "no model could write a draft",
    "budget": "a spending cap was reached",
    "gave_up": "a step was begun several times and never ended",
    "send_failed": "the reply could not be sent",
    "send_uncertain": "the mail server may or may not have taken the reply",
    "bounce": "our reply came back",
    "loop_cap": "too many messages in a short time: it may be two machines talking",
    "human_route": "the rule sends this to a person",
}
"""Why a row stands in the review table: the code, and what people read."""


def open_review(
    connection: sa.Connection, ticket_id: int, reason: str, detail: str, draft_id: int | None = None
) -> int:
    """Open the ticket's one review; one that is open already is superseded. Returns its id.

    `reason` is a key of `REASONS`, `detail` one plain sentence.
    """
    if reason not in REASONS:
        raise ValueError(f"{reason} is not a reason of REASONS")
    supersede_open(connection, ticket_id, f"replaced: {REASONS[reason]}", keep_draft=draft_id)
    order = sa.select(3 - tickets.c.urgency_rank).where(tickets.c.id == ticket_id).scalar_subquery()
    row = connection.execute(
        reviews.insert()
        .values(
            ticket_id=ticket_id,
            draft_id=draft_id,
            reason=reason,
            detail=detail,
            state="open",
            urgency_order=order,
            opened_at=now(),
        )
        .returning(reviews.c.id)
    )
    return int(row.scalar_one())


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
