"""From raw bytes to a message on a ticket: store first, parse outside any transaction, record in a short one.

A raw message is in the database before anybody is told that we have it. It is then `stored` until it has
become a message, a duplicate, or a row in quarantine with the reason; whoever dies in between leaves it
`stored`, and `take_stored` picks it up.
"""

from __future__ import annotations

import functools
import hashlib
import time
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from pipeline import tracing
from pipeline.db.store import Store
from pipeline.db.tables import raw_messages
from pipeline.db.types import now
from pipeline.errors import TriageError
from pipeline.ingest.authentication import vouch
from pipeline.ingest.inboxes import Inbox
from pipeline.ingest.message import ParsedMessage
from pipeline.ingest.recording import BATCH, GAVE_UP, Taken, record
from pipeline.ingest.rows import Raced, Readout
from pipeline.ingest.threading import without_ours

__all__ = ["RawStored", "Taken", "store_raw", "take", "take_again", "take_many", "take_stored"]

Parse = Callable[[bytes], ParsedMessage]
OnTicket = Callable[[int], None]

MAX_ATTEMPTS = 3
"""How often parsing is begun before we believe that it kills the process."""
_TRIES = 4
STALE_AFTER = timedelta(seconds=120)
"""How long whoever stored a raw message has to parse it before somebody else does."""


@dataclass(frozen=True, slots=True)
class RawStored:
    """`new` is False for bytes that we have; `waits` says that nobody has finished parsing them."""

    raw_id: int
    new: bool
    waits: bool


def store_raw(
    connection: sa.Connection,
    inbox: str,
    body: bytes,
    format: str = "rfc822",
    verified: bool = False,
    *,
    quarantine: str | None = None,
    begun: bool = False,
) -> RawStored:
    """Store bytes as they came; the same bytes twice are one row, wherever they came from.

    `quarantine` stores them as not to be parsed, with this reason. `begun` counts the attempt of a caller
    who parses right after his commit.
    """
    return store_all(connection, inbox, [(body, quarantine)], format, verified, begun=begun)[0]


def store_all(
    connection: sa.Connection,
    inbox: str,
    bodies: Sequence[tuple[bytes, str | None]],
    format: str = "rfc822",
    verified: bool = False,
    *,
    begun: bool = False,
) -> list[RawStored]:
    """`store_raw` of several `(bytes, reason for quarantine)` in one statement; the results in their order."""
    if not bodies:
        return []
    digests = [hashlib.sha256(body).hexdigest() for body, _ in bodies]
    at = now()
    rows = connection.execute(
        _raw_insert(connection.dialect.name),
        [
            {
                "inbox": inbox,
                "format": format,
                "sha256": digest,
                "size": len(body),
                "body": body,
                "received_at": at,
                "state": "quarantined" if quarantine else "stored",
                "reason": quarantine,
                "verified": verified,
                "attempts": 1 if begun else 0,
                "times_seen": 1,
            }
            for digest, (body, quarantine) in zip(digests, bodies, strict=True)
        ],
    )
    fresh = {row.sha256: int(row.id) for row in rows}
    stored: list[RawStored] = []
    for digest, (_, quarantine) in zip(digests, bodies, strict=True):
        raw_id = fresh.pop(digest, None)
        if raw_id is not None:
            stored.append(RawStored(raw_id, new=True, waits=quarantine is None))
            continue
        row = connection.execute(_SEEN_AGAIN, {"digest": digest}).one()
        stored.append(RawStored(int(row.id), new=False, waits=row.state == "stored"))
    return stored


@functools.cache
def _raw_insert(dialect: str) -> Any:
    """Built once: building a statement costs more than running it."""
    insert = postgresql.insert if dialect == "postgresql" else sqlite.insert
    return (
        insert(raw_messages)
        .on_conflict_do_nothing(index_elements=["sha256"])
        .returning(raw_messages.c.id, raw_messages.c.sha256)
    )


_SEEN_AGAIN = (
    raw_messages.update()
    .where(raw_messages.c.sha256 == sa.bindparam("digest"))
    .values(times_seen=raw_messages.c.times_seen + 1)
    .returning(raw_messages.c.id, raw_messages.c.state)
)


