"""axe-core on every page: nothing serious in light or dark, at 360 and at 1440 pixels."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from pipeline.db.tables import reviews, second_reads, tickets
from pipeline.db.types import now
from pipeline.learning.proposals import Draft, keep
from pipeline.review import saved_views, sessions
from pipeline.review.totp import STEP_S, code_at
from pipeline.steps import redrafting, run_until_idle
from tests.kit.axe import findings
from tests.kit.live import mail
from tests.kit.model_server import ModelServer
from tests.test_redrafting import ANGRY, CHEAP, GPT, answer
from tests.test_steps import bring
from tests.web.seed import PASSWORD
from tests.web.test_evaluations import HEADER, HOUSE, LUNA, run
from tests.web.whole import Whole, whole

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser, Page


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, migrated_sqlite: Path) -> Iterator[Whole]:
    with (
        ModelServer(answer) as server,
        whole(tmp_path_factory.mktemp("axe"), migrated_sqlite, server) as place,
    ):
        fill(place)
        yield place


def fill(place: Whole) -> None:
    """What the pages have beyond the seeded queue: a comparison, a mention, a view, a closed row, runs."""
    parts, anna, lea = place.parts, place.people["anna"], place.people["lea"]
    place.ids["drafted"] = bring(parts, mail(ANGRY, subject="Order 48213"))
    run_until_idle(parts, threads=1)
    with parts.store.read() as c:
        rows = {
            row.ticket_id: row.id for row in c.execute(sa.select(reviews).where(reviews.c.state == "open"))
        }
        versions = dict(c.execute(sa.select(tickets.c.id, tickets.c.version)).all())
    drafted, german, vague = (place.ids[name] for name in ("drafted", "german", "vague"))
    place.ids["comparison"] = redrafting.compare(parts, rows[drafted], anna, versions[drafted], (CHEAP, GPT))
    parts.desk.note(rows[place.ids["double"]], lea, "Please look at the second charge, @anna @ada.")
    parts.desk.claim(rows[place.ids["order"]], anna)
    parts.desk.close(rows[german], lea, versions[german], "answered by telephone")
    parts.desk.approve(rows[vague], lea, versions[vague])
    saved_views.save(parts.store, anna, "Angry and German", "language=de&emotion=angry")
    fact = {"text": "Parcels take 6 days."}
    keep(parts.store, "2026-W47", [Draft("f", "fact", "Add", "policy.md", fact, (rows[drafted],), {})])
    evaluations = parts.home / "evaluations"
    run(evaluations, HEADER, dict.fromkeys("abc", True) | {"d": False})
    run(evaluations, replace(HEADER, run="tuesday", models=(LUNA, HOUSE)), {"a": True, "b": False})


@pytest.fixture(scope="module")
def page(browser: Browser, place: Whole) -> Iterator[Page]:
    """A browser in which an admin is logged in; it may be logged out by `anonymous`."""
    context = browser.new_context(base_url=place.url)
    context.add_cookies([place.cookie("ada")])
    page = context.new_page()
    page.set_default_timeout(15_000)
    yield page
    context.close()


@pytest.fixture
def anonymous(browser: Browser, place: Whole) -> Iterator[Page]:
    context = browser.new_context(base_url=place.url)
    yield context.new_page()
    context.close()


OPEN_ALL = "for (const part of document.querySelectorAll('details')) part.open = true"


@pytest.mark.parametrize(
    "path",
    [
        "/", "/?language=de&state=decided", "/?state=snoozed", "/mentions", "/account", "/agents", "/reports",
        "/evaluations", "/evaluations/run/tuesday", "/reports?route=strong&by=topic", "/reports/cases?figure=drafts",
        "/reports/failures", "/reports/scorecard", "/reports/scorecard/route/cheap", "/second-reads",
        "/proposals", "/proposals/1", "/routes/try",
        "/evaluations/compare?a=monday:gpt-6-luna&b=tuesday:gpt-6-luna&measure=topic_accuracy",
        "/api/docs", "/nowhere",
    ],
)  # fmt: skip
def test_a_page_has_no_serious_finding(page: Page, path: str) -> None:
    page.goto(path)
    page.evaluate(OPEN_ALL)
    assert findings(page) == []


@pytest.mark.parametrize(
    "name",
    ["order", "german", "template", "failed", "uncertain", "drafted"],
)
def test_a_ticket_has_no_serious_finding(page: Page, place: Whole, name: str) -> None:
    page.goto(f"/tickets/{place.ids[name]}")
    page.evaluate(OPEN_ALL)
    assert findings(page) == []


def test_a_comparison_has_no_serious_finding(browser: Browser, place: Whole, page: Page) -> None:
    page.goto(f"/comparisons/{place.ids['comparison']}")
    assert page.get_by_role("heading", name="Draft A").is_visible()
    assert findings(page) == []


def test_a_case_in_the_making_and_a_second_read_have_no_serious_finding(page: Page, place: Whole) -> None:
    with place.parts.store.write() as c:
        approved = sa.select(reviews).where(reviews.c.action == "approve", reviews.c.draft_id.is_not(None))
        row = c.execute(approved.order_by(reviews.c.id.desc())).first()
        assert row is not None
        c.execute(second_reads.delete().where(second_reads.c.review_id == row.id))  # it may have been drawn
        asked = c.execute(
            second_reads.insert().values(
                review_id=row.id, ticket_id=row.ticket_id, first_by=row.decided_by, asked_at=now()
            )
        ).inserted_primary_key
    assert asked is not None
    for path in (f"/second-reads/{asked[0]}", "/second-reads", f"/reviews/{row.id}/case"):
        page.goto(path)
        page.get_by_role("heading", level=1).wait_for()
        assert findings(page) == []


def test_a_marked_diff_a_refusal_and_the_dialogs_have_no_serious_finding(page: Page, place: Whole) -> None:
    page.goto(f"/tickets/{place.ids['double']}")
    with page.expect_response(lambda r: r.url.endswith("/diff")):
        page.fill("#text", "Hello Jonas,\n\nwe have refunded 49.00 EUR.")
    page.evaluate(OPEN_ALL)
    page.locator("#diff ins").first.wait_for()
    assert findings(page) == []
    page.locator("#judge [name=version]").evaluate("field => field.value = '0'")
    page.get_by_role("button", name="Send my edit").click()
    page.get_by_text("Not done.").wait_for()
    assert findings(page) == []
    page.goto("/")
    page.keyboard.press("?")
    page.locator("#help").wait_for()
    assert findings(page) == []
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.keyboard.press("s")
    page.locator("#snooze-row").wait_for()
    assert findings(page) == []


def test_the_way_in_has_no_serious_finding(anonymous: Page, place: Whole) -> None:
    page, ben = anonymous, place.people["ben"]
    page.goto("/login")
    assert findings(page) == []
    page.fill("[name=email]", ben.email)
    page.fill("[name=password]", "not this one")
    page.keyboard.press("Enter")
    page.locator("[role=alert]").wait_for()
    assert findings(page) == []
    page.goto(f"/enter/{sessions.make_link(place.parts.store, ben, 'reset')}")
    page.locator("[name=password]").wait_for()
    assert findings(page) == []
    secret = place.factors.begin(ben).secret
    step = int(time.time()) // STEP_S
    place.factors.confirm(ben, code_at(base64.b32decode(secret), step), "127.0.0.1", session_hash="")
    page.goto("/login")
    page.fill("[name=email]", ben.email)
    page.fill("[name=password]", PASSWORD)
    page.keyboard.press("Enter")
    page.locator("[name=code]").wait_for()
    assert findings(page) == []


def test_the_check_sees_what_is_hard_to_read(page: Page) -> None:
    page.goto("/account")
    page.evaluate(
        "document.querySelector('main').innerHTML = "
        "'<h1 id=faint>Faint</h1><input><img src=/static/icon.svg>';"
        "document.getElementById('faint').style.color = 'rgba(127,127,127,0.3)'"
    )
    seen = " ".join(findings(page))
    for rule in ("color-contrast", "label", "image-alt", "1440 dark: color-contrast"):
        assert rule in seen, rule
