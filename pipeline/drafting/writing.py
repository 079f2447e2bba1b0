"""Writing tools on an agent's own text: one prompt, a closed table of tasks, and a check that nothing got
lost or was added. No program stands in for the model here: without one there is no rewriting.

A case of `prompts/writing/cases.jsonl` has an id, why it is there, a tool, the text, its language in
`text_language`, sometimes a thread, and a rubric; patterns are regular expressions, tried without regard
to case:

- `language` that the result must be in, `max_words` that it may have
- `must_mention`, `must_not_mention`: found in the result, or not
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from pipeline.drafting.answer import Clean
from pipeline.drafting.deadlines import deadlines_in
from pipeline.drafting.facts import Fact, code_key, facts_in, number_value, plain, same
from pipeline.drafting.leak import leaked
from pipeline.drafting.promises import NAMED, promises_in
from pipeline.drafting.rubric import spoken_language
from pipeline.drafting.summaries import read_json
from pipeline.drafting.threads import Thread, ThreadMessage
from pipeline.drafting.transcript import transcript
from pipeline.errors import InputError, ModelOutputInvalid
from pipeline.models import cases
from pipeline.models.gateway import Context, Gateway, Plan
from pipeline.models.prompts import Prompts, Rendered

PROMPT = ("writing", "cheap")
SCHEMA_NAME = "written"
MAX_TEXT_CHARS = 12_000
THREAD_CHARS = 6_000


@dataclass(frozen=True)
class Tool:
    """One thing that can be done to a text: its name on the page, and what the model is told."""

    label: str
    instruction: str


TOOLS: dict[str, Tool] = {
    "grammar": Tool(
        "Fix grammar",
        "Correct spelling, grammar and punctuation. Change no word that is not wrong; keep tone and length.",
    ),
    "shorten": Tool(
        "Shorten",
        "Say the same in clearly fewer words. Drop repetitions and filler, never a fact, a question or a step.",
    ),
    "formal": Tool(
        "More formal",
        "Say the same in a formal, polite register: full sentences, the polite form of address, no slang, "
        "no emoji.",
    ),
    "friendly": Tool(
        "Friendlier",
        "Say the same in a warmer, more personal tone, without gushing, slang or exclamation marks in a row.",
    ),
    "translate": Tool(
        "Translate",
        "Translate the text into the language of the result, as a native support agent would write it, in "
        "the polite form.",
    ),
    "refine": Tool(
        "Refine",
        "Polish the text as a careful second reader would: clear order, plain sentences, every matter of the "
        "thread that it takes up easy to find. Add nothing to its substance.",
    ),
}
"""The tools by the name that a request gives. What is not in here is not asked of a model."""

ToolName = Literal["grammar", "shorten", "formal", "friendly", "translate", "refine"]


class WrittenAnswer(BaseModel):
    """A reworked text as a model returns it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    text: Clean


WRITTEN_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"text": {"type": "string", "description": "The reworked text, whole."}},
    "required": ["text"],
    "additionalProperties": False,
}


@dataclass(frozen=True)
class Written:
    """A reworked text, for the agent to take or leave.

    `warnings` are plain sentences on what reads like more than the original said, a promise above all.
    """

    text: str
    warnings: tuple[str, ...]
    call_id: int | None
    model: str
    prompt: str
    cost_usd: Decimal
    latency_ms: int


def write(
    gateway: Gateway,
    prompts: Prompts,
    plan: Plan,
    context: Context,
    *,
    tool: str,
    text: str,
    language: str,
    thread: Thread | None = None,
) -> Written:
    """Rework an agent's text. `language` (ISO 639-1) is the result's: for all tools but translate, that of
    the text. `thread` is what the text answers, for the model to understand it by.

    Not to be called inside a transaction. Raises `InputError` for an unknown tool or a text that is empty or
    too long, `AllModelsFailed` where no model did it, `ConfigError` for a damaged prompt file.
    """
    text = text.strip()
    prompt = prompt_for(prompts, tool=tool, text=text, language=language, thread=thread)
    shown = _shown(thread)

    def check(raw: str) -> str:
        result = read_json(raw, WrittenAnswer).text.strip()
        if faults := list(faults_in(tool, text, result, language)):
            raise ModelOutputInvalid(f"text: {'; '.join(faults[:5])}")
        if leaked(result, prompt.system, prompt.fence, [text, shown]):
            raise ModelOutputInvalid("text: repeats the instructions; rework the text alone")
        return result

    answered = gateway.ask(
        plan, prompt, context, schema=WRITTEN_SCHEMA, schema_name=SCHEMA_NAME, input={}, check=check
    )
    return Written(
        text=answered.value,
        warnings=tuple(_warnings(text, answered.value)),
        call_id=answered.call_id,
        model=answered.choice.key,
        prompt=answered.prompt,
        cost_usd=answered.cost_usd,
        latency_ms=answered.latency_ms,
    )


