"""A day at the desk over real servers: two agents in Chromium, both model providers, and the customer's mailbox."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from aiosmtpd.smtp import SMTP, Envelope, Session

from pipeline.db.tables import comparisons, drafts, model_calls, moves, reviews, spend, tickets
from pipeline.db.types import now
from tests.ingest import imap_servers
from tests.journeys import people, scripted
from tests.kit.browsing import Watch, chromium
from tests.kit.live import mail
from tests.kit.mail_servers import Server, SmtpServer, append, imap_server
from tests.kit.model_replies import Reply, Seen, Tokens, ok
from tests.kit.model_server import ModelServer
from tests.kit.processes import Installation, inbox_of
from tests.test_redrafting import CHEAP, CLAUDE, GPT, SIGNED

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ANNA, BEN = people.EMAIL, "ben@shop.example"
EDITED = "Dear Jane,\n\nyour parcel left us this morning and is with the carrier.\n\nAnna from The Shop"
DEAR = Tokens(plain=244_000, output=180)
"""At $2 a million this one draft uses up nearly all of a ticket's $0.50."""
ORDERS = {
    "jane": 51001, "reject": 51002, "compare": 51003, "dear": 51004, "taken": 51005, "approve": 51006,
    "edit": 51007,
}  # fmt: skip


def answer(seen: Seen) -> Reply:
    """Readings and drafts as in the other journeys, each draft signed by its model; one draft is dear."""
    if scripted.is_reading(seen):
        return scripted.answer(seen)
    wrote = scripted.draft(seen.user)
    dear = str(ORDERS["dear"]) in seen.user and seen.model == CLAUDE
    return ok(
        {**wrote, "reply": f"{wrote['reply']} {SIGNED[seen.model]}"}, tokens=DEAR if dear else scripted.WROTE
    )


class Carrier(SmtpServer):
    """An SMTP server that carries what it took into the customers' mailbox."""

    def __init__(self, customers: Server) -> None:
        super().__init__()
        self._customers = customers

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        said = await super().handle_DATA(server, session, envelope)
        append(self._customers, self.journal[-1].raw)
        return said


@dataclass
class Seat:
    """An agent at a browser of their own. `refused` are the statuses of forms that were not done."""

    email: str
    page: Page
    watch: Watch
    refused: list[int]

    def open(self, ticket: int) -> Page:
        self.page.goto(f"/tickets/{ticket}")
        self.refused.clear()
        return self.page

    def done(self, words: str) -> None:
        self.page.get_by_role("status").filter(has_text=words).wait_for()

    def not_done(self, words: str) -> None:
        self.page.get_by_role("alert").filter(has_text=words).wait_for()


