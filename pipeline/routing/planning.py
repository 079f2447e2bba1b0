"""From the table to a plan for one answer: which models may be asked, in which order, under which caps."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from datetime import datetime

from pipeline.errors import ConfigError
from pipeline.models.base import Cap, Choice
from pipeline.models.gateway import Plan
from pipeline.routing.table import LOCAL, TEMPLATES, Budgets, Routes, Task


def choices(routes: Routes, task: Task, available: Collection[str], model: str | None = None) -> list[Choice]:
    """The models to ask for a task: its model, one backup of another provider, its safe default.

    `available` are the providers that have a key; models of others are left out. With `model`, that one
    is asked first (an agent's or an operator's wish). Where nothing with a key is left, the safe default
    alone is asked, be it written in the table or not: without a key the built-in parts do the work.
    """
    wanted = model or task.model
    built_in = LOCAL if task.name == "triage" else TEMPLATES
    chosen = [_choice(routes, wanted, "model", built_in)]
    others = [_choice(routes, key, "backup", built_in) for key in (*task.backups, task.model)]
    chosen += [backup for backup in others if backup.provider != chosen[0].provider][:1]
    chosen = [choice for choice in chosen if choice.provider in available or choice.key == built_in]
    named = any(choice.key == built_in for choice in chosen)
    if not named and (task.safe_default or not chosen):
        chosen.append(_choice(routes, built_in, "safe_default", built_in))
    return chosen


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
) -> Plan:
    """Everything that the gateway needs for one answer. `at` says which day's caps count (UTC)."""
    task = routes.tasks[task_name]
    return Plan(
        choices=tuple(choices(routes, task, available, model)),
        caps=tuple(caps(routes.budgets, task_name, at, ticket_id, customer, agent_id)),
        deadline_s=dict(deadline_s),
        max_output_tokens=task.max_output_tokens,
    )


def caps(
    budgets: Budgets,
    task: str,
    at: datetime,
    ticket_id: int | None,
    customer: str | None,
    agent_id: int | None,
) -> list[Cap]:
    """The caps that one call counts against; `customer` is an address, kept only as a hash."""
    day = at.date().isoformat()
    found = []
    if budgets.day is not None:
        found.append(Cap(f"day:{day}", budgets.day, f"${budgets.day} a day"))
    if task in budgets.task_day:
        limit = budgets.task_day[task]
        found.append(Cap(f"task:{task}:{day}", limit, f"${limit} a day for {task}"))
    if budgets.ticket is not None and ticket_id is not None:
        found.append(Cap(f"ticket:{ticket_id}", budgets.ticket, f"${budgets.ticket} a ticket"))
    if budgets.customer_day is not None and customer:
        found.append(
            Cap(
                f"customer:{hashed(customer)}:{day}",
                budgets.customer_day,
                f"${budgets.customer_day} a day a customer",
            )
        )
    if budgets.agent_day is not None and agent_id is not None:
        found.append(
            Cap(f"agent:{agent_id}:{day}", budgets.agent_day, f"${budgets.agent_day} a day an agent")
        )
    return found


def hashed(address: str) -> str:
    """A customer's address as a short one-way hash, for caps and for the providers' end-user field."""
    return hashlib.sha256(address.strip().lower().encode()).hexdigest()[:16]


def _choice(routes: Routes, key: str, role: str, built_in: str) -> Choice:
    if key == built_in:
        tier = "local" if key == LOCAL else "template"
        return Choice(key=key, provider=key, name=key, tier=tier, role=role)
    model = routes.models.get(key)
    if model is None:
        known = ", ".join([*routes.models, built_in])
        raise ConfigError(f"{key!r} is not among the models of {routes.path}; known are {known}")
    return Choice(
        key=key, provider=model.provider, name=model.name, tier=model.tier, role=role, price=model.price
    )
