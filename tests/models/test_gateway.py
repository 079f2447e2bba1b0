"""The gateway's own promises: no call without a reservation, none forgotten, the cheaper way at the cap."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
import sqlalchemy as sa
import structlog
from sqlalchemy.exc import DBAPIError

from pipeline.db.store import Store
from pipeline.errors import AllModelsFailed, SchemaError, TriageError, UnreachableError
from pipeline.models.base import Cap, ModelAnswer, ModelRequest, Usage
from pipeline.models.gateway import Answered, Context, Gateway, Plan
from pipeline.models.ledger import ScratchLedger
from tests.kit import model_replies as replies
from tests.models.conftest import CHOICES, PROMPT, SCHEMA, Door, check

ZERO = Decimal(0)
SCOPE = "day:2026-11-23"


def cap(usd: str) -> tuple[Cap, ...]:
    return (Cap(SCOPE, Decimal(usd), f"${usd} a day"),)


def test_an_answer_says_what_it_took(door: Door) -> None:
    door.server.script(replies.ok({"topic": "billing"}, tokens=replies.Tokens(80, 9, cached=15, written=5)))
    answered = door.ask(door.plan("anthropic"))
    (row,) = door.rows()
    assert (answered.value, answered.choice.key, answered.call_id) == ("billing", "claude-haiku-5-5", row.id)
    assert (answered.prompt, answered.answered_by) == (PROMPT.digest, "claude-haiku-5-5-20260901")
    assert answered.attempts == ("ok",)
    assert answered.latency_ms == row.latency_ms
    assert answered.cost_usd == row.cost_usd == door.prices.cost(answered.choice, Usage(100, 15, 5, 9))
    assert (row.input_tokens, row.cached_input_tokens, row.cache_write_tokens) == (100, 15, 5)
    assert (row.task, row.route, row.role, row.tier) == ("triage", "cheap", "model", "cheap")
    assert (row.prompt, row.prompt_name, row.request_id) == (PROMPT.digest, "triage/cheap", "req_anthropic_1")


def test_at_the_cap_the_next_choice_that_fits_is_taken_and_the_refusal_written_down(door: Door) -> None:
    answered = door.ask(door.plan("openai", "anthropic", "local", caps=cap("0.0000001")))
    assert answered.attempts == ("budget", "budget", "ok")
    assert answered.choice.key == "local"
    assert door.server.journal == []
    assert [(row.state, row.error_kind, row.cost_usd) for row in door.rows()] == [
        ("not_called", "budget", 0),
        ("not_called", "budget", 0),
        ("ok", None, 0),
    ]
    assert door.spent() == (ZERO, ZERO)


def test_the_second_try_has_its_own_reservation(door: Door) -> None:
    """The cap has room for one worst price; the first try is booked as unknown, so the second must wait."""
    door.server.script(replies.html())
    worst = door.prices.worst(CHOICES["openai"], 400, 200)
    answered = door.ask(door.plan("openai", "local", caps=cap(str(worst * Decimal("1.5")))))
    assert answered.attempts == ("undecodable", "budget", "ok")
    assert door.server.kinds == [("gpt-6-luna", "html")]
    settled, reserved = door.spent()
    assert reserved == 0
    assert settled == door.rows()[0].cost_usd <= worst * Decimal("1.5")


def test_a_provider_without_a_key_is_passed_over_and_the_next_gets_the_second_try(door: Door) -> None:
    del door.providers["openai"]
    door.server.script(replies.failing(), model="claude-haiku-5-5")
    answered = door.ask(door.plan("openai", "anthropic"))
    assert answered.attempts == ("no_key", "overloaded", "ok")
    assert [row.state for row in door.rows()] == ["not_called", "failed", "ok"]


def test_with_nothing_to_ask_a_person_is_asked(door: Door) -> None:
    with pytest.raises(AllModelsFailed, match="there is none to ask"):
        door.ask(door.plan())


def test_an_answer_without_usage_is_booked_at_its_worst_price(door: Door) -> None:
    door.server.script(replies.no_usage())
    answered = door.ask(door.plan("openai"))
    (row,) = door.rows()
    assert row.state == "ok"
    assert row.input_tokens is None
    assert answered.cost_usd == row.cost_usd == row.reserved_usd > 0


def put(gateway: Gateway, plan: Plan) -> Answered[str]:
    return gateway.ask(
        plan, PROMPT, Context("triage", "cheap"), schema=SCHEMA, schema_name="triage", input={}, check=check
    )


def its_table_is_gone(store: Store) -> None:
    with store.write() as connection:
        connection.execute(sa.text("ALTER TABLE model_calls RENAME TO gone"))


def its_file_was_moved_away(store: Store) -> None:
    path = Path(str(store.url.database))
    path.rename(path.with_suffix(".moved"))


def it_is_read_only(store: Store) -> None:
    if store.engine.dialect.name == "sqlite":
        read_only = "PRAGMA query_only = ON"
        sa.event.listen(store.engine, "connect", lambda connection, _: connection.execute(read_only))
        return
    with store.write() as connection:
        connection.execute(
            sa.text(f"ALTER DATABASE {store.url.database} SET default_transaction_read_only = on")
        )


def it_takes_no_connections(store: Store) -> None:
    server = sa.create_engine(store.url.set(database="postgres"), isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(sa.text(f"ALTER DATABASE {store.url.database} ALLOW_CONNECTIONS false"))
    server.dispose()


@pytest.mark.parametrize(
    ("database", "stop"),
    [
        ("sqlite_url", its_table_is_gone),
        ("sqlite_url", its_file_was_moved_away),
        ("sqlite_url", it_is_read_only),
        ("postgres_url", its_table_is_gone),
        ("postgres_url", it_is_read_only),
        ("postgres_url", it_takes_no_connections),
    ],
)
def test_no_call_is_made_when_the_ledger_cannot_be_written(
    door: Door, database: str, stop: Callable[[Store], None], request: pytest.FixtureRequest
) -> None:
    door.store = Store(request.getfixturevalue(database))
    gateway = door.gateway()
    plan = door.plan("openai", "anthropic", "local")
    assert put(gateway, plan).attempts == ("ok",)
    before = len(door.server.journal)
    stop(door.store)
    door.store.close()  # the pool makes new connections, as after a restart
    for _ in range(3):
        with pytest.raises((TriageError, DBAPIError)):
            put(gateway, plan)
    assert len(door.server.journal) == before
    door.store.close()


def test_no_call_is_made_without_a_database(door: Door, tmp_path: Path) -> None:
    empty = Store(f"sqlite:///{tmp_path}/empty.db")
    gone = Store("postgresql://nobody@127.0.0.1:1/nothing")
    for store, error in ((empty, SchemaError), (gone, UnreachableError)):
        door.store = store
        with pytest.raises(error):
            door.ask(door.plan("openai", "anthropic", "local"))
        store.close()
    assert door.server.journal == []


def test_a_label_is_asked_for_and_its_certainty_told(door: Door) -> None:
    class Sure:
        name = "openai"

        def complete(self, request: ModelRequest, *, deadline_s: float) -> ModelAnswer:
            sure = {"topic": 0.75}.get(request.label or "")
            return ModelAnswer('{"topic": "billing"}', Usage(10, output_tokens=5), "m", certainty=sure)

    door.providers["openai"] = Sure()

    def ask(label: str | None) -> float | None:
        return (
            door.gateway()
            .ask(
                door.plan("openai"),
                PROMPT,
                Context("triage", "cheap"),
                schema=SCHEMA,
                schema_name="triage",
                input={},
                check=check,
                label=label,
            )
            .certainty
        )

    assert (ask("topic"), ask(None)) == (0.75, None)


def test_a_check_that_breaks_still_settles_the_call(door: Door) -> None:
    def broken(text: str) -> str:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        door.gateway().ask(
            door.plan("openai"),
            PROMPT,
            Context("triage", "cheap"),
            schema=SCHEMA,
            schema_name="triage",
            input={},
            check=broken,
        )
    (row,) = door.rows()
    assert (row.state, row.error) == ("failed", "the call ended in ZeroDivisionError")
    assert door.spent() == (row.cost_usd, ZERO)


def test_a_provider_that_breaks_is_booked_as_unknown(door: Door) -> None:
    class Broken:
        name = "openai"

        def complete(self, request: ModelRequest, *, deadline_s: float) -> ModelAnswer:
            raise KeyError("a bug")

    door.providers["openai"] = Broken()
    with pytest.raises(KeyError):
        door.ask(door.plan("openai"))
    (row,) = door.rows()
    assert (row.state, row.cost_usd) == ("unknown", row.reserved_usd)
    assert door.spent() == (row.reserved_usd, ZERO)


def test_neither_ledger_nor_log_holds_the_customers_words(door: Door) -> None:
    secret = "my card is 4111 1111 1111 1111 and my name is Aurelia"
    prompt = replace(PROMPT, user=f"Message: {secret}")
    door.server.script(
        replies.bad_request(f"Invalid input: {secret}"), replies.ok({"topic": secret}), replies.wrong_schema()
    )
    with structlog.testing.capture_logs() as logs:
        door.ask(door.plan("openai", "anthropic", "local"), prompt=prompt)
    written = repr([tuple(row) for row in door.rows()]) + repr(logs)
    assert "Aurelia" not in written
    assert "4111" not in written
    assert "triage" in repr(logs)


def test_the_ledger_in_memory_serves_commands_without_a_database(door: Door) -> None:
    ledger = ScratchLedger()
    gateway = Gateway(door.providers, ledger, door.prices, backoff_s=0.01)
    door.server.script(replies.failing())
    answered = gateway.ask(
        door.plan("openai"),
        PROMPT,
        Context("triage", "cheap"),
        schema=SCHEMA,
        schema_name="triage",
        input={},
        check=check,
    )
    assert (answered.value, answered.call_id) == ("billing", None)
    assert [outcome and outcome.state for _, outcome in ledger.rows()] == ["failed", "ok"]
    assert door.rows() == []


def test_threads_racing_through_failing_providers_never_pass_the_cap(any_door: Door) -> None:
    """Every path of the table at once, for about half the money."""
    door = any_door
    faults = [replies.ok(), replies.html(), replies.failing(502), replies.refusal(), replies.wrong_schema()]
    door.server.answer_by(lambda seen: faults[(len(seen.user) + len(door.server.journal)) % len(faults)])
    worst = door.prices.worst(CHOICES["openai"], 400, 200)
    limit = worst * 12
    plan = door.plan("openai", "anthropic", "local", caps=(Cap(SCOPE, limit, "half"),))

    def one(number: int) -> tuple[str, ...]:
        return door.ask(plan, prompt=replace(PROMPT, user="?" * number)).attempts

    with ThreadPoolExecutor(12) as pool:
        attempts = list(pool.map(one, range(60)))
    assert all(kinds[-1] == "ok" for kinds in attempts)
    assert any("budget" in kinds for kinds in attempts)
    settled, reserved = door.spent()
    assert reserved == 0
    assert settled == sum(row.cost_usd for row in door.rows()) <= limit


def test_models_are_swapped_by_the_plan_alone(door: Door) -> None:
    for order in (("openai", "anthropic"), ("anthropic", "openai")):
        assert door.ask(door.plan(*order)).choice.provider == order[0]
    assert [row.provider for row in door.rows()] == ["openai", "anthropic"]


def test_a_tier_without_a_deadline_gets_the_longest(door: Door) -> None:
    plan = Plan((CHOICES["openai"],), (), {"strong": 20.0}, 200)
    assert door.ask(plan).attempts == ("ok",)
