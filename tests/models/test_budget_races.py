"""Many workers race for the last cents on every fallback path: the spend is never over a cap, at no instant.

Threads in several processes ask through the real gateway and both real SDKs, with answers that fail in every
way that leads on. The database itself writes down every state of every scope (a trigger), a sampler reads
them from outside all the while, and at the end the ledger is added up against both.

Small in the suite; `TRIAGE_TEST_RACES=500` makes 500 calls by 32 threads in 4 processes; -s prints what came.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal

import pytest
import sqlalchemy as sa

from pipeline.db.store import Store
from pipeline.db.tables import model_calls, spend
from pipeline.errors import AllModelsFailed
from pipeline.models.base import Cap, Choice, Price, Provider, Usage
from pipeline.models.gateway import Context, Gateway, Plan
from pipeline.models.ledger import StoreLedger
from pipeline.models.prices import Prices
from pipeline.models.prompts import Rendered
from pipeline.models.providers.anthropic import AnthropicProvider
from pipeline.models.providers.openai import OpenAIProvider
from tests.kit import model_replies as replies
from tests.kit.model_replies import Reply, Seen, Tokens
from tests.kit.model_server import ModelServer
from tests.models.conftest import SCHEMA, BuiltIn, check

CALLS = int(os.environ.get("TRIAGE_TEST_RACES", "100"))
PROCESSES, THREADS = (4, 8) if CALLS > 100 else (2, 8)
SEED = 20261123
PRICE = Price("10", "10")
CHOICES = (
    Choice("gpt-6-luna", "openai", "gpt-6-luna", "cheap", "model", PRICE),
    Choice("claude-haiku-5-5", "anthropic", "claude-haiku-5-5", "cheap", "backup", PRICE),
    Choice("local", "local", "local", "local", "safe_default"),
)
TICKETS = 6
OUTPUT = 200


def text_of(number: int) -> str:
    """The question of one call: its length is what it costs."""
    return f"call {number} " + "x" * random.Random(SEED + number).randrange(200, 6000)


def caps_of(number: int, day: Decimal) -> tuple[Cap, ...]:
    """The day's cap stops about half of all; the first ticket's and the task's stop some of the others' half."""
    ticket = number % TICKETS
    return (
        Cap("day:2026-11-23", day, "day", alarm_at=0.8),
        Cap("task:draft:2026-11-23", day * Decimal("0.98"), "task"),
        Cap(f"ticket:{ticket}", day / (20 if ticket == 0 else 2), "ticket", confirmable=True),
        Cap(f"customer:{number % 3}", day, "customer"),
    )


def work(shared: list[str], part: int, parts: int) -> Counter[str]:
    """One process: its share of the calls, on its threads; how each call ended."""
    url, openai_url, anthropic_url, day = shared
    store = Store(url, pool_size=THREADS)
    providers: dict[str, Provider] = {
        "openai": OpenAIProvider("sk-test", openai_url),
        "anthropic": AnthropicProvider("sk-ant-test", anthropic_url),
        "local": BuiltIn(),
    }
    gateway = Gateway(providers, StoreLedger(store), Prices(), backoff_s=0.005)

    def call(number: int) -> str:
        plan = Plan(
            CHOICES,
            caps_of(number, Decimal(day)),
            {"cheap": 60.0, "strong": 60.0, "local": 60.0},
            max_output_tokens=OUTPUT,
        )
        prompt = Rendered("race", "0" * 12, "You sort mail.", text_of(number))
        try:
            answered = gateway.ask(
                plan,
                prompt,
                Context("draft", "strong"),
                schema=SCHEMA,
                schema_name="t",
                input={},
                check=check,
            )
        except AllModelsFailed:
            return "nobody"
        return answered.choice.key

    with ThreadPoolExecutor(THREADS) as pool:
        ends = Counter(pool.map(call, range(part, CALLS, parts)))
    store.close()
    return ends


def weather(seen: Seen) -> Reply:
    """Two of three answers fail, each in a way that is paid for or leads on; the others cost what they should."""
    dice = random.random()
    size = len(seen.user)
    paid = Tokens(plain=size // 2 + random.randrange(size // 2), output=random.randrange(1, OUTPUT))
    if dice < 0.10:
        return Reply("wrong_schema", answer={"surprise": 1}, tokens=paid)
    if dice < 0.18:
        return Reply("length_cut", finish="length", answer='{"topic', tokens=Tokens(paid.plain, OUTPUT))
    if dice < 0.34:
        return Reply("refusal", finish="refusal", answer="No.", tokens=paid)
    if dice < 0.40:
        return replies.rate_limited("0")
    if dice < 0.46:
        return replies.reset()
    if dice < 0.52:
        return replies.html()
    if dice < 0.56:
        return replies.no_usage({"topic": "billing"})
    if dice < 0.65:
        return Reply("slow", answer={"topic": "other"}, tokens=paid, wait_s=random.random() / 20)
    return replies.ok({"topic": "billing"}, tokens=paid)


HISTORY = sa.table("spend_history", *(sa.column(name) for name in ("scope", "total", "cap")))
_ROW = "(scope, total, cap) VALUES (NEW.scope, NEW.spent_usd + NEW.reserved_usd, NEW.limit_usd)"


def keep_history(store: Store) -> None:
    """Have the database write down every state that a scope's row ever has."""
    table = "CREATE TABLE spend_history (scope TEXT, total BIGINT, cap BIGINT)"
    if store.engine.dialect.name == "sqlite":
        made = [
            f"CREATE TRIGGER kept_{event.lower()} AFTER {event} ON spend BEGIN INSERT INTO spend_history {_ROW}; END"
            for event in ("INSERT", "UPDATE")
        ]
    else:
        made = [
            f"CREATE FUNCTION keep() RETURNS trigger AS $$ BEGIN INSERT INTO spend_history {_ROW}; "
            "RETURN NEW; END $$ LANGUAGE plpgsql",
            "CREATE TRIGGER kept AFTER INSERT OR UPDATE ON spend FOR EACH ROW EXECUTE FUNCTION keep()",
        ]
    with store.write() as connection:
        for statement in (table, *made):
            connection.exec_driver_sql(statement)


