"""What one wish of an agent's at a model may cost: within the caps, or past those that they agree to pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, TypeVar

from pipeline.errors import AllModelsFailed, InputError, NeedsAgreement
from pipeline.models.base import Cap
from pipeline.models.gateway import Plan
from pipeline.steps.at_cap import full_caps, in_cents

if TYPE_CHECKING:
    from pipeline.assembly import Parts

T = TypeVar("T")


@dataclass(frozen=True)
class Wish:
    """One thing wanted of one model: its plan (`True`: past the caps that may be passed), and its worst price."""

    model: str
    what: str
    plan: Callable[[bool], Plan]
    worst_usd: Decimal


def granted(parts: Parts, wish: Wish, ask: Callable[[Plan], T], *, confirmed: bool) -> tuple[T, list[Cap]]:
    """What the model gave, and the caps that were passed for it on the agent's word."""
    plan = wish.plan(False)
    try:
        return ask(plan), []
    except AllModelsFailed as error:
        if "budget" not in error.kinds:
            raise failed(wish.what, error) from error
        full = no_room(parts, plan, wish.worst_usd, error)
    _refuse_or_ask(full, wish.what, wish.worst_usd, confirmed)
    plan = wish.plan(True)
    try:
        return ask(plan), full
    except AllModelsFailed as error:
        if "budget" not in error.kinds:
            raise failed(wish.what, error) from error
        hard = no_room(parts, plan, wish.worst_usd, error)
        raise InputError(f"{named(hard)} is reached, and nobody can pass that one here") from error


def room_for_all(parts: Parts, wishes: Sequence[Wish], confirmed: bool) -> None:
    """Refuse or ask before the first call where the caps lack room for all of the wishes together."""
    together_usd: dict[Cap, Decimal] = {}
    for wish in wishes:
        for cap in wish.plan(False).caps:
            together_usd[cap] = together_usd.get(cap, Decimal(0)) + wish.worst_usd
    plan = wishes[0].plan(False)
    full = [cap for cap, usd in together_usd.items() if full_caps(parts, replace(plan, caps=(cap,)), usd)]
    if full:
        worst = sum((wish.worst_usd for wish in wishes), Decimal(0))
        _refuse_or_ask(full, " and ".join(wish.what for wish in wishes), worst, confirmed)


def _refuse_or_ask(full: Sequence[Cap], what: str, worst_usd: Decimal, confirmed: bool) -> None:
    hard = [cap for cap in full if not cap.confirmable]
    if hard:
        raise InputError(f"{named(hard)} is reached, and nobody can pass that one here")
    if not full:
        raise InputError("a spend cap was reached just now; try again")
    if not confirmed:
        raise NeedsAgreement(f"{named(full)} is reached; {what} may cost up to {in_cents(worst_usd)}")


def no_room(parts: Parts, plan: Plan, worst_usd: Decimal, error: AllModelsFailed) -> list[Cap]:
    """The caps without room: by their sums as they stand, and the one that the refused attempt named."""
    full = full_caps(parts, plan, worst_usd)
    return full or [cap for cap in plan.caps if f"{cap.label} is reached" in str(error)]


def named(caps: Sequence[Cap]) -> str:
    return f"The cap of {caps[0].label}" if caps else "A spend cap"


def agreed(passed: Sequence[Cap]) -> str:
    return f", and agreed to pass the cap of {' and of '.join(cap.label for cap in passed)}" if passed else ""


def failed(what: str, error: AllModelsFailed) -> AllModelsFailed:
    kinds = ", ".join(error.kinds) or "there is none to ask"
    return AllModelsFailed(f"{what} did not come ({kinds}); choose another, or try again", kinds=error.kinds)
