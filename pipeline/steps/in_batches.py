"""Tickets of older mail, worked off through the providers' batch APIs: half the price, within a day."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

from pipeline.assembly import Parts
from pipeline.db.store import Store
from pipeline.db.tables import tickets
from pipeline.db.types import now
from pipeline.lifecycle import Status
from pipeline.steps import Advanced, advance

AT_ONCE = 2000
"""Tickets under way at once: each waits in a thread of its own, and together they make a batch."""

HELD_FOR = timedelta(hours=27)
"""How long a held ticket is kept from the live workers; after it they take it, whatever became of us."""

_ASKS_MODELS = (Status.RECEIVED.value, Status.ROUTINE.value, Status.ESCALATED.value)


class Held:
    """Tickets that a backfill opened and that no live worker is to take. Thread-safe."""

    def __init__(self, store: Store, begun: datetime) -> None:
        self._store = store
        self._begun = begun
        self._lock = threading.Lock()
        self.ids: dict[int, None] = {}

    def hold(self, ticket_id: int) -> None:
        """Keep a ticket from the live workers, if it is new: one that was there before stays live."""
        with self._store.write() as connection:
            held = connection.execute(
                tickets.update()
                .where(
                    tickets.c.id == ticket_id,
                    tickets.c.created_at >= self._begun,
                    tickets.c.status == Status.RECEIVED.value,
                    tickets.c.lease_until.is_(None),
                )
                .values(due_at=now() + HELD_FOR)
            ).rowcount
        if held:
            with self._lock:
                self.ids[ticket_id] = None


def work_in_batches(
    parts: Parts, ticket_ids: Collection[int], on_step: Callable[[Advanced], None] | None = None
) -> dict[str, int]:
    """Read and draft the held tickets; returns how often each step was done.

    A KeyboardInterrupt cancels the batches under way. What is left then is due for the live workers when
    its holding time is over, or for the next `triage run --until-idle` after that.
    """
    batched = parts.batched()
    done: dict[str, int] = {}
    lock = threading.Lock()

    def work(ticket_id: int) -> None:
        while _let_go(parts.store, ticket_id):
            outcome = advance(batched, ticket_id)
            if outcome is None or not outcome.done:
                return  # another worker has it, or it failed and is due later
            with lock:
                done[outcome.step] = done.get(outcome.step, 0) + 1
                if on_step:
                    on_step(outcome)

    with ThreadPoolExecutor(min(AT_ONCE, max(1, len(ticket_ids))), thread_name_prefix="batched") as pool:
        waiting = [pool.submit(work, ticket_id) for ticket_id in ticket_ids]
        try:
            for one in waiting:
                one.result()
        except BaseException:
            batched.close_batches()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return done


def _let_go(store: Store, ticket_id: int) -> bool:
    """Make the ticket due now, if models have work on it; False where nothing is left for them."""
    with store.write() as connection:
        return bool(
            connection.execute(
                tickets.update()
                .where(
                    tickets.c.id == ticket_id,
                    tickets.c.status.in_(_ASKS_MODELS),
                    tickets.c.lease_until.is_(None),
                )
                .values(due_at=now())
            ).rowcount
        )
