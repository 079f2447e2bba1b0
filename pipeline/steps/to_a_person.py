"""Gives a ticket to a person in the middle of a step: the move and the review row, in one transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.db import leases
from pipeline.db.leases import Lease
from pipeline.db.moves import move
from pipeline.db.reviews import open_review
from pipeline.db.tables import messages
from pipeline.db.types import now
from pipeline.lifecycle import Status

if TYPE_CHECKING:
    from pipeline.assembly import Parts


def to_a_person(
    parts: Parts, lease: Lease, step: str, reason: str, why: str, *, read_message: int | None = None
) -> str:
    with parts.store.write() as connection:
        leases.hold(connection, lease)
        if read_message is not None:
            connection.execute(
                messages.update().where(messages.c.id == read_message).values(triaged_at=now())
            )
        move(
            connection,
            lease.ticket_id,
            Status.IN_REVIEW,
            who=step,
            why=why,
            route="human",
            decision=why,
            confirmed_by=None,
        )
        open_review(connection, lease.ticket_id, reason, why)
    return f"to a person: {reason}"
