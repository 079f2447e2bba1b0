"""Figures in words: money, spans of time, milliseconds."""

from __future__ import annotations

from decimal import Decimal

from pipeline.reports.rates import Outcomes

_BARS = "▁▂▃▄▅▆▇█"


def money(usd: Decimal | None) -> str:
    """$12.34; four more digits below a cent."""
    if usd is None:
        return ""
    return f"${usd:,.2f}" if usd == 0 or abs(usd) >= Decimal("0.01") else f"${usd:.6f}"


def span(seconds: float | None) -> str:
    """A duration in the unit that fits: 40 s, 12 min, 5.0 h, 2.5 days."""
    if seconds is None:
        return "–"
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 172_800 else f"{seconds / 86_400:.1f} days"


def milliseconds(value: int | None) -> str:
    if value is None:
        return "–"
    return f"{value} ms" if value < 1_000 else f"{value / 1000:.1f} s"


def sparkline(points: list[Outcomes]) -> str:
    """A bar per week, a dot where nothing was reviewed."""
    bars = []
    for outcomes in points:
        value = outcomes.rewrite.value
        bars.append("·" if value is None else _BARS[min(7, int(value * 8))])
    return "".join(bars)


def filters(only: dict[str, str]) -> str:
    """route strong, topic refund."""
    return ", ".join(f"{name} {value}" for name, value in only.items())
