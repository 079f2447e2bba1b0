from __future__ import annotations

import base64
import logging
import os
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from pipeline import checkup
from pipeline.db.store import Store
from pipeline.db.tables import messages, oauth_tokens
from pipeline.errors import ConfigError, InputError, UnreachableError
from pipeline.ingest.imap import LoginRefused, connected, sync, try_login, watch
from pipeline.ingest.inboxes import ImapInbox, read
from pipeline.ingest.oauth import Login, LoginEnded, Tokens, endpoints, oauth_of
from pipeline.ingest.oauth_login import (
    CodeFlow,
    DeviceCode,
    ask_device,
    await_device,
    listening,
    redirect_address,
)
from tests.ingest import imap_servers
from tests.ingest.imap_servers import USER, Server
from tests.ingest.mails import mail
from tests.kit import oauth_server, places
from tests.kit.oauth_server import SECRET, Provider

KEY = "a secret key for tests"


@pytest.fixture
def provider() -> Iterator[Provider]:
    with oauth_server.provider(USER) as running:
        yield running


@pytest.fixture
def dovecot(tmp_path: Path, provider: Provider) -> Iterator[Server]:
    home = tmp_path / "imap"
    home.mkdir()
    with imap_servers.dovecot(home, introspect=f"{provider.url}/introspect") as running:
        yield running


def inbox_of(provider: Provider, server: Server | None = None, **more: object) -> ImapInbox:
    oauth = provider.table(**more)
    if server is not None:
        return server.inbox(password=None, oauth=oauth)
    values = {"name": "support", "kind": "imap", "host": "127.0.0.1", "username": USER, "oauth": oauth}
    return ImapInbox.model_validate(values)


class Clock:
    """A clock that stands until it is told to go on; `slept` are the waits that were asked for."""

    def __init__(self) -> None:
        self.at = datetime(2026, 11, 23, 12, tzinfo=UTC)
        self.slept: list[float] = []

    def __call__(self) -> datetime:
        return self.at

    def seconds(self) -> float:
        return self.at.timestamp()

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.at += timedelta(seconds=seconds)


def by_device(inbox: ImapInbox, clock: Clock | None = None) -> Login:
    clock = clock or Clock()
    return await_device(inbox, ask_device(inbox), sleep=clock.sleep, clock=clock.seconds)


def logged_in(inbox: ImapInbox, store: Store, clock: Clock | None = None) -> tuple[Tokens, Login]:
    tokens = Tokens(store, KEY, clock=clock) if clock else Tokens(store, KEY)
    login = by_device(inbox)
    tokens.keep(inbox, login)
    return tokens, login


def visit(url: str) -> str:
    """What a browser does: open the address, follow the redirects; returns the page."""
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=10) as answer:
        return str(answer.read().decode())


# --- logging in -----------------------------------------------------------------------------------------


def test_a_device_login_waits_as_it_is_told_and_brings_a_login(provider: Provider) -> None:
    provider.polls = ["authorization_pending", "slow_down", "authorization_pending"]
    clock = Clock()
    login = by_device(inbox_of(provider), clock)
    assert clock.slept == [1, 1, 6, 6]
    assert login.access_token in provider.access
    assert login.refresh_token in provider.refreshes


def test_a_busy_provider_is_polled_less_often_until_the_code_ends(provider: Provider) -> None:
    inbox, clock = inbox_of(provider), Clock()
    asked = ask_device(inbox)
    provider.down = True
    with pytest.raises(
        UnreachableError, match=r"nobody finished the login in time; .*triage inbox login support"
    ):
        await_device(inbox, asked, sleep=clock.sleep, clock=clock.seconds)
    assert clock.slept[:4] == [1, 6, 11, 16]
    assert sum(clock.slept) <= asked.expires_in_s


