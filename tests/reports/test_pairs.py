"""The ten most rewritten pairs, in their order, with what was sent and what differs."""

from __future__ import annotations

from typing import Any

from pipeline.db.store import Store
from pipeline.db.tables import agents, replies, reviews
from pipeline.reports.pairs import LONGEST, Pair, Piece, heading, pairs
from pipeline.review.diff import diff
from tests.reports.conftest import Seed, hour


def found(store: Store, limit: int = 10, **only: str) -> tuple[Pair, ...]:
    with store.read() as connection:
        return pairs(connection, hour(0), hour(168), diff, only, limit)


def change(seed: Seed, review: int, **values: Any) -> None:
    seed.connection.execute(reviews.update().where(reviews.c.id == review).values(**values))


def reply(seed: Seed, ticket: int, review: int, message: int, text: str, state: str = "sent") -> None:
    seed.connection.execute(
        replies.insert().values(
            ticket_id=ticket, review_id=review, answers_id=message, agent_id=1, text=text, state=state,
            message_id=f"{review}@shop.example", to_address="a@b.example", subject="Re", created_at=hour(9),
        )
    )  # fmt: skip


def fill(store: Store) -> dict[str, int]:
    """Two rewritten, one replaced, one rejected and answered later, one rejected for good; and others."""
    with store.write() as connection:
        connection.execute(
            agents.insert().values(id=1, email="ann@shop.example", role="agent", created_at=hour(-100))
        )
        seed = Seed(connection)
        names = {}
        for name, at, outcome, values in (
            ("some", 5, "rewritten", {"edit_share": 0.7, "sent_text": "Hello you."}),
            ("most", 2, "rewritten", {"edit_share": 0.9, "hter": 1.5, "sent_text": "Goodbye."}),
            ("replaced", 3, "replaced", {"sent_text": "Quite another answer."}),
            ("answered", 4, "rejected", {"reject_reason": "wrong_facts", "note": "no such plan"}),
            ("closed", 1, "rejected", {"reject_reason": "not_needed"}),
            ("fine", 6, "as_is", {"edit_share": 0.0, "sent_text": "Hello."}),
            ("before", -1, "rewritten", {"edit_share": 1.0, "sent_text": "No."}),
            ("after", 168, "rewritten", {"edit_share": 1.0, "sent_text": "No."}),
        ):
            language = "de" if name == "some" else "en"
            ticket, review = seed.judged(hour(at), outcome, language=language)
            change(seed, review, **values)
            names[name] = review
            if name == "answered":
                message = ticket  # one message a ticket: the two count alike
                for n, (state, text) in enumerate((("withdrawn", "Oh"), ("waiting", "Right."))):
                    later = seed.review(ticket, hour(8 + n), reason="human_route")
                    reply(seed, ticket, later, message, text, state)
    return names


def test_the_most_rewritten_come_first_then_the_replaced_then_the_rejected(store: Store) -> None:
    names = fill(store)
    got = found(store)
    assert [pair.review_id for pair in got] == [
        names[name] for name in ("most", "some", "replaced", "answered", "closed")
    ]
    most = got[0]
    assert most.pieces == (Piece("removed", "Hello"), Piece("added", "Goodbye"), Piece("same", "."))
    assert (most.draft, most.sent, most.topic, most.model) == ("Hello.", "Goodbye.", "billing", "mini")
    assert (most.prompt, most.route, most.outcome) == ("routine aaaaaaaa", "cheap", "rewritten")
    assert ": rewritten, 90% changed (HTER 1.50); billing, " in heading(most)
    assert ": replaced; billing, " in heading(got[2])
    answered, closed = got[3:]
    assert (answered.reject_reason, answered.note, answered.sent) == ("wrong_facts", "no such plan", "Right.")
    assert (closed.reject_reason, closed.sent, closed.pieces) == ("not_needed", None, ())
    assert [pair.review_id for pair in found(store, 3)] == [p.review_id for p in got[:3]]


def test_filters_narrow_the_pairs_and_long_texts_are_cut(sqlite_store: Store) -> None:
    names = fill(sqlite_store)
    (only,) = found(sqlite_store, language="de")
    assert only.review_id == names["some"]
    with sqlite_store.write() as connection:
        change(Seed(connection), names["some"], sent_text="word " * 9_000)
    (only,) = found(sqlite_store, language="de")
    assert only.sent is not None
    assert len(only.sent) == LONGEST
    assert "".join(piece.text for piece in only.pieces if piece.kind != "removed") == only.sent
