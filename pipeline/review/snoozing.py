"""Snoozing: a row leaves the queue until a moment, and comes back by itself or when the customer writes.

The ticket's status stays; that somebody snoozed it is written among its moves.
"""

from __future__ import annotations

from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from pipeline.db.moves import note
from pipeline.db.store import Store
from pipeline.db.tables import reviews
from pipeline.db.types import now
from pipeline.errors import InputError
from pipeline.review.agents import Agent
from pipeline.review.holding import lock_ticket, refuse_claimed, refuse_done, review_row

CHOICES: dict[str, str] = {
    "later": "later today",
    "tomorrow": "tomorrow morning",
    "next_week": "next week",
    "at": "a day and time",
}
MORNING = time(9)
LATER = timedelta(hours=3)
LONGEST = timedelta(days=366)


def moment(choice: str, at: str, zone: str | None, present: datetime) -> datetime:
    """When a snooze ends. `at` is local to the zone, as 2026-11-24T09:30, and counts with the choice "at".

    "Later" is three hours on; mornings are at nine by the zone's clock, the next week begins on Monday.
    Raises `InputError` for what is no moment, or none to come.
    """
    clock = ZoneInfo(zone or "UTC")
    local = present.astimezone(clock)
    if choice == "later":
        return present + LATER
    if choice == "tomorrow":
        return datetime.combine(local.date() + timedelta(days=1), MORNING, clock)
    if choice == "next_week":
        return datetime.combine(local.date() + timedelta(days=7 - local.weekday()), MORNING, clock)
    if choice != "at":
        raise InputError(f"snooze until: one of {', '.join(CHOICES)}")
    try:
        wanted = datetime.fromisoformat(at.strip())
    except ValueError:
        raise InputError("choose a day and a time, like 2026-11-24 09:30") from None
    wanted = wanted if wanted.tzinfo else wanted.replace(tzinfo=clock)
    if not present < wanted <= present + LONGEST:
        raise InputError("choose a moment to come, within a year")
    return wanted


def snooze(store: Store, review_id: int, agent: Agent, until: datetime) -> None:
    """Take the row out of the queue until then; whoever had taken it no longer has.

    Raises `ConflictError` when it is decided or somebody else's now.
    """
    zone = ZoneInfo(agent.zone or "UTC")
    with store.write() as connection:
        ticket_id = review_row(connection, review_id)["ticket_id"]
        lock_ticket(connection, ticket_id, None)
        row = review_row(connection, review_id)
        refuse_done(connection, row)
        refuse_claimed(connection, row, agent)
        connection.execute(
            reviews.update()
            .where(reviews.c.id == review_id)
            .values(snoozed_until=until, claimed_by=None, claimed_until=None)
        )
        shown = f"{until.astimezone(zone):%Y-%m-%d %H:%M %Z}"
        note(connection, ticket_id, who=agent.who, why=f"{agent.shown} snoozed it until {shown}")


def wake(store: Store, review_id: int, agent: Agent) -> None:
    """Bring a snoozed row back at once; one that is not snoozed stays as it is."""
    with store.write() as connection:
        ticket_id = review_row(connection, review_id)["ticket_id"]
        lock_ticket(connection, ticket_id, None)
        row = review_row(connection, review_id)
        refuse_done(connection, row)
        if row["snoozed_until"] is None or row["snoozed_until"] <= now():
            return
        connection.execute(reviews.update().where(reviews.c.id == review_id).values(snoozed_until=None))
        note(connection, ticket_id, who=agent.who, why=f"{agent.shown} ended the snooze")
