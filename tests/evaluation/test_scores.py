"""The triage cases that ship, and the arithmetic of an evaluation."""

from __future__ import annotations

from collections import Counter

import pytest

from pipeline.assembly import Brain
from pipeline.evaluation.results import Bar
from pipeline.evaluation.scores import Share, calibration, percentile
from pipeline.evaluation.triage_cases import read_triage_cases
from pipeline.triage.schema import FIELD_KINDS

# --- the cases that the package ships


def test_the_shipped_triage_cases_cover_all_topics_and_eight_languages(brain: Brain) -> None:
    cases = read_triage_cases(brain.prompts.folder / "triage" / "cases.jsonl", brain.routes.topics)
    topics = Counter(case.expect.topic for case in cases)
    languages = Counter(case.expect.language for case in cases)
    assert len(cases) >= 150
    assert set(topics) == set(brain.routes.topics)
    assert min(topics.values()) >= 10
    assert set(languages) == {"en", "de", "fr", "es", "it", "nl", "pt", "pl"}
    assert min(languages.values()) >= 12
    for name in ("urgency", "emotion", "clarity", "route"):
        stated = {getattr(case.expect, name) for case in cases} - {None}
        scale = Counter(getattr(case.expect, name) for case in cases)
        assert all(scale[value] >= 3 for value in stated), f"{name}: {scale}"
    assert any(len(case.expect.order_numbers or []) > 1 for case in cases)


def test_every_field_value_of_a_shipped_case_stands_in_its_message(brain: Brain) -> None:
    cases = read_triage_cases(brain.prompts.folder / "triage" / "cases.jsonl", brain.routes.topics)
    for case in cases:
        text = f"{case.subject or ''}\n{case.body}"
        for kind in FIELD_KINDS:
            for value in getattr(case.expect, kind) or []:
                assert value in text, f"{case.id}: {kind} {value}"


# --- the arithmetic


def test_the_interval_is_wilsons() -> None:
    low, high = Share(8, 10).interval
    assert (round(low, 3), round(high, 3)) == (0.490, 0.943)
    assert Share(0, 20).interval[0] == 0.0
    assert 0.16 < Share(0, 20).interval[1] < 0.17


def test_the_calibration_error_is_the_weighted_gap_between_sure_and_right() -> None:
    found = calibration([(0.95, True), (0.95, False), (0.35, False), (1.0, True)])
    assert found is not None
    assert [(b.start, b.answers) for b in found.bins] == [(0.3, 1), (0.9, 3)]
    assert found.ece == pytest.approx((0.35 * 1 + abs((0.95 + 0.95 + 1.0) / 3 - 2 / 3) * 3) / 4)
    assert calibration([]) is None


def test_percentiles_are_values_that_were_measured() -> None:
    values = [float(number) for number in range(1, 101)]
    assert (percentile(values, 0.5), percentile(values, 0.95), percentile([7.0], 0.95)) == (50.0, 95.0, 7.0)


def test_less_is_better_where_a_measure_counts_harm() -> None:
    assert Bar("promises", 0.0, 0.0).met
    assert not Bar("promises", 0.0, 0.02).met
    assert Bar("topic_accuracy", 0.85, 0.85).met
    assert not Bar("topic_accuracy", 0.85, None).met
