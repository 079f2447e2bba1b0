"""Replies out over SMTP: one dialogue per reply, bounded in time, and an outcome that says what is known.

Everything up to the final dot is certain: without it a server must not deliver. From the final dot on,
only the server's answer tells; without one the outcome is `Uncertain`.
"""

from __future__ import annotations

import contextlib
import smtplib
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from email.message import EmailMessage
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from pipeline.accounts.deadline import Deadline
from pipeline.delivery.compose import Outgoing, compose, envelope, wire_bytes
from pipeline.delivery.outcomes import Accepted, Outcome, Permanent, Temporary, Uncertain, plain
from pipeline.errors import ConfigError, InputError, TriageError

MEND = "see TRIAGE_SMTP_URL"
LOOPBACK = ("localhost", "127.0.0.1", "::1")
_KEYS = ("starttls", "ca", "name", "timeout_s")


@dataclass(frozen=True)
class Server:
    """A mail server, read from its address by `read_url`. TLS: implicit, starttls or none."""

    host: str
    port: int
    tls: str
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    ca: Path | None = None
    name: str | None = None
    timeout_s: float = 60.0


Token = Callable[[str | None], str]
"""Gives an access token, another than the one that was refused (None: whichever is at hand). Raises what
`pipeline.ingest.oauth.AccessTokens` raises."""


def read_url(url: str, *, log_in_as: str | None = None) -> Server:
    """smtp://user:password@host:587 or smtps://…:465; raises `ConfigError`, never with the password.

    smtp:// to any machine but this one needs STARTTLS; `?starttls=no` switches that off (and is refused
    together with a password). `?ca=FILE` trusts a private authority, `?name=HOST` is our EHLO name,
    `?timeout_s=60` bounds the whole dialogue. `log_in_as` is who logs in by OAuth2 where the address names
    nobody; it then holds no password.
    """
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError as error:
        raise ConfigError(f"TRIAGE_SMTP_URL is not an address: {error}") from None
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname or parts.path not in ("", "/"):
        raise ConfigError("TRIAGE_SMTP_URL: write it like smtp://user:password@host:587 or smtps://host:465")
    query = parse_qs(parts.query, keep_blank_values=True)
    unknown = sorted(set(query) - set(_KEYS))
    if unknown:
        raise ConfigError(f"TRIAGE_SMTP_URL: unknown {unknown[0]!r}; it knows {', '.join(_KEYS)}")
    values = {key: value[-1] for key, value in query.items()}
    wish = values.get("starttls")
    if wish not in (None, "", "yes", "no"):
        raise ConfigError("TRIAGE_SMTP_URL: starttls is yes or no")
    loopback = parts.hostname in LOOPBACK
    if parts.scheme == "smtps":
        tls = "implicit"
    elif wish == "no" or (wish is None and loopback):
        tls = "none"
    else:
        tls = "starttls"
    user = unquote(parts.username) if parts.username else log_in_as
    if log_in_as is not None and parts.password:
        raise ConfigError("smtp_url: with oauth = true it holds no password")
    if user and tls == "none" and not loopback:
        raise ConfigError("TRIAGE_SMTP_URL: a password does not go over the network without TLS")
    try:
        timeout_s = float(values.get("timeout_s", 60.0))
        if not 0 < timeout_s <= 600:
            raise ValueError
    except ValueError:
        raise ConfigError("TRIAGE_SMTP_URL: timeout_s is a number of seconds from 1 to 600") from None
    ca = Path(values["ca"]).expanduser() if values.get("ca") else None
    if ca is not None and not ca.is_file():
        raise ConfigError(f"TRIAGE_SMTP_URL: ca names {ca}, which is not a file")
    return Server(
        host=parts.hostname,
        port=port or (465 if tls == "implicit" else 587),
        tls=tls,
        user=user,
        password=unquote(parts.password) if parts.password else None,
        ca=ca,
        name=values.get("name") or None,
        timeout_s=timeout_s,
    )


