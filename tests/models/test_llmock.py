"""The door's table once more against `llmock`, a fake of others' making: its bodies, our attempts and ledger."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from llmock.scenarios import Delay, Fail, Match, ToolCall
from llmock.scenarios import Reply as Said
from llmock.testing import LLMockServer

from pipeline.db.store import Store
from pipeline.errors import Usage
from pipeline.models.policy import Next
from pipeline.models.providers.anthropic import AnthropicProvider
from pipeline.models.providers.openai import OpenAIProvider
from tests.kit.model_server import ModelServer
from tests.models.conftest import CHOICES, LONG_S, BuiltIn, Door

BACKUP = {"openai": "anthropic", "anthropic": "openai"}
RIGHT = '{"topic": "billing"}'


@dataclass(frozen=True)
class Fault:
    """What the first model does each time, its row of the table, and how each failed attempt is booked."""

    told: dict[str, object]
    kind: str
    next: Next
    booked: str
    only: str | None = None


FAULTS = [
    Fault({"status": 429, "retry_after": 0}, "overloaded", Next.AGAIN, "nothing"),
    Fault({"status": 429, "retry_after": 30}, "overloaded", Next.ONWARD, "nothing"),
    Fault({"status": 529}, "overloaded", Next.AGAIN, "nothing"),
    Fault({"status": 500}, "overloaded", Next.AGAIN, "nothing"),
    Fault({"status": 502}, "overloaded", Next.AGAIN, "worst"),
    Fault({"status": 408}, "overloaded", Next.AGAIN, "nothing"),
    Fault({"status": 409}, "overloaded", Next.AGAIN, "nothing"),
    Fault({"seconds": 1.5}, "timeout", Next.AGAIN, "worst"),
    Fault({"text": '{"topic": "bil', "finish_reason": "length"}, "cut", Next.LARGER, "used"),
    Fault({"text": "Sure! It is about billing."}, "invalid", Next.REPAIR, "used"),
    Fault({"text": '{"topic": "weather"}'}, "invalid", Next.REPAIR, "used"),
    Fault({"tool_calls": (ToolCall("refund", {}),)}, "invalid", Next.REPAIR, "used"),
    Fault({"text": "", "finish_reason": "content_filter"}, "refused", Next.ONWARD, "used", only="openai"),
    Fault({"text": "", "finish_reason": "refusal"}, "refused", Next.ONWARD, "used", only="anthropic"),
    Fault({"status": 413}, "too_long", Next.ONWARD, "nothing"),
    Fault({"status": 429, "code": "insufficient_quota"}, "credit", Next.ONWARD, "nothing", only="openai"),
    Fault(
        {"status": 400, "message": "Your credit balance is too low to access the Anthropic API."},
        "credit",
        Next.ONWARD,
        "nothing",
    ),
    Fault({"status": 401}, "rejected", Next.ONWARD, "nothing"),
    Fault({"status": 403}, "rejected", Next.ONWARD, "nothing"),
    Fault({"status": 404}, "rejected", Next.ONWARD, "nothing"),
    Fault({"status": 422}, "rejected", Next.ONWARD, "nothing"),
]
CASES = [
    pytest.param(fault, provider, id=f"{provider}-{number:02d}-{fault.kind}")
    for number, fault in enumerate(FAULTS)
    for provider in ("openai", "anthropic")
    if fault.only in (None, provider)
]


@pytest.fixture(scope="module")
def mock() -> Iterator[LLMockServer]:
    with LLMockServer() as server:
        yield server


@pytest.fixture
def mocked(mock: LLMockServer, server: ModelServer, sqlite_store: Store) -> Iterator[Door]:
    """The door with both real SDKs at llmock; the kit's own server hears nothing."""
    mock.state.scenarios.clear()
    mock.state.journal.clear()
    with (
        contextlib.closing(OpenAIProvider("k", mock.base_url("openai"))) as openai,
        contextlib.closing(AnthropicProvider("k", mock.base_url("anthropic"))) as anthropic,
    ):
        yield Door(server, {"openai": openai, "anthropic": anthropic, "local": BuiltIn()}, sqlite_store)


def told(mock: LLMockServer, fault: Fault, model: str) -> None:
    """Have `model` fail so each time, and everybody else answer well."""
    match = Match(model=model)
    if "status" in fault.told:
        mock.state.scenarios.add(Fail(**fault.told, times=None, match=match))  # type: ignore[arg-type]
    elif "seconds" in fault.told:
        mock.state.scenarios.add(Delay(**fault.told, times=None, match=match))  # type: ignore[arg-type]
    else:
        mock.state.scenarios.add(Said(**fault.told, times=None, match=match))  # type: ignore[arg-type]
    mock.state.scenarios.add(Said(RIGHT, times=None))


@pytest.mark.parametrize(("fault", "provider"), CASES)
def test_a_fault_of_llmock_takes_its_documented_path_to_the_backup(
    mocked: Door, mock: LLMockServer, fault: Fault, provider: str
) -> None:
    first, backup = CHOICES[provider].key, CHOICES[BACKUP[provider]].key
    told(mock, fault, first)
    tries = 1 if fault.next is Next.ONWARD else 2
    deadline_s = 0.4 if fault.kind == "timeout" else LONG_S

    answered = mocked.ask(mocked.plan(provider, BACKUP[provider], "local", deadline_s=deadline_s))

    assert answered.attempts == (*[fault.kind] * tries, "ok")
    assert (answered.value, answered.choice.key) == ("billing", backup)
    assert mocked.server.journal == []
    requests = [record.model for record in mock.state.journal.records()]
    if fault.kind != "timeout":  # those are written down when their delay is over
        assert requests == [first] * tries + [backup]
    rows = mocked.rows()
    assert [row.model for row in rows] == [first] * tries + [backup]
    assert [row.error_kind for row in rows] == [fault.kind] * tries + [None]
    for row in rows[:tries]:
        assert row.state == ("unknown" if fault.booked == "worst" else "failed")
        if fault.booked == "used":
            usage = Usage(row.input_tokens, row.cached_input_tokens, 0, row.output_tokens)
            assert row.cost_usd == mocked.prices.cost(CHOICES[row.provider], usage) > 0
        else:
            assert row.cost_usd == (row.reserved_usd if fault.booked == "worst" else 0)
    assert rows[-1].cost_usd > 0
    assert mocked.spent() == (sum(row.cost_usd for row in rows), 0)


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_a_server_that_is_gone_is_left_for_the_backup_and_costs_nothing(mocked: Door, provider: str) -> None:
    mocked.providers[provider] = (
        OpenAIProvider("k", "http://127.0.0.1:9/v1")
        if provider == "openai"
        else AnthropicProvider("k", "http://127.0.0.1:9")
    )
    answered = mocked.ask(mocked.plan(provider, "local"))
    assert answered.attempts == ("transport", "transport", "ok")
    assert [row.cost_usd for row in mocked.rows()] == [0, 0, 0]
