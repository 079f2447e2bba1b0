"""Scorecards of a route, a model and a prompt: every link opens as many cases as its figure says."""

from __future__ import annotations

import re
from decimal import Decimal
from urllib.parse import parse_qsl

import pytest

from pipeline.db.store import Store
from pipeline.db.tables import weekly_reports
from pipeline.errors import InputError, NotFoundError
from pipeline.reports.behind import behind
from pipeline.reports.rates import Outcomes
from pipeline.reports.scorecard import Scorecard, index, scorecard
from pipeline.reports.weeks import Week
from tests.reports import busy
from tests.reports.conftest import WEEK, Seed, hour

THIS = Week.parse(WEEK)


@pytest.fixture
def full(store: Store) -> Store:
    return filled(store)


@pytest.fixture
def lite(sqlite_store: Store) -> Store:
    return filled(sqlite_store)


def filled(store: Store) -> Store:
    busy.fill(store)
    with store.write() as connection:
        seed = Seed(connection)
        seed.numbers = iter(range(5000, 9000))
        _ticket, review = seed.judged(hour(-200), "rejected", language="de")
        busy.change(seed, review, reject_reason="wrong_tone")
        for n, week in enumerate(("2026-W46", "2026-W45")):
            values = {"week": week, "zone": "UTC", "made_at": hour(0), "outcomes": {}}
            document = {"thresholds": {"as_is": 0.05 + n / 100}}
            connection.execute(weekly_reports.insert().values(**values, document=document))
    return store


def walk(store: Store, card: Scorecard) -> int:
    """Every link of the card; returns how many."""
    links = 0
    for table in card.tables:
        for row in table.rows:
            for cell in row:
                if cell.behind is None:
                    continue
                found = behind(store, Week.parse(card.week), "UTC", dict(parse_qsl(cell.behind)), limit=500)
                if cell.text.startswith("$"):
                    place = found.heads.index("cost")
                    costs = [Decimal(each.cells[place].strip("$") or "0") for each in found.rows]
                    assert f"${sum(costs):.2f}" == cell.text, (table.title, cell)
                else:
                    figure = re.search(r"([\d,]+) of", cell.text) or re.fullmatch(r"([\d,]+)", cell.text)
                    assert figure is not None, cell
                    assert found.total == int(figure[1].replace(",", "")), (table.title, cell)
                links += 1
    return links


def tables(card: Scorecard) -> dict[str, list[tuple[str, ...]]]:
    return {table.title: [tuple(cell.text for cell in row) for row in table.rows] for table in card.tables}


def test_every_figure_of_every_card_opens_its_cases(lite: Store) -> None:
    cards = index(lite, "UTC", week=THIS)
    assert {card.kind for card in cards} == {"route", "model", "prompt"}
    assert {(card.kind, card.name) for card in cards} >= {
        ("route", "cheap"), ("model", "mini"), ("prompt", "routine aaaaaaaa"), ("prompt", "shadow p"),
    }  # fmt: skip
    for card in cards:
        walk(lite, scorecard(lite, card.kind, card.name, "UTC", week=THIS))
    assert walk(lite, scorecard(lite, "model", "local", "UTC", week=THIS)) == 2  # what it read was corrected


def test_a_card_counts_all_weeks_together(full: Store) -> None:
    card = scorecard(full, "route", "cheap", "UTC", week=THIS, thresholds={"as_is": 0.07})
    assert (card.since, card.week) == ("2026-W36", WEEK)
    assert sum((point.outcomes for point in card.line), Outcomes()) == card.total
    shown = tables(card)
    assert [row[0] for row in shown["By week"]] == [WEEK, "2026-W46", "2026-W45"]
    assert shown["Why drafts were rejected"] == [("none given", "1"), ("wrong tone", "1")]
    assert shown["Thresholds"] == [("now", "0.07"), ("2026-W46", "0.05"), ("2026-W45", "0.06")]
    assert [row[0] for row in shown["Corrections"]] == ["language", "topic"]
    assert shown["Escalation errors"][0][0].startswith("routine drafts")
    assert len(tables(scorecard(full, "route", "cheap", "UTC", 1, week=THIS))["By week"]) == 1
    strong = tables(scorecard(full, "route", "strong", "UTC", week=THIS))
    # 3 marked in the week and 1 before it, 2 short in the week, one of which is marked; those who came back
    assert strong["Escalation errors"][0][0].startswith("strong drafts that were not needed")
    assert "Corrections" not in strong  # all reading is the cheap route's


def test_a_name_that_nobody_knows_is_refused(sqlite_store: Store) -> None:
    with pytest.raises(InputError, match="no scorecard of a 'topic'"):
        scorecard(sqlite_store, "topic", "refund", "UTC")
    with pytest.raises(NotFoundError, match="these 12 weeks know no model 'big'"):
        scorecard(sqlite_store, "model", "big", "UTC")
    assert index(sqlite_store, "UTC") == ()
