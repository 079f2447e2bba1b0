"""The total deadline: no drip, no silence and no slow reader outlasts it, and sizes are bounded."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import httpx2
import pytest

from pipeline.models import deadline as door
from tests.kit import model_replies as replies
from tests.kit.model_replies import Reply
from tests.kit.model_server import ModelServer
from tests.kit.places import free_port

QUESTION = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}
SECONDS = 0.3
GRACE = 1.0


@pytest.fixture
def client(server: ModelServer) -> Iterator[httpx2.Client]:
    with door.client(server.openai_url) as client:
        client.base_url = server.openai_url
        yield client


def ask(client: httpx2.Client, seconds: float = SECONDS) -> httpx2.Response:
    with door.deadline(seconds):
        return client.post("/chat/completions", json=QUESTION, timeout=60)


@pytest.mark.parametrize("reply", [replies.hang(), replies.drip("headers", 0.02), replies.drip("body", 0.02)])
def test_nothing_outlasts_the_deadline(server: ModelServer, client: httpx2.Client, reply: Reply) -> None:
    server.script(reply)
    begun = time.monotonic()
    with pytest.raises(httpx2.ReadTimeout):
        ask(client)
    assert SECONDS * 0.9 <= time.monotonic() - begun < SECONDS + GRACE


def test_a_call_after_a_timed_out_one_is_whole(server: ModelServer, client: httpx2.Client) -> None:
    server.script(replies.hang())
    with pytest.raises(httpx2.ReadTimeout):
        ask(client, 0.1)
    assert ask(client, 20).json()["choices"]


def test_a_slow_answer_within_the_deadline_is_taken(server: ModelServer, client: httpx2.Client) -> None:
    server.script(replies.drip("body", 0.0001))
    assert ask(client, 20).json()["choices"]


def test_a_peer_that_never_reads_cannot_hold_the_writer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with door.client(url) as client, door.deadline(SECONDS):
            begun = time.monotonic()
            with pytest.raises(httpx2.TimeoutException):
                client.post(url, content=b"x" * 50_000_000, timeout=60)
            assert time.monotonic() - begun < SECONDS + GRACE


def test_a_deadline_that_has_passed_sends_nothing(server: ModelServer, client: httpx2.Client) -> None:
    with pytest.raises(httpx2.TimeoutException):
        ask(client, 0.0)
    assert server.journal == []


def test_each_thread_has_its_own_deadline(server: ModelServer, client: httpx2.Client) -> None:
    server.answer_by(lambda seen: replies.ok().later(0.5))
    ends: dict[str, str] = {}

    def work(name: str, seconds: float) -> None:
        try:
            ask(client, seconds)
            ends[name] = "answered"
        except httpx2.TimeoutException:
            ends[name] = "timed out"

    threads = [threading.Thread(target=work, args=args) for args in (("short", 0.1), ("long", 20.0))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ends == {"short": "timed out", "long": "answered"}
    assert door.left_s() is None


@pytest.mark.parametrize("reply", [replies.huge(door.MAX_ANSWER_BYTES), replies.packed()])
def test_an_answer_too_large_or_packed_is_not_read(
    server: ModelServer, client: httpx2.Client, reply: Reply
) -> None:
    server.script(reply)
    with pytest.raises(door.AnswerTooLarge):
        ask(client, 20)
    assert server.journal[-1].seen.headers["accept-encoding"] == "identity"
    assert ask(client, 20).status_code == 200


def test_connections_are_kept(server: ModelServer, client: httpx2.Client) -> None:
    before = server.connections
    for _ in range(5):
        ask(client, 20)
    assert server.connections == before + 1


def test_redirects_are_not_followed(server: ModelServer, client: httpx2.Client) -> None:
    server.script(Reply("redirect", status=302, raw=b"", headers={"location": "http://127.0.0.1:1/"}))
    assert ask(client, 20).status_code == 302


def test_a_name_without_an_address_and_a_closed_port_are_connect_errors() -> None:
    for url in ("http://nothing.invalid", f"http://localhost:{free_port()}"):
        with door.client(url) as client, door.deadline(20), pytest.raises(httpx2.ConnectError):
            client.get(url)


def test_the_environments_proxy_is_used_and_can_be_bypassed(
    server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.port}")
    monkeypatch.setenv("no_proxy", "elsewhere.test")
    url = "http://models.test/v1/chat/completions"
    with door.client(url) as client, door.deadline(20):
        assert client.post(url, json=QUESTION).json()["choices"]
    monkeypatch.setenv("no_proxy", "models.test")
    with door.client(url) as client, door.deadline(20), contextlib.suppress(httpx2.ConnectError):
        client.post(url, json=QUESTION)
    assert len(server.journal) == 1