class SmtpMailer:
    """Sends through one server. `send` opens a connection of its own; threads may share the mailer.

    With `token` it logs in by XOAUTH2. `mend` says which setting is to be looked at.
    """

    def __init__(self, server: Server, *, token: Token | None = None, mend: str = MEND) -> None:
        self.server = server
        self.token = token
        self.mend = mend

    @property
    def where(self) -> str:
        return f"the mail server {self.server.host}:{self.server.port}"

    def send(self, outgoing: Outgoing) -> Outcome:
        try:
            message = compose(outgoing)
        except InputError as error:
            return Permanent(str(error))
        return self.post(message, outgoing.sender.address, outgoing.to_address)

    def post(self, message: EmailMessage, sender: str, to: str) -> Outcome:
        """One attempt to hand a finished mail over, from one address to one address."""
        data, utf8 = wire_bytes(message)
        try:
            token = self.token(None) if self.token else None  # the provider may take its time
        except TriageError as error:
            return Temporary(plain(str(error)))
        with Deadline(self.server.timeout_s) as deadline:
            try:
                connection = self._open(deadline, token)
            except _Refused as refused:
                # the server as a whole, not this mail: it waits while somebody mends server or setting
                return Temporary(plain(f"{self.where}: {refused}; {self.mend}"))
            except TriageError as error:
                return Temporary(plain(str(error)))
            try:
                return _hand_over(connection, deadline, sender, to, data, utf8)
            finally:
                connection.close()

    def check(self) -> str:
        """Connect and log in as `send` would, and say so; raises `ConfigError` with the server's words."""
        token = self.token(None) if self.token else None
        with Deadline(min(self.server.timeout_s, 15.0)) as deadline:
            try:
                connection = self._open(deadline, token)
            except _Refused as refused:
                raise ConfigError(plain(f"{self.where}: {refused}; {self.mend}")) from None
            with contextlib.suppress(smtplib.SMTPException, OSError):
                connection.quit()
            connection.close()
        login = f", logged in as {self.server.user}" if self.server.user else ""
        return f"{self.where} answers ({self.server.tls} TLS{login})".replace("none TLS", "no TLS")

    def _open(self, deadline: Deadline, token: str | None) -> smtplib.SMTP:
        """As `_connect`. A token that is refused for good is renewed once: it may have been revoked early."""
        try:
            return self._connect(deadline, token)
        except _LoginRefused:
            if self.token is None or token is None:
                raise
            return self._connect(deadline, self.token(token))

    def _connect(self, deadline: Deadline, token: str | None) -> smtplib.SMTP:
        """A greeted, encrypted and logged-in connection; raises `_Refused` with the words for people."""
        server = self.server
        context = ssl.create_default_context(cafile=server.ca) if server.tls != "none" else None
        connection = _Watched(deadline, context if server.tls == "implicit" else None, server)
        try:
            code, words = connection.connect(server.host, server.port)
            if deadline.passed:
                raise TimeoutError
            if code != 220:
                raise _Refused(f"it greets with {_said(code, words)}")
            connection.ehlo_or_helo_if_needed()
            if server.tls == "starttls":
                if not connection.has_extn("starttls"):
                    raise _Refused("it offers no STARTTLS (write ?starttls=no to send without TLS)")
                connection.starttls(context=context)
                connection.ehlo()
            if server.user and token is not None:
                if "XOAUTH2" not in connection.esmtp_features.get("auth", "").upper().split():
                    raise _Refused("it offers no login by OAuth2 (XOAUTH2)")
                connection.auth("XOAUTH2", _XOauth2(server.user, token))
            elif server.user:
                connection.login(server.user, server.password or "")
        except _Refused:
            connection.close()
            raise
        except smtplib.SMTPAuthenticationError as error:
            connection.close()
            kind = _LoginRefused if error.smtp_code >= 500 else _Refused
            raise kind(f"it refused the login: {_said(error.smtp_code, error.smtp_error)}") from error
        except smtplib.SMTPResponseException as error:
            connection.close()
            raise _Refused(f"it says {_said(error.smtp_code, error.smtp_error)}") from error
        except ssl.SSLError as error:
            connection.close()
            raise _Refused(f"TLS failed: {error.reason or error}") from error
        except (smtplib.SMTPException, OSError, ValueError) as error:  # a challenge may be no base64
            connection.close()
            raise _Refused(f"it cannot be reached: {_lost(error, deadline)}") from error
        return connection


class _Refused(Exception):
    """The server cannot be used at all now; its text says why."""


class _LoginRefused(_Refused):
    """It does not take this password or token."""


