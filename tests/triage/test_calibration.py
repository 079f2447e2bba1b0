"""Calibrated confidence: the file and its curves, the second reader, and what an unmeasured model may do."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from pipeline import batch, steps
from pipeline.assembly import Parts
from pipeline.db.tables import triages
from pipeline.errors import ConfigError
from pipeline.ingest.intake import store_raw, take
from pipeline.triage import fitting
from pipeline.triage.calibration import Calibration, Signals, agree, kept_if_sure, load, uncalibrated
from pipeline.triage.schema import TriageAnswer
from tests.kit import model_replies as replies
from tests.kit.live import mail
from tests.kit.model_replies import Seen
from tests.kit.model_server import ModelServer
from tests.triage.conftest import ANSWER, QUESTION, Opened, rows, told


def test_the_file_says_again_what_was_fitted(tmp_path: Path) -> None:
    curve = fitting.fit(rows(300), model="gpt-6-luna", prompt="abc", source="tickets")
    path = tmp_path / "calibration.json"
    Calibration([curve]).write(path)
    assert load(path).curve("gpt-6-luna", "abc") == curve
    assert load(path).curve("gpt-6-luna", "another prompt") is None
    assert not load(path).judge("gpt-6-luna", "another prompt", Signals(0.9)).calibrated


@pytest.mark.parametrize(
    ("text", "said"),
    [("{", "JSON"), ('{"curves": [{"model": "m"}]}', r"curves\.0\.prompt"), ('{"curve": []}', "curve")],
)
def test_a_broken_file_is_refused_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "calibration.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=said):
        load(path)


def test_the_built_in_model_counts_as_calibrated_by_its_own_training() -> None:
    assert Calibration().judge("local", "any", Signals(0.8)).calibrated
    assert not Calibration().judge("gpt-6-luna", "any", Signals(0.8)).calibrated


def test_an_unmeasured_reading_is_taken_at_the_lowest_of_what_speaks_for_it() -> None:
    assert uncalibrated(Signals(0.9)) == 0.9
    assert uncalibrated(Signals(0.9, 0.6)) == 0.6
    assert uncalibrated(Signals(0.9, 0.99, agreed=True)) == 0.9
    assert uncalibrated(Signals(0.9, 0.99, agreed=False)) == 0.5


def test_readers_agree_where_the_route_hangs_on_it() -> None:
    first = TriageAnswer.model_validate(ANSWER)
    same: list[dict[str, Any]] = [{"emotion": "worried"}, {"urgency": "low"}, {"language": "de"}]
    other: list[dict[str, Any]] = [
        {"topic": "refund"}, {"emotion": "angry"}, {"urgency": "high"}, {"clarity": "vague"}
    ]  # fmt: skip
    assert all(agree(first, first.model_copy(update=change)) for change in same)
    assert not any(agree(first, first.model_copy(update=change)) for change in other)
    assert kept_if_sure("strong", ["Confidence 0.60 is below 0.80 (this model is not calibrated yet)."])
    assert not kept_if_sure("strong", ["The message is vague."])


def test_an_uncalibrated_model_must_be_surer_and_the_reason_says_why(
    server: ModelServer, brain: Opened
) -> None:
    server.answer_by(lambda seen: ANSWER)
    row = batch.classify_row(brain(), QUESTION)
    assert (row["confidence"], row["calibrated"], row["route"]) == (0.75, False, "strong")
    assert row["reasons"] == ["Confidence 0.75 is below 0.80 (this model is not calibrated yet)."]


def test_the_topics_tokens_lower_what_the_model_says_of_itself(server: ModelServer, brain: Opened) -> None:
    server.answer_by(lambda seen: told(ANSWER | {"confidence": 0.95}, (math.log(0.8), math.log(0.7))))
    row = batch.classify_row(brain(), QUESTION)
    assert row["confidence"] == pytest.approx(0.56)
    assert server.journal[-1].seen.body["logprobs"] is True


def test_a_calibrated_model_is_taken_at_its_word_and_a_changed_prompt_is_not(
    server: ModelServer, brain: Opened, tmp_path: Path
) -> None:
    server.answer_by(lambda seen: ANSWER)
    digest = brain().prompts.load("triage", "cheap").digest
    for prompt, calibrated in ((digest, True), ("another", False)):
        curve = fitting.fit(rows(300, overconfident=False), model="gpt-6-luna", prompt=prompt, source="cases")
        Calibration([curve]).write(tmp_path / "calibration.json")
        row = batch.classify_row(brain(), QUESTION)
        assert row["calibrated"] is calibrated
        assert row["route"] == ("cheap" if calibrated else "strong")


def test_a_second_reader_is_asked_only_where_confidence_decides(server: ModelServer, brain: Opened) -> None:
    def answer(seen: Seen) -> Any:
        vague = "what is this" in seen.user
        first = ANSWER | {"confidence": 0.95, "clarity": "vague" if vague else "clear"}
        disagrees = "Monday" in seen.user and seen.provider == "anthropic"
        return first | {"topic": "refund"} if disagrees else first

    server.answer_by(answer)
    both = brain(second="claude-haiku-5-5")
    kept = batch.classify_row(both, QUESTION | {"body": "Where does my order stay?"})
    assert (kept["route"], kept["confidence"]) == ("cheap", 0.95)
    torn = batch.classify_row(both, QUESTION)
    assert (torn["route"], torn["confidence"], torn["topic"]) == ("strong", 0.5, "order_shipping")
    before = len(server.journal)
    batch.classify_row(both, QUESTION | {"body": "what is this"})
    assert [line.seen.provider for line in server.journal[before:]] == ["openai"]


def test_a_second_reader_that_fails_is_no_failure(server: ModelServer, brain: Opened) -> None:
    server.answer_by(
        lambda seen: replies.failing() if seen.provider == "anthropic" else ANSWER | {"confidence": 0.95}
    )
    row = batch.classify_row(brain(second="claude-haiku-5-5"), QUESTION)
    assert (row["route"], row["model"], row["confidence"]) == ("cheap", "gpt-6-luna", 0.95)


def test_a_reading_is_stored_with_all_that_spoke_for_it(parts: Parts, server: ModelServer) -> None:
    server.answer_by(lambda seen: told(ANSWER | {"confidence": 0.95}, (math.log(0.9),)))
    with parts.store.write() as connection:
        raw = store_raw(connection, "support", mail("Where is my parcel?"))
    ticket = take(parts.store, raw.raw_id, inboxes=parts.inboxes).ticket_id
    assert ticket is not None
    steps.advance(parts, ticket)
    with parts.store.read() as connection:
        row = connection.execute(sa.select(triages)).one()
    assert (row.stated, row.agreed, row.calibrated, row.route) == (0.95, None, False, "cheap")
    assert row.confidence == row.certainty == pytest.approx(0.9)


def test_a_second_reader_never_sees_a_message_whose_topic_is_closed_to_it(
    server: ModelServer, brain: Opened
) -> None:
    server.answer_by(lambda seen: ANSWER | {"confidence": 0.95})
    both = brain(second="claude-haiku-5-5")
    shipping = replace(both.routes.topics["order_shipping"], data="sensitive")
    routes = replace(both.routes, topics={**both.routes.topics, "order_shipping": shipping})
    batch.classify_row(replace(both, routes=routes), QUESTION)
    assert [line.seen.provider for line in server.journal] == ["openai"]
