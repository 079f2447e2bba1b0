"""Watching a mailbox over IMAP: what is new is stored once, whoever else reads, flags or deletes there.

What was taken is our own record of UIDs (`uids`), never the mailbox's flags. The watcher lives in a thread
of its own per inbox, so that one failing server holds up no other.
"""

from __future__ import annotations

import contextlib
import random
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any

import structlog

from pipeline.db.store import Store
from pipeline.errors import ConfigError, TriageError, UnreachableError
from pipeline.ingest import uids
from pipeline.ingest.imap_fetch import Suspects, batches, fetched, search
from pipeline.ingest.inboxes import ImapInbox, Inbox
from pipeline.ingest.intake import OnTicket, store_raw, take_many, take_stored
from pipeline.ingest.oauth import AccessTokens

if TYPE_CHECKING:
    from imapclient import IMAPClient

log = structlog.get_logger(__name__)

FIRST_WAIT_S, LONGEST_WAIT_S, REFUSED_WAIT_S = 1.0, 300.0, 60.0
RECONCILE_EVERY_S, RECONCILE_FIRST_S = 24 * 3600.0, 3600.0

Progress = Callable[[int, int], None]


class LoginRefused(UnreachableError):
    """The server answers but does not take the user name and password."""


@dataclass(slots=True)
class _Daily:
    """When every UID is compared next: within an hour of each start, for a watcher may never run a whole
    day, then daily, however often its connection breaks."""

    due_at: float = field(
        default_factory=lambda: time.monotonic() + RECONCILE_FIRST_S * random.uniform(0.1, 1.0)
    )

    def due(self) -> bool:
        return time.monotonic() >= self.due_at

    def done(self) -> None:
        self.due_at = time.monotonic() + RECONCILE_EVERY_S


@dataclass(frozen=True, slots=True)
class Synced:
    """What one look at the mailbox brought: mails stored, mails gone before they could be fetched, and mails
    that are there and could not be fetched; `highest` is the highest UID that was looked at."""

    stored: int = 0
    gone: int = 0
    failed: int = 0
    highest: int = field(default=0, compare=False)


def watch(
    inbox: ImapInbox,
    store: Store,
    stop: threading.Event,
    on_ticket: OnTicket | None = None,
    *,
    inboxes: Mapping[str, Inbox] | None = None,
    progress: Progress | None = None,
    tokens: AccessTokens | None = None,
) -> None:
    """Take mail in until `stop` is set; connection, login and database errors are waited out.

    Each look at the mailbox, and each error, is noted in `imap_folders`. `progress` gets (done, all) of
    a long first look. `tokens` gives the access tokens of an inbox that signs in by OAuth2.
    """
    inboxes = inboxes or {inbox.name: inbox}
    bound = log.bind(inbox=inbox.name)
    suspects, daily = Suspects(), _Daily()
    wait_s = FIRST_WAIT_S
    while not stop.is_set():
        try:
            with connected(inbox, tokens) as client:
                bound.info("connected")
                for _ in _looks(client, inbox, store, stop, on_ticket, inboxes, suspects, daily, progress):
                    wait_s = FIRST_WAIT_S
        except Exception as error:  # whatever a server sends, the watcher goes on; the trouble is shown
            words = str(error) if isinstance(error, TriageError) else f"{type(error).__name__} in the watcher"
            bound.warning("the mailbox cannot be read", error=words)
            suspects.broke()
            with contextlib.suppress(TriageError):  # where the database is the trouble, this fails too
                uids.note_error(store, inbox.name, inbox.folder, words)
            least = REFUSED_WAIT_S if isinstance(error, LoginRefused | ConfigError) else 0.0
            stop.wait(max(least, wait_s) * random.uniform(0.5, 1.0))
            wait_s = min(wait_s * 2, LONGEST_WAIT_S)


