"""The ledger: a row for every attempt at a model, written before the call and completed after it."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import ClassVar, Protocol

import sqlalchemy as sa

from pipeline.db.store import Store
from pipeline.db.tables import model_calls
from pipeline.db.types import now
from pipeline.errors import BudgetExceeded
from pipeline.models import limits, spend
from pipeline.models.base import Cap, Choice, Usage
from pipeline.models.breaker import MemoryStates, States, StoreStates, name_of

EXPIRED = "expired"
_ERROR_LENGTH = 500


@dataclass(frozen=True)
class Context:
    """What a call is bound to. `end_user` is the customer's id, hashed; `agent_id` asked for it by hand."""

    task: str
    route: str
    ticket_id: int | None = None
    message_id: int | None = None
    agent_id: int | None = None
    end_user: str | None = None


@dataclass(frozen=True)
class Entry:
    """An attempt about to be made. `number` counts from 1 within one answer wanted; `role` is model,
    retry, repair, backup or safe_default; `worst_usd` the most that it can cost (0 for what is free);
    `longest_s` the most seconds that any call may be under way."""

    context: Context
    choice: Choice
    number: int
    role: str
    prompt: str
    prompt_name: str
    caps: tuple[Cap, ...]
    worst_usd: Decimal
    longest_s: float = 90.0


@dataclass(frozen=True)
class Outcome:
    """How an attempt ended. `state` is ok, failed or unknown; `error` holds no customer text."""

    state: str
    cost_usd: Decimal
    latency_ms: int
    usage: Usage | None = None
    answered_by: str | None = None
    request_id: str | None = None
    error_kind: str | None = None
    error: str | None = None


class Ledger(Protocol):
    """Where attempts are written down. `durable` is false where its numbers are no rows of a store.

    `states` are the models' breakers, kept at the same place.
    """

    durable: ClassVar[bool]
    states: States

    def open(self, entry: Entry) -> int:
        """Reserve the worst price in every cap and write the row (state reserved), both or neither.

        Raises `BudgetExceeded`, `ModelBusy` where one of the model's limits is reached, both with nothing
        reserved, and the store's errors: then no call may be made.
        """

    def close(self, call_id: int, outcome: Outcome) -> None:
        """Complete the row and settle its reservation to what the call cost."""

    def skip(self, entry: Entry, *, kind: str, error: str) -> int:
        """Write down an attempt that was not made (state not_called, cost 0), and why."""


class StoreLedger:
    """The ledger in the store: tables `model_calls` and `spend`. Each method is one short transaction."""

    durable: ClassVar[bool] = True

    def __init__(self, store: Store) -> None:
        self._store = store
        self.states: States = StoreStates(store)
        # SQLite's own wait for its lock is a poll that starves some of many threads; these queue up instead
        self._turn = threading.Lock() if store.engine.dialect.name == "sqlite" else contextlib.nullcontext()

    def open(self, entry: Entry) -> int:
        with self._turn, self._store.write() as connection:
            if limits.limited(entry.choice):
                limits.admit(connection, name_of(entry.choice), entry.choice, entry.longest_s)
            values = _values(entry) | {
                "reserved_usd": entry.worst_usd,
                "state": "reserved",
                "scopes": sorted({cap.scope for cap in entry.caps}) if entry.worst_usd else [],
            }
            call_id = connection.execute(_INSERT, values).inserted_primary_key
            if entry.worst_usd:
                spend.reserve(connection, entry.caps, entry.worst_usd)
            assert call_id is not None
            return int(call_id[0])

    def close(self, call_id: int, outcome: Outcome) -> None:
        with self._turn, self._store.write() as connection:
            values = {f"new_{name}": value for name, value in _outcome_values(outcome).items()}
            row = connection.execute(_COMPLETE, values | {"call": call_id, "was": "reserved"}).one_or_none()
            if row is not None:
                reserved, booked = row.reserved_usd, Decimal(0)
            else:  # perhaps we were slower than the sweeper: put its guess right
                guess = connection.execute(_EXPIRED, {"call": call_id}).one_or_none()
                if guess is None:
                    return
                row = connection.execute(_COMPLETE, values | {"call": call_id, "was": "unknown"}).one()
                reserved, booked = Decimal(0), guess.cost_usd
            spend.settle(connection, row.scopes, reserved=reserved, spent=outcome.cost_usd - booked)

    def skip(self, entry: Entry, *, kind: str, error: str) -> int:
        with self._turn, self._store.write() as connection:
            values = _values(entry) | {
                "reserved_usd": Decimal(0),
                "cost_usd": Decimal(0),
                "latency_ms": 0,
                "state": "not_called",
                "error_kind": kind,
                "error": error[:_ERROR_LENGTH],
            }
            key = connection.execute(_INSERT, values).inserted_primary_key
            assert key is not None
            return int(key[0])


def expire_reservations(store: Store, older_than: datetime, limit: int = 500) -> int:
    """Settle the calls begun before `older_than` that nobody completed: state unknown, at full price.

    For the sweeper: `older_than` lies further back than the longest deadline. Returns how many.
    """
    with store.read() as connection:
        ids = (
            connection.execute(
                sa.select(model_calls.c.id)
                .where(model_calls.c.state == "reserved", model_calls.c.started_at < older_than)
                .order_by(model_calls.c.started_at)
                .limit(limit)
            )
            .scalars()
            .all()
        )
    return sum(_expire(store, call_id) for call_id in ids)


