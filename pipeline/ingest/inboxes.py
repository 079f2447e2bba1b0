"""inboxes.toml, read and checked: where messages come from, and what each inbox vouches for.

Secrets are never part of what is printed: they stand as a value, as the name of a file, or as the name of
an environment variable, and are read when they are used.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)

from pipeline.errors import ConfigError
from pipeline.ingest.bounds import DEFAULT_BOUNDS, Bounds
from pipeline.ingest.loops import REPLY_CAPS, TICKET_CAPS
from pipeline.ingest.oauth_table import OAuth
from pipeline.ingest.send_table import Send

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
"""What an inbox may be called: it stands in addresses (`/webhooks/NAME`) and in metrics."""

PLUS_HOSTS = frozenset(
    (
        "imap.gmail.com",
        "imap.googlemail.com",
        "outlook.office365.com",
        "imap.fastmail.com",
        "imap.mail.me.com",
    )
)
"""Servers that deliver `name+anything@` to `name@` without being told to."""


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class After(_Table):
    """What is done with a mail in the mailbox once it is stored; best effort, never relied on."""

    keyword: str | None = None
    move: str | None = None

    @model_validator(mode="after")
    def _one(self) -> After:
        if (self.keyword is None) == (self.move is None):
            raise ValueError('give one of keyword = "…" and move = "FOLDER"')
        _refuse_controls(self.keyword or "", self.move or "")
        if self.keyword is not None and not re.fullmatch(
            r"[!#$&'+,\-./0-9:;<=>?@A-Z^_`a-z|~]+", self.keyword
        ):
            raise ValueError("keyword: letters, digits, - and _ only")
        return self


class ParseBounds(_Table):
    """How much of one mail is looked at; over any of these it goes to quarantine, with its raw bytes.

    What each means stands with `Bounds`; the most that may be set is what the parser is tried with.
    """

    raw_bytes: Annotated[int, Field(ge=1_000, le=200_000_000)] = DEFAULT_BOUNDS.raw_bytes
    header_bytes: Annotated[int, Field(ge=1_000, le=10_000_000)] = DEFAULT_BOUNDS.header_bytes
    header_count: Annotated[int, Field(ge=10, le=10_000)] = DEFAULT_BOUNDS.header_count
    parts: Annotated[int, Field(ge=1, le=10_000)] = DEFAULT_BOUNDS.parts
    depth: Annotated[int, Field(ge=1, le=100)] = DEFAULT_BOUNDS.depth
    addresses: Annotated[int, Field(ge=1, le=20_000)] = DEFAULT_BOUNDS.addresses
    parameters: Annotated[int, Field(ge=1, le=2_000)] = DEFAULT_BOUNDS.parameters
    decoded_bytes: Annotated[int, Field(ge=1_000, le=400_000_000)] = DEFAULT_BOUNDS.decoded_bytes
    text_chars: Annotated[int, Field(ge=1_000, le=20_000_000)] = DEFAULT_BOUNDS.text_chars
    seconds: Annotated[float, Field(ge=0.1, le=120)] = DEFAULT_BOUNDS.seconds

    def to_bounds(self) -> Bounds:
        """The same as the parser takes it."""
        return Bounds(**self.model_dump())


Cap = tuple[Annotated[int, Field(ge=1, le=100_000)], Annotated[int, Field(ge=1, le=1_000)]]
"""(minutes, how many)."""


class _Inbox(_Table):
    """What every inbox may say.

    `authserv_id` is the name that our own mail server writes at the start of the Authentication-Results
    header that it adds; without it no sender of this inbox is vouched for. `merge_by_subject` puts a mail
    without any reference to a thread on the same sender's ticket of the same subject. Over `message_caps`
    (inbound messages on one ticket) or `reply_caps` (our replies to one sender) the ticket waits for a
    person. `data` is the class of what arrives here; routes.toml says which models may see it.
    """

    name: str = ""
    from_address: str | None = None
    from_name: str | None = None
    signature: str | None = None
    authserv_id: str | None = None
    own_addresses: tuple[str, ...] = ()
    plus_address: bool | None = None
    merge_by_subject: bool = False
    merge_days: Annotated[int, Field(ge=1, le=365)] = 7
    message_caps: tuple[Cap, ...] = TICKET_CAPS
    reply_caps: tuple[Cap, ...] = REPLY_CAPS
    bounds: ParseBounds = ParseBounds()
    data: Literal["public", "customer", "sensitive"] | None = None
    send: Send = Send()

    @field_validator("from_address", "own_addresses")
    @classmethod
    def _address(cls, value: str | tuple[str, ...] | None) -> str | tuple[str, ...] | None:
        for address in (value,) if isinstance(value, str) else value or ():
            if not re.fullmatch(r"[^\s@<>,;:\"\\]{1,64}@[^\s@<>,;:\"\\]{1,255}", address):
                raise ValueError(f"{address!r} is not a mail address")
        return value

    @field_validator("from_name", "authserv_id")
    @classmethod
    def _one_line(cls, value: str | None) -> str | None:
        _refuse_controls(value or "")
        return value

    @model_validator(mode="after")
    def _answers_as_somebody(self) -> _Inbox:
        if (self.send.callback_url or self.send.helpdesk) and not self.from_address:
            raise ValueError("send: its replies need a from_address to stand under")
        if (self.send.oauth or self.send.sent_folder) and not isinstance(self, ImapInbox):
            raise ValueError("send: oauth and sent_folder are for an inbox of the kind imap")
        if self.send.helpdesk and not isinstance(self, WebhookInbox):
            raise ValueError("send: a helpdesk is for an inbox of the kind webhook, with its adapter")
        return self

    def callback_secret(self) -> str:
        """The key that signs the callback. Raises `ConfigError` if its file or variable is not there."""
        send = self.send
        given = (send.callback_secret, send.callback_secret_file, send.callback_secret_env)
        return _secret(f"inbox.{self.name}.send", "callback_secret", *given).strip()

    def helpdesk_token(self) -> str:
        """The token for the helpdesk's API. Raises `ConfigError` as `callback_secret`."""
        send = self.send
        return _secret(
            f"inbox.{self.name}.send", "token", send.token, send.token_file, send.token_env
        ).strip()

    @property
    def uses_plus_address(self) -> bool:
        """Whether replies may carry the ticket's token in their Reply-To: as set, or as the host is known."""
        if self.plus_address is not None:
            return self.plus_address
        return isinstance(self, ImapInbox) and self.host.lower() in PLUS_HOSTS

    @property
    def own(self) -> frozenset[str]:
        """Our own addresses, lower-cased."""
        given = {address.lower() for address in self.own_addresses}
        if self.from_address:
            given.add(self.from_address.lower())
        if isinstance(self, ImapInbox) and "@" in self.username:
            given.add(self.username.lower())
        return frozenset(given)


