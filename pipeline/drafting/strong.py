"""The strong draft: an escalated ticket, answered from the whole thread, account facts and policy."""

from __future__ import annotations

from pipeline.drafting.threads import Thread
from pipeline.drafting.transcript import account_text, fields_text, transcript

PROMPT = ("draft", "strong")
THREAD_CHARS = 24_000
POLICY_CHARS = 16_000


def variables(thread: Thread) -> dict[str, str]:
    """The prompt's variables. Of the cheap stage's reading only closed values, verbatim fields and the
    rule's own sentences go in, never its free text."""
    return {
        "sender": thread.sender_name or "the support team",
        "policy": (thread.policy or "").strip()[:POLICY_CHARS] or "(none)",
        "language": thread.language,
        "topic": thread.topic,
        "emotion": thread.emotion,
        "reasons": "\n".join(f"- {reason}" for reason in thread.reasons) or "(none)",
        "customer_name": thread.customer_name or "(unknown)",
        "fields": fields_text(thread.fields),
        "account": account_text(thread.account),
        "thread": transcript(thread, THREAD_CHARS),
    }
