"""The figures of the report equal what plain Python counts in the rows of `triage export`."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from pipeline.db.store import Store
from pipeline.models.base import Choice, Price
from pipeline.reports.measures import report
from pipeline.reports.rendering import as_json
from pipeline.reports.weeks import Week
from pipeline.routing.table import Budgets
from tests.kit.recount import recount
from tests.kit.recount_differs import differences, exported
from tests.reports import busy
from tests.reports.conftest import MONDAY, WEEK

LATER = MONDAY + timedelta(days=8)
DEAR = Choice("big", "openai", "no-such-model", "strong", price=Price("3", "15", "0.3"))


def both(store: Store, week: str, zone: str = "UTC") -> tuple[dict[str, Any], dict[str, Any]]:
    made = report(
        store, Week.parse(week), zone=zone, budgets=Budgets(day=Decimal(1)), made_at=LATER, strong=DEAR
    )
    return as_json(made), recount(exported(store), week, zone, LATER, strong_price=("3", "0.3", "15"))


@pytest.mark.parametrize(
    ("week", "zone"),
    [(WEEK, "UTC"), ("2026-W46", "UTC"), (WEEK, "Asia/Tokyo"), ("2026-W20", "Europe/Berlin")],
)
def test_a_busy_week(sqlite_store: Store, week: str, zone: str) -> None:
    busy.fill(sqlite_store)
    assert differences(*both(sqlite_store, week, zone)) == []


def test_a_week_of_outcomes(seeded: Store) -> None:
    assert differences(*both(seeded, WEEK)) == []


def test_a_wrong_figure_would_be_seen(sqlite_store: Store) -> None:
    busy.fill(sqlite_store)
    document, counted = both(sqlite_store, WEEK)
    document["friction"]["complaints"] += 1
    document["cuts"][0]["groups"][0]["outcomes"]["as_is"] -= 1
    document["costs"]["total_usd"] = "0.26"
    assert [line.partition(":")[0] for line in differences(document, counted)] == [
        "/costs/total_usd", "/cuts/topic route/('billing', 'cheap')/as_is", "/friction/complaints",
    ]  # fmt: skip
