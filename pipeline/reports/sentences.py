"""The report's first lines: what a busy lead reads in half a minute."""

from __future__ import annotations

from pipeline.reports.guard import Guard
from pipeline.reports.measures import Report
from pipeline.reports.movers import CHANCE, chance
from pipeline.reports.rates import Share, many
from pipeline.reports.trend import Cut
from pipeline.reports.words import filters, money, span, sparkline

NEARLY = 0.8
"""The share of a cap from which the summary names it."""


def summary(report: Report) -> list[str]:
    """The number, what changed, whether it can be believed, the money, what needs a hand."""
    rewrite = report.headline.rewrite
    beside = f"expired {report.headline.expired:,}, unscorable {report.headline.unscorable:,}"
    what = f"Rewrite rate of {filters(report.only)}" if report.only else "Rewrite rate"
    found = [f"{what}: {rewrite.with_interval() if rewrite.of else 'no draft was reviewed'}; {beside}."]
    found.append(_change(report))
    found += [
        said for said in (_rubber(report), _worst(report.cuts[0]), _moved(report), _late(report)) if said
    ]
    counts = report.counts
    found.append(
        f"In: {many(counts['messages'], 'message')} ({counts['from_people']:,} from people, "
        f"{counts['automated']:,} automated), {many(counts['tickets'], 'new ticket')}; out: "
        f"{many(counts['replies'], 'reply', 'replies')}"
        + (f"; {counts['quarantined']:,} in quarantine." if counts["quarantined"] else ".")
    )
    found.append(_models(report))
    found += [said for said in (_caps(report),) if said]
    found.append(_review(report))
    if report.only:
        found.append("The filter narrows the rewrite rate only; money, desk and all else are of everything.")
    if not report.complete:
        found.append("The week is not over: these are its figures so far.")
    return found


def _change(report: Report) -> str:
    line = f"Last {len(report.line)} weeks: {sparkline([p.outcomes for p in report.line])}"
    if report.before is None:
        return line + "."
    old, new = report.before.outcomes.rewrite, report.headline.rewrite
    if old.value is None or new.value is None:
        return f"{line} (the week before: {old.in_words() if old.of else 'no draft was reviewed'})."
    if old.small or new.small:
        return f"{line} (the week before: {old.in_words()}; too few to compare)."
    points = (new.value - old.value) * 100
    said = "more than chance" if chance(old, new) < CHANCE else "within chance"
    return f"{line} ({points:+.0f} points on the week before, {old.in_words()}; {said})."


def _rubber(report: Report) -> str | None:
    """A rate that fell while drafts were looked at less is said in one breath with that."""
    if report.before is None:
        return None
    old, new = report.before.outcomes.rewrite, report.headline.rewrite
    if old.small or new.small or (new.value or 0.0) >= (old.value or 0.0):
        return None
    risen = [
        (what, then, now)
        for what, then, now in _watched(report.guard_before, report.guard)
        if not then.small and not now.small and (now.value or 0.0) > (then.value or 0.0)
    ]
    # one hasty approval more is in the table; to say that people looked less takes more than chance
    if not any(chance(then, now) < CHANCE for _what, then, now in risen):
        return None
    less = [f"{what} {now.in_words()} after {then.in_words()}" for what, then, now in risen]
    return f"The rate fell from {old.value:.0%} to {new.value:.0%}, but drafts were looked at less: {', '.join(less)}."


def _watched(then: Guard, now: Guard) -> list[tuple[str, Share, Share]]:
    def against(guard: Guard) -> Share:
        return Share(guard.agreed.of - guard.agreed.count, guard.agreed.of)

    return [
        (f"approved in under {now.quick_s:g} s", then.quick, now.quick),
        ("approved unopened", then.unseen, now.unseen),
        ("the second reader disagreed", against(then), against(now)),
    ]


def _worst(cut: Cut) -> str | None:
    large = [
        group for group in cut.groups if not group.outcomes.rewrite.small and group.outcomes.rewrite.count
    ]
    if not large:
        return None
    worst = max(large, key=lambda group: group.outcomes.rewrite.value or 0.0)
    topic, route = worst.key
    return f"Most rewritten: {topic} on the {route} route, {worst.outcomes.rewrite.in_words()}."


def _moved(report: Report) -> str | None:
    if report.movers is None or not report.movers.groups:
        return None
    most = report.movers.groups[0]
    return (
        f"Moved most: {', '.join(most.key)}, {most.before.in_words()} → {most.now.in_words()}; "
        f"{'likely cause: ' if most.causes else ''}{most.why}."
    )


def _late(report: Report) -> str | None:
    if not report.late:
        return None
    return f"{many(report.late, 'decision')} of last week came in after its report; the line counts them."


def _models(report: Report) -> str:
    costs = report.costs
    each = f", {money(costs.per_ticket_usd)} a ticket" if costs.per_ticket_usd is not None else ""
    each += f", {money(costs.per_reply_usd)} a sent reply" if costs.per_reply_usd is not None else ""
    strong = ""
    if costs.all_strong_usd is not None and costs.all_strong_usd != costs.total_usd:
        strong = f"; about {money(costs.all_strong_usd)} had the strong model drafted all"
    return f"Models: {money(costs.total_usd)} for {many(costs.tickets, 'ticket')}{each}{strong}."


def _caps(report: Report) -> str | None:
    near = [
        (row.spent_usd / row.cap_usd, row)
        for row in report.spent
        if row.cap_usd and row.spent_usd / row.cap_usd >= NEARLY
    ]
    if not near:
        return None
    share, row = max(near, key=lambda item: item[0])
    more = f", and {many(len(near) - 1, 'other cap')} above {NEARLY:.0%}" if len(near) > 1 else ""
    cap = (
        row.what
        if row.what in ("week", "month")
        else f"{row.what} in a day"
        if row.what != "all"
        else "a day"
    )
    return f"Nearest to its cap: {money(row.cap_usd)} ({cap}) was used to {share:.0%} in {row.day}{more}."


def _review(report: Report) -> str:
    desk = report.desk
    waiting = "nothing waits now"
    if desk.open_now:
        waiting = f"{many(desk.open_now, 'row waits', 'rows wait')} for a person now"
    if desk.open_now and desk.oldest_open_s is not None:
        waiting += f", the oldest for {span(desk.oldest_open_s)}"
    # a rejected draft's answer, or a ticket reopened by an agent, is work, and no failure
    failed = sum(count for reason, count in report.failures if reason != "human_route")
    return f"Review: {desk.decided:,} decided, {waiting}; {many(failed, 'failure')} came to a person."
