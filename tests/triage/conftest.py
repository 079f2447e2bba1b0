"""What tests of the cheap stage share: an answer, a served brain or whole parts, and labelled rows."""

from __future__ import annotations

import json
import math
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.assembly import Brain, Parts, open_brain
from pipeline.models.providers.anthropic import AnthropicProvider
from pipeline.models.providers.openai import OpenAIProvider
from pipeline.settings import load as load_settings
from pipeline.triage.calibration import Signals
from pipeline.triage.fitting import Row
from tests.kit.live import live_parts
from tests.kit.model_replies import Reply
from tests.kit.model_server import ModelServer

ROUTES = Path(__file__).parents[2] / "routes.toml"
ANSWER: dict[str, Any] = {
    "topic": "order_shipping",
    "other_topics": [],
    "confidence": 0.75,
    "language": "en",
    "urgency": "normal",
    "emotion": "calm",
    "clarity": "clear",
    "fields": {
        kind: []
        for kind in (
            "order_numbers", "account_ids", "emails", "phones", "amounts", "dates", "names", "invoice_numbers"
        )
    },
    "summary": "asks where the order is",
}  # fmt: skip
QUESTION = {"id": "1", "subject": "My parcel", "body": "Where is my parcel? It was due on Monday."}


def rows(number: int, seed: int = 1, *, overconfident: bool = True) -> list[Row]:
    """Readings by a model that is right less often than it says, where it says 0.9 and more."""
    draw = random.Random(seed)
    made = []
    for _ in range(number):
        stated = draw.uniform(0.5, 0.99)
        truth = stated**3 if overconfident else stated
        made.append(Row(Signals(round(stated, 2)), draw.random() < truth))
    return made


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer() as server:
        yield server


def told(answer: dict[str, Any], topic_logprobs: tuple[float, ...] = (-0.02, -0.01)) -> Reply:
    """A chat completion with the log probability of each token; those of the topic's value as given."""
    text = json.dumps(answer)
    head, tail = text.split(answer["topic"], 1)
    size = math.ceil(len(answer["topic"]) / len(topic_logprobs))
    pieces = [(answer["topic"][n * size : (n + 1) * size], log) for n, log in enumerate(topic_logprobs)]
    tokens = [
        {"token": piece, "bytes": list(piece.encode()), "logprob": log, "top_logprobs": []}
        for piece, log in [(head, -0.5), *pieces, (tail, -0.7)]
    ]
    body = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1790000000,
        "model": "gpt-6-luna-2026-09-01",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text, "refusal": None},
                "finish_reason": "stop",
                "logprobs": {"content": tokens, "refusal": None},
            }
        ],
        "usage": {"prompt_tokens": 900, "completion_tokens": 200, "total_tokens": 1100},
    }
    return Reply("ok", raw=json.dumps(body).encode())


Opened = Callable[..., Brain]


@pytest.fixture
def brain(server: ModelServer, tmp_path: Path) -> Iterator[Opened]:
    """Opens brains that ask the server, with the shipped table or another; their connections are given back."""
    opened: list[Brain] = []

    def brain_of(second: str | None = None, **changes: str) -> Brain:
        table = ROUTES.read_text(encoding="utf-8")
        owner = 'owner = "support-ops"'
        if second:
            table = table.replace(owner, f'{owner}\nsecond_model = "{second}"', 1)
        for name, value in changes.items():
            table = re.sub(rf"(?m)^{name} = .*$", f"{name} = {value}", table)
        (tmp_path / "routes.toml").write_text(table, encoding="utf-8")
        keys = {"openai_api_key": "sk-test", "openai_base_url": server.openai_url}
        keys |= {"anthropic_api_key": "sk-ant", "anthropic_base_url": server.anthropic_url}
        opened.append(open_brain(load_settings(home=tmp_path, **keys)))
        return opened[-1]

    yield brain_of
    for each in opened:
        for provider in each.providers.values():
            if isinstance(provider, OpenAIProvider | AnthropicProvider):
                provider.close()


@pytest.fixture
def parts(tmp_path: Path, database_url: str, server: ModelServer) -> Iterator[Parts]:
    parts = live_parts(
        tmp_path / "home", database_url, openai_api_key="sk-test", openai_base_url=server.openai_url
    )
    yield parts
    provider = parts.providers["openai"]
    assert isinstance(provider, OpenAIProvider)
    provider.close()
    parts.store.close()
