"""The report's charts, each with an alt text that says its figures, as PNG for mail and for the page.

Drawn with matplotlib, which is imported at the first drawing only: nothing else of triage needs it. The same
report gives the same bytes.
"""

from __future__ import annotations

import functools
import io
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from pipeline.reports.measures import Calls, Report, Spent
from pipeline.reports.trend import WeekLine
from pipeline.reports.words import milliseconds, money

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH_PX = 500
"""What the letters are sized for: shown at 600 in a mail on a desk, and at 330 on a phone."""

PIXELS = 1200

MOST_BARS = 10

# matplotlib is not made for threads, and a page and the schedule may draw at once
_DRAWING = threading.Lock()


@dataclass(frozen=True)
class Palette:
    """Colours by what they are for; contrast of text on paper is above 4.5 to 1."""

    ink: str
    soft: str
    line: str
    mark: str
    band: str
    warn: str
    paper: str


LIGHT = Palette("#1c2024", "#5c656e", "#d9dee3", "#0b6bcb", "#cfe3f8", "#b3261e", "#ffffff")
DARK = Palette("#e6e9ec", "#9aa4ae", "#343b42", "#6cb2f5", "#1f3d5c", "#f2877f", "#14171a")


@dataclass(frozen=True)
class Chart:
    """One chart. `name` is its file's, `title` stands above it, `alt` says its figures in words."""

    name: str
    title: str
    alt: str
    height_px: int
    draw: Callable[[Axes, Palette], None]

    def png(self, *, dark: bool = False, transparent: bool = False) -> bytes:
        """1,200 pixels wide, to be shown at 600: on white, on the dark paper, or on whatever lies below."""
        with _DRAWING:
            return self._drawn(DARK if dark else LIGHT, transparent=transparent)

    def _drawn(self, palette: Palette, *, transparent: bool) -> bytes:
        _set_up()
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        # its own figure and canvas: pyplot keeps state that threads would share
        figure = Figure(
            figsize=(WIDTH_PX / 100, self.height_px / 100), dpi=PIXELS / WIDTH_PX * 100, layout="constrained"
        )
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        if not transparent:
            figure.set_facecolor(palette.paper)
        axes.set_facecolor("none")
        axes.tick_params(colors=palette.soft, labelcolor=palette.ink, length=0)
        for side in axes.spines.values():
            side.set_visible(False)
        self.draw(axes, palette)
        out = io.BytesIO()
        figure.savefig(out, format="png", transparent=transparent, metadata={"Software": None})
        return out.getvalue()


@functools.cache
def _set_up() -> None:
    import matplotlib

    matplotlib.rcParams.update(
        {
            "font.family": "DejaVu Sans",
            "font.size": 9.5,  # 13 px at 100 to the inch
            "text.parse_math": False,  # a dollar sign is a dollar sign
        }
    )


def charts(report: Report) -> tuple[Chart, ...]:
    """The line of weeks, topics by route, spend against caps, waiting time by model."""
    return (weeks(report), topics(report), spend(report), latency(report))


def weeks(report: Report) -> Chart:
    """The rewrite rate of the last weeks with its 95% interval, and how many drafts it is of."""
    return line(report.line)


