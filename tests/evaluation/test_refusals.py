"""What an evaluation refuses, in one line with the mend."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from pipeline.assembly import Brain
from pipeline.errors import ConfigError, InputError
from pipeline.evaluation import Wish, evaluate
from pipeline.evaluation.results import read_bar
from tests.evaluation.exams import CASES, file_of

# --- what is refused, in one line with the mend


def ask(brain: Brain, task: str | None, models: list[str] | None, cases: Path | None, **more: Any) -> Any:
    return evaluate(brain, Wish(task=task, models=models, cases=cases, **more), lambda: None)


BILLING = {"topic": "billing", "language": "en"}


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({**CASES[0], "expect": BILLING | {"mood": "calm"}}, "expect.mood: there is no such key"),
        ({**CASES[0], "expect": BILLING | {"topic": "bills"}}, "expect.topic: bills is no topic of routes"),
        ({**CASES[0], "expect": BILLING | {"topic_also": ["bills"]}}, "expect.topic: bills is no topic"),
        ({**CASES[0], "expect": {"topic": "billing"}}, "expect.language: Field required"),
        ({**CASES[0], "expect": BILLING | {"urgency": "soon"}}, "expect.urgency: Input should be"),
        (CASES[1], "the id kuendigung is there twice"),
        (["not", "an", "object"], "Input should be an object"),
    ],
)
def test_a_bad_row_is_refused_with_its_line(brain: Brain, tmp_path: Path, row: Any, words: str) -> None:
    path = file_of(tmp_path, CASES[1], CASES[2], row)
    with pytest.raises(InputError, match=r"cases\.jsonl:3: ") as refused:
        ask(brain, "triage", ["local"], path)
    assert words in str(refused.value)


def test_an_unknown_key_of_a_rubric_is_refused_with_its_line(brain: Brain, tmp_path: Path) -> None:
    text = (brain.prompts.folder / "routine" / "cases.jsonl").read_text(encoding="utf-8").splitlines()[0]
    case = json.loads(text)
    case["rubric"]["must_rhyme"] = True
    with pytest.raises(InputError, match=r"cases\.jsonl:1: rubric\.must_rhyme"):
        ask(brain, "routine", ["templates"], file_of(tmp_path, case))


def test_a_rubric_that_is_no_pattern_is_refused(brain: Brain, tmp_path: Path) -> None:
    text = (brain.prompts.folder / "routine" / "cases.jsonl").read_text(encoding="utf-8").splitlines()[0]
    case = json.loads(text)
    case["rubric"]["must_mention"] = ["(open"]
    with pytest.raises(ConfigError, match="must_mention"):
        ask(brain, "routine", ["templates"], file_of(tmp_path, case))


def test_broken_json_missing_and_empty_files_are_refused(brain: Brain, tmp_path: Path) -> None:
    path = tmp_path / "cases.jsonl"
    with pytest.raises(InputError, match="there are no cases for triage; write some there"):
        ask(brain, "triage", ["local"], path)
    path.write_text("\n\n", encoding="utf-8")
    with pytest.raises(InputError, match="holds no case"):
        ask(brain, "triage", ["local"], path)
    path.write_text('{"id": "cut', encoding="utf-8")
    with pytest.raises(InputError, match=r"cases\.jsonl:1: the line: Invalid JSON"):
        ask(brain, "triage", ["local"], path)
    path.write_bytes(b'{"id": "\xff"}')
    with pytest.raises(InputError, match="not UTF-8"):
        ask(brain, "triage", ["local"], path)


def test_unknown_tasks_and_models_are_refused_with_those_that_are_known(brain: Brain, tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match="there is no task poetry; known are triage, routine, draft, summary"
    ):
        ask(brain, "poetry", None, None)
    with pytest.raises(ConfigError, match=r"'gpt-2' is not among the models of .*; known are gpt-6-luna"):
        ask(brain, "triage", ["gpt-2"], None)
    with pytest.raises(ConfigError, match="'local' is not among the models"):
        ask(brain, "draft", ["local"], None)
    with pytest.raises(InputError, match="--models names no model"):
        ask(brain, "triage", [], None)
    with pytest.raises(InputError, match="say which task"):
        ask(brain, None, ["local"], file_of(tmp_path))


def test_where_none_of_the_named_models_can_be_asked_it_says_which_key_is_missing(brain: Brain) -> None:
    with pytest.raises(
        ConfigError, match=r"none of the models could be tried: gpt-6-luna: .*set OPENAI_API_KEY"
    ):
        ask(brain, "triage", ["gpt-6-luna"], None)


def test_a_bar_that_nothing_measures_is_refused(brain: Brain) -> None:
    prompt = brain.prompts.load("triage", "cheap")
    with pytest.raises(ConfigError, match="bar: charm is not measured; known are passed"):
        read_bar(replace(prompt, front=prompt.front.model_copy(update={"bar": {"charm": 0.9}})), ["passed"])
    with pytest.raises(ConfigError, match="must be a table of measures"):
        read_bar(replace(prompt, front=prompt.front.model_copy(update={"bar": "good"})), ["passed"])
    with pytest.raises(ConfigError, match="passed must be a number"):
        read_bar(
            replace(prompt, front=prompt.front.model_copy(update={"bar": {"passed": "0.9"}})), ["passed"]
        )


def test_arguments_that_contradict_each_other_are_refused(brain: Brain, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="letters, digits"):
        ask(brain, "triage", ["local"], file_of(tmp_path), run="../elsewhere")
    with pytest.raises(InputError, match="no unfinished run"):
        ask(brain, "triage", ["local"], file_of(tmp_path), resume=True)
    with pytest.raises(InputError, match="zero or more"):
        ask(brain, "triage", ["local"], file_of(tmp_path), cap_usd=Decimal(-1))
    with pytest.raises(ConfigError, match="no key is set for the judge claude-sonnet-5-5: set ANTHROPIC"):
        ask(brain, "draft", ["templates"], None, judge="claude-sonnet-5-5")
    assert not (brain.settings.home / "evaluations").exists(), "what is refused leaves nothing behind"


def triage(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from pipeline.cli import main; main()", *arguments],
        env={**os.environ, "TRIAGE_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=100,
    )


def test_the_command_prints_one_json_document_and_nothing_else(home: Path, tmp_path: Path) -> None:
    path = file_of(tmp_path)
    ran = triage(home, "eval", "triage", "--models", "local", "--cases", str(path), "--json")
    assert ran.returncode == 0, ran.stderr
    shown = json.loads(ran.stdout)
    assert shown[0]["task"] == "triage"
    assert shown[0]["cases"] == {"file": str(path), "number": 3}
    assert shown[0]["models"][0]["measures"]["topic_accuracy"]["of"] == 3


def test_the_command_ends_with_one_plain_line_when_it_cannot_be_done(home: Path, tmp_path: Path) -> None:
    ran = triage(home, "eval", "triage", "--cases", str(tmp_path / "none.jsonl"))
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr.strip().endswith("or name a file with --cases")
    assert "Traceback" not in ran.stderr
