"""The people who work on the review table: accounts, passwords, API tokens; there is no default account."""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from zoneinfo import available_timezones

import sqlalchemy as sa

from pipeline.db.store import Store
from pipeline.db.tables import agent_inboxes, agent_sessions, agents, login_attempts, login_links
from pipeline.db.types import now
from pipeline.errors import ConflictError, InputError, NotFoundError
from pipeline.review.audit import OPERATOR, note

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
    """A person with an account that is not disabled. `zone` is their IANA time zone, None: the installation's."""

    id: int
    email: str
    name: str
    role: str
    zone: str | None = None

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


@dataclass(frozen=True)
class Account:
    """An account as the list of people shows it. `inboxes` is empty where it sees all."""

    agent: Agent
    has_password: bool
    disabled: bool
    second_factor: bool
    single_sign_on: bool
    inboxes: tuple[str, ...]

    @property
    def sees_all(self) -> bool:
        return self.agent.role == "admin" or not self.inboxes

    @property
    def state(self) -> str:
        if self.disabled:
            return "disabled"
        return "active" if self.has_password or self.single_sign_on else "invited"


def add(store: Store, email: str, role: str, name: str = "", *, by: str = OPERATOR) -> Agent:
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
        note(connection, by, "added", email, role)
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
    return agent_of(row)


def everyone(store: Store) -> list[tuple[Agent, bool, bool]]:
    """(account, has a password, is disabled) of all, by address."""
    return [(found.agent, found.has_password, found.disabled) for found in accounts(store)]


def accounts(store: Store) -> list[Account]:
    """All accounts, by address."""
    with store.read() as connection:
        limited: dict[int, list[str]] = {}
        for row in connection.execute(sa.select(agent_inboxes).order_by(agent_inboxes.c.inbox)):
            limited.setdefault(row.agent_id, []).append(row.inbox)
        return [
            Account(
                agent_of(row),
                has_password=row.password_hash is not None,
                disabled=row.disabled_at is not None,
                second_factor=row.totp_confirmed_at is not None,
                single_sign_on=row.oidc_subject is not None,
                inboxes=tuple(limited.get(row.id, ())),
            )
            for row in connection.execute(sa.select(agents).order_by(agents.c.email))
        ]


def disable(store: Store, email: str, *, by: str = OPERATOR) -> None:
    """End an account: its sessions, links and token end with it. What it did stays."""
    agent = find(store, email)
    with store.write() as connection:
        connection.execute(
            agents.update().where(agents.c.id == agent.id).values(disabled_at=now(), api_token_hash=None)
        )
        end_sessions(connection, agent.id)
        note(connection, by, "disabled", agent.email)


def enable(store: Store, email: str, *, by: str = OPERATOR) -> None:
    """Bring a disabled account back; it needs a new password or link."""
    email = email.strip().lower()
    with store.write() as connection:
        done = connection.execute(
            agents.update().where(agents.c.email == email).values(disabled_at=None, password_hash=None)
        )
        if not done.rowcount:
            raise NotFoundError(f"there is no account for {email}")
        note(connection, by, "enabled", email)


def set_role(store: Store, email: str, role: str, *, by: str = OPERATOR) -> None:
    """Give an account another role; it holds from its next request on."""
    if role not in ROLES:
        raise InputError(f"a role is one of {', '.join(ROLES)}")
    agent = find(store, email)
    with store.write() as connection:
        connection.execute(agents.update().where(agents.c.id == agent.id).values(role=role))
        note(connection, by, "role", agent.email, f"{agent.role} -> {role}")


def set_zone(store: Store, agent_id: int, zone: str) -> None:
    """Show times in this IANA zone; "" for the installation's. Raises `InputError` for an unknown one."""
    if zone and zone not in available_timezones():
        raise InputError(f"{zone[:60]!r} is not a time zone; write it like Europe/Berlin")
    with store.write() as connection:
        connection.execute(agents.update().where(agents.c.id == agent_id).values(zone=zone or None))


def refuse_poor(password: str) -> None:
    """Raise `InputError` for a password that is too short or too long."""
    if len(password) < PASSWORD_AT_LEAST:
        raise InputError(f"a password has at least {PASSWORD_AT_LEAST} characters")
    if len(password) > PASSWORD_AT_MOST:
        raise InputError(f"a password has at most {PASSWORD_AT_MOST} characters")


def set_password(store: Store, agent_id: int, password: str, *, by: str | None = None) -> None:
    """Store the password's argon2id hash; every session and unused link of the account ends, and its API token:
    a session that somebody stole could have made one.

    `by` says who, where it is not the account's owner.
    """
    refuse_poor(password)
    hashed = _hasher().hash(password)
    with store.write() as connection:
        email = connection.execute(
            agents.update()
            .where(agents.c.id == agent_id, agents.c.disabled_at.is_(None))
            .values(password_hash=hashed, api_token_hash=None)
            .returning(agents.c.email)
        ).scalar_one_or_none()
        if email is None:
            raise NotFoundError("there is no such account, or it is disabled")
        end_sessions(connection, agent_id)
        note(connection, by or f"agent:{email}", "password", email)


