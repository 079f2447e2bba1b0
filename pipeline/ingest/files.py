"""Mails out of files: .eml, mbox, Maildir, and folders of them, read as a stream and taken in batches."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.db.store import Store
from pipeline.errors import InputError, TriageError
from pipeline.ingest.inboxes import FolderInbox, Inbox
from pipeline.ingest.intake import OnTicket, RawStored, read_out, store_all, take, take_readouts, take_stored
from pipeline.ingest.recording import Taken
from pipeline.ingest.rows import Readout

MAX_MESSAGE_BYTES = 64_000_000
"""More than this of one mail is not read; what was read is kept in quarantine."""

BATCH_MESSAGES = 100
BATCH_BYTES = 8_000_000
_CHUNK = 1 << 20

_NOT_MAIL_SUFFIXES = frozenset(
    f".{suffix}"
    for suffix in (
        *("json", "jsonl", "csv", "tsv", "md", "rst", "toml", "yaml", "yml", "ini", "cfg", "log", "lock"),
        *("py", "js", "css", "sh", "sql", "db", "db-wal", "db-shm", "sqlite"),
        *("zip", "gz", "tar", "pdf", "png", "jpg", "jpeg", "gif"),
    )
)
_NOT_MAIL_NAMES = re.compile(r"(?i)(licen[cs]e|copying|notice|readme|changelog|dovecot|maildirfolder)\b")

_SEPARATOR = re.compile(rb"From .*\d{1,2}:\d{2}")
"""The line before each mail of an mbox: `From sender Mon Nov 23 09:00:00 2026`."""
_ESCAPED = re.compile(rb">+From ")


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of the mails. `received` is messages + automated + duplicates + quarantined.

    `skipped` are files in a folder that are no mail by their name; `problems` one plain line for each
    file that could not be read.
    """

    received: int = 0
    tickets: int = 0
    messages: int = 0
    automated: int = 0
    duplicates: int = 0
    quarantined: int = 0
    skipped: int = 0
    problems: tuple[str, ...] = ()

    def to_json(self) -> dict[str, int]:
        return {
            "received": self.received,
            "tickets": self.tickets,
            "messages": self.messages,
            "automated": self.automated,
            "duplicates": self.duplicates,
            "quarantined": self.quarantined,
            "skipped": self.skipped,
        }

    def plus(self, taken: Taken) -> Counts:
        """One more mail."""
        column = {"message": "messages", "automated": "automated", "duplicate": "duplicates"}
        name = column.get(taken.kind, "quarantined")
        return replace(
            self,
            received=self.received + 1,
            tickets=self.tickets + taken.opened,
            **{name: getattr(self, name) + 1},
        )


@dataclass(frozen=True, slots=True)
class Found:
    """One mail of a file, or why there is none. `cut` says that it was longer than we read."""

    path: Path
    body: bytes = b""
    cut: bool = False
    problem: str | None = None
    skipped: bool = False


Progress = Callable[[Counts], None]


def ingest_paths(
    store: Store,
    paths: Sequence[Path],
    inbox: str = "files",
    progress: Progress | None = None,
    *,
    inboxes: Mapping[str, Inbox] | None = None,
    on_ticket: OnTicket | None = None,
    limit: int = MAX_MESSAGE_BYTES,
) -> Counts:
    """Take every mail of the paths into the store; the same files again are all duplicates.

    Raises `InputError` before anything is stored if a path is not there. A file that cannot be read on
    the way is a line in `problems` and holds up no other.
    """
    for path in paths:
        if not path.exists():
            raise InputError(f"{path}: there is no such file or folder")
        if not os.access(path, os.R_OK):
            raise InputError(f"{path}: may not be read by this user")
    counts = Counts()
    batch: list[Found] = []
    size = 0
    for found in (one for path in paths for one in find_mails(path, limit)):
        if found.problem is not None:
            counts = replace(counts, problems=(*counts.problems, found.problem))
        elif found.skipped:
            counts = replace(counts, skipped=counts.skipped + 1)
        else:
            batch.append(found)
            size += len(found.body)
        if len(batch) >= BATCH_MESSAGES or size >= BATCH_BYTES:
            counts = _take_batch(store, batch, inbox, counts, inboxes or {}, on_ticket, limit)
            batch, size = [], 0
            if progress is not None:
                progress(counts)
    counts = _take_batch(store, batch, inbox, counts, inboxes or {}, on_ticket, limit)
    if progress is not None:
        progress(counts)
    return counts


