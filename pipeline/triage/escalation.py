"""The escalation rule: which route a reading takes, with every reason as a plain sentence. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from pipeline.models.providers.local.fields.amounts import amounts
from pipeline.routing.manipulation import in_words, signs_in
from pipeline.routing.table import Rule
from pipeline.triage.cues import angry_words
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
    reading: TriageAnswer,
    rule: Rule,
    *,
    text: str,
    thread_length: int,
    checked: bool = True,
    calibrated: bool = True,
) -> Decision:
    """Apply the rule to one reading of `text` (the subject and what the author wrote now).

    `thread_length` counts the thread's messages; `checked` is False where no model's answer passed its
    check; `calibrated` is False where nobody has measured yet how far the confidence can be believed: then
    the stricter threshold counts. A ticket's own words can only raise its route, never lower it: a text may
    talk the cheap model into calling it calm and harmless, so what the program itself finds in the words
    counts beside it.
    """
    reasons = list(_reasons(reading, rule, text, thread_length, checked, calibrated))
    if reasons:
        return Decision("strong", tuple(reasons))
    return Decision(
        "cheap",
        (
            f"Topic {reading.topic} with confidence {reading.confidence:.2f}, "
            f"{reading.clarity}, {reading.emotion}, urgency {reading.urgency}.",
        ),
    )


def confidence_needed(rule: Rule, calibrated: bool) -> float:
    """Below this, a reading escalates for want of confidence."""
    return rule.confidence_below if calibrated else rule.confidence_below_uncalibrated


def _reasons(
    reading: TriageAnswer, rule: Rule, text: str, thread_length: int, checked: bool, calibrated: bool
) -> list[str]:
    found = []
    if not checked:
        found.append("The cheap model's answer failed its check twice.")
    needed = confidence_needed(rule, calibrated)
    if reading.confidence < needed:
        why = "" if calibrated else " (this model is not calibrated yet)"
        found.append(f"Confidence {reading.confidence:.2f} is below {needed:.2f}{why}.")
    if reading.clarity in rule.clarity:
        found.append(
            {"vague": "The message is vague."}.get(reading.clarity, "The message mixes several matters.")
        )
    if reading.emotion in rule.emotion:
        found.append(f"The customer is {reading.emotion}.")
    elif "angry" in rule.emotion and angry_words(text):
        found.append("The message's own words are angry.")
    if reading.urgency in rule.urgency:
        found.append(f"The urgency is {reading.urgency}.")
    topics = {reading.topic, *reading.other_topics}
    for first, second in rule.contradicting_topics:
        if first in topics and second in topics:
            found.append(f"The topics {first} and {second} contradict each other.")
    if thread_length > rule.thread_longer_than:
        found.append(f"The thread has {thread_length} messages, more than {rule.thread_longer_than}.")
    for costly in rule.costly:
        if costly.topic in topics and (costly.over is None or _over(reading, text, costly.over)):
            found.append(_sentence(f"topic {costly.topic}: {costly.why}"))
    for kind, words in rule.words:
        hit = next((word for word in words if _stands(word, text)), None)
        if hit:
            found.append(f"The message speaks of {kind} matters (“{hit}”).")
    if signs := signs_in(text):
        found.append(in_words(signs))
    return found


def _over(reading: TriageAnswer, text: str, limit: Decimal) -> bool:
    """Whether any amount in the message is over the limit; one that cannot be read counts as over.

    The model's amounts and the program's own: a model may leave one out, or make it small.
    """
    normalised = [amount.normalised for amount in reading.fields.amounts]
    normalised += [found.normalised for found in amounts(text)]
    for form in normalised:
        digits = re.search(r"\d+(?:\.\d+)?", (form or "").replace(",", ""))
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
