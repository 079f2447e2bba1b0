"""The real app on a real uvicorn on loopback, with the real desk and the real delivery's settling."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from pipeline.db.store import Store
from pipeline.delivery import send
from pipeline.errors import NotFoundError, UnreachableError
from pipeline.review.desk import Desk
from pipeline.routing import reading
from pipeline.web.app import create_app
from pipeline.web.parts import WebParts

ROUTES = Path(__file__).parents[2] / "routes.toml"


@dataclass(frozen=True)
class Taken:
    status: int
    reason: str
    body: str | None = None


def take_webhook(source: str, headers: Mapping[str, str], body: bytes) -> Taken:
    """A door that knows the source `shop`, and a store that fails when the body says so."""
    if source != "shop":
        raise NotFoundError("no such source")
    if body == b"fail":
        raise UnreachableError("the database is away")
    if headers.get("x-secret") != "s":
        return Taken(401, "the signature does not hold")
    return Taken(200, f"{len(body)} bytes stored")


def parts_for(store: Store, **changes: Any) -> WebParts:
    desk = Desk(
        store,
        own_addresses=frozenset({"help@shop.example"}),
        domain_of=lambda _inbox: "shop.example",
        mark_sent=send.mark_sent,
        send_again=send.send_again,
    )
    parts = WebParts(
        store=store, desk=desk, routes=reading.read(ROUTES), receive_webhook=take_webhook,
        public_url="http://127.0.0.1:1", version="test", inbox_names=("support",),
        webhook_limit_bytes=100_000, form_limit_bytes=200_000,
    )  # fmt: skip
    return replace(parts, **changes)


@contextlib.contextmanager
def serving(parts: WebParts) -> Iterator[str]:
    """The address of the app while it is served; `public_url` is set to it unless it is https."""
    with listening(lambda url: create_app(parts if parts.https else replace(parts, public_url=url))) as url:
        yield url


@contextlib.contextmanager
def listening(app_at: Callable[[str], ASGIApp]) -> Iterator[str]:
    """The address of a server on loopback with the app that is made for it."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(128)
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        config = uvicorn.Config(app_at(address), log_level="warning", lifespan="off", server_header=False)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        until = time.monotonic() + 10
        while not server.started and time.monotonic() < until:
            time.sleep(0.01)
        assert server.started, "the web server did not start"
        try:
            yield address
        finally:
            server.should_exit = True
            thread.join(10)
