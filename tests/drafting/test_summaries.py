"""Long threads in short: checked against the thread, and in time before a model is asked once more."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pipeline.db.store import Store
from pipeline.db.tables import metadata, model_calls
from pipeline.drafting import routine, strong
from pipeline.drafting.draft import DraftResult, write_draft
from pipeline.drafting.extracts import Said
from pipeline.drafting.facts import facts_in, plain
from pipeline.drafting.summaries import (
    MAX_CHARS,
    Summary,
    extracted,
    marks,
    read_cases,
    read_summary,
    summarise,
)
from pipeline.drafting.template_provider import TemplateProvider
from pipeline.drafting.threads import Thread, ThreadMessage, older_messages, shortened
from pipeline.drafting.transcript import transcript
from pipeline.errors import AllModelsFailed, InputError, ModelOutputInvalid
from pipeline.models.base import Choice, Provider
from pipeline.models.gateway import Context, Gateway, Plan
from pipeline.models.ledger import StoreLedger
from pipeline.models.prices import Prices
from pipeline.models.prompts import Prompts
from pipeline.models.providers.anthropic import AnthropicProvider
from pipeline.models.providers.openai import OpenAIProvider
from tests.kit import model_replies as replies
from tests.kit.model_server import ModelServer

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("TRIAGE_TEST_DATA") or ROOT / "../shared/data")
PROMPTS = Prompts(ROOT / "prompts")
CASES = ROOT / "prompts" / "summary" / "cases.jsonl"
STRONG = Choice("gpt-6.1-sol", "openai", "gpt-6.1-sol", "strong")
BACKUP = Choice("claude-sonnet-5-5", "anthropic", "claude-sonnet-5-5", "strong", role="backup")
CHEAP = Choice("claude-haiku-5-5", "anthropic", "claude-haiku-5-5", "cheap")
TEMPLATES = Choice("templates", "templates", "templates", "template", role="safe_default")

NEWEST = "So when does the money for BC-20417 arrive? You wrote 49 €."
THREAD = Thread(
    (
        ThreadMessage("customer", "The grinder from order BC-20417 is broken. " + "It rattles a lot. " * 90),
        ThreadMessage("agent", "Please send it back with label LB-3308. " + "Pack it well. " * 90),
        ThreadMessage("customer", "It is on its way since 2 November. " + "I packed it well. " * 90),
        ThreadMessage("agent", "Thank you, it is here. We refund 49 € for it."),
        ThreadMessage("customer", NEWEST),
    ),
    subject="Broken grinder",
    sender_name="Harbor Line",
)
SUMMARY: dict[str, Any] = {
    "summary": "The grinder of order BC-20417 is broken; the team sent label LB-3308, and it was sent back.",
    "open_questions": [],
    "facts": [{"text": "label LB-3308", "said_by": "team"}],
}
REPLY: dict[str, Any] = {
    "reply": "Hello,\n\nyour parcel with label LB-3308 is here.\n\nKind regards,\nHarbor Line",
    "language": "en",
    "asks": [],
    "why": "The return is here.",
    "claims": [],
}


@pytest.fixture(scope="module")
def wire() -> Iterator[tuple[ModelServer, dict[str, Provider]]]:
    with ModelServer() as server:
        openai = OpenAIProvider("sk-test", server.openai_url)
        anthropic = AnthropicProvider("sk-ant-test", server.anthropic_url)
        yield server, {"openai": openai, "anthropic": anthropic, "templates": TemplateProvider()}
        openai.close()
        anthropic.close()


@pytest.fixture
def server(wire: tuple[ModelServer, dict[str, Provider]]) -> ModelServer:
    wire[0].forget()
    return wire[0]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(f"sqlite:///{tmp_path / 'triage.db'}")
    metadata.create_all(store.engine)
    yield store
    store.close()


Draft = Callable[..., DraftResult]


@pytest.fixture
def draft(wire: tuple[ModelServer, dict[str, Provider]], server: ModelServer, store: Store) -> Draft:
    gateway = Gateway(wire[1], StoreLedger(store), Prices(), backoff_s=0.01)

    def ask(*choices: Choice, thread: Thread = THREAD) -> DraftResult:
        summariser = partial(summarise, gateway, PROMPTS, plan(CHEAP), Context(task="summary", route="cheap"))
        return write_draft(
            gateway, PROMPTS, plan(*choices), Context(task="draft", route="strong"), thread,
            strong=True, summariser=summariser,
        )  # fmt: skip

    return ask


def plan(*choices: Choice) -> Plan:
    return Plan(choices, (), {"cheap": 20.0, "strong": 20.0, "template": 5.0}, max_output_tokens=2000)


def calls(store: Store) -> list[tuple[str, str, str | None]]:
    with store.read() as connection:
        rows = connection.execute(model_calls.select().order_by(model_calls.c.id)).all()
    assert all(row.cost_usd > 0 for row in rows if row.state == "ok" and row.provider != "templates")
    return [(row.task, row.model, row.error_kind) for row in rows]


# --- too long for the model -------------------------------------------------------------------------------


@pytest.mark.parametrize("choice", [STRONG, BACKUP])
def test_a_thread_that_is_too_long_is_summarised_and_the_model_asked_once_more(
    draft: Draft, server: ModelServer, store: Store, choice: Choice
) -> None:
    server.script(replies.too_long(), replies.ok(REPLY), model=choice.name)
    server.script(replies.ok(SUMMARY), model=CHEAP.name)
    result = draft(choice)
    assert calls(store) == [
        ("draft", choice.key, "too_long"),
        ("summary", CHEAP.key, None),
        ("draft", choice.key, None),
    ]
    assert result.reply == REPLY["reply"]
    assert result.summary is not None
    assert result.to_json()["summarised"]
    assert "summarised by claude-haiku-5-5" in result.why
    asked, summed_up, asked_again = (line.seen for line in server.journal)
    assert len(asked_again.user) < len(asked.user) - 2500
    assert "I packed it well." in summed_up.user
    assert NEWEST not in summed_up.user
    assert "| " + NEWEST in asked_again.user
    assert SUMMARY["summary"] not in asked_again.system
    assert "| " + SUMMARY["summary"] in asked_again.user
    with store.read() as connection:
        costs = connection.execute(model_calls.select()).all()
    assert result.cost_usd == sum(row.cost_usd for row in costs)


def test_what_only_the_summarised_messages_said_still_supports_a_claim(
    draft: Draft, server: ModelServer
) -> None:
    server.script(replies.too_long(), replies.ok(REPLY), model=STRONG.name)
    server.script(replies.ok({**SUMMARY, "summary": "A return.", "facts": []}), model=CHEAP.name)
    assert {claim.text: claim.supported_by for claim in draft(STRONG).claims}["LB-3308"] == "thread"


def test_a_thread_that_stays_too_long_is_for_a_person_and_no_template(
    draft: Draft, server: ModelServer, store: Store
) -> None:
    for choice in (STRONG, BACKUP):
        server.script(replies.too_long(), replies.too_long(), model=choice.name)
    server.script(replies.ok(SUMMARY), model=CHEAP.name)
    with pytest.raises(AllModelsFailed) as caught:
        draft(STRONG, BACKUP, TEMPLATES)
    assert set(caught.value.kinds) == {"too_long"}
    assert [task for task, _, _ in calls(store)].count("summary") == 1


def test_without_a_model_for_the_summary_the_program_cuts_the_thread(
    draft: Draft, server: ModelServer, store: Store
) -> None:
    server.script(replies.too_long(), replies.ok(REPLY), model=STRONG.name)
    server.script(replies.out_of_credit(), model=CHEAP.name)
    result = draft(STRONG, TEMPLATES)
    assert result.source == "model"
    assert "cut down by program" in result.why
    again = server.journal[-1].seen.user
    assert "LB-3308" in again
    assert "2 November" in again


def test_a_thread_over_the_prompts_room_is_summarised_before_the_first_call(
    draft: Draft, server: ModelServer, store: Store
) -> None:
    many = (*THREAD.messages[:3] * 6, *THREAD.messages[3:])
    assert sum(len(message.text) for message in many) > strong.THREAD_CHARS
    server.script(replies.ok(REPLY), model=STRONG.name)
    server.script(replies.ok(SUMMARY), model=CHEAP.name)
    assert draft(STRONG, thread=Thread(many)).summary is not None
    assert [task for task, _, _ in calls(store)] == ["summary", "draft"]


def test_a_template_for_a_long_thread_is_no_summarised_draft(draft: Draft, server: ModelServer) -> None:
    server.script(replies.out_of_credit(), model=STRONG.name)
    server.script(replies.ok(SUMMARY), model=CHEAP.name)
    result = draft(STRONG, TEMPLATES, thread=Thread((*THREAD.messages[:3] * 6, *THREAD.messages[3:])))
    assert (result.source, result.summary) == ("template", None)
    assert "too long" not in result.why


def test_a_thread_that_fits_or_has_nothing_to_sum_up_costs_no_summary(
    draft: Draft, server: ModelServer, store: Store
) -> None:
    server.script(replies.ok(REPLY), replies.too_long(), model=STRONG.name)
    assert draft(STRONG).summary is None
    with pytest.raises(AllModelsFailed):
        draft(STRONG, thread=Thread(THREAD.messages[-2:]))
    assert [task for task, _, _ in calls(store)] == ["draft", "draft"]


def test_a_shortened_thread_keeps_the_newest_word_of_both_sides() -> None:
    short = shortened(THREAD, "the summary", 24_000)
    assert [message.role for message in short.messages] == ["customer", "summary", "agent", "customer"]
    assert short.messages[-1].text == NEWEST
    assert short.messages[-2].text == THREAD.messages[3].text
    assert len(older_messages(THREAD)) == 3


@pytest.mark.parametrize("room", [routine.THREAD_CHARS, strong.THREAD_CHARS])
def test_the_summary_finds_room_beside_a_long_newest_message(room: int) -> None:
    newest = "One more line about it.\n" * (room // 50)
    long = Thread((*THREAD.messages[:-1], ThreadMessage("customer", newest)), subject="Broken grinder")
    shown = transcript(shortened(long, "the summary " * (room // 80), room), room)
    assert "left out" not in shown
    assert shown.count("One more line about it.") == room // 50
    assert "the summary the summary" in shown


# --- the check --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"summary": "The customer wants 94 € for BC-20417."}, "94"),
        ({"summary": "The team wrote 3 times."}, "3"),
        ({"summary": "See https://evil.example/pay for order BC-20417."}, "evil.example"),
        ({"summary": "Sent back on 5 November."}, "5 November"),
        ({"facts": [{"text": "sent on 2 November", "said_by": "team"}]}, "say who wrote it"),
        ({"summary": " "}, "is empty"),
        ({"summary": "word " * MAX_CHARS}, "write less"),
        ({"open_questions": None}, "open_questions"),
    ],
)
def test_a_summary_that_says_more_than_the_thread_is_refused(change: dict[str, Any], why: str) -> None:
    with pytest.raises(ModelOutputInvalid, match=re.escape(why)):
        read_summary(json.dumps({**SUMMARY, **change}), THREAD)


def test_a_summary_that_tells_its_prompt_is_refused() -> None:
    prompt = PROMPTS.load("summary", "cheap").render(language="en", thread="Hello")
    for told in (prompt.system[100:400], f"The mark is {prompt.fence}."):
        with pytest.raises(ModelOutputInvalid):
            read_summary(json.dumps({**SUMMARY, "summary": told}), THREAD, prompt.system, prompt.fence)


def test_a_summary_may_spell_a_date_in_its_own_language() -> None:
    thread = Thread((ThreadMessage("customer", "Am 3. Mai 2026 wurden 1.250,00 € abgebucht."),))
    answer = {"summary": "On 3 May 2026, 1.250,00 € were charged.", "open_questions": [], "facts": []}
    assert read_summary(f"```json\n{json.dumps(answer)}\n```", thread).summary == answer["summary"]


# --- by program alone -------------------------------------------------------------------------------------


def test_no_identifier_of_a_foreign_thread_is_lost_by_the_programs_own_summary() -> None:
    path = DATA / "threads-dev.jsonl"
    if not path.is_file():
        pytest.skip(f"SKIPPED FOR WANT OF DATA: no threads of other projects in {DATA}; set TRIAGE_TEST_DATA")
    threads = identifiers = 0
    for line in path.read_text(encoding="utf-8").split("\n"):
        if not line:
            continue
        row = json.loads(line)
        thread = Thread(
            tuple(
                ThreadMessage("customer" if message["role"] == "customer" else "agent", message["text"])
                for message in row["messages"]
            )
        )
        shown = extracted(thread).as_text()
        assert len(shown) <= MAX_CHARS, row["id"]
        flat = " ".join(shown.split())
        for message in thread.messages:
            for fact in facts_in(plain(message.text)):
                assert " ".join(fact.text.split()) in flat, (row["id"], fact.text)
                identifiers += 1
        threads += 1
    assert threads >= 200
    assert identifiers >= 800


def test_the_programs_own_summary_stays_under_its_limit_in_a_flood_of_numbers() -> None:
    flood = " ".join(f"BC-{number:05}" for number in range(5000))
    shown = extracted(Thread((ThreadMessage("customer", flood), ThreadMessage("customer", "And BC-99999?"))))
    assert len(shown.as_text()) <= MAX_CHARS
    assert "BC-99999" in shown.as_text()


# --- the cases --------------------------------------------------------------------------------------------


def test_the_cases_are_consistent_and_the_programs_own_summary_holds_what_they_name() -> None:
    cases = read_cases(CASES)
    assert len(cases) >= 20
    assert {case.thread.language for case in cases} == {"en", "de", "fr", "es", "it", "nl", "pt", "pl"}
    for case in cases:
        thread = case.to_thread()
        told = f"{thread.subject}\n" + "\n".join(message.text for message in thread.messages)
        rubric = case.rubric
        for pattern in (*rubric.must_mention, *rubric.said_by):
            assert re.search(pattern, told, re.IGNORECASE), (case.id, pattern)
        for pattern in (*rubric.must_be_open, *rubric.must_not_mention):
            re.compile(pattern)
        assert not (rubric.must_be_open and rubric.nothing_open), case.id
        found = marks(case, extracted(thread))
        assert found["figures"], case.id
        assert found.get("must_mention", True), case.id


def test_the_marks_tell_a_good_summary_from_a_bad_one() -> None:
    case = next(case for case in read_cases(CASES) if case.id == "promise-claimed-by-customer-en")
    good = Summary(
        "The customer sent the blender back under RT-6602; the team is inspecting it. The customer says that "
        "a colleague promised 75 dollars on the phone.",
        ("Where are the 75 dollars?",),
        (Said("a colleague promised 75 dollars", "customer"),),
    )
    assert set(marks(case, good).values()) == {True}
    bad = Summary("Wir zahlen 80 dollars.", (), (Said("we promised 75 dollars", "team"),))
    assert {name for name, held in marks(case, bad).items() if not held} == {
        "language", "figures", "must_mention", "must_be_open", "said_by",
    }  # fmt: skip


def test_a_broken_case_is_refused_with_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "cases.jsonl"
    good = CASES.read_text(encoding="utf-8").split("\n")[0]
    path.write_text(f"{good}\n{good.replace('rubric', 'rubrik')}\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"cases\.jsonl:2: "):
        read_cases(path)
    path.write_text(f"{good}\n{good}\n", encoding="utf-8")
    with pytest.raises(InputError, match="twice"):
        read_cases(path)
