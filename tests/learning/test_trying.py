"""Another table tried on stored readings, and the trade-off curve: routes, money, what is known and what is not."""

from __future__ import annotations

import dataclasses
import json
import math
from decimal import Decimal

import pytest

from pipeline.assembly import Parts
from pipeline.learning.chart import apart, chart
from pipeline.learning.curves import lines, stored_curve
from pipeline.learning.evidence import Costs, Judged, costs
from pipeline.learning.tradeoff import Message, curve
from pipeline.learning.trying import try_table
from pipeline.models.base import Choice, Usage
from pipeline.models.prices import Prices
from pipeline.reports.rates import wilson
from pipeline.routing.reading import read
from tests.reports.conftest import Seed, hour
from tests.web.running import ROUTES

TABLE = read(ROUTES)
RULE = TABLE.rule
COST = Costs(Decimal("0.001"), {"cheap": Decimal("0.001"), "strong": Decimal("0.009")}, "the ledger")


def table(**rule: float) -> dict[str, object]:
    return {"rule": dataclasses.replace(RULE, **rule)}  # type: ignore[arg-type]


@pytest.fixture
def read_mail(parts: Parts) -> Parts:
    """20 sure and 10 unsure readings of a model that is not calibrated, and 5 below the threshold; all judged."""
    with parts.store.write() as connection:
        seed = Seed(connection)
        for n in range(35):
            confidence = 0.95 if n < 20 else 0.85 if n < 30 else 0.84
            route = "cheap" if n < 30 else "strong"
            ticket, at = seed.ticket(hour(n)), hour(n)
            message = seed.message(ticket, at)
            seed.triage(ticket, message, at, confidence=confidence, route=route, model="gpt-6-luna")
            task = "routine" if route == "cheap" else "draft"
            made = seed.draft(ticket, message, at, route=route, task=task)
            outcome = "rejected" if 20 <= n < 24 else "as_is"
            seed.review(
                ticket, at, draft_id=made, decided_at=at, decided_by=1, action="edit", outcome=outcome
            )
            seed.call(at, task="triage", input_tokens=800, output_tokens=100)
            seed.call(at, task=task, input_tokens=2000, output_tokens=200)
    return parts


def test_another_table_says_who_moves_what_it_costs_and_what_is_known(read_mail: Parts) -> None:
    other = dataclasses.replace(TABLE, **table(confidence_below_uncalibrated=0.90))
    found = try_table(read_mail.store, TABLE, other, hour(0), hour(100))
    assert found.counts == {("cheap", "cheap"): 20, ("cheap", "strong"): 10, ("strong", "strong"): 5}
    prices, sonnet = Prices(), TABLE.models["claude-sonnet-5-5"]
    strong = prices.cost(
        Choice(sonnet.key, sonnet.provider, sonnet.name, sonnet.tier),
        Usage(input_tokens=2000, output_tokens=200),
    )
    luna = TABLE.models["gpt-6-luna"]
    cheap = prices.cost(
        Choice(luna.key, luna.provider, luna.name, luna.tier), Usage(input_tokens=2000, output_tokens=200)
    )
    assert found.change_usd == 10 * (strong - cheap)
    (group,) = found.groups
    assert (group.topic, group.language, group.band, group.messages) == ("billing", "en", 8, 10)
    assert (found.own.count, found.own.of) == (4, 10)
    assert (found.alike.count, found.alike.of, found.unknown) == (0, 5, 0)
    assert "never" not in found.rate_line
    assert json.loads(json.dumps(found.to_json()))["rewrite_rate"]["own"]["count"] == 4


def test_a_route_that_such_messages_never_took_has_no_rate(read_mail: Parts) -> None:
    other = dataclasses.replace(TABLE, **table(confidence_below_uncalibrated=0.99))
    found = try_table(read_mail.store, TABLE, other, hour(0), hour(100))
    sure = next(group for group in found.groups if group.band == 9)
    assert (sure.messages, sure.alike.of, found.unknown) == (20, 0, 20)
    assert "never drafted on strong" in sure.line()