@pytest.mark.parametrize(
    ("said", "kind", "words"),
    [
        ("access_denied", InputError, "refused in the browser"),
        ("authorization_declined", InputError, "refused in the browser"),
        ("expired_token", UnreachableError, "in time"),
        ("invalid_scope", ConfigError, "invalid_scope; see scopes"),
        ("unauthorized_client", ConfigError, "whether this client may"),
    ],
)
def test_a_device_login_that_is_refused_says_what_to_do(
    provider: Provider, said: str, kind: type[Exception], words: str
) -> None:
    provider.polls = ["authorization_pending", said]
    with pytest.raises(kind, match=words):
        by_device(inbox_of(provider))


def test_a_wrong_client_is_named_and_its_secret_is_not(provider: Provider) -> None:
    inbox = inbox_of(provider, client_secret="another-secret")
    with pytest.raises(ConfigError, match=r"invalid_client .*see client_id and client_secret") as error:
        by_device(inbox)
    assert "another-secret" not in str(error.value)
    assert "another-secret" not in repr(inbox) + inbox.model_dump_json()


def test_a_browser_login_comes_back_to_the_loopback_with_pkce(provider: Provider) -> None:
    with listening(inbox_of(provider)) as flow:
        assert "Go on in the terminal" in visit(flow.url)
        login = flow.wait(10)
    assert login.refresh_token in provider.refreshes
    (asked,) = provider.grants("authorization_code")
    assert len(asked["code_verifier"]) >= 43
    assert asked["redirect_uri"] == flow.redirect_uri
    with pytest.raises(UnreachableError, match="no browser came back"):
        flow.wait(0.01)


def test_a_strangers_answer_to_the_loopback_is_not_taken(provider: Provider) -> None:
    with listening(inbox_of(provider)) as flow:
        for query in (
            "code=stolen",
            "code=stolen&state=guess",
            f"code=a&state=x&{flow.url.partition('?')[2]}",
        ):
            with pytest.raises(urllib.error.HTTPError, match="404"):
                visit(f"{flow.redirect_uri}/?{query}")
        with socket.create_connection(("127.0.0.1", int(flow.redirect_uri.rpartition(":")[2]))):
            visit(flow.url)  # a connection that says nothing is in nobody's way
            assert flow.wait(10).access_token in provider.access
    assert [form["code"][:5] for form in provider.grants("authorization_code")] == ["code-"]


def test_a_browser_login_that_the_person_refuses_is_one_plain_line(provider: Provider) -> None:
    provider.denies = True
    with listening(inbox_of(provider)) as flow:
        visit(flow.url)
        with pytest.raises(InputError, match=r"refused in the browser \(access_denied\)"):
            flow.wait(10)


def test_an_address_can_be_pasted_and_works_once(provider: Provider) -> None:
    inbox = inbox_of(provider)
    flow = CodeFlow(inbox, redirect_address(inbox, places.free_port()))
    with pytest.raises(urllib.error.URLError, match="refused") as failed:
        visit(flow.url)
    assert isinstance(failed.value, urllib.error.URLError)
    code, asked = next(iter(provider.codes.items()))
    address = f"{flow.redirect_uri}/?code={code}&state={asked['state']}"
    other = CodeFlow(inbox, flow.redirect_uri)
    with pytest.raises(InputError, match="not the address that this login ended at"):
        other.finish(address)
    assert flow.finish(address).access_token in provider.access
    with pytest.raises(ConfigError, match=r"invalid_grant .*run again: triage inbox login support") as error:
        flow.finish(address)
    assert code not in str(error.value)