@dataclass(frozen=True)
class Shop:
    installation: Installation
    mailbox: Server
    customers: Server
    smtp: SmtpServer
    models: ModelServer

    def one(self, query: sa.Select[Any]) -> sa.Row[Any]:
        (found,) = self.installation.rows(query)
        return found

    def ticket(self, name: str, *, count: int = 1) -> int:
        """The ticket of this name, once it stands before a person with its draft, the `count`-th."""
        subject = f"Order {ORDERS[name]}"
        wanted = sa.select(tickets.c.id).where(
            tickets.c.subject == subject,
            tickets.c.status == "in_review",
            sa.select(sa.func.count()).where(drafts.c.ticket_id == tickets.c.id).scalar_subquery() == count,
        )
        found = self.installation.until(lambda: self.installation.rows(wanted), f"the draft of {subject}", 60)
        return int(found[0].id)

    def until(self, ticket: int, status: str) -> None:
        wanted = sa.select(tickets.c.id).where(tickets.c.id == ticket, tickets.c.status == status)
        self.installation.until(lambda: self.installation.rows(wanted), f"the ticket to be {status}")

    def open_row(self, ticket: int) -> sa.Row[Any]:
        return self.one(sa.select(reviews).where(reviews.c.ticket_id == ticket, reviews.c.state == "open"))

    def last_move(self, ticket: int) -> tuple[str, str]:
        query = sa.select(moves.c.who, moves.c.why).where(moves.c.ticket_id == ticket)
        move = self.installation.rows(query.order_by(moves.c.id.desc()).limit(1))[0]
        return move.who, move.why

    def asked(self, name: str) -> list[str]:
        """The models that were asked for a draft on this order, in turn."""
        order = str(ORDERS[name])
        seen = [line.seen for line in self.models.journal]
        return [one.model for one in seen if order in one.user and not scripted.is_reading(one)]

    def out(self, name: str) -> list[str]:
        """The texts that went to this order's customer, without our signature."""
        sent = self.smtp.to(f"{name}@customer.example")
        return [one.text.removesuffix("\n\n-- \nYour friends at The Shop") for one in sent]

    def write(self, name: str, body: str, message_id: str) -> bytes:
        return mail(
            body, subject=f"Order {ORDERS[name]}", message_id=message_id,
            sender=f"Jane Doe <{name}@customer.example>",
        )  # fmt: skip

    def thread(self) -> list[EmailMessage]:
        """The one thread of the customers' mailbox that has more than one mail, as its server sorts it."""
        client = self.customers.client()
        client.select_folder("INBOX", readonly=True)
        (long,) = [one for one in client.thread("REFERENCES") if len(one) > 1]
        raw = client.fetch(long, ["BODY.PEEK[]"])
        parsed = [message_from_bytes(raw[uid][b"BODY[]"], policy=policy.default) for uid in long]
        return [one for one in parsed if isinstance(one, EmailMessage)]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    home = tmp_path_factory.mktemp("desk")
    (home / "customers").mkdir()
    with contextlib.ExitStack() as stack:
        mailbox = stack.enter_context(imap_server(home / "imap"))
        customers = stack.enter_context(imap_servers.dovecot(home / "customers"))
        smtp = stack.enter_context(Carrier(customers))
        models = stack.enter_context(ModelServer(answer))
        keys = {
            "OPENAI_API_KEY": "sk-test",
            "OPENAI_BASE_URL": models.openai_url,
            "ANTHROPIC_API_KEY": "sk-ant-test",
            "ANTHROPIC_BASE_URL": models.anthropic_url,
        }
        installation = stack.enter_context(
            Installation(
                home / "home", ("up",), inboxes=inbox_of(mailbox), environment=keys, smtp_url=smtp.url
            )
        )
        shop = Shop(installation, mailbox, customers, smtp, models)
        for name in ORDERS:
            question = f"This is a disgrace!!! Where is my order {ORDERS[name]}?"
            first = shop.write(name, question, f"{name}-1@customer.example")
            append(mailbox, first)
            if name == "jane":
                append(customers, first)
        installation.start()
        yield shop
        assert "Traceback" not in installation.logs(lines=10_000)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


def seated(browser: Browser, shop: Shop, email: str) -> Iterator[Seat]:
    """The agent comes by the link of `triage agent add`, and leaves without a script error behind them."""
    address = shop.installation.address
    context = browser.new_context(base_url=address, viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.set_default_timeout(20_000)
    seat = Seat(email, page, Watch(page, address), [])
    page.on("response", lambda r: seat.refused.append(r.status) if r.status >= 400 else None)
    page.goto(shop.installation.json("agent", "add", email, "--role", "agent", "--json")["link"])
    page.keyboard.type(people.PASSWORD)
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="To judge").wait_for()
    yield seat
    told = ("status of 409", "status of 422")  # Chromium notes each refused form
    assert [line for line in seat.watch.seen if not any(status in line for status in told)] == []
    context.close()


@pytest.fixture(scope="module")
def anna(browser: Browser, shop: Shop) -> Iterator[Seat]:
    yield from seated(browser, shop, ANNA)


@pytest.fixture(scope="module")
def ben(browser: Browser, shop: Shop) -> Iterator[Seat]:
    yield from seated(browser, shop, BEN)


def walk_to(page: Page, ticket: int) -> None:
    """From the queue to the ticket by keys: k up to the first row, j down to its own, Enter."""
    page.locator(f"tr.row[data-ticket='{ticket}']").wait_for()
    rows = [row.get_attribute("data-ticket") for row in page.locator("tr.row").all()]
    for key in "k" * len(rows) + "j" * rows.index(str(ticket)):
        page.keyboard.press(key)
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/tickets/{ticket}*")