class ImapInbox(_Inbox):
    """A mailbox. TLS is the default and its certificate is checked; no TLS must be asked for by name."""

    kind: Literal["imap"]
    host: str
    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    username: str
    password: SecretStr | None = None
    password_file: Path | None = None
    password_env: str | None = None
    oauth: OAuth | None = None
    tls: Literal["tls", "starttls", "none"] = "tls"
    ca_file: Path | None = None
    folder: str = "INBOX"
    start: Literal["now", "all"] | date = "now"
    poll_s: Annotated[int, Field(ge=60, le=120)] = 90
    idle: bool = True
    timeout_s: Annotated[int, Field(ge=5, le=600)] = 60
    max_message_bytes: Annotated[int, Field(ge=1_000_000, le=200_000_000)] = 60_000_000
    after: After | None = None

    @field_validator("host", "username", "folder")
    @classmethod
    def _argument(cls, value: str) -> str:
        _refuse_controls(value)
        if not value.strip():
            raise ValueError("is empty")
        return value

    @model_validator(mode="after")
    def _one_password(self) -> ImapInbox:
        given = [self.password, self.password_file, self.password_env, self.oauth]
        if sum(value is not None for value in given) != 1:
            raise ValueError("give one of password, password_file and password_env, or an oauth table")
        if self.send.oauth and self.oauth is None:
            raise ValueError("send: oauth = true needs the inbox's own oauth table")
        return self

    @property
    def at(self) -> int:
        """The port: as set, or the usual one."""
        return self.port or (993 if self.tls == "tls" else 143)

    def secret(self) -> str:
        """The password. Raises `ConfigError` if its file or variable is not there."""
        where = f"inbox.{self.name}"
        value = _secret(where, "password", self.password, self.password_file, self.password_env)
        if any(character in value for character in "\r\n\0"):
            raise ConfigError(f"inboxes.toml, {where}: the password holds a line break or NUL")
        return value

    def client_secret(self) -> str | None:
        """The OAuth2 client's secret, None where the client has none. Raises `ConfigError` as `secret()`."""
        oauth = self.oauth
        if oauth is None:
            return None
        given = (oauth.client_secret, oauth.client_secret_file, oauth.client_secret_env)
        if all(value is None for value in given):
            return None
        return _secret(f"inbox.{self.name}.oauth", "client_secret", *given)