def prompt_for(prompts: Prompts, *, tool: str, text: str, language: str, thread: Thread | None) -> Rendered:
    """What the model of `write` is asked; raises as `write` does."""
    if tool not in TOOLS:
        raise InputError(f"there is no writing tool {tool!r}; there are {', '.join(TOOLS)}")
    text = text.strip()
    if not text:
        raise InputError("there is no text to work on; write some first")
    if len(text) > MAX_TEXT_CHARS:
        raise InputError(f"the text is longer than {MAX_TEXT_CHARS} characters; take a part of it")
    return prompts.load(*PROMPT).render(
        [thread.customer_name] if thread and thread.customer_name else [],
        instruction=TOOLS[tool].instruction,
        language=language,
        text=text,
        thread=_shown(thread),
    )


def _shown(thread: Thread | None) -> str:
    return transcript(thread, THREAD_CHARS) if thread else "(none)"


# --- what must hold of a reworked text ----------------------------------------------------------------

_TELLING_WORDS = 8
"""A text of fewer words can be taken for another language."""

_PLACEHOLDER = re.compile(
    r"\[[^\W\d_][^\[\]\n]{1,40}\]|\{\{?[^{}\n]{1,40}\}\}?|<[a-z]+(?:[ _][a-z]+)*>", re.I
)


def faults_in(tool: str, text: str, result: str, language: str) -> Iterator[str]:
    """What is wrong with a result by program alone, one clause each; nothing if it may be shown."""
    if not result:
        yield "is empty; give the whole reworked text"
        return
    if tool == "shorten" and len(result) >= len(text):
        yield "is not shorter than the original"
    if len(result) > 3 * len(text) + 400:
        yield "is far longer than the original; add nothing"
    if len(result.split()) >= _TELLING_WORDS:
        spoken, was = spoken_language(result), spoken_language(text)
        if spoken != language and (tool == "translate" or spoken != was):
            yield f"is not in the language {language}"
    yield from (f"holds the placeholder {found}" for found in _new(_PLACEHOLDER.findall(result), text))
    yield from changes(text, result)


def changes(text: str, result: str) -> Iterator[str]:
    """Each link, address, code, amount, date or figure that one of two texts has and the other lacks.

    A date may be written in another way, an amount with other marks, an hour on a clock of 12 or 24.
    """
    text, result = plain(text), plain(result)
    before, after = (
        [fact for fact in facts_in(one) if not _PLAIN_FIGURE.fullmatch(fact.text)] for one in (text, result)
    )
    for kinds, name in ((("link", "email"), "address"), (("iban", "card", "phone", "number"), "number")):
        for fact in before:
            if fact.kind in kinds and not _stands(fact, result):
                yield f"the {name} {fact.text} of the original is missing or changed"
        for fact in after:
            if fact.kind in kinds and not _stands(fact, text):
                yield f"the {name} {fact.text} does not stand in the original"
    sums = [
        {key for fact in facts if fact.kind == "amount" for key in fact.keys} for facts in (before, after)
    ]
    for one in sorted(sums[1] - sums[0]):
        value = one.split(" ")[0]
        if any(other.split(" ")[0] == value for other in sums[0]):
            yield f"the amount {value} has another currency than in the original"
    had, has = _figures(text, before, after), _figures(result, after, before)
    missing, added = had.numbers - has.numbers, has.numbers - had.numbers
    missing -= _as_hours(missing, has.hours - had.hours)
    added -= _as_hours(added, had.hours - has.hours)
    lost = had.hours - has.hours - {_on_twelve(number) for number in has.numbers}
    new = has.hours - had.hours - {_on_twelve(number) for number in had.numbers}
    yield from (f"the figure {figure} of the original is missing" for figure in sorted(missing | lost))
    yield from (f"the figure {figure} does not stand in the original" for figure in sorted(added | new))


def _stands(fact: Fact, text: str) -> bool:
    if fact.kind in ("link", "email"):
        return fact.text.rstrip("/").casefold() in text.casefold()
    return code_key(fact.text) in code_key(text)


