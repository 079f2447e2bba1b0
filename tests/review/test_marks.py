import time
from typing import Any

import pytest

from pipeline.review.marks import PLACES, Mark, field_kinds, find, unsupported


def found(text: str, *wanted: tuple[str, str]) -> list[tuple[str, str]]:
    return [(text[mark.start : mark.end], mark.kind) for mark in find(text, wanted)]


def test_values_are_marked_with_their_kind_wherever_they_stand() -> None:
    text = "Order 4711 and again 4711, paid 49.00 EUR."
    marks = find(text, field_kinds({"order_numbers": [{"value": "4711"}], "amounts": ["49.00 EUR"]}))
    assert marks == [
        Mark(6, 10, "order number", "4711"), Mark(21, 25, "order number", "4711"),
        Mark(32, 41, "amount", "49.00 EUR"),
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["order 14711", "order 47110", "4711a", "x4711"])
def test_a_value_inside_of_a_longer_one_is_not_it(text: str) -> None:
    assert found(text, ("4711", "order number")) == []


def test_of_two_that_overlap_the_longer_one_is_marked() -> None:
    wanted = (("49 EUR", "amount"), ("We refund 49 EUR", "promise"))
    assert found("We refund 49 EUR. Not 49 EUR.", *wanted) == [
        ("We refund 49 EUR", "promise"),
        ("49 EUR", "amount"),
    ]


def test_a_claim_is_found_across_line_ends_and_beside_any_script() -> None:
    assert found("within\n2  days,", ("within 2 days", "deadline")) == [("within\n2  days", "deadline")]
    assert found("注文番号は注文4711です", ("4711", "order number")) == []
    assert found("返金は€49です", ("€49", "amount")) == []  # a letter follows the digit
    assert found("(a.b)*[c]", ("a.b)*", "x")) == [("a.b)*", "x")]


def test_a_value_repeated_without_end_costs_no_more_than_a_moment() -> None:
    wanted = [("1", "order number"), *((str(number), "amount") for number in range(2, 150))]
    began = time.process_time()
    marks = find("1 " * 1_500_000, wanted)  # the longest text that is taken in
    assert time.process_time() - began < 2
    assert len(marks) == PLACES


def test_nothing_wanted_is_nothing_found() -> None:
    assert find("text", [("", "x"), ("  ", "y")]) == []
    assert field_kinds({"names": [], "dates": None}) == []  # type: ignore[dict-item]


def test_only_what_nothing_supports_is_doubtful() -> None:
    claims: list[dict[str, Any]] = [
        {"text": "a", "supported_by": "account", "kind": "amount"},
        {"text": "b", "supported_by": "nothing", "kind": "promise"},
        {"text": "c", "supported_by": None},
        {"text": "", "supported_by": None},
    ]
    assert unsupported(claims) == [("b", "promise"), ("c", "statement")]
