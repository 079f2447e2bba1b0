"""The door over the wire: both real SDKs against the loopback model server, and a real ledger."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa

from pipeline.db.store import Store
from pipeline.db.tables import model_calls, spend
from pipeline.errors import ModelOutputInvalid
from pipeline.models.base import Cap, Choice, ModelAnswer, ModelRequest, Provider, Usage
from pipeline.models.gateway import Answered, Context, Gateway, Plan
from pipeline.models.ledger import StoreLedger
from pipeline.models.prices import Prices
from pipeline.models.prompts import Rendered
from pipeline.models.providers.anthropic import AnthropicProvider
from pipeline.models.providers.openai import OpenAIProvider
from tests.kit.model_server import ModelServer

SCHEMA = {
    "type": "object",
    "properties": {"topic": {"type": "string", "enum": ["billing", "other"]}},
    "required": ["topic"],
    "additionalProperties": False,
}
PROMPT = Rendered(
    name="triage/cheap",
    digest="0123456789ab",
    system="You sort mail.",
    user="Where is my invoice?",
    fence="f-1",
)
CHOICES = {
    "openai": Choice("gpt-6-luna", "openai", "gpt-6-luna", "cheap"),
    "anthropic": Choice("claude-haiku-5-5", "anthropic", "claude-haiku-5-5", "cheap"),
    "local": Choice("local", "local", "local", "local", role="safe_default"),
}
LONG_S = 20.0


class BuiltIn:
    """A free provider of this process, as the local model is one."""

    name = "local"

    def complete(self, request: ModelRequest, *, deadline_s: float) -> ModelAnswer:
        return ModelAnswer(text='{"topic": "other"}', usage=Usage(), model="built-in")


def check(text: str) -> str:
    """The topic of an answer, as a room's own check would give it."""
    try:
        value = json.loads(text)
    except ValueError:
        raise ModelOutputInvalid("That is no JSON.") from None
    if not isinstance(value, dict) or value.get("topic") not in ("billing", "other"):
        raise ModelOutputInvalid("`topic` must be billing or other.")
    return str(value["topic"])


@dataclass
class Door:
    """Everything that a test of the door needs, and what it looks at afterwards."""

    server: ModelServer
    providers: dict[str, Provider]
    store: Store
    backoff_s: float = 0.01
    prices: Prices = field(default_factory=Prices)

    def gateway(self) -> Gateway:
        return Gateway(self.providers, StoreLedger(self.store), self.prices, backoff_s=self.backoff_s)

    def plan(self, *order: str, caps: tuple[Cap, ...] | None = None, deadline_s: float = LONG_S) -> Plan:
        roles = ("model", "backup", "backup")
        choices = tuple(
            CHOICES[name] if name == "local" else _role(CHOICES[name], role)
            for name, role in zip(order, roles, strict=False)
        )
        caps = (Cap("day:2026-11-23", Decimal(1), "$1 a day"),) if caps is None else caps
        return Plan(
            choices, caps, {"cheap": deadline_s, "strong": LONG_S, "local": LONG_S}, max_output_tokens=200
        )

    def ask(self, plan: Plan, *, prompt: Rendered = PROMPT) -> Answered[str]:
        return self.gateway().ask(
            plan,
            prompt,
            Context(task="triage", route="cheap", end_user="c0ffee"),
            schema=SCHEMA,
            schema_name="triage",
            input={"subject": None, "body": prompt.user},
            check=check,
        )

    def rows(self) -> list[Any]:
        with self.store.read() as connection:
            return list(connection.execute(sa.select(model_calls).order_by(model_calls.c.id)))

    def spent(self, scope: str = "day:2026-11-23") -> tuple[Decimal, Decimal]:
        """(settled, reserved) of a scope."""
        with self.store.read() as connection:
            row = connection.execute(sa.select(spend).where(spend.c.scope == scope)).one_or_none()
        return (Decimal(0), Decimal(0)) if row is None else (row.spent_usd, row.reserved_usd)


def _role(choice: Choice, role: str) -> Choice:
    """As that role; a backup is called strong here, so that a short deadline is the first model's alone."""
    tier = "strong" if role == "backup" else choice.tier
    return Choice(choice.key, choice.provider, choice.name, tier, role, choice.price)


@pytest.fixture(scope="session")
def wire() -> Iterator[tuple[ModelServer, dict[str, Provider]]]:
    """One server and one client of each SDK for all tests, warmed up: the SDKs load at their first call."""
    with ModelServer() as server:
        openai = OpenAIProvider("sk-test", server.openai_url)
        anthropic = AnthropicProvider("sk-ant-test", server.anthropic_url)
        request = ModelRequest("triage", "warm-up", "", "Hello", schema=SCHEMA)
        openai.complete(request, deadline_s=60)
        anthropic.complete(request, deadline_s=60)
        yield server, {"openai": openai, "anthropic": anthropic, "local": BuiltIn()}
        openai.close()
        anthropic.close()


@pytest.fixture
def server(wire: tuple[ModelServer, dict[str, Provider]]) -> ModelServer:
    """The model server with a clean journal and no script."""
    wire[0].forget()
    return wire[0]


@pytest.fixture
def door(server: ModelServer, wire: tuple[ModelServer, dict[str, Provider]], sqlite_store: Store) -> Door:
    return Door(server, dict(wire[1]), sqlite_store)


@pytest.fixture
def any_door(server: ModelServer, wire: tuple[ModelServer, dict[str, Provider]], store: Store) -> Door:
    """The same on each kind of database."""
    return Door(server, dict(wire[1]), store)
