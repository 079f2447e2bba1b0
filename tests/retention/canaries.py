"""Ann and Bob in one store: Ann's words stand in every column that may hold some, Bob's beside them."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa

from pipeline.db.store import Store
from pipeline.db.tables import metadata
from pipeline.retention.columns import ERASED, SWEPT
from tests.reports.conftest import hour

ANN = "Ann.Lee+shop@customer.example"
SPELT = "ann.lee@customer.example"
NAME = "Ann Marie Lee"
LINE = "CANARY the parcel for the garden gnome is lost"
OWN_LINE = "My own words, which stay as they are, every one."
BOB = "bob@other.example"


AT = hour(50)


def of(column: sa.Column[Any]) -> Any:
    """What stands in a column of Ann's row."""
    words = f"{column.table.name}.{column.name} {NAME} <{ANN}>"
    if column.name in ERASED.get(column.table.name, {}):
        words = f"CANARY {words}"
    if isinstance(column.type, sa.JSON):
        people = column.name in ("to", "cc", "reply_to")
        return [{"address": ANN, "name": NAME, "text": words}] if people else {"k": words}
    return words.encode() if isinstance(column.type, sa.LargeBinary) else words


def ann(connection: sa.Connection, name: str, /, **values: Any) -> int:
    """A row of Ann's: a canary in every column that is erased, her address in every one that is swept."""
    table = metadata.tables[name]
    canaries = {column: of(table.c[column]) for column in (*ERASED.get(name, {}), *SWEPT.get(name, ()))}
    return row(connection, name, **(canaries | values))


def row(connection: sa.Connection, name: str, /, **values: Any) -> int:
    """A row; what must be there and is not given is filled in. Returns its id."""
    table = metadata.tables[name]
    needed = (one for one in table.c if not one.nullable and not one.primary_key and one.default is None)
    rest = {one.name: _any(one) for one in needed if one.name not in values}
    key = connection.execute(table.insert().values(**rest, **values)).inserted_primary_key
    return int(key[0]) if key and isinstance(key[0], int) else 0


def _any(column: sa.Column[Any]) -> Any:
    if column.name.endswith("_at") or column.name == "at":
        return AT
    if isinstance(column.type, sa.JSON):
        return []
    # where a name must be another's than any, it is
    return f"{column.name} {next(_NUMBERS)}" if isinstance(column.type, sa.Text) else 0


_NUMBERS = itertools.count()


