"""`triage review …`: whoever acts, or looks, as a colleague is held to that colleague's inboxes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.db.store import Store
from pipeline.db.tables import reviews
from pipeline.errors import TriageError
from pipeline.review import sight
from tests.web import seed


@pytest.fixture
def review(sqlite_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The command, in this process: (exit status, what it said)."""
    monkeypatch.setenv("TRIAGE_HOME", str(tmp_path))
    monkeypatch.setenv("TRIAGE_DATABASE_URL", str(sqlite_store.url))

    def run(*words: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, ["review", *words])
        if isinstance(done.exception, TriageError):
            return 1, str(done.exception)
        assert done.exception is None, done.exception
        return 0, done.output

    return run


def test_an_agent_acts_on_no_row_of_another_inbox(
    review: Any, sqlite_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = seed.people(sqlite_store)
    mine, other = seed.ticket(sqlite_store), seed.ticket(sqlite_store, inbox="sales")
    sight.set_inboxes(sqlite_store, people["anna"].email, ["support"])
    with sqlite_store.read() as c:
        row_of = {row.ticket_id: row.id for row in c.execute(sa.select(reviews))}
    here, there = str(row_of[mine]), str(row_of[other])
    as_anna = ("--as", "anna@shop.example")
    refused = (
        1,
        f"anna@shop.example does not see the inbox of row {there}; another colleague may, or: "
        "triage agent inboxes anna@shop.example",
    )
    acts = (("approve",), ("edit", "--text", "x"), ("replace", "--text", "x"), ("close",), ("spam",),
            ("confirm",), ("reject", "--reason", "wrong_tone"))  # fmt: skip
    for name, *more in (*acts, ("show",)):
        assert review(name, there, *more, *as_anna) == refused, name
    for name, word in (("settle", "sent"), ("assign", "nobody"), ("note", "x")):
        assert review(name, there, word, *as_anna) == refused, name

    def listed(*words: str) -> list[int]:
        return [row["ticket_id"] for row in json.loads(review("list", "--json", *words)[1])["reviews"]]

    assert sorted(listed()) == [mine, other]  # whoever runs the installation sees all of it
    assert listed(*as_anna) == [mine]
    assert review("show", there)[0] == 0
    monkeypatch.setenv("TRIAGE_AGENT", "anna@shop.example")
    assert (listed(), review("approve", there), review("show", there)) == ([mine], refused, refused)
    assert review("close", here) == (0, f"ticket {mine}: close: unscorable\n")
    assert review("close", there, "--as", "ben@shop.example")[0] == 0
