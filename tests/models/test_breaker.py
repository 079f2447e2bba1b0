"""The circuit breaker: outages pause a model for every worker, one probe at a time brings it back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from pipeline.db.store import Store
from pipeline.db.tables import model_states
from pipeline.db.types import now
from pipeline.models import breaker
from pipeline.models.base import Cap, ModelAnswer, ModelRequest, Provider
from pipeline.models.breaker import CLOSED, MemoryStates, State, States, StoreStates
from pipeline.models.gateway import Answered, Context, Gateway
from pipeline.models.ledger import Ledger, ScratchLedger, StoreLedger
from pipeline.models.policy import IN_A_ROW
from tests.kit import model_replies as replies
from tests.kit.model_replies import Reply
from tests.models.conftest import PROMPT, SCHEMA, Door, check
from tests.models.test_limits import Held

FIRST = "openai/gpt-6-luna"
AT = now()
PROBE_LEASE = timedelta(seconds=60)


class Worker:
    """One process's gateway: its own cache, the shared store."""

    def __init__(self, door: Door, *, ledger: Ledger | None = None) -> None:
        self.door = door
        ledger = ledger or StoreLedger(door.store)
        self.gateway = Gateway(door.providers, ledger, door.prices, backoff_s=0.001)

    def ask(self, *order: str, **options: Any) -> Answered[str]:
        return self.gateway.ask(
            self.door.plan(*(order or ("openai", "anthropic", "local")), **options),
            PROMPT,
            Context("triage", "cheap"),
            schema=SCHEMA,
            schema_name="triage",
            input={},
            check=check,
        )


def failing(door: Door, reply: Reply) -> None:
    """The first model answers so from now on; the others answer well."""
    door.server.answer_by(lambda seen: reply if seen.model == "gpt-6-luna" else replies.ok())


def asked(door: Door) -> int:
    """How often the first model was asked."""
    return sum(model == "gpt-6-luna" for model, _ in door.server.kinds)


def state(store: Store) -> State:
    return StoreStates(store).read(FIRST)


def pause_is_over(store: Store) -> None:
    with store.write() as connection:
        connection.execute(model_states.update().values(open_until=now()))


def test_outages_in_a_row_pause_a_model_for_every_worker(any_door: Door) -> None:
    door = any_door
    first, second = Worker(door), Worker(door)
    failing(door, replies.failing(500))
    assert first.ask().attempts == ("overloaded", "overloaded", "ok")
    assert second.ask().attempts == ("overloaded", "overloaded", "ok")
    # the fifth opens it: even the second try of the same question is not made
    assert first.ask().attempts == ("overloaded", "paused", "ok")
    assert asked(door) == IN_A_ROW
    for worker in (Worker(door), first):
        answered = worker.ask()
        assert answered.attempts == ("paused", "ok")
        assert answered.choice.provider == "anthropic"
    assert asked(door) == IN_A_ROW
    row = door.rows()[-2]
    assert (row.state, row.error_kind, row.cost_usd, row.reserved_usd) == ("not_called", "paused", 0, 0)
    assert row.error.startswith("paused after overloaded, to be tried again in ")
    assert door.spent()[1] == 0


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (replies.out_of_credit(), "credit"),
        (replies.refused_key(), "rejected"),
        (replies.unknown_model(), "rejected"),
    ],
    ids=lambda value: getattr(value, "kind", value),
)
def test_what_every_further_call_would_share_pauses_at_once(door: Door, reply: Reply, kind: str) -> None:
    worker = Worker(door)
    failing(door, reply)
    assert worker.ask().attempts == (kind, "ok")
    assert worker.ask().attempts == ("paused", "ok")
    assert asked(door) == 1


@pytest.mark.parametrize(
    "reply",
    [replies.wrong_schema(), replies.length_cut(), replies.refusal(), replies.too_long(), replies.html()],
    ids=lambda reply: reply.kind,
)
def test_unusable_answers_pause_nothing(door: Door, reply: Reply) -> None:
    worker = Worker(door)
    failing(door, reply)
    for _ in range(IN_A_ROW + 1):
        assert "paused" not in worker.ask().attempts
    assert state(door.store).open_until is None


def test_one_customers_text_that_a_firewall_refuses_pauses_nothing(door: Door) -> None:
    worker = Worker(door)
    door.server.script(replies.bad_request("no", status=403), replies.bad_request("no"), model="gpt-6-luna")
    assert [worker.ask().attempts for _ in range(3)] == [("rejected", "ok"), ("rejected", "ok"), ("ok",)]
    assert state(door.store) == CLOSED


