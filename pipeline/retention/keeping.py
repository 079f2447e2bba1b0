"""What is old is deleted, by settings: raw mail, attached files, what models said, log-in attempts.

Only of tickets at rest; the counts, the hashes that tell a second delivery, and the conversation itself stay.
Work is done in small batches with a short transaction each, every one of which looks again at what it changes:
two that run at once do no harm, and one that is killed is gone on with by the next.
"""

from __future__ import annotations

import secrets
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from pipeline.db.store import Store
from pipeline.db.tables import (
    UNTRIMMED,
    account_facts,
    attachments,
    blobs,
    corrections,
    drafts,
    login_attempts,
    messages,
    presences,
    raw_messages,
    reviews,
    tickets,
    triages,
    typed_texts,
    weekly_reports,
)
from pipeline.db.types import now
from pipeline.lifecycle import Status
from pipeline.retention import documents, files
from pipeline.retention.columns import GONE

BATCH = 200
AT_REST = (Status.ANSWERED.value, Status.CLOSED.value, Status.AUTOMATED.value)


@dataclass(frozen=True)
class Days:
    """How many days each kind is kept; 0 is for ever."""

    raw: int = 365
    attachments: int = 365
    answers: int = 365
    logins: int = 365


@dataclass
class Removed:
    """How many of each were removed (or, on a dry run, would be). `finished` is False where time ran out."""

    raw: int = 0
    files: int = 0
    tickets: int = 0
    reports: int = 0
    evaluations: int = 0
    logins: int = 0
    finished: bool = True

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


class _OutOfTime(Exception):
    """The rest is for the next run."""


def keep(
    store: Store, home: Path, days: Days, *, for_s: float | None = None, dry_run: bool = False
) -> Removed:
    """Remove what is older than its days; for at most about `for_s` seconds. On a dry run only count."""
    until = None if for_s is None else time.monotonic() + for_s
    removed = Removed()

    def go_on() -> None:
        if until is not None and time.monotonic() > until:
            raise _OutOfTime

    def before(kept: int) -> datetime | None:
        return now() - timedelta(days=kept) if kept else None

    try:
        for kept, name, walk in (
            (days.raw, "raw", _raw),
            (days.answers, "tickets", _answers),
            (days.answers, "reports", _reports),
            (days.logins, "logins", _logins),
        ):
            at = before(kept)
            if at is not None:
                walk(store, at, lambda n, name=name: _add(removed, name, n), go_on, dry_run)  # type: ignore[misc]
        if (at := before(days.answers)) is not None:
            for folder in files.old_runs(home, at):
                if not dry_run:
                    shutil.rmtree(folder, ignore_errors=True)
                removed.evaluations += 1
        if (at := before(days.attachments)) is not None:
            # all files are looked through: last, and where time is short each time from another place on
            start = "" if until is None else secrets.token_hex(4)
            for part in ((start, None), ("", start)) if start else (("", None),):
                _files(store, at, part, lambda n: _add(removed, "files", n), go_on, dry_run)
    except _OutOfTime:
        removed.finished = False
    return removed


def _add(removed: Removed, name: str, number: int) -> None:
    setattr(removed, name, getattr(removed, name) + number)


_Count = Callable[[int], None]
_GoOn = Callable[[], None]


def _raw(store: Store, before: datetime, count: _Count, go_on: _GoOn, dry_run: bool) -> None:
    """Raw bodies and the sanitised HTML. Quarantined mail goes too: nobody mended it in all these days."""
    busy = (
        sa.exists()
        .where(messages.c.raw_id == raw_messages.c.id, messages.c.ticket_id == tickets.c.id)
        .where(tickets.c.status.not_in(AT_REST))
    )
    old = (
        raw_messages.c.body.is_not(None),
        raw_messages.c.received_at < before,
        raw_messages.c.state != "stored",
        ~busy,
    )
    key = sa.tuple_(raw_messages.c.received_at, raw_messages.c.id)
    last: tuple[datetime, int] | None = None
    while True:
        go_on()
        query = sa.select(raw_messages.c.received_at, raw_messages.c.id).where(*old)
        if last is not None:
            query = query.where(
                key > sa.tuple_(sa.literal(last[0], raw_messages.c.received_at.type), last[1])
            )
        with store.read() as connection:
            rows = connection.execute(query.order_by(*key).limit(BATCH)).all()
        if not rows:
            return
        last = (rows[-1].received_at, rows[-1].id)
        if not dry_run:
            with store.write() as connection:
                ids = _locked(
                    connection, raw_messages.c.id, *old, raw_messages.c.id.in_([r.id for r in rows])
                )
                connection.execute(raw_messages.update().where(raw_messages.c.id.in_(ids)).values(body=None))
                connection.execute(messages.update().where(messages.c.raw_id.in_(ids)).values(html=None))
            count(len(ids))
        else:
            count(len(rows))


def _files(
    store: Store, before: datetime, part: tuple[str, str | None], count: _Count, go_on: _GoOn, dry_run: bool
) -> None:
    """The bytes of attached files that no newer message, and none of an open ticket, has too; of those whose hash
    is above the first of `part`, up to the second."""
    wanted = (
        sa.exists()
        .where(attachments.c.sha256 == blobs.c.sha256, messages.c.id == attachments.c.message_id)
        .where(tickets.c.id == messages.c.ticket_id)
        .where(sa.or_(messages.c.received_at >= before, tickets.c.status.not_in(AT_REST)))
    )
    last, end = part
    while True:
        go_on()
        page_of = sa.select(blobs.c.sha256).where(blobs.c.sha256 > last)
        if end is not None:
            page_of = page_of.where(blobs.c.sha256 <= end)
        with store.read() as connection:
            page = connection.execute(page_of.order_by(blobs.c.sha256).limit(BATCH)).scalars()
            seen = list(page)
            if not seen:
                return
            old = list(
                connection.execute(
                    sa.select(blobs.c.sha256).where(blobs.c.sha256.in_(seen), ~wanted)
                ).scalars()
            )
        last = seen[-1]
        if old and not dry_run:
            with store.write() as connection:
                old = _locked(connection, blobs.c.sha256, blobs.c.sha256.in_(old))
                # a second statement sees what came in while the first waited
                gone = connection.execute(blobs.delete().where(blobs.c.sha256.in_(old), ~wanted)).rowcount
            count(int(gone))
        else:
            count(len(old))