@pytest.mark.parametrize(
    ("more", "kind", "words"),
    [
        ({"refresh_token": None}, ConfigError, "cannot be renewed; see scopes"),
        ({"token_type": "mac"}, UnreachableError, "without a bearer token"),
        ({"access_token": "two\r\nlines"}, UnreachableError, "without a bearer token"),
        ({"access_token": ["list"]}, UnreachableError, "without a bearer token"),
    ],
)
def test_an_answer_that_cannot_be_used_is_refused(
    provider: Provider, more: dict[str, object], kind: type[Exception], words: str
) -> None:
    provider.more = more
    with pytest.raises(kind, match=words):
        by_device(inbox_of(provider))


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (200, b"<html>", "answered 200, not as OAuth2 does"),
        (302, b"{}", "answered 302, not as OAuth2 does"),
        (200, b"[" * 100_000, "not as OAuth2 does"),
        (200, b" " * 300_000, "more than 200000 bytes"),
        (429, b'{"error": "slow"}', "answered 429"),
        (
            200,
            b'{"user_code": "A\\u001b[2J", "device_code": "d", "verification_uri": "u"}',
            "with a device code",
        ),
    ],
)
def test_an_answer_outside_the_protocol_is_one_plain_line(
    provider: Provider, status: int, body: bytes, words: str
) -> None:
    provider.raw = (status, body)
    with pytest.raises(UnreachableError, match=words):
        ask_device(inbox_of(provider))


def test_google_logins_without_the_mail_box_ticked_are_refused(provider: Provider) -> None:
    values = inbox_of(provider).model_dump() | {"oauth": provider.table() | {"provider": "google"}}
    inbox = ImapInbox.model_validate(values)
    provider.more = {"scope": "openid imap"}
    with pytest.raises(ConfigError, match="does not allow offline_access; run again and tick it"):
        by_device(inbox)


def test_each_provider_has_its_own_addresses_and_way() -> None:
    def of(**more: object) -> ImapInbox:
        values = {"name": "a", "kind": "imap", "host": "h", "username": "u@example.com"}
        return ImapInbox.model_validate(values | {"oauth": {"client_id": "c"} | more})

    google = of(provider="google")
    assert endpoints(oauth_of(google)).prefers == "code"
    flow = CodeFlow(google, redirect_address(google, 8400))
    assert flow.redirect_uri == "http://127.0.0.1:8400"
    assert "access_type=offline&prompt=consent" in flow.url
    assert "login_hint=u%40example.com" in flow.url
    microsoft = of(provider="microsoft", tenant="example.com")
    known = endpoints(oauth_of(microsoft))
    assert known.prefers == "device"
    assert known.token_url == "https://login.microsoftonline.com/example.com/oauth2/v2.0/token"
    assert "offline_access" in known.scopes
    assert redirect_address(microsoft, 1) == "http://localhost:1"
    own = of(provider="microsoft", token_url="https://login.example.org/t", scopes=["x"])
    assert endpoints(oauth_of(own)).token_url == "https://login.example.org/t"
    assert endpoints(oauth_of(own)).scopes == ("x",)
    custom = of(provider="custom", token_url="https://a/t", authorize_url="https://a/a", scopes=["x"])
    with pytest.raises(ConfigError, match=r"no device_url; .*--flow code"):
        ask_device(custom)


OAUTH = """
[inbox.office]
kind = "imap"
host = "outlook.office365.com"
username = "help@example.com"
[inbox.office.oauth]
provider = "microsoft"
client_id = "c"
client_secret = "hush-hush"
"""


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('host = "', 'password = "x"\nhost = "', "one of password, .* or an oauth table"),
        ('"microsoft"', '"yahoo"', r"oauth\.provider: "),
        ('"microsoft"', '"custom"', "needs token_url, scopes, and one of device_url"),
        ('client_id = "c"', 'client_id = ""', "is empty"),
        ('client_id = "c"', 'client_id = "c"\ntoken_url = "http://example.com"', "must begin with https"),
        ('client_id = "c"', 'client_id = "c"\ntoken_url = "https://u:p@example.com"', "without user name"),
        ('client_id = "c"', 'client_id = "c"\ntenant = "a/b"', "directory"),
        ('client_id = "c"', 'client_id = "c"\nscopes = ["a b"]', "without spaces"),
        ('client_id = "c"', 'client_id = "c"\nclient_secret_env = "X"', "one of client_secret"),
        ('client_id = "c"', 'client_id = "c"\ncolour = "red"', "there is no such setting"),
    ],
)
def test_a_wrong_oauth_table_is_refused_with_the_line_to_mend(old: str, new: str, words: str) -> None:
    assert isinstance(read(OAUTH)["office"], ImapInbox)
    with pytest.raises(ConfigError, match=words) as error:
        read(OAUTH.replace(old, new))
    assert "hush" not in str(error.value)


