"""From the table to a plan for one answer: which models may be asked, in which order, under which caps."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from pipeline.errors import ConfigError
from pipeline.models.base import Cap, Choice
from pipeline.models.gateway import Plan
from pipeline.routing.table import BUILT_IN, DATA_CLASSES, LOCAL, Budgets, Model, Routes, Task


def choices(
    routes: Routes,
    task: Task,
    available: Collection[str],
    model: str | None = None,
    data_class: str | None = None,
) -> list[Choice]:
    """The models to ask for a task: its model, one backup of another provider, its safe default.

    `data_class` is the ticket's, None the table's default; models that may not see it are left out, an
    agent's wish included.

    `available` are the providers that have a key; models of others are left out. With `model`, that one
    is asked first (an agent's or an operator's wish). Where nothing with a key is left, the safe default
    alone is asked, be it written in the table or not: without a key the built-in parts do the work.
    """
    data_class = data_class or routes.data.default
    wanted = model or task.model
    built_in = BUILT_IN.get(task.name)
    keys = [wanted, *(key for key in dict.fromkeys((*task.backups, task.model)) if key != wanted)]
    allowed = [key for key in keys if key == built_in or data_class in _model(routes, key, built_in).sees]
    asked = [_choice(routes, key, "model" if key == wanted else "backup", built_in) for key in allowed]
    # a wish that the data class forbids leaves the order as the table has it
    chosen = [replace(asked[0], role="model")] if asked else []
    chosen += [backup for backup in asked[1:] if backup.provider != chosen[0].provider][:1]
    chosen = [choice for choice in chosen if choice.provider in available or choice.key == built_in]
    named = any(choice.key == built_in for choice in chosen)
    if built_in and not named and (task.safe_default or not chosen):
        chosen.append(_choice(routes, built_in, "safe_default", built_in))
    return chosen


def data_class(routes: Routes, topic: str | None, inbox: str | None) -> str:
    """How confidential a ticket is: the stricter of its inbox's class and its topic's, else the default."""
    said = [routes.topics[topic].data] if topic in routes.topics else []
    found = [name for name in (*said, inbox) if name is not None]
    return max(found or [routes.data.default], key=DATA_CLASSES.index)


def plan(
    routes: Routes,
    task_name: str,
    available: Collection[str],
    deadline_s: Mapping[str, float],
    *,
    at: datetime,
    ticket_id: int | None = None,
    customer: str | None = None,
    agent_id: int | None = None,
    model: str | None = None,
    inbox: str | None = None,
    data_class: str | None = None,
    confirmed: bool = False,
) -> Plan:
    """Everything that the gateway needs for one answer. `at` says which day's caps count (UTC).

    With `confirmed`, an agent (`agent_id`) has agreed to pass the caps that a table may ask about; the
    caps a day, a week, a month and an agent hold nevertheless.
    """
    task = routes.tasks[task_name]
    found = caps(
        routes.budgets, task, at, ticket_id=ticket_id, customer=customer, agent_id=agent_id, inbox=inbox
    )
    return Plan(
        choices=tuple(choices(routes, task, available, model, data_class)),
        caps=tuple(cap for cap in found if not (confirmed and cap.confirmable)),
        deadline_s=dict(deadline_s),
        max_output_tokens=task.max_output_tokens,
    )


def caps(
    budgets: Budgets,
    task: Task,
    at: datetime,
    *,
    ticket_id: int | None = None,
    customer: str | None = None,
    agent_id: int | None = None,
    inbox: str | None = None,
) -> list[Cap]:
    """The caps that one call counts against; `customer` is an address, kept only as a hash."""
    day = at.date().isoformat()
    year, week, _ = at.isocalendar()
    wanted: list[tuple[str, Decimal | None, str, bool]] = [
        (f"day:{day}", budgets.day, "a day", False),
        (f"week:{year}-W{week:02}", budgets.week, "a week", False),
        (f"month:{day[:7]}", budgets.month, "a month", False),
        (f"task:{task.name}:{day}", budgets.task_day.get(task.name), f"a day for {task.name}", True),
        (
            f"route:{task.route}:{day}",
            budgets.route_day.get(task.route),
            f"a day for the {task.route} route",
            True,
        ),
    ]
    if ticket_id is not None:
        wanted.append((f"ticket:{ticket_id}", budgets.ticket, "a ticket", True))
    if customer:
        wanted.append((f"customer:{hashed(customer)}:{day}", budgets.customer_day, "a day a customer", True))
    if inbox is not None:
        wanted.append(
            (f"inbox:{inbox}:{day}", budgets.inbox_day.get(inbox), f"a day for the inbox {inbox}", True)
        )
    if agent_id is not None:
        wanted.append((f"agent:{agent_id}:{day}", budgets.agent_day, "a day an agent", False))
    return [
        Cap(scope, limit, f"${limit} {words}", alarm_at=budgets.alarm_at, confirmable=confirmable)
        for scope, limit, words, confirmable in wanted
        if limit is not None
    ]


def hashed(address: str) -> str:
    """A customer's address as a short one-way hash, for caps and for the providers' end-user field."""
    return hashlib.sha256(address.strip().lower().encode()).hexdigest()[:16]


def _choice(routes: Routes, key: str, role: str, built_in: str | None) -> Choice:
    if key == built_in:
        tier = "local" if key == LOCAL else "template"
        return Choice(key=key, provider=key, name=key, tier=tier, role=role)
    model = _model(routes, key, built_in)
    return Choice(
        key=key,
        provider=model.provider,
        name=model.name,
        tier=model.tier,
        role=role,
        price=model.price,
        at_once=model.at_once,
        per_minute=model.per_minute,
    )


def _model(routes: Routes, key: str, built_in: str | None) -> Model:
    model = routes.models.get(key)
    if model is None:
        known = ", ".join([*routes.models, *([built_in] if built_in else [])])
        raise ConfigError(f"{key!r} is not among the models of {routes.path}; known are {known}")
    return model
