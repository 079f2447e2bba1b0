"""Who is limited to some inboxes sees nothing of the others: no page, no number, no file, no action."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx2
import pytest
import sqlalchemy as sa

from pipeline.db.store import Store
from pipeline.db.tables import (
    attachments,
    comparisons,
    drafts,
    messages,
    replies,
    reviews,
    second_reads,
    tickets,
)
from pipeline.db.types import now
from pipeline.errors import InputError, NotFoundError
from pipeline.review import audit, sessions, sight
from pipeline.review.agents import Agent, make_api_token, set_role
from pipeline.review.desk import Desk
from tests.web import running, seed
from tests.web.conftest import Place
from tests.web.reading import tree
from tests.web.test_routes import OPEN_TO_ALL, endpoints, snapshot

SECRET = "Zylonquark"
"""Stands in every text of the other inbox's ticket, and nowhere else."""

OTHER = "wholesale"


@dataclass(frozen=True)
class TwoInboxes:
    url: str
    store: Store
    people: dict[str, Agent]
    mine: int
    other: int

    def rows(self, ticket_id: int) -> dict[str, int]:
        """A row of each kind that belongs to the ticket, by the name of its parameter."""
        found = {"ticket_id": ticket_id}
        with self.store.read() as c:
            for name, table in (("review_id", reviews), ("draft_id", drafts), ("message_id", messages),
                                ("comparison_id", comparisons), ("reply_id", replies),
                                ("second_read_id", second_reads)):  # fmt: skip
                found[name] = c.execute(
                    sa.select(sa.func.max(table.c.id)).where(table.c.ticket_id == ticket_id)
                ).scalar_one()
            found["attachment_id"] = c.execute(
                sa.select(attachments.c.id).join(messages).where(messages.c.ticket_id == ticket_id)
            ).scalar_one()
        return found

    def client(self, who: str) -> tuple[httpx2.Client, str]:
        token, session = sessions.start(self.store, self.people[who])
        client = httpx2.Client(base_url=self.url, headers={"accept": "text/html"}, timeout=20)
        client.cookies.set("triage_session", token)
        return client, session.csrf_token


def _ticket(store: Store, agent: Agent, inbox: str, word: str) -> int:
    file = ((f"{word}.pdf", "application/pdf", word.encode()),)
    ticket_id = seed.ticket(
        store, inbox=inbox, subject=f"About {word}", text=f"Hello {word}", name=f"Mr {word}",
        address=f"{word.lower()}@example.net", draft=f"Dear {word}", summary=word, topic="billing",
        reasons=(f"cheap: {word}",), files=file, detail=f"waits: {word}",
    )  # fmt: skip
    with store.write() as c:
        review = c.execute(sa.select(reviews).where(reviews.c.ticket_id == ticket_id)).one()
        message = c.execute(sa.select(messages).where(messages.c.ticket_id == ticket_id)).one()
        c.execute(
            comparisons.insert().values(
                ticket_id=ticket_id, left_id=review.draft_id, right_id=review.draft_id, asked_by=agent.id,
                created_at=now(),
            )
        )  # fmt: skip
        c.execute(
            replies.insert().values(
                ticket_id=ticket_id, review_id=review.id, answers_id=message.id, agent_id=agent.id,
                message_id=f"{word}@shop.example", to_address="x@example.net", subject="", references=[],
                text=word, state="failed", created_at=now(),
            )
        )  # fmt: skip
        c.execute(
            second_reads.insert().values(
                review_id=review.id, ticket_id=ticket_id, first_by=agent.id, asked_at=now()
            )
        )
    return ticket_id


@pytest.fixture
def two(sqlite_store: Store) -> Iterator[TwoInboxes]:
    people = seed.people(sqlite_store)
    mine = _ticket(sqlite_store, people["ada"], "support", "Ordinary")
    other = _ticket(sqlite_store, people["ada"], OTHER, SECRET)
    for name in ("anna", "lea"):
        sight.set_inboxes(sqlite_store, people[name].email, ["support"])
    with running.serving(running.parts_for(sqlite_store, inbox_names=("support", OTHER))) as url:
        yield TwoInboxes(url, sqlite_store, people, mine, other)


def filled(template: str, rows: dict[str, int]) -> str:
    for name, value in rows.items():
        template = template.replace(f"{{{name}}}", str(value))
    return template


