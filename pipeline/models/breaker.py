"""A circuit breaker for each model: after an outage it is left alone for a while, then probed by one call.

Closed, a model is asked. Outages in a row, or a failure that every further call would share, open it: then
nothing is sent to it for 30 seconds at first, longer each time, ten minutes at most. After that one call
at a time is let through as a probe; its success closes the breaker, its failure opens it for longer. An
answer that came but cannot be used opens nothing. `pipeline.models.policy` says which failure is which.

The state is the row of the model in `model_states`, shared by all workers. Each process keeps what it last
read for a second, so that a healthy model costs one small read a second and no write.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import astuple, dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

import sqlalchemy as sa
import structlog

from pipeline.db.store import Store
from pipeline.db.tables import model_states
from pipeline.db.types import now
from pipeline.errors import ModelError, ModelOverloaded, ModelPaused
from pipeline.models.base import Choice
from pipeline.models.limits import locked
from pipeline.models.policy import IN_A_ROW, Health, after

FIRST_PAUSE_S = 30.0
LONGEST_PAUSE_S = 600.0
KEPT_S = 1.0
"""How long a process goes by what it last read of a model's state."""

log = structlog.get_logger("pipeline.models")


@dataclass(frozen=True)
class State:
    """One model's state; the columns of `model_states` of the same names."""

    failures: int = 0
    opened: int = 0
    open_until: datetime | None = None
    probe_until: datetime | None = None
    last_kind: str | None = None


CLOSED = State()


class States(Protocol):
    """Where the states are kept, by `provider/key`."""

    def read(self, model: str) -> State: ...

    def change(self, model: str, to: Callable[[State], State]) -> tuple[State, State]:
        """Put `to` of the present state in its place, nobody else between; returns both.

        Nothing is written where `to` gives back the state that it got. It must be quick and pure.
        """


# --- the moves, pure ----------------------------------------------------------------------------------


def claimed(state: State, at: datetime, lease: timedelta) -> State:
    """With the probe taken until `at + lease`; the same state where none is due or somebody probes."""
    if state.open_until is None or at < state.open_until:
        return state
    if state.probe_until is not None and at < state.probe_until:
        return state
    return replace(state, probe_until=at + lease)


def given_back(state: State, probe: datetime) -> State:
    """Without the probe, which was not made."""
    return replace(state, probe_until=None) if state.probe_until == probe else state


def answered(state: State, probe: datetime | None) -> State:
    """After an answer. One to a call from before the opening says nothing of now."""
    if state.open_until is not None and (probe is None or state.probe_until != probe):
        return state
    return state if state == CLOSED else CLOSED


def failed(
    state: State,
    at: datetime,
    kind: str,
    *,
    probe: datetime | None,
    at_once: bool = False,
    told_s: float = 0.0,
    first_pause_s: float = FIRST_PAUSE_S,
) -> State:
    """After an outage. `told_s` is the provider's own word on how long it lasts."""
    failures = state.failures + 1
    if state.open_until is not None:
        if probe is None or state.probe_until != probe:
            return state  # the call began before the breaker opened
    elif not at_once and failures < IN_A_ROW:
        return replace(state, failures=failures, last_kind=kind)
    pause_s = min(LONGEST_PAUSE_S, first_pause_s * 2 ** min(state.opened, 20))
    pause_s = max(pause_s, min(LONGEST_PAUSE_S, told_s))
    return State(failures, state.opened + 1, at + timedelta(seconds=pause_s), None, kind)


# --- the breaker --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Admission:
    """Leave to call a model; `probe` is the mark of a probe, None for an ordinary call.

    What needs no leave, a built-in part, has None instead, of which the breaker takes no note.
    """

    model: str
    probe: datetime | None = None


