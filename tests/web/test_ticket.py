"""The ticket page: what stands where, who else is here, what is typed, and what is put right."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import httpx2
import sqlalchemy as sa

from pipeline.db.moves import move
from pipeline.db.reviews import open_review, supersede_open
from pipeline.db.tables import corrections, presences, replies, reviews, tickets, typed_texts
from pipeline.lifecycle import Status
from pipeline.review import presence, sight, typed
from pipeline.review.agents import set_zone
from tests.web import seed
from tests.web.conftest import Place
from tests.web.reading import form, forms, tree, words
from tests.web.test_pages import status_of, ticket_page

if TYPE_CHECKING:
    from playwright.sync_api import Page


def the_customer_writes_again(place: Place, name: str) -> None:
    """As intake does: the draft is stale at once."""
    with place.store.write() as c:
        supersede_open(c, place.ids[name], "a newer message arrived")
        move(c, place.ids[name], Status.RECEIVED, who="intake", why="the customer wrote again")


def test_fields_are_marked_in_the_text_with_their_kind(place: Place) -> None:
    with place.client("anna") as client:
        page = ticket_page(client, place, "double")
        marked = {
            m.text: (m.get("data-kind"), m.get("id")) for m in tree(page).xpath("//mark[@class='field']")
        }
        assert marked["INV-20931"][0] == "invoice number"
        assert marked["November 19"][0] == "date"
        links = {a.text_content(): a.get("href") for a in tree(page).xpath("//a[@class='found']")}
        assert links["INV-20931"] == f"#{marked['INV-20931'][1]}"
        claims = tree(page).xpath("//mark[@class='claim']/@data-kind")
        assert claims == ["statement", "statement"]


def test_a_reply_that_may_be_out_is_not_the_beginning_of_the_next_answer(place: Place) -> None:
    with place.client("anna") as client:
        asked = words(ticket_page(client, place, "uncertain"))
        assert "here is your invoice" in asked  # it is to be judged whether this one arrived
        the_customer_writes_again(place, "uncertain")
        with place.store.write() as c:
            move(c, place.ids["uncertain"], Status.IN_REVIEW, who="triage", why="a person is wanted")
            open_review(c, place.ids["uncertain"], "human_route", "A person is wanted.")
        page = tree(ticket_page(client, place, "uncertain"))
    assert (page.xpath("//textarea[@id='text']")[0].text or "").strip() == ""


def test_a_download_is_named_as_the_page_shows_it(place: Place) -> None:
    place.ids["turned"] = seed.ticket(
        place.store, files=(("invoice\u202efdp.exe", "application/pdf", b"MZ"),)
    )
    with place.client("anna") as client:
        (link,) = tree(ticket_page(client, place, "turned")).xpath("//ul[@class='attachments']//a")
        sent = client.get(link.get("href")).headers["content-disposition"]
    assert link.text_content() == "invoicefdp.exe"
    assert sent == "attachment; filename=\"invoicefdp.exe\"; filename*=UTF-8''invoicefdp.exe"


def test_every_call_shows_its_prompt_tokens_cost_and_time(place: Place) -> None:
    with place.client("anna") as client:
        text = words(ticket_page(client, place, "double"))
    for wanted in ("draft/strong 9f2c11d07a", "1204 / 211", "$0.0184", "4.2 s", "Model calls 2, $0.0187"):
        assert wanted in text, wanted


def test_a_value_is_changed_taken_out_and_put_in(place: Place) -> None:
    with place.client("anna") as client:
        right = form(ticket_page(client, place, "double"), "/fields")
        page = tree(ticket_page(client, place, "double")).xpath("//form[contains(@action, '/fields')]")[0]
        rows = [(i.get("name"), i.get("value") or "") for i in page.xpath(".//input[@name]")]
        old = [value for name, value in rows if name == "old"]
        names = [value for name, value in rows if name == "name"]
        assert old == ["INV-20931", "49.00 EUR", "November 19", "Jonas Berg", ""]
        data = {k: right.values[k] for k in ("csrf", "version", "back")}
        sent = client.post(
            right.action,
            data=data
            | {
                "name": [*names, "order_numbers"],
                "old": old,
                "new": ["INV-20932", "49.00 EUR", "", "Jonas Berg", "A-7"],
            },
        )
        assert sent.status_code == 303
        page = ticket_page(client, place, "double")
        assert "INV-20932 (not in the new text)" in words(page)
        assert "November 19" not in [m.text for m in tree(page).xpath("//mark[@class='field']")]
        assert "INV-20931 is no invoice number" in words(page)
        stale = client.post(right.action, data=data | {"name": ["names"], "old": [""], "new": ["X"]})
        assert stale.status_code == 409
    with place.store.read() as c:
        (row,) = c.execute(sa.select(corrections)).all()
    assert (row.field, row.by_name, row.new["order_numbers"]) == (
        "fields", "agent:anna@shop.example", [{"value": "A-7"}],
    )  # fmt: skip


def test_a_ticket_is_assigned_and_the_assignee_is_told(place: Place) -> None:
    with place.client("anna") as anna, place.client("ben") as ben:
        sent = form(ticket_page(anna, place, "order"), "/assign").send(anna, to="ben@shop.example")
        assert sent.status_code == 303
        assert "assigned to you" in words(ticket_page(ben, place, "order"))
        page = ticket_page(ben, place, "order")
        assert "Anna Weiss assigned it to ben@shop.example" in words(page)
        refused = form(page, "/assign").send(ben, to="nobody@shop.example")
        assert refused.status_code == 422
        assert form(page, "/approve").send(ben).status_code == 303


def test_a_mention_is_counted_listed_and_read(place: Place) -> None:
    with place.client("anna") as anna, place.client("ben") as ben:
        form(ticket_page(ben, place, "vague"), "/note").send(ben, text="@anna <b>seen</b> before?")
        assert "Mentions 1" in words(anna.get("/account"))
        listed = anna.get("/mentions")
        assert "@anna <b>seen</b> before?" in words(listed)
        assert tree(listed).xpath("//article//a/@href") == [f"/tickets/{place.ids['vague']}"]
        assert "Mentions" not in words(ben.get("/account"))
        assert form(listed, "/mentions/seen").send(anna).status_code == 303
        assert "Mentions" not in words(anna.get("/account"))
        assert "new" not in words(anna.get("/mentions")).split()


def test_a_note_that_calls_somebody_who_cannot_see_it_is_refused_and_kept(place: Place) -> None:
    sight.set_inboxes(place.store, "ben@shop.example", ["sales"])
    with place.client("anna") as anna:
        refused = form(ticket_page(anna, place, "vague"), "/note").send(anna, text="@ben seen before?")
        assert refused.status_code == 422
        assert "Not done. @ben does not see this inbox" in words(refused)
        assert form(refused, "/note").values["text"] == "@ben seen before?"
        assert form(ticket_page(anna, place, "vague"), "/note").values["text"] == ""


def test_spam_is_closed_and_its_sender_is_marked(place: Place) -> None:
    later = seed.ticket(place.store, address="k@example.com")
    with place.client("anna") as client:
        done = form(ticket_page(client, place, "vague"), "/spam").send(client)
        assert status_of(place, "vague") == "closed"
        assert "The ticket was closed as spam." in words(client.get(done.headers["location"]))
        assert "sender marked as spam before" in words(client.get(f"/tickets/{later}"))
        assert "marked as spam before" not in words(ticket_page(client, place, "order"))


# --- two people ---------------------------------------------------------------------------------------------


def here(client: httpx2.Client, page: httpx2.Response, **more: str) -> httpx2.Response:
    found = tree(page).xpath("//form[@id='here']")[0]
    values = {i.get("name"): i.get("value") or "" for i in found.xpath(".//input")}
    return client.post(found.get("hx-post"), data={**values, **more})


def test_colleagues_see_each_other_and_what_happened_meanwhile(place: Place) -> None:
    with place.client("anna") as anna, place.client("ben") as ben:
        hers, his = ticket_page(anna, place, "order"), ticket_page(ben, place, "order")
        assert here(anna, hers, typing="1").text.strip() == ""
        assert "Anna Weiss is here, typing" in words(here(ben, his))
        assert "Anna Weiss is here, typing" in words(ticket_page(ben, place, "order"))
        form(hers, "/correct").send(anna, urgency="critical")
        told = words(here(ben, his))
        assert "This ticket changed since you opened it." in told
        assert "Anna Weiss corrected urgency: high is critical (anna@shop.example)" in told
        assert here(anna, hers, leaving="1").status_code == 204
        assert "Anna Weiss is here" not in words(here(ben, his))


def test_a_mention_is_seen_by_opening_its_ticket(place: Place) -> None:
    with place.client("anna") as anna, place.client("ben") as ben:
        form(ticket_page(ben, place, "vague"), "/note").send(ben, text="@anna look")
        here(anna, ticket_page(anna, place, "order"))
        assert "Mentions 1" in words(anna.get("/account"))
        here(anna, ticket_page(anna, place, "vague"))
        assert "Mentions" not in words(anna.get("/account"))


def test_another_inboxs_ticket_is_not_there(place: Place) -> None:
    with place.client("anna") as anna:
        page = ticket_page(anna, place, "order")
        note = form(page, "/note")
        sight.set_inboxes(place.store, "anna@shop.example", ["sales"])
        assert anna.get(f"/tickets/{place.ids['order']}").status_code == 404
        assert here(anna, page).status_code == 404
        for ending in ("/spam", "/assign", "/fields", "/approve", "/note"):
            assert form(page, ending).send(anna).status_code == 404, ending
        for path in ("typed", "diff", "forget"):
            answer = note.send(anna, note.action.replace("note", path), text="x")
            assert answer.status_code == 404, path
    with place.store.read() as c:
        for table in (typed_texts, presences):
            assert c.execute(sa.select(sa.func.count()).select_from(table)).scalar_one() == 0


def test_the_loser_sees_who_did_what_and_finds_the_text_again(place: Place) -> None:
    with place.client("anna") as anna, place.client("ben") as ben:
        hers, his = ticket_page(anna, place, "order"), ticket_page(ben, place, "order")
        form(hers, "/correct").send(anna, urgency="low")
        form(ticket_page(anna, place, "order"), "/approve").send(anna)
        action = form(his, "/approve").action.replace("approve", "edit")
        lost = form(his, "/approve").send(ben, action, text="Ben's careful words.")
        assert lost.status_code == 409
        told = words(lost)
        assert "Anna Weiss corrected urgency: high is low (anna@shop.example)" in told
        assert "Anna Weiss approved the draft as it is (anna@shop.example)" in told
        again = ticket_page(ben, place, "order")
        kept = tree(again).xpath("//textarea[@readonly]")
        assert [t.text for t in kept] == ["Ben's careful words."]
        assert not tree(ticket_page(anna, place, "order")).xpath("//textarea[@readonly]")
        form(again, "/forget").send(ben)
        assert "Ben's careful words." not in ticket_page(ben, place, "order").text


def test_what_is_typed_is_there_again_and_survives_a_newer_message(place: Place) -> None:
    with place.client("anna") as client:
        page = ticket_page(client, place, "order")
        judge = form(page, "/approve")
        judge.send(client, judge.action.replace("approve", "diff"), text="Half a sent")
        again = ticket_page(client, place, "order")
        assert tree(again).xpath("//textarea[@id='text']")[0].text == "Half a sent"
        assert "was kept and stands here again" in words(again)
        the_customer_writes_again(place, "order")
        late = judge.send(client, judge.action.replace("approve", "edit"), text="Half a sentence.")
        assert late.status_code == 409
        assert "the customer wrote again" in words(late)
        assert tree(late).xpath("//textarea[@readonly]")[0].text == "Half a sentence."
        with place.store.write() as c:
            move(c, place.ids["order"], Status.IN_REVIEW, who="draft", why="no draft")
            open_review(c, place.ids["order"], "failed_draft", "No model could write a draft.")
        page = ticket_page(client, place, "order")
        assert "Anna Weiss had typed, and not sent: Half a sentence." in words(page)
        assert not tree(page).xpath("//textarea[@readonly]")


def test_an_answer_beside_the_draft_is_kept_apart(place: Place) -> None:
    with place.client("anna") as client:
        instead = form(ticket_page(client, place, "order"), "/replace")
        path = instead.action.replace("replace", "typed")
        assert instead.send(client, path, text="My own.", instead="1").status_code == 204
        page = ticket_page(client, place, "order")
        assert tree(page).xpath("//textarea[@id='own']")[0].text == "My own."
        assert tree(page).xpath("//textarea[@id='text']")[0].text.startswith("Hi Mia")
        assert form(page, "/replace").send(client).status_code == 303
        assert "My own." not in [f.values.get("text") for f in forms(ticket_page(client, place, "order"))]


def test_times_are_in_the_agents_zone(place: Place) -> None:
    with place.client("anna") as client:
        assert tree(ticket_page(client, place, "order")).xpath("//time[@data-local]")
        set_zone(place.store, place.people["anna"].id, "Asia/Tokyo")
        times = tree(ticket_page(client, place, "order")).xpath("//article//time")
        assert times[0].text.endswith("JST")
        assert times[0].get("title").endswith("UTC")
        assert times[0].get("data-local") is None


# --- in a browser -------------------------------------------------------------------------------------------


def test_typing_is_shown_saved_and_not_lost_by_leaving(place: Place, page: Page) -> None:
    ticket_id = place.ids["order"]
    page.goto(f"/tickets/{ticket_id}")
    page.locator("#text").fill("Half a thought")
    page.locator("button[data-unchanged][disabled]").wait_for()
    page.goto("/account")  # before the pause in which it is saved
    ben = place.people["ben"]
    until = time.monotonic() + 10
    while not typed.of(place.store, ticket_id, place.people["anna"]):
        assert time.monotonic() < until, "nothing was kept"
        time.sleep(0.05)
    page.goto(f"/tickets/{ticket_id}")
    assert page.locator("#text").input_value() == "Half a thought"
    assert page.locator("button[data-unchanged]").is_disabled()
    page.locator("#text").press("End")
    page.locator("#text").press("s")
    until = time.monotonic() + 10
    while [one.typing for one in presence.others(place.store, ticket_id, ben)] != [True]:
        assert time.monotonic() < until, "nobody was told of the typing"
        time.sleep(0.05)
    page.get_by_role("button", name="Put the draft back").click()
    assert page.locator("button[data-unchanged]").is_enabled()


def test_keys_reach_every_form_and_a_newer_message_is_told_at_once(place: Place, page: Page) -> None:
    ticket_id = place.ids["order"]
    page.goto(f"/tickets/{ticket_id}")
    page.keyboard.press("s")
    page.locator("#snooze input[type=radio]").first.wait_for()
    page.keyboard.press("Escape")
    page.locator("body").click(position={"x": 5, "y": 5})
    page.keyboard.press("e")
    assert page.evaluate("document.activeElement.id") == "text"
    page.keyboard.press("Escape")
    page.keyboard.press("r")
    assert page.evaluate("document.activeElement.id") == "reason"
    page.keyboard.press("Escape")
    the_customer_writes_again(place, "order")
    page.evaluate("htmx.trigger('#here', 'sign')")
    page.wait_for_selector("text=This ticket changed since you opened it.")
    assert "the customer wrote again" in page.locator("#presence").inner_text()


def test_an_edit_that_is_sent_leaves_nothing_typed(place: Place, page: Page) -> None:
    page.goto(f"/tickets/{place.ids['order']}")
    page.keyboard.press("e")
    page.locator("#text").fill("Hello Mia, it comes on Friday.")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("text=Your edit was approved and goes out.")
    with place.store.read() as c:
        assert c.execute(sa.select(sa.func.count()).select_from(replies)).scalar_one() == 2  # one was seeded
        assert c.execute(sa.select(typed_texts.c.text)).all() == []
        state = sa.select(reviews.c.state).where(reviews.c.ticket_id == place.ids["order"])
        assert c.execute(state).scalar_one() == "decided"
        assert (
            c.execute(sa.select(tickets.c.status).where(tickets.c.id == place.ids["order"])).scalar_one()
            == "approved"
        )