def _looks(
    client: IMAPClient,
    inbox: ImapInbox,
    store: Store,
    stop: threading.Event,
    on_ticket: OnTicket | None,
    inboxes: Mapping[str, Inbox],
    suspects: Suspects,
    daily: _Daily,
    progress: Progress | None,
) -> Iterator[Synced]:
    """Look, wait for news or the poll, look again. IDLE ends at every poll, so it is never old enough to be
    dropped by a server or a firewall (some do after 10 minutes, without a word)."""
    idle = inbox.idle and _can(client, b"IDLE")
    while not stop.is_set():
        take_stored(store, inboxes=inboxes, on_ticket=on_ticket)
        full = daily.due()
        looked = sync(
            client,
            inbox,
            store,
            on_ticket,
            inboxes=inboxes,
            reconcile=full,
            stop=stop,
            suspects=suspects,
            progress=progress,
        )
        if full:
            daily.done()
        if looked.gone:
            log.warning("mail was gone before it could be fetched", inbox=inbox.name, mails=looked.gone)
        yield looked
        if not looked.stored:  # while mail is fetched, news of more of it gets lost: look once more
            _wait_for_news(client, inbox, stop, idle, looked.highest)


def _wait_for_news(
    client: IMAPClient, inbox: ImapInbox, stop: threading.Event, idle: bool, highest: int
) -> None:
    """Return when there is a UID above `highest`, or at the poll.

    What the server says wakes us, and no more: word of a mail that comes in with the answer to another
    command, or in one packet with the start of IDLE, gets lost in the library. So IDLE is ended and begun
    again, soon at first, then every half a minute, and we look each time.
    """
    until = time.monotonic() + inbox.poll_s
    if not idle:
        stop.wait(inbox.poll_s)
        return
    slice_s = 1.0
    with _plain(inbox):
        while not stop.is_set() and time.monotonic() < until:
            end = min(until, time.monotonic() + slice_s)
            slice_s = min(slice_s * 2, 30.0)
            client.idle()
            said: list[Any] = []
            while not said and not stop.is_set() and time.monotonic() < end:
                said = client.idle_check(timeout=min(1.0, max(0.01, end - time.monotonic())))
            client.idle_done()
            if max(search(client, ["UID", f"{highest + 1}:*"]), default=0) > highest:
                return


def sync(
    client: IMAPClient,
    inbox: ImapInbox,
    store: Store,
    on_ticket: OnTicket | None = None,
    *,
    inboxes: Mapping[str, Inbox] | None = None,
    reconcile: bool = False,
    stop: threading.Event | None = None,
    suspects: Suspects | None = None,
    progress: Progress | None = None,
) -> Synced:
    """One look at the mailbox: everything that is there and was not taken is stored, then put on tickets.

    `reconcile` compares every UID there with our record, not only those above the watermark. Raises
    `UnreachableError` when the connection fails; what was stored by then stays.
    """
    inboxes = inboxes or {inbox.name: inbox}
    suspects = suspects or Suspects()
    with _plain(inbox):
        folder = _selected(client, inbox)
        record = uids.opened(store, inbox, folder, lambda day: _split(client, day))
        there = sorted(search(client, ["ALL"] if reconcile else ["UID", f"{record.watermark + 1}:*"]))
        todo, gaps = uids.missing(store, record, there, folder.uidnext, reconcile=reconcile)
        failed = {uid for uid in todo if suspects.left_out(uid)}
        stored = gone = done = 0
        top = highest = max([folder.uidnext - 1, *there[-1:]])
        for batch in batches(client, inbox, [uid for uid in todo if uid not in failed], suspects):
            if stop is not None and stop.is_set():
                top = min(top, batch[0][0] - 1)
                break
            got = fetched(client, inbox, batch, failed, suspects)
            with store.write() as connection:
                raws = []
                for uid, mail in got.items():
                    if mail is None:
                        uids.take(connection, record, uid, None)
                        gone += 1
                        continue
                    raw = store_raw(
                        connection, inbox.name, mail.body, begun=mail.reason is None, quarantine=mail.reason
                    )
                    uids.take(connection, record, uid, raw.raw_id)
                    stored += 1
                    if raw.new and raw.waits:
                        raws.append(raw.raw_id)
                uids.advance(connection, record, min([batch[-1][0], *(uid - 1 for uid in failed)]))
            take_many(store, raws, inboxes=inboxes, on_ticket=on_ticket)
            _mark(client, inbox, [uid for uid, mail in got.items() if mail is not None])
            done += len(batch)
            if progress is not None:
                progress(done, len(todo))
        with store.write() as connection:
            uids.note_gone(connection, record, gaps)
            uids.advance(connection, record, min([top, *(uid - 1 for uid in failed)]))
            uids.note_ok(connection, record, f"{len(failed)} mails cannot be fetched" if failed else None)
    return Synced(stored=stored, gone=gone + len(gaps), failed=len(failed), highest=highest)


