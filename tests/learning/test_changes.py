"""The diff of what was approved: `git apply` and `patch` take it, and the files are valid with it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from pipeline.assembly import Parts
from pipeline.learning import proposals
from pipeline.learning.changes import changed_text, changes
from pipeline.learning.proposals import Draft
from pipeline.routing import reading
from tests.kit.processes import TRIAGE
from tests.learning.conftest import POLICY

ROOT = Path(__file__).parents[2]
CASE = json.loads((ROOT / "prompts/draft/cases.jsonl").read_text(encoding="utf-8").splitlines()[0])
LINE = json.dumps(CASE | {"id": "review-7"}, ensure_ascii=False)

FACT = Draft("f", "fact", "a fact", "policy.md", {"text": "Parcels to Norway take 6 days."}, (), {})
PHRASE = Draft(
    "p", "phrase", "a phrase", "prompts/draft/strong.md",
    {"old": "processing your inquiry", "new": "looking at it", "language": "en"}, (), {},
)  # fmt: skip
THRESHOLD = Draft(
    "t", "threshold", "a threshold", "routes.toml",
    {"key": "confidence_below", "old": 0.65, "new": 0.7}, (), {},
)  # fmt: skip
A_CASE = Draft("c", "case", "a case", "prompts/draft/cases.jsonl", {"line": LINE}, (), {})
ALL = (FACT, PHRASE, THRESHOLD, A_CASE)


def triage(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("TRIAGE_")}
    return subprocess.run(
        [str(TRIAGE), *words], cwd=home, env=kept | {"TRIAGE_HOME": str(home)}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip


def test_what_was_approved_is_one_diff_that_applies_and_leaves_the_files_valid(
    parts: Parts, tmp_path: Path
) -> None:
    shutil.copytree(ROOT / "prompts", tmp_path / "prompts")
    shutil.copy(ROOT / "routes.toml", tmp_path)
    for id in proposals.keep(parts.store, "2026-W47", ALL):
        proposals.decide(parts.store, id, "approved")
    made = triage(tmp_path, "proposals", "diff")
    assert made.returncode == 0, made.stderr
    before = (tmp_path / "routes.toml").read_text(encoding="utf-8")
    assert "confidence_below = 0.65" in before  # nothing is written by triage itself
    twin = tmp_path / "twin"
    for file in sorted({one.file for one in ALL}):
        (twin / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(tmp_path / file, twin / file)
    for folder, tool in ((tmp_path, ["git", "apply", "-"]), (twin, ["patch", "-p1", "-s"])):
        subprocess.run(tool, cwd=folder, input=made.stdout, text=True, check=True)
    for one in ALL:
        assert (twin / one.file).read_bytes() == (tmp_path / one.file).read_bytes()
    assert (tmp_path / "policy.md").read_text(encoding="utf-8") == (
        f"{POLICY}\n## From our agents' answers\n\n- Parcels to Norway take 6 days.\n"
    )
    assert reading.read(tmp_path / "routes.toml").rule.confidence_below == 0.7
    prompt = (tmp_path / "prompts/draft/strong.md").read_text(encoding="utf-8")
    assert "- In en, write “looking at it”, not “processing your inquiry”.\n" in prompt
    assert (tmp_path / "prompts/draft/cases.jsonl").read_text(encoding="utf-8").endswith(f"{LINE}\n")
    checked = {row["what"]: row for row in json.loads(triage(tmp_path, "check", "--json").stdout)}
    ours = {what: row["ok"] for what, row in checked.items() if "routes" in what or "prompt" in what}
    assert ours
    assert all(ours.values())
    again = triage(tmp_path, "proposals", "diff")
    assert (again.stdout, again.returncode) == ("", 0)
    assert "hold all that is approved" in again.stderr


@pytest.mark.parametrize("ending", ["\n", "\r\n", ""])
def test_files_keep_their_line_ends(ending: str, tmp_path: Path) -> None:
    text = f"# Policy{ending or chr(10)}{ending or chr(10)}- One thing.{ending}"
    changed = changed_text(text, FACT)
    assert changed is not None
    assert changed.startswith(text)
    assert changed.count("\r\n") in (0, changed.count("\n"))
    assert changed_text(changed, FACT) == changed
    second = Draft("g", "fact", "", "policy.md", {"text": "Another one."}, (), {})
    assert (changed_text(changed, second) or "").splitlines()[-2:] == [
        "- Parcels to Norway take 6 days.",
        "- Another one.",
    ]


def test_a_policy_that_is_not_there_yet_is_made_by_the_diff(parts: Parts, tmp_path: Path) -> None:
    (tmp_path / "policy.md").unlink()
    made = changes(parts, [FACT])
    assert made.diff.startswith("--- /dev/null\n+++ b/policy.md\n")
    subprocess.run(["git", "apply", "-"], cwd=tmp_path, input=made.diff, text=True, check=True)
    assert "Norway" in (tmp_path / "policy.md").read_text(encoding="utf-8")


def test_what_the_file_no_longer_fits_is_said_and_left_out(parts: Parts) -> None:
    other = Draft("t", "threshold", "up", "routes.toml", THRESHOLD.content | {"old": 0.5}, (), {})
    made = changes(parts, [other])
    assert made.diff == ""
    assert "does not fit into routes.toml" in made.notes[0]
