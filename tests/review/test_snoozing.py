"""Snoozing: out of the queue until a moment, back by itself or with the customer's next message, written down."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from pipeline.db.moves import touch
from pipeline.db.store import Store
from pipeline.db.tables import moves, reviews
from pipeline.db.types import now
from pipeline.errors import ConflictError, InputError
from pipeline.review import queue
from pipeline.review.desk import Desk
from pipeline.review.queue import Filters
from pipeline.review.snoozing import moment, snooze, wake
from tests.web import seed

FRIDAY_EVENING = datetime(2026, 11, 20, 22, 30, tzinfo=UTC)


def shown(store: Store, state: str = "open") -> list[int]:
    return [row.ticket_id for row in queue.page(store, Filters(state)).rows]


def review_of(store: Store, ticket_id: int) -> int:
    with store.read() as c:
        return int(
            c.execute(
                sa.select(reviews.c.id).where(reviews.c.ticket_id == ticket_id, reviews.c.state == "open")
            ).scalar_one()
        )


@pytest.mark.parametrize(
    ("choice", "at", "zone", "expected"),
    [
        ("later", "", None, "2026-11-21T01:30:00+00:00"),
        ("tomorrow", "", "Europe/Berlin", "2026-11-21T08:00:00+00:00"),
        ("tomorrow", "", "Asia/Tokyo", "2026-11-22T00:00:00+00:00"),  # it is Saturday there already
        ("next_week", "", "America/New_York", "2026-11-23T14:00:00+00:00"),
        ("at", "2026-11-24T09:30", "Europe/Berlin", "2026-11-24T08:30:00+00:00"),
    ],
)
def test_a_snooze_ends_by_the_agents_own_clock(choice: str, at: str, zone: str | None, expected: str) -> None:
    assert moment(choice, at, zone, FRIDAY_EVENING) == datetime.fromisoformat(expected)


@pytest.mark.parametrize(
    ("choice", "at"),
    [("soon", ""), ("at", ""), ("at", "tomorrow"), ("at", "2026-11-20T22:29"), ("at", "2029-01-01T00:00")],
)
def test_what_is_no_moment_to_come_is_refused(choice: str, at: str) -> None:
    with pytest.raises(InputError):
        moment(choice, at, "UTC", FRIDAY_EVENING)


def test_a_snoozed_row_leaves_the_queue_and_comes_back_by_itself(store: Store) -> None:
    agent = seed.people(store)["anna"]
    first, second = seed.ticket(store, waited=timedelta(hours=2)), seed.ticket(store)
    at = now()
    snooze(store, review_of(store, first), agent, now() + timedelta(hours=1))
    assert (shown(store), shown(store, "snoozed")) == ([second], [first])
    assert (queue.counts(store).total, queue.counts(store).snoozed) == (1, 1)
    assert queue.neighbour(store, Filters(), review_of(store, second)) is None
    with store.read() as c:
        line = c.execute(
            sa.select(moves).where(moves.c.ticket_id == first).order_by(moves.c.id.desc())
        ).first()
    assert line is not None
    assert (line.from_status, line.to_status, line.who) == ("in_review", "in_review", agent.who)
    assert "snoozed it until" in line.why
    newest = queue.newest_id(store)
    with store.write() as c:
        c.execute(reviews.update().where(reviews.c.ticket_id == first).values(snoozed_until=now()))
    assert (shown(store), shown(store, "snoozed")) == ([first, second], [])
    assert queue.newer(store, Filters(), newest, at) == 1  # announced to whoever has the list open


def test_the_customers_next_message_ends_a_snooze(store: Store) -> None:
    agent = seed.people(store)["anna"]
    ticket_id = seed.ticket(store)
    snooze(store, review_of(store, ticket_id), agent, now() + timedelta(days=1))
    with store.write() as c:  # what intake does where the ticket's row stays open
        touch(c, ticket_id, last_message_at=now())
    assert shown(store) == [ticket_id]


def test_a_row_that_a_colleague_has_or_that_is_done_is_not_snoozed(store: Store) -> None:
    who = seed.people(store)
    ticket_id = seed.ticket(store)
    review_id = review_of(store, ticket_id)
    Desk(store).claim(review_id, who["ben"])
    with pytest.raises(ConflictError, match="ben@"):
        snooze(store, review_id, who["anna"], now() + timedelta(hours=1))
    snooze(store, review_id, who["ben"], now() + timedelta(hours=1))
    wake(store, review_id, who["anna"])
    assert shown(store) == [ticket_id]
    Desk(store).close(review_id, who["anna"], queue.row(store, review_id).version, "")
    with pytest.raises(ConflictError):
        snooze(store, review_id, who["anna"], now() + timedelta(hours=1))
