"""OpenAI's batch API: a file of requests in, a file of answers out, within 24 hours, at half the price."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, TypeVar

from pipeline.errors import ModelError, ModelTimeout, ModelUndecodable, Usage
from pipeline.models.base import ModelAnswer, ModelRequest
from pipeline.models.providers.failures import from_network, from_status
from pipeline.models.providers.openai import OpenAIProvider, read_answer

T = TypeVar("T")

if TYPE_CHECKING:
    from collections.abc import Callable

    import openai

ENDPOINT: Literal["/v1/chat/completions"] = "/v1/chat/completions"
WAIT_S = 300.0
"""For one step of a batch: an upload, a look, a download."""

_ENDED = frozenset({"failed", "completed", "expired", "cancelled"})


class OpenAIBatches:
    """`BatchApi` on the key and address of a provider, with a client of its own: answers come in bulk."""

    name = OpenAIProvider.name

    def __init__(self, provider: OpenAIProvider) -> None:
        self._provider = provider

    def submit(self, requests: Sequence[tuple[str, ModelRequest]]) -> str:
        lines = [
            json.dumps(
                {
                    "custom_id": id,
                    "method": "POST",
                    "url": ENDPOINT,
                    "body": {
                        key: value
                        for key, value in self._provider.arguments_for(request).items()
                        if key != "service_tier"  # a batch is a tier of its own
                    },
                }
            )
            for id, request in requests
        ]

        def step(sdk: openai.OpenAI) -> str:
            content = "\n".join(lines).encode()
            file = sdk.files.create(file=("requests.jsonl", content), purpose="batch", timeout=WAIT_S)
            batch = sdk.batches.create(
                input_file_id=file.id, endpoint=ENDPOINT, completion_window="24h", timeout=WAIT_S
            )
            return batch.id

        return self._do(step, requests[0][1])

    def ended(self, batch_id: str) -> bool:
        return self._do(lambda sdk: sdk.batches.retrieve(batch_id, timeout=WAIT_S).status in _ENDED)

    def results(
        self, batch_id: str, requests: Sequence[tuple[str, ModelRequest]]
    ) -> Iterator[tuple[str, ModelAnswer | ModelError]]:
        asked = dict(requests)
        batch = self._do(lambda sdk: sdk.batches.retrieve(batch_id, timeout=WAIT_S))
        files = [id for id in (batch.output_file_id, batch.error_file_id) if id]
        if not files and batch.status == "failed":
            told = batch.errors.data if batch.errors and batch.errors.data else []
            words = "; ".join(str(error.code) for error in told[:3]) or "no reason given"
            raise ModelUndecodable(f"{self.name} refused the batch: {words}", usage=Usage())
        for file_id in files:
            content = self._do(_content(file_id))
            for line in content.split(b"\n"):  # not splitlines: answers may hold other line marks
                if line.strip():
                    yield from _result(line, asked)

    def cancel(self, batch_id: str) -> None:
        self._do(lambda sdk: sdk.batches.cancel(batch_id, timeout=WAIT_S))

    def _do(self, step: Callable[[openai.OpenAI], T], request: ModelRequest | None = None) -> T:
        import openai

        from pipeline.models.deadline import deadline

        with deadline(WAIT_S):
            try:
                return step(self._provider.bulk_sdk())
            except openai.APIStatusError as error:
                response = error.response
                shown = request or ModelRequest(task="batch", model="", system="", user="")
                raise from_status(
                    self.name, error.status_code, response.headers, response.content, shown
                ) from error
            except Exception as error:  # the SDK and what is below it: nothing of theirs leaves this file
                raise from_network(self.name, error) from error


def _content(file_id: str) -> Callable[[openai.OpenAI], bytes]:
    return lambda sdk: sdk.files.content(file_id, timeout=WAIT_S).content


def _result(line: bytes, asked: Mapping[str, ModelRequest]) -> Iterator[tuple[str, ModelAnswer | ModelError]]:
    """One line of an output or error file. A line that cannot be read is an answer that is missing."""
    try:
        row = json.loads(line)
        id = row["custom_id"]
        request = asked[id]
        response = row.get("response") or {}
        status = int(response.get("status_code") or 0)
        body = json.dumps(response.get("body")).encode()
    except (ValueError, KeyError, TypeError, AttributeError):
        return
    try:
        if status == 200:
            yield id, read_answer(body, response.get("request_id"), request)
        elif status:
            yield id, from_status(OpenAIProvider.name, status, {}, body, request)
        else:
            code = (row.get("error") or {}).get("code")
            yield id, ModelTimeout(f"{OpenAIProvider.name}: not done in the batch ({code})", usage=Usage())
    except ModelError as error:
        yield id, error