class Breaker:
    """The breakers of all models. Thread-safe; its clock is `pipeline.db.types.now`."""

    def __init__(self, states: States, first_pause_s: float = FIRST_PAUSE_S) -> None:
        self._states = states
        self._first_pause_s = first_pause_s
        self._kept: dict[str, tuple[float, State]] = {}
        self._lock = threading.Lock()

    def enter(self, choice: Choice, lease_s: float) -> Admission:
        """Leave to call the model now. Raises `ModelPaused`, and the store's errors.

        `lease_s` is how long a probe may take at most; nobody else probes meanwhile.
        """
        model = name_of(choice)
        at = now()
        state = self._seen(model)
        until = _next_try(state)
        if until is None:
            return Admission(model)
        if at >= until:
            before, state = self._change(model, lambda found: claimed(found, at, timedelta(seconds=lease_s)))
            until = _next_try(state)
            if until is None:
                return Admission(model)
            if state is not before:
                return Admission(model, state.probe_until)
        left_s = max(0.0, (until - at).total_seconds())
        raise ModelPaused(
            f"paused after {state.last_kind or 'failures'}, to be tried again in {left_s:.0f} s"
        )

    def answered(self, admission: Admission | None) -> None:
        """The model answered, usably or not."""
        if admission is None:
            return
        if admission.probe is None and self._seen(admission.model) == CLOSED:
            return
        before, state = self._change(admission.model, lambda found: answered(found, admission.probe))
        if before.open_until is not None and state.open_until is None:
            log.warning("model_back", model=admission.model)

    def failed(self, admission: Admission | None, error: ModelError) -> None:
        """The call ended in `error`, whatever it says of the model's health."""
        if admission is None:
            return
        step = after(error)
        if step.health is Health.ALIVE:
            self.answered(admission)
        elif step.health is not Health.UNCLEAR or admission.probe is not None:
            self._count(admission, step.kind, step.health is Health.SHUT, error)

    def give_back(self, admission: Admission | None) -> None:
        """Nothing was called after all, or nobody knows how the call ended."""
        probe = None if admission is None else admission.probe
        if admission is not None and probe is not None:
            self._change(admission.model, lambda found: given_back(found, probe))

    def _count(self, admission: Admission, kind: str, shut: bool, error: ModelError) -> None:
        told_s = (error.retry_after_s or 0.0) if isinstance(error, ModelOverloaded) else 0.0
        at = now()
        first_pause_s = self._first_pause_s * random.uniform(0.75, 1.0)  # the probes of many models spread
        before, state = self._change(
            admission.model,
            lambda found: failed(
                found,
                at,
                kind,
                probe=admission.probe,
                at_once=shut,
                told_s=told_s,
                first_pause_s=first_pause_s,
            ),
        )
        if state.opened > before.opened and state.open_until is not None:
            log.warning(
                "model_paused",
                model=admission.model,
                kind=kind,
                failures=state.failures,
                seconds=round((state.open_until - at).total_seconds()),
            )

    def _seen(self, model: str) -> State:
        """The state as it was at most a second ago; one thread looks, the others go by the last look."""
        kept = self._kept.get(model)
        if kept is not None and time.monotonic() - kept[0] < KEPT_S:
            return kept[1]
        if not self._lock.acquire(blocking=kept is None):
            assert kept is not None
            return kept[1]
        try:
            kept = self._kept.get(model)
            if kept is None or time.monotonic() - kept[0] >= KEPT_S:
                kept = self._kept[model] = (time.monotonic(), self._states.read(model))
            return kept[1]
        finally:
            self._lock.release()

    def _change(self, model: str, to: Callable[[State], State]) -> tuple[State, State]:
        before, state = self._states.change(model, to)
        self._kept[model] = (time.monotonic(), state)
        return before, state


def _next_try(state: State) -> datetime | None:
    """When a call may be let through again; None where the breaker is closed."""
    if state.open_until is None:
        return None
    return state.open_until if state.probe_until is None else max(state.open_until, state.probe_until)


def name_of(choice: Choice) -> str:
    """The key of a model's row in `model_states`."""
    return f"{choice.provider}/{choice.key}"


# --- where the states are -----------------------------------------------------------------------------


class StoreStates:
    """The states in the store, shared by every worker on it."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def read(self, model: str) -> State:
        with self._store.read() as connection:
            row = connection.execute(sa.select(*_COLUMNS).where(model_states.c.model == model)).one_or_none()
        return CLOSED if row is None else State(*row)

    def change(self, model: str, to: Callable[[State], State]) -> tuple[State, State]:
        with self._store.write() as connection:
            before = State(*locked(connection, model, *_COLUMNS))
            state = to(before)
            if state is not before:
                connection.execute(
                    model_states.update()
                    .where(model_states.c.model == model)
                    .values(dict(zip((column.name for column in _COLUMNS), astuple(state), strict=True)))
                )
        return before, state


class MemoryStates:
    """The states of one process, for commands that use no database."""

    def __init__(self) -> None:
        self._states: dict[str, State] = {}
        self._lock = threading.Lock()

    def read(self, model: str) -> State:
        return self._states.get(model, CLOSED)

    def change(self, model: str, to: Callable[[State], State]) -> tuple[State, State]:
        with self._lock:
            before = self._states.get(model, CLOSED)
            state = self._states[model] = to(before)
            return before, state


_COLUMNS = (
    model_states.c.failures,
    model_states.c.opened,
    model_states.c.open_until,
    model_states.c.probe_until,
    model_states.c.last_kind,
)