# --- the kept login -------------------------------------------------------------------------------------


def test_a_login_is_kept_encrypted_and_shows_nowhere(
    provider: Provider, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    inbox = inbox_of(provider)
    tokens, login = logged_in(inbox, store)
    assert Tokens(store, KEY).access_token(inbox) == login.access_token
    with store.read() as connection:
        row = connection.execute(sa.select(oauth_tokens)).one()
    tokens.access_token(inbox, refused=login.access_token)
    shown = repr(row) + repr(login) + repr(tokens) + "".join(capsys.readouterr())
    for secret in (login.access_token, login.refresh_token, SECRET, KEY):
        assert secret not in shown


def test_another_secret_key_or_row_opens_no_login(provider: Provider, store: Store) -> None:
    inbox = inbox_of(provider)
    tokens, _ = logged_in(inbox, store)
    with pytest.raises(ConfigError, match=r"another secret key; set TRIAGE_SECRET_KEY .* triage inbox login"):
        Tokens(store, "another").access_token(inbox)
    with store.write() as connection:
        connection.execute(sa.update(oauth_tokens).values(inbox="other"))
    with pytest.raises(ConfigError, match="no login yet; run: triage inbox login support"):
        tokens.access_token(inbox)
    with pytest.raises(ConfigError, match="another secret key"):
        tokens.access_token(inbox.model_copy(update={"name": "other"}))


def test_a_login_of_another_client_is_not_used(provider: Provider, store: Store) -> None:
    tokens, _ = logged_in(inbox_of(provider), store)
    with pytest.raises(ConfigError, match=r"another client_id or provider .*triage inbox login support"):
        tokens.access_token(inbox_of(provider, client_id="new"))


def test_a_token_is_renewed_before_its_end_and_not_earlier(provider: Provider, store: Store) -> None:
    inbox, clock = inbox_of(provider), Clock()
    tokens = Tokens(store, KEY, clock=clock)
    tokens.keep(inbox, by_device(inbox))
    clock.at = datetime.now(UTC) + timedelta(days=1)
    second = tokens.access_token(inbox)
    clock.at += timedelta(seconds=3200)
    assert tokens.access_token(inbox) == second
    clock.at += timedelta(seconds=200)
    third = tokens.access_token(inbox)
    assert third != second
    assert len(provider.grants("refresh_token")) == 2
    provider.lifetime_s = 60
    clock.at += timedelta(seconds=3400)
    short = tokens.access_token(inbox)
    clock.at += timedelta(seconds=20)
    assert tokens.access_token(inbox) == short
    clock.at += timedelta(seconds=20)
    assert tokens.access_token(inbox) != short


def test_a_provider_that_is_down_is_no_trouble_while_the_token_holds(
    provider: Provider, store: Store
) -> None:
    inbox, clock = inbox_of(provider), Clock()
    clock.at = datetime.now(UTC)
    tokens, login = logged_in(inbox, store, clock)
    provider.down = True
    clock.at += timedelta(seconds=3500)
    assert tokens.access_token(inbox) == login.access_token
    with pytest.raises(UnreachableError):
        tokens.access_token(inbox, refused=login.access_token)
    clock.at += timedelta(seconds=100)
    with pytest.raises(UnreachableError, match="503"):
        tokens.access_token(inbox)
    provider.down = False
    assert tokens.access_token(inbox) != login.access_token


def test_a_revoked_login_says_to_log_in_again_and_a_new_one_mends_it(
    provider: Provider, store: Store
) -> None:
    inbox = inbox_of(provider)
    tokens, login = logged_in(inbox, store)
    provider.refreshes.clear()
    with pytest.raises(LoginEnded, match=r"revoked.*; run: triage inbox login support") as error:
        tokens.access_token(inbox, refused=login.access_token)
    assert login.refresh_token not in str(error.value)
    new = by_device(inbox)
    Tokens(store, KEY).keep(inbox, new)  # another process
    assert tokens.access_token(inbox, refused=login.access_token) == new.access_token


def test_refresh_tokens_that_work_once_are_used_once_however_many_ask(
    provider: Provider, store: Store
) -> None:
    provider.rotates = True
    inbox = inbox_of(provider)
    tokens, login = logged_in(inbox, store)
    got: list[str] = []
    asking = [
        threading.Thread(target=lambda: got.append(tokens.access_token(inbox, refused=login.access_token)))
        for _ in range(8)
    ]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join(20)
    assert len(set(got)) == 1
    assert len(got) == 8
    assert len(provider.grants("refresh_token")) == 1
    assert tokens.access_token(inbox, refused=got[0]) != got[0]  # by the refresh token that came with it


def test_of_two_processes_with_one_refresh_token_both_go_on(provider: Provider, store: Store) -> None:
    provider.rotates = True
    inbox = inbox_of(provider)
    tokens, login = logged_in(inbox, store)
    faster: list[str] = []
    provider.meanwhile = lambda: faster.append(
        Tokens(store, KEY).access_token(inbox, refused=login.access_token)
    )
    assert tokens.access_token(inbox, refused=login.access_token) == faster[0]
    assert len(provider.grants("refresh_token")) == 2


def test_a_login_made_while_the_old_one_is_renewed_stays(provider: Provider, store: Store) -> None:
    inbox = inbox_of(provider)
    tokens, login = logged_in(inbox, store)
    new = by_device(inbox)
    provider.meanwhile = lambda: Tokens(store, KEY).keep(inbox, new)
    assert tokens.access_token(inbox, refused=login.access_token) == new.access_token
    assert Tokens(store, KEY).access_token(inbox) == new.access_token


# --- the mailbox ----------------------------------------------------------------------------------------


def test_a_mailbox_is_read_by_xoauth2(
    dovecot: Server, provider: Provider, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    inbox = inbox_of(provider, dovecot)
    with pytest.raises(ConfigError, match="no login yet"), connected(inbox, Tokens(store, KEY)):
        pass
    tokens, _ = logged_in(inbox, store)
    dovecot.client().append("INBOX", mail("by token", message_id="<1@c>"))
    with connected(inbox, tokens) as client:
        assert sync(client, inbox, store).stored == 1
    assert provider.introspected >= 1
    assert try_login(inbox, tokens) is None
    assert "AUTHENTICATE" in caplog.text  # the libraries did log their dialogue
    secrets = [
        *provider.access,
        *provider.refreshes,
        *(base64_of(token) for token in provider.access),
        SECRET,
    ]
    assert not any(secret in caplog.text for secret in secrets)


def base64_of(token: str) -> str:
    """A middle part of how the token goes over the line."""
    return base64.b64encode(f"user={USER}\1auth=Bearer {token}\1\1".encode()).decode()[48:64]


def test_a_token_that_the_mailbox_refuses_is_renewed_once(
    dovecot: Server, provider: Provider, sqlite_store: Store
) -> None:
    inbox = inbox_of(provider, dovecot)
    tokens, login = logged_in(inbox, sqlite_store)
    provider.access.clear()  # revoked before its time
    assert try_login(inbox, tokens) is None
    assert len(provider.grants("refresh_token")) == 1
    provider.user = "somebody@else.example"
    words = f"does not take the login for {USER}; .*login support"
    with pytest.raises(LoginRefused, match=words) as error, connected(inbox, tokens):
        pass
    assert len(provider.grants("refresh_token")) == 2
    assert not any(token in str(error.value) for token in [*provider.access, login.access_token])


def test_the_watcher_signs_in_by_xoauth2(dovecot: Server, provider: Provider, store: Store) -> None:
    inbox = inbox_of(provider, dovecot)
    tokens, _ = logged_in(inbox, store)
    dovecot.client().append("INBOX", mail("watched", message_id="<w@c>"))
    stop = threading.Event()
    thread = threading.Thread(target=watch, args=(inbox, store, stop), kwargs={"tokens": tokens})
    thread.start()
    try:
        places.wait_for(lambda: stored(store) == ["w@c"], "the mail")
    finally:
        stop.set()
        thread.join(20)
    assert not thread.is_alive()


def stored(store: Store) -> list[str | None]:
    with store.read() as connection:
        return list(connection.execute(sa.select(messages.c.message_id)).scalars())


def test_a_server_without_xoauth2_is_named(tmp_path: Path, provider: Provider, sqlite_store: Store) -> None:
    home = tmp_path / "imap"
    home.mkdir()
    with imap_servers.pymap(home) as server:
        inbox = inbox_of(provider, server)
        tokens, _ = logged_in(inbox, sqlite_store)
        assert "127.0.0.1 does not offer OAuth2" in str(try_login(inbox, tokens))
    assert "needs the store that holds its login" in str(try_login(inbox))


# --- the command ----------------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path: Path, provider: Provider, dovecot: Server, sqlite_url: str) -> Path:
    """A TRIAGE_HOME whose inboxes.toml names a mailbox of the provider's."""
    table = "\n".join(
        f"{key} = {list(v) if isinstance(v, tuple) else v!r}" for key, v in provider.table().items()
    )
    (tmp_path / "inboxes.toml").write_text(
        f"[inbox.office]\nkind = 'imap'\nhost = '127.0.0.1'\nport = {dovecot.port}\ntls = 'none'\n"
        f"username = '{USER}'\n[inbox.office.oauth]\n".replace("client's", "")
        + table.replace('"', "'''")
    )
    return tmp_path


def triage(home: Path, *words: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "TRIAGE_HOME": str(home), "TRIAGE_SECRET_KEY": KEY}
    return subprocess.Popen(
        [str(Path(sys.executable).parent / "triage"), *words],
        cwd=home,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_person_logs_in_by_the_command(
    home: Path, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRIAGE_HOME", str(home))
    monkeypatch.setenv("TRIAGE_SECRET_KEY", KEY)
    monkeypatch.chdir(home)
    assert "no login yet; run: triage inbox login office" in checked()
    provider.polls = ["authorization_pending"]
    out, err = triage(home, "inbox", "login", "office").communicate(timeout=60)
    assert "WDJB-MJHT" in err
    assert out.startswith(f"{USER} at 127.0.0.1:")
    assert f"{USER} at 127.0.0.1" in checked()
    command = triage(home, "inbox", "login", "office", "--flow", "code")
    assert command.stderr is not None
    url = next(line.strip() for line in command.stderr if line.startswith("http"))
    visit(url)
    more, _ = command.communicate(timeout=60)
    assert more == out
    listed, _ = triage(home, "inbox", "list").communicate(timeout=60)
    assert "office" in listed
    assert "(OAuth2, renewed 20" in listed
    _, wrong = triage(home, "inbox", "login", "nowhere").communicate(timeout=60)
    assert "inboxes.toml has no inbox 'nowhere'; it has: office" in wrong
    assert not any(token in out + err + listed for token in [*provider.access, *provider.refreshes, SECRET])


def checked() -> str:
    return next(result.words for result in checkup.check_all() if result.what == "inbox office")


def test_what_a_person_is_shown_holds_no_device_code(provider: Provider) -> None:
    asked = ask_device(inbox_of(provider))
    assert isinstance(asked, DeviceCode)
    assert asked.device_code not in repr(asked)
