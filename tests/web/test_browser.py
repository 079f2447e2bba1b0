"""The pages in a real Chromium: judged by keyboard alone, and the diff live."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from pipeline.db.tables import replies, reviews, tickets
from tests.web import seed
from tests.web.conftest import Place

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


def test_a_draft_is_judged_by_keyboard_alone(place: Place, page: Page) -> None:
    page.goto("/")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/tickets/{place.ids['order']}")
    with page.expect_response(lambda r: r.url.endswith("/seen")) as seen:
        pass
    assert seen.value.status == 204
    page.keyboard.press("e")
    page.keyboard.press("Control+A")
    with page.expect_response(lambda r: r.url.endswith("/diff")):
        page.keyboard.type("Hello Mia, it comes on Friday.")
    page.locator("details.live summary").click()
    page.locator("#diff ins").first.wait_for()
    assert page.locator("button[data-unchanged]").is_disabled()
    page.locator("#text").focus()
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("text=Your edit was approved and goes out.")
    with place.store.read() as c:
        assert c.execute(sa.select(replies.c.text).where(replies.c.state == "waiting")).scalar_one() == (
            "Hello Mia, it comes on Friday."
        )
        row = c.execute(sa.select(reviews).where(reviews.c.ticket_id == place.ids["order"])).one()
    assert (row.action, row.outcome) == ("edit", "rewritten")
    assert row.first_viewed_at is not None


def test_approve_take_reject_and_help_have_keys(place: Place, page: Page) -> None:
    page.goto(f"/tickets/{place.ids['double']}")
    page.keyboard.press("a")  # blocked: the key does nothing
    assert page.locator("button[data-key=a]").is_disabled()
    page.keyboard.press("?")
    assert page.locator("#help").is_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("m")
    page.wait_for_selector("text=taken by you")
    page.keyboard.press("r")
    page.locator("#reason").select_option("promised_too_much")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("text=The draft was rejected.")
    page.goto(f"/tickets/{place.ids['german']}")
    page.keyboard.press("a")
    page.wait_for_selector("text=The draft was approved and goes out.")
    with place.store.read() as c:
        status = sa.select(tickets.c.status).where(tickets.c.id == place.ids["german"])
        assert c.execute(status).scalar_one() == "approved"


def test_new_rows_are_announced_without_moving_the_list(place: Place, page: Page) -> None:
    page.goto("/")
    before = page.locator("tr.row").count()
    seed.ticket(place.store, subject="A new one")
    # the page asks every 20 s; here at once
    page.evaluate("htmx.trigger(document.querySelector('[hx-get^=\"/queue/news\"]'), 'every')")
    page.wait_for_selector("text=1 new row since you opened this page.")
    assert page.locator("tr.row").count() == before
    page.get_by_role("link", name="Show it").click()
    page.wait_for_selector("text=A new one")


def test_more_rows_come_in_place(place: Place, page: Page) -> None:
    for _ in range(50):
        seed.ticket(place.store)
    page.goto("/")
    assert page.locator("tr.row").count() == 50
    page.get_by_role("link", name="More").click()
    # not wait_for_function: the page's policy forbids the eval that it polls with
    page.locator("tr.row").nth(56).wait_for()
    assert page.locator("tr.row").count() == 57


@pytest.mark.parametrize("width", [360, 768, 1440])
def test_no_page_is_wider_than_its_window(browser: Browser, place: Place, page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    for path in ["/", "/account", "/api/docs", *(f"/tickets/{number}" for number in place.ids.values())]:
        page.goto(path)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path


def test_every_control_has_a_name(place: Place, page: Page) -> None:
    nameless = """() => [...document.querySelectorAll('input:not([type=hidden]), select, textarea, button, a')]
        .filter(e => !(e.labels && e.labels.length) && !e.textContent.trim() && !e.getAttribute('aria-label'))
        .map(e => e.outerHTML.slice(0, 120))"""
    twice = "() => [...document.querySelectorAll('[id]')].map(e => e.id).filter((id, i, all) => all.indexOf(id) !== i)"
    for path in ["/", "/account", *(f"/tickets/{number}" for number in place.ids.values())]:
        page.goto(path)
        assert page.evaluate(nameless) == [], path
        assert page.evaluate(twice) == [], path
