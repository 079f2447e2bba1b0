"""An SDK's client, one per process: a fork makes its own, since sockets must not be shared."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

MAX_ANSWER_BYTES = 4 * 1024 * 1024
"""The largest body that one answer may have."""

MAX_BULK_BYTES = 512 * 1024 * 1024
"""The same for the answers of a whole batch."""


class _Closable(Protocol):
    def close(self) -> None: ...


T = TypeVar("T", bound=_Closable)


class PerProcess(Generic[T]):
    """Makes the client at its first use in a process and keeps it. Thread-safe."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._kept: tuple[int, T] | None = None

    def get(self) -> T:
        kept = self._kept
        if kept is not None and kept[0] == os.getpid():
            return kept[1]
        with self._lock:
            if self._kept is None or self._kept[0] != os.getpid():
                self._kept = (os.getpid(), self._make())
            return self._kept[1]

    def close(self) -> None:
        """Give the connections back."""
        with self._lock:
            if self._kept is not None:
                self._kept[1].close()
                self._kept = None
