"""How urgent a mail is: cue rules in ten languages; polite closings do not count."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.models.providers.local.cues import phrases

__all__ = ["URGENCIES", "urgency"]

URGENCIES = ("low", "normal", "high", "critical")


# "Please answer as soon as possible" is how people end letters; it is taken out before anything is looked for.
_POLITE = phrases("urgency", "polite")
_NOT_URGENT = phrases("urgency", "not_urgent")
_CRITICAL = phrases("urgency", "critical")
_URGENT = phrases("urgency", "urgent")
_DEADLINE = phrases("urgency", "deadline")
_LEGAL = phrases("urgency", "legal")
_STUCK = phrases("urgency", "stuck")


def urgency(content: Sequence[str], topic: str, emotion: str, *, said: Sequence[str] = ()) -> str:
    """One of "low", "normal", "high", "critical", from the sentences that are not boilerplate.

    `said` are all sentences, for "it does not hurry" may stand where nothing else is told. What a mail says
    of itself only ever raises it: "not urgent" makes a mail low, never one that also tells of an outage, a
    break-in or a deadline. A day that a wish for a feature names is no deadline.
    """
    text = _POLITE.sub(" ", "\n".join(content).lower())
    denied = _NOT_URGENT.search("\n".join(said or content).lower()) is not None
    text = _NOT_URGENT.sub(" ", text)
    if _CRITICAL.search(text):
        return "critical"
    pressing = (
        (_LEGAL, _STUCK, _URGENT) if topic == "feature_request" else (_LEGAL, _STUCK, _URGENT, _DEADLINE)
    )
    weight = sum(2 * bool(cue.search(text)) for cue in pressing) + (emotion == "angry")
    if weight >= 2:
        return "high"
    return "low" if denied else "normal"
