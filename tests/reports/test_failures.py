"""The cheap route's failures: groups and list, on a week whose failures are counted by hand."""

from __future__ import annotations

import json
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from pipeline.db.store import Store
from pipeline.db.tables import agents, corrections, reviews
from pipeline.errors import InputError
from pipeline.models.prompts import read_prompt
from pipeline.reports.failures import Failure, FailureGroup, grouped, listed
from pipeline.reports.weeks import Week
from tests.reports.conftest import WEEK, Seed, hour

THIS = Week.parse(WEEK)
PROMPTS = Path(__file__).parents[2] / "prompts"
ROUTINE = read_prompt(PROMPTS / "routine" / "cheap.md", "routine/cheap")


@pytest.fixture
def full(store: Store) -> Store:
    """3 routine drafts rejected for one reason, 1 rewritten; 2 topics and 1 list of fields corrected; 3 calls."""
    with store.write() as connection:
        connection.execute(
            agents.insert().values(id=1, email="ann@shop.example", role="agent", created_at=hour(-100))
        )
        seed = Seed(connection)
        for n in range(3):
            _ticket, review = seed.judged(hour(10 + n), "rejected", prompt=ROUTINE.digest)
            _change(seed, review, reject_reason="wrong_facts", note="no such plan")
        _ticket, review = seed.judged(hour(20), "rewritten", text="Dear all")
        _change(seed, review, edit_share=0.75, sent_text="Hello Eve")
        for outcome, draft in (
            ("as_is", {}),
            ("heavy", {}),
            ("rejected", {"task": "draft", "route": "strong"}),
        ):
            seed.judged(hour(21), outcome, **draft)
        seed.judged(hour(-1), "rejected")
        for n in range(3):
            ticket = seed.ticket(hour(30))
            at = hour(-1 if n == 2 else 30 + n)
            reading = seed.triage(ticket, seed.message(ticket, at), at, topic="billing")
            for name, old, new, by in (
                ("topic", "billing", "refund", "agent"),
                ("topic", "billing", "refund", "model"),  # the same again: one reading
                ("fields", {"names": []}, {"names": [{"value": "Eve"}]}, "agent"),
            ):
                if name == "topic" or n == 0:
                    _correct(seed, ticket, reading, name, old, new, by)
        ticket = seed.ticket(hour(40))
        message = seed.message(ticket, hour(40))
        call = {"ticket_id": ticket, "message_id": message, "task": "triage", "prompt_name": "triage/cheap"}
        bad = {"state": "failed", "error_kind": "invalid", "error": "the answer failed its schema"}
        seed.call(hour(40), **call, **bad)
        seed.call(hour(40), **call, **bad, role="repair", attempt=2)
        seed.call(hour(40), **call, role="safe_default", attempt=3)
        seed.call(hour(41), state="unknown", error_kind="timeout")
        seed.call(hour(41), state="not_called", error_kind="budget")
        seed.call(hour(41), **bad, route="strong")
    return store


def _change(seed: Seed, review: int, **values: Any) -> None:
    seed.connection.execute(reviews.update().where(reviews.c.id == review).values(**values))


def _correct(seed: Seed, ticket: int, reading: int, name: str, old: Any, new: Any, by: str) -> None:
    seed.connection.execute(
        corrections.insert().values(
            ticket_id=ticket, triage_id=reading, field=name, old=old, new=new, by_kind=by,
            by_name="agent:ann@shop.example" if by == "agent" else "big", at=hour(50),
        )
    )  # fmt: skip


def all_of(store: Store, limit: int = 50, **only: str) -> tuple[list[Failure], int]:
    """All pages."""
    page = listed(store, THIS, "UTC", only, limit=limit, prompts=PROMPTS)
    rows = list(page.rows)
    while page.next is not None:
        page = listed(store, THIS, "UTC", only, after=page.next, limit=limit, prompts=PROMPTS)
        rows += page.rows
    return rows, page.total


