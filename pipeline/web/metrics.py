"""Prometheus metrics, counted in the database at the scrape, so that every process says the same.

Nothing is counted in memory: a worker has no port to be asked at, it may be killed, and there may be ten of
it. What all of them did stands in the database, and any one web process tells it. What happens often
(model calls, mails) is a gauge over the last minutes, as a counter would have to be kept somewhere.

What a scrape costs: the statements go by indexes over what is open, due or recent; what is counted over all that
there ever was is kept for a while (see `gauges.counted`). A scrape itself is kept for twenty times as long as it
took, at most a minute: however many ask, it is a twentieth of one core at most.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Iterator

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.registry import Collector

from pipeline.db.store import Store
from pipeline.web.gauges import Family, single
from pipeline.web.metrics_traffic import of_inboxes, of_mail, of_models, of_money
from pipeline.web.metrics_work import of_leases, of_reviews, of_steps, of_the_report, of_tickets

CONTENT_TYPE = CONTENT_TYPE_LATEST
PARTS = (of_tickets, of_steps, of_leases, of_reviews, of_models, of_money, of_mail, of_inboxes, of_the_report)

_KEPT_TIMES = 20
_KEPT_AT_MOST_S = 60.0


class _Kept:
    """The last scrape of a store. One thread counts; the others wait for what it finds."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.text = b""
        self.until = 0.0


_kept: weakref.WeakKeyDictionary[Store, _Kept] = weakref.WeakKeyDictionary()
_kept_lock = threading.Lock()


def scrape(store: Store) -> bytes:
    """All metrics as Prometheus reads them, at most a minute old."""
    with _kept_lock:
        kept = _kept.setdefault(store, _Kept())
    with kept.lock:
        begun = time.monotonic()
        if begun >= kept.until:
            registry = CollectorRegistry(auto_describe=False)
            registry.register(_FromDatabase(store))
            ProcessCollector(registry=registry)
            kept.text = generate_latest(registry)
            ended = time.monotonic()
            kept.until = ended + min(_KEPT_AT_MOST_S, _KEPT_TIMES * (ended - begun))
        return kept.text


class _FromDatabase(Collector):
    def __init__(self, store: Store) -> None:
        self.store = store

    def describe(self) -> Iterator[Family]:
        return iter(())

    def collect(self) -> Iterator[Family]:
        begun = time.monotonic()
        with self.store.read() as connection:
            for part in PARTS:
                yield from part(connection)
        yield single(
            "triage_scrape_seconds", "What counting all of this took.", round(time.monotonic() - begun, 4)
        )
