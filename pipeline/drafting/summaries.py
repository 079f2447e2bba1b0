"""A long thread in short: by a model whose figures are checked against the thread, else cut out by program.

A summary is reading matter for an agent, and data in the prompt of a draft; it is never evidence for what
a draft claims.

A case of `prompts/summary/cases.jsonl` has an id, why it is there, a thread (subject, language, messages)
and a rubric; patterns are regular expressions, tried without regard to case:

- `language` and `max_words` of the summary and its lists
- `must_mention`, `must_not_mention`: found anywhere in it, or nowhere
- `must_be_open`: each found in an open question; `nothing_open`: there is no open question
- `said_by`: pattern -> customer or team: a fact holds the pattern, and every fact that does names that side
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.drafting.answer import Clean
from pipeline.drafting.extracts import Said, extract
from pipeline.drafting.facts import code_key, facts_in, plain, same
from pipeline.drafting.leak import leaked
from pipeline.drafting.rubric import spoken_language
from pipeline.drafting.threads import Thread, ThreadMessage
from pipeline.drafting.transcript import transcript
from pipeline.errors import AllModelsFailed, ModelOutputInvalid
from pipeline.models import cases
from pipeline.models.gateway import Context, Gateway, Plan
from pipeline.models.prompts import Prompts

PROMPT = ("summary", "cheap")
SCHEMA_NAME = "summary"
THREAD_CHARS = 60_000
MAX_CHARS = 3_000
"""The longest summary, its lists included: about a page, and far under any model's window."""


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SummaryFact(_Closed):
    """Something that somebody in the thread stated."""

    text: Clean
    said_by: Literal["customer", "team"]


class SummaryAnswer(_Closed):
    """A summary as a model returns it."""

    summary: Clean
    open_questions: list[Clean]
    facts: list[SummaryFact]


SUMMARY_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "summary": {"type": "string", "description": "What was said so far, and where it stands."},
        "open_questions": {
            "type": "array",
            "items": {"type": "string"},
            "description": "Questions and requests that nobody has answered yet.",
        },
        "facts": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "text": {"type": "string", "description": "One statement, figures as written."},
                    "said_by": {"type": "string", "enum": ["customer", "team"]},
                },
                "required": ["text", "said_by"],
                "additionalProperties": False,
            },
        },
    },
    "required": ["summary", "open_questions", "facts"],
    "additionalProperties": False,
}


@dataclass(frozen=True)
class Summary:
    """A thread in short. `by` is the model's key in routes.toml, or None: the program cut it out.

    `prompt` is the digest; `cost_usd` counts the attempts of the call that answered, and is zero where
    none did: the ledger has those.
    """

    text: str
    open_questions: tuple[str, ...]
    facts: tuple[Said, ...]
    by: str | None = None
    prompt: str | None = None
    call_id: int | None = None
    cost_usd: Decimal = Decimal(0)
    latency_ms: int = 0
    attempts: tuple[str, ...] = ()

    def as_text(self, max_chars: int = MAX_CHARS) -> str:
        """The whole summary as plain lines; what is last is left out first."""
        lines = [self.text]
        lines += ["Open:", *(f"- {question}" for question in self.open_questions)] * bool(self.open_questions)
        lines += ["Said:", *(f"- {fact.said_by}: {fact.text}" for fact in self.facts)] * bool(self.facts)
        shown = lines[0][:max_chars]
        for line in lines[1:]:
            if len(shown) + 1 + len(line) > max_chars:
                break
            shown += f"\n{line}"
        return shown

    def to_json(self) -> dict[str, Any]:
        """What a page or a row shows of it."""
        return {
            "summary": self.text,
            "open_questions": list(self.open_questions),
            "facts": [{"text": fact.text, "said_by": fact.said_by} for fact in self.facts],
            "by": self.by,
        }


