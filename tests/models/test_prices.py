"""What calls cost: the shipped models are known, overrides win, the unknown is dear, the bound holds."""

from __future__ import annotations

import tomllib
from decimal import Decimal
from pathlib import Path

import pytest

from pipeline.errors import ConfigError
from pipeline.models.base import Choice, Price, Usage
from pipeline.models.prices import UNKNOWN, Prices, check_price

ROUTES = tomllib.loads((Path(__file__).parents[2] / "routes.toml").read_text(encoding="utf-8"))
SHIPPED = [
    Choice(key, model["provider"], model.get("name", key), model["tier"])
    for key, model in ROUTES["models"].items()
]
HAIKU = Choice("claude-haiku-5-5", "anthropic", "claude-haiku-5-5", "cheap")
NOBODY = Choice("in-house", "openai", "in-house-7b", "cheap")
PRICES = Prices()


@pytest.mark.parametrize("choice", SHIPPED, ids=lambda choice: choice.key)
def test_every_model_of_the_shipped_table_has_a_price(choice: Choice) -> None:
    assert PRICES.known(choice)
    assert 0 < PRICES.cost(choice, Usage(input_tokens=1000, output_tokens=100)) < Decimal("0.1")


def test_cached_input_is_cheaper_and_written_input_dearer() -> None:
    plain = PRICES.cost(HAIKU, Usage(input_tokens=10_000))
    cached = PRICES.cost(HAIKU, Usage(input_tokens=10_000, cached_input_tokens=8_000))
    written = PRICES.cost(HAIKU, Usage(input_tokens=10_000, cache_write_tokens=8_000))
    assert cached < plain < written


def test_the_price_data_is_read_in_the_units_that_we_think() -> None:
    usage = Usage(
        input_tokens=10_000, cached_input_tokens=4_000, cache_write_tokens=1_000, output_tokens=2_000
    )
    # per million: 0.10 in, 0.01 cached, 0.125 written, 0.50 out
    assert PRICES.cost(HAIKU, usage) == Decimal("0.0005") + Decimal("0.00004") + Decimal(
        "0.000125"
    ) + Decimal("0.001")


def test_a_price_in_the_table_wins() -> None:
    price = Price(input_usd="1", output_usd="2", cached_input_usd="0.5")
    choice = Choice("x", "openai", "gpt-6-luna", "cheap", price=price)
    usage = Usage(input_tokens=3_000_000, cached_input_tokens=1_000_000, output_tokens=1_000_000)
    assert PRICES.cost(choice, usage) == Decimal("4.5")
    assert PRICES.known(choice)


def test_an_unknown_price_is_never_zero() -> None:
    assert not PRICES.known(NOBODY)
    usage = Usage(input_tokens=1_000_000, output_tokens=1_000_000)
    assert PRICES.cost(NOBODY, usage) == Decimal(UNKNOWN.input_usd) + Decimal(UNKNOWN.output_usd)
    assert PRICES.cost(NOBODY, usage) > max(PRICES.cost(choice, usage) for choice in SHIPPED)


def test_what_runs_in_this_process_is_free() -> None:
    for provider in ("local", "templates"):
        choice = Choice(provider, provider, provider, "local")
        assert PRICES.known(choice)
        assert PRICES.worst(choice, 10**6, 10**4) == PRICES.cost(choice, Usage(10**6, 0, 0, 10**4)) == 0


@pytest.mark.parametrize(
    "text",
    [
        "plain English text. " * 50,
        "日本語のテキスト。" * 50,
        "🧾" * 200,
        "\u1f71\u0323" * 100,
        "0x7f:{}[]" * 50,
    ],
)
@pytest.mark.parametrize("choice", [*SHIPPED, NOBODY], ids=lambda choice: choice.key)
def test_the_worst_price_covers_a_token_per_byte_however_it_is_counted(choice: Choice, text: str) -> None:
    size = len(text.encode())
    worst = PRICES.worst(choice, size, 500)
    for usage in (
        Usage(input_tokens=size, output_tokens=500),
        Usage(input_tokens=size, cache_write_tokens=size, output_tokens=500),
        Usage(input_tokens=size, cached_input_tokens=size, output_tokens=500),
    ):
        assert PRICES.cost(choice, usage) <= worst


def test_usage_that_does_not_add_up_still_has_a_price() -> None:
    odd = Usage(input_tokens=5, cached_input_tokens=100, cache_write_tokens=100, output_tokens=1)
    for choice in (HAIKU, NOBODY, Choice("p", "openai", "p", "cheap", price=Price("1", "2"))):
        assert PRICES.cost(choice, odd) > 0


def test_a_price_that_is_no_number_is_refused() -> None:
    check_price(Price("0", "1.5"), "routes.toml")
    for bad in ("cheap", "-1", "NaN", "Infinity"):
        with pytest.raises(ConfigError, match=r"^routes.toml: .*input_usd"):
            check_price(Price(bad, "1"), "routes.toml")
