"""The plan of a simulated quarter: who writes when, what the models say of it, what the agents do. Pure.

Everything is drawn here from one seed, before anything is done: so the true rates are known beforehand.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from pipeline.simulation.hours import arrival, on_the_edge, within, working
from pipeline.simulation.people import AGENTS, Customer, customer
from pipeline.simulation.texts import LANGUAGES, ORDERED, TOPICS

BAD = ("rewritten", "replaced", "rejected")
_LANGUAGE_SHARES = (36, 20, 12, 9, 7, 6, 5, 5)
_TOPIC_SHARES = (22, 15, 13, 12, 12, 9, 6, 6, 5)
_OUTCOMES = {
    "cheap": {
        "as_is": 52,
        "light": 24,
        "heavy": 8,
        "rewritten": 5,
        "replaced": 3,
        "rejected": 3,
        "unscorable": 2,
    },
    "strong": {
        "as_is": 41,
        "light": 30,
        "heavy": 11,
        "rewritten": 8,
        "replaced": 3,
        "rejected": 3,
        "unscorable": 2,
    },
}
"""Of a hundred drafts; what makes some of them worse is in `_weights`."""

_EXPIRED = 0.03
_HARD_LANGUAGE, _HARD_TOPIC = "pl", "refund"
"""Drafts in this language, and routine drafts on this topic, are rewritten far more often."""

_REOPENED_WITHIN = timedelta(days=6)


@dataclass(frozen=True)
class Turn:
    """One message of a customer and all that follows from it.

    `outcome` is what becomes of the draft. `failure` is what goes wrong at a model: retry, repair, backup or
    template. `answered_at` is when an agent decides; a rejected draft is answered at `after_at`.
    """

    at: datetime
    seen_at: datetime
    answered_at: datetime
    after_at: datetime
    agent: int
    route: str
    topic: str
    read_topic: str
    urgency: str
    emotion: str
    clarity: str
    confidence: float
    mood: str
    outcome: str
    variant: int
    again: bool = False
    failure: str | None = None
    failed_task: str = "draft"
    corrections: tuple[tuple[str, str], ...] = ()
    redrafted: bool = False
    compared: bool = False
    snoozed: bool = False
    abandoned: bool = False
    blocked: bool = False
    costly: bool = False
    not_needed: bool = False
    second_verdict: str = "as_is"
    unopened: bool = False
    regreeted: bool = False
    reject_reason: str = "missed_question"
    spam: bool = False
    refused: bool = False
    shadow_missed: bool = False
    capped: bool = False

    @property
    def closed(self) -> bool:
        """Whether the draft is rejected because no answer is needed."""
        return self.outcome == "rejected" and self.reject_reason == "not_needed"

    @property
    def quick(self) -> bool:
        return self.answered_at - self.seen_at < timedelta(seconds=5)


@dataclass(frozen=True)
class Case:
    """One ticket. `kind` is person, auto_reply, bulk or bounce; only a person's has an agent's work."""

    number: int
    kind: str
    inbox: str
    language: str
    customer: Customer
    order: str
    product: int
    amount: str
    turns: tuple[Turn, ...]
    twice: bool = False


@dataclass(frozen=True)
class Plan:
    """The whole quarter. The strong prompt changes at `prompt_at`, the routine model at `model_at`; within
    `capped` no strong draft is paid for. `broken` are mails that nobody can read."""

    seed: int
    weeks: int
    zone: str
    start: datetime
    until: datetime
    prompt_at: datetime
    model_at: datetime
    mix_at: datetime
    capped: tuple[datetime, datetime]
    cases: tuple[Case, ...]
    broken: tuple[tuple[datetime, str], ...]
    growth: float

    def facts(self) -> dict[str, Any]:
        """What `truth.json` says of the plan as a whole."""
        return {
            "seed": self.seed,
            "tickets": len(self.cases),
            "start": self.start.isoformat(),
            "until": self.until.isoformat(),
            "strong_prompt_changed_at": self.prompt_at.isoformat(),
            "routine_model_changed_at": self.model_at.isoformat(),
            "topic_mix_changed_at": self.mix_at.isoformat(),
            "strong_drafts_capped": [at.isoformat() for at in self.capped],
            "rewritten_more": {"language": _HARD_LANGUAGE, "topic": f"{_HARD_TOPIC} on the cheap route"},
        }


def make(
    seed: int,
    weeks: int,
    tickets: int,
    until: datetime,
    inboxes: tuple[str, ...],
    *,
    zone: str = "UTC",
    growth: float = 1.0,
) -> Plan:
    """Plan `weeks` whole weeks, and what there is of one more up to `until`, with so many tickets.

    The same arguments give the same plan. With a `growth` above 1 the later weeks bring more than the first.
    """
    rng = Random(f"{seed} {weeks} {tickets}")
    until = until.astimezone(ZoneInfo(zone))
    day = until.date() - timedelta(days=until.weekday(), weeks=weeks)
    start = datetime.combine(day, time(), until.tzinfo).astimezone(UTC)
    until = until.astimezone(UTC)

    def week(number: int) -> datetime:
        return start + timedelta(weeks=min(weeks - 1, max(1, math.ceil(weeks * number / 13))))

    thursday = week(5) + timedelta(days=(3 - week(5).weekday()) % 7)
    noon = datetime.combine(thursday.date(), time(12), UTC)
    plan = Plan(
        seed=seed,
        weeks=weeks,
        zone=zone,
        start=start,
        until=until,
        prompt_at=week(7),
        model_at=week(9),
        mix_at=week(10),
        capped=(noon, noon + timedelta(hours=12)),
        cases=(),
        growth=growth,
        broken=tuple(
            (arrival(rng, start, until), f"{seed}-{number}") for number in range(max(1, tickets // 400))
        ),
    )
    cases = [_case(rng, plan, number, inboxes) for number in range(1, tickets + 1)]
    return replace(plan, cases=tuple(_without_piled_failures(cases)))


def strong_when_read(turn: Turn) -> bool:
    """Whether the reading alone escalates, by the rule that the package ships."""
    return (
        turn.mood != "calm"
        or turn.confidence < 0.8
        or turn.urgency == "critical"
        or turn.read_topic == "cancellation"
    )


# --- a ticket -----------------------------------------------------------------------------------------


def _case(rng: Random, plan: Plan, number: int, inboxes: tuple[str, ...]) -> Case:
    while True:
        found = _drawn(rng, plan, number, inboxes)
        if found is not None:
            return found


def _drawn(rng: Random, plan: Plan, number: int, inboxes: tuple[str, ...]) -> Case | None:
    """A ticket, or None where it would not be at rest by the end: then another is drawn."""
    language = rng.choices(LANGUAGES, _LANGUAGE_SHARES)[0]
    kind = rng.choices(("person", "auto_reply", "bulk", "bounce"), (95, 2, 2, 1))[0]
    at = arrival(rng, plan.start, plan.until, plan.growth)
    topic = _topic(rng, at >= plan.mix_at)
    large = topic == "refund" and rng.random() < 0.35
    turns: list[Turn] = []
    if kind != "person":
        turns.append(_silent(at, rng.getrandbits(30)))
    else:
        turn = _turn(rng, plan, at, language, topic, large, before=None)
        turns.append(turn)
        while len(turns) < 3 and (following := _again(rng, turns[-1])) is not None:
            turns.append(_turn(rng, plan, following, language, topic, large, before=turns[-1]))
        last = turns[-1]
        if any(on_the_edge(one.at, plan.zone) for one in turns):
            return None
        if last.outcome == "expired" or last.after_at > plan.until - timedelta(hours=2):
            return None
        if len(turns) > 1:  # what was typed and not sent becomes a note when the next row opens
            turns = [*(replace(one, abandoned=False) for one in turns[:-1]), last]
    return Case(
        number=number,
        kind=kind,
        inbox=inboxes[0 if rng.random() < 0.8 else -1],
        language=language,
        customer=customer(rng, language, number),
        order=f"LF-{20000 + number}",
        product=rng.randrange(4),
        amount=f"{rng.choice((179, 249, 329)) if large else rng.choice((29, 49, 79))}.90 EUR",
        turns=tuple(turns),
        twice=kind == "person" and rng.random() < 0.01,
    )


def _turn(
    rng: Random, plan: Plan, at: datetime, language: str, topic: str, large: bool, before: Turn | None
) -> Turn:
    again = before is not None
    mood = rng.choices(("calm", "angry", "vague"), (70, 30, 0) if again else (84, 10, 6))[0]
    misread = rng.random() < 0.05
    urgency = rng.choices(("low", "normal", "high"), (15, 70, 15))[0]
    turn = Turn(
        at=at,
        seen_at=at,
        answered_at=at,
        after_at=at,
        agent=rng.randrange(len(AGENTS)),
        route="",
        topic=topic,
        read_topic=_like(rng, topic) if misread else topic,
        urgency=urgency,
        emotion={"angry": "angry", "vague": "worried"}.get(mood) or rng.choice(("calm", "calm", "worried")),
        clarity="vague" if mood == "vague" else "clear",
        confidence=round(rng.uniform(0.35, 0.75) if rng.random() < 0.07 else rng.uniform(0.84, 0.98), 2),
        mood=mood,
        outcome="",
        variant=1000 * rng.randrange(1, 10**6),
        again=again,
    )
    # the sum of a large refund stands in the first mail only
    named = topic == "refund" and large and not again and mood != "vague"
    costly = named and turn.read_topic == "refund"
    waits = before is not None and before.outcome == "expired" and before.route == "strong"
    turn = replace(turn, route="strong" if strong_when_read(turn) or costly or waits else "cheap")
    capped = turn.route == "strong" and plan.capped[0] <= at < plan.capped[1]
    turn = replace(turn, capped=capped, costly=named)
    turn = replace(turn, outcome=_outcome(rng, plan, turn, language))
    turn = _timed(rng, turn)
    return _with_incidents(rng, plan, turn, language)


def _outcome(rng: Random, plan: Plan, turn: Turn, language: str) -> str:
    if rng.random() < _EXPIRED and not turn.capped:
        return "expired"
    weights = dict(_OUTCOMES[turn.route])
    worse = 1.0
    if language == _HARD_LANGUAGE:
        worse *= 4
    if turn.route == "cheap" and turn.topic == _HARD_TOPIC:
        worse *= 5
    if turn.read_topic != turn.topic:
        worse *= 4
    if turn.route == "strong" and turn.at < plan.prompt_at:
        worse *= 2
    if turn.route == "cheap" and turn.at >= plan.model_at:
        worse *= 1.5
    for name in BAD:
        weights[name] = round(weights[name] * worse)
    return rng.choices(list(weights), list(weights.values()))[0]


def _timed(rng: Random, turn: Turn) -> Turn:
    """When an agent opens the row and decides: in working hours, after a queue."""
    ready = turn.at + timedelta(minutes=5)
    seen = working(ready + timedelta(minutes=min(600.0, rng.expovariate(1 / 70))))
    seconds = {"as_is": 35, "light": 110, "heavy": 220, "rewritten": 380, "replaced": 330}.get(
        turn.outcome, 60
    )
    taken = 8.0 + rng.expovariate(1 / seconds)
    if turn.outcome == "as_is" and rng.random() < 0.06:
        taken = rng.uniform(1.5, 4.0)
    decided = seen + timedelta(seconds=round(taken, 1))
    after = decided
    if turn.outcome == "rejected":
        after = working(decided + timedelta(minutes=rng.uniform(5, 240)))
    return replace(turn, seen_at=seen, answered_at=decided, after_at=after)


def _with_incidents(rng: Random, plan: Plan, turn: Turn, language: str) -> Turn:
    """What else happens on the way: failures, corrections, second drafts, snoozes, marks."""

    def happens(share: float) -> bool:
        return rng.random() < share

    values: dict[str, object] = {}
    if not turn.capped and happens(0.03):
        values["failure"] = rng.choice(("retry", "retry", "repair", "backup", "template"))
        values["failed_task"] = rng.choice(("draft", "draft", "triage"))
        if values["failure"] == "template":
            values["failed_task"] = "draft"
            if turn.outcome not in ("expired", "unscorable"):
                values["outcome"] = "replaced"
    strong_draft = turn.route == "strong" and not turn.capped
    whole = values.get("failure") != "template" and not turn.capped and turn.outcome != "expired"
    judged = turn.outcome in ("as_is", "light", "heavy", "rewritten")
    corrections: list[tuple[str, str]] = []
    if turn.outcome != "expired":
        if turn.read_topic != turn.topic and happens(0.8):
            corrections.append(("topic", turn.topic))
        if happens(0.02):
            corrections.append(("urgency", "high" if turn.urgency != "high" else "normal"))
        if happens(0.01):
            corrections.append(("emotion", "frustrated"))
        if happens(0.006):
            corrections.append(("language", "en" if language != "en" else "nl"))
    values["corrections"] = tuple(corrections)
    again = whole and judged and not within(plan.capped, turn.seen_at) and happens(0.04)
    compared = happens(0.25)
    values["redrafted"], values["compared"] = again and not compared, again and compared
    snoozed = turn.outcome != "expired" and not again and happens(0.015)
    values["snoozed"] = snoozed
    if judged and whole:
        values["abandoned"] = happens(0.012)
        values["unopened"] = turn.outcome == "as_is" and not again and not snoozed and happens(0.03)
    waited = timedelta(seconds=45 if again else 0)
    if snoozed:
        waited = working(turn.answered_at + timedelta(hours=20)) - turn.answered_at
    if waited:
        values["answered_at"] = turn.answered_at + waited
        values["after_at"] = turn.after_at + waited
    if turn.outcome == "light" and whole and turn.route == "strong":
        values["blocked"] = happens(0.06)
    values["reject_reason"] = rng.choices(
        ("missed_question", "wrong_facts", "wrong_tone", "not_needed"), (45, 30, 15, 10)
    )[0]
    values["spam"] = turn.outcome == "unscorable" and happens(0.5)
    regreeted = turn.outcome == "as_is" and not values.get("unopened") and happens(0.1)
    values["regreeted"] = regreeted
    values["refused"] = judged and not values.get("abandoned") and happens(0.004)
    values["not_needed"] = turn.outcome == "as_is" and strong_draft and happens(0.12)
    values["second_verdict"] = rng.choices(("as_is", "light", "rewritten", "rejected"), (72, 17, 8, 3))[0]
    values["shadow_missed"] = turn.route == "cheap" and happens(0.1)
    return replace(turn, **values)  # type: ignore[arg-type]  # each is a field of Turn


def _again(rng: Random, turn: Turn) -> datetime | None:
    """When the customer writes again; None where they do not."""
    if turn.outcome == "expired":
        # before anybody judged the draft, and after the reading's and the drafting's latency
        return turn.at + (turn.seen_at - turn.at) * rng.uniform(0.5, 0.9)
    if turn.outcome == "unscorable" or turn.refused or turn.closed:
        return None
    share = 0.2 if turn.outcome in ("as_is", "light") and turn.topic == _HARD_TOPIC else 0.09
    if rng.random() >= share:
        return None
    return turn.after_at + timedelta(minutes=20) + _REOPENED_WITHIN * rng.uniform(0.02, 0.95)


def _silent(at: datetime, variant: int) -> Turn:
    return Turn(
        at, at, at, at, 0, "", "", "", "normal", "calm", "clear", 1.0, "calm", "", variant
    )  # an automated mail: nobody reads it, nobody answers it


def _without_piled_failures(cases: list[Case]) -> Iterator[Case]:
    """The cases, with failures so far apart that no model's breaker ever opens."""
    keep: set[tuple[int, int]] = set()
    last = 0
    by_time = sorted((turn.at, case.number, place) for case in cases for place, turn in enumerate(case.turns))
    failing = {(c.number, n) for c in cases for n, turn in enumerate(c.turns) if turn.failure}
    for count, (_, number, place) in enumerate(by_time):
        if (number, place) in failing and count - last >= 12:
            keep.add((number, place))
            last = count
    for case in cases:
        yield replace(
            case,
            turns=tuple(
                turn if not turn.failure or (case.number, place) in keep else replace(turn, failure=None)
                for place, turn in enumerate(case.turns)
            ),
        )


def _like(rng: Random, topic: str) -> str:
    """A topic that it can be taken for: of those that speak of an order, or of the others."""
    ordered = topic in ORDERED
    return rng.choice(
        [one for one in TOPICS if one not in (topic, "cancellation") and (one in ORDERED) == ordered]
    )


def _topic(rng: Random, later: bool) -> str:
    shares = list(_TOPIC_SHARES)
    if later:  # before the holidays people ask where their parcels are
        shares[0] *= 2
    return rng.choices(TOPICS, shares)[0]
