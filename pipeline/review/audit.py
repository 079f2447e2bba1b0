"""The audit rows of accounts: written in the transaction of the change they record, and never changed after."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from pipeline.db.store import Store
from pipeline.db.tables import audit as table
from pipeline.db.types import now

OPERATOR = "operator"
"""Who changes an account by the command line: whoever may run it beside the database."""

WHATS = {
    "added": "made the account",
    "link": "made a log-in link",
    "password": "set the password",
    "role": "changed the role",
    "inboxes": "changed the inboxes",
    "disabled": "disabled the account",
    "enabled": "enabled the account",
    "token": "made an API token",
    "totp_on": "turned the second factor on",
    "totp_off": "turned the second factor off",
    "sso_on": "connected single sign-on",
    "sso_off": "disconnected single sign-on",
    "proposal_approved": "approved a proposal",
    "proposal_dismissed": "dismissed a proposal",
    "sending_held": "held all sending",
    "sending_released": "released sending",
}
"""What is recorded, as people read it."""


def note(connection: sa.Connection, who: str, what: str, about: str, detail: str = "") -> None:
    """Append a row; `about` is the account's address. Call it within the change's own transaction."""
    if what not in WHATS:
        raise ValueError(f"audit rows know no {what!r}")
    connection.execute(table.insert().values(at=now(), who=who, what=what, about=about, detail=detail))


def newest(store: Store, limit: int = 100) -> list[tuple[datetime, str, str, str, str]]:
    """The last rows, newest first: (when, who, what they did, to which account, detail)."""
    with store.read() as connection:
        rows = connection.execute(sa.select(table).order_by(table.c.id.desc()).limit(limit))
        return [(row.at, row.who, WHATS[row.what], row.about, row.detail) for row in rows]
