"""The command at work: Ctrl-C in the midst, tickets from a store, calls that travel in batches."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from pipeline.assembly import Brain
from pipeline.models.batching import BatchingProvider
from pipeline.models.providers.openai import OpenAIProvider
from pipeline.models.providers.openai_batches import OpenAIBatches
from tests.evaluation.exams import CASES, file_of, many, right_answer, triage
from tests.kit import model_replies as replies
from tests.kit.batch_server import BatchServer
from tests.kit.model_server import ModelServer
from tests.kit.places import wait_for

MAIN = [sys.executable, "-c", "from pipeline.cli import main; main()", "eval", "triage"]


def test_ctrl_c_keeps_what_came_and_says_how_to_go_on(
    server: ModelServer, home: Path, tmp_path: Path
) -> None:
    server.answer_by(lambda seen: replies.ok(right_answer(seen)).later(0.2))
    command = [*MAIN, "--models", "gpt-6-luna", "--cases", str(file_of(tmp_path, *many(60)))]
    environment = {
        **os.environ,
        "TRIAGE_HOME": str(home),
        "OPENAI_API_KEY": "sk-test",
        "OPENAI_BASE_URL": server.openai_url,
    }
    running = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    wait_for(lambda: len(server.journal) >= 15, "the run to be under way", 60)
    running.send_signal(signal.SIGINT)
    out, errors = running.communicate(timeout=60)
    assert (running.returncode, out) == (130, "")
    assert errors.strip().endswith("the same command goes on where it stopped")
    asked = len(server.journal)
    assert asked < 60
    again = subprocess.run(
        [*command, "--resume", "--json"], env=environment, capture_output=True, text=True, timeout=100
    )
    assert again.returncode == 0, again.stderr
    assert len(server.journal) == 60, "what was under way was let end, and kept"
    assert json.loads(again.stdout)[0]["left"] == 0


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["--tickets", "--models", "local"], 1, "triage migrate"),
        (["--tickets", "--since", "soon"], 2, "is not a span like 7d or 12h"),
        (["--cap", "much"], 2, "--cap"),
        (["--resume", "--models", "local"], 1, "there is no unfinished run of this"),
    ],
)
def test_what_cannot_be_done_is_said_with_its_mend(
    home: Path, arguments: list[str], status: int, words: str
) -> None:
    ran = subprocess.run(
        [*MAIN, *arguments],
        env={**os.environ, "TRIAGE_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert (ran.returncode, ran.stdout) == (status, "")
    assert words in ran.stderr


def test_in_batches_it_costs_half_and_tells_no_latency(
    with_key: Brain, server: ModelServer, tmp_path: Path
) -> None:
    path = file_of(tmp_path)
    server.answer_by(right_answer)
    live = triage(with_key, ["gpt-6-luna"], path)
    with BatchServer(right_answer) as batches:
        provider = OpenAIProvider("sk-test", batches.openai_url)
        batching = BatchingProvider(OpenAIBatches(provider), gather_s=0.2, poll_s=(0.02, 0.05))
        apart = replace(with_key, providers={**with_key.providers, "openai": batching}, in_batches=True)
        batched = triage(apart, ["gpt-6-luna"], path)
        provider.close()
        assert len(batches.batches) == 1, "no case goes ahead alone"
    model = batched.models[0]
    assert len(model.asked) == len(CASES)
    assert batched.header.run != live.header.run
    assert abs(batched.spent_usd * 2 - live.spent_usd) < Decimal("0.000001")
    assert "latency_p50_ms" not in model.measures
    assert model.meets_bar
