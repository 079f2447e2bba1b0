"""What a draft does at a spend cap: the cheaper way, a person, or the question whether it may be passed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import ROUND_UP, Decimal
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from pipeline.db.tables import moves
from pipeline.drafting import routine
from pipeline.drafting import strong as strong_route
from pipeline.drafting.answer import ANSWER_SCHEMA
from pipeline.drafting.threads import Thread
from pipeline.lifecycle import Status
from pipeline.models.base import Cap
from pipeline.models.gateway import Plan
from pipeline.models.prices import FREE, Prices
from pipeline.models.prompts import Rendered
from pipeline.models.spend import spent_in

if TYPE_CHECKING:
    from pipeline.assembly import Parts

_CENT = Decimal("0.01")


def agreed(connection: sa.Connection, ticket: sa.Row[tuple[object, ...]]) -> int | None:
    """The agent who agreed that the present step may pass a cap; None where nobody did.

    An agreement holds for the step that it was given for: once the ticket took another way, it is void.
    """
    if ticket.confirmed_by is None:
        return None
    last = connection.execute(
        sa.select(moves.c.from_status)
        .where(moves.c.ticket_id == ticket.id)
        .order_by(moves.c.id.desc())
        .limit(1)
    ).scalar()
    return int(ticket.confirmed_by) if last == Status.IN_REVIEW else None


def question(parts: Parts, plan: Plan, thread: Thread, *, strong: bool) -> str:
    """The sentence of the review row: which cap, what a draft may cost, and whether an agent may agree."""
    first = next(choice for choice in plan.choices if choice.provider not in FREE)
    route = strong_route if strong else routine
    prompt = parts.prompts.load(*route.PROMPT).render(**route.variables(thread))
    worst = worst_price(plan, prompt, ANSWER_SCHEMA)
    full = full_caps(parts, plan, worst)
    hard = [cap for cap in full if not cap.confirmable]
    if hard:
        return f"The cap of {hard[0].label} is reached, and no agent can pass that one; a person answers."
    label = f"The cap of {full[0].label}" if full else "A spend cap"
    return f"{label} is reached; a draft by {first.key} may cost up to {in_cents(worst)}: an agent decides."


def worst_price(plan: Plan, prompt: Rendered, schema: Mapping[str, Any]) -> Decimal:
    """The most US dollars that one call to the first model of the plan that costs anything can come to."""
    first = next(choice for choice in plan.choices if choice.provider not in FREE)
    size = sum(len(text.encode()) for text in (prompt.system, prompt.user, json.dumps(schema)))
    return Prices().worst(first, size, plan.max_output_tokens)


def full_caps(parts: Parts, plan: Plan, usd: Decimal) -> list[Cap]:
    """The caps of the plan that have no room for `usd` more."""
    with parts.store.read() as connection:
        used = spent_in(connection, [cap.scope for cap in plan.caps])
    return [cap for cap in plan.caps if sum(used.get(cap.scope, ())) + usd > cap.limit_usd]


def in_cents(usd: Decimal) -> str:
    """Dollars rounded up to whole cents."""
    return f"${usd.quantize(_CENT, rounding=ROUND_UP)}"
