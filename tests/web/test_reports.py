"""The report's pages as a lead without JavaScript uses them: figures lead to cases, cases to tests of a prompt."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import pytest
import sqlalchemy as sa

from pipeline.assembly import Parts, weekly_report
from pipeline.db.tables import proposals, report_letters, reviews, second_reads, tickets
from pipeline.db.types import now
from pipeline.reports.weeks import Week
from pipeline.review import sessions
from pipeline.review.agents import Agent
from pipeline.review.corrections import correct
from pipeline.review.second_reads import Sample
from pipeline.steps import reporting
from tests.kit.live import close, live_parts
from tests.kit.mail_servers import SmtpServer
from tests.web import running, seed
from tests.web.reading import form, tree, words

SENT = "Hello Mia,\n\nyour order 4711 is late; please see https://track.shop.example/4711.\n\nThe Shop"


@dataclass(frozen=True)
class Desk:
    """A served page over live parts, with some judged drafts: `judged` are their reviews by what was done."""

    url: str
    parts: Parts
    people: dict[str, Agent]
    judged: dict[str, int]

    @contextmanager
    def as_(self, who: str) -> Iterator[httpx2.Client]:
        token, _session = sessions.start(self.parts.store, self.people[who])
        with httpx2.Client(base_url=self.url, headers={"accept": "text/html"}, timeout=20) as client:
            client.cookies.set("triage_session", token)
            yield client


def judged(parts: Parts, people: dict[str, Agent]) -> dict[str, int]:
    desk, found = replace(parts.desk, second_reads=Sample("a secret", 1.0)), {}
    for name, values in {
        "edited": {}, "approved": {"topic": "billing"}, "rejected": {"route": "strong", "language": "de"},
        "corrected": {"topic": "other", "subject": "Wrongly read"},
    }.items():  # fmt: skip
        ticket_id = seed.ticket(parts.store, **values)  # type: ignore[arg-type]
        with parts.store.read() as c:
            row = c.execute(
                sa.select(reviews.c.id, tickets.c.version).join(tickets).where(tickets.c.id == ticket_id)
            ).one()
        found[name] = row.id
        if name == "edited":
            desk.edit(row.id, people["anna"], row.version, SENT)
        elif name == "approved":
            desk.approve(row.id, people["anna"], row.version)
        elif name == "rejected":
            desk.reject(row.id, people["ben"], row.version, "wrong_tone", "too cool")
        else:
            teams = {topic: one.team for topic, one in parts.routes.topics.items()}
            correct(parts.store, ticket_id, people["anna"], row.version, {"topic": "order_shipping"}, teams)
    return found


@pytest.fixture
def desk(tmp_path: Path, sqlite_url: str) -> Iterator[Desk]:
    with SmtpServer() as server:
        parts = live_parts(
            tmp_path / "home",
            sqlite_url,
            smtp_url=server.url,
            report_to="lead@shop.example",
            second_read_share=1,
        )
        people = seed.people(parts.store)
        rows = judged(parts, people)
        web = running.parts_for(
            parts.store, desk=parts.desk, routes=parts.routes, models=parts,
            report=partial(weekly_report, parts.settings, parts.store, parts.routes),
        )  # fmt: skip
        with running.serving(web) as url:
            yield Desk(url, parts, people, rows)
        close(parts)


def links(page: httpx2.Response, start: str) -> list[tuple[str, str]]:
    """(address, text) of each link that begins so."""
    return [
        (a.get("href"), a.text_content()) for a in tree(page).xpath(f"//a[starts-with(@href, '{start}')]")
    ]


def test_each_figure_of_the_report_leads_to_as_many_cases(desk: Desk) -> None:
    with desk.as_("anna") as client:
        page = client.get("/reports")
        assert "Rewrite rate: 2 of 3" in words(page)
        found = dict(links(page, "/reports/cases?"))
        assert len(found) > 20
        for address, text in found.items():
            behind = client.get(address)
            assert behind.status_code == 200, address
            figure = re.match(r"[\d,]+", text)
            if figure and "$" not in text and "%" not in text:
                assert f"{int(figure[0].replace(',', ''))} case" in words(behind), (address, text)


def test_charts_come_from_us_light_and_dark_with_their_figures_as_text(desk: Desk) -> None:
    with desk.as_("anna") as client:
        page = tree(client.get("/reports"))
        assert len(page.xpath("//picture//img[string-length(@alt) > 20]")) == 4
        drawn = {}
        for address in page.xpath("//picture//img/@src | //picture//source/@srcset"):
            assert address.startswith("/reports/chart/")
            answer = client.get(address)
            assert answer.headers["content-type"] == "image/png"
            assert answer.content.startswith(b"\x89PNG")
            drawn[address] = answer.content
        assert len(set(drawn.values())) == 8  # the dark ones are others
        assert client.get("/reports/chart/nothing.png").status_code == 404


def test_a_filter_and_a_breakdown_are_a_plain_form(desk: Desk) -> None:
    with desk.as_("anna") as client:
        page = client.get(
            "/reports", params={"route": "strong", "by": "language", "by2": "topic", "week": ""}
        )
        assert "Rewrite rate of route strong: 1 of 1" in words(page)
        assert "Rewrite rate by language and topic" in words(page)
        chosen = tree(page).xpath("//form[@action='/reports']//option[@selected]/@value")
        assert chosen == ["strong", "language", "topic"]
        week = Week.of(now())
        assert f"Support week {week.before()}" in words(client.get(f"/reports?week={week.before()}"))
        for wrong in ("by=nonsense", "week=nonsense"):
            assert client.get(f"/reports?{wrong}").status_code == 422


def test_cases_and_failures_go_on_page_by_page(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.web.reports.AT_ONCE", 1)
    with desk.as_("anna") as client:
        for address in ("/reports/cases?figure=drafts&outcome=reviewed", "/reports/failures?kind=draft"):
            seen: list[str] = []
            following: list[tuple[str, str]] = [(address, "")]
            while following:
                page = client.get(following[0][0])
                seen += [text for _href, text in links(page, "/tickets/")]
                following = [one for one in links(page, address.partition("?")[0]) if "after=" in one[0]]
            assert seen == sorted(set(seen)), address
            assert len(seen) == {"cases": 3, "failures": 1}[address.split("?")[0].rpartition("/")[2]]


def test_the_failures_say_what_was_said_done_and_why(desk: Desk) -> None:
    with desk.as_("anna") as client:
        page = client.get("/reports/failures")
        shown = words(page)
        assert "Your order 4711 left our warehouse" in shown
        assert "changed topic from other to order_shipping" in shown
        assert links(page, "/reviews/") == []  # an agent makes no case
        assert "changed topic" not in words(client.get("/reports/failures?kind=draft"))
        assert client.get("/reports/failures?kind=nonsense").status_code == 422


def test_a_scorecard_leads_from_the_index_to_its_cases(desk: Desk) -> None:
    with desk.as_("anna") as client:
        cards = links(client.get("/reports/scorecard"), "/reports/scorecard/")
        assert {text for _href, text in cards} >= {"cheap", "strong", "gpt-6-luna"}
        for address, _text in cards:
            assert client.get(address).status_code == 200, address
        page = client.get("/reports/scorecard/route/strong")
        assert "Rewrite rate: 1 of 1" in words(page)
        (address,) = tree(page).xpath("//picture//img/@src")
        assert client.get(address).content.startswith(b"\x89PNG")
        assert all(client.get(href).status_code == 200 for href, _text in links(page, "/reports/cases?"))
        # neither is a list of this week alone: the title says of when it is
        asked = f"/reports/cases?week={Week.of(now())}&figure=drafts&outcome=rewrite"
        this = f"in {Week.of(now())}, the oldest first; times by the clocks of UTC."
        assert f"2 cases {this}" in words(client.get(asked))
        for when in ("past", "since"):
            said = words(client.get(f"{asked}&{when}={Week.of(now()).before()}"))
            assert "the oldest first" in said
            assert this not in said, when


def test_a_lead_makes_a_test_case_of_a_judged_draft_and_of_a_corrected_reading(desk: Desk) -> None:
    with desk.as_("lea") as client:
        page = client.get("/reports/failures")
        offered = sorted({href for href, text in links(page, "/") if "test case" in text})
        assert [href.split("/")[1] for href in offered] == ["messages", "reviews"]
        assert f"/reviews/{desk.judged['edited']}/case" in offered
        for address in offered:
            asked = form(client.get(address), "/case")
            row = json.loads(asked.values["text"])
            refused = asked.send(client, text="{}")
            assert refused.status_code == 422
            assert form(refused, "/case").values["text"] == "{}"  # what was typed stays
            private = asked.send(client, text=json.dumps(row | {"why": "see jo@private.example"}))
            assert "looks like an email" in words(private)
            done = asked.send(client)
            assert done.status_code == 303
            assert "Kept." in words(client.get(done.headers["location"]))
            assert "made a test case already" in words(client.get(address))
    with desk.parts.store.read() as c:
        assert {row.file for row in c.execute(sa.select(proposals))} == {
            "prompts/routine/cases.jsonl", "prompts/triage/cases.jsonl",
        }  # fmt: skip
    with desk.as_("anna") as client:
        assert client.get(offered[0]).status_code == 403


def test_a_letter_of_which_nobody_knows_is_sent_again_by_a_lead(desk: Desk) -> None:
    week = Week.of(now()).before()
    reporting.write_week(desk.parts, week)
    with desk.parts.store.write() as c:
        c.execute(
            report_letters.update().values(state="uncertain", server_words="the line broke", due_at=None)
        )
    with desk.as_("anna") as client:
        page = client.get("/reports")
        assert f"Support week {week}" in words(page)  # what was written last is what one comes for
        assert "As it was written" in words(page)
        ((anew, _text),) = [one for one in links(page, "/reports?") if one[1] == "Count it anew"]
        assert "As it was written" not in words(client.get(anew))
        assert "sent or not?" in words(page)
        assert "the line broke" in words(page)
        assert "Send it again" not in page.text
    with desk.as_("lea") as client:
        form(client.get("/reports"), "/again").send(client)
        assert "lead@shop.example: sent" in words(client.get("/reports"))


def test_a_second_reader_is_led_to_the_draft_and_their_verdict_is_counted(desk: Desk) -> None:
    with desk.as_("anna") as client:
        assert links(client.get("/"), "/second-reads") == []  # she approved it
    with desk.as_("ben") as client:
        assert links(client.get("/"), "/second-reads") == [("/second-reads", "Second reads 1")]
        ((address, _text),) = links(client.get("/second-reads"), "/second-reads/")
        page = client.get(address)
        assert "anna" not in page.text.lower()
        asked = form(page, address)
        assert asked.send(client).status_code == 422  # no verdict
        done = asked.send(client, verdict="light", note="the date is missing")
        assert done.headers["location"] == "/second-reads?done=1"
        assert "would have judged: light" in words(client.get("/reports"))
    with desk.parts.store.read() as c:
        assert c.execute(sa.select(second_reads.c.verdict)).scalar_one() == "light"


@pytest.mark.parametrize("way", ["approve", "edit"])
def test_the_mark_on_a_strong_draft_is_a_tick_in_the_form(desk: Desk, way: str) -> None:
    store = desk.parts.store
    strong, cheap = (seed.ticket(store, route=route) for route in ("strong", "cheap"))
    with desk.as_("anna") as client:
        assert 'name="not_needed"' not in client.get(f"/tickets/{cheap}").text
        page = client.get(f"/tickets/{strong}")
        judge = form(page, "/approve")
        assert "not_needed" not in judge.values  # nobody has ticked it yet
        text: dict[str, Any] = {} if way == "approve" else {"text": "Shorter, by hand."}
        done = judge.send(client, judge.action.replace("approve", way), not_needed="1", **text)
        assert done.status_code == 303
        assert "a routine answer would have done" in words(client.get(f"/tickets/{strong}"))
        assert "1 of 2" in words(client.get(f"/reports?week={Week.of(now())}"))
