"""Models in the agent's hand on the page: every form without a script, and in Chromium; two drafts stay blind."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
import sqlalchemy as sa

from pipeline.assembly import Parts
from pipeline.db.tables import comparisons, drafts
from pipeline.review import agents, sessions
from pipeline.review.agents import Agent
from tests.kit.browsing import Watch
from tests.kit.live import close
from tests.kit.model_replies import failing
from tests.kit.model_server import ModelServer
from tests.test_redrafting import (
    CHEAP,
    CLAUDE,
    GPT,
    all_drafts,
    answer,
    caps_of,
    drafted,
    last_move,
    open_row,
    parts_with,
    the,
    use_up,
)
from tests.web import running
from tests.web.reading import form, tree, words

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


@dataclass(frozen=True)
class Shop:
    parts: Parts
    ann: Agent
    url: str
    client: httpx2.Client
    token: str


@pytest.fixture(scope="module")
def server() -> Iterator[ModelServer]:
    with ModelServer(answer) as server:
        yield server


@pytest.fixture
def shop(tmp_path: Path, sqlite_url: str, server: ModelServer) -> Iterator[Shop]:
    parts = parts_with(tmp_path / "home", sqlite_url, server)
    ann = agents.add(parts.store, "ann@shop.example", "agent", "Ann")
    web = running.parts_for(parts.store, desk=parts.desk, routes=parts.routes, models=parts)
    with running.serving(web) as url, httpx2.Client(base_url=url, timeout=30) as client:
        client.headers["accept"] = "text/html"
        token, _session = sessions.start(parts.store, ann)
        client.cookies.set("triage_session", token)
        yield Shop(parts, ann, url, client, token)
    close(parts)


def hand_form(page: httpx2.Response) -> dict[str, str]:
    """What the form with the text would send, with the controls that belong to it from elsewhere."""
    found = form(page, "/approve" if "/approve" in page.text else "/replace")
    values = dict(found.values)
    for box in tree(page).xpath("//input[@type='radio'][@form][@checked]"):
        values[box.get("name")] = box.get("value")
    for select in tree(page).xpath("//select[@form]"):
        values[select.get("name")] = select.xpath("./option[@selected]")[0].get("value")
    return values


def press(shop: Shop, page: httpx2.Response, ending: str, **changes: str) -> httpx2.Response:
    """Press the button that goes to `…/ending`; it must belong to the form with the text."""
    button = tree(page).xpath(f"//button[contains(@formaction, '/{ending}')]")[0]
    values = hand_form(page) | changes
    if button.get("name"):
        values.setdefault(button.get("name"), button.get("value"))
    return shop.client.post(button.get("formaction"), data=values)


def test_the_page_offers_the_models_with_their_price_and_the_money_left(
    shop: Shop, server: ModelServer
) -> None:
    ticket = drafted(shop.parts, server)
    page = shop.client.get(f"/tickets/{ticket}")
    said = words(page)
    assert f"{CLAUDE} · strong" in said
    assert re.search(rf"{GPT} ?strong ?not used yet", said)
    assert re.search(rf"{CLAUDE} wrote this one ?strong ?\$0\.0048 · [\d.]+ m?s", said)
    assert "$5.00 of $5.00 a day an agent" in said
    assert "of $0.50 a ticket (you may agree to pass it)" in said


def test_regenerate_refuses_races_and_keeps_the_typed_text(shop: Shop, server: ModelServer) -> None:
    ticket = drafted(shop.parts, server)
    page = shop.client.get(f"/tickets/{ticket}")
    done = press(shop, page, "regenerate", model=GPT)
    assert (done.status_code, done.headers["location"]) == (303, f"/tickets/{ticket}")
    assert f"{GPT} · strong" in words(shop.client.get(f"/tickets/{ticket}"))
    late = press(shop, page, "regenerate", model=CLAUDE, text="My own half-written text")
    assert late.status_code == 409
    assert f"Ann had the draft written anew by {GPT}" in words(late)
    assert "My own half-written text" in late.text
    assert server.kinds == [(GPT, "ok")]


def test_a_model_that_fails_is_told_and_the_draft_stays(shop: Shop, server: ModelServer) -> None:
    ticket = drafted(shop.parts, server)
    server.script(failing(), failing(), model=GPT)
    page = press(shop, shop.client.get(f"/tickets/{ticket}"), "regenerate", model=GPT)
    assert page.status_code == 502
    assert f"a draft by {GPT} did not come (overloaded, overloaded)" in words(page)
    assert len(all_drafts(shop.parts)) == 1


def test_over_the_cap_the_page_asks_and_one_more_press_is_the_word(shop: Shop, server: ModelServer) -> None:
    ticket = drafted(shop.parts, server)
    use_up(shop.parts, caps_of(shop.parts, ticket, shop.ann)["ticket"])
    asked = press(shop, shop.client.get(f"/tickets/{ticket}"), "regenerate", model=GPT, text="Typed so far")
    assert asked.status_code == 409
    assert "The cap of $0.50 a ticket is reached" in words(asked)
    assert "Typed so far" in asked.text
    assert server.journal == []
    done = press(shop, asked, "regenerate", confirmed="1")
    assert (done.status_code, server.kinds) == (303, [(GPT, "ok")])
    assert last_move(shop.parts, ticket)[1].endswith("agreed to pass the cap of $0.50 a ticket")
    use_up(shop.parts, caps_of(shop.parts, ticket, shop.ann)["agent"])
    hard = press(shop, shop.client.get(f"/tickets/{ticket}"), "regenerate", model=GPT, confirmed="1")
    assert hard.status_code == 422
    assert "The cap of $5.00 a day an agent is reached, and nobody can pass that one here" in words(hard)


def test_two_drafts_are_blind_until_one_is_chosen(shop: Shop, server: ModelServer) -> None:
    ticket = drafted(shop.parts, server)
    made = press(shop, shop.client.get(f"/tickets/{ticket}"), "compare", model=GPT, against=CHEAP)
    assert made.status_code == 303
    address = made.headers["location"]
    page = shop.client.get(address)
    two = all_drafts(shop.parts)[1:]
    assert [page.text.index(draft.text[-8:]) for draft in two] == sorted(
        page.text.index(draft.text[-8:]) for draft in two
    )
    told = {model for model in shop.parts.routes.models if model in page.text}
    assert told == set()  # in no text, attribute or title
    for hidden in ("openai", "anthropic", "strong", "cheap", "$0", " ms"):
        assert hidden not in page.text.replace("<strong>", "").replace("</strong>", ""), hidden
    sides = tree(page).xpath("//section[contains(@class, 'side')]")
    bare = [re.sub(r"[AB]\b|\((quick|warm)\)|left|right", "", side.text_content()) for side in sides]
    assert " ".join(bare[0].split()) == " ".join(bare[1].split())

    chosen = tree(page).xpath("//form[.//button[@value='right']]")[0]
    values = {field.get("name"): field.get("value") for field in chosen.xpath(".//input")}
    done = shop.client.post(chosen.get("action"), data=values | {"choice": "right"})
    assert done.headers["location"] == f"/tickets/{ticket}"
    assert open_row(shop.parts, ticket).draft_id == two[1].id
    shown = words(shop.client.get(address))
    for told_now in (GPT, CHEAP, "ann@shop.example chose draft B"):
        assert told_now in shown
    again = shop.client.post(chosen.get("action"), data=values | {"choice": "left"})
    assert again.status_code == 409
    with shop.parts.store.read() as connection:
        assert connection.execute(sa.select(comparisons.c.chosen_id)).scalar_one() == two[1].id


def test_the_rest_of_the_ticket_keeps_two_drafts_blind_too(shop: Shop, server: ModelServer) -> None:
    ticket = drafted(shop.parts, server)
    server.script(failing(), model=GPT)  # a failed try is a call of that model too
    address = press(shop, shop.client.get(f"/tickets/{ticket}"), "compare", model=GPT, against=CHEAP).headers[
        "location"
    ]
    api = {"authorization": f"Bearer {agents.make_api_token(shop.parts.store, shop.ann.id)}"}

    def told() -> tuple[set[str], list[dict[str, Any]], list[dict[str, Any]]]:
        """(the models of the page's table of calls, the drafts and the calls of the two as the API has them)"""
        table = tree(shop.client.get(f"/tickets/{ticket}")).xpath("//div[@aria-label='Model calls']//td[3]")
        said = shop.client.get(f"/api/v1/tickets/{ticket}", headers=api).json()
        by_hand = [call for call in said["calls"] if call["agent_id"] == shop.ann.id]
        return {cell.text_content().split()[0] for cell in table}, said["drafts"][1:], by_hand

    models, sides, calls = told()
    assert models == {CHEAP, CLAUDE, "not"}  # the first two are of before: a reading and a draft
    assert (len(sides), len(calls)) == (2, 3)
    for rows in (sides, calls):
        told_apart = [
            name for name in rows[0] if name not in ("id", "text", "claims", "asks", "created_at")
            and len({str(row[name]) for row in rows}) > 1
        ]  # fmt: skip
        assert set(told_apart) <= {"started_at", "attempt", "role", "state", "error_kind"}
        assert not {GPT, CHEAP} & {str(value) for row in rows for value in row.values()}
    usual = tree(shop.client.get(f"/tickets/{ticket}")).xpath("//td[@data-what='a draft']")
    assert {cell.text_content() for cell in usual} == {"–"}  # one call's price tells its length

    # an approval that may be taken back opens the choice again, so it stays blind; a closed ticket tells all
    row = open_row(shop.parts, ticket)
    shop.parts.desk.approve(row.id, shop.ann, the(shop.parts, ticket).version)
    assert told()[0] == {CHEAP, CLAUDE, "not"}
    shop.parts.desk.withdraw(ticket, shop.ann, the(shop.parts, ticket).version)
    chosen = form(shop.client.get(address), "/choose")
    assert chosen.send(shop.client, choice="left").status_code == 303
    models, sides, calls = told()
    assert {GPT, CHEAP} <= models
    assert {side["model"] for side in sides} == {GPT, CHEAP}
    assert {call["model"] for call in calls} == {GPT, CHEAP}


def test_only_a_side_of_an_open_comparison_of_that_ticket_can_be_chosen(
    shop: Shop, server: ModelServer
) -> None:
    ticket, other = drafted(shop.parts, server, 1), drafted(shop.parts, server, 2)
    foreign = open_row(shop.parts, other).draft_id
    address = press(shop, shop.client.get(f"/tickets/{ticket}"), "compare", model=GPT, against=CHEAP).headers[
        "location"
    ]
    chosen = form(shop.client.get(address), "/choose")
    before = (open_row(shop.parts, ticket).draft_id, the(shop.parts, ticket).version)
    for choice in ("", "both", "left_id", str(foreign), str(all_drafts(shop.parts)[-1].id)):
        refused = chosen.send(shop.client, choice=choice)
        assert (refused.status_code, "choose one of left, right, neither" in words(refused)) == (422, True)
    elsewhere = chosen.action.replace(re.findall(r"\d+", chosen.action)[0], "999")
    assert chosen.send(shop.client, elsewhere, choice="left").status_code == 404
    stale = chosen.send(shop.client, choice="left", version=str(int(chosen.values["version"]) - 1))
    assert (stale.status_code, "changed since you opened it" in words(stale)) == (409, True)
    with shop.parts.store.write() as connection:  # no way leads there: a row that was made wrong
        right = connection.execute(sa.select(comparisons.c.right_id)).scalar_one()
        connection.execute(comparisons.update().values(right_id=foreign))
    wrong = chosen.send(shop.client, choice="right")
    assert (wrong.status_code, "these are not two drafts of it" in words(wrong)) == (409, True)
    with shop.parts.store.write() as connection:
        connection.execute(comparisons.update().values(right_id=right))
    assert (open_row(shop.parts, ticket).draft_id, the(shop.parts, ticket).version) == before
    shop.parts.desk.close(open_row(shop.parts, ticket).id, shop.ann, before[1])
    over = chosen.send(shop.client, choice="left", version=str(before[1] + 1))
    assert (over.status_code, "there is nothing to choose" in words(over)) == (409, True)


def test_one_side_that_fails_is_told_and_the_other_one_is_there(shop: Shop, server: ModelServer) -> None:
    ticket = drafted(shop.parts, server)
    server.script(failing(), failing(), model=CLAUDE)
    page = press(shop, shop.client.get(f"/tickets/{ticket}"), "compare", model=GPT, against=CLAUDE)
    assert page.status_code == 502
    assert f"Not done. a draft by {CLAUDE} did not come (overloaded, overloaded)" in words(page)
    assert f"the draft by {GPT} came, and is the ticket's draft now" in words(page)
    area = tree(page).xpath("//form[@id='judge']//textarea[@name='text']")[0]
    assert area.text.strip().endswith("(warm)")
    assert "was kept and stands here again" not in words(page)
    assert f"{GPT} · strong" in words(page)


def test_refine_makes_a_draft_whose_badge_names_both(shop: Shop, server: ModelServer) -> None:
    ticket = drafted(shop.parts, server)
    assert press(shop, shop.client.get(f"/tickets/{ticket}"), "refine", model=GPT).status_code == 303
    said = words(shop.client.get(f"/tickets/{ticket}"))
    assert f"{GPT} · strong" in said
    assert f"A polish of the draft by {CLAUDE} (strong, $0.0048)" in said


def test_the_writing_tools_work_and_are_taken_back_without_a_script(shop: Shop, server: ModelServer) -> None:
    ticket = drafted(shop.parts, server)
    own = "Hello Jane,\n\nwe are looking into your order 48213 now, we really are.\n\nThe Shop"
    page = press(shop, shop.client.get(f"/tickets/{ticket}"), "writing", tool="shorten", text=own)
    assert page.status_code == 200
    assert "Shortened by gpt-6-luna, $" in words(page)
    area = tree(page).xpath("//form[@id='judge']//textarea[@name='text']")[0]
    assert area.text.strip() == "Hello Jane,\n\nwe look into your order 48213.\n\nThe Shop"
    back = press(shop, page, "writing", tool="undo")
    assert tree(back).xpath("//form[@id='judge']//textarea[@name='text']")[0].text.strip() == own
    assert server.kinds == [(CHEAP, "ok")]
    use_up(shop.parts, caps_of(shop.parts, ticket, shop.ann)["agent"])
    capped = press(shop, back, "writing", tool="formal", text=own)
    assert capped.status_code == 422
    assert "The cap of $5.00 a day an agent is reached: “More formal” is not to be had now" in words(capped)
    assert own.splitlines()[2] in capped.text


def test_a_row_without_a_draft_gets_one_and_the_tools(shop: Shop, server: ModelServer) -> None:
    ticket = drafted(shop.parts, server)
    row = open_row(shop.parts, ticket)
    shop.parts.desk.reject(row.id, shop.ann, the(shop.parts, ticket).version, "wrong_tone")
    page = shop.client.get(f"/tickets/{ticket}")
    helped = press(
        shop, page, "writing", tool="grammar", text="We are looking into your order 48213 at the moment."
    )
    assert "Grammar fixed by gpt-6-luna" in words(helped)
    assert press(shop, helped, "regenerate", model=GPT).status_code == 303
    assert f"{GPT} · strong" in words(shop.client.get(f"/tickets/{ticket}"))


def test_a_page_without_models_offers_none(shop: Shop, server: ModelServer) -> None:
    ticket = drafted(shop.parts, server)
    bare = running.parts_for(shop.parts.store)
    with running.serving(bare) as url, httpx2.Client(base_url=url, timeout=20) as client:
        client.cookies.set("triage_session", shop.token)
        page = client.get(f"/tickets/{ticket}")
        assert "Regenerate" not in page.text
        values = form(page, "/approve").values
        row = open_row(shop.parts, ticket)
        assert client.post(f"/reviews/{row.id}/regenerate", data=values | {"model": GPT}).status_code == 404


# --- in a browser -----------------------------------------------------------------------------------------


@pytest.fixture
def page(browser: Browser, shop: Shop) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1440, "height": 900}, base_url=shop.url)
    context.add_cookies([{"name": "triage_session", "value": shop.token, "url": shop.url}])
    page = context.new_page()
    page.set_default_timeout(15_000)
    watch = Watch(page, shop.url)
    yield page
    assert watch.seen == []
    context.close()


