"""How sure a model was of one answer: the probability of the tokens that spell a property's value."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

__all__ = ["certainty"]

_DECODER = json.JSONDecoder()


def certainty(text: str, tokens: object, label: str) -> float | None:
    """The product of the probabilities of the tokens that hold the value of `label` in the JSON `text`.

    `tokens` is the `logprobs.content` of a chat completion. None wherever they do not tell: left out,
    not of this text, or no such property with a text value.
    """
    if not isinstance(tokens, list) or not tokens:
        return None
    span = _value_of(text, label)
    if span is None:
        return None
    start, end = (len(text[:place].encode("utf-8", "surrogatepass")) for place in span)
    told = b""
    total = 0.0
    for token in tokens:
        piece, log = _piece(token)
        if piece is None or log is None:
            return None
        if len(told) < end and len(told) + len(piece) > start:
            total += log
        told += piece
    if told != text.encode("utf-8", "surrogatepass"):
        return None  # an offset into other words would read some other token's probability
    return min(1.0, math.exp(total))


def _value_of(text: str, label: str) -> tuple[int, int] | None:
    """Where the value of a property of the outermost object stands, its quotes left out."""
    found = None
    try:
        place = _skip(text, text.index("{") + 1)
        while text[place] != "}":
            key, place = _DECODER.raw_decode(text, place)
            begin = _skip(text, _skip(text, place) + 1)  # past the colon
            value, place = _DECODER.raw_decode(text, begin)
            if key == label:
                found = (begin + 1, place - 1) if isinstance(value, str) else None
            place = _skip(text, place)
            if text[place] == ",":
                place = _skip(text, place + 1)
    except (ValueError, IndexError):
        return None
    return found


def _skip(text: str, place: int) -> int:
    """The next place that is no white space, as JSON understands it."""
    while text[place] in " \t\n\r":
        place += 1
    return place


def _piece(token: Any) -> tuple[bytes | None, float | None]:
    """A token's bytes and its log probability, at most 0."""
    if not isinstance(token, Mapping):
        return None, None
    told, word, log = token.get("bytes"), token.get("token"), token.get("logprob")
    if not isinstance(log, int | float) or isinstance(log, bool) or math.isnan(log):
        return None, None
    if isinstance(told, list):
        try:
            return bytes(told), min(0.0, float(log))
        except (TypeError, ValueError):
            return None, None
    return (
        (word.encode("utf-8", "surrogatepass"), min(0.0, float(log)))
        if isinstance(word, str)
        else (None, None)
    )
