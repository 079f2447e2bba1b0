"""Traces by setting: one per ticket, from the mail that opened it to the reply. Off, it costs an `if`.

Every process derives a ticket's trace id from the ticket's number and the installation's secret key, so all
of them join the same trace and nothing has to be passed along. Spans hold numbers, names of models and steps,
and outcomes; never a customer's words or address. The real part is `pipeline.tracing_otel`, loaded on demand.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Protocol

Value = str | int | float | bool | None
Attributes = Mapping[str, Value]
"""What a span says; keys with None are left out."""


class Span(Protocol):
    """A span under way."""

    def note(self, attributes: Attributes) -> None:
        """Say more of it, before it ends."""


class Tracer(Protocol):
    """Where spans go; see the functions of this module, which are the same."""

    def span(self, name: str, ticket_id: int, attributes: Attributes) -> AbstractContextManager[Span]: ...
    def record(
        self, name: str, ticket_id: int, lasted_s: float, attributes: Attributes, *, opens: bool, failed: bool
    ) -> None: ...
    def flush(self) -> None: ...
    def close(self) -> None: ...


class _Off:
    def __enter__(self) -> _Off:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def note(self, attributes: Attributes) -> None:
        pass


_OFF = _Off()
_tracer: Tracer | None = None


def configure(endpoint: str, *, key: str, version: str) -> None:
    """Send spans of this process to an OTLP/HTTP collector like http://127.0.0.1:4318 from now on.

    `key` is the installation's secret key: the trace ids are derived from it, and do not tell it. Headers,
    sampler, time limits and resource attributes are OpenTelemetry's own variables (OTEL_…).
    """
    global _tracer
    if _tracer is None:
        from pipeline.tracing_otel import OtlpTracer

        _tracer = OtlpTracer(endpoint, key, version)


def span(name: str, ticket_id: int, attributes: Attributes) -> AbstractContextManager[Span]:
    """A span around what is done for a ticket now; an exception that leaves it is noted by its type only."""
    return _OFF if _tracer is None else _tracer.span(name, ticket_id, attributes)


def record(
    name: str,
    ticket_id: int | None,
    lasted_s: float,
    attributes: Attributes,
    *,
    opens: bool = False,
    failed: bool = False,
) -> None:
    """A span that ends now and began `lasted_s` ago. `opens`: the ticket began with it, all others hang on it."""
    if _tracer is not None and ticket_id is not None:
        _tracer.record(name, ticket_id, lasted_s, attributes, opens=opens, failed=failed)


def flush() -> None:
    """Send what waits to be sent."""
    if _tracer is not None:
        _tracer.flush()


def switch_off() -> None:
    """Send what waits to be sent, and no more from now on."""
    global _tracer
    if _tracer is not None:
        _tracer.close()
        _tracer = None
