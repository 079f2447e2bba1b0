"""Reservations, settlements and what is left behind by a killed worker, on both databases."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal

import pytest
import sqlalchemy as sa

from pipeline.db.store import Store
from pipeline.db.tables import model_calls, spend
from pipeline.db.types import now
from pipeline.errors import BudgetExceeded
from pipeline.models.base import Cap, Choice, Usage
from pipeline.models.ledger import (
    Context,
    Entry,
    Ledger,
    Outcome,
    ScratchLedger,
    StoreLedger,
    expire_reservations,
)
from pipeline.models.spend import spent_in

ZERO = Decimal(0)
DAY = Cap("day:2026-11-23", Decimal("1.00"), "$1 a day")
TICKET = Cap("ticket:7", Decimal("0.30"), "$0.30 a ticket")


def entry(usd: str, *caps: Cap) -> Entry:
    return Entry(
        context=Context("draft", "strong"),
        choice=Choice("gpt-6-luna", "openai", "gpt-6-luna", "cheap"),
        number=1,
        role="model",
        prompt="0123456789ab",
        prompt_name="draft/strong",
        caps=caps,
        worst_usd=Decimal(usd),
    )


def done(usd: str) -> Outcome:
    return Outcome("ok", Decimal(usd), 12, usage=Usage(10, 2, 1, 5), answered_by="m-1", request_id="r-1")


def used(store: Store) -> dict[str, tuple[Decimal, Decimal]]:
    with store.read() as connection:
        return spent_in(connection, [DAY.scope, TICKET.scope])


def states(store: Store) -> list[tuple[str, Decimal | None, str | None]]:
    with store.read() as connection:
        rows = connection.execute(sa.select(model_calls).order_by(model_calls.c.id))
        return [(row.state, row.cost_usd, row.error_kind) for row in rows]


def test_a_call_is_reserved_at_its_worst_price_and_settled_to_what_it_cost(store: Store) -> None:
    ledger = StoreLedger(store)
    call = ledger.open(entry("0.20", DAY, TICKET))
    assert used(store) == {DAY.scope: (ZERO, Decimal("0.20")), TICKET.scope: (ZERO, Decimal("0.20"))}
    assert states(store) == [("reserved", None, None)]

    ledger.close(call, done("0.05"))
    assert used(store) == {DAY.scope: (Decimal("0.05"), ZERO), TICKET.scope: (Decimal("0.05"), ZERO)}
    with store.read() as connection:
        row = connection.execute(sa.select(model_calls)).one()
    assert (row.state, row.cost_usd, row.reserved_usd) == ("ok", Decimal("0.05"), Decimal("0.20"))
    assert (row.input_tokens, row.cached_input_tokens, row.cache_write_tokens, row.output_tokens) == (
        10,
        2,
        1,
        5,
    )
    assert (row.answered_by, row.request_id, row.latency_ms) == ("m-1", "r-1", 12)
    assert row.scopes == [DAY.scope, TICKET.scope]


def test_when_one_cap_of_several_is_reached_nothing_is_reserved_anywhere(store: Store) -> None:
    ledger = StoreLedger(store)
    ledger.close(ledger.open(entry("0.25", DAY, TICKET)), done("0.25"))
    before = used(store)
    with pytest.raises(BudgetExceeded, match=r"\$0.30 a ticket is reached") as caught:
        ledger.open(entry("0.06", DAY, TICKET))
    assert caught.value.scope == TICKET.scope
    assert used(store) == before
    assert len(states(store)) == 1
    ledger.open(entry("0.05", DAY, TICKET))  # the very last cents may be used


def test_a_single_call_over_the_cap_is_refused_on_an_empty_ledger(store: Store) -> None:
    with pytest.raises(BudgetExceeded):
        StoreLedger(store).open(entry("0.31", DAY, TICKET))
    assert used(store) == {}


def test_of_two_caps_on_one_scope_the_stricter_holds_and_counts_once(store: Store) -> None:
    ledger = StoreLedger(store)
    wide = Cap(TICKET.scope, Decimal("9"), "wide")
    ledger.open(entry("0.20", wide, TICKET))
    assert used(store)[TICKET.scope] == (ZERO, Decimal("0.20"))
    with pytest.raises(BudgetExceeded):
        ledger.open(entry("0.20", TICKET, wide))


def test_settling_twice_changes_nothing(store: Store) -> None:
    ledger = StoreLedger(store)
    call = ledger.open(entry("0.20", DAY))
    ledger.close(call, done("0.05"))
    ledger.close(call, done("0.19"))
    assert used(store) == {DAY.scope: (Decimal("0.05"), ZERO)}


def test_what_a_killed_worker_left_reserved_is_booked_in_full_when_it_expires(store: Store) -> None:
    ledger = StoreLedger(store)
    ledger.open(entry("0.20", DAY, TICKET))  # nobody will ever complete it
    assert expire_reservations(store, now() - timedelta(minutes=5)) == 0
    assert used(store)[DAY.scope] == (ZERO, Decimal("0.20"))

    assert expire_reservations(store, now() + timedelta(seconds=1)) == 1
    assert used(store) == {DAY.scope: (Decimal("0.20"), ZERO), TICKET.scope: (Decimal("0.20"), ZERO)}
    assert states(store) == [("unknown", Decimal("0.20"), "expired")]
    assert expire_reservations(store, now() + timedelta(seconds=1)) == 0


def test_a_worker_killed_in_the_middle_of_a_call_leaves_its_reservation_to_expire(
    sqlite_store: Store,
) -> None:
    work = f"""
