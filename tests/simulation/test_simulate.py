"""The simulated quarter: what it says of itself is what plain SQL finds in the store that it filled."""

from __future__ import annotations

import io
import json
import sqlite3
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from pipeline.assembly import Parts, open_parts
from pipeline.cli import app
from pipeline.db.store import Store
from pipeline.demo import begin_history, prepare
from pipeline.drafting.claims import check_claims
from pipeline.drafting.threads import Thread, ThreadMessage
from pipeline.errors import InputError
from pipeline.models.base import Choice, Price
from pipeline.reports.export import WHAT, export
from pipeline.reports.measures import report
from pipeline.reports.rendering import as_json
from pipeline.reports.weeks import Week
from pipeline.review.outcomes import measure
from pipeline.simulation import plan, run, texts
from pipeline.simulation.truth import DIMENSIONS, Truth
from tests.kit.recount import recount
from tests.kit.recount_differs import differences, exported

DEAR = Choice("big", "openai", "no-such-model", "strong", price=Price("3", "15", "0.3"))
UNTIL = datetime(2026, 11, 23, tzinfo=UTC)
WEEKS, TICKETS, SEED = 3, 80, 14


def parts_in(home: Path, database_url: str | None = None) -> Parts:
    settings = prepare(home, inboxes=2)
    store = Store(database_url) if database_url else None
    return open_parts(settings, store)


def simulated(parts: Parts, weeks: int, tickets: int) -> Truth:
    return run.simulate(parts, plan.make(SEED, weeks, tickets, UNTIL, tuple(parts.inboxes)))


@pytest.fixture(scope="module")
def quarter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Parts, Truth, sqlite3.Connection]]:
    home = tmp_path_factory.mktemp("quarter")
    parts = parts_in(home)
    truth = simulated(parts, WEEKS, TICKETS)
    database = sqlite3.connect(home / "triage.db")
    yield parts, truth, database
    database.close()
    parts.store.close()


def week(at: str | datetime) -> str:
    moment = datetime.fromisoformat(at) if isinstance(at, str) else at
    year, number, _ = moment.isocalendar()
    return f"{year}-W{number:02}"


CELLS = """
    SELECT r.decided_at, d.superseded_at, d.route, t.topic, d.language, k.inbox, d.model, d.prompt, d.source, r.outcome
    FROM reviews r JOIN drafts d ON d.id = r.draft_id JOIN tickets k ON k.id = r.ticket_id
    JOIN triages t ON t.message_id = d.message_id WHERE r.outcome IS NOT NULL
"""


def cells_of(rows: Any) -> Counter[tuple[str, ...]]:
    return Counter((week(row[0] or row[1]), *row[2:]) for row in rows)


def test_every_cell_of_the_truth_is_what_the_store_holds(quarter: Any) -> None:
    _, truth, database = quarter
    assert truth.cells == cells_of(database.execute(CELLS))
    told = truth.to_json()["cells"]
    assert sum(cell["count"] for cell in told) == sum(truth.cells.values()) > TICKETS * 0.8
    assert set(told[0]) == {"week", *DIMENSIONS, "outcome", "count"}
    assert {"as_is", "light", "heavy", "rewritten", "replaced", "rejected"} <= set(truth.outcomes())


