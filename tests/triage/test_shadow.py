"""Shadowing: a fixed sample of what was kept is read by the strong model too, once, within its caps."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from pipeline import steps
from pipeline.assembly import Parts
from pipeline.db.tables import model_calls, shadows, spend, tickets, triages
from pipeline.db.types import now
from pipeline.ingest.intake import store_raw, take
from pipeline.models.providers.anthropic import AnthropicProvider
from pipeline.models.providers.openai import OpenAIProvider
from pipeline.reports.measures import report
from pipeline.reports.rates import Share
from pipeline.reports.rendering import render
from pipeline.reports.shadows import Missed, missed_escalations
from pipeline.reports.weeks import Week
from pipeline.steps.shadowing import in_sample, take_shadows
from tests.kit import model_replies as replies
from tests.kit.live import live_parts, mail
from tests.kit.model_replies import Seen
from tests.kit.model_server import ModelServer
from tests.triage.conftest import ANSWER, ROUTES

STRONG = "claude-sonnet-5-5"
Opened = Callable[..., Parts]


@pytest.fixture
def open_(tmp_path: Path, database_url: str, server: ModelServer) -> Iterator[Opened]:
    """Parts whose cheap model is the built-in one and whose strong one is served, unless told otherwise."""
    opened: list[Parts] = []

    def open_parts(*, key: bool = True, **changes: str) -> Parts:
        home = tmp_path / "home"
        home.mkdir(exist_ok=True)
        table = ROUTES.read_text(encoding="utf-8")
        for name, value in ({"shadow_share": "1.0"} | changes).items():
            table = re.sub(rf"(?m)^{name} = .*$", f"{name} = {value}", table)
        (home / "routes.toml").write_text(table, encoding="utf-8")
        keys = {"anthropic_api_key": "sk-ant", "anthropic_base_url": server.anthropic_url} if key else {}
        opened.append(live_parts(home, database_url, **keys))
        return opened[-1]

    yield open_parts
    for parts in opened:
        for provider in parts.providers.values():
            if isinstance(provider, OpenAIProvider | AnthropicProvider):
                provider.close()
        parts.store.close()


def kept(parts: Parts, number: int = 1, **reading: Any) -> list[int]:
    """Mails that the cheap model has read and kept; their readings."""
    made = []
    for n in range(number):
        with parts.store.write() as connection:
            found = len(connection.execute(sa.select(tickets.c.id)).all())
            raw = mail(
                "Hello,\n\nwhere is my parcel? It was due on Monday.",
                message_id=f"s{found}@customer.example",
                sender=f"c{found}@customer.example",
            )
            stored = store_raw(connection, "support", raw)
        ticket = take(parts.store, stored.raw_id, inboxes=parts.inboxes).ticket_id
        with parts.store.write() as connection:
            message = connection.execute(
                sa.text("select max(id) from messages where ticket_id = :ticket"), {"ticket": ticket}
            ).scalar_one()
            row = {name: ANSWER[name] for name in ("topic", "language", "urgency", "emotion", "clarity")}
            row |= {"ticket_id": ticket, "message_id": message, "confidence": 0.9, "route": "cheap"}
            row |= {"model": "local", "prompt": "p", "created_at": now() - timedelta(minutes=number - n)}
            connection.execute(tickets.update().where(tickets.c.id == ticket).values(due_at=None))
            made.append(
                int(
                    connection.execute(
                        triages.insert().values(row | reading).returning(triages.c.id)
                    ).scalar_one()
                )
            )
    return made


def taken(parts: Parts) -> list[sa.Row[Any]]:
    with parts.store.read() as connection:
        return list(connection.execute(sa.select(shadows).order_by(shadows.c.triage_id)))


def strongly(**answer: Any) -> Callable[[Seen], Any]:
    return lambda seen: ANSWER | {"confidence": 0.2} | answer


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({}, None),  # however unsure: its confidence is not what is asked
        ({"emotion": "angry"}, "The customer is angry."),
        ({"topic": "cancellation"}, "Topic cancellation: a cancellation is hard to take back."),
        ({"topic": "billing"}, "It is about billing, for the team billing, not about order_shipping."),
        ({"emotion": "frustrated", "urgency": "high"}, None),
    ],
)
def test_an_escalation_was_missed_where_the_strong_model_would_escalate_or_send_elsewhere(
    open_: Opened, server: ModelServer, answer: dict[str, Any], reason: str | None
) -> None:
    parts = open_()
    kept(parts)
    server.answer_by(strongly(**answer))
    assert take_shadows(parts) == 1
    (row,) = taken(parts)
    assert (row.model, row.missed, row.route) == (STRONG, reason is not None, "strong" if reason else "cheap")
    assert reason is None or reason in row.reasons
    with parts.store.read() as connection:
        call = connection.execute(sa.select(model_calls).where(model_calls.c.id == row.call_id)).one()
    assert (call.task, call.route, call.state) == ("shadow", "strong", "ok")


def test_each_kept_reading_is_taken_once_whoever_asks(open_: Opened, server: ModelServer) -> None:
    parts = open_()
    kept(parts, 6)
    kept(parts, route="strong")
    kept(parts, created_at=now() - timedelta(days=30))
    server.answer_by(lambda seen: replies.ok(strongly()(seen)).later(0.05))
    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(lambda _: take_shadows(parts), range(4))) == 6
    assert take_shadows(open_()) == 0
    assert len(server.journal) == len(taken(parts)) == 6


def test_the_sample_is_fixed_by_the_readings_number_and_holds_its_share(
    open_: Opened, server: ModelServer
) -> None:
    assert sum(in_sample(n, 0.02) for n in range(1, 100_001)) == pytest.approx(2000, abs=20)
    assert all(in_sample(n, 0.05) for n in range(5000) if in_sample(n, 0.02))
    parts = open_(shadow_share="0.3")
    wanted = [n for n in kept(parts, 20) if in_sample(n, 0.3)]
    server.answer_by(strongly())
    take_shadows(parts)
    assert [row.triage_id for row in taken(parts)] == wanted
    assert 4 <= len(wanted) <= 8


def test_without_a_key_or_a_share_nothing_is_written(open_: Opened, server: ModelServer) -> None:
    for parts in (open_(key=False), open_(shadow_share="0.0")):
        kept(parts)
        assert take_shadows(parts) == 0
        assert taken(parts) == []
        with parts.store.read() as connection:
            assert connection.execute(sa.select(sa.func.count()).select_from(model_calls)).scalar_one() == 0


@pytest.mark.parametrize("stopped_by", ["the cap", "an outage"])
def test_what_a_cap_or_an_outage_stops_is_not_taken_and_never_tried_again(
    open_: Opened, server: ModelServer, stopped_by: str
) -> None:
    parts = open_(shadow="0.00001") if stopped_by == "the cap" else open_()
    kept(parts, 2)
    server.answer_by(lambda seen: replies.refused_key())
    assert take_shadows(parts) == 0
    assert taken(parts) == []
    calls = len(server.journal)
    assert (calls == 0) == (stopped_by == "the cap")
    server.answer_by(strongly())
    assert take_shadows(open_()) == 0
    assert len(server.journal) == calls


def test_the_sample_costs_the_customers_ticket_nothing(open_: Opened, server: ModelServer) -> None:
    parts = open_()
    kept(parts)
    server.answer_by(strongly())
    take_shadows(parts)
    with parts.store.read() as connection:
        scopes = set(connection.execute(sa.select(spend.c.scope)).scalars())
    assert {scope.split(":")[0] for scope in scopes} == {"day", "week", "month", "task"}


def test_working_off_everything_ends_with_the_sample_and_changes_no_ticket(
    open_: Opened, server: ModelServer
) -> None:
    parts = open_()
    kept(parts, 2)
    server.answer_by(strongly(emotion="angry"))
    with parts.store.read() as connection:
        before = connection.execute(sa.select(tickets).order_by(tickets.c.id)).all()
    assert steps.run_until_idle(parts, threads=2) == {"shadow": 2}
    with parts.store.read() as connection:
        assert connection.execute(sa.select(tickets).order_by(tickets.c.id)).all() == before


def test_it_stops_when_a_ticket_is_due(open_: Opened, server: ModelServer) -> None:
    parts = open_()
    kept(parts, 3)
    server.answer_by(strongly())
    due = iter([True, False])
    assert take_shadows(parts, go_on=lambda: next(due)) == 1
    assert take_shadows(parts) == 2


def test_missed_escalations_are_shown_by_topic_and_language(open_: Opened, server: ModelServer) -> None:
    parts = open_()
    kept(parts, 3)
    server.answer_by(lambda seen: strongly()(seen))
    take_shadows(parts)
    kept(parts, 2, topic="billing", language="de")
    server.answer_by(strongly(topic="billing", emotion="angry"))
    take_shadows(parts)
    with parts.store.read() as connection:
        found = missed_escalations(connection, now() - timedelta(days=1))
    assert found == (
        Missed(("all", ""), Share(2, 5)),
        Missed(("topic", "billing"), Share(2, 2)),
        Missed(("topic", "order_shipping"), Share(0, 3)),
        Missed(("language", "de"), Share(2, 2)),
        Missed(("language", "en"), Share(0, 3)),
    )
    made = report(parts.store, Week.of(now(), "UTC"))
    assert "## Missed escalations" in render(made, "md")
    assert "| topic | billing | 2 of 2 |" in render(made, "md")
    assert "2 of 2" in render(made, "html")


def test_a_topic_that_was_put_right_closes_the_ticket_to_the_strong_model_too(
    open_: Opened, server: ModelServer
) -> None:
    parts = open_()
    billing = replace(parts.routes.topics["billing"], data="sensitive")
    parts.routes = replace(parts.routes, topics={**parts.routes.topics, "billing": billing})
    kept(parts)
    server.answer_by(strongly())
    with parts.store.write() as connection:
        connection.execute(tickets.update().values(topic="billing"))
    assert take_shadows(parts) == 0
    assert not server.journal
