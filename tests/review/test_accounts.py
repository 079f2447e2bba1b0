import threading
from datetime import timedelta

import pytest
import sqlalchemy as sa

from pipeline.db.store import Store
from pipeline.db.tables import agent_sessions, agents, login_attempts, login_links
from pipeline.db.tables import audit as audit_table
from pipeline.db.types import now
from pipeline.errors import ConflictError, InputError, NotFoundError
from pipeline.review import audit, sessions
from pipeline.review.agents import (
    FAILURES_BY_ACCOUNT,
    FAILURES_BY_ADDRESS,
    ROLES,
    accounts,
    add,
    begin_attempt,
    by_api_token,
    check_login,
    disable,
    enable,
    find,
    make_api_token,
    set_password,
    set_role,
    set_zone,
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

    api_token = make_api_token(store, agent.id)
    set_password(store, agent.id, PASSWORD)
    assert sessions.resume(store, token) is None
    assert by_api_token(store, api_token) is None  # whoever had the session could have made it

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


def test_there_is_no_account_until_somebody_makes_one(store: Store) -> None:
    assert accounts(store) == []
    for email in ("admin", "admin@localhost", "root", ""):
        with pytest.raises(InputError):
            check_login(store, email, "admin", "1.1.1.1")


def test_guesses_side_by_side_are_all_counted(store: Store) -> None:
    """However many knock at once, no more than the limit get their password looked at."""
    start, through = threading.Barrier(20), []

    def knock() -> None:
        start.wait()
        try:
            through.append(begin_attempt(store, "a@b.example", "1.1.1.1"))
        except InputError:
            return

    threads = [threading.Thread(target=knock) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(through) <= FAILURES_BY_ACCOUNT


def test_knocking_on_at_a_shut_door_does_not_keep_it_shut(sqlite_store: Store) -> None:
    for _ in range(FAILURES_BY_ACCOUNT):
        begin_attempt(sqlite_store, "a@b.example", "1.1.1.1")
    for _ in range(3):
        with pytest.raises(InputError, match="too many"):
            begin_attempt(sqlite_store, "a@b.example", "1.1.1.1")
    with sqlite_store.read() as c:
        assert (
            c.execute(sa.select(sa.func.count()).select_from(login_attempts)).scalar_one()
            == FAILURES_BY_ACCOUNT
        )


def test_a_role_holds_from_the_next_request_on(store: Store) -> None:
    agent = add(store, "a@b.example", "admin")
    token, _session = sessions.start(store, agent)
    for role in ROLES:
        set_role(store, agent.email, role)
        resumed = sessions.resume(store, token)
        assert resumed is not None
        assert resumed.agent.role == role
    with pytest.raises(InputError, match="a role is one of"):
        set_role(store, agent.email, "owner")


def test_times_are_shown_in_the_agents_own_zone(store: Store) -> None:
    agent = add(store, "a@b.example", "agent")
    token, session = sessions.start(store, agent)
    assert session.agent.zone is None
    for zone, kept in (("Europe/Berlin", "Europe/Berlin"), ("", None)):
        set_zone(store, agent.id, zone)
        resumed = sessions.resume(store, token)
        assert resumed is not None
        assert resumed.agent.zone == find(store, agent.email).zone == kept
    for wrong in ("Berlin", "../etc/passwd", "Europe/Berlin\x00"):
        with pytest.raises(InputError, match="is not a time zone"):
            set_zone(store, agent.id, wrong)


def test_what_is_done_to_an_account_is_written_down_with_it(store: Store) -> None:
    boss = "agent:boss@b.example"
    agent = add(store, "a@b.example", "agent", by=boss)
    sessions.make_link(store, agent, "invite", by=boss)
    set_password(store, agent.id, PASSWORD, by="link")
    make_api_token(store, agent.id)
    set_role(store, agent.email, "lead", by=boss)
    disable(store, agent.email)
    enable(store, agent.email)
    assert [(who, what, about) for _at, who, what, about, _detail in audit.newest(store)][::-1] == [
        (boss, "made the account", agent.email),
        (boss, "made a log-in link", agent.email),
        ("link", "set the password", agent.email),
        (agent.who, "made an API token", agent.email),
        (boss, "changed the role", agent.email),
        ("operator", "disabled the account", agent.email),
        ("operator", "enabled the account", agent.email),
    ]


def test_a_change_that_fails_leaves_no_audit_row_and_no_audit_row_can_be_changed(store: Store) -> None:
    add(store, "a@b.example", "agent")
    with pytest.raises(ConflictError):
        add(store, "a@b.example", "agent")
    with pytest.raises(NotFoundError):
        enable(store, "nobody@b.example")
    assert len(audit.newest(store)) == 1
    for change in (audit_table.update().values(who="somebody else"), audit_table.delete()):
        with pytest.raises(sa.exc.DBAPIError, match="append-only"), store.write() as c:
            c.execute(change)
    assert audit.newest(store)[0][1] == "operator"
