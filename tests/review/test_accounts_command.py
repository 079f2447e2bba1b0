"""`triage agent …`: what an operator does to accounts without the page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.db.store import Store
from pipeline.db.tables import agents
from pipeline.errors import TriageError
from pipeline.review import sessions
from pipeline.review.agents import find
from pipeline.review.totp import SecondFactors
from tests.web import seed


@pytest.fixture
def triage(sqlite_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The command, in this process: (exit status, what `--json` printed or what it said)."""
    monkeypatch.setenv("TRIAGE_HOME", str(tmp_path))
    monkeypatch.setenv("TRIAGE_DATABASE_URL", str(sqlite_store.url))

    def run(*words: str) -> tuple[int, Any]:
        done = CliRunner().invoke(app, ["agent", *words])
        if isinstance(done.exception, TriageError):
            return 1, str(done.exception)
        assert done.exception is None, done.exception
        return 0, json.loads(done.stdout) if "--json" in words else done.output

    return run


def test_an_operator_limits_promotes_and_rescues_accounts(triage: Any, sqlite_store: Store) -> None:
    status, said = triage("add", "a@b.example", "--role", "agent", "--json")
    assert status == 0
    assert sessions.look_at_link(sqlite_store, said["link"].rpartition("/")[2]) is not None
    status, said = triage("inboxes", "a@b.example", "support")
    assert status == 1
    assert "there is no inbox 'support'" in said
    for wrong in (("inboxes", "a@b.example"), ("inboxes", "a@b.example", "support", "--all")):
        assert triage(*wrong)[0] == 1
    assert triage("inboxes", "a@b.example", "--all", "--json") == (
        0,
        {"email": "a@b.example", "inboxes": None},
    )
    assert triage("role", "a@b.example", "lead", "--json")[1] == {"email": "a@b.example", "role": "lead"}
    assert triage("role", "a@b.example", "owner")[0] == 1

    agent = find(sqlite_store, "a@b.example")
    SecondFactors(sqlite_store, "k" * 32).begin(agent)
    token, _session = sessions.start(sqlite_store, agent)
    assert triage("totp-off", agent.email, "--json")[1]["was_on"] is True
    assert sessions.resume(sqlite_store, token) is None
    assert triage("totp-off", agent.email, "--json")[1]["was_on"] is False
    with sqlite_store.write() as c:
        c.execute(agents.update().values(oidc_issuer="https://login.example.com", oidc_subject="s"))
    assert triage("list", "--json")[1] == [
        {"email": "a@b.example", "name": "", "role": "lead", "state": "active", "inboxes": None,
         "second_factor": False, "single_sign_on": True}
    ]  # fmt: skip
    assert triage("sso-off", agent.email, "--json")[1]["was_on"] is True
    assert triage("sso-off", agent.email, "--json")[1]["was_on"] is False
    rows = triage("audit", "--json")[1]
    assert [row["what"] for row in rows] == [
        "disconnected single sign-on", "turned the second factor off", "changed the role",
        "changed the inboxes", "made a log-in link", "made the account",
    ]  # fmt: skip
    assert {row["who"] for row in rows} == {"operator"}


def test_known_inboxes_are_those_that_tickets_came_by(triage: Any, sqlite_store: Store) -> None:
    seed.people(sqlite_store)
    seed.ticket(sqlite_store, inbox="sales")
    assert triage("inboxes", "anna@shop.example", "sales", "--json")[1]["inboxes"] == ["sales"]
    assert "an admin sees every inbox all the same" in triage("inboxes", "ada@shop.example", "sales")[1]
    limited = {row["email"]: row["inboxes"] for row in triage("list", "--json")[1]}
    assert (limited["anna@shop.example"], limited["ada@shop.example"]) == (["sales"], None)
