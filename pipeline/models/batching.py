"""Many calls as one batch, at the batch price: for backfills and evaluations, never for live tickets.

`BatchingProvider` stands where a provider stands. Callers wait, each in a thread of its own, while their
requests are gathered, sent as one batch and answered hours later: so the gateway's order, its reservations,
its ledger rows and its checks are the same ones, and so are the steps above it.
"""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Protocol

import structlog

from pipeline.errors import ModelError, ModelTimeout, ModelTransient, ModelUndecodable, Usage
from pipeline.models.base import ModelAnswer, ModelRequest

GATHER_S = 3.0
"""A batch is sent when no further request has come for this long."""

MOST_REQUESTS = 10_000
MOST_BYTES = 100 * 1024 * 1024
"""Below both providers' bounds (50,000 and 200 MB; 100,000 and 256 MB)."""

LONGEST_S = 25 * 3600.0
"""Providers give a batch up after 24 hours; an hour more for its results."""

POLL_S = (5.0, 60.0)
"""The first and the longest pause between two looks at a batch, or two tries to hand it over."""

SUBMITS = 6
"""How often a batch is handed over at most."""

log = structlog.get_logger("pipeline.models")


class BatchesClosed(BaseException):
    """The work is ended. Like KeyboardInterrupt it passes by whoever would try again or ask another model."""


class BatchApi(Protocol):
    """One provider's batches. Raises `ModelError` subclasses and nothing else."""

    name: str

    def submit(self, requests: Sequence[tuple[str, ModelRequest]]) -> str:
        """Hand over (our id, request) pairs as one batch; returns the provider's id of it."""

    def ended(self, batch_id: str) -> bool:
        """Whether nothing more will come: done, expired, cancelled or failed."""

    def results(
        self, batch_id: str, requests: Sequence[tuple[str, ModelRequest]]
    ) -> Iterator[tuple[str, ModelAnswer | ModelError]]:
        """Each answer, or what went wrong with it, by our id; in no order, and some may be missing."""

    def cancel(self, batch_id: str) -> None:
        """Ask for its end; what is answered already is still paid."""


@dataclass
class _Waiting:
    id: str
    request: ModelRequest
    future: Future[ModelAnswer] = field(default_factory=Future)

    @property
    def size(self) -> int:
        return len(self.request.system) + len(self.request.user)


