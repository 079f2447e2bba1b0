"""Which row of the review table asks whether a cap may be passed, and what an agent agrees to by saying yes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from pipeline.db.tables import moves
from pipeline.lifecycle import Status

_STEPS = {"routine": Status.ROUTINE, "draft": Status.ESCALATED}


def step_to_confirm(
    connection: sa.Connection, review: sa.RowMapping | Mapping[str, Any] | None, asks: frozenset[str]
) -> Status | None:
    """The status to go back to when an agent agrees; None where the row asks nothing.

    `asks` are the tasks whose `at_cap` is `ask`. The ticket's last move into review tells which step a
    cap stopped.
    """
    if review is None or review["state"] != "open" or review["reason"] != "budget" or review["draft_id"]:
        return None
    step = connection.execute(
        sa.select(moves.c.who)
        .where(moves.c.ticket_id == review["ticket_id"], moves.c.to_status == Status.IN_REVIEW)
        .order_by(moves.c.id.desc())
        .limit(1)
    ).scalar()
    return _STEPS.get(str(step)) if step in asks else None
