"""Fitting a confidence to what was right, and the threshold's promise."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.triage import fitting
from pipeline.triage.calibration import Calibration, Signals
from pipeline.triage.fitting import Row
from tests.triage.conftest import rows


def test_a_curve_brings_the_stated_confidence_down_to_what_was_right() -> None:
    made = rows(400)
    curve = fitting.fit(made, model="m", prompt="p", source="cases")
    judged = Calibration([curve]).judge("m", "p", Signals(0.9))
    assert judged.calibrated
    assert judged.confidence == pytest.approx(0.9**3, abs=0.07)


@pytest.mark.parametrize("number", [60, 400])
def test_held_out_confidences_are_nearer_the_truth_than_the_stated_ones(number: int) -> None:
    made = rows(number)
    right = [row.right for row in made]

    def brier(confidences: list[float]) -> float:
        return sum((p - r) ** 2 for p, r in zip(confidences, right, strict=True)) / number

    method = fitting.best_method(made)
    assert brier(fitting.held_out(made, method)) < brier(fitting.before(made))


def test_a_free_curve_is_taken_from_200_rows_on_where_the_truth_is_a_step() -> None:
    draw = random.Random(2)
    step = [Row(Signals(c), draw.random() < (0.95 if 0.6 < c < 0.8 or c > 0.95 else 0.55)) for c in
            (draw.uniform(0.4, 0.99) for _ in range(600))]  # fmt: skip
    flat = [Row(Signals(c), draw.random() < (0.95 if c > 0.7 else 0.3)) for c in
            (draw.uniform(0.4, 0.99) for _ in range(600))]  # fmt: skip
    assert fitting.best_method(flat) == "isotonic"
    assert fitting.best_method(flat[:199]) == "platt"
    curve = fitting.fit(flat, model="m", prompt="p", source="cases")
    told = [curve.probability(Signals(c / 100)) for c in range(40, 100)]
    assert told == sorted(told)
    assert fitting.fit(step, model="m", prompt="p", source="cases").probability(Signals(1.0)) < 1


def test_few_rows_without_an_error_do_not_make_a_model_certain() -> None:
    curve = fitting.fit([Row(Signals(0.9), True)] * 30, model="m", prompt="p", source="cases")
    assert 0.9 < curve.probability(Signals(0.9)) < 0.99


def test_tokens_and_a_second_reader_count_as_far_as_they_tell() -> None:
    draw = random.Random(3)
    made = []
    for _ in range(500):
        right = draw.random() < 0.8
        certainty = draw.uniform(0.9, 0.999) if right or draw.random() < 0.3 else draw.uniform(0.4, 0.7)
        made.append(Row(Signals(0.9, certainty, draw.random() < (0.95 if right else 0.4)), right))
    curve = fitting.fit(made, model="m", prompt="p", source="cases")
    sure, torn = Signals(0.9, 0.99, agreed=True), Signals(0.9, 0.5, agreed=False)
    alone = Signals(0.9)
    assert curve.probability(torn) < 0.3 < curve.probability(alone) < curve.probability(sure)


def test_a_signal_that_would_count_against_itself_is_left_out() -> None:
    draw = random.Random(4)
    made = [Row(Signals(s := draw.uniform(0.5, 0.99)), draw.random() > s) for _ in range(150)]
    curve = fitting.fit(made, model="m", prompt="p", source="cases")
    assert curve.weights.stated == 0
    assert curve.probability(Signals(0.99)) == curve.probability(Signals(0.5))


# --- the threshold -----------------------------------------------------------------------------------


def test_the_bound_is_clopper_and_pearsons() -> None:
    assert fitting.upper_bound(0, 149) == pytest.approx(1 - 0.05 ** (1 / 149))
    assert fitting.upper_bound(5, 100) == pytest.approx(0.1023, abs=1e-4)  # the textbook's figure
    assert (fitting.rows_needed(0.02, 0), fitting.upper_bound(3, 3)) == (149, 1.0)


@settings(max_examples=6, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 10**6),
    number=st.sampled_from([300, 600]),
    shape=st.sampled_from([(8.0, 0.4), (3.0, 0.5), (3.0, 1.0)]),
    truth=st.sampled_from(["as said", "less", "just above the target"]),
)
def test_the_threshold_keeps_its_promise_in_93_of_100_simulated_runs(
    seed: int, number: int, shape: tuple[float, float], truth: str
) -> None:
    target, runs = 0.05, 200
    draw = random.Random(seed)

    def share_right(confidence: float) -> float:
        if truth == "just above the target":
            return 0.945
        return confidence if truth == "as said" else confidence**2

    future = [(c, 1 - share_right(c)) for c in (draw.betavariate(*shape) for _ in range(2000))]
    broken = 0
    for _ in range(runs):
        told = [draw.betavariate(*shape) for _ in range(number)]
        made = [Row(Signals(c), draw.random() < share_right(c)) for c in told]
        found = fitting.propose(told, made, target).threshold
        if found is not None:
            kept = [wrong for c, wrong in future if c >= found]
            broken += math.fsum(kept) > target * len(kept)
    assert broken <= 0.07 * runs


def test_the_lowest_threshold_that_holds_is_proposed_and_what_the_rule_escalates_anyway_is_not_counted() -> (
    None
):
    told = [0.95] * 300 + [0.75] * 300 + [0.45] * 100
    made = [Row(Signals(c), right=c > 0.5) for c in told]
    escalated = [Row(Signals(0.95), right=False, kept=False)] * 100
    found = fitting.propose(told + [0.95] * 100, made + escalated, 0.02)
    assert (found.threshold, found.errors, found.of, found.share) == (0.46, 0, 600, 0.75)
    assert found.bound < 0.02


def test_where_no_threshold_can_it_says_how_many_rows_would() -> None:
    few = fitting.propose([0.9] * 100, [Row(Signals(0.9), right=True)] * 100, 0.02)
    assert (few.threshold, few.needed) == (None, 217)
    bad = fitting.propose([0.9] * 400, [Row(Signals(0.9), right=n % 10 > 0) for n in range(400)], 0.02)
    assert (bad.threshold, bad.needed, bad.errors, bad.of) == (None, None, 40, 400)
