"""One webhook request from its bytes to its answer: verified, stored and committed, then read.

The HTTP route hands over headers and body and sends back what `Receipt` says; a database that cannot be
used is an error that goes up, and the route's 503.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

import sqlalchemy as sa
import structlog
from sqlalchemy.dialects import postgresql, sqlite

from pipeline.db.store import Store
from pipeline.db.tables import raw_messages, webhook_events
from pipeline.db.types import now
from pipeline.errors import TriageError
from pipeline.ingest.inboxes import Inbox, WebhookInbox
from pipeline.ingest.intake import OnTicket, store_raw, take
from pipeline.ingest.webhooks import ADAPTERS
from pipeline.ingest.webhooks.shape import Adapter, SignatureRefused

log = structlog.get_logger(__name__)

EVENTS_KEPT = timedelta(days=30)
"""How long an event id is remembered: no scheme without a timestamp may be replayed within it."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """The answer: an HTTP status, one plain line for the sender's log, and what became of the event.

    `body` is what must be sent back word for word, where the source asks for that.
    """

    status: Literal[200, 401, 413, 422]
    reason: str
    ticket_id: int | None = None
    body: str | None = None


def body_limit(inbox: WebhookInbox) -> int:
    """How many bytes of body the route should read before it gives up with 413."""
    return inbox.max_body_bytes or ADAPTERS[inbox.adapter].MAX_BODY_BYTES


def receive(
    store: Store,
    inbox: WebhookInbox,
    headers: Mapping[str, str],
    body: bytes,
    at: datetime | None = None,
    on_ticket: OnTicket | None = None,
    *,
    inboxes: Mapping[str, Inbox] | None = None,
) -> Receipt:
    """Take one event. Nothing is looked at before the signature holds, nothing is lost after it does.

    Raises `ConfigError` where the inbox's own secret cannot be used, and `UnreachableError` where the
    event could not be stored: both are our failure, and the source shall try again (503).
    """
    adapter = ADAPTERS[inbox.adapter]
    if len(body) > body_limit(inbox):
        return Receipt(413, f"the body is larger than {body_limit(inbox)} bytes")
    lowered = {name.lower(): value for name, value in headers.items()}
    try:
        verified = adapter.verify(lowered, body, inbox.secrets(), at or now())
    except SignatureRefused as error:
        log.warning("webhook refused", inbox=inbox.name, reason=str(error))
        return Receipt(401, str(error))
    if verified.answer is not None:
        return Receipt(200, "the challenge is answered", body=verified.answer)
    digest = hashlib.sha256(body).hexdigest()
    event_id = verified.event_id or f"sha256:{digest}"
    kind = lowered.get("content-type", "").split(";")[0].strip().lower()
    wrong_kind = kind not in adapter.CONTENT_TYPES
    why = f"the content type is {kind[:80] or 'missing'}, not {' or '.join(adapter.CONTENT_TYPES)}"
    stored = _store(store, inbox, adapter, event_id, body, digest, quarantine=why if wrong_kind else None)
    if stored.conflict:
        log.warning("a webhook event came again with another body", inbox=inbox.name, event_id=event_id[:80])
        return Receipt(200, "this event came before with another body; both are kept")
    if stored.ours:
        try:
            taken = take(store, stored.raw_id, inboxes=inboxes or {inbox.name: inbox}, on_ticket=on_ticket)
        except (TriageError, sa.exc.SQLAlchemyError) as error:
            # it is stored and committed: the sweep finishes it, and the source need not send it again
            log.warning("a webhook event waits", inbox=inbox.name, error=type(error).__name__)
            return Receipt(200, "stored; it is read later")
        if taken.kind in ("message", "automated"):
            return Receipt(200, "stored", taken.ticket_id)
        if taken.kind == "ignored":
            return Receipt(200, taken.reason or "not a customer's message")
    return _as_it_stands(store, stored.raw_id)


@dataclass(frozen=True, slots=True)
class _Stored:
    """`ours`: this request stored it and reads it; a repeat meanwhile leaves that to the first."""

    raw_id: int
    ours: bool
    conflict: bool


def _store(
    store: Store,
    inbox: WebhookInbox,
    adapter: Adapter,
    event_id: str,
    body: bytes,
    digest: str,
    quarantine: str | None,
) -> _Stored:
    """Event id and raw bytes in one transaction; of several at once, one is the first."""
    with store.write() as connection:
        insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
        first = connection.execute(
            insert(webhook_events)
            .values(source=inbox.name, event_id=event_id, body_sha256=digest, received_at=now(), conflicts=0)
            .on_conflict_do_nothing(index_elements=["source", "event_id"])
            .returning(webhook_events.c.event_id)
        ).scalar_one_or_none()
        this = sa.and_(webhook_events.c.source == inbox.name, webhook_events.c.event_id == event_id)
        if first is None:
            known = connection.execute(sa.select(webhook_events).where(this).with_for_update()).one()
            if known.body_sha256 != digest:
                reason = f"event {event_id[:100]} came before with another body"
                raw = store_raw(connection, inbox.name, body, adapter.NAME, verified=True, quarantine=reason)
                if raw.new:
                    connection.execute(
                        webhook_events.update().where(this).values(conflicts=webhook_events.c.conflicts + 1)
                    )
                return _Stored(raw.raw_id, ours=False, conflict=True)
        raw = store_raw(connection, inbox.name, body, adapter.NAME, verified=True, quarantine=quarantine)
        if first is not None:
            connection.execute(webhook_events.update().where(this).values(raw_id=raw.raw_id))
    return _Stored(raw.raw_id, ours=raw.new and raw.waits, conflict=False)


def _as_it_stands(store: Store, raw_id: int) -> Receipt:
    """The answer to what was here before, or is in quarantine now: the same as the first time."""
    with store.read() as connection:
        row = connection.execute(
            sa.select(raw_messages.c.state, raw_messages.c.reason).where(raw_messages.c.id == raw_id)
        ).one()
    if row.state == "quarantined":
        return Receipt(422, f"kept, but not understood: {row.reason}")
    return Receipt(200, "it was taken already")


def forget_events(store: Store, before: datetime | None = None) -> int:
    """Forget event ids older than `EVENTS_KEPT`; returns how many. What they brought stays."""
    with store.write() as connection:
        done = connection.execute(
            webhook_events.delete().where(webhook_events.c.received_at < (before or now() - EVENTS_KEPT))
        )
    return int(done.rowcount)
