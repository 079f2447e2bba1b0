"""The routine draft: a clear, calm, harmless message, answered by the cheap model from a short prompt."""

from __future__ import annotations

from pipeline.drafting.threads import Thread
from pipeline.drafting.transcript import account_text, fields_text, transcript

PROMPT = ("routine", "cheap")
THREAD_CHARS = 6_000
POLICY_CHARS = 4_000


def variables(thread: Thread) -> dict[str, str]:
    """The prompt's variables. The cheap route sees the end of the thread and the start of the policy."""
    return {
        "sender": thread.sender_name or "the support team",
        "policy": (thread.policy or "").strip()[:POLICY_CHARS] or "(none)",
        "language": thread.language,
        "topic": thread.topic,
        "customer_name": thread.customer_name or "(unknown)",
        "fields": fields_text(thread.fields),
        "account": account_text(thread.account, 3_000),
        "thread": transcript(thread, THREAD_CHARS),
    }
