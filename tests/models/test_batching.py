"""Calls in a batch: both real SDKs against a loopback server that speaks their batch APIs."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest

from pipeline.errors import AllModelsFailed
from pipeline.models.batching import BatchApi, BatchesClosed, BatchingProvider
from pipeline.models.gateway import Context, Gateway, Plan
from pipeline.models.ledger import ScratchLedger
from pipeline.models.prices import Prices
from pipeline.models.prompts import Rendered
from pipeline.models.providers.anthropic import AnthropicProvider
from pipeline.models.providers.anthropic_batches import AnthropicBatches
from pipeline.models.providers.openai import OpenAIProvider
from pipeline.models.providers.openai_batches import OpenAIBatches
from tests.kit import model_replies as replies
from tests.kit.batch_server import EXPIRED, BatchServer
from tests.kit.model_replies import Seen
from tests.models.conftest import CHOICES, SCHEMA, check

BOTH = pytest.mark.parametrize("name", ["openai", "anthropic"])


@contextlib.contextmanager
def batches_of(server: BatchServer, name: str) -> Iterator[BatchingProvider]:
    api: BatchApi
    provider: OpenAIProvider | AnthropicProvider
    if name == "openai":
        provider = OpenAIProvider("key", server.openai_url)
        api = OpenAIBatches(provider)
    else:
        provider = AnthropicProvider("key", server.anthropic_url)
        api = AnthropicBatches(provider)
    yield BatchingProvider(api, gather_s=0.2, poll_s=(0.02, 0.05))
    provider.close()


def ask_all(server: BatchServer, name: str, texts: list[str]) -> tuple[list[Any], ScratchLedger]:
    """Each text as one call of its own through one gateway; the value, or the kinds of what went wrong."""
    ledger = ScratchLedger()
    plan = Plan((CHOICES[name],), (), {"cheap": 5.0}, 200)

    def one(text: str) -> Any:
        prompt = Rendered(
            name="triage/cheap", digest="0123456789ab", system="You sort.", user=text, fence="f"
        )
        try:
            return gateway.ask(
                plan,
                prompt,
                Context("triage", "cheap"),
                schema=SCHEMA,
                schema_name="t",
                input={},
                check=check,
            ).value
        except AllModelsFailed as error:
            return error.kinds

    with batches_of(server, name) as provider, ThreadPoolExecutor(len(texts)) as pool:
        gateway = Gateway({name: provider}, ledger, Prices(batch=True), backoff_s=0.0)
        return list(pool.map(one, texts)), ledger


def echo(seen: Seen) -> Any:
    return json.dumps({"topic": "billing" if "invoice" in seen.user else "other"})


@BOTH
def test_many_callers_share_one_batch_and_each_gets_its_own_answer(name: str) -> None:
    texts = [f"{'invoice' if number % 2 else 'parcel'} {number}" for number in range(40)]
    with BatchServer(echo) as server:
        values, ledger = ask_all(server, name, texts)
        assert values == ["billing" if number % 2 else "other" for number in range(40)]
        assert len(server.batches) == 1
        assert len(server.journal) == 40
    assert all(outcome is not None and outcome.state == "ok" for _, outcome in ledger.rows())


@BOTH
def test_a_batch_is_booked_at_half_the_live_price(name: str) -> None:
    with BatchServer(
        lambda _seen: replies.ok({"topic": "other"}, tokens=replies.Tokens(1000, 100))
    ) as server:
        _, ledger = ask_all(server, name, ["a"])
    (entry, outcome) = ledger.rows()[0]
    assert outcome is not None
    assert outcome.usage is not None
    live = Prices()
    assert outcome.cost_usd == live.cost(CHOICES[name], outcome.usage) / 2 > 0
    assert outcome.cost_usd <= entry.worst_usd


@BOTH
def test_what_fails_inside_a_batch_is_booked_and_tried_once_more_in_the_next(name: str) -> None:
    seen_before: set[str] = set()

    def answer(seen: Seen) -> Any:
        first = seen.user not in seen_before
        seen_before.add(seen.user)
        if "late" in seen.user:
            return EXPIRED if first else {"topic": "other"}
        if "bad" in seen.user and "Answer once more" not in seen.user:
            return "no json"
        if "busy" in seen.user and first:
            return replies.overloaded()
        if "refused" in seen.user:
            return replies.refusal()
        return {"topic": "billing"}

    with BatchServer(answer) as server:
        values, ledger = ask_all(server, name, ["late", "bad", "busy", "refused", "good"])
    assert values[:3] == ["other", "billing", "billing"]
    assert values[3] == ("refused",)
    assert values[4] == "billing"
    by_kind = {outcome.error_kind: outcome.cost_usd for _, outcome in ledger.rows() if outcome}
    assert by_kind["timeout"] == Decimal(0)  # expired: nothing was done
    assert by_kind["invalid"] > 0


@BOTH
def test_a_batch_that_was_not_taken_is_handed_over_again(name: str) -> None:
    with BatchServer(echo, refusals=2) as server:
        values, ledger = ask_all(server, name, ["an invoice", "a parcel"])
        assert values == ["billing", "other"]
        assert (len(server.batches), len(server.journal)) == (1, 2)
    assert [outcome.state for _, outcome in ledger.rows() if outcome] == ["ok", "ok"]


@BOTH
def test_who_ends_the_work_cancels_the_batch(name: str) -> None:
    with BatchServer(echo, looks=10_000) as server, batches_of(server, name) as provider:
        gateway = Gateway({name: provider}, ScratchLedger(), Prices(batch=True), backoff_s=0.0)
        plan = Plan((CHOICES[name],), (), {"cheap": 5.0}, 200)
        prompt = Rendered(name="triage/cheap", digest="0123456789ab", system="s", user="u", fence="f")
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(
                gateway.ask,
                plan,
                prompt,
                Context("triage", "cheap"),
                schema=SCHEMA,
                schema_name="t",
                input={},
                check=check,
            )
            while not server.batches:
                pass
            provider.close()
            with pytest.raises(BatchesClosed):
                waiting.result(10)
        assert all(batch.cancelled for batch in server.batches.values())
