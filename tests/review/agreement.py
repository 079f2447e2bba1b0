"""How far the measure of outcomes agrees with hand-labelled pairs, and which thresholds the labels ask for.

`python -m tests.review.agreement` writes the figures of docs/rewrite-rate.md anew.
"""

from __future__ import annotations

import json
import random
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from pathlib import Path

from pipeline.review.outcomes import AS_IS, HEAVY, LIGHT, REWRITTEN, Thresholds, grade, measure

PAIRS = Path(__file__).with_name("pairs.jsonl")
DOC = Path(__file__).parents[2] / "docs" / "rewrite-rate.md"
LABELS = (AS_IS, LIGHT, HEAVY, REWRITTEN)
SHIPPED = Thresholds()
CUTS = ("as_is", "heavy", "rewritten")
RESAMPLES = 1000
LENIENT = Thresholds(rewritten=0.80)
"""Between the heavy and the rewritten pairs as they are labelled; docs/rewrite-rate.md argues it. Not shipped."""
CUT_SHORT = frozenset(["en-03c", "en-08c", "de-02d", "fr-04b", "it-03b", "nl-03b", "ja-03d", "pt-01e"])
"""Heavy pairs of which little more than a third was sent."""
HALF_ANEW = frozenset(
    [
        "en-01d",
        "en-05e",
        "en-06b",
        "de-01d",
        "de-06a",
        "fr-01d",
        "es-02c",
        "es-03c",
        "it-01d",
        "it-02c",
        "nl-01d",
        "ja-01e",
        "pl-01c",
        "pt-01c",
        "zh-01d",
    ]
)
"""Heavy pairs whose beginning or end was kept and the rest, often the answer itself, written anew."""


@dataclass(frozen=True)
class Pair:
    """One draft and what an agent made of it; `share` is the measured edit share, 0..1.

    `second` is the label of a second reading, given for some. `draft_id` is shared by pairs of one draft.
    """

    id: str
    language: str
    label: str
    second: str | None
    share: float

    @property
    def draft_id(self) -> str:
        return self.id[:-1]


@cache
def pairs() -> tuple[Pair, ...]:
    """All labelled pairs, measured."""
    found = []
    for row in map(json.loads, PAIRS.read_text(encoding="utf-8").splitlines()):
        share = measure(row["draft"], row["sent"], row["language"]).edit_share
        assert share is not None, row["id"]
        found.append(Pair(row["id"], row["language"], row["label"], row.get("second"), share))
    return tuple(found)


def read_as_rewritten(ids: frozenset[str]) -> list[Pair]:
    """All pairs, these with the label rewritten: how much hangs on a reading that may be disputed."""
    return [replace(pair, label=REWRITTEN) if pair.id in ids else pair for pair in pairs()]


def agreeing(some: Sequence[Pair], thresholds: Thresholds = SHIPPED) -> int:
    """How many pairs the measure grades as the label says."""
    return sum(grade(pair.share, thresholds) == pair.label for pair in some)


def disagreements(thresholds: Thresholds = SHIPPED) -> list[tuple[Pair, str]]:
    """The pairs graded otherwise than labelled, each with its grade."""
    graded = [(pair, grade(pair.share, thresholds)) for pair in pairs()]
    return [(pair, outcome) for pair, outcome in graded if outcome != pair.label]


def kappa(couples: Sequence[tuple[str, str]], *, quadratic: bool = False) -> float:
    """Cohen's kappa of two gradings of the same things, -1..1; with quadratic weights, near misses count less."""

    def apart(one: str, other: str) -> int:
        steps = LABELS.index(one) - LABELS.index(other)
        return steps * steps if quadratic else int(steps != 0)

    ones, others = Counter(a for a, _ in couples), Counter(b for _, b in couples)
    seen = sum(apart(a, b) for a, b in couples) / len(couples)
    chance = sum(ones[a] * others[b] * apart(a, b) for a in ones for b in others) / len(couples) ** 2
    return 1 - seen / chance


def gaps(some: Sequence[Pair]) -> dict[str, tuple[float, float]]:
    """Per threshold the gap between two edit shares in which the agreement is highest; of several, the widest.

    The agreement is a sum over the three cuts, so each is found alone: what lies below it should have
    the label below, what lies above it the label above. Within a gap every value is equally good.
    """
    found = {}
    for (lower, upper), cut in zip(pairwise(LABELS), CUTS, strict=True):
        below = sorted(pair.share for pair in some if pair.label == lower)
        above = sorted(pair.share for pair in some if pair.label == upper)
        right = {
            (start, end): bisect_right(below, start) - bisect_right(above, start)
            for start, end in pairwise(sorted({0.0, 1.0, *below, *above}))
        }
        most = max(right.values())
        found[cut] = max((gap for gap in right if right[gap] == most), key=lambda gap: gap[1] - gap[0])
    return found


def best(some: Sequence[Pair]) -> Thresholds:
    """The thresholds with the highest agreement: the middles of the gaps."""
    return Thresholds(**{cut: sum(gap) / 2 for cut, gap in gaps(some).items()})


