"""Sending with the inbox's OAuth2 login, through a real SMTP server that takes nothing but XOAUTH2."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session

from pipeline.db.types import now
from pipeline.delivery.outcomes import Accepted, Temporary
from pipeline.delivery.smtp import SmtpMailer, read_url
from pipeline.errors import ConfigError
from pipeline.ingest.inboxes import ImapInbox, read
from pipeline.ingest.oauth import Login, Tokens, scopes
from pipeline.ingest.oauth_login import ask_device, await_device
from pipeline.settings import load
from pipeline.ways_out import WaysOut
from tests.delivery.conftest import Faulty
from tests.delivery.test_compose import outgoing
from tests.kit import oauth_server
from tests.kit.live import live_parts
from tests.kit.oauth_server import Provider
from tests.kit.places import free_port

USER = "support@shop.example"


class Door(Faulty):
    """Takes mail from those alone whose token the provider gave out. `tried` are the tokens it saw."""

    def __init__(self, provider: Provider) -> None:
        super().__init__()
        self.provider = provider
        self.tried: list[str] = []
        self.busy = False

    async def auth_XOAUTH2(self, server: SMTP, args: list[str]) -> AuthResult:
        said = base64.b64decode(args[1]).decode()
        user, bearer, *rest = said.split("\1")
        assert rest == ["", ""]
        token = bearer.removeprefix("auth=Bearer ")
        self.tried.append(token)
        if self.busy:
            await server.push("454 4.7.0 try again later")
            return AuthResult(success=False, handled=True)
        if user == f"user={USER}" and token in self.provider.access:
            return AuthResult(success=True, auth_data=user)
        # as Google and Microsoft do: the reason as a challenge, which wants an empty answer
        answer = await server.challenge_auth(json.dumps({"status": "400", "schemes": "Bearer"}))
        assert answer == b""
        return AuthResult(success=False, handled=False)

    async def handle_MAIL(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if not session.authenticated:
            return "530 5.7.0 authentication required"
        return await super().handle_MAIL(server, session, envelope, address, options)


@pytest.fixture
def provider() -> Iterator[Provider]:
    with oauth_server.provider(USER) as running:
        yield running


@pytest.fixture
def door(provider: Provider) -> Iterator[tuple[Door, str]]:
    handler = Door(provider)
    controller = Controller(
        handler,
        hostname="127.0.0.1",
        port=free_port(),
        auth_require_tls=False,
        auth_exclude_mechanism=["LOGIN", "PLAIN"],
    )
    controller.start()
    yield handler, f"smtp://127.0.0.1:{controller.port}"
    controller.stop()


def inbox_of(provider: Provider, url: str, **more: object) -> ImapInbox:
    values = {"name": "support", "kind": "imap", "host": "127.0.0.1", "username": USER}
    send = {"smtp_url": url, "oauth": True}
    return ImapInbox.model_validate({**values, "oauth": provider.table(), "send": send, **more})


@pytest.fixture
def way(
    tmp_path: Path, sqlite_url: str, provider: Provider, door: tuple[Door, str]
) -> Iterator[tuple[SmtpMailer, Tokens, ImapInbox]]:
    """The inbox's mailer as the assembly makes it, with a login that a person made."""
    parts = live_parts(tmp_path / "home", sqlite_url)
    inbox = inbox_of(provider, door[1])
    parts.inboxes = {"support": inbox}
    parts.tokens.keep(inbox, log_in(inbox))
    mailer = parts.mailers("support")
    assert isinstance(mailer, SmtpMailer)
    yield mailer, parts.tokens, inbox
    parts.store.close()


def log_in(inbox: ImapInbox) -> Login:
    return await_device(inbox, ask_device(inbox), sleep=lambda _seconds: None)


Way = tuple[SmtpMailer, Tokens, ImapInbox]


def test_a_reply_goes_out_under_the_inboxs_own_login(way: Way, door: tuple[Door, str]) -> None:
    assert isinstance(way[0].send(outgoing()), Accepted)
    assert len(door[0].journal) == 1
    assert f"logged in as {USER}" in way[0].check()