def take(
    store: Store,
    raw_id: int,
    *,
    inboxes: Mapping[str, Inbox] | None = None,
    parse: Parse | None = None,
    on_ticket: OnTicket | None = None,
) -> Taken:
    """Parse one stored raw message and put it on its ticket; done twice, it is one message.

    The attempt is counted before the parsing. `on_ticket` is called after the commit.
    """
    with store.write() as connection:
        row = connection.execute(
            raw_messages.update()
            .where(raw_messages.c.id == raw_id, raw_messages.c.state == "stored")
            .values(attempts=raw_messages.c.attempts + 1)
            .returning(raw_messages.c.attempts)
        ).one_or_none()
        if row is None:
            return Taken("duplicate", raw_id, reason="it was taken already")
        if row.attempts > MAX_ATTEMPTS:
            connection.execute(
                raw_messages.update()
                .where(raw_messages.c.id == raw_id)
                .values(state="quarantined", reason=GAVE_UP)
            )
            return Taken("quarantined", raw_id, reason=GAVE_UP)
    return take_many(store, [raw_id], inboxes=inboxes, parse=parse, on_ticket=on_ticket)[0]


def take_many(
    store: Store,
    raw_ids: Sequence[int],
    *,
    inboxes: Mapping[str, Inbox] | None = None,
    parse: Parse | None = None,
    on_ticket: OnTicket | None = None,
) -> list[Taken]:
    """Parse several and record them in one transaction; where that fails, each in one of its own.

    For callers who counted the attempts when they stored them (`begun`). One message that cannot be
    recorded goes to quarantine and holds up no other.
    """
    if not raw_ids:
        return []
    inboxes = inboxes or {}
    readouts = [_read(row, inboxes, parse) for row in _load(store, raw_ids)]
    return take_readouts(store, readouts, inboxes=inboxes, on_ticket=on_ticket)


def take_readouts(
    store: Store,
    readouts: Sequence[Readout],
    *,
    inboxes: Mapping[str, Inbox],
    on_ticket: OnTicket | None = None,
) -> list[Taken]:
    """Record what was parsed; in one transaction if that goes well, one by one if not."""
    begun = time.monotonic()
    try:
        with store.write() as connection:
            connection = connection.execution_options(**{BATCH: len(readouts) > 1})
            taken = [record(connection, one, inboxes) for one in readouts]
    except Exception:
        # whichever it was (a race, a ticket in somebody's hands, a value that the database refuses),
        # alone it can wait, or be named
        taken = [_record_alone(store, one, inboxes) for one in readouts]
    for readout, one in zip(readouts, taken, strict=True):
        said = {"triage.inbox": readout.inbox, "triage.kind": one.kind}
        tracing.record("ingest", one.ticket_id, time.monotonic() - begun, said, opens=one.opened)
    if on_ticket is not None:
        for one in taken:
            if one.kind in ("message", "automated") and one.ticket_id is not None:
                on_ticket(one.ticket_id)
    return taken


def take_stored(
    store: Store,
    limit: int = 100,
    *,
    inboxes: Mapping[str, Inbox] | None = None,
    parse: Parse | None = None,
    on_ticket: OnTicket | None = None,
    older_than: timedelta = STALE_AFTER,
) -> list[Taken]:
    """Finish what somebody stored and did not live to parse, one at a time: a poison mail is alone."""
    with store.read() as connection:
        raw_ids = connection.execute(
            sa.select(raw_messages.c.id)
            .where(raw_messages.c.state == "stored", raw_messages.c.received_at <= now() - older_than)
            .order_by(raw_messages.c.id)
            .limit(limit)
        ).scalars()
        waiting = [int(raw_id) for raw_id in raw_ids]
    return [take(store, raw_id, inboxes=inboxes, parse=parse, on_ticket=on_ticket) for raw_id in waiting]


