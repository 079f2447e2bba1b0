"""Hostile texts by every way in, shown on every page, in a real Chromium: nothing runs, nothing is fetched."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx2
import pytest
import sqlalchemy as sa
from jinja2 import Environment

from pipeline.db.store import Store
from pipeline.db.tables import reviews
from pipeline.ingest.sanitising import sanitise
from pipeline.review import agents, sessions
from pipeline.web.render import HTMX, STATIC
from tests.web import running, seed
from tests.web.hostile import EVERY, FIRST, Text
from tests.web.hostile_ways import BATCHES, Attacked, attacked, joined
from tests.web.tripwire import Tripwire

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser, BrowserContext

CARELESS = (
    "<!doctype html><html><head><script src=/static/htmx.js defer></script></head><body>{}</body></html>"
)
OURS = "<dialog id=help></dialog><form id=judge><input type=hidden name=csrf></form>"
ONLY_STAND = {"what our own scripts read", "names that cover ours", "hints to the browser", "lurking"}
"""They do nothing by themselves, but show themselves to whoever looks."""


def careless_page(text: Text) -> str:
    shown = text.careless
    if text.kind == "templates":
        shown = Environment(autoescape=True).from_string(shown).render()
    return CARELESS.format(OURS + shown)


class Careless(BaseHTTPRequestHandler):
    """/17 is the careless page of text 17, / a page of frames, one for each kind, /clean the sanitised texts."""

    pages = {f"/{text.number}": careless_page(text) for text in FIRST.values()} | {
        "/": CARELESS.format("".join(f"<iframe src=/{text.number}></iframe>" for text in FIRST.values())),
        "/clean": CARELESS.format("".join(f"<div>{sanitise(text.text)}</div>" for text in EVERY)),
        "/static/htmx.js": (STATIC / HTMX).read_text(encoding="utf-8"),
    }

    def do_GET(self) -> None:
        page = self.pages.get(self.path)
        self.send_response(200 if page else 404)
        self.send_header(
            "content-type",
            "text/javascript" if self.path == "/static/htmx.js" else "text/html; charset=utf-8",
        )
        self.end_headers()
        self.wfile.write((page or "").encode("utf-8", "replace"))

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def careless() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Careless)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def numbers(seen: list[tuple[str, str]]) -> set[int]:
    """The texts that what was seen came from."""
    return {
        int(number)
        for entry in seen
        for pair in re.findall(r"alert\((\d+)\)|\bn(\d+)\.evil\.example", " ".join(entry))
        for number in pair
        if number
    }


def test_the_tripwire_sees_every_kind_work_and_every_text_stand_in_a_careless_page(
    browser: Browser, careless: str
) -> None:
    context = browser.new_context()
    context.route(re.compile("evil"), lambda route: route.abort())
    tripwire = Tripwire(context, careless, r"/(\d*|static/htmx\.js)", console=False)
    page = context.new_page()
    page.goto(careless, wait_until="commit")
    idle = {text.kind for text in FIRST.values()} - ONLY_STAND - {"templates"}
    until = time.monotonic() + 15
    while idle and time.monotonic() < until:
        page.wait_for_timeout(100)
        idle -= {text.kind for text in EVERY if text.number in numbers(tripwire.seen)}
    assert idle == set()
    assert tripwire.scan_parsed(page, [CARELESS.format(OURS)]) == [[]]
    stand = tripwire.scan_parsed(page, [careless_page(text) for text in EVERY])
    assert [
        text.text[:99] for text, found in zip(EVERY, stand, strict=True) if text.works and not found
    ] == []
    context.close()


def test_sanitised_mail_does_nothing_even_where_no_policy_stops_it(browser: Browser, careless: str) -> None:
    """Also after it was written out and parsed once more, as editors and mail programs do."""
    context = browser.new_context()
    context.route(re.compile("evil"), lambda route: route.abort())
    tripwire = Tripwire(context, careless, "/clean|/static/htmx.js")
    page = context.new_page()
    tripwire.open(page, "/clean")
    page.evaluate(
        "for (const one of document.querySelectorAll('body > div')) one.innerHTML = one.innerHTML.repeat(2)"
    )
    page.evaluate(
        "for (const e of document.querySelectorAll('body *')) e.dispatchEvent(new Event('mouseover'))"
    )
    page.wait_for_timeout(300)
    assert tripwire.seen[:5] == []
    kept = page.evaluate(
        """() => [...document.querySelectorAll("body *")].flatMap((e) => [...e.attributes].map((a) => a.name))"""
    )
    assert set(kept) <= {
        "href",
        "rel",
        "title",
        "dir",
        "lang",
        "alt",
        "width",
        "height",
        "align",
        "start",
        "type",
    }
    links = page.evaluate("[...document.querySelectorAll('a[href]')].map((a) => a.protocol)")
    assert set(links) <= {"http:", "https:", "mailto:"}
    context.close()


# --- by every way in, on every page ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def attack(tmp_path_factory: pytest.TempPathFactory, migrated_sqlite: Path) -> Iterator[Attacked]:
    with attacked(tmp_path_factory.mktemp("hostile"), migrated_sqlite) as attack:
        yield attack


OPEN_ALL = "for (const part of document.querySelectorAll('details')) part.open = true"
TOUCH_ALL = """() => {
  for (const element of document.querySelectorAll("main *"))
    for (const name of ["mouseover", "pointerenter", "focusin", "toggle", "animationstart"])
      element.dispatchEvent(new Event(name, { bubbles: true }));
}"""
SHOWN = (
    "[...document.querySelectorAll('main, textarea, input')].map((e) => e.value ?? e.textContent).join(' ')"
)
ASKED_FOR = (
    r"/static/[\w./?=-]+|/tickets/\d+/here|/reviews/\d+/(?:seen|diff|typed|take)|/queue/news\?.*"
    r"|/reports/chart/\w+\.png\?.*"
)


@pytest.fixture
def eyes(browser: Browser, attack: Attacked) -> Iterator[tuple[BrowserContext, Tripwire]]:
    """A browser in which Eve is logged in, and the tripwire around it, which nothing may touch."""
    context = browser.new_context()
    token, _session = sessions.start(attack.whole.parts.store, attack.eve)
    context.add_cookies([{"name": "triage_session", "value": token, "url": attack.whole.url}])
    context.set_default_timeout(20_000)
    tripwire = Tripwire(context, attack.whole.url, ASKED_FOR)
    yield context, tripwire
    context.close()
    assert tripwire.seen[:5] == []


def look(context: BrowserContext, tripwire: Tripwire, paths: list[str]) -> dict[str, str]:
    """Open each page with all that it folds away, touch it and look through it; returns what each shows."""
    pages = []
    for path in paths:
        page = context.new_page()
        tripwire.open(page, path)
        page.evaluate(OPEN_ALL)
        page.evaluate(TOUCH_ALL)
        pages.append(page)
    pages[-1].wait_for_timeout(300)
    shown = {}
    for path, page in zip(paths, pages, strict=True):
        tripwire.scan(page)
        shown[path] = page.evaluate(SHOWN)
        page.close()
    return shown


def missing(shown: str, batch: list[Text]) -> list[str]:
    return [text.text[:99] for text in batch if not any(mark in shown for mark in text.marks)]


def test_tickets_show_every_text_and_nothing_of_it_works(
    attack: Attacked, eyes: tuple[BrowserContext, Tripwire]
) -> None:
    context, tripwire = eyes
    for number, batch in enumerate(BATCHES):
        opened, decided = f"/tickets/{attack.mails[number]}", f"/tickets/{attack.hooks[number]}"
        shown = look(context, tripwire, [opened, decided])
        assert missing(shown[opened], batch) == []
        short = [text for text in batch if len(text.text) < 100]
        assert len(missing(shown[decided], short)) < len(short)
    written = f"/tickets/{attack.written}"
    short = [text for text in FIRST.values() if len(text.text) < 300]
    assert missing(look(context, tripwire, [written])[written], short) == []


def test_what_is_typed_and_swapped_in_does_not_work_either(
    attack: Attacked, eyes: tuple[BrowserContext, Tripwire]
) -> None:
    context, tripwire = eyes
    page = context.new_page()
    for number, batch in enumerate(BATCHES):
        tripwire.open(page, f"/tickets/{attack.mails[number]}")
        if not page.locator("#judge").count():
            continue
        with page.expect_response(lambda answer: answer.url.endswith("/diff")):
            page.fill("#text", "\n".join(text.text.replace("\x00", "") for text in reversed(batch)))
        page.locator("#diff ins").first.wait_for(state="attached")
        tripwire.scan(page)
    tripwire.open(page, "/")
    page.keyboard.press("j")
    with page.expect_response(lambda answer: answer.url.endswith("/take")):
        page.keyboard.press("m")
    page.locator("tr.row.selected .taken").wait_for()
    tripwire.scan(page)


def test_no_other_page_is_attacked(attack: Attacked, eyes: tuple[BrowserContext, Tripwire]) -> None:
    context, tripwire = eyes
    line = quote(joined(list(FIRST.values()), 400))
    with attack.whole.parts.store.read() as c:
        ours = sa.select(reviews.c.id).where(reviews.c.action == "reject").limit(1)
        rejected = f"/reviews/{c.execute(ours).scalar_one()}/case"
    paths = [
        "/", "/?state=decided", "/?q=alert", f"/?q={line}", f"/?topic={line}&language={line}&assignee={line}",
        f"/tickets/{attack.mails[1]}?back=q%3D{line}", f"/comparisons/{attack.comparison}", "/mentions", "/account",
        "/agents", "/reports", f"/reports?week={line}", "/evaluations", "/evaluations/run/monday",
        "/evaluations/compare?a=monday:gpt-6-luna&b=tuesday:gpt-6-luna", f"/evaluations/compare?a={line}&b={line}",
        f"/reports?route={line}&by={line}", f"/reports/cases?figure={line}&{line}={line}", "/reports/failures",
        "/reports/cases?figure=drafts", "/reports/cases?figure=waiting", f"/reports/failures?prompt={line}",
        "/reports/scorecard", f"/reports/scorecard/model/{line}", "/second-reads", rejected,
        f"/evaluations/run/{line}", f"/nowhere/{line}", f"/login?next={line}", f"/enter/{line}", "/api/docs",
    ]  # fmt: skip
    shown = look(context, tripwire, paths)
    for path in (
        "/",
        "/?state=decided",
        f"/?q={line}",
        "/mentions",
        "/account",
        "/agents",
        "/evaluations/run/monday",
        "/reports",
        "/reports/cases?figure=drafts",
        rejected,
    ):
        assert "alert(" in shown[path], path
    page = context.new_page()
    tripwire.open(page, "/agents")
    page.locator("#email").evaluate(
        "(field, text) => { field.type = 'text'; field.value = text }", joined(EVERY, 300)
    )
    page.get_by_role("button", name="Make the invitation link").click()
    page.get_by_text("is not an email address").wait_for()
    tripwire.scan(page)


ODD_FACTS: list[Any] = [
    "text", 7, ["a"], [{}], {"open_tickets": "text"}, {"open_tickets": ["a", 3, None, {"id": "7"}, {"id": 7}]},
    {"open_tickets": {"id": 7}}, {"payments": "text"}, {"payments": ["a", [1], {"at": 7, "id": {"a": []}}]},
    {"orders": {"a": 1}}, {"invoices": [{"at": "9999-12-31T23:59:59+00:00"}, {"at": "0001-01-01T00:00:00+14:00"}]},
    {"flags": "text"}, {"flags": ["a", {"rows": "text", "text": [1]}, {"rows": [1, {"at": [], "id": 0}]}]},
    {"flags": {"rows": []}}, {"more": ["a"]}, {"more": "text"}, {"more": {"a": "text", "b": {"value": {"c": [1]}}}},
    {"plan": "text"}, {"plan": ["a"]}, {"plan": {"value": 10**300, "source": ["x"]}}, {"status": {"value": False}},
    {"last_login": {"value": "2026-13-45T99:99:99"}}, {"last_login": {"value": "9999-12-31T23:59:59+00:00"}},
    {"more": {"\ud800": {"value": "\udfff\x00", "source": "\ud83d"}}}, {"plan": {"value": "x" * 200_000}},
    {"payments": [{"id": "x", "amount": [{}], "refunded": "no"}] * 3_000},
    {"more": {str(number): {"value": number} for number in range(3_000)}},
]  # fmt: skip


def test_no_odd_account_facts_cost_the_page_or_the_api(sqlite_store: Store) -> None:
    anna = seed.people(sqlite_store)["anna"]
    agents.set_zone(sqlite_store, anna.id, "Asia/Tokyo")
    found = [seed.ticket(sqlite_store, facts=facts) for facts in ODD_FACTS]
    token, _session = sessions.start(sqlite_store, anna)
    bearer = {"authorization": f"Bearer {agents.make_api_token(sqlite_store, anna.id)}"}
    with running.serving(running.parts_for(sqlite_store)) as url, httpx2.Client(base_url=url) as client:
        client.cookies.set("triage_session", token)
        for ticket_id, facts in zip(found, ODD_FACTS, strict=True):
            page = client.get(f"/tickets/{ticket_id}", headers={"accept": "text/html"})
            assert page.status_code == 200, str(facts)[:200]
            assert "Account" in page.text
            answer = client.get(f"/api/v1/tickets/{ticket_id}", headers=bearer)
            assert answer.status_code == 200, str(facts)[:200]
