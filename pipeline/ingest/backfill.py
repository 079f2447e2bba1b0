"""Older mail of a mailbox, from before the watcher began: fetched on request, and never twice.

The newest goes first, so that what may still matter is there soonest, and so that the record's base (the
lowest UID that was looked at) never stands below mail that nobody asked for.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING

import sqlalchemy as sa

from pipeline.db.store import Store
from pipeline.db.tables import imap_uids
from pipeline.ingest import uids
from pipeline.ingest.imap import _mark, _plain, _selected, _split
from pipeline.ingest.imap_fetch import Suspects, batches, fetched, search
from pipeline.ingest.inboxes import ImapInbox, Inbox
from pipeline.ingest.intake import OnTicket, store_raw, take_many

if TYPE_CHECKING:
    from imapclient import IMAPClient


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a backfill has before it: UIDs to fetch, the newest first, and how many of those that were asked
    for are here already. `beside` are mails between them that were not asked for."""

    record: uids.Record = field(repr=False)
    todo: tuple[int, ...]
    known: int
    beside: tuple[int, ...]
    begun: datetime


@dataclass(slots=True)
class Filled:
    """What a backfill brought so far: mails stored (a copy of one that we have is among them), gone before
    they could be fetched, and there but not to be fetched. `left` were not come to."""

    stored: int = 0
    gone: int = 0
    failed: int = 0
    left: int = 0


def wanted(client: IMAPClient, inbox: ImapInbox, store: Store, since: date | None) -> Wanted:
    """Which mails of the mailbox are not here yet; all of them, or those that arrived on or after a day.

    Raises `UnreachableError`. A mailbox that was never opened is opened as its watcher would.
    """
    with _plain(inbox):
        folder = _selected(client, inbox)
        record = uids.opened(store, inbox, folder, lambda day: _split(client, day))
        others: list[int] = []
        if since is None:
            asked = sorted(search(client, ["ALL"]))
        else:
            asked, others = _split(client, since)
    with store.read() as connection:
        rows = connection.execute(
            sa.select(imap_uids.c.uid, imap_uids.c.raw_id, imap_uids.c.taken_at).where(
                imap_uids.c.inbox == record.inbox,
                imap_uids.c.folder == record.folder,
                imap_uids.c.uidvalidity == record.uidvalidity,
            )
        ).all()
    taken = {int(row.uid) for row in rows if row.raw_id is not None}
    written = {int(row.uid) for row in rows}
    # what is above the watermark is the watcher's own
    ours = [uid for uid in asked if uid not in taken and uid <= record.watermark]
    return Wanted(
        record=record,
        todo=tuple(reversed(ours)),
        known=sum(uid in taken for uid in asked),
        beside=tuple(uid for uid in reversed(others) if uid not in written),
        begun=min(row.taken_at for row in rows),
    )


def fill(
    client: IMAPClient,
    inbox: ImapInbox,
    store: Store,
    wanted: Wanted,
    *,
    inboxes: Mapping[str, Inbox] | None = None,
    on_ticket: OnTicket | None = None,
    stop: threading.Event | None = None,
    progress: Callable[[int], None] | None = None,
) -> Filled:
    """Fetch what is wanted; each batch is stored and committed before the next is asked for.

    `progress` gets how many were done at each step. Ends early when `stop` is set. Raises
    `UnreachableError` when the connection fails; a later backfill goes on behind what was stored.
    """
    done = Filled(left=len(wanted.todo))
    beside = list(reversed(wanted.beside))  # ascending, taken from its end
    failed: set[int] = set()
    suspects = Suspects()
    inboxes = inboxes or {inbox.name: inbox}
    with _plain(inbox):
        for batch in batches(client, inbox, wanted.todo, suspects):
            if stop is not None and stop.is_set():
                break
            got = fetched(client, inbox, batch, failed, suspects)
            lowest = min(uid for uid, _ in batch)
            passed: list[int] = []
            while beside and beside[-1] > lowest:
                passed.append(beside.pop())
            raws: list[int] = []
            with store.write() as connection:
                _not_asked_for(connection, wanted, passed)
                for uid in sorted(got):
                    mail = got[uid]
                    if mail is None:
                        uids.take(connection, wanted.record, uid, None)
                        done.gone += 1
                        continue
                    raw = store_raw(
                        connection, inbox.name, mail.body, begun=mail.reason is None, quarantine=mail.reason
                    )
                    uids.take(connection, wanted.record, uid, raw.raw_id)
                    done.stored += 1
                    if raw.new and raw.waits:
                        raws.append(raw.raw_id)
            take_many(store, raws, inboxes=inboxes, on_ticket=on_ticket)
            _mark(client, inbox, [uid for uid, mail in got.items() if mail is not None])
            done.left -= len(batch)
            done.failed = len(failed)
            if progress is not None:
                progress(len(batch))
    return done


def _not_asked_for(connection: sa.Connection, wanted: Wanted, passed: Sequence[int]) -> None:
    """Write down, as of the day we began, what lies above the lowest UID that was taken and is not ours:
    the daily reconciliation would fetch it otherwise."""
    for uid in passed:
        uids.take(connection, wanted.record, uid, None, at=wanted.begun)
