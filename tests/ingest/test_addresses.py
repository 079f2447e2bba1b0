"""From, To and Cc: the right address, whatever the header tries."""

# ruff: noqa: E501 - mails stand as they arrive

from __future__ import annotations

import time

import pytest

from pipeline.ingest.addresses import normalise_address, parse_addresses
from pipeline.ingest.bounds import OverBound
from pipeline.ingest.headers import decode_text


def read(value: str) -> tuple[list[tuple[str, str]], tuple[str, ...]]:
    found = parse_addresses(value, decode_text)
    return [(a.name, a.address) for a in found.addresses], found.defects


@pytest.mark.parametrize(("value", "expected"), [
    ("ann@example.com", [("", "ann@example.com")]),
    ("<ann@example.com>", [("", "ann@example.com")]),
    ("Ann Smith <Ann.Smith@EXAMPLE.Com>", [("Ann Smith", "Ann.Smith@example.com")]),
    ('"Smith, Ann" <ann@example.com>', [("Smith, Ann", "ann@example.com")]),
    ('"Ann \\"A\\" Smith" <ann@example.com>', [('Ann "A" Smith', "ann@example.com")]),
    ("ann@example.com (Ann Smith)", [("Ann Smith", "ann@example.com")]),
    ("ann@example.com (Ann (the) Smith)", [("Ann (the) Smith", "ann@example.com")]),
    ("Ann <ann@example.com>, Bob <bob@example.com>", [("Ann", "ann@example.com"), ("Bob", "bob@example.com")]),
    ("Team: Ann <ann@example.com>, bob@example.com;", [("Ann", "ann@example.com"), ("", "bob@example.com")]),
    ("undisclosed-recipients:;", []),
    ("=?utf-8?Q?J=C3=BCrgen?= <j@example.com>", [("Jürgen", "j@example.com")]),
    ("=?utf-8?Q?Evil=2C_=3Ca=40b.example=3E?= <j@example.com>", [("Evil, <a@b.example>", "j@example.com")]),
    ("<@relay.example:ann@example.com>", [("", "ann@example.com")]),
    ("ann@[192.0.2.1]", [("", "ann@[192.0.2.1]")]),
    ("Ann <mailto:ann@example.com>", [("Ann", "ann@example.com")]),
    ("ann+tag@example.com; bob@example.com", [("", "ann+tag@example.com"), ("", "bob@example.com")]),
    ("müller@exämple.de", [("", "müller@exämple.de")]),
    ("", []),
    (" , ,, ", []),
])  # fmt: skip
def test_addresses_are_read(value: str, expected: list[tuple[str, str]]) -> None:
    assert read(value)[0] == expected


@pytest.mark.parametrize(("value", "address"), [
    ("victim@example.com <attacker@evil.test>", "attacker@evil.test"),
    ('"victim@example.com" <attacker@evil.test>', "attacker@evil.test"),
    ("=?utf-8?Q?victim=40example.com?= <attacker@evil.test>", "attacker@evil.test"),
    ("<victim@example.com> <attacker@evil.test>", "attacker@evil.test"),
    ("victim@example.com, <attacker@evil.test", None),
    ("Ann <ann@example.com", "ann@example.com"),
    ('"Ann <ann@example.com>', None),
    ("ann @ example.com", "ann@example.com"),
    ("<<ann@example.com>>", None),
])  # fmt: skip
def test_what_is_ambiguous_is_a_defect(value: str, address: str | None) -> None:
    found, defects = read(value)
    assert defects
    if address:
        assert found[0][1] == address
    assert ("victim@example.com" not in [a for _, a in found]) or len(found) != 1


def test_a_display_name_that_repeats_the_address_is_no_defect() -> None:
    assert read('"ann@example.com" <ann@example.com>') == ([("ann@example.com", "ann@example.com")], ())


@pytest.mark.parametrize("value", ['"', "<", "a@[", "<>", "@", "a@", "@b", "(", "((((", ":", ";", "a:b:c", "\\", '"\\',
                                   "<a@b", "a@b>", "[", "a@b@c", "=?utf-8?b?", "=?", "<@:>", "a@.", "a@b..c"])  # fmt: skip
def test_fragments_of_a_header_never_raise(value: str) -> None:
    read(value)


@pytest.mark.parametrize(
    "value", ["a@b.example\r\nBcc: x@y.example", "=?utf-8?Q?x=0D=0ABcc=3A_y?= <a@b.example>"]
)
def test_no_line_break_survives(value: str) -> None:
    for name, address in read(value)[0]:
        assert "\n" not in name + address
        assert "\r" not in name + address


def test_too_many_addresses_are_over_the_bound() -> None:
    with pytest.raises(OverBound):
        read(", ".join(f"a{i}@example.com" for i in range(16_000)))


@pytest.mark.parametrize("value", ["(" * 200_000, "<" * 11_000, '"' * 200_000, "[" * 11_000, "\\" * 200_000, "a" * 200_000,
                                   ":" * 200_000, "a." * 100_000 + "@b", "()" * 100_000, '""' * 100_000, "<>" * 5_000])  # fmt: skip
def test_hostile_headers_are_read_in_linear_time(value: str) -> None:
    start = time.process_time()
    read(value)
    assert time.process_time() - start < 1


@pytest.mark.parametrize(("raw", "expected"), [
    ("Ann@Example.COM", "Ann@example.com"),
    ("ann@example.com.", "ann@example.com"),
    ("ann@example..com", None),
    ("ann example@x", None),
    ("a@b\n", "a@b"),
    ("a\x00@b", None),
    ("x" * 400 + "@b", None),
])  # fmt: skip
def test_an_address_is_normalised_in_its_domain_only(raw: str, expected: str | None) -> None:
    assert normalise_address(raw) == expected