def take_again(
    store: Store,
    raw_id: int,
    *,
    inboxes: Mapping[str, Inbox] | None = None,
    parse: Parse | None = None,
    on_ticket: OnTicket | None = None,
) -> Taken:
    """Try a quarantined raw message once more, after a mend; nothing else is touched."""
    with store.write() as connection:
        connection.execute(
            raw_messages.update()
            .where(
                raw_messages.c.id == raw_id,
                raw_messages.c.state == "quarantined",
                raw_messages.c.body.is_not(None),
            )
            .values(state="stored", reason=None, attempts=0)
        )
    return take(store, raw_id, inboxes=inboxes, parse=parse, on_ticket=on_ticket)


def read_out(
    raw_id: int,
    inbox: str,
    format: str,
    body: bytes,
    verified: bool,
    inboxes: Mapping[str, Inbox],
    parse: Parse | None = None,
) -> Readout:
    """Parse raw bytes by their format. Whatever goes wrong is a reason for quarantine, never an error."""
    try:
        if format == "rfc822":
            parsed = without_ours(parse(body) if parse else _mime(body, inboxes.get(inbox), inboxes))
            sender, why = vouch(parsed, inboxes.get(inbox))
        else:
            from pipeline.ingest.webhooks import ADAPTERS

            event = ADAPTERS[format].read(body, inbox)
            if event.message is None:
                return Readout(raw_id, inbox, None, ignored=event.note)
            parsed = event.message
            if event.is_mail:
                sender, why = vouch(parsed, inboxes.get(inbox))
            else:
                sender = verified and event.sender_verified and parsed.from_ is not None
                why = "the signed webhook says so" if sender else "the webhook does not vouch for the sender"
    except TriageError as error:
        return Readout(raw_id, inbox, None, quarantine=str(error))
    except Exception as error:
        return Readout(raw_id, inbox, None, quarantine=f"the parser failed: {_place(error)}")
    if parsed.kind == "quarantine":
        return Readout(raw_id, inbox, None, quarantine=parsed.kind_reason or "could not be parsed")
    return Readout(raw_id, inbox, parsed, sender_verified=sender, verified_why=why)


def _read(row: Any, inboxes: Mapping[str, Inbox], parse: Parse | None) -> Readout:
    if row.body is None:
        return Readout(row.id, row.inbox, None, quarantine="its raw bytes were removed")
    return read_out(row.id, row.inbox, row.format, bytes(row.body), row.verified, inboxes, parse)


def _mime(body: bytes, inbox: Inbox | None, inboxes: Mapping[str, Inbox]) -> ParsedMessage:
    from pipeline.ingest.mime import DEFAULT_BOUNDS, parse

    own = frozenset(address for one in inboxes.values() for address in one.own)
    return parse(body, inbox.bounds.to_bounds() if inbox is not None else DEFAULT_BOUNDS, own)


def _load(store: Store, raw_ids: Iterable[int]) -> list[Any]:
    ids = list(raw_ids)
    with store.read() as connection:
        rows = connection.execute(
            sa.select(
                raw_messages.c.id,
                raw_messages.c.inbox,
                raw_messages.c.format,
                raw_messages.c.body,
                raw_messages.c.verified,
            ).where(raw_messages.c.id.in_(ids))
        )
        found = {row.id: row for row in rows}
    return [found[raw_id] for raw_id in ids if raw_id in found]


def _record_alone(store: Store, readout: Readout, inboxes: Mapping[str, Inbox]) -> Taken:
    """Record one; a lost race is run again, a message that cannot be recorded goes to quarantine.

    A database that is away is not the message's fault: the error goes up, and the raw message stays stored.
    """
    for attempt in range(1, _TRIES + 1):
        try:
            with store.write() as connection:
                return record(connection, readout, inboxes)
        except Raced:
            continue
        except TriageError:
            if attempt == _TRIES:
                raise
            time.sleep(0.05 * attempt)
        except Exception as error:
            reason = f"could not be recorded: {_place(error)}"
            with store.write() as connection:
                return record(
                    connection, Readout(readout.raw_id, readout.inbox, None, quarantine=reason), inboxes
                )
    raise TriageError(f"raw message {readout.raw_id}: somebody else is recording the same mail; try again")


def _place(error: BaseException) -> str:
    """The error's type and where it arose; never its text, which may quote the mail."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{where}"
