"""OpenAI and every server that speaks its chat completions: vLLM, Ollama, llama.cpp, gateways.

A compatible server that refuses something which OpenAI takes (a strict schema, `store`, the end-user id,
one of the two names of the output limit) says so with a 400 or 422; then that one thing is left out for
this model from then on, with a warning in the log, and the same call goes on within its deadline. The
schema steps down from `json_schema` to `json_object` to nothing. That is never done with OpenAI itself, and
in every case the gateway's own check of the answer stays.

Where a request names a label, the probabilities of the answer's tokens are asked for too, which OpenAI's
reasoning models tell only at effort `none`. A model that refuses either, OpenAI's own too, is asked without.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import structlog

from pipeline.errors import (
    ModelOutputCut,
    ModelOutputInvalid,
    ModelRefused,
    ModelRejected,
    ModelUndecodable,
    Usage,
)
from pipeline.models.base import ModelAnswer, ModelRequest
from pipeline.models.providers.clients import MAX_ANSWER_BYTES, MAX_BULK_BYTES, PerProcess
from pipeline.models.providers.failures import answer_object, count, from_network, from_status
from pipeline.models.providers.label import certainty

if TYPE_CHECKING:
    import openai

OFFICIAL = "https://api.openai.com/v1"
_FORMATS = ("json_schema", "json_object", "none")
_MAY_BE_LEFT_OUT = ("max_completion_tokens", "max_tokens", "safety_identifier", "store")
_FOR_CERTAINTY = ("logprobs", "reasoning_effort")

log = structlog.get_logger("pipeline.models")


class OpenAIProvider:
    """Chat completions by the official SDK, without its retries and its stream. Thread-safe.

    `base_url` None: OpenAI itself.
    """

    name = "openai"

    def __init__(self, api_key: str, base_url: str | None = None) -> None:
        self._api_key = api_key
        self._base_url = base_url or OFFICIAL
        self._official = re.match(r"https://([\w-]+\.)*openai\.com(/|$)", self._base_url) is not None
        self._lock = threading.Lock()
        self._live = PerProcess(lambda: self._make(MAX_ANSWER_BYTES))
        self._bulk = PerProcess(lambda: self._make(MAX_BULK_BYTES))
        self._left_out: dict[str, frozenset[str]] = {}
        self._format: dict[str, str] = {}

    def complete(self, request: ModelRequest, *, deadline_s: float) -> ModelAnswer:
        """One completion. Raises `ModelError` subclasses only; `usage` on them where the server told it."""
        import openai

        from pipeline.models.deadline import deadline

        with deadline(deadline_s):
            for _ in range(len(_MAY_BE_LEFT_OUT) + len(_FOR_CERTAINTY) + len(_FORMATS)):
                try:
                    raw = self._live.get().chat.completions.with_raw_response.create(
                        **self.arguments_for(request), timeout=deadline_s
                    )
                except openai.APIStatusError as error:
                    if self._can_do_without(request.model, error):
                        continue
                    response = error.response
                    raise from_status(
                        self.name, error.status_code, response.headers, response.content, request
                    ) from error
                except Exception as error:  # the SDK and what is below it: nothing of theirs leaves this file
                    raise from_network(self.name, error) from error
                return read_answer(raw.http_response.content, raw.headers.get("x-request-id"), request)
        raise ModelRejected(f"{self.name} refuses every form of the request", usage=Usage(), status=400)

    def bulk_sdk(self) -> openai.OpenAI:
        """This process's client for batches, whose answers come in bulk."""
        return self._bulk.get()

    def close(self) -> None:
        """Give the connections back."""
        self._live.close()
        self._bulk.close()

    def _make(self, max_answer_bytes: int) -> openai.OpenAI:
        import openai

        from pipeline.models.deadline import client

        return openai.OpenAI(
            api_key=self._api_key,
            base_url=self._base_url,
            max_retries=0,
            http_client=client(self._base_url, max_answer_bytes=max_answer_bytes),
        )

    def arguments_for(self, request: ModelRequest) -> dict[str, Any]:
        """What is sent, without what this server has refused before."""
        left_out = self._left_out.get(request.model, frozenset())
        form = self._format.get(request.model, _FORMATS[0])
        wanted = arguments(request, official=self._official, form=form)
        return {name: value for name, value in wanted.items() if name not in left_out}

    def _can_do_without(self, model: str, error: openai.APIStatusError) -> bool:
        """Whether the server refused something optional; if so it is left out for this model from now on."""
        if error.status_code not in (400, 422):
            return False
        said = error.response.text[:4000]
        optional = _FOR_CERTAINTY if self._official else (*_FOR_CERTAINTY, *_MAY_BE_LEFT_OUT)
        with self._lock:
            left_out = self._left_out.get(model, frozenset())
            # the name that is refused comes first: "use 'max_completion_tokens' instead" follows it
            named = sorted((match.start(), name) for name in optional for match in _mentions(name, said))
            if named and named[0][1] not in left_out:
                name = named[0][1]
                limits = {"max_tokens", "max_completion_tokens"}
                if name in limits and (limits - {name}) <= left_out:
                    return False  # a call without any output limit would have no worst price
                # the effort is set for the sake of the probabilities alone
                refused = set(_FOR_CERTAINTY) if name == "logprobs" else {name}
                self._left_out[model] = left_out | refused
                event = "certainty_not_told" if name in _FOR_CERTAINTY else "compatible_server_refused"
                log.warning(event, provider=self.name, model=model, left_out=name)
                return True
            if self._official:
                return False
            form = self._format.get(model, _FORMATS[0])
            if form != _FORMATS[-1] and re.search(r"response_format|json_schema|json_object|guided", said):
                self._format[model] = _FORMATS[_FORMATS.index(form) + 1]
                log.warning(
                    "compatible_server_refused",
                    provider=self.name,
                    model=model,
                    left_out=f"response_format {form}; asked for {self._format[model]} from now on",
                )
                return True
        return False


