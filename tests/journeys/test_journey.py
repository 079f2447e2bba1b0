"""The whole journey over real servers: mail in by IMAP, a person at the page, the reply by SMTP, the answer."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from email.utils import parseaddr
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from pipeline.db.tables import drafts, reviews, tickets
from tests.journeys import people, scripted
from tests.kit.live import mail
from tests.kit.mail_servers import Server, SmtpServer, append, imap_server
from tests.kit.model_server import ModelServer
from tests.kit.processes import Installation, inbox_of

APART = ("web", "worker", "beat", "watch")
JANE = "jane@customer.example"
QUESTION = "Hello,\n\nwhere is my order 48213? I ordered a week ago and the tracking shows nothing.\n\nJane"
EDITED = "Dear Jane,\n\nyour parcel left us this morning and is with the carrier.\n\nAnna from The Shop"


@dataclass(frozen=True)
class Variant:
    """How the installation is put together, and how its agent works."""

    parts: tuple[str, ...]
    database: str
    broker: str | None
    browser: bool
    models: bool


VARIANTS = {
    "sqlite-in-process": Variant(("up",), "sqlite", None, browser=True, models=False),
    "postgresql-rabbitmq": Variant(APART, "postgres", "rabbitmq", browser=False, models=True),
    "postgresql-redis": Variant(APART, "postgres", "redis", browser=False, models=False),
}


@pytest.fixture
def imap(tmp_path: Path) -> Iterator[Server]:
    with imap_server(tmp_path / "imap") as server:
        yield server


@pytest.fixture
def smtp() -> Iterator[SmtpServer]:
    with SmtpServer() as server:
        yield server


@pytest.fixture
def models() -> Iterator[ModelServer]:
    with ModelServer(scripted.answer) as server:
        yield server


@pytest.fixture(params=list(VARIANTS))
def variant(request: pytest.FixtureRequest) -> Variant:
    return VARIANTS[request.param]


@pytest.fixture
def installation(
    variant: Variant,
    tmp_path: Path,
    imap: Server,
    smtp: SmtpServer,
    models: ModelServer,
    request: pytest.FixtureRequest,
) -> Iterator[Installation]:
    keys = {
        "OPENAI_API_KEY": "sk-test",
        "OPENAI_BASE_URL": models.openai_url,
        "ANTHROPIC_API_KEY": "sk-ant-test",
        "ANTHROPIC_BASE_URL": models.anthropic_url,
    }
    with Installation(
        tmp_path / "home",
        variant.parts,
        database_url=request.getfixturevalue("postgres_url") if variant.database == "postgres" else None,
        broker_url=request.getfixturevalue(f"{variant.broker}_url") if variant.broker else None,
        inboxes=inbox_of(imap),
        environment=keys if variant.models else {},
        smtp_url=smtp.url,
    ) as installation:
        yield installation


@contextlib.contextmanager
def agent_of(variant: Variant, installation: Installation) -> Iterator[people.Agent]:
    with (people.by_browser if variant.browser else people.by_forms)(installation) as agent:
        yield agent


def the_ticket(installation: Installation, status: str) -> sa.Row[Any] | None:
    found = installation.rows(sa.select(tickets))
    assert len(found) <= 1, "one thread is one ticket"
    return found[0] if found and found[0].status == status else None


def test_a_mail_becomes_a_reply_and_its_answer_the_next_draft(
    variant: Variant, installation: Installation, imap: Server, smtp: SmtpServer, models: ModelServer
) -> None:
    installation.start()
    link = installation.json("agent", "add", people.EMAIL, "--role", "agent", "--json")["link"]

    append(imap, mail(QUESTION, subject="Where is my order 48213?", message_id="q1@customer.example"))
    ticket = installation.until(lambda: the_ticket(installation, "in_review"), "the first draft")
    assert (ticket.topic, ticket.language, ticket.route) == ("order_shipping", "en", "cheap")

    with agent_of(variant, installation) as agent:
        agent.enter(link)
        if variant.browser:
            assert "48213" in agent.draft(ticket.id)
            agent.send_edit(ticket.id, EDITED)
            approved, outcome = EDITED, "rewritten"
        else:
            approved, outcome = agent.send_draft(ticket.id), "as_is"
            assert "48213" in approved
        installation.until(lambda: the_ticket(installation, "answered"), "the reply to be out")

        assert len(smtp.journal) == 1
        reply = smtp.journal[0].message
        assert smtp.journal[0].recipients == (JANE,)
        assert parseaddr(reply["From"]) == ("The Shop", "support@shop.example")
        assert parseaddr(reply["To"])[1] == JANE
        assert reply["Subject"] == "Re: Where is my order 48213?"
        assert reply["In-Reply-To"] == "<q1@customer.example>"
        assert reply["References"] == "<q1@customer.example>"
        assert smtp.journal[0].text == f"{approved}\n\n-- \nYour friends at The Shop"

        again = "In the meantime the tracking shows that order 48213 went back to you. Why?"
        append(imap, people.answer_to(reply, again, message_id="q2@customer.example"))
        installation.until(
            lambda: len(installation.rows(sa.select(drafts))) == 2 and the_ticket(installation, "in_review"),
            "the second draft",
        )
        assert agent.draft(ticket.id) == installation.rows(sa.select(drafts.c.text))[1][0].strip()

    shown = installation.json("show", str(ticket.id), "--json")
    assert [(m["direction"], m["kind"]) for m in shown["messages"]] == [
        ("inbound", "person"),
        ("outbound", "reply"),
        ("inbound", "person"),
    ]
    assert shown["messages"][2]["new_text"] == again
    assert [move["to_status"] for move in shown["moves"]] == [
        "received", "routine", "in_review", "approved", "answered", "received", "routine", "in_review",
    ]  # fmt: skip
    assert [(r["state"], r["outcome"]) for r in shown["reviews"]] == [("decided", outcome), ("open", None)]
    assert shown["reviews"][0]["decided_by_email"] == people.EMAIL
    assert [r["state"] for r in shown["replies"]] == ["sent"]

    headline = installation.json("report", "--json")["headline"]
    assert (headline["reviewed"], headline[outcome]) == (1, 1)
    assert headline["rewrite_rate"]["count"] == (1 if variant.browser else 0)

    calls = shown["calls"]
    assert [(call["task"], call["state"]) for call in calls] == [("triage", "ok"), ("routine", "ok")] * 2
    if variant.models:
        assert {call["model"] for call in calls} == {"gpt-6-luna"}
        assert {call["answered_by"] for call in calls} == {"gpt-6-luna-2026-09-01"}
        for call in calls:
            told = scripted.READ if call["task"] == "triage" else scripted.WROTE
            assert (call["input_tokens"], call["output_tokens"]) == (told.plain, told.output)
            assert Decimal("0") < Decimal(call["cost_usd"]) < Decimal("0.05")
        assert Decimal(shown["cost_usd"]) == sum(Decimal(call["cost_usd"]) for call in calls)
        assert len(models.journal) == len(calls)
    else:
        assert [call["model"] for call in calls] == ["local", "templates"] * 2
        assert not models.journal
    assert len(smtp.journal) == 1
    installation.stop()
    assert "Traceback" not in installation.logs(lines=10_000)
    assert installation.rows(sa.select(reviews.c.state).where(reviews.c.state == "open")) == [("open",)]
