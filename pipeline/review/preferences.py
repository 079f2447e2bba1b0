"""A draft that somebody asked for by hand takes the place of the one before; of two, which one was preferred.

The row of the review table stays the same row, with its age, its notes and whoever has taken it. The draft that
had to give way is on no row any more: nobody judged it, so it is in no rewrite rate. What shows it is its
`superseded_at`, the successor's `asked_by` and the ticket's move.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from pipeline.db.moves import move
from pipeline.db.store import Store
from pipeline.db.tables import agents, comparisons, drafts, reviews, tickets, typed_texts
from pipeline.db.types import now
from pipeline.errors import ConflictError, InputError, NotFoundError
from pipeline.lifecycle import Status
from pipeline.review.agents import Agent
from pipeline.review.holding import Held, hold

CHOICES = ("left", "right", "neither")
CAN_BE_DRAFTED = frozenset(
    {"draft", "template", "failed_triage", "failed_draft", "budget", "gave_up", "loop_cap", "human_route"}
)
"""The reasons of rows that a draft may be laid on; the others are about a reply that was sent or is to be."""

Values = Mapping[str, Any]


@dataclass(frozen=True)
class Comparison:
    """Two drafts of two models, shuffled. `open` says that one of them can still be chosen.

    `before` is the draft that the row has had so far, None where it had none.
    """

    id: int
    ticket: Values
    review_id: int | None
    left: Values
    right: Values
    asked_by: str
    chosen: str | None
    chosen_by: str | None
    open: bool

    @property
    def sides(self) -> tuple[tuple[str, Values], tuple[str, Values]]:
        return ("left", self.left), ("right", self.right)


def refuse_undraftable(row: Held) -> None:
    """Raise unless a draft can be asked for on the row as it is."""
    if row.ticket["status"] != Status.IN_REVIEW:
        raise ConflictError(f"ticket {row.ticket['id']} is {row.ticket['status'].replace('_', ' ')} by now")
    if row.review["reason"] not in CAN_BE_DRAFTED:
        raise InputError("this row is about a reply that was written already: answer it yourself")


def lay_before(
    connection: sa.Connection, row: Held, agent: Agent, draft_id: int, detail: str, why: str
) -> int:
    """Make another draft the row's; returns the ticket's new version. `why` is the move's sentence.

    What people had typed and not sent becomes a note: it was no edit of this draft.
    """
    said = row.ticket["decision"] or ""
    if row.review["draft_id"] is None and row.review["reason"] != "budget":
        said = row.review["detail"]
    connection.execute(
        reviews.update()
        .where(reviews.c.id == row.review["id"])
        .values(draft_id=draft_id, reason="draft", detail=f"{said} {detail}".strip())
    )
    let_go(connection, row.ticket["id"], keep=[draft_id])
    _typed_becomes_a_note(connection, row.review)
    return move(connection, row.ticket["id"], Status.IN_REVIEW, who=agent.who, why=why)


def let_go(connection: sa.Connection, ticket_id: int, *, keep: Collection[int]) -> None:
    """Supersede the ticket's drafts that nobody judged, but for those to keep."""
    judged = sa.select(reviews.c.draft_id).where(
        reviews.c.ticket_id == ticket_id, reviews.c.state == "decided", reviews.c.draft_id.is_not(None)
    )
    connection.execute(
        drafts.update()
        .where(
            drafts.c.ticket_id == ticket_id,
            drafts.c.superseded_at.is_(None),
            drafts.c.id.not_in(judged),
            drafts.c.id.not_in(list(keep)),
        )
        .values(superseded_at=now())
    )


def stale(connection: sa.Connection, draft_id: int) -> None:
    """A draft that came too late to be anybody's."""
    connection.execute(drafts.update().where(drafts.c.id == draft_id).values(superseded_at=now()))


def _typed_becomes_a_note(connection: sa.Connection, review: sa.RowMapping) -> None:
    on_it = sa.and_(typed_texts.c.review_id == review["id"], typed_texts.c.instead.is_(False))
    found = connection.execute(
        sa.select(typed_texts, agents.c.name, agents.c.email)
        .join(agents, agents.c.id == typed_texts.c.agent_id)
        .where(on_it)
        .order_by(typed_texts.c.saved_at)
    ).all()
    if not found:
        return
    lines = [
        f"{row.saved_at:%Y-%m-%d %H:%M} UTC, {row.name or row.email} had typed, and not sent:\n{row.text}"
        for row in found
    ]
    note = "\n".join([*([review["note"]] if review["note"] else []), *lines])
    connection.execute(reviews.update().where(reviews.c.id == review["id"]).values(note=note))
    connection.execute(typed_texts.delete().where(on_it))


