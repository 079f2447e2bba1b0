"""Replies written back into a helpdesk. The servers here speak the shapes of the makers' own API references;
no test has met a real Zendesk, Zammad or Chatwoot."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from pipeline.delivery.helpdesks import HELPDESKS, HelpdeskMailer, Site, foreign_ticket
from pipeline.delivery.outcomes import Accepted, Outcome, Permanent, Temporary, Uncertain
from pipeline.errors import ConfigError
from pipeline.ingest.webhooks import ADAPTERS
from tests.delivery.test_compose import outgoing

TOKEN = "a-token-of-the-helpdesk"


@dataclass
class Desk:
    """A helpdesk's server: what it was asked, and what it answers next."""

    url: str = ""
    status: int = 200
    wait_s: float = 0.0
    asked: list[tuple[str, str, dict[str, str], Any]] = field(default_factory=list)


@pytest.fixture
def desk() -> Iterator[Desk]:
    state = Desk()

    class Door(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            headers = {name.lower(): value for name, value in self.headers.items()}
            state.asked.append((self.command, self.path, headers, body))
            time.sleep(state.wait_s)
            self.send_response(state.status)
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        do_PUT = do_POST

        def log_message(self, *_args: Any) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Door) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        state.url = f"http://127.0.0.1:{server.server_address[1]}"
        yield state
        server.shutdown()
        thread.join(5)


def mailer(name: str, desk: Desk, **more: Any) -> HelpdeskMailer:
    values: dict[str, Any] = {"base_url": desk.url, "token": TOKEN, "allow_private": True, "timeout_s": 5}
    if name == "chatwoot":
        values["account"] = 3
    return HelpdeskMailer(name, Site(**{**values, **more}))


def send(name: str, desk: Desk, **more: Any) -> Outcome:
    return mailer(name, desk, **more).send(from_desk())


def from_desk(references: tuple[str, ...] = ("4711.thread@desk.webhook.invalid",)) -> Any:
    return outgoing(inbox="desk", references=references)


TEXT = "Hallo Ana,\n\nes ist unterwegs.\n\n-- \nYour Shop\n"


@pytest.mark.parametrize("note", [False, True])
def test_zendesk_gets_a_comment_on_its_ticket(desk: Desk, note: bool) -> None:
    assert isinstance(send("zendesk", desk, user="bot@shop.example", as_note=note), Accepted)
    method, path, headers, body = desk.asked[0]
    assert (method, path) == ("PUT", "/api/v2/tickets/4711.json")
    assert body == {"ticket": {"comment": {"body": TEXT, "public": not note}}}
    pair = base64.b64decode(headers["authorization"].removeprefix("Basic ")).decode()
    assert pair == f"bot@shop.example/token:{TOKEN}"
    send("zendesk", desk)
    assert desk.asked[1][2]["authorization"] == f"Bearer {TOKEN}"


@pytest.mark.parametrize("note", [False, True])
def test_zammad_gets_an_article_on_its_ticket(desk: Desk, note: bool) -> None:
    desk.status = 201
    assert isinstance(send("zammad", desk, as_note=note), Accepted)
    method, path, headers, body = desk.asked[0]
    assert (method, path) == ("POST", "/api/v1/ticket_articles")
    assert headers["authorization"] == f"Token token={TOKEN}"
    assert (body["ticket_id"], body["body"], body["internal"]) == (4711, TEXT, note)
    assert body["type"] == ("note" if note else "email")
    assert body.get("to") == (None if note else "ana@customer.example")


@pytest.mark.parametrize("note", [False, True])
def test_chatwoot_gets_a_message_in_its_conversation(desk: Desk, note: bool) -> None:
    assert isinstance(send("chatwoot", desk, as_note=note), Accepted)
    method, path, headers, body = desk.asked[0]
    assert (method, path) == ("POST", "/api/v1/accounts/3/conversations/4711/messages")
    assert headers["api_access_token"] == TOKEN
    assert (body["content"], body["message_type"], body["private"]) == (TEXT, "outgoing", note)


@pytest.mark.parametrize("name", sorted(HELPDESKS))
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, Temporary),
        (429, Temporary),
        (503, Temporary),
        (404, Permanent),
        (422, Permanent),
        (302, Permanent),
        (500, Uncertain),
        (504, Uncertain),
    ],
)
def test_what_it_answers_decides(desk: Desk, name: str, status: int, kind: type) -> None:
    desk.status = status
    outcome = send(name, desk)
    assert isinstance(outcome, kind)
    assert str(status) in outcome.words
    assert TOKEN not in outcome.words
    assert len(desk.asked) == 1


def test_an_answer_that_never_came_leaves_it_uncertain(desk: Desk) -> None:
    desk.wait_s = 1
    assert isinstance(send("zammad", desk, timeout_s=0.3), Uncertain)
    assert len(desk.asked) == 1


def test_a_private_address_is_refused_unless_the_setting_allows_it() -> None:
    site = Site("https://127.0.0.1:9", TOKEN)
    outcome = HelpdeskMailer("zendesk", site).send(from_desk())
    assert isinstance(outcome, Permanent)
    assert "not on the public network" in outcome.words
    with pytest.raises(ConfigError, match="not on the public network"):
        HelpdeskMailer("zendesk", site).check()
    with pytest.raises(ConfigError, match="https"):
        HelpdeskMailer("zendesk", Site("http://desk.example", TOKEN))
    assert TOKEN not in repr(site)


@pytest.mark.parametrize(
    "references",
    [
        (),
        ("q1@customer.example",),
        ("4711.thread@other.webhook.invalid",),
        ("47/../11.thread@desk.webhook.invalid",),
        # what the customer wrote comes after the one that we made
        ("x.thread@desk.webhook.invalid", "4711.thread@desk.webhook.invalid"),
    ],
)
def test_a_reply_without_a_ticket_there_goes_to_a_person(desk: Desk, references: tuple[str, ...]) -> None:
    assert isinstance(mailer("zendesk", desk).send(from_desk(references)), Permanent)
    assert desk.asked == []


BODIES = {
    "zendesk": {"ticket_id": 4711, "address": "ana@customer.example", "text": "Where is it?"},
    "zammad": {
        "ticket": {"id": 4711, "title": "Where?", "customer": {"email": "ana@customer.example"}},
        "article": {"id": 1, "body": "Where is it?", "references": "<9.thread@desk.webhook.invalid>"},
    },
    "chatwoot": {
        "event": "message_created",
        "id": 1,
        "content": "Where is it?",
        "message_type": "incoming",
        "created_at": int(datetime(2026, 11, 23, tzinfo=UTC).timestamp()),
        "sender": {"name": "Ana", "email": "ana@customer.example"},
        "conversation": {"id": 4711},
    },
}


@pytest.mark.parametrize("name", sorted(HELPDESKS))
def test_the_ticket_is_the_one_that_the_webhook_spoke_of(name: str) -> None:
    read = ADAPTERS[name].read(json.dumps(BODIES[name]).encode(), "desk").message
    assert read is not None
    assert foreign_ticket(from_desk(tuple(read.references))) == "4711"
