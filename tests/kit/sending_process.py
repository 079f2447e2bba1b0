"""A worker that sends one reply in a process of its own, which a test may kill at any point of it."""

from __future__ import annotations

import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from pipeline import steps
from pipeline.delivery.compose import Outgoing
from pipeline.delivery.outcomes import Mailer, Outcome
from tests.kit.live import live_parts


class Held:
    """A way out that stops before it connects (`claim`) or once the answer is there (`answer`)."""

    def __init__(self, real: Mailer, hold: str, tell: Connection) -> None:
        self.real, self.hold, self.tell = real, hold, tell

    @property
    def where(self) -> str:
        return self.real.where

    def send(self, outgoing: Outgoing) -> Outcome:
        if self.hold == "claim":
            stop(self.tell)
        outcome = self.real.send(outgoing)
        if self.hold == "answer":
            stop(self.tell)
        return outcome


def stop(tell: Connection) -> None:
    tell.send("held")
    time.sleep(600)


def work(
    home: Path, database_url: str, settings: dict[str, Any], ticket: int, hold: str, tell: Connection
) -> None:
    """One step of the ticket; held at `claim`, `answer`, `commit` (all is recorded), or not at all."""
    parts = live_parts(home, database_url, **settings)
    real = parts.mailers
    parts.__dict__["mailers"] = lambda inbox: Held(real(inbox), hold, tell)
    steps.advance(parts, ticket)
    if hold == "commit":
        stop(tell)
    parts.store.close()