def summarise(
    gateway: Gateway, prompts: Prompts, plan: Plan, context: Context, thread: Thread, *, language: str = "en"
) -> Summary:
    """Sum a thread up for the team, by the models of the plan; where none can, `extracted`.

    `language` is the team's, like that of a triage's one-line summary. Not to be called inside a
    transaction. Raises `ConfigError` for a damaged prompt file, and the store's errors.
    """
    prompt = prompts.load(*PROMPT).render(
        [thread.customer_name] if thread.customer_name else [],
        language=language,
        thread=transcript(thread, THREAD_CHARS),
    )
    try:
        answered = gateway.ask(
            plan,
            prompt,
            context,
            schema=SUMMARY_SCHEMA,
            schema_name=SCHEMA_NAME,
            input={},
            check=lambda text: read_summary(text, thread, prompt.system, prompt.fence),
        )
    except AllModelsFailed as error:
        return replace(extracted(thread), attempts=error.kinds)
    answer: SummaryAnswer = answered.value
    return Summary(
        text=answer.summary,
        open_questions=tuple(answer.open_questions),
        facts=tuple(Said(fact.text, fact.said_by) for fact in answer.facts),
        by=answered.choice.key,
        prompt=answered.prompt,
        call_id=answered.call_id,
        cost_usd=answered.cost_usd,
        latency_ms=answered.latency_ms,
        attempts=answered.attempts,
    )


def extracted(thread: Thread) -> Summary:
    """The summary that needs no model: `extracts.extract`, within `MAX_CHARS`."""
    cut = extract(thread, MAX_CHARS)
    return Summary(cut.text, cut.questions, cut.facts)


# --- the check of a model's summary -----------------------------------------------------------------------

_A = TypeVar("_A", bound=BaseModel)
_IN_CODE_FENCE = re.compile(r"\s*```(?:json)?\s*\n(.*)\n\s*```\s*", re.DOTALL | re.IGNORECASE)
_FIGURE = re.compile(r"\d+(?:[.,:/'’-]\d+)*")


def read_json(text: str, model: type[_A]) -> _A:
    """A model's JSON answer. Raises `ModelOutputInvalid` with a sentence that it can mend its answer by."""
    in_fence = _IN_CODE_FENCE.fullmatch(text)
    try:
        return model.model_validate_json(in_fence[1] if in_fence else text)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the answer"
        raise ModelOutputInvalid(f"{where}: {first['msg']}") from None


def read_summary(text: str, thread: Thread, instructions: str = "", fence: str = "") -> SummaryAnswer:
    """Parse and check a model's summary: its figures stand in the thread, and with the side it names.

    `instructions` and `fence` are those of its prompt; neither may come out. Raises `ModelOutputInvalid`.
    """
    answer = read_json(text, SummaryAnswer)
    answer = SummaryAnswer(
        summary=answer.summary.strip(),
        open_questions=[" ".join(question.split()) for question in answer.open_questions if question.strip()],
        facts=[fact for fact in answer.facts if fact.text.strip()],
    )
    if not answer.summary:
        raise ModelOutputInvalid("summary: is empty; say in a few sentences what was written")
    if (length := len("\n".join(_parts(answer)))) > MAX_CHARS:
        raise ModelOutputInvalid(f"it has {length} characters, more than {MAX_CHARS}; write less")
    if strays := unfounded("\n".join(_parts(answer)), _told(thread)):
        raise ModelOutputInvalid(
            f"it holds {', '.join(strays[:5])}, which does not stand in the thread like that; copy figures, "
            "links and addresses as they are written there, and count nothing"
        )
    ours = f"{thread.text_by('agent')[-THREAD_CHARS:]} {thread.sender_name} {_dates(thread)}"
    for fact in answer.facts:
        if fact.said_by == "team" and (strays := unfounded(fact.text, ours)):
            raise ModelOutputInvalid(
                f"facts: {', '.join(strays[:5])} does not stand in a message of our team; say who wrote it"
            )
    if leaked("\n".join(_parts(answer)), instructions, fence, [_told(thread)]):
        raise ModelOutputInvalid("it repeats the instructions; sum up the thread alone")
    return answer


