"""What the model server of the tests can be told to answer, each in the true form of either provider."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True)
class Seen:
    """One request as it came in. `user` and `system` are plain text, whatever the provider's form."""

    provider: str
    model: str
    system: str
    user: str
    schema: Mapping[str, Any] | None
    body: Mapping[str, Any]
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Tokens:
    """Usage to report; `plain` was neither read from nor written to the cache."""

    plain: int
    output: int
    cached: int = 0
    written: int = 0


@dataclass(frozen=True)
class Reply:
    """One way to answer. `kind` names it in the journal."""

    kind: str
    answer: Any = None
    """Text, or a value to be sent as JSON; None is derived from the request's schema."""
    status: int = 200
    error_type: str = ""
    error_code: str | None = None
    message: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    finish: str = "stop"
    tokens: Tokens | None = None
    """None: counted from the texts."""
    tell_usage: bool = True
    raw: bytes | None = None
    """A whole body instead of the provider's form."""
    content_type: str = "application/json"
    wait_s: float = 0.0
    drip: str = ""
    """`headers` or `body`: sent one byte each `drip_s`."""
    drip_s: float = 0.05
    cut_after: int | None = None
    """Close the connection after so many bytes of the body."""
    reset: bool = False

    def later(self, seconds: float) -> Reply:
        """The same after a pause."""
        return replace(self, wait_s=seconds)


def ok(answer: Any = None, *, tokens: Tokens | None = None) -> Reply:
    return Reply("ok", answer=answer, tokens=tokens)


def no_usage(answer: Any = None) -> Reply:
    return Reply("no_usage", answer=answer, tell_usage=False)


def rate_limited(retry_after: str | None = None) -> Reply:
    headers = {} if retry_after is None else {"retry-after": retry_after}
    return Reply(
        "rate_limited", status=429, error_type="rate_limit", message="Rate limit reached.", headers=headers
    )


def overloaded() -> Reply:
    return Reply("overloaded", status=529, error_type="overloaded_error", message="Overloaded")


def failing(status: int = 500) -> Reply:
    return Reply(f"failing_{status}", status=status, error_type="server", message="Internal error")


def refused_key() -> Reply:
    return Reply(
        "refused_key",
        status=401,
        error_type="authentication",
        error_code="invalid_api_key",
        message="Incorrect API key provided: sk-tes**********1234.",
    )


def unknown_model() -> Reply:
    return Reply(
        "unknown_model",
        status=404,
        error_type="not_found",
        error_code="model_not_found",
        message="The model does not exist or you do not have access to it.",
    )


def out_of_credit() -> Reply:
    """OpenAI: 429 insufficient_quota. Anthropic: a 400 that speaks of the balance."""
    return Reply("out_of_credit", error_type="credit")


def bad_request(message: str, *, status: int = 400, code: str | None = None) -> Reply:
    return Reply("bad_request", status=status, error_type="invalid_request", error_code=code, message=message)


def too_long() -> Reply:
    return Reply("too_long", error_type="too_long")


def refusal() -> Reply:
    return Reply("refusal", finish="refusal", answer="I cannot help with that.")


def content_filter() -> Reply:
    return Reply("content_filter", finish="content_filter", answer="")


def length_cut(answer: str = '{"topic": "bil') -> Reply:
    return Reply("length_cut", finish="length", answer=answer)


def paused() -> Reply:
    """Anthropic's `pause_turn`."""
    return Reply("paused", finish="pause_turn", answer="")


def tool_call() -> Reply:
    return Reply("tool_call", finish="tool", answer="")


def invalid_json() -> Reply:
    return Reply("invalid_json", answer="Sure! Here is the JSON: {topic: billing")


def wrong_schema() -> Reply:
    return Reply("wrong_schema", answer={"surprise": [1, 2, 3]})


def html() -> Reply:
    page = b"<!DOCTYPE html><html><body>Welcome to the hotel's network</body></html>"
    return Reply("html", raw=page, content_type="text/html")


def broken_json() -> Reply:
    return Reply("broken_json", raw=b'{"id": "x", "choices": [{"mess')


def no_choices() -> Reply:
    return Reply("no_choices", raw=b'{"id": "x", "object": "chat.completion", "choices": []}')


def cut_body() -> Reply:
    return Reply("cut_body", cut_after=20)


def reset() -> Reply:
    return Reply("reset", reset=True)


def hang(seconds: float = 30.0) -> Reply:
    return Reply("hang", wait_s=seconds)


def drip(what: str = "body", every_s: float = 0.05) -> Reply:
    return Reply(f"drip_{what}", drip=what, drip_s=every_s)


def huge(size: int) -> Reply:
    return Reply("huge", raw=b'{"padding": "' + b"x" * size + b'"}')


def packed() -> Reply:
    return Reply("packed", raw=b"\x1f\x8b\x08\x00", headers={"content-encoding": "gzip"})


# --- in the provider's form --------------------------------------------------------------------------


def derived(schema: Mapping[str, Any] | None) -> Any:
    """The smallest value that a JSON schema allows; a sentence where there is no schema."""
    if schema is None:
        return "Thank you for your message."
    return _smallest(schema, schema)


