import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from pipeline.db.moves import move
from pipeline.db.reviews import open_review, supersede_open
from pipeline.db.store import Store
from pipeline.db.tables import drafts, messages, moves, replies, reviews, tickets
from pipeline.db.types import now
from pipeline.delivery import send, settling
from pipeline.errors import ConfigError, ConflictError, InputError, NotFoundError
from pipeline.lifecycle import Status
from pipeline.review import sight, typed
from pipeline.review.agents import Agent, add
from pipeline.review.corrections import correct, correct_fields
from pipeline.review.desk import Desk
from pipeline.review.holding import CLAIM
from pipeline.review.replying import answer_address, answer_references, answer_subject
from pipeline.review.view import since, view
from tests.web import seed


@pytest.fixture
def desk(store: Store) -> Desk:
    return Desk(
        store,
        undo=timedelta(seconds=10),
        own_addresses=frozenset({"help@shop.example"}),
        domain_of=lambda _inbox: "shop.example",
        mark_sent=send.mark_sent,
        send_again=send.send_again,
    )


@pytest.fixture
def anna(store: Store) -> Agent:
    return add(store, "anna@shop.example", "agent", "Anna")


@pytest.fixture
def anna_alone(sqlite_store: Store) -> Agent:
    return add(sqlite_store, "anna@shop.example", "agent", "Anna")


@pytest.fixture
def ben(store: Store) -> Agent:
    return add(store, "ben@shop.example", "agent")


def one(store: Store, table: sa.Table, **where: Any) -> Any:
    with store.read() as c:
        conditions = [table.c[name] == value for name, value in where.items()]
        return c.execute(sa.select(table).where(*conditions).order_by(table.c.id.desc())).first()


def review_of(store: Store, ticket_id: int) -> Any:
    return one(store, reviews, ticket_id=ticket_id, state="open")


def version_of(store: Store, ticket_id: int) -> int:
    return int(one(store, tickets, id=ticket_id).version)


def test_an_approved_draft_becomes_a_reply_that_waits_in_its_thread(desk: Desk, anna: Agent) -> None:
    store = desk.store
    ticket_id = seed.ticket(store, subject="Where is my order?")
    review = review_of(store, ticket_id)
    decided = desk.approve(review.id, anna, version_of(store, ticket_id))
    assert (decided.outcome, decided.edit_share) == ("as_is", 0.0)
    asked = one(store, messages, ticket_id=ticket_id)
    reply = one(store, replies, ticket_id=ticket_id)
    draft = one(store, drafts, ticket_id=ticket_id)
    assert (reply.state, reply.attempts, reply.text) == ("waiting", 0, draft.text)
    assert (reply.to_address, reply.subject) == ("mia@example.net", "Re: Where is my order?")
    assert reply.in_reply_to == asked.message_id
    assert reply.references == ["first@mail.example.net", asked.message_id]
    assert reply.message_id.endswith("@shop.example")
    ticket = one(store, tickets, id=ticket_id)
    assert (ticket.status, ticket.version) == ("approved", decided.version)
    assert ticket.due_at > now() + timedelta(seconds=5)  # the undo window
    row = one(store, reviews, id=review.id)
    assert (row.state, row.action, row.outcome, row.decided_by) == ("decided", "approve", "as_is", anna.id)
    assert row.sent_text == draft.text
    assert one(store, moves, ticket_id=ticket_id).who == "agent:anna@shop.example"


def test_an_edit_is_measured_against_the_draft(desk: Desk, anna: Agent) -> None:
    ticket_id = seed.ticket(
        desk.store, draft="Hi Mia,\n\nyour order comes on Friday at noon.\n\nBest regards"
    )
    text = "Hello Mia,\r\n\r\nyour order comes on Monday at noon.  \r\n\r\nBest regards"
    decided = desk.edit(review_of(desk.store, ticket_id).id, anna, version_of(desk.store, ticket_id), text)
    assert (decided.outcome, decided.edit_share) == ("light", pytest.approx(1 / 8))
    reply = one(desk.store, replies, ticket_id=ticket_id)
    assert reply.text == "Hello Mia,\n\nyour order comes on Monday at noon.\n\nBest regards"
    row = one(desk.store, reviews, ticket_id=ticket_id)
    assert row.hter == pytest.approx(1 / 8)
    assert row.outcome_why == "the greeting changed too, which does not count"


