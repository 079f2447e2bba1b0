"""The second factor: codes of RFC 6238, each good once, asked for at every log-in."""

from __future__ import annotations

import base64
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import httpx2
import pytest
import sqlalchemy as sa

from pipeline.db.store import Store
from pipeline.db.tables import agents, login_links
from pipeline.db.types import now
from pipeline.errors import ConfigError, InputError
from pipeline.review import audit, sessions, totp
from pipeline.review.agents import FAILURES_BY_ACCOUNT, Agent, add, set_password
from pipeline.review.totp import STEP_S, SecondFactors, code_at
from tests.web import running

KEY = "k" * 32
PASSWORD = "correct horse battery"


@dataclass
class Clock:
    at: float = 1_700_000_000.0

    def __call__(self) -> float:
        return self.at

    def code(self, secret: str, steps: int = 0) -> str:
        """What an authenticator app shows, `steps` of 30 s from now."""
        return code_at(base64.b32decode(secret), int(self.at) // STEP_S + steps)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def turned_on(
    store: Store, clock: Clock, email: str = "anna@shop.example"
) -> tuple[Agent, SecondFactors, str]:
    agent = add(store, email, "agent")
    factors = SecondFactors(store, KEY, clock=clock)
    secret = factors.begin(agent).secret
    factors.confirm(agent, clock.code(secret), "1.1.1.1", session_hash="")
    clock.at += STEP_S
    return agent, factors, secret


