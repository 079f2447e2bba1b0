"""Where found values and unsupported claims stand in a text, word for word."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

MOST = 200
"""So many different values are looked for in one text."""
PLACES = 100
"""So many places of one value are marked."""
LOOKED_AT = 200_000
"""So many characters of a text are looked at. Without these three bounds one mail of a customer's, a number
repeated in it without end, would keep its page from ever being shown."""
_BY_NOTHING = (None, "", "nothing")


@dataclass(frozen=True)
class Mark:
    """A place in a text: `text[start:end]`, and what it is. `value` is what was looked for there."""

    start: int
    end: int
    kind: str
    value: str


def find(text: str, wanted: Iterable[tuple[str, str]]) -> list[Mark]:
    """The places of the wanted (value, kind) in reading order; of two that overlap the longer one.

    Spaces and line ends count as alike; a value that begins or ends with a letter or digit is not found
    inside of a longer word or number. `MOST`, `PLACES` and `LOOKED_AT` bound what is looked for.
    """
    kinds: dict[str, str] = {}
    for value, kind in wanted:
        value = " ".join(value.split())
        if value:
            kinds.setdefault(value, kind)
    found: list[Mark] = []
    text = text[:LOOKED_AT]
    taken = bytearray(len(text))
    for value in sorted(kinds, key=len, reverse=True)[:MOST]:
        if value.partition(" ")[0] not in text:
            continue
        for hit in islice(re.finditer(_pattern(value), text), PLACES):
            start, end = hit.span()
            if not any(taken[start:end]):
                taken[start:end] = b"\1" * (end - start)
                found.append(Mark(start, end, kinds[value], value))
    return sorted(found, key=lambda mark: mark.start)


def _pattern(value: str) -> str:
    spelt = r"\s+".join(re.escape(word) for word in value.split(" "))
    before = r"(?<!\w)" if value[0].isascii() and value[0].isalnum() else ""
    after = r"(?!\w)" if value[-1].isascii() and value[-1].isalnum() else ""
    return before + spelt + after


def field_kinds(fields: Mapping[str, Iterable[Any]]) -> list[tuple[str, str]]:
    """The extracted fields as (value, kind): `order_numbers` is the kind order number."""
    found = []
    for name, values in fields.items():
        kind = name.removesuffix("s").replace("_", " ")
        for value in values or []:
            found.append((str(value.get("value") or "") if isinstance(value, Mapping) else str(value), kind))
    return found


def unsupported(claims: Iterable[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """What nothing in thread, account facts or policy supports, as (words, kind)."""
    return [
        (str(claim["text"]), str(claim.get("kind") or "statement"))
        for claim in claims
        if claim.get("text") and claim.get("supported_by") in _BY_NOTHING
    ]