@pytest.mark.parametrize("text", ["", "  \n\t ", "\u200b\x00"])
def test_an_empty_reply_is_refused_and_changes_nothing(desk: Desk, anna: Agent, text: str) -> None:
    ticket_id = seed.ticket(desk.store)
    review = review_of(desk.store, ticket_id)
    with pytest.raises(InputError, match="empty"):
        desk.edit(review.id, anna, version_of(desk.store, ticket_id), text)
    assert one(desk.store, replies) is None
    assert review_of(desk.store, ticket_id).id == review.id


def test_a_blocked_draft_goes_out_only_edited(desk: Desk, anna: Agent) -> None:
    ticket_id = seed.ticket(
        desk.store, draft="We refunded 50 EUR.", blocked=("it says that a refund was made",)
    )
    review, version = review_of(desk.store, ticket_id), version_of(desk.store, ticket_id)
    with pytest.raises(InputError, match="it says that a refund was made"):
        desk.approve(review.id, anna, version)
    with pytest.raises(InputError, match="may not go out"):
        desk.edit(review.id, anna, version, "We  refunded\n50 EUR.")
    assert desk.edit(review.id, anna, version, "We will look into it.").outcome == "rewritten"


@pytest.mark.parametrize(
    "text",
    [
        "We\u200b refunded 50\u2060 EUR.\u3164",
        "We\u00adrefunded 50 EUR",
        "“we  refunded”\u00a050 EUR!",
        "WE REFUNDED 50 EUR…",
    ],
)
def test_what_nobody_sees_or_reads_makes_no_edit_of_a_blocked_draft(
    sqlite_store: Store, anna_alone: Agent, text: str
) -> None:
    desk = Desk(sqlite_store)
    ticket_id = seed.ticket(sqlite_store, draft="We refunded 50 EUR.", blocked=("it promises a refund",))
    review, version = review_of(sqlite_store, ticket_id), version_of(sqlite_store, ticket_id)
    with pytest.raises(InputError, match="it promises a refund"):
        desk.edit(review.id, anna_alone, version, text)
    with pytest.raises(InputError, match="it promises a refund"):  # nor does sending it without the draft
        desk.replace(review.id, anna_alone, version, text)
    done = desk.reject(review.id, anna_alone, version, "wrong_tone")
    with pytest.raises(InputError, match="it promises a refund"):  # nor on the row after it
        desk.replace(review_of(sqlite_store, ticket_id).id, anna_alone, done.version, text)
    assert one(sqlite_store, replies) is None
    row = review_of(sqlite_store, ticket_id)
    desk.replace(row.id, anna_alone, done.version, "We refunded $50.")
    assert one(sqlite_store, replies).text == "We refunded $50."


def test_a_rejected_draft_leaves_the_ticket_to_a_person(desk: Desk, anna: Agent) -> None:
    ticket_id = seed.ticket(desk.store)
    first = review_of(desk.store, ticket_id)
    decided = desk.reject(first.id, anna, version_of(desk.store, ticket_id), "wrong_facts")
    assert decided.outcome == "rejected"
    second = review_of(desk.store, ticket_id)
    assert (second.reason, second.draft_id) == ("human_route", None)
    assert second.detail == "The draft was rejected: wrong facts; an answer is still due."
    assert one(desk.store, tickets, id=ticket_id).status == "in_review"
    with pytest.raises(InputError, match="no draft"):
        desk.approve(second.id, anna, decided.version)
    answered = desk.replace(second.id, anna, decided.version, "Dear Mia, it is on its way.")
    assert answered.outcome is None
    assert one(desk.store, reviews, id=first.id).outcome == "rejected"
    assert one(desk.store, replies, ticket_id=ticket_id).review_id == second.id


