"""One person's data goes from every table and file; the counts, and everybody else's rows, stay."""

from __future__ import annotations

import contextlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from pipeline.db.store import Store
from pipeline.db.tables import agents, messages, metadata, moves, raw_messages, replies, tickets
from pipeline.db.types import now
from pipeline.errors import InputError
from pipeline.ingest.files import ingest_paths
from pipeline.reports.measures import report
from pipeline.reports.rendering import as_json
from pipeline.reports.weeks import Week
from pipeline.retention import erasing, forgetting
from pipeline.retention.takeout import write_out
from pipeline.review.diff import diff
from tests.kit.live import mail
from tests.reports import busy
from tests.reports.conftest import hour
from tests.retention import canaries
from tests.retention.canaries import ANN, LINE, NAME, OWN_LINE, SPELT

WEEK = Week.parse("2026-W47")
HERS = re.compile("CANARY|(?<!jo)ann[.]lee|Ann Marie|garden gnome", re.IGNORECASE)


def dump(store: Store) -> dict[str, dict[Any, str]]:
    """Every row of every table as text, by table and key."""

    def shown(value: Any) -> Any:
        return bytes(value).decode() if isinstance(value, bytes | memoryview) else value

    found: dict[str, dict[Any, str]] = {}
    with store.read() as connection:
        for table in metadata.sorted_tables:
            rows = connection.execute(sa.select(table)).mappings().all()
            keys = [column.name for column in table.primary_key.columns]
            found[table.name] = {
                tuple(row[key] for key in keys): json.dumps(
                    {
                        n: bytes(v).decode() if isinstance(v, bytes | memoryview) else v
                        for n, v in row.items()
                    },
                    default=str,
                )
                for row in rows
            }
    return found


def figures(store: Store, *, texts: bool = False) -> Any:
    """The week as it is counted now, without the pairs' texts."""
    counted = as_json(report(store, WEEK, made_at=hour(400), diff=diff))
    if not texts:
        counted["pairs"] = [(pair["review_id"], pair["edit_share"]) for pair in counted["pairs"]]
    return counted


@pytest.fixture
def full(store: Store, tmp_path: Path) -> tuple[Store, Path, dict[str, int]]:
    return filled(store, tmp_path)


def filled(store: Store, tmp_path: Path) -> tuple[Store, Path, dict[str, int]]:
    busy.fill(store)
    ids = canaries.plant(store, {"pairs": []})
    canaries.plant_files(tmp_path / "home", ids)
    with store.write() as connection:  # the report as the schedule writes it, with Ann's pair
        document = figures(store, texts=True)
        connection.execute(metadata.tables["weekly_reports"].update().values(document=document))
    return store, tmp_path / "home", ids


def test_nothing_of_a_person_is_left_and_the_counts_stay(full: tuple[Store, Path, dict[str, int]]) -> None:
    store, home, ids = full
    before, counted = dump(store), figures(store)
    assert any("CANARY" in row for row in before["weekly_reports"].values()), "the written report quotes her"
    whole = forgetting.find(store, "ann.lee+other@CUSTOMER.example")
    assert (whole.tickets, whole.messages, whole.shared) == ((ids["ticket"],), (ids["guest"],), (ids["bob"],))
    planned = forgetting.forget(store, home, whole, dry_run=True)
    assert dump(store) == before
    assert planned.rows["tickets"] == 1
    assert planned.rows["messages"] == 2

    done = forgetting.forget(store, home, whole)
    after = dump(store)
    left = {name: row for name, rows in after.items() for row in rows.values() if HERS.search(row)}
    assert left == {}
    if store.engine.dialect.name == "sqlite":
        store.close()
        path = Path(str(store.url.database))
        raw = b"".join(file.read_bytes() for file in path.parent.glob(f"{path.name}*"))
        assert not HERS.search(raw.decode("latin-1"))
    files = {path: path.read_text() for path in home.rglob("*") if path.is_file()}
    assert not [path for path, text in files.items() if HERS.search(text)]
    assert (home / "outbox" / "2.eml").exists()
    assert all("Bob's" in files[home / name] for name in ("learned.jsonl", "prompts/draft/cases.jsonl"))
    assert done.left == []
    assert figures(store) == counted, "no figure of the week has changed"

    # what is not hers is as it was, but for what quotes her
    touched = {
        (name, key) for name in before for key in before[name] if before[name][key] != after[name].get(key)
    }
    others = {(name, key) for name, key in touched if not HERS.search(before[name][key])}
    assert others == set()
    with store.read() as connection:
        quoting = connection.execute(sa.select(messages).where(messages.c.id == ids["quoting"])).one()
        assert quoting.text == f"On Monday [erased] <[erased]> wrote:\n> [erased]\n{OWN_LINE}"
        assert quoting.cc == [{"name": "", "address": "carl@other.example"}]
        assert (quoting.html, quoting.from_address) == (None, canaries.BOB)
        bodies = {each.sha256: each.body for each in connection.execute(sa.select(raw_messages))}
    assert {sha[0] for sha, body in bodies.items() if body is None and sha[0] in "abcd"} == set("abc")
    audit = sa.text("UPDATE audit SET detail = 'x'")
    with pytest.raises(sa.exc.DatabaseError, match="append"), store.write() as connection:
        connection.execute(audit)

    again = forgetting.forget(store, home, forgetting.find(store, ANN))
    assert (again.rows, again.cut) == ({}, {})
    assert dump(store) == after


