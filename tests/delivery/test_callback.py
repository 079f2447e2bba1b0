"""The signed callback to a webhook source, against a real HTTP server on loopback."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook

from pipeline.delivery import posting
from pipeline.delivery.callback import Callback, CallbackMailer
from pipeline.delivery.outcomes import Accepted, Gone, Permanent, Temporary, Uncertain
from pipeline.errors import ConfigError
from tests.delivery.test_compose import outgoing

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class Receiver:
    def __init__(self) -> None:
        self.status = 200
        self.wait_s = 0.0
        self.headers: dict[str, str] = {}
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.url = ""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    told = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            told.got.append((dict(self.headers), body))
            time.sleep(told.wait_s)
            self.send_response(told.status)
            for name, value in told.headers.items():
                self.send_header(name, value)
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_args: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    told.url = f"http://localhost:{server.server_address[1]}/replies"
    yield told
    server.shutdown()
    thread.join()
    server.server_close()


def mailer(receiver: Receiver, **changes: Any) -> CallbackMailer:
    return CallbackMailer(
        Callback(receiver.url, SECRET, **{"allow_private": True, "timeout_s": 5, **changes})
    )


def test_a_reply_is_posted_with_a_signature_that_the_standard_library_accepts(receiver: Receiver) -> None:
    outcome = mailer(receiver).send(outgoing())
    assert outcome == Accepted("200 ok")
    headers, body = receiver.got[0]
    assert Webhook(SECRET).verify(body, headers)["data"]["to"] == "ana@customer.example"
    assert {k.lower(): v for k, v in headers.items()}["webhook-id"] == "abc@shop.example"
    assert {k.lower(): v for k, v in headers.items()}["host"].startswith("localhost:")
    assert json.loads(body)["data"]["text"].endswith("-- \nYour Shop\n")


def test_a_second_attempt_has_the_same_id_and_the_same_body(receiver: Receiver) -> None:
    for attempt in (1, 2):
        mailer(receiver).send(outgoing(attempt=attempt))
    (first, one), (second, two) = receiver.got
    assert one == two
    assert first["webhook-id"] == second["webhook-id"]


@pytest.mark.parametrize(
    ("status", "kind", "said"),
    [
        (500, Uncertain, "answered 500"),
        (429, Temporary, "answered 429"),
        (400, Permanent, "answered 400"),
        (410, Gone, "answered 410"),
        (307, Permanent, "redirects are not followed"),
    ],
)
def test_what_the_receiver_answers_decides(receiver: Receiver, status: int, kind: type, said: str) -> None:
    receiver.status = status
    receiver.headers = {"location": receiver.url + "/other"} if status == 307 else {}
    outcome = mailer(receiver).send(outgoing())
    assert isinstance(outcome, kind)
    assert said in outcome.words
    assert len(receiver.got) == 1


def test_a_receiver_that_does_not_answer_may_have_taken_it(receiver: Receiver) -> None:
    receiver.wait_s = 1
    outcome = mailer(receiver, timeout_s=0.3).send(outgoing())
    assert isinstance(outcome, Uncertain)
    assert "0.3 s" in outcome.words


def test_a_private_address_is_refused_after_resolution() -> None:
    outcome = CallbackMailer(Callback("https://localhost:9/replies", SECRET)).send(outgoing())
    assert isinstance(outcome, Permanent)
    assert "not on the public network" in outcome.words


@pytest.mark.parametrize(
    "url", ["http://example.org/x", "ftp://example.org", "https://", "https://u:p@example.org"]
)
def test_an_unsafe_address_is_refused_when_it_is_set(url: str) -> None:
    with pytest.raises(ConfigError):
        CallbackMailer(Callback(url, SECRET))


def test_a_secret_that_is_no_key_is_refused_when_it_is_set() -> None:
    with pytest.raises(ConfigError, match="whsec_"):
        CallbackMailer(Callback("https://example.org/x", "whsec_not base64!"))


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1:248:1893:25c8:1946", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("::1", False),
        ("::ffff:127.0.0.1", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("64:ff9b::a00:1", False),
        ("64:ff9b::5db8:d822", True),
        ("64:ff9b:1::5db8:d822", False),
        ("::127.0.0.1", False),
        ("fec0::1", False),
        ("2002:7f00:1::", False),
    ],
)
def test_which_addresses_are_public(address: str, public: bool) -> None:
    assert posting.public(address) is public


def test_the_secret_is_not_printed() -> None:
    assert SECRET not in repr(Callback("https://example.org", SECRET))
