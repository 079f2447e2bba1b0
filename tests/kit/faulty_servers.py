"""A mail server and a receiver of callbacks that fail at one point of the dialogue, each with a journal.

The journal is what the server took over as its own: by its own word nothing else was ever accepted.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

SMTP_POINTS = ("greeting", "ehlo", "auth", "mail", "rcpt", "data", "text", "dot")


@dataclass(frozen=True)
class Fault:
    """What goes wrong, once, at a point. `kind`: `temporary`, `permanent` (the server's answers), `lost` (the
    connection is cut), `silent` (no answer); `taken` says that the reply was taken over before it."""

    point: str
    kind: str
    taken: bool = False


class FaultyServer:
    """Listens on a port of its own. `fault` happens once, then all is well; `reached` tells that it began."""

    def __init__(self) -> None:
        self.journal: list[str] = []
        self.fault: Fault | None = None
        self.reached = threading.Event()
        self.over = threading.Event()
        self._listener: socket.socket | None = None
        self._threads: list[threading.Thread] = []
        self.open()

    def open(self, port: int = 0) -> None:
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port = int(self._listener.getsockname()[1])
        self._start(self._accept, self._listener)

    def close(self) -> None:
        """Nobody listens here now."""
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None

    def end(self) -> None:
        self.over.set()
        self.close()
        for thread in self._threads:
            thread.join(5)

    def _start(self, run: object, *args: object) -> None:
        thread = threading.Thread(target=run, args=args, name="faulty", daemon=True)  # type: ignore[arg-type]  # any callable
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        while not self.over.is_set():
            try:
                connection, _peer = listener.accept()
            except OSError:
                return
            self._start(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(60)
        with connection, contextlib.suppress(OSError, EOFError, _Cut), connection.makefile("rb") as lines:
            self.talk(connection, lines)

    @property
    def url(self) -> str:
        """What the installation's settings say of it."""
        raise NotImplementedError

    def talk(self, connection: socket.socket, lines: BinaryIO) -> None:
        """One conversation, from the first byte to the last."""
        raise NotImplementedError

    def fails_at(self, point: str, connection: socket.socket) -> Fault | None:
        """The fault, if it is this point's: cut and silent ones happen here, an answer is the caller's."""
        fault = self.fault
        if fault is None or fault.point != point:
            return None
        self.fault = None
        self.reached.set()
        if fault.kind == "lost":
            cut(connection)
            raise _Cut
        if fault.kind == "silent":
            self.over.wait(60)
            raise _Cut
        return fault


class _Cut(Exception):
    """The conversation is over."""


def cut(connection: socket.socket) -> None:
    """End it as a crash does: a reset, no goodbye."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.shutdown(socket.SHUT_RD)
    connection.close()


class FaultyMailServer(FaultyServer):
    """SMTP with a login; takes a mail over at its final dot and writes its Message-ID down."""

    @property
    def url(self) -> str:
        return f"smtp://shop:secret@127.0.0.1:{self.port}"

    def talk(self, connection: socket.socket, lines: BinaryIO) -> None:
        def say(words: str) -> None:
            connection.sendall(f"{words}\r\n".encode())

        def at(point: str, good: str) -> bool:
            fault = self.fails_at(point, connection)
            if fault is None:
                say(good)
                return True
            code = {"temporary": "451 4.3.0 not now", "permanent": "554 5.7.1 never"}[fault.kind]
            say(code if point != "greeting" else code.replace("451", "421"))
            return False

        if not at("greeting", "220 loopback ESMTP"):
            return
        while line := lines.readline():
            word = line[:4].upper().decode("ascii", "replace").strip()
            if word == "DATA":
                if at("data", "354 go on") and not self._take(connection, lines, say):
                    return
            elif word == "QUIT":
                say("221 bye")
                return
            else:
                good = "250-loopback\r\n250 AUTH PLAIN" if word == "EHLO" else "250 fine"
                at(word.lower(), "235 welcome" if word == "AUTH" else good)

    def _take(self, connection: socket.socket, lines: BinaryIO, say: object) -> bool:
        text = b""
        while True:
            line = lines.readline()
            if not line:
                raise EOFError  # no final dot, no mail
            if line == b".\r\n":
                break
            text += line
            if len(text) > 400:
                self.fails_at("text", connection)
        fault = self.fault
        found = re.search(rb"(?im)^message-id:\s*<([^>]+)>", text)
        assert found, "every reply has its Message-ID"
        taken = fault is None or fault.point != "dot" or fault.taken
        if taken:
            self.journal.append(found[1].decode())
        answer = self.fails_at("dot", connection)
        words = {None: "250 2.0.0 taken", "temporary": "451 4.3.0 disk full", "permanent": "554 5.6.0 spam"}
        connection.sendall(f"{words[answer.kind if answer else None]}\r\n".encode())
        return True


class FaultyReceiver(FaultyServer):
    """A receiver as Standard Webhooks wants it: it keeps ids, and a reply that comes again is not taken again.

    `times` says how often each id was handed to it, whatever became of it.
    """

    def __init__(self) -> None:
        self.times: list[str] = []
        super().__init__()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/replies"

    def talk(self, connection: socket.socket, lines: BinaryIO) -> None:
        self.fails_at("request", connection)
        headers = dict(_headers(lines))
        body = lines.read(int(headers["content-length"]))
        key = headers["webhook-id"]
        assert json.loads(body)["data"]["message_id"] == key
        self.times.append(key)
        fault = self.fault
        if key not in self.journal and (fault is None or fault.taken):
            self.journal.append(key)
        answer = self.fails_at("answer", connection)
        status = answer.kind if answer else "200"
        connection.sendall(
            f"HTTP/1.1 {status} X\r\nlocation: http://127.0.0.1:9/\r\ncontent-length: 2\r\n"
            "connection: close\r\n\r\nok".encode()
        )


def _headers(lines: BinaryIO) -> Iterator[tuple[str, str]]:
    lines.readline()
    while (line := lines.readline()) not in (b"\r\n", b""):
        name, _, value = line.decode().partition(":")
        yield name.strip().lower(), value.strip()