import sys, time
from decimal import Decimal
from pipeline.db.store import Store
from pipeline.models.base import Cap, Choice
from pipeline.models.ledger import Context, Entry, StoreLedger
choice = Choice("m", "openai", "m", "cheap")
caps = (Cap("{DAY.scope}", Decimal(1), ""),)
StoreLedger(Store("{sqlite_store.url.render_as_string()}")).open(
    Entry(Context("draft", "strong"), choice, 1, "model", "d", "draft/strong", caps, Decimal("0.20"))
)
print("reserved", flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", work], stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "reserved\n"
        worker.kill()
    assert used(sqlite_store)[DAY.scope] == (ZERO, Decimal("0.20"))
    assert expire_reservations(sqlite_store, now() + timedelta(seconds=1)) == 1
    assert used(sqlite_store)[DAY.scope] == (Decimal("0.20"), ZERO)
    assert states(sqlite_store) == [("unknown", Decimal("0.20"), "expired")]


def test_processes_racing_for_the_last_cents_never_pass_the_cap(store: Store) -> None:
    work = f"""
import sys
from decimal import Decimal
from pipeline.db.store import Store
from pipeline.errors import BudgetExceeded
from pipeline.models.base import Cap, Choice
from pipeline.models.ledger import Context, Entry, Outcome, StoreLedger
ledger = StoreLedger(Store("{store.url.render_as_string(hide_password=False)}"))
choice = Choice("m", "openai", "m", "cheap")
caps = (Cap("{DAY.scope}", Decimal(1), ""),)
called = 0
for number in range(40):
    worst = Decimal(1 + number % 5) / 100
    try:
        call = ledger.open(Entry(Context("draft", "strong"), choice, 1, "model", "d", "", caps, worst))
    except BudgetExceeded:
        continue
    ledger.close(call, Outcome("ok", worst, 1))
    called += 1
print(called)
"""
    workers = [
        subprocess.Popen([sys.executable, "-c", work], stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    called = [int(worker.communicate(timeout=60)[0]) for worker in workers]
    settled, reserved = used(store)[DAY.scope]
    assert sum(called) == len(states(store)) < 2 * 40
    assert reserved == 0
    assert Decimal("0.95") < settled <= DAY.limit_usd


def test_a_worker_slower_than_the_sweeper_puts_the_booking_right(store: Store) -> None:
    ledger = StoreLedger(store)
    call = ledger.open(entry("0.20", DAY))
    expire_reservations(store, now() + timedelta(seconds=1))
    ledger.close(call, done("0.05"))
    assert used(store) == {DAY.scope: (Decimal("0.05"), ZERO)}
    assert states(store) == [("ok", Decimal("0.05"), None)]


def test_what_was_not_called_has_a_row_and_no_cost(store: Store) -> None:
    StoreLedger(store).skip(entry("0.20", DAY), kind="budget", error="$1 a day is reached")
    assert states(store) == [("not_called", ZERO, "budget")]
    assert used(store) == {}


def test_racing_threads_never_pass_the_cap_at_any_instant(store: Store) -> None:
    ledger = StoreLedger(store)
    stop = threading.Event()
    seen: list[Decimal] = []

    def watch() -> None:
        while not stop.is_set():
            settled, reserved = used(store).get(DAY.scope, (Decimal(0), Decimal(0)))
            seen.append(settled + reserved)

    def work(number: int) -> str:
        worst = Decimal(1 + number % 7) / 100
        try:
            call = ledger.open(entry(str(worst), DAY, Cap(f"ticket:{number % 5}", Decimal(1), "")))
        except BudgetExceeded:
            return "refused"
        ledger.close(call, done(str(worst if number % 2 else worst / 2)))
        return "called"

    watcher = threading.Thread(target=watch)
    watcher.start()
    with ThreadPoolExecutor(16) as pool:
        ends = list(pool.map(work, range(120)))
    stop.set()
    watcher.join()
    assert set(ends) == {"refused", "called"}
    assert max(seen) <= DAY.limit_usd
    settled, reserved = used(store)[DAY.scope]
    assert (reserved, settled <= DAY.limit_usd) == (ZERO, True)
    with store.read() as connection:
        booked = connection.execute(sa.select(sa.func.sum(model_calls.c.cost_usd))).scalar_one()
        per_ticket = connection.execute(
            sa.select(sa.func.sum(spend.c.spent_usd)).where(spend.c.scope.startswith("ticket:"))
        ).scalar_one()
    assert settled == booked == per_ticket


@pytest.mark.parametrize("kind", ["scratch", "store"])
def test_the_ledger_in_memory_keeps_the_same_caps_as_the_one_in_the_store(
    kind: str, sqlite_store: Store
) -> None:
    ledger: Ledger = ScratchLedger() if kind == "scratch" else StoreLedger(sqlite_store)
    first = ledger.open(entry("0.20", TICKET))
    with pytest.raises(BudgetExceeded):
        ledger.open(entry("0.20", TICKET))
    ledger.close(first, done("0.05"))
    second = ledger.open(entry("0.20", TICKET))
    ledger.close(second, done("0.20"))
    ledger.close(second, done("0.01"))
    with pytest.raises(BudgetExceeded):
        ledger.open(entry("0.06", TICKET))
    ledger.open(entry("0.05", TICKET))
    ledger.skip(entry("0.20", TICKET), kind="budget", error="")
    assert ledger.durable is (kind == "store")
