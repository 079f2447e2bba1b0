"""The people of a journey: the customer who writes mail, and agents at the page, by browser or by plain forms."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from email.message import EmailMessage
from typing import TYPE_CHECKING, Protocol

import httpx2

from tests.kit.browsing import chromium
from tests.kit.live import mail
from tests.kit.processes import Installation
from tests.web import reading

if TYPE_CHECKING:
    from playwright.sync_api import Page

EMAIL, PASSWORD = "anna@shop.example", "correct horse battery"


def answer_to(reply: EmailMessage, body: str, *, message_id: str) -> bytes:
    """What a customer's mail program makes of "answer": the thread's headers, the reply quoted below."""
    ours = str(reply["Message-ID"])
    text = reply.get_body(("plain",))
    assert text is not None
    quoted = "\r\n".join(f"> {line}" for line in text.get_content().splitlines())
    return mail(
        f"{body}\r\n\r\nOn Monday The Shop <support@shop.example> wrote:\r\n{quoted}",
        subject=str(reply["Subject"]),
        message_id=message_id,
        headers=f"In-Reply-To: {ours}\r\nReferences: {reply['References']} {ours}\r\n",
    )


class Agent(Protocol):
    """An agent who sits at the page."""

    def enter(self, link: str) -> None:
        """Set a password by the link from `triage agent add`, leave, and come back by that password."""

    def send_draft(self, ticket: int) -> str:
        """Approve the draft as it is; returns its text."""

    def send_edit(self, ticket: int, text: str) -> None:
        """Replace the draft's text and send it."""

    def draft(self, ticket: int) -> str:
        """The draft that the page shows for the ticket."""


class Forms:
    """An agent without JavaScript: pages are read, their forms are sent."""

    def __init__(self, client: httpx2.Client) -> None:
        self.client = client

    def enter(self, link: str) -> None:
        page = self.client.get(link)
        assert page.status_code == 200, page.text
        entered = reading.form(page, link.rpartition("/")[2]).send(self.client, password=PASSWORD)
        assert entered.status_code == 303, entered.text
        self.log_out()
        assert self.client.get("/").headers["location"].startswith("/login")
        self.log_in()

    def log_in(self) -> None:
        page = self.client.get("/login")
        refused = reading.form(page, "/login").send(self.client, email=EMAIL, password="not the password")
        assert refused.status_code == 403
        entered = reading.form(page, "/login").send(self.client, email=EMAIL, password=PASSWORD)
        assert (entered.status_code, entered.headers["location"]) == (303, "/")

    def log_out(self) -> None:
        reading.form(self.client.get("/"), "/logout").send(self.client)

    def ticket(self, ticket: int) -> httpx2.Response:
        page = self.client.get(f"/tickets/{ticket}")
        assert page.status_code == 200, page.text
        return page

    def draft(self, ticket: int) -> str:
        return reading.form(self.ticket(ticket), "/approve").values["text"].strip()

    def send_draft(self, ticket: int) -> str:
        form = reading.form(self.ticket(ticket), "/approve")
        self._sent(form.send(self.client))
        return form.values["text"].strip()

    def send_edit(self, ticket: int, text: str) -> None:
        form = reading.form(self.ticket(ticket), "/approve")
        self._sent(form.send(self.client, form.action.replace("/approve", "/edit"), text=text))

    def settle(self, ticket: int, choice: str) -> None:
        """Say of an uncertain reply that it was `sent`, or that it shall be sent again: `resend`."""
        self._sent(reading.form(self.ticket(ticket), "/settle").send(self.client, choice=choice))

    @staticmethod
    def _sent(answer: httpx2.Response) -> None:
        assert answer.status_code == 303, reading.words(answer)


class Browser:
    """An agent with a real Chromium."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def enter(self, link: str) -> None:
        self.page.goto(link)
        self.page.get_by_label("Choose a password").fill(PASSWORD)
        self.page.get_by_role("button", name="Log in").click()
        self.page.get_by_role("button", name="Log out").click()
        self.page.get_by_label("Email").fill(EMAIL)
        self.page.get_by_label("Password").fill(PASSWORD)
        self.page.get_by_role("button", name="Log in").click()
        self.page.get_by_role("heading", name="To judge").wait_for()

    def draft(self, ticket: int) -> str:
        self._open(ticket)
        return self.page.locator("#text").input_value().strip()

    def send_draft(self, ticket: int) -> str:
        text = self.draft(ticket)
        self.page.get_by_role("button", name="Approve and send").click()
        self.page.wait_for_selector("text=The draft was approved and goes out.")
        return text

    def send_edit(self, ticket: int, text: str) -> None:
        self._open(ticket)
        self.page.locator("#text").fill(text)
        self.page.get_by_role("button", name="Send my edit").click()
        self.page.wait_for_selector("text=Your edit was approved and goes out.")

    def _open(self, ticket: int) -> None:
        """By way of the queue, as one comes to it."""
        self.page.goto("/")
        self.page.locator(f"a.subject[href^='/tickets/{ticket}']").click()
        self.page.wait_for_url(f"**/tickets/{ticket}*")


@contextlib.contextmanager
def by_forms(installation: Installation) -> Iterator[Forms]:
    with httpx2.Client(base_url=installation.address, headers={"accept": "text/html"}, timeout=20) as client:
        yield Forms(client)


@contextlib.contextmanager
def by_browser(installation: Installation) -> Iterator[Browser]:
    with chromium() as browser:
        context = browser.new_context(base_url=installation.address)
        page = context.new_page()
        page.set_default_timeout(20_000)
        yield Browser(page)
        context.close()
