import pytest
import sqlalchemy as sa

from pipeline.db.store import Store
from pipeline.db.tables import mentions, reviews
from pipeline.db.types import now
from pipeline.errors import InputError
from pipeline.review import notes, sight
from pipeline.review.agents import Agent, add, disable
from tests.web import seed


def review_of(store: Store, ticket_id: int) -> int:
    with store.read() as c:
        return int(c.execute(sa.select(reviews.c.id).where(reviews.c.ticket_id == ticket_id)).scalar_one())


@pytest.mark.parametrize(
    ("text", "called"),
    [
        ("@anna please look", ["anna"]), ("@Anna, @ben: look.", ["anna", "ben"]), ("@AnnaWeiss!", ["anna"]),
        ("ask @lea@shop.example.", ["lea"]), ("@anna @anna", ["anna"]), ("write to anna@shop.example", []),
        ("@nobody", []), ("@", []), ("an@anna", []), ("(@ben)", ["ben"]),
    ],
)  # fmt: skip
def test_a_name_calls_who_it_fits(text: str, called: list[str]) -> None:
    people = [
        Agent(1, "anna@shop.example", "Anna Weiss", "agent"),
        Agent(2, "ben@shop.example", "", "agent"),
        Agent(3, "lea@shop.example", "Lea Rossi", "lead"),
    ]
    assert [one.email.split("@")[0] for one in notes.called_in(text, people)] == called


def test_a_name_that_fits_two_calls_nobody() -> None:
    two = [Agent(1, "anna@a.example", "Anna A", "agent"), Agent(2, "anna@b.example", "Anna B", "agent")]
    assert notes.called_in("@anna", two) == []
    assert notes.called_in("@anna@b.example", two) == [two[1]]


def test_a_mention_waits_until_it_is_seen(store: Store) -> None:
    people = seed.people(store)
    ticket_id = seed.ticket(store, subject="A parcel")
    review_id = review_of(store, ticket_id)
    assert notes.leave(store, review_id, people["ben"], "@anna and @ben: known?") == (people["anna"],)
    assert (notes.waiting(store, people["anna"]), notes.waiting(store, people["ben"])) == (1, 0)
    (one,) = notes.mentions_of(store, people["anna"])
    assert (one.ticket_id, one.subject, one.by, one.text) == (
        ticket_id, "A parcel", "ben@shop.example", "@anna and @ben: known?",
    )  # fmt: skip
    notes.seen(store, people["anna"], ticket_id + 1)  # another ticket's
    assert notes.waiting(store, people["anna"]) == 1
    notes.seen(store, people["anna"], ticket_id)
    assert notes.waiting(store, people["anna"]) == 0
    assert notes.mentions_of(store, people["anna"])[0].seen_at is not None


def test_who_may_not_see_the_ticket_is_not_called_nor_told_of_it_later(store: Store) -> None:
    people = seed.people(store)
    gone = add(store, "gone@shop.example", "agent")
    disable(store, gone.email)
    ticket_id = seed.ticket(store, inbox="sales")
    review_id = review_of(store, ticket_id)
    sight.set_inboxes(store, people["ben"].email, ["support"])
    with store.read() as c:
        assert [one.email for one in notes.colleagues(c, ticket_id)] == [
            "ada@shop.example", "anna@shop.example", "lea@shop.example",
        ]  # fmt: skip
    for name in ("ben", "Ben@shop.example"):
        with pytest.raises(InputError, match=rf"^@{name.lower()} does not see this inbox"):
            notes.leave(store, review_id, people["lea"], f"@anna, and @{name}: known?")
    assert notes.leave(store, review_id, people["lea"], "@gone @anna") == (people["anna"],)
    sight.set_inboxes(store, people["anna"].email, ["support"])
    assert notes.waiting(store, people["anna"]) == 0
    assert notes.mentions_of(store, people["anna"]) == ()
    with store.read() as c:
        assert c.execute(sa.select(mentions.c.agent_id)).scalars().all() == [people["anna"].id]
        note = c.execute(sa.select(reviews.c.note)).scalar_one()
    assert "ben" not in note  # what was refused is on no row


def test_no_line_of_a_note_passes_for_a_note_of_somebody_else(sqlite_store: Store) -> None:
    people = seed.people(sqlite_store)
    review_id = review_of(sqlite_store, seed.ticket(sqlite_store))
    notes.leave(
        sqlite_store, review_id, people["anna"], "Look.\n2026-11-23 08:00 UTC, Lea Rossi: refund it all"
    )
    with sqlite_store.read() as c:
        lines = str(c.execute(sa.select(reviews.c.note)).scalar_one()).split("\n")
    assert [line[:4] for line in lines] == [f"{now():%Y}", "  20"]


def test_a_note_that_is_too_long_is_refused_and_not_cut(sqlite_store: Store) -> None:
    people = seed.people(sqlite_store)
    review_id = review_of(sqlite_store, seed.ticket(sqlite_store))
    notes.leave(sqlite_store, review_id, people["anna"], "x" * notes.LONGEST)
    with pytest.raises(InputError, match=r"at most 2,000 characters; this one has 2,001"):
        notes.leave(sqlite_store, review_id, people["anna"], "x" * (notes.LONGEST + 1))


def test_an_empty_note_is_refused(store: Store) -> None:
    people = seed.people(store)
    review_id = review_of(store, seed.ticket(store))
    with pytest.raises(InputError):
        notes.leave(store, review_id, people["anna"], " \n ")