def _take_batch(
    store: Store,
    batch: Sequence[Found],
    inbox: str,
    counts: Counts,
    inboxes: Mapping[str, Inbox],
    on_ticket: OnTicket | None,
    limit: int,
) -> Counts:
    """Raw bytes first, in one transaction; then parse; then record, in one transaction."""
    if not batch:
        return counts
    stored = _store(store, batch, inbox, f"more than {limit} bytes; the rest was not read")
    fresh: list[Readout] = []
    for found, raw in zip(batch, stored, strict=True):
        if raw.new and raw.waits:
            fresh.append(read_out(raw.raw_id, inbox, "rfc822", found.body, False, inboxes))
        elif raw.new:
            counts = counts.plus(Taken("quarantined", raw.raw_id))
        elif raw.waits and raw.raw_id not in {one.raw_id for one in fresh}:
            # stored by somebody who did not live to parse it
            counts = counts.plus(take(store, raw.raw_id, inboxes=inboxes, on_ticket=on_ticket))
        else:
            counts = counts.plus(Taken("duplicate", raw.raw_id))
    for taken in take_readouts(store, fresh, inboxes=inboxes, on_ticket=on_ticket):
        counts = counts.plus(taken)
    return counts


def _store(store: Store, batch: Sequence[Found], inbox: str, too_long: str) -> list[RawStored]:
    for attempt in (1, 2, 3):
        try:
            with store.write() as connection:
                bodies = [(one.body, too_long if one.cut else None) for one in batch]
                return store_all(connection, inbox, bodies, begun=True)
        except TriageError:
            # two processes that store the same mails in another order may lock each other out
            if attempt == 3:
                raise
    raise AssertionError("unreachable")


def find_mails(path: Path, limit: int = MAX_MESSAGE_BYTES) -> Iterator[Found]:
    """Every mail of a file or folder, each read up to `limit` bytes. A file that is named is read whatever
    it is called."""
    if path.is_dir():
        yield from _folder(path, limit)
    else:
        yield from _file(path, limit)


def _folder(folder: Path, limit: int) -> Iterator[Found]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        yield Found(folder, problem=f"{folder}: {error.strerror or error}")
        return
    names = {entry.name for entry in entries}
    maildir = {"cur", "new"} <= names
    if maildir:
        entries.sort(key=lambda entry: (entry.name != "cur", entry.name))  # read mail is older than new mail
    for entry in entries:
        path = Path(entry.path)
        try:
            if entry.is_symlink() and entry.is_dir():
                continue  # or a link upwards would go on for ever
            if entry.is_dir():
                if not (maildir and entry.name == "tmp"):
                    yield from _folder(path, limit)
            elif not entry.is_file():
                continue
            elif maildir or (_may_be_mail(entry.name) or folder.name in ("cur", "new")):
                if not (maildir and entry.name.startswith(("dovecot", "maildirfolder", "subscriptions"))):
                    yield from _file(path, limit)
            else:
                yield Found(path, skipped=True)
        except OSError as error:
            yield Found(path, problem=f"{path}: {error.strerror or error}")


def _may_be_mail(name: str) -> bool:
    if name.startswith(".") or _NOT_MAIL_NAMES.match(name):
        return False
    return Path(name).suffix.lower() not in _NOT_MAIL_SUFFIXES


