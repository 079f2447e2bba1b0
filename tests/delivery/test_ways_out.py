"""Which way an inbox's replies go, as inboxes.toml says; and how an operator sees and mends it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from pipeline import checkup, steps
from pipeline.assembly import Parts
from pipeline.cli import app
from pipeline.db.store import Store
from pipeline.db.tables import replies, tickets
from pipeline.db.types import now
from pipeline.delivery.callback import CallbackMailer
from pipeline.delivery.folder import FolderMailer
from pipeline.delivery.helpdesks import HelpdeskMailer
from pipeline.delivery.outcomes import BY_CALLBACK, BY_MAIL
from pipeline.delivery.smtp import SmtpMailer
from pipeline.delivery.switched_off import switch_off
from pipeline.errors import ConfigError, TriageError
from pipeline.ingest.inboxes import read
from pipeline.settings import load
from pipeline.ways_out import WaysOut, manners_of
from tests.delivery.conftest import Faulty, approve_one
from tests.ingest import imap_servers
from tests.ingest.imap_servers import USER, Server
from tests.kit.live import live_parts

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SHOP = f"""
[inbox.shop]
kind = "webhook"
secret = "{SECRET}"
from_address = "support@shop.example"
"""
DESK = SHOP + 'adapter = "chatwoot"\n[inbox.shop.send]\nhelpdesk = "chatwoot"\n'


def test_each_inbox_has_its_own_way_out() -> None:
    table = f"""
    [inbox.plain]
    kind = "folder"
    path = "/var/mail"
    [inbox.own]
    kind = "folder"
    path = "/var/mail"
    send = {{ smtp_url = "smtp://own.example" }}
    {SHOP}
    [inbox.shop.send]
    callback_url = "https://shop.example/replies"
    callback_secret = "{SECRET}"
    [inbox.desk]
    kind = "webhook"
    adapter = "zammad"
    secret = "x"
    from_address = "support@shop.example"
    [inbox.desk.send]
    helpdesk = "zammad"
    base_url = "https://desk.shop.example"
    token = "a-secret-token"
    as = "note"
    """
    inboxes = read(table)
    ways = WaysOut(load(smtp_url="smtp://common.example"), inboxes, lambda: pytest.fail("no login"))
    kinds = {name: type(ways(name)) for name in inboxes}
    assert kinds == {
        "plain": SmtpMailer,
        "own": SmtpMailer,
        "shop": CallbackMailer,
        "desk": HelpdeskMailer,
    }
    assert "common.example" in ways("plain").where
    assert "own.example" in ways("own").where
    assert ways("desk").where == "Zammad at desk.shop.example, as internal notes"
    assert "secret-token" not in repr(inboxes)
    assert SECRET not in repr(inboxes)
    assert [manners_of(inboxes[name]) for name in ("plain", "shop", "desk")] == [
        BY_MAIL, BY_CALLBACK, BY_MAIL,
    ]  # fmt: skip
    assert isinstance(WaysOut(load(), {}, lambda: pytest.fail("no login"))("x"), FolderMailer)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (SHOP + '[inbox.shop.send]\ncallback_url = "https://x.example"\n', "one of callback_secret"),
        (SHOP + f'[inbox.shop.send]\ncallback_secret = "{SECRET}"\n', "goes with one of callback_secret"),
        (SHOP + '[inbox.shop.send]\ncallback_url = "ftp://x.example"\n', "https://host/path"),
        (
            SHOP + f'[inbox.shop.send]\ncallback_url = "http://x.example"\ncallback_secret = "{SECRET}"\n',
            "allow_private",
        ),
        (SHOP + '[inbox.shop.send]\nsmtp_url = "smtp://x"\nhelpdesk = "zendesk"\n', "one way out"),
        (SHOP + "[inbox.shop.send]\noauth = true\n", "kind imap"),
        (SHOP + '[inbox.shop.send]\ntoken = "x"\n', "go with helpdesk"),
        (DESK, "needs base_url"),
        (DESK + 'base_url = "https://d.example"\ntoken = "x"\n', "Chatwoot account"),
        (
            DESK.replace('adapter = "chatwoot"\n', "")
            + 'base_url = "https://d.example"\ntoken = "x"\naccount = 1\n',
            'needs adapter = "chatwoot"',
        ),
        (
            SHOP.replace("from_address", "# ")
            + f'[inbox.shop.send]\ncallback_url = "https://x.example"\ncallback_secret = "{SECRET}"\n',
            "from_address",
        ),
        (
            '[inbox.m]\nkind = "imap"\nhost = "h"\nusername = "u"\npassword = "p"\nsend = { oauth = true }\n',
            "own oauth table",
        ),
    ],
)
def test_a_table_that_cannot_work_is_refused_when_it_is_read(text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as refused:
        read(text)
    assert "inboxes.toml, line" in str(refused.value)
    assert SECRET not in str(refused.value)


def test_a_secret_that_is_nowhere_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    table = SHOP + '[inbox.shop.send]\ncallback_url = "https://x.example"\ncallback_secret_env = "NO_KEY"\n'
    ways = WaysOut(load(), read(table), lambda: pytest.fail("no login"))
    with pytest.raises(ConfigError, match="NO_KEY is not set"):
        ways("shop")
    monkeypatch.setenv("NO_KEY", "not a key!")
    with pytest.raises(ConfigError, match=r"inbox.shop.send: callback_secret is a key"):
        ways("shop")


def test_the_callbacks_attempts_are_ten_in_75_hours() -> None:
    assert BY_CALLBACK.attempts == 10
    assert timedelta(hours=75) <= sum(BY_CALLBACK.waits, timedelta()) <= timedelta(hours=76)


# --- switched off by 410 ------------------------------------------------------------------------------


@pytest.fixture
def triage(sqlite_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The command, in this process, on an inbox with a callback: (exit status, its words)."""
    table = '[inbox.shop.send]\ncallback_url = "https://127.0.0.1:9/replies"\nallow_private = true\n'
    (tmp_path / "inboxes.toml").write_text(f'{SHOP}{table}callback_secret = "{SECRET}"\n')
    monkeypatch.setenv("TRIAGE_HOME", str(tmp_path))
    monkeypatch.setenv("TRIAGE_DATABASE_URL", str(sqlite_store.url))

    def run(*words: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, list(words))
        if isinstance(done.exception, TriageError):
            return 1, str(done.exception)
        assert done.exception is None, done.exception
        return 0, done.output

    return run