@pytest.mark.parametrize(
    ("seconds", "code"),
    [(59, "287082"), (1111111109, "081804"), (1111111111, "050471"), (1234567890, "005924"),
     (2000000000, "279037"), (20000000000, "353130")],
)  # fmt: skip
def test_the_codes_are_those_of_rfc_6238(seconds: int, code: str) -> None:
    """Appendix B, the last six of its eight digits."""
    assert code_at(b"12345678901234567890", seconds // STEP_S) == code


def test_a_code_is_good_once_and_within_a_step_of_the_clock(sqlite_store: Store, clock: Clock) -> None:
    agent, factors, secret = turned_on(sqlite_store, clock)
    factors.check(agent, f" {clock.code(secret)[:3]} {clock.code(secret)[3:]} ", "1.1.1.1")
    for steps in (0, -1, -2, 2):  # used, older than the used one, too old, too early
        with pytest.raises(InputError, match="wrong or was used"):
            factors.check(agent, clock.code(secret, steps), "1.1.1.1")
    factors.check(agent, clock.code(secret, 1), "1.1.1.1")
    for junk in ("", "abcdef", "١٢٣٤٥٦", "0" * 20):
        with pytest.raises(InputError):
            factors.check(agent, junk, "1.1.1.1")


def test_of_two_who_send_the_same_code_at_once_one_gets_in(store: Store, clock: Clock) -> None:
    agent, factors, secret = turned_on(store, clock)
    code, start = clock.code(secret), threading.Barrier(4)
    results: list[bool] = []

    def send() -> None:
        start.wait()
        try:
            factors.check(agent, code, "1.1.1.1")
            results.append(True)
        except InputError:
            results.append(False)

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(results) == [False] * 3 + [True]


def test_guessing_codes_is_throttled(sqlite_store: Store, clock: Clock) -> None:
    agent, factors, secret = turned_on(sqlite_store, clock)
    wrong = f"{(int(clock.code(secret)) + 1) % 10**6:06d}"
    for n in range(FAILURES_BY_ACCOUNT):
        with pytest.raises(InputError, match="wrong or was used"):
            factors.check(agent, wrong, f"10.0.0.{n}")
    with pytest.raises(InputError, match="too many attempts"):
        factors.check(agent, clock.code(secret), "10.0.1.1")


def test_the_secret_is_kept_encrypted_and_for_its_account_alone(sqlite_store: Store, clock: Clock) -> None:
    agent, factors, secret = turned_on(sqlite_store, clock)
    other, _factors, _secret = turned_on(sqlite_store, clock, "ben@shop.example")
    with sqlite_store.write() as c:
        sealed = c.execute(sa.select(agents.c.totp_secret).where(agents.c.id == agent.id)).scalar_one()
        assert secret not in sealed
        c.execute(agents.update().where(agents.c.id == other.id).values(totp_secret=sealed))
    with pytest.raises(ConfigError, match="TRIAGE_SECRET_KEY"):
        factors.check(other, clock.code(secret), "1.1.1.1")
    with pytest.raises(ConfigError, match="totp-off"):
        SecondFactors(sqlite_store, "another key", clock=clock).check(agent, clock.code(secret), "1.1.1.1")
    factors.check(agent, clock.code(secret), "1.1.1.1")


def test_turning_it_on_and_off_ends_the_other_sessions_and_is_written_down(
    store: Store, clock: Clock
) -> None:
    agent = add(store, "anna@shop.example", "agent")
    factors = SecondFactors(store, KEY, clock=clock)
    here, session = sessions.start(store, agent)
    there, _session = sessions.start(store, agent)
    secret = factors.begin(agent).secret
    assert not totp.is_on(store, agent.id)
    factors.confirm(agent, clock.code(secret), "1.1.1.1", session_hash=session.token_hash)
    assert totp.is_on(store, agent.id)
    assert sessions.resume(store, here) is not None
    assert sessions.resume(store, there) is None
    for again in (lambda: factors.begin(agent), lambda: factors.confirm(agent, "1", "", session_hash="")):
        with pytest.raises(InputError, match="on already"):
            again()
    clock.at += STEP_S
    factors.turn_off(agent, clock.code(secret), "1.1.1.1")
    assert sessions.resume(store, here) is None
    assert totp.off(store, agent.email) == "was_off"
    assert [row[2] for row in audit.newest(store)][:2] == [
        "turned the second factor off", "turned the second factor on",
    ]  # fmt: skip


# --- on the pages -----------------------------------------------------------------------------------------


@pytest.fixture
def url(sqlite_store: Store, clock: Clock) -> Iterator[str]:
    factors = SecondFactors(sqlite_store, KEY, clock=clock)
    with running.serving(running.parts_for(sqlite_store, second_factors=factors)) as address:
        yield address


def browser(url: str) -> httpx2.Client:
    return httpx2.Client(base_url=url, headers={"accept": "text/html"}, timeout=20)


def hidden(text: str, name: str) -> str:
    found = re.search(f'name="{name}" value="([^"]*)"', text)
    assert found, text
    return found[1]


def test_an_agent_sets_it_up_and_logs_in_with_it(url: str, sqlite_store: Store, clock: Clock) -> None:
    agent = add(sqlite_store, "anna@shop.example", "agent")
    set_password(sqlite_store, agent.id, PASSWORD)
    form = {"email": agent.email, "password": PASSWORD, "next": "/account"}
    with browser(url) as anna:
        assert anna.post("/login", data=form).status_code == 303
        csrf = hidden(anna.get("/account").text, "csrf")
        refused = anna.post("/account/totp/begin", data={"csrf": csrf, "password": "not it at all"})
        assert refused.status_code == 422
        assert anna.post("/account/totp/begin", data={"csrf": csrf, "password": PASSWORD}).status_code == 303
        page = anna.get("/account").text
        found = re.search("Secret: <code>([A-Z2-7]{32})</code>", page)
        assert found
        assert "<svg" in page
        assert "style=" not in page
        secret = found[1]
        wrong = anna.post("/account/totp/confirm", data={"csrf": csrf, "code": "000000"})
        assert wrong.status_code == 422
        right = anna.post("/account/totp/confirm", data={"csrf": csrf, "code": clock.code(secret)})
        assert right.status_code == 303
        assert secret not in anna.get("/account").text
    clock.at += STEP_S
    with browser(url) as again:
        step = again.post("/login", data=form)
        assert step.status_code == 200
        token = hidden(step.text, "token")
        assert again.get("/account").status_code == 303  # the password alone opens nothing
        assert again.get(f"/enter/{token}").status_code == 410  # nor does the half-done log-in
        assert again.post(f"/enter/{token}", data={"password": PASSWORD}).status_code == 410
        bad = again.post("/login/code", data={"token": token, "code": "000000", "next": "/account"})
        assert bad.status_code == 403
        code = {"token": hidden(bad.text, "token"), "code": clock.code(secret), "next": "//evil.example"}
        good = again.post("/login/code", data=code)
        assert (good.status_code, good.headers["location"]) == (303, "/")
        assert again.get("/account").status_code == 200
        clock.at += STEP_S
        code["code"] = clock.code(secret)
        with browser(url) as thief:
            assert thief.post("/login/code", data=code).status_code == 403  # the half is used up
        csrf = hidden(again.get("/account").text, "csrf")
        clock.at += STEP_S
        off = again.post("/account/totp/off", data={"csrf": csrf, "code": clock.code(secret)})
        assert off.headers["location"] == "/login"
    with browser(url) as plain:
        assert plain.post("/login", data=form).status_code == 303


def test_a_reset_link_asks_for_the_code_too(url: str, sqlite_store: Store, clock: Clock) -> None:
    agent, _factors, secret = turned_on(sqlite_store, clock)
    link = sessions.make_link(sqlite_store, agent, "reset")
    with browser(url) as anna:
        step = anna.post(f"/enter/{link}", data={"password": PASSWORD})
        assert 'action="/login/code"' in step.text
        assert anna.get("/account").status_code == 303
        form = {"token": hidden(step.text, "token"), "code": clock.code(secret)}
        assert anna.post("/login/code", data=form).status_code == 303
        assert anna.get("/account").status_code == 200


def test_a_half_done_log_in_ends_with_time_and_with_a_new_password(
    url: str, sqlite_store: Store, clock: Clock
) -> None:
    agent, _factors, secret = turned_on(sqlite_store, clock)
    form = {"token": sessions.begin_second_step(sqlite_store, agent), "code": clock.code(secret)}
    with sqlite_store.write() as c:
        c.execute(login_links.update().values(expires_at=now()))
    with browser(url) as anna:
        assert "took too long" in anna.post("/login/code", data=form).text
        form["token"] = sessions.begin_second_step(sqlite_store, agent)
        set_password(sqlite_store, agent.id, PASSWORD)
        assert anna.post("/login/code", data=form).status_code == 403
        assert anna.get("/account").status_code == 303


def test_where_codes_cannot_be_checked_nobody_slips_past_them(sqlite_store: Store, clock: Clock) -> None:
    agent, _factors, secret = turned_on(sqlite_store, clock)
    set_password(sqlite_store, agent.id, PASSWORD)
    other_key = SecondFactors(sqlite_store, "another key", clock=clock)
    for parts in (running.parts_for(sqlite_store), running.parts_for(sqlite_store, second_factors=other_key)):
        with running.serving(parts) as url, browser(url) as anna:
            step = anna.post("/login", data={"email": agent.email, "password": PASSWORD})
            form = {"token": hidden(step.text, "token"), "code": clock.code(secret)}
            assert anna.post("/login/code", data=form).status_code == 503
            assert anna.get("/account").status_code == 303
