"""The report as tables, for the forms that people read; each figure knows the query of the cases behind it."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode

from pipeline.db.reviews import REASONS
from pipeline.reports.failures import PERSONAL, FailureGroup
from pipeline.reports.measures import Cut, Report
from pipeline.reports.movers import Movers, points
from pipeline.reports.rates import NAMES, SMALL, Outcomes, Share, many
from pipeline.reports.sentences import summary
from pipeline.reports.spending import Spent
from pipeline.reports.trend import WEEK
from pipeline.reports.weeks import Week
from pipeline.reports.words import milliseconds, money, span

MOST_REASONS = 12


@dataclass(frozen=True)
class Cell:
    """What a cell shows. `behind` is the query, without the week, that `behind.behind` lists the cases of:
    as many as the figure says."""

    text: str
    behind: str | None = None

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Table:
    """A table for people. The first `words` columns are text, the others figures."""

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""
    words: int = 1


def sections(report: Report) -> list[Table]:
    """The tables in the order in which a lead wants them."""
    cuts = sorted(report.cuts, key=lambda cut: cut.by != report.by) if report.by else list(report.cuts)
    # a cut with one group says what the headline says
    found = [_cut(report, cut) for n, cut in enumerate(cuts) if n == 0 or len(cut.groups) > 1]
    found[1:1] = [_failures(report), _money(report), _calls(report)]
    if report.movers is not None:
        found[1:1] = [_movers(report, report.movers)]
    found.append(_escalation(report))
    if report.shadows:
        found.append(_shadows(report))
    found += [_corrected(report), _cheap_failures(report), _friction(report), _guard(report), _desk(report)]
    if report.spent:
        found.append(_spent(report))
    if report.call_errors:
        rows = tuple(
            (Cell(model), Cell(kind), _count(count, "errors", model=model, kind=kind))
            for model, kind, count in report.call_errors
        )
        found.append(Table("Model calls that failed", ("model", "error", "calls"), rows, words=2))
    return [*found, _arrived(report), _weeks(report)]


def query(figure: str, **values: str) -> str:
    """The query of the cases behind a figure."""
    return urlencode({"figure": figure, **{name: value for name, value in values.items() if value}})


def _count(count: int, figure: str, **values: str) -> Cell:
    return Cell(f"{count:,}", query(figure, **values) if count else None)


def _share(share: Share, figure: str, **values: str) -> Cell:
    return Cell(share.in_words(), query(figure, **values) if share.count else None)


def _words(*texts: str) -> tuple[Cell, ...]:
    return tuple(Cell(text) for text in texts)


# --- the rewrite rate ---------------------------------------------------------------------------------

OUTCOME_HEADS = ("rewrite rate", "95% between", "reviewed", *(name.replace("_", " ") for name in NAMES))


def outcome_cells(outcomes: Outcomes, values: dict[str, str]) -> tuple[Cell, ...]:
    """A row's cells under `OUTCOME_HEADS`; `values` are what the drafts behind them are asked for by."""
    rewrite = outcomes.rewrite
    low, high = rewrite.interval or (0.0, 0.0)
    return (
        _share(rewrite, "drafts", **values, outcome="rewrite"),
        Cell("–" if rewrite.small else f"{low:.0%} and {high:.0%}"),
        _count(outcomes.reviewed, "drafts", **values, outcome="reviewed"),
        *(_count(getattr(outcomes, name), "drafts", **values, outcome=name) for name in NAMES),
    )


def _cut(report: Report, cut: Cut) -> Table:
    def values(key: tuple[str, ...]) -> dict[str, str]:
        found = report.only | dict(zip(cut.by, key, strict=True))
        if WEEK in found:
            found["past"] = found.pop(WEEK)
        return found

    rows = tuple(
        (*_words(*group.key), *outcome_cells(group.outcomes, values(group.key))) for group in cut.groups
    )
    return Table(
        f"Rewrite rate by {' and '.join(cut.by)}",
        (*cut.by, *OUTCOME_HEADS),
        rows,
        note="" if rows else "No draft was judged.",
        words=len(cut.by),
    )


