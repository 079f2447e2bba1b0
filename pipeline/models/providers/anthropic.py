"""Anthropic's Messages API by the official SDK, with structured output."""

from __future__ import annotations

import os
import threading
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
        self._lock = threading.Lock()
        self._client: tuple[int, anthropic.Anthropic] | None = None

    def complete(self, request: ModelRequest, *, deadline_s: float) -> ModelAnswer:
        """One message. Raises `ModelError` subclasses only; `usage` on them where the server told it."""
        import anthropic

        from pipeline.models.deadline import deadline

        with deadline(deadline_s):
            try:
                raw = self._sdk().messages.with_raw_response.create(**_arguments(request), timeout=deadline_s)
            except anthropic.APIStatusError as error:
                response = error.response
                raise from_status(
                    self.name, error.status_code, response.headers, response.content, request
                ) from error
            except Exception as error:  # the SDK and what is below it: nothing of theirs leaves this file
                raise from_network(self.name, error) from error
            return _read(raw.http_response.content, raw.headers.get("request-id"), request)

    def close(self) -> None:
        """Give the connections back."""
        with self._lock:
            if self._client is not None:
                self._client[1].close()
                self._client = None

    def _sdk(self) -> anthropic.Anthropic:
        """This process's one client: a fork makes its own, since sockets must not be shared."""
        kept = self._client
        if kept is not None and kept[0] == os.getpid():
            return kept[1]
        import anthropic

        from pipeline.models.deadline import client

        with self._lock:
            if self._client is None or self._client[0] != os.getpid():
                sdk = anthropic.Anthropic(
                    api_key=self._api_key,
                    base_url=self._base_url,
                    max_retries=0,
                    http_client=client(self._base_url),
                )
                self._client = (os.getpid(), sdk)
            return self._client[1]


def _arguments(request: ModelRequest) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "model": request.model,
        "max_tokens": request.max_output_tokens,
        # the mark ends the part that is the same from call to call; too short a part is not cached, and free
        "system": [{"type": "text", "text": request.system, "cache_control": {"type": "ephemeral"}}],
        "messages": [{"role": "user", "content": request.user}],
        "service_tier": "standard_only",  # the tier that the price data knows
    }
    if request.end_user:
        arguments["metadata"] = {"user_id": request.end_user}
    if request.schema is not None:
        from anthropic import transform_schema

        # turns what the API only takes as a hint (min, max, maxItems) into words of the description
        schema = transform_schema(dict(request.schema))
        arguments["output_config"] = {"format": {"type": "json_schema", "schema": schema}}
    return arguments


def _read(content: bytes, request_id: str | None, request: ModelRequest) -> ModelAnswer:
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