def line(of: Sequence[WeekLine]) -> Chart:
    """The rewrite rate week by week, of everything or of one scorecard."""
    points = [(point.week, point.outcomes.rewrite) for point in of]
    title = f"Rewrite rate, last {len(points)} weeks"
    said = [f"{week[5:]} {share.in_words()}" for week, share in points if share.of]
    alt = f"{title}: {', '.join(said)}." if said else f"{title}: no draft was reviewed in any of them."

    def draw(axes: Axes, palette: Palette) -> None:
        axes.set_xlim(-0.6, len(points) - 0.4)
        labels = [f"{week[5:]}\n{share.of:,}" for week, share in points]
        axes.set_xticks(range(len(points)), labels, fontsize=8.5)
        axes.set_xlabel("week, and how many drafts were reviewed in it", color=palette.soft, fontsize=8.5)
        if not said:
            _nothing(axes, palette, "No draft was reviewed in these weeks.")
            return
        # too few for a percentage: the counts alone, and no line through them
        large = [(n, share) for n, (_week, share) in enumerate(points) if not share.small]
        _percent(axes, palette, max([(share.interval or (0, 0))[1] for _n, share in large], default=0.2))
        for run in _runs([n for n, _share in large]):
            shares = [points[n][1] for n in run]
            low = [(share.interval or (0, 0))[0] for share in shares]
            high = [(share.interval or (0, 0))[1] for share in shares]
            if len(run) > 1:
                axes.fill_between(run, low, high, color=palette.band, linewidth=0)
            else:
                axes.vlines(run, low, high, color=palette.band, linewidth=10)
            axes.plot(run, [share.value or 0 for share in shares], "o-", color=palette.mark, markersize=5)
        for n, (_week, share) in enumerate(points):
            if not share.of:
                continue
            newest = n == len(points) - 1
            axes.annotate(
                share.in_words() if share.small else f"{share.value:.0%}",
                (n, 0 if share.small else share.value or 0), (0, 6), textcoords="offset points",
                ha="center", color=palette.ink, fontsize=10 if newest else 8,
                fontweight="bold" if newest else "normal",
            )  # fmt: skip

    return Chart("weeks", title, alt, 260 if said else 150, draw)


def topics(report: Report) -> Chart:
    """The rewrite rate of each topic and route of the week, the largest groups first."""
    title = "Rewrite rate by topic and route"
    cut = next((cut for cut in report.cuts if cut.by == ("topic", "route")), None)
    groups = [group for group in cut.groups if group.outcomes.reviewed] if cut else []
    rows = [(" · ".join(group.key), group.outcomes.rewrite) for group in groups[:MOST_BARS]]
    more = f" And {len(groups) - len(rows)} smaller groups." if len(groups) > len(rows) else ""
    said = "; ".join(f"{name} {share.in_words()}" for name, share in rows)
    alt = f"{title}: {said}.{more}" if rows else f"{title}: no draft was reviewed in the week."

    def draw(axes: Axes, palette: Palette) -> None:
        if not rows:
            axes.set_xticks([])
            _nothing(axes, palette, "No draft was reviewed in the week.")
            return
        large = [(n, share) for n, (_name, share) in enumerate(rows) if not share.small]
        top = max([(share.interval or (0, 0))[1] for _n, share in large], default=0.1)
        _names(axes, palette, [name for name, _share in rows])
        axes.set_xlim(0, max(0.1, top) * 1.5)
        axes.set_xticks([])
        for n, share in large:
            low, high = share.interval or (0, 0)
            axes.barh(n, share.value or 0, height=0.55, color=palette.mark)
            axes.hlines(n, low, high, color=palette.ink, linewidth=1)
        for n, (_name, share) in enumerate(rows):
            at = 0 if share.small else (share.interval or (0, 0))[1]
            _say(axes, palette, at, n, share.in_words())

    return Chart("topics", title, alt, _height(len(rows)), draw)


def spend(report: Report) -> Chart:
    """How far each cap was used at its fullest in the week; without caps, what each day cost."""
    capped = _fullest([row for row in report.spent if row.cap_usd])
    if capped:
        title = "Spend against caps, each at its fullest"
        rows = [
            (_capped(row), _used(row), f"{money(row.spent_usd)} of {money(row.cap_usd)}")
            for row in capped[:MOST_BARS]
        ]
        said = "; ".join(f"{name} {words} ({share:.0%})" for name, share, words in rows)
    else:
        days = [row for row in report.spent if row.what == "all"]
        title = "Spend by day; no cap is set" if days else "Spend against caps"
        rows = [(_day(row.day), float(row.spent_usd), money(row.spent_usd)) for row in days]
        said = "; ".join(f"{name} {words}" for name, _share, words in rows)
    alt = f"{title}: {said}." if rows else f"{title}: nothing was spent in the week."

    def draw(axes: Axes, palette: Palette) -> None:
        axes.set_xticks([])
        if not rows:
            _nothing(axes, palette, "Nothing was spent in the week.")
            return
        _names(axes, palette, [name for name, _share, _words in rows])
        most = max(share for _name, share, _words in rows)
        if capped:
            axes.axvline(1, color=palette.warn, linewidth=1.5)
            axes.set_xticks([1], ["the cap"])
        axes.set_xlim(0, max(1.0, most) * 1.8 if capped else (most or 1) * 1.5)
        for n, (_name, share, words) in enumerate(rows):
            axes.barh(n, share, height=0.55, color=palette.warn if capped and share > 1 else palette.mark)
            if capped:
                words = f"{share:.0%}, {words}"
            _say(axes, palette, max(share, 1) if capped else share, n, words)  # clear of the cap's line

    return Chart("spend", title, alt, _height(len(rows)), draw)


