"""A copy of a reply that went out, in the mailbox's own Sent folder: for people; triage never reads it."""

from __future__ import annotations

from pipeline.errors import ConfigError
from pipeline.ingest.imap import _plain, connected
from pipeline.ingest.inboxes import ImapInbox
from pipeline.ingest.oauth import AccessTokens


def append_once(inbox: ImapInbox, data: bytes, message_id: str, tokens: AccessTokens | None = None) -> bool:
    """Append the mail unless one of its Message-ID is there (some providers put it there by themselves).

    Returns whether it was appended. Raises `UnreachableError`, `LoginRefused` or `ConfigError`.
    """
    folder = inbox.send.sent_folder
    if folder is None:
        raise ConfigError(f"inboxes.toml, inbox.{inbox.name}.send: sent_folder is not set")
    with connected(inbox, tokens) as client, _plain(inbox):
        if not client.folder_exists(folder):
            raise ConfigError(f"inbox.{inbox.name}: there is no folder {folder!r} for what was sent")
        client.select_folder(folder, readonly=True)
        if client.search(["HEADER", "Message-ID", f"<{message_id}>"]):
            return False
        client.append(folder, data, flags=(b"\\Seen",))
    return True