def test_a_model_that_is_swapped_changes_the_price_though_nobody_moves(read_mail: Parts) -> None:
    task = dataclasses.replace(TABLE.tasks["draft"], model="gpt-6-luna")
    other = dataclasses.replace(TABLE, tasks=TABLE.tasks | {"draft": task})
    found = try_table(read_mail.store, TABLE, other, hour(0), hour(36))
    assert all(before == after for before, after in found.counts if (before, after) != ("strong", "cheap"))
    assert found.change_usd is not None
    assert found.change_usd < 0


def test_without_a_paid_call_no_cost_is_made_up() -> None:
    found = costs({}, TABLE)
    assert (found.of("cheap"), found.of("strong")) == (None, None)
    assert "not known" in found.how


# --- the curve ------------------------------------------------------------------------------------------

MESSAGES = [
    *(Message(n, 0.95, False, 0.65) for n in range(60)),
    *(Message(n, 0.55, False, 0.65) for n in range(60, 90)),
    *(Message(n, 0.95, True, 0.65) for n in range(90, 100)),
]


def known() -> list[Judged]:
    rows = [Judged(n, n, "cheap", "billing", "en", 0.95, n < 6) for n in range(60)]
    rows += [Judged(n, n, "strong", "billing", "en", 0.55, n < 63) for n in range(60, 90)]
    return rows + [Judged(n, n, "strong", "billing", "en", 0.95, False) for n in range(90, 100)]


def test_the_point_in_force_is_what_happened_and_the_money_is_of_the_routes() -> None:
    found = curve(MESSAGES, known(), RULE, "confidence_below", COST)
    here = found.present
    assert (here.threshold, here.escalated, here.unknown, here.judged) == (0.65, 0.40, 0.0, 100)
    assert here.usd_per_1000 == Decimal("1000") * (Decimal("0.002") * 60 + Decimal("0.010") * 40) / 100
    assert here.rate == pytest.approx(9 / 100)
    parts = [(0.6, 6, 60), (0.3, 3, 30), (0.1, 0, 10)]
    above = math.sqrt(sum((w * (wilson(k, n)[1] - k / n)) ** 2 for w, k, n in parts))
    assert here.high == pytest.approx(0.09 + above)
    assert [point.threshold for point in found.points] == sorted({n / 20 for n in range(21)} | {0.65})


def test_a_threshold_whose_route_was_never_tried_has_no_rate_and_a_small_gap_widens_the_interval() -> None:
    points = {
        point.threshold: point for point in curve(MESSAGES, known(), RULE, "confidence_below", COST).points
    }
    assert (points[1.0].rate, points[1.0].unknown) == (None, 0.6)
    assert (points[0.5].rate, points[0.5].unknown) == (None, 0.3)  # the unsure ones were never kept cheap
    tried = [*known(), *(Judged(n, n, "cheap", "billing", "en", 0.55, True) for n in range(60, 62))]
    some = curve(MESSAGES[:60] + MESSAGES[80:], tried[:60] + tried[90:100], RULE, "confidence_below", COST)
    gap = next(point for point in some.points if point.threshold == 0.5)
    assert gap.unknown == pytest.approx(10 / 80)
    assert gap.rate == pytest.approx((60 / 80 * 0.1) / (70 / 80))
    assert gap.high is not None
    assert gap.high > 0.1 + 10 / 80


def test_the_curve_of_a_store_moves_the_threshold_that_counts_and_is_drawn(read_mail: Parts) -> None:
    found = stored_curve(read_mail.store, TABLE, hour(0), hour(100))
    assert found.key == "confidence_below_uncalibrated"
    assert (found.messages, found.judged, found.present.threshold) == (35, 35, 0.80)
    assert any("← in force" in line for line in lines(found))
    drawn = chart(found)
    assert drawn.png().startswith(b"\x89PNG")
    assert "in force 0.80" in drawn.alt
    empty = stored_curve(read_mail.store, TABLE, hour(500), hour(501))
    assert lines(empty) == ["no message was read in this time"]
    assert chart(empty).png().startswith(b"\x89PNG")


def test_labels_of_the_curve_have_room() -> None:
    usd = [1.17, 1.17, 1.20, 1.24, 1.40, 1.52, 2.35, 3.33, 4.18]
    assert apart(usd, 4) == {0, 4, 6, 7, 8}  # not on each other, and the one in force is among them
    assert apart(usd, 5) == {0, 5, 6, 7, 8}
    assert apart([1.0], 0) == {0}
