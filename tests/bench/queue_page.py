"""Measures the queue page with a thousand and with a million open tickets on PostgreSQL; Markdown to stdout.

.venv/bin/python -m tests.bench.queue_page [--tickets N]

Two databases on the same server are filled by SQL, every ticket with a message, a reading, a draft and an open
row: the worst case, for in a store in use nearly all rows are decided. The real app is served over both, and
the same addresses are asked for in turn. `--inserts` also measures what the search's indexes cost an insert.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import httpx2
import sqlalchemy as sa

from pipeline.db import schema
from pipeline.db.store import Store
from pipeline.review import queue, sessions
from pipeline.review.agents import Agent, add
from pipeline.review.queue import Filters
from tests.kit import places
from tests.web import running

FEW, MANY = 1_000, 1_000_000
ROUNDS = 15

_TOPIC = (
    "(ARRAY['billing','refund','order_shipping','account_access','bug_report','how_to','sales','other'])"
    "[1 + n % 8]"
)
_LANGUAGE = "(ARRAY['en','en','en','de','fr','es','it'])[1 + n % 7]"
_URGENCY = "(ARRAY['low','normal','normal','normal','high','critical'])[1 + n % 6]"
_RANK = "(ARRAY[0,1,1,1,2,3])[1 + n % 6]"
_INBOX = "(ARRAY['support','support','shop','sales'])[1 + n % 4]"
_ROUTE = "(ARRAY['cheap','cheap','strong'])[1 + n % 3]"
_TEAM = "CASE WHEN n % 40000 = 7 THEN 'leads' ELSE (ARRAY['money','orders','support'])[1 + n % 3] END"
_AT = "timestamptz '2026-11-20 12:00Z' - n * interval '1 second'"
FILL = (
    f"""INSERT INTO tickets (id, inbox, subject, customer_address, customer_name, customer_verified, reply_token,
        status, version, route, decision, topic, language, urgency, urgency_rank, emotion, created_at, updated_at,
        attempts, lease_token)
    SELECT n, {_INBOX}, 'Where is my order ' || (100000 + n), 'c' || n || '@example.net', 'Customer ' || n, true,
        md5(n::text), 'in_review', 3, {_ROUTE}, 'cheap: clear, calm and harmless', {_TOPIC}, {_LANGUAGE}, {_URGENCY},
        {_RANK}, 'calm', {_AT}, {_AT}, 0, 0 FROM generate_series(1, :tickets) n""",
    f"""INSERT INTO messages (id, ticket_id, inbox, direction, kind, kind_reason, "references", from_address,
        reply_to, "to", cc, subject, received_at, text, new_text, verified, verified_why, body_hash, fingerprint,
        defects, flags, triaged_at)
    SELECT n, n, {_INBOX}, 'inbound', 'person', '', '[]', 'c' || n || '@example.net', '[]', '[]', '[]',
        'Where is my order', {_AT}, 'Hello, my order ORD-' || (100000 + n) || ' was due on Monday and did not come; '
        || 'the parcel ' || left(md5(n::text), 8) || ' stands still since ' || (n % 28 + 1) || ' November. Thanks, '
        || 'word' || n % 5000 || ' word' || n % 313, '', true, '', md5(n::text), md5(n::text), '[]', '[]', {_AT}
    FROM generate_series(1, :tickets) n""",
    f"""INSERT INTO triages (id, ticket_id, message_id, topic, other_topics, confidence, language, urgency, emotion,
        clarity, fields, summary, checked, route, reasons, model, prompt, created_at)
    SELECT n, n, n, {_TOPIC}, '[]', 0.9, {_LANGUAGE}, {_URGENCY}, 'calm', 'clear',
        jsonb_build_object('order_numbers', jsonb_build_array(jsonb_build_object('value', 'ORD-' || (100000 + n)))),
        '', true, {_ROUTE}, '[]', 'gpt-6-luna', 'p', {_AT} FROM generate_series(1, :tickets) n""",
    f"""INSERT INTO drafts (id, ticket_id, message_id, route, task, source, provider, model, tier, prompt, text,
        language, asks, why, claims, blocked, cost_usd, latency_ms, created_at)
    SELECT n, n, n, {_ROUTE}, 'draft', 'model', 'openai', 'gpt-6-luna', 'cheap', 'p', 'Hello, it comes on Friday.',
        {_LANGUAGE}, '[]', '', '[]', '[]', 0, 900, {_AT} FROM generate_series(1, :tickets) n""",
    f"""INSERT INTO reviews (id, ticket_id, draft_id, reason, detail, state, urgency_order, opened_at, inbox, topic,
        language, route, team)
    SELECT n, n, n, (ARRAY['draft','draft','draft','template','budget'])[1 + n % 5], 'The draft waits.', 'open',
        3 - {_RANK}, {_AT}, {_INBOX}, CASE WHEN n % 40000 = 7 THEN 'complaint' ELSE {_TOPIC} END, {_LANGUAGE}, {_ROUTE},
        {_TEAM}
    FROM generate_series(1, :tickets) n""",
)


def fill(store: Store, tickets: int) -> None:
    """So many open tickets. The indexes are taken away meanwhile: to build them at the end is quicker."""
    with store.write() as connection:
        indexes = connection.execute(
            sa.text(
                "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename IN "
                "('tickets', 'messages', 'triages', 'drafts', 'reviews') AND indexname LIKE 'ix%'"
            )
        ).all()
        connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
        connection.exec_driver_sql("SET LOCAL maintenance_work_mem = '256MB'")
        for index in indexes:
            connection.exec_driver_sql(f"DROP INDEX {index.indexname}")
        for statement in FILL:
            connection.execute(sa.text(statement), {"tickets": tickets})
        print(f"{tickets:,} rows each; now the indexes", file=sys.stderr, flush=True)
        for index in indexes:
            connection.exec_driver_sql(index.indexdef)
    with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("VACUUM ANALYZE")


@dataclass(frozen=True)
class Side:
    """A filled store with the app served over it, and a browser's client logged in."""

    store: Store
    client: httpx2.Client
    agent: Agent
    deep: str


