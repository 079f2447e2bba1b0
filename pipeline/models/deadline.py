"""A total deadline for a whole HTTP call, which a server that drips one byte a second cannot outlast.

The SDKs' timeouts count per read. Here the network itself is wrapped: every look-up, connect, read and
write may take at most what is left of the call's deadline, so headers and bodies are bounded alike. The
size of an answer is bounded too. Imported by the providers at their first call only: it is httpx2 heavy.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import ssl
import threading
import time
import urllib.request
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from typing import Any

import httpcore2
import httpx2

from pipeline.models.providers.clients import MAX_ANSWER_BYTES

MAX_CONNECTIONS = 256
KEEP_ALIVE_S = 120.0
_WRITE_BYTES = 64 * 1024

_ends_at: ContextVar[float | None] = ContextVar("triage_call_ends_at", default=None)


class AnswerTooLarge(httpx2.TransportError):
    """The body is over `MAX_ANSWER_BYTES`, or packed in a way that hides its size."""


@contextlib.contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Bound every network step of this thread inside the block: together they take at most `seconds`."""
    token = _ends_at.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _ends_at.reset(token)


def left_s(otherwise: float | None = None) -> float | None:
    """What is left of the call's deadline in seconds, at most `otherwise`; `otherwise` if there is none."""
    ends_at = _ends_at.get()
    if ends_at is None:
        return otherwise
    left = ends_at - time.monotonic()
    return left if otherwise is None else min(left, otherwise)


def client(base_url: str, *, max_answer_bytes: int = MAX_ANSWER_BYTES) -> httpx2.Client:
    """An HTTP client for one provider: the deadline, the size bound, room for 200 threads, no redirects.

    A proxy named by HTTPS_PROXY, HTTP_PROXY and NO_PROXY is used as usual. Thread-safe; one per process.
    """
    return httpx2.Client(
        transport=DeadlineTransport(base_url, max_answer_bytes=max_answer_bytes),
        headers={"Accept-Encoding": "identity"},  # so that the size on the wire is the size
        follow_redirects=False,
        trust_env=False,
    )


class DeadlineTransport(httpx2.BaseTransport):
    """httpcore2's connection pool over a network that knows the deadline."""

    def __init__(self, base_url: str, *, max_answer_bytes: int = MAX_ANSWER_BYTES) -> None:
        self._max_answer_bytes = max_answer_bytes
        self._pool = httpcore2.ConnectionPool(
            ssl_context=httpx2.create_ssl_context() if base_url.startswith("https") else None,
            proxy=_proxy(base_url),
            max_connections=MAX_CONNECTIONS,
            max_keepalive_connections=MAX_CONNECTIONS,
            keepalive_expiry=KEEP_ALIVE_S,
            network_backend=_Network(),
            socket_options=[(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)],
        )

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send one request. Raises httpx2's errors, a timeout of which means that the deadline passed."""
        assert isinstance(request.stream, httpx2.SyncByteStream)
        seconds = left_s(request.extensions.get("timeout", {}).get("read"))
        timeouts = dict.fromkeys(("connect", "read", "write", "pool"), seconds)
        with _httpx_errors():
            answer = self._pool.handle_request(
                httpcore2.Request(
                    method=request.method,
                    url=httpcore2.URL(
                        scheme=request.url.raw_scheme,
                        host=request.url.raw_host,
                        port=request.url.port,
                        target=request.url.raw_path,
                    ),
                    headers=request.headers.raw,
                    content=request.stream,
                    extensions={**request.extensions, "timeout": timeouts},
                )
            )
        assert isinstance(answer.stream, Iterable)
        response = httpx2.Response(
            status_code=answer.status,
            headers=answer.headers,
            stream=_Body(answer.stream, self._max_answer_bytes),
            extensions=answer.extensions,
        )
        packing = response.headers.get("content-encoding", "identity").strip().lower()
        if packing not in ("identity", ""):
            response.close()
            raise AnswerTooLarge(f"the answer came packed as {packing[:20]} although that was not asked for")
        return response

    def close(self) -> None:
        self._pool.close()


class _Body(httpx2.SyncByteStream):
    def __init__(self, stream: Iterable[bytes], limit: int) -> None:
        self._stream = stream
        self._limit = limit

    def __iter__(self) -> Iterator[bytes]:
        size = 0
        with _httpx_errors():
            for part in self._stream:
                size += len(part)
                if size > self._limit:
                    raise AnswerTooLarge(f"the answer is larger than {self._limit} bytes")
                yield part

    def close(self) -> None:
        close = getattr(self._stream, "close", None)
        if close is not None:
            close()


