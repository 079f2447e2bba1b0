"""The queue page: filters, views and snoozing without JavaScript; every key of it in Chromium."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from pipeline.db.tables import moves, reviews
from pipeline.review.sight import set_inboxes
from tests.web import seed
from tests.web.conftest import Place
from tests.web.reading import form, forms, tree, words

if TYPE_CHECKING:
    from playwright.sync_api import Page


def review_of(place: Place, name: str) -> int:
    of_ticket = (reviews.c.ticket_id == place.ids[name], reviews.c.state == "open")
    with place.store.read() as c:
        return int(c.execute(sa.select(reviews.c.id).where(*of_ticket)).scalar_one())


def test_a_view_is_saved_shown_as_a_tab_renamed_and_deleted(place: Place) -> None:
    with place.client("lea") as lead, place.client("anna") as agent:
        page = lead.get("/?topic=billing&q=")
        saved = form(page, "/views").send(lead, name="Money", shared="1")
        assert saved.headers["location"] == "/?topic=billing"
        page = agent.get("/")
        tab = tree(page).xpath("//nav[@aria-label='Views']/a[contains(., 'Money')]")[0]
        assert tab.get("href") == "/?topic=billing"
        assert " ".join(tab.text_content().split()) == "Money 3"
        page = agent.get("/?topic=billing")
        assert not any(f.action.startswith("/views") for f in forms(page))  # a lead's: not theirs to change
        page = lead.get("/?topic=billing")
        rename = next(f for f in forms(page) if re.fullmatch(r"/views/\d+", f.action))
        rename.send(lead, name="Billing", shared="1")
        assert "Billing" in words(agent.get("/"))
        form(lead.get("/?topic=billing"), "/delete").send(lead)
        assert not tree(agent.get("/")).xpath("//nav[@aria-label='Views']/a[contains(., 'Billing')]")


def test_a_view_that_cannot_be_saved_says_why(place: Place) -> None:
    with place.client("anna") as client:
        save = form(client.get("/?topic=billing"), "/views")
        assert "lead" in words(save.send(client, name="Ours", shared="1"))
        assert save.send(client, name="Mine").status_code == 303
        refused = save.send(client, name="Mine")
        assert refused.status_code == 409
        assert "you have a view named Mine already" in words(refused)


def test_a_row_is_snoozed_told_and_found_again(place: Place) -> None:
    review = review_of(place, "order")
    with place.client("anna") as client:
        csrf = form(client.get("/"), "/logout").values["csrf"]
        data = {"csrf": csrf, "until": "at", "at": "2020-01-01T09:00", "back": "topic=order_shipping"}
        assert client.post(f"/reviews/{review}/snooze", data=data).status_code == 422
        done = client.post(f"/reviews/{review}/snooze", data=data | {"until": "tomorrow"})
        page = client.get(done.headers["location"])
        assert "comes back by itself" in words(page)
        order = f"//tr[@data-ticket='{place.ids['order']}']"
        assert not tree(page).xpath(order)
        assert tree(client.get("/?state=snoozed")).xpath(order)
        # from the ticket it goes on to the next one, as after any decision
        review = review_of(place, "german")
        done = client.post(
            f"/reviews/{review}/snooze", data={"csrf": csrf, "until": "later", "go_on": "1", "back": ""}
        )
        assert re.match(r"/tickets/\d+\?done=snooze", done.headers["location"])
        client.post(f"/reviews/{review_of(place, 'order')}/wake", data={"csrf": csrf})
        assert tree(client.get("/")).xpath(order)
    with place.store.read() as c:
        lines = c.execute(sa.select(moves.c.why).where(moves.c.why.contains("snooze"))).scalars().all()
    assert len(lines) == 3


def test_an_agent_limited_to_an_inbox_finds_counts_and_filters_of_it_only(place: Place) -> None:
    other = seed.ticket(place.store, inbox="wholesale", subject="Not for Anna")
    with place.client("anna") as client:
        assert "Not for Anna" in words(client.get("/"))
        set_inboxes(place.store, "anna@shop.example", ["support"])
        page = client.get("/")
        assert "Not for Anna" not in words(page)
        assert "wholesale" not in words(page)
        assert tree(page).xpath("//h1/span")[0].text == str(len(place.ids))
        assert str(other) not in words(client.get(f"/?q=%23{other}&state=open"))


def test_whatever_stands_in_the_address_the_page_answers(place: Place) -> None:
    with place.client("anna") as client:
        for query in (
            "assignee=nobody", "assignee=999999999999", "assignee=²", "assignee=x", "state=x", "urgency=soon",
            "waited=9", "q=%00", "q='%22)%3B--", "q=%23", "topic=nope&language=xx&route=x&reason=y&inbox=z",
        ):  # fmt: skip
            assert client.get(f"/?{query}").status_code == 200, query
        for cursor in ("x", "9~2026-01-01T00:00:00+00:00~1", "0~2026-01-01T00:00:00~1", "0~~", "0~x~y"):
            assert client.get("/", params={"after": cursor}).status_code == 422, cursor


def test_rows_are_taken_snoozed_and_opened_at_a_form_by_keys(place: Place, page: Page) -> None:
    page.goto("/")
    page.keyboard.press("j")
    page.keyboard.press("j")
    row = page.locator(f"tr.row[data-ticket='{place.ids['order']}']")
    page.keyboard.press("m")
    row.locator(".taken").wait_for()
    assert row.locator(".taken").text_content() == "you"
    page.keyboard.press("m")  # the row is still the one that is selected
    row.locator(".taken").wait_for(state="detached")
    page.keyboard.press("e")
    page.wait_for_url(f"**/tickets/{place.ids['order']}#edit")
    assert page.evaluate("document.activeElement.id") == "text"
    page.keyboard.press("Escape")
    page.keyboard.press("u")
    row.wait_for()
    assert "selected" in (row.get_attribute("class") or "")  # the list stands where it was left
    page.keyboard.press("r")
    page.wait_for_url("**#reject")
    assert page.locator("#reason").is_visible()
    page.goto("/")
    row.wait_for()
    page.keyboard.press("s")
    page.locator("#snooze-row").wait_for()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=comes back by itself")
    assert row.count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1440])
def test_the_page_fits_with_tabs_filters_and_the_snooze_dialog(
    place: Place, page: Page, width: int, scheme: str
) -> None:
    for number, name in enumerate(("Refunds over 100", "German, not taken by anybody yet", "Angry")):
        with place.client("lea") as lead:
            saved = form(lead.get(f"/?urgency=high&waited={(1, 4, 24)[number]}"), "/views")
            saved.send(lead, name=name, shared="1")
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]  # one of the two
    page.set_viewport_size({"width": width, "height": 900})
    for path in ("/?urgency=high", "/?state=snoozed", "/"):
        page.goto(path)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
    page.keyboard.press("j")
    page.keyboard.press("s")
    box = page.locator("#snooze-row").bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= width
