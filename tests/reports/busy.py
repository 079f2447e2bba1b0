"""A week in which everything happened that the report counts beside the outcomes, with its figures beside it."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

from pipeline.db.store import Store
from pipeline.db.tables import (
    agents,
    comparisons,
    corrections,
    moves,
    raw_messages,
    replies,
    reviews,
    second_reads,
    shadows,
    spend,
    triages,
    typed_texts,
)
from tests.reports.conftest import Seed, hour

STRONG = {"route": "strong", "task": "draft", "model": "big", "topic": "refund", "prompt": "ccccccccdddd"}


def fill(store: Store) -> None:
    """2026-W47 in UTC; the comments give what each row adds."""
    with store.write() as connection:
        seed = Seed(connection)
        for number, name in ((1, "ann"), (2, "bob")):
            connection.execute(
                agents.insert().values(
                    id=number, email=f"{name}@shop.example", role="agent", created_at=hour(-999)
                )
            )
        _judged(seed)
        _asked_for(seed)
        _came_back(seed)
        _looked_at(seed)
        _around(seed)


def change(seed: Seed, review: int, **values: Any) -> None:
    seed.connection.execute(reviews.update().where(reviews.c.id == review).values(**values))


def _judged(seed: Seed) -> None:
    """Strong: 5 reviewed, 3 marked, 2 short, 4 either; cheap: 3 of 4 rewritten, replaced or rejected."""
    marked = {"escalated_for_nothing": True}
    change(seed, seed.judged(hour(1), "as_is", **STRONG)[1], **marked)  # both
    seed.judged(hour(2), "as_is", **STRONG)  # short
    change(seed, seed.judged(hour(3), "as_is", text="x" * 401, **STRONG)[1], **marked)
    seed.judged(hour(4), "as_is", text="x" * 401, **STRONG)  # neither
    change(seed, seed.judged(hour(5), "light", text="x" * 401, **STRONG)[1], **marked)
    change(seed, seed.judged(hour(6), "unscorable", **STRONG)[1], **marked)  # not reviewed: counts nowhere
    change(seed, seed.judged(hour(-6), "as_is", **STRONG)[1], **marked)  # last week
    for n, outcome in enumerate(("rewritten", "replaced", "rejected", "heavy")):
        seed.judged(hour(7 + n), outcome, language="de")


def _asked_for(seed: Seed) -> None:
    """1 regenerated, 1 refined, 1 pair compared; 3 gave way; none of them was reviewed but the pair's right."""
    ticket = seed.ticket(hour(20))
    message = seed.message(ticket, hour(20))
    first = seed.draft(ticket, message, hour(20), superseded_at=hour(21))
    second = seed.draft(ticket, message, hour(21), superseded_at=hour(22), asked_by=1)
    third = seed.draft(ticket, message, hour(22), asked_by=1, refines_id=second)
    seed.review(ticket, hour(20), draft_id=third, decided_at=hour(23), action="edit", outcome="light")
    seed.draft(ticket, message, hour(-1), asked_by=1)  # last week, still good
    assert first < second < third

    ticket = seed.ticket(hour(24))
    message = seed.message(ticket, hour(24))
    left = seed.draft(ticket, message, hour(24), superseded_at=hour(25), asked_by=1)
    right = seed.draft(ticket, message, hour(24), asked_by=1)
    seed.review(ticket, hour(24), draft_id=right, decided_at=hour(26), action="edit", outcome="light")
    seed.connection.execute(
        comparisons.insert().values(
            ticket_id=ticket, left_id=left, right_id=right, asked_by=1, chosen_id=right, created_at=hour(24)
        )
    )


def _came_back(seed: Seed) -> None:
    """4 replies reopened, 1 of them routine, 2 by an angrier customer."""
    comes_back(seed, sent=20, again=30, after="angry")  # routine, angrier
    comes_back(seed, sent=-100, again=10, came_from="closed", **STRONG)
    comes_back(seed, sent=-159, again=10)  # 169 hours later: too late
    comes_back(seed, sent=20, again=26, outcome="replaced", after="worried")  # not routine, angrier
    comes_back(seed, sent=-148, again=20, before="frustrated", after="worried", **STRONG)  # 168 hours
    comes_back(seed, sent=20, again=27, kind="auto_reply")  # no person
    comes_back(seed, sent=20, again=28, went_to="in_review")  # an agent brought it back
    comes_back(seed, sent=20, again=19)  # the message was there before the reply went out
    comes_back(seed, sent=20, again=170)  # next week


