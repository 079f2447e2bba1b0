"""Cases of drafts: a thread with a rubric that a program runs, or with the reply that the team sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

from pipeline.assembly import Brain
from pipeline.drafting import rubric
from pipeline.drafting.answer import read_answer
from pipeline.drafting.draft import DraftResult, write_draft
from pipeline.drafting.facts import plain
from pipeline.drafting.promises import promises_in
from pipeline.drafting.threads import Thread, ThreadMessage
from pipeline.drafting.transcript import account_text, transcript
from pipeline.errors import ModelOutputInvalid
from pipeline.evaluation.marks import Marked, Miss, listed
from pipeline.models.gateway import Context, Gateway, Plan
from pipeline.review.outcomes import AS_IS, LIGHT, REWRITTEN, measure

JUDGED_CHARS = 20_000
"""How much of a thread a judge is shown."""


@dataclass(frozen=True)
class DraftQuestion:
    """A thread to answer, through the same call and checks as in the pipeline, marked by its rubric."""

    brain: Brain = field(repr=False)
    case: rubric.Case
    strong: bool

    MEASURES = ("passed", "rubric", *rubric.Rubric.model_fields, "promises", "blocked", "schema_validity")

    @property
    def id(self) -> str:
        return self.case.id

    def ask(self, gateway: Gateway, plan: Plan) -> Marked:
        draft = _write(self.brain, gateway, plan, self.case.to_thread(), self.strong)
        spoken = rubric.spoken_language(draft.reply)
        marks: dict[str, bool] = {}
        misses: list[Miss] = []
        for key, wanted in self._stated().items():
            # the case with this one line of its rubric, the others made to hold
            alone = rubric.Rubric.model_validate({"language": spoken, "max_words": 10**6, key: wanted})
            found = rubric.failures(self.case.model_copy(update={"rubric": alone}), draft.reply, draft.asks)
            marks[key] = not found
            misses += [Miss(key, listed(wanted), sentence) for sentence in found]
        if "must_not_promise" in marks:
            marks["promises"] = not marks["must_not_promise"]
        passed = {"passed": not misses, "rubric": not misses, "blocked": bool(draft.blocked)}
        return Marked(self.id, marks | passed, tuple(misses), draft.latency_ms, answer=_answer(draft))

    def unanswered(self, why: str) -> Marked:
        marks = dict.fromkeys((*self._stated(), "passed", "rubric"), False)
        return Marked(self.id, marks, (Miss("answer", "a draft", why),))

    def soundness(self, raw: str) -> dict[str, bool]:
        return _draft_soundness(raw)

    def to_json(self) -> dict[str, Any]:
        return self.case.model_dump(mode="json", exclude_unset=True)

    def brief(self, answer: Mapping[str, Any]) -> dict[str, str]:
        return _brief(self.case.to_thread(), self.case.rubric.language, answer)

    def _stated(self) -> dict[str, Any]:
        stated = self.case.rubric.model_dump(exclude_unset=True)
        return {key: wanted for key, wanted in stated.items() if wanted}


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SentMessage(_Closed):
    role: str
    text: str
    created: datetime | None


class SentCase(_Closed):
    """A thread of the team's own, as it stood when the draft was written, and the reply that was sent.

    The team's policy is not kept with it: the one in force counts.
    """

    id: str
    messages: list[SentMessage]
    subject: str
    topic: str
    language: str
    fields: dict[str, Any]
    emotion: str
    customer_name: str | None
    customer_address: str | None
    sender_name: str
    account: dict[str, Any] | None
    reasons: list[str]
    sent: str

    def to_thread(self, policy: str | None) -> Thread:
        return Thread(
            messages=tuple(ThreadMessage(m.role, m.text, m.created) for m in self.messages),
            policy=policy,
            reasons=tuple(self.reasons),
            **self.model_dump(exclude={"id", "messages", "reasons", "sent"}),
        )


@dataclass(frozen=True)
class SentQuestion:
    """A thread of the team's own, marked by how much of the draft would have had to change.

    `passed` is a draft that would have gone out as it is or with light edits, and promises nothing that
    the team did not.
    """

    brain: Brain = field(repr=False)
    case: SentCase
    strong: bool

    MEASURES = ("passed", "usable", "rewritten", "language", "promises", "blocked", "schema_validity")
    NUMBERS = ("edit_share",)

    @property
    def id(self) -> str:
        return self.case.id

    def ask(self, gateway: Gateway, plan: Plan) -> Marked:
        draft = _write(self.brain, gateway, plan, self.case.to_thread(self.brain.policy), self.strong)
        measured = measure(draft.reply, self.case.sent, self.case.language)
        wanted, spoken = rubric.spoken_language(self.case.sent), rubric.spoken_language(draft.reply)
        given = {promise.category for promise in promises_in(plain(self.case.sent))}
        stray = sorted({promise.category for promise in promises_in(plain(draft.reply))} - given)
        misses: list[Miss] = []
        marks = {"language": spoken == wanted, "promises": bool(stray), "blocked": bool(draft.blocked)}
        if measured.edit_share is not None:
            marks |= {
                "usable": measured.outcome in (AS_IS, LIGHT),
                "rewritten": measured.outcome == REWRITTEN,
            }
            if not marks["usable"]:
                misses.append(Miss("usable", "as it is or light edits", f"{measured.edit_share:.0%} changed"))
        if not marks["language"]:
            misses.append(Miss("language", wanted, spoken))
        if stray:
            misses.append(Miss("promises", "none that the team did not give", listed(stray)))
        return Marked(
            self.id,
            marks | {"passed": not misses},
            tuple(misses),
            draft.latency_ms,
            numbers={} if measured.edit_share is None else {"edit_share": round(measured.edit_share, 4)},
            answer=_answer(draft),
        )

    def unanswered(self, why: str) -> Marked:
        marks = {"passed": False, "usable": False, "language": False}
        return Marked(self.id, marks, (Miss("answer", "a draft", why),))

    def soundness(self, raw: str) -> dict[str, bool]:
        return _draft_soundness(raw)

    def to_json(self) -> dict[str, Any]:
        return self.case.model_dump(mode="json")

    def brief(self, answer: Mapping[str, Any]) -> dict[str, str]:
        return _brief(self.case.to_thread(self.brain.policy), self.case.language, answer)


def _write(brain: Brain, gateway: Gateway, plan: Plan, thread: Thread, strong: bool) -> DraftResult:
    context = Context(task="draft", route="strong") if strong else Context(task="routine", route="cheap")
    return write_draft(gateway, brain.prompts, plan, context, thread, strong=strong)


def _answer(draft: DraftResult) -> dict[str, Any]:
    return {"reply": draft.reply, "asks": list(draft.asks), "blocked": list(draft.blocked)}


def _draft_soundness(raw: str) -> dict[str, bool]:
    try:
        read_answer(raw)
    except ModelOutputInvalid:
        return {"schema_validity": False}
    return {"schema_validity": True}


def _brief(thread: Thread, language: str, answer: Mapping[str, Any]) -> dict[str, str]:
    facts = [f"Account: {account_text(thread.account)}", f"Team policy: {thread.policy or 'none'}"]
    return {
        "task": "a reply to the customer, drafted for an agent to send",
        "language": language,
        "customer_name": thread.customer_name or "(unknown)",
        "facts": "\n".join(facts),
        "thread": transcript(thread, JUDGED_CHARS),
        "answer": str(answer["reply"]),
    }
