"""Bounds, caps and the state of a mailbox as inboxes.toml and the watchers give them."""

from __future__ import annotations

import tomllib
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from pipeline.db.store import Store
from pipeline.db.tables import imap_folders, raw_messages
from pipeline.db.types import now
from pipeline.errors import ConfigError
from pipeline.ingest.bounds import DEFAULT_BOUNDS
from pipeline.ingest.files import ingest_paths
from pipeline.ingest.inboxes import Inbox, read
from pipeline.ingest.loops import REPLY_CAPS, TICKET_CAPS
from pipeline.ingest.mailboxes import mailboxes_of
from tests.ingest.mails import deliver, mail, message, raw_states, ticket

FOLDER = '[inbox.support]\nkind = "folder"\npath = "/mail"\n'
EXAMPLE = Path(__file__).parents[2] / "inboxes.example.toml"


def inboxes(more: str = "") -> dict[str, Inbox]:
    return read(FOLDER + more)


def test_the_defaults_that_the_example_writes_down_are_those_that_hold() -> None:
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    start = lines.index("# [inbox.support.bounds]")
    end = lines.index("", start)
    written = tomllib.loads("\n".join(line.removeprefix("# ") for line in lines[start + 1 : end]))
    inbox = inboxes()["support"]
    assert written == inbox.bounds.model_dump()
    assert inbox.bounds.to_bounds() == DEFAULT_BOUNDS
    caps = tomllib.loads(
        "\n".join(line[2:] for line in lines if line.startswith(("# message_caps", "# reply_caps")))
    )
    assert tuple(tuple(cap) for cap in caps["message_caps"]) == inbox.message_caps == TICKET_CAPS
    assert tuple(tuple(cap) for cap in caps["reply_caps"]) == inbox.reply_caps == REPLY_CAPS


@pytest.mark.parametrize(("bound", "words"), [
    ("raw_bytes = 1000", "more than 1000 bytes"),
    ("header_count = 10", "10"),
    ("text_chars = 1000", "a text of more than 1000 characters"),
    ("addresses = 2", "2"),
    ("parts = 2", "more than 2 parts"),
])  # fmt: skip
def test_a_bound_of_the_inbox_is_the_one_that_counts(store: Store, bound: str, words: str) -> None:
    many = {f"x_extra_{number}": "1" for number in range(10)}
    parts = "".join(f"--b\r\nContent-Type: text/plain\r\n\r\n{number}\r\n" for number in range(3)) + "--b--"
    raw = mail(
        "x" * 1_001 + "\r\n" + parts, to="a@b.example, c@d.example, e@f.example",
        content_type="multipart/mixed; boundary=b" if "parts" in bound else "text/plain", **many,
    )  # fmt: skip
    taken = deliver(store, raw, inboxes=inboxes(f"[inbox.support.bounds]\n{bound}\n"))
    assert taken.kind == "quarantined"
    state, reason = raw_states(store)[0]
    assert state == "quarantined"
    assert words in (reason or "")
    with store.read() as connection:
        assert connection.execute(sa.select(raw_messages.c.body)).scalar_one() == raw
    after = deliver(store, mail("Short", message_id="<next@c>"), inboxes=inboxes())
    assert after.kind == "message"  # the next one is not held up


def test_mail_from_files_comes_under_the_bounds_of_its_inbox(store: Store, tmp_path: Path) -> None:
    (tmp_path / "one.eml").write_bytes(mail("x" * 2_000))
    tight = inboxes("bounds = { text_chars = 1000 }\n")
    assert ingest_paths(store, [tmp_path], "support", inboxes=tight).quarantined == 1


@pytest.mark.parametrize(("line", "words"), [
    ("bounds = { parts = 0 }", "line 4, inbox.support, bounds.parts"),
    ("bounds = { colour = 1 }", "there is no such setting here"),
    ("message_caps = [[10]]", "message_caps"),
    ("reply_caps = [[0, 5]]", "reply_caps"),
])  # fmt: skip
def test_a_bound_or_cap_that_makes_no_sense_is_refused(line: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        inboxes(f"{line}\n")


def test_the_caps_of_the_inbox_are_the_ones_that_count(store: Store) -> None:
    tight = inboxes("message_caps = [[10, 2]]\n")
    first = deliver(store, mail(date=None), inboxes=tight)
    for number in range(2):
        raw = mail(
            f"again {number}", message_id=f"<{number}@c>", date=None, in_reply_to="<one@customer.example>"
        )
        last = deliver(store, raw, inboxes=tight)
    assert message(store, last.message_id).flags == ["loop_cap"]
    assert ticket(store, first.ticket_id).status == "in_review"


def test_a_mailbox_says_whether_it_is_read(store: Store) -> None:
    at = now()
    rows = [
        {"inbox": "a", "last_ok_at": at - timedelta(minutes=5)},
        {"inbox": "b", "last_ok_at": at - timedelta(hours=2), "last_error": "no answer", "last_error_at": at},
        {"inbox": "c", "last_error": "host.example is away", "last_error_at": at},
        {"inbox": "d"},
        {"inbox": "e", "last_ok_at": at, "last_error": "2 mails cannot be fetched", "last_error_at": at},
    ]
    with store.write() as connection:
        for row in rows:
            connection.execute(
                imap_folders.insert().values(folder="INBOX", uidvalidity=1, watermark=0, **row)
            )
        found = mailboxes_of(connection)
    assert [one.state for one in found] == ["ok", "failing", "failing", "never_read", "ok"]
    assert found[0].lag_s == pytest.approx(300, abs=30)
    assert found[2].lag_s is None
    assert all("example" not in str(one.to_json()) for one in found)  # no server's name for everybody
