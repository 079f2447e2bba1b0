"""The total time of one conversation over a socket; a drip of single bytes does not outlive it.

Socket timeouts count from read to read. Here a timer shuts the connection down when its time is over,
so that whoever waits in a read or a write is woken at once.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from types import TracebackType
from typing import Any


class Deadline:
    """`with Deadline(20) as deadline:`, then `deadline.watch(socket)` for every connection made in it."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._ended = False
        self._ends = time.monotonic() + seconds
        self._lock = threading.Lock()
        self._watched: list[socket.socket] = []
        self._timer = threading.Timer(seconds, self._end)
        self._timer.daemon = True

    def __enter__(self) -> Deadline:
        self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        with self._lock:
            for watched in self._watched:
                watched.close()
            self._watched.clear()

    @property
    def passed(self) -> bool:
        """Whether the time is over; a socket's own timeout may notice it some milliseconds earlier."""
        return self._ended or time.monotonic() > self._ends - 0.05

    def left_s(self) -> float:
        """Seconds left, never below a hundredth: a socket timeout of 0 would mean "do not block"."""
        return max(0.01, self._ends - time.monotonic())

    def watch(self, connection: socket.socket) -> None:
        """Shut this connection down when the time is over.

        A duplicate is kept: wrapping a socket in TLS takes its descriptor away, the duplicate still
        names the same connection.
        """
        copy = connection.dup() if type(connection) is socket.socket else _duplicate(connection)
        with self._lock:
            self._watched.append(copy)
            ended = self._ended
        if ended:
            self._shut(copy)

    def trace(self, event: str, details: dict[str, Any]) -> None:
        """The `trace` extension of an httpx2 request: watches the connection that it makes."""
        if event.endswith("connect_tcp.complete"):
            connection = details["return_value"].get_extra_info("socket")
            if connection is not None:
                self.watch(connection)

    def _end(self) -> None:
        with self._lock:
            self._ended = True
            for watched in self._watched:
                self._shut(watched)

    @staticmethod
    def _shut(connection: socket.socket) -> None:
        with contextlib.suppress(OSError):  # it may be closed already
            connection.shutdown(socket.SHUT_RDWR)


def _duplicate(connection: socket.socket) -> socket.socket:
    """Of a TLS socket, whose own dup() is not there."""
    import os

    return socket.socket(
        connection.family, connection.type, connection.proto, fileno=os.dup(connection.fileno())
    )
