"""The seed lines of the built-in model: enough, in enough languages, and no two alike."""

from __future__ import annotations

import json
import os
import re
import unicodedata
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest

from pipeline.models.providers.local import cues
from pipeline.models.providers.local.seeds import BOILERPLATE, digest, emotion_lines, topic_lines
from pipeline.models.providers.local.softmax import fit, fit_platt, platt, probabilities

DATA = Path(os.environ.get("TRIAGE_TEST_DATA", Path(__file__).parents[2] / ".." / "shared" / "data"))
SHIPPED = {
    *("billing", "refund", "order_shipping", "account_access", "bug_report", "how_to", "sales"),
    *("feature_request", "cancellation", "complaint", "other"),
}


def bare(text: str) -> str:
    return " ".join(
        re.sub(r"[^\w\s]", " ", re.sub(r"\d", "0", unicodedata.normalize("NFKC", text).casefold())).split()
    )


def test_every_topic_has_at_least_forty_lines_in_at_least_six_languages() -> None:
    lines: dict[str, set[str]] = defaultdict(set)
    languages: dict[str, set[str]] = defaultdict(set)
    for line in topic_lines():
        lines[line.label].add(line.family)
        languages[line.label].add(line.language)
    assert set(lines) == SHIPPED | {BOILERPLATE}
    assert {topic: len(found) for topic, found in lines.items() if len(found) < 40} == {}
    assert {topic: found for topic, found in languages.items() if len(found) < 6} == {}


def test_every_emotion_has_lines_in_at_least_six_languages() -> None:
    languages: dict[str, set[str]] = defaultdict(set)
    for line in emotion_lines():
        languages[line.label].add(line.language)
    assert set(languages) == {"calm", "worried", "frustrated", "angry"}
    assert all(len(found) >= 6 for found in languages.values())


def test_no_line_is_written_twice() -> None:
    for lines in (topic_lines(), emotion_lines()):
        twice = [text for text, count in Counter(bare(line.text) for line in lines).items() if count > 1]
        assert twice == []


def test_the_digest_changes_with_lines_and_versions() -> None:
    lines = topic_lines()
    assert digest(lines, "1") == digest(topic_lines(), "1")
    assert digest(lines, "1") != digest(lines, "2")
    assert digest(lines, "1") != digest(topic_lines({"billing": ["one more line"]}), "1")


def test_no_seed_line_is_taken_from_the_data_that_judges() -> None:
    path = DATA / "tickets-dev.jsonl"
    if not path.exists():
        pytest.skip(f"no foreign data at {DATA}: set TRIAGE_TEST_DATA to its folder")
    with path.open(encoding="utf-8") as file:
        foreign = {bare(json.loads(line)["body"]) for line in file}
    # Five words and more: "i forgot my password" is nobody's sentence.
    own = {bare(line.text) for line in topic_lines() if len(line.text.split()) > 4}
    assert sorted(own & foreign) == []


def test_a_section_that_is_not_shipped_is_an_error() -> None:
    with pytest.raises(KeyError, match="nowhere"):
        cues.lines("urgency", "nowhere")


def test_softmax_regression_learns_what_can_be_learnt_and_says_so_alike_each_time() -> None:
    chance = np.random.default_rng(7)
    centres = chance.normal(size=(3, 20)).astype(np.float32) * 2
    labels = np.arange(300, dtype=np.int64) % 3
    features = (centres[labels] + chance.normal(size=(300, 20))).astype(np.float32)
    weights = fit(features[:200], labels[:200], 3, strength=10.0, rounds=100)
    again = fit(features[:200], labels[:200], 3, strength=10.0, rounds=100)
    said = probabilities(weights, features[200:])
    assert np.array_equal(weights.matrix, again.matrix)
    assert np.allclose(said.sum(axis=1), 1.0, atol=1e-5)
    assert (said.argmax(axis=1) == labels[200:]).mean() > 0.9


def test_the_calibration_gives_back_the_shares_that_made_it() -> None:
    chance = np.random.default_rng(11)
    score = chance.normal(size=4000) * 2
    right = chance.random(4000) < 1 / (1 + np.exp(-(1.5 * score - 0.5)))
    slope, offset = fit_platt(score, right)
    assert abs(slope - 1.5) < 0.15
    assert abs(offset + 0.5) < 0.15
    assert platt(-100.0, slope, offset) < 0.01 < 0.99 < platt(100.0, slope, offset)
    assert fit_platt(score, np.ones(4000, dtype=bool))[0] >= 0.0
    assert fit_platt(-score, right)[0] == 0.0