# --- the dialogue --------------------------------------------------------------------------------------


@contextlib.contextmanager
def connected(inbox: ImapInbox, tokens: AccessTokens | None = None) -> Iterator[IMAPClient]:
    """A logged-in connection. Raises `UnreachableError`, `LoginRefused` or `ConfigError`, each with what mends
    it. `tokens` is needed by an inbox that signs in by OAuth2."""
    import imapclient

    log_in = _by_token(inbox, tokens) if inbox.oauth is not None else _by_password(inbox)
    with _plain(inbox):
        timeout = imapclient.SocketTimeout(connect=min(inbox.timeout_s, 20), read=inbox.timeout_s)
        context = _context(inbox) if inbox.tls != "none" else None
        client = imapclient.IMAPClient(
            inbox.host, port=inbox.at, ssl=inbox.tls == "tls", ssl_context=context, timeout=timeout
        )
        try:
            if inbox.tls == "starttls":
                client.starttls(context)
            log_in(client)
            client.normalise_times = False
            yield client
        finally:
            with contextlib.suppress(Exception):  # the connection may be gone already
                client.logout()
            with contextlib.suppress(Exception):
                client.shutdown()


def _by_password(inbox: ImapInbox) -> Callable[[IMAPClient], None]:
    username, password = _argument(inbox.username), _argument(inbox.secret())

    def log_in(client: IMAPClient) -> None:
        from imapclient.exceptions import LoginError

        try:
            if (username + password).isascii():
                client.login(username, password)
            else:  # LOGIN knows only ASCII
                client.plain_login(username, password)
        except LoginError:
            raise LoginRefused(
                f"inbox.{inbox.name}: {inbox.host} does not take the user name and password; "
                "see username and password in inboxes.toml"
            ) from None

    return log_in


def _by_token(inbox: ImapInbox, tokens: AccessTokens | None) -> Callable[[IMAPClient], None]:
    """XOAUTH2. A token that the server refuses is renewed once: it may have been revoked before its time."""
    if tokens is None:
        raise ConfigError(
            f"inbox.{inbox.name} signs in by OAuth2, which needs the store that holds its login"
        )
    first = tokens.access_token(inbox)  # before the connection is there: the provider may take its time

    def log_in(client: IMAPClient) -> None:
        from imapclient.exceptions import IMAPClientAbortError, LoginError

        if not _can(client, b"AUTH=XOAUTH2"):
            raise ConfigError(
                f"inbox.{inbox.name}: {inbox.host} does not offer OAuth2 (XOAUTH2); see host and oauth in "
                "inboxes.toml"
            )
        token = first
        for last in (False, True):
            try:
                client.oauth2_login(_argument(inbox.username), _argument(token))
                return
            except LoginError as error:
                if isinstance(error.__context__, IMAPClientAbortError):
                    raise error.__context__ from None  # the connection broke: that says nothing about the token
                if last:
                    raise LoginRefused(
                        f"inbox.{inbox.name}: {inbox.host} does not take the login for {inbox.username}; see "
                        f"username, and that IMAP is allowed there, or run: triage inbox login {inbox.name}"
                    ) from None
            token = tokens.access_token(inbox, refused=token)

    return log_in


