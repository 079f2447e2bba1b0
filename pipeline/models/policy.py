"""What comes after each kind of failure: the order of attempts as one table, for gateway and README."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from pipeline.errors import ModelError, ModelOverloaded

LONGEST_WAIT_S = 10.0
"""The longest Retry-After that is worth waiting for; with a longer one the backup is asked at once."""

LARGER = 2
"""How many times the output limit the second try gets when the first answer was cut."""

IN_A_ROW = 5
"""So many outages in a row, counted over all workers, open a model's circuit breaker."""

LONG_WAIT = "overloaded, long wait"
NO_ACCESS = "rejected, no access"
BUDGET = "budget"

_NO_ACCESS_STATUSES = frozenset({401, 402, 404})


class Next(Enum):
    """What is done next. The second try is for the first model that is called, and there is one only."""

    AGAIN = "the same model once more, after a short wait"
    LARGER = "the same model once more, with twice the output limit"
    REPAIR = "the same model once more, with the error shown"
    ONWARD = "at once the next: the backup of another provider, the safe default, a person"


class Health(Enum):
    """What a failure says of the model's health, for its circuit breaker."""

    NOT_ASKED = "nothing was sent"
    ALIVE = "it answered, if not usably: no outage, and the end of one"
    UNCLEAR = "something answered, perhaps not the model: opens nothing, and ends no outage"
    OUTAGE = "counts; `IN_A_ROW` of them open the breaker"
    SHUT = "opens the breaker at once: every further call would end the same"


@dataclass(frozen=True)
class Step:
    """One row of the table: `kind` is `ModelError.kind`, `when` and `booked` are for people."""

    kind: str
    when: str
    next: Next
    booked: str
    health: Health


_USED = "what was used"
_WORST = "its worst price, as unknown"
_NOTHING = "nothing"

_STEPS = (
    Step(
        "timeout",
        "the call's total deadline passed, a slow drip included",
        Next.AGAIN,
        f"{_NOTHING} if no connection stood, else {_WORST}",
        Health.OUTAGE,
    ),
    Step(
        "overloaded",
        f"408, 409, 5xx, 529, or 429 whose Retry-After is missing or at most {LONGEST_WAIT_S:.0f} s",
        Next.AGAIN,
        f"{_NOTHING}; {_WORST} after 502 and 504, where a server behind may have answered",
        Health.OUTAGE,
    ),
    Step(
        LONG_WAIT,
        f"429 or 503 whose Retry-After is over {LONGEST_WAIT_S:.0f} s",
        Next.ONWARD,
        _NOTHING,
        Health.SHUT,
    ),
    Step(
        "transport",
        "connection refused, reset or cut before the answer was whole",
        Next.AGAIN,
        f"{_NOTHING} if no connection stood, else {_WORST}",
        Health.OUTAGE,
    ),
    Step(
        "undecodable",
        "a 200 that is not what the protocol says: HTML, broken JSON, no choices, too large",
        Next.AGAIN,
        f"{_USED} where it is told, else {_WORST}",
        Health.UNCLEAR,
    ),
    Step("cut", "the answer ended at its length limit", Next.LARGER, _USED, Health.ALIVE),
    Step("invalid", "the answer failed its schema or its checks", Next.REPAIR, _USED, Health.ALIVE),
    Step("refused", "the model refused, or a content filter stepped in", Next.ONWARD, _USED, Health.ALIVE),
    Step("too_long", "the input does not fit the model's window", Next.ONWARD, _USED, Health.ALIVE),
    Step(
        "credit",
        "out of credit or quota: 429 insufficient_quota, 400 on billing",
        Next.ONWARD,
        _NOTHING,
        Health.SHUT,
    ),
    Step(NO_ACCESS, "401, 402 or 404: the key, the account, the name", Next.ONWARD, _NOTHING, Health.SHUT),
    # one customer's text may earn a 403 from a firewall in between: that must not shut the model for all
    Step("rejected", "403 and any other 4xx", Next.ONWARD, _NOTHING, Health.OUTAGE),
    Step(
        "no_key", "no key is set for the provider; nothing is sent", Next.ONWARD, _NOTHING, Health.NOT_ASKED
    ),
    Step(
        "paused",
        "the model's circuit breaker is open; nothing is sent",
        Next.ONWARD,
        _NOTHING,
        Health.NOT_ASKED,
    ),
    Step(
        "busy",
        "the model's limit on calls at once or a minute stayed reached; nothing is sent",
        Next.ONWARD,
        _NOTHING,
        Health.NOT_ASKED,
    ),
    Step(
        BUDGET,
        "the attempt at its worst price would pass a cap; nothing is sent",
        Next.ONWARD,
        _NOTHING,
        Health.NOT_ASKED,
    ),
)

POLICY = {step.kind: step for step in _STEPS}

_PAUSES = {Health.OUTAGE: f"; {IN_A_ROW} such in a row pause the model", Health.SHUT: "; the model is paused"}


def after(error: ModelError) -> Step:
    """The row for a failed call."""
    if isinstance(error, ModelOverloaded) and (error.retry_after_s or 0.0) > LONGEST_WAIT_S:
        return POLICY[LONG_WAIT]
    if error.kind == "rejected" and error.status in _NO_ACCESS_STATUSES:
        return POLICY[NO_ACCESS]
    return POLICY[error.kind]


def policy_rows() -> list[tuple[str, str, str]]:
    """(what went wrong, what comes next, how it is booked) in words, for the README's table."""
    return [
        (f"{step.kind}: {step.when}", step.next.value + _PAUSES.get(step.health, ""), step.booked)
        for step in _STEPS
    ]
