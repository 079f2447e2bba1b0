"""Suggestions on the rule: what to escalate, what to keep, and at which confidence."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pipeline.reports import edits, evidence
from pipeline.reports.rates import Share
from pipeline.reports.suggested import ENOUGH, Evidence, Looked, Suggestion, about, high, link, low

STEPS = (0.05, 0.10, 0.15)
UNNEEDED = 0.5
"""The lower bound of the share of strong drafts that were not needed, from which an escalation is given up."""


def found(week: Looked, text: str) -> Iterator[Suggestion]:
    """`text` is that of the table's file."""
    yield from _escalate(week, text)
    yield from _keep(week, text)
    rule = week.routes.rule
    for gauge, key, now in (
        ("calibrated", "confidence_below", rule.confidence_below),
        ("uncalibrated", "confidence_below_uncalibrated", rule.confidence_below_uncalibrated),
    ):
        yield from _raised(week, text, gauge, key, now)
        yield from _lowered(week, text, gauge, key, now)


def _escalate(week: Looked, text: str) -> Iterator[Suggestion]:
    """A topic whose cheap drafts are rewritten more than strong ones."""
    costly = {each.topic: each for each in week.routes.rule.costly}
    strong = week.share(route="strong")
    for topic in week.routes.topics:
        cheap = week.share(route="cheap", topic=topic)
        own = week.share(route="strong", topic=topic)
        other = own if own.of >= ENOUGH else strong
        always = topic in costly and costly[topic].over is None
        if always or cheap.of < ENOUGH or other.small or low(cheap) <= high(other):
            continue
        span = week.span.removeprefix("in ")
        why = f"routine drafts on it were rewritten, {cheap.count} of {cheap.of} in {span}"
        asked = {"topic": topic, "outcome": "rewrite"}
        other_asked = asked if other is own else {"outcome": "rewrite"}
        whose = "on this topic" if other is own else "in all"
        yield from week.made(
            "escalate",
            f"Escalate {topic}: its routine drafts are rewritten more often than strong ones.",
            week.change(edits.set_value(text, ["rule", "costly"], topic, why)),
            (
                Evidence(
                    f"routine drafts on {topic}: {cheap.with_interval()} rewritten",
                    about(cheap, route="cheap", **asked),
                ),
                Evidence(
                    f"strong drafts {whose}: {other.with_interval()} rewritten",
                    about(other, route="strong", **other_asked),
                ),
            ),
            cheap.of * ((cheap.value or 0.0) - (other.value or 0.0)),
            week.dearer(cheap.of),
        )


def _keep(week: Looked, text: str) -> Iterator[Suggestion]:
    """An escalation whose strong drafts a routine one could have been."""
    rule = week.routes.rule
    ways: list[tuple[str, str, str, Callable[[], str | None]]] = []
    for costly in rule.costly:
        if costly.over is None:
            ways.append(
                (
                    costly.topic,
                    f"Topic {costly.topic}: ",
                    f"Do not escalate every message on {costly.topic}",
                    lambda topic=costly.topic: edits.drop_key(text, ["rule", "costly"], topic),  # type: ignore[misc]
                )
            )
    for clarity, begins in (("vague", "The message is vague"), ("mixed", "The message mixes")):
        if clarity in rule.clarity:
            kept = [each for each in rule.clarity if each != clarity]
            ways.append(
                (
                    "",
                    begins,
                    f"Do not escalate a message just because it is {clarity}",
                    lambda kept=kept: edits.set_value(text, ["rule"], "clarity", kept),  # type: ignore[misc]
                )
            )
    for topic, begins, title, change in ways:
        asked = {"route": "strong", "sole": begins}
        sole = week.those(**asked)
        unneeded = Share(len(week.those(**asked, needed="no")), len(sole))
        if unneeded.of < ENOUGH or low(unneeded) < UNNEEDED:
            continue
        own = week.share(route="cheap", topic=topic) if topic else Share(0, 0)
        cheap = own if not own.small else week.share(route="cheap")
        dearer = week.dearer(len(sole))
        yield from week.made(
            "keep",
            f"{title}: most of those drafts went out as they were, and short.",
            week.change(change()),
            (
                Evidence(
                    f"strong drafts for this reason alone that were not needed: {unneeded.with_interval()}",
                    link("drafts", **asked, needed="no"),
                ),
                Evidence(
                    f"routine drafts {f'on {topic}' if cheap is own else 'in all'}: {cheap.with_interval()} rewritten",
                    about(
                        cheap, route="cheap", outcome="rewrite", **({"topic": topic} if cheap is own else {})
                    ),
                ),
            ),
            len(sole) * ((evidence.share(sole).value or 0.0) - (cheap.value or 0.0)),
            None if dearer is None else -dearer,
        )


