"""Measures the weekly report against the size of the store on PostgreSQL; Markdown to stdout.

.venv/bin/python -m tests.bench.weekly_report [--tickets 10000,100000,1000000]

Each database holds thirteen weeks of decided tickets, filled by SQL: each with a message, a reading, a draft, a
judged row, a reply, two model calls and three moves. The last six weeks hold a thousand tickets each, whatever the
size; the seven before share the rest. Past weeks have their report, as the schedule leaves them. Measured are a small
week (the same rows in every store, also in the four weeks before, which the movers are held against) and a large one
(its rows, and those of the weeks before it, grow with the store).
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import sqlalchemy as sa

from pipeline.db import schema
from pipeline.db.store import Store
from pipeline.reports.measures import report
from pipeline.reports.weeks import Week
from pipeline.review.diff import diff
from pipeline.routing.reading import read
from pipeline.routing.table import Budgets
from tests.kit import places

LAST = Week(2026, 47)
LARGE = LAST.before(8)
ROOT = Path(__file__).parents[2]
ROUTES = read(ROOT / "routes.toml")
ROUNDS = 5
TABLES = ("tickets", "messages", "triages", "drafts", "reviews", "replies", "model_calls", "moves")

_TOPIC = "(ARRAY['billing','refund','shipping','account','bug','how_to','sales','other'])[1 + n % 8]"
_LANGUAGE = "(ARRAY['en','en','en','de','fr','es','it'])[1 + n % 7]"
_ROUTE = "(ARRAY['cheap','cheap','strong'])[1 + n % 3]"
_MODEL = "(ARRAY['gpt-6-luna','gpt-6-luna','claude-sonnet-5-5'])[1 + n % 3]"
_OUTCOME = "(ARRAY['as_is','as_is','light','as_is','heavy','as_is','rewritten','rejected'])[1 + (n / 3) % 8]"
# the last 6,000 over the last six weeks, the rest evenly over the seven before
_AT = (
    "(timestamptz '2026-11-23 00:00Z' - CASE WHEN n <= 6000 THEN (n - 0.5) * interval '3628800 s' / 6000 "
    "ELSE interval '3628800 s' + (n - 6000.5) * interval '4233600 s' / (:tickets - 6000) END)"
)
FILL = (
    f"""INSERT INTO tickets (id, inbox, subject, customer_verified, reply_token, status, version, route, topic,
        language, urgency_rank, created_at, updated_at, attempts, lease_token)
    SELECT n, 'support', 'Where is my order', true, md5(n::text), 'answered', 5, {_ROUTE}, {_TOPIC}, {_LANGUAGE}, 1,
        {_AT}, {_AT}, 0, 0 FROM generate_series(1, :tickets) n""",
    f"""INSERT INTO messages (id, ticket_id, inbox, direction, kind, kind_reason, "references", reply_to, "to", cc,
        subject, received_at, text, new_text, verified, verified_why, body_hash, fingerprint, defects, flags)
    SELECT n, n, 'support', 'inbound', CASE WHEN n % 20 = 0 THEN 'bulk' ELSE 'person' END, '', '[]', '[]', '[]', '[]',
        'Where is my order', {_AT}, 'Hello, where is my order?', '', true, '', '', md5(n::text), '[]', '[]'
    FROM generate_series(1, :tickets) n""",
    f"""INSERT INTO triages (id, ticket_id, message_id, topic, other_topics, confidence, language, urgency, emotion,
        clarity, fields, summary, checked, route, reasons, model, prompt, created_at)
    SELECT n, n, n, {_TOPIC}, '[]', 0.9, {_LANGUAGE}, 'normal', 'calm', 'clear', '{{}}', '', true, {_ROUTE},
        '["The model is unsure: 0.61 of 0.70."]', 'gpt-6-luna', 'p', {_AT} FROM generate_series(1, :tickets) n""",
    f"""INSERT INTO model_calls (id, ticket_id, task, route, attempt, role, provider, model, tier, prompt, prompt_name,
        started_at, latency_ms, input_tokens, cached_input_tokens, output_tokens, reserved_usd, cost_usd, state, scopes)
    SELECT n * 2 + half, n, CASE WHEN half = 0 THEN 'triage' ELSE 'draft' END, {_ROUTE}, 1,
        CASE WHEN n % 50 = 0 THEN 'retry' ELSE 'model' END, 'openai', {_MODEL}, 'cheap', 'p', '', {_AT},
        600 + n % 900, 900, 400, 120, 9000000, 3000000, 'ok', '[]'
    FROM generate_series(1, :tickets) n, generate_series(0, 1) half""",
    f"""INSERT INTO drafts (id, ticket_id, message_id, call_id, route, task, source, provider, model, tier, prompt,
        text, language, asks, why, claims, blocked, cost_usd, latency_ms, created_at, asked_by)
    SELECT n, n, n, n * 2 + 1, {_ROUTE}, 'draft', 'model', 'openai', {_MODEL}, 'cheap', 'pppppppp',
        'It comes on Friday.', {_LANGUAGE}, '[]', '', '[]', '[]', 3000000, 900, {_AT}, CASE WHEN n % 30 = 0 THEN 1 END
    FROM generate_series(1, :tickets) n""",
    f"""INSERT INTO reviews (id, ticket_id, draft_id, reason, detail, state, urgency_order, opened_at, first_viewed_at,
        decided_at, decided_by, action, outcome, edit_share)
    SELECT n, n, n, 'draft', 'The draft waits.', 'decided', 2, {_AT}, {_AT} + interval '9 minutes',
        {_AT} + interval '10 minutes', 1, CASE WHEN {_OUTCOME} = 'as_is' THEN 'approve' ELSE 'edit' END, {_OUTCOME}, 0.1
    FROM generate_series(1, :tickets) n""",
    f"""INSERT INTO replies (id, ticket_id, review_id, answers_id, agent_id, message_id, to_address, subject,
        "references", text, state, attempts, created_at, sent_at)
    SELECT n, n, n, n, 1, n || '@shop.example', 'a@b.example', 'Re', '[]', 'It comes on Friday.', 'sent', 1,
        {_AT} + interval '10 minutes', {_AT} + interval '11 minutes' FROM generate_series(1, :tickets) n""",
    f"""INSERT INTO moves (id, ticket_id, from_status, to_status, version, who, why, at)
    SELECT n * 3 + step, n, CASE WHEN step = 2 AND n % 25 = 0 THEN 'answered' ELSE 'received' END,
        CASE WHEN step = 2 AND n % 25 = 0 THEN 'received' ELSE 'in_review' END, 2 + step, 'draft', 'drafted',
        {_AT} + step * interval '20 minutes' FROM generate_series(1, :tickets) n, generate_series(0, 2) step""",
)


def fill(store: Store, tickets: int) -> None:
    """The indexes are taken away meanwhile: to build them at the end is quicker."""
    with store.write() as connection:
        connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
        connection.exec_driver_sql("SET LOCAL maintenance_work_mem = '256MB'")
        indexes = connection.execute(
            sa.text(
                "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' "
                "AND tablename = ANY(:tables) AND indexname LIKE 'ix%'"
            ),
            {"tables": list(TABLES)},
        ).all()
        for index in indexes:
            connection.exec_driver_sql(f"DROP INDEX {index.indexname}")
        for statement in FILL:
            connection.execute(sa.text(statement), {"tickets": tickets})
        for index in indexes:
            if not index.indexname.endswith("_words"):  # the search's are of no use here, and take long
                connection.exec_driver_sql(index.indexdef)
        for n in range(1, 13):
            connection.execute(
                sa.text(
                    "INSERT INTO weekly_reports (week, zone, made_at, outcomes, document) "
                    "VALUES (:week, 'UTC', now(), '{\"as_is\": 1}', '{}')"
                ),
                {"week": str(LAST.before(n))},
            )
    with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("VACUUM ANALYZE")


def measure(store: Store, week: Week) -> tuple[float, int]:
    """Milliseconds of the quickest of some reports (the machine is shared), and the tickets of the week."""
    budgets = Budgets(day=Decimal(20), week=Decimal(100), task_day={"draft": Decimal(15)})
    took, found = [], 0
    for _ in range(ROUNDS + 1):
        begun = time.perf_counter()
        made = report(
            store,
            week,
            budgets=budgets,
            made_at=datetime(2026, 11, 24, tzinfo=UTC),
            diff=diff,
            routes=ROUTES,
            prompts=ROOT / "prompts",
        )
        took.append((time.perf_counter() - begun) * 1000)
        found = made.counts["tickets"]
        assert made.headline.reviewed > 0.9 * found > 0
        assert made.end - made.start == timedelta(days=7)
    return statistics.median(sorted(took)[:3]), found


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--tickets", default="10000,100000,1000000")
    sizes = [int(part) for part in parser.parse_args().tickets.split(",")]
    small, each = [], []
    print("| tickets in the store | small week: tickets | ms | large week: tickets | ms | µs a ticket |")
    print("|---:|---:|---:|---:|---:|---:|")
    with places.postgres_server() as server:
        for tickets in sizes:
            with places.scratch_database(server) as url:
                store = Store(url)
                try:
                    schema.migrate(store)
                    begun = time.perf_counter()
                    fill(store, tickets)
                    took = time.perf_counter() - begun
                    print(f"{tickets:,} tickets in {took:.0f} s", file=sys.stderr, flush=True)
                    ms, few = measure(store, LAST)
                    large_ms, many = measure(store, LARGE)
                finally:
                    store.close()
            small.append(ms)
            each.append(large_ms * 1000 / many)
            print(
                f"| {tickets:,} | {few:,} | {ms:.0f} | {many:,} | {large_ms:.0f} | {each[-1]:.0f} |",
                flush=True,
            )
    flat, linear = max(small) / small[0], each[-1] / each[0]
    print(
        f"\nThe small week takes at most {flat:.2f} times as long as in the smallest store; a ticket of the large "
        f"week takes {linear:.2f} times as long in the largest store as in the smallest."
    )
    good = flat <= 2 and linear <= 2
    print(f"In proportion to the week's rows: {'yes' if good else 'NO'}.")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