def _expire(store: Store, call_id: int) -> bool:
    with store.write() as connection:
        row = connection.execute(
            model_calls.update()
            .where(model_calls.c.id == call_id, model_calls.c.state == "reserved")
            .values(
                state="unknown",
                cost_usd=model_calls.c.reserved_usd,
                error_kind=EXPIRED,
                error="the worker ended before the call was completed; booked at its worst price",
            )
            .returning(model_calls.c.reserved_usd, model_calls.c.scopes)
        ).one_or_none()
        if row is None:
            return False
        spend.settle(connection, row.scopes, reserved=row.reserved_usd, spent=row.reserved_usd)
        return True


@dataclass
class _Scratch:
    entry: Entry
    outcome: Outcome | None = None


class ScratchLedger:
    """A ledger in memory, for commands that use no database. Caps and limits hold within this process."""

    durable: ClassVar[bool] = False

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: list[_Scratch] = []
        self._used: dict[str, Decimal] = {}
        self._under_way: Counter[str] = Counter()
        self._next_at: dict[str, datetime] = {}
        self.states: States = MemoryStates()

    def open(self, entry: Entry) -> int:
        with self._lock:
            model, choice = name_of(entry.choice), entry.choice
            if choice.at_once is not None:
                limits.check_at_once(self._under_way[model], choice.at_once)
            next_at = self._next_at.get(model)
            if choice.per_minute is not None:
                next_at = limits.next_slot(next_at, now(), choice.per_minute)
            caps = entry.caps if entry.worst_usd else ()
            for cap in caps:
                if self._used.get(cap.scope, Decimal(0)) + entry.worst_usd > cap.limit_usd:
                    raise BudgetExceeded(f"{cap.label} is reached", scope=cap.scope)
            self._add(caps, entry.worst_usd)
            self._under_way[model] += 1
            if next_at is not None:
                self._next_at[model] = next_at
            self._calls.append(_Scratch(entry))
            return len(self._calls)

    def close(self, call_id: int, outcome: Outcome) -> None:
        with self._lock:
            call = self._calls[call_id - 1]
            if call.outcome is None:
                call.outcome = outcome
                self._under_way[name_of(call.entry.choice)] -= 1
                caps = call.entry.caps if call.entry.worst_usd else ()
                self._add(caps, outcome.cost_usd - call.entry.worst_usd)

    def skip(self, entry: Entry, *, kind: str, error: str) -> int:
        with self._lock:
            outcome = Outcome("not_called", Decimal(0), 0, error_kind=kind, error=error[:_ERROR_LENGTH])
            self._calls.append(_Scratch(entry, outcome))
            return len(self._calls)

    def rows(self) -> list[tuple[Entry, Outcome | None]]:
        """Every attempt so far, with its outcome if it has ended."""
        with self._lock:
            return [(call.entry, call.outcome) for call in self._calls]

    def _add(self, caps: Sequence[Cap], usd: Decimal) -> None:
        for scope in {cap.scope for cap in caps}:
            self._used[scope] = self._used.get(scope, Decimal(0)) + usd


def _values(entry: Entry) -> dict[str, object]:
    context = entry.context
    return {
        "ticket_id": context.ticket_id,
        "message_id": context.message_id,
        "agent_id": context.agent_id,
        "task": context.task,
        "route": context.route,
        "attempt": entry.number,
        "role": entry.role,
        "provider": entry.choice.provider,
        "model": entry.choice.key,
        "tier": entry.choice.tier,
        "prompt": entry.prompt,
        "prompt_name": entry.prompt_name,
        "started_at": now(),
    }


def _outcome_values(outcome: Outcome) -> dict[str, object]:
    usage = outcome.usage
    return {
        "state": outcome.state,
        "cost_usd": outcome.cost_usd,
        "latency_ms": outcome.latency_ms,
        "input_tokens": None if usage is None else usage.input_tokens,
        "cached_input_tokens": None if usage is None else usage.cached_input_tokens,
        "cache_write_tokens": None if usage is None else usage.cache_write_tokens,
        "output_tokens": None if usage is None else usage.output_tokens,
        "answered_by": outcome.answered_by,
        "request_id": outcome.request_id,
        "error_kind": outcome.error_kind,
        "error": None if outcome.error is None else outcome.error[:_ERROR_LENGTH],
    }


# Each call runs these twice or more, so they are built once.
_INSERT = model_calls.insert()
_COMPLETE = (
    model_calls.update()
    .where(model_calls.c.id == sa.bindparam("call"), model_calls.c.state == sa.bindparam("was"))
    .values(
        {
            name: sa.bindparam(f"new_{name}", type_=model_calls.c[name].type)
            for name in _outcome_values(Outcome("ok", Decimal(0), 0))
        }
    )
    .returning(model_calls.c.reserved_usd, model_calls.c.scopes)
)
_EXPIRED = (
    sa.select(model_calls.c.cost_usd)
    .where(
        model_calls.c.id == sa.bindparam("call"),
        model_calls.c.state == "unknown",
        model_calls.c.error_kind == EXPIRED,
    )
    .with_for_update()
)
