"""What an agent did becomes a row of the prompt's cases: redacted, taken by the evaluation's reader, kept once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from pipeline.assembly import Parts
from pipeline.db.tables import messages, proposals, reviews, tickets
from pipeline.drafting import rubric
from pipeline.errors import ConflictError, InputError, NotFoundError
from pipeline.evaluation.triage_cases import read_triage_cases
from pipeline.learning import cases
from pipeline.review.agents import Agent
from pipeline.review.corrections import correct
from tests.kit.live import close, live_parts
from tests.web import seed

PRIVATE = ("mia.jones@private.example", "+44 20 7946 0018", "Mia Jones", "Mia")
TEXT = (
    "Hello,\n\nwhere is my order 4711? Write to mia.jones@private.example or call +44 20 7946 0018.\n\n"
    "Kind regards\nMia Jones"
)
DRAFT = "Hi Mia,\n\nYour order 4711 will arrive by Friday and we will refund you 12.00 EUR.\n\nThe Shop"
SENT = (
    "Hello Mia,\n\nyour order 4711 is late; you can follow it at https://track.shop.example/4711.\n\nThe Shop"
)


@pytest.fixture
def parts(tmp_path: Path, sqlite_url: str) -> Iterator[Parts]:
    parts = live_parts(tmp_path / "home", sqlite_url)
    yield parts
    close(parts)


def row_of(parts: Parts, ticket_id: int) -> Any:
    with parts.store.read() as c:
        return c.execute(
            sa.select(reviews.c.id, tickets.c.version, messages.c.id.label("message_id"))
            .join(tickets, tickets.c.id == reviews.c.ticket_id)
            .join(messages, messages.c.ticket_id == tickets.c.id)
            .where(tickets.c.id == ticket_id, messages.c.direction == "inbound")
        ).first()


def judged(parts: Parts, people: dict[str, Agent], sent: str = SENT, **values: Any) -> int:
    ticket_id = seed.ticket(parts.store, **({"text": TEXT, "draft": DRAFT, "name": "Mia Jones"} | values))
    row = row_of(parts, ticket_id)
    parts.desk.edit(row.id, people["anna"], row.version, sent)
    return int(row.id)


def in_file(parts: Parts, tmp_path: Path, task: str, line: str) -> Path:
    path = tmp_path / "cases.jsonl"
    there = (parts.prompts.folder / task / "cases.jsonl").read_text(encoding="utf-8")
    path.write_text(f"{there.rstrip()}\n{line}\n", encoding="utf-8")
    return path


def test_an_edited_draft_becomes_a_redacted_case_of_its_prompt(parts: Parts, tmp_path: Path) -> None:
    people = seed.people(parts.store)
    review_id = judged(parts, people)
    offer = cases.of_review(parts, review_id)
    assert (offer.task, offer.file, offer.kept) == ("routine", "prompts/routine/cases.jsonl", False)
    assert not [word for word in PRIVATE if word in offer.text]
    assert {"1 email", "1 phone"} <= set(offer.hidden)
    case = json.loads(offer.text)
    assert case["rubric"]["language"] == "en"
    assert case["rubric"]["must_not_promise"] == ["deadline", "refund"]
    assert any("track" in wanted for wanted in case["rubric"]["must_mention"])
    assert any("12" in wanted for wanted in case["rubric"]["must_not_mention"])
    # the agent's own text passes what is asked of a draft, the model's does not
    (held,) = [one for one in rubric.read_cases(in_file(parts, tmp_path, "routine", json.dumps(case)))
               if one.id == f"review-{review_id}"]  # fmt: skip
    assert rubric.failures(held, SENT) == []
    assert rubric.failures(held, DRAFT) != []


def test_a_confirmed_case_is_an_approved_proposal_and_is_kept_once(parts: Parts, tmp_path: Path) -> None:
    people = seed.people(parts.store)
    offer = cases.of_review(parts, judged(parts, people))
    edited = json.loads(offer.text)
    edited["why"] = "said so by Lea"
    cases.keep(parts, offer, people["lea"], json.dumps(edited))
    with parts.store.read() as c:
        row = c.execute(sa.select(proposals)).one()
    assert (row.kind, row.state, row.decided_by) == ("case", "approved", people["lea"].id)
    assert (row.file, row.evidence) == (offer.file, [offer.review_id])
    (kept,) = [one for one in rubric.read_cases(in_file(parts, tmp_path, "routine", row.content["line"]))
               if one.id == offer.id]  # fmt: skip
    assert kept.why == "said so by Lea"
    assert cases.of_review(parts, offer.review_id or 0).kept
    with pytest.raises(ConflictError):
        cases.keep(parts, offer, people["ada"], offer.text)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda case: case | {"rubric": {"language": "en"}}, "max_words"),
        (lambda case: case | {"extra": 1}, "no such key"),
        (lambda case: case | {"id": "order-with-number-en"}, "is there twice"),
        (lambda case: case | {"rubric": case["rubric"] | {"must_ask": ["("]}}, "no regular expression"),
        (lambda case: case | {"why": "ask mia.jones@private.example"}, "looks like an email"),
        (lambda _case: [1], "one JSON object"),
    ],
)
def test_a_row_that_would_not_do_is_refused_in_words(parts: Parts, change: Any, words: str) -> None:
    people = seed.people(parts.store)
    offer = cases.of_review(parts, judged(parts, people))
    with pytest.raises(InputError, match=words) as refused:
        cases.keep(parts, offer, people["lea"], json.dumps(change(json.loads(offer.text))))
    assert "/tmp" not in str(refused.value)
    with parts.store.read() as c:
        assert c.execute(sa.select(proposals)).first() is None


@pytest.mark.parametrize(
    ("text", "words"),
    [("[" * 9000, "no JSON"), ('{"a":' * 3000, "no JSON"), ('{"id": "\\ud800"}', "no character")],
)
def test_a_text_that_no_reader_can_take_is_refused_in_words(parts: Parts, text: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        cases.checked(parts, "draft", text)


def test_what_is_not_personal_may_stay_if_a_person_says_so(parts: Parts) -> None:
    people = seed.people(parts.store)
    offer = cases.of_review(parts, judged(parts, people))
    text = json.dumps(json.loads(offer.text) | {"why": "they must write to press@shop.example"})
    assert cases.keep(parts, offer, people["lea"], text, not_personal=True)


def test_a_rejected_draft_makes_a_case_too_and_an_unjudged_one_none(parts: Parts) -> None:
    people = seed.people(parts.store)
    ticket_id = seed.ticket(parts.store, route="strong", draft=DRAFT)
    row = row_of(parts, ticket_id)
    with pytest.raises(InputError, match="nobody judged"):
        cases.of_review(parts, row.id)
    parts.desk.reject(row.id, people["anna"], row.version, "promised_too_much", "no refunds by mail")
    offer = cases.of_review(parts, row.id)
    assert offer.task == "draft"
    case = json.loads(offer.text)
    assert case["why"] == "an agent rejected the draft: promised too much (no refunds by mail)"
    assert case["rubric"]["must_not_promise"] == ["deadline", "refund"]
    with pytest.raises(NotFoundError):
        cases.of_review(parts, 99)


def test_a_corrected_reading_becomes_a_case_of_triage(parts: Parts, tmp_path: Path) -> None:
    people = seed.people(parts.store)
    ticket_id = seed.ticket(parts.store, text=TEXT, name="Mia Jones", topic="billing")
    row = row_of(parts, ticket_id)
    teams = {name: topic.team for name, topic in parts.routes.topics.items()}
    correct(parts.store, ticket_id, people["anna"], row.version, {"topic": "order_shipping"}, teams)
    offer = cases.of_message(parts, row.message_id)
    assert not [word for word in PRIVATE if word in offer.text]
    path = in_file(parts, tmp_path, "triage", json.dumps(json.loads(offer.text)))
    (case,) = [one for one in read_triage_cases(path, parts.routes.topics) if one.id == offer.id]
    assert case.expect.topic == "order_shipping"
    cases.keep(parts, offer, people["lea"], offer.text)
    assert cases.of_message(parts, row.message_id).kept