def test_failures_are_grouped_by_prompt_and_what_went_wrong(full: Store) -> None:
    with full.read() as connection:
        groups = grouped(connection, hour(0), hour(168))
    counts = {(g.kind, g.prompt, g.what, g.before, g.after): g.count for g in groups}
    assert counts == {
        ("draft", f"routine {ROUTINE.digest[:8]}", "rejected", "", "wrong_facts"): 3,
        ("draft", "routine aaaaaaaa", "rewritten", "", ""): 1,
        ("reading", "triage p", "topic", "billing", "refund"): 2,
        ("reading", "triage p", "fields", "", ""): 1,
        ("call", "triage p", "invalid", "model", "repair"): 1,
        ("call", "triage p", "invalid", "repair", "safe_default"): 1,
        ("call", "routine p", "timeout", "model", "nobody"): 1,
    }
    assert isinstance(groups[0], FailureGroup)
    assert groups[0].tickets == (3, 2, 1)  # the newest first
    for group in groups:  # each group leads to its own rows
        only = {"kind": group.kind, "prompt": group.prompt, "what": group.what}
        only |= {name: value for name, value in (("before", group.before), ("after", group.after)) if value}
        rows, _total = all_of(full, **only)
        assert len({(row.ticket_id, row.at, row.before) for row in rows}) == group.count


def test_the_list_shows_what_was_said_what_was_done_and_why(full: Store) -> None:
    rows, total = all_of(full)
    assert total == len(rows) == 12
    rejected = next(row for row in rows if row.what == "rejected")
    assert (rejected.action, rejected.reason) == ("rejected the draft", "wrong facts: no such plan")
    assert (rejected.prompt_name, rejected.output) == ("routine/cheap", "Hello.")
    assert rejected.prompt_text == (PROMPTS / "routine" / "cheap.md").read_text(encoding="utf-8")
    rewritten = next(row for row in rows if row.what == "rewritten")
    assert rewritten.action == "rewrote the draft (75% changed) and sent: Hello Eve"
    assert rewritten.prompt_text is None  # the file in force is another
    topic = [row for row in rows if row.what == "topic"]
    assert {row.action for row in topic} == {
        "ann@shop.example changed topic from billing to refund",
        "model big changed topic from billing to refund",
    }
    assert json.loads(topic[0].output)["topic"] == "billing"
    calls = [row for row in rows if row.kind == "call"]
    assert [row.action for row in calls] == [
        "nothing else was asked: a person",
        "the built-in part did it",
        "shown its error and asked once more",
    ]


def test_pages_do_not_lose_or_repeat_a_row(full: Store) -> None:
    with full.write() as connection:  # many at one moment, of two kinds
        seed = Seed(connection, count(1000))
        for _n in range(4):
            seed.judged(hour(41), "rejected")
            seed.call(hour(41), state="failed", error_kind="timeout")
    whole, total = all_of(full)
    assert total == 20
    for limit in (1, 3, 7):
        rows, again = all_of(full, limit=limit)
        assert (rows, again) == (whole, total)
    assert [row.at for row in whole] == sorted((row.at for row in whole), reverse=True)
    assert all(hour(0) <= row.at < hour(168) - timedelta(hours=1) for row in whole)


def test_a_filter_or_a_place_that_cannot_be_is_refused(sqlite_store: Store) -> None:
    for only, after, said in (
        ({"outcome": "x"}, None, "not filtered by 'outcome'"),
        ({"kind": "x"}, None, "no kind of failure"),
        ({}, "2026-11-16|draft|1", "no place in this list"),
        ({}, "2026-11-16T00:00:00+00:00|draft|one", "no place in this list"),
        ({}, "2026-11-16T00:00:00+00:00|raw|1", "no place in this list"),
        ({}, "0001-01-01T00:00:00+23:59|draft|1", "no place in this list"),
    ):
        with pytest.raises(InputError, match=said):
            listed(sqlite_store, THIS, "UTC", only, after)