def _file(path: Path, limit: int) -> Iterator[Found]:
    try:
        with path.open("rb") as file:
            head = file.read(5)
            file.seek(0)
            if head == b"From ":
                yield from _mbox(path, file.readline, limit)
                return
            body = file.read(limit + 1)
    except OSError as error:
        yield Found(path, problem=f"{path}: {error.strerror or error}")
        return
    yield Found(path, body[:limit], cut=len(body) > limit)


def _mbox(path: Path, readline: Callable[[int], bytes], limit: int) -> Iterator[Found]:
    """The mails of an mbox: a `From ` line after an empty line begins one, `>From ` lines lose their `>`.

    Only one mail is held at a time, and of one that never ends only the beginning.
    """
    lines: list[bytes] = []
    size = 0
    empty_before = at_line_start = True
    first = True
    while line := readline(_CHUNK):
        starts_line, at_line_start = at_line_start, line.endswith(b"\n")
        begins = starts_line and empty_before and line.startswith(b"From ")
        if begins and (first or _SEPARATOR.match(line)):
            if not first:
                yield _mail(path, lines, size, limit)
            first, lines, size, empty_before = False, [], 0, False
            while not at_line_start and (line := readline(_CHUNK)):
                at_line_start = line.endswith(b"\n")
            continue
        empty_before = starts_line and line in (b"\n", b"\r\n")
        if starts_line and _ESCAPED.match(line):
            line = line[1:]
        if size <= limit:
            lines.append(line)
        size += len(line)
    yield _mail(path, lines, size, limit)


def _mail(path: Path, lines: list[bytes], size: int, limit: int) -> Found:
    if lines and lines[-1] in (b"\n", b"\r\n"):
        lines.pop()  # the empty line before the next separator belongs to the mbox
    body = b"".join(lines)
    return Found(path, body[:limit], cut=size > limit)


def watch_folder(
    inbox: FolderInbox,
    store: Store,
    stop: threading.Event,
    on_ticket: OnTicket | None = None,
    *,
    inboxes: Mapping[str, Inbox] | None = None,
) -> None:
    """Look at a folder again and again until `stop` is set; a file is read anew when it has changed.

    What was taken is told by the bytes, so a restart reads the files again and takes nothing twice.
    """
    import structlog

    log = structlog.get_logger(__name__).bind(inbox=inbox.name)
    known: dict[Path, tuple[int, int]] = {}
    inboxes = inboxes or {inbox.name: inbox}
    while not stop.is_set():
        try:
            fresh, seen = _changed(inbox.path, known)
            if fresh:
                counts = ingest_paths(store, fresh, inbox.name, inboxes=inboxes, on_ticket=on_ticket)
                for problem in counts.problems:
                    log.warning("a file could not be read", problem=problem)
            known = seen
            take_stored(store, inboxes=inboxes, on_ticket=on_ticket)
        except TriageError as error:
            log.warning("the folder could not be taken in", error=str(error))
        stop.wait(inbox.poll_s)


def _changed(
    path: Path, known: Mapping[Path, tuple[int, int]]
) -> tuple[list[Path], dict[Path, tuple[int, int]]]:
    """The files that are new or have changed, and all of them as they are now."""
    seen: dict[Path, tuple[int, int]] = {}
    for file in _walk(path):
        try:
            status = file.stat()
        except OSError:
            continue  # gone between the listing and now
        seen[file] = (status.st_size, status.st_mtime_ns)
    return [file for file, state in seen.items() if known.get(file) != state], seen


def _walk(path: Path) -> Iterator[Path]:
    if not path.exists():
        raise InputError(f"{path}: there is no such file or folder; see path of the inbox")
    if path.is_file():
        yield path
        return
    for folder, folders, names in os.walk(path):
        folders[:] = sorted(name for name in folders if name != "tmp")
        for name in sorted(names):
            if Path(folder).name in ("cur", "new") or _may_be_mail(name):
                yield Path(folder) / name
