"""What is sent to Anthropic, and how its answers are read."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from pipeline.errors import ModelCredit, ModelOutputCut, ModelOverloaded, ModelRejected, ModelTooLong, Usage
from pipeline.models.base import ModelRequest
from pipeline.models.providers.anthropic import AnthropicProvider
from tests.kit import model_replies as replies
from tests.kit.model_replies import Reply
from tests.kit.model_server import ModelServer
from tests.models.conftest import SCHEMA

REQUEST = ModelRequest(
    "triage", "claude-haiku-5-5", "You sort mail.", "Where is it?", schema=SCHEMA, end_user="c0ffee"
)


@pytest.fixture
def provider(server: ModelServer) -> Iterator[AnthropicProvider]:
    with contextlib.closing(AnthropicProvider("sk-ant-test", server.anthropic_url)) as provider:
        yield provider


def test_a_request_asks_for_the_schema_and_marks_the_stable_part(
    server: ModelServer, provider: AnthropicProvider
) -> None:
    provider.complete(REQUEST, deadline_s=20)
    seen = server.journal[-1].seen
    assert seen.headers["authorization"] == "Bearer sk-ant-test"
    assert "stream" not in seen.body
    assert seen.body["metadata"] == {"user_id": "c0ffee"}
    assert seen.body["max_tokens"] == REQUEST.max_output_tokens
    assert seen.body["service_tier"] == "standard_only"
    assert seen.body["system"] == [
        {"type": "text", "text": "You sort mail.", "cache_control": {"type": "ephemeral"}}
    ]
    form = seen.body["output_config"]["format"]
    assert form["type"] == "json_schema"
    assert form["schema"]["required"] == ["topic"]
    assert form["schema"]["additionalProperties"] is False


def test_the_stable_part_is_the_same_bytes_from_call_to_call(
    server: ModelServer, provider: AnthropicProvider
) -> None:
    for text in ("one", "two", "three"):
        provider.complete(ModelRequest("triage", "m", REQUEST.system, text, schema=SCHEMA), deadline_s=20)
    assert len({repr(line.seen.body["system"]) for line in server.journal}) == 1
    assert len({repr(line.seen.body["output_config"]) for line in server.journal}) == 1


def test_limits_that_the_api_takes_as_hints_are_told_in_words(
    server: ModelServer, provider: AnthropicProvider
) -> None:
    schema = {
        "type": "object",
        "properties": {"confidence": {"type": "number", "minimum": 0, "maximum": 1}},
        "required": ["confidence"],
        "additionalProperties": False,
    }
    provider.complete(ModelRequest("triage", "m", "s", "u", schema=schema), deadline_s=20)
    sent = server.journal[-1].seen.body["output_config"]["format"]["schema"]["properties"]["confidence"]
    assert "minimum" not in sent
    assert "maximum: 1" in sent["description"]


def test_usage_includes_what_anthropic_leaves_out_and_thinking_is_not_the_answer(
    server: ModelServer, provider: AnthropicProvider
) -> None:
    server.script(replies.ok({"topic": "other"}, tokens=replies.Tokens(70, 9, cached=20, written=10)))
    answer = provider.complete(REQUEST, deadline_s=20)
    assert answer.usage == Usage(100, 20, 10, 9)
    assert answer.text == '{"topic": "other"}'
    assert (answer.model, answer.request_id) == ("claude-haiku-5-5-20260901", "req_anthropic_1")


def test_a_paused_turn_is_an_answer_cut_short(server: ModelServer, provider: AnthropicProvider) -> None:
    server.script(replies.paused())
    with pytest.raises(ModelOutputCut, match="paused"):
        provider.complete(REQUEST, deadline_s=20)


def test_a_full_window_is_too_long_and_paid_for(server: ModelServer, provider: AnthropicProvider) -> None:
    server.script(Reply("window", finish="model_context_window_exceeded", answer="x"))
    with pytest.raises(ModelTooLong) as caught:
        provider.complete(REQUEST, deadline_s=20)
    assert caught.value.usage is not None
    assert caught.value.usage.input_tokens > 0


def test_a_spend_limit_is_credit_and_a_rate_limit_is_not(
    server: ModelServer, provider: AnthropicProvider
) -> None:
    server.script(
        replies.bad_request(
            "You have reached your specified API usage limits. You will regain access on 2026-12-01.",
            status=429,
        ),
        replies.bad_request(
            "This request would exceed your organization's rate limit of 40,000 tokens.", status=429
        ),
        Reply(
            "billing", status=402, error_type="billing_error", message="There is an issue with your payment."
        ),
        replies.bad_request("There is an issue with your organization's billing."),
    )
    for expected in (ModelCredit, ModelOverloaded, ModelCredit, ModelCredit):
        with pytest.raises(expected):
            provider.complete(REQUEST, deadline_s=20)


def test_the_environments_own_credentials_are_not_mixed_in(
    server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "somebody-elses")
    with contextlib.closing(AnthropicProvider("sk-ant-ours", server.anthropic_url)) as provider:
        provider.complete(REQUEST, deadline_s=20)
    headers = server.journal[-1].seen.headers
    assert "somebody-elses" not in repr(headers)
    assert "sk-ant-ours" in repr(headers)


def test_an_address_that_cannot_be_used_is_one_plain_error() -> None:
    with (
        contextlib.closing(AnthropicProvider("k", "nonsense")) as provider,
        pytest.raises(ModelRejected, match="base address"),
    ):
        provider.complete(REQUEST, deadline_s=20)
