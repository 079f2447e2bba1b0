"""The statuses of a ticket and the moves between them: pure data, no database.

`pipeline.db.moves.move` is the one function that makes a move and writes it down.
"""

from __future__ import annotations

from enum import StrEnum

from pipeline.errors import MoveRefused


class Status(StrEnum):
    """Where a ticket stands. The docstring of each member is the sentence that people read."""

    RECEIVED = "received"
    ROUTINE = "routine"
    ESCALATED = "escalated"
    IN_REVIEW = "in_review"
    APPROVED = "approved"
    SEND_UNCERTAIN = "send_uncertain"
    ANSWERED = "answered"
    CLOSED = "closed"
    AUTOMATED = "automated"


MEANING: dict[Status, str] = {
    Status.RECEIVED: "a message waits to be read by the cheap model",
    Status.ROUTINE: "clear and harmless: a routine draft is due",
    Status.ESCALATED: "unclear, emotional or risky: a strong draft is due",
    Status.IN_REVIEW: "a person decides",
    Status.APPROVED: "a person approved a reply; it waits to be sent",
    Status.SEND_UNCERTAIN: "the reply may or may not have been taken on the other side; a person decides",
    Status.ANSWERED: "the reply is out; the customer's turn",
    Status.CLOSED: "nothing more is to be done",
    Status.AUTOMATED: "only automated mail so far: stored and shown, never answered",
}

S = Status
MOVES: dict[Status | None, frozenset[Status]] = {
    # None is a ticket that does not exist yet
    None: frozenset({S.RECEIVED, S.AUTOMATED, S.IN_REVIEW}),
    S.RECEIVED: frozenset({S.ROUTINE, S.ESCALATED, S.IN_REVIEW, S.CLOSED}),
    S.ROUTINE: frozenset({S.RECEIVED, S.ESCALATED, S.IN_REVIEW, S.CLOSED}),
    S.ESCALATED: frozenset({S.RECEIVED, S.IN_REVIEW, S.CLOSED}),
    S.IN_REVIEW: frozenset({S.RECEIVED, S.ROUTINE, S.ESCALATED, S.APPROVED, S.CLOSED, S.IN_REVIEW}),
    S.APPROVED: frozenset({S.ANSWERED, S.RECEIVED, S.IN_REVIEW, S.SEND_UNCERTAIN}),
    S.SEND_UNCERTAIN: frozenset({S.ANSWERED, S.IN_REVIEW, S.APPROVED, S.RECEIVED, S.CLOSED}),
    S.ANSWERED: frozenset({S.RECEIVED, S.IN_REVIEW, S.CLOSED}),
    S.CLOSED: frozenset({S.RECEIVED, S.IN_REVIEW}),
    S.AUTOMATED: frozenset({S.RECEIVED, S.IN_REVIEW, S.CLOSED}),
}

WORKED: frozenset[Status] = frozenset({S.RECEIVED, S.ROUTINE, S.ESCALATED, S.APPROVED})
"""The statuses that a worker has something to do for (see `pipeline.steps.STEPS`)."""


def check_move(old: Status | None, new: Status) -> None:
    """Raise `MoveRefused` unless the table allows a ticket to go from `old` to `new`."""
    if new not in MOVES[old]:
        allowed = ", ".join(sorted(MOVES[old])) or "nothing"
        raise MoveRefused(f"a ticket cannot go from {old or 'nothing'} to {new}; allowed: {allowed}")
