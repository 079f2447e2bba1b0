"""The weekly report on rows whose figures were computed by hand (see the seeds in conftest)."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from pipeline.db.store import Store
from pipeline.errors import InputError
from pipeline.reports.measures import Report, report
from pipeline.reports.rates import Outcomes, Share, percentile, wilson
from pipeline.reports.rendering import FORMATS, as_json, render
from pipeline.reports.tables import summary
from pipeline.reports.weeks import Week
from pipeline.reports.words import sparkline
from pipeline.routing.table import Budgets
from tests.reports.conftest import MONDAY, WEEK

BUDGETS = Budgets(
    day=Decimal(20), ticket=None, customer_day=None, agent_day=None, task_day={"draft": Decimal(15)}
)


@pytest.fixture
def made(seeded: Store) -> Report:
    return report(
        seeded,
        Week.parse(WEEK),
        budgets=BUDGETS,
        thresholds={"as_is": 0.05},
        made_at=MONDAY + timedelta(days=8),
    )


def cut(made: Report, *by: str) -> dict[tuple[str, ...], Outcomes]:
    return next({g.key: g.outcomes for g in each.groups} for each in made.cuts if each.by == by)


def test_the_headline_is_what_a_person_counts(made: Report) -> None:
    assert made.headline == Outcomes(
        as_is=6, light=1, heavy=0, rewritten=1, replaced=1, rejected=3, expired=2, unscorable=3
    )
    assert (made.headline.rewrite.count, made.headline.reviewed) == (5, 12)
    low, high = made.headline.rewrite.interval or (0, 0)
    assert (round(low, 4), round(high, 4)) == (0.1933, 0.6805)  # Wilson's formula by hand for 5 of 12
    assert made.complete


def test_the_groups_add_up_to_the_headline(made: Report) -> None:
    for each in made.cuts:
        total = Outcomes()
        for group in each.groups:
            total += group.outcomes
        assert total == made.headline, each.by


def test_the_rate_by_route_topic_language_and_prompt(made: Report) -> None:
    routes = cut(made, "route")
    assert (routes[("cheap",)].rewrite.count, routes[("cheap",)].reviewed) == (1, 6)
    assert (routes[("strong",)].rewrite.count, routes[("strong",)].reviewed) == (4, 6)
    assert cut(made, "topic", "route")[("refund", "strong")].rejected == 3
    assert (
        cut(made, "topic")[("billing",)].reviewed == 6
    )  # the draft's own reading, not the ticket's later topic
    assert cut(made, "language")[("de",)].rewrite == Share(1, 2)
    assert cut(made, "prompt")[("draft cccccccc",)].reviewed == 6
    assert cut(made, "model")[("mini",)].expired == 2


def test_the_line_of_weeks_ends_with_this_one(made: Report) -> None:
    assert len(made.line) == 12
    assert (made.line[-1].week, made.line[-1].outcomes) == (WEEK, made.headline)
    assert (made.line[-2].week, made.line[-2].outcomes.rewrite) == ("2026-W46", Share(1, 4))
    assert made.line[0].outcomes.reviewed == 0
    assert sparkline([point.outcomes for point in made.line]) == "··········▃▄"


def test_calls_with_their_latency_and_cost(made: Report) -> None:
    strong, cheap = made.calls
    assert (strong.route, strong.model, strong.calls, strong.cost_usd) == ("strong", "big", 2, Decimal("0.1"))
    assert (cheap.calls, cheap.failed, cheap.cost_usd) == (11, 1, Decimal("0.012"))
    assert (cheap.p50_ms, cheap.p95_ms) == (50, 100)
    assert (cheap.input_tokens, cheap.cached_input_tokens, cheap.output_tokens) == (1000, 400, 70)
    assert made.call_errors == (("mini", "budget", 1), ("mini", "timeout", 1))
    assert made.costs.total_usd == Decimal("0.112")
    assert (made.costs.tickets, made.costs.per_ticket_usd) == (2, Decimal("0.056"))
    assert (made.costs.replies, made.costs.per_reply_usd) == (2, Decimal("0.056"))


def test_spend_stands_beside_its_cap(made: Report) -> None:
    assert [(row.day, row.what, row.spent_usd, row.cap_usd) for row in made.spent] == [
        ("2026-11-16", "all", Decimal("0.112"), Decimal(20)),
        ("2026-11-17", "draft", Decimal("0.1"), Decimal(15)),
    ]


def test_corrections_count_each_reading_once(made: Report) -> None:
    assert made.read == 19  # 17 of judged drafts (one was judged the week after), and 2 more
    assert [(row.field, row.share, row.by) for row in made.corrected] == [
        ("topic", Share(2, 19), (("agent", 2), ("model", 1))),
        ("language", Share(1, 19), (("check", 1),)),
    ]


def test_escalation_with_its_reasons(made: Report) -> None:
    assert dict(made.escalation.routes) == {
        "cheap": Share(11, 19),
        "strong": Share(7, 19),
        "human": Share(1, 19),
    }
    assert made.escalation.reasons == (("confidence … is below …", 2), ("the customer is angry", 1))
    assert made.escalation.over == Share(1, 6)
    assert made.escalation.missed == Share(1, 6)


def test_the_desk(made: Report) -> None:
    assert made.desk.opened == 20  # 17 with a judged draft, 1 superseded, 2 failures
    assert (made.desk.decided, made.desk.open_now) == (17, 1)
    assert made.desk.oldest_open_s == (8 * 24 - 52) * 3600
    assert (made.desk.wait_p50_s, made.desk.wait_p95_s) == (60.0, 3600.0)
    assert (made.guard.quick, made.guard.unseen) == (Share(1, 8), Share(1, 8))
    assert made.failures == (("budget", 2),)


def test_counts(made: Report) -> None:
    assert made.counts["quarantined"] == 1
    assert made.counts["automated"] == 1
    assert made.counts["replies"] == 2
    assert made.counts["messages"] == made.counts["from_people"] + 1


def test_every_form_shows_the_same_rate(made: Report) -> None:
    text, page = render(made, "md"), render(made, "html")
    for form in (text, page):
        assert "42% (5 of 12; 95% between 19% and 68%)" in form
        assert "expired 2, unscorable 3" in form
    document = json.loads(render(made, "json"))
    assert document["headline"]["rewrite_rate"]["count"] == 5
    assert document["costs"]["total_usd"] == "0.112"
    rows = {tuple(row[1:4]): row[4] for row in csv.reader(io.StringIO(render(made, "csv")))}
    assert rows[("headline", "rewrite_rate", "count")] == "5"
    assert rows[("cuts", "topic route/groups/refund strong/outcomes", "rejected")] == "3"
    assert len(rows) == len(render(made, "csv").splitlines())  # no two figures share a name
    assert rows[("call_errors", "", "mini timeout")] == "1"
    assert "<script" not in page
    assert "http" not in page


def test_an_unknown_form_is_refused(made: Report) -> None:
    with pytest.raises(InputError, match="md, html, csv, json"):
        render(made, "pdf")


def test_small_groups_are_counts_and_not_alarming_percentages(made: Report) -> None:
    text = render(made, "md")
    assert "| de | 1 of 2 | – | 2 |" in text
    assert "50%" not in text


def test_a_name_from_outside_cannot_break_the_page_or_the_table(made: Report) -> None:
    evil = "<script>alert(1)</script>|x"
    group = replace(made.cuts[0].groups[0], key=(evil, "=cmd()"))
    changed = replace(made, cuts=(replace(made.cuts[0], groups=(group,)), *made.cuts[1:]))
    assert "<script>" not in render(changed, "html")
    assert "<script>" not in render(changed, "md")
    assert evil.replace("|", "\\|").replace("<", "&lt;") in render(changed, "md")


def test_an_empty_store_has_a_report_too(store: Store) -> None:
    empty = report(store, Week.parse("2026-W01"), budgets=BUDGETS)
    assert empty.headline.rewrite.value is None
    assert summary(empty)[0] == "Rewrite rate: no draft was reviewed; expired 0, unscorable 0."
    for form in FORMATS:
        assert render(empty, form)
    assert as_json(empty)["headline"]["rewrite_rate"]["share"] is None


def test_all_strong_is_the_cheap_drafts_at_the_strong_price(seeded: Store) -> None:
    from pipeline.db.tables import drafts

    with seeded.write() as connection:
        connection.execute(drafts.update().where(drafts.c.route == "strong").values(cost_usd=Decimal("0.05")))
        connection.execute(drafts.update().where(drafts.c.route == "cheap").values(cost_usd=Decimal("0.001")))
    made = report(seeded, Week.parse(WEEK))
    cheap = (
        made.counts["from_people"] - 2 - 6
    )  # a draft per judged message but the strong ones; two were only read
    assert made.costs.all_strong_usd == Decimal("0.112") + cheap * Decimal("0.049")


def test_weeks_follow_the_clocks_of_the_zone() -> None:
    assert Week.parse("2026-W47").bounds("UTC")[0] == MONDAY
    start, end = Week.parse("2026-W43").bounds("Europe/Berlin")
    assert (start, end) == (
        datetime(2026, 10, 18, 22, tzinfo=UTC),
        datetime(2026, 10, 25, 23, tzinfo=UTC),
    )
    assert end - start == timedelta(hours=169)
    spring = Week.parse("2026-W13").bounds("Europe/Berlin")
    assert spring[1] - spring[0] == timedelta(hours=167)
    assert Week.of(datetime(2026, 11, 15, 23, 30, tzinfo=UTC), "Europe/Berlin") == Week(2026, 47)
    assert str(Week.of(datetime(2027, 1, 1, tzinfo=UTC))) == "2026-W53"
    assert str(Week(2027, 1).before()) == "2026-W53"


@pytest.mark.parametrize(
    "text", ["", "2026", "2026-W00", "2026-W54", "2025-W53", "47", "2026-11-20", "0001-W01", "9999-W52"]
)
def test_what_is_no_week_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="write it like 2026-W47"):
        Week.parse(text)


def test_an_unknown_zone_is_refused() -> None:
    with pytest.raises(InputError, match="time zone"):
        Week.parse(WEEK).bounds("Mars/Olympus")


def test_wilson_at_its_ends() -> None:
    assert wilson(0, 10)[0] == 0.0
    assert wilson(10, 10)[1] == 1.0
    assert tuple(round(x, 4) for x in wilson(50, 100)) == (0.4038, 0.5962)  # a published value


def test_nearest_rank_percentiles() -> None:
    values = [(15, 1), (20, 1), (35, 1), (40, 1), (50, 1)]
    assert [percentile(values, p) for p in (0.05, 0.3, 0.4, 0.5, 1)] == [15, 20, 20, 35, 50]
    assert percentile([], 0.5) is None
    assert percentile([(7, 99), (900, 1)], 0.95) == 7


def test_an_outcome_that_nobody_knows_is_an_error() -> None:
    with pytest.raises(TypeError):
        Outcomes.of({"superb": 1})


def test_the_page_stands_alone() -> None:
    text = (Path(__file__).parents[2] / "pipeline" / "reports" / "page.html").read_text(encoding="utf-8")
    assert "src=" not in text
    assert "@import" not in text
