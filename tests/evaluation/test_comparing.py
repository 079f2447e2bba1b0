"""Two runs side by side: differences with honest intervals, and the cases that flipped."""

from __future__ import annotations

import random
from pathlib import Path

from pipeline.assembly import Brain
from pipeline.evaluation.comparing import compare
from pipeline.evaluation.scores import difference_of_means, difference_of_shares
from tests.evaluation.exams import CASES, file_of, right_answer, triage
from tests.kit.model_server import ModelServer


def test_the_difference_of_paired_shares_covers_the_truth_about_as_often_as_it_says() -> None:
    chance = random.Random(7)
    covered, trials = 0, 2000
    for _ in range(trials):
        gained = lost = 0
        for _ in range(60):
            drawn = chance.random()
            gained += drawn < 0.15
            lost += 0.15 <= drawn < 0.23
        low, high = difference_of_shares(gained, lost, 60).interval or (0.0, 0.0)
        covered += low <= 0.07 <= high
    assert 0.93 <= covered / trials <= 0.98


def test_a_difference_is_sure_only_where_its_interval_leaves_out_none() -> None:
    assert not difference_of_shares(0, 0, 50).sure
    assert not difference_of_shares(3, 2, 50).sure
    assert difference_of_shares(12, 0, 50).sure
    assert difference_of_shares(0, 12, 50).value == -0.24
    assert difference_of_means([(1.0, 2.0)]).interval is None
    assert difference_of_means([(1.0, 2.0), (1.0, 2.1), (1.0, 1.9)]).sure


def test_cases_that_flipped_carry_both_answers_the_worse_ones_first(
    with_key: Brain, server: ModelServer, tmp_path: Path
) -> None:
    path = file_of(tmp_path)
    server.answer_by(lambda seen: right_answer(seen) | ({"topic": "sales"} if "AB-1042" in seen.user else {}))
    first = triage(with_key, ["gpt-6-luna"], path).models[0]
    server.answer_by(lambda seen: right_answer(seen) | ({"topic": "other"} if "kündige" in seen.user else {}))
    second = triage(with_key, ["gpt-6-luna"], path).models[0]
    found = compare(first, second)
    assert (found.shared, found.apart) == (3, 0)
    topic = next(one for one in found.measures if one.measure == "topic_accuracy")
    assert (topic.gained, topic.lost, topic.of, topic.difference.value) == (1, 1, 3, 0.0)
    assert topic.better is None
    worse, better = found.flips("topic_accuracy")
    assert (worse.case, worse.gained) == ("kuendigung", False)
    assert (better.case, better.gained) == ("invoice", True)
    assert better.first.answer is not None
    assert better.second.answer is not None
    assert (better.first.answer["topic"], better.second.answer["topic"]) == ("sales", "billing")
    assert {one.measure for one in found.measures} >= {"latency_mean_ms", "cost_per_1000_usd"}


def test_only_cases_that_both_answered_are_compared(
    with_key: Brain, server: ModelServer, tmp_path: Path
) -> None:
    server.answer_by(right_answer)
    first = triage(with_key, ["gpt-6-luna"], file_of(tmp_path)).models[0]
    second = triage(with_key, ["gpt-6-luna"], file_of(tmp_path, *CASES[:2])).models[0]
    found = compare(first, second)
    assert (found.shared, found.apart) == (2, 1)
    assert all(one.of <= 2 for one in found.measures)
