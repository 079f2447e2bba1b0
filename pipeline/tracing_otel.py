"""Spans to an OTLP/HTTP collector by OpenTelemetry's SDK; see `pipeline.tracing`, which loads it on demand."""

from __future__ import annotations

import atexit
import hashlib
import hmac
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from opentelemetry import context, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import IdGenerator, RandomIdGenerator

from pipeline.tracing import Attributes

_PATH = "/v1/traces"
_LONGEST_VALUE = 200
_LAST_SEND_S = 3.0
"""How long the end of a process may wait for a collector; what is not sent by then is dropped."""
_NS = 1_000_000_000


class _Ids(IdGenerator):
    """Random ids, but for the span that opens a ticket: its ids are known before it is."""

    def __init__(self) -> None:
        self._random = RandomIdGenerator()
        self.fixed = threading.local()

    def generate_trace_id(self) -> int:
        root: trace.SpanContext | None = getattr(self.fixed, "root", None)
        return self._random.generate_trace_id() if root is None else root.trace_id

    def generate_span_id(self) -> int:
        root: trace.SpanContext | None = getattr(self.fixed, "root", None)
        return self._random.generate_span_id() if root is None else root.span_id


@dataclass(frozen=True)
class _UnderWay:
    span: trace.Span

    def note(self, attributes: Attributes) -> None:
        self.span.set_attributes(_said(attributes))


class OtlpTracer:
    """One per process. Spans are sent in the background, in batches; a collector that is away holds up nobody."""

    def __init__(self, endpoint: str, key: str, version: str) -> None:
        self._key = key.encode()
        self._ids = _Ids()
        named = {} if os.environ.get("OTEL_SERVICE_NAME") else {"service.name": "triage"}
        self._provider = TracerProvider(
            id_generator=self._ids,
            resource=Resource.create({**named, "service.version": version}),
            shutdown_on_exit=False,  # it would wait for a collector that is away for half a minute
        )
        base = endpoint.rstrip("/")
        self._exporter = OTLPSpanExporter(endpoint=base if base.endswith(_PATH) else base + _PATH)
        self._provider.add_span_processor(BatchSpanProcessor(self._exporter))
        self._tracer = self._provider.get_tracer("triage", version)
        self._ending, self._ended = threading.Event(), threading.Event()
        # begun now: at the end of a process no thread can be begun any more
        threading.Thread(target=self._give_up, name="traces", daemon=True).start()
        atexit.register(self.close)

    @contextmanager
    def span(self, name: str, ticket_id: int, attributes: Attributes) -> Iterator[_UnderWay]:
        with self._tracer.start_as_current_span(
            name,
            self._parent(ticket_id),
            attributes=_said({"triage.ticket": ticket_id, **attributes}),
            record_exception=False,  # its text may quote a customer
            set_status_on_exception=False,
        ) as span:
            try:
                yield _UnderWay(span)
            except BaseException as error:
                span.set_attribute("error.type", type(error).__name__)
                span.set_status(trace.StatusCode.ERROR)
                raise

    def record(
        self, name: str, ticket_id: int, lasted_s: float, attributes: Attributes, *, opens: bool, failed: bool
    ) -> None:
        ended = time.time_ns()
        if opens:
            self._ids.fixed.root = self._root(ticket_id)
        try:
            span = self._tracer.start_span(
                name,
                context.Context() if opens else self._parent(ticket_id),
                attributes=_said({"triage.ticket": ticket_id, **attributes}),
                start_time=ended - int(max(0.0, lasted_s) * _NS),
            )
        finally:
            self._ids.fixed.root = None
        if failed:
            span.set_status(trace.StatusCode.ERROR)
        span.end(ended)

    def flush(self) -> None:
        self._provider.force_flush(5_000)

    def close(self) -> None:
        if self._ending.is_set():
            return
        self._ending.set()
        self._provider.shutdown()
        self._ended.set()
        atexit.unregister(self.close)

    def _give_up(self) -> None:
        """End the tries to reach a collector that is away, a while after the end began."""
        self._ending.wait()
        if not self._ended.wait(_LAST_SEND_S):
            self._exporter.shutdown()  # type: ignore[no-untyped-call]  # of the SDK

    def _root(self, ticket_id: int) -> trace.SpanContext:
        digest = hmac.digest(self._key, f"trace of ticket {ticket_id}".encode(), hashlib.sha256)
        return trace.SpanContext(
            trace_id=int.from_bytes(digest[:16], "big") or 1,
            span_id=int.from_bytes(digest[16:24], "big") or 1,
            is_remote=True,
            trace_flags=trace.TraceFlags(trace.TraceFlags.SAMPLED),
        )

    def _parent(self, ticket_id: int) -> context.Context:
        """What this thread does for the ticket already, else the span that opened the ticket."""
        root = self._root(ticket_id)
        if trace.get_current_span().get_span_context().trace_id == root.trace_id:
            return context.get_current()
        return trace.set_span_in_context(trace.NonRecordingSpan(root), context.Context())


def _said(attributes: Attributes) -> dict[str, str | int | float | bool]:
    return {
        key: value[:_LONGEST_VALUE] if isinstance(value, str) else value
        for key, value in attributes.items()
        if value is not None
    }
