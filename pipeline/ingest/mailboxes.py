"""The state of each mailbox as the watchers noted it: for `triage check`, `/readyz` and the metrics."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa

from pipeline.db.tables import imap_folders
from pipeline.db.types import now

State = Literal["ok", "failing", "never_read"]


@dataclass(frozen=True, slots=True)
class Mailbox:
    """A folder of an inbox. `last_error` stays until a complete look at the mailbox went well; its words
    may name the server, so they are not for everybody."""

    inbox: str
    folder: str
    last_ok_at: datetime | None
    last_error_at: datetime | None
    last_error: str | None

    @property
    def state(self) -> State:
        failed, ok = self.last_error_at, self.last_ok_at
        if failed is not None and (ok is None or failed > ok):
            return "failing"
        return "ok" if ok is not None else "never_read"

    @property
    def lag_s(self) -> float | None:
        """Seconds since the mailbox was last read to its end; None where it never was."""
        return max(0.0, (now() - self.last_ok_at).total_seconds()) if self.last_ok_at else None

    def to_json(self) -> dict[str, Any]:
        """What anybody may see: no words of an error, and no folder's name."""
        return {
            "inbox": self.inbox,
            "state": self.state,
            "last_ok_at": self.last_ok_at.isoformat() if self.last_ok_at else None,
            "last_error_at": self.last_error_at.isoformat() if self.last_error_at else None,
            "lag_s": round(self.lag_s, 1) if self.lag_s is not None else None,
        }


def mailboxes_of(connection: sa.Connection) -> list[Mailbox]:
    """Every folder that a watcher opened, or tried to open, by name."""
    rows = connection.execute(sa.select(imap_folders).order_by(imap_folders.c.inbox, imap_folders.c.folder))
    return [Mailbox(row.inbox, row.folder, row.last_ok_at, row.last_error_at, row.last_error) for row in rows]