def arguments(request: ModelRequest, *, official: bool, form: str = "json_schema") -> dict[str, Any]:
    """What is sent: to OpenAI itself, or to a compatible server. `form` is how a schema is asked for."""
    wanted: dict[str, Any] = {
        "model": request.model,
        # the part that is the same from call to call comes first, so that the provider's cache finds it
        "messages": [
            {"role": "system", "content": request.system},
            {"role": "user", "content": request.user},
        ],
        "max_completion_tokens": request.max_output_tokens,
        "store": False,
    }
    if official:
        wanted["service_tier"] = "default"  # a project's own default may be dearer than the price data
    else:
        wanted["max_tokens"] = request.max_output_tokens  # some servers know the old name only
    if request.end_user:
        wanted["safety_identifier"] = request.end_user
    if request.label:
        wanted["logprobs"] = True
        if official:
            wanted["reasoning_effort"] = "none"
    if request.schema is not None and form == "json_schema":
        schema = {"name": request.schema_name, "schema": dict(request.schema), "strict": True}
        wanted["response_format"] = {"type": "json_schema", "json_schema": schema}
    elif request.schema is not None and form == "json_object":
        wanted["response_format"] = {"type": "json_object"}
    return wanted


def _mentions(name: str, text: str) -> list[re.Match[str]]:
    return list(re.finditer(rf"(?<![\w]){re.escape(name)}(?![\w])", text))


def read_answer(content: bytes, request_id: str | None, request: ModelRequest) -> ModelAnswer:
    """Judge a 200: the usage first, so that a useless answer is paid for in the ledger too."""
    name = OpenAIProvider.name
    body = answer_object(name, content)
    usage = _usage(body.get("usage"))
    choices = body.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = choice.get("message") if isinstance(choice, Mapping) else None
    if not isinstance(choice, Mapping) or not isinstance(message, Mapping):
        raise ModelUndecodable(f"{name} answered 200 without choices", usage=usage, status=200)
    finish = choice.get("finish_reason")
    if finish == "content_filter":
        raise ModelRefused(f"{name}: a content filter stopped the answer", usage=usage, status=200)
    if message.get("refusal"):
        raise ModelRefused(f"{name}: the model refused to answer", usage=usage, status=200)
    if finish == "length":
        raise ModelOutputCut(
            f"{name}: the answer ended at {request.max_output_tokens} tokens", usage=usage, status=200
        )
    text = message.get("content")
    if message.get("tool_calls") or message.get("function_call"):
        raise ModelOutputInvalid("The answer called a tool; there are none.", usage=usage, status=200)
    if text is not None and not isinstance(text, str):
        raise ModelUndecodable(f"{name} answered 200 with content that is no text", usage=usage, status=200)
    if not text or not text.strip():
        raise ModelOutputInvalid("The answer was empty.", usage=usage, status=200)
    model = body.get("model")
    told = choice.get("logprobs")
    tokens = told.get("content") if isinstance(told, Mapping) else None
    return ModelAnswer(
        text=text,
        usage=usage or Usage(),
        model=model if isinstance(model, str) and model else request.model,
        request_id=request_id,
        certainty=certainty(text, tokens, request.label) if request.label else None,
    )


def _usage(told: object) -> Usage | None:
    if not isinstance(told, Mapping):
        return None
    details = told.get("prompt_tokens_details")
    details = details if isinstance(details, Mapping) else {}
    usage = Usage(
        input_tokens=count(told.get("prompt_tokens")),
        cached_input_tokens=count(details.get("cached_tokens")),
        cache_write_tokens=count(details.get("cache_write_tokens")),
        output_tokens=count(told.get("completion_tokens")),
    )
    return usage if usage.input_tokens else None  # a call without any input is no true count
