"""What the model server of a journey answers: a reading and a draft that fit the mail, and only that mail."""

from __future__ import annotations

import re
import threading
from typing import Any

from pipeline.triage.schema import FIELD_KINDS
from tests.kit.model_replies import Reply, Seen, Tokens, hang, ok

READ = Tokens(plain=900, output=120)
WROTE = Tokens(plain=1500, output=180)


def is_reading(seen: Seen) -> bool:
    """Whether the request is for the cheap stage's reading; else it is for a draft."""
    return seen.schema is not None and "clarity" in seen.schema["properties"]


def answer(seen: Seen) -> Reply:
    """A sound answer to either request, made from the order number in the mail."""
    if is_reading(seen):
        return ok(reading(seen.user), tokens=READ)
    return ok(draft(seen.user), tokens=WROTE)


class Silent:
    """Answers as `answer` does, but for the mails that it is told to keep silent about."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wanted: set[tuple[bool, str]] = set()
        self._asked: set[tuple[bool, str]] = set()

    def about(self, order: str, *, reading: bool) -> None:
        """Do not answer requests for a reading (or for a draft) of the mail with this order number."""
        with self._lock:
            self._wanted.add((reading, order))

    def asked(self, order: str, *, reading: bool) -> bool:
        """Whether such a request came in, and waits."""
        with self._lock:
            return (reading, order) in self._asked

    def no_more(self) -> None:
        with self._lock:
            self._wanted.clear()

    def __call__(self, seen: Seen) -> Reply:
        hit = {(is_reading(seen), order) for order in _orders(seen.user)}
        with self._lock:
            hit &= self._wanted
            self._asked |= hit
        return hang(60) if hit else answer(seen)


def reading(text: str) -> dict[str, Any]:
    fields: dict[str, list[dict[str, Any]]] = {kind: [] for kind in FIELD_KINDS}
    fields["order_numbers"] = [{"value": number, "normalised": None} for number in _orders(text)]
    return {
        "topic": "order_shipping",
        "other_topics": [],
        "confidence": 0.95,
        "language": "en",
        "urgency": "normal",
        "emotion": "angry" if "disgrace" in text else "calm",
        "clarity": "clear",
        "fields": fields,
        "summary": "asks where the order is",
    }


def draft(text: str) -> dict[str, Any]:
    order = next(iter(_orders(text)), None)
    about = f"your order {order}" if order else "your order"
    again = "thank you for coming back to us. " if "In the meantime" in text else ""
    return {
        "reply": f"Hello Jane,\n\n{again}we are looking into {about} and write to you again.\n\nThe Shop",
        "language": "en",
        "asks": [],
        "why": "The order is being looked into.",
        "claims": [{"text": f"we are looking into {about}", "supported_by": "thread"}],
    }


def _orders(text: str) -> list[str]:
    return list(dict.fromkeys(re.findall(r"(?<=order )\d{5}", text)))
