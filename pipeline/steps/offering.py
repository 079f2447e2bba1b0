"""What an agent can choose from on a ticket: the models that may see it, what they usually take, the money left."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from statistics import median
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import sqlalchemy as sa

from pipeline.db.store import Store
from pipeline.db.tables import model_calls
from pipeline.db.types import now
from pipeline.models.spend import spent_in
from pipeline.steps.redrafting import TASK_OF

if TYPE_CHECKING:
    from pipeline.assembly import Parts

LOOKS_BACK = timedelta(days=30)
ALWAYS_SHOWN = ("agent", "ticket", "day")
AT_MOST = 5_000
"""Of more calls than that, the last ones tell."""
_KEPT = 200
"""What was counted is used again for so many times as long as the counting took."""
_LONGEST_KEPT_S = 600.0


@dataclass(frozen=True)
class Usual:
    """What a task usually takes of a model: dollars and milliseconds of its middle call, over `calls`."""

    calls: int
    cost_usd: Decimal
    latency_ms: int


@dataclass(frozen=True)
class Offer:
    """A model that may be asked. `drafting` and `polishing` are None where it was not used for that yet."""

    key: str
    tier: str
    drafting: Usual | None
    polishing: Usual | None


@dataclass(frozen=True)
class Left:
    """What a cap still has room for; `confirmable` says that an agent may agree to pass it."""

    label: str
    left_usd: Decimal
    confirmable: bool


def offers(parts: Parts, ticket: Mapping[str, Any]) -> tuple[Offer, ...]:
    """The models that may draft for this ticket: those with a key that may see its class of data, by tier."""
    usually = usual(parts.store)
    found = []
    for key, model in parts.routes.models.items():
        task = TASK_OF[model.tier]
        plan = parts.plan(
            task, ticket_id=ticket["id"], inbox=ticket["inbox"], topic=ticket["topic"], model=key
        )
        if any(choice.key == key for choice in plan.choices):
            found.append(Offer(key, model.tier, usually.get((task, key)), usually.get(("writing", key))))
    return tuple(sorted(found, key=lambda offer: offer.tier))


def can_help(parts: Parts, ticket: Mapping[str, Any]) -> bool:
    """Whether a model for the writing tools may see this ticket."""
    if "writing" not in parts.routes.tasks:
        return False
    given = {"ticket_id": ticket["id"], "inbox": ticket["inbox"], "topic": ticket["topic"]}
    return bool(parts.plan("writing", **given).choices)


def money_left(parts: Parts, ticket: Mapping[str, Any], agent_id: int) -> tuple[Left, ...]:
    """The room in the caps of the agent, the ticket and the day, and in any other that has less."""
    whose = {
        "ticket_id": ticket["id"],
        "customer": ticket["customer_address"],
        "inbox": ticket["inbox"],
        "topic": ticket["topic"],
        "agent_id": agent_id,
    }
    caps = {cap.scope: cap for task in TASK_OF.values() for cap in parts.plan(task, **whose).caps}
    with parts.store.read() as connection:
        used = spent_in(connection, caps)
    room = {
        scope: max(Decimal(0), cap.limit_usd - sum(used.get(scope, ()), Decimal(0)))
        for scope, cap in caps.items()
    }
    shown = {scope for scope in caps if scope.partition(":")[0] in ALWAYS_SHOWN}
    least = min((room[scope] for scope in shown), default=Decimal("Infinity"))
    shown |= {scope for scope in caps if room[scope] < least}
    return tuple(
        Left(cap.label, room[scope], cap.confirmable)
        for scope, cap in sorted(caps.items(), key=lambda item: room[item[0]])
        if scope in shown
    )


_counted: WeakKeyDictionary[Store, tuple[float, dict[tuple[str, str], Usual]]] = WeakKeyDictionary()


def usual(store: Store) -> dict[tuple[str, str], Usual]:
    """What calls took of late, by (task, model): those of the last 30 days that were answered."""
    kept = _counted.get(store)
    if kept is not None and time.monotonic() < kept[0]:
        return kept[1]
    started = time.monotonic()
    found: dict[tuple[str, str], tuple[list[Decimal], list[int]]] = {}
    last = (
        sa.select(model_calls.c.task, model_calls.c.model, model_calls.c.cost_usd, model_calls.c.latency_ms)
        .where(
            model_calls.c.started_at > now() - LOOKS_BACK,
            model_calls.c.state == "ok",
            model_calls.c.task.in_([*TASK_OF.values(), "writing"]),
        )
        .order_by(model_calls.c.started_at.desc())
        .limit(AT_MOST)
    )
    with store.read() as connection:
        for row in connection.execute(last):
            costs, times = found.setdefault((row.task, row.model), ([], []))
            costs.append(row.cost_usd)
            times.append(row.latency_ms)
    counted = {
        key: Usual(len(costs), median(costs), round(median(times))) for key, (costs, times) in found.items()
    }
    took_s = time.monotonic() - started
    _counted[store] = (time.monotonic() + min(_LONGEST_KEPT_S, _KEPT * took_s), counted)
    return counted
