"""What people do with a row of the review table: take it, approve, edit, reject, replace, close, settle.

Every decision is one transaction: the row decided and measured, the reply written, the ticket moved. The
ticket's row is locked first and its version compared, so that of two agents exactly one wins.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

import sqlalchemy as sa

from pipeline import tracing
from pipeline.db.moves import move, touch
from pipeline.db.moves import note as write_down
from pipeline.db.reviews import open_review
from pipeline.db.store import Store
from pipeline.db.tables import replies, reviews, tickets
from pipeline.db.types import now
from pipeline.errors import ConfigError, ConflictError, InputError
from pipeline.lifecycle import Status
from pipeline.review import notes, outcomes, spam, typed
from pipeline.review import second_reads as again
from pipeline.review.agents import Agent
from pipeline.review.confirming import step_to_confirm
from pipeline.review.forsaking import forsake_uncertain
from pipeline.review.holding import (
    CLAIM,
    Held,
    all_read,
    decide,
    hold,
    lock_ticket,
    refuse_blocked,
    refuse_claimed,
    refuse_done,
    review_row,
)
from pipeline.review.replying import answered_message, clean_text, write_reply
from pipeline.review.withdrawing import take_back

_ROUTE = {Status.ROUTINE: "cheap", Status.ESCALATED: "strong"}
REJECT_REASONS: dict[str, str] = {
    "wrong_facts": "wrong facts",
    "wrong_tone": "wrong tone",
    "wrong_language": "wrong language",
    "missed_question": "missed a question",
    "promised_too_much": "promised too much",
    "not_needed": "no answer is needed",
    "other": "another reason",
}


@dataclass(frozen=True)
class Decided:
    """What a decision did. `version` is the ticket's new one; `outcome` is None where there was no draft."""

    review_id: int
    ticket_id: int
    version: int
    action: str
    outcome: str | None
    edit_share: float | None


class Settle(Protocol):
    """Settles a reply whose fate is uncertain: `pipeline.delivery.send.mark_sent` and `send_again`."""

    def __call__(self, connection: sa.Connection, reply_id: int, *, who: str, why: str) -> object: ...


def _nobody_settles(connection: sa.Connection, reply_id: int, *, who: str, why: str) -> object:
    raise ConfigError(
        "this desk was made without a way out for replies: uncertain ones are settled on the page"
    )


def _no_domain(_inbox: str) -> str | None:
    return None


