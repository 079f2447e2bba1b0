"""At every cap, for every task: no call is made, and the work goes where the table says; and what an agent may pass."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import httpx2
import pytest
import sqlalchemy as sa

from pipeline import steps
from pipeline.assembly import Parts
from pipeline.db.store import Store
from pipeline.db.tables import drafts, model_calls, moves, reviews, spend, tickets
from pipeline.db.types import now
from pipeline.errors import ConflictError, InputError
from pipeline.lifecycle import Status
from pipeline.models.base import Cap
from pipeline.review import agents, sessions
from pipeline.review.agents import Agent
from tests.journeys import scripted
from tests.kit.live import close, live_parts, mail
from tests.kit.model_server import ModelServer
from tests.test_steps import bring
from tests.web import running
from tests.web.reading import form, words

CALM = "Hello,\n\nwhere is my order 48213? I ordered a week ago.\n\nJane"
ANGRY = "This is a disgrace!!! Where is my order 48213? I want it NOW, you liars!"
TASKS = {"triage": CALM, "routine": CALM, "draft": ANGRY}
KINDS = ("day", "week", "month", "task", "route", "inbox", "ticket", "customer")
HARD = ("day", "week", "month")
LIMITS = """
[budget.route_day]
cheap = 3.00
strong = 4.00
[budget.inbox_day]
support = 6.00
"""


@pytest.fixture(scope="module")
def server() -> Iterator[ModelServer]:
    with ModelServer(scripted.answer) as server:
        yield server


def parts_with(tmp_path: Path, url: str, server: ModelServer, at_cap: str) -> Parts:
    """Live parts whose table has every kind of cap, and this `at_cap` for all three tasks."""
    server.forget()
    server.answer_by(scripted.answer)
    table = (Path(__file__).parents[1] / "routes.toml").read_text(encoding="utf-8")
    table, changed = re.subn(r'(?m)^at_cap = "cheaper"', f'at_cap = "{at_cap}"', table)
    assert changed == len(TASKS)
    path = tmp_path / "routes.toml"
    path.write_text(table.replace("# [budget.route_day]", f"{LIMITS}\n#"), encoding="utf-8")
    return live_parts(
        tmp_path / "home", url, routes=path,
        openai_api_key="k", openai_base_url=server.openai_url,
        anthropic_api_key="k", anthropic_base_url=server.anthropic_url,
    )  # fmt: skip


def at_step(parts: Parts, task: str, number: int) -> int:
    """A ticket whose next step is this task, and no cap used."""
    with parts.store.write() as connection:
        connection.execute(spend.delete())
    subject = f"Order 48213, {number}"
    ticket = bring(parts, mail(TASKS[task], subject=subject, message_id=f"{task}-{number}@customer.example"))
    if task != "triage":
        assert steps.advance(parts, ticket) is not None
        assert the(parts, ticket).status == {"routine": "routine", "draft": "escalated"}[task]
    return ticket


def the(parts: Parts, ticket: int) -> sa.Row[tuple[object, ...]]:
    with parts.store.read() as connection:
        return connection.execute(sa.select(tickets).where(tickets.c.id == ticket)).one()


def caps_of(parts: Parts, task: str, ticket: int, agent_id: int | None = None) -> dict[str, Cap]:
    plan = parts.plan(
        task, ticket_id=ticket, customer="jane@customer.example", inbox="support", agent_id=agent_id
    )
    return {cap.scope.partition(":")[0]: cap for cap in plan.caps}


def use_up(store: Store, cap: Cap) -> None:
    with store.write() as connection:
        connection.execute(spend.delete())
        connection.execute(spend.insert().values(scope=cap.scope, spent_usd=cap.limit_usd, updated_at=now()))


def open_row(store: Store, ticket: int) -> sa.Row[tuple[object, ...]]:
    with store.read() as connection:
        return connection.execute(
            sa.select(reviews).where(reviews.c.ticket_id == ticket, reviews.c.state == "open")
        ).one()


@pytest.mark.parametrize("at_cap", ["cheaper", "human", "ask"])
@pytest.mark.parametrize("task", list(TASKS))
def test_at_every_cap_the_work_goes_where_the_table_says(
    tmp_path: Path, database_url: str, server: ModelServer, task: str, at_cap: str
) -> None:
    parts = parts_with(tmp_path, database_url, server, at_cap)
    if task == "triage":
        parts.warm()
    for number, kind in enumerate(KINDS):
        ticket = at_step(parts, task, number)
        cap = caps_of(parts, task, ticket)[kind]
        use_up(parts.store, cap)
        server.journal.clear()
        steps.advance(parts, ticket)
        asked = [line.seen.model for line in server.journal]
        found = the(parts, ticket)
        where = (kind, found.status, asked)

        if task == "triage" and at_cap == "cheaper":
            assert (found.status in ("routine", "escalated"), asked) == (True, []), where
            continue
        row = open_row(parts.store, ticket)
        assert (found.status, row.reason) == ("in_review", "budget"), where
        if at_cap == "cheaper" and task == "draft" and kind in ("task", "route"):
            assert asked == ["gpt-6-luna"], where  # its own caps have room: the cheap model drafts
            assert row.detail.endswith("The spend cap is reached: drafted by gpt-6-luna."), row.detail
        else:
            assert asked == [], where
        assert (row.draft_id is not None) == (at_cap == "cheaper"), where
        if at_cap == "ask" and task != "triage":
            hard = kind in HARD
            assert row.detail.startswith(f"The cap of {cap.label} is reached"), row.detail
            assert ("no agent can pass that one" in row.detail) == hard, row.detail
            assert ("may cost up to $0." in row.detail) != hard, row.detail
    close(parts)


@pytest.fixture
def asking(tmp_path: Path, database_url: str, server: ModelServer) -> Iterator[tuple[Parts, Agent]]:
    parts = parts_with(tmp_path, database_url, server, "ask")
    yield parts, agents.add(parts.store, "ann@shop.example", "agent", "Ann")
    close(parts)


def stopped(parts: Parts, task: str, kind: str = "ticket", number: int = 0) -> int:
    """A ticket whose draft a cap has stopped, so that an agent is asked."""
    ticket = at_step(parts, task, number)
    use_up(parts.store, caps_of(parts, task, ticket)[kind])
    steps.advance(parts, ticket)
    return ticket


@pytest.mark.parametrize("task", ["routine", "draft"])
def test_an_agent_who_agrees_gets_the_draft_on_their_own_cap(
    asking: tuple[Parts, Agent], server: ModelServer, task: str
) -> None:
    parts, ann = asking
    for number, kind in enumerate(kind for kind in KINDS if kind not in HARD):
        ticket = stopped(parts, task, kind, number)
        review = open_row(parts.store, ticket)
        assert parts.desk.asks_to_confirm(review._mapping)
        server.journal.clear()
        decided = parts.desk.confirm(review.id, ann, the(parts, ticket).version)
        assert (decided.action, decided.outcome) == ("confirm", None)
        assert the(parts, ticket).confirmed_by == ann.id
        steps.advance(parts, ticket)

        assert len(server.journal) == 1
        found, row = the(parts, ticket), open_row(parts.store, ticket)
        assert (found.status, found.confirmed_by, row.reason) == ("in_review", None, "draft")
        with parts.store.read() as connection:
            call = connection.execute(sa.select(model_calls).order_by(model_calls.c.id.desc())).first()
            said = connection.execute(
                sa.select(moves.c.who, moves.c.why).where(moves.c.ticket_id == ticket)
            ).all()
            paid = connection.execute(sa.select(spend).where(spend.c.scope.startswith("agent:"))).one()
        assert call is not None
        assert (call.agent_id, call.state) == (ann.id, "ok")
        assert ("agent:ann@shop.example", "Ann agreed to pass the cap for a draft") in said
        assert Decimal(0) < paid.spent_usd == call.cost_usd
        assert not any(scope.startswith(kind) for scope in call.scopes)


@pytest.mark.parametrize("kind", ["day", "week", "month", "agent"])
def test_a_cap_that_no_agent_can_pass_stops_the_draft_again_and_says_so(
    asking: tuple[Parts, Agent], server: ModelServer, kind: str
) -> None:
    parts, ann = asking
    ticket = stopped(parts, "draft")
    parts.desk.confirm(open_row(parts.store, ticket).id, ann, the(parts, ticket).version)
    cap = caps_of(parts, "draft", ticket, ann.id)[kind]
    use_up(parts.store, cap)
    server.journal.clear()
    steps.advance(parts, ticket)
    row = open_row(parts.store, ticket)
    assert row.reason == "budget"
    assert row.detail == (
        f"The cap of {cap.label} is reached, and no agent can pass that one; a person answers."
    )
    assert (server.journal, the(parts, ticket).confirmed_by) == ([], None)


def test_an_agreement_ends_with_the_step_that_is_given_up(
    tmp_path: Path, sqlite_url: str, server: ModelServer
) -> None:
    parts = parts_with(tmp_path, sqlite_url, server, "ask")
    ann = agents.add(parts.store, "ann@shop.example", "agent", "Ann")
    ticket = stopped(parts, "draft")
    parts.desk.confirm(open_row(parts.store, ticket).id, ann, the(parts, ticket).version)
    with parts.store.write() as connection:  # three starts that never ended, as after three crashes
        connection.execute(tickets.update().values(attempts=steps.STEPS[Status.ESCALATED].max_attempts))
    steps.advance(parts, ticket)
    found, row = the(parts, ticket), open_row(parts.store, ticket)
    assert (found.status, row.reason, found.confirmed_by) == ("in_review", "failed_draft", None)
    close(parts)


def test_of_two_who_agree_one_wins_and_the_other_reads_who_was_first(asking: tuple[Parts, Agent]) -> None:
    parts, ann = asking
    bob = agents.add(parts.store, "bob@shop.example", "agent", "Bob")
    ticket = stopped(parts, "draft")
    review, version = open_row(parts.store, ticket).id, the(parts, ticket).version
    parts.desk.confirm(review, ann, version)
    with pytest.raises(ConflictError, match=r"already decided \(confirm\) by ann@shop.example"):
        parts.desk.confirm(review, bob, version)
    with parts.store.read() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(drafts)).scalar_one() == 0


def test_an_agreement_is_void_once_the_customer_wrote_again(
    asking: tuple[Parts, Agent], server: ModelServer
) -> None:
    parts, ann = asking
    ticket = stopped(parts, "draft")
    parts.desk.confirm(open_row(parts.store, ticket).id, ann, the(parts, ticket).version)
    again = bring(
        parts,
        mail(
            ANGRY,
            subject="Order 48213, 0",
            message_id="more@customer.example",
            headers="In-Reply-To: <draft-0@customer.example>\r\n",
        ),
    )
    assert (again, the(parts, ticket).status) == (ticket, "received")
    with parts.store.write() as connection:
        connection.execute(spend.delete())
    steps.advance(parts, ticket)
    use_up(parts.store, caps_of(parts, "draft", ticket)["ticket"])
    server.journal.clear()
    steps.advance(parts, ticket)
    assert (server.journal, open_row(parts.store, ticket).reason) == ([], "budget")


def test_only_a_row_that_asks_can_be_agreed_to(tmp_path: Path, sqlite_url: str, server: ModelServer) -> None:
    parts = parts_with(tmp_path, sqlite_url, server, "human")
    ann = agents.add(parts.store, "ann@shop.example", "agent", "Ann")
    ticket = stopped(parts, "draft")
    review = open_row(parts.store, ticket)
    assert not parts.desk.asks_to_confirm(review._mapping)
    with pytest.raises(InputError, match="no spend waits for an agreement"):
        parts.desk.confirm(review.id, ann, the(parts, ticket).version)
    close(parts)


def test_the_page_has_the_button_and_the_queue_shows_the_alarm(
    tmp_path: Path, sqlite_url: str, server: ModelServer
) -> None:
    parts = parts_with(tmp_path, sqlite_url, server, "ask")
    people = {role: agents.add(parts.store, f"{role}@shop.example", role, role) for role in ("agent", "lead")}
    ticket = stopped(parts, "draft")
    with parts.store.write() as connection:
        connection.execute(
            spend.insert().values(
                scope=f"day:{now():%Y-%m-%d}", spent_usd=Decimal("16.5"), limit_usd=Decimal(20),
                label="$20 a day", alarmed_at=now(), updated_at=now(),
            )
        )  # fmt: skip
    hinted: list[int] = []
    web = running.parts_for(parts.store, desk=parts.desk, routes=parts.routes, hint=hinted.append)
    with running.serving(web) as url:
        for role, told in (("lead", "Cap of $20 a day: $16.50 spent"), ("agent", "nearly used up")):
            with httpx2.Client(base_url=url, timeout=20) as client:
                token, _session = sessions.start(parts.store, people[role])
                client.cookies.set("triage_session", token)
                assert told in words(client.get("/"))
                if role == "lead":
                    assert "$" not in told.replace("$20", "").replace("$16.50", "")
                    continue
                assert "$16.50" not in words(client.get("/"))
                page = client.get(f"/tickets/{ticket}")
                assert "Draft it anyway" in words(page)
                assert form(page, "/confirm").send(client).status_code == 303
                assert form(page, "/confirm").send(client).status_code == 409
                assert "Draft it anyway" not in words(client.get(f"/tickets/{ticket}"))
        metrics = httpx2.get(f"{url}/metrics").text
    assert hinted == [ticket]
    assert the(parts, ticket).status == "escalated"
    assert 'triage_cap_used_usd{cap="day",of=""} 16.5' in metrics
    assert 'triage_cap_limit_usd{cap="day",of=""} 20.0' in metrics
    assert 'triage_cap_alarm{cap="day",of=""} 1.0' in metrics
    close(parts)
