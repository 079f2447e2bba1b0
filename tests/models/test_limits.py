"""Limits on calls at once and a minute: counted over all workers, waited for a while, then the backup."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from pipeline.db.store import Store
from pipeline.db.tables import model_calls, model_states
from pipeline.db.types import now
from pipeline.errors import BudgetExceeded, ModelBusy
from pipeline.models.base import Cap, ModelAnswer, ModelRequest, Provider
from pipeline.models.gateway import Answered, Context, Gateway
from pipeline.models.ledger import Ledger, ScratchLedger, StoreLedger
from pipeline.models.limits import next_slot
from tests.kit import model_replies as replies
from tests.models.conftest import CHOICES, PROMPT, SCHEMA, Door, check
from tests.models.test_ledger import DAY, done, entry


class Counted:
    """The real provider, and how many of its calls were ever under way at the same time."""

    name = "openai"

    def __init__(self, real: Provider) -> None:
        self.real = real
        self.now = self.most = 0
        self.lock = threading.Lock()

    def complete(self, request: ModelRequest, *, deadline_s: float) -> ModelAnswer:
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
        try:
            return self.real.complete(request, deadline_s=deadline_s)
        finally:
            with self.lock:
                self.now -= 1


def ask(door: Door, ledger: Ledger, patience_s: float = 20.0, **limits: int) -> Answered[str]:
    first = replace(CHOICES["openai"], **limits)  # type: ignore[arg-type]
    plan = door.plan("openai", "anthropic", "local")
    plan = replace(plan, choices=(first, *plan.choices[1:]), patience_s={"cheap": patience_s})
    return Gateway(door.providers, ledger, door.prices).ask(
        plan, PROMPT, Context("triage", "cheap"), schema=SCHEMA, schema_name="triage", input={}, check=check
    )


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def ledgers(request: pytest.FixtureRequest) -> Iterator[list[Ledger]]:
    """Two workers' ledgers: of two processes on one store, or the same in memory."""
    if request.param == "memory":
        yield [ScratchLedger()] * 2
        return
    url = request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url")
    stores = [Store(url), Store(url)]
    yield [StoreLedger(store) for store in stores]
    for store in stores:
        store.close()


def test_no_more_calls_are_under_way_than_the_model_takes(door: Door, ledgers: list[Ledger]) -> None:
    counted = Counted(door.providers["openai"])
    door.providers["openai"] = counted
    door.server.answer_by(lambda seen: replies.ok().later(0.15))
    with ThreadPoolExecutor(10) as pool:
        ends = list(pool.map(lambda n: ask(door, ledgers[n % 2], at_once=3).attempts, range(20)))
    assert ends == [("ok",)] * 20
    assert 2 <= counted.most <= 3


class Held:
    """The real provider, whose calls stay under way until they are let go."""

    name = "openai"

    def __init__(self, real: Provider) -> None:
        self.real = real
        self.under_way, self.go = threading.Event(), threading.Event()

    def complete(self, request: ModelRequest, *, deadline_s: float) -> ModelAnswer:
        answer = self.real.complete(request, deadline_s=deadline_s)
        self.under_way.set()
        assert self.go.wait(60)
        return answer


def test_who_waited_long_enough_asks_the_backup(door: Door, ledgers: list[Ledger]) -> None:
    held = Held(door.providers["openai"])
    door.providers["openai"] = held
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(ask, door, ledgers[0], at_once=1)
        assert held.under_way.wait(60)
        answered = ask(door, ledgers[1], patience_s=0.2, at_once=1)
        held.go.set()
        assert answered.attempts == ("busy", "ok")
        assert answered.choice.provider == "anthropic"
        assert first.result().attempts == ("ok",)


def test_a_minute_sees_no_more_calls_than_allowed(door: Door, ledgers: list[Ledger]) -> None:
    kinds = [ask(door, ledger, patience_s=0, per_minute=2).attempts for ledger in ledgers * 2]
    assert kinds == [("ok",)] + [("busy", "ok")] * 3


def test_a_call_waits_for_its_turn_within_the_minute(door: Door, ledgers: list[Ledger]) -> None:
    begun = time.monotonic()
    ends = [ask(door, ledgers[0], per_minute=300).attempts for _ in range(34)]
    assert ends == [("ok",)] * 34
    assert time.monotonic() - begun > 3 * 60 / 300  # thirty at once, then one each 0.22 s


def test_a_refusal_is_written_down_and_books_nothing(any_door: Door) -> None:
    door = any_door
    ledger = StoreLedger(door.store)
    for _ in range(2):
        ask(door, ledger, patience_s=0, per_minute=1)
    row = door.rows()[1]
    assert (row.state, row.error_kind, row.cost_usd) == ("not_called", "busy", 0)
    assert row.error == "1 a minute are begun already"
    assert door.spent()[1] == 0


def test_what_the_budget_forbids_takes_no_turn(ledgers: list[Ledger]) -> None:
    limited = replace(entry("0.20", DAY), choice=replace(entry("0").choice, per_minute=1, at_once=1))
    with pytest.raises(BudgetExceeded):
        ledgers[0].open(replace(limited, caps=(Cap(DAY.scope, Decimal("0.1"), "less"),)))
    ledgers[1].close(ledgers[1].open(limited), done("0.05"))
    with pytest.raises(ModelBusy, match="1 a minute"):
        ledgers[0].open(limited)


def test_a_dead_workers_call_is_counted_no_longer_than_a_call_can_last(store: Store) -> None:
    ledger = StoreLedger(store)
    limited = replace(entry("0.20", DAY), choice=replace(entry("0").choice, at_once=1))
    ledger.open(limited)  # nobody will ever complete it
    with pytest.raises(ModelBusy, match="1 at once"):
        ledger.open(limited)
    with store.write() as connection:
        connection.execute(model_calls.update().values(started_at=now() - timedelta(seconds=91)))
    ledger.open(limited)


def test_models_without_limits_pay_nothing_for_them(sqlite_store: Store) -> None:
    ledger = StoreLedger(sqlite_store)
    ledger.close(ledger.open(entry("0.20", DAY)), done("0.05"))
    with sqlite_store.read() as connection:
        assert connection.execute(sa.select(model_states)).all() == []


@given(
    st.integers(1, 700),
    st.lists(st.floats(0, 3), min_size=1, max_size=400),
)
def test_no_minute_ever_sees_more_calls_than_allowed(per_minute: int, gaps: list[float]) -> None:
    at = now()
    next_at: datetime | None = None
    begun: list[datetime] = []
    for gap in gaps:
        at += timedelta(seconds=gap)
        try:
            next_at = next_slot(next_at, at, per_minute)
        except ModelBusy as busy:
            at += timedelta(seconds=busy.retry_in_s or 0)
            next_at = next_slot(next_at, at, per_minute)  # its word is good
        begun.append(at)
    for number, first in enumerate(begun):
        within = [one for one in begun[number:] if one < first + timedelta(minutes=1)]
        assert len(within) <= per_minute
