"""The money of an evaluation: one cap over all its calls, reserved at the worst price and kept on disk.

A reservation is on disk before its call is made, and the settlement after it. What was reserved and never
settled (a killed process) counts at its worst price, in every later session of the run.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, TypeVar

from pipeline.errors import BudgetExceeded
from pipeline.evaluation.runs import RunFolder
from pipeline.models.base import Provider
from pipeline.models.gateway import Answered, Gateway, Plan
from pipeline.models.ledger import Context, Entry, Outcome, ScratchLedger
from pipeline.models.prices import Prices
from pipeline.models.prompts import Rendered

CAP = "evaluation"

T = TypeVar("T")


@dataclass(frozen=True)
class Limit:
    """A cap in US dollars, and its words: `the cap of $2 (--cap)`."""

    usd: Decimal
    words: str


class Purse:
    """What may still be spent. Threads share it; a call waits while others hold what it needs."""

    def __init__(self, limit: Limit | None, spent_usd: Decimal = Decimal(0), *, beside: Purse | None = None):
        self.limit = limit
        self.refused: str | None = None
        """The words of the cap that last refused a call."""
        self._spent = spent_usd
        self._reserved = Decimal(0)
        self._beside = beside
        self._changed: threading.Condition = beside._changed if beside else threading.Condition()

    @property
    def spent_usd(self) -> Decimal:
        return self._spent

    def reserve(self, usd: Decimal) -> None:
        """Raises `BudgetExceeded` where it would not fit even once all calls under way have been settled."""
        purses = [self, *([self._beside] if self._beside else [])]
        with self._changed:
            while full := next((purse for purse in purses if not purse._room(usd)), None):
                if not full._reserved:
                    assert full.limit is not None
                    self.refused = full.limit.words
                    raise BudgetExceeded(f"{full.limit.words} is reached", scope=CAP)
                self._changed.wait()
            for purse in purses:
                purse._reserved += usd

    def settle(self, reserved: Decimal, spent: Decimal) -> None:
        with self._changed:
            for purse in [self, *([self._beside] if self._beside else [])]:
                purse._reserved -= reserved
                purse._spent += spent
            self._changed.notify_all()

    def _room(self, usd: Decimal) -> bool:
        return self.limit is None or self._spent + self._reserved + usd <= self.limit.usd


@dataclass
class Tally:
    """What one case has come to so far: its cost, and the first raw text that came."""

    case: str
    cost_usd: Decimal = Decimal(0)
    first: str | None = None


class Booking(ScratchLedger):
    """The ledger of one model on the cases of one run. Calls are made inside `case`, in its thread."""

    def __init__(self, purse: Purse, folder: RunFolder, model: str) -> None:
        super().__init__()
        self._purse = purse
        self._folder = folder
        self._model = model
        self._here = threading.local()
        self._open: dict[int, tuple[str, Decimal]] = {}

    @contextmanager
    def case(self, case: str) -> Iterator[Tally]:
        self._here.tally = Tally(case)
        yield self._here.tally

    def hear(self, text: str) -> None:
        """Keep the case's first raw answer, so that it can be marked before it was repaired."""
        if self._here.tally.first is None:
            self._here.tally.first = text

    def open(self, entry: Entry) -> int:
        entry = replace(entry, caps=())  # the purse is the cap here
        if not entry.worst_usd:
            return super().open(entry)
        self._purse.reserve(entry.worst_usd)
        try:
            call_id = super().open(entry)
            name = self._folder.reserve(self._model, self._here.tally.case, entry.worst_usd)
        except BaseException:
            self._purse.settle(entry.worst_usd, Decimal(0))
            raise
        self._open[call_id] = (name, entry.worst_usd)
        return call_id

    def close(self, call_id: int, outcome: Outcome) -> None:
        super().close(call_id, outcome)
        if call_id in self._open:
            name, reserved = self._open.pop(call_id)
            self._here.tally.cost_usd += outcome.cost_usd
            self._folder.settle(name, outcome.cost_usd)
            self._purse.settle(reserved, outcome.cost_usd)


class Listening(Gateway):
    """A gateway whose first answers the booking hears, before any repair and with what was redacted put back."""

    def __init__(self, providers: Mapping[str, Provider], booking: Booking, prices: Prices) -> None:
        super().__init__(providers, booking, prices)
        self._booking = booking

    def ask(
        self,
        plan: Plan,
        prompt: Rendered,
        context: Context,
        *,
        schema: Mapping[str, Any] | None,
        schema_name: str,
        input: Mapping[str, Any],
        check: Callable[[str], T],
        label: str | None = None,
    ) -> Answered[T]:
        def heard(text: str) -> T:
            self._booking.hear(text)
            return check(text)

        return super().ask(
            plan,
            prompt,
            context,
            schema=schema,
            schema_name=schema_name,
            input=input,
            check=heard,
            label=label,
        )
