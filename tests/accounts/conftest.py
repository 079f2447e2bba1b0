"""A shop's own database, and an endpoint on loopback that answers as a test says."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """The folder of a SQLite database `shop.db` with two customers, one of them charged twice."""
    connection = sqlite3.connect(tmp_path / "shop.db")
    connection.executescript(
        """
        CREATE TABLE customers (email TEXT, plan TEXT, status TEXT, last_login TEXT, seats INTEGER);
        CREATE TABLE payments (id TEXT, email TEXT, at TEXT, amount TEXT, currency TEXT, description TEXT,
                               status TEXT, refunded INTEGER);
        CREATE TABLE orders (number TEXT, email TEXT, placed_at TEXT, status TEXT);
        INSERT INTO customers VALUES ('ana@customer.example', 'pro', 'active', '2026-11-19T08:00:00Z', 3),
                                     ('bob@customer.example', 'free', 'locked', NULL, 1);
        INSERT INTO payments VALUES
            ('p1', 'ana@customer.example', '2026-11-01T10:00:00Z', '64.99', 'gbp', 'Pro plan', 'succeeded', 0),
            ('p2', 'ana@customer.example', '2026-11-01T10:04:00Z', '64.99', 'GBP', 'Pro Plan', 'succeeded', 0),
            ('p3', 'bob@customer.example', '2026-11-01T10:04:00Z', '5.00', 'GBP', 'Top up', 'succeeded', 0);
        INSERT INTO orders VALUES ('A-1', 'ana@customer.example', '2026-10-01', 'shipped'),
                                  ('B-1', 'bob@customer.example', '2026-10-02', 'shipped');
        """
    )
    connection.commit()
    connection.close()
    return tmp_path


class Endpoint:
    """What the endpoint answers, and what it was asked."""

    def __init__(self) -> None:
        self.status = 200
        self.body = b"{}"
        self.headers: dict[str, str] = {}
        self.drip_s: float | None = None
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []
        self.url = ""

    def answer(self, document: Any) -> None:
        self.body = json.dumps(document).encode()


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    told = Endpoint()
    ended = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            told.asked.append((self.command, self.path, dict(self.headers), body))
            self.send_response(told.status)
            for name, value in told.headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(told.body)))
            self.end_headers()
            if told.drip_s is None:
                self.wfile.write(told.body)
                return
            try:
                for byte in told.body:
                    self.wfile.write(bytes([byte]))
                    if ended.wait(told.drip_s):
                        return
            except OSError:
                return

        do_POST = do_GET

        def log_message(self, *_args: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    told.url = f"http://127.0.0.1:{server.server_address[1]}"
    yield told
    ended.set()
    server.shutdown()
    thread.join()
    server.server_close()
