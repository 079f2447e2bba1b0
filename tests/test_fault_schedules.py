"""Random schedules of faults over the whole path: every ticket has an end, and every token is in the ledger.

Each schedule is one ticket, its mail read and drafted by both real SDKs against the loopback server, which
fails as the schedule's own dice say. Breakers and limits are on. `TRIAGE_TEST_SCHEDULES=1000` runs as many
on each database, `TRIAGE_TEST_SEED` repeats a run.
"""

from __future__ import annotations

import os
import random
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import structlog

from pipeline import steps
from pipeline.assembly import Parts
from pipeline.db.tables import model_calls, reviews, spend, tickets
from pipeline.db.types import now
from pipeline.errors import Usage
from pipeline.ingest.intake import store_raw, take
from pipeline.models.gateway import Gateway
from pipeline.models.ledger import StoreLedger
from pipeline.models.prices import Prices
from pipeline.models.providers.anthropic import AnthropicProvider
from pipeline.models.providers.openai import OpenAIProvider
from pipeline.routing.planning import choices
from tests.journeys import scripted
from tests.kit import model_replies as replies
from tests.kit.live import live_parts, mail
from tests.kit.model_replies import Reply, Seen
from tests.kit.model_server import ModelServer

SCHEDULES = int(os.environ.get("TRIAGE_TEST_SCHEDULES", "40"))
SEED = int(os.environ.get("TRIAGE_TEST_SEED", random.randrange(10**9)))
FIRST_ORDER = 10_000
IN_FLIGHT = 6
DEADLINE_S = 2.0
SHIPPED = (Path(__file__).parents[1] / "routes.toml").read_text(encoding="utf-8")

FAULTS = [
    replies.rate_limited("0"),
    replies.rate_limited("0.02"),
    replies.rate_limited(),
    replies.rate_limited("11"),
    replies.overloaded(),
    replies.failing(500),
    replies.failing(502),
    replies.failing(503),
    replies.failing(408),
    replies.reset(),
    replies.cut_body(),
    replies.html(),
    replies.broken_json(),
    replies.no_choices(),
    replies.packed(),
    replies.no_usage(),
    replies.length_cut(),
    replies.paused(),
    replies.invalid_json(),
    replies.wrong_schema(),
    replies.tool_call(),
    replies.refusal(),
    replies.content_filter(),
    replies.too_long(),
    replies.out_of_credit(),
    replies.refused_key(),
    replies.unknown_model(),
    replies.bad_request("no", status=403),
    replies.bad_request("unknown field"),
]
SLOW = [replies.hang(DEADLINE_S * 2), replies.drip("headers", 0.2), replies.drip("body", 0.2)]


