"""`triage forget`: one person's data goes, the counts and everybody else's rows stay.

Whose data it is: every ticket of the person (with all that was written on it), every message of theirs on another's
ticket (with what was drafted, extracted and answered because of it), and their address, name and lines wherever a
row of others names the address or stands on such a ticket. What names them is cut before their own rows lose the
address, and each ticket is a transaction of its own: a run that was killed is repeated, and goes on.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from pipeline.db.store import Store
from pipeline.db.tables import agents, drafts, messages, raw_messages, replies, tickets
from pipeline.errors import InputError
from pipeline.retention import erasing, files, sweeping
from pipeline.retention.files import Found
from pipeline.retention.person import Person

CHUNK = 500


@dataclass(frozen=True)
class Whole:
    """What is a person's. `messages` are ids of theirs on other people's tickets (`shared`), `message_ids` are the
    Message-IDs of all of theirs, `raws` the stored mails in which the address stands. `waits` of these are not
    parsed yet, and `sending` are tickets whose reply is under way: both are left for another run. `spellings` of
    the address were seen; `marks` name what is theirs in files."""

    person: Person
    tickets: tuple[int, ...]
    messages: tuple[int, ...]
    shared: tuple[int, ...]
    message_ids: tuple[str, ...]
    raws: tuple[int, ...]
    waits: tuple[int, ...]
    sending: tuple[int, ...]
    spellings: tuple[str, ...]
    marks: frozenset[str]


@dataclass
class Forgotten:
    """What was erased, or would be. `left` are sentences on what another run, or a person, has to do."""

    address: str
    rows: Counter[str] = field(default_factory=Counter)
    cut: Counter[str] = field(default_factory=Counter)
    files: Found = field(default_factory=Found)
    left: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        return {
            "address": self.address, "erased": dict(sorted(self.rows.items())), "cut": dict(sorted(self.cut.items())),
            "files": self.files.to_json(), "left": self.left,
        }  # fmt: skip


def find(store: Store, address: str) -> Whole:
    """Everything that is this person's. Raises `InputError` for what is no address, or is a colleague's account."""
    person = Person(address)
    with store.read() as connection:
        if any(person.is_(email) for email in connection.execute(sa.select(agents.c.email)).scalars()):
            raise InputError(
                f"{address} is an account of this installation, not a customer; see: triage agent disable {address}"
            )
        spellings = _spellings(connection, person)
        own = _ids(connection, tickets.c.id, tickets.c.customer_address, spellings)
        sent = _ids(connection, messages.c.id, messages.c.from_address, spellings)
        rows = [row for part in _chunks(sent) for row in connection.execute(_sent_by(part))]
        person = person.known_as(
            [*_names(connection, spellings), *(row.from_name for row in rows)],
            (line for row in rows for line in row.new_text.splitlines()),
        )
        elsewhere = [row for row in rows if row.ticket_id not in set(own)]
        busy = [
            int(ticket)
            for part in _chunks(own)
            for ticket in connection.execute(
                sa.select(replies.c.ticket_id).where(
                    replies.c.ticket_id.in_(part), replies.c.state == "sending"
                )
            ).scalars()
        ]
        marks = _marks(connection, own, [row.id for row in rows])
    raws, waits = _raws(store, person)
    return Whole(
        person, tuple(own), tuple(row.id for row in elsewhere), tuple(sorted({row.ticket_id for row in elsewhere})),
        tuple(row.message_id for row in rows if row.message_id), raws, waits, tuple(busy), tuple(spellings), marks,
    )  # fmt: skip


def forget(
    store: Store, home: Path, whole: Whole, outside: Iterable[Path] = (), *, dry_run: bool = False
) -> Forgotten:
    """Erase it, or on a dry run count it; raises nothing that leaves a row half erased."""
    done = Forgotten(whole.person.address)
    done.files = files.forget_in_files(home, whole.person, outside, whole.marks, dry_run=dry_run)
    done.cut += sweeping.sweep(
        store, whole.person, whole.tickets, whole.messages, whole.shared, whole.message_ids, dry_run=dry_run
    )
    if dry_run:
        done.rows += erasing.count(store, whole)
    else:
        with store.write() as connection:
            done.rows += erasing.caps(connection, whole.spellings)
        for message in whole.messages:
            with store.write() as connection:
                done.rows += erasing.message(connection, message)
        for ticket in whole.tickets:
            if ticket not in whole.sending:
                with store.write() as connection:
                    done.rows += erasing.ticket(connection, ticket)
        for part in _chunks(whole.raws):
            with store.write() as connection:
                done.rows += erasing.raws(connection, part)
        done.left += _scrub_file(store)
    _say_what_is_left(done, whole)
    return done


def _say_what_is_left(done: Forgotten, whole: Whole) -> None:
    if whole.sending:
        numbers = ", ".join(f"#{ticket}" for ticket in whole.sending)
        done.left.append(f"a reply is being sent on {numbers}: run it again in a few minutes")
    if whole.waits:
        done.left.append(f"{len(whole.waits)} mails are not parsed yet: run it again when they are")
    if done.files.look_at:
        done.left.append(f"{len(done.files.look_at)} files name or quote the person: see them yourself")


def _scrub_file(store: Store) -> list[str]:
    """On SQLite, write the file anew: what was deleted would still stand in free pages and in the log. Says what
    kept it from being done."""
    if store.engine.dialect.name != "sqlite":
        return []
    raw = store.engine.raw_connection()
    try:
        cursor = raw.cursor()
        cursor.execute("PRAGMA secure_delete = ON")
        cursor.execute("PRAGMA busy_timeout = 1000")
        cursor.execute("VACUUM")
        busy = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        cursor.close()
        if busy:
            return [
                "the old pages still stand in the log of the database: stop the other processes and run it again"
            ]
    except sqlite3.OperationalError as error:
        return [f"the old pages still stand in the database file ({error}): mend that and run it again"]
    finally:
        raw.invalidate()  # its settings were for this alone
    return []


def _spellings(connection: sa.Connection, person: Person) -> list[str]:
    found = set()
    for column in (tickets.c.customer_address, messages.c.from_address):
        like = sa.func.lower(column).like(person.like, escape="\\")
        found |= set(connection.execute(sa.select(column).where(like).distinct()).scalars())
    return sorted(address for address in found if person.is_(address))


def _ids(
    connection: sa.Connection, id: sa.Column[int], column: sa.Column[str], spellings: Sequence[str]
) -> list[int]:
    query = sa.select(id).where(column.in_(spellings)).order_by(id)
    return [int(found) for found in connection.execute(query).scalars()]


def _sent_by(ids: Sequence[int]) -> sa.Select[Any]:
    columns = (messages.c[name] for name in ("id", "ticket_id", "message_id", "from_name", "new_text"))
    return sa.select(*columns).where(messages.c.id.in_(ids))


def _names(connection: sa.Connection, spellings: Sequence[str]) -> list[str | None]:
    query = sa.select(tickets.c.customer_name).where(tickets.c.customer_address.in_(spellings)).distinct()
    return list(connection.execute(query).scalars())


def _marks(connection: sa.Connection, own: Sequence[int], sent: Sequence[int]) -> frozenset[str]:
    """How files name what is the person's: `learned.jsonl` its tickets, cases the messages and drafts."""
    of = [
        row
        for part in _chunks(own)
        for row in connection.execute(
            sa.select(messages.c.id).where(messages.c.ticket_id.in_(part))
        ).scalars()
    ]
    mails = sorted({*of, *sent})
    drafted = [
        row
        for part in _chunks(mails)
        for row in connection.execute(sa.select(drafts.c.id).where(drafts.c.message_id.in_(part))).scalars()
    ]
    names = (
        [f"ticket {id}" for id in own] + [f"message-{id}" for id in mails] + [f"draft-{id}" for id in drafted]
    )
    return frozenset(names)


def _raws(store: Store, person: Person) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Stored mails in whose bytes the address stands; and those of them that nobody has parsed yet."""
    found: list[int] = []
    waits: list[int] = []
    last = 0
    while True:
        query = sa.select(raw_messages.c.id, raw_messages.c.body, raw_messages.c.state)
        query = query.where(raw_messages.c.id > last, raw_messages.c.body.is_not(None))
        with store.read() as connection:
            rows = connection.execute(query.order_by(raw_messages.c.id).limit(20)).all()
        if not rows:
            return tuple(found), tuple(waits)
        for row in rows:
            if person.in_bytes.search(bytes(row.body)):
                (waits if row.state == "stored" else found).append(int(row.id))
        last = rows[-1].id


def _chunks(ids: Sequence[int]) -> Iterable[Sequence[int]]:
    return (ids[start : start + CHUNK] for start in range(0, len(ids), CHUNK))
