"""Mail servers of a journey: a real SMTP server with a journal that can be held up, and a line to a mailbox
that can be made to stop in the middle of a mail."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from types import TracebackType
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from imapclient import IMAPClient

from tests.ingest import imap_servers
from tests.ingest.imap_servers import USER, Server
from tests.kit import places

__all__ = ["USER", "Accepted", "Line", "Server", "SmtpServer", "append", "imap_server"]


@contextlib.contextmanager
def imap_server(home: Path) -> Iterator[Server]:
    """A running IMAP server with one empty mailbox: Dovecot where the machine has it, else the one by pip."""
    home.mkdir(parents=True, exist_ok=True)
    kind = imap_servers.dovecot if Path("/usr/sbin/dovecot").exists() else imap_servers.pymap
    with kind(home) as server:
        with _mailbox(server) as client:  # the one by pip comes with mails of its own
            client.select_folder("INBOX")
            if there := client.search(["ALL"]):
                client.delete_messages(there, silent=True)
                client.expunge()
        yield server


def append(server: Server, *mails: bytes) -> None:
    """Deliver mails to the mailbox, as its mail server would."""
    with _mailbox(server) as client:
        for mail in mails:
            client.append("INBOX", mail)


@contextlib.contextmanager
def _mailbox(server: Server) -> Iterator[IMAPClient]:
    with IMAPClient("127.0.0.1", port=server.port, ssl=False, timeout=20) as client:
        client.plain_login(USER, server.password)
        yield client


@dataclass(frozen=True)
class Accepted:
    """A mail that the SMTP server took over: from its final dot on it is the server's."""

    sender: str
    recipients: tuple[str, ...]
    raw: bytes

    @property
    def message(self) -> EmailMessage:
        parsed = message_from_bytes(self.raw, policy=policy.default)
        assert isinstance(parsed, EmailMessage)
        return parsed

    @property
    def text(self) -> str:
        """The body as its reader sees it: lines that end in a space go on (format=flowed, RFC 3676)."""
        part = self.message.get_body(("plain",))
        assert part is not None
        body = str(part.get_content()).replace("\r\n", "\n")
        assert part["Content-Type"].params["format"] == "flowed"
        return re.sub(r"(?<!^--) \n", " ", body, flags=re.MULTILINE).strip()


class SmtpServer:
    """A real SMTP server. `journal` holds what it took; `hold` makes it fall silent at a point of the dialogue.

    Held at `text` it does not answer DATA, so no final dot comes; held at `dot` it has the whole mail, has
    written it down, and says nothing.
    """

    def __init__(self) -> None:
        self.journal: list[Accepted] = []
        self._waiting = {"text": 0, "dot": 0}
        self._holds: dict[str, str | None] = {}
        self._controller = _Controller(self, hostname="127.0.0.1", port=places.free_port())

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self._controller.port}?starttls=no"

    def hold(self, at: str, recipient: str | None = None) -> None:
        """Fall silent at `text` or `dot`, for this recipient's mail or for all."""
        assert at in ("text", "dot")
        self._holds[at] = recipient

    def holds(self, at: str) -> bool:
        """Whether somebody waits at this point."""
        return self._waiting[at] > 0

    def let_go(self) -> None:
        """Answer again, also those who wait."""
        self._holds.clear()

    def to(self, address: str) -> list[Accepted]:
        """What was taken for this recipient, in order."""
        return [accepted for accepted in self.journal if address in accepted.recipients]

    def __enter__(self) -> SmtpServer:
        self._controller.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.let_go()
        self._controller.stop()

    # --- what aiosmtpd calls -------------------------------------------------------------------------

    async def wait_at(self, point: str, envelope: Envelope) -> None:
        self._waiting[point] += 1
        try:
            while point in self._holds and self._holds[point] in (None, *envelope.rcpt_tos):
                await asyncio.sleep(0.02)
        finally:
            self._waiting[point] -= 1

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:
        assert isinstance(envelope.original_content, bytes)
        self.journal.append(
            Accepted(envelope.mail_from or "", tuple(envelope.rcpt_tos), envelope.original_content)
        )
        await self.wait_at("dot", envelope)
        return "250 2.0.0 taken"


class _Dialogue(SMTP):
    """aiosmtpd's dialogue, which may wait before it asks for the text."""

    async def smtp_DATA(self, arg: str) -> None:
        assert self.envelope is not None
        await self.event_handler.wait_at("text", self.envelope)
        await super().smtp_DATA(arg)


class _Controller(Controller):
    def factory(self) -> SMTP:
        return _Dialogue(self.handler, **self.SMTP_kwargs)


class Line:
    """A TCP line to a server of the loopback that stops carrying after a mark in what the server sends."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._mark: bytes | None = None
        self.stopped = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._closing = False

    def stop_at(self, mark: bytes) -> None:
        """Carry everything up to the end of `mark`, then nothing more on that connection."""
        self.stopped.clear()
        self._mark = mark

    def carry_on(self) -> None:
        """Carry everything again; a connection that stopped stays as it is."""
        self._mark = None

    def __enter__(self) -> Line:
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing = True
        for one in (self._listener, *self._sockets):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        for thread in self._threads:
            thread.join(5)

    def _start(self, run: Any, *args: Any) -> None:
        thread = threading.Thread(target=run, args=args, name="line", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._closing:
            try:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._to))
            except OSError:
                continue
            self._sockets += [near, far]
            self._start(self._carry, near, far, False)
            self._start(self._carry, far, near, True)

    def _carry(self, source: socket.socket, target: socket.socket, watched: bool) -> None:
        before = b""
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                mark = self._mark if watched else None
                if mark is not None and mark in before + data:
                    end = (before + data).index(mark) + len(mark) - len(before)
                    target.sendall(data[: max(0, end)])
                    self.stopped.set()
                    return
                target.sendall(data)
                before = data[-100:]
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)
