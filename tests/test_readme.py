"""The README says what the code does: its tables are the code's, its commands exist, its words are used."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.readme import README, ROOT, with_blocks

TEXT = README.read_text(encoding="utf-8")


def test_the_generated_parts_are_up_to_date() -> None:
    assert with_blocks(TEXT) == TEXT, "run: python -m tests.readme"


def test_every_file_that_the_readme_shows_is_there() -> None:
    for name in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", TEXT) + re.findall(r"\]\((?!http)([^)#]+)\)", TEXT):
        assert (ROOT / name).exists(), name


@pytest.fixture(scope="module")
def commands() -> set[str]:
    triage = Path(sys.executable).with_name("triage")
    shown = subprocess.run(
        [triage, "--help"], check=True, capture_output=True, text=True, env={"COLUMNS": "200"}
    ).stdout
    return set(re.findall(r"^\W*([a-z]+)  ", shown, re.MULTILINE))


def test_every_command_that_the_readme_names_exists(commands: set[str]) -> None:
    named = set(re.findall(r"(?:`|^|&& )triage ([a-z]+)", TEXT, re.MULTILINE))
    assert {"up", "demo", "routes"} <= commands
    assert named <= commands, named - commands


def test_every_make_target_that_the_readme_names_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in set(re.findall(r"`?make ([a-z]+)", TEXT)) - {"and"}:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