class _Network(httpcore2.NetworkBackend):
    """The real network, each step capped by what is left."""

    def __init__(self) -> None:
        self._real = httpcore2.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        failure: Exception = httpcore2.ConnectError(f"{host} has no address")
        for address in _addresses(host, port, _capped(timeout, httpcore2.ConnectTimeout)):
            try:
                return _Stream(
                    self._real.connect_tcp(
                        address,
                        port,
                        timeout=_capped(timeout, httpcore2.ConnectTimeout),
                        local_address=local_address,
                        socket_options=socket_options,
                    )
                )
            except httpcore2.ConnectError as error:
                failure = error
        raise failure

    def sleep(self, seconds: float) -> None:
        time.sleep(max(0.0, left_s(seconds) or 0.0))


class _Stream(httpcore2.NetworkStream):
    def __init__(self, real: httpcore2.NetworkStream) -> None:
        self._real = real

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._real.read(max_bytes, timeout=_capped(timeout, httpcore2.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        # in pieces, because a peer that reads slowly would renew the timeout with each part it takes
        for start in range(0, len(buffer), _WRITE_BYTES):
            piece = buffer[start : start + _WRITE_BYTES]
            self._real.write(piece, timeout=_capped(timeout, httpcore2.WriteTimeout))

    def close(self) -> None:
        self._real.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore2.NetworkStream:
        seconds = _capped(timeout, httpcore2.ConnectTimeout)
        return _Stream(self._real.start_tls(ssl_context, server_hostname, timeout=seconds))

    def get_extra_info(self, info: str) -> Any:
        return self._real.get_extra_info(info)


def _capped(timeout: float | None, error: type[Exception]) -> float | None:
    seconds = left_s(timeout)
    if seconds is not None and seconds <= 0:
        raise error("the call's total deadline passed")
    return seconds


def _addresses(host: str, port: int, seconds: float | None) -> list[str]:
    """The host's addresses. The system's look-up knows no timeout, so it runs beside us and may be left."""
    with contextlib.suppress(ValueError):
        return [str(ipaddress.ip_address(host))]
    found: list[str] = []
    failed: list[OSError] = []

    def look_up() -> None:
        try:
            for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
                address = str(info[4][0])
                if address not in found:
                    found.append(address)
        except OSError as error:
            failed.append(error)

    thread = threading.Thread(target=look_up, name=f"look-up of {host}", daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise httpcore2.ConnectTimeout(f"the look-up of {host} took longer than the call's deadline")
    if failed:
        raise httpcore2.ConnectError(f"{host}: {failed[0].strerror or failed[0]}") from failed[0]
    return found


def _proxy(base_url: str) -> httpcore2.Proxy | None:
    url = httpx2.URL(base_url)
    if urllib.request.proxy_bypass(url.host):
        return None
    named = urllib.request.getproxies().get(url.scheme)
    if not named:
        return None
    proxy = httpx2.URL(named if "://" in named else f"http://{named}")
    auth = (proxy.username, proxy.password) if proxy.username else None
    return httpcore2.Proxy(url=str(proxy.copy_with(username=None, password=None)), auth=auth)


_HTTPX_ERRORS: tuple[tuple[type[Exception], type[httpx2.TransportError]], ...] = (
    (httpcore2.ConnectTimeout, httpx2.ConnectTimeout),
    (httpcore2.ReadTimeout, httpx2.ReadTimeout),
    (httpcore2.WriteTimeout, httpx2.WriteTimeout),
    (httpcore2.PoolTimeout, httpx2.PoolTimeout),
    (httpcore2.ConnectError, httpx2.ConnectError),
    (httpcore2.ReadError, httpx2.ReadError),
    (httpcore2.WriteError, httpx2.WriteError),
    (httpcore2.ProxyError, httpx2.ProxyError),
    (httpcore2.LocalProtocolError, httpx2.LocalProtocolError),
    (httpcore2.RemoteProtocolError, httpx2.RemoteProtocolError),
    (httpcore2.UnsupportedProtocol, httpx2.UnsupportedProtocol),
)


@contextlib.contextmanager
def _httpx_errors() -> Iterator[None]:
    """The pool's errors under the names that the SDKs know."""
    try:
        yield
    except Exception as error:
        for ours, theirs in _HTTPX_ERRORS:
            if isinstance(error, ours):
                raise theirs(str(error)) from error
        raise
