"""What is sent to OpenAI and to compatible servers, and how a server that knows less is met half-way."""

from __future__ import annotations

import contextlib
import json
import math
import pickle
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
import structlog

from pipeline.errors import ModelCredit, ModelOverloaded, ModelRejected, ModelTooLong, ModelTransport, Usage
from pipeline.models.base import ModelRequest
from pipeline.models.providers.openai import OpenAIProvider, arguments
from tests.kit import model_replies as replies
from tests.kit.model_replies import Seen
from tests.kit.model_server import ModelServer
from tests.kit.places import free_port
from tests.models.conftest import SCHEMA

REQUEST = ModelRequest(
    "triage",
    "gpt-6-luna",
    "You sort mail.",
    "Where is it?",
    schema=SCHEMA,
    schema_name="triage",
    end_user="c0ffee",
)


@pytest.fixture
def provider(server: ModelServer) -> Iterator[OpenAIProvider]:
    with contextlib.closing(OpenAIProvider("sk-test", server.openai_url)) as provider:
        yield provider


def test_a_request_asks_for_the_schema_and_stores_nothing(
    server: ModelServer, provider: OpenAIProvider
) -> None:
    provider.complete(REQUEST, deadline_s=20)
    seen = server.journal[-1].seen
    assert seen.headers["authorization"] == "Bearer sk-test"
    assert seen.body["store"] is False
    assert "stream" not in seen.body
    assert seen.body["safety_identifier"] == "c0ffee"
    assert seen.body["max_completion_tokens"] == REQUEST.max_output_tokens
    assert [message["role"] for message in seen.body["messages"]] == ["system", "user"]
    assert seen.body["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "triage", "schema": SCHEMA, "strict": True},
    }


def test_openai_itself_gets_its_own_words_and_the_tier_that_the_prices_know() -> None:
    official, other = arguments(REQUEST, official=True), arguments(REQUEST, official=False)
    assert official["service_tier"] == "default"
    assert "max_tokens" not in official
    assert "service_tier" not in other
    assert other["max_tokens"] == other["max_completion_tokens"] == REQUEST.max_output_tokens


def test_usage_counts_cached_and_written_tokens_within_the_input(
    server: ModelServer, provider: OpenAIProvider
) -> None:
    server.script(replies.ok(tokens=replies.Tokens(70, 9, cached=20, written=10)))
    answer = provider.complete(REQUEST, deadline_s=20)
    assert answer.usage == Usage(100, 20, 10, 9)
    assert (answer.model, answer.request_id) == ("gpt-6-luna-2026-09-01", "req_openai_1")


def picky(*refused: str, format_too: bool = False) -> Any:
    """A compatible server that knows no `refused` fields, and perhaps no JSON schema."""

    def answer(seen: Seen) -> Any:
        for name in refused:
            if name in seen.body:
                return replies.bad_request(f"Unrecognized request argument supplied: {name}")
        if format_too and "response_format" in seen.body:
            return replies.bad_request(
                f"response_format {seen.body['response_format']['type']} is not supported"
            )
        return {"topic": "other"}

    return answer


def test_a_server_that_refuses_a_field_is_asked_without_it_from_then_on(
    server: ModelServer, provider: OpenAIProvider
) -> None:
    server.answer_by(picky("store", "max_completion_tokens", "safety_identifier"))
    with structlog.testing.capture_logs() as logs:
        assert provider.complete(REQUEST, deadline_s=20).text == '{"topic": "other"}'
    assert {line["left_out"] for line in logs} == {"store", "max_completion_tokens", "safety_identifier"}
    assert all(line["log_level"] == "warning" for line in logs)
    before = len(server.journal)
    provider.complete(REQUEST, deadline_s=20)
    assert len(server.journal) == before + 1
    body = server.journal[-1].seen.body
    assert body["max_tokens"] == REQUEST.max_output_tokens
    assert not {"store", "max_completion_tokens", "safety_identifier"} & set(body)


def test_a_server_that_names_the_field_it_wants_instead_is_understood(
    server: ModelServer, provider: OpenAIProvider
) -> None:
    words = "Unsupported parameter: 'max_tokens' is not supported. Use 'max_completion_tokens' instead."
    server.answer_by(
        lambda seen: replies.bad_request(words) if "max_tokens" in seen.body else {"topic": "other"}
    )
    provider.complete(REQUEST, deadline_s=20)
    assert "max_completion_tokens" in server.journal[-1].seen.body