@cache
def bootstrap() -> Mapping[str, tuple[float, float]]:
    """95% interval of each best gap, from its lower to its upper ends; drafts (with all their pairs) drawn anew."""
    draw = random.Random(6)
    groups = list(_by(lambda pair: pair.draft_id).values())
    fits = [
        gaps([pair for group in draw.choices(groups, k=len(groups)) for pair in group])
        for _ in range(RESAMPLES)
    ]
    return {
        cut: (
            sorted(fit[cut][0] for fit in fits)[int(RESAMPLES * 0.025)],
            sorted(fit[cut][1] for fit in fits)[int(RESAMPLES * 0.975)],
        )
        for cut in CUTS
    }


def cross_validated(group: Callable[[Pair], str]) -> int:
    """How many pairs are graded as labelled by thresholds fitted without their own group."""
    return sum(
        agreeing(left_out, best([pair for pair in pairs() if group(pair) != name]))
        for name, left_out in _by(group).items()
    )


def _by(group: Callable[[Pair], str]) -> dict[str, list[Pair]]:
    found: dict[str, list[Pair]] = {}
    for pair in pairs():
        found.setdefault(group(pair), []).append(pair)
    return found


def figures() -> str:
    """The tables of the document."""
    every = pairs()
    fitted = best(every)
    rows = [
        "| thresholds | agree | kappa | weighted kappa | rewritten (labels say " + _count(REWRITTEN) + ") |"
    ]
    rows += ["|---|---|---|---|---|"]
    for name, thresholds in (("shipped", SHIPPED), ("lenient", LENIENT), ("best fit", fitted)):
        couples = [(pair.label, grade(pair.share, thresholds)) for pair in every]
        shown = " / ".join(f"{getattr(thresholds, cut):.2f}" for cut in CUTS)
        rows.append(
            f"| {name}: {shown} | {agreeing(every, thresholds)} of {len(every)} | {kappa(couples):.2f} "
            f"| {kappa(couples, quadratic=True):.2f} | {sum(b == REWRITTEN for _, b in couples)} |"
        )
    by_draft, by_language = cross_validated(lambda p: p.draft_id), cross_validated(lambda p: p.language)
    rows += [
        "",
        f"Fitted without the pair's own draft and tried on it: {by_draft} of {len(every)} agree; without its own "
        f"language: {by_language} of {len(every)}.",
        "",
        "| threshold | shipped | equally good | 95% interval | shipped lies |",
        "|---|---|---|---|---|",
    ]
    for cut in CUTS:
        low, high = bootstrap()[cut]
        value, (start, end) = getattr(SHIPPED, cut), gaps(every)[cut]
        lies = "inside" if low <= value <= high else "outside"
        rows.append(f"| {cut} | {value:.2f} | {start:.3f} to {end:.3f} | {low:.2f} to {high:.2f} | {lies} |")
    rows += [
        "",
        "| where these heavy pairs are read as rewritten | best rewritten | agree, shipped | agree, lenient |",
    ]
    rows += ["|---|---|---|---|"]
    for name, some in (
        ("none: as labelled", every),
        (f"the {len(CUT_SHORT)} cut short", read_as_rewritten(CUT_SHORT)),
        (f"the {len(HALF_ANEW)} half anew", read_as_rewritten(HALF_ANEW)),
        ("both", read_as_rewritten(CUT_SHORT | HALF_ANEW)),
    ):
        start, end = gaps(some)[REWRITTEN]
        rows.append(f"| {name} | {start:.3f} to {end:.3f} | {agreeing(some)} | {agreeing(some, LENIENT)} |")
    rows += ["", "Label (rows) and measure with the shipped thresholds (columns):", ""]
    rows += ["| | " + " | ".join(LABELS) + " |", "|---|---|---|---|---|"]
    for label in LABELS:
        graded = Counter(grade(pair.share) for pair in every if pair.label == label)
        rows.append(f"| {label} | " + " | ".join(str(graded[outcome]) for outcome in LABELS) + " |")
    rows += ["", "| label | pairs | lowest share | quarter | middle | three quarters | highest |"]
    rows += ["|---|---|---|---|---|---|---|"]
    for label in LABELS:
        shares = sorted(pair.share for pair in every if pair.label == label)
        at = [shares[round((len(shares) - 1) * part)] for part in (0, 0.25, 0.5, 0.75, 1)]
        rows.append(f"| {label} | {len(shares)} | " + " | ".join(f"{share:.2f}" for share in at) + " |")
    rows += ["", "| language | pairs | agree, shipped | agree, lenient |", "|---|---|---|---|"]
    for language, some in sorted(_by(lambda p: p.language).items()):
        rows.append(f"| {language} | {len(some)} | {agreeing(some)} | {agreeing(some, LENIENT)} |")
    twice = [(pair.label, pair.second) for pair in every if pair.second]
    same = sum(a == b for a, b in twice)
    rows += [
        "",
        f"Labelled a second time: {len(twice)}; the same label {same} times, kappa {kappa(twice):.2f}.",
    ]
    return "\n".join(rows)


def _count(label: str) -> str:
    return str(sum(pair.label == label for pair in pairs()))


def with_figures(text: str) -> str:
    """The document with its figures as they are now."""
    pattern = re.compile("<!-- figures -->.*<!-- /figures -->", re.DOTALL)
    assert pattern.search(text)
    return pattern.sub(lambda _: f"<!-- figures -->\n{figures()}\n<!-- /figures -->", text)


if __name__ == "__main__":
    DOC.write_text(with_figures(DOC.read_text(encoding="utf-8")), encoding="utf-8")