def comes_back(
    seed: Seed,
    *,
    sent: float,
    again: float,
    outcome: str = "as_is",
    before: str = "calm",
    after: str = "calm",
    kind: str = "person",
    came_from: str = "answered",
    went_to: str = "received",
    **draft: Any,
) -> None:
    """A ticket judged a minute before its reply went out, and a message on it at `again`."""
    ticket, review = seed.judged(hour(sent) - timedelta(minutes=1), outcome, **draft)
    first = seed.connection.execute(triages.select().where(triages.c.ticket_id == ticket)).one()
    seed.connection.execute(triages.update().where(triages.c.id == first.id).values(emotion=before))
    seed.connection.execute(
        replies.insert().values(
            ticket_id=ticket,
            review_id=review,
            answers_id=first.message_id,
            agent_id=1,
            message_id=f"r{review}@shop.example",
            to_address="a@b.example",
            subject="Re",
            text="Hello",
            state="sent",
            created_at=hour(sent),
            sent_at=hour(sent),
        )
    )
    message = seed.message(ticket, hour(again), kind=kind)
    if kind == "person":
        seed.triage(ticket, message, hour(again), emotion=after)
    seed.connection.execute(
        moves.insert().values(
            ticket_id=ticket,
            from_status=came_from,
            to_status=went_to,
            version=9,
            who="ingest:support",
            why="a newer message arrived",
            at=hour(again) + timedelta(seconds=1),
        )
    )


def _looked_at(seed: Seed) -> None:
    """Of the approvals 1 quick, 1 unseen; 3 second reads asked, 3 read, 1 agreed; 2 edits abandoned."""
    for seconds in (4.9, 5.0):
        _ticket, review = seed.judged(hour(50), "as_is")
        change(seed, review, first_viewed_at=hour(50) - timedelta(seconds=seconds))
    _ticket, review = seed.judged(hour(51), "as_is")
    change(seed, review, first_viewed_at=None)
    for asked, read, verdict in (
        (52, 53, "as_is"),
        (52, 54, "rewritten"),
        (52, None, None),
        (-9, 55, "light"),
        (-9, -8, "as_is"),
    ):
        ticket, review = seed.judged(hour(asked) - timedelta(hours=1), "as_is")
        seed.connection.execute(
            second_reads.insert().values(
                review_id=review,
                ticket_id=ticket,
                first_by=1,
                asked_at=hour(asked),
                read_by=2 if read else None,
                read_at=hour(read) if read else None,
                verdict=verdict,
            )
        )

    def typed(review: int) -> None:
        seed.connection.execute(
            typed_texts.insert().values(
                review_id=review, agent_id=2, instead=False, text="Dear", saved_at=hour(60)
            )
        )

    typed(seed.judged(hour(60), "as_is")[1])  # somebody else decided it
    ticket = seed.ticket(hour(61))
    typed(seed.review(ticket, hour(61), reason="budget", state="open"))  # still being typed
    old = seed.ticket(hour(-61))
    typed(seed.review(old, hour(-61), reason="budget", decided_at=hour(-60), action="close"))  # last week
    note = "2026-11-18 14:00 UTC, bob had typed, and not sent:\nDear"
    ticket = seed.ticket(hour(62))
    seed.review(ticket, hour(62), reason="loop_cap", note=note, decided_at=hour(63), action="close")


def _around(seed: Seed) -> None:
    """Calls with second tries and caps, corrections, a sample of kept messages, mail in quarantine."""
    ticket = seed.ticket(hour(70))
    reading = seed.triage(
        ticket, seed.message(ticket, hour(70)), hour(70), reasons=["unsure: 0.5"], route="strong"
    )
    for name, kind in (("topic", "agent"), ("topic", "model"), ("language", "check")):
        seed.connection.execute(
            corrections.insert().values(
                ticket_id=ticket, triage_id=reading, field=name, by_kind=kind, by_name="x", at=hour(71)
            )
        )
    for n, missed in enumerate((True, False)):
        kept = seed.triage(ticket, seed.message(ticket, hour(72 + n)), hour(72 + n))
        call = seed.call(hour(72), task="shadow", cost_usd=Decimal("0.02"))
        seed.connection.execute(
            shadows.insert().values(
                ticket_id=ticket, triage_id=kept, call_id=call, topic="billing", language="en",
                route="strong", model="big", missed=missed, created_at=hour(73),
            )
        )  # fmt: skip
    scopes = ["day:2026-11-19", "inbox:support:2026-11-19", "month:2026-11", "route:cheap:2026-11-19",
              "task:routine:2026-11-19", "week:2026-W47"]  # fmt: skip
    paid = {"scopes": scopes, "cost_usd": Decimal("0.05"), "ticket_id": ticket}
    for role in ("retry", "retry", "repair", "backup"):
        seed.call(hour(80), role=role, **paid)
    seed.call(hour(80), role="backup", state="not_called", error_kind="budget", cost_usd=Decimal(0))
    seed.call(hour(80), state="failed", error_kind="timeout", cost_usd=Decimal("0.01"))
    seed.call(hour(-1), role="retry", cost_usd=Decimal(9))
    for scope in (*scopes, "route:cheap:2026-11-25"):
        seed.connection.execute(
            spend.insert().values(scope=scope, spent_usd=Decimal("0.20"), reserved_usd=0, updated_at=hour(80))
        )
    for n, state in enumerate(("quarantined", "duplicate", "duplicate")):
        seed.connection.execute(
            raw_messages.insert().values(
                inbox="support", format="rfc822", sha256=f"s{n}", size=3, body=b"xyz",
                received_at=hour(3), state=state, reason="broken",
            )
        )  # fmt: skip