_NUMBER = re.compile(r"\d{1,3}(?: \d{3})+(?!\d)(?:[.,]\d{1,2}(?!\d))?|\d+(?:[.,'’]\d+)*")
_CLOCK = re.compile(
    r"(?<![\d.,:])(\d{1,2})(?:[:.](\d{2}))?\s?(?:[ap]\.?m\b\.?|uhr\b)"
    r"|(?<![\d.,:])(\d{1,2})[:h](\d{2})(?![\d:])",
    re.IGNORECASE,
)
_PLAIN_FIGURE = re.compile(r"\d{1,2}h\d{2}|\d{1,3}(?:[.,]\d{3})*[.,]\d{1,2}", re.IGNORECASE)
"""What is found as a number of an order or account, and is an hour or a decimal."""


@dataclass(frozen=True)
class _Figures:
    """`numbers` in one spelling; `hours` on a clock of twelve, such as 2:30 for half past two."""

    numbers: set[str]
    hours: set[str]


def _figures(text: str, facts: list[Fact], others: list[Fact]) -> _Figures:
    """The figures of a text, without the dates that the other text has too."""
    for fact in sorted(facts, key=lambda fact: -fact.start):
        end = fact.start + len(fact.text)
        if fact.kind == "date" and any(
            other.kind == "date" and same("date", fact.keys, other.keys) for other in others
        ):
            text = f"{text[: fact.start]} · {text[end:]}"
    hours = {
        f"{int(match[1] or match[3]) % 12}:{match[2] or match[4] or '00'}" for match in _CLOCK.finditer(text)
    }
    numbers = (match[0].strip(".,'’") for match in _NUMBER.finditer(_CLOCK.sub(" · ", text)))
    return _Figures({number_value(number) or number for number in numbers}, hours)


def _as_hours(numbers: set[str], hours: set[str]) -> set[str]:
    """Those of the numbers that the other text has as an hour: "à 14 h" and "at 2 pm"."""
    return {number for number in numbers if _on_twelve(number) in hours}


def _on_twelve(number: str) -> str:
    return f"{int(number) % 12}:00" if number.isdecimal() and int(number) <= 24 else number


def _warnings(text: str, result: str) -> Iterator[str]:
    text, result = plain(text), plain(result)
    promised = {promise.category for promise in promises_in(text)}
    for category in dict.fromkeys(promise.category for promise in promises_in(result)):
        if category not in promised:
            yield f"It reads like a promise of {NAMED[category]}; your text did not, in so many words."
    spans = {form for _, form in deadlines_in(text)}
    for words, form in deadlines_in(result):
        if form[0].isdigit() and form not in spans:
            yield f"It names a time, “{words}”, which your text did not."


def _new(found: Iterable[str], text: str) -> list[str]:
    return [item for item in found if item not in text]


# --- cases and marks --------------------------------------------------------------------------------------


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Message(_Closed):
    role: Literal["customer", "agent"]
    text: str


class Rubric(_Closed):
    """What a reworked text must hold; see the module."""

    language: str
    max_words: int = Field(400, gt=0)
    must_mention: list[str] = []
    must_not_mention: list[str] = []


class Case(_Closed):
    """One case. `why` says what it is there for."""

    id: str
    why: str = ""
    tool: ToolName
    text: str
    text_language: str
    thread: list[_Message] = []
    rubric: Rubric

    def to_thread(self) -> Thread | None:
        if not self.thread:
            return None
        return Thread(tuple(ThreadMessage(message.role, message.text) for message in self.thread))


def read_cases(path: Path) -> list[Case]:
    """The cases of a file. Raises `InputError` naming file and line."""
    return [case for _, case in cases.read_cases(path, Case)]


def marks(case: Case, result: str) -> dict[str, bool]:
    """How a reworked text did on its case: `kept`, and one mark for each thing that the case states."""
    rubric = case.rubric
    found = {
        "language": spoken_language(result) == rubric.language,
        "kept": not list(changes(case.text, result)),
        "max_words": len(result.split()) <= rubric.max_words,
    }
    if case.tool == "shorten":
        found["shorter"] = len(result) < len(case.text)
    if rubric.must_mention:
        found["must_mention"] = all(re.search(p, result, re.IGNORECASE) for p in rubric.must_mention)
    if rubric.must_not_mention:
        found["must_not_mention"] = not any(
            re.search(p, result, re.IGNORECASE) for p in rubric.must_not_mention
        )
    return found