class WebhookInbox(_Inbox):
    """A source that posts to `/webhooks/NAME`. Several secrets may hold at once while they are changed."""

    kind: Literal["webhook"]
    adapter: str = "generic"
    secret: SecretStr | tuple[SecretStr, ...] | None = None
    secret_file: Path | None = None
    secret_env: str | None = None
    max_body_bytes: Annotated[int, Field(ge=1_000, le=100_000_000)] | None = None

    @field_validator("adapter")
    @classmethod
    def _known(cls, value: str) -> str:
        from pipeline.ingest.webhooks import ADAPTERS

        if value not in ADAPTERS:
            raise ValueError(f"there is no adapter {value!r}; there are: {', '.join(sorted(ADAPTERS))}")
        return value

    @model_validator(mode="after")
    def _one_secret(self) -> WebhookInbox:
        given = [self.secret, self.secret_file, self.secret_env]
        if sum(value is not None for value in given) != 1:
            raise ValueError("give one of secret, secret_file and secret_env")
        if self.send.helpdesk not in (None, self.adapter):
            raise ValueError(
                f'send: helpdesk = "{self.send.helpdesk}" needs adapter = "{self.send.helpdesk}"'
            )
        return self

    def secrets(self) -> tuple[str, ...]:
        """The secrets, any of which may have signed. A file or variable may hold several, one a line."""
        if isinstance(self.secret, tuple):
            values = [secret.get_secret_value() for secret in self.secret]
        else:
            text = _secret(f"inbox.{self.name}", "secret", self.secret, self.secret_file, self.secret_env)
            values = text.split("\n")
        found = tuple(value.strip() for value in values if value.strip())
        if not found:
            raise ConfigError(f"inboxes.toml, inbox.{self.name}: the secret is empty")
        return found


class FolderInbox(_Inbox):
    """A Maildir, an mbox or a folder of mails on this machine, looked at again and again."""

    kind: Literal["folder"]
    path: Path
    poll_s: Annotated[float, Field(gt=0, le=3600)] = 10.0


Inbox = ImapInbox | WebhookInbox | FolderInbox
_INBOX: TypeAdapter[Inbox] = TypeAdapter(Annotated[Inbox, Field(discriminator="kind")])


def load(path: Path) -> dict[str, Inbox]:
    """The inboxes of a file by name. Raises `ConfigError` that names the file, the line and the key."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from None
    return read(text, str(path))


def read(text: str, where: str = "inboxes.toml") -> dict[str, Inbox]:
    """The inboxes of a TOML text; `where` is what errors call it."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{where}: {error}") from None
    for key in document:
        if key != "inbox":
            raise ConfigError(
                f"{where}, line {_line(text, None, key)}: there is no {key!r} here; "
                "inboxes stand as [inbox.NAME]"
            )
    tables = document.get("inbox", {})
    if not isinstance(tables, Mapping) or not all(isinstance(table, Mapping) for table in tables.values()):
        raise ConfigError(f"{where}, line {_line(text, None, 'inbox')}: inboxes stand as [inbox.NAME]")
    return {name: _one(text, where, name, dict(table)) for name, table in tables.items()}


def _one(text: str, where: str, name: str, table: dict[str, Any]) -> Inbox:
    at = f"{where}, line {_line(text, name, None)}, inbox.{name}"
    if not NAME.fullmatch(name):
        raise ConfigError(f"{at}: a name is small letters, digits, - and _")
    if "name" in table:
        raise ConfigError(f"{where}, line {_line(text, name, 'name')}: the name is the one in [inbox.{name}]")
    if "kind" not in table:
        raise ConfigError(f'{at}: kind is missing; it is "imap", "webhook" or "folder"')
    try:
        return _INBOX.validate_python({**table, "name": name})
    except ValidationError as error:
        first = error.errors()[0]
        keys = [str(part) for part in first["loc"][1:]]  # the first is the kind
        key = keys[0] if keys else None
        words = first["msg"].removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            words = "there is no such setting here"
        elif first["type"] == "missing":
            words = "is missing"
        elif first["type"] == "union_tag_invalid":
            key, words = "kind", 'it is "imap", "webhook" or "folder"'
        line = _line(text, name, key)
        said = f"inbox.{name}" + (f", {'.'.join(keys) or key}" if key else "")
        raise ConfigError(f"{where}, line {line}, {said}: {words}") from None


def _line(text: str, inbox: str | None, key: str | None) -> int:
    """The line of a key in an inbox's table, or of the table where the key stands nowhere."""
    start = 1
    inside = inbox is None
    for number, line in enumerate(text.splitlines(), start=1):
        header = re.match(r"\s*\[+\s*([^\]]+?)\s*\]", line)
        if header and inbox is not None:
            parts = [part.strip().strip("\"'") for part in header[1].split(".")]
            inside = parts[:2] == ["inbox", inbox]
            if inside and parts[2:3] == [key]:
                return number
            if inside and len(parts) == 2:
                start = number
        elif (
            inside
            and key is not None
            and re.match(rf"""\s*\[*\s*["']?{re.escape(key)}["']?\s*[.=\]]""", line)
        ):
            return number
    return start


def _secret(
    where: str, key: str, value: SecretStr | tuple[SecretStr, ...] | None, file: Path | None, env: str | None
) -> str:
    if file is not None:
        try:
            return file.expanduser().read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"inboxes.toml, {where}: {key}_file: cannot read {file}: {error}") from None
    if env is not None:
        found = os.environ.get(env)
        if not found:
            raise ConfigError(f"inboxes.toml, {where}: {key}_env: the variable {env} is not set")
        return found
    assert isinstance(value, SecretStr)  # checked when the table was read
    return value.get_secret_value()


def _refuse_controls(*values: str) -> None:
    if any(character < " " or character == "\x7f" for value in values for character in value):
        raise ValueError("holds a line break, NUL or another control character")
