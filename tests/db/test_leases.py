"""Leases: one holder at a time, the fence against a late one, and what a dead process leaves behind."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from datetime import timedelta

import pytest
import sqlalchemy as sa

from pipeline.db import leases
from pipeline.db.moves import move
from pipeline.db.store import Store
from pipeline.db.tables import tickets
from pipeline.errors import LeaseLost
from pipeline.lifecycle import Status
from tests.db.test_moves import new_ticket

MINUTE = timedelta(minutes=1)


def test_of_many_claims_at_once_exactly_one_gets_the_step(store: Store) -> None:
    ticket = new_ticket(store)
    won: list[leases.Lease] = []
    barrier = threading.Barrier(8)

    def claim(number: int) -> None:
        barrier.wait()
        with store.write() as connection:
            lease = leases.claim(connection, ticket, f"worker {number}", MINUTE)
        if lease:
            won.append(lease)

    threads = [threading.Thread(target=claim, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert (won[0].attempt, won[0].status) == (1, Status.RECEIVED)


def test_a_worker_that_slept_past_its_lease_can_record_nothing(store: Store) -> None:
    ticket = new_ticket(store)
    with store.write() as connection:
        slow = leases.claim(connection, ticket, "slow", timedelta(seconds=-1))
    with store.write() as connection:
        quick = leases.claim(connection, ticket, "quick", MINUTE)
    assert slow is not None
    assert quick is not None
    assert quick.attempt == 2
    with pytest.raises(LeaseLost), store.write() as connection:
        leases.hold(connection, slow)
    with store.write() as connection:
        assert leases.hold(connection, quick) == 1
        assert not leases.release(connection, slow)
        assert leases.release(connection, quick, error="try later")


def test_a_move_takes_the_step_away_from_whoever_holds_it(store: Store) -> None:
    ticket = new_ticket(store)
    with store.write() as connection:
        lease = leases.claim(connection, ticket, "worker", MINUTE)
        move(connection, ticket, Status.IN_REVIEW, who="test", why="a person took over")
    assert lease is not None
    with pytest.raises(LeaseLost), store.write() as connection:
        leases.hold(connection, lease)


def test_attempts_are_counted_before_the_work_and_kept_over_a_release(store: Store) -> None:
    ticket = new_ticket(store)
    for expected in (1, 2, 3):
        with store.write() as connection:
            lease = leases.claim(connection, ticket, "worker", MINUTE)
            assert lease is not None
            assert lease.attempt == expected
            leases.release(connection, lease)


def test_a_dead_process_frees_its_steps_and_a_living_one_keeps_them(store: Store) -> None:
    theirs, ours = new_ticket(store), new_ticket(store)
    code = "from pipeline.db.leases import owner_name; print(owner_name())"
    dead = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout.strip()
    with store.write() as connection:
        assert leases.claim(connection, theirs, dead, MINUTE)
        assert leases.claim(connection, ours, leases.owner_name(), MINUTE)
        assert leases.free_the_dead(connection) == 1
        owners = dict(connection.execute(sa.select(tickets.c.id, tickets.c.lease_owner)).all())
    assert owners[theirs] is None
    assert owners[ours] == leases.owner_name()
    assert str(os.getpid()) in leases.owner_name()


def test_another_machines_lease_is_left_to_time(store: Store) -> None:
    ticket = new_ticket(store)
    with store.write() as connection:
        leases.claim(connection, ticket, "elsewhere:1:1", MINUTE)
        assert leases.free_the_dead(connection) == 0


def test_a_sweep_announces_a_ticket_once_in_a_while(store: Store) -> None:
    ticket = new_ticket(store)
    with store.write() as connection:
        assert [row[0] for row in leases.due(connection, not_hinted_for=MINUTE)] == [ticket]
        assert leases.due(connection, not_hinted_for=MINUTE) == []
        assert [row[0] for row in leases.due(connection)] == [ticket]
