"""routes.toml as frozen values: tasks, the rule, budgets, models and topics. Reading it is in `reading`."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from pipeline.models.base import Price

LOCAL = "local"
TEMPLATES = "templates"

BUILT_IN = {"triage": LOCAL, "routine": TEMPLATES, "draft": TEMPLATES}
"""The part that does a task without a model; the other tasks have none."""

DATA_CLASSES = ("public", "customer", "sensitive")
"""How confidential a ticket is, in rising order: its inbox or its topic says so, the stricter one counts."""

REDACTED = ("cards", "secrets", "emails", "phones", "ibans", "names")
"""What can be taken out of a text before a provider sees it; card numbers and secrets always are."""


@dataclass(frozen=True)
class Topic:
    name: str
    description: str
    team: str
    owner: str
    data: str | None = None


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
    second_model: str | None = None
    """Another cheap model that reads the same message; where both agree, the reading is surer."""


@dataclass(frozen=True)
class Model:
    """A model of the table. `name` is the provider's own, `key` how the table names it.

    `sees` are the data classes that it may be shown; `domain` says what a specialised one is for.
    """

    key: str
    provider: str
    name: str
    tier: str
    price: Price | None
    region: str | None = None
    domain: str | None = None
    sees: tuple[str, ...] = ("public", "customer")
    at_once: int | None = None
    per_minute: int | None = None


@dataclass(frozen=True)
class Costly:
    """A topic that escalates always, or only over an amount in the message's own currency."""

    topic: str
    why: str
    over: Decimal | None


@dataclass(frozen=True)
class Rule:
    """`confidence_below_uncalibrated` counts for models whose confidence nobody has calibrated yet."""

    confidence_below: float
    confidence_below_uncalibrated: float
    clarity: tuple[str, ...]
    emotion: tuple[str, ...]
    urgency: tuple[str, ...]
    thread_longer_than: int
    contradicting_topics: tuple[tuple[str, str], ...]
    costly: tuple[Costly, ...]
    words: tuple[tuple[str, tuple[str, ...]], ...]
    shadow_share: float
    """The share of kept tickets that the strong model reads too, to find escalations that were missed."""


@dataclass(frozen=True)
class Budgets:
    """Caps in US dollars; None is no cap."""

    day: Decimal | None = None
    week: Decimal | None = None
    month: Decimal | None = None
    ticket: Decimal | None = None
    customer_day: Decimal | None = None
    agent_day: Decimal | None = None
    task_day: dict[str, Decimal] = field(default_factory=dict)
    route_day: dict[str, Decimal] = field(default_factory=dict)
    inbox_day: dict[str, Decimal] = field(default_factory=dict)
    alarm_at: float = 0.8
    """The share of a cap at which an alarm is raised, 0 to 1."""


@dataclass(frozen=True)
class Data:
    """What a ticket's data class is where neither inbox nor topic says so, and what is redacted."""

    default: str
    redact: tuple[str, ...]


@dataclass(frozen=True)
class Routes:
    path: Path
    languages: tuple[str, ...]
    region: str | None
    tasks: dict[str, Task]
    rule: Rule
    budgets: Budgets
    data: Data
    models: dict[str, Model]
    topics: dict[str, Topic]
