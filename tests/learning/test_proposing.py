"""What the week's edits speak for: facts, phrases, a threshold; proposed once, with a replay, kept or dropped."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipeline.assembly import Parts
from pipeline.db.tables import agents as accounts
from pipeline.db.tables import weekly_reports
from pipeline.errors import ConflictError
from pipeline.learning import proposals
from pipeline.learning.curves import stored_curve
from pipeline.learning.facts import supported
from pipeline.learning.proposing import found_in, propose, propose_due
from pipeline.learning.trying import try_table
from pipeline.review import agents, audit
from tests.kit.live import close, live_parts
from tests.learning.conftest import DRAFT, FACT, LAST, SENT, added, edited
from tests.reports.conftest import WEEK, Seed, hour


def titles(parts: Parts) -> list[str]:
    return [draft.title for draft in found_in(parts, LAST)]


def test_a_fact_that_agents_add_is_proposed_with_its_pairs_and_its_effect(parts: Parts) -> None:
    reviews = added(parts.store, FACT)
    reviews.append(
        edited(
            parts.store, DRAFT.format(name="Kim"), SENT.format(name="Kim", more=FACT.replace("take", "need")),
            customer="d@mail.example", at=20,
        )
    )  # fmt: skip
    (id,) = propose(parts, LAST)
    found = proposals.one(parts.store, id)
    assert (found.kind, found.file, found.state) == ("fact", "policy.md", "open")
    assert found.content["text"] == FACT
    assert list(found.evidence) == reviews
    effect = found.effect
    assert (effect["drafts"], effect["closer"], effect["farther"]) == (4, 4, 0)
    assert effect["edit_share_after"] < 0.05 < effect["edit_share_before"]
    pair = proposals.pairs(parts.store, found)[0]
    assert [piece.text.strip() for piece in pair.pieces if piece.kind == "added"] == [FACT]
    assert propose(parts, LAST) == []  # never twice
    assert len(proposals.every(parts.store)) == 1


@pytest.mark.parametrize(
    ("more", "values"),
    [
        (FACT, {"tickets": 2}),
        (FACT, {"customers": 1}),
        ("Devices may be returned within 30 days of delivery.", {}),  # the policy says it
        ("Your order LF-20125 left our warehouse in Hamburg.", {}),
        ("Please write to jo@mail.example for the label.", {}),
        ("Thank you, Kim, for the photo of the parcel.", {}),
        ("The colour Ultramarine is sold out until spring.", {"fields": {"names": [{"value": "Ultramarine"}]}}),
        ("I have looked at your case in the morning.", {}),
        ("Could you send us a photo of the parcel?", {}),
    ],
)  # fmt: skip
def test_what_is_rare_known_personal_or_no_fact_is_not_proposed(
    parts: Parts, more: str, values: dict[str, object]
) -> None:
    added(parts.store, more, **values)  # type: ignore[arg-type]
    assert titles(parts) == []


def test_the_same_words_with_other_figures_are_another_fact(parts: Parts) -> None:
    for n, days in enumerate((3, 6, 9)):
        more = f"Parcels to Norway take {days} working days."
        edited(parts.store, DRAFT, SENT.replace("{more}", more), customer=f"c{n}@mail.example", at=10 + n)
    assert titles(parts) == []
    assert not supported("Returns within 60 days of delivery.", ["Returns within 30 days of delivery."])


def test_a_phrase_that_agents_exchange_is_proposed_per_prompt_and_language(parts: Parts) -> None:
    draft = "Hi,\n\nWe are processing your inquiry at this time. It takes a while.\n\nBest,\nThe Shop"
    sent = draft.replace("processing your inquiry", "looking at your question")
    for n in range(3):
        edited(parts.store, draft, sent, customer=f"c{n}@mail.example", at=10 + n)
    edited(parts.store, draft, sent, customer="t@mail.example", at=20, source="template")
    (made,) = found_in(parts, LAST)
    assert (made.kind, made.file) == ("phrase", "prompts/draft/strong.md")
    assert made.content == {
        "old": "processing your inquiry", "new": "looking at your question", "language": "en",
    }  # fmt: skip
    assert (made.effect["closer"], made.effect["farther"], made.effect["edit_share_after"]) == (3, 0, 0)
    for n in range(3):  # as many agents let it stand: no preference of the team's
        edited(parts.store, draft, draft, customer=f"e{n}@mail.example", at=30 + n)
    assert titles(parts) == []


def unsure_drafts(parts: Parts, rewritten: Callable[[int], bool]) -> None:
    """30 unsure cheap drafts, some of them rewritten; 45 surer ones and 15 strong ones sent as they were."""
    uncalibrated = {"model": "gpt-6-luna", "calibrated": False}
    with parts.store.write() as connection:
        seed = Seed(connection)
        for n in range(90):
            unsure = n < 30
            route = "strong" if n >= 75 else "cheap"
            ticket, at = seed.ticket(hour(n)), hour(n)
            message = seed.message(ticket, at)
            confidence = 0.7 if route == "strong" else 0.82 if unsure else 0.95
            seed.triage(ticket, message, at, confidence=confidence, route=route, **uncalibrated)
            made = seed.draft(
                ticket, message, at, route=route, task="draft" if route == "strong" else "routine"
            )
            outcome = "rewritten" if unsure and rewritten(n) else "as_is"
            seed.review(
                ticket, at, draft_id=made, decided_at=at, decided_by=1, action="edit", outcome=outcome
            )
            for task in ("triage", "draft" if route == "strong" else "routine"):
                seed.call(at, task=task, input_tokens=1000, output_tokens=100)


def test_a_threshold_moves_where_the_cheap_drafts_below_it_fail(parts: Parts) -> None:
    unsure_drafts(parts, lambda n: n % 3 != 0)
    (made,) = found_in(parts, LAST)
    assert made.content == {"key": "confidence_below_uncalibrated", "old": 0.80, "new": 0.85}
    assert made.effect["moved"] == 30
    assert (made.effect["own"]["count"], made.effect["own"]["of"]) == (20, 30)
    assert (made.effect["there"]["count"], made.effect["there"]["of"]) == (0, 15)
    assert float(made.effect["change_usd"]) > 0


def test_a_threshold_stays_where_the_intervals_overlap(parts: Parts) -> None:
    """8 of 30 (14% to 44%) against 0 of 15 (0% to 20%): too few to tell."""
    unsure_drafts(parts, lambda n: n % 4 == 0)
    assert titles(parts) == []


def test_a_dismissed_proposal_comes_back_when_its_evidence_has_doubled(parts: Parts) -> None:
    added(parts.store, FACT)
    (id,) = propose(parts, LAST)
    proposals.decide(parts.store, id, "dismissed")
    assert propose(parts, LAST) == []
    for n in range(2):
        edited(parts.store, DRAFT, SENT.replace("{more}", FACT), customer=f"x{n}@mail.example", at=40 + n)
    assert propose(parts, LAST) == []
    edited(parts.store, DRAFT, SENT.replace("{more}", FACT), customer="y@mail.example", at=50)
    assert propose(parts, LAST) == [id]
    back = proposals.one(parts.store, id)
    assert (back.state, len(back.evidence)) == ("open", 6)


def test_a_decision_is_audited_and_two_people_do_not_overrun_each_other(parts: Parts) -> None:
    added(parts.store, FACT)
    (id,) = propose(parts, LAST)
    lea = agents.add(parts.store, "lea@shop.example", role="lead")
    assert proposals.decide(parts.store, id, "approved", lea, seen="open").state == "approved"
    with pytest.raises(ConflictError, match="meanwhile"):
        proposals.decide(parts.store, id, "dismissed", seen="open")
    with pytest.raises(ConflictError, match="already"):
        proposals.decide(parts.store, id, "approved")
    assert ("agent:lea@shop.example", "approved a proposal") in [
        row[1:3] for row in audit.newest(parts.store)
    ]


def test_the_schedule_proposes_once_for_each_written_week(parts: Parts) -> None:
    added(parts.store, FACT)
    assert propose_due(parts, None) is None
    assert proposals.every(parts.store) == []
    with parts.store.write() as connection:
        values = {"week": WEEK, "zone": "UTC", "made_at": hour(170), "outcomes": {}, "document": {}}
        connection.execute(weekly_reports.insert().values(values))
    assert propose_due(parts, None) == WEEK
    assert len(proposals.every(parts.store)) == 1
    assert propose_due(parts, WEEK) == WEEK


def test_proposals_and_replays_on_postgresql(tmp_path: Path, postgres_url: str) -> None:
    parts = live_parts(tmp_path, postgres_url)
    try:
        with parts.store.write() as connection:
            seed = Seed(connection)
            connection.execute(
                accounts.insert().values(id=1, email="a@shop.example", role="agent", created_at=hour(-1))
            )
            seed.call(hour(1), task="triage", input_tokens=801, output_tokens=100)
            seed.call(hour(2), task="draft", input_tokens=1001, output_tokens=100)
        added(parts.store, FACT)
        with ThreadPoolExecutor(2) as pool:  # two schedulers
            made = list(pool.map(lambda _: propose(parts, LAST), range(2)))
        assert sorted(map(len, made)) == [0, 1]
        (found,) = proposals.every(parts.store)
        proposals.decide(parts.store, found.id, "dismissed")
        assert propose(parts, LAST) == []
        result = try_table(parts.store, parts.routes, parts.routes, hour(0), hour(168))
        assert (result.messages, result.change_usd is not None) == (3, True)
        assert stored_curve(parts.store, parts.routes, hour(0), hour(168)).judged == 3
    finally:
        close(parts)