@dataclass(frozen=True)
class Desk:
    """The actions on the review table. `undo` is how long an approved reply waits before it is sent.

    `domain_of` gives an inbox's mail domain for Message-IDs, `own_addresses` are the inboxes' addresses,
    which are never answered to. `mark_sent` and `send_again` are the delivery room's: they settle an
    uncertain reply and move its ticket, within the transaction of the decision. `asks` are the tasks at
    whose caps an agent is asked. `second_reads` draws the approvals that somebody else reads once more.
    """

    store: Store
    undo: timedelta = timedelta(0)
    own_addresses: frozenset[str] = frozenset()
    domain_of: Callable[[str], str | None] = _no_domain
    mark_sent: Settle = _nobody_settles
    send_again: Settle = _nobody_settles
    thresholds: outcomes.Thresholds = field(default_factory=outcomes.Thresholds)
    asks: frozenset[str] = frozenset()
    second_reads: again.Sample | None = None

    # --- taking a row -----------------------------------------------------------------------------

    def claim(self, review_id: int, agent: Agent, *, take_over: bool = False) -> datetime:
        """Take the row for 15 minutes, or take it longer; returns until when.

        Raises `ConflictError` while somebody else has it; a lead or admin may take it over.
        """
        if take_over and not agent.leads:
            raise InputError("only a lead or an admin takes over a row that somebody else has")
        until = now() + CLAIM
        free = sa.or_(
            reviews.c.claimed_by.is_(None),
            reviews.c.claimed_by == agent.id,
            reviews.c.claimed_until <= now(),
            sa.true() if take_over else sa.false(),
        )
        with self.store.write() as connection:
            taken = connection.execute(
                reviews.update()
                .where(reviews.c.id == review_id, reviews.c.state == "open", free)
                .values(
                    claimed_by=agent.id,
                    claimed_until=until,
                    first_viewed_at=sa.func.coalesce(
                        reviews.c.first_viewed_at, now(), type_=reviews.c.opened_at.type
                    ),
                )
            )
            if not taken.rowcount:
                review = review_row(connection, review_id)
                refuse_done(connection, review)
                refuse_claimed(connection, review, agent)
        return until

    def release(self, review_id: int, agent: Agent) -> None:
        """Give the row back; nothing happens when somebody else has it."""
        with self.store.write() as connection:
            connection.execute(
                reviews.update()
                .where(reviews.c.id == review_id, reviews.c.claimed_by == agent.id, reviews.c.state == "open")
                .values(claimed_by=None, claimed_until=None)
            )

    def seen(self, review_id: int) -> None:
        """A person has the row's ticket before them: the time from here to the decision is measured."""
        with self.store.write() as connection:
            connection.execute(
                reviews.update()
                .where(
                    reviews.c.id == review_id, reviews.c.state == "open", reviews.c.first_viewed_at.is_(None)
                )
                .values(first_viewed_at=now())
            )

    # --- answers ----------------------------------------------------------------------------------

    def approve(self, review_id: int, agent: Agent, version: int, *, not_needed: bool = False) -> Decided:
        """Send the draft as it is. Raises `ConflictError` if the ticket changed, `InputError` if blocked.

        `not_needed` is the agent's mark on a strong draft: a routine answer would have done.
        """
        with self.store.write() as connection:
            row = hold(connection, review_id, agent, version)
            if row.draft is None:
                raise InputError("there is no draft here to approve; write the answer")
            again.ask(connection, self.second_reads, row.review, agent)
            return self._answer(connection, row, agent, "approve", row.draft["text"], not_needed)

    def edit(
        self, review_id: int, agent: Agent, version: int, text: str, *, not_needed: bool = False
    ) -> Decided:
        """Send the agent's version of the draft; `not_needed` as for `approve`."""
        with self.store.write() as connection:
            row = hold(connection, review_id, agent, version)
            if row.draft is None:
                raise InputError("there is no draft here to edit; write the answer")
            return self._answer(connection, row, agent, "edit", text, not_needed)

    def replace(self, review_id: int, agent: Agent, version: int, text: str) -> Decided:
        """Send an answer that does not use the draft, or that a failure row has none of."""
        with self.store.write() as connection:
            row = hold(connection, review_id, agent, version)
            return self._answer(connection, row, agent, "replace", text)

    def _answer(
        self,
        connection: sa.Connection,
        row: Held,
        agent: Agent,
        action: str,
        text: str,
        not_needed: bool = False,
    ) -> Decided:
        if row.ticket["status"] != Status.IN_REVIEW:
            raise ConflictError(
                f"ticket {row.ticket['id']} is {_in_words(row.ticket['status'])}: it takes no answer now"
            )
        if not_needed and (row.draft is None or row.draft["route"] != "strong"):
            raise InputError("only a strong draft can be marked as not needed")
        text = clean_text(text)
        refuse_blocked(connection, row, text)
        measured: outcomes.Measured | None = None
        if row.draft is not None:
            if action != "replace":
                measured = outcomes.measure(row.draft["text"], text, row.draft["language"], self.thresholds)
            else:
                measured = outcomes.Measured(outcomes.REPLACED, None, None, "")
        answered = answered_message(
            connection, row.ticket["id"], row.draft["message_id"] if row.draft else None
        )
        mark = {"escalated_for_nothing": True} if not_needed else {}
        decide(connection, row, agent, action, measured, sent_text=text, **mark)
        typed.sent(connection, row.review["id"], agent.id)
        all_read(connection, row.ticket["id"])
        write_reply(
            connection,
            answered,
            review_id=row.review["id"],
            agent_id=agent.id,
            text=text,
            domain=self.domain_of(row.ticket["inbox"]),
            own_addresses=self.own_addresses,
        )
        why = {"approve": "approved the draft as it is", "edit": "edited and approved the draft"}.get(
            action, "answered without the draft" if row.draft else "wrote the answer"
        )
        version = move(
            connection,
            row.ticket["id"],
            Status.APPROVED,
            who=agent.who,
            why=f"{agent.shown} {why}",
            due_in=self.undo,
        )
        return _decided(row, version, action, measured)

    def withdraw(self, ticket_id: int, agent: Agent, version: int) -> int:
        """Take an approval back while its reply is untried; the row is open again. Returns the version."""
        with self.store.write() as connection:
            return take_back(connection, ticket_id, agent, version)

    # --- without an answer ------------------------------------------------------------------------

    def reject(self, review_id: int, agent: Agent, version: int, reason: str, text: str = "") -> Decided:
        """The draft is no use. The ticket stays for a person, or is closed where no answer is needed.

        `reason` is a key of `REJECT_REASONS`; `other` needs words in `text`.
        """
        if reason not in REJECT_REASONS:
            raise InputError(f"choose a reason: {', '.join(REJECT_REASONS)}")
        text = " ".join(text.split())[:500]
        if reason == "other" and not text:
            raise InputError("say in a few words what is wrong with the draft")
        with self.store.write() as connection:
            row = hold(connection, review_id, agent, version)
            if row.draft is None:
                raise InputError("there is no draft here to reject; write the answer or close the ticket")
            if row.ticket["status"] != Status.IN_REVIEW:
                raise ConflictError(
                    f"ticket {row.ticket['id']} is {_in_words(row.ticket['status'])}: nothing to reject"
                )
            words = text if reason == "other" else REJECT_REASONS[reason] + (f" ({text})" if text else "")
            measured = outcomes.Measured(outcomes.REJECTED, None, None, "")
            decide(connection, row, agent, "reject", measured, reject_reason=reason, note=text or None)
            why = f"{agent.shown} rejected the draft: {words}"
            if reason == "not_needed":
                new = move(connection, row.ticket["id"], Status.CLOSED, who=agent.who, why=why)
            else:
                new = move(connection, row.ticket["id"], Status.IN_REVIEW, who=agent.who, why=why)
                detail = f"The draft was rejected: {words}; an answer is still due."
                open_review(connection, row.ticket["id"], "human_route", detail)
            return _decided(row, new, "reject", measured)

    def close(self, review_id: int, agent: Agent, version: int, why: str = "") -> Decided:
        """End the ticket without an answer. It says nothing about the draft, which is then not scored."""
        with self.store.write() as connection:
            row = hold(connection, review_id, agent, version)
            measured = None
            if row.draft is not None:
                measured = outcomes.Measured(outcomes.UNSCORABLE, None, None, "closed without an answer")
            why = " ".join(why.split())[:500]
            decide(connection, row, agent, "close", measured, note=why or None)
            sentence = f"{agent.shown} closed it without an answer" + (f": {why}" if why else "")
            sentence += forsake_uncertain(connection, row.ticket["id"], agent.shown)
            new = move(connection, row.ticket["id"], Status.CLOSED, who=agent.who, why=sentence)
            return _decided(row, new, "close", measured)

    def resolve_uncertain(self, review_id: int, agent: Agent, version: int, choice: str) -> Decided:
        """Settle a reply that may or may not have gone out: `sent` (it did) or `resend` (try once more).

        A second attempt carries the same Message-ID, so that most mail systems show it once.
        """
        if choice not in ("sent", "resend"):
            raise InputError("choose sent (the customer has it) or resend (send it again)")
        with self.store.write() as connection:
            row = hold(connection, review_id, agent, version)
            ticket_id = row.ticket["id"]
            reply = (
                connection.execute(
                    sa.select(replies)
                    .where(replies.c.ticket_id == ticket_id, replies.c.state == "uncertain")
                    .order_by(replies.c.id.desc())
                )
                .mappings()
                .first()
            )
            if row.ticket["status"] != Status.SEND_UNCERTAIN or reply is None:
                raise ConflictError(f"ticket {ticket_id} has no reply that is uncertain")
            decide(connection, row, agent, choice, None)
            if choice == "resend":
                why = f"{agent.shown} had the uncertain reply sent again"
                self.send_again(connection, reply["id"], who=agent.who, why=why)
            else:
                why = f"{agent.shown} says that the customer has the reply"
                self.mark_sent(connection, reply["id"], who=agent.who, why=why)
            new = connection.execute(
                sa.select(tickets.c.version).where(tickets.c.id == ticket_id)
            ).scalar_one()
            return _decided(row, new, choice, None)

    def confirm(self, review_id: int, agent: Agent, version: int) -> Decided:
        """Agree that the draft which a cap stopped is written all the same, on the agent's own cap.

        The caps a day, a week, a month and an agent hold nevertheless: where one is reached, the ticket
        comes back and says so. Raises `InputError` where the row does not ask, `ConflictError` as the
        other decisions.
        """
        with self.store.write() as connection:
            row = hold(connection, review_id, agent, version)
            step = step_to_confirm(connection, row.review, self.asks)
            if step is None:
                raise InputError("no spend waits for an agreement here; write the answer")
            if row.ticket["status"] != Status.IN_REVIEW:
                raise ConflictError(f"ticket {row.ticket['id']} is {_in_words(row.ticket['status'])} by now")
            decide(connection, row, agent, "confirm", None)
            why = f"{agent.shown} agreed to pass the cap for a draft"
            new = move(
                connection,
                row.ticket["id"],
                step,
                who=agent.who,
                why=why,
                confirmed_by=agent.id,
                route=_ROUTE[step],
            )
            return _decided(row, new, "confirm", None)

    def asks_to_confirm(self, review: sa.RowMapping | Mapping[str, Any] | None) -> bool:
        """Whether the row asks an agent to agree to a draft over a cap."""
        with self.store.read() as connection:
            return step_to_confirm(connection, review, self.asks) is not None

    def reopen(self, ticket_id: int, agent: Agent, version: int, why: str = "") -> int:
        """Bring a closed or answered ticket back for a person; returns its new version."""
        why = " ".join(why.split())[:500]
        with self.store.write() as connection:
            ticket = lock_ticket(connection, ticket_id, version)
            if ticket["status"] not in (Status.CLOSED, Status.ANSWERED, Status.AUTOMATED):
                raise ConflictError(
                    f"ticket {ticket_id} is {_in_words(ticket['status'])}: there is nothing to reopen"
                )
            sentence = f"{agent.shown} reopened it" + (f": {why}" if why else "")
            new = move(connection, ticket_id, Status.IN_REVIEW, who=agent.who, why=sentence)
            open_review(connection, ticket_id, "human_route", sentence + ".")
            return new

    def spam(self, review_id: int, agent: Agent, version: int) -> Decided:
        """Close the ticket as spam. Later mail of its sender is shown with that mark, and treated as any."""
        with self.store.write() as connection:
            row = hold(connection, review_id, agent, version)
            new, measured = spam.mark(connection, row, agent)
            return _decided(row, new, spam.ACTION, measured)

    # --- what leaves the row open -----------------------------------------------------------------

    def assign(self, ticket_id: int, agent: Agent, version: int, email: str) -> int:
        """Give the ticket to somebody who may see it, or to nobody (""); returns its version.

        Raises `ConflictError` when the ticket changed meanwhile, `InputError` for somebody who cannot have it.
        """
        email = email.strip().lower()
        with self.store.write() as connection:
            ticket = lock_ticket(connection, ticket_id, version)
            to = {one.email: one for one in notes.colleagues(connection, ticket_id)}.get(email)
            if email and to is None:
                raise InputError(f"{email} has no account here, or does not see this inbox")
            if ticket["assignee_id"] == (to.id if to else None):
                return version
            touch(connection, ticket_id, assignee_id=to.id if to else None)
            whom = "nobody" if to is None else "themselves" if to.id == agent.id else to.shown
            why = f"{agent.shown} assigned it to {whom}"
            write_down(connection, ticket_id, who=agent.who, why=why)
            return version + 1

    def note(self, review_id: int, agent: Agent, text: str) -> tuple[Agent, ...]:
        """Leave a word for colleagues on the row; returns whom it calls. Notes are only ever added to."""
        return notes.leave(self.store, review_id, agent, text)


def _decided(row: Held, version: int, action: str, measured: outcomes.Measured | None) -> Decided:
    outcome = measured.outcome if measured else None
    waited_s = (now() - row.review["opened_at"]).total_seconds()
    said = {"triage.action": action, "triage.outcome": outcome, "triage.reason": row.review["reason"]}
    tracing.record("review", row.ticket["id"], waited_s, said)
    return Decided(
        review_id=row.review["id"],
        ticket_id=row.ticket["id"],
        version=version,
        action=action,
        outcome=outcome,
        edit_share=measured.edit_share if measured else None,
    )


def _in_words(status: str) -> str:
    return status.replace("_", " ")
