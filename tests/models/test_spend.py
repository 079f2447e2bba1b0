"""Alarms: raised once by the reservation that passes the share, whoever races, and never by a rollback."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal

import pytest
import sqlalchemy as sa
import structlog.testing

from pipeline.db.store import Store
from pipeline.db.tables import spend
from pipeline.db.types import now
from pipeline.errors import BudgetExceeded
from pipeline.models.base import Cap
from pipeline.models.spend import caps_in_use, reserve, settle

DAY = Cap(f"day:{now():%Y-%m-%d}", Decimal("1.00"), "$1.00 a day", alarm_at=0.8)
TICKET = Cap("ticket:7", Decimal("0.30"), "$0.30 a ticket", alarm_at=0.8, confirmable=True)


def use(store: Store, usd: str, *caps: Cap) -> bool:
    try:
        with store.write() as connection:
            reserve(connection, caps, Decimal(usd))
    except BudgetExceeded:
        return False
    return True


def alarmed(store: Store) -> dict[str, bool]:
    with store.read() as connection:
        return {row.scope: row.alarmed_at is not None for row in connection.execute(sa.select(spend))}


def test_a_reservation_that_passes_the_share_raises_one_alarm(store: Store) -> None:
    with structlog.testing.capture_logs() as logs:
        assert use(store, "0.79", DAY)
        assert alarmed(store) == {DAY.scope: False}
        assert use(store, "0.01", DAY)
        assert use(store, "0.10", DAY)
    assert alarmed(store) == {DAY.scope: True}
    assert [(line["event"], line["log_level"]) for line in logs] == [("spend_alarm", "warning")]
    assert logs[0]["cap"] == "$1.00 a day"
    assert Decimal(logs[0]["spent_usd"]) + Decimal(logs[0]["reserved_usd"]) == Decimal("0.80")
    assert Decimal(logs[0]["limit_usd"]) == 1


def test_the_first_reservation_of_a_scope_can_raise_it_too(store: Store) -> None:
    with structlog.testing.capture_logs() as logs:
        assert use(store, "0.25", DAY, TICKET)
    assert [line["cap"] for line in logs] == ["$0.30 a ticket"]
    assert alarmed(store) == {DAY.scope: False, TICKET.scope: True}


def test_a_reservation_that_is_rolled_back_raises_no_alarm(store: Store) -> None:
    with structlog.testing.capture_logs() as logs:
        tight = Cap("agent:1:x", Decimal("0.20"), "tight")
        assert use(store, "0.10", tight)
        assert not use(store, "0.25", TICKET, DAY, tight)
    assert [line["event"] for line in logs] == []
    assert alarmed(store) == {tight.scope: False}


def test_what_is_settled_below_the_share_does_not_raise_it_again(store: Store) -> None:
    with structlog.testing.capture_logs() as logs:
        assert use(store, "0.90", DAY)
        with store.write() as connection:
            settle(connection, [DAY.scope], reserved=Decimal("0.90"), spent=Decimal("0.10"))
        assert use(store, "0.80", DAY)
    assert len(logs) == 1


def test_of_many_who_race_past_the_share_one_raises_it(store: Store) -> None:
    with structlog.testing.capture_logs() as logs, ThreadPoolExecutor(16) as pool:
        assert all(pool.map(lambda _: use(store, "0.02", DAY), range(50)))
    assert [line["event"] for line in logs] == ["spend_alarm"]
    total = Decimal(logs[0]["spent_usd"]) + Decimal(logs[0]["reserved_usd"])
    assert total == Decimal("0.80")


@pytest.mark.parametrize("raised", ["2.00", "0.95"])
def test_the_limit_is_kept_as_it_stood_at_the_last_reservation(store: Store, raised: str) -> None:
    assert use(store, "0.10", DAY)
    assert use(store, "0.10", replace(DAY, limit_usd=Decimal(raised), label=f"${raised} a day"), TICKET)
    with store.read() as connection:
        found = caps_in_use(connection)
    assert [(cap.kind, cap.label, cap.limit_usd) for cap in found] == [
        ("day", f"${raised} a day", Decimal(raised))
    ]
    assert found[0].reserved_usd == Decimal("0.20")


def test_caps_of_other_days_and_of_single_tickets_are_not_listed(store: Store) -> None:
    old = Cap("task:draft:2020-01-01", Decimal(1), "$1 a day for draft")
    today = Cap(f"task:draft:{now():%Y-%m-%d}", Decimal(1), "$1 a day for draft")
    assert use(store, "0.10", old, today, TICKET)
    with store.read() as connection:
        assert [cap.scope for cap in caps_in_use(connection)] == [today.scope]
