"""One look-up of a verified sender over all connectors; one that fails gives a sentence, never an error."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import sqlalchemy as sa

from pipeline.accounts.facts import AccountFacts, OpenTicket, Source, merge
from pipeline.db.tables import tickets
from pipeline.db.types import now
from pipeline.errors import TriageError
from pipeline.lifecycle import Status

MAX_ORDERS = 5
MAX_TICKETS = 20

_OPEN = [
    status.value for status in Status if status not in (Status.CLOSED, Status.ANSWERED, Status.AUTOMATED)
]


class Connector(Protocol):
    """One system that knows customers. `fetch` raises `TriageError` with one plain line, and nothing else.

    `order_numbers` are those that the customer named; a connector never shows an order of somebody else.
    """

    @property
    def name(self) -> str: ...

    def fetch(self, address: str, order_numbers: Sequence[str]) -> AccountFacts: ...

    def check(self) -> str:
        """Try the connector without a customer; one line of what works. Raises `TriageError`."""


@dataclass(frozen=True)
class LookedUp:
    """One connector's answer: facts, or the sentence why there are none."""

    connector: str
    address: str
    fetched_at: datetime
    facts: AccountFacts | None
    error: str | None

    def as_row(self, ticket_id: int) -> dict[str, Any]:
        """The values of a row of `account_facts`."""
        return {
            "ticket_id": ticket_id,
            "connector": self.connector,
            "address": self.address,
            "fetched_at": self.fetched_at,
            "facts": self.facts.as_json() if self.facts is not None else None,
            "error": self.error,
        }


def look_up(
    connectors: Sequence[Connector],
    address: str | None,
    *,
    verified: bool,
    verified_why: str = "",
    order_numbers: Iterable[str] = (),
) -> list[LookedUp]:
    """Ask every connector at once, each within its own time limit. Never raises.

    Without `verified` (the inbox vouches for the sender) nothing is asked: a From header alone must not
    open somebody's account; the rows then say so, with `verified_why` as the reason.
    """
    asked = now()
    if not address or not verified:
        why = verified_why or "the inbox does not vouch for the sender"
        said = f"not looked up: {why}" if address else "not looked up: the message names no sender"
        return [LookedUp(each.name, address or "", asked, None, said) for each in connectors]
    orders = list(dict.fromkeys(order_numbers))[:MAX_ORDERS]
    if len(connectors) < 2:
        return [_ask(each, address, orders) for each in connectors]
    with ThreadPoolExecutor(max_workers=min(8, len(connectors)), thread_name_prefix="accounts") as pool:
        return list(pool.map(lambda each: _ask(each, address, orders), connectors))


def _ask(connector: Connector, address: str, orders: Sequence[str]) -> LookedUp:
    try:
        facts: AccountFacts | None = connector.fetch(address, orders)
        error = None if facts else "there is no customer with this address"
    except TriageError as failure:
        facts, error = None, str(failure)
    except Exception as failure:
        # a draft without account facts is better than none: what broke is written on the ticket
        facts, error = None, f"{connector.name}: {type(failure).__name__} in the connector"
    return LookedUp(connector.name, address, now(), facts if facts else None, error)


def together(found: Iterable[LookedUp], open_tickets: Sequence[OpenTicket] = ()) -> AccountFacts | None:
    """All facts as one, for a draft; None where nothing is known."""
    parts = [each.facts for each in found if each.facts is not None]
    whole = merge([*parts, AccountFacts(open_tickets=tuple(open_tickets))])
    return whole if whole else None


def other_open_tickets(
    connection: sa.Connection, address: str | None, except_ticket: int
) -> tuple[OpenTicket, ...]:
    """The customer's further tickets that are not done, the newest first. Only of a verified sender, on
    both sides: a forged From neither sees them nor appears among them."""
    if not address:
        return ()
    rows = connection.execute(
        sa.select(tickets.c.id, tickets.c.subject, tickets.c.status, tickets.c.created_at)
        .where(
            tickets.c.customer_address == address,
            tickets.c.customer_verified.is_(True),
            tickets.c.id != except_ticket,
            tickets.c.status.in_(_OPEN),
        )
        .order_by(tickets.c.id.desc())
        .limit(MAX_TICKETS)
    )
    source = Source("triage.tickets", now())
    return tuple(OpenTicket(row.id, row.subject, row.status, row.created_at, source) for row in rows)
