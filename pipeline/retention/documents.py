"""Written reports without people's texts: the figures stay as they are."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from pipeline.retention.columns import GONE

TEXTS = (
    "draft",
    "sent",
    "note",
    "output",
    "action",
    "reason",
    "subject",
    "customer",
    "excerpt",
    "text",
    "title",
)
"""Fields of an entry about one ticket that hold somebody's words."""
NO_PIECES = "pieces"


def without_texts(value: Any, tickets: Collection[int] | None = None) -> Any:
    """The document with the texts of every entry about a ticket taken out; only of these `tickets` where given."""
    if isinstance(value, list):
        return [without_texts(item, tickets) for item in value]
    if not isinstance(value, dict):
        return value
    ticket = value.get("ticket_id")
    mine = isinstance(ticket, int) and (tickets is None or ticket in tickets)
    return {
        name: _entry(name, item, tickets) if mine else without_texts(item, tickets)
        for name, item in value.items()
    }


def _entry(name: str, item: Any, tickets: Collection[int] | None) -> Any:
    if name == NO_PIECES and isinstance(item, list):
        return []
    if name in TEXTS and isinstance(item, str) and item:
        return GONE
    return without_texts(item, tickets)
