"""`triage calibrate`: what people made of past tickets, labelled cases, and the command."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from pipeline import batch, calibrate
from pipeline.assembly import Parts
from pipeline.db.tables import agents, corrections, drafts, messages, reviews, tickets, triages
from pipeline.db.types import now
from pipeline.errors import InputError
from tests.kit.model_replies import Seen
from tests.kit.model_server import ModelServer
from tests.triage.conftest import ANSWER, QUESTION, Opened, told


def judged(
    parts: Parts, outcome: str, *, source: str = "model", model: str = "gpt-6-luna", **triage: Any
) -> int:
    """A message that was read, answered by a cheap draft, and judged by an agent; returns its triage."""
    at = now()
    with parts.store.write() as connection:
        number = connection.execute(sa.select(sa.func.count()).select_from(messages)).scalar_one()
        ticket = insert(
            connection,
            tickets,
            {"inbox": "support", "subject": "s", "status": "closed", "reply_token": f"t{number}"}
            | {"created_at": at, "updated_at": at},
        )
        message = insert(
            connection,
            messages,
            {"ticket_id": ticket, "inbox": "support", "direction": "inbound", "kind": "person"}
            | {"received_at": at, "body_hash": "x", "fingerprint": f"f{number}", "new_text": "Where is it?"},
        )
        found = insert(
            connection,
            triages,
            {"ticket_id": ticket, "message_id": message, "confidence": 0.9, "stated": 0.9, "route": "cheap"}
            | {"model": model, "prompt": parts.prompts.load("triage", "cheap").digest, "created_at": at}
            | {name: ANSWER[name] for name in ("topic", "language", "urgency", "emotion", "clarity")}
            | triage,
        )
        draft = insert(
            connection,
            drafts,
            {"ticket_id": ticket, "message_id": message, "route": "cheap", "task": "routine"}
            | {"source": source, "provider": "openai", "model": "m", "tier": "cheap", "prompt": "p"}
            | {"text": "Hello.", "language": "en", "created_at": at},
        )
        insert(
            connection,
            reviews,
            {"ticket_id": ticket, "draft_id": draft, "reason": "draft", "detail": "d", "state": "decided"}
            | {"opened_at": at, "decided_at": at, "decided_by": agent(connection), "outcome": outcome},
        )
    return found


def insert(connection: sa.Connection, table: sa.Table, row: dict[str, Any]) -> int:
    return int(connection.execute(table.insert().values(**row).returning(table.c.id)).scalar_one())


def agent(connection: sa.Connection) -> int:
    found = connection.execute(sa.select(agents.c.id)).scalar()
    row = {"email": "ann@shop.example", "role": "agent", "created_at": now()}
    return int(found) if found else insert(connection, agents, row)


def corrected(parts: Parts, triage: int, name: str, new: str) -> None:
    with parts.store.write() as connection:
        ticket = connection.execute(sa.select(triages.c.ticket_id).where(triages.c.id == triage)).scalar_one()
        row = {"ticket_id": ticket, "triage_id": triage, "field": name, "old": "x", "new": new, "at": now()}
        insert(connection, corrections, row | {"by_kind": "agent", "by_name": "agent:ann@shop.example"})


def test_right_and_wrong_are_what_people_made_of_the_tickets(parts: Parts) -> None:
    for outcome in ("as_is", "light", "heavy"):
        judged(parts, outcome)
    judged(parts, "rewritten", source="template")  # a template is rewritten whatever was read
    corrected(parts, judged(parts, "as_is"), "emotion", "worried")  # calm or worried, the route is the same
    since = now() - timedelta(days=1)
    rows = calibrate.from_tickets(parts, parts.store, None, since).rows
    assert [row.right for row in rows] == [True] * 5

    for name, new in (("topic", "refund"), ("urgency", "high"), ("emotion", "angry"), ("clarity", "vague")):
        corrected(parts, judged(parts, "as_is"), name, new)
    for outcome in calibrate.REWRITTEN:
        judged(parts, outcome)
    judged(parts, "expired")  # nobody judged it
    judged(parts, "as_is", prompt="an older prompt")
    judged(parts, "as_is", model="local")
    judged(parts, "as_is", route="strong", reasons=["The message is vague."])
    gathered = calibrate.from_tickets(parts, parts.store, None, since)
    assert [row.right for row in gathered.rows] == [True] * 5 + [False] * 7 + [True]
    assert [row.kept for row in gathered.rows] == [True] * 12 + [False]
    assert dict(gathered.left_out) == {"nobody has judged them yet": 1}
    assert len(calibrate.from_tickets(parts, parts.store, "local", since).rows) == 1


def test_too_few_reviewed_tickets_are_refused_with_what_mends_it(parts: Parts) -> None:
    judged(parts, "as_is")
    gathered = calibrate.from_tickets(parts, parts.store, None, now() - timedelta(days=1))
    with pytest.raises(
        InputError, match=r"hold 1 readings by gpt-6-luna.* at least 30 are needed.*--from cases"
    ):
        calibrate.calibrate(parts, gathered, 0.02)


def triage(home: Path, server: ModelServer, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "TRIAGE_HOME": str(home)}
    environment |= {"OPENAI_API_KEY": "sk-test", "OPENAI_BASE_URL": server.openai_url}
    command = [sys.executable, "-c", "from pipeline.cli import main; main()", *words]
    return subprocess.run(command, cwd=home, env=environment, capture_output=True, text=True, check=False)


def test_the_command_measures_a_model_on_cases_and_keeps_the_fit(
    server: ModelServer, brain: Opened, tmp_path: Path
) -> None:
    """The model says 0.95 throughout; its topic's tokens tell where it is wrong."""

    def answer(seen: Seen) -> Any:
        right = "parcel" in seen.user
        logs = (math.log(0.97), math.log(0.99)) if right else (math.log(0.6), math.log(0.9))
        return told(ANSWER | {"confidence": 0.95}, logs)

    server.answer_by(answer)
    cases = tmp_path / "cases.jsonl"
    lines = [
        {"id": f"c{n}", "subject": None, "body": f"Where is my {'parcel' if n % 10 else 'money'} {n}?"}
        | {
            "expect": {
                "topic": "order_shipping" if n % 10 else "billing",
                "language": "en",
                "clarity": "clear",
            }
        }
        for n in range(120)
    ]
    cases.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    words = ("calibrate", "--cases", str(cases), "--target", "0.05")
    done = triage(tmp_path, server, *words, "--write", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["rows"], found["right"], found["errors"], found["kept"]) == (120, 108, 0, 108)
    assert found["after"]["ece"] < found["before"]["ece"]
    assert 0.3 <= found["threshold"] <= 0.99
    assert found["error_bound"] < 0.05
    assert "confidence_below" in found["answer"]
    assert Path(found["written"]) == tmp_path / "calibration.json"

    people = triage(tmp_path, server, *words)
    assert people.stdout.splitlines()[-1] == found["answer"]
    server.answer_by(lambda seen: told(ANSWER | {"confidence": 0.95}, (math.log(0.98), math.log(0.98))))
    row = batch.classify_row(brain(), QUESTION)
    assert (row["calibrated"], row["route"]) == (True, "cheap")


def test_a_cap_ends_the_run_on_cases_and_says_so(server: ModelServer, brain: Opened) -> None:
    server.answer_by(lambda seen: ANSWER)
    capped = brain(day="0.02")
    path = capped.prompts.folder / "triage" / "cases.jsonl"
    gathered = calibrate.from_cases(capped, path, None, lambda: None)
    assert len(gathered.rows) < 200
    assert gathered.left_out["a spend cap stopped the run before they were read"] > 20
