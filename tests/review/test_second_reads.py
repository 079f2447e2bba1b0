"""A sample of approvals comes back, blind, to somebody else; and the mark on a strong draft that was not needed."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from pipeline.db.store import Store
from pipeline.db.tables import messages, reviews, second_reads, tickets
from pipeline.db.types import now
from pipeline.errors import ConflictError, InputError, NotFoundError
from pipeline.review import second_reads as again
from pipeline.review import sight
from pipeline.review.agents import Agent
from pipeline.review.desk import Desk
from pipeline.review.second_reads import Sample
from tests.web import seed


def open_row(store: Store, ticket_id: int) -> tuple[int, int]:
    """(review, version)"""
    with store.read() as c:
        row = c.execute(
            sa.select(reviews.c.id, tickets.c.version)
            .join(tickets)
            .where(reviews.c.ticket_id == ticket_id, reviews.c.state == "open")
        ).one()
        return int(row.id), int(row.version)


def approved(desk: Desk, agent: Agent, **values: str) -> int:
    ticket_id = seed.ticket(desk.store, **values)  # type: ignore[arg-type]
    desk.approve(open_row(desk.store, ticket_id)[0], agent, open_row(desk.store, ticket_id)[1])
    return ticket_id


def every(store: Store) -> Desk:
    return Desk(store, second_reads=Sample("a secret", 1.0))


def test_the_sample_has_the_share_that_was_asked_for_and_is_repeatable() -> None:
    drawn = [n for n in range(1, 20_001) if Sample("a secret", 0.02).draws(n)]
    assert 340 <= len(drawn) <= 460  # 400 and three standard deviations
    assert drawn == [n for n in range(1, 20_001) if Sample("a secret", 0.02).draws(n)]
    assert drawn != [n for n in range(1, 20_001) if Sample("another", 0.02).draws(n)]
    assert not any(Sample("a secret", 0).draws(n) for n in range(1, 2_000))
    assert all(Sample("a secret", 1).draws(n) for n in range(1, 2_000))


def test_only_an_approval_as_it_is_comes_back_and_never_to_who_approved(store: Store) -> None:
    people, desk = seed.people(store), every(store)
    approved(desk, people["anna"])
    edited = seed.ticket(store)
    review_id, version = open_row(store, edited)
    desk.edit(review_id, people["anna"], version, "Something else altogether, written by hand.")
    assert again.waiting(store, people["anna"]) == ()
    (one,) = again.waiting(store, people["ben"])
    assert (again.count(store, people["anna"]), again.count(store, people["ben"])) == (0, 1)
    with pytest.raises(NotFoundError):
        again.blind(store, people["anna"], one.id)
    with pytest.raises(NotFoundError):
        again.judge(store, people["anna"], one.id, "as_is")


def test_the_second_reader_sees_thread_and_draft_and_nothing_that_came_after(store: Store) -> None:
    people, desk = seed.people(store), every(store)
    ticket_id = approved(desk, people["anna"], text="Where is my parcel?", draft="It is on its way.")
    with store.write() as c:  # the reply, as it stands in the thread once it is out
        first = c.execute(sa.select(messages).where(messages.c.ticket_id == ticket_id)).mappings().one()
        later = {**first, "message_id": "later@shop.example", "direction": "outbound", "text": "It is on its way.",
                 "received_at": now(), "fingerprint": "later"}  # fmt: skip
        later.pop("id")
        c.execute(messages.insert().values(**later))
    (one,) = again.waiting(store, people["ben"])
    found = again.blind(store, people["ben"], one.id)
    assert [message["text"] for message in found.messages] == ["Where is my parcel?"]
    assert found.draft == "It is on its way."
    assert "anna" not in repr(found).lower()


def test_a_verdict_is_given_once(store: Store) -> None:
    people, desk = seed.people(store), every(store)
    approved(desk, people["anna"])
    (one,) = again.waiting(store, people["ben"])
    with pytest.raises(InputError, match="choose what you would do"):
        again.judge(store, people["ben"], one.id, "fine")
    again.judge(store, people["ben"], one.id, "rewritten", "  the question\nis missed ")
    with pytest.raises(ConflictError, match="read already"):
        again.judge(store, people["lea"], one.id, "as_is")
    with store.read() as c:
        row = c.execute(sa.select(second_reads)).one()
    assert (row.verdict, row.note, row.read_by) == ("rewritten", "the question is missed", people["ben"].id)
    assert again.waiting(store, people["lea"]) == ()


def test_who_is_limited_to_other_inboxes_gets_none(store: Store) -> None:
    people, desk = seed.people(store), every(store)
    approved(desk, people["anna"], inbox="wholesale")
    (one,) = again.waiting(store, people["lea"])
    sight.set_inboxes(store, people["ben"].email, ["support"])
    assert (again.waiting(store, people["ben"]), again.count(store, people["ben"])) == ((), 0)
    with pytest.raises(NotFoundError):
        again.blind(store, people["ben"], one.id)


def test_an_approval_that_is_taken_back_is_not_read_and_can_be_drawn_again(store: Store) -> None:
    people, desk = seed.people(store), every(store)
    ticket_id = approved(desk, people["anna"])
    with store.read() as c:
        version = c.execute(sa.select(tickets.c.version)).scalar_one()
    desk.withdraw(ticket_id, people["anna"], version)
    assert again.waiting(store, people["ben"]) == ()
    review_id, version = open_row(store, ticket_id)
    desk.release(review_id, people["anna"])
    desk.approve(review_id, people["lea"], version)
    assert len(again.waiting(store, people["anna"])) == 1
    assert again.waiting(store, people["lea"]) == ()


def test_a_strong_draft_can_be_marked_as_not_needed_and_a_routine_one_cannot(store: Store) -> None:
    people, desk = seed.people(store), Desk(store)
    strong, cheap = (seed.ticket(store, route=route) for route in ("strong", "cheap"))
    review_id, version = open_row(store, cheap)
    with pytest.raises(InputError, match="only a strong draft"):
        desk.approve(review_id, people["anna"], version, not_needed=True)
    assert open_row(store, cheap) == (review_id, version)
    review_id, version = open_row(store, strong)
    version = desk.approve(review_id, people["anna"], version, not_needed=True).version

    def mark() -> bool | None:
        with store.read() as c:
            return c.execute(
                sa.select(reviews.c.escalated_for_nothing).where(reviews.c.id == review_id)
            ).scalar()

    assert mark() is True
    version = desk.withdraw(strong, people["anna"], version)
    assert mark() is None
    desk.edit(review_id, people["anna"], version, "Shorter, by hand.", not_needed=True)
    assert mark() is True