def _movers(report: Report, found: Movers) -> Table:
    rows = []
    for mover in ([found.whole] if found.whole else []) + list(found.groups):
        named = report.only | dict(zip(mover.by, mover.key, strict=True))
        all_alike = mover is found.whole and not found.beyond_chance
        rows.append(
            (
                Cell(", ".join(mover.key) or "all drafts"),
                Cell("within chance" if all_alike else mover.why),
                _share(mover.now, "drafts", **named, outcome="rewrite"),
                Cell(mover.before.in_words()),
                *(Cell(f"{each:+d}") for each in points(mover)),
            )
        )
    note = f"Against {found.weeks[0]} to {found.weeks[-1]} together; groups of which the change is more than chance. "
    note += "Points of mix: easier and harder parts have other shares; of rate: the parts themselves changed."
    if not found.groups:
        note = f"Against {found.weeks[0]} to {found.weeks[-1]} together: "
        note += (
            "all drafts taken together moved more than chance, no single group did."
            if found.whole and found.beyond_chance
            else "no group moved beyond chance."
        )
    heads = ("drafts", "likely cause", "this week", "before", "points", "of it mix", "of it rate")
    return Table("What moved the rewrite rate", heads, tuple(rows), note, words=2)


def _weeks(report: Report) -> Table:
    rows = tuple(
        (Cell(point.week), *outcome_cells(point.outcomes, report.only | {"past": point.week}))
        for point in reversed(report.line)
        if point.outcomes != Outcomes() or point.week == report.week
    )
    note = f"Groups of fewer than {SMALL} reviewed drafts are shown as counts."
    return Table("The last weeks", ("week", *OUTCOME_HEADS), rows, note)


# --- money --------------------------------------------------------------------------------------------


def _money(report: Report) -> Table:
    costs = report.costs
    how = f"all-strong: {costs.all_strong_how}."
    rows = (
        (
            Cell("all model calls"),
            Cell(money(costs.total_usd), query("calls") if costs.total_usd else None),
        ),
        (
            Cell(f"each of {many(costs.tickets, 'ticket')} that a model worked on"),
            Cell(money(costs.per_ticket_usd) or "–"),
        ),
        (
            Cell(f"each of {many(costs.replies, 'reply', 'replies')} that went out"),
            Cell(money(costs.per_reply_usd) or "–"),
        ),
        (
            Cell("the same tickets, had the strong model drafted all"),
            Cell(f"about {money(costs.all_strong_usd)}" if costs.all_strong_usd is not None else "–"),
        ),
    )
    return Table("What it cost", ("what", "dollars"), rows, how[0].upper() + how[1:])


def _calls(report: Report) -> Table:
    rows = []
    for row in report.calls:
        key = {"route": row.route, "task": row.task, "model": row.model, "provider": row.provider}
        rows.append(
            (
                *_words(row.route, row.task, row.model),
                _count(row.calls, "calls", **key),
                _count(row.failed, "calls", **key, state="failed"),
                Cell(money(row.cost_usd), query("calls", **key)),
                *_words(milliseconds(row.p50_ms), milliseconds(row.p95_ms)),
                *_words(
                    f"{row.input_tokens:,}",
                    "–" if row.cached.value is None else f"{row.cached.value:.0%}",
                    f"{row.output_tokens:,}",
                ),
            )
        )
    heads = ("route", "task", "model", "calls", "failed", "cost", "p50", "p95", "tokens in", "from the cache")
    note = "" if rows else "No model was called."
    return Table("Cost and latency", (*heads, "tokens out"), tuple(rows), note, words=3)


def _spent(report: Report) -> Table:
    fullest: dict[str, Spent] = {}
    for row in report.spent:
        known = fullest.get(row.what)
        if known is None or row.spent_usd > known.spent_usd:
            fullest[row.what] = row
    rows = []
    for row in fullest.values():
        used = f"{row.spent_usd / row.cap_usd:.0%}" if row.cap_usd else ""
        # a month is not listed: its calls are those of many weeks
        behind = None if row.what == "month" or not row.spent_usd else query("cap", scope=row.scope)
        cap = money(row.cap_usd) if row.cap_usd is not None else "none"
        rows.append((*_words(row.what, row.day), Cell(money(row.spent_usd), behind), *_words(cap, used)))
    note = (
        "Of each cap that counts by the day, the day that used most; the others are in the JSON form. In UTC."
    )
    heads = ("cap on", "period", "spent", "cap", "used")
    return Table("Spend against caps", heads, tuple(rows), note, words=2)


