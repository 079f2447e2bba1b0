"""Changes to the team's files: small, with the comments kept, and taken by the real `git apply` and `patch`."""

from __future__ import annotations

import subprocess
import tomllib
from pathlib import Path

import pytest

from pipeline.models.prompts import read_prompt
from pipeline.reports.edits import Edit, add_rule, drop_key, edit, set_value
from pipeline.routing import reading

ROOT = Path(__file__).parents[2]
ROUTES = (ROOT / "routes.toml").read_text(encoding="utf-8")


def applied(change: Edit, folder: Path, old: str, by: str) -> str:
    """What the tool makes of the file."""
    path = folder / change.file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(old.encode())
    command = {"git": ["git", "apply", "-"], "patch": ["patch", "-p1", "--silent"]}[by]
    subprocess.run(command, cwd=folder, input=change.diff.encode(), check=True, capture_output=True)
    return path.read_bytes().decode()


@pytest.mark.parametrize("by", ["git", "patch"])
def test_the_tools_take_the_diffs(tmp_path: Path, by: str) -> None:
    changes = [
        set_value(ROUTES, ["rule"], "confidence_below_uncalibrated", 0.85),
        set_value(ROUTES, ["rule", "costly"], "billing", 'rewritten "often"'),
        set_value(ROUTES, ["budget", "route_day"], "strong", 15.0),
        drop_key(ROUTES, ["rule", "costly"], "cancellation"),
    ]
    for new in changes:
        assert new is not None
        change = edit("routes.toml", ROUTES, new)
        assert change is not None
        assert applied(change, tmp_path, ROUTES, by) == new
        reading.read(tmp_path / "routes.toml")
    for name in ("routine/cheap", "draft/strong"):
        old = (ROOT / "prompts" / f"{name}.md").read_text(encoding="utf-8")
        change = edit(f"prompts/{name}.md", old, add_rule(old, "Answer in Polish.", "language"))
        assert change is not None
        applied(change, tmp_path, old, by)
        assert "Answer in Polish." in read_prompt(tmp_path / change.file, name).system
    bare = "[a]\nx = 1"
    change = edit("bare.toml", bare, set_value(bare, ["a"], "y", 2.5))
    assert change is not None
    assert tomllib.loads(applied(change, tmp_path, bare, by)) == {"a": {"x": 1, "y": 2.5}}


def test_a_line_keeps_its_comment_and_its_neighbours() -> None:
    change = edit("routes.toml", ROUTES, set_value(ROUTES, ["rule"], "confidence_below_uncalibrated", 0.85))
    assert change is not None
    assert change.before.startswith("confidence_below_uncalibrated = 0.80   # for a model")
    assert change.after == change.before.replace("0.80", "0.85")
    assert len([line for line in change.diff.splitlines() if line.startswith(("+", "-"))]) == 4
    added = edit("routes.toml", ROUTES, set_value(ROUTES, ["rule", "costly"], "sales", "why"))
    assert added is not None
    assert (added.before, added.after) == ("", 'sales = "why"')


def test_a_rule_takes_its_place_in_the_list() -> None:
    routine = (ROOT / "prompts" / "routine" / "cheap.md").read_text(encoding="utf-8")
    change = edit("p.md", routine, add_rule(routine, "Answer.", "language"))
    assert change is not None
    assert change.after == "9. Answer."
    strong = (ROOT / "prompts" / "draft" / "strong.md").read_text(encoding="utf-8")
    new = add_rule(strong, "Answer.", "language")
    assert new is not None
    assert "lists unless the customer must follow steps, at most 220 words.\n- Answer.\n" in new


def test_what_cannot_be_meant_is_not_changed() -> None:
    assert drop_key(ROUTES, ["rule", "costly"], "nothing") is None
    assert set_value("a = [\n  1,\n]\n[b]\n", ["b"], "c", 1) is not None
    assert set_value("[b]\nc = [\n  1,\n]\n", ["b"], "c", [2]) is None  # over several lines
    assert set_value("[b", ["b"], "c", 1) is None
    assert add_rule("no parts", "x", "") is None
    assert add_rule("# system\nplain words\n# user\n- x\n", "x", "") is None
    assert edit("x", "same", "same") is None
