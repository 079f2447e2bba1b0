"""Which way an inbox's replies go: its own mail server, a callback, a helpdesk, the common server, a folder.

Part of the assembly: here the tables of inboxes.toml become mailers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pipeline.delivery.callback import Callback, CallbackMailer
from pipeline.delivery.compose import Outgoing, compose, wire_bytes
from pipeline.delivery.folder import FolderMailer
from pipeline.delivery.helpdesks import HelpdeskMailer, Site
from pipeline.delivery.outcomes import BY_CALLBACK, BY_MAIL, Mailer, Manners
from pipeline.delivery.send import KeepCopy
from pipeline.delivery.smtp import SmtpMailer, Token, read_url
from pipeline.errors import ConfigError
from pipeline.ingest.inboxes import ImapInbox, Inbox
from pipeline.ingest.oauth import AccessTokens, oauth_of
from pipeline.settings import Settings

SUBMISSION = {"google": "smtp://smtp.gmail.com:587", "microsoft": "smtp://smtp.office365.com:587"}
"""Where the mailboxes of a provider are sent from."""


class WaysOut:
    """From an inbox's name to its mailer. `tokens` are asked for when a mailer logs in by OAuth2."""

    def __init__(
        self, settings: Settings, inboxes: Mapping[str, Inbox], tokens: Callable[[], AccessTokens]
    ) -> None:
        self._settings = settings
        self._inboxes = inboxes
        self._tokens = tokens
        self._made: dict[str, Mailer] = {}

    def __call__(self, inbox_name: str) -> Mailer:
        """Raises `ConfigError` where the inbox's send table cannot be used."""
        if inbox_name not in self._made:
            self._made[inbox_name] = self._mailer(inbox_name)
        return self._made[inbox_name]

    def _mailer(self, inbox_name: str) -> Mailer:
        inbox = self._inboxes.get(inbox_name)
        if inbox is not None and (inbox.send.callback_url or inbox.send.helpdesk):
            try:
                return _posting(inbox)
            except ConfigError as error:
                raise ConfigError(f"inboxes.toml, inbox.{inbox.name}.send: {error}") from None
        if isinstance(inbox, ImapInbox) and inbox.send.oauth:
            return self._by_token(inbox)
        own = inbox.send.smtp_url if inbox else None
        url = own or self._settings.smtp_url
        if url is None:
            return FolderMailer(self._settings.home.expanduser().resolve() / "outbox")
        if own is not None:
            return SmtpMailer(read_url(own.get_secret_value()), mend=_mend(inbox_name))
        return SmtpMailer(read_url(url.get_secret_value()))

    def _by_token(self, inbox: ImapInbox) -> SmtpMailer:
        url = inbox.send.smtp_url
        address = url.get_secret_value() if url else SUBMISSION.get(oauth_of(inbox).provider)
        if address is None:
            raise ConfigError(f"inboxes.toml, inbox.{inbox.name}.send: oauth = true needs an smtp_url too")
        server = read_url(address, log_in_as=inbox.username)
        mend = f"{_mend(inbox.name)}, or run: triage inbox login {inbox.name}"
        return SmtpMailer(server, token=_token_of(inbox, self._tokens), mend=mend)


def _token_of(inbox: ImapInbox, tokens: Callable[[], AccessTokens]) -> Token:
    return lambda refused: tokens().access_token(inbox, refused=refused)


def _mend(inbox_name: str) -> str:
    return f"see [inbox.{inbox_name}.send] in inboxes.toml"


def _posting(inbox: Inbox) -> Mailer:
    send = inbox.send
    if send.callback_url:
        return CallbackMailer(Callback(send.callback_url, inbox.callback_secret(), send.allow_private))
    assert send.helpdesk is not None
    assert send.base_url is not None  # both checked when the table was read
    return HelpdeskMailer(
        send.helpdesk,
        Site(
            base_url=send.base_url,
            token=inbox.helpdesk_token(),
            user=send.user,
            account=send.account,
            as_note=send.as_ == "note",
            allow_private=send.allow_private,
        ),
    )


def way_of_reports(
    settings: Settings, inboxes: Mapping[str, Inbox], ways: Callable[[str], Mailer]
) -> SmtpMailer | None:
    """The mail server for the weekly report: TRIAGE_SMTP_URL, else that of the first inbox that has one."""
    for name in [""] if settings.smtp_url else list(inboxes):
        found = ways(name)
        if isinstance(found, SmtpMailer):
            return found
    return None


def manners_of(inbox: Inbox | None) -> Manners:
    """How often, and whether an attempt without an end may be repeated."""
    return BY_CALLBACK if inbox is not None and inbox.send.callback_url else BY_MAIL


def keeper_of_copies(inbox: Inbox | None, tokens: Callable[[], AccessTokens]) -> KeepCopy | None:
    """Puts what went out into the mailbox's Sent folder, where the inbox names one."""
    if not isinstance(inbox, ImapInbox) or inbox.send.sent_folder is None:
        return None

    def keep(outgoing: Outgoing) -> None:
        from pipeline.ingest.sent_folder import append_once

        data, _utf8 = wire_bytes(compose(outgoing))
        append_once(inbox, data, outgoing.message_id, tokens() if inbox.oauth else None)

    return keep
