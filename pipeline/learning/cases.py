"""A reviewed pair as a row of its prompt's `cases.jsonl`: what the agent did, redacted, and confirmed by a person.

A row that was confirmed is an approved proposal; `triage proposals diff` writes it as a change of the file.
"""

from __future__ import annotations

import json
import math
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from pipeline.assembly import Parts
from pipeline.db.tables import drafts, messages, proposals, reviews, tickets
from pipeline.db.types import now
from pipeline.drafting import rubric
from pipeline.drafting.deadlines import deadlines_in
from pipeline.drafting.facts import facts_in, plain
from pipeline.drafting.promises import promises_in
from pipeline.drafting.threads import Thread, load_thread
from pipeline.errors import ConflictError, InputError, NotFoundError
from pipeline.evaluation.ticket_cases import as_it_stood, case_of_message, value_of
from pipeline.evaluation.triage_cases import read_triage_cases
from pipeline.models.redaction import WORDS, Redactor
from pipeline.reports.weeks import Week
from pipeline.review.agents import Agent
from pipeline.review.desk import REJECT_REASONS

KIND = "case"
DRAFTING = ("routine", "draft")
PERSONAL = ("cards", "secrets", "ibans", "emails", "phones", "names")
LONGEST = 100_000
PROMISES = ("refund", "discount", "replacement")
_SPACE = 1.5
"""A draft may have so many times the words of what the agent sent."""


@dataclass(frozen=True)
class Offer:
    """A row to look at. `task` is triage, routine or draft; `text` is the row as indented JSON; `hidden` says
    what was taken out of it. `review_id` is set for a draft, `message_id` for a reading. `kept` is set where it
    was confirmed before. `draft` and what was `sent` in its place are as they were, names and all: they are to
    judge the row by, and no part of it."""

    task: str
    file: str
    id: str
    text: str
    hidden: tuple[str, ...]
    says: str
    ticket_id: int
    review_id: int | None
    message_id: int | None
    kept: bool
    draft: str = ""
    sent: str | None = None
    language: str = ""


def of_review(parts: Parts, review_id: int) -> Offer:
    """The row of a draft that an agent judged. Raises `NotFoundError`, or `InputError` where it makes none."""
    with parts.store.read() as connection:
        row = connection.execute(
            sa.select(
                reviews.c.id.label("review_id"),
                *(reviews.c[name] for name in ("state", "action", "outcome", "edit_share", "reject_reason")),
                *(reviews.c[name] for name in ("note", "sent_text")),
                drafts,
                messages.c.received_at,
                tickets.c.inbox,
            )
            .join(drafts, drafts.c.id == reviews.c.draft_id)
            .join(messages, messages.c.id == drafts.c.message_id)
            .join(tickets, tickets.c.id == drafts.c.ticket_id)
            .where(reviews.c.id == review_id)
        ).one_or_none()
        if row is None:
            raise NotFoundError(f"review {review_id} has no draft to make a case of")
        if row.state != "decided" or row.outcome in (None, "expired", "unscorable"):
            raise InputError("nobody judged this draft, so it shows nothing; judge it first")
        if row.task not in DRAFTING:
            raise InputError(f"there are no cases of {row.task}")
        thread = load_thread(connection, row.ticket_id, parts.policy, parts.sender_name(row.inbox))
        if thread.stranger is not None:
            raise InputError("a stranger wrote into this thread: it makes no case")
        then = as_it_stood(connection, row, thread)
        id = f"review-{review_id}"
        kept = _kept(connection, row.task, id)
    case, hidden = _draft_case(parts, id, then, row)
    return Offer(
        row.task, _file(row.task), id, _shown(case), hidden, case["why"], row.ticket_id, review_id, None, kept,
        row.text, row.sent_text, row.language,
    )  # fmt: skip


def of_message(parts: Parts, message_id: int) -> Offer:
    """The row of a reading, with what agents put right in it. Raises as `of_review`."""
    with parts.store.read() as connection:
        found = case_of_message(connection, message_id)
        if found is None:
            raise InputError("the ticket's topic is another message's: nobody vouches for this reading's")
        ticket_id = connection.execute(
            sa.select(messages.c.ticket_id).where(messages.c.id == message_id)
        ).scalar_one()
        kept = _kept(connection, "triage", found.id)
    given = found.model_dump(mode="json", exclude_unset=True, exclude={"received", "known_names"})
    given["why"] = "an agent put the reading right, or let it stand"
    redactor = _redactor(parts)
    case, hidden = _redacted(redactor, given, found.known_names)
    # a value that was hidden in the text is nothing that a reading could be asked for
    expect = {
        name: [value for value in values if "[" not in value] if isinstance(values, list) else values
        for name, values in case["expect"].items()
    }
    case |= {"id": found.id, "expect": expect}
    return Offer(
        "triage",
        _file("triage"),
        found.id,
        _shown(case),
        hidden,
        given["why"],
        ticket_id,
        None,
        message_id,
        kept,
    )