def _smallest(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Any:
    if "$ref" in schema:
        target: Any = root
        for part in schema["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        return _smallest(target, root)
    for key in ("const", "default"):
        if key in schema:
            return schema[key]
    if "enum" in schema:
        return schema["enum"][0]
    for key in ("anyOf", "oneOf", "allOf"):
        if key in schema:
            return _smallest(schema[key][0], root)
    kind = schema.get("type")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        properties = schema.get("properties", {})
        return {name: _smallest(properties[name], root) for name in schema.get("required", properties)}
    if kind == "array":
        return [_smallest(schema["items"], root) for _ in range(schema.get("minItems", 0))]
    if kind in ("number", "integer"):
        return schema.get("minimum", 0)
    return {"boolean": False, "null": None}.get(kind or "", "text")


def status_and_body(reply: Reply, seen: Seen) -> tuple[int, bytes, Tokens | None]:
    """The HTTP status, the body and the usage that it reports."""
    if reply.raw is not None:
        return reply.status, reply.raw, None
    openai = seen.provider == "openai"
    if reply.error_type:
        status, body = _openai_error(reply, seen) if openai else _anthropic_error(reply)
        return status, json.dumps(body).encode(), None
    answer = derived(seen.schema) if reply.answer is None else reply.answer
    text = answer if isinstance(answer, str) else json.dumps(answer)
    tokens = reply.tokens or Tokens(len(seen.system + seen.user) // 4 + 1, len(text) // 4 + 1)
    body = (
        _openai_answer(reply, seen, text, tokens) if openai else _anthropic_answer(reply, seen, text, tokens)
    )
    if not reply.tell_usage:
        del body["usage"]
    return 200, json.dumps(body).encode(), tokens if reply.tell_usage else None


def _openai_answer(reply: Reply, seen: Seen, text: str, tokens: Tokens) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None}
    finish = {"refusal": "stop", "tool": "tool_calls"}.get(reply.finish, reply.finish)
    if reply.finish == "refusal":
        message.update(content=None, refusal=text)
    if reply.finish == "tool":
        call = {"id": "call_1", "type": "function", "function": {"name": "x", "arguments": "{}"}}
        message.update(content=None, tool_calls=[call])
    prompt_tokens = tokens.plain + tokens.cached + tokens.written
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1790000000,
        "model": f"{seen.model}-2026-09-01",
        "choices": [{"index": 0, "message": message, "finish_reason": finish, "logprobs": None}],
        "usage": {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": tokens.output,
            "total_tokens": prompt_tokens + tokens.output,
            "prompt_tokens_details": {"cached_tokens": tokens.cached, "cache_write_tokens": tokens.written},
        },
    }


def _anthropic_answer(reply: Reply, seen: Seen, text: str, tokens: Tokens) -> dict[str, Any]:
    stop = {
        "stop": "end_turn",
        "length": "max_tokens",
        "content_filter": "refusal",
        "tool": "tool_use",
    }.get(reply.finish, reply.finish)
    blocks: list[dict[str, Any]] = [{"type": "thinking", "thinking": "Let me see.", "signature": "c2ln"}]
    if reply.finish == "tool":
        blocks.append({"type": "tool_use", "id": "toolu_1", "name": "x", "input": {}})
    elif text:
        blocks.append({"type": "text", "text": text, "citations": None})
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": f"{seen.model}-20260901",
        "content": blocks,
        "stop_reason": stop,
        "stop_sequence": None,
        "usage": {
            "input_tokens": tokens.plain,
            "cache_read_input_tokens": tokens.cached,
            "cache_creation_input_tokens": tokens.written,
            "output_tokens": tokens.output,
        },
    }


_OPENAI_TYPES = {
    "rate_limit": "rate_limit_exceeded",
    "authentication": "invalid_request_error",
    "not_found": "invalid_request_error",
    "invalid_request": "invalid_request_error",
    "server": "server_error",
}
_ANTHROPIC_TYPES = {
    "rate_limit": "rate_limit_error",
    "authentication": "authentication_error",
    "not_found": "not_found_error",
    "invalid_request": "invalid_request_error",
    "server": "api_error",
}


def _openai_error(reply: Reply, seen: Seen) -> tuple[int, dict[str, Any]]:
    kind, code, message = reply.error_type, reply.error_code, reply.message
    status = reply.status
    if kind == "credit":
        status, kind, code = 429, "insufficient_quota", "insufficient_quota"
        message = "You exceeded your current quota, please check your plan and billing details."
    elif kind == "too_long":
        status, kind, code = 400, "invalid_request", "context_length_exceeded"
        message = "This model's maximum context length is 128000 tokens. However, your messages are longer."
    error = {"message": message, "type": _OPENAI_TYPES.get(kind, kind), "param": None, "code": code}
    return status, {"error": error}


def _anthropic_error(reply: Reply) -> tuple[int, dict[str, Any]]:
    kind, message, status = reply.error_type, reply.message, reply.status
    if kind == "credit":
        status, kind = 400, "invalid_request"
        message = (
            "Your credit balance is too low to access the Anthropic API. "
            "Please go to Plans & Billing to upgrade or purchase credits."
        )
    elif kind == "too_long":
        status, kind, message = 400, "invalid_request", "prompt is too long: 210000 tokens > 200000 maximum"
    error = {"type": _ANTHROPIC_TYPES.get(kind, kind), "message": message}
    return status, {"type": "error", "error": error, "request_id": "req_1"}
