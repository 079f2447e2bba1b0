"""The decision on every text, JSON and binary column: how it is erased, or why it holds nobody's data.

A column without a decision fails a test. `ERASED` are set for the rows of a person; in everybody else's rows they,
and those of `SWEPT`, lose that person's address, and what is quoted of them.
"""

from __future__ import annotations

import sqlalchemy as sa

from pipeline.db.tables import metadata

GONE = "[erased]"
"""What stands where a text was."""

TEXT, NULL, LIST, OBJECT, LENGTH, ENTRY = "text", "null", "list", "object", "length", "entry"
"""How: `GONE` where there was any; NULL; []; {}; `GONE` in the length of the text (the report counts short
drafts); the person's own entry of a list of addresses."""

ERASED: dict[str, dict[str, str]] = {
    "raw_messages": {"body": NULL},
    "tickets": {
        "subject": TEXT, "customer_address": NULL, "customer_name": NULL, "decision": TEXT, "last_error": NULL,
    },
    "messages": {
        "kind_reason": TEXT, "message_id": NULL, "in_reply_to": NULL, "references": LIST, "from_name": NULL,
        "from_address": NULL, "reply_to": LIST, "to": LIST, "cc": LIST, "subject": TEXT, "text": TEXT,
        "new_text": TEXT, "html": NULL, "verified_why": TEXT, "bounce": NULL, "defects": LIST,
    },
    "attachments": {"filename": TEXT, "content_id": NULL},
    "blobs": {"data": NULL},
    "model_calls": {"error": NULL},
    "triages": {"fields": OBJECT, "summary": TEXT},
    "corrections": {"old": TEXT, "new": TEXT},
    "account_facts": {"address": TEXT, "facts": NULL, "error": NULL},
    "drafts": {"text": LENGTH, "asks": LIST, "why": TEXT, "claims": LIST, "blocked": LIST},
    "reviews": {"detail": TEXT, "note": TEXT, "sent_text": TEXT, "outcome_why": TEXT},
    "replies": {
        "to_address": TEXT, "subject": TEXT, "in_reply_to": NULL, "references": LIST, "text": TEXT,
        "server_words": TEXT,
    },
    "typed_texts": {"text": TEXT},
    "mentions": {"text": TEXT},
    "second_reads": {"note": TEXT},
    "moves": {"why": TEXT},
}  # fmt: skip

SWEPT: dict[str, tuple[str, ...]] = {
    "raw_messages": ("reason",),
    "imap_folders": ("last_error",),
    "triages": ("reasons",),
    "shadows": ("reasons",),
    "audit": ("about", "detail"),
    "saved_views": ("name", "query"),
    "report_letters": ("server_words",),
    "weekly_reports": ("document",),
    "proposals": ("key", "title", "content", "effect"),
    "ways_out": ("words",),
    "login_attempts": ("email",),
}

_OURS = "a word of ours, from a closed list"
_SET = "a name that the operator gave, in routes.toml, inboxes.toml or the settings"
_HASH = "a one-way hash, which tells a second delivery of the same mail"
_WORKS = "of an account of those who work here, not of a customer"

