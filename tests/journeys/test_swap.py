"""A provider swapped for another by one line of routes.toml: the ledger and the wire say who was asked."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from pipeline.ingest.intake import store_raw, take
from tests.journeys import scripted
from tests.kit.live import mail
from tests.kit.model_server import ModelServer
from tests.kit.processes import Installation

SHIPPED = (Path(__file__).parents[2] / "routes.toml").read_text(encoding="utf-8")
ANGRY = "This is a disgrace! You lost my order {order}. I want to know where it is NOW!"


@pytest.fixture
def models() -> Iterator[ModelServer]:
    with ModelServer(scripted.answer) as server:
        yield server


@pytest.fixture
def installation(tmp_path: Path, models: ModelServer, sqlite_url: str) -> Iterator[Installation]:
    with Installation(
        tmp_path / "home",
        (),
        database_url=sqlite_url,
        routes=SHIPPED,
        environment={
            "OPENAI_API_KEY": "sk-test",
            "OPENAI_BASE_URL": models.openai_url,
            "ANTHROPIC_API_KEY": "sk-ant-test",
            "ANTHROPIC_BASE_URL": models.anthropic_url,
        },
    ) as installation:
        yield installation


def swapped(routes: str, task: str, model: str, by: str) -> str:
    """The table with another model for the task; the change is one line."""
    start = routes.index(f"[task.{task}]")
    after = routes[:start] + routes[start:].replace(f'model = "{model}"', f'model = "{by}"', 1)
    changed = [line for line in difflib.ndiff(routes.splitlines(), after.splitlines()) if line[0] in "+-"]
    assert len(changed) == 2, changed  # one line out, one in
    return after


def work_off(installation: Installation, order: str) -> None:
    """An angry customer's mail, read by the cheap route and drafted by the strong one."""
    raw = mail(ANGRY.format(order=order), sender=f"jane-{order}@customer.example", message_id=f"{order}@c")
    with installation.store.write() as connection:
        stored = store_raw(connection, "support", raw)
    assert take(installation.store, stored.raw_id).ticket_id is not None
    done = installation.json("run", "--until-idle", "--json")
    assert done["steps"] == {"triage": 1, "draft": 1}


def test_each_of_two_providers_is_swapped_by_one_line_and_the_ledger_shows_it(
    installation: Installation, models: ModelServer
) -> None:
    table = installation.home / "routes.toml"
    work_off(installation, "30001")

    one_line = swapped(SHIPPED, "draft", "claude-sonnet-5-5", "gpt-6.1-sol")
    table.write_text(one_line, encoding="utf-8")
    work_off(installation, "30002")

    table.write_text(swapped(one_line, "triage", "gpt-6-luna", "claude-haiku-5-5"), encoding="utf-8")
    work_off(installation, "30003")

    calls = installation.jsonl("export", "calls")
    assert [(call["model"], call["error"]) for call in calls if call["state"] != "ok"] == []
    assert [(call["task"], call["provider"], call["model"]) for call in calls] == [
        ("triage", "openai", "gpt-6-luna"),
        ("draft", "anthropic", "claude-sonnet-5-5"),
        ("triage", "openai", "gpt-6-luna"),
        ("draft", "openai", "gpt-6.1-sol"),
        ("triage", "anthropic", "claude-haiku-5-5"),
        ("draft", "openai", "gpt-6.1-sol"),
    ]
    assert {call["role"] for call in calls} == {"model"}
    # what the ledger says is what went over the wire, in each provider's own protocol
    assert [(line.seen.provider, line.seen.model) for line in models.journal] == [
        (call["provider"], call["model"]) for call in calls
    ]
    assert [call["answered_by"].startswith(call["model"]) for call in calls] == [True] * 6
    assert all(Decimal(call["cost_usd"]) > 0 for call in calls)
