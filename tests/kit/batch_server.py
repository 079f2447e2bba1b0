"""A loopback server that speaks both providers' batch APIs, each answer made as the live model server's.

    with BatchServer(answer) as server:
        OpenAIProvider("key", server.openai_url)

`answer` gets each request and returns a `Reply`, a text, a value for JSON, or `EXPIRED`. A batch has ended
at the `looks`-th look at it; the first `refusals` batches are not taken (503).
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from email.parser import BytesParser
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

from tests.kit.model_replies import Reply, Seen, ok, status_and_body
from tests.kit.model_server import Served, seen_in

EXPIRED = Reply("expired")


@dataclass
class _Batch:
    id: str
    provider: str
    rows: list[dict[str, Any]]
    looks: int = 0
    cancelled: bool = False
    results: list[bytes] = field(default_factory=list)


class BatchServer:
    """`batches` counts what was submitted; `journal` holds every request inside them."""

    def __init__(
        self, answer: Callable[[Seen], Any] | None = None, *, looks: int = 2, refusals: int = 0
    ) -> None:
        self._answer = answer or (lambda seen: None)
        self._looks = looks
        self.refusals = refusals
        self._lock = threading.Lock()
        self._files: dict[str, bytes] = {}
        self.batches: dict[str, _Batch] = {}
        self.journal: list[Served] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())

    @property
    def anthropic_url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def openai_url(self) -> str:
        return f"{self.anthropic_url}/v1"

    def __enter__(self) -> BatchServer:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._reply(outer._get(self.path))

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", "0")))
                if outer.refusals and self.path.endswith("/batches"):
                    outer.refusals -= 1
                    self._reply({"error": {"type": "overloaded_error", "message": "Not now."}}, 503)
                    return
                self._reply(outer._post(self.path, dict(self.headers), body))

            def _reply(self, content: bytes | dict[str, Any], status: int = 200) -> None:
                data = content if isinstance(content, bytes) else json.dumps(content).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: Any) -> None:
                pass

        return Handler

    def _post(self, path: str, headers: dict[str, str], body: bytes) -> bytes | dict[str, Any]:
        with self._lock:
            if path == "/v1/files":
                kind = {name.lower(): value for name, value in headers.items()}["content-type"]
                form = BytesParser(policy=HTTP).parsebytes(
                    b"Content-Type: " + kind.encode() + b"\r\n\r\n" + body
                )
                (content,) = (
                    part.get_payload(decode=True)
                    for part in form.iter_parts()
                    if part.get_filename() == "requests.jsonl"
                )
                file_id = f"file-{len(self._files) + 1}"
                self._files[file_id] = content
                return {"id": file_id, "object": "file", "purpose": "batch", "filename": "requests.jsonl"}
            if path == "/v1/batches":
                asked = json.loads(body)
                rows = [json.loads(line) for line in self._files[asked["input_file_id"]].splitlines()]
                return self._openai(self._made("openai", rows))
            if path == "/v1/messages/batches":
                return self._anthropic(self._made("anthropic", json.loads(body)["requests"]))
            batch = self.batches[path.split("/")[-2]]
            assert path.endswith("/cancel")
            batch.cancelled = True
            return self._openai(batch) if batch.provider == "openai" else self._anthropic(batch)

    def _get(self, path: str) -> bytes | dict[str, Any]:
        with self._lock:
            if path.endswith("/content"):
                return self._files[path.split("/")[-2]]
            if path.endswith("/results"):
                return b"\n".join(self.batches[path.split("/")[-2]].results)
            batch = self.batches[path.split("/")[-1]]
            batch.looks += 1
            return self._openai(batch) if batch.provider == "openai" else self._anthropic(batch)

    def _made(self, provider: str, rows: list[dict[str, Any]]) -> _Batch:
        batch = _Batch(f"batch_{len(self.batches) + 1}", provider, rows)
        batch.results = [self._result(provider, row) for row in reversed(rows)]  # no order is promised
        self.batches[batch.id] = batch
        return batch

    def _result(self, provider: str, row: dict[str, Any]) -> bytes:
        path = "/chat/completions" if provider == "openai" else "/messages"
        seen = seen_in(path, {}, row["body"] if provider == "openai" else row["params"])
        answer = self._answer(seen)
        reply = answer if isinstance(answer, Reply) else ok(answer)
        status, content, tokens = status_and_body(reply, seen)
        self.journal.append(Served(seen, reply.kind, None if reply is EXPIRED else tokens))
        body = json.loads(content)
        found: dict[str, Any]
        if provider == "openai":
            found = {"id": "r", "custom_id": row["custom_id"], "error": None}
            found["response"] = {"status_code": status, "request_id": "req_batch_1", "body": body}
            if reply is EXPIRED:
                found.update(response=None, error={"code": "batch_expired", "message": "too late"})
        elif reply is EXPIRED:
            found = {"custom_id": row["custom_id"], "result": {"type": "expired"}}
        elif status == 200:
            found = {"custom_id": row["custom_id"], "result": {"type": "succeeded", "message": body}}
        else:
            found = {"custom_id": row["custom_id"], "result": {"type": "errored", "error": body}}
        return json.dumps(found).encode()

    def _openai(self, batch: _Batch) -> dict[str, Any]:
        ended = batch.looks >= self._looks
        status = "cancelled" if batch.cancelled else "completed" if ended else "in_progress"
        self._files[f"file-of-{batch.id}"] = b"\n".join(batch.results)
        return {
            "id": batch.id,
            "object": "batch",
            "endpoint": "/v1/chat/completions",
            "input_file_id": "file-1",
            "completion_window": "24h",
            "created_at": 1790000000,
            "status": status,
            "output_file_id": f"file-of-{batch.id}" if status == "completed" else None,
        }

    def _anthropic(self, batch: _Batch) -> dict[str, Any]:
        ended = batch.looks >= self._looks or batch.cancelled
        return {
            "id": batch.id,
            "type": "message_batch",
            "processing_status": "ended" if ended else "in_progress",
            "request_counts": dict.fromkeys(("processing", "succeeded", "errored", "canceled", "expired"), 0),
            "created_at": "2026-11-23T00:00:00Z",
            "expires_at": "2026-11-24T00:00:00Z",
            "results_url": f"{self.anthropic_url}/v1/messages/batches/{batch.id}/results" if ended else None,
        }
