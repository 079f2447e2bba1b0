"""The people who work on the review table: accounts, passwords, API tokens; there is no default account."""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

import sqlalchemy as sa

from pipeline.db.store import Store
from pipeline.db.tables import agent_sessions, agents, login_attempts, login_links
from pipeline.db.types import now
from pipeline.errors import ConflictError, InputError, NotFoundError

if TYPE_CHECKING:
    from argon2 import PasswordHasher

ROLES = ("agent", "lead", "admin")
PASSWORD_AT_LEAST = 10
PASSWORD_AT_MOST = 1000

WINDOW = timedelta(minutes=15)
FAILURES_BY_ACCOUNT = 10
FAILURES_BY_ADDRESS = 30
ATTEMPTS_KEPT = timedelta(days=30)

_EMAIL = re.compile(r"[^\s@<>(),;:\"\[\]\\]{1,64}@[^\s@<>(),;:\"\[\]\\]{1,250}")


@dataclass(frozen=True)
class Agent:
    """A person with an account that is not disabled."""

    id: int
    email: str
    name: str
    role: str

    @property
    def who(self) -> str:
        """How the audit trail names them."""
        return f"agent:{self.email}"

    @property
    def shown(self) -> str:
        return self.name or self.email

    @property
    def leads(self) -> bool:
        """Leads and admins may take over what others have taken."""
        return self.role in ("lead", "admin")


def add(store: Store, email: str, role: str, name: str = "") -> Agent:
    """Make an account that cannot log in yet: invite them by a link, or set a password."""
    email = email.strip().lower()
    if not _EMAIL.fullmatch(email):
        raise InputError(f"{email!r} is not an email address")
    if role not in ROLES:
        raise InputError(f"a role is one of {', '.join(ROLES)}")
    name = " ".join(name.split())[:100]
    with store.write() as connection:
        if connection.execute(sa.select(agents.c.id).where(agents.c.email == email)).first():
            raise ConflictError(f"there is an account for {email} already")
        agent_id = connection.execute(
            agents.insert().values(email=email, name=name, role=role, created_at=now()).returning(agents.c.id)
        ).scalar_one()
    return Agent(int(agent_id), email, name, role)


def find(store: Store, email: str) -> Agent:
    """The account of an address; raises `NotFoundError` when there is none or it is disabled."""
    email = email.strip().lower()
    with store.read() as connection:
        row = connection.execute(
            sa.select(agents).where(agents.c.email == email, agents.c.disabled_at.is_(None))
        ).one_or_none()
    if row is None:
        raise NotFoundError(
            f"there is no account for {email}; make one: triage agent add {email} --role agent"
        )
    return _agent(row)


def everyone(store: Store) -> list[tuple[Agent, bool, bool]]:
    """(account, has a password, is disabled) of all, by address."""
    with store.read() as connection:
        rows = connection.execute(sa.select(agents).order_by(agents.c.email))
        return [(_agent(row), row.password_hash is not None, row.disabled_at is not None) for row in rows]


def disable(store: Store, email: str) -> None:
    """End an account: its sessions, links and token end with it. What it did stays."""
    agent = find(store, email)
    with store.write() as connection:
        connection.execute(
            agents.update().where(agents.c.id == agent.id).values(disabled_at=now(), api_token_hash=None)
        )
        _end_sessions(connection, agent.id)


def enable(store: Store, email: str) -> None:
    """Bring a disabled account back; it needs a new password or link."""
    with store.write() as connection:
        done = connection.execute(
            agents.update()
            .where(agents.c.email == email.strip().lower())
            .values(disabled_at=None, password_hash=None)
        )
        if not done.rowcount:
            raise NotFoundError(f"there is no account for {email}")


def set_password(store: Store, agent_id: int, password: str) -> None:
    """Store the password's argon2id hash; every session and unused link of the account ends."""
    if len(password) < PASSWORD_AT_LEAST:
        raise InputError(f"a password has at least {PASSWORD_AT_LEAST} characters")
    if len(password) > PASSWORD_AT_MOST:
        raise InputError(f"a password has at most {PASSWORD_AT_MOST} characters")
    hashed = _hasher().hash(password)
    with store.write() as connection:
        done = connection.execute(
            agents.update()
            .where(agents.c.id == agent_id, agents.c.disabled_at.is_(None))
            .values(password_hash=hashed)
        )
        if not done.rowcount:
            raise NotFoundError("there is no such account, or it is disabled")
        _end_sessions(connection, agent_id)