def test_an_expired_token_is_renewed_before_it_is_used(
    way: Way, door: tuple[Door, str], provider: Provider
) -> None:
    mailer, tokens, inbox = way
    past = now() - timedelta(minutes=1)
    tokens.keep(inbox, replace(log_in(inbox), refresh_at=past, expires_at=past))
    provider.access.clear()
    assert isinstance(mailer.send(outgoing()), Accepted)
    assert len(provider.grants("refresh_token")) == 1
    assert len(door[0].tried) == 1


def test_a_token_that_was_revoked_early_is_renewed_once(
    way: Way, door: tuple[Door, str], provider: Provider
) -> None:
    provider.access.clear()
    assert isinstance(way[0].send(outgoing()), Accepted)
    assert len(door[0].tried) == 2
    assert len(set(door[0].tried)) == 2


def test_a_login_that_ended_waits_for_a_person_and_says_what_to_run(
    way: Way, door: tuple[Door, str], provider: Provider
) -> None:
    provider.access.clear()
    provider.refreshes.clear()
    outcome = way[0].send(outgoing())
    assert isinstance(outcome, Temporary)
    assert "triage inbox login support" in outcome.words
    assert door[0].journal == []


def test_a_server_that_takes_no_token_of_ours_is_asked_twice_and_no_more(
    way: Way, door: tuple[Door, str], provider: Provider
) -> None:
    door[0].provider = Provider(0, USER)  # another provider's users
    outcome = way[0].send(outgoing())
    assert isinstance(outcome, Temporary)
    assert "refused the login" in outcome.words
    assert "[inbox.support.send]" in outcome.words
    assert "triage inbox login support" in outcome.words
    assert len(door[0].tried) == 2
    assert not any(token in outcome.words for token in door[0].tried)
    with pytest.raises(ConfigError, match="refused the login"):
        way[0].check()


def test_a_server_that_is_busy_costs_no_token(way: Way, door: tuple[Door, str], provider: Provider) -> None:
    door[0].busy = True
    assert isinstance(way[0].send(outgoing()), Temporary)
    assert len(door[0].tried) == 1
    assert provider.grants("refresh_token") == []


def test_a_server_without_xoauth2_is_told_nothing(provider: Provider, smtp: tuple[Faulty, str]) -> None:
    mailer = SmtpMailer(read_url(smtp[1], log_in_as=USER), token=lambda _refused: "a token")
    outcome = mailer.send(outgoing())
    assert isinstance(outcome, Temporary)
    assert "XOAUTH2" in outcome.words


def test_a_token_never_goes_over_the_network_without_tls() -> None:
    with pytest.raises(ConfigError, match="without TLS"):
        read_url("smtp://mail.example?starttls=no", log_in_as=USER)
    with pytest.raises(ConfigError, match="holds no password"):
        read_url("smtp://shop:secret@mail.example", log_in_as=USER)


TABLE = """
[inbox.office]
kind = "imap"
host = "outlook.office365.com"
username = "help@shop.example"
[inbox.office.oauth]
provider = "{provider}"
client_id = "c"
[inbox.office.send]
oauth = {sends}
"""


@pytest.mark.parametrize(
    ("provider", "server"), [("google", "smtp.gmail.com:587"), ("microsoft", "smtp.office365.com:587")]
)
def test_the_known_providers_need_no_address(provider: str, server: str) -> None:
    inboxes = read(TABLE.format(provider=provider, sends="true"))
    ways = WaysOut(load(), inboxes, lambda: pytest.fail("nobody logs in yet"))
    assert server in ways("office").where


def test_a_login_that_also_sends_asks_for_that_scope() -> None:
    asked = {
        (provider, sends): scopes(read(TABLE.format(provider=provider, sends=sends))["office"])  # type: ignore[arg-type]
        for provider in ("google", "microsoft")
        for sends in ("true", "false")
    }
    assert asked["google", "true"] == asked["google", "false"] == ("https://mail.google.com/",)
    assert "https://outlook.office.com/SMTP.Send" in asked["microsoft", "true"]
    assert "https://outlook.office.com/SMTP.Send" not in asked["microsoft", "false"]
