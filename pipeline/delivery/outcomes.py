"""What became of one attempt to hand a reply over, and the shape of whoever tries: a mailer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from pipeline.delivery.compose import Outgoing


@dataclass(frozen=True)
class Accepted:
    """The other side has taken the reply over; `words` are its own."""

    words: str


@dataclass(frozen=True)
class Temporary:
    """It was certainly not taken, and a later attempt may go better."""

    words: str


@dataclass(frozen=True)
class Permanent:
    """It was certainly not taken, and the same attempt will fail again: a person reads `words`."""

    words: str


@dataclass(frozen=True)
class Gone(Permanent):
    """The other side wants no more replies at all (HTTP 410): the inbox's way out is switched off."""


@dataclass(frozen=True)
class Uncertain:
    """The whole reply was handed over and no answer came: it may have been taken. Never again by itself."""

    words: str


Outcome = Accepted | Temporary | Permanent | Uncertain


@dataclass(frozen=True)
class Manners:
    """How a way out wants to be used.

    `waits` are the times before attempts 2, 3, …; after them a person decides. `keyed`: the other side knows
    a reply by its id and takes it once, so an attempt that nobody heard the end of is made again.
    """

    waits: tuple[timedelta, ...]
    keyed: bool = False

    @property
    def attempts(self) -> int:
        return len(self.waits) + 1


BY_MAIL = Manners(tuple(timedelta(minutes=minutes) for minutes in (1, 5, 15, 60)))
"""Long enough for greylisting."""

_HOUR = timedelta(hours=1)
BY_CALLBACK = Manners(
    (
        timedelta(seconds=5),
        timedelta(minutes=5),
        timedelta(minutes=30),
        *(number * _HOUR for number in (2, 5, 10, 14, 20, 24)),
    ),
    keyed=True,
)
"""Ten attempts in 75 hours and a half, as the receivers of Standard Webhooks expect."""


class Mailer(Protocol):
    """A way out for replies. `send` makes one attempt and raises nothing that belongs to an outcome.

    `where` says in words where replies go, for the page and `triage check`.
    """

    @property
    def where(self) -> str: ...

    def send(self, outgoing: Outgoing) -> Outcome: ...


def plain(words: str, limit: int = 500) -> str:
    """What a server said, on one line and bounded, fit for a database row and a page."""
    kept = "".join(c if c.isprintable() else " " for c in words)
    kept = " ".join(kept.split())
    return kept if len(kept) <= limit else kept[: limit - 1] + "…"
