"""The send table of an inbox in inboxes.toml: how its replies go out, where that is not TRIAGE_SMTP_URL."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

Helpdesk = Literal["zendesk", "zammad", "chatwoot"]


class Send(BaseModel):
    """One way out: a mail server (`smtp_url`, with `oauth` by the inbox's own login), a signed callback, or
    the helpdesk that the webhook comes from.

    `sent_folder` is where a copy of each mail is put. With `allow_private` a callback or helpdesk may stand
    in our own network, and be reached without TLS. `as_` is `reply` (the customer gets it) or `note`
    (colleagues see it); `user` is the address that a Zendesk token belongs to, `account` Chatwoot's number.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, populate_by_name=True)

    smtp_url: SecretStr | None = None
    oauth: bool = False
    sent_folder: str | None = None

    callback_url: str | None = None
    callback_secret: SecretStr | None = None
    callback_secret_file: Path | None = None
    callback_secret_env: str | None = None

    helpdesk: Helpdesk | None = None
    base_url: str | None = None
    token: SecretStr | None = None
    token_file: Path | None = None
    token_env: str | None = None
    user: str | None = None
    account: Annotated[int, Field(ge=1)] | None = None
    as_: Annotated[Literal["reply", "note"], Field(alias="as")] = "reply"

    allow_private: bool = False

    @field_validator("sent_folder", "user", "callback_url", "base_url")
    @classmethod
    def _printable(cls, value: str | None) -> str | None:
        if value is not None and (not value.strip() or not value.isprintable()):
            raise ValueError("is empty, or holds a control character")
        return value

    @field_validator("callback_url", "base_url")
    @classmethod
    def _address(cls, value: str | None) -> str | None:
        if value is None:
            return None
        try:
            parts = urlsplit(value)
            host, _ = parts.hostname, parts.port
        except ValueError:
            raise ValueError("is not an address") from None
        if parts.scheme not in ("https", "http") or not host or "@" in parts.netloc or parts.fragment:
            raise ValueError("is written like https://host/path, without user name and #")
        return value

    @model_validator(mode="after")
    def _one_way(self) -> Send:
        mail = bool(self.smtp_url or self.oauth)
        if mail + bool(self.callback_url) + bool(self.helpdesk) > 1:
            raise ValueError("give one way out: smtp_url (or oauth), callback_url, or helpdesk")
        secrets = [self.callback_secret, self.callback_secret_file, self.callback_secret_env]
        if sum(value is not None for value in secrets) != bool(self.callback_url):
            raise ValueError(
                "callback_url goes with one of callback_secret, callback_secret_file and callback_secret_env"
            )
        if self.sent_folder and (self.callback_url or self.helpdesk):
            raise ValueError("sent_folder is for replies by mail")
        self._helpdesk()
        for url in (self.callback_url, self.base_url):
            if url and url.startswith("http:") and not self.allow_private:
                raise ValueError("plain http goes only with allow_private = true")
        return self

    def _helpdesk(self) -> None:
        tokens = [self.token, self.token_file, self.token_env]
        if self.helpdesk is None:
            if self.base_url or self.user or self.account or any(value is not None for value in tokens):
                raise ValueError("base_url, token, user and account go with helpdesk")
            return
        if not self.base_url or sum(value is not None for value in tokens) != 1:
            raise ValueError("helpdesk needs base_url, and one of token, token_file and token_env")
        if (self.helpdesk == "chatwoot") != (self.account is not None):
            raise ValueError('account is the number of the Chatwoot account; helpdesk = "chatwoot" needs it')
        if self.user and self.helpdesk != "zendesk":
            raise ValueError("user is for Zendesk")