def test_a_success_between_outages_starts_the_count_anew(door: Door) -> None:
    worker = Worker(door)
    for _ in range(4):
        door.server.script(replies.failing(), replies.failing(), model="gpt-6-luna")
        worker.ask()
        assert state(door.store).failures == 2
        worker.ask()
        assert state(door.store) == CLOSED


def test_the_providers_own_word_on_when_to_come_back_is_kept(door: Door) -> None:
    worker = Worker(door)
    failing(door, replies.rate_limited("240"))
    assert worker.ask().attempts == ("overloaded", "ok")
    open_until = state(door.store).open_until
    assert open_until is not None
    assert 230 < (open_until - now()).total_seconds() <= 240


def test_after_the_pause_one_call_probes_and_the_others_wait_for_what_it_finds(any_door: Door) -> None:
    door = any_door
    failing(door, replies.out_of_credit())
    Worker(door).ask()
    pause_is_over(door.store)
    failing(door, replies.ok())
    held = Held(door.providers["openai"])
    door.providers["openai"] = held
    with ThreadPoolExecutor(1) as pool:
        probe = pool.submit(Worker(door).ask)
        assert held.under_way.wait(60)
        assert [Worker(door).ask().attempts for _ in range(3)] == [("paused", "ok")] * 3
        held.go.set()
        assert probe.result().attempts == ("ok",)
    assert asked(door) == 2
    assert state(door.store) == CLOSED
    assert Worker(door).ask().attempts == ("ok",)


def test_a_probe_that_fails_opens_for_longer(door: Door) -> None:
    failing(door, replies.failing(500))
    for _ in range(3):
        Worker(door).ask()
    lengths = []
    for _ in range(7):
        found = state(door.store)
        assert found.open_until is not None
        lengths.append((found.open_until - now()).total_seconds())
        pause_is_over(door.store)
        assert Worker(door).ask().attempts == ("overloaded", "paused", "ok")
    for length, longest in zip(lengths, (30, 60, 120, 240, 480, 600, 600), strict=True):
        assert longest * 0.5 < length <= longest
    pause_is_over(door.store)
    failing(door, replies.ok())
    assert Worker(door).ask().attempts == ("ok",)
    assert state(door.store) == CLOSED


@pytest.mark.parametrize(
    ("reply", "closes"),
    [
        (replies.refusal(), True),
        (replies.wrong_schema(), True),
        (replies.html(), False),
        (replies.reset(), False),
    ],
    ids=lambda value: getattr(value, "kind", value),
)
def test_any_answer_of_the_model_ends_the_outage_but_a_proxys_page_does_not(
    door: Door, reply: Reply, closes: bool
) -> None:
    failing(door, replies.out_of_credit())
    Worker(door).ask()
    pause_is_over(door.store)
    failing(door, reply)
    Worker(door).ask()
    assert (state(door.store) == CLOSED) is closes


def test_a_probe_that_the_budget_forbids_is_left_to_the_next(door: Door) -> None:
    failing(door, replies.out_of_credit())
    Worker(door).ask()
    pause_is_over(door.store)
    failing(door, replies.ok())
    nothing = (Cap("day:2026-11-23", Decimal("0.0000001"), "nothing"),)
    assert Worker(door).ask("openai", "local", caps=nothing).attempts == ("budget", "ok")
    assert Worker(door).ask().attempts == ("ok",)


def test_a_probe_that_breaks_is_left_to_the_next(door: Door) -> None:
    class Broken:
        name = "openai"

        def complete(self, request: ModelRequest, *, deadline_s: float) -> ModelAnswer:
            raise KeyError("a bug")

    failing(door, replies.out_of_credit())
    Worker(door).ask()
    pause_is_over(door.store)
    failing(door, replies.ok())
    whole: Provider = door.providers["openai"]
    door.providers["openai"] = Broken()
    with pytest.raises(KeyError):
        Worker(door).ask()
    door.providers["openai"] = whole
    assert Worker(door).ask().attempts == ("ok",)


