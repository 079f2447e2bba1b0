from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
from playwright.sync_api import Browser, Page

from pipeline.db.store import Store
from pipeline.db.types import now
from pipeline.reports.measures import report
from pipeline.reports.weeks import Week
from pipeline.review import sessions
from pipeline.review.agents import Agent
from tests.kit.browsing import Watch, chromium
from tests.web import running, seed


@dataclass(frozen=True)
class Place:
    """A served app on its own store: `ids` are tickets by name, `people` accounts by name."""

    url: str
    store: Store
    ids: dict[str, int]
    people: dict[str, Agent]
    hinted: list[int]

    def client(self, who: str | None = None) -> httpx2.Client:
        """A browser's worth of client; logged in as `who`."""
        client = httpx2.Client(base_url=self.url, headers={"accept": "text/html"}, timeout=20)
        if who:
            token, _session = sessions.start(self.store, self.people[who])
            client.cookies.set("triage_session", token)
        return client


@pytest.fixture
def place(sqlite_store: Store, tmp_path: Path) -> Iterator[Place]:
    ids = seed.inbox_of_a_day(sqlite_store)
    from pipeline.review.agents import everyone

    people = {agent.email.split("@")[0]: agent for agent, *_ in everyone(sqlite_store)}
    hinted: list[int] = []
    parts = running.parts_for(
        sqlite_store,
        hint=hinted.append,
        evaluations=tmp_path / "home" / "evaluations",
        report=lambda week, **how: report(sqlite_store, Week.parse(week) if week else Week.of(now()), **how),
    )
    with running.serving(parts) as url:
        yield Place(url, sqlite_store, ids, people, hinted)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser, place: Place) -> Iterator[Page]:
    """A page in which an agent, Anna, is logged in; it must do nothing that `Watch` sees."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, base_url=place.url)
    token, _session = sessions.start(place.store, place.people["anna"])
    context.add_cookies([{"name": "triage_session", "value": token, "url": place.url}])
    page = context.new_page()
    page.set_default_timeout(15_000)
    watch = Watch(page, place.url)
    yield page
    assert watch.seen == []
    context.close()
