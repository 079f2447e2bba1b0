"""What a call costs, and the most that it can cost: price data with the team's overrides, never zero."""

from __future__ import annotations

from decimal import ROUND_UP, Decimal
from functools import lru_cache
from typing import Any

from pipeline.db.types import NANO
from pipeline.errors import ConfigError
from pipeline.models.base import Choice, Price, Usage

FREE = frozenset({"local", "templates"})
"""Providers that run inside this process: their calls cost nothing and are bound by no cap."""

UNKNOWN = Price(input_usd="30", output_usd="180")
"""What a model is booked at while nobody knows its price: the dearest of the common tariffs. It is meant to
hurt; `price` in routes.toml gives the real one."""

FRAME_TOKENS = 1000
"""Room for what a provider adds by itself: message marks, and the instructions for its JSON output."""

_MILLION = Decimal(1_000_000)
_CACHE_WRITE = {"anthropic": Decimal("1.25")}  # times the input price, where a price override names none


BATCH_SHARE = Decimal("0.5")
"""What both providers charge for a call in a batch, of the live price: for price overrides."""


class Prices:
    """Prices in US dollars, offline, from genai-prices; `Choice.price` wins over them. Thread-safe.

    With `batch`, those of calls that travel in a batch.
    """

    def __init__(self, *, batch: bool = False) -> None:
        self._batch = batch

    def known(self, choice: Choice) -> bool:
        """Whether this model has a price: its own in routes.toml, one in the price data, or it is free."""
        return choice.provider in FREE or choice.price is not None or _listed(choice.provider, choice.name)

    def cost(self, choice: Choice, usage: Usage) -> Decimal:
        """What `usage` costs, rounded up to a billionth of a dollar."""
        if choice.provider in FREE:
            return Decimal(0)
        if choice.price is not None:
            exact = _by_price(choice.price, usage, _CACHE_WRITE.get(choice.provider, Decimal(1)))
            exact *= BATCH_SHARE if self._batch else 1
        elif _listed(choice.provider, choice.name):
            exact = _by_data(choice.provider, choice.name, usage, batch=self._batch)
        else:
            exact = _by_price(UNKNOWN, usage, Decimal("1.25"))
        return exact.quantize(NANO, rounding=ROUND_UP) if exact else Decimal(0)

    def worst(self, choice: Choice, input_bytes: int, max_output_tokens: int) -> Decimal:
        """The most that a call can cost. `input_bytes` counts all that is sent, in UTF-8, schema included.

        No tokenizer in use makes more tokens than bytes, in any script; that bound is loose for Latin
        text and holds for every other.
        """
        tokens = input_bytes + FRAME_TOKENS
        plain = Usage(input_tokens=tokens, output_tokens=max_output_tokens)
        written = Usage(input_tokens=tokens, cache_write_tokens=tokens, output_tokens=max_output_tokens)
        return max(self.cost(choice, plain), self.cost(choice, written))


def _by_price(price: Price, usage: Usage, cache_write: Decimal) -> Decimal:
    input_usd, output_usd = Decimal(price.input_usd), Decimal(price.output_usd)
    cached_usd = input_usd if price.cached_input_usd is None else Decimal(price.cached_input_usd)
    plain = max(0, usage.input_tokens - usage.cached_input_tokens - usage.cache_write_tokens)
    return (
        plain * input_usd
        + usage.cached_input_tokens * cached_usd
        + usage.cache_write_tokens * input_usd * cache_write
        + usage.output_tokens * output_usd
    ) / _MILLION


def _by_data(provider: str, model: str, usage: Usage, *, batch: bool = False) -> Decimal:
    import genai_prices

    # what a server says of itself need not add up; the price data refuses parts larger than the whole
    cached = usage.cached_input_tokens
    written = usage.cache_write_tokens
    counted = genai_prices.Usage(
        input_tokens=max(usage.input_tokens, cached + written),
        cache_read_tokens=cached,
        cache_write_tokens=written,
        output_tokens=usage.output_tokens,
    )
    context: Any = {"processing": "batch"} if batch else None
    price: Any = genai_prices.calc_price(
        counted, model, provider_id=provider, price_context=context
    ).total_price
    return Decimal(price)


@lru_cache(maxsize=1024)
def _listed(provider: str, model: str) -> bool:
    """Whether the price data knows what this model's input and output cost."""
    try:
        return all(
            _by_data(provider, model, usage) > 0
            for usage in (Usage(input_tokens=1_000_000), Usage(output_tokens=1_000_000))
        )
    except (LookupError, ValueError):
        return False


def check_price(price: Price, where: str) -> None:
    """Raise `ConfigError` unless every number of a price override is a number that is not negative."""
    for name in ("input_usd", "output_usd", "cached_input_usd"):
        value = getattr(price, name)
        if value is None:
            continue
        try:
            number = Decimal(value)
        except ArithmeticError:
            raise ConfigError(f"{where}: {name} = {value!r} is not a number of dollars") from None
        if not number.is_finite() or number < 0:
            raise ConfigError(f"{where}: {name} must be a number of dollars, zero or more")