class BatchingProvider:
    """A provider whose calls travel in batches. Thread-safe; `complete` blocks until the batch has ended.

    `deadline_s` of a call is not used: a batch may take a day. `close` cancels what is under way.
    """

    def __init__(
        self,
        api: BatchApi,
        *,
        gather_s: float = GATHER_S,
        poll_s: tuple[float, float] = POLL_S,
        most_requests: int = MOST_REQUESTS,
        longest_s: float = LONGEST_S,
    ) -> None:
        self.name = api.name
        self._api = api
        self._gather_s = gather_s
        self._poll_s = poll_s
        self._most_requests = most_requests
        self._longest_s = longest_s
        self._lock = threading.Lock()
        self._waiting: list[_Waiting] = []
        self._number = 0
        self._last_came = 0.0
        self._gathering = False
        self._under_way: set[str] = set()
        self._closed = threading.Event()

    def complete(self, request: ModelRequest, *, deadline_s: float) -> ModelAnswer:
        """One answer out of a batch. Raises `ModelError` subclasses only."""
        with self._lock:
            if self._closed.is_set():
                raise BatchesClosed
            self._number += 1
            # what a provider may refuse is left out: a line of a batch cannot be mended half-way
            mine = _Waiting(f"call-{self._number}", replace(request, label=None))
            self._waiting.append(mine)
            self._last_came = time.monotonic()
            starts = not self._gathering
            self._gathering = True
        if starts:
            threading.Thread(target=self._gather, name=f"{self.name} batches", daemon=True).start()
        return mine.future.result()

    def close(self) -> None:
        """Cancel the batches under way, best effort; whoever waits gets `BatchesClosed`."""
        self._closed.set()
        with self._lock:
            under_way = list(self._under_way)
        for batch_id in under_way:
            with contextlib.suppress(ModelError):
                self._api.cancel(batch_id)

    def _gather(self) -> None:
        """Wait until no more requests come, take what is there, and see it through."""
        while True:
            with self._lock:
                quiet_s = time.monotonic() - self._last_came
                if quiet_s >= self._gather_s or self._closed.is_set() or self._full():
                    batch = self._take()
                    self._gathering = bool(self._waiting)
                    again = self._gathering
                    break
            time.sleep(max(0.01, self._gather_s - quiet_s))
        if again:
            threading.Thread(target=self._gather, name=f"{self.name} batches", daemon=True).start()
        try:
            if self._closed.is_set():
                raise BatchesClosed
            self._see_through(batch)
        except (ModelError, BatchesClosed) as error:
            _fail(batch, error)
        except BaseException as error:
            _fail(batch, ModelUndecodable(f"{self.name}: the batch ended in {type(error).__name__}"))
            raise

    def _full(self) -> bool:
        return (
            len(self._waiting) >= self._most_requests
            or sum(one.size for one in self._waiting) * 2 >= MOST_BYTES
        )

    def _take(self) -> list[_Waiting]:
        """As many as one batch may hold, all for one model: Anthropic and OpenAI both want it so or allow it."""
        model = self._waiting[0].request.model
        batch: list[_Waiting] = []
        kept: list[_Waiting] = []
        size = 0
        for one in self._waiting:
            fits = len(batch) < self._most_requests and size + one.size <= MOST_BYTES / 2
            if one.request.model == model and (fits or not batch):
                batch.append(one)
                size += one.size
            else:
                kept.append(one)
        self._waiting = kept
        return batch

    def _see_through(self, batch: Sequence[_Waiting]) -> None:
        requests = [(one.id, one.request) for one in batch]
        batch_id = self._submitted(requests)
        with self._lock:
            self._under_way.add(batch_id)
        log.info("batch_submitted", provider=self.name, batch=batch_id, calls=len(batch))
        try:
            self._wait(batch_id)
            by_id = {one.id: one for one in batch}
            for id, result in self._api.results(batch_id, requests):
                one = by_id.pop(id, None)
                if one is None:
                    continue
                if isinstance(result, ModelError):
                    one.future.set_exception(result)
                else:
                    one.future.set_result(result)
        finally:
            with self._lock:
                self._under_way.discard(batch_id)
        missing = [one for one in batch if not one.future.done()]
        log.info("batch_ended", provider=self.name, batch=batch_id, calls=len(batch), missing=len(missing))
        _fail(missing, ModelTimeout(f"{self.name}: the batch ended without this answer", usage=Usage()))

    def _submitted(self, requests: Sequence[tuple[str, ModelRequest]]) -> str:
        """The batch's id. A refusal that certainly did nothing is tried again: many callers hang on it.

        After one whose end nobody knows the batch may be there already, and would be paid twice.
        """
        pause_s, longest_pause_s = self._poll_s
        for attempt in range(1, SUBMITS + 1):
            try:
                return self._api.submit(requests)
            except ModelTransient as error:
                if error.usage is None or attempt == SUBMITS:
                    raise
                log.warning("batch_not_taken", provider=self.name, kind=error.kind, attempt=attempt)
            if self._closed.wait(pause_s):
                break
            pause_s = min(longest_pause_s, pause_s * 2)
        raise BatchesClosed

    def _wait(self, batch_id: str) -> None:
        pause_s, longest_pause_s = self._poll_s
        ends_at = time.monotonic() + self._longest_s
        while not self._ended(batch_id):
            if self._closed.is_set() or time.monotonic() > ends_at:
                with contextlib.suppress(ModelError):
                    self._api.cancel(batch_id)
                if self._closed.is_set():
                    raise BatchesClosed
                raise ModelTimeout(f"{self.name}: the batch was not done in time")
            self._closed.wait(pause_s * (0.8 + 0.4 * random.random()))
            pause_s = min(longest_pause_s, pause_s * 1.5)

    def _ended(self, batch_id: str) -> bool:
        """A look at the batch; one that fails is a look in vain, since the batch goes on without us."""
        try:
            return self._api.ended(batch_id)
        except ModelError as error:
            log.warning("batch_not_seen", provider=self.name, batch=batch_id, kind=error.kind)
            return False


def _fail(batch: Sequence[_Waiting], error: BaseException) -> None:
    for one in batch:
        if not one.future.done():
            one.future.set_exception(error)