def plant(store: Store, report: dict[str, Any]) -> dict[str, int]:
    """Ann's closed ticket with everything, her mail on Bob's ticket, Bob's mail that quotes her; returns their ids."""
    ids: dict[str, int] = {}
    with store.write() as c:
        t = ids["ticket"] = ann(
            c, "tickets", status="closed", customer_address=ANN, customer_name=NAME, reply_token="ann-token"
        )
        raw = ann(c, "raw_messages", sha256="a" * 64, state="parsed")
        ann(c, "raw_messages", sha256="b" * 64, state="duplicate")
        hers = {
            "direction": "inbound",
            "kind": "person",
            "from_name": NAME,
            "new_text": LINE,
            "triaged_at": AT,
        }
        m = ids["message"] = ann(c, "messages", ticket_id=t, raw_id=raw, from_address=ANN, **hers)
        ann(c, "blobs", sha256="f" * 64, data=b"CANARY file")
        ann(c, "attachments", message_id=m, sha256="f" * 64, inline=False)
        call = ann(
            c, "model_calls", ticket_id=t, message_id=m, task="triage", route="cheap", state="ok", attempt=1
        )
        triage = ann(c, "triages", ticket_id=t, message_id=m, call_id=call, route="cheap", topic="billing")
        ann(c, "shadows", ticket_id=t, triage_id=triage, missed=False, reasons=[f"Of {SPELT.upper()}."])
        ann(c, "corrections", ticket_id=t, triage_id=triage, field="fields", by_kind="agent")
        ann(c, "account_facts", ticket_id=t)
        long = f"CANARY draft for {NAME}. " + "x" * 500
        d = ids["draft"] = ann(
            c, "drafts", ticket_id=t, message_id=m, route="strong", task="draft", text=long
        )
        r = ann(
            c, "reviews", ticket_id=t, draft_id=d, reason="draft", state="decided", decided_at=AT, decided_by=1,
            action="edit", outcome="rewritten", edit_share=0.9,
            note=f"2026-11-16 10:00 UTC, ann had typed, and not sent:\nCANARY {ANN}",
        )  # fmt: skip
        ann(c, "replies", ticket_id=t, review_id=r, answers_id=m, agent_id=1, state="sent", sent_at=AT)
        ann(c, "typed_texts", review_id=r, agent_id=1, instead=False)
        ann(c, "mentions", ticket_id=t, agent_id=1, by_id=2)
        ann(c, "second_reads", review_id=r, ticket_id=t, first_by=1, read_at=AT, verdict="as_is")
        ann(c, "moves", ticket_id=t, to_status="closed", version=1)
        ann(c, "proposals", kind="phrase", evidence=[r], state="open", week="2026-W47")
        ann(c, "imap_folders", inbox="support", folder="INBOX", uidvalidity=1)
        ann(c, "audit")
        ann(c, "saved_views", agent_id=1, query=f"q={quote(ANN)}")
        ann(c, "ways_out", inbox="support")
        ann(c, "login_attempts", ok=False)
        ann(c, "weekly_reports", week="2026-W47", zone="UTC", document=report)
        ann(c, "report_letters", week="2026-W47", state="failed")

        his = {"ticket_id": row(c, "tickets", status="answered", customer_address=BOB, subject="A fence")}
        ids["bob"] = his["ticket_id"]
        his |= {"direction": "inbound", "kind": "person", "from_address": BOB, "triaged_at": AT}
        said = f"On Monday {NAME} <{SPELT}> wrote:\n> {LINE}\n{OWN_LINE}"
        raw = row(c, "raw_messages", sha256="c" * 64, body=said.encode(), state="parsed")
        cc = [{"name": NAME, "address": SPELT}, {"name": "", "address": "carl@other.example"}]
        ids["quoting"] = row(
            c, "messages", **his, raw_id=raw, text=said, new_text=OWN_LINE, html=f"<p>{LINE}</p>", cc=cc
        )
        hers["from_address"] = SPELT.upper()
        ids["guest"] = ann(c, "messages", ticket_id=ids["bob"], **hers)
        raw = row(c, "raw_messages", sha256="d" * 64, body=b"from joann.lee@customer.example", state="parsed")
        his["from_address"] = "joann.lee@customer.example"
        row(c, "messages", **his, raw_id=raw, text="joann.lee@customer.example is another", html="<p>x</p>")
    return ids


def plant_files(home: Path, ids: dict[str, int]) -> None:
    """Ann in every kind of file that TRIAGE_HOME holds, Bob beside her."""
    run = home / "evaluations" / "one"
    for folder in (run, home / "outbox", home / "prompts" / "draft"):
        folder.mkdir(parents=True)
    hers, his = (
        {"id": f"message-{ids['message']}", "text": "CANARY said otherwise"},
        {"id": "message-0", "text": "Bob's"},
    )
    answers = [{"case": hers["id"], "model": "m", "answer": {"summary": f"CANARY {ANN}"}, "cost_usd": "0.1"}]
    for path, rows in (
        (run / "cases.jsonl", [hers, his]),
        (run / "answers.jsonl", answers),
        (home / "prompts" / "draft" / "cases.jsonl", [{"id": "a", "text": LINE}, his]),
        (
            home / "learned.jsonl",
            [{"of": f"ticket {ids['ticket']}", "body": "CANARY"}, {"of": "ticket 0", "body": "Bob's"}],
        ),
    ):
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (home / "outbox" / "1.eml").write_text(
        f"From: us@shop.example\nTo: {NAME} <{SPELT}>\n\nCANARY", encoding="utf-8"
    )
    (home / "outbox" / "2.eml").write_text(
        "From: us@shop.example\nTo: bob@other.example\n\nHello", encoding="utf-8"
    )