# --- two side by side -----------------------------------------------------------------------------------


def shuffled(first: Any, second: Any) -> tuple[Any, Any]:
    """The two in an order that says nothing of which was asked for first."""
    pair = [first, second]
    random.SystemRandom().shuffle(pair)
    return pair[0], pair[1]


def open_comparison(
    connection: sa.Connection, row: Held, agent: Agent, left_id: int, right_id: int, why: str
) -> int:
    """Keep two drafts for a choice; an older comparison of the ticket is void. Returns its id."""
    kept = [left_id, right_id, *([row.review["draft_id"]] if row.review["draft_id"] else [])]
    let_go(connection, row.ticket["id"], keep=kept)
    made = connection.execute(
        comparisons.insert()
        .values(
            ticket_id=row.ticket["id"],
            left_id=left_id,
            right_id=right_id,
            asked_by=agent.id,
            created_at=now(),
        )
        .returning(comparisons.c.id)
    )
    move(connection, row.ticket["id"], Status.IN_REVIEW, who=agent.who, why=why)
    return int(made.scalar_one())


@dataclass(frozen=True)
class Blind:
    """A comparison that waits for a choice, and what would tell who wrote its sides."""

    id: int
    asked_by: int
    drafts: frozenset[int]
    models: frozenset[str]

    def hide(
        self, drafted: Sequence[Values], calls: Sequence[Values]
    ) -> tuple[tuple[Values, ...], tuple[Values, ...]]:
        """The ticket's drafts and calls without it: length, price and time tell as much as a name.

        The calls are all that this agent made at the two models: a failed try has a length too.
        """
        return (
            tuple({**row, **_UNTOLD_OF_A_DRAFT} if row["id"] in self.drafts else row for row in drafted),
            tuple({**row, **_UNTOLD_OF_A_CALL} if self._tells(row) else row for row in calls),
        )

    def _tells(self, call: Values) -> bool:
        if call["agent_id"] != self.asked_by:
            return False
        return call["task"] == "summary" or (
            call["task"] in ("draft", "routine") and call["model"] in self.models
        )


_UNTOLD: Values = {"model": "not told until one of two drafts is chosen", "provider": "", "tier": "",
                   "route": "", "task": "draft", "prompt": "", "cost_usd": None, "latency_ms": None}  # fmt: skip
_UNTOLD_OF_A_DRAFT: Values = {**_UNTOLD, "call_id": None, "summarised": None}
_UNTOLD_OF_A_CALL: Values = {
    **_UNTOLD, "prompt_name": "", "answered_by": None, "input_tokens": None, "cached_input_tokens": None,
    "cache_write_tokens": None, "output_tokens": None, "reserved_usd": None, "error": None,
    "request_id": None, "scopes": [],
}  # fmt: skip
_OVER = (Status.ANSWERED, Status.CLOSED, Status.AUTOMATED)
"""Where a ticket stands that comes back with a new row only: nobody chooses between its old drafts any more."""


def blind(connection: sa.Connection, ticket: Values) -> Blind | None:
    """The ticket's comparison whose sides must stay unknown as yet; None where there is none.

    An approval may be taken back, and the choice is open again: so it stays blind until the ticket is over.
    """
    comparison_id = None if ticket["status"] in _OVER else waiting(connection, ticket["id"])
    if comparison_id is None:
        return None
    row = _row(connection, comparison_id)
    both = [row["left_id"], row["right_id"]]
    models = connection.execute(sa.select(drafts.c.model).where(drafts.c.id.in_(both))).scalars()
    return Blind(comparison_id, row["asked_by"], frozenset(both), frozenset(models))


def waiting(connection: sa.Connection, ticket_id: int) -> int | None:
    """The ticket's comparison that waits for a choice; None where none does."""
    left = drafts.alias("left_draft")
    found = connection.execute(
        sa.select(comparisons.c.id)
        .join(left, left.c.id == comparisons.c.left_id)
        .where(
            comparisons.c.ticket_id == ticket_id,
            comparisons.c.chosen_at.is_(None),
            left.c.superseded_at.is_(None),
        )
        .order_by(comparisons.c.id.desc())
    ).scalar()
    return None if found is None else int(found)