def test_a_server_without_json_schemas_steps_down_and_says_so(
    server: ModelServer, provider: OpenAIProvider
) -> None:
    server.answer_by(picky(format_too=True))
    with structlog.testing.capture_logs() as logs:
        provider.complete(REQUEST, deadline_s=20)
    formats = [line.seen.body.get("response_format", {}).get("type") for line in server.journal]
    assert formats == ["json_schema", "json_object", None]
    assert [line["event"] for line in logs] == ["compatible_server_refused"] * 2


def test_a_server_that_takes_no_output_limit_at_all_is_refused(
    server: ModelServer, provider: OpenAIProvider
) -> None:
    server.answer_by(picky("max_tokens", "max_completion_tokens"))
    with pytest.raises(ModelRejected, match="max_completion_tokens"):
        provider.complete(REQUEST, deadline_s=20)


LABELLED = replace(REQUEST, label="topic")


def with_tokens(text: str, *tokens: tuple[str, float], whole: bool = True) -> replies.Reply:
    """A completion of `text` whose tokens are these; `whole` False leaves their bytes out."""
    content = [
        {"token": token, "logprob": log, "bytes": list(token.encode()) if whole else None, "top_logprobs": []}
        for token, log in tokens
    ]
    body = {
        "model": "gpt-6-luna-2026-09-01",
        "choices": [
            {"message": {"content": text}, "finish_reason": "stop", "logprobs": {"content": content}}
        ],
        "usage": {"prompt_tokens": 40, "completion_tokens": 9},
    }
    return replies.Reply("ok", raw=json.dumps(body).encode())


@pytest.mark.parametrize("whole", [True, False])
def test_the_certainty_is_the_product_of_the_tokens_of_the_topics_value(
    server: ModelServer, provider: OpenAIProvider, whole: bool
) -> None:
    text = '{"summary": "größer: \\"topic\\": \\"refund\\"", "topic": "order_shipping", "confidence": 1}'
    half = text.index("_shipping")
    head, tail = text[: text.index('"order_')], text[text.index('", "confidence') :]
    assert head + '"order' + text[half : half + 9] + tail == text
    server.script(
        with_tokens(text, (head, -3.0), ('"order', -0.1), ("_shipping", -0.2), (tail, -3.0), whole=whole)
    )
    answer = provider.complete(LABELLED, deadline_s=20)
    assert answer.certainty == pytest.approx(math.exp(-0.3))
    assert server.journal[-1].seen.body["logprobs"] is True


@pytest.mark.parametrize(
    "tokens",
    [
        [],
        [('{"topic": "other"', -0.1)],
        [('{"topic": "refund"}', -0.1)],
        [('{"topic": "other"}', float("nan"))],
        [("the whole", -0.1), ("thought", -0.1), ('{"topic": "other"}', -0.1)],
    ],
)
def test_tokens_that_are_not_the_answers_tell_nothing(
    server: ModelServer, provider: OpenAIProvider, tokens: list[tuple[str, float]]
) -> None:
    server.script(with_tokens('{"topic": "other"}', *tokens))
    assert provider.complete(LABELLED, deadline_s=20).certainty is None


def test_an_answer_without_the_label_or_without_probabilities_is_an_answer_all_the_same(
    server: ModelServer, provider: OpenAIProvider
) -> None:
    server.script(with_tokens('{"other": 1}', ('{"other": 1}', -0.1)), replies.ok({"topic": "other"}))
    assert provider.complete(LABELLED, deadline_s=20).certainty is None
    assert provider.complete(LABELLED, deadline_s=20).certainty is None


def test_probabilities_are_asked_for_where_a_label_is_named_and_of_openai_without_reasoning() -> None:
    assert "logprobs" not in arguments(REQUEST, official=True)
    official, other = arguments(LABELLED, official=True), arguments(LABELLED, official=False)
    assert (official["logprobs"], official["reasoning_effort"]) == (True, "none")
    assert other["logprobs"] is True
    assert "reasoning_effort" not in other


