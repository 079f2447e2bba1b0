"""Probable double charges: what is flagged, and what looks like one and is not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from pipeline.accounts.charges import double_charges
from pipeline.accounts.facts import Row, Source, from_rows

START = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
SOURCE = Source("shop.payments", START)


def paid(id_: str, hours: float = 0, **changes: Any) -> Row:
    values: dict[str, Any] = {
        "id": id_,
        "at": START + timedelta(hours=hours),
        "amount": Decimal("64.99"),
        "currency": "GBP",
        "description": "Pro plan",
        "status": "succeeded",
        "refunded": False,
        "source": SOURCE,
    }
    return Row(**{**values, **changes})


def flagged(*rows: Row) -> list[list[str | None]]:
    return [[row.id for row in flag.rows] for flag in double_charges(rows)]


def test_two_like_charges_four_minutes_apart_are_flagged_with_both_rows() -> None:
    flags = double_charges([paid("a"), paid("b", 4 / 60)])
    assert [row.id for row in flags[0].rows] == ["a", "b"]
    assert flags[0].text == (
        "probable double charge: 64.99 GBP for Pro plan was taken twice between 2026-11-02 09:00 and "
        "2026-11-02 09:04 UTC (a, b)"
    )


@pytest.mark.parametrize(
    ("second", "why"),
    [
        (paid("b", 72.1), "too far apart"),
        (paid("b", 24 * 30), "the next month"),
        (paid("b", 1, amount=Decimal("64.98")), "another amount"),
        (paid("b", 1, currency="EUR"), "another currency"),
        (paid("b", 1, description="Team plan"), "another thing"),
        (paid("b", 1, description="Pro plan 2"), "another number"),
        (paid("b", 1, status="failed"), "it failed"),
        (paid("b", 1, status="pending"), "it is not taken yet"),
        (paid("b", 1, refunded=True), "it went back"),
        (paid("b", 1, at=None), "nobody knows when"),
    ],
)
def test_what_is_no_double_charge(second: Row, why: str) -> None:
    assert flagged(paid("a"), second) == [], why


def test_72_hours_are_close() -> None:
    assert flagged(paid("a"), paid("b", 72)) == [["a", "b"]]


def test_a_refund_row_takes_one_of_the_two_away() -> None:
    refund = paid("r", 5, amount=Decimal("-64.99"), description="Refund")
    assert flagged(paid("a"), paid("b", 1), refund) == []
    assert flagged(paid("a"), paid("b", 1), paid("c", 2), refund) == [["a", "b"]]


def test_references_and_case_do_not_hide_a_double_charge() -> None:
    assert flagged(
        paid("a", description="PRO PLAN ch_3Nx81jK2q"), paid("b", 1, description="Pro plan, ch_9Zk22mQ7p")
    ) == [["a", "b"]]


def test_three_charges_are_one_flag() -> None:
    assert flagged(paid("c", 2), paid("a"), paid("b", 1)) == [["a", "b", "c"]]


def test_rows_are_read_however_the_database_writes_them() -> None:
    facts = from_rows(
        {
            "payments": [
                {"id": 1, "date": "2026-11-02 09:00:00", "amount": 64.99, "currency": "gbp", "status": None},
                {"id": 2, "date": datetime(2026, 11, 2, 9, 5), "amount": Decimal("64.99"), "currency": "GBP"},
                {"id": 3, "date": "soon", "amount": "NaN", "refunded_at": "2026-11-02"},
            ]
        },
        {"payments": SOURCE},
    )
    assert [row.amount for row in facts.payments] == [Decimal("64.99"), Decimal("64.99"), None]
    assert facts.payments[2].refunded
    assert [row.id for row in facts.flags[0].rows] == ["1", "2"]
