"""A loopback server that speaks OpenAI's chat completions and Anthropic's messages, and fails as told.

    with ModelServer() as server:
        server.script(replies.rate_limited("0"), replies.ok({"topic": "billing"}))
        provider = OpenAIProvider("key", server.openai_url)

What is scripted is used up in order, request by request; then `answer` is asked, which is keyed on the
request's text; without one the smallest value that the request's schema allows is sent. The journal holds
what came in and what usage was reported. It runs on its own event loop in a thread of this process.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from tests.kit.model_replies import Reply, Seen, Tokens, ok, status_and_body

Answer = Callable[[Seen], Any]


@dataclass(frozen=True)
class Served:
    """A line of the journal: the request, the kind of reply, and the usage that the reply reported."""

    seen: Seen
    kind: str
    tokens: Tokens | None


class ModelServer:
    """See the module. `openai_url` and `anthropic_url` are the base addresses for the SDKs."""

    def __init__(self, answer: Answer | None = None) -> None:
        self._answer = answer
        self._scripts: dict[str | None, deque[Reply]] = {}
        self._lock = threading.Lock()
        self.journal: list[Served] = []
        self.connections = 0
        self.port = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def openai_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def anthropic_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def script(self, *replies: Reply, model: str | None = None) -> None:
        """Answer the next requests (of `model`, if given) by these, in order."""
        with self._lock:
            self._scripts.setdefault(model, deque()).extend(replies)

    def answer_by(self, answer: Answer | None) -> None:
        """Ask `answer` whenever nothing is scripted. It returns a `Reply`, a text, or a value for JSON."""
        self._answer = answer

    def forget(self) -> None:
        """Drop the journal, and what is still scripted."""
        with self._lock:
            self._scripts.clear()
            self.journal.clear()
        self._answer = None

    @property
    def kinds(self) -> list[tuple[str, str]]:
        """(model, kind of reply) of each request, in order."""
        with self._lock:
            return [(line.seen.model, line.kind) for line in self.journal]

    # --- running ------------------------------------------------------------------------------------

    def __enter__(self) -> ModelServer:
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready,), name="model server", daemon=True)
        self._thread.start()
        if not ready.wait(10):
            raise RuntimeError("the model server did not start")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._loop is not None
        assert self._thread is not None
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    def _run(self, ready: threading.Event) -> None:
        asyncio.run(self._serve(ready))

    async def _serve(self, ready: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        server = await asyncio.start_server(self._accepted, "127.0.0.1", 0, backlog=512)
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        await self._stop.wait()
        server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.ensure_future(self._connection(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._request(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client went away
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Serve one request; False when the connection is at its end."""
        head = await reader.readuntil(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        path = first.split()[1]
        headers = {
            name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
        }
        body = json.loads(await reader.readexactly(int(headers.get("content-length", "0"))) or b"{}")
        seen = seen_in(path, headers, body)
        reply = self._next(seen)
        status, content, tokens = status_and_body(reply, seen)
        with self._lock:
            self.journal.append(Served(seen, reply.kind, tokens))
        if reply.wait_s:
            await asyncio.sleep(reply.wait_s)
        if reply.reset:
            _reset(writer)
            return False
        return await _send(writer, reply, status, content)

    def _next(self, seen: Seen) -> Reply:
        with self._lock:
            for key in (seen.model, None):
                queue = self._scripts.get(key)
                if queue:
                    return queue.popleft()
        if self._answer is None:
            return ok()
        answer = self._answer(seen)
        return answer if isinstance(answer, Reply) else ok(answer)


def seen_in(path: str, headers: dict[str, str], body: dict[str, Any]) -> Seen:
    if path.endswith("/chat/completions"):
        texts = {message["role"]: message["content"] for message in body["messages"]}
        form = body.get("response_format") or {}
        schema = (form.get("json_schema") or {}).get("schema")
        return Seen(
            "openai", body["model"], texts.get("system", ""), texts.get("user", ""), schema, body, headers
        )
    if path.endswith("/messages"):
        system = body.get("system", "")
        system = system if isinstance(system, str) else "".join(block["text"] for block in system)
        schema = ((body.get("output_config") or {}).get("format") or {}).get("schema")
        user = "".join(message["content"] for message in body["messages"] if message["role"] == "user")
        return Seen("anthropic", body["model"], system, user, schema, body, headers)
    raise ConnectionError(f"no such path: {path}")


async def _send(writer: asyncio.StreamWriter, reply: Reply, status: int, content: bytes) -> bool:
    headers = {
        "content-type": reply.content_type,
        "content-length": str(len(content)),
        "x-request-id": "req_openai_1",
        "request-id": "req_anthropic_1",
        **reply.headers,
    }
    head = f"HTTP/1.1 {status} Told\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head += "\r\n"
    if reply.drip == "headers":
        await _drip(writer, head.encode() + content, reply.drip_s)
        return True
    if reply.drip == "body":
        writer.write(head.encode())
        await _drip(writer, content, reply.drip_s)
        return True
    writer.write(head.encode() + (content if reply.cut_after is None else content[: reply.cut_after]))
    await writer.drain()
    return reply.cut_after is None


async def _drip(writer: asyncio.StreamWriter, data: bytes, every_s: float) -> None:
    for position in range(len(data)):
        writer.write(data[position : position + 1])
        await writer.drain()
        await asyncio.sleep(every_s)


def _reset(writer: asyncio.StreamWriter) -> None:
    """End the connection by RST instead of FIN."""
    sock: socket.socket | None = writer.get_extra_info("socket")
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