def keep(parts: Parts, offer: Offer, agent: Agent, text: str, *, not_personal: bool = False) -> int:
    """Keep the row as the person left it, as an approved proposal; returns its id.

    Raises `InputError` for a row that the evaluation's own reader refuses, or that holds something personal,
    unless the person says that it is none; `ConflictError` where it was kept already.
    """
    case = checked(parts, offer.task, text)
    if not not_personal and (left := personal(parts, case)):
        raise InputError(
            f"it still holds what looks like {_listed(left)}: put another in its place, or say that it is not personal"
        )
    week = str(Week.of(now(), parts.settings.zone))
    title = f"A case for {offer.task}: {case.get('why') or case['id']}"[:300]
    try:
        with parts.store.write() as connection:
            done = connection.execute(
                proposals.insert().values(
                    key=_key(offer.task, offer.id),
                    kind=KIND,
                    title=title,
                    file=offer.file,
                    content={"line": json.dumps(_in_order(case), ensure_ascii=False)},
                    evidence=[] if offer.review_id is None else [offer.review_id],
                    effect={},
                    week=week,
                    state="approved",
                    created_at=now(),
                    decided_at=now(),
                    decided_by=agent.id,
                )
            )
    except IntegrityError:
        raise ConflictError("somebody made a case of this already") from None
    key = done.inserted_primary_key
    assert key is not None
    return int(key[0])


def checked(parts: Parts, task: str, text: str) -> dict[str, Any]:
    """The row, once the reader of `triage eval` has taken it together with the rows of the file in force."""
    if len(text) > LONGEST:
        raise InputError(f"a case has at most {LONGEST:,} characters")
    try:
        case = json.loads(text)
        line = json.dumps(case, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise InputError(
            "it holds a half of a character, which is no character: take out the \\ud8…"
        ) from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"this is no JSON: {error}") from None
    if not isinstance(case, dict):
        raise InputError("a case is one JSON object, in { and }")
    file = parts.prompts.folder / task / "cases.jsonl"
    there = file.read_text(encoding="utf-8-sig") if file.exists() else ""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cases.jsonl"
        path.write_bytes(f"{there.rstrip()}\n".encode() + line + b"\n")
        try:
            if task == "triage":
                read_triage_cases(path, parts.routes.topics)
            else:
                for one in rubric.read_cases(path)[-1:]:
                    _compile(one.rubric)
        except InputError as error:
            raise InputError(re.sub(rf"^{re.escape(str(path))}:\d+: ", "", str(error))) from None
    return case


def personal(parts: Parts, case: Mapping[str, Any]) -> tuple[str, ...]:
    """What kinds of personal data the row still holds; the team's own policy and name are not looked at."""
    found = set[str]()
    redactor = _redactor(parts, kinds=("emails", "phones", "ibans"))
    _walked(_without_own(case), lambda text: found.update(one.kind for one in redactor.find(text)))
    return tuple(sorted(found, key=list(WORDS).index))


# --- building the row -----------------------------------------------------------------------------------


