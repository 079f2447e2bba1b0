"""The trade-off curve as a chart: cost to the right, rewrite rate up, the point in force marked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipeline.learning.curves import rate
from pipeline.learning.tradeoff import Curve
from pipeline.reports.charts import Chart, Palette

if TYPE_CHECKING:
    from matplotlib.axes import Axes


ROOM = 0.07
"""Of the chart's width, for a label like 0.65."""


def chart(found: Curve) -> Chart:
    """Thresholds with neither cost nor rate are not drawn; the alt text says the point in force and the ends."""
    known = [point for point in found.points if point.rate is not None and point.usd_per_1000 is not None]
    title = "Escalation threshold: cost against rewrite rate"
    if known:
        here = f"in force {found.present.threshold:.2f}: {rate(found.present)}"
        ends = "; ".join(
            f"{point.threshold:.2f}: ${point.usd_per_1000:.2f} per 1,000 messages, {rate(point)}"
            for point in dict.fromkeys((known[0], known[-1]))
        )
        alt = f"{title}. {here}. {ends}."
    else:
        alt = f"{title}: not known yet; too few drafts were judged, or no call was paid for."

    def draw(axes: Axes, palette: Palette) -> None:
        if not known:
            axes.set_xticks([])
            axes.set_yticks([])
            axes.text(0.5, 0.5, "Not known yet", ha="center", va="center", color=palette.soft)
            return
        usd = [float(point.usd_per_1000 or 0) for point in known]
        axes.fill_between(
            usd, [p.low or 0 for p in known], [p.high or 0 for p in known], color=palette.band, linewidth=0
        )
        axes.plot(usd, [p.rate or 0 for p in known], "o-", color=palette.mark, markersize=4)
        axes.set_ylim(0, min(1.0, 1.25 * max(p.high or 0 for p in known)) or 1.0)
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        axes.xaxis.set_major_formatter(lambda value, _: f"${value:.2f}")
        axes.grid(axis="y", color=palette.line, linewidth=0.6)
        axes.set_axisbelow(True)
        axes.set_xlabel("US dollars per 1,000 messages", color=palette.soft, fontsize=8.5)
        axes.set_ylabel("rewrite rate expected", color=palette.soft, fontsize=8.5)
        labelled = apart(usd, next((n for n, point in enumerate(known) if point is found.present), None))
        for n, point in enumerate(known):
            at = (usd[n], point.rate or 0)
            here = point is found.present
            if here:
                axes.plot(*at, "o", color=palette.warn, markersize=8)
            if n not in labelled:
                continue
            axes.annotate(
                f"{point.threshold:.2f}" + (" in force" if here else ""),
                at,
                (0, -14 if here else 7),
                textcoords="offset points",
                ha="center",
                fontsize=8,
                color=palette.warn if here else palette.ink,
                fontweight="bold" if here else "normal",
            )

    return Chart("curve", title, alt, 280 if known else 120, draw)


def apart(at: Sequence[float], first: int | None) -> set[int]:
    """Which of these points have room for a label: `first`, the ends, then whatever is far enough from those."""
    room = (max(at) - min(at)) * ROOM
    chosen: list[int] = [] if first is None else [first]
    for n in (0, len(at) - 1, *range(len(at))):
        if all(abs(at[n] - at[other]) > room for other in chosen):
            chosen.append(n)
    return set(chosen)
