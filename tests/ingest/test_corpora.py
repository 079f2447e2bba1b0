"""Other projects' mails through the command itself: all counted, none lost, none slow; again, all duplicates."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
import sqlalchemy as sa

from pipeline.db.store import Store
from pipeline.db.tables import messages, raw_messages, tickets
from pipeline.ingest.files import find_mails
from pipeline.ingest.mime import parse

DATA = Path(os.environ.get("TRIAGE_TEST_DATA") or Path(__file__).parents[2] / "../shared/data") / "mail"
TRIAGE = Path(sys.executable).with_name("triage")

MAX_CPU_S = 2.0
MAX_GROWTH_BYTES = 64_000_000
"""Allowed between the command's peak over the mails and over four times as many."""


@pytest.fixture(scope="module")
def corpora() -> Path:
    if not DATA.is_dir():
        pytest.skip(f"SKIPPED FOR WANT OF DATA: no mails of other projects in {DATA}; set TRIAGE_TEST_DATA")
    return DATA


def bodies(folder: Path) -> list[bytes]:
    """Every mail as the command finds it."""
    return [found.body for found in find_mails(folder) if not found.skipped and found.problem is None]


def command_environment(home: Path, database: str) -> dict[str, str]:
    """What the developer's shell says about triage does not reach the command."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TRIAGE_")}
    return {**kept, "TRIAGE_HOME": str(home), "TRIAGE_DATABASE_URL": database}


def ingest(folder: Path, home: Path, database: str) -> dict[str, int]:
    """`triage ingest FOLDER --json` as an operator runs it."""
    done = subprocess.run(
        [TRIAGE, "ingest", folder, "--json"],
        env=command_environment(home, database),
        cwd=home,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    counts = json.loads(done.stdout)
    assert isinstance(counts, dict)
    return counts


def test_every_mail_is_a_message_or_a_reason_and_again_all_are_duplicates(
    corpora: Path, store: Store, tmp_path: Path
) -> None:
    raws = bodies(corpora)
    distinct = len({hashlib.sha256(raw).digest() for raw in raws})
    assert len(raws) > 100
    home = tmp_path / "home"
    home.mkdir()
    database = store.url.render_as_string(hide_password=False)

    first = ingest(corpora, home, database)
    outcomes = ("messages", "automated", "duplicates", "quarantined")
    assert first["received"] == len(raws) == sum(first[name] for name in outcomes)
    with store.read() as connection:
        states = Counter(connection.execute(sa.select(raw_messages.c.state)).scalars())
        reasons = list(
            connection.execute(
                sa.select(raw_messages.c.reason).where(raw_messages.c.state == "quarantined")
            ).scalars()
        )
        kinds = Counter(connection.execute(sa.select(messages.c.kind)).scalars())
        opened = connection.execute(sa.select(sa.func.count()).select_from(tickets)).scalar_one()
    assert sum(states.values()) == distinct  # what repeats the bytes of another is one raw message
    assert states["stored"] == 0
    assert states["quarantined"] == first["quarantined"]
    assert all(reasons)
    assert not [reason for reason in reasons if "Error" in reason or "parser failed" in reason]
    assert kinds["person"] == first["messages"]
    assert kinds.total() == first["messages"] + first["automated"]
    assert opened == first["tickets"]

    again = ingest(corpora, home, database)
    assert again == {**dict.fromkeys(first, 0), "skipped": first["skipped"]} | {
        "received": len(raws),
        "duplicates": len(raws),
    }


def test_no_mail_takes_two_seconds_of_the_processor(corpora: Path) -> None:
    slow = {}
    for raw in bodies(corpora):
        before = time.process_time()
        parse(raw)
        took_s = time.process_time() - before
        if took_s > MAX_CPU_S:
            slow[hashlib.sha256(raw).hexdigest()] = took_s
    assert slow == {}


def test_four_times_as_many_mails_need_no_more_memory(corpora: Path, tmp_path: Path) -> None:
    """A header more makes other bytes of each mail, so that all of it is stored, parsed and compared again."""
    raws = bodies(corpora)
    peaks = []
    for rounds in (1, 4):
        mails, home = tmp_path / f"mails-{rounds}", tmp_path / f"home-{rounds}"
        mails.mkdir()
        home.mkdir()
        for number, raw in enumerate(raws * rounds):
            (mails / f"{number:05}.eml").write_bytes(b"X-Round: %d\n" % (number // len(raws)) + raw)
        peaks.append(peak_bytes(mails, home))
    assert peaks[1] - peaks[0] < MAX_GROWTH_BYTES


def peak_bytes(folder: Path, home: Path) -> int:
    """The most memory that `triage ingest` had while it took the folder into a fresh store."""
    environment = command_environment(home, f"sqlite:///{home}/triage.db")
    subprocess.run([TRIAGE, "migrate"], env=environment, cwd=home, check=True, capture_output=True)
    with (home / "said").open("wb") as said:
        process = subprocess.Popen(
            [TRIAGE, "ingest", folder], env=environment, cwd=home, stdout=said, stderr=said
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, (home / "said").read_text()
    return usage.ru_maxrss if sys.platform == "darwin" else usage.ru_maxrss * 1024