def test_a_run_that_was_killed_is_gone_on_with(
    sqlite_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after each of its transactions in turn, and then let through."""
    store, home, _ids = filled(sqlite_store, tmp_path)
    write, allowed = Store.write, 0

    class Killed(Exception):
        pass

    for allowed in range(25):
        left = allowed

        def counted(self: Store) -> Any:
            nonlocal left
            left -= 1
            if left < 0:
                raise Killed
            return write(self)

        monkeypatch.setattr(Store, "write", counted)
        with contextlib.suppress(Killed):
            forgetting.forget(store, home, forgetting.find(store, ANN))
        monkeypatch.setattr(Store, "write", write)
    forgetting.forget(store, home, forgetting.find(store, ANN))
    assert not [row for rows in dump(store).values() for row in rows.values() if HERS.search(row)]


def test_an_open_ticket_is_closed_and_nothing_is_sent_any_more(sqlite_store: Store, tmp_path: Path) -> None:
    store = sqlite_store
    source = tmp_path / "1.eml"
    source.write_bytes(mail("Where is it?", sender=f"{NAME} <{ANN}>"))
    ingest_paths(store, [source], "support")
    with store.write() as connection:
        connection.execute(
            agents.insert().values(id=1, email="bob@shop.example", role="agent", created_at=now())
        )
        review = canaries.ann(connection, "reviews", ticket_id=1, reason="draft", state="decided")
        canaries.ann(connection, "replies", ticket_id=1, review_id=review, answers_id=1, agent_id=1,
            message_id="r@shop.example", state="sending", created_at=now(), attempts=1,
        )  # fmt: skip
        connection.execute(tickets.update().values(status="approved", due_at=now()))
    whole = forgetting.find(store, SPELT)
    assert whole.sending == (1,)
    assert "being sent on #1" in forgetting.forget(store, tmp_path / "home", whole).left[0]
    with store.write() as connection:
        connection.execute(replies.update().values(state="waiting"))
    forgetting.forget(store, tmp_path / "home", forgetting.find(store, SPELT))
    with store.read() as connection:
        assert connection.execute(sa.select(tickets.c.status, tickets.c.due_at)).one() == ("closed", None)
        assert connection.execute(sa.select(replies.c.state)).scalar_one() == "withdrawn"
        assert (
            connection.execute(sa.select(moves.c.who).order_by(moves.c.id.desc())).scalars().first()
            == "forget"
        )

    # the same bytes once more are known; an answer of hers to the old thread opens a ticket of its own
    assert ingest_paths(store, [source], "support").to_json()["duplicates"] == 1
    source.write_bytes(
        mail(
            "Me again.", sender=f"{NAME} <{ANN}>", message_id="m2@customer.example",
            headers="In-Reply-To: <r@shop.example>\r\nReferences: <m1@customer.example> <r@shop.example>\r\n",
        )
    )  # fmt: skip
    ingest_paths(store, [source], "support")
    with store.read() as connection:
        rows = connection.execute(
            sa.select(tickets.c.customer_address, tickets.c.status).order_by(tickets.c.id)
        ).all()
    assert rows[0][0] is None
    assert [row[1] for row in rows] == ["closed", "received"]
    assert forgetting.find(store, ANN).tickets == (2,)


def test_what_is_handed_over_is_all_of_it(sqlite_store: Store, tmp_path: Path) -> None:
    busy.fill(sqlite_store)
    canaries.plant(sqlite_store, {"pairs": []})
    path = tmp_path / "ann.jsonl"
    with path.open("w") as file:
        number = write_out(sqlite_store, forgetting.find(sqlite_store, ANN), file)
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert number == len(rows)
    assert {"tickets", "messages", "raw_messages", "attachments", "drafts", "replies"} <= {
        row["table"] for row in rows
    }
    assert LINE in path.read_text()
    assert "ann-token" not in path.read_text()


@pytest.mark.parametrize("address", ["ann", "a b@c", "ann@shop.example"])
def test_what_is_no_customers_address_is_refused(sqlite_store: Store, address: str) -> None:
    with sqlite_store.write() as connection:
        connection.execute(agents.insert().values(email="ann@shop.example", role="agent", created_at=now()))
    with pytest.raises(InputError):
        forgetting.find(sqlite_store, address)


def test_the_words_that_the_report_counts_by_are_those_of_the_notes() -> None:
    from pipeline.reports.friction import HAD_TYPED

    assert erasing.TYPED == HAD_TYPED


def test_a_file_that_others_hold_open_is_said(sqlite_store: Store, tmp_path: Path) -> None:
    """The rows are erased all the same; a run when nobody reads any more writes the file anew."""
    busy.fill(sqlite_store)
    canaries.plant(sqlite_store, {"pairs": []})
    with sqlite_store.read() as reader:
        reader.execute(sa.select(messages.c.id).limit(1)).all()
        done = forgetting.forget(sqlite_store, tmp_path, forgetting.find(sqlite_store, ANN))
        assert done.rows["tickets"] == 1
        assert "still stand in the log" in done.left[0]
    assert forgetting.forget(sqlite_store, tmp_path, forgetting.find(sqlite_store, ANN)).left == []