def test_a_draft_that_was_not_needed_closes_the_ticket(desk: Desk, anna: Agent) -> None:
    ticket_id = seed.ticket(desk.store)
    desk.reject(review_of(desk.store, ticket_id).id, anna, version_of(desk.store, ticket_id), "not_needed")
    assert one(desk.store, tickets, id=ticket_id).status == "closed"
    assert review_of(desk.store, ticket_id) is None


def test_rejecting_needs_a_reason(desk: Desk, anna: Agent) -> None:
    ticket_id = seed.ticket(desk.store)
    review, version = review_of(desk.store, ticket_id), version_of(desk.store, ticket_id)
    for reason, text in (("", ""), ("meh", ""), ("other", "  ")):
        with pytest.raises(InputError):
            desk.reject(review.id, anna, version, reason, text)
    assert desk.reject(review.id, anna, version, "other", "names a competitor").outcome == "rejected"
    assert "names a competitor" in review_of(desk.store, ticket_id).detail


def test_answering_without_the_draft_counts_as_replaced(desk: Desk, anna: Agent) -> None:
    ticket_id = seed.ticket(desk.store)
    decided = desk.replace(
        review_of(desk.store, ticket_id).id, anna, version_of(desk.store, ticket_id), "My words."
    )
    assert (decided.outcome, decided.edit_share) == ("replaced", None)


def test_closing_says_nothing_about_the_draft(desk: Desk, anna: Agent) -> None:
    ticket_id = seed.ticket(desk.store)
    decided = desk.close(
        review_of(desk.store, ticket_id).id, anna, version_of(desk.store, ticket_id), "by phone"
    )
    assert decided.outcome == "unscorable"
    assert one(desk.store, reviews, ticket_id=ticket_id).outcome_why == "closed without an answer"
    assert one(desk.store, tickets, id=ticket_id).status == "closed"
    new = desk.reopen(ticket_id, anna, decided.version, "it came up again")
    assert review_of(desk.store, ticket_id).detail == "Anna reopened it: it came up again."
    assert version_of(desk.store, ticket_id) == new


def test_a_stale_version_is_told_what_changed(desk: Desk, anna: Agent, ben: Agent) -> None:
    ticket_id = seed.ticket(desk.store)
    review, version = review_of(desk.store, ticket_id), version_of(desk.store, ticket_id)
    with desk.store.write() as c:
        move(c, ticket_id, Status.IN_REVIEW, who="agent:ben", why="Ben asked the warehouse")
    with pytest.raises(ConflictError, match="Ben asked the warehouse"):
        desk.approve(review.id, anna, version)
    assert one(desk.store, replies) is None


def test_a_newer_message_takes_the_draft_away(desk: Desk, anna: Agent) -> None:
    ticket_id = seed.ticket(desk.store)
    review, version = review_of(desk.store, ticket_id), version_of(desk.store, ticket_id)
    with desk.store.write() as c:
        supersede_open(c, ticket_id, "a newer message")
        move(c, ticket_id, Status.RECEIVED, who="intake", why="a newer message")
    with pytest.raises(ConflictError, match="superseded"):
        desk.approve(review.id, anna, version)


