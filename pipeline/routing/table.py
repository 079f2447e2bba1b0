"""routes.toml as frozen values: tasks, the rule, budgets, models and topics. Reading it is in `reading`."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from pipeline.models.base import Price

LOCAL = "local"
TEMPLATES = "templates"


@dataclass(frozen=True)
class Topic:
    name: str
    description: str
    team: str
    owner: str


@dataclass(frozen=True)
class Task:
    """One row of the table: when it is done, by which model, which backup, and whose it is.

    `backups` stand in order; the first of another provider than the model's is the one that is used.
    """

    name: str
    route: str
    when: str
    model: str
    backups: tuple[str, ...]
    safe_default: str | None
    at_cap: str
    owner: str
    max_output_tokens: int


@dataclass(frozen=True)
class Model:
    """A model of the table. `name` is the provider's own, `key` how the table names it."""

    key: str
    provider: str
    name: str
    tier: str
    price: Price | None


@dataclass(frozen=True)
class Costly:
    """A topic that escalates always, or only over an amount in the message's own currency."""

    topic: str
    why: str
    over: Decimal | None


@dataclass(frozen=True)
class Rule:
    confidence_below: float
    clarity: tuple[str, ...]
    emotion: tuple[str, ...]
    urgency: tuple[str, ...]
    thread_longer_than: int
    contradicting_topics: tuple[tuple[str, str], ...]
    costly: tuple[Costly, ...]
    words: tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True)
class Budgets:
    """Caps in US dollars; None is no cap."""

    day: Decimal | None
    ticket: Decimal | None
    customer_day: Decimal | None
    agent_day: Decimal | None
    task_day: dict[str, Decimal]


@dataclass(frozen=True)
class Routes:
    path: Path
    languages: tuple[str, ...]
    region: str | None
    tasks: dict[str, Task]
    rule: Rule
    budgets: Budgets
    models: dict[str, Model]
    topics: dict[str, Topic]
