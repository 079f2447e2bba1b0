"""Movers, pairs, failures and suggestions as parts of the report: in every form, kept and read back, each figure
with its cases."""

from __future__ import annotations

import csv
import io
import re
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qsl

import pytest
import sqlalchemy as sa

from pipeline.db.store import Store
from pipeline.db.tables import agents, corrections, reviews, triages
from pipeline.reports.behind import behind
from pipeline.reports.failures import listed
from pipeline.reports.measures import Report, report
from pipeline.reports.reading_back import from_json
from pipeline.reports.rendering import as_json, render
from pipeline.reports.tables import summary
from pipeline.reports.weeks import Week
from pipeline.reports.written import write, written
from pipeline.review.diff import diff
from pipeline.routing import reading
from tests.reports.conftest import MONDAY, WEEK, Seed, hour
from tests.reports.test_behind import same_count

ROOT = Path(__file__).parents[2]
THIS = Week.parse(WEEK)


def fill(store: Store) -> None:
    """Routine drafts on billing are rewritten more than before, and more than strong ones; 12 mixed-up topics."""
    with store.write() as connection:
        connection.execute(
            agents.insert().values(id=1, email="ann@shop.example", role="agent", created_at=hour(-999))
        )
        seed = Seed(connection)
        for n in range(40):
            seed.judged(hour(-100 + n), "rewritten" if n % 10 == 0 else "as_is")
            outcome = "as_is" if n % 2 else "rewritten"
            ticket, review = seed.judged(hour(1 + n), outcome, model="*mini*")
            if outcome == "rewritten":
                sent = {"edit_share": 0.9, "sent_text": "Good <b>day</b>\n\nto you."}
                connection.execute(reviews.update().where(reviews.c.id == review).values(**sent))
            if n < 12:
                row = connection.execute(sa.select(triages.c.id).where(triages.c.ticket_id == ticket)).one()
                connection.execute(
                    corrections.insert().values(
                        ticket_id=ticket, triage_id=row.id, field="topic", old="billing", new="refund",
                        by_kind="agent", by_name="agent:ann@shop.example", at=hour(60),
                    )
                )  # fmt: skip
        strong = {"route": "strong", "task": "draft", "model": "big", "topic": "sales", "text": "x" * 500}
        for n in range(30):
            seed.judged(hour(50 + n), "as_is", **strong)
        seed.call(hour(3), state="failed", error_kind="timeout")


@pytest.fixture
def full(store: Store) -> Store:
    fill(store)
    return store


@pytest.fixture
def lite(sqlite_store: Store) -> Store:
    fill(sqlite_store)
    return sqlite_store


def made(store: Store) -> Report:
    return report(
        store, THIS, made_at=MONDAY + timedelta(days=8), diff=diff,
        routes=reading.read(ROOT / "routes.toml"), prompts=ROOT / "prompts",
    )  # fmt: skip


def test_the_report_holds_all_four_and_is_read_back_as_it_was_written(full: Store) -> None:
    of = made(full)
    assert of.movers is not None
    assert [(mover.key, mover.now.count) for mover in of.movers.groups[:1]] == [(("billing", "cheap"), 20)]
    assert len(of.pairs) == 10
    assert [(group.kind, group.count) for group in of.cheap_failures] == [
        ("draft", 20), ("reading", 12), ("call", 1)
    ]  # fmt: skip
    assert [each.kind for each in of.suggestions] == ["escalate", "topic"]
    assert from_json(Report, as_json(of)) == of
    assert write(full, of)
    assert written(full, THIS) == of


def test_each_figure_and_each_piece_of_evidence_opens_its_cases(full: Store) -> None:
    of = made(full)
    assert {"routine", "corrected", "calls", "drafts"} <= same_count(full, of)
    links = 0
    for each in of.suggestions:
        for said in each.evidence:
            if said.behind is not None:
                count = re.search(r"([\d,]+) of", said.text)
                assert count is not None
                assert behind(full, THIS, "UTC", dict(parse_qsl(said.behind))).total == int(count[1])
                links += 1
    assert links == 2


def test_every_form_shows_them(lite: Store) -> None:
    of = made(lite)
    md, html = render(of, "md"), render(of, "html")
    assert "## What to do" in md
    assert '   +billing = "routine drafts on it were rewritten, 20 of 40 in a week"' in md
    assert "| billing, cheap | model of routine changed from mini to *mini* on Monday 16 November |" in md
    assert "~~Hello~~**Good \\<b\\>day\\</b\\>**" in md
    assert "<del>Hello</del>" in html
    assert "&lt;b&gt;day" in html
    assert "<b>day" not in html
    rows = list(csv.reader(io.StringIO(render(of, "csv"))))
    assert {row[1] for row in rows} >= {"movers", "pairs", "cheap_failures", "suggestions"}
    assert any(
        line.startswith("Moved most: billing, cheap, 10% (4 of 40) → 50% (20 of 40)") for line in summary(of)
    )


def test_nothing_stands_out_in_an_empty_week(sqlite_store: Store) -> None:
    of = made(sqlite_store)
    assert of.movers is not None
    assert (of.movers.whole, of.movers.groups, of.pairs, of.cheap_failures, of.suggestions) == (
        None,
        (),
        (),
        (),
        (),
    )
    for form in ("md", "html", "csv", "json"):
        assert WEEK in render(of, form)


def test_no_statement_of_theirs_reads_a_whole_table(lite: Store) -> None:
    statements: dict[str, object] = {}

    def note(_connection: object, _cursor: object, sql: str, values: object, *_more: object) -> None:
        if sql.lstrip().upper().startswith("SELECT"):
            statements.setdefault(sql, values)

    sa.event.listen(lite.engine, "before_cursor_execute", note)
    for each in made(lite).suggestions:
        for said in each.evidence:
            behind(lite, THIS, "UTC", dict(parse_qsl(said.behind or "figure=waiting")))
    page = listed(lite, THIS, "UTC", limit=5)
    listed(lite, THIS, "UTC", {"kind": "reading", "before": "billing"}, page.next)
    sa.event.remove(lite.engine, "before_cursor_execute", note)
    good = re.compile(
        r">\? AND|rowid=\?|rowid<\?|(ticket|draft|message|triage|review)_id=\?|scope=\?|week=\?"
    )
    with lite.engine.connect() as connection:
        for sql, values in statements.items():
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", values).all()  # type: ignore[arg-type]
            steps = [row[3] for row in plan if row[3].startswith(("SCAN", "SEARCH"))]
            if "reviews.state = ?" not in sql:
                assert all(good.search(step) or "(subquery" in step for step in steps), (steps, sql)