def test_of_two_who_approve_at_once_exactly_one_wins(desk: Desk, anna: Agent, ben: Agent) -> None:
    ticket_id = seed.ticket(desk.store)
    review, version = review_of(desk.store, ticket_id), version_of(desk.store, ticket_id)
    start = threading.Barrier(8)
    results: list[str] = []

    def go(act: Callable[[], object]) -> None:
        start.wait()
        try:
            act()
            results.append("won")
        except ConflictError as error:
            results.append(str(error))

    acts: list[Callable[[], object]] = []
    for agent in (anna, ben) * 2:
        acts.append(lambda agent=agent: desk.approve(review.id, agent, version))  # type: ignore[misc]
        acts.append(lambda agent=agent: desk.edit(review.id, agent, version, "Mine."))  # type: ignore[misc]
    threads = [threading.Thread(target=go, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert results.count("won") == 1
    assert len(results) == 8
    assert all("already decided" in words for words in results if words != "won")
    with desk.store.read() as c:
        assert c.execute(sa.select(sa.func.count()).select_from(replies)).scalar_one() == 1


def test_a_taken_row_is_refused_to_others_until_it_expires(desk: Desk, anna: Agent, ben: Agent) -> None:
    store = desk.store
    ticket_id = seed.ticket(store)
    review, version = review_of(store, ticket_id), version_of(store, ticket_id)
    until = desk.claim(review.id, anna)
    assert now() < until <= now() + CLAIM
    with pytest.raises(ConflictError, match=r"anna@shop\.example has taken"):
        desk.claim(review.id, ben)
    with pytest.raises(ConflictError, match=r"anna@shop\.example has taken"):
        desk.approve(review.id, ben, version)
    with pytest.raises(InputError, match="lead"):
        desk.claim(review.id, ben, take_over=True)
    desk.claim(review.id, anna)  # her own: for longer
    desk.release(review.id, ben)  # not his to give back
    assert one(store, reviews, id=review.id).claimed_by == anna.id
    with store.write() as c:
        c.execute(reviews.update().values(claimed_until=now() - timedelta(seconds=1)))
    desk.claim(review.id, ben)
    lead = add(store, "lea@shop.example", "lead")
    desk.claim(review.id, lead, take_over=True)
    desk.release(review.id, lead)
    assert desk.approve(review.id, anna, version).outcome == "as_is"
    with pytest.raises(ConflictError, match="already decided"):
        desk.claim(review.id, ben)


def test_the_first_look_is_kept_once(desk: Desk) -> None:
    ticket_id = seed.ticket(desk.store)
    review = review_of(desk.store, ticket_id)
    assert review.first_viewed_at is None
    desk.seen(review.id)
    first = one(desk.store, reviews, id=review.id).first_viewed_at
    desk.seen(review.id)
    assert first is not None
    assert one(desk.store, reviews, id=review.id).first_viewed_at == first


def test_an_approval_can_be_taken_back_until_it_is_tried(desk: Desk, anna: Agent) -> None:
    store = desk.store
    ticket_id = seed.ticket(store)
    review = review_of(store, ticket_id)
    decided = desk.approve(review.id, anna, version_of(store, ticket_id))
    version = desk.withdraw(ticket_id, anna, decided.version)
    assert one(store, replies) is None
    row = review_of(store, ticket_id)
    assert (row.id, row.outcome, row.sent_text, row.action) == (review.id, None, None, None)
    again = desk.edit(review.id, anna, version, "Something else altogether.")
    with store.write() as c:
        c.execute(replies.update().values(state="sending", attempts=1))
    with pytest.raises(ConflictError, match="too late"):
        desk.withdraw(ticket_id, anna, again.version)


def test_an_uncertain_reply_is_sent_again_under_the_same_message_id(desk: Desk, anna: Agent) -> None:
    store = desk.store
    ticket_id = seed.uncertain(store, anna)
    before = one(store, replies, ticket_id=ticket_id)
    review, version = review_of(store, ticket_id), version_of(store, ticket_id)
    with pytest.raises(ConflictError):
        desk.replace(review.id, anna, version, "Another one.")
    with pytest.raises(InputError, match="sent"):
        desk.resolve_uncertain(review.id, anna, version, "maybe")
    desk.resolve_uncertain(review.id, anna, version, "resend")
    after = one(store, replies, ticket_id=ticket_id)
    assert (after.state, after.message_id, after.id) == ("waiting", before.message_id, before.id)
    assert one(store, tickets, id=ticket_id).status == "approved"
    with pytest.raises(ConflictError):
        desk.resolve_uncertain(review.id, anna, version, "resend")


def test_an_uncertain_reply_that_arrived_is_in_the_thread(desk: Desk, anna: Agent) -> None:
    store = desk.store
    ticket_id = seed.uncertain(store, anna)
    decided = desk.resolve_uncertain(
        review_of(store, ticket_id).id, anna, version_of(store, ticket_id), "sent"
    )
    assert decided.version == version_of(store, ticket_id)
    assert one(store, tickets, id=ticket_id).status == "answered"
    assert one(store, replies, ticket_id=ticket_id).state == "sent"
    assert one(store, messages, ticket_id=ticket_id, direction="outbound").new_text.startswith("Hi Mia")


def test_a_desk_without_delivery_cannot_settle(store: Store, anna: Agent) -> None:
    ticket_id = seed.uncertain(store, anna)
    with pytest.raises(ConfigError):
        Desk(store).resolve_uncertain(
            review_of(store, ticket_id).id, anna, version_of(store, ticket_id), "sent"
        )
    assert review_of(store, ticket_id) is not None


def test_after_a_failed_sending_a_new_answer_withdraws_the_old_one(desk: Desk, anna: Agent) -> None:
    store = desk.store
    ticket_id = seed.ticket(store)
    desk.approve(review_of(store, ticket_id).id, anna, version_of(store, ticket_id))
    with store.write() as c:
        c.execute(replies.update().values(state="failed"))
        settling.to_a_person(c, ticket_id, "no such mailbox")
    desk.replace(review_of(store, ticket_id).id, anna, version_of(store, ticket_id), "Once more.")
    with store.read() as c:
        found = c.execute(sa.select(replies.c.text, replies.c.state).order_by(replies.c.id)).all()
    assert [(row.state, row.text == "Once more.") for row in found] == [
        ("withdrawn", False),
        ("waiting", True),
    ]


def test_notes_are_only_added_to(desk: Desk, anna: Agent, ben: Agent) -> None:
    ticket_id = seed.ticket(desk.store)
    review = review_of(desk.store, ticket_id)
    desk.note(review.id, anna, "asked the warehouse")
    desk.note(review.id, ben, "they are closed")
    desk.reject(review.id, ben, version_of(desk.store, ticket_id), "other", "too early")
    lines = one(desk.store, reviews, id=review.id).note.splitlines()
    assert [line.partition(", ")[2] or line for line in lines] == [
        "Anna: asked the warehouse", "ben@shop.example: they are closed", "too early",
    ]  # fmt: skip


def test_what_does_not_exist_is_told(desk: Desk, anna: Agent) -> None:
    with pytest.raises(NotFoundError, match="review 99"):
        desk.approve(99, anna, 1)
    with pytest.raises(NotFoundError, match="ticket 99"):
        desk.reopen(99, anna, 1)


def test_a_message_without_an_address_cannot_be_answered(desk: Desk, anna: Agent) -> None:
    ticket_id = seed.ticket(desk.store, address="not an address")
    review, version = review_of(desk.store, ticket_id), version_of(desk.store, ticket_id)
    with pytest.raises(InputError, match="no address"):
        desk.approve(review.id, anna, version)
    assert review_of(desk.store, ticket_id).state == "open"  # rolled back whole
    assert version_of(desk.store, ticket_id) == version


@pytest.mark.parametrize(
    ("reply_to", "to"),
    [
        ([], "mia@example.net"),
        ([{"name": "", "address": "orders@example.net"}], "orders@example.net"),
        ([{"address": "a@b.example"}, {"address": "c@d.example"}], "mia@example.net"),
        ([{"address": "help@shop.example"}], "mia@example.net"),
        ([{"address": "HELP+0a1b2c3d@shop.example"}], "mia@example.net"),  # the Reply-To of our own replies
        ([{"address": "x@y.example\r\nBcc: z@z.example"}], "mia@example.net"),
        ([{"address": "<x@y.example>"}], "mia@example.net"),
        ([{"address": None}], "mia@example.net"),
        ([{}], "mia@example.net"),
    ],
)
def test_reply_to_is_used_only_when_it_is_one_sound_address(reply_to: list[Any], to: str) -> None:
    assert answer_address(reply_to, "mia@example.net", ["Help@shop.example"]) == to


@pytest.mark.parametrize(
    ("subject", "answer"),
    [
        ("Order", "Re: Order"),
        ("Re: Order", "Re: Order"),
        ("AW: Bestellung", "AW: Bestellung"),
        ("re[2]: x", "re[2]: x"),
        ("", "Re:"),
        ("a\r\nBcc: b@c.example", "Re: a Bcc: b@c.example"),
        ("Regarding x", "Re: Regarding x"),
    ],
)
def test_the_subject_is_kept_behind_one_re(subject: str, answer: str) -> None:
    assert answer_subject(subject) == answer


def test_references_keep_the_first_and_the_newest() -> None:
    long = [f"{n}@x" for n in range(50)]
    found = answer_references(long, "last@x")
    assert len(found) == 20
    assert (found[0], found[-2], found[-1]) == ("0@x", "49@x", "last@x")
    assert answer_references(["a@x", "a@x"], None) == ["a@x"]


def test_a_ticket_is_assigned_to_who_may_see_it(desk: Desk, anna: Agent, ben: Agent) -> None:
    store = desk.store
    ticket_id = seed.ticket(store)
    version = version_of(store, ticket_id)
    sight.set_inboxes(store, ben.email, ["sales"])
    for nobody in (ben.email, "x@shop.example"):
        with pytest.raises(InputError, match="has no account here"):
            desk.assign(ticket_id, anna, version, nobody)
    sight.set_inboxes(store, ben.email, None)
    new = desk.assign(ticket_id, anna, version, " BEN@shop.example")
    assert version_of(store, ticket_id) == new == version + 1
    assert one(store, tickets, id=ticket_id).assignee_id == ben.id
    assert review_of(store, ticket_id).assignee_id == ben.id
    assert one(store, moves, ticket_id=ticket_id).why == "Anna assigned it to ben@shop.example"
    assert desk.assign(ticket_id, anna, new, ben.email) == new  # he has it already
    with pytest.raises(ConflictError, match="Anna assigned it to ben"):
        desk.assign(ticket_id, ben, version, "")
    desk.assign(ticket_id, ben, new, "")
    assert one(store, tickets, id=ticket_id).assignee_id is None


def test_spam_closes_the_ticket_and_marks_the_sender_until_it_is_reopened(desk: Desk, anna: Agent) -> None:
    store = desk.store
    first, second = seed.ticket(store, address="x@spam.example"), seed.ticket(store, address="x@spam.example")
    other = seed.ticket(store)
    decided = desk.spam(review_of(store, first).id, anna, version_of(store, first))
    assert (decided.action, decided.outcome) == ("spam", "unscorable")
    assert one(store, tickets, id=first).status == "closed"
    assert one(store, replies) is None
    assert [view(store, number).spam_before for number in (first, second, other)] == [None, first, None]
    assert one(store, tickets, id=second).status == "in_review"
    desk.reopen(first, anna, decided.version)
    assert view(store, second).spam_before is None


def test_a_reply_that_may_be_out_is_settled_before_it_is_spam(desk: Desk, anna: Agent) -> None:
    ticket_id = seed.uncertain(desk.store, anna)
    with pytest.raises(InputError, match="settle"):
        desk.spam(review_of(desk.store, ticket_id).id, anna, version_of(desk.store, ticket_id))


def test_what_is_typed_is_kept_until_it_is_sent(desk: Desk, anna: Agent, ben: Agent) -> None:
    store = desk.store
    ticket_id = seed.ticket(store)
    review = review_of(store, ticket_id)
    typed.keep(store, review.id, anna, "Half a")
    typed.keep(store, review.id, anna, "Half a sentence\r\n")
    typed.keep(store, review.id, anna, "Something else", instead=True)
    assert [(t.text, t.instead, t.open) for t in typed.of(store, ticket_id, anna)] == [
        ("Half a sentence\n", False, True), ("Something else", True, True),
    ]  # fmt: skip
    assert typed.of(store, ticket_id, ben) == ()
    typed.keep(store, review.id, anna, "", instead=True)
    draft = one(store, drafts, ticket_id=ticket_id).text
    typed.keep(store, review.id, anna, draft.replace("\n", "\r\n"))  # put back
    assert typed.of(store, ticket_id, anna) == ()
    typed.keep(store, review.id, anna, "A whole sentence.")
    decided = desk.edit(review.id, anna, version_of(store, ticket_id), "A whole sentence.")
    typed.keep(store, review.id, anna, "A whole sentence")  # a save that was still on its way
    assert typed.of(store, ticket_id, anna) == ()
    desk.withdraw(ticket_id, anna, decided.version)
    assert [t.text for t in typed.of(store, ticket_id, anna)] == ["A whole sentence."]


def test_what_was_typed_on_a_superseded_draft_is_a_note_on_the_next_row(
    desk: Desk, anna: Agent, ben: Agent
) -> None:
    store = desk.store
    ticket_id = seed.ticket(store)
    review = review_of(store, ticket_id)
    typed.keep(store, review.id, anna, "My careful\nwords")
    typed.keep(store, review.id, ben, "His words")
    with store.write() as c:
        supersede_open(c, ticket_id, "a newer message")
        move(c, ticket_id, Status.RECEIVED, who="intake", why="a newer message")
    assert [(t.text, t.open) for t in typed.of(store, ticket_id, anna)] == [("My careful\nwords", False)]
    typed.keep(store, review.id, anna, "My careful\nwords, and more")  # the page was still open
    with store.write() as c:
        move(c, ticket_id, Status.IN_REVIEW, who="triage", why="a person decides")
        open_review(c, ticket_id, "human_route", "A person decides.")
    note = review_of(store, ticket_id).note
    assert "Anna had typed, and not sent:\nMy careful\nwords, and more" in note
    assert "ben@shop.example had typed, and not sent:\nHis words" in note
    assert typed.of(store, ticket_id, anna) == ()


def test_the_loser_of_a_race_keeps_the_text_and_the_winner_none(desk: Desk, anna: Agent, ben: Agent) -> None:
    store = desk.store
    ticket_id = seed.ticket(store)
    review, version = review_of(store, ticket_id), version_of(store, ticket_id)
    typed.keep(store, review.id, ben, "Ben's words")
    desk.edit(review.id, anna, version, "Anna's words")
    typed.keep(store, review.id, ben, "Ben's last words", late=True)
    typed.keep(store, review.id, anna, "Anna's words", late=True)  # sent twice by a second click
    assert [t.text for t in typed.of(store, ticket_id, ben)] == ["Ben's last words"]
    assert typed.of(store, ticket_id, anna) == ()
    typed.forget(store, review.id, ben)
    assert typed.of(store, ticket_id, ben) == ()


def test_fields_are_put_right_in_the_readings_that_were_wrong(desk: Desk, anna: Agent) -> None:
    store = desk.store
    fields = {"order_numbers": [{"value": "4711"}, {"value": "12"}], "names": [{"value": "Mia"}]}
    ticket_id = seed.ticket(store, fields=fields)
    version = version_of(store, ticket_id)
    assert not correct_fields(store, ticket_id, anna, version, added=[("names", "Mia")])
    assert version_of(store, ticket_id) == version
    changed = {"removed": [("order_numbers", "12")], "added": [("invoice_numbers", " INV-1 ")]}
    assert correct_fields(store, ticket_id, anna, version, **changed)
    found = view(store, ticket_id)
    assert found.fields == {
        "order_numbers": [{"value": "4711"}], "names": [{"value": "Mia"}], "invoice_numbers": [{"value": "INV-1"}],
    }  # fmt: skip
    (row,) = found.corrections
    assert (row["field"], row["by_kind"], row["old"]) == ("fields", "agent", fields)
    assert found.moves[-1]["why"] == (
        "Anna corrected the fields: 12 is no order number; INV-1 is one of the invoice numbers"
    )
    with pytest.raises(ConflictError, match="corrected the fields"):
        correct_fields(store, ticket_id, anna, version, **changed)
    for name, value in (("shoe_size", "44"), ("names", " "), ("names", "x" * 201)):
        with pytest.raises(InputError):
            correct_fields(store, ticket_id, anna, version + 1, added=[(name, value)])


def test_a_correction_is_told_to_who_had_the_page_open(desk: Desk, anna: Agent) -> None:
    store = desk.store
    ticket_id = seed.ticket(store)
    version = version_of(store, ticket_id)
    correct(store, ticket_id, anna, version, {"urgency": "critical"}, {})
    at, later = since(store, ticket_id, version)
    assert at == version + 1
    assert [row["why"] for row in later] == ["Anna corrected urgency: normal is critical"]
    assert review_of(store, ticket_id).urgency_order == 0
    assert since(store, ticket_id, at) == (at, ())