def test_inboxes_are_for_agents_and_leads_and_hold_at_once(store: Store) -> None:
    people = seed.people(store)
    ticket_id = seed.ticket(store, inbox=OTHER)

    def seen() -> list[str]:
        with store.read() as c:
            return [name for name, agent in people.items() if sight.sees(c, agent, ticket_id)]

    assert seen() == ["anna", "ben", "lea", "ada"]
    for name in ("anna", "lea", "ada"):
        sight.set_inboxes(store, people[name].email, ["support", "support"], by=people["ada"].who)
    assert seen() == ["ben", "ada"]
    with store.read() as c:
        assert sight.inboxes_of(c, people["anna"].id) == {"support"}
        assert sight.inboxes_of(c, people["ada"].id) is None
        with pytest.raises(NotFoundError, match=f"there is no ticket {ticket_id}$"):
            sight.refuse_unseen(c, people["anna"], ticket_id)
    set_role(store, people["ada"].email, "lead")
    assert seen() == ["ben"]
    sight.set_inboxes(store, people["anna"].email, None)
    assert seen() == ["anna", "ben"]
    with pytest.raises(InputError, match="at least one"):
        sight.set_inboxes(store, people["anna"].email, [])
    who_what = [row[1:4] for row in audit.newest(store)]
    assert ("agent:ada@shop.example", "changed the inboxes", "anna@shop.example") in who_what


def test_every_number_in_an_address_is_of_a_kind_that_is_guarded(sqlite_store: Store) -> None:
    """A new kind of row in an address must be made known to `sight`, or be no row of a ticket."""
    known = (
        {f"{kind}_id" for kind in sight.KINDS}
        | {"token", "source", "name", "view_id", "kind"}
        | {"proposal_id", "decision"}
    )
    for _method, template in endpoints(sqlite_store):
        for part in template.split("{")[1:]:
            assert part.split("}")[0].split(":")[0] in known, template


@pytest.mark.parametrize("who", ["anna", "lea"])
def test_every_endpoint_hides_the_other_inboxs_ticket(two: TwoInboxes, who: str) -> None:
    before = snapshot(two.store)
    theirs, mine = two.rows(two.other), two.rows(two.mine)
    client, csrf = two.client(who)
    token = make_api_token(two.store, two.people[who].id)
    before["audit"] += 1
    api = {"authorization": f"Bearer {token}"}
    form = {"csrf": csrf, "version": "1", "text": "x", "reason": "wrong_tone", "choice": "sent", "why": "x",
            "inbox": OTHER, "q": SECRET, "chosen": str(theirs["draft_id"]), "topic": "other"}  # fmt: skip
    named = 0
    with client:
        for method, template in endpoints(two.store):
            if (method, template) in OPEN_TO_ALL or template.startswith(("/account", "/logout", "/agents")):
                continue
            path = filled(template, theirs)
            headers = api if template.startswith("/api/") else {}
            more: dict[str, Any] = {"data": form} if method == "POST" else {}
            if method == "POST" and headers:
                more = {"json": {"version": 1, "text": "x", "reason": "wrong_tone", "choice": "sent"}}
            answer = client.request(method, path, headers=headers, **more)
            assert SECRET not in answer.text, (method, template)
            if path != template:
                named += 1
                assert answer.status_code == 404, (method, template)
                sure = (
                    client.request(method, filled(template, mine), headers=headers)
                    if method == "GET"
                    else None
                )
                assert sure is None or SECRET not in sure.text, template
                if sure is not None and not template.endswith("/case"):  # for leads, of what was judged
                    assert sure.status_code in (200, 303), template
    assert named >= 30
    assert snapshot(two.store) == before


@pytest.mark.parametrize("number", ["+{}", "{}.0", "0{}", " {}", "{}_0", "%D9%A1"])
def test_no_way_of_writing_a_number_gets_round_it(two: TwoInboxes, number: str) -> None:
    client, _csrf = two.client("anna")
    with client:
        for kind in ("ticket", "attachment", "review"):
            given = number.format(two.rows(two.other)[f"{kind}_id"])
            answer = client.get(f"/{kind}s/{given}")
            assert answer.status_code in (404, 422), given
            assert SECRET not in answer.text


