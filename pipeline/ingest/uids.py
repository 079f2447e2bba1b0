"""Our own record of what was taken out of a mailbox: each UID once, and the watermark below which all is.

Every row is (inbox, folder, UIDVALIDITY, UID). The first row of a UIDVALIDITY is its base: the UID up to
which the mailbox was not ours to take (where we began "now" or at a date), 0 where all of it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from pipeline.db.store import Store
from pipeline.db.tables import imap_folders, imap_uids
from pipeline.db.types import now
from pipeline.ingest.inboxes import ImapInbox

NEVER = 0
"""The UIDVALIDITY of a folder that was never opened; servers begin at 1."""
MARGIN = timedelta(days=2)
"""How far behind the last complete look a changed mailbox is read again: SINCE knows days, and no zone."""
_MOST_GAPS = 10_000


@dataclass(frozen=True, slots=True)
class Folder:
    """What the server says of the selected folder."""

    uidvalidity: int
    uidnext: int


@dataclass(slots=True)
class Record:
    """Where we are in a folder: nothing up to `base` is ours, everything up to `watermark` is done."""

    inbox: str
    folder: str
    uidvalidity: int
    base: int
    watermark: int
    complete: bool


Split = Callable[[date], tuple[Sequence[int], Sequence[int]]]
"""Asks the server for the UIDs that arrived on or after a day, and for those before it."""


def opened(store: Store, inbox: ImapInbox, folder: Folder, split: Split) -> Record:
    """The record of the selected folder; made on the first connection, begun anew when UIDVALIDITY changed.

    Anew means: everything since shortly before the last complete look is fetched again, and told by its
    bytes (everything at all, where the inbox began with all of it).
    """
    with store.read() as connection:
        row = connection.execute(
            sa.select(imap_folders).where(
                imap_folders.c.inbox == inbox.name, imap_folders.c.folder == inbox.folder
            )
        ).one_or_none()
        if row is not None and row.uidvalidity == folder.uidvalidity:
            base = connection.execute(
                sa.select(sa.func.min(imap_uids.c.uid)).where(*_here(inbox, folder.uidvalidity))
            ).scalar_one()
            return Record(
                inbox=inbox.name,
                folder=inbox.folder,
                uidvalidity=folder.uidvalidity,
                base=int(base or 0),
                watermark=row.watermark,
                complete=row.last_ok_at is not None,
            )
    begin: date | None = None if isinstance(inbox.start, str) else inbox.start
    if row is not None and row.uidvalidity != NEVER:
        begin = (row.last_ok_at or _begun(store, inbox)).date() - MARGIN
    older: Sequence[int] = ()
    if inbox.start == "all":
        base = 0
    elif begin is None:
        base = folder.uidnext - 1
    else:
        wanted, older = split(begin)
        base = (min(wanted) if wanted else folder.uidnext) - 1
    record = Record(inbox.name, inbox.folder, folder.uidvalidity, base, base, complete=False)
    at = now()
    with store.write() as connection:
        _upsert(connection, record, uidvalidity=folder.uidvalidity, watermark=base)
        for uid in [base, *(uid for uid in older if uid > base)]:
            take(connection, record, uid, None, at=at)
    return record


def gone(connection: sa.Connection, inbox: str) -> int:
    """How many mails of an inbox were gone before they could be fetched. Rows as old as a base are none."""
    bases = (
        sa.select(
            imap_uids.c.folder, imap_uids.c.uidvalidity, sa.func.min(imap_uids.c.taken_at).label("begun")
        )
        .where(imap_uids.c.inbox == inbox)
        .group_by(imap_uids.c.folder, imap_uids.c.uidvalidity)
        .subquery()
    )
    return int(
        connection.execute(
            sa.select(sa.func.count())
            .select_from(imap_uids)
            .join(
                bases,
                sa.and_(imap_uids.c.folder == bases.c.folder, imap_uids.c.uidvalidity == bases.c.uidvalidity),
            )
            .where(
                imap_uids.c.inbox == inbox,
                imap_uids.c.raw_id.is_(None),
                imap_uids.c.taken_at > bases.c.begun,
            )
        ).scalar_one()
    )


def _begun(store: Store, inbox: ImapInbox) -> datetime:
    """When we first opened the folder."""
    with store.read() as connection:
        begun = connection.execute(
            sa.select(sa.func.min(imap_uids.c.taken_at)).where(
                imap_uids.c.inbox == inbox.name, imap_uids.c.folder == inbox.folder
            )
        ).scalar_one()
    return begun if begun is not None else now()


def missing(
    store: Store, record: Record, there: Sequence[int], uidnext: int, *, reconcile: bool
) -> tuple[list[int], list[int]]:
    """(UIDs to fetch, UIDs that came and went between two looks), both ascending."""
    low = record.base if reconcile else record.watermark
    with store.read() as connection:
        rows = connection.execute(
            sa.select(imap_uids.c.uid, imap_uids.c.raw_id, imap_uids.c.taken_at).where(
                imap_uids.c.inbox == record.inbox,
                imap_uids.c.folder == record.folder,
                imap_uids.c.uidvalidity == record.uidvalidity,
                imap_uids.c.uid >= low,
            )
        ).all()
    begun = min((row.taken_at for row in rows), default=None) if reconcile else None
    # one that we believed gone and that is there at the reconciliation is taken after all
    taken = {int(row.uid) for row in rows if row.raw_id is not None or not reconcile or row.taken_at == begun}
    todo = [uid for uid in there if uid > low and uid not in taken]
    gaps: list[int] = []
    if record.complete and not reconcile and uidnext - record.watermark <= _MOST_GAPS:
        here = set(there)
        gaps = [uid for uid in range(record.watermark + 1, uidnext) if uid not in here and uid not in taken]
    return todo, gaps


def take(
    connection: sa.Connection, record: Record, uid: int, raw_id: int | None, *, at: datetime | None = None
) -> None:
    """Write down that a UID is taken (None: it was gone, or is not ours). What is taken stays taken."""
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    row = insert(imap_uids).values(
        inbox=record.inbox,
        folder=record.folder,
        uidvalidity=record.uidvalidity,
        uid=uid,
        raw_id=raw_id,
        taken_at=at or now(),
    )
    connection.execute(
        row.on_conflict_do_update(
            index_elements=["inbox", "folder", "uidvalidity", "uid"],
            set_={"raw_id": sa.func.coalesce(imap_uids.c.raw_id, row.excluded.raw_id)},
        )
    )


def note_gone(connection: sa.Connection, record: Record, gaps: Sequence[int]) -> None:
    for uid in gaps:
        take(connection, record, uid, None)


def advance(connection: sa.Connection, record: Record, top: int) -> None:
    """Raise the watermark to `top`: every UID up to it is taken or gone. It never goes down."""
    if top <= record.watermark:
        return
    connection.execute(
        imap_folders.update()
        .where(
            imap_folders.c.inbox == record.inbox,
            imap_folders.c.folder == record.folder,
            imap_folders.c.uidvalidity == record.uidvalidity,
            imap_folders.c.watermark < top,
        )
        .values(watermark=top)
    )
    record.watermark = top


def note_ok(connection: sa.Connection, record: Record, trouble: str | None) -> None:
    """A complete look. `trouble` is what is wrong all the same; without it the last error is forgotten."""
    values: dict[str, object] = {"last_ok_at": now(), "last_error": trouble}
    values["last_error_at"] = now() if trouble else None
    connection.execute(
        imap_folders.update()
        .where(imap_folders.c.inbox == record.inbox, imap_folders.c.folder == record.folder)
        .values(**values)
    )


def note_error(store: Store, inbox: str, folder: str, words: str) -> None:
    record = Record(inbox, folder, NEVER, 0, 0, complete=False)
    with store.write() as connection:
        insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
        connection.execute(
            insert(imap_folders)
            .values(
                inbox=record.inbox,
                folder=record.folder,
                uidvalidity=NEVER,
                watermark=0,
                last_error=words,
                last_error_at=now(),
            )
            .on_conflict_do_update(
                index_elements=["inbox", "folder"], set_={"last_error": words, "last_error_at": now()}
            )
        )


def _upsert(connection: sa.Connection, record: Record, *, uidvalidity: int, watermark: int) -> None:
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    new = {"uidvalidity": uidvalidity, "watermark": watermark}
    connection.execute(
        insert(imap_folders)
        .values(inbox=record.inbox, folder=record.folder, **new)
        .on_conflict_do_update(index_elements=["inbox", "folder"], set_=new)
    )


def _here(inbox: ImapInbox, uidvalidity: int) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        imap_uids.c.inbox == inbox.name,
        imap_uids.c.folder == inbox.folder,
        imap_uids.c.uidvalidity == uidvalidity,
    )