def test_a_probe_whose_worker_was_killed_is_made_anew_when_its_time_is_over(any_door: Door) -> None:
    door = any_door
    failing(door, replies.out_of_credit())
    Worker(door).ask()
    pause_is_over(door.store)
    StoreStates(door.store).change(FIRST, lambda found: breaker.claimed(found, now(), PROBE_LEASE))
    failing(door, replies.ok())
    assert Worker(door).ask().attempts == ("paused", "ok")
    with door.store.write() as connection:
        connection.execute(model_states.update().values(probe_until=now()))
    assert Worker(door).ask().attempts == ("ok",)


def test_built_in_parts_have_no_breaker(door: Door) -> None:
    Worker(door).ask("local")
    with door.store.read() as connection:
        assert connection.execute(sa.select(model_states)).all() == []


def test_a_healthy_model_costs_one_read_a_second_and_no_write(door: Door) -> None:
    statements: list[str] = []
    worker = Worker(door)
    worker.ask()

    def noted(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "model_states" in statement:
            statements.append(statement)

    sa.event.listen(door.store.engine, "before_cursor_execute", noted)
    begun = time.monotonic()
    for _ in range(20):
        assert worker.ask().attempts == ("ok",)
    assert len(statements) <= 1 + (time.monotonic() - begun) / breaker.KEPT_S
    assert all(statement.startswith("SELECT") for statement in statements)


def test_commands_without_a_database_have_the_same_breaker_in_memory(door: Door) -> None:
    ledger = ScratchLedger()
    failing(door, replies.out_of_credit())
    assert Worker(door, ledger=ledger).ask().attempts == ("credit", "ok")
    assert Worker(door, ledger=ledger).ask().attempts == ("paused", "ok")
    failing(door, replies.ok())
    ledger.states.change(FIRST, lambda found: replace(found, open_until=now()))
    assert Worker(door, ledger=ledger).ask().attempts == ("ok",)
    assert ledger.states.read(FIRST) == CLOSED


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def states(request: pytest.FixtureRequest) -> Iterator[States]:
    if request.param == "memory":
        yield MemoryStates()
        return
    store = Store(request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url"))
    yield StoreStates(store)
    store.close()


def test_no_change_is_lost_among_many_workers(states: States) -> None:
    def count(_: int) -> None:
        for _ in range(15):
            states.change(FIRST, lambda found: replace(found, failures=found.failures + 1))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(count, range(8)))
    assert states.read(FIRST).failures == 120
    assert states.read("openai/other") == CLOSED


def test_of_many_that_would_probe_one_does(states: States) -> None:
    states.change(
        FIRST,
        lambda found: breaker.failed(found, AT - timedelta(hours=1), "credit", probe=None, at_once=True),
    )
    ready = threading.Barrier(8)

    def claim(_: int) -> bool:
        ready.wait()
        before, after = states.change(FIRST, lambda found: breaker.claimed(found, now(), PROBE_LEASE))
        return after is not before

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(claim, range(8))) == 1


Move = Callable[[State, Any], State]
MOVES: list[Move] = [
    lambda found, at: breaker.failed(found, at, "timeout", probe=None),
    lambda found, at: breaker.failed(found, at, "credit", probe=None, at_once=True),
    lambda found, at: breaker.failed(found, at, "timeout", probe=found.probe_until),
    lambda found, at: breaker.answered(found, None),
    lambda found, at: breaker.answered(found, found.probe_until),
    lambda found, at: breaker.claimed(found, at, PROBE_LEASE),
    lambda found, at: found if found.probe_until is None else breaker.given_back(found, found.probe_until),
]


@given(st.lists(st.tuples(st.sampled_from(range(len(MOVES))), st.floats(0, 900)), max_size=60))
def test_whatever_happens_a_model_is_asked_again_within_the_longest_pause(
    course: list[tuple[int, float]],
) -> None:
    found, at = CLOSED, AT
    for move, seconds in course:
        at += timedelta(seconds=seconds)
        before, found = found, MOVES[move](found, at)
        if found.open_until is None:
            assert found.failures < IN_A_ROW
            assert found.opened == 0
        else:
            assert found.open_until - at <= timedelta(seconds=breaker.LONGEST_PAUSE_S)
            assert found.opened >= 1
        if before.open_until is not None and found.open_until is None:
            assert before.probe_until is not None  # only a probe closes
    later = at + timedelta(seconds=breaker.LONGEST_PAUSE_S + PROBE_LEASE.total_seconds())
    assert found.open_until is None or breaker.claimed(found, later, PROBE_LEASE) is not found
