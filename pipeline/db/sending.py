"""Whether anything may be sent: held by a person, or by itself where the database was set back to an older state.

In a restored dump replies wait that went out long ago. A database cannot know by itself that it is old, so each
sender keeps a witness beside it: a file in TRIAGE_HOME with the highest turn that it saw. A turn is taken, and
written to the file, before each attempt to send; so a database whose turn is lower than a witness's has lost the
record of an attempt, and nothing goes out until a person releases it. Where no witness is left (a new machine)
the clock stands in: a database on which nobody worked for hours, with replies that wait, is held too.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from pipeline.db.store import Store
from pipeline.db.tables import moves, replies, tickets
from pipeline.db.tables import sending as table
from pipeline.db.types import now
from pipeline.errors import InputError, StoreError

FILE = "sending.json"
HELD_FOR = timedelta(minutes=5)
"""How long a reply that is held waits before it is looked at again; a release makes it due at once."""
_BEAT_EVERY = timedelta(seconds=60)
_LOCK = threading.Lock()


@dataclass(frozen=True)
class Held:
    """Since when nothing is sent, why, and who said so (None: the database was found set back)."""

    at: datetime
    why: str
    by: str | None


@dataclass(frozen=True)
class State:
    held: Held | None
    waiting: tuple[int, ...]
    """Tickets whose approved reply waits to be sent."""
    released_at: datetime | None
    released_by: str | None


class Witness:
    """What this machine last saw of the database. `hold_after` None leaves the clock out."""

    def __init__(self, store: Store, home: Path, hold_after: timedelta | None) -> None:
        self._store = store
        self._path = home / FILE
        self._hold_after = hold_after

    def beat(self) -> Held | None:
        """Look whether the database is older than it should be; note that somebody works on it. Says what holds."""
        with self._store.read() as connection:
            row = connection.execute(sa.select(table)).one_or_none()
        seen = self._seen()
        if (
            row is not None
            and row.held_at is None
            and _follows(row, seen)
            and now() - row.beat_at < _BEAT_EVERY
        ):
            return None
        return self._look(take_turn=False)

    def take_turn(self) -> Held | None:
        """Before an attempt to send: None, and the turn is taken and witnessed; or what holds it."""
        return self._look(take_turn=True)

    def _look(self, *, take_turn: bool) -> Held | None:
        with _LOCK, self._alone():
            seen = self._seen()
            with self._store.write() as connection:
                row = _row(connection)
                if row.held_at is None and (why := self._why(connection, row, seen)):
                    _set(connection, held_at=now(), held_why=why, held_by=None)
                    row = _row(connection)
                held = _held(row)
                turn = row.turn + (take_turn and held is None)
                _set(connection, turn=turn, beat_at=now())
            if held is None:
                self._keep({"store": row.store, "era": row.era, "turn": turn})
            return held

    def _why(self, connection: sa.Connection, row: sa.Row[Any], seen: dict[str, Any] | None) -> str | None:
        if not _follows(row, seen) and connection.execute(sa.select(tickets.c.id).limit(1)).first():
            return (
                "this database is older than what was last sent from here: it was restored, or is another one; "
                "what waits or is open in it may have been answered already"
            )
        if self._hold_after is None or not _waiting(connection, 1):
            return None
        newest = connection.execute(sa.select(sa.func.max(moves.c.at, type_=moves.c.at.type))).scalar_one()
        idle = now() - max(filter(None, (row.beat_at, newest)))
        if idle < self._hold_after:
            return None
        hours = idle.total_seconds() / 3600
        return (
            f"nobody worked on this database for {hours:.0f} hours, and replies wait in it: if it was restored "
            "from a backup, they may have been sent already"
        )

    def _seen(self) -> dict[str, Any] | None:
        try:
            found = json.loads(self._path.read_text(encoding="utf-8"))
            return {"store": str(found["store"]), "era": int(found["era"]), "turn": int(found["turn"])}
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StoreError(
                f"{self._path} cannot be read ({type(error).__name__}): nothing is sent before it can; "
                "if it is damaged, run: triage sending hold, delete it, and then triage sending release"
            ) from None

    def _keep(self, seen: dict[str, Any]) -> None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            part = self._path.with_name(f".{FILE}.{os.getpid()}")
            with part.open("w", encoding="utf-8") as file:
                file.write(json.dumps(seen))
                file.flush()
                os.fsync(file.fileno())
            part.replace(self._path)
        except OSError as error:
            raise StoreError(f"{self._path} cannot be written ({error.strerror}): nothing is sent") from None

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """One process of this machine at a time: a file never goes back to a lower turn."""
        import fcntl

        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            lock = (self._path.parent / f".{FILE}.lock").open("w")
        except OSError as error:
            raise StoreError(
                f"{self._path.parent} cannot be written ({error.strerror}): nothing is sent"
            ) from None
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def held(store: Store) -> Held | None:
    """What holds sending; None where replies go out."""
    with store.read() as connection:
        row = connection.execute(sa.select(table)).one_or_none()
    return None if row is None else _held(row)


def state(store: Store) -> State:
    """For the command line: what holds sending, and which tickets wait for it."""
    with store.read() as connection:
        row = connection.execute(sa.select(table)).one_or_none()
        waiting = tuple(_waiting(connection, 1000))
    if row is None:
        return State(None, waiting, None, None)
    return State(_held(row), waiting, row.released_at, row.released_by)


def hold(store: Store, who: str, why: str) -> Held:
    """Send nothing from now on, until a person releases it. An earlier hold stands."""
    with store.write() as connection:
        row = _row(connection)
        if row.held_at is None:
            _set(connection, held_at=now(), held_why=why, held_by=who)
            row = _row(connection)
    found = _held(row)
    assert found is not None
    return found


def release(store: Store, who: str) -> int:
    """A person's word that what waits may go out; returns how many replies do. Raises `InputError` if none is held."""
    with store.write() as connection:
        row = _row(connection)
        if row.held_at is None:
            raise InputError("sending is not held: there is nothing to release")
        at = now()
        # a new era is above every witness's, of whatever machine: what they saw is settled by this word
        _set(
            connection, era=int(at.timestamp() * 1_000_000), turn=0, beat_at=at,
            held_at=None, held_why=None, held_by=None, released_at=at, released_by=who,
        )  # fmt: skip
        soon = at + timedelta(seconds=10)  # whoever has just approved may still take it back
        held_back = sa.and_(tickets.c.status == "approved", tickets.c.due_at > soon)
        connection.execute(tickets.update().where(held_back).values(due_at=soon))
        return len(_waiting(connection, None))