def comparison(store: Store, comparison_id: int) -> Comparison:
    """A comparison with its drafts; raises `NotFoundError`."""
    with store.read() as connection:
        row = _row(connection, comparison_id)
        ticket = (
            connection.execute(sa.select(tickets).where(tickets.c.id == row["ticket_id"])).mappings().one()
        )
        both = {
            draft["id"]: dict(draft)
            for draft in connection.execute(
                sa.select(drafts).where(drafts.c.id.in_([row["left_id"], row["right_id"]]))
            ).mappings()
        }
        review_id = connection.execute(_open_row(row["ticket_id"])).scalar()
        people = connection.execute(
            sa.select(agents.c.id, agents.c.email).where(agents.c.id.in_([row["asked_by"], row["chosen_by"]]))
        )
        names = {one.id: one.email for one in people}
    fresh = all(draft["superseded_at"] is None for draft in both.values())
    return Comparison(
        id=row["id"],
        ticket=dict(ticket),
        review_id=review_id,
        left=both[row["left_id"]],
        right=both[row["right_id"]],
        asked_by=names[row["asked_by"]],
        chosen=_chosen(row),
        chosen_by=names.get(row["chosen_by"]),
        open=row["chosen_at"] is None
        and fresh
        and review_id is not None
        and ticket["status"] == Status.IN_REVIEW,
    )


def choose(store: Store, comparison_id: int, agent: Agent, version: int, choice: str) -> int:
    """Keep which draft was preferred; the chosen one becomes the row's. Returns the ticket's id.

    Raises `InputError` for what is no choice, `ConflictError` where the ticket changed since `version`,
    somebody chose before, or the drafts are stale.
    """
    if choice not in CHOICES:
        raise InputError(f"choose one of {', '.join(CHOICES)}")
    with store.write() as connection:
        found = _row(connection, comparison_id)
        ticket_id = int(found["ticket_id"])
        review_id = connection.execute(_open_row(ticket_id)).scalar()
        if review_id is None:
            raise ConflictError(f"Ticket {ticket_id} waits for nobody any more: there is nothing to choose")
        row = hold(connection, int(review_id), agent, version)
        refuse_undraftable(row)
        found = _row(connection, comparison_id)  # as it is now that nobody else can change it
        if found["chosen_at"] is not None:
            raise ConflictError(f"Ticket {ticket_id}: one of these two was chosen already")
        picked = found[f"{choice}_id"] if choice != "neither" else None
        both = [found["left_id"], found["right_id"]]
        rows = connection.execute(sa.select(drafts).where(drafts.c.id.in_(both))).mappings().all()
        if len(rows) != 2 or any(draft["ticket_id"] != ticket_id for draft in rows):
            raise ConflictError(f"Ticket {ticket_id}: these are not two drafts of it; compare two anew")
        if any(draft["superseded_at"] is not None for draft in rows):
            raise ConflictError(
                f"Ticket {ticket_id}: these drafts are stale, something newer happened; look again"
            )
        connection.execute(
            comparisons.update()
            .where(comparisons.c.id == comparison_id)
            .values(chosen_id=picked, chosen_by=agent.id, chosen_at=now())
        )
        model = {draft["id"]: draft["model"] for draft in rows}
        if picked is None:
            let_go(connection, ticket_id, keep=[row.review["draft_id"] or 0])
            why = f"{agent.shown} took neither draft, by {model[both[0]]} or by {model[both[1]]}"
            move(connection, ticket_id, Status.IN_REVIEW, who=agent.who, why=why)
        else:
            other = next(draft_id for draft_id in both if draft_id != picked)
            why = f"{agent.shown} preferred the draft by {model[picked]} to that by {model[other]}, blind"
            detail = f"Drafted by {model[picked]}, and preferred to a draft by {model[other]}."
            lay_before(connection, row, agent, int(picked), detail, why)
        return ticket_id


def _row(connection: sa.Connection, comparison_id: int) -> sa.RowMapping:
    row = (
        connection.execute(sa.select(comparisons).where(comparisons.c.id == comparison_id))
        .mappings()
        .one_or_none()
    )
    if row is None:
        raise NotFoundError(f"there is no comparison {comparison_id}")
    return row


def _open_row(ticket_id: int) -> sa.Select[Any]:
    return sa.select(reviews.c.id).where(reviews.c.ticket_id == ticket_id, reviews.c.state == "open")


def _chosen(row: sa.RowMapping) -> str | None:
    if row["chosen_at"] is None:
        return None
    if row["chosen_id"] is None:
        return "neither"
    return "left" if row["chosen_id"] == row["left_id"] else "right"