def _answers(store: Store, before: datetime, count: _Count, go_on: _GoOn, dry_run: bool) -> None:
    """What machines said of tickets in which nothing has changed since: drafts, readings, looked-up facts, and
    what was typed and never sent."""
    old = (sa.text(f"({UNTRIMMED})"), tickets.c.updated_at < before, tickets.c.status.in_(AT_REST))
    key = sa.tuple_(tickets.c.updated_at, tickets.c.id)
    last: tuple[datetime, int] | None = None
    while True:
        go_on()
        query = sa.select(tickets.c.updated_at, tickets.c.id).where(*old)
        if last is not None:
            query = query.where(key > sa.tuple_(sa.literal(last[0], tickets.c.updated_at.type), last[1]))
        with store.read() as connection:
            rows = connection.execute(query.order_by(*key).limit(BATCH)).all()
        if not rows:
            return
        last = (rows[-1].updated_at, rows[-1].id)
        if dry_run:
            count(len(rows))
            continue
        with store.write() as connection:
            ids = _locked(connection, tickets.c.id, *old, tickets.c.id.in_([row.id for row in rows]))
            trim(connection, ids)
        count(len(ids))


def trim(connection: sa.Connection, ids: list[int]) -> None:
    """Take out of these tickets what machines said, in the caller's transaction."""
    if not ids:
        return
    of = {"ids": ids}
    connection.execute(
        drafts.update()
        .where(drafts.c.ticket_id.in_(of["ids"]))
        .values(text=in_length(drafts.c.text, connection.dialect.name), asks=[], why="", claims=[])
    )
    connection.execute(triages.update().where(triages.c.ticket_id.in_(ids)).values(fields={}, summary=""))
    connection.execute(
        corrections.update()
        .where(corrections.c.ticket_id.in_(ids), corrections.c.field == "fields")
        .values(old=GONE, new=GONE)
    )
    connection.execute(account_facts.delete().where(account_facts.c.ticket_id.in_(ids)))
    rows = sa.select(reviews.c.id).where(reviews.c.ticket_id.in_(ids))
    # the row stays: the report counts that an edit was left
    connection.execute(typed_texts.update().where(typed_texts.c.review_id.in_(rows)).values(text=""))
    connection.execute(tickets.update().where(tickets.c.id.in_(ids)).values(trimmed_at=now()))


def in_length(column: sa.ColumnElement[Any], dialect: str) -> sa.ColumnElement[Any]:
    """`GONE`, in as many characters as the text has: the report tells short drafts from long ones."""
    length = sa.func.length(column)
    if dialect == "postgresql":
        return sa.func.rpad(GONE, length)
    spaces = sa.func.replace(sa.func.hex(sa.func.zeroblob(length)), "00", " ")
    return sa.func.substr(sa.literal(GONE).op("||")(spaces), 1, length)


def _reports(store: Store, before: datetime, count: _Count, go_on: _GoOn, dry_run: bool) -> None:
    """What customers or agents wrote, in written reports; their figures stay."""
    query = sa.select(weekly_reports.c.week).where(weekly_reports.c.made_at < before)
    with store.read() as connection:
        weeks = list(connection.execute(query.order_by(weekly_reports.c.week)).scalars())
    for week in weeks:
        go_on()
        with store.write() as connection:
            row = weekly_reports.c.week == week
            document = connection.execute(
                sa.select(weekly_reports.c.document).where(row).with_for_update()
            ).scalar_one()
            cut = documents.without_texts(document)
            if cut == document:
                continue
            if not dry_run:
                connection.execute(weekly_reports.update().where(row).values(document=cut))
        count(1)


def _logins(store: Store, before: datetime, count: _Count, go_on: _GoOn, dry_run: bool) -> None:
    """Attempts to log in, and who looked at what ticket when. Sessions and links end by themselves."""
    tables = ((login_attempts, login_attempts.c.id, login_attempts.c.at),
              (presences, presences.c.ticket_id, presences.c.seen_at))  # fmt: skip
    for table, id, at in tables:
        if dry_run:
            with store.read() as connection:
                count(int(connection.execute(sa.select(sa.func.count(at)).where(at < before)).scalar_one()))
            continue
        found = BATCH
        while found == BATCH:
            go_on()
            with store.write() as connection:
                ids = _locked(connection, id, at < before, order=at)
                count(int(connection.execute(table.delete().where(id.in_(ids), at < before)).rowcount))
            found = len(ids)


def _locked(
    connection: sa.Connection,
    id: sa.ColumnElement[Any],
    *where: Any,
    order: sa.ColumnElement[Any] | None = None,
) -> list[Any]:
    """The rows that are still as wanted, locked; what another process has in hand is left to it."""
    query = sa.select(id).where(*where).order_by(id if order is None else order).limit(BATCH)
    return list(connection.execute(query.with_for_update(skip_locked=True)).scalars())