def try_login(inbox: ImapInbox, tokens: AccessTokens | None = None) -> str | None:
    """None if the mailbox can be opened; else one plain line with the mend."""
    try:
        with connected(inbox, tokens) as client, _plain(inbox):
            _selected(client, inbox)
            if inbox.after is not None and inbox.after.move and not client.folder_exists(inbox.after.move):
                return f"inbox.{inbox.name}: there is no folder {inbox.after.move!r} to move mail to"
            sent = inbox.send.sent_folder
            if sent is not None and not client.folder_exists(sent):
                return f"inbox.{inbox.name}.send, sent_folder: there is no folder {sent!r}"
    except TriageError as error:
        return str(error)
    return None


def _context(inbox: ImapInbox) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=str(inbox.ca_file) if inbox.ca_file else None)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"inbox.{inbox.name}, ca_file: {inbox.ca_file}: {error}") from None


@contextlib.contextmanager
def _plain(inbox: ImapInbox) -> Iterator[None]:
    """Turn what the IMAP library and the network raise into one plain line."""
    from imapclient.exceptions import IMAPClientError

    where = f"inbox.{inbox.name}: {inbox.host}:{inbox.at}"
    try:
        yield
    except ssl.SSLCertVerificationError as error:
        words = error.verify_message or "not trusted"
        raise UnreachableError(
            f"{where}: its certificate is refused ({words}); see host and ca_file in inboxes.toml"
        ) from error
    except ssl.SSLError as error:
        raise UnreachableError(f"{where}: no TLS there ({error.reason}); see tls and port") from error
    except TimeoutError as error:
        raise UnreachableError(f"{where}: no answer in time") from error
    except (IMAPClientError, OSError, UnicodeError) as error:
        words = " ".join(str(error).split())[:200] or type(error).__name__
        raise UnreachableError(f"{where}: {words}") from error


def _argument(value: str) -> str:
    """What goes into a command: no CR, LF or NUL, or it would end there and begin another."""
    if any(character in value for character in "\r\n\0"):
        raise ConfigError("an IMAP argument holds a line break or NUL")
    return value


def _can(client: IMAPClient, capability: bytes) -> bool:
    return bool(client.has_capability(capability.decode()))


def _selected(client: IMAPClient, inbox: ImapInbox) -> uids.Folder:
    answer = client.select_folder(_argument(inbox.folder), readonly=inbox.after is None)
    if b"UIDVALIDITY" not in answer:
        raise UnreachableError(f"inbox.{inbox.name}: {inbox.host} gives its mails no lasting numbers")
    uidvalidity = int(answer[b"UIDVALIDITY"])
    uidnext = answer.get(b"UIDNEXT")
    if uidnext is None:
        uidnext = max(search(client, ["ALL"]), default=0) + 1
    return uids.Folder(uidvalidity=uidvalidity, uidnext=int(uidnext))


def _split(client: IMAPClient, day: date) -> tuple[list[int], list[int]]:
    """UIDs that arrived on or after a day, and before it: by the server's own clock, never by a header."""
    return sorted(search(client, ["SINCE", day])), sorted(search(client, ["BEFORE", day]))


def _mark(client: IMAPClient, inbox: ImapInbox, taken: Sequence[int]) -> None:
    """Show people in the mailbox what was taken, if the inbox wants that; nothing relies on it."""
    from imapclient.exceptions import CapabilityError, IMAPClientAbortError, IMAPClientError

    if inbox.after is None or not taken:
        return
    try:
        if inbox.after.keyword is not None:
            client.add_flags(taken, [_argument(inbox.after.keyword).encode()], silent=True)
        elif inbox.after.move is not None and _can(client, b"MOVE"):
            client.move(taken, _argument(inbox.after.move))
        elif inbox.after.move is not None and _can(client, b"UIDPLUS"):
            client.copy(taken, _argument(inbox.after.move))
            client.delete_messages(taken, silent=True)
            client.uid_expunge(taken)
        else:
            log.warning("the server cannot move mail", inbox=inbox.name)
    except IMAPClientAbortError:
        raise  # the connection is gone
    except (CapabilityError, IMAPClientError) as error:
        log.warning("mail was taken, but not marked", inbox=inbox.name, error=str(error)[:200])