def test_a_server_without_probabilities_is_asked_once_and_then_without(
    server: ModelServer, provider: OpenAIProvider
) -> None:
    server.answer_by(picky("logprobs"))
    with structlog.testing.capture_logs() as logs:
        answers = [provider.complete(LABELLED, deadline_s=20) for _ in range(2)]
    assert [answer.certainty for answer in answers] == [None, None]
    assert ["logprobs" in line.seen.body for line in server.journal] == [True, False, False]
    assert [line["event"] for line in logs] == ["certainty_not_told"]


def test_openais_own_model_that_refuses_probabilities_keeps_its_reasoning(server: ModelServer) -> None:
    def answer(seen: Seen) -> Any:
        if "logprobs" in seen.body:
            return replies.bad_request("logprobs are not supported with this model.")
        return {"topic": "other"}

    class Official(OpenAIProvider):
        """Sends what is sent to OpenAI itself, to the server of the test."""

        def __init__(self) -> None:
            super().__init__("sk-test", server.openai_url)
            self._official = True

    server.answer_by(answer)
    with contextlib.closing(Official()) as provider:
        provider.complete(LABELLED, deadline_s=20)
        body = server.journal[-1].seen.body
        assert not {"logprobs", "reasoning_effort"} & set(body)
        server.answer_by(picky("store"))
        with pytest.raises(ModelRejected, match="store"):  # what is no matter of certainty is never left out
            provider.complete(LABELLED, deadline_s=20)


def test_errors_say_what_to_mend_without_the_key(server: ModelServer, provider: OpenAIProvider) -> None:
    server.script(replies.refused_key())
    with pytest.raises(ModelRejected, match="openai answered 401 invalid_api_key") as caught:
        provider.complete(REQUEST, deadline_s=20)
    assert "sk-" not in str(caught.value)
    assert caught.value.usage == Usage()


def test_a_rate_limit_that_mentions_billing_is_still_a_rate_limit(
    server: ModelServer, provider: OpenAIProvider
) -> None:
    words = "Rate limit reached for gpt-6-luna. You can raise it by adding a payment method in billing."
    server.script(replies.bad_request(words, status=429, code="rate_limit_exceeded"))
    with pytest.raises(ModelOverloaded):
        provider.complete(REQUEST, deadline_s=20)
    server.script(replies.bad_request("You exceeded your quota", status=429, code="insufficient_quota"))
    with pytest.raises(ModelCredit):
        provider.complete(REQUEST, deadline_s=20)
    server.script(
        replies.bad_request("Request too large for gpt-6-luna", status=429, code="rate_limit_exceeded")
    )
    with pytest.raises(ModelTooLong):
        provider.complete(REQUEST, deadline_s=20)


def test_nothing_that_is_raised_carries_the_sdk_across_a_process_border(
    server: ModelServer, provider: OpenAIProvider
) -> None:
    server.script(replies.rate_limited("7"))
    with pytest.raises(ModelOverloaded) as caught:
        provider.complete(REQUEST, deadline_s=20)
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (type(copy), str(copy), copy.retry_after_s) == (ModelOverloaded, str(caught.value), 7.0)
    assert copy.__cause__ is None


def test_a_refused_connection_used_nothing() -> None:
    with (
        contextlib.closing(OpenAIProvider("k", f"http://127.0.0.1:{free_port()}/v1")) as provider,
        pytest.raises(ModelTransport) as caught,
    ):
        provider.complete(REQUEST, deadline_s=20)
    assert caught.value.usage == Usage()


@pytest.mark.parametrize(
    ("key", "url"), [("käse", None), ("a\nb", None), ("k", "nonsense"), ("k", "ftp://127.0.0.1")]
)
def test_a_key_or_address_that_cannot_be_used_is_one_plain_error(
    server: ModelServer, key: str, url: str | None
) -> None:
    with (
        contextlib.closing(OpenAIProvider(key, url or server.openai_url)) as provider,
        pytest.raises(ModelRejected, match="key"),
    ):
        provider.complete(REQUEST, deadline_s=20)


def test_threads_share_one_client_and_its_connections(server: ModelServer, provider: OpenAIProvider) -> None:
    before = server.connections
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: provider.complete(REQUEST, deadline_s=20).text, range(100)))
    assert len(answers) == 100
    assert server.connections - before <= 40  # a connection is closed now and then, none is made per call
