"""The oauth table of an inbox in inboxes.toml: which provider, which client, and what differs from the usual."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, SecretStr, field_validator, model_validator

LOOPBACK = frozenset(("127.0.0.1", "::1", "localhost"))


class OAuth(BaseModel):
    """Signing in by OAuth2 instead of a password; `triage inbox login NAME` makes the login.

    `provider` brings its addresses and scopes along; each can be set, and "custom" has none of its own.
    `tenant` is Microsoft's: a directory's id or domain, or "organizations" for any.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    provider: Literal["google", "microsoft", "custom"]
    client_id: str
    client_secret: SecretStr | None = None
    client_secret_file: Path | None = None
    client_secret_env: str | None = None
    tenant: str = "organizations"
    scopes: tuple[str, ...] = ()
    token_url: str | None = None
    device_url: str | None = None
    authorize_url: str | None = None

    @field_validator("client_id")
    @classmethod
    def _client(cls, value: str) -> str:
        if not value.strip() or not value.isprintable():
            raise ValueError("is empty, or holds a control character")
        return value

    @field_validator("tenant")
    @classmethod
    def _directory(cls, value: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.-]*", value):
            raise ValueError("is a directory's id or domain")
        return value

    @field_validator("scopes")
    @classmethod
    def _scopes(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not all(re.fullmatch(r"[\x21\x23-\x5b\x5d-\x7e]+", scope) for scope in value):
            raise ValueError('a list like ["scope-one", "scope-two"], without spaces inside')
        return value

    @field_validator("token_url", "device_url", "authorize_url")
    @classmethod
    def _safe_address(cls, value: str | None) -> str | None:
        if value is None:
            return None
        if not value.isprintable():
            raise ValueError("holds a control character")
        try:
            parts = urlsplit(value)
            host, _ = parts.hostname, parts.port
        except ValueError:
            raise ValueError("is not an address") from None
        if parts.scheme != "https" and not (parts.scheme == "http" and host in LOOPBACK):
            raise ValueError("must begin with https://")
        if not host or "@" in parts.netloc or parts.fragment:
            raise ValueError("is an address without user name and #")
        return value

    @model_validator(mode="after")
    def _whole(self) -> OAuth:
        given = [self.client_secret, self.client_secret_file, self.client_secret_env]
        if sum(value is not None for value in given) > 1:
            raise ValueError("give one of client_secret, client_secret_file and client_secret_env, or none")
        if self.provider == "custom" and not (
            self.token_url and self.scopes and (self.device_url or self.authorize_url)
        ):
            raise ValueError(
                'provider = "custom" needs token_url, scopes, and one of device_url and authorize_url'
            )
        return self