def _follows(row: sa.Row[Any], seen: dict[str, Any] | None) -> bool:
    """Whether the database knows of everything that the witness saw, or a person has released it since."""
    if seen is None or row.era > seen["era"]:
        return True
    return bool(row.store == seen["store"] and row.era == seen["era"] and row.turn >= seen["turn"])


def _waiting(connection: sa.Connection, limit: int | None) -> list[int]:
    query = sa.select(replies.c.ticket_id).where(replies.c.state.in_(("waiting", "sending")))
    return list(connection.execute(query.order_by(replies.c.ticket_id).limit(limit)).scalars())


def _held(row: sa.Row[Any]) -> Held | None:
    return None if row.held_at is None else Held(row.held_at, row.held_why or "", row.held_by)


def _row(connection: sa.Connection) -> sa.Row[Any]:
    """The one row, locked; made where there is none yet."""
    query = sa.select(table).with_for_update()
    row = connection.execute(query).one_or_none()
    if row is not None:
        return row
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    fresh = {"id": 1, "store": secrets.token_hex(16), "era": 0, "turn": 0, "beat_at": now()}
    connection.execute(insert(table).values(**fresh).on_conflict_do_nothing())
    return connection.execute(query).one()


def _set(connection: sa.Connection, **values: Any) -> None:
    connection.execute(table.update().values(**values))