def end_sessions(connection: sa.Connection, agent_id: int, *, but: str = "") -> None:
    """End every session of an account, save the one whose token hash is `but`, and its unused links."""
    connection.execute(
        agent_sessions.delete().where(
            agent_sessions.c.agent_id == agent_id, agent_sessions.c.token_hash != but
        )
    )
    connection.execute(
        login_links.update()
        .where(login_links.c.agent_id == agent_id, login_links.c.used_at.is_(None))
        .values(used_at=now())
    )


def begin_attempt(store: Store, email: str, address: str) -> int:
    """Write down an attempt to prove who one is, as failed until `attempt_held`; returns its number.

    Raises `InputError` after too many failures in 15 minutes for the account or the address. It is
    committed before the others are counted, so that attempts side by side all see each other.
    """
    at = now()
    with store.write() as connection:
        connection.execute(login_attempts.delete().where(login_attempts.c.at < at - ATTEMPTS_KEPT))
        attempt_id = connection.execute(
            login_attempts.insert()
            .values(email=email, address=address, at=at, ok=False)
            .returning(login_attempts.c.id)
        ).scalar_one()
    with store.write() as connection:
        failures = sa.select(sa.func.count()).where(
            login_attempts.c.at > at - WINDOW,
            login_attempts.c.ok.is_(sa.false()),
            login_attempts.c.id != attempt_id,
        )
        by_account = connection.execute(failures.where(login_attempts.c.email == email)).scalar_one()
        by_address = connection.execute(failures.where(login_attempts.c.address == address)).scalar_one()
        blocked = by_account >= FAILURES_BY_ACCOUNT or by_address >= FAILURES_BY_ADDRESS
        if blocked:  # not counted itself, or knocking on would keep the door shut for good
            connection.execute(login_attempts.delete().where(login_attempts.c.id == attempt_id))
    if blocked:
        raise InputError("too many attempts; wait a quarter of an hour, or ask an admin for a link")
    return int(attempt_id)


def attempt_held(connection: sa.Connection, attempt_id: int) -> None:
    """The attempt was a good one, and is no longer counted."""
    connection.execute(login_attempts.update().where(login_attempts.c.id == attempt_id).values(ok=True))


def check_login(store: Store, email: str, password: str, address: str) -> Agent:
    """The account that email and password open; `address` is where the attempt comes from.

    Raises `InputError`, with the same words whatever was wrong, and after too many failures in
    15 minutes for the account or the address. The attempt is written down before the password is
    looked at, so that attempts side by side are all counted.
    """
    from argon2.exceptions import InvalidHashError, VerificationError

    email = email.strip().lower()[:320]
    attempt_id = begin_attempt(store, email, address)
    with store.read() as connection:
        row = connection.execute(
            sa.select(agents).where(agents.c.email == email, agents.c.disabled_at.is_(None))
        ).one_or_none()
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
        attempt_held(connection, attempt_id)
        if _hasher().check_needs_rehash(stored):
            connection.execute(
                agents.update()
                .where(agents.c.id == row.id, agents.c.password_hash == stored)
                .values(password_hash=_hasher().hash(password))
            )
    return agent_of(row)


def make_api_token(store: Store, agent_id: int) -> str:
    """A new bearer token for the API, shown once; the one before ends."""
    token = f"tri_{secrets.token_urlsafe(32)}"
    with store.write() as connection:
        email = connection.execute(
            agents.update()
            .where(agents.c.id == agent_id, agents.c.disabled_at.is_(None))
            .values(api_token_hash=digest(token))
            .returning(agents.c.email)
        ).scalar_one_or_none()
        if email is None:
            raise NotFoundError("there is no such account, or it is disabled")
        note(connection, f"agent:{email}", "token", email)
    return token


def by_api_token(store: Store, token: str) -> Agent | None:
    """The account that a bearer token belongs to, None if there is none."""
    with store.read() as connection:
        row = connection.execute(
            sa.select(agents).where(agents.c.api_token_hash == digest(token), agents.c.disabled_at.is_(None))
        ).one_or_none()
    return agent_of(row) if row is not None else None


def digest(token: str) -> str:
    """What is stored of a random token."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def agent_of(row: Any) -> Agent:
    """The person of a row of `agents`, or of a join with it whose `id` is theirs."""
    return Agent(int(row.id), row.email, row.name, row.role, row.zone)


@lru_cache(maxsize=1)
def _hasher() -> PasswordHasher:
    from argon2 import PasswordHasher

    return PasswordHasher()  # argon2id with the parameters of RFC 9106 for little memory


@lru_cache(maxsize=1)
def _dummy_hash() -> str:
    return _hasher().hash(secrets.token_urlsafe(16))