def replies_line() -> checkup.Result:
    return next(result for result in checkup._own_ways_out(load()) if result.what == "replies of shop")


def test_a_way_out_that_was_ended_is_shown_and_switched_on_again(triage: Any, sqlite_store: Store) -> None:
    assert replies_line().ok
    with sqlite_store.write() as connection:
        switch_off(connection, "shop", "410 gone away")
        switch_off(connection, "shop", "410 again")
    for words in (replies_line().words, triage("inbox", "list")[1]):
        assert "410 gone away" in words
        assert "triage inbox enable shop" in words
    assert not replies_line().ok
    assert "go out again" in triage("inbox", "enable", "shop")[1]
    assert replies_line().ok
    assert "was not off" in triage("inbox", "enable", "shop")[1]
    assert triage("inbox", "enable", "nobody")[0] == 1
    listed = json.loads(triage("inbox", "list", "--json")[1])
    assert listed[0]["replies"] == "the callback 127.0.0.1:9"


# --- the copy in the Sent folder ----------------------------------------------------------------------


@pytest.fixture
def dovecot(tmp_path: Path) -> Iterator[Server]:
    home = tmp_path / "imap"
    home.mkdir()
    with imap_servers.dovecot(home) as running:
        yield running


@pytest.fixture
def mailbox(tmp_path: Path, sqlite_url: str, dovecot: Server, smtp: tuple[Faulty, str]) -> Iterator[Parts]:
    """Parts whose one inbox keeps copies in its Sent folder."""
    table = f"""
    [inbox.support]
    kind = "imap"
    host = "127.0.0.1"
    port = {dovecot.port}
    username = "{USER}"
    password = "{dovecot.password}"
    tls = "none"
    from_address = "support@shop.example"
    [inbox.support.send]
    smtp_url = "{smtp[1]}"
    sent_folder = "Sent"
    """
    dovecot.client().create_folder("Sent")
    parts = live_parts(tmp_path / "home", sqlite_url, inboxes=table)
    yield parts
    parts.store.close()


def sent(server: Server) -> list[bytes]:
    client = server.client()
    client.select_folder("Sent", readonly=True)
    found = client.fetch(client.search(), ["BODY.PEEK[]"])
    return [row[b"BODY[]"] for row in found.values()]


def reply(parts: Parts, ticket: int) -> Any:
    with parts.store.read() as connection:
        return connection.execute(sa.select(replies).where(replies.c.ticket_id == ticket)).one()


def test_what_went_out_is_put_into_the_sent_folder_once(
    mailbox: Parts, dovecot: Server, smtp: tuple[Faulty, str]
) -> None:
    first = approve_one(mailbox.store)
    steps.advance(mailbox, first)
    assert reply(mailbox, first).state == "sent"
    assert sent(dovecot) == smtp[0].journal
    second = approve_one(mailbox.store, message_id="there-already@shop.example")
    client = dovecot.client()
    client.append("Sent", b"Message-ID: <there-already@shop.example>\r\n\r\nthe provider's own copy\r\n")
    steps.advance(mailbox, second)
    assert reply(mailbox, second).state == "sent"
    assert len(sent(dovecot)) == 2


@pytest.mark.parametrize("trouble", ["no folder", "no server"])
def test_a_copy_that_cannot_be_kept_changes_nothing(
    mailbox: Parts, dovecot: Server, smtp: tuple[Faulty, str], trouble: str
) -> None:
    inbox: Any = mailbox.inboxes["support"]
    change = {"send": inbox.send.model_copy(update={"sent_folder": "Nowhere"})}
    broken = inbox.model_copy(update=change if trouble == "no folder" else {"port": 9})
    mailbox.inboxes = {"support": broken}
    ticket = approve_one(mailbox.store)
    done = steps.advance(mailbox, ticket)
    assert done is not None
    assert done.done
    assert reply(mailbox, ticket).state == "sent"
    assert len(smtp[0].journal) == 1
    assert sent(dovecot) == []


def test_a_refused_reply_leaves_no_copy(mailbox: Parts, dovecot: Server, smtp: tuple[Faulty, str]) -> None:
    smtp[0].rcpt = "550 5.1.1 nobody here"
    steps.advance(mailbox, approve_one(mailbox.store))
    assert sent(dovecot) == []


# --- the undo window ----------------------------------------------------------------------------------


def test_the_undo_window_is_ten_seconds_unless_set() -> None:
    assert load().undo_s == 10


def test_run_until_idle_waits_for_replies_in_their_undo_window(tmp_path: Path, sqlite_url: str) -> None:
    parts = live_parts(tmp_path / "home", sqlite_url)
    ticket = approve_one(parts.store)
    with parts.store.write() as connection:
        later = {"due_at": now() + timedelta(seconds=1)}
        connection.execute(tickets.update().where(tickets.c.id == ticket).values(later))
    assert steps.run_until_idle(parts, threads=1) == {}
    assert steps.run_until_sent(parts, threads=1) == {"send": 1}
    assert reply(parts, ticket).state == "sent"
    parts.store.close()