def test_a_reply_typed_by_keyboard_alone_and_its_answer_stay_one_thread(shop: Shop, anna: Seat) -> None:
    for name in ORDERS:
        shop.ticket(name)
    ticket, keys = shop.ticket("jane"), anna.page.keyboard
    anna.page.goto("/")
    walk_to(anna.page, ticket)
    keys.press("e")
    keys.press("Control+A")
    keys.type(EDITED)
    keys.press("Control+Enter")
    anna.done("Your edit was approved and goes out.")
    shop.until(ticket, "answered")

    question, reply = shop.thread()
    assert shop.out("jane") == [EDITED]
    assert reply["Subject"] == "Re: Order 51001"
    assert reply["In-Reply-To"] == reply["References"] == question["Message-ID"]

    again = "In the meantime the tracking shows that order 51001 went back to you. Why?"
    second = people.answer_to(reply, again, message_id="jane-2@customer.example")
    append(shop.mailbox, second)
    append(shop.customers, second)
    assert shop.ticket("jane", count=2) == ticket
    keys.press("u")
    anna.page.get_by_role("heading", name="To judge").wait_for()
    walk_to(anna.page, ticket)
    assert "thank you for coming back to us" in anna.page.locator("#text").input_value()
    keys.press("a")
    anna.done("The draft was approved and goes out.")
    shop.until(ticket, "answered")
    thread = shop.thread()
    assert [one["Message-ID"] for one in thread[:2]] == [question["Message-ID"], reply["Message-ID"]]
    assert thread[3]["In-Reply-To"] == "<jane-2@customer.example>"
    assert thread[3]["References"].split() == [str(one["Message-ID"]) for one in thread[:3]]
    judged = sa.select(reviews.c.action, reviews.c.outcome).where(reviews.c.ticket_id == ticket)
    assert shop.installation.rows(judged.order_by(reviews.c.id)) == [
        ("edit", "rewritten"),
        ("approve", "as_is"),
    ]


def test_a_rejection_needs_its_reason(shop: Shop, anna: Seat) -> None:
    ticket = shop.ticket("reject")
    page = anna.open(ticket)
    page.keyboard.press("r")
    page.keyboard.press("Control+Enter")  # the browser asks for the reason,
    assert page.locator("#reason:invalid:focus").count() == 1
    page.locator("#reject form").evaluate("form => { form.noValidate = true }")
    page.keyboard.press("Control+Enter")  # and so does the server
    anna.not_done("choose a reason")
    assert anna.refused == [422]
    assert shop.open_row(ticket).reason == "draft"

    page.keyboard.press("r")
    page.locator("#reason").select_option("missed_question")
    page.locator("#words").fill("they ask for a date")
    page.keyboard.press("Control+Enter")
    anna.done("The draft was rejected.")
    assert shop.open_row(ticket).detail == (
        "The draft was rejected: missed a question (they ask for a date); an answer is still due."
    )
    rejected = sa.select(reviews).where(reviews.c.ticket_id == ticket, reviews.c.state == "decided")
    row = shop.one(rejected)
    assert (row.action, row.outcome, row.reject_reason) == ("reject", "rejected", "missed_question")
    assert shop.out("reject") == []


def test_of_two_drafts_side_by_side_the_one_chosen_blind_goes_out(shop: Shop, anna: Seat) -> None:
    ticket = shop.ticket("compare")
    page = anna.open(ticket)
    page.get_by_text("Regenerate, compare, refine…").click()
    offered = page.locator(".offers input[name=model]")
    assert {CHEAP, CLAUDE, GPT} <= {one.get_attribute("value") for one in offered.all()}
    page.get_by_label(GPT).check()
    page.locator("#against").select_option(CLAUDE)
    page.get_by_role("button", name="Compare", exact=True).click()
    page.get_by_role("heading", name="Draft B").wait_for()
    assert [model for model in SIGNED if model in page.content()] == []
    assert sorted(shop.asked("compare")[1:]) == [CLAUDE, GPT]
    second = page.locator("section.side").nth(1).locator(".body").inner_text()
    page.get_by_role("button", name="Take draft B").click()
    page.wait_for_url(f"**/tickets/{ticket}*")

    kept = shop.one(sa.select(comparisons).where(comparisons.c.ticket_id == ticket))
    chosen = shop.one(sa.select(drafts).where(drafts.c.id == kept.right_id))
    other = {CLAUDE: GPT, GPT: CLAUDE}[chosen.model]
    assert (kept.chosen_id, shop.open_row(ticket).draft_id) == (chosen.id, chosen.id)
    why = f"{ANNA} preferred the draft by {chosen.model} to that by {other}, blind"
    assert shop.last_move(ticket) == (f"agent:{ANNA}", why)
    page.get_by_role("button", name="Approve and send").click()
    anna.done("The draft was approved and goes out.")
    shop.until(ticket, "answered")
    assert shop.out("compare") == [second] == [chosen.text]


