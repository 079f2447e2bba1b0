"""The charts of the report's pages: drawn when a browser asks for them, of the figures that the page showed."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from pipeline.reports.charts import Chart

KEPT = 32
KEPT_S = 120.0

Key = tuple[str, ...]


class Charts:
    """The charts of the pages that were shown last, so that a page counts its week once. Threads share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[Key, tuple[float, tuple[Chart, ...]]] = OrderedDict()

    def keep(self, key: Key, made: tuple[Chart, ...]) -> tuple[Chart, ...]:
        with self._lock:
            self._kept[key] = time.monotonic(), made
            self._kept.move_to_end(key)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return made

    def of(self, key: Key, count: Callable[[], tuple[Chart, ...]]) -> tuple[Chart, ...]:
        """Those that were kept there lately, else those that are counted now."""
        with self._lock:
            at, made = self._kept.get(key, (0.0, ()))
        if made and time.monotonic() - at < KEPT_S:
            return made
        return self.keep(key, count())