FREE: dict[str, dict[str, str]] = {
    "raw_messages": {"inbox": _SET, "format": _OURS, "sha256": _HASH, "state": _OURS},
    "imap_folders": {"inbox": _SET, "folder": _SET},
    "imap_uids": {"inbox": _SET, "folder": _SET},
    "oauth_tokens": {"inbox": _SET, "ciphertext": "the inbox's own login, encrypted"},
    "webhook_events": {"source": _SET, "event_id": "the sending system's number", "body_sha256": _HASH},
    "tickets": {
        "inbox": _SET, "status": _OURS, "route": _OURS, "topic": _SET, "language": _OURS, "urgency": _OURS,
        "emotion": _OURS, "team": _SET, "lease_owner": "a process",
        "reply_token": "random; a new one is drawn, so that an old address leads nowhere",
    },
    "messages": {
        "inbox": _SET, "direction": _OURS, "kind": _OURS, "body_hash": _HASH, "fingerprint": _HASH,
        "flags": _OURS,
    },
    "blobs": {"sha256": _HASH},
    "attachments": {"content_type": _OURS, "sha256": _HASH},
    "model_calls": {
        "task": _OURS, "route": _OURS, "role": _OURS, "provider": _SET, "model": _SET,
        "answered_by": "a model's name", "tier": _OURS, "prompt": "a digest of a file of ours",
        "prompt_name": _SET, "state": _OURS, "error_kind": _OURS, "request_id": "the provider's number",
        "scopes": "names of caps; the customer's own, by a hash, is taken out",
    },
    "model_states": {"model": _SET, "last_kind": _OURS},
    "spend": {"scope": "names of caps; the customer's own, by a hash, are deleted", "label": _OURS},
    "triages": {
        "topic": _SET, "other_topics": _SET, "language": _OURS, "urgency": _OURS, "emotion": _OURS,
        "clarity": _OURS, "route": _OURS, "model": _SET, "prompt": "a digest of a file of ours",
    },
    "shadows": {"topic": _SET, "language": _OURS, "route": _OURS, "model": _SET},
    "corrections": {"field": _OURS, "by_kind": _OURS, "by_name": _WORKS},
    "account_facts": {"connector": _SET},
    "drafts": {
        "route": _OURS, "task": _OURS, "source": _OURS, "provider": _SET, "model": _SET, "tier": _OURS,
        "prompt": "a digest of a file of ours", "language": _OURS,
    },
    "agents": dict.fromkeys(
        (
            "email", "name", "role", "password_hash", "api_token_hash", "zone", "oidc_issuer", "oidc_subject",
            "totp_secret",
        ),
        _WORKS,
    ),
    "agent_sessions": {"token_hash": _WORKS, "csrf_token": _WORKS},
    "login_attempts": {"address": "where somebody logged in from: an account's, and gone after its days"},
    "login_links": {"token_hash": _WORKS, "purpose": _OURS},
    "reviews": {
        "reason": _OURS, "state": _OURS, "inbox": _SET, "topic": _SET, "language": _OURS, "route": _OURS,
        "team": _SET, "action": _OURS, "reject_reason": _OURS, "outcome": _OURS,
    },
    "replies": {"message_id": "random, and ours; a number takes its place", "state": _OURS},
    "agent_inboxes": {"inbox": _SET},
    "audit": {"who": _WORKS, "what": _OURS},
    "second_reads": {"verdict": _OURS},
    "weekly_reports": {"week": _OURS, "zone": _SET, "outcomes": "counts"},
    "report_letters": {"week": _OURS, "address": _SET, "message_id": "random, and ours", "state": _OURS},
    "proposals": {
        "kind": _OURS, "file": _OURS, "evidence": "numbers of rows", "week": _OURS, "state": _OURS,
    },
    "ways_out": {"inbox": _SET},
    "moves": {"from_status": _OURS, "to_status": _OURS, "who": _WORKS},
    "sending": {
        "store": "random, and ours", "held_why": "a sentence of ours", "held_by": _WORKS, "released_by": _WORKS,
    },
}  # fmt: skip


def holds_text(column: sa.Column[object]) -> bool:
    """Whether somebody's words could stand in it."""
    return isinstance(column.type, sa.Text | sa.JSON | sa.LargeBinary)


def searched(table: sa.Table) -> list[sa.Column[object]]:
    """The columns in which a person could be named."""
    free = FREE.get(table.name, {})
    return [
        column
        for column in table.columns
        if holds_text(column) and column.name not in free and not isinstance(column.type, sa.LargeBinary)
    ]


def undecided() -> list[str]:
    """Columns with no decision, or with two, and decisions on columns that there are not."""
    there, wrong = set(), []
    for table in metadata.sorted_tables:
        for column in table.columns:
            if not holds_text(column):
                continue
            there.add(f"{table.name}.{column.name}")
            kinds = (ERASED.get(table.name, {}), SWEPT.get(table.name, ()), FREE.get(table.name, {}))
            if sum(column.name in kind for kind in kinds) != 1:
                wrong.append(f"{table.name}.{column.name}")
    said = {
        f"{table}.{name}" for kind in (ERASED, SWEPT, FREE) for table, names in kind.items() for name in names
    }
    return wrong + sorted(said - there)