def test_a_draft_over_the_cap_is_agreed_to_by_name(shop: Shop, anna: Seat) -> None:
    ticket = shop.ticket("dear")
    page = anna.open(ticket)
    typed = "Dear Jane, one moment please."
    page.locator("#text").fill(typed)
    page.get_by_text("Regenerate, compare, refine…").click()
    page.get_by_label(GPT).check()
    page.get_by_role("button", name="Regenerate with it").click()
    anna.not_done("The cap of $0.50 a ticket is reached")
    assert anna.refused == [409]
    assert page.locator("#text").input_value() == typed
    assert shop.asked("dear") == [CLAUDE]

    page.get_by_role("button", name="I agree, go on").click()
    page.locator(".badge.tier", has_text=GPT).wait_for()
    assert shop.asked("dear") == [CLAUDE, GPT]
    why = f"{ANNA} had the draft written anew by {GPT}, and agreed to pass the cap of $0.50 a ticket"
    assert shop.last_move(ticket) == (f"agent:{ANNA}", why)
    assert page.get_by_role("listitem").filter(has_text=why).count() == 1
    call = shop.one(
        sa.select(model_calls).where(
            model_calls.c.ticket_id == ticket, model_calls.c.model == GPT, model_calls.c.state == "ok"
        )
    )
    own = sa.select(sa.func.sum(spend.c.spent_usd)).where(spend.c.scope.startswith(f"agent:{call.agent_id}:"))
    assert shop.one(own)[0] >= call.cost_usd > 0
    row = shop.open_row(ticket)
    assert typed in row.note
    assert shop.one(sa.select(drafts).where(drafts.c.id == row.draft_id)).asked_by == call.agent_id


def test_a_row_that_one_agent_took_is_free_again_when_its_time_is_over(
    shop: Shop, anna: Seat, ben: Seat
) -> None:
    ticket = shop.ticket("taken")
    anna.open(ticket).keyboard.press("m")
    anna.page.get_by_text("taken by you for 15 min").wait_for()
    theirs = ben.open(ticket)
    assert theirs.get_by_text(f"taken by {ANNA} for 15 min").count() == 1
    theirs.get_by_role("button", name="Take it").click()
    ben.not_done(f"{ANNA} has taken ticket {ticket} until")
    theirs.keyboard.press("a")
    ben.not_done(f"{ANNA} has taken ticket {ticket} until")
    theirs.wait_for_url("**/approve")
    assert (ben.refused, shop.out("taken")) == ([409, 409], [])

    with shop.installation.store.write() as connection:  # a quarter of an hour goes by
        over = now() - timedelta(seconds=1)
        connection.execute(reviews.update().where(reviews.c.ticket_id == ticket).values(claimed_until=over))
    assert ben.open(ticket).get_by_text("taken by").count() == 0
    theirs.keyboard.press("m")
    theirs.get_by_text("taken by you for 15 min").wait_for()
    anna.page.keyboard.press("a")
    anna.not_done(f"{BEN} has taken ticket {ticket} until")
    assert anna.refused == [409]


@pytest.mark.parametrize("how", ["approve", "edit"])
def test_of_two_agents_at_once_one_answers_and_the_other_keeps_the_text(
    shop: Shop, anna: Seat, ben: Seat, how: str
) -> None:
    ticket, seats = shop.ticket(how), (anna, ben)
    for seat in seats:
        page = seat.open(ticket)
        if how == "edit":
            page.locator("#text").fill(f"Dear Jane, it is on its way. {seat.email}")
    button = {"approve": "[data-unchanged]", "edit": "[data-changed]"}[how]
    at = time.time() * 1000 + 250
    for seat in seats:
        seat.page.evaluate(
            "([button, at]) => { setTimeout(() => document.querySelector(button).click(), at - Date.now()) }",
            [button, at],
        )
    for seat in seats:
        seat.page.get_by_text("approved and goes out.").or_(seat.page.get_by_text("Not done.")).wait_for()
    (loser,) = [seat for seat in seats if seat.refused]
    (winner,) = [seat for seat in seats if not seat.refused]
    assert loser.refused == [409]
    loser.not_done(f"this row is already decided ({how}) by {winner.email}")
    kept = loser.page.get_by_label("What you typed and did not send")
    if how == "edit":
        assert kept.input_value() == f"Dear Jane, it is on its way. {loser.email}"
    else:
        assert kept.count() == 0
    shop.until(ticket, "answered")
    text = shop.one(sa.select(reviews.c.sent_text).where(reviews.c.ticket_id == ticket)).sent_text
    assert shop.out(how) == [text]
    assert (winner.email in text) == (how == "edit")
