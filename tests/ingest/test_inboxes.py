from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import ConfigError
from pipeline.ingest.inboxes import FolderInbox, ImapInbox, Inbox, WebhookInbox, load, read

IMAP = """
[inbox.support]
kind = "imap"
host = "imap.example.com"
username = "support@example.com"
password = "hunter2-very-secret"
"""


def test_the_example_that_ships_is_read_as_it_stands() -> None:
    inboxes = load(Path(__file__).parents[2] / "inboxes.example.toml")
    assert list(inboxes) == ["support", "shop"]
    support, shop = inboxes.values()
    assert isinstance(support, ImapInbox)
    assert isinstance(shop, WebhookInbox)
    assert (support.at, support.tls, support.start, support.poll_s) == (993, "tls", "now", 90)
    assert support.own == {"support@example.com"}


def test_secrets_never_show_in_what_is_printed() -> None:
    inbox = read(IMAP)["support"]
    assert isinstance(inbox, ImapInbox)
    assert inbox.secret() == "hunter2-very-secret"
    assert "hunter2" not in repr(inbox) + str(inbox) + inbox.model_dump_json()


def test_a_password_stands_in_a_file_or_a_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pw").write_text("from the file\n")
    by_file = read(IMAP.replace('password = "hunter2-very-secret"', f'password_file = "{tmp_path}/pw"'))
    assert secret_of(by_file) == "from the file"
    by_env = read(IMAP.replace('password = "hunter2-very-secret"', 'password_env = "SUPPORT_PW"'))
    with pytest.raises(ConfigError, match="SUPPORT_PW is not set"):
        secret_of(by_env)
    monkeypatch.setenv("SUPPORT_PW", "from the variable")
    assert secret_of(by_env) == "from the variable"


def secret_of(inboxes: dict[str, Inbox]) -> str:
    inbox = inboxes["support"]
    assert isinstance(inbox, ImapInbox)
    return inbox.secret()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (IMAP + 'colour = "red"\n', r"inboxes\.toml, line 7, inbox\.support, colour: there is no such"),
        (IMAP + "poll_s = 5\n", r"line 7, inbox\.support, poll_s: .*60"),
        (IMAP + 'folder = "IN\\r\\nBOX"\n', r"line 7, inbox\.support, folder: holds a line break"),
        (IMAP + 'tls = "maybe"\n', r"line 7, inbox\.support, tls: "),
        (IMAP + 'password_env = "X"\n', r"one of password, password_file and password_env"),
        (IMAP.replace('host = "imap.example.com"\n', ""), r"line 2, inbox\.support, host: is missing"),
        (IMAP.replace('kind = "imap"\n', ""), r"line 2, inbox\.support: kind is missing"),
        (IMAP.replace('"imap"', '"pop3"'), r"line 3, inbox\.support, kind: it is"),
        (IMAP + "after = { keyword = 'a', move = 'b' }\n", r"line 7, inbox\.support, after: give one of"),
        (IMAP + "[inbox.support.send]\nsmtp = 'x'\n", r"line 7, inbox\.support, send\.smtp: there is no"),
        (IMAP.replace("inbox.support", "inbox.Su"), r"line 2, inbox\.Su: a name is"),
        ("[inboxes.x]\nkind='imap'\n", r"line 1: there is no 'inboxes' here"),
        ("inbox = 3\n", r"line 1: inboxes stand as"),
        ("[inbox.a\n", r"inboxes\.toml: "),
        ('[inbox.a]\nkind = "webhook"\n', r"one of secret, secret_file and secret_env"),
        ('[inbox.a]\nkind = "webhook"\nsecret = "x"\nadapter = "fax"\n', r"line 4, .*there is no adapter"),
    ],
)
def test_a_wrong_file_is_refused_with_the_line_to_mend(text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as error:
        read(text)
    assert "hunter2" not in str(error.value)


def test_a_file_that_is_not_there_is_one_plain_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path / "inboxes.toml")


def test_several_webhook_secrets_hold_at_once() -> None:
    table = '[inbox.shop]\nkind = "webhook"\nsecret = ["whsec_b25l", "whsec_dHdv"]\n'
    inbox = read(table)["shop"]
    assert isinstance(inbox, WebhookInbox)
    assert inbox.secrets() == ("whsec_b25l", "whsec_dHdv")
    assert "b25l" not in repr(inbox)


def test_plus_addresses_are_used_only_where_they_are_known_to_arrive() -> None:
    assert not read(IMAP)["support"].uses_plus_address
    assert read(IMAP + "plus_address = true\n")["support"].uses_plus_address
    assert read(IMAP.replace("imap.example.com", "imap.gmail.com"))["support"].uses_plus_address
    folder = read('[inbox.f]\nkind = "folder"\npath = "x"\n')["f"]
    assert isinstance(folder, FolderInbox)
    assert not folder.uses_plus_address
