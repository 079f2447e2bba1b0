"""Anthropic's Message Batches: within 24 hours, at half the price."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from pipeline.errors import ModelError, ModelTimeout, Usage
from pipeline.models.base import ModelAnswer, ModelRequest
from pipeline.models.providers.anthropic import AnthropicProvider, arguments, read_answer
from pipeline.models.providers.failures import from_network, from_status

T = TypeVar("T")

if TYPE_CHECKING:
    from collections.abc import Callable

    import anthropic

WAIT_S = 300.0
"""For one step of a batch: an upload, a look, a download."""

_STATUS = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "rate_limit_error": 429,
    "timeout_error": 504,
    "overloaded_error": 529,
}
"""What the live API's status would have been; another kind of error counts as 500."""


class AnthropicBatches:
    """`BatchApi` on the key and address of a provider, with a client of its own: answers come in bulk."""

    name = AnthropicProvider.name

    def __init__(self, provider: AnthropicProvider) -> None:
        self._provider = provider

    def submit(self, requests: Sequence[tuple[str, ModelRequest]]) -> str:
        rows: list[Any] = [
            {
                "custom_id": id,
                "params": {key: value for key, value in arguments(request).items() if key != "service_tier"},
            }
            for id, request in requests
        ]
        made = self._do(
            lambda sdk: sdk.messages.batches.create(requests=rows, timeout=WAIT_S), requests[0][1]
        )
        return str(made.id)

    def ended(self, batch_id: str) -> bool:
        found = self._do(lambda sdk: sdk.messages.batches.retrieve(batch_id, timeout=WAIT_S))
        return bool(found.processing_status == "ended")

    def results(
        self, batch_id: str, requests: Sequence[tuple[str, ModelRequest]]
    ) -> Iterator[tuple[str, ModelAnswer | ModelError]]:
        asked = dict(requests)

        def step(sdk: anthropic.Anthropic) -> list[Any]:
            return list(sdk.messages.batches.results(batch_id, timeout=WAIT_S))

        for row in self._do(step):
            request = asked.get(row.custom_id)
            if request is None:
                continue
            result = row.result
            try:
                if result.type == "succeeded":
                    body = result.message.to_json(exclude_unset=True).encode()
                    yield row.custom_id, read_answer(body, None, request)
                elif result.type == "errored":
                    yield row.custom_id, _failure(result.error, request)
                else:  # expired or canceled: nothing was done, and nothing is charged
                    words = f"{self.name}: not done in the batch ({result.type})"
                    yield row.custom_id, ModelTimeout(words, usage=Usage())
            except ModelError as error:
                yield row.custom_id, error

    def cancel(self, batch_id: str) -> None:
        self._do(lambda sdk: sdk.messages.batches.cancel(batch_id, timeout=WAIT_S))

    def _do(self, step: Callable[[anthropic.Anthropic], T], request: ModelRequest | None = None) -> T:
        import anthropic

        from pipeline.models.deadline import deadline

        with deadline(WAIT_S):
            try:
                return step(self._provider.bulk_sdk())
            except anthropic.APIStatusError as error:
                response = error.response
                shown = request or ModelRequest(task="batch", model="", system="", user="")
                raise from_status(
                    self.name, error.status_code, response.headers, response.content, shown
                ) from error
            except Exception as error:  # the SDK and what is below it: nothing of theirs leaves this file
                raise from_network(self.name, error) from error


def _failure(error: Any, request: ModelRequest) -> ModelError:
    kind, message = error.error.type, error.error.message
    body = json.dumps({"type": "error", "error": {"type": kind, "message": message}})
    return from_status(AnthropicProvider.name, _STATUS.get(kind, 500), {}, body, request)