def test_in_a_browser_a_text_is_shortened_in_place_and_taken_back(
    page: Page, shop: Shop, server: ModelServer
) -> None:
    ticket = drafted(shop.parts, server)
    page.goto(f"/tickets/{ticket}")
    own = "Hello Jane,\n\nwe are looking into your order 48213 now, we really are.\n\nThe Shop"
    page.fill("#text", own)
    page.get_by_role("button", name="Shorten").click()
    page.get_by_text("Shortened by gpt-6-luna").wait_for()
    assert page.input_value("#text") == "Hello Jane,\n\nwe look into your order 48213.\n\nThe Shop"
    page.get_by_role("button", name="Take it back").click()
    assert page.input_value("#text") == own
    assert server.kinds == [(CHEAP, "ok")]


def test_in_a_browser_another_model_writes_and_two_are_compared_by_keyboard(
    page: Page, shop: Shop, server: ModelServer
) -> None:
    ticket = drafted(shop.parts, server)
    page.goto(f"/tickets/{ticket}")
    page.get_by_text("Regenerate, compare, refine…").focus()
    page.keyboard.press("Enter")
    page.get_by_label(GPT).first.check()
    page.get_by_role("button", name="Regenerate with it").press("Enter")
    page.locator(".badge.tier", has_text=GPT).wait_for()
    page.get_by_text("Regenerate, compare, refine…").click()
    page.get_by_role("button", name="Compare", exact=True).press("Enter")
    page.get_by_role("heading", name="Draft A").wait_for()
    wide = page.evaluate("document.documentElement.scrollWidth")
    page.set_viewport_size({"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth") == 360 < wide
    page.get_by_role("button", name="Neither of them").press("Enter")
    page.get_by_text("took neither draft").wait_for()
    with shop.parts.store.read() as connection:
        fresh = connection.execute(
            sa.select(drafts.c.model).where(drafts.c.superseded_at.is_(None))
        ).scalars()
        assert list(fresh) == [GPT]