def _raised(week: Looked, text: str, gauge: str, key: str, now: float) -> Iterator[Suggestion]:
    """Messages kept with a confidence just above the threshold whose drafts are rewritten."""
    strong = week.share(route="strong")
    for step in STEPS:
        new = round(now + step, 2)
        asked = {"route": "cheap", "gauge": gauge, "sure": f"{now:.2f}-{new:.2f}"}
        cheap = week.share(**asked)
        surer = week.share(**asked | {"sure": f"{new:.2f}-1.01"})
        if new > 0.99 or cheap.of < ENOUGH or strong.small or low(cheap) <= high(strong):
            continue
        if surer.small or low(cheap) <= high(surer):
            continue  # then it is not the confidence that they have in common
        yield from week.made(
            "threshold",
            f"Raise {key} from {now:.2f} to {new:.2f}: routine drafts just above it are rewritten.",
            week.change(edits.set_value(text, ["rule"], key, new)),
            (
                Evidence(
                    f"routine drafts with a confidence from {now:.2f} to {new:.2f}: {cheap.with_interval()} rewritten",
                    about(cheap, **asked, outcome="rewrite"),
                ),
                Evidence(
                    f"routine drafts with a higher one: {surer.with_interval()} rewritten",
                    about(surer, **asked | {"sure": f"{new:.2f}-1.01"}, outcome="rewrite"),
                ),
                Evidence(
                    f"strong drafts in all: {strong.with_interval()} rewritten",
                    about(strong, route="strong", outcome="rewrite"),
                ),
            ),
            cheap.of * ((cheap.value or 0.0) - (strong.value or 0.0)),
            week.dearer(cheap.of),
        )
        return


def _lowered(week: Looked, text: str, gauge: str, key: str, now: float) -> Iterator[Suggestion]:
    """Messages escalated for a confidence just below the threshold alone, whose strong drafts were not needed."""
    floor = week.routes.rule.confidence_below if gauge == "uncalibrated" else 0.0
    for step in reversed(STEPS):
        new = round(now - step, 2)
        asked = {"route": "strong", "gauge": gauge, "sole": "Confidence ", "sure": f"{new:.2f}-{now:.2f}"}
        sole = week.those(**asked)
        unneeded = Share(len(week.those(**asked, needed="no")), len(sole))
        if new < floor or unneeded.of < ENOUGH or low(unneeded) < UNNEEDED:
            continue
        cheap, dearer = week.share(route="cheap"), week.dearer(len(sole))
        yield from week.made(
            "threshold",
            f"Lower {key} from {now:.2f} to {new:.2f}: strong drafts just below it were not needed.",
            week.change(edits.set_value(text, ["rule"], key, new)),
            (
                Evidence(
                    f"strong drafts for a confidence from {new:.2f} to {now:.2f} alone that were not needed: "
                    f"{unneeded.with_interval()}",
                    link("drafts", **asked, needed="no"),
                ),
            ),
            len(sole) * ((evidence.share(sole).value or 0.0) - (cheap.value or 0.0)),
            None if dearer is None else -dearer,
        )
        return
