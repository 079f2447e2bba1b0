"""The logins of OAuth2 inboxes: one encrypted text per inbox; without the secret key it says nothing.

The key is drawn from the secret key by HKDF with SHA-256, anew for each inbox, so that a row copied to
another inbox's name cannot be opened there.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

import sqlalchemy as sa

from pipeline.db.tables import oauth_tokens as table
from pipeline.db.types import now
from pipeline.errors import ConfigError

if TYPE_CHECKING:
    from cryptography.fernet import Fernet


@dataclass(frozen=True, slots=True)
class Kept:
    """A login as it was kept. `ciphertext` names this version of the row; `text` is the secret."""

    text: str = field(repr=False)
    ciphertext: str = field(repr=False)
    updated_at: datetime


def load(connection: sa.Connection, secret_key: str, inbox: str) -> Kept | None:
    """The login of an inbox, None where there is none. Raises `ConfigError` if the secret key is another."""
    from cryptography.fernet import InvalidToken

    row = connection.execute(sa.select(table).where(table.c.inbox == inbox)).one_or_none()
    if row is None:
        return None
    try:
        text = _cipher(secret_key, inbox).decrypt(row.ciphertext.encode("ascii", "replace")).decode()
    except InvalidToken:
        raise ConfigError(
            f"inbox.{inbox}: its login was kept under another secret key; set TRIAGE_SECRET_KEY (or secret.key "
            f"in TRIAGE_HOME) back to it, or run: triage inbox login {inbox}"
        ) from None
    return Kept(text=text, ciphertext=row.ciphertext, updated_at=row.updated_at)


def keep(connection: sa.Connection, secret_key: str, inbox: str, text: str) -> None:
    """Keep a new login; the one before it, if any, is gone."""
    values = {"ciphertext": _sealed(secret_key, inbox, text), "updated_at": now()}
    if not connection.execute(sa.update(table).where(table.c.inbox == inbox).values(values)).rowcount:
        connection.execute(sa.insert(table).values(inbox=inbox, **values))


def replace(connection: sa.Connection, secret_key: str, inbox: str, text: str, *, instead_of: str) -> bool:
    """Keep a refreshed login, but only where the ciphertext `instead_of` still stands; else False."""
    changed = connection.execute(
        sa.update(table)
        .where(table.c.inbox == inbox, table.c.ciphertext == instead_of)
        .values(ciphertext=_sealed(secret_key, inbox, text), updated_at=now())
    )
    return changed.rowcount == 1


def _sealed(secret_key: str, inbox: str, text: str) -> str:
    return _cipher(secret_key, inbox).encrypt(text.encode()).decode("ascii")


def _cipher(secret_key: str, inbox: str) -> Fernet:
    from cryptography.fernet import Fernet
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    derived = HKDF(SHA256(), length=32, salt=None, info=b"triage oauth login of inbox " + inbox.encode())
    return Fernet(base64.urlsafe_b64encode(derived.derive(secret_key.encode())))
