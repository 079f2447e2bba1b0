import threading
from datetime import timedelta

import pytest
import sqlalchemy as sa

from pipeline.db.store import Store
from pipeline.db.tables import agent_sessions, agents, login_attempts, login_links
from pipeline.db.types import now
from pipeline.errors import ConflictError, InputError, NotFoundError
from pipeline.review import sessions
from pipeline.review.agents import (
    FAILURES_BY_ACCOUNT,
    FAILURES_BY_ADDRESS,
    add,
    by_api_token,
    check_login,
    disable,
    enable,
    find,
    make_api_token,
    set_password,
)

PASSWORD = "correct horse battery"


def test_an_account_logs_in_only_once_it_has_a_password(store: Store) -> None:
    agent = add(store, " Anna@Shop.example ", "lead", "Anna")
    assert agent.email == "anna@shop.example"
    with pytest.raises(InputError, match="email or password is wrong"):
        check_login(store, agent.email, "", "1.2.3.4")
    with pytest.raises(InputError, match="at least 10"):
        set_password(store, agent.id, "short")
    set_password(store, agent.id, PASSWORD)
    assert check_login(store, "ANNA@shop.example", PASSWORD, "1.2.3.4") == agent
    with store.read() as c:
        stored = c.execute(sa.select(agents.c.password_hash)).scalar_one()
    assert stored.startswith("$argon2id$")
    for email, password in ((agent.email, PASSWORD + "x"), ("nobody@shop.example", PASSWORD)):
        with pytest.raises(InputError, match="email or password is wrong"):
            check_login(store, email, password, "1.2.3.4")


def test_accounts_are_checked_when_they_are_made(sqlite_store: Store) -> None:
    for email, role in (("", "agent"), ("a b@c", "agent"), ("a@b.example", "owner")):
        with pytest.raises(InputError):
            add(sqlite_store, email, role)
    add(sqlite_store, "a@b.example", "agent")
    with pytest.raises(ConflictError):
        add(sqlite_store, "A@b.example", "admin")
    with pytest.raises(NotFoundError, match="triage agent add"):
        find(sqlite_store, "x@y.example")


def test_guessing_is_throttled_by_account_and_by_address(sqlite_store: Store) -> None:
    agent = add(sqlite_store, "a@b.example", "agent")
    set_password(sqlite_store, agent.id, PASSWORD)
    for n in range(FAILURES_BY_ACCOUNT):
        with pytest.raises(InputError, match="wrong"):
            check_login(sqlite_store, agent.email, "x" * 12, f"10.0.0.{n}")
    with pytest.raises(InputError, match="too many"):
        check_login(sqlite_store, agent.email, PASSWORD, "10.0.1.1")
    with sqlite_store.write() as c:
        c.execute(login_attempts.update().values(address="10.9.9.9", email=sa.func.hex(login_attempts.c.id)))
        attempt = {"email": "z@z.example", "address": "10.9.9.9", "at": now(), "ok": False}
        c.execute(login_attempts.insert(), [attempt] * (FAILURES_BY_ADDRESS - FAILURES_BY_ACCOUNT))
    with pytest.raises(InputError, match="too many"):
        check_login(sqlite_store, agent.email, PASSWORD, "10.9.9.9")
    assert check_login(sqlite_store, agent.email, PASSWORD, "10.0.1.1") == agent
    with sqlite_store.write() as c:
        c.execute(login_attempts.update().values(at=now() - timedelta(minutes=16)))
    assert check_login(sqlite_store, agent.email, PASSWORD, "10.9.9.9") == agent


def test_a_session_ends_with_its_account_its_password_its_time(store: Store) -> None:
    agent = add(store, "a@b.example", "agent")
    token, session = sessions.start(store, agent)
    resumed = sessions.resume(store, token)
    assert resumed is not None
    assert (resumed.agent, resumed.csrf_token) == (agent, session.csrf_token)
    with store.read() as c:
        assert c.execute(sa.select(agent_sessions.c.token_hash)).scalar_one() != token
    assert sessions.resume(store, token + "x") is None

    set_password(store, agent.id, PASSWORD)
    assert sessions.resume(store, token) is None

    for column, value in (
        ("last_seen_at", now() - sessions.IDLE - timedelta(seconds=1)),
        ("expires_at", now() - timedelta(seconds=1)),
    ):
        token, _session = sessions.start(store, agent)
        with store.write() as c:
            c.execute(agent_sessions.update().values({column: value}))
        assert sessions.resume(store, token) is None
        assert sessions.prune(store) == 1

    token, session = sessions.start(store, agent)
    sessions.end(store, session)
    assert sessions.resume(store, token) is None

    token, _session = sessions.start(store, agent)
    link = sessions.make_link(store, agent, "reset")
    api = make_api_token(store, agent.id)
    assert by_api_token(store, api) == agent
    disable(store, agent.email)
    assert sessions.resume(store, token) is None
    assert sessions.look_at_link(store, link) is None
    assert by_api_token(store, api) is None
    with pytest.raises(InputError):
        check_login(store, agent.email, PASSWORD, "1.1.1.1")
    enable(store, agent.email)
    with pytest.raises(InputError):  # it comes back without its old password
        check_login(store, agent.email, PASSWORD, "1.1.1.1")


def test_a_link_works_once_even_when_it_is_used_twice_at_once(store: Store) -> None:
    agent = add(store, "a@b.example", "agent")
    token = sessions.make_link(store, agent, "invite")
    with store.read() as c:
        assert c.execute(sa.select(login_links.c.token_hash)).scalar_one() != token
    assert sessions.look_at_link(store, token) == sessions.Link(agent, "invite")
    start = threading.Barrier(6)
    results: list[bool] = []

    def use() -> None:
        start.wait()
        try:
            sessions.use_link(store, token)
            results.append(True)
        except InputError:
            results.append(False)

    threads = [threading.Thread(target=use) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(results) == [False] * 5 + [True]
    assert sessions.look_at_link(store, token) is None


def test_a_newer_link_ends_the_one_before_and_time_ends_all(store: Store) -> None:
    agent = add(store, "a@b.example", "agent")
    first, second = (sessions.make_link(store, agent, "reset") for _ in range(2))
    assert sessions.look_at_link(store, first) is None
    with store.write() as c:
        c.execute(login_links.update().values(expires_at=now() - timedelta(seconds=1)))
    with pytest.raises(InputError, match="used already or is too old"):
        sessions.use_link(store, second)
