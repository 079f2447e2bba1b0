"""What the ticket page offers an agent of models: the choice, its price, the money left, help with a text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pipeline.drafting.writing import TOOLS
from pipeline.lifecycle import Status
from pipeline.review import preferences
from pipeline.review.sessions import Session
from pipeline.review.view import TicketView
from pipeline.steps import offering
from pipeline.steps.offering import Left, Offer
from pipeline.steps.redrafting import HELP
from pipeline.web.parts import WebParts


@dataclass(frozen=True)
class Asked:
    """What the form that this page answers had asked for.

    `question` is the sentence of a cap that the agent may agree to pass, for `action`. `before` are the
    texts that a writing tool was used on, the last one last; `said` is what it did.
    """

    action: str = ""
    model: str = ""
    against: str = ""
    question: str = ""
    before: tuple[str, ...] = ()
    said: str = ""


@dataclass(frozen=True)
class Hand:
    """`tools` are (name, label); `wrote` is the model and tier of the present draft, `polishes` the draft
    that it is a polish of; `waiting` is a comparison without a choice."""

    review_id: int
    offers: tuple[Offer, ...]
    left: tuple[Left, ...]
    tools: tuple[tuple[str, str], ...]
    wrote: tuple[str, str]
    waiting: int | None
    polishes: Mapping[str, Any] | None
    asked: Asked

    @property
    def picked(self) -> str:
        """The model that is chosen as the page opens: another one of the draft's own tier, where there is one."""
        others = [offer for offer in self.offers if offer.key != self.wrote[0]]
        same = [offer for offer in others if offer.tier == self.wrote[1]]
        return self.asked.model or next((offer.key for offer in (*same, *others, *self.offers)), "")

    @property
    def against(self) -> str:
        """The model to compare it with as the page opens."""
        others = [offer.key for offer in self.offers if offer.key != self.picked]
        wrote = [key for key in others if key == self.wrote[0]]
        return self.asked.against or next((key for key in (*wrote, *others)), "")


def hand(parts: WebParts, found: TicketView, session: Session, asked: Asked | None = None) -> Hand | None:
    """What can be asked of models on this ticket; None where no draft is to be judged or written."""
    review, live = found.review, parts.models
    if live is None or review is None or review["state"] != "open":
        return None
    if found.ticket["status"] != Status.IN_REVIEW:
        return None
    draft = found.draft
    can_draft = review["reason"] in preferences.CAN_BE_DRAFTED
    offers = offering.offers(live, found.ticket) if can_draft and found.messages else ()
    if found.compared is not None:  # what a model's one call cost tells how long its draft is
        offers = tuple(replace(offer, drafting=None) for offer in offers)
    polished = draft["refines_id"] if draft else None
    return Hand(
        review_id=review["id"],
        offers=offers,
        left=offering.money_left(live, found.ticket, session.agent.id),
        tools=tuple((name, TOOLS[name].label) for name in HELP)
        if offering.can_help(live, found.ticket)
        else (),
        wrote=(draft["model"], draft["tier"]) if draft else ("", "strong"),
        waiting=found.compared,
        polishes=next((row for row in found.drafts if row["id"] == polished), None) if polished else None,
        asked=asked or Asked(),
    )