@dataclass(frozen=True)
class _XOauth2:
    """The client's first words; a challenge after them is the refusal, which wants an empty answer."""

    user: str
    token: str = field(repr=False)

    def __call__(self, challenge: bytes | None = None, /) -> str:
        return f"user={self.user}\1auth=Bearer {self.token}\1\1" if challenge is None else ""


class _Watched(smtplib.SMTP):
    """smtplib's dialogue over a connection that the deadline watches from its first byte on."""

    def __init__(self, deadline: Deadline, implicit: ssl.SSLContext | None, server: Server) -> None:
        self.deadline = deadline
        self.implicit = implicit
        host = socket.gethostname()  # no getfqdn(): it asks a name server without a time limit
        super().__init__(
            local_hostname=server.name or (host if "." in host else "[127.0.0.1]"),
            timeout=deadline.left_s(),
        )
        self._host = server.host  # starttls checks the certificate against it

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        connection = socket.create_connection((host, port), self.deadline.left_s())
        self.deadline.watch(connection)
        if self.implicit is not None:
            return self.implicit.wrap_socket(connection, server_hostname=host)
        return connection


def _hand_over(
    connection: smtplib.SMTP, deadline: Deadline, sender: str, to: str, data: bytes, utf8: bool
) -> Outcome:
    """MAIL, RCPT, DATA and the text up to, but without, the final dot: so far every failure is certain."""
    options = ["SMTPUTF8", "BODY=8BITMIME"] if utf8 else []
    if utf8 and not connection.has_extn("smtputf8"):
        return Permanent(f"the mail server cannot send to {to}: it does not know SMTPUTF8")
    if connection.has_extn("size") and not utf8:
        options.append(f"size={len(data)}")
    connection.command_encoding = "utf-8" if utf8 else "ascii"
    step = "MAIL FROM"
    try:
        answer = connection.mail(envelope(sender), options)
        if answer[0] // 100 != 2:
            return _by_code(step, *answer)
        step = "RCPT TO"
        answer = connection.rcpt(envelope(to))
        if answer[0] // 100 != 2:
            return _by_code(step, *answer)
        step = "DATA"
        answer = connection.docmd("DATA")
        if answer[0] != 354:
            return _by_code(step, *answer)
        step = "the text"
        connection.send(_stuffed(data))
        assert connection.sock is not None
        try:
            connection.sock.sendall(b".\r\n")
        except (ssl.SSLError, TimeoutError) as error:
            return _nobody_knows(error, deadline)
        # any other failure to write the dot: the system did not take it, so the server never saw it
    except (smtplib.SMTPException, OSError, UnicodeError) as error:
        return Temporary(plain(f"the connection failed at {step}: {_lost(error, deadline)}"))
    try:
        answer = connection.getreply()
    except (smtplib.SMTPException, OSError) as error:
        return _nobody_knows(error, deadline)
    with contextlib.suppress(smtplib.SMTPException, OSError):
        connection.quit()
    if answer[0] // 100 in (2, 4, 5):
        return Accepted(_said(*answer)) if answer[0] // 100 == 2 else _by_code("the final dot", *answer)
    return Uncertain(f"the whole reply was handed over, the answer is not one of SMTP: {_said(*answer)}")


def _nobody_knows(error: BaseException, deadline: Deadline) -> Uncertain:
    return Uncertain(plain(f"the whole reply was handed over, then no answer came: {_lost(error, deadline)}"))


def _by_code(step: str, code: int, words: bytes) -> Outcome:
    said = f"{_said(code, words)} (at {step})"
    return Permanent(said) if 500 <= code < 600 else Temporary(said)


def _stuffed(data: bytes) -> bytes:
    """The text with CRLF ends and doubled leading dots, without the final dot."""
    lines = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    if lines and not lines[-1]:
        lines.pop()
    return b"".join((b"." + line if line.startswith(b".") else line) + b"\r\n" for line in lines)


def _said(code: int, words: Any) -> str:
    text = words.decode("utf-8", "replace") if isinstance(words, bytes) else str(words)
    return plain(f"{code} {text}" if code > 0 else text)


def _lost(error: BaseException, deadline: Deadline) -> str:
    if deadline.passed or isinstance(error, TimeoutError):
        return f"no end within {deadline.seconds:g} s"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
