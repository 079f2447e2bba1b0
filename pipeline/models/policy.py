"""What comes after each kind of failure: the order of attempts as one table, for gateway and README."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from pipeline.errors import ModelError, ModelOverloaded

LONGEST_WAIT_S = 10.0
"""The longest Retry-After that is worth waiting for; with a longer one the backup is asked at once."""

LARGER = 2
"""How many times the output limit the second try gets when the first answer was cut."""

LONG_WAIT = "overloaded, long wait"
BUDGET = "budget"


class Next(Enum):
    """What is done next. The second try is for the first model that is called, and there is one only."""

    AGAIN = "the same model once more, after a short wait"
    LARGER = "the same model once more, with twice the output limit"
    REPAIR = "the same model once more, with the error shown"
    ONWARD = "at once the next: the backup of another provider, the safe default, a person"


@dataclass(frozen=True)
class Step:
    """One row of the table: `kind` is `ModelError.kind`, `when` and `booked` are for people."""

    kind: str
    when: str
    next: Next
    booked: str


_USED = "what was used"
_WORST = "its worst price, as unknown"
_NOTHING = "nothing"

_STEPS = (
    Step(
        "timeout",
        "the call's total deadline passed, a slow drip included",
        Next.AGAIN,
        f"{_NOTHING} if no connection stood, else {_WORST}",
    ),
    Step(
        "overloaded",
        f"408, 409, 5xx, 529, or 429 whose Retry-After is missing or at most {LONGEST_WAIT_S:.0f} s",
        Next.AGAIN,
        f"{_NOTHING}; {_WORST} after 502 and 504, where a server behind may have answered",
    ),
    Step(LONG_WAIT, f"429 or 503 whose Retry-After is over {LONGEST_WAIT_S:.0f} s", Next.ONWARD, _NOTHING),
    Step(
        "transport",
        "connection refused, reset or cut before the answer was whole",
        Next.AGAIN,
        f"{_NOTHING} if no connection stood, else {_WORST}",
    ),
    Step(
        "undecodable",
        "a 200 that is not what the protocol says: HTML, broken JSON, no choices, too large",
        Next.AGAIN,
        f"{_USED} where it is told, else {_WORST}",
    ),
    Step("cut", "the answer ended at its length limit", Next.LARGER, _USED),
    Step("invalid", "the answer failed its schema or its checks", Next.REPAIR, _USED),
    Step("refused", "the model refused, or a content filter stepped in", Next.ONWARD, _USED),
    Step("too_long", "the input does not fit the model's window", Next.ONWARD, _USED),
    Step("credit", "out of credit or quota: 429 insufficient_quota, 400 on billing", Next.ONWARD, _NOTHING),
    Step("rejected", "401, 402, 403, 404 and any other 4xx", Next.ONWARD, _NOTHING),
    Step("no_key", "no key is set for the provider; nothing is sent", Next.ONWARD, _NOTHING),
    Step(BUDGET, "the attempt at its worst price would pass a cap; nothing is sent", Next.ONWARD, _NOTHING),
)

POLICY = {step.kind: step for step in _STEPS}


def after(error: ModelError) -> Step:
    """The row for a failed call."""
    if isinstance(error, ModelOverloaded) and (error.retry_after_s or 0.0) > LONGEST_WAIT_S:
        return POLICY[LONG_WAIT]
    return POLICY[error.kind]


def policy_rows() -> list[tuple[str, str, str]]:
    """(what went wrong, what comes next, how it is booked) in words, for the README's table."""
    return [(f"{step.kind}: {step.when}", step.next.value, step.booked) for step in _STEPS]
