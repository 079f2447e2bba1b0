"""Ways out that the other side has ended (HTTP 410): nothing is sent there until a person switches them on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from pipeline.db.tables import ways_out
from pipeline.db.types import now


@dataclass(frozen=True)
class SwitchedOff:
    """An inbox whose replies have no way out: since when, and what the receiver last said."""

    inbox: str
    since: datetime
    words: str

    @property
    def said(self) -> str:
        return (
            f"nothing is sent to it since {self.since:%Y-%m-%d %H:%M} UTC, as it wants no more replies "
            f"({self.words}); when it does again, run: triage inbox enable {self.inbox}"
        )


def switched_off(connection: sa.Connection, inbox: str | None = None) -> list[SwitchedOff]:
    """The inboxes whose way out is off, or this one if it is."""
    query = sa.select(ways_out).where(ways_out.c.disabled_at.is_not(None)).order_by(ways_out.c.inbox)
    if inbox is not None:
        query = query.where(ways_out.c.inbox == inbox)
    return [SwitchedOff(row.inbox, row.disabled_at, row.words or "") for row in connection.execute(query)]


def switch_off(connection: sa.Connection, inbox: str, words: str) -> None:
    """Send nothing more for this inbox; the first 410 stays the one that counts."""
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    statement = insert(ways_out).values(inbox=inbox, disabled_at=now(), words=words)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["inbox"],
            set_={"disabled_at": statement.excluded.disabled_at, "words": statement.excluded.words},
            where=ways_out.c.disabled_at.is_(None),
        )
    )


def switch_on(connection: sa.Connection, inbox: str) -> bool:
    """Send again; False where it was not off."""
    return bool(
        connection.execute(
            ways_out.update()
            .where(ways_out.c.inbox == inbox, ways_out.c.disabled_at.is_not(None))
            .values(disabled_at=None)
        ).rowcount
    )