def _draft_case(parts: Parts, id: str, then: Thread, row: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    given: dict[str, Any] = {
        "thread": {
            "messages": [
                {"role": message.role, "text": message.text}
                for message in then.messages
                if message.role in ("customer", "agent")
            ],
            "subject": then.subject,
            "topic": then.topic,
            "language": then.language,
            "fields": {name: [value_of(item) for item in items] for name, items in then.fields.items()},
            "emotion": then.emotion,
            "customer_name": then.customer_name,
            "account": then.account,
            "reasons": list(then.reasons),
        },
        "draft": row.text,
        "sent": row.sent_text or "",
        "why": _why(row),
    }
    names = [name for name in (then.customer_name,) if name]
    hidden_case, hidden = _redacted(_redactor(parts), given, names)
    thread = hidden_case["thread"] | {"sender_name": then.sender_name, "policy": then.policy}
    case = {
        "id": id,
        "why": hidden_case["why"],
        "thread": thread,
        "rubric": _rubric(hidden_case, row.language, row.reject_reason),
    }
    return case, hidden


def _why(row: Any) -> str:
    if row.outcome == "rejected":
        words = f"an agent rejected the draft: {REJECT_REASONS.get(row.reject_reason, row.reject_reason)}"
        return words + (f" ({row.note})" if row.note and "\n" not in row.note else "")
    if row.outcome == "replaced":
        return "an agent answered without the draft"
    share = f", {row.edit_share:.0%} of it changed" if row.edit_share else ""
    return f"an agent judged the draft {row.outcome.replace('_', ' ')}{share}"


def _rubric(given: Mapping[str, Any], language: str, reject_reason: str | None) -> dict[str, Any]:
    """What the agent's text has and the draft has not is asked for; what the agent took out must not come back,
    unless it stands in the thread: then it was right, and merely not needed."""
    sent = str(given["sent"])
    wrote, answered = plain(str(given["draft"])), plain(sent)
    texts: list[str] = []
    _walked(given["thread"], texts.append)
    known = facts_in(plain("\n".join(texts)))
    wanted = language.split("-")[0]
    if sent and reject_reason is None:
        wanted = rubric.spoken_language(sent)
    found: dict[str, Any] = {"language": wanted}
    if sent:
        old, new = facts_in(wrote), facts_in(answered)
        added = [fact.text for fact in new if not any(fact.keys & other.keys for other in old)]
        removed = [fact.text for fact in old if not any(fact.keys & other.keys for other in (*new, *known))]
        for name, texts in (("must_mention", added), ("must_not_mention", removed)):
            if kept := [re.escape(text) for text in dict.fromkeys(texts) if "[" not in text]:
                found[name] = kept
    promised = _promised(wrote) - _promised(answered)
    if promised:
        found["must_not_promise"] = sorted(promised)
    words = len((answered or wrote).split())
    found["max_words"] = max(60, math.ceil(words * _SPACE / 10) * 10)
    return found


def _promised(text: str) -> set[str]:
    found = {promise.category for promise in promises_in(text)} & set(PROMISES)
    return found | ({"deadline"} if deadlines_in(text) else set())


def _redacted(
    redactor: Redactor, given: dict[str, Any], names: Sequence[str]
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The texts of it with marks, the same value with the same mark everywhere; and what was hidden, in words."""
    texts: list[str] = []
    _walked(given, texts.append)
    shown, marks = redactor.redact(texts, names)
    new = iter(shown)
    case = _walked(given, lambda _text: next(new))
    counts: dict[str, int] = {}
    for mark in marks.back:
        kind = mark[1:].split(" ")[0]
        counts[kind] = counts.get(kind, 0) + 1
    hidden = tuple(f"{count} {kind}{'s' if count > 1 else ''}" for kind, count in counts.items())
    return case, hidden


def _walked(value: Any, change: Callable[[str], Any]) -> Any:
    """The value with each text in it, but for keys, changed; always in the same order."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {key: _walked(item, change) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_walked(item, change) for item in value]
    return value


def _without_own(case: Mapping[str, Any]) -> dict[str, Any]:
    thread = case.get("thread")
    kept = {name: value for name, value in case.items() if name not in ("id", "thread")}
    if isinstance(thread, Mapping):
        kept["thread"] = {name: v for name, v in thread.items() if name not in ("policy", "sender_name")}
    return kept


def _redactor(parts: Parts, kinds: Sequence[str] = PERSONAL) -> Redactor:
    return Redactor(kinds, region=parts.routes.region)


def _compile(wanted: rubric.Rubric) -> None:
    for name in ("must_ask", "must_not_ask", "must_mention", "must_not_mention"):
        for pattern in getattr(wanted, name):
            try:
                re.compile(pattern)
            except re.error as error:
                raise InputError(f"rubric.{name}: {pattern!r} is no regular expression: {error}") from None


def _kept(connection: sa.Connection, task: str, id: str) -> bool:
    query = sa.select(proposals.c.id).where(proposals.c.key == _key(task, id))
    return connection.execute(query).first() is not None


def _key(task: str, id: str) -> str:
    return f"{KIND}:{task}:{id}"


def _file(task: str) -> str:
    return f"prompts/{task}/cases.jsonl"


def _shown(case: Mapping[str, Any]) -> str:
    """What is expected stands before the thread: it is what a person has to look at."""
    order = {"id": 0, "why": 1, "expect": 2, "rubric": 2}
    first = dict(sorted(case.items(), key=lambda item: order.get(item[0], 3)))
    return json.dumps(first, ensure_ascii=False, indent=2)


def _in_order(case: Mapping[str, Any]) -> dict[str, Any]:
    """As the file has it."""
    order = ["id", "why", "thread", "rubric", "subject", "body", "expect"]
    return dict(sorted(case.items(), key=lambda item: [*order, item[0]].index(item[0])))


def _listed(kinds: Sequence[str]) -> str:
    said = [f"{'an' if WORDS[kind][0] in 'aei' else 'a'} {WORDS[kind]}" for kind in kinds]
    return " and ".join(said)


__all__ = ["DRAFTING", "KIND", "Offer", "checked", "keep", "of_message", "of_review", "personal"]