@dataclass
class Sampler:
    """Reads every scope from a connection of its own, all the time."""

    store: Store
    samples: int = 0
    over: int = 0

    def __enter__(self) -> Sampler:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self.store.close()

    def _run(self) -> None:
        while not self._stop.is_set():
            with self.store.read() as connection:
                for row in connection.execute(sa.select(spend)):
                    self.samples += 1
                    self.over += row.spent_usd + row.reserved_usd > row.limit_usd
            self._stop.wait(0.001)  # or it would leave the workers no processor


@pytest.fixture(scope="module")
def server() -> Iterator[ModelServer]:
    with ModelServer(weather) as server:
        yield server


@pytest.mark.timeout(900 if CALLS > 100 else 180)
def test_the_spend_is_never_over_a_cap(server: ModelServer, store: Store) -> None:
    random.seed(SEED)
    server.journal.clear()
    keep_history(store)
    day = Decimal(sum(len(text_of(n)) for n in range(CALLS)) * 10) / 1_000_000 / 2
    url = store.url.render_as_string(hide_password=False)
    shared = [url, server.openai_url, server.anthropic_url, str(day)]
    commands = [
        [sys.executable, "-m", "tests.models.test_budget_races", *shared, str(n), str(PROCESSES)]
        for n in range(PROCESSES)
    ]
    with Sampler(Store(url, pool_size=1)) as sampler:
        workers = [
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            for command in commands
        ]
        told = [worker.communicate(timeout=550) for worker in workers]
    assert [worker.returncode for worker in workers] == [0] * PROCESSES, told[0][1][-2000:]
    ends = sum((Counter(json.loads(out.splitlines()[-1])) for out, _err in told), Counter[str]())

    with store.read() as connection:
        calls = connection.execute(sa.select(model_calls)).all()
        now = {row.scope: row for row in connection.execute(sa.select(spend))}
        states = connection.execute(sa.select(HISTORY)).all()
    # by the database's own history: every state that was ever there
    assert [state for state in states if state.total > state.cap] == []
    assert len(states) > CALLS
    assert (sampler.over, sampler.samples > 0) == (0, True)
    # by the ledger: what was booked is what stands in each scope, and no reservation is left
    booked: Counter[str] = Counter()
    for call in calls:
        assert call.state != "reserved"
        for scope in call.scopes or ():
            booked[scope] += call.cost_usd
    assert {scope: row.spent_usd for scope, row in now.items()} == dict(booked)
    assert {row.reserved_usd for row in now.values()} == {Decimal(0)}
    assert all(row.spent_usd <= row.limit_usd for row in now.values())
    # by the server: nothing that it was paid for is missing
    served = sum(
        Prices().cost(CHOICES[0], Usage(line.tokens.plain, 0, 0, line.tokens.output))
        for line in server.journal
        if line.tokens is not None
    )
    spent = now["day:2026-11-23"].spent_usd
    assert served <= spent == sum(call.cost_usd for call in calls)
    # and it was a race: caps stopped some, the others were served, on every path
    assert sum(ends.values()) == CALLS
    assert "nobody" not in ends
    roles = Counter(call.role for call in calls if call.state != "not_called")
    kinds = Counter(call.error_kind for call in calls)
    assert set(roles) >= {"model", "retry", "backup", "safe_default"}, (roles, kinds)
    assert "repair" in roles or CALLS <= 100, roles
    assert kinds["budget"] > CALLS // 10
    assert spent > day * Decimal("0.6")
    assert now["day:2026-11-23"].alarmed_at is not None
    print(
        f"\n{store.engine.dialect.name}: {PROCESSES} processes x {THREADS} threads, {CALLS} calls, seed {SEED}; "
        f"cap ${day:.4f}, spent ${spent:.4f} ({spent / day:.1%}), the server counted ${served:.4f}; attempts "
        f"{dict(roles)}; refused by a cap {kinds['budget']}; answered by {dict(ends)}; {len(states)} states in "
        f"the database's history, {sampler.samples} samples, over a cap: 0"
    )


if __name__ == "__main__":
    print(json.dumps(work(sys.argv[1:5], int(sys.argv[5]), int(sys.argv[6]))))