# --- the machine's reading ----------------------------------------------------------------------------


def _escalation(report: Report) -> Table:
    found = report.escalation
    rows = [
        (Cell(f"read and sent the {name} way"), _share(share, "readings", route=name))
        for name, share in found.routes
    ]
    rows += [
        (Cell("strong drafts that were not needed"), _share(found.over, "over", how="either")),
        (Cell("· by an agent's mark"), _share(found.marked, "over", how="marked")),
        (Cell("· went out as they were, and short"), _share(found.short, "over", how="short")),
        (
            Cell("routine drafts that were rewritten, replaced or rejected"),
            _share(found.missed, "drafts", route="cheap", outcome="rewrite"),
        ),
        (
            Cell("tickets that came back after a routine reply"),
            _count(found.reopened, "reopened", route="cheap"),
        ),
    ]
    rows += [
        (Cell(f"because {reason}"), _count(count, "readings", because=reason))
        for reason, count in found.reasons[:MOST_REASONS]
    ]
    note = f"{many(found.read, 'message')} read. A draft that is not needed for both reasons counts once."
    return Table("Escalation", ("what", "figure"), tuple(rows), note)


def _shadows(report: Report) -> Table:
    rows = tuple(
        (
            *_words(*each.key),
            Cell(each.share.with_interval(), _missed(each.key) if each.share.count else None),
        )
        for each in report.shadows
    )
    note = (
        "Of a sample that was kept cheap and read by the strong model too: what should have been escalated."
    )
    return Table("Missed escalations", ("by", "of", "missed"), rows, note, words=2)


def _missed(key: tuple[str, str]) -> str:
    by, of = key
    return query("missed") if by == "all" else query("missed", **{by: of})


def _corrected(report: Report) -> Table:
    rows = tuple(
        (
            Cell(row.field),
            Cell(", ".join(f"{kind} {count:,}" for kind, count in row.by)),
            _share(row.share, "corrected", field=row.field),
        )
        for row in report.corrected
    )
    note = f"Of {many(report.read, 'message')} that the cheap route read this week"
    note += ":" if rows else ", none was corrected."
    return Table("Corrections of the cheap route", ("field", "by", "corrected"), rows, note, words=2)


def _cheap_failures(report: Report) -> Table:
    rows = tuple(
        (
            *_words(_CHEAP[group.kind].format(what=group.what.replace("_", " ")), group.prompt),
            *_words(group.before.replace("_", " "), group.after.replace("_", " ")),
            Cell(f"{group.count:,}", _behind_failures(group)),
        )
        for group in report.cheap_failures
    )
    heads = ("what", "prompt", "from", "to, or why", "cases")
    note = "" if rows else "Nothing of the cheap route failed or was corrected."
    return Table("Where the cheap route failed", heads, rows, note, words=4)


_CHEAP = {"draft": "routine draft {what}", "reading": "{what} corrected", "call": "call failed: {what}"}


def _behind_failures(group: FailureGroup) -> str | None:
    if (group.kind, group.what) == ("draft", "rejected") and not group.after:
        return None  # nobody said why: there is no list of these alone
    if group.kind == "reading" and group.what != PERSONAL and not (group.before and group.after):
        return None
    if group.kind == "draft":
        return query("routine", prompt=group.prompt, outcome=group.what, reason=group.after)
    if group.kind == "reading":
        return query("corrected", field=group.what, prompt=group.prompt, old=group.before, new=group.after)
    asked = {"route": "cheap", "state": "failed", "kind": group.what}
    return query("calls", **asked, prompt=group.prompt, role=group.before, then=group.after)


# --- people -------------------------------------------------------------------------------------------


def _failures(report: Report) -> Table:
    rows = tuple(
        (Cell(REASONS.get(reason, reason)), _count(count, "failed", reason=reason))
        for reason, count in report.failures
    )
    return Table("What came to a person without a draft", ("why", "rows"), rows, "" if rows else "Nothing.")