COUNTS = {
    "tickets": "SELECT created_at FROM tickets",
    "messages_person": "SELECT received_at FROM messages WHERE kind = 'person'",
    "messages_bulk": "SELECT received_at FROM messages WHERE kind = 'bulk'",
    "messages_auto_reply": "SELECT received_at FROM messages WHERE kind = 'auto_reply'",
    "messages_bounce": "SELECT received_at FROM messages WHERE kind = 'bounce'",
    "quarantined": "SELECT received_at FROM raw_messages WHERE state = 'quarantined'",
    "duplicates": "SELECT received_at FROM raw_messages WHERE state = 'duplicate'",
    "read_cheap": "SELECT created_at FROM triages WHERE route = 'cheap'",
    "read_strong": "SELECT created_at FROM triages WHERE route = 'strong'",
    "replies": "SELECT sent_at FROM replies WHERE state = 'sent'",
    "send_failed": "SELECT opened_at FROM reviews WHERE reason = 'send_failed'",
    "approved": "SELECT decided_at FROM reviews WHERE action = 'approve'",
    "approved_quickly": "SELECT decided_at FROM reviews WHERE action = 'approve'"
    " AND (julianday(decided_at) - julianday(first_viewed_at)) * 86400 < 5",
    "approved_unopened": "SELECT decided_at FROM reviews WHERE action = 'approve' AND first_viewed_at IS NULL",
    "rejected_missed_question": "SELECT decided_at FROM reviews WHERE reject_reason = 'missed_question'",
    "answered_by_hand": "SELECT decided_at FROM reviews WHERE action = 'replace' AND draft_id IS NULL",
    "spam": "SELECT decided_at FROM reviews WHERE action = 'spam'",
    "redrafted": "SELECT created_at FROM drafts WHERE asked_by IS NOT NULL"
    " AND id NOT IN (SELECT left_id FROM comparisons UNION SELECT right_id FROM comparisons)",
    "compared": "SELECT chosen_at FROM comparisons",
    "not_needed": "SELECT decided_at FROM reviews WHERE escalated_for_nothing",
    "second_reads_asked": "SELECT asked_at FROM second_reads",
    "second_read_as_is": "SELECT read_at FROM second_reads WHERE verdict = 'as_is'",
    "abandoned": "SELECT saved_at FROM typed_texts",
    "snoozed": "SELECT at FROM moves WHERE why LIKE '% snoozed it until %'",
    "corrected_topic": "SELECT t.created_at FROM corrections c JOIN triages t ON t.id = c.triage_id"
    " WHERE c.field = 'topic'",
    "corrected_urgency": "SELECT t.created_at FROM corrections c JOIN triages t ON t.id = c.triage_id"
    " WHERE c.field = 'urgency'",
    "calls_retry": "SELECT started_at FROM model_calls WHERE role = 'retry' AND state = 'ok'",
    "calls_repair": "SELECT started_at FROM model_calls WHERE role = 'repair' AND state = 'ok'",
    "answered_by_backup": "SELECT started_at FROM model_calls WHERE role = 'backup' AND state = 'ok'",
    "shadows": "SELECT created_at FROM shadows",
    "reopened": "SELECT at FROM moves WHERE from_status = 'answered' AND to_status = 'received'",
}


def test_every_count_of_the_weeks_is_what_the_store_holds(quarter: Any) -> None:
    _, truth, database = quarter
    for name, sql in COUNTS.items():
        found = Counter(week(row[0]) for row in database.execute(sql))
        told = {number: counts[name] for number, counts in truth.weeks.items() if counts[name]}
        assert told == found, name
    assert sum(1 for name in COUNTS if truth.totals()[name]) > 15


def test_every_ticket_is_at_rest_and_the_weeks_are_written(quarter: Any) -> None:
    _, _, database = quarter
    statuses = Counter(row[0] for row in database.execute("SELECT status FROM tickets"))
    assert set(statuses) <= {"answered", "closed", "automated"}
    assert statuses.total() == TICKETS
    assert database.execute("SELECT count(*) FROM reviews WHERE state = 'open'").fetchone() == (0,)
    assert database.execute("SELECT count(*) FROM tickets WHERE due_at IS NOT NULL").fetchone() == (0,)
    assert database.execute("SELECT count(*) FROM model_calls WHERE state = 'reserved'").fetchone() == (0,)
    written = [row[0] for row in database.execute("SELECT week FROM weekly_reports ORDER BY week")]
    assert written == ["2026-W45", "2026-W46"]  # the last one's moment comes after the end
    slowest = database.execute("SELECT max(latency_ms) FROM model_calls WHERE tier = 'strong'").fetchone()
    assert slowest[0] > 1000  # in the simulation's own time


def test_the_prompt_the_model_and_the_cap_change_on_the_way(quarter: Any) -> None:
    _, truth, database = quarter
    for route in ("strong", "cheap"):
        found = database.execute(
            "SELECT DISTINCT prompt, model FROM drafts WHERE route = ? AND source = 'model' AND asked_by IS NULL",
            (route,),
        ).fetchall()
        assert len({row[0 if route == "strong" else 1] for row in found}) >= 2
    assert truth.zone == "UTC"


