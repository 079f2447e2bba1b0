"""Fetching mails by UID: sizes first, bounded batches, long mails in pieces, and one bad mail blocks no other."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog

from pipeline.ingest.inboxes import ImapInbox

if TYPE_CHECKING:
    from imapclient import IMAPClient

log = structlog.get_logger(__name__)

BATCH_MESSAGES = 50
BATCH_BYTES = 8_000_000
CHUNK_BYTES = 4_000_000
"""A mail longer than this is fetched in pieces, so that the time limit holds for a piece of it."""
SIZES_AT_ONCE = 500
HEAD_BYTES = 65_536
"""What is kept of a mail that is over the inbox's limit."""
LEFT_OUT_S = 600.0


class Suspects:
    """Mails in whose fetch the connection broke. Alone next time; after two breaks left out for a while.

    So one mail that the server chokes on holds up no other, and a network that fails blames nobody for long.
    """

    def __init__(self) -> None:
        self.under_way: list[int] = []
        self._breaks: dict[int, int] = {}
        self._until: dict[int, float] = {}

    def broke(self) -> None:
        """The connection failed; called before the next one."""
        alone = len(self.under_way) == 1
        for uid in self.under_way:
            self._breaks[uid] = max(1, self._breaks.get(uid, 0) + alone)
            if self._breaks[uid] > 2:
                self._until[uid] = time.monotonic() + LEFT_OUT_S
                del self._breaks[uid]
        self.under_way = []

    def alone(self, uid: int) -> bool:
        return uid in self._breaks

    def left_out(self, uid: int) -> bool:
        return self._until.get(uid, 0.0) > time.monotonic()

    def fine(self) -> None:
        """What was under way arrived."""
        for uid in self.under_way:
            self._breaks.pop(uid, None)
        self.under_way = []


@dataclass(frozen=True, slots=True)
class Mail:
    """What was fetched; `reason` is why it goes to quarantine as it is."""

    body: bytes
    reason: str | None = None


def search(client: IMAPClient, criteria: Sequence[Any]) -> set[int]:
    return {int(uid) for uid in client.search(list(criteria))}


def batches(
    client: IMAPClient, inbox: ImapInbox, todo: Sequence[int], suspects: Suspects
) -> Iterator[list[tuple[int, int]]]:
    """(UID, size) in batches of a bounded number and size; the sizes are asked for first."""
    for start in range(0, len(todo), SIZES_AT_ONCE):
        some = todo[start : start + SIZES_AT_ONCE]
        answer = client.fetch(some, ["RFC822.SIZE"])
        batch: list[tuple[int, int]] = []
        total = 0
        for uid in some:
            size = int(answer.get(uid, {}).get(b"RFC822.SIZE", 0))
            full = len(batch) >= BATCH_MESSAGES or total + size > BATCH_BYTES
            if batch and (full or suspects.alone(uid) or suspects.alone(batch[-1][0])):
                yield batch
                batch, total = [], 0
            batch.append((uid, size))
            total += size
        if batch:
            yield batch


def fetched(
    client: IMAPClient,
    inbox: ImapInbox,
    batch: Sequence[tuple[int, int]],
    failed: set[int],
    suspects: Suspects,
) -> dict[int, Mail | None]:
    """The batch's mails; None for one that is gone. One that the server cannot give is put into `failed`."""
    from imapclient.exceptions import IMAPClientAbortError, IMAPClientError

    suspects.under_way = [uid for uid, _ in batch]
    try:
        found = _bodies(client, inbox, batch)
    except IMAPClientAbortError:
        raise
    except IMAPClientError:  # it refuses one of them: which one?
        found = {}
        for one in batch:
            try:
                found |= _bodies(client, inbox, [one])
            except IMAPClientAbortError:
                raise
            except IMAPClientError as error:
                log.warning("a mail cannot be fetched", inbox=inbox.name, uid=one[0], error=str(error)[:200])
    suspects.fine()
    absent = [uid for uid, _ in batch if uid not in found]
    if absent:
        still = search(client, ["UID", ",".join(str(uid) for uid in absent)])
        failed |= still
        found |= {uid: None for uid in absent if uid not in still}
    return {uid: found[uid] for uid, _ in batch if uid in found}


def _bodies(client: IMAPClient, inbox: ImapInbox, batch: Sequence[tuple[int, int]]) -> dict[int, Mail | None]:
    found: dict[int, Mail | None] = {}
    small = [uid for uid, size in batch if size <= min(CHUNK_BYTES, inbox.max_message_bytes)]
    answer = client.fetch(small, ["BODY.PEEK[]"]) if small else {}
    for uid, parts in answer.items():
        if b"BODY[]" in parts and uid in small:
            body = parts[b"BODY[]"]
            found[uid] = Mail(bytes(body)) if body else Mail(b"", "the server gave an empty mail")
    for uid, size in batch:
        if size > inbox.max_message_bytes:
            head = _piece(client, uid, 0, HEAD_BYTES)
            if head is not None:
                reason = f"{size} bytes, over max_message_bytes; only its beginning was fetched"
                found[uid] = Mail(head, reason)
        elif size > CHUNK_BYTES:
            body = _in_pieces(client, uid, inbox.max_message_bytes)
            if body is not None:
                found[uid] = Mail(body)
    return found


def _in_pieces(client: IMAPClient, uid: int, most: int) -> bytes | None:
    pieces: list[bytes] = []
    size = 0
    while size <= most:
        piece = _piece(client, uid, size, CHUNK_BYTES)
        if piece is None:
            return None
        pieces.append(piece)
        size += len(piece)
        if len(piece) < CHUNK_BYTES:
            break
    return b"".join(pieces)


def _piece(client: IMAPClient, uid: int, start: int, length: int) -> bytes | None:
    answer = client.fetch([uid], [f"BODY.PEEK[]<{start}.{length}>"]).get(uid)
    if answer is None:
        return None
    piece = answer.get(b"BODY[]<%d>" % start)
    return bytes(piece) if piece is not None else b""