def latency(report: Report) -> Chart:
    """Half and 95 of 100 answered calls of each model and task came within these times."""
    title = "Waiting for a model: half, and 95 of 100, answered within"
    found = [row for row in report.calls if row.p50_ms is not None and row.p95_ms is not None]
    rows = sorted(found, key=lambda row: -row.calls)[:MOST_BARS]
    said = "; ".join(
        f"{_task(row)} {milliseconds(row.p50_ms)} and {milliseconds(row.p95_ms)}" for row in rows
    )
    alt = f"{title}: {said}." if rows else "Waiting for a model: no model answered in the week."

    def draw(axes: Axes, palette: Palette) -> None:
        axes.set_xticks([])
        if not rows:
            _nothing(axes, palette, "No model answered in the week.")
            return
        _names(axes, palette, [_task(row) for row in rows])
        most = max(row.p95_ms or 0 for row in rows) or 1
        axes.set_xlim(0, most * 1.45)
        for n, row in enumerate(rows):
            p50, p95 = row.p50_ms or 0, row.p95_ms or 0
            axes.hlines(n, p50, p95, color=palette.band, linewidth=6)
            axes.plot([p50], [n], "o", color=palette.mark, markersize=6)
            axes.plot([p95], [n], "|", color=palette.mark, markersize=12, markeredgewidth=2.5)
            _say(axes, palette, p95, n, f"{milliseconds(p50)}, {milliseconds(p95)}")

    return Chart("latency", title, alt, _height(len(rows)), draw)


def _height(rows: int) -> int:
    return 75 + 30 * max(3, rows) if rows else 100


def _fullest(rows: list[Spent]) -> list[Spent]:
    """Of each cap the row in which most of it was used, the fullest first."""
    best: dict[str, Spent] = {}
    for row in rows:
        if row.what not in best or _used(row) > _used(best[row.what]):
            best[row.what] = row
    return sorted(best.values(), key=lambda row: (-_used(row), row.what))


def _capped(row: Spent) -> str:
    """A cap and the period of its use: all on Wed 18, draft on Thu 19, week 2026-W47."""
    return f"{row.what} {row.day}" if row.what in ("week", "month") else f"{row.what} on {_day(row.day)}"


def _day(iso: str) -> str:
    return f"{date.fromisoformat(iso):%a %-d}"


def _used(row: Spent) -> float:
    return float(row.spent_usd / row.cap_usd) if row.cap_usd else 0.0


def _task(row: Calls) -> str:
    return f"{row.model}, {row.task}"


def _runs(numbers: list[int]) -> list[list[int]]:
    """Neighbours together: no line is drawn over a week without a figure."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and runs[-1][-1] == number - 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return runs


def _percent(axes: Axes, palette: Palette, top: float) -> None:
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    axes.set_ylim(0, top * 1.15)
    axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.grid(axis="y", color=palette.line, linewidth=0.8)
    axes.set_axisbelow(True)


def _names(axes: Axes, palette: Palette, names: list[str]) -> None:
    shown = [name if len(name) <= 34 else f"{name[:33]}…" for name in names]
    axes.set_yticks(range(len(names)), shown)
    axes.set_ylim(max(3, len(names)) - 0.4, -0.6)  # the first on top; few bars do not grow fat
    axes.axvline(0, color=palette.line, linewidth=1)


def _say(axes: Axes, palette: Palette, x: float, y: float, words: str) -> None:
    axes.annotate(
        words, (x, y), (6, 0), textcoords="offset points", va="center", color=palette.ink, fontsize=9
    )


def _nothing(axes: Axes, palette: Palette, words: str) -> None:
    axes.set_yticks([])
    axes.text(0.5, 0.5, words, transform=axes.transAxes, ha="center", va="center", color=palette.soft)


__all__ = ["Chart", "Palette", "charts", "line"]