def rows_of(store: Store, what: str) -> Counter[str]:
    """The export's rows without what is random, a number of the store's, or the time at which a sum was made:
    of two models that draft side by side, now one and now the other comes last."""
    out = io.StringIO()
    export(store, what, None, "jsonl", out)
    found: Counter[str] = Counter()
    for line in out.getvalue().splitlines():
        row = json.loads(line)
        kept = {
            name: value
            for name, value in row.items()
            if not name.endswith("id")
            and name not in ("in_reply_to", "references", "reply_to")
            and (what, name) != ("spend", "updated_at")
        }
        found[json.dumps(kept, sort_keys=True)] += 1
    return found


def test_the_same_seed_makes_the_same_quarter(quarter: Any, tmp_path: Path) -> None:
    parts, truth, _ = quarter
    again = parts_in(tmp_path)
    assert simulated(again, WEEKS, TICKETS).to_json() == truth.to_json()
    for what in WHAT:
        assert rows_of(again.store, what) == rows_of(parts.store, what), what
    again.store.close()


def test_every_figure_of_the_reports_is_what_the_export_says(quarter: Any) -> None:
    parts, truth, _ = quarter
    rows, later = exported(parts.store), UNTIL + timedelta(days=1)
    for name in truth.weeks:
        made = report(
            parts.store,
            Week.parse(name),
            zone="UTC",
            budgets=parts.routes.budgets,
            made_at=later,
            strong=DEAR,
        )
        counted = recount(rows, name, "UTC", later, strong_price=("3", "0.3", "15"))
        assert differences(as_json(made), counted) == [], name
        judged = sum(count for cell, count in truth.cells.items() if cell[0] == name)
        outcomes = as_json(made)["headline"]
        assert sum(outcomes[one] for one in truth.outcomes() if one in outcomes) == judged


def test_it_does_the_same_on_postgresql(postgres_url: str, tmp_path: Path) -> None:
    parts = parts_in(tmp_path, postgres_url)
    truth = simulated(parts, 1, 25)
    with parts.store.read() as connection:
        assert truth.cells == cells_of(connection.execute(sa.text(CELLS)))
    parts.store.close()


def test_a_store_with_tickets_is_refused(quarter: Any) -> None:
    parts, _, _ = quarter
    with pytest.raises(InputError, match="the store has tickets already"):
        simulated(parts, 1, 5)


def test_the_command_leaves_the_truth_beside_the_store(tmp_path: Path) -> None:
    home = tmp_path / "quarter"
    asked = [
        "simulate",
        "--weeks",
        "1",
        "--tickets",
        "6",
        "--until",
        "2026-11-23",
        "--dir",
        str(home),
        "--json",
    ]
    done = CliRunner().invoke(app, asked)
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["tickets"] == 6
    assert json.loads((home / "truth.json").read_text(encoding="utf-8"))["start"].startswith("2026-11-16")


def test_the_demo_begins_with_past_weeks_that_leave_nothing_to_do(tmp_path: Path) -> None:
    prepare(tmp_path)
    assert begin_history(tmp_path, 12).result(100) == 12
    database = sqlite3.connect(tmp_path / "triage.db")
    assert database.execute("SELECT count(*) FROM tickets").fetchone() == (12,)
    assert database.execute("SELECT count(*) FROM reviews WHERE state = 'open'").fetchone() == (0,)
    assert database.execute("SELECT count(*) FROM weekly_reports").fetchone()[0] >= 4
    database.close()


@pytest.mark.parametrize("language", texts.LANGUAGES)
def test_edits_are_of_their_class_and_only_the_bait_blocks_a_draft(language: str) -> None:
    fence = "customer-text-0f1e2d3c4b5a6978"
    for topic in texts.TOPICS:
        bait = topic == "how_to"
        draft = texts.draft(language, topic, first="Ada", order="LF-20481", variant=7, bait=bait)
        thread = Thread((ThreadMessage("customer", "It is about LF-20481."),), language=language)
        assert bool(check_claims(draft, thread, fence=fence).blocked) == bait, draft
        assert measure(draft, texts.greeted_anew(language, draft), language).outcome == "as_is"
        for outcome in ("light", "heavy", "rewritten"):
            sent = texts.edited(language, draft, outcome, 1000)
            assert measure(draft, sent, language).outcome == outcome
    assert not check_claims(sent, thread, fence=fence).blocked
