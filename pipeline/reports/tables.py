"""The report as sentences and tables, for the forms that people read."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from pipeline.db.reviews import REASONS
from pipeline.reports.measures import Cut, Report
from pipeline.reports.rates import NAMES, SMALL, Outcomes

_BARS = "▁▂▃▄▅▆▇█"


@dataclass(frozen=True)
class Table:
    """A table for people. The first `words` columns are text, the others figures."""

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    words: int = 1


def summary(report: Report) -> list[str]:
    """What a busy lead reads: the number, what changed, the money, what needs a hand."""
    rewrite = report.headline.rewrite
    beside = f"expired {report.headline.expired:,}, unscorable {report.headline.unscorable:,}"
    found = [f"Rewrite rate: {rewrite.with_interval()}; {beside}."]
    if not rewrite.of:
        found = [f"Rewrite rate: no draft was reviewed; {beside}."]
    found.append(_change(report))
    worst = _worst(report.cuts[0])
    if worst:
        found.append(worst)
    counts = report.counts
    found.append(
        f"In: {counts['messages']:,} messages ({counts['from_people']:,} from people, "
        f"{counts['automated']:,} automated) on {counts['tickets']:,} new tickets; "
        f"{counts['replies']:,} replies out; {counts['quarantined']:,} in quarantine."
    )
    costs = report.costs
    each = f", {money(costs.per_ticket_usd)} a ticket" if costs.per_ticket_usd is not None else ""
    strong = (
        f"; about {money(costs.all_strong_usd)} had the strong model drafted all"
        if costs.all_strong_usd is not None
        else ""
    )
    found.append(f"Models: {money(costs.total_usd)} for {costs.tickets:,} tickets{each}{strong}.")
    desk = report.desk
    waiting = f"{desk.open_now:,} wait for a person now"
    if desk.oldest_open_s is not None:
        waiting += f", the oldest for {span(desk.oldest_open_s)}"
    failed = sum(count for _reason, count in report.failures)
    found.append(f"Review: {desk.decided:,} decided, {waiting}; {failed:,} failures came to a person.")
    if not report.complete:
        found.append("The week is not over: these are its figures so far.")
    return found


def _change(report: Report) -> str:
    line = f"Last {len(report.line)} weeks: {sparkline([p.outcomes for p in report.line])}"
    if report.before is None:
        return line + "."
    old, new = report.before.outcomes.rewrite, report.headline.rewrite
    if old.value is None or new.value is None:
        return f"{line} (the week before: {old.in_words()})."
    points = (new.value - old.value) * 100
    apart = (
        old.interval
        and new.interval
        and (old.interval[1] < new.interval[0] or new.interval[1] < old.interval[0])
    )
    said = "more than chance" if apart else "within chance"
    return f"{line} ({points:+.0f} points on the week before, {old.in_words()}; {said})."


def _worst(cut: Cut) -> str | None:
    large = [
        group for group in cut.groups if not group.outcomes.rewrite.small and group.outcomes.rewrite.count
    ]
    if not large:
        return None
    worst = max(large, key=lambda group: group.outcomes.rewrite.value or 0.0)
    return f"Most rewritten: {' on the route '.join(worst.key)}, {worst.outcomes.rewrite.in_words()}."


def sparkline(points: list[Outcomes]) -> str:
    """A bar per week, a dot where nothing was reviewed."""
    bars = []
    for outcomes in points:
        value = outcomes.rewrite.value
        bars.append("·" if value is None else _BARS[min(7, int(value * 8))])
    return "".join(bars)


def sections(report: Report) -> list[Table]:
    """The tables in the order in which a lead wants them."""
    # a cut with one group says what the headline says
    found = [_cut(cut) for n, cut in enumerate(report.cuts) if n == 0 or len(cut.groups) > 1]
    found[1:1] = [_failures(report), _costs(report)]
    found.append(_escalation(report))
    if report.shadows:
        found.append(_shadows(report))
    found += [_corrected(report), _desk(report)]
    if report.spent:
        found.append(_spent(report))
    if report.call_errors:
        rows = tuple((model, kind, f"{count:,}") for model, kind, count in report.call_errors)
        found.append(Table("Model calls that failed", ("model", "error", "calls"), rows, words=2))
    found.append(_weeks(report))
    return found


def _cut(cut: Cut) -> Table:
    rows = tuple((*group.key, *_outcome_cells(group.outcomes)) for group in cut.groups)
    return Table(
        f"Rewrite rate by {' and '.join(cut.by)}",
        (*cut.by, *_OUTCOME_HEADS),
        rows,
        note="" if rows else "No draft was judged.",
        words=len(cut.by),
    )


_OUTCOME_HEADS = ("rewrite rate", "95% between", "reviewed", *(name.replace("_", " ") for name in NAMES))


def _outcome_cells(outcomes: Outcomes) -> tuple[str, ...]:
    figures = (outcomes.reviewed, *(getattr(outcomes, name) for name in NAMES))
    rewrite = outcomes.rewrite
    low, high = rewrite.interval or (0.0, 0.0)
    between = "–" if rewrite.small else f"{low:.0%} and {high:.0%}"
    return (rewrite.in_words(), between, *(f"{figure:,}" for figure in figures))


def _failures(report: Report) -> Table:
    rows = tuple((REASONS.get(reason, reason), f"{count:,}") for reason, count in report.failures)
    return Table("What failed and came to a person", ("why", "rows"), rows, "" if rows else "Nothing.")


def _costs(report: Report) -> Table:
    rows = tuple(
        (
            row.route,
            row.task,
            row.model,
            f"{row.calls:,}",
            f"{row.failed:,}",
            money(row.cost_usd),
            _ms(row.p50_ms),
            _ms(row.p95_ms),
            f"{row.input_tokens:,}",
            f"{row.cached_input_tokens:,}",
            f"{row.output_tokens:,}",
        )
        for row in report.calls
    )
    heads = ("route", "task", "model", "calls", "failed", "cost", "p50", "p95", "tokens in", "of them cached")
    return Table(
        "Cost and latency", (*heads, "tokens out"), rows, "" if rows else "No model was called.", words=3
    )


def _escalation(report: Report) -> Table:
    escalation = report.escalation
    rows = [(f"read and sent the {name} way", share.in_words()) for name, share in escalation.routes]
    rows += [
        ("strong drafts that went out as they were and short (not needed?)", escalation.over.in_words()),
        ("cheap drafts that were rewritten, replaced or rejected (missed?)", escalation.missed.in_words()),
    ]
    rows += [(f"because {reason}", f"{count:,}") for reason, count in escalation.reasons[:12]]
    return Table("Escalation", ("what", "messages"), tuple(rows), f"{escalation.read:,} messages were read.")


def _shadows(report: Report) -> Table:
    rows = tuple((*each.key, each.share.with_interval()) for each in report.shadows)
    note = (
        "Of a sample that was kept cheap and read by the strong model too: what should have been escalated."
    )
    return Table("Missed escalations", ("by", "of", "missed"), rows, note, words=2)


def _corrected(report: Report) -> Table:
    rows = tuple(
        (row.field, row.share.in_words(), ", ".join(f"{kind} {count:,}" for kind, count in row.by))
        for row in report.corrected
    )
    note = f"Of {report.read:,} messages that the cheap route read this week"
    return Table(
        "Corrections of the cheap route",
        ("field", "corrected", "by"),
        rows,
        note + (":" if rows else ", none was corrected."),
    )


def _desk(report: Report) -> Table:
    desk = report.desk
    rows = (
        ("rows opened", f"{desk.opened:,}"),
        ("rows decided", f"{desk.decided:,}"),
        ("half decided within", span(desk.wait_p50_s)),
        ("95 of 100 decided within", span(desk.wait_p95_s)),
        ("approved within 5 s of opening", desk.quick.in_words()),
        ("approved without opening the ticket", desk.unseen.in_words()),
    )
    return Table("The review table", ("what", "figure"), rows)


def _spent(report: Report) -> Table:
    rows = []
    for row in report.spent:
        share = row.spent_usd / row.cap_usd if row.cap_usd else None
        cap = money(row.cap_usd) if row.cap_usd is not None else "none"
        rows.append(
            (row.day, row.what, money(row.spent_usd), cap, f"{share:.0%}" if share is not None else "")
        )
    note = "Days as the caps count them, in UTC."
    return Table("Spend against caps", ("day", "cap on", "spent", "cap", "used"), tuple(rows), note, words=2)


def _weeks(report: Report) -> Table:
    rows = tuple(
        (point.week, *_outcome_cells(point.outcomes))
        for point in reversed(report.line)
        if point.outcomes != Outcomes() or point.week == report.week
    )
    note = f"Groups of fewer than {SMALL} reviewed drafts are shown as counts."
    return Table("The last weeks", ("week", *_OUTCOME_HEADS), rows, note)


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


def _ms(value: int | None) -> str:
    if value is None:
        return "–"
    return f"{value} ms" if value < 10_000 else f"{value / 1000:.1f} s"


__all__ = ["Table", "money", "sections", "span", "sparkline", "summary"]
