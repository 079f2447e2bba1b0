"""Facts in a text are found in every spelling, and two spellings of one thing are the same."""

from __future__ import annotations

import time

import pytest

from pipeline.drafting.facts import facts_in, number_value, plain, same


def found(text: str, kind: str) -> list[frozenset[str]]:
    return [fact.keys for fact in facts_in(plain(text)) if fact.kind == kind]


@pytest.mark.parametrize(
    ("figure", "value"),
    [("1.234,50", "1234.5"), ("1,234.50", "1234.5"), ("1.000", "1000"), ("49,90", "49.9"), ("0.125", "0.125"),
     ("1 234,5", "1234.5"), ("12'000", "12000"), ("100", "100")],
)  # fmt: skip
def test_a_figure_reads_the_same_in_every_country(figure: str, value: str) -> None:
    assert number_value(figure) == value


def test_an_amount_is_one_amount_however_it_is_written() -> None:
    for text in ("1.234,50 €", "EUR 1,234.50", "€1234.50", "1 234,50 Euro", "1234.5 EUR"):
        assert found(f"pay {text} now", "amount") == [frozenset({"1234.5 EUR"})], text
    assert found("R$ 49,90 or $49 or 49,- €", "amount") == [
        frozenset({"49.9 BRL"}), frozenset({"49 USD"}), frozenset({"49 EUR"})
    ]  # fmt: skip


def test_a_date_is_one_date_in_eight_languages() -> None:
    spellings = ("May 3rd, 2026", "3. Mai 2026", "3 mai 2026", "3 de mayo de 2026", "3 maggio 2026")
    for text in (*spellings, "3 mei 2026", "3 de maio de 2026", "3 maja 2026", "2026-05-03"):
        assert found(f"on {text}, then", "date") == [frozenset({"2026-05-03"})], text
    (numeric,) = found("am 03.05.2026 gebucht", "date")
    assert same("date", numeric, frozenset({"*-05-03"}))
    assert not same("date", numeric, frozenset({"2025-05-03"}))


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("see https://www.Example.com/a?b=1.", "example.com"),
        ("[here](http://good.example@evil.example/x)", "evil.example"),
        ("![x](https://evil.example/p.png)", "evil.example"),
        ("[1]: https://evil.example", "evil.example"),
        ("<https://evil.example>", "evil.example"),
        ("go to evil[.]example now", "evil.example"),
        ("go to evil (dot) example now", "evil.example"),
        ("hxxps://evil.example/x", "evil.example"),
        ("https:\\\\evil.example", "evil.example"),
        ("//evil.example/x", "evil.example"),
        ("ev\u200bil.exam\u00adple", "evil.example"),
        ("ｅｖｉｌ．ｅｘａｍｐｌｅ", "evil.example"),
        ("https&#58;//evil.example", "evil.example"),
        ("https://e%76il.example/", "evil.example"),
        ("bücher.de/x", "xn--bcher-kva.de"),
        ("http://192.0.2.7:8080/x", "192.0.2.7"),
        ("javascript:alert(1)", "javascript:"),
        ("www.evil.com", "evil.com"),
        ("https&amp;#58;//evil.example", "evil.example"),
        ("go to evil dot com now", "evil.com"),
        ("evil kropka pl", "evil.pl"),
        ("пример.рф/x", "xn--e1afmkfd.xn--p1ai"),
        ("evil.rip", "evil.rip"),
    ],
)
def test_a_link_is_found_in_every_disguise(text: str, host: str) -> None:
    assert [host in keys for keys in found(text, "link")] == [True]


def test_plain_words_are_no_links() -> None:
    text = "Danke.An alle, z.B. u.a. d.h. e.g. report.pdf, Node.js, 3.5. 12.30 Uhr. Your data: name. and/or"
    assert found(text, "link") == []


def test_addresses_phones_ibans_and_cards_are_told_apart() -> None:
    text = (
        "write kim@x.example, call +49 30 123456-78 or 0800 123 4567 or (555) 123-4567, "
        "IBAN DE89 3704 0044 0532 0130 00, card 4111 1111 1111 1111"
    )
    kinds = [fact.kind for fact in facts_in(plain(text))]
    assert kinds == ["email", "phone", "phone", "phone", "iban", "card"]


def test_years_times_and_small_numbers_are_no_order_numbers() -> None:
    assert found("in 2026, 24/7, at 10:30, Windows 11, 2-4 people, Art. 12", "number") == []
    assert found("order #BC-20417", "number") == [frozenset({"BC20417"})]


def test_a_hostile_text_costs_little_time() -> None:
    for text in ("a." * 20_000, "1" * 40_000, "1.1," * 10_000, "+1 (" * 10_000, "@" * 40_000, "a-" * 20_000,
                 "AB12 " * 8_000, "http://" * 6_000, "[.]" * 13_000):  # fmt: skip
        started = time.process_time()
        facts_in(plain(text))
        assert time.process_time() - started < 2.0, text[:10]