@pytest.mark.parametrize(
    "query", ["", f"?q={SECRET}", "?inbox=wholesale", "?state=superseded", "?topic=billing", "?q=%23{other}"]
)
def test_lists_searches_and_counts_leave_the_other_inbox_out(two: TwoInboxes, query: str) -> None:
    query = query.format(other=two.other)
    token = make_api_token(two.store, two.people["anna"].id)
    client, _csrf = two.client("anna")
    with client:
        page = client.get(f"/{query}")
        assert page.status_code == 200
        listed = page.text.replace(f'value="{SECRET}"', "").replace(query.removeprefix("?q="), "")
        assert f"About {SECRET}" not in listed
        assert f"/tickets/{two.other}" not in page.text
        news = client.get(f"/queue/news{query or '?since=0'}")
        assert "2 " not in news.text
        api = client.get(f"/api/v1/reviews{query}", headers={"authorization": f"Bearer {token}"})
        assert [row["ticket_id"] for row in api.json()["reviews"]] in ([], [two.mine])
        assert OTHER not in client.get("/").text  # nor does the filter name it
    admin, _csrf = two.client("ada")
    with admin:
        assert f"/tickets/{two.other}" in admin.get("/").text


def test_after_a_decision_the_next_ticket_is_one_of_theirs(two: TwoInboxes) -> None:
    client, csrf = two.client("anna")
    with client:
        here = client.get(f"/tickets/{two.mine}")
        assert f"/tickets/{two.other}" not in here.text
        data = {"csrf": csrf, "version": "4", "why": "x"}
        done = client.post(f"/reviews/{two.rows(two.mine)['review_id']}/close", data=data)
        assert str(two.other) not in done.headers.get("location", "").split("?")[0]


def test_the_hint_of_a_decision_tells_nothing_of_the_other_inboxs_ticket(two: TwoInboxes) -> None:
    desk = Desk(two.store, undo=timedelta(minutes=1))
    ada = two.people["ada"]
    for ticket_id in (two.mine, two.other):
        review = two.rows(ticket_id)["review_id"]
        with two.store.write() as c:
            c.execute(replies.delete().where(replies.c.ticket_id == ticket_id))
            version = c.execute(sa.select(tickets.c.version).where(tickets.c.id == ticket_id)).scalar_one()
        desk.approve(review, ada, version)
    client, _csrf = two.client("anna")
    with running.serving(running.parts_for(two.store, desk=desk)) as url, client:
        client.base_url = url
        for page in ("/", f"/tickets/{two.mine}"):
            for ticket_id, told in ((two.mine, True), (two.other, False), (9999, False), (10**30, False)):
                shown = client.get(page, params={"done": "approve", "t": str(ticket_id)})
                assert shown.status_code == 200, (page, ticket_id)
                assert ("goes out" in shown.text) == told, (page, ticket_id)
                assert (f"/tickets/{ticket_id}/withdraw" in shown.text) == told, (page, ticket_id)


def test_what_counts_every_inbox_is_not_for_those_who_see_some(two: TwoInboxes) -> None:
    client, _csrf = two.client("lea")
    with client:
        for path in ("/reports", "/evaluations"):
            assert client.get(path).status_code == 403, path


def test_nobody_is_led_to_a_page_that_refuses_them(place: Place) -> None:
    def led(who: str) -> set[str]:
        with place.client(who) as client:
            links = set(tree(client.get("/account")).xpath("//nav[@aria-label='Main']/a/@href"))
            assert 403 not in {client.get(link).status_code for link in links}, who
            return links & {"/reports", "/evaluations"}

    assert (led("anna"), led("lea")) == ({"/reports"}, {"/reports", "/evaluations"})
    for name in ("anna", "lea", "ada"):
        sight.set_inboxes(place.store, place.people[name].email, ["support"])
    assert (led("anna"), led("lea")) == (set(), set())
    assert led("ada") == {"/reports", "/evaluations"}  # admins see every inbox all the same


def test_an_admin_sets_inboxes_on_the_page(two: TwoInboxes) -> None:
    ben = two.people["ben"]

    def seen() -> frozenset[str] | None:
        with two.store.read() as c:
            return sight.inboxes_of(c, ben.id)

    admin, csrf = two.client("ada")
    with admin:
        form: dict[str, Any] = {"csrf": csrf, "email": ben.email}
        for wrong in (
            {},
            {"which": "these"},
            {"which": "these", "inbox": "nope"},
            {"which": "x", "inbox": OTHER},
        ):
            assert admin.post("/agents/inboxes", data=form | wrong).status_code == 422, wrong
            assert seen() is None
        these = form | {"which": "these", "inbox": [OTHER, "support"]}
        assert admin.post("/agents/inboxes", data=these).status_code == 303
        assert seen() == {OTHER, "support"}
        assert "support, wholesale" in admin.get("/agents").text
        assert admin.post("/agents/inboxes", data=form | {"which": "all"}).status_code == 303
        assert seen() is None
