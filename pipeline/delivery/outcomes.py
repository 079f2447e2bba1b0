"""What became of one attempt to hand a reply over, and the shape of whoever tries: a mailer."""

from __future__ import annotations

from dataclasses import dataclass
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
class Uncertain:
    """The whole reply was handed over and no answer came: it may have been taken. Never again by itself."""

    words: str


Outcome = Accepted | Temporary | Permanent | Uncertain


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
