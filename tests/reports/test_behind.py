"""Every figure of the report opens the cases behind it: as many as it says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from urllib.parse import parse_qsl

import pytest
import sqlalchemy as sa

from pipeline.db.store import Store
from pipeline.db.tables import reviews
from pipeline.errors import InputError
from pipeline.reports.behind import FIGURES, Behind, behind
from pipeline.reports.measures import Report, report
from pipeline.reports.tables import Cell, sections
from pipeline.reports.weeks import Week
from pipeline.routing.table import Budgets
from tests.reports import busy
from tests.reports.conftest import MONDAY, WEEK

THIS = Week.parse(WEEK)
BUDGETS = Budgets(
    day=Decimal(1), week=Decimal(5), month=Decimal(9), route_day={"cheap": Decimal(1)},
    inbox_day={"support": Decimal(1)}, task_day={"routine": Decimal("0.21")},
)  # fmt: skip


@pytest.fixture
def full(sqlite_store: Store) -> Store:
    busy.fill(sqlite_store)
    return sqlite_store


def made(store: Store, **wanted: object) -> Report:
    return report(store, THIS, budgets=BUDGETS, made_at=MONDAY + timedelta(days=8), **wanted)  # type: ignore[arg-type]


def linked(of: Report) -> Iterator[tuple[str, Cell, dict[str, str]]]:
    for table in sections(of):
        for row in table.rows:
            for cell in row:
                if cell.behind is not None:
                    yield f"{table.title}: {row[0].text}", cell, dict(parse_qsl(cell.behind))


def whole(store: Store, query: dict[str, str]) -> tuple[Behind, list[tuple[str, ...]]]:
    """All pages of a list, three rows each."""
    page = first = behind(store, THIS, "UTC", query, limit=3)
    rows = list(page.rows)
    while page.next is not None:
        page = behind(store, THIS, "UTC", query, after=page.next, limit=3)
        rows += page.rows
    assert len(first.heads) == len(rows[0].cells)
    return first, [row.cells for row in rows]


def same_count(store: Store, of: Report) -> set[str]:
    """Walk every link; returns the figures met."""
    met = set()
    for where, cell, query in linked(of):
        first, rows = whole(store, query)
        assert len(rows) == first.total, where
        if cell.text.startswith("$"):
            cost = first.heads.index("cost")
            total = sum(Decimal(row[cost].strip("$")) for row in rows if row[cost])
            assert f"${total:.2f}" == cell.text, where
        else:
            figure = re.search(r"([\d,]+) of", cell.text) or re.fullmatch(r"([\d,]+)", cell.text)
            assert figure is not None, (where, cell.text)
            assert first.total == int(figure[1].replace(",", "")), (where, cell)
        met.add(query["figure"])
    return met


def test_every_link_lists_as_many_cases_as_its_figure_says(store: Store) -> None:
    busy.fill(store)
    met = same_count(store, made(store, by=("week", "language")))
    assert met == set(FIGURES)  # no figure that nothing links to, and none untried


def test_the_links_of_a_filtered_report_are_filtered_too(full: Store) -> None:
    narrow = made(full, only={"route": "strong", "topic": "refund"})
    queries = [query for _where, _cell, query in linked(narrow) if query["figure"] == "drafts"]
    rate = [
        query for query in queries if query != {"figure": "drafts", "route": "cheap", "outcome": "rewrite"}
    ]
    assert rate
    assert all((query["route"], query["topic"]) == ("strong", "refund") for query in rate)
    same_count(full, narrow)


def test_the_rows_lead_to_their_tickets_and_reviews(full: Store) -> None:
    found = behind(full, THIS, "UTC", {"figure": "drafts", "outcome": "replaced", "language": "de"})
    assert found.title == "Drafts: outcome replaced, language de"
    (row,) = found.rows
    assert row.ticket_id is not None
    assert row.review_id is not None
    assert dict(zip(found.heads, row.cells, strict=True))["outcome"] == "replaced"
    (mail,) = behind(full, THIS, "UTC", {"figure": "raw", "state": "quarantined"}).rows
    assert mail.ticket_id is None
    assert "broken" in mail.cells


def test_cases_show_the_edit_share_with_hter_and_times_by_the_zone_s_clocks(full: Store) -> None:
    query = {"figure": "drafts", "outcome": "replaced", "language": "de"}
    with full.write() as connection:
        connection.execute(sa.update(reviews).values(edit_share=0.5, hter=0.75))
    shown = []
    for zone in ("UTC", "Asia/Kolkata"):
        found = behind(full, THIS, zone, query)
        (row,) = found.rows
        shown.append(dict(zip(found.heads, row.cells, strict=True)))
    assert (shown[0]["edit share"], shown[0]["HTER"]) == ("50%", "0.75")
    utc, local = (datetime.strptime(each["decided"], "%Y-%m-%d %H:%M") for each in shown)
    assert local - utc == timedelta(hours=5, minutes=30)


@pytest.mark.parametrize(
    ("query", "after", "said"),
    [
        ({}, None, "there is no figure ''"),
        ({"figure": "tables"}, None, "there is no figure 'tables'"),
        ({"figure": "decided", "outcome": "as_is"}, None, "not narrowed by 'outcome'"),
        ({"figure": "quick", "under": "soon"}, None, "no number of seconds"),
        ({"figure": "quick", "under": "inf"}, None, "no number of seconds"),
        ({"figure": "quick", "under": "nan"}, None, "no number of seconds"),
        ({"figure": "drafts", "past": "yesterday"}, None, "is not a week"),
        ({"figure": "drafts", "past": "9999-W52"}, None, "is not a week"),
        ({"figure": "drafts", "since": "1990-W01"}, None, "looks back 12 weeks at most"),
        ({"figure": "drafts", "since": "2026-W48"}, None, "looks back 12 weeks at most"),
        ({"figure": "drafts"}, "1 or 1=1", "no place in this list"),
    ],
)
def test_what_is_no_figure_is_refused(
    sqlite_store: Store, query: dict[str, str], after: str | None, said: str
) -> None:
    with pytest.raises(InputError, match=said):
        behind(sqlite_store, THIS, "UTC", query, after=after)


def test_no_statement_reads_a_whole_table(full: Store) -> None:
    """SQLite's own plan of every statement of a report, and of every list behind it, without statistics."""
    statements: dict[str, object] = {}

    def note(_connection: object, _cursor: object, sql: str, values: object, *_more: object) -> None:
        if sql.lstrip().upper().startswith("SELECT"):
            statements.setdefault(sql, values)

    sa.event.listen(full.engine, "before_cursor_execute", note)
    same_count(full, made(full, by=("week", "topic")))
    sa.event.remove(full.engine, "before_cursor_execute", note)
    assert len(statements) > 60
    # by time, or by what a row found so points to; the queue as it is now is the one thing without a week
    good = re.compile(r">\? AND|rowid=\?|(ticket|draft|message|triage|review)_id=\?|scope=\?|week=\?")
    with full.engine.connect() as connection:
        for sql, values in statements.items():
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", values).all()  # type: ignore[arg-type]
            steps = [row[3] for row in plan if row[3].startswith(("SCAN", "SEARCH"))]
            if "reviews.state = ?" in sql:
                assert steps == ["SEARCH reviews USING COVERING INDEX ix_reviews_state (state=?)"]
            else:
                assert steps
                assert all(good.search(step) for step in steps), (steps, sql)
