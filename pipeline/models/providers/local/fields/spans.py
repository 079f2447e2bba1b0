"""A value found in a text with its place, so that two kinds of field never claim the same characters."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["MAX_PER_KIND", "Found", "as_rows", "overlaps", "without_overlaps"]

MAX_PER_KIND = 20


@dataclass(frozen=True)
class Found:
    """`text[start:end] == value`; `normalised` is a fixed form of it where one makes sense."""

    start: int
    end: int
    value: str
    normalised: str | None = None


def overlaps(found: Found, taken: Iterable[Found]) -> bool:
    """Whether `found` shares a character with any of `taken`."""
    return any(found.start < other.end and other.start < found.end for other in taken)


def without_overlaps(candidates: Iterable[Found], taken: Iterable[Found] = ()) -> list[Found]:
    """The candidates in order of place, each only where nothing taken or earlier stands already."""
    held = list(taken)
    kept: list[Found] = []
    for found in candidates:
        if not overlaps(found, held):
            kept.append(found)
            held.append(found)
    return sorted(kept, key=lambda one: one.start)


def as_rows(found: Iterable[Found]) -> list[dict[str, str]]:
    """At most 20 rows `{"value", "normalised"?}`, each value once."""
    rows: dict[str, dict[str, str]] = {}
    for one in found:
        if one.value not in rows and len(rows) < MAX_PER_KIND:
            rows[one.value] = {"value": one.value}
            if one.normalised is not None and one.normalised != one.value:
                rows[one.value]["normalised"] = one.normalised
    return list(rows.values())
