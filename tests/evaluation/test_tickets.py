"""The team's own reviewed tickets as cases: what was put right, let stand and sent, by the real desk."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from pipeline import steps
from pipeline.assembly import Parts
from pipeline.db.tables import reviews, tickets
from pipeline.db.types import now
from pipeline.errors import InputError
from pipeline.evaluation import Result, Wish, evaluate, lines
from pipeline.evaluation.planning import root_of
from pipeline.evaluation.runs import every
from pipeline.ingest.intake import store_raw, take
from pipeline.models.providers.openai import OpenAIProvider
from pipeline.review import agents
from pipeline.review.corrections import correct
from tests.evaluation.exams import only, reading
from tests.kit.live import live_parts, mail
from tests.kit.model_server import ModelServer

QUESTION = "Hello,\n\nwhere is my order 48213? I ordered a week ago and the tracking shows nothing.\n\nJane"
LOGIN = "Hello,\n\nI cannot log in any more, the page says that my password is wrong.\n\nJoe"
SENT = "Hello Jane,\n\nyour parcel left us this morning and will be with you soon.\n\nKind regards\nThe Shop"


@pytest.fixture
def parts(tmp_path: Path, database_url: str) -> Iterator[Parts]:
    parts = live_parts(tmp_path / "home", database_url)
    yield parts
    parts.store.close()


def wish(task: str, **more: Any) -> Wish:
    return Wish(task=task, since=now() - timedelta(days=90), since_words="90d", **more)


def ask(parts: Parts, task: str, **more: Any) -> Result:
    return only(evaluate(parts, wish(task, **more), lambda: None))


def bring(parts: Parts, raw: bytes) -> int:
    with parts.store.write() as connection:
        stored = store_raw(connection, "support", raw)
    taken = take(parts.store, stored.raw_id, inboxes=parts.inboxes)
    assert taken.ticket_id is not None
    steps.run_until_idle(parts, threads=1)
    return taken.ticket_id


def version(parts: Parts, ticket: int) -> int:
    with parts.store.read() as connection:
        row = connection.execute(sa.select(tickets.c.version).where(tickets.c.id == ticket))
        return int(row.scalar_one())


def answer(parts: Parts, ticket: int, text: str) -> None:
    """An agent sends their own version of the draft, and it goes out."""
    anna = agents.find(parts.store, "anna@shop.example")
    with parts.store.read() as connection:
        review = connection.execute(
            sa.select(reviews.c.id).where(reviews.c.ticket_id == ticket, reviews.c.state == "open")
        ).scalar_one()
    parts.desk.edit(review, anna, version(parts, ticket), text)
    steps.run_until_idle(parts, threads=1)


@pytest.fixture
def reviewed(parts: Parts) -> dict[str, int]:
    """Two tickets: one corrected and left open, one answered with its tags as they were."""
    anna = agents.add(parts.store, "anna@shop.example", "lead", "Anna")
    teams = {name: topic.team for name, topic in parts.routes.topics.items()}
    order = bring(parts, mail(QUESTION, subject="Where is my order 48213?"))
    login = bring(
        parts, mail(LOGIN, subject="Login", sender="joe@customer.example", message_id="m2@x.example")
    )
    changes = {"topic": "bug_report", "urgency": "high"}
    correct(parts.store, login, anna, version(parts, login), changes, teams)
    answer(parts, order, SENT)
    return {"order": order, "login": login}


def test_readings_are_marked_by_what_agents_put_right_and_let_stand(
    parts: Parts, reviewed: dict[str, int]
) -> None:
    bring(parts, mail(LOGIN, message_id="m3@x.example", sender="nobody@looked.example"))
    result = ask(parts, "triage", models=["local"])
    (folder,) = every(root_of(parts))
    cases = {case["subject"]: case for case in folder.cases()}
    assert len(cases) == result.of == 2, "what nobody reviewed is no case"
    assert cases["Login"]["expect"]["topic"] == "bug_report"
    assert cases["Login"]["expect"]["urgency"] == "high"
    assert cases["Where is my order 48213?"]["expect"]["topic"] == "order_shipping"
    assert "I ordered a week ago" in cases["Where is my order 48213?"]["body"]
    model = result.models[0]
    assert (model.shares["topic_accuracy"].hits, model.shares["topic_accuracy"].of) == (1, 2)
    assert "route_accuracy" not in model.shares, "nobody said what the right route was"


def test_drafts_are_marked_by_what_was_sent_in_their_place(parts: Parts, reviewed: dict[str, int]) -> None:
    with ModelServer() as server:
        provider = OpenAIProvider("sk-test", server.openai_url)
        asked = replace(parts, providers={**parts.providers, "openai": provider})
        told = {"language": "en", "asks": [], "why": "", "claims": []}
        server.answer_by(lambda _seen: told | {"reply": SENT.replace("will be with you", "reaches you")})
        near = ask(asked, "routine", models=["gpt-6-luna"])
        server.answer_by(lambda _seen: told | {"reply": "We will refund you in full within two days. Sorry!"})
        far = ask(asked, "routine", models=["gpt-6-luna"])
        provider.close()
    good, bad = near.models[0], far.models[0]
    assert good.means["edit_share"] < 0.4 < bad.means["edit_share"]
    assert (good.shares["passed"].hits, bad.shares["passed"].hits) == (1, 0)
    assert (good.shares["promises"].hits, bad.shares["promises"].hits) == (0, 1)
    assert good.shares["language"].hits == 1
    assert "rubric" in near.header.unmeasured
    assert "  not part of the bar on these cases: rubric" in "\n".join(lines([near]))
    assert "48213" in server.journal[0].seen.user
    assert SENT not in server.journal[0].seen.user, "the reply that was sent is not shown to the model"


def test_a_run_on_tickets_keeps_its_cases_when_it_goes_on(parts: Parts, reviewed: dict[str, int]) -> None:
    one = ask(parts, "triage", models=["local"], run="own")
    teams = {name: topic.team for name, topic in parts.routes.topics.items()}
    anna = agents.find(parts.store, "anna@shop.example")
    ticket = bring(parts, mail(LOGIN, message_id="m4@x.example", sender="late@customer.example"))
    correct(parts.store, ticket, anna, version(parts, ticket), {"topic": "other"}, teams)
    assert ask(parts, "triage", models=["local"], run="own") == one
    assert only(evaluate(parts, Wish(task="triage", run="own"), lambda: None)) == one
    assert ask(parts, "triage", models=["local"]).of == one.of + 1


def test_tickets_that_a_model_may_not_see_are_left_out_of_its_cases(
    parts: Parts, reviewed: dict[str, int]
) -> None:
    topics = {
        name: replace(topic, data="sensitive" if name == "bug_report" else None)
        for name, topic in parts.routes.topics.items()
    }
    with ModelServer() as server:
        server.answer_by(lambda _seen: reading({"topic": "order_shipping", "language": "en"}))
        provider = OpenAIProvider("sk-test", server.openai_url)
        asked = replace(
            parts,
            routes=replace(parts.routes, topics=topics),
            providers={**parts.providers, "openai": provider},
        )
        result = ask(asked, "triage", models=["gpt-6-luna", "local"])
        provider.close()
        assert result.of == 1
        assert all("log in" not in line.seen.user for line in server.journal)


def test_it_says_so_when_nothing_was_reviewed(parts: Parts) -> None:
    with pytest.raises(
        InputError, match="there are no reviewed tickets for triage: no message was corrected"
    ):
        ask(parts, "triage", models=["local"])
    with pytest.raises(InputError, match="no routine draft was sent"):
        ask(parts, "routine", models=["templates"])
    with pytest.raises(InputError, match="reviewed tickets show nothing of writing"):
        ask(parts, "writing")
