"""A run that was stopped goes on where it was: nothing is asked twice, and the money counts over all of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from pipeline.assembly import Brain
from pipeline.errors import ConflictError, InputError, StoreError
from pipeline.evaluation import Wish, evaluate, lines
from pipeline.evaluation.planning import root_of
from pipeline.evaluation.run import AT_ONCE
from pipeline.evaluation.runs import RunFolder, every
from tests.evaluation.exams import CASES, file_of, many, reading, right_answer, triage
from tests.kit import model_replies as replies
from tests.kit.model_server import ModelServer
from tests.kit.places import wait_for

LUNA = ["gpt-6-luna"]


def only_run(brain: Brain) -> RunFolder:
    (folder,) = every(root_of(brain))
    return folder


def asked(server: ModelServer) -> Counter[str]:
    """How often each of `many` was asked."""
    return Counter(line.seen.user.split("shelf w")[1][:3] for line in list(server.journal))


def test_a_killed_run_goes_on_and_asks_only_what_was_in_flight_again(
    server: ModelServer, home: Path, tmp_path: Path
) -> None:
    path = file_of(tmp_path, *many(60))
    server.answer_by(lambda seen: replies.ok(right_answer(seen)).later(0.15))
    command = [sys.executable, "-c", "from pipeline.cli import main; main()", "eval", "triage", "--json"]
    command += ["--models", "gpt-6-luna", "--cases", str(path)]
    environment = {
        **os.environ,
        "TRIAGE_HOME": str(home),
        "OPENAI_API_KEY": "sk-test-1234567890",
        "OPENAI_BASE_URL": server.openai_url,
    }
    first = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_for(lambda: len(server.journal) >= 25, "the run to be half done", 60)
    os.kill(first.pid, signal.SIGKILL)
    first.communicate()
    before = asked(server)
    assert len(before) < 60
    (folder,) = every(home / "evaluations")
    killed_usd = folder.spent_usd()
    for name in ("answers.jsonl", "spend.jsonl"):  # and the last write was cut
        with (folder.path / name).open("ab") as file:
            file.write(b'{"model": "gpt-6-luna", "cas')
    again = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100)
    assert again.returncode == 0, again.stderr
    assert "triage: goes on with the run triage-" in again.stderr
    shown = json.loads(again.stdout)[0]
    assert (shown["models"][0]["asked"], shown["left"]) == (60, 0)
    counts = asked(server)
    assert len(counts) == 60
    twice = [case for case, number in counts.items() if number > 1]
    assert len(twice) <= AT_ONCE
    assert max(counts.values()) <= 2
    # what was in flight when it was killed stays booked, at its worst price
    told = Decimal(shown["spent_usd"])
    assert told > killed_usd
    answered = sum(marked.cost_usd for marked in folder.answers().values())
    assert (told > answered) == bool(twice)
    everything = b"".join(file.read_bytes() for file in folder.path.iterdir())
    assert b"sk-test" not in everything
    assert {oct(file.stat().st_mode & 0o777) for file in folder.path.iterdir()} == {"0o600"}


def test_at_the_cap_it_stops_and_a_higher_one_goes_on(
    with_key: Brain, server: ModelServer, tmp_path: Path
) -> None:
    server.answer_by(right_answer)
    path = file_of(tmp_path, *many(40))
    cap = Decimal("0.004")
    result = triage(with_key, LUNA, path, cap_usd=cap)
    model = result.models[0]
    assert 0 < len(model.asked) < 40
    assert result.spent_usd <= cap
    assert result.left == 40 - len(model.asked)
    assert set(model.unasked) == {"the cap of $0.004 (--cap) is reached"}
    assert "no model meets the bar" in result.answer
    # the worst price of one call would not have fitted any more
    assert cap - result.spent_usd < Decimal("0.0018")
    again = triage(with_key, LUNA, path, cap_usd=cap)
    assert again.header.run == result.header.run
    assert again.spent_usd <= cap
    done = triage(with_key, LUNA, path, cap_usd=Decimal(1))
    assert (done.header.run, done.left) == (result.header.run, 0)
    assert max(asked(server).values()) == 1
    assert done.spent_usd == sum(marked.cost_usd for marked in done.models[0].asked)
    assert only_run(with_key).spent_usd() == done.spent_usd


def test_without_a_cap_of_its_own_the_tables_cap_counts_over_all_sessions(
    with_key: Brain, server: ModelServer, tmp_path: Path
) -> None:
    server.answer_by(right_answer)
    budgets = replace(with_key.routes.budgets, day=Decimal("0.004"), task_day={})
    capped = replace(with_key, routes=replace(with_key.routes, budgets=budgets))
    path = file_of(tmp_path, *many(40))
    spent = [triage(capped, LUNA, path).spent_usd for _ in range(3)]
    assert max(spent) <= Decimal("0.004")
    assert spent[-1] == only_run(capped).spent_usd()


def test_a_finished_run_is_left_alone_and_asking_again_begins_a_new_one(
    with_key: Brain, server: ModelServer, tmp_path: Path
) -> None:
    server.answer_by(right_answer)
    path = file_of(tmp_path)
    one = triage(with_key, LUNA, path)
    other = triage(with_key, LUNA, path)
    assert one.header.run != other.header.run
    assert len(server.journal) == 2 * len(CASES)
    with pytest.raises(InputError, match="no unfinished run"):
        triage(with_key, LUNA, path, resume=True)


def test_a_named_run_is_shown_again_at_no_cost_and_refused_for_something_else(
    with_key: Brain, server: ModelServer, tmp_path: Path
) -> None:
    server.answer_by(right_answer)
    path = file_of(tmp_path)
    one = triage(with_key, LUNA, path, run="autumn")
    again = triage(with_key, LUNA, path, run="autumn")
    assert again == one
    assert len(server.journal) == len(CASES)
    with pytest.raises(InputError, match=r"asked something else \(the models differ\)"):
        triage(with_key, ["local"], path, run="autumn")
    file_of(tmp_path, *CASES[:2])
    with pytest.raises(InputError, match=r"asked something else \(the cases differ\)"):
        triage(with_key, LUNA, path, run="autumn")


def test_the_command_that_is_shown_goes_on_with_nothing_but_the_runs_name(
    with_key: Brain, server: ModelServer, tmp_path: Path
) -> None:
    server.answer_by(right_answer)
    first = triage(with_key, LUNA, file_of(tmp_path, *many(40)), cap_usd=Decimal("0.004"))
    shown = f"triage eval triage --run {first.header.run} --resume --cap USD"
    assert any(f"{first.left} answers are left; go on with: {shown}" in line for line in lines([first]))
    done = triage(with_key, None, None, run=first.header.run, resume=True, cap_usd=Decimal(1))
    assert (done.header, done.left) == (first.header, 0)


def test_fresh_begins_anew_though_a_run_is_unfinished(
    with_key: Brain, server: ModelServer, tmp_path: Path
) -> None:
    path = file_of(tmp_path)
    server.script(replies.ok(reading(CASES[0]["expect"])), *[replies.out_of_credit()] * 4)
    unfinished = triage(with_key, LUNA, path)
    assert unfinished.left == 2
    server.forget()
    server.answer_by(right_answer)
    fresh = triage(with_key, LUNA, path, fresh=True)
    assert fresh.header.run != unfinished.header.run
    assert fresh.left == 0


def test_two_processes_do_not_work_on_one_run(with_key: Brain, server: ModelServer, tmp_path: Path) -> None:
    server.answer_by(right_answer)
    path = file_of(tmp_path)
    triage(with_key, LUNA, path, run="ours")
    with only_run(with_key).held(), pytest.raises(ConflictError, match="under way in another process"):
        triage(with_key, LUNA, path, run="ours")


def test_nothing_is_called_when_the_reservation_cannot_be_written(
    with_key: Brain, server: ModelServer, tmp_path: Path
) -> None:
    server.answer_by(right_answer)
    path = file_of(tmp_path)
    triage(with_key, LUNA, path, run="kept")
    folder = only_run(with_key)
    (folder.path / "answers.jsonl").unlink()
    (folder.path / "spend.jsonl").unlink()
    (folder.path / "spend.jsonl").symlink_to("/proc/version")  # not to be written, not by root either
    before = len(server.journal)
    with pytest.raises((StoreError, InputError)):
        triage(with_key, LUNA, path, run="kept")
    assert len(server.journal) == before


def test_a_damaged_line_is_named_with_its_mend(with_key: Brain, server: ModelServer, tmp_path: Path) -> None:
    server.answer_by(right_answer)
    path = file_of(tmp_path)
    triage(with_key, LUNA, path, run="torn")
    answers = only_run(with_key).path / "answers.jsonl"
    answers.write_text("{}\n" + answers.read_text(encoding="utf-8"), encoding="utf-8")
    with pytest.raises(InputError, match=r"answers\.jsonl:1: the line is damaged; remove it"):
        evaluate(with_key, Wish(task="triage", models=LUNA, cases=path, run="torn"), lambda: None)
