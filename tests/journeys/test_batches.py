"""Older mail through the batch APIs: half the price in the ledger, nothing live, live tickets left alone."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from pipeline.ingest.intake import store_raw, take
from tests.journeys import scripted
from tests.kit.batch_server import BatchServer
from tests.kit.live import mail
from tests.kit.processes import Installation

SHIPPED = (Path(__file__).parents[2] / "routes.toml").read_text(encoding="utf-8")
ANGRY = "This is a disgrace! You lost my order {order}. I want to know where it is NOW!"


@pytest.fixture
def batches() -> Iterator[BatchServer]:
    with BatchServer(scripted.answer, looks=1) as server:
        yield server


@pytest.fixture
def installation(tmp_path: Path, batches: BatchServer, database_url: str) -> Iterator[Installation]:
    with Installation(
        tmp_path / "home",
        (),
        database_url=database_url,
        routes=SHIPPED,
        environment={
            "OPENAI_API_KEY": "sk-test",
            "OPENAI_BASE_URL": batches.openai_url,
            "ANTHROPIC_API_KEY": "sk-ant-test",
            "ANTHROPIC_BASE_URL": batches.anthropic_url,
        },
    ) as installation:
        yield installation


def test_a_folder_of_old_mail_is_worked_off_in_batches_and_live_tickets_are_left_alone(
    tmp_path: Path, installation: Installation, batches: BatchServer
) -> None:
    live = mail(ANGRY.format(order="30000"), sender="live@customer.example", message_id="live@c")
    with installation.store.write() as connection:
        stored = store_raw(connection, "support", live)
    take(installation.store, stored.raw_id)
    old = tmp_path / "old"
    old.mkdir()
    for number in range(12):
        text = ANGRY.format(order=30001 + number)
        raw = mail(text, sender=f"jane-{number}@customer.example", message_id=f"old-{number}@c")
        (old / f"{number}.eml").write_bytes(raw)

    counts = installation.json("ingest", str(old), "--batch", "--json")

    assert counts["steps"] == {"triage": 12, "draft": 12}
    assert len(batches.batches) <= 4  # two of each stage at most, whatever the threads' timing
    calls = installation.jsonl("export", "calls")
    assert len(calls) == len(batches.journal) == 24
    assert {call["state"] for call in calls} == {"ok"}
    assert all(0 < Decimal(call["cost_usd"]) < Decimal("0.01") for call in calls)
    statuses = [ticket["status"] for ticket in installation.jsonl("export", "tickets")]
    assert statuses.count("in_review") == 12
    assert statuses.count("received") == 1  # the live one, still waiting for a live worker