def _end_sessions(connection: sa.Connection, agent_id: int) -> None:
    connection.execute(agent_sessions.delete().where(agent_sessions.c.agent_id == agent_id))
    connection.execute(
        login_links.update()
        .where(login_links.c.agent_id == agent_id, login_links.c.used_at.is_(None))
        .values(used_at=now())
    )


def check_login(store: Store, email: str, password: str, address: str) -> Agent:
    """The account that email and password open; `address` is where the attempt comes from.

    Raises `InputError`, with the same words whatever was wrong, and after too many failures in
    15 minutes for the account or the address. The attempt is written down before the password is
    looked at, so that attempts side by side are all counted.
    """
    from argon2.exceptions import InvalidHashError, VerificationError

    email = email.strip().lower()[:320]
    at = now()
    with store.write() as connection:
        connection.execute(login_attempts.delete().where(login_attempts.c.at < at - ATTEMPTS_KEPT))
        failures = sa.select(sa.func.count()).where(
            login_attempts.c.at > at - WINDOW, login_attempts.c.ok.is_(sa.false())
        )
        by_account = connection.execute(failures.where(login_attempts.c.email == email)).scalar_one()
        by_address = connection.execute(failures.where(login_attempts.c.address == address)).scalar_one()
        blocked = by_account >= FAILURES_BY_ACCOUNT or by_address >= FAILURES_BY_ADDRESS
        row = None
        attempt_id = 0
        if not blocked:
            attempt_id = connection.execute(
                login_attempts.insert()
                .values(email=email, address=address, at=at, ok=False)
                .returning(login_attempts.c.id)
            ).scalar_one()
            row = connection.execute(
                sa.select(agents).where(agents.c.email == email, agents.c.disabled_at.is_(None))
            ).one_or_none()
    if blocked:
        raise InputError("too many attempts; wait a quarter of an hour, or ask an admin for a link")
    # an account that does not exist takes as long to refuse as one that does
    stored = row.password_hash if row is not None and row.password_hash else _dummy_hash()
    try:
        good = (
            _hasher().verify(stored, password[:PASSWORD_AT_MOST])
            and row is not None
            and bool(row.password_hash)
        )
    except (VerificationError, InvalidHashError):
        good = False
    if not good or row is None:
        raise InputError("email or password is wrong")
    with store.write() as connection:
        connection.execute(login_attempts.update().where(login_attempts.c.id == attempt_id).values(ok=True))
        if _hasher().check_needs_rehash(stored):
            connection.execute(
                agents.update().where(agents.c.id == row.id).values(password_hash=_hasher().hash(password))
            )
    return _agent(row)


def make_api_token(store: Store, agent_id: int) -> str:
    """A new bearer token for the API, shown once; the one before ends."""
    token = f"tri_{secrets.token_urlsafe(32)}"
    with store.write() as connection:
        connection.execute(
            agents.update()
            .where(agents.c.id == agent_id, agents.c.disabled_at.is_(None))
            .values(api_token_hash=digest(token))
        )
    return token


def by_api_token(store: Store, token: str) -> Agent | None:
    """The account that a bearer token belongs to, None if there is none."""
    with store.read() as connection:
        row = connection.execute(
            sa.select(agents).where(agents.c.api_token_hash == digest(token), agents.c.disabled_at.is_(None))
        ).one_or_none()
    return _agent(row) if row is not None else None


def digest(token: str) -> str:
    """What is stored of a random token."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def _agent(row: sa.Row[tuple[object, ...]] | sa.Row[tuple[()]]) -> Agent:
    found = row._mapping
    return Agent(int(found["id"]), found["email"], found["name"], found["role"])


@lru_cache(maxsize=1)
def _hasher() -> PasswordHasher:
    from argon2 import PasswordHasher

    return PasswordHasher()  # argon2id with the parameters of RFC 9106 for little memory


@lru_cache(maxsize=1)
def _dummy_hash() -> str:
    return _hasher().hash(secrets.token_urlsafe(16))
