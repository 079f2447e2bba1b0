"""What the report counts beside the outcomes, on the rows of `busy`, whose figures stand beside them."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from pipeline.assembly import open_parts, open_routes, weekly_report
from pipeline.db.store import Store
from pipeline.db.tables import agents, drafts, reviews, weekly_reports
from pipeline.errors import ConfigError, InputError
from pipeline.models.base import Choice, Price
from pipeline.reports.guard import Guard
from pipeline.reports.measures import Report, WeekLine, report
from pipeline.reports.movers import Mover
from pipeline.reports.rates import Outcomes, Share
from pipeline.reports.reading_back import from_json
from pipeline.reports.rendering import FORMATS, as_json, render
from pipeline.reports.spending import Spent, strong_choice
from pipeline.reports.tables import sections, summary
from pipeline.reports.weeks import Week
from pipeline.reports.words import milliseconds
from pipeline.review.outcomes import grade
from pipeline.routing.table import Budgets
from pipeline.settings import load
from tests.reports import busy
from tests.reports.conftest import MONDAY, WEEK, Seed, hour

THIS = Week.parse(WEEK)
LATER = MONDAY + timedelta(days=8)


@pytest.fixture(scope="module")
def store_of_week(migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    path = tmp_path_factory.mktemp("busy") / "triage.db"
    path.write_bytes(migrated_sqlite.read_bytes())
    store = Store(f"sqlite:///{path}")
    busy.fill(store)
    yield store
    store.close()


@pytest.fixture(scope="module")
def made(store_of_week: Store) -> Report:
    return report(store_of_week, THIS, made_at=LATER)


# --- escalation, friction, guard ----------------------------------------------------------------------


def test_what_was_escalated_for_nothing_counts_once(made: Report) -> None:
    found = made.escalation
    # 5 reviewed in `_judged`, and the two strong ones that came back were reviewed the week before
    assert (found.marked, found.short, found.over) == (Share(3, 5), Share(2, 5), Share(4, 5))


def test_missed_escalations_are_rewritten_routine_drafts_and_tickets_that_came_back(made: Report) -> None:
    assert made.escalation.missed.count == 4  # three of `_judged`, and one `replaced` that came back
    assert made.escalation.reopened == 1


def test_friction(made: Report) -> None:
    found = made.friction
    assert (found.regenerated, found.refined, found.compared, found.given_up) == (1, 1, 1, 3)
    assert found.retries == (("retry", 2), ("repair", 1), ("backup", 1))
    assert (found.reopened, found.complaints, found.abandoned) == (4, 2, 2)
    assert (found.look_p50_s, found.look_p95_s) == (30.0, 30.0)


def test_a_draft_that_gave_way_is_in_no_rewrite_rate(store_of_week: Store, made: Report) -> None:
    with store_of_week.read() as connection:
        judged = sum(
            1
            for row in connection.execute(reviews.select().where(reviews.c.draft_id.is_not(None)))
            if row.decided_at is not None and hour(0) <= row.decided_at < hour(168)
        )
        stale = connection.execute(drafts.select().where(drafts.c.superseded_at.is_not(None))).all()
    assert len(stale) == 3
    assert made.headline.reviewed + made.headline.unscorable == judged
    assert made.headline.expired == 0


def test_the_guard(made: Report) -> None:
    found = made.guard
    # approvals of this week: 4 strong, 5 with a reply, 3 quick or not, 3 with a second read, 1 abandoned edit
    assert found.quick.of == 4 + 5 + 3 + 3 + 1
    assert (found.quick.count, found.unseen.count, found.hasty.count) == (1, 1, 2)
    assert (found.asked, found.agreed) == (3, Share(1, 3))
    assert dict(found.verdicts) == {"as_is": 1, "rewritten": 1, "light": 1}
    assert (made.guard_before.asked, made.guard_before.agreed) == (2, Share(1, 1))


def test_how_quick_is_quick_is_a_setting(store_of_week: Store) -> None:
    slower = report(store_of_week, THIS, quick_s=5.1, made_at=LATER)
    assert slower.guard.quick.count == 2
    assert "approved in under 5.1 s" in render(slower, "md")


def less_read(made: Report, old: Outcomes, new: Outcomes, **guard: Share) -> list[str]:
    calm = Guard(5.0, Share(1, 40), Share(0, 40), Share(1, 40), 20, Share(20, 20), ())
    return summary(
        replace(
            made,
            headline=new,
            before=WeekLine("2026-W46", old),
            guard_before=calm,
            guard=replace(calm, **guard),
        )
    )


def test_a_rate_that_fell_is_said_in_one_breath_with_less_reading(made: Report) -> None:
    bad, good = Outcomes(as_is=30, rewritten=10), Outcomes(as_is=36, rewritten=4)
    said = less_read(made, bad, good, quick=Share(12, 40), agreed=Share(15, 20))
    assert (
        "The rate fell from 25% to 10%, but drafts were looked at less: approved in under 5 s 30% (12 of 40) "
        "after 2% (1 of 40), the second reader disagreed 25% (5 of 20) after 0% (0 of 20)." in said
    )
    for quiet in (less_read(made, bad, good), less_read(made, good, bad, quick=Share(12, 40))):
        assert not any("looked at less" in line for line in quiet)
    one_more = less_read(made, bad, good, quick=Share(2, 40))  # of 40: nobody is blamed for that
    assert not any("looked at less" in line for line in one_more)


# --- the rewrite rate by anything ---------------------------------------------------------------------


def test_the_rate_by_any_two_dimensions_and_by_week(store_of_week: Store, made: Report) -> None:
    two = report(store_of_week, THIS, by=("language", "model"), made_at=LATER).cuts[-1]
    assert {group.key: group.outcomes.rewrite for group in two.groups}[("de", "mini")] == Share(3, 4)
    weeks = report(store_of_week, THIS, by=("week", "route"), made_at=LATER).cuts[-1]
    found = {group.key: group.outcomes for group in weeks.groups}
    assert found[("2026-W46", "strong")].as_is == 3  # one in `_judged`, two that came back
    assert found[(WEEK, "strong")] == next(
        group.outcomes for cut in made.cuts if cut.by == ("route",) for group in cut.groups
        if group.key == ("strong",)
    )  # fmt: skip
    assert [group.key[0] for group in weeks.groups] == [WEEK, WEEK, "2026-W46", "2026-W46"]


def test_filters_narrow_the_rate_and_nothing_else(store_of_week: Store, made: Report) -> None:
    narrow = report(store_of_week, THIS, only={"route": "strong"}, made_at=LATER)
    assert narrow.headline == Outcomes(as_is=4, light=1, unscorable=1)
    assert narrow.line[-2].outcomes.as_is == 3
    assert (narrow.escalation, narrow.costs, narrow.guard) == (made.escalation, made.costs, made.guard)
    assert summary(narrow)[0].startswith("Rewrite rate of route strong: 0 of 5;")
    assert any("narrows the rewrite rate only" in line for line in summary(narrow))


@pytest.mark.parametrize("by", [("colour",), ("route", "route"), ("route", "topic", "week")])
def test_what_is_no_breakdown_is_refused(sqlite_store: Store, by: tuple[str, ...]) -> None:
    with pytest.raises(InputError, match="one or two of route, topic"):
        report(sqlite_store, THIS, by=by)


def test_what_is_no_filter_is_refused(sqlite_store: Store) -> None:
    with pytest.raises(InputError, match="'week' is no filter of the report"):
        report(sqlite_store, THIS, only={"week": WEEK})


def test_past_weeks_come_as_they_were_written_and_late_decisions_are_told(sqlite_store: Store) -> None:
    with sqlite_store.write() as connection:
        seed = Seed(connection)
        connection.execute(
            agents.insert().values(id=1, email="a@b.example", role="agent", created_at=hour(-9))
        )
        for n in range(3):
            seed.judged(hour(-10 - n), "as_is")
        seed.judged(hour(-200), "light")
        for week, outcomes in (("2026-W46", {"as_is": 1, "rejected": 0}), ("2026-W45", {"light": 7})):
            connection.execute(
                weekly_reports.insert().values(
                    week=week, zone="UTC", made_at=hour(0), outcomes=outcomes, document={}
                )
            )
    made = report(sqlite_store, THIS, made_at=LATER)
    assert made.late == 2
    assert made.line[-2].outcomes == Outcomes(as_is=3)  # recounted
    assert made.line[-3].outcomes == Outcomes(light=7)  # as it was written
    assert "2 decisions of last week came in after its report; the line counts them." in summary(made)
    elsewhere = report(sqlite_store, THIS, zone="Asia/Tokyo", made_at=LATER)  # other weeks than were written
    assert (elsewhere.late, elsewhere.line[-3].outcomes) == (0, Outcomes(light=1))


# --- money --------------------------------------------------------------------------------------------


def test_spend_stands_beside_every_cap(store_of_week: Store) -> None:
    budgets = Budgets(
        day=Decimal(1), week=Decimal(5), month=Decimal(9), route_day={"cheap": Decimal(2)},
        inbox_day={"support": Decimal("0.21")}, task_day={"routine": Decimal(3)},
    )  # fmt: skip
    made = report(store_of_week, THIS, budgets=budgets, made_at=LATER)
    usd = Decimal("0.20")
    assert made.spent == (
        Spent("2026-11", "month", usd, Decimal(9), "month:2026-11"),
        Spent("2026-11-19", "all", usd, Decimal(1), "day:2026-11-19"),
        Spent("2026-11-19", "inbox support", usd, Decimal("0.21"), "inbox:support:2026-11-19"),
        Spent("2026-11-19", "route cheap", usd, Decimal(2), "route:cheap:2026-11-19"),
        Spent("2026-11-19", "routine", usd, Decimal(3), "task:routine:2026-11-19"),
        Spent("2026-W47", "week", usd, Decimal(5), "week:2026-W47"),
    )
    assert "Nearest to its cap: $0.21 (inbox support in a day) was used to 95% in 2026-11-19." in summary(
        made
    )


DEAR = Choice("big", "anthropic", "no-such-model", "strong", price=Price("3", "15", "0.3"))


def with_tokens(store: Store) -> None:
    with store.write() as connection:
        seed = Seed(connection)
        connection.execute(
            agents.insert().values(id=1, email="a@b.example", role="agent", created_at=hour(-9))
        )
        call = seed.call(
            hour(1), cost_usd=Decimal("0.002"), input_tokens=1000, cached_input_tokens=400, output_tokens=100
        )
        cheap = {"cost_usd": Decimal("0.002")}
        seed.judged(hour(1), "as_is", call_id=call, **cheap)
        seed.judged(hour(2), "as_is", **cheap)  # the ledger has no tokens of it
        seed.judged(hour(3), "as_is", source="template", **cheap)  # no draft of a model
        for n in range(2):
            seed.judged(hour(4 + n), "as_is", cost_usd=Decimal("0.01") * (n + 1), **busy.STRONG)


def test_all_strong_prices_the_tokens_of_the_ledger(sqlite_store: Store) -> None:
    with_tokens(sqlite_store)
    costs = report(sqlite_store, THIS, strong=DEAR).costs
    # 600 x $3 + 400 x $0.30 + 100 x $15 a million = $0.00342, and the mean of $0.01 and $0.02
    more = Decimal("0.00342") + Decimal("0.015") - 2 * Decimal("0.002")
    assert costs.all_strong_usd == costs.total_usd + more
    assert costs.all_strong_how == (
        "the tokens of 1 cheap draft at the price of big and 1 cheap draft at the mean cost of a strong one this "
        "week; reading as it was"
    )
    unpriced = report(sqlite_store, THIS, strong=replace(DEAR, price=None)).costs
    assert unpriced.all_strong_usd == costs.total_usd + 2 * Decimal("0.015") - 2 * Decimal("0.002")


def test_all_strong_is_not_known_without_a_price_and_a_strong_draft(sqlite_store: Store) -> None:
    with_tokens(sqlite_store)
    with sqlite_store.write() as connection:
        connection.execute(
            drafts.update().where(drafts.c.route == "strong").values(route="cheap", call_id=None)
        )
    made = report(sqlite_store, THIS)
    assert made.costs.all_strong_usd is None
    assert "All-strong: not known" in render(made, "md")
    assert not any("strong model" in line for line in summary(made))


def test_the_strong_model_is_the_tables() -> None:
    routes = open_routes(load())
    found = strong_choice(routes)
    assert found is not None
    assert (found.key, found.tier) == (routes.tasks["draft"].model, "strong")


# --- settings, words, forms ---------------------------------------------------------------------------


def test_the_thresholds_are_settings(
    monkeypatch: pytest.MonkeyPatch, sqlite_store: Store, tmp_path: Path
) -> None:
    monkeypatch.setenv("TRIAGE_AS_IS_UP_TO", "0.1")
    monkeypatch.setenv("TRIAGE_HEAVY_FROM", "0.3")
    monkeypatch.setenv("TRIAGE_REWRITTEN_FROM", "0.5")
    settings = load(home=tmp_path)
    judge = open_parts(settings, sqlite_store).desk.thresholds
    assert [grade(share, judge) for share in (0.1, 0.2, 0.3, 0.5)] == ["as_is", "light", "heavy", "rewritten"]
    made = weekly_report(settings, sqlite_store, open_routes(settings), WEEK)
    assert made.thresholds == {"as_is": 0.1, "heavy": 0.3, "rewritten": 0.5}


@pytest.mark.parametrize(
    "values",
    [
        ("0.05", "0.6", "0.6"),
        ("0.5", "0.4", "0.6"),
        ("-0.1", "0.4", "1"),
        ("0", "0.5", "1.1"),
        ("nan", "0.4", "0.6"),
    ],
)
def test_thresholds_that_do_not_rise_are_refused(
    monkeypatch: pytest.MonkeyPatch, values: tuple[str, ...]
) -> None:
    for name, value in zip(("AS_IS_UP_TO", "HEAVY_FROM", "REWRITTEN_FROM"), values, strict=True):
        monkeypatch.setenv(f"TRIAGE_{name}", value)
    with pytest.raises(ConfigError, match=r"^TRIAGE_REWRITTEN_FROM: 0 <= TRIAGE_AS_IS_UP_TO < .* must hold"):
        load()


@pytest.mark.parametrize("seconds", ["0", "inf", "nan", "1e12"])
def test_seconds_that_no_report_can_count_with_are_refused(
    monkeypatch: pytest.MonkeyPatch, seconds: str
) -> None:
    monkeypatch.setenv("TRIAGE_QUICK_S", seconds)
    with pytest.raises(ConfigError, match="TRIAGE_QUICK_S"):
        load()


def test_the_sentences_are_right_in_number(made: Report) -> None:
    one = replace(
        made,
        failures=(("budget", 1),),
        desk=replace(made.desk, decided=1, open_now=1, oldest_open_s=60.0),
        costs=replace(made.costs, tickets=1),
        counts={**made.counts, "messages": 1, "tickets": 1, "replies": 1, "quarantined": 0},
    )
    text = "\n".join(summary(one))
    assert (
        "Review: 1 decided, 1 row waits for a person now, the oldest for 60 s; 1 failure came to a person."
        in text
    )
    assert "1 message (" in text
    assert "1 new ticket; out: 1 reply." in text
    assert "for 1 ticket," in text
    none = replace(one, failures=(), desk=replace(one.desk, open_now=0, oldest_open_s=None))
    assert "nothing waits now; 0 failures came to a person" in "\n".join(summary(none))


def test_one_test_says_what_is_more_than_chance(made: Report) -> None:
    """20% of 200 and 29% of 200: their intervals overlap, and yet p is 0.048."""
    changed = replace(
        made,
        headline=Outcomes(as_is=142, rewritten=58),
        before=WeekLine("2026-W46", Outcomes(as_is=160, rewritten=40)),
    )
    assert "+9 points on the week before, 20% (40 of 200); more than chance" in "\n".join(summary(changed))
    assert made.movers is not None
    whole = Mover((), (), Share(98, 493), Share(36, 119), 0.0, 0.1, ())
    moved = replace(made.movers, whole=whole, beyond_chance=True, groups=())
    note = next(t.note for t in sections(replace(made, movers=moved)) if t.title.startswith("What moved"))
    assert note.endswith("all drafts taken together moved more than chance, no single group did.")


def test_an_answer_that_is_still_due_is_no_failure(made: Report) -> None:
    """An agent who rejects a draft opens a row for the answer: the rejection counts already."""
    due = replace(made, failures=(("human_route", 8), ("send_failed", 1)))
    assert "; 1 failure came to a person" in "\n".join(summary(due))
    table = next(t for t in sections(due) if t.title == "What came to a person without a draft")
    assert [[cell.text for cell in row] for row in table.rows] == [
        ["an answer is due, and a person writes it", "8"],
        ["the reply could not be sent", "1"],
    ]


def test_nothing_to_do_is_said(made: Report) -> None:
    none = replace(made, suggestions=())
    for form in ("md", "html"):
        assert (
            "Nothing stands out: no change has enough cases behind it, in this week or in the last four"
            in render(none, form)
        ), form


def test_no_column_of_the_csv_begins_a_formula(made: Report) -> None:
    text = render(replace(made, failures=(("=1+1", 3),)), "csv")
    cells = [cell for row in csv.reader(io.StringIO(text)) for cell in row]
    assert "'=1+1" in cells
    assert "=1+1" not in cells


def test_an_agent_s_note_is_no_markup(made: Report) -> None:
    note = "see ![x](https://track.example/p.png) <b>"
    text = render(replace(made, pairs=(replace(made.pairs[0], note=note),)), "md")
    assert "see !\\[x](https://track.example/p.png) &lt;b>" in text


def test_latencies_of_one_column_have_units_that_compare() -> None:
    assert [milliseconds(n) for n in (967, 5868, 10_990, None)] == ["967 ms", "5.9 s", "11.0 s", "–"]


def test_every_form_of_a_full_week(store_of_week: Store, made: Report) -> None:
    for form in FORMATS:
        assert render(made, form)
    rows = Counter(tuple(row[:4]) for row in csv.reader(io.StringIO(render(made, "csv"))))
    assert [row for row, often in rows.items() if often > 1] == []  # no two figures share a name
    assert from_json(Report, as_json(made)) == made  # what is kept as JSON is shown as the same report
