"""What a model is asked and what it answers: the one shape that all providers share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Protocol

from pipeline.errors import Usage

__all__ = ["Cap", "Choice", "ModelAnswer", "ModelRequest", "Price", "Provider", "Usage"]


@dataclass(frozen=True)
class ModelRequest:
    """One question to one model.

    `system` and `user` are the rendered prompt. `schema` is the JSON schema that the answer must meet
    (None for free text). `input` holds the same facts structured, for providers that read no prompt
    (the built-in local one):

    - task "triage": {"subject": str | None, "body": str, "topics": [str], "languages": [str],
      "default_region": str | None (ISO 3166), "received": datetime | None}
    - task "draft": {"messages": [{"role", "text", "created"}], "topic": str, "language": str,
      "emotion": str,
      "fields": {...}, "account": {...} | None, "customer_name": str | None, "sender_name": str}
    """

    task: str
    model: str
    system: str
    user: str
    schema: Mapping[str, Any] | None = None
    schema_name: str = "answer"
    input: Mapping[str, Any] = field(default_factory=dict)
    max_output_tokens: int = 2000
    end_user: str | None = None
    label: str | None = None
    """The enum property of the schema whose chosen value's probability is wanted, where the API tells it."""


@dataclass(frozen=True)
class ModelAnswer:
    """What came back. `text` is the raw answer (JSON text where a schema was given), not yet validated."""

    text: str
    usage: Usage
    model: str
    request_id: str | None = None
    certainty: float | None = None
    """The probability, 0 to 1, of the tokens of `ModelRequest.label`'s value; None where the API tells none."""


class Provider(Protocol):
    """One kind of model server. Raises subclasses of `pipeline.errors.ModelError` and nothing else.

    `deadline_s` bounds the whole call, from connecting to the last byte.
    """

    name: str

    def complete(self, request: ModelRequest, *, deadline_s: float) -> ModelAnswer: ...


@dataclass(frozen=True)
class Price:
    """US dollars per million tokens, where a team overrides the price data; cached is None: as input."""

    input_usd: str
    output_usd: str
    cached_input_usd: str | None = None


@dataclass(frozen=True)
class Choice:
    """One model that may be asked, as routes.toml names it.

    `key` is its name in routes.toml, `name` the provider's own; `tier` is local, cheap or strong; `role`
    is model, backup or safe_default.
    """

    key: str
    provider: str
    name: str
    tier: str
    role: str = "model"
    price: Price | None = None
    at_once: int | None = None
    """The most calls under way at the same time, over all workers; None is no limit."""
    per_minute: int | None = None
    """The most calls begun in a minute, over all workers; None is no limit."""


@dataclass(frozen=True)
class Cap:
    """A limit on spend. `scope` is the row of the `spend` table that counts it, e.g. day:2026-11-23."""

    scope: str
    limit_usd: Decimal
    label: str
    """In words, for the person who reads that it was reached: `$5 a day for drafts`."""
    alarm_at: float = 1.0
    """The share of the limit at which an alarm is raised, once."""
    confirmable: bool = False
    """Whether an agent may agree to pass it, where the task's `at_cap` is `ask`."""
