"""The ways in for hostile texts: mail, a webhook, account look-ups, models, and people; all of them as in use."""

from __future__ import annotations

import base64
import contextlib
import json
import re
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx2
import sqlalchemy as sa
import standardwebhooks

from pipeline.db.tables import reviews, tickets
from pipeline.review import agents, saved_views, typed
from pipeline.review.agents import Agent
from pipeline.review.corrections import correct_fields
from pipeline.steps import redrafting, run_until_idle
from tests.journeys import scripted
from tests.kit.model_replies import Reply, Seen, ok
from tests.kit.model_server import ModelServer
from tests.test_redrafting import CHEAP, GPT
from tests.test_steps import bring
from tests.web import seed
from tests.web.hostile import EVERY, FIRST, Text, batches
from tests.web.test_evaluations import HEADER, HOUSE, LUNA, run
from tests.web.whole import SECRET, Whole, whole

if TYPE_CHECKING:
    from pathlib import Path

BATCHES = batches(25)
NAME = "<img src=x onerror=alert(9)>"
ACCOUNTS = f"""
[[connector]]
name = "crm"
kind = "sql"
url = "sqlite:///{{home}}/crm.db"
[connector.queries]
account = 'SELECT plan, status, last_login, "{NAME}", seats FROM customers WHERE email = :address'
payments = "SELECT * FROM payments WHERE email = :address"
"""


@dataclass(frozen=True)
class Attacked:
    """A served place into which every text came by every way; `eve`, who looks at it, has a hostile name too.

    `mails` and `hooks` are tickets, one for each of `BATCHES`; those of `hooks` are decided. `written` was put
    straight into the store, with a text of each kind also where only our own words stand.
    """

    whole: Whole
    mails: list[int]
    hooks: list[int]
    written: int
    eve: Agent
    comparison: int


@contextlib.contextmanager
def attacked(home: Path, migrated: Path) -> Iterator[Attacked]:
    """Serve it from `home`, on a copy of the migrated database."""
    (home / "accounts.toml").write_text(ACCOUNTS, encoding="utf-8")
    _fill_crm(home / "crm.db", joined(BATCHES[0], 480))
    with ModelServer(hostile_answer) as server, whole(home, migrated, server) as place:
        mails = [bring(place.parts, hostile_mail(number, batch)) for number, batch in enumerate(BATCHES)]
        hooks = [by_webhook(place, number, batch) for number, batch in enumerate(BATCHES)]
        run_until_idle(place.parts, threads=2)
        eve, comparison = by_people(place, mails, hooks)
        line = joined(list(FIRST.values()), 3000)
        header = replace(HEADER, source=line, prompt=line[:12], prompt_path=line, unmeasured=(line,))
        run(place.parts.home / "evaluations", header, dict.fromkeys("abc", True) | {"d": False}, line)
        header = replace(header, run="tuesday", models=(LUNA, HOUSE))
        run(place.parts.home / "evaluations", header, {"a": False, "d": True}, line)
        yield Attacked(place, mails, hooks, written_straight(place, line), eve, comparison)


def joined(batch: list[Text], most: int = 10_000) -> str:
    """The texts of a batch in one line, as many as fit into that many characters; the short ones first."""
    line = ""
    for text in sorted(batch, key=lambda text: len(text.text)):
        piece = " ".join(text.text.split())
        if len(line) + len(piece) < most:
            line = f"{line} {piece}".strip()
    return line


def written_straight(place: Whole, line: str) -> int:
    row = {"id": line, "at": line, "amount": line, "currency": line, "description": line, "source": line}
    return seed.ticket(
        place.parts.store, subject=line, name=line, text=line, quoted=f"> {line}", summary=line, draft=line,
        detail=line, topic="other", fields={"order_numbers": [{"value": line, "normalised": line}]},
        claims=({"text": line, "supported_by": "nothing"},), blocked=(line,), reasons=(line,),
        files=((line, line, b"<script>alert(9)</script>"),),
        facts={
            "flags": [{"kind": "x", "text": line, "rows": [row]}], "more": {line: {"value": line, "source": line}},
            "orders": [row], "open_tickets": [{"id": 1, "subject": line}], "plan": {"value": [line]},
        },
    )  # fmt: skip


# --- customers ------------------------------------------------------------------------------------------


def hostile_mail(number: int, batch: list[Text]) -> bytes:
    """A mail with the batch in every header that is shown, in its text and as its attachments."""
    line = _encoded(joined(batch, 900))
    head = (
        f"From: {line} <\"'onfocus=alert(9)'\"@customer.example>\r\nTo: support@shop.example\r\n"
        f"Reply-To: {line} <x'{{{{7919*7927}}}}'@customer.example>\r\nSubject: {line}\r\n"
        f'Message-ID: <m{number}"><script>alert(9)</script>@customer.example>\r\nMIME-Version: 1.0\r\n'
        "Date: Fri, 31 Dec 9999 23:59:59 +0000\r\nContent-Type: multipart/mixed; boundary=cut\r\n\r\n"
    )
    text = f"This is a disgrace! order 700{number:02}\r\n" + "\r\n".join(text.text for text in batch)
    parts = [f"Content-Type: text/plain; charset=utf-8\r\n\r\n{text}"]
    parts += [
        f"Content-Type: text/html; name=a\r\nContent-Disposition: attachment; "
        f"filename*=utf-8''{quote(text.text[:200])}\r\n\r\n{text.text}"
        for text in batch
    ]
    return (head + "".join(f"--cut\r\n{part}\r\n" for part in parts) + "--cut--\r\n").encode()


