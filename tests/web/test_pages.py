"""The pages without JavaScript, over HTTP: every form does its work, and a refused one keeps what was typed."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import httpx2
import sqlalchemy as sa

from pipeline.db.store import Store
from pipeline.db.tables import corrections, replies, reviews, tickets
from pipeline.review import sessions
from pipeline.review.agents import add
from pipeline.review.desk import Desk
from tests.web import running, seed
from tests.web.conftest import Place
from tests.web.reading import form, forms, tree, words


def status_of(place: Place, name: str) -> str:
    with place.store.read() as c:
        found = c.execute(sa.select(tickets.c.status).where(tickets.c.id == place.ids[name])).scalar_one()
    return str(found)


def ticket_page(client: httpx2.Client, place: Place, name: str) -> httpx2.Response:
    page = client.get(f"/tickets/{place.ids[name]}")
    assert page.status_code == 200
    return page


# --- logging in -----------------------------------------------------------------------------------------


def test_log_in_by_password_leads_back_and_log_out_ends_it(place: Place) -> None:
    with place.client() as client:
        asked = client.get(f"/tickets/{place.ids['order']}")
        page = client.get(asked.headers["location"])
        login = form(page, "/login")
        wrong = login.send(client, email="anna@shop.example", password="wrong")
        assert wrong.status_code == 403
        assert "email or password is wrong" in words(wrong)
        entered = login.send(client, email="anna@shop.example", password=seed.PASSWORD)
        assert entered.headers["location"] == f"/tickets/{place.ids['order']}"
        cookie = entered.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=lax" in cookie
        page = client.get("/")
        kept = client.cookies["triage_session"]
        form(page, "/logout").send(client)
        assert client.get("/").status_code == 303
        assert sessions.resume(place.store, kept) is None


def test_nobody_is_led_to_another_site_after_the_log_in(place: Place) -> None:
    with place.client() as client:
        for elsewhere in (
            "https://evil.example/",
            "//evil.example",
            "/\\evil.example",
            "javascript:alert(1)",
        ):
            page = client.get("/login", params={"next": elsewhere})
            assert form(page, "/login").values["next"] == "/"


def test_cookies_are_secure_where_the_page_is_https(sqlite_store: Store) -> None:
    agent = add(sqlite_store, "a@b.example", "agent")
    token = sessions.make_link(sqlite_store, agent, "demo")
    parts = running.parts_for(sqlite_store, public_url="https://desk.shop.example")
    with running.serving(parts) as url, httpx2.Client(base_url=url) as client:
        assert client.post(f"/enter/{token}", headers={"origin": "https://evil.example"}).status_code == 403
        entered = client.post(f"/enter/{token}", headers={"origin": "https://desk.shop.example"})
        assert entered.headers["set-cookie"].startswith("__Host-triage=")
        assert "Secure" in entered.headers["set-cookie"]
        assert "max-age" in entered.headers["strict-transport-security"]


def test_a_link_is_used_up_by_entering_not_by_looking(place: Place) -> None:
    token = sessions.make_link(place.store, place.people["anna"], "demo")
    with place.client() as client:
        for _ in range(3):
            page = client.get(f"/enter/{token}")
            assert "Anna Weiss" in words(page)
        assert form(page, token).send(client).headers["location"] == "/"
        assert "To judge" in words(client.get("/"))
    with place.client() as other:
        assert other.get(f"/enter/{token}").status_code == 410
        assert other.post(f"/enter/{token}").status_code == 410


def test_an_invitation_sets_a_password(place: Place) -> None:
    with place.client("ada") as admin:
        page = admin.get("/agents")
        made = form(page, "/agents").send(admin, email="new@shop.example", role="agent")
        link = re.search(r"/enter/[\w-]+", made.text)
        assert link is not None
        again = form(page, "/agents").send(admin, email="new@shop.example", role="agent")
        assert "already" in words(again)
    with place.client() as client:
        page = client.get(link.group())
        assert form(page, link.group()).send(client, password="short").status_code == 422
        form(page, link.group()).send(client, password="long enough now")
        assert "To judge" in words(client.get("/"))
    with place.client("ada") as admin:
        disable = [f for f in forms(admin.get("/agents")) if f.action == "/agents/disable"]
        next(f for f in disable if f.values["email"] == "new@shop.example").send(admin)
    with place.client() as client:
        login = form(client.get("/login"), "/login")
        assert login.send(client, email="new@shop.example", password="long enough now").status_code == 403


def test_a_changed_password_ends_every_session(place: Place) -> None:
    with place.client("anna") as client, place.client("anna") as elsewhere:
        change = form(client.get("/account"), "/account/password")
        assert change.send(client, old="wrong", new="x" * 12, again="x" * 12).status_code == 422
        assert change.send(client, old=seed.PASSWORD, new="x" * 12, again="y" * 12).status_code == 422
        assert change.send(client, old=seed.PASSWORD, new="x" * 12, again="x" * 12).status_code == 303
        assert elsewhere.get("/").status_code == 303


# --- the queue -------------------------------------------------------------------------------------------


def test_the_queue_shows_why_each_row_is_there_and_filters(place: Place) -> None:
    with place.client("anna") as client:
        page = client.get("/")
        subjects = [a.text_content() for a in tree(page).xpath("//a[@class='subject']")]
        assert subjects[0] == "Charged twice!! I want my money back NOW"
        assert len(subjects) == len(place.ids)
        assert "The cap of $15 a day for drafts is reached" in words(page)
        found = client.get("/", params={"language": "de"})
        assert [a.text_content() for a in tree(found).xpath("//a[@class='subject']")] == [
            "Passwort zurücksetzen klappt nicht"
        ]
        found = client.get("/", params={"q": "INV-20931"})
        assert len(tree(found).xpath("//a[@class='subject']")) == 1
        assert "Nothing matches" in words(client.get("/", params={"topic": "sales"}))
        assert client.get("/", params={"after": "x"}).status_code == 422
        assert "No" not in client.get("/queue/news", params={"since": "0", "reason": "budget"}).text
        assert "1 new row" in words(client.get("/queue/news", params={"since": "0", "reason": "budget"}))


def test_more_rows_come_by_a_plain_link(place: Place) -> None:
    for _ in range(55):
        seed.ticket(place.store)
    with place.client("anna") as client:
        seen: list[str] = []
        path = "/"
        while path:
            page = tree(client.get(path))
            seen += page.xpath("//a[@class='subject']/@href")
            more = page.xpath("//tr[@class='more']//a/@href")
            path = more[0] if more else ""
        assert len(seen) == len(set(seen)) == 55 + len(place.ids)


# --- judging ----------------------------------------------------------------------------------------------


def test_a_ticket_shows_what_it_is_judged_by(place: Place) -> None:
    with place.client("anna") as client:
        page = ticket_page(client, place, "double")
        text = words(page)
        for wanted in (
            "the customer is angry", "the urgency is critical", "sender verified", "INV-20931",
            "probable double charge", "PAY-8812", "shop.payments", "claude-sonnet-5-5 · strong", "$0.0184",
            "it says that a refund was made, which nothing shows", "1204 / 211", "9f2c11d07a",
            "Reply to jonas.berg@example.org", "statement 11-2026.pdf",
        ):  # fmt: skip
            assert wanted in text, wanted
        marks = tree(page).xpath("//mark[@class='claim']")
        assert [m.text for m in marks] == [
            "We have refunded the second payment of 49.00 EUR",
            "within 2 days",
        ]
        assert "template, not written by a model" in words(ticket_page(client, place, "template"))


def test_approve_goes_out_and_leads_to_the_next_row(place: Place) -> None:
    with place.client("anna") as client:
        page = ticket_page(client, place, "order")
        done = form(page, "/approve").send(client)
        assert done.status_code == 303
        assert status_of(place, "order") == "approved"
        assert place.hinted == [place.ids["order"]]
        following = client.get(done.headers["location"])
        assert "The draft was approved and goes out." in words(following)
        assert tree(following).xpath("//textarea[@name='text']")


def test_a_changed_text_is_never_thrown_away_by_approve(place: Place) -> None:
    with place.client("anna") as client:
        page = ticket_page(client, place, "order")
        refused = form(page, "/approve").send(client, text="My own words.")
        assert refused.status_code == 422
        assert "you changed the text" in words(refused)
        assert tree(refused).xpath("//textarea[@id='text']")[0].text.strip() == "My own words."
        edited = form(refused, "/approve").send(
            client, form(refused, "/approve").action.replace("approve", "edit")
        )
        assert edited.status_code == 303
    with place.store.read() as c:
        assert (
            c.execute(sa.select(replies.c.text).where(replies.c.state == "waiting")).scalar_one()
            == "My own words."
        )


def test_the_loser_of_a_race_sees_what_happened_and_keeps_the_text(place: Place) -> None:
    with place.client("anna") as anna, place.client("ben") as ben:
        hers, his = ticket_page(anna, place, "order"), ticket_page(ben, place, "order")
        assert form(hers, "/approve").send(anna).status_code == 303
        action = form(his, "/approve").action.replace("approve", "edit")
        lost = form(his, "/approve").send(ben, action, text="Ben's careful words.")
        assert lost.status_code == 409
        assert "already decided (approve) by anna@shop.example" in words(lost)
        assert "Ben's careful words." in lost.text.replace("&#39;", "'")
    with place.store.read() as c:
        assert c.execute(sa.select(sa.func.count()).where(replies.c.state == "waiting")).scalar_one() == 1


def test_reject_asks_for_a_reason_and_leaves_the_ticket(place: Place) -> None:
    with place.client("anna") as client:
        page = ticket_page(client, place, "german")
        assert form(page, "/reject").send(client).status_code == 422
        form(page, "/reject").send(client, reason="wrong_tone")
        page = ticket_page(client, place, "german")
        assert "The draft was rejected: wrong tone; an answer is still due." in words(page)
        form(page, "/replace").send(client, text="Guten Tag, hier ist der Link.")
    assert status_of(place, "german") == "approved"


def test_a_failure_without_a_draft_is_answered_by_hand(place: Place) -> None:
    with place.client("anna") as client:
        page = ticket_page(client, place, "failed")
        assert "A spending cap was reached" in words(page)
        assert form(page, "/replace").send(client, text="  ").status_code == 422
        form(page, "/replace").send(client, text="Bonjour, nous corrigeons la facture.")
    assert status_of(place, "failed") == "approved"


def test_an_uncertain_reply_offers_both_ways(place: Place) -> None:
    with place.client("anna") as client:
        page = ticket_page(client, place, "uncertain")
        choices = tree(page).xpath("//button[@name='choice']/@value")
        assert choices == ["sent", "resend"]
        assert form(page, "/settle").send(client, choice="both").status_code == 422
        form(page, "/settle").send(client, choice="sent")
        assert status_of(place, "uncertain") == "answered"
        assert "here is your invoice" in words(ticket_page(client, place, "uncertain"))


def test_take_give_back_note_close_reopen_and_correct(place: Place) -> None:
    with place.client("anna") as anna, place.client("ben") as ben, place.client("lea") as lead:
        form(ticket_page(anna, place, "vague"), "/claim").send(anna)
        assert "taken by you for 15 min" in words(ticket_page(anna, place, "vague"))
        his = ticket_page(ben, place, "vague")
        assert "taken by anna@shop.example" in words(his)
        assert form(his, "/approve").send(ben).status_code == 409
        assert form(his, "/claim").send(ben).status_code == 409
        form(ticket_page(lead, place, "vague"), "/claim").send(lead)
        form(ticket_page(lead, place, "vague"), "/release").send(lead)
        form(ticket_page(ben, place, "vague"), "/note").send(ben, text="<b>same</b> as last week")
        assert "Ben: " not in words(ticket_page(anna, place, "vague"))
        assert "ben@shop.example: <b>same</b> as last week" in words(ticket_page(anna, place, "vague"))
        page = ticket_page(ben, place, "vague")
        form(page, "/correct").send(ben, urgency="high", topic="how_to")
        assert form(page, "/correct").send(ben, urgency="low").status_code == 409  # an older page
        form(ticket_page(ben, place, "vague"), "/close").send(ben, why="spam")
        assert status_of(place, "vague") == "closed"
        form(ticket_page(ben, place, "vague"), "/reopen").send(ben)
        assert status_of(place, "vague") == "in_review"
    with place.store.read() as c:
        assert c.execute(sa.select(sa.func.count()).select_from(corrections)).scalar_one() == 2


def test_seen_and_diff_answer_the_page(place: Place) -> None:
    with place.client("anna") as client:
        page = ticket_page(client, place, "order")
        approve = form(page, "/approve")
        with place.store.read() as c:
            viewed = sa.select(reviews.c.first_viewed_at).where(reviews.c.ticket_id == place.ids["order"])
            assert c.execute(viewed).scalar_one() is None
        assert approve.send(client, approve.action.replace("approve", "seen")).status_code == 204
        with place.store.read() as c:
            assert c.execute(viewed).scalar_one() is not None
        action = approve.action.replace("approve", "diff")
        shown = approve.send(
            client, action, text=approve.values["text"].strip().replace("Friday", "<i>Monday</i>")
        )
        assert "<del>Friday</del>" in shown.text
        assert "&lt;i&gt;" in shown.text
        assert "No change" in approve.send(client, action, text=approve.values["text"].strip()).text


def test_an_attachment_is_only_ever_a_download(place: Place) -> None:
    nasty = seed.ticket(
        place.store, files=(('x".html\r\nSet-Cookie: a=b', "text/html", b"<script>alert(1)</script>"),)
    )
    with place.client("anna") as client:
        page = client.get(f"/tickets/{nasty}")
        answer = client.get(tree(page).xpath("//ul[@class='attachments']//a/@href")[0])
        assert answer.content == b"<script>alert(1)</script>"
        assert answer.headers["content-type"] == "application/octet-stream"
        assert answer.headers["content-disposition"].startswith("attachment; ")
        assert "set-cookie" not in answer.headers
        assert "sandbox" in answer.headers["content-security-policy"]


def test_a_reply_to_elsewhere_is_pointed_out(place: Place) -> None:
    other = seed.ticket(place.store, reply_to=({"name": "", "address": "collect@elsewhere.example"},))
    with place.client("anna") as client:
        text = words(client.get(f"/tickets/{other}"))
        assert "Reply to collect@elsewhere.example (their Reply-To, not mia@example.net)" in text


def test_hidden_and_turned_characters_are_not_shown(place: Place) -> None:
    other = seed.ticket(place.store, subject="pay\u202egnp.exe", name="M\u200bia", text="a\u2066b\u0007c")
    with place.client("anna") as client:
        text = client.get(f"/tickets/{other}").text
        assert not re.search("[\u202e\u200b\u2066\u0007]", text)


def test_a_form_that_is_too_large_is_refused(place: Place) -> None:
    with place.client("anna") as client:
        page = ticket_page(client, place, "order")
        assert form(page, "/approve").send(client, text="x" * 300_000).status_code == 413
        csrf = form(page, "/approve").values["csrf"]

        def drip() -> object:
            yield f"csrf={csrf}&version=1&text=".encode()
            for _ in range(40):
                yield b"x" * 10_000

        kind = {"content-type": "application/x-www-form-urlencoded"}
        assert client.post(form(page, "/approve").action, content=drip(), headers=kind).status_code == 413
    assert status_of(place, "order") == "in_review"


def test_bad_numbers_are_one_plain_line(place: Place) -> None:
    with place.client("anna") as client:
        page = ticket_page(client, place, "order")
        for version in ("", "x", "9" * 40):
            answer = form(page, "/approve").send(client, version=version)
            assert answer.status_code in (409, 422), version
        assert client.get("/tickets/abc").status_code == 422
        assert client.get(f"/tickets/{'9' * 30}").status_code in (404, 422)


def test_a_number_too_large_for_the_database_is_one_plain_line(place: Place) -> None:
    with place.client("anna") as client:
        for path in (
            f"/tickets/{10**25}/diff",
            f"/attachments/{10**25}",
            f"/?assignee={10**25}",
            f"/?t={10**25}",
        ):
            answer = client.get(path)
            assert answer.status_code in (200, 404, 405, 422), path
            assert "Traceback" not in answer.text


def test_the_report_is_linked_where_there_is_one(place: Place) -> None:
    with place.client("anna") as client:
        assert "Rewrite rate: " in words(client.get("/reports"))
        assert "Support week 2026-W47" in words(client.get("/reports", params={"week": "2026-W47"}))


def test_an_approval_is_taken_back_within_its_undo_window(place: Place, sqlite_store: Store) -> None:
    desk = Desk(sqlite_store, undo=timedelta(minutes=1))
    with running.serving(running.parts_for(sqlite_store, desk=desk)) as url, place.client("anna") as client:
        client.base_url = url
        page = ticket_page(client, place, "order")
        done = client.get(form(page, "/approve").send(client).headers["location"])
        back = form(done, "/withdraw").send(client)
        assert back.headers["location"] == f"/tickets/{place.ids['order']}"
        assert status_of(place, "order") == "in_review"
        assert form(ticket_page(client, place, "order"), "/approve").send(client).status_code == 303


def test_a_database_that_can_only_be_read_is_one_plain_line(place: Place) -> None:
    with place.client("anna") as client:
        page = ticket_page(client, place, "order")
        place.store.close()  # the next connections can only read
        sa.event.listen(place.store.engine, "connect", lambda raw, _: raw.execute("PRAGMA query_only = ON"))
        assert client.get("/").status_code == 200
        refused = form(page, "/approve").send(client)
        assert refused.status_code == 503
        assert "The database does not answer" in words(refused)


def test_a_database_that_is_away_is_one_plain_line(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'secret-place.db'}")  # without tables
    with running.serving(running.parts_for(store)) as url, httpx2.Client(base_url=url) as client:
        client.cookies.set("triage_session", "x" * 40)
        answer = client.get("/", headers={"accept": "text/html"})
        assert answer.status_code == 503
        assert "The database does not answer" in answer.text
        assert "secret-place" not in answer.text
        assert client.get("/metrics").status_code == 503
        assert client.get("/healthz").status_code == 200
