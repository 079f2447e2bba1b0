"""The reports that the schedule wrote, each with its letters: who got it, and when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from pipeline.db.store import Store
from pipeline.db.tables import report_letters, weekly_reports

NEWEST = 13


@dataclass(frozen=True)
class KeptLetter:
    """`state` is waiting, sending, sent, failed or uncertain; `words` are what the mail server last said."""

    address: str
    state: str
    sent_at: datetime | None
    words: str

    @property
    def stuck(self) -> bool:
        """Whether only a person sends it again."""
        return self.state in ("failed", "uncertain")


@dataclass(frozen=True)
class KeptReport:
    week: str
    made_at: datetime
    letters: tuple[KeptLetter, ...]


def kept_reports(store: Store, limit: int = NEWEST) -> tuple[KeptReport, ...]:
    """The newest week first."""
    with store.read() as connection:
        weeks = connection.execute(
            sa.select(weekly_reports.c.week, weekly_reports.c.made_at)
            .order_by(weekly_reports.c.week.desc())
            .limit(limit)
        ).all()
        columns = report_letters.c
        rows = connection.execute(
            sa.select(columns.week, columns.address, columns.state, columns.sent_at, columns.server_words)
            .where(columns.week.in_([row.week for row in weeks]))
            .order_by(columns.address)
        ).all()
    return tuple(
        KeptReport(
            row.week,
            row.made_at,
            tuple(
                KeptLetter(one.address, one.state, one.sent_at, one.server_words or "")
                for one in rows
                if one.week == row.week
            ),
        )
        for row in weeks
    )
