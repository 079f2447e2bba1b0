"""Everything about one ticket, and the same in plain lines: why it is where it is."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from pipeline.db.reviews import REASONS
from pipeline.db.store import Store
from pipeline.db.tables import (
    account_facts,
    agents,
    attachments,
    corrections,
    drafts,
    messages,
    model_calls,
    moves,
    replies,
    reviews,
    tickets,
    triages,
)
from pipeline.errors import NotFoundError
from pipeline.lifecycle import MEANING, Status
from pipeline.reports.export import WHAT, plain

_LISTS: dict[str, sa.Table] = {
    "triages": triages,
    "corrections": corrections,
    "account_facts": account_facts,
    "drafts": drafts,
    "reviews": reviews,
    "replies": replies,
    "calls": model_calls,
    "moves": moves,
}


def show(store: Store, ticket_id: int) -> dict[str, Any]:
    """The ticket with its messages (and their attachments), triages, corrections, account facts, drafts,
    reviews, replies, calls and moves, each oldest first; JSON-able. Raises `NotFoundError`."""
    with store.read() as connection:
        ticket = connection.execute(
            sa.select(*WHAT["tickets"].columns).where(tickets.c.id == ticket_id)
        ).one_or_none()
        if ticket is None:
            raise NotFoundError(f"there is no ticket {ticket_id}")
        files: dict[int, list[dict[str, Any]]] = {}
        for row in connection.execute(
            sa.select(attachments)
            .join(messages, messages.c.id == attachments.c.message_id)
            .where(messages.c.ticket_id == ticket_id)
            .order_by(attachments.c.id)
        ):
            files.setdefault(row.message_id, []).append(_plain(row))
        found: dict[str, Any] = {"ticket": _plain(ticket)}
        found["messages"] = [
            {**_plain(row), "attachments": files.get(row.id, [])}
            for row in connection.execute(
                sa.select(*WHAT["messages"].columns)
                .where(messages.c.ticket_id == ticket_id)
                .order_by(messages.c.id)
            )
        ]
        for name, table in _LISTS.items():
            query = sa.select(table).where(table.c.ticket_id == ticket_id).order_by(table.c.id)
            found[name] = [_plain(row) for row in connection.execute(query)]
        names = sa.select(agents.c.id, agents.c.email).where(agents.c.id.in_(_people(found)))
        people: dict[int, str] = {row.id: row.email for row in connection.execute(names)}
    for review in found["reviews"]:
        review["decided_by_email"] = people.get(review["decided_by"])
    for message in found["messages"]:
        message["agent_email"] = people.get(message["agent_id"])
    found["ticket"]["assignee_email"] = people.get(found["ticket"]["assignee_id"])
    spent = sum((Decimal(call["cost_usd"] or 0) for call in found["calls"]), Decimal(0))
    found["cost_usd"] = format(spent, "f")
    return found


def explain(shown: Mapping[str, Any]) -> list[str]:
    """What `show` found, as lines for a terminal, with one sentence why for every step."""
    ticket = shown["ticket"]
    status = Status(ticket["status"])
    lines = [
        f"ticket {ticket['id']}: {ticket['subject'] or '(no subject)'}",
        f"  {status.value}: {MEANING[status]}",
        f"  from {ticket['customer_address'] or 'nobody known'}"
        + (", vouched for" if ticket["customer_verified"] else ", not vouched for")
        + f", by {ticket['inbox']}",
    ]
    known = [
        f"{name} {ticket[name]}"
        for name in ("topic", "language", "urgency", "emotion", "team")
        if ticket[name]
    ]
    if known:
        lines.append(f"  {', '.join(known)}")
    if ticket["decision"]:
        lines.append(f"  why: {ticket['decision']}")
    if ticket["last_error"]:
        lines.append(f"  last error: {ticket['last_error']}")
    lines += ["", "messages"]
    for message in shown["messages"]:
        who = message["from_address"] or message["agent_email"] or "unknown"
        lines.append(f"  {_at(message['received_at'])} {message['direction']} {message['kind']} from {who}")
        lines += [f"    | {line}" for line in str(message["new_text"]).strip().splitlines()[:8]]
        lines += [f"    attached: {a['filename']} ({a['size']:,} bytes)" for a in message["attachments"]]
    for triage in shown["triages"]:
        lines += [
            "",
            f"read by {triage['model']}: {triage['topic']}, {triage['language']}, {triage['urgency']}, "
            f"{triage['emotion']}, {triage['clarity']}, confidence {triage['confidence']:.2f} → {triage['route']}",
            *[f"  because {reason}" for reason in triage["reasons"]],
        ]
    for row in shown["corrections"]:
        lines.append(f"  corrected {row['field']}: {row['old']} → {row['new']} (by {row['by_name']})")
    for row in shown["account_facts"]:
        lines.append(f"account {row['connector']}: {row['error'] or 'facts of ' + _at(row['fetched_at'])}")
    for draft in shown["drafts"]:
        stale = f", stale since {_at(draft['superseded_at'])}" if draft["superseded_at"] else ""
        lines += [
            "",
            f"draft {draft['id']} by {draft['model']} ({draft['route']}, ${draft['cost_usd']}){stale}",
        ]
        lines += [f"    | {line}" for line in str(draft["text"]).splitlines()]
        lines += [f"  blocked: {reason}" for reason in draft["blocked"]]
    for review in shown["reviews"]:
        lines += ["", f"review {review['id']} ({review['state']}): {_review(review)}"]
    for reply in shown["replies"]:
        words = f": {reply['server_words']}" if reply["server_words"] else ""
        tries = f"{reply['attempts']} {'attempt' if reply['attempts'] == 1 else 'attempts'}"
        lines.append(f"reply to {reply['to_address']} is {reply['state']} after {tries}{words}")
    lines += ["", f"model calls, ${shown['cost_usd']} together"]
    for call in shown["calls"]:
        end = f"{call['state']}{' (' + call['error_kind'] + ')' if call['error_kind'] else ''}"
        took = f"{call['latency_ms']} ms" if call["latency_ms"] is not None else "no time"
        cost = f"${call['cost_usd']}" if call["cost_usd"] is not None else "not settled"
        lines.append(
            f"  {_at(call['started_at'])} {call['task']}/{call['route']} {call['model']} as {call['role']}: "
            f"{end}, {took}, {cost}, prompt {str(call['prompt'])[:8]}"
        )
    lines += ["", "moves"]
    for move in shown["moves"]:
        lines.append(f"  {_at(move['at'])} → {move['to_status']} by {move['who']}: {move['why']}")
    return lines


def _review(review: Mapping[str, Any]) -> str:
    text = f"{REASONS.get(review['reason'], review['reason'])}: {review['detail']}"
    if review["outcome"]:
        share = f", edit share {review['edit_share']:.2f}" if review["edit_share"] is not None else ""
        text += f" → {review['outcome']}{share}"
    if review["decided_by_email"]:
        text += f" ({review['action']} by {review['decided_by_email']})"
    return text


def _people(found: Mapping[str, Any]) -> set[int]:
    ids = {review["decided_by"] for review in found["reviews"]}
    ids |= {message["agent_id"] for message in found["messages"]} | {found["ticket"]["assignee_id"]}
    return {key for key in ids if key is not None}


def _plain(row: sa.Row[Any]) -> dict[str, Any]:
    return {key: plain(value) for key, value in row._mapping.items()}


def _at(text: str | None) -> str:
    return str(text)[:16].replace("T", " ") if text else "–"
