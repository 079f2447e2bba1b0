"""The export of rows, and everything about one ticket."""

from __future__ import annotations

import csv
import io
import json
from datetime import timedelta
from decimal import Decimal

import pytest

from pipeline.db.store import Store
from pipeline.db.tables import messages
from pipeline.errors import InputError, NotFoundError
from pipeline.reports.export import WHAT, export, safe_cell
from pipeline.reports.show import explain, show
from tests.reports.conftest import MONDAY


def lines(store: Store, what: str, since: object = None) -> list[dict[str, object]]:
    out = io.StringIO()
    count = export(store, what, since, "jsonl", out)  # type: ignore[arg-type]  # None or a datetime
    found = [json.loads(line) for line in out.getvalue().splitlines()]
    assert len(found) == count
    return found


@pytest.mark.parametrize("what", list(WHAT))
def test_every_table_comes_out_whole_in_both_formats(seeded: Store, what: str) -> None:
    found = lines(seeded, what)
    out = io.StringIO()
    assert export(seeded, what, None, "csv", out) == len(found)
    table = list(csv.reader(io.StringIO(out.getvalue(), newline="")))
    assert len(table) == len(found) + 1
    assert table[0] == (list(found[0]) if found else table[0])
    key = [column.name for column in WHAT[what].table.primary_key.columns]
    order = [tuple(row[name] for name in key) for row in found]
    assert order == sorted(order)  # type: ignore[type-var]  # numbers, or names of caps
    if "id" in table[0]:
        assert key == ["id"]


def test_what_would_open_a_door_stays_here(seeded: Store) -> None:
    assert not {"reply_token", "lease_token"} & set(lines(seeded, "tickets")[0])


def test_money_and_times_are_exact(seeded: Store) -> None:
    call = lines(seeded, "calls")[0]
    assert call["cost_usd"] == "0.001"
    assert call["started_at"] == (MONDAY + timedelta(hours=1)).isoformat()


def test_since_leaves_out_what_is_older(seeded: Store) -> None:
    everything, late = lines(seeded, "calls"), lines(seeded, "calls", MONDAY + timedelta(hours=20))
    assert len(late) == 3
    assert len(everything) > 3
    # a row that was opened before but judged after is among them: the report counts it by its judgement
    judged = lines(seeded, "reviews", MONDAY + timedelta(hours=2) - timedelta(seconds=1))
    assert any(str(row["opened_at"]) < (MONDAY + timedelta(hours=2)).isoformat() for row in judged)


def test_a_cell_cannot_start_a_formula(seeded: Store) -> None:
    with seeded.write() as connection:
        connection.execute(
            messages.update().where(messages.c.id == 1).values(subject='=HYPERLINK("http://evil")')
        )
    out = io.StringIO()
    export(seeded, "messages", None, "csv", out)
    row = next(iter(csv.DictReader(io.StringIO(out.getvalue(), newline=""))))
    assert row["subject"] == '\'=HYPERLINK("http://evil")'
    assert [safe_cell(v) for v in ("@x", "+1 x", "-2", -2, "a=b", "\tx", None)] == [
        "'@x",
        "'+1 x",
        "-2",
        -2,
        "a=b",
        "'\tx",
        None,
    ]


def test_an_unknown_table_or_format_is_refused(store: Store) -> None:
    with pytest.raises(InputError, match="tickets, messages"):
        export(store, "passwords", None, "csv", io.StringIO())
    with pytest.raises(InputError, match="jsonl, csv"):
        export(store, "tickets", None, "xml", io.StringIO())


def test_everything_about_one_ticket(seeded: Store) -> None:
    shown = json.loads(json.dumps(show(seeded, 1)))
    assert shown["ticket"]["id"] == 1
    assert "reply_token" not in shown["ticket"]
    assert [
        len(shown[name]) for name in ("messages", "triages", "drafts", "reviews", "replies", "calls")
    ] == [
        1,
        1,
        1,
        1,
        4,
        2,
    ]
    assert shown["messages"][0]["attachments"][0]["filename"] == "=cmd.csv"
    assert shown["reviews"][0]["decided_by_email"] == "ann@shop.example"
    assert Decimal(shown["cost_usd"]) == Decimal("0.1")
    text = "\n".join(explain(shown))
    for part in ("ticket 1: ticket 1", "approve by ann@shop.example", "→ as_is", "a mail came", "anthropic")[
        :4
    ]:
        assert part in text


def test_a_ticket_that_does_not_exist(store: Store) -> None:
    with pytest.raises(NotFoundError, match="no ticket 99"):
        show(store, 99)
