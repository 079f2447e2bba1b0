"""A schedule that writes and sends the weekly report in a process of its own, which a test may kill at any point."""

from __future__ import annotations

import time
from datetime import datetime
from email.message import EmailMessage
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import matplotlib.figure  # the fork server loads it once for all

from pipeline.assembly import Parts
from pipeline.db.types import by_clock
from pipeline.delivery.outcomes import Outcome
from pipeline.delivery.smtp import SmtpMailer
from pipeline.steps import reporting
from tests.kit.live import close, live_parts

assert matplotlib

TO = ("lead@shop.example", "head@shop.example")


class _Held(SmtpMailer):
    """A way out that stops before it connects, or once the server's answer is there."""

    hold = ""
    tell: Connection

    def post(self, message: EmailMessage, sender: str, to: str) -> Outcome:
        if self.hold == "before connect":
            _stop(self.tell)
        outcome = super().post(message, sender, to)
        if self.hold == "before record":
            _stop(self.tell)
        return outcome


def reporting_parts(home: Path, database_url: str, smtp_url: str, **settings: Any) -> Parts:
    """Parts of an installation that mails its report to `TO`."""
    return live_parts(home, database_url, smtp_url=smtp_url, **{"report_to": ",".join(TO), **settings})


def tend(home: Path, database_url: str, smtp_url: str, at: datetime, hold: str, tell: Connection) -> None:
    """One minute of the schedule at `at`; held at `before write`, `after write`, `before connect`, `before
    record`, or nowhere: then it says so, waits for a word, and does its work."""
    parts = reporting_parts(home, database_url, smtp_url)
    real = parts.mailers("")
    assert isinstance(real, SmtpMailer)
    held = _Held(real.server)
    held.hold, held.tell = hold, tell
    parts.__dict__["mailers"] = lambda _inbox: held
    with by_clock(lambda: at):
        if hold == "before write":
            real_write = reporting.write
            reporting.write = lambda *args, **more: (_stop(tell), real_write(*args, **more))[1]
        if hold == "after write":
            reporting.write_due(parts)
            _stop(tell)
        if not hold:
            tell.send("ready")
            tell.recv()
        reporting.tend(parts)
    close(parts)


def _stop(tell: Connection) -> None:
    tell.send("held")
    time.sleep(600)
