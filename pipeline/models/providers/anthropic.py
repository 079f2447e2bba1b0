"""Anthropic's Messages API by the official SDK, with structured output."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pipeline.errors import (
    ModelOutputCut,
    ModelOutputInvalid,
    ModelRefused,
    ModelTooLong,
    ModelUndecodable,
    Usage,
)
from pipeline.models.base import ModelAnswer, ModelRequest
from pipeline.models.providers.clients import MAX_ANSWER_BYTES, MAX_BULK_BYTES, PerProcess
from pipeline.models.providers.failures import answer_object, count, from_network, from_status

if TYPE_CHECKING:
    import anthropic

OFFICIAL = "https://api.anthropic.com"


class AnthropicProvider:
    """Messages, without the SDK's retries and its stream. Thread-safe.

    `base_url` None: Anthropic itself.
    """

    name = "anthropic"

    def __init__(self, api_key: str, base_url: str | None = None) -> None:
        self._api_key = api_key
        self._base_url = base_url or OFFICIAL
        self._live = PerProcess(lambda: self._make(MAX_ANSWER_BYTES))
        self._bulk = PerProcess(lambda: self._make(MAX_BULK_BYTES))

    def complete(self, request: ModelRequest, *, deadline_s: float) -> ModelAnswer:
        """One message. Raises `ModelError` subclasses only; `usage` on them where the server told it."""
        import anthropic

        from pipeline.models.deadline import deadline

        with deadline(deadline_s):
            try:
                raw = self._live.get().messages.with_raw_response.create(
                    **arguments(request), timeout=deadline_s
                )
            except anthropic.APIStatusError as error:
                response = error.response
                raise from_status(
                    self.name, error.status_code, response.headers, response.content, request
                ) from error
            except Exception as error:  # the SDK and what is below it: nothing of theirs leaves this file
                raise from_network(self.name, error) from error
            return read_answer(raw.http_response.content, raw.headers.get("request-id"), request)

    def bulk_sdk(self) -> anthropic.Anthropic:
        """This process's client for batches, whose answers come in bulk."""
        return self._bulk.get()

    def close(self) -> None:
        """Give the connections back."""
        self._live.close()
        self._bulk.close()

    def _make(self, max_answer_bytes: int) -> anthropic.Anthropic:
        import anthropic

        from pipeline.models.deadline import client

        return anthropic.Anthropic(
            api_key=self._api_key,
            base_url=self._base_url,
            max_retries=0,
            http_client=client(self._base_url, max_answer_bytes=max_answer_bytes),
        )


def arguments(request: ModelRequest) -> dict[str, Any]:
    """What is sent."""
    wanted: dict[str, Any] = {
        "model": request.model,
        "max_tokens": request.max_output_tokens,
        # the mark ends the part that is the same from call to call; too short a part is not cached, and free
        "system": [{"type": "text", "text": request.system, "cache_control": {"type": "ephemeral"}}],
        "messages": [{"role": "user", "content": request.user}],
        "service_tier": "standard_only",  # the tier that the price data knows
    }
    if request.end_user:
        wanted["metadata"] = {"user_id": request.end_user}
    if request.schema is not None:
        from anthropic import transform_schema

        # turns what the API only takes as a hint (min, max, maxItems) into words of the description
        schema = transform_schema(dict(request.schema))
        wanted["output_config"] = {"format": {"type": "json_schema", "schema": schema}}
    return wanted


def read_answer(content: bytes, request_id: str | None, request: ModelRequest) -> ModelAnswer:
    """Judge a 200: the usage first, so that a useless answer is paid for in the ledger too."""
    name = AnthropicProvider.name
    body = answer_object(name, content)
    usage = _usage(body.get("usage"))
    blocks = body.get("content")
    stop = body.get("stop_reason")
    if not isinstance(blocks, list) or not isinstance(stop, str):
        raise ModelUndecodable(f"{name} answered 200 with no message in it", usage=usage, status=200)
    if stop == "refusal":
        raise ModelRefused(f"{name}: the model refused to answer", usage=usage, status=200)
    if stop == "model_context_window_exceeded":
        raise ModelTooLong(f"{name}: the model's window was full before the end", usage=usage, status=200)
    if stop in ("max_tokens", "pause_turn"):
        what = "was paused" if stop == "pause_turn" else f"ended at {request.max_output_tokens} tokens"
        raise ModelOutputCut(f"{name}: the answer {what}", usage=usage, status=200)
    if stop == "tool_use":
        raise ModelOutputInvalid("The answer called a tool; there are none.", usage=usage, status=200)
    # thinking blocks come before the text, and are none of it
    texts = [
        block.get("text") for block in blocks if isinstance(block, Mapping) and block.get("type") == "text"
    ]
    text = "".join(part for part in texts if isinstance(part, str))
    if not text.strip():
        raise ModelOutputInvalid("The answer was empty.", usage=usage, status=200)
    model = body.get("model")
    return ModelAnswer(
        text=text,
        usage=usage or Usage(),
        model=model if isinstance(model, str) and model else request.model,
        request_id=request_id,
    )


def _usage(told: object) -> Usage | None:
    """Anthropic's `input_tokens` leaves out what was read from or written to the cache; ours does not."""
    if not isinstance(told, Mapping):
        return None
    plain = count(told.get("input_tokens"))
    cached = count(told.get("cache_read_input_tokens"))
    written = count(told.get("cache_creation_input_tokens"))
    usage = Usage(
        input_tokens=plain + cached + written,
        cached_input_tokens=cached,
        cache_write_tokens=written,
        output_tokens=count(told.get("output_tokens")),
    )
    return usage if usage.input_tokens else None  # a call without any input is no true count