def unfounded(text: str, source: str) -> list[str]:
    """The figures, links and addresses of a text that do not stand in the source, in order, each once."""
    text, source = plain(text), plain(source)
    known = facts_in(source)
    strays = [
        fact.text
        for fact in facts_in(text)
        if not any(fact.kind == other.kind and same(fact.kind, fact.keys, other.keys) for other in known)
        and (fact.kind in ("link", "email", "amount", "date") or code_key(fact.text) not in code_key(source))
    ]
    strays += [
        figure
        for figure in _FIGURE.findall(text)
        if not re.search(rf"(?<!\d){re.escape(figure)}(?!\d)", source)
        and not any(figure in stray for stray in strays)
    ]
    return list(dict.fromkeys(strays))


def _parts(answer: SummaryAnswer) -> list[str]:
    return [answer.summary, *answer.open_questions, *(fact.text for fact in answer.facts)]


def _told(thread: Thread) -> str:
    """All that a summary may tell: what the prompt's transcript shows of the thread, without its heads."""
    lines = transcript(thread, THREAD_CHARS).splitlines()
    said = [line[2:] for line in lines if line.startswith("| ")]
    return "\n".join([thread.subject, *said, thread.customer_name or "", thread.sender_name, _dates(thread)])


def _dates(thread: Thread) -> str:
    return " ".join(f"{message.created:%Y-%m-%d %H:%M}" for message in thread.messages if message.created)


# --- cases and marks --------------------------------------------------------------------------------------


class _Message(_Closed):
    role: Literal["customer", "agent"]
    text: str


class _Thread(_Closed):
    subject: str = ""
    language: str
    messages: list[_Message] = Field(min_length=2)


class Rubric(_Closed):
    """What a summary must hold; see the module."""

    language: str = "en"
    max_words: int = Field(160, gt=0)
    must_mention: list[str] = []
    must_not_mention: list[str] = []
    must_be_open: list[str] = []
    nothing_open: bool = False
    said_by: dict[str, Literal["customer", "team"]] = {}


class Case(_Closed):
    """One case. `why` says what it is there for."""

    id: str
    why: str = ""
    thread: _Thread
    rubric: Rubric

    def to_thread(self) -> Thread:
        return Thread(
            tuple(ThreadMessage(message.role, message.text) for message in self.thread.messages),
            subject=self.thread.subject,
            language=self.thread.language,
        )


def read_cases(path: Path) -> list[Case]:
    """The cases of a file. Raises `InputError` naming file and line."""
    return [case for _, case in cases.read_cases(path, Case)]


def marks(case: Case, summary: Summary) -> dict[str, bool]:
    """How a summary did on its case: one mark for each thing that the case states, and `figures`."""
    rubric = case.rubric
    text = "\n".join([summary.text, *summary.open_questions, *(fact.text for fact in summary.facts)])
    found = {
        "language": spoken_language(summary.text) == rubric.language,
        "max_words": len(text.split()) <= rubric.max_words,
        "figures": not unfounded(text, _told(case.to_thread())),
    }
    if rubric.must_mention:
        found["must_mention"] = all(_in(pattern, [text]) for pattern in rubric.must_mention)
    if rubric.must_not_mention:
        found["must_not_mention"] = not any(_in(pattern, [text]) for pattern in rubric.must_not_mention)
    if rubric.must_be_open:
        found["must_be_open"] = all(_in(pattern, summary.open_questions) for pattern in rubric.must_be_open)
    if rubric.nothing_open:
        found["nothing_open"] = not summary.open_questions
    if rubric.said_by:
        found["said_by"] = all(
            {fact.said_by for fact in summary.facts if _in(pattern, [fact.text])} == {side}
            for pattern, side in rubric.said_by.items()
        )
    return found


def _in(pattern: str, texts: Iterable[str]) -> bool:
    return any(re.search(pattern, text, re.IGNORECASE) for text in texts)