class Weather:
    """Fails as each ticket's own dice say: how often, with what, and whether a whole provider is away."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._dice: dict[int, tuple[random.Random, float, str]] = {}
        self._lock = threading.Lock()

    def __call__(self, seen: Seen) -> Reply:
        with self._lock:
            number = order_of(seen)
            if number not in self._dice:
                chance = random.Random(f"{self.seed}-{number}")
                self._dice[number] = (
                    chance,
                    chance.choice([0.05, 0.2, 0.5, 0.95]),
                    chance.choice(["openai", "anthropic", *["nobody"] * 6]),
                )
            chance, share, away = self._dice[number]
            if seen.provider == away or chance.random() < share:
                return chance.choice(SLOW) if chance.random() < 0.03 else chance.choice(FAULTS)
        return scripted.answer(seen)


def order_of(seen: Seen) -> int:
    found = re.search(r"(?<=order )\d{5}", seen.user)
    assert found, "every mail names its order"
    return int(found[0])


@pytest.fixture
def weather() -> Iterator[ModelServer]:
    with ModelServer(Weather(SEED)) as server:
        yield server


@pytest.fixture
def parts(tmp_path: Path, database_url: str, weather: ModelServer) -> Iterator[Parts]:
    home = tmp_path / "home"
    home.mkdir()
    (home / "routes.toml").write_text(routes(), encoding="utf-8")
    parts = live_parts(
        home,
        database_url,
        openai_api_key="sk-test",
        openai_base_url=weather.openai_url,
        anthropic_api_key="sk-ant-test",
        anthropic_base_url=weather.anthropic_url,
        cheap_deadline_s=DEADLINE_S,
        strong_deadline_s=DEADLINE_S,
    )
    ledger, prices = StoreLedger(parts.store), Prices()
    parts.gateway = Gateway(parts.providers, ledger, prices, backoff_s=0.002, first_pause_s=0.005)
    yield parts
    for provider in parts.providers.values():
        if isinstance(provider, OpenAIProvider | AnthropicProvider):
            provider.close()
    parts.store.close()


def routes() -> str:
    """The shipped table with room for many tickets a day, and with limits on two of its models."""
    text = re.sub(r"(?m)^(\w+) = \d+\.\d\d(?!\d)(?=\s*(#|$))", _wide, SHIPPED)
    for model, limits in (("gpt-6-luna", "at_once = 3"), ("claude-haiku-5-5", "per_minute = 2400")):
        head = f'[models."{model}"]\n'
        assert head in text
        text = text.replace(head, head + limits + "\n")
    return text


def _wide(line: re.Match[str]) -> str:
    budgets = ("day", "week", "month", "customer_day", "agent_day", "triage", "routine", "draft", "shadow")
    return f"{line[1]} = 1000000.00" if line[1] in budgets else line[0]


def bring(parts: Parts, order: int) -> int:
    """The mail of one schedule; every second one is angry, so that it takes the strong route."""
    words = f"where is my order {order}? It should have come a week ago."
    body = f"This is a disgrace! {words.capitalize()}" if order % 2 else f"Hello, {words} Thank you, Jane"
    raw = mail(
        body,
        subject=f"My order {order}",
        sender=f"jane-{order}@c.example",
        message_id=f"{order}@c.example",
    )
    with parts.store.write() as connection:
        stored = store_raw(connection, "support", raw)
    ticket = take(parts.store, stored.raw_id, inboxes=parts.inboxes).ticket_id
    assert ticket is not None
    return ticket


def work_off(parts: Parts) -> None:
    """Until nothing is left to do; what a failed step waits for is over at once."""
    for _ in range(20):
        steps.run_until_idle(parts, threads=IN_FLIGHT)
        with parts.store.write() as connection:
            waiting = connection.execute(
                tickets.update().where(tickets.c.due_at > now()).values(due_at=now())
            ).rowcount
        if not waiting:
            return
    pytest.fail("the tickets never come to an end")


@pytest.mark.timeout(3600)
def test_after_any_schedule_every_ticket_has_an_end_and_the_ledger_covers_what_was_used(
    parts: Parts, weather: ModelServer, capsys: pytest.CaptureFixture[str]
) -> None:
    structlog.contextvars.clear_contextvars()
    begun = time.monotonic()
    orders = range(FIRST_ORDER, FIRST_ORDER + SCHEDULES)
    ticket_of = {order: bring(parts, order) for order in orders}
    with structlog.testing.capture_logs():
        work_off(parts)

    with parts.store.read() as connection:
        ends = Counter(connection.execute(sa.select(tickets.c.status)).scalars())
        open_reviews = connection.execute(
            sa.select(reviews.c.ticket_id).where(reviews.c.state == "open")
        ).scalars()
        assert sorted(open_reviews) == sorted(ticket_of.values())
        rows: list[Any] = list(connection.execute(sa.select(model_calls)))
        booked = list(connection.execute(sa.select(spend)))
    assert ends == {"in_review": SCHEDULES}
    assert {row.state for row in rows} <= {"ok", "failed", "unknown", "not_called"}

    used: Counter[int] = Counter()  # in billionths of a dollar, by ticket
    for served in list(weather.journal):
        if served.tokens is not None:
            used[ticket_of[order_of(served.seen)]] += nano(price(parts, served.seen, served.tokens))
    in_ledger: Counter[int] = Counter()
    for row in rows:
        assert row.cost_usd <= row.reserved_usd
        in_ledger[row.ticket_id] += nano(row.cost_usd)
    short = {ticket: (used[ticket], in_ledger[ticket]) for ticket in used if in_ledger[ticket] < used[ticket]}
    assert short == {}
    for scope in booked:
        of_scope = sum((row.cost_usd for row in rows if scope.scope in row.scopes), Decimal(0))
        assert (scope.reserved_usd, scope.spent_usd) == (0, of_scope)
    sent = [row for row in rows if row.state != "not_called" and row.provider in ("openai", "anthropic")]
    assert len(sent) >= len(weather.journal)  # one may time out before the server has read it
    with capsys.disabled():
        kinds = Counter(row.error_kind or "ok" for row in rows)
        print(
            f"\n{parts.store.engine.dialect.name}: {SCHEDULES} schedules of seed {SEED} in "
            f"{time.monotonic() - begun:.0f} s: {len(weather.journal)} requests, every ticket in review; "
            f"used ${sum(used.values()) / 10**9:.4f} by the server's journal, "
            f"${sum(in_ledger.values()) / 10**9:.4f} in the ledger; attempts: {dict(kinds.most_common())}"
        )


def price(parts: Parts, seen: Seen, tokens: replies.Tokens) -> Decimal:
    asked = {
        choice.name: choice
        for task in parts.routes.tasks.values()
        for choice in choices(parts.routes, task, parts.providers)
    }
    usage = Usage(tokens.plain + tokens.cached + tokens.written, tokens.cached, tokens.written, tokens.output)
    return Prices().cost(replace(asked[seen.model], role="model"), usage)


def nano(usd: Decimal) -> int:
    return int(usd * 10**9)
