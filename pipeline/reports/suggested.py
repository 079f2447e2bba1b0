"""A suggestion, and what all kinds of suggestions look at and have in common."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from urllib.parse import urlencode

import sqlalchemy as sa

from pipeline.reports import edits, evidence
from pipeline.reports.edits import Edit
from pipeline.reports.evidence import Judged
from pipeline.reports.rates import Share, many
from pipeline.reports.spending import Calls
from pipeline.reports.weeks import Week
from pipeline.reports.words import money
from pipeline.routing.table import Routes

ENOUGH = 15
"""Cases below which nothing is suggested, however far apart the shares are."""
FAILING = 0.05
"""The lower bound of a share of failed calls, rejections or corrections from which something is suggested."""


@dataclass(frozen=True)
class Evidence:
    """One sentence; `behind` is the query of the cases that it counts, None where there is no list of them."""

    text: str
    behind: str | None = None


@dataclass(frozen=True)
class Suggestion:
    """A change to one file. `before` and `after` are the lines that change, `diff` is the whole change.

    `saved` is what it should bring in the time looked at: drafts less to be rewritten, calls less that fail,
    readings less to be corrected; below 0 where money is saved at their expense. `cost_usd` is above 0 where it
    is dearer, None where the rows do not tell.
    """

    kind: str
    title: str
    file: str
    before: str
    after: str
    diff: str
    evidence: tuple[Evidence, ...]
    effect: str
    saved: float
    cost_usd: Decimal | None


@dataclass(frozen=True)
class Looked:
    """The week as all kinds of suggestions look at it. `text` is that of the table's file, None where it cannot be
    read."""

    connection: sa.Connection
    start: datetime
    end: datetime
    rows: list[Judged]
    routes: Routes
    text: str | None
    prompts: Path | None
    calls: tuple[Calls, ...]
    errors: tuple[tuple[str, str, int], ...]
    since: Week | None = None
    """The first of the weeks that are looked at together; None: the week alone."""

    @property
    def span(self) -> str:
        return "a week" if self.since is None else "in four weeks"

    def those(self, **question: str) -> list[Judged]:
        return evidence.those(self.rows, question)

    def share(self, **question: str) -> Share:
        return evidence.share(self.those(**question))

    @cached_property
    def means(self) -> dict[str, Decimal | None]:
        """What a model's draft cost on each route, on average."""
        found: dict[str, Decimal | None] = {}
        for route in ("cheap", "strong"):
            costs = [row.cost_usd for row in self.those(route=route, source="model")]
            found[route] = sum(costs, Decimal(0)) / len(costs) if costs else None
        return found

    def dearer(self, count: int) -> Decimal | None:
        """What so many strong drafts cost more than cheap ones."""
        cheap, strong = self.means["cheap"], self.means["strong"]
        return None if cheap is None or strong is None else (strong - cheap) * count

    def change(self, new: str | None) -> Edit | None:
        return None if self.text is None else edits.edit(self.routes.path.name, self.text, new)

    def made(
        self,
        kind: str,
        title: str,
        change: Edit | None,
        said: Sequence[Evidence],
        saved: float,
        cost_usd: Decimal | None,
        effect: str = "",
    ) -> Iterator[Suggestion]:
        if change is not None:
            effect = effect or self.in_words(saved, cost_usd)
            yield Suggestion(
                kind, title, change.file, change.before, change.after, change.diff, self._of_all(said), effect,
                round(saved, 1), cost_usd,
            )  # fmt: skip

    def _of_all(self, said: Sequence[Evidence]) -> tuple[Evidence, ...]:
        if self.since is None:
            return tuple(said)
        return tuple(
            replace(
                one, text=f"{one.text}, {self.span}", behind=one.behind and f"{one.behind}&since={self.since}"
            )
            for one in said
        )

    def in_words(self, saved: float, cost_usd: Decimal | None) -> str:
        """Rewrite rate about 21% → 18% (9 fewer of 300 drafts rewritten a week); models about $1.20 more a week."""
        now = evidence.share(self.rows)
        value = now.value or 0.0
        then = max(0.0, value - saved / now.of) if now.of else 0.0
        less = f"{abs(saved):.0f} {'fewer' if saved >= 0 else 'more'} of {many(now.of, 'draft')} rewritten {self.span}"
        return f"rewrite rate about {value:.0%} → {then:.0%} ({less}); {self.dollars(cost_usd)}"

    def dollars(self, cost_usd: Decimal | None) -> str:
        if cost_usd is None:
            return "what it costs is not known from the rows"
        if abs(cost_usd) < Decimal("0.01"):
            return "it costs nothing to speak of"
        return f"models about {money(abs(cost_usd))} {'more' if cost_usd > 0 else 'less'} {self.span}"


def link(figure: str, **question: str) -> str:
    return urlencode({"figure": figure, **question})


def low(share: Share) -> float:
    return share.interval[0] if share.interval else 0.0


def high(share: Share) -> float:
    return share.interval[1] if share.interval else 1.0


def about(share: Share, **question: str) -> str | None:
    return link("drafts", **question) if share.count else None
