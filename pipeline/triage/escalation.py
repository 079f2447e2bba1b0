"""The escalation rule: which route a reading takes, with every reason as a plain sentence. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from pipeline.routing.table import Rule
from pipeline.triage.schema import TriageAnswer


@dataclass(frozen=True)
class Decision:
    """`route` is cheap or strong; `sentence` is what the page shows."""

    route: str
    reasons: tuple[str, ...]

    @property
    def sentence(self) -> str:
        return f"{self.route}: {'; '.join(reason.rstrip('.') for reason in self.reasons)}."


def decide(
    reading: TriageAnswer, rule: Rule, *, text: str, thread_length: int, checked: bool = True
) -> Decision:
    """Apply the rule to one reading of `text` (the subject and what the author wrote now).

    `thread_length` counts the thread's messages; `checked` is False where no model's answer passed its
    check. A ticket's own words can only raise its route, never lower it.
    """
    reasons = list(_reasons(reading, rule, text, thread_length, checked))
    if reasons:
        return Decision("strong", tuple(reasons))
    return Decision(
        "cheap",
        (
            f"Topic {reading.topic} with confidence {reading.confidence:.2f}, "
            f"{reading.clarity}, {reading.emotion}, urgency {reading.urgency}.",
        ),
    )


def _reasons(reading: TriageAnswer, rule: Rule, text: str, thread_length: int, checked: bool) -> list[str]:
    found = []
    if not checked:
        found.append("The cheap model's answer failed its check twice.")
    if reading.confidence < rule.confidence_below:
        found.append(f"Confidence {reading.confidence:.2f} is below {rule.confidence_below:.2f}.")
    if reading.clarity in rule.clarity:
        found.append(
            {"vague": "The message is vague."}.get(reading.clarity, "The message mixes several matters.")
        )
    if reading.emotion in rule.emotion:
        found.append(f"The customer is {reading.emotion}.")
    if reading.urgency in rule.urgency:
        found.append(f"The urgency is {reading.urgency}.")
    topics = {reading.topic, *reading.other_topics}
    for first, second in rule.contradicting_topics:
        if first in topics and second in topics:
            found.append(f"The topics {first} and {second} contradict each other.")
    if thread_length > rule.thread_longer_than:
        found.append(f"The thread has {thread_length} messages, more than {rule.thread_longer_than}.")
    for costly in rule.costly:
        if costly.topic in topics and (costly.over is None or _over(reading, costly.over)):
            found.append(_sentence(f"topic {costly.topic}: {costly.why}"))
    for kind, words in rule.words:
        hit = next((word for word in words if _stands(word, text)), None)
        if hit:
            found.append(f"The message speaks of {kind} matters (“{hit}”).")
    return found


def _over(reading: TriageAnswer, limit: Decimal) -> bool:
    """Whether any amount in the message is over the limit; one that cannot be read counts as over."""
    for amount in reading.fields.amounts:
        digits = re.search(r"\d+(?:\.\d+)?", (amount.normalised or "").replace(",", ""))
        try:
            if digits is None or Decimal(digits[0]) > limit:
                return True
        except InvalidOperation:
            return True
    return False


def _stands(word: str, text: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text, re.IGNORECASE) is not None


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:].rstrip(".") + "."