def _friction(report: Report) -> Table:
    found = report.friction
    rows = [
        (Cell("drafts written anew because somebody asked"), _count(found.regenerated, "regenerated")),
        (Cell("drafts polished because somebody asked"), _count(found.refined, "refined")),
        (Cell("pairs of drafts written side by side"), _count(found.compared, "compared")),
        (Cell("drafts that gave way to another unjudged"), _count(found.given_up, "given_up")),
    ]
    rows += [
        (Cell(f"calls that were a {role.replace('_', ' ')}"), _count(count, "retries", role=role))
        for role, count in found.retries
    ]
    rows += [
        (Cell("half decided, once looked at, within"), Cell(span(found.look_p50_s))),
        (Cell("95 of 100 decided, once looked at, within"), Cell(span(found.look_p95_s))),
        (Cell("tickets that came back within 7 days of a reply"), _count(found.reopened, "reopened")),
        (Cell("· angrier than before"), _count(found.complaints, "complaints")),
        (Cell("rows with an edit that was typed and never sent"), _count(found.abandoned, "abandoned")),
    ]
    note = "A draft that gave way to another was judged by nobody: it is in no rewrite rate."
    return Table("Friction", ("what", "figure"), tuple(rows), note)


def _guard(report: Report) -> Table:
    now, then = report.guard, report.guard_before
    under, past = f"{now.quick_s:g}", str(Week.parse(report.week).before())
    quick = {"under": under}

    def both(text: str, name: str, figure: str, **values: str) -> tuple[Cell, ...]:
        one, other = getattr(now, name), getattr(then, name)
        show = _count if isinstance(one, int) else _share
        return (Cell(text), show(one, figure, **values), show(other, figure, **values, past=past))

    rows = [
        both(f"approved in under {under} s of opening", "quick", "quick", **quick),
        both("approved without opening the ticket", "unseen", "unseen"),
        both("either of the two", "hasty", "hasty", **quick),
        both("second reads asked for", "asked", "second_asked"),
        both(
            "second readers who would have sent it as it was, too", "agreed", "second_read", verdict="as_is"
        ),
    ]
    verdicts, before = dict(now.verdicts), dict(then.verdicts)
    rows += [
        (
            Cell(f"· would have judged: {verdict}"),
            _count(verdicts.get(verdict, 0), "second_read", verdict=verdict),
            _count(before.get(verdict, 0), "second_read", verdict=verdict, past=past),
        )
        for verdict in sorted({*verdicts, *before} - {"as_is"})
    ]
    note = "A rewrite rate that falls while these rise says that drafts were read less, not that they are better."
    return Table("Were the drafts read?", ("what", "this week", "the week before"), tuple(rows), note)


def _desk(report: Report) -> Table:
    desk = report.desk
    rows = (
        (Cell("rows opened"), _count(desk.opened, "opened")),
        (Cell("rows decided"), _count(desk.decided, "decided")),
        (Cell("half decided within"), Cell(span(desk.wait_p50_s))),
        (Cell("95 of 100 decided within"), Cell(span(desk.wait_p95_s))),
        (Cell("wait for a person now"), _count(desk.open_now, "waiting")),
        (Cell("the oldest waits for"), Cell(span(desk.oldest_open_s))),
    )
    return Table("The review table", ("what", "figure"), rows)


def _arrived(report: Report) -> Table:
    counts = report.counts
    rows = (
        (Cell("messages from people"), _count(counts["from_people"], "messages", kind="person")),
        (Cell("automated messages"), _count(counts["automated"], "messages", kind="automated")),
        (Cell("new tickets"), _count(counts["tickets"], "tickets")),
        (Cell("replies sent"), _count(counts["replies"], "replies")),
        (Cell("kept in quarantine"), _count(counts["quarantined"], "raw", state="quarantined")),
        (Cell("duplicates"), _count(counts["duplicates"], "raw", state="duplicate")),
    )
    return Table("What came in and went out", ("what", "figure"), rows)


__all__ = ["OUTCOME_HEADS", "Cell", "Table", "outcome_cells", "query", "sections", "summary"]
