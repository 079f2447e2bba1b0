"""A thread as text for a prompt: newest last, each side marked, long ones bounded with the gap said."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pipeline.drafting.known import values_of
from pipeline.drafting.threads import FIELD_NAMES, Thread, ThreadMessage
from pipeline.models.redaction import whole_from, whole_until

_SPEAKERS = {
    "customer": "customer",
    "agent": "our team",
    "summary": "summary of the older messages, made by program",
}


def transcript(thread: Thread, max_chars: int) -> str:
    """The thread's messages within about `max_chars` characters.

    Every line of a message begins with "| ", so that nothing inside a message can pass for the head of
    another. The newest message gets up to half of the room, the first a quarter; the newest of the others
    fill the rest.
    """
    if not thread.messages:
        return "(no messages)"
    last = len(thread.messages) - 1
    blocks = {last: _block(thread.messages[last], last, max_chars // 2)}
    if last > 0:
        blocks[0] = _block(thread.messages[0], 0, max_chars // 4)
    room = max_chars - sum(len(block) for block in blocks.values())
    for number in range(last - 1, 0, -1):
        block = _block(thread.messages[number], number, max_chars // 4)
        if len(block) > room:
            break
        blocks[number] = block
        room -= len(block)
    parts: list[str] = []
    if thread.subject:
        parts.append(f"subject: {' '.join(thread.subject.split())[:300]}")
    previous = -1
    for number in sorted(blocks):
        if number > previous + 1:
            parts.append(_left_out(thread.messages[previous + 1 : number]))
        parts.append(blocks[number])
        previous = number
    return "\n\n".join(parts)


def fields_text(fields: Mapping[str, Any]) -> str:
    """The extracted fields, one kind a line, verbatim; "(none)" where there are none."""
    lines = [
        f"{name.replace('_', ' ')}: {', '.join(value[:100] for value in values[:10])}"
        for name in FIELD_NAMES
        if (values := values_of(fields, name))
    ]
    return "\n".join(lines) or "(none)"


def account_text(account: Mapping[str, Any] | None, max_chars: int = 8000) -> str:
    """The account facts as JSON; "(none: ...)" where the sender is not vouched for or nothing was found."""
    if not account:
        return "(none: nothing is known about this customer's account)"
    text = json.dumps(account, ensure_ascii=False, indent=1, default=str)
    return text if len(text) <= max_chars else f"{text[: whole_until(text, max_chars)]}\n[... cut]"


def _block(message: ThreadMessage, number: int, max_chars: int) -> str:
    when = f" · {message.created:%Y-%m-%d %H:%M}" if message.created else ""
    text = _bounded(message.text.strip() or "(empty)", max_chars)
    body = "\n".join(f"| {line}" for line in text.splitlines())
    return f"[{number + 1}] {_SPEAKERS[message.role]}{when}\n{body}"


def _bounded(text: str, max_chars: int) -> str:
    if len(text) <= max_chars:
        return text
    end = whole_until(text, max_chars * 2 // 3)
    start = whole_from(text, len(text) - max_chars // 3)
    return f"{text[:end]}\n[... {start - end} characters left out ...]\n{text[start:]}"


def _left_out(messages: tuple[ThreadMessage, ...]) -> str:
    theirs = sum(message.role == "customer" for message in messages)
    return (
        f"[{len(messages)} messages left out here: {theirs} by the customer, {len(messages) - theirs} by us]"
    )
