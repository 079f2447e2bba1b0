"""One ticket's way through the simulation: its mails, and what the agents do with each draft."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from pipeline.assembly import Parts
from pipeline.db.tables import drafts, messages, reviews, tickets
from pipeline.db.tables import second_reads as asked
from pipeline.drafting import templates
from pipeline.errors import TriageError
from pipeline.ingest.intake import store_raw, take_many
from pipeline.ingest.recording import Taken
from pipeline.review import corrections, preferences, second_reads, snoozing, typed
from pipeline.review.agents import Agent
from pipeline.routing.table import TEMPLATES, Routes, Task
from pipeline.simulation import mails, texts
from pipeline.simulation.hours import working
from pipeline.simulation.plan import Case, Turn
from pipeline.steps import advance
from pipeline.steps.redrafting import compare, redraft

if TYPE_CHECKING:
    from pipeline.simulation.run import Quarter

_SCALE = ("calm", "worried", "frustrated", "angry")
_WEEK = timedelta(days=7)


class DeskWork:
    """Does what the plan says of each ticket, and tells the truth of it."""

    def __init__(self, quarter: Quarter, agents: list[Agent]) -> None:
        self.quarter = quarter
        self.plan = quarter.plan
        self.truth = quarter.truth
        self.agents = agents

    # --- mails in ---------------------------------------------------------------------------------------

    def broken_mail(self, at: datetime, mark: str) -> None:
        self._taken(self.quarter.parts(at), self._first_inbox(at), mails.broken(mark), "quarantined")
        self.truth.count(at, "quarantined")

    def open(self, case: Case) -> None:
        """The ticket's first mail."""
        if case.kind == "person":
            self._mail(case, 0, None, None)
            return
        turn = case.turns[0]
        parts = self.quarter.parts(turn.at)
        address = parts.sender_of(case.inbox).address
        self._taken(parts, case.inbox, mails.automated(case, turn, address), "automated")
        for what in ("tickets", f"messages_{case.kind}"):
            self.truth.count(turn.at, what)

    def _mail(self, case: Case, place: int, ticket_id: int | None, sent_at: datetime | None) -> None:
        """A mail of the customer's; `sent_at` is when our last reply went out, None where none did."""
        turn = case.turns[place]
        parts = self.quarter.parts(turn.at, capped=turn.capped)
        inbox = parts.inboxes[case.inbox]
        thread = self._thread(parts, ticket_id) if ticket_id is not None else []
        raw = mails.person(case, turn, place, parts.sender_of(case.inbox).address, inbox.authserv_id, thread)
        taken = self._taken(parts, case.inbox, raw, "message")
        if ticket_id not in (None, taken.ticket_id):
            raise TriageError(f"the mail of case {case.number} went to another ticket than its thread's")
        assert taken.ticket_id is not None
        self.truth.count(turn.at, "messages_person")
        if place == 0:
            self.truth.count(turn.at, "tickets")
        self._what_it_tells(case, place, sent_at)
        if case.twice and place == 0:
            later = raw.replace(b"Received:", b"X-Received:")
            self._taken(parts, case.inbox, b"Received: from mx2.larkfield.example\r\n" + later, "duplicate")
            self.truth.count(turn.at, "duplicates")
        self._read(parts, case, turn, taken.ticket_id)
        self._schedule(case, place, taken.ticket_id)

    def _what_it_tells(self, case: Case, place: int, sent_at: datetime | None) -> None:
        """What a further mail says of the draft or the reply before it."""
        turn, before = case.turns[place], case.turns[place - 1] if place else None
        if before is None:
            return
        if before.outcome == "expired":
            self._judged(case, before, turn.at)
        elif sent_at is not None and turn.at - sent_at <= _WEEK:
            self.truth.count(turn.at, "reopened")
            if self._draft(case, before)["route"] == "cheap" and before.outcome not in (
                "rejected",
                "replaced",
            ):
                self.truth.count(turn.at, "reopened_after_routine")
            if _SCALE.index(turn.emotion) > _SCALE.index(before.emotion):
                self.truth.count(turn.at, "complaints")

    def _read(self, parts: Parts, case: Case, turn: Turn, ticket_id: int) -> None:
        """The cheap model reads it, and a draft is written."""
        with parts.store.read() as connection:
            body = connection.execute(
                sa.select(messages.c.new_text)
                .where(messages.c.ticket_id == ticket_id, messages.c.direction == "inbound")
                .order_by(messages.c.id.desc())
                .limit(1)
            ).scalar_one()
        self.quarter.staged(case, turn, body)
        for _ in range(2):
            done = advance(parts, ticket_id)
            if done is None or not done.done:
                raise TriageError(
                    f"case {case.number}: the step {done.step if done else '(none)'} was not done"
                )
        self.truth.count(turn.at, "read")
        self.truth.count(turn.at, f"read_{turn.route}")
        if turn.failure in ("retry", "repair"):
            self.truth.count(turn.at, f"calls_{turn.failure}")
        if turn.failure == "backup":
            self.truth.count(turn.at, "answered_by_backup")

    def _schedule(self, case: Case, place: int, ticket_id: int) -> None:
        turn = case.turns[place]
        if turn.outcome == "expired":
            following = case.turns[place + 1].at
            self.quarter.at(following, lambda: self._mail(case, place + 1, ticket_id, None))
            return
        self.quarter.at(turn.seen_at, lambda: self._look(case, turn, ticket_id))
        self.quarter.at(turn.answered_at, lambda: self._decide(case, place, ticket_id))

    # --- the desk ---------------------------------------------------------------------------------------

    def _look(self, case: Case, turn: Turn, ticket_id: int) -> None:
        """An agent opens the row, and does what takes a while."""
        at = turn.seen_at
        parts, agent = self.quarter.parts(at), self.agents[turn.agent]
        if turn.unopened:
            return
        row = self._row(parts, ticket_id)
        parts.desk.seen(row["id"])
        if turn.snoozed:
            snoozing.snooze(parts.store, row["id"], agent, turn.answered_at - timedelta(minutes=5))
            self.truth.count(at, "snoozed")
        for field, value in turn.corrections:
            version = self._row(parts, ticket_id)["version"]
            teams = {name: topic.team for name, topic in parts.routes.topics.items()}
            corrections.correct(parts.store, ticket_id, agent, version, {field: value}, teams)
            self.truth.count(turn.at, f"corrected_{field}")
        if turn.redrafted or turn.compared:
            self._second_draft(parts, case, turn, ticket_id, agent)

    def _second_draft(self, parts: Parts, case: Case, turn: Turn, ticket_id: int, agent: Agent) -> None:
        self.quarter.staged(case, turn).drafts = 1
        row = self._row(parts, ticket_id)
        models = wanted(turn, parts.routes)
        if turn.redrafted:
            redraft(parts, row["id"], agent, row["version"], models[0])
            self.truth.count(turn.seen_at, "redrafted")
            return
        comparison = compare(parts, row["id"], agent, row["version"], models)
        version = self._row(parts, ticket_id)["version"]
        left = preferences.comparison(parts.store, comparison).left["model"]
        preferences.choose(parts.store, comparison, agent, version, "left" if left == models[0] else "right")
        self.truth.count(turn.seen_at, "compared")

    def _decide(self, case: Case, place: int, ticket_id: int) -> None:
        turn = case.turns[place]
        at = turn.answered_at
        parts, agent = self.quarter.parts(at), self.agents[turn.agent]
        row = self._row(parts, ticket_id)
        if turn.abandoned:
            other = self.agents[(turn.agent + 1) % len(self.agents)]
            half = texts.own_answer(case.language, first=case.customer.first, variant=turn.variant)[:90]
            typed.keep(parts.store, row["id"], other, half)
            self.truth.count(at, "abandoned")
        self._act(parts, case, turn, row, agent)
        self._judged(case, turn, at)
        if turn.closed or turn.outcome == "unscorable":
            return
        if turn.outcome == "rejected":
            self.truth.count(turn.after_at, "answered_by_hand")
            self.quarter.at(turn.after_at, lambda: self._answer_by_hand(case, place, ticket_id))
            return
        self._send(case, place, ticket_id, at)

    def _act(self, parts: Parts, case: Case, turn: Turn, row: Any, agent: Agent) -> None:
        """The decision itself."""
        desk, review_id, version, text = parts.desk, row["id"], row["version"], row["text"]
        language, at = case.language, turn.answered_at
        own = texts.own_answer(language, first=case.customer.first, variant=turn.variant)
        self.truth.count(at, "not_needed", int(turn.not_needed))
        if turn.outcome == "as_is" and turn.regreeted:
            desk.edit(
                review_id, agent, version, texts.greeted_anew(language, text), not_needed=turn.not_needed
            )
        elif turn.outcome == "as_is":
            desk.approve(review_id, agent, version, not_needed=turn.not_needed)
            self.truth.count(at, "approved")
            self.truth.count(at, "approved_quickly", int(turn.quick and not turn.unopened))
            self.truth.count(at, "approved_unopened", int(turn.unopened))
            if self.quarter.sample.draws(review_id):
                self._second_read(turn, review_id)
        elif turn.outcome in ("light", "heavy", "rewritten"):
            desk.edit(review_id, agent, version, texts.edited(language, text, turn.outcome, turn.variant))
        elif turn.outcome == "replaced":
            desk.replace(review_id, agent, version, own)
        elif turn.outcome == "rejected":
            desk.reject(review_id, agent, version, turn.reject_reason)
            self.truth.count(at, f"rejected_{turn.reject_reason}")
        elif turn.spam:
            desk.spam(review_id, agent, version)
            self.truth.count(at, "spam")
        else:
            desk.close(review_id, agent, version, "solved meanwhile")

    def _second_read(self, turn: Turn, review_id: int) -> None:
        """Somebody else reads the approved draft, two days later; near the end it stays unread."""
        self.truth.count(turn.answered_at, "second_reads_asked")
        at = working(turn.answered_at + timedelta(days=2))
        reader = self.agents[(turn.agent + 2) % len(self.agents)]

        def read() -> None:
            store = self.quarter.parts(at).store
            with store.read() as connection:
                query = sa.select(asked.c.id).where(asked.c.review_id == review_id)
                number = connection.execute(query).scalar_one()
            second_reads.judge(store, reader, number, turn.second_verdict)
            self.truth.count(at, f"second_read_{turn.second_verdict}")

        if at < self.plan.until:
            self.quarter.at(at, read)

    def _answer_by_hand(self, case: Case, place: int, ticket_id: int) -> None:
        turn = case.turns[place]
        parts = self.quarter.parts(turn.after_at)
        row = self._row(parts, ticket_id)
        text = texts.own_answer(case.language, first=case.customer.first, variant=turn.variant)
        parts.desk.seen(row["id"])
        parts.desk.replace(row["id"], self.agents[turn.agent], row["version"], text)
        self._send(case, place, ticket_id, turn.after_at)

    def _send(self, case: Case, place: int, ticket_id: int, at: datetime) -> None:
        undo = timedelta(seconds=self.quarter.parts(at).settings.undo_s)
        self.quarter.at(at + undo, lambda: self._sent(case, place, ticket_id, at + undo))

    def _sent(self, case: Case, place: int, ticket_id: int, at: datetime) -> None:
        turn, parts = case.turns[place], self.quarter.parts(at)
        if turn.refused:
            self.quarter.post.refuses.add(case.customer.address)
        done = advance(parts, ticket_id)
        if done is None or not done.done:
            raise TriageError(f"case {case.number}: its reply was not sent")
        if turn.refused:
            self.truth.count(at, "send_failed")
            self.quarter.at(at + timedelta(hours=1), lambda: self._give_up(turn, ticket_id, at))
            return
        self.truth.count(at, "replies")
        if place + 1 < len(case.turns):
            following = case.turns[place + 1].at
            self.quarter.at(following, lambda: self._mail(case, place + 1, ticket_id, at))

    def _give_up(self, turn: Turn, ticket_id: int, at: datetime) -> None:
        parts = self.quarter.parts(at)
        row = self._row(parts, ticket_id)
        parts.desk.seen(row["id"])
        parts.desk.close(row["id"], self.agents[turn.agent], row["version"], "the address does not exist")

    # --- what is true -----------------------------------------------------------------------------------

    def _judged(self, case: Case, turn: Turn, at: datetime) -> None:
        self.truth.judged(at, turn.outcome, **self._draft(case, turn))

    def _draft(self, case: Case, turn: Turn) -> dict[str, str]:
        """What the plan says of the turn's last draft, by `truth.DIMENSIONS`."""
        parts = self.quarter.parts(turn.at, capped=turn.capped)
        route = "cheap" if turn.capped else turn.route
        task = parts.routes.tasks["draft" if route == "strong" else "routine"]
        model = task.model
        if turn.failure == "backup" and turn.failed_task == "draft":
            model = backup(parts.routes, task)
        if turn.redrafted or turn.compared:
            parts = self.quarter.parts(turn.seen_at)
            model = wanted(turn, parts.routes)[0]
            route = parts.routes.models[model].tier
        prompt = parts.prompts.load(*(("draft", "strong") if route == "strong" else ("routine", "cheap")))
        found = {"model": model, "prompt": prompt.digest, "source": "model"}
        if turn.failure == "template":
            digest = templates.load(case.language).digest
            found = {"model": TEMPLATES, "prompt": digest, "source": "template"}
        known = {"topic": turn.read_topic, "language": case.language, "inbox": case.inbox}
        return {"route": route, **known, **found}

    # --- rows -------------------------------------------------------------------------------------------

    def _taken(self, parts: Parts, inbox: str, raw: bytes, kind: str) -> Taken:
        with parts.store.write() as connection:
            stored = store_raw(connection, inbox, raw, begun=True)
        taken = take_many(parts.store, [stored.raw_id], inboxes=parts.inboxes)[0]
        if taken.kind != kind:
            raise TriageError(f"a mail of the simulation became {taken.kind}, not {kind}: {taken.reason}")
        return taken

    def _first_inbox(self, at: datetime) -> str:
        return next(iter(self.quarter.parts(at).inboxes))

    @staticmethod
    def _row(parts: Parts, ticket_id: int) -> Any:
        """The ticket's open row with the ticket's version and the draft's text, as the page shows them."""
        query = (
            sa.select(reviews.c.id, tickets.c.version, drafts.c.text)
            .join(tickets, tickets.c.id == reviews.c.ticket_id)
            .outerjoin(drafts, drafts.c.id == reviews.c.draft_id)
            .where(reviews.c.ticket_id == ticket_id, reviews.c.state == "open")
        )
        with parts.store.read() as connection:
            return connection.execute(query).mappings().one()

    @staticmethod
    def _thread(parts: Parts, ticket_id: int) -> list[str]:
        query = (
            sa.select(messages.c.message_id)
            .where(messages.c.ticket_id == ticket_id, messages.c.message_id.is_not(None))
            .order_by(messages.c.id)
        )
        with parts.store.read() as connection:
            return list(connection.execute(query).scalars())


def backup(routes: Routes, task: Task) -> str:
    """The model that is asked when the task's own does not answer: the first of another provider."""
    provider = routes.models[task.model].provider
    return next(name for name in task.backups if routes.models[name].provider != provider)


def wanted(turn: Turn, routes: Routes) -> tuple[str, str]:
    """The two models that an agent has draft side by side; the first one is preferred, or asked alone."""
    task = routes.tasks["draft"]
    both = (task.model, backup(routes, task))
    return both if turn.variant // 1000 % 3 == 0 else (both[1], both[0])
