"""The week's proposals: facts for the policy, phrases for the prompts, a threshold of the rule."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING

import sqlalchemy as sa

from pipeline.db.tables import proposals, weekly_reports
from pipeline.learning import proposals as kept
from pipeline.learning.answers import Answer, Closer, answers, share_of
from pipeline.learning.facts import alike, facts
from pipeline.learning.phrases import phrases
from pipeline.learning.proposals import Draft
from pipeline.learning.thresholds import Found, threshold
from pipeline.learning.trying import read_stored
from pipeline.reports.rates import many
from pipeline.reports.weeks import Week

if TYPE_CHECKING:
    from pipeline.assembly import Parts

MOST = 5
"""Of facts and of phrases a week: a person has to read them."""
REPLAYED_DAYS = 28
NEWEST = 5_000
"""So many readings are decided anew for a threshold: enough for its rates, and some ten seconds."""


def propose(parts: Parts, week: Week) -> list[int]:
    """Make the week's proposals and keep those that are new; returns their ids. Safe to repeat."""
    return kept.keep(parts.store, str(week), found_in(parts, week))


def propose_due(parts: Parts, done: str | None) -> str | None:
    """Make the proposals of the newest week whose report is written, unless that was `done`; returns the week.

    What the schedule asks each minute. A process that starts anew proposes once more, which changes nothing.
    """
    with parts.store.read() as connection:
        newest = connection.execute(sa.select(sa.func.max(weekly_reports.c.week))).scalar_one_or_none()
    if newest is not None and newest != done:
        propose(parts, Week.parse(newest))
    return newest


def found_in(parts: Parts, week: Week) -> list[Draft]:
    """What the week's edits speak for, nothing stored."""
    start, end = week.bounds(parts.settings.zone)
    region = parts.routes.region
    since = end - timedelta(days=REPLAYED_DAYS)
    with parts.store.read() as connection:
        rows = answers(connection, start, end)
        stored = read_stored(connection, since, end, NEWEST)
        old_facts = {
            str(row.content.get("text", "")): row.key
            for row in connection.execute(
                sa.select(proposals.c.key, proposals.c.content).where(proposals.c.kind == "fact")
            )
        }
    found = list(_facts(rows, parts.policy or "", old_facts, region))
    found += list(_phrases(rows, parts, region))
    if (moved := threshold(stored, parts.routes, since)) is not None:
        found.append(_threshold(moved))
    return found


def _facts(rows: list[Answer], policy: str, known: dict[str, str], region: str | None) -> Iterator[Draft]:
    for one in facts(rows, policy, region=region)[:MOST]:
        # the same fact in nearly the same words was proposed before: that one is meant
        key = next((key for text, key in known.items() if alike(text, one.text)), None)
        yield Draft(
            key or f"fact:{one.language}:{_digest(one.text.casefold())}",
            "fact",
            f"Add to the policy: “{one.text}”",
            "policy.md",
            {"text": one.text, "language": one.language},
            one.reviews,
            one.effect.to_json()
            | {
                "tickets": one.tickets,
                "customers": one.customers,
                "words": f"Agents added it in {many(one.tickets, 'ticket')} of {many(one.customers, 'customer')}. "
                + _closer(one.effect, "With it in the draft"),
            },
        )


def _phrases(rows: list[Answer], parts: Parts, region: str | None) -> Iterator[Draft]:
    shown = 0
    for one in phrases(rows, region=region):
        file = f"{one.task}/{one.route}.md"
        if shown == MOST or not (parts.prompts.folder / file).exists():
            continue
        shown += 1
        name = f"{one.task}:{one.language}:{_digest(f'{one.old}→{one.new}')}"
        yield Draft(
            f"phrase:{name}",
            "phrase",
            f"In {one.language}, {one.task} drafts should say “{one.new}”, not “{one.old}”",
            f"prompts/{file}",
            {"old": one.old, "new": one.new, "language": one.language},
            one.reviews,
            one.effect.to_json()
            | {
                "tickets": one.tickets,
                "words": f"Agents exchanged it in {many(one.tickets, 'ticket')}. "
                + _closer(one.effect, "With it in each draft that says the other"),
            },
        )


def _threshold(found: Found) -> Draft:
    result = found.tried
    moved = len(result.changed)
    way = "cheap → strong" if found.new > found.old else "strong → cheap"
    return Draft(
        f"threshold:{found.key}:{found.old:.2f}→{found.new:.2f}",
        "threshold",
        f"Escalate below {found.new:.2f} instead of {found.old:.2f} ({found.key})",
        "routes.toml",
        {"key": found.key, "old": found.old, "new": found.new},
        result.reviews,
        {
            "messages": result.messages,
            "moved": moved,
            "change_usd": None if result.change_usd is None else str(result.change_usd),
            "own": share_of(result.own.count, result.own.of),
            "there": share_of(found.there.count, found.there.of),
            "words": f"Of {many(result.messages, 'message')} in {REPLAYED_DAYS} days {moved} would move "
            f"{way}: {result.own.with_interval()} of their own drafts were rewritten, "
            f"{found.there.with_interval()} of the drafts on the other route for messages like them. "
            + result.cost_line.capitalize()
            + ".",
        },
    )


def _closer(effect: Closer, how: str) -> str:
    words = (
        f"{how}, {effect.closer} of {many(effect.of, 'edited draft')} would have been closer to what was sent"
    )
    if effect.farther:
        words += f" and {effect.farther} farther from it"
    return f"{words}: mean edit share {effect.before:.0%} → {effect.after:.0%}."


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


__all__ = ["found_in", "propose", "propose_due"]
