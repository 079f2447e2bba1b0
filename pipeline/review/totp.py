"""The optional second factor: time-based codes (RFC 6238, SHA-1, 6 digits, 30 s), each good once.

The secret is kept encrypted under TRIAGE_SECRET_KEY, with a key of its own for each account, so that a row
copied to another account opens nothing there.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

import sqlalchemy as sa

from pipeline.db.store import Store
from pipeline.db.tables import agents
from pipeline.db.types import now
from pipeline.errors import ConfigError, InputError
from pipeline.review.agents import Agent, attempt_held, begin_attempt, end_sessions, find
from pipeline.review.audit import OPERATOR, note

if TYPE_CHECKING:
    from cryptography.fernet import Fernet

STEP_S = 30
DIGITS = 6
SECRET_BYTES = 20
DRIFT_STEPS = 1
"""How many steps a phone's clock may be off, either way (RFC 6238, 5.2)."""

WRONG = "the code is wrong or was used already; wait for the next one"


def code_at(secret: bytes, step: int) -> str:
    """The code of a time step (RFC 4226, 5.3)."""
    mac = hmac.digest(secret, step.to_bytes(8, "big"), hashlib.sha1)
    at = mac[-1] & 15
    number = int.from_bytes(mac[at : at + 4], "big") & 0x7FFF_FFFF
    return f"{number % 10**DIGITS:0{DIGITS}d}"


@dataclass(frozen=True)
class Enrolment:
    """What an authenticator app needs: the secret to type, and the address that a QR code carries."""

    secret: str = field(repr=False)
    uri: str = field(repr=False)


class SecondFactors:
    """The second factors of the accounts of a store."""

    def __init__(self, store: Store, secret_key: str, *, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._secret_key = secret_key
        self._clock = clock

    def begin(self, agent: Agent) -> Enrolment:
        """Draw a secret; it comes into force with `confirm`. Raises `InputError` where one is in force."""
        secret = secrets.token_bytes(SECRET_BYTES)
        sealed = self._cipher(agent.id).encrypt(secret).decode("ascii")
        with self._store.write() as connection:
            done = connection.execute(
                agents.update()
                .where(agents.c.id == agent.id, agents.c.totp_confirmed_at.is_(None))
                .values(totp_secret=sealed, totp_last_step=None)
            )
        if not done.rowcount:
            raise InputError("the second factor is on already; turn it off first")
        return _enrolment(agent, secret)

    def begun(self, agent: Agent) -> Enrolment | None:
        """The secret that waits for its first code; None where there is none or it is in force."""
        row = self._row(agent.id)
        if row.totp_secret is None or row.totp_confirmed_at is not None:
            return None
        return _enrolment(agent, self._open(agent.id, row.totp_secret))

    def confirm(self, agent: Agent, code: str, address: str, *, session_hash: str) -> None:
        """Turn it on by a first good code: every other session of the account ends."""
        if is_on(self._store, agent.id):
            raise InputError("the second factor is on already; turn it off first")
        self.check(agent, code, address)
        with self._store.write() as connection:
            done = connection.execute(
                agents.update()
                .where(agents.c.id == agent.id, agents.c.totp_confirmed_at.is_(None))
                .values(totp_confirmed_at=now())
            )
            if done.rowcount:
                end_sessions(connection, agent.id, but=session_hash)
                note(connection, agent.who, "totp_on", agent.email)

    def check(self, agent: Agent, code: str, address: str) -> None:
        """Raise `InputError` unless the code is a present one that was not used; of two at once one holds.

        Throttled together with the passwords of the account and of the `address` that it comes from.
        """
        attempt = begin_attempt(self._store, agent.email, address)
        row = self._row(agent.id)
        given = "".join(code.split())
        if row.totp_secret is None or not (given.isascii() and given.isdecimal()):
            raise InputError(WRONG)
        secret = self._open(agent.id, row.totp_secret)
        present = int(self._clock()) // STEP_S
        steps = range(present - DRIFT_STEPS, present + DRIFT_STEPS + 1)
        found = next((step for step in steps if hmac.compare_digest(code_at(secret, step), given)), None)
        if found is None:
            raise InputError(WRONG)
        with self._store.write() as connection:
            fresh = connection.execute(
                agents.update()
                .where(
                    agents.c.id == agent.id,
                    agents.c.totp_secret == row.totp_secret,
                    sa.or_(agents.c.totp_last_step.is_(None), agents.c.totp_last_step < found),
                )
                .values(totp_last_step=found)
            ).rowcount
            if fresh:
                attempt_held(connection, attempt)
        if not fresh:
            raise InputError(WRONG)

    def turn_off(self, agent: Agent, code: str, address: str) -> None:
        """Turn it off by a good code: every session of the account ends."""
        self.check(agent, code, address)
        off(self._store, agent.email, by=agent.who)

    def _row(self, agent_id: int) -> sa.Row[Any, Any]:
        with self._store.read() as connection:
            return connection.execute(
                sa.select(agents.c.totp_secret, agents.c.totp_confirmed_at).where(agents.c.id == agent_id)
            ).one()

    def _open(self, agent_id: int, sealed: str) -> bytes:
        from cryptography.fernet import InvalidToken

        try:
            return self._cipher(agent_id).decrypt(sealed.encode("ascii", "replace"))
        except InvalidToken:
            raise ConfigError(
                "the second factors were kept under another secret key; set TRIAGE_SECRET_KEY (or secret.key in "
                "TRIAGE_HOME) back to it, or run: triage agent totp-off EMAIL"
            ) from None

    def _cipher(self, agent_id: int) -> Fernet:
        from cryptography.fernet import Fernet
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF

        what = b"triage second factor of agent %d" % agent_id
        derived = HKDF(SHA256(), length=32, salt=None, info=what).derive(self._secret_key.encode())
        return Fernet(base64.urlsafe_b64encode(derived))


def is_on(store: Store, agent_id: int) -> bool:
    """Whether a log-in of this account needs a code."""
    with store.read() as connection:
        return (
            connection.execute(
                sa.select(agents.c.id).where(agents.c.id == agent_id, agents.c.totp_confirmed_at.is_not(None))
            ).first()
            is not None
        )


def off(store: Store, email: str, *, by: str = OPERATOR) -> Literal["off", "was_off"]:
    """Take a second factor away, for its owner or for one who lost the phone: their sessions end."""
    agent = find(store, email)
    with store.write() as connection:
        done = connection.execute(
            agents.update()
            .where(agents.c.id == agent.id, agents.c.totp_secret.is_not(None))
            .values(totp_secret=None, totp_confirmed_at=None, totp_last_step=None)
        )
        if not done.rowcount:
            return "was_off"
        end_sessions(connection, agent.id)
        note(connection, by, "totp_off", agent.email)
    return "off"


def _enrolment(agent: Agent, secret: bytes) -> Enrolment:
    text = base64.b32encode(secret).decode("ascii")
    return Enrolment(text, f"otpauth://totp/triage:{quote(agent.email)}?secret={text}&issuer=triage")