def _encoded(line: str) -> str:
    """A header's value in encoded words."""
    data = line.encode()
    pieces = (base64.b64encode(data[at : at + 45]).decode() for at in range(0, len(data), 45))
    return "\r\n ".join(f"=?utf-8?b?{piece}?=" for piece in pieces)


def by_webhook(place: Whole, number: int, batch: list[Text]) -> int:
    """The batch as HTML, and in every field of an event of the generic source; returns the ticket."""
    line = joined(batch, 900)
    event = {
        "id": f"e{number}<b>", "from": {"name": line, "address": "hook@customer.example"}, "subject": line,
        "html": f"<p>order 700{number:02}</p>" + "".join(f"<div>{text.text}</div>" for text in batch),
        "thread": f"{number} {line}"[:200], "verified_sender": True,
        "attachments": [
            {"name": one.text[:200], "content_type": one.text[:80], "data": "eA==", "content_id": one.text[:80]}
            for one in batch
        ],
    }  # fmt: skip
    body = json.dumps(event).encode()
    at = datetime.now(UTC).replace(microsecond=0)
    headers = {
        "content-type": "application/json", "webhook-id": f"e{number}", "webhook-timestamp": f"{at.timestamp():.0f}",
        "webhook-signature": standardwebhooks.Webhook(SECRET).sign(f"e{number}", at, body.decode()),
    }  # fmt: skip
    answer = httpx2.post(f"{place.url}/webhooks/shop", content=body, headers=headers)
    assert answer.status_code == 200, answer.text
    with place.parts.store.read() as c:
        return int(c.execute(sa.select(sa.func.max(tickets.c.id))).scalar_one())


def _fill_crm(path: Path, line: str) -> None:
    with contextlib.closing(sqlite3.connect(path)) as crm, crm:
        crm.execute(f'CREATE TABLE customers (email, plan, status, last_login, "{NAME}", seats)')
        crm.execute("CREATE TABLE payments (email, id, at, amount, currency, description, status, refunded)")
        crm.execute("INSERT INTO customers VALUES (?, ?, ?, ?, ?, ?)", ("hook@customer.example", *[line] * 5))
        paid = ("hook@customer.example", line, "2026-11-19T08:00:00Z", "49.00", line, line, "paid", "")
        crm.executemany("INSERT INTO payments VALUES (?, ?, ?, ?, ?, ?, ?, ?)", [paid, paid])


# --- models ---------------------------------------------------------------------------------------------


def hostile_answer(seen: Seen) -> Reply:
    """A model that was talked into it: the batch stands in every field of its reading and of its draft."""
    found = re.search(r"order 700(\d\d)", seen.user)
    batch = BATCHES[int(found[1])] if found else []
    if scripted.is_reading(seen):
        read = scripted.reading(seen.user)
        read["summary"] = joined(batch, 390) or "asks where the order is"
        read["fields"]["names"] = [
            {"value": text.text, "normalised": text.text}
            for text in batch
            if len(text.text) < 400 and text.text in seen.user
        ]
        return ok(read, tokens=scripted.READ)
    # what looks like an open placeholder is refused, and the ticket would have no draft
    texts = [text.text for text in batch if len(text.text) < 400 and text.kind != "templates"]
    wrote: dict[str, Any] = scripted.draft(seen.user)
    wrote |= {"asks": texts, "why": joined(batch, 500), "reply": "Hello,\n\n" + "\n".join(texts)}
    wrote["claims"] = [{"text": text, "supported_by": "nothing"} for text in texts]
    return ok(wrote, tokens=scripted.WROTE)


# --- people ---------------------------------------------------------------------------------------------


def by_people(place: Whole, mails: list[int], hooks: list[int]) -> tuple[Agent, int]:
    """Accounts, views, notes, typed texts, corrections and decisions; returns Eve and the comparison's id."""
    store, desk = place.parts.store, place.parts.desk
    eve = agents.add(store, "eve@shop.example", "admin", joined([*EVERY], 100))
    agents.set_zone(store, eve.id, "Asia/Tokyo")  # where the last day of the calendar has no evening
    named = [
        agents.add(store, f"p{number}'onfocus='alert`9`'@shop.example", "agent", text.text)
        for number, text in enumerate(FIRST.values())
    ]
    short = [text.text for text in EVERY if len(text.text) <= 40 and text.text.isprintable()]
    for name in short[: saved_views.VIEWS_AT_MOST]:
        saved_views.save(store, named[0], name, f"q={quote(name)}")
        if name in short[:8]:
            saved_views.save(store, eve, name, f"q={quote(name)}", shared=True)

    def row(ticket_id: int) -> sa.Row[Any, Any]:
        query = sa.select(reviews.c.id, tickets.c.version).join(tickets)
        with store.read() as c:
            return c.execute(query.where(tickets.c.id == ticket_id, reviews.c.state == "open")).one()

    for number, (mail, hook) in enumerate(zip(mails, hooks, strict=True)):
        batch, by = BATCHES[number], named[number]
        lines = "\n".join(text.text for text in batch if len(text.text) < 400)
        desk.note(row(mail).id, by, f"@eve 9999-12-31 23:59\n9999-12-31 23:59 UTC, x\n{lines}")
        typed.keep(store, row(mail).id, eve, lines)
        values = [("names", text.text) for text in batch if len(text.text) <= 200]
        correct_fields(store, mail, by, row(mail).version, added=values)
        desk.assign(mail, by, row(mail).version, by.email)
        if number % 2:
            desk.close(row(hook).id, by, row(hook).version, joined(batch, 500))
        else:
            desk.reject(row(hook).id, by, row(hook).version, "other", joined(batch, 500))
            desk.replace(row(hook).id, by, row(hook).version, lines)
    compared = row(mails[1])
    return eve, redrafting.compare(place.parts, compared.id, eve, compared.version, (CHEAP, GPT))