@contextlib.contextmanager
def side(server: str, tickets: int) -> Iterator[Side]:
    with places.scratch_database(server) as url:
        store = Store(url)
        try:
            schema.migrate(store)
            begun = time.perf_counter()
            fill(store, tickets)
            print(f"{tickets:,} tickets in {time.perf_counter() - begun:.0f} s", file=sys.stderr, flush=True)
            agent = add(store, "anna@shop.example", "agent")
            token, _session = sessions.start(store, agent)
            with (
                running.serving(running.parts_for(store)) as address,
                httpx2.Client(base_url=address, headers={"accept": "text/html"}, timeout=120) as client,
            ):
                client.cookies.set("triage_session", token)
                yield Side(store, client, agent, deep_cursor(store, tickets))
        finally:
            store.close()


def deep_cursor(store: Store, tickets: int) -> str:
    """The cursor after nine tenths of the queue."""
    with store.read() as connection:
        row = connection.execute(
            sa.text(
                "SELECT urgency_order, opened_at, id FROM reviews WHERE state = 'open' "
                "ORDER BY urgency_order, opened_at, id OFFSET :n LIMIT 1"
            ),
            {"n": tickets * 9 // 10},
        ).one()
    return f"{row.urgency_order}~{row.opened_at.isoformat()}~{row.id}"


def get(path: str, **query: str) -> Callable[[Side], object]:
    def ask(side: Side) -> object:
        given = {name: side.deep if value == "DEEP" else value for name, value in query.items()}
        answer = side.client.get(path, params=given)
        assert answer.status_code == 200, answer.text[:500]
        return answer

    return ask


ASKED: dict[str, Callable[[Side], object]] = {
    "first page": get("/"),
    "deep page (after 90%)": get("/", after="DEEP"),
    "topic": get("/", topic="billing"),
    "topic, deep page": get("/", topic="billing", after="DEEP"),
    "topic and language": get("/", topic="billing", language="de"),
    "a rare topic": get("/", topic="complaint"),
    "urgency": get("/", urgency="low"),
    "urgency, deep page": get("/", urgency="low", after="DEEP"),
    "a rare topic in one language": get("/", topic="complaint", language="de"),
    "filters that no row meets": get("/", topic="billing", inbox="sales", urgency="high"),
    "route": get("/", route="strong"),
    "reason": get("/", reason="budget"),
    "inbox": get("/", inbox="sales"),
    "team": get("/", team="money"),
    "a team with few rows": get("/", team="leads"),
    "mine": get("/", assignee="me"),
    "nobody's": get("/", assignee="nobody"),
    "waited 3 days": get("/", waited="72"),
    "snoozed": get("/", state="snoozed"),
    "decided": get("/", state="decided"),
    "search: order number": get("/", q="#ORD-100900"),
    "search: customer's address": get("/", q="c77@example.net"),
    "search: words of the text": get("/", q="word77 monday"),
    "search: a word of the subject": get("/", q="order"),
    "search: a word of every text": get("/", q="monday"),
    "search: the same, deep page": get("/", q="monday", after="DEEP"),
    "search: a word of no text": get("/", q="zebra"),
    "new rows?": get("/queue/news", since="999999999"),
    "new rows? all are": get("/queue/news", since="0"),
    "new rows of a rare topic? all are": get("/queue/news", since="0", topic="complaint"),
    "new rows with an order number? all are": get("/queue/news", since="0", q="#ORD-100900"),
    "(the counts alone)": lambda side: queue.counts(side.store, side.agent.id),
    "(the rows alone)": lambda side: queue.page(side.store, Filters(reader=side.agent.id)),
    "(the rows alone, deep)": lambda side: queue.page(
        side.store, Filters(reader=side.agent.id), after=side.deep
    ),
}


def measure(few: Side, many: Side, ask: Callable[[Side], object]) -> tuple[float, float]:
    """The medians in ms; both sides are asked in turn, so that a busy moment meets both."""
    took: tuple[list[float], list[float]] = ([], [])
    for side in (few, many):
        ask(side)
        ask(side)
    end = time.perf_counter() + 20
    for _ in range(ROUNDS):
        for side, times in zip((few, many), took, strict=True):
            begun = time.perf_counter()
            ask(side)
            times.append(1000 * (time.perf_counter() - begun))
        if time.perf_counter() > end:
            break
    return statistics.median(took[0]), statistics.median(took[1])


def cost_of_the_search(store: Store, rows: int = 5_000) -> tuple[float, float]:
    """Milliseconds an inserted message without and with its index of words, in batches of 100 and rolled back."""
    insert = sa.text(
        'INSERT INTO messages (id, ticket_id, inbox, direction, kind, kind_reason, "references", reply_to, '
        '"to", cc, subject, received_at, text, new_text, verified, verified_why, body_hash, fingerprint, '
        "defects, flags) SELECT 50000000 + n, 1, 'support', 'inbound', 'person', '', '[]', '[]', '[]', '[]', 's', "
        "now(), (SELECT string_agg('word' || (n * k) % 9973, ' ') FROM generate_series(1, 200) k), '', true, '', "
        "md5('x' || n), md5('x' || n), '[]', '[]' FROM generate_series(CAST(:at AS int), CAST(:at AS int) + 99) n"
    )
    found = []
    for indexed in (False, True):
        with store.engine.connect() as connection:
            if not indexed:
                connection.exec_driver_sql("DROP INDEX ix_messages_words")
            begun = time.perf_counter()
            for at in range(0, rows, 100):
                connection.execute(insert, {"at": at})
            found.append(1000 * (time.perf_counter() - begun) / rows)
            connection.rollback()
    return found[0], found[1]


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--tickets", type=int, default=MANY)
    parser.add_argument("--inserts", action="store_true")
    given = parser.parse_args()
    worst = 0.0
    with places.postgres_server() as server, side(server, FEW) as few, side(server, given.tickets) as many:
        print(f"| asked for | {FEW:,} tickets, ms | {given.tickets:,} tickets, ms | ratio |")
        print("|---|---:|---:|---:|")
        for name, ask in ASKED.items():
            one, other = measure(few, many, ask)
            print(f"| {name} | {one:.1f} | {other:.1f} | {other / one:.2f} |", flush=True)
            if name in ("first page", "deep page (after 90%)", "topic", "topic, deep page"):
                worst = max(worst, other / one)
        if given.inserts:
            without, with_it = cost_of_the_search(many.store)
            print(
                f"\nInserting a message of 200 words: {without:.2f} ms, with the index of words {with_it:.2f} ms."
            )
    print(f"\nPages within 2 × of each other: {'yes' if worst <= 2 else 'NO'} (worst {worst:.2f}).")
    return 0 if worst <= 2 else 1


if __name__ == "__main__":
    sys.exit(main())
