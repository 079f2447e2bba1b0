"""`triage forget` at the terminal, and what the page says while sending is held."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path

from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.db import sending
from pipeline.db.store import Store
from pipeline.review import agents, sessions
from tests.reports import busy
from tests.retention import canaries
from tests.retention.canaries import ANN
from tests.retention.test_forget import HERS, dump
from tests.web import running


def test_forget_shows_hands_over_and_erases(sqlite_url: str, tmp_path: Path) -> None:
    store = Store(sqlite_url)
    busy.fill(store)
    ids = canaries.plant(store, {"pairs": []})
    home = tmp_path / "home"
    canaries.plant_files(home, ids)
    (home / "notes.txt").write_text(f"call {ANN}")
    env = {"TRIAGE_HOME": str(home), "TRIAGE_DATABASE_URL": sqlite_url}

    def triage(*words: str) -> str:
        result = CliRunner().invoke(app, ["forget", ANN, *words], env=env)
        assert result.exception is None, result.exception
        return str(result.stdout)

    before = dump(store)
    said = triage("--dry-run")
    assert f"would erase of {ANN}:" in said
    assert "1 messages of others, in which the person is named or quoted" in said
    assert dump(store) == before
    done = json.loads(triage("--json", "--export", str(tmp_path / "ann.jsonl")))
    assert done["erased"]["tickets"] == 1
    assert done["files"]["look_at"] == [str(home / "notes.txt")]
    assert "CANARY" in (tmp_path / "ann.jsonl").read_text()
    assert (tmp_path / "ann.jsonl").stat().st_mode & 0o077 == 0
    assert not [row for rows in dump(store).values() for row in rows.values() if HERS.search(row)]
    assert "nothing: there is no such person" in triage("--yes")
    store.close()


def test_the_page_says_that_nothing_is_sent(sqlite_store: Store) -> None:
    ann = agents.add(sqlite_store, "ann@shop.example", role="agent")
    token, _session = sessions.start(sqlite_store, ann)

    def page(url: str) -> str:
        request = urllib.request.Request(url, headers={"cookie": f"triage_session={token}"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return str(answer.read().decode())

    with running.serving(running.parts_for(sqlite_store)) as url:
        assert "Nothing is sent at present" not in page(url)
        sending.hold(sqlite_store, "operator", "we <move>")
        assert "Nothing is sent at present" in (text := page(url))
        assert "we &lt;move&gt;" in text
