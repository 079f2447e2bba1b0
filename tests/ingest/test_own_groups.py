"""A customer who writes through a group in front of the inbox is a person; a newsletter to it is not."""

from __future__ import annotations

import pytest

from pipeline.db.store import Store
from pipeline.ingest.inboxes import read
from pipeline.ingest.mime import parse
from tests.ingest.mails import deliver, mail, message, ticket

OWN = frozenset({"help@shop.example", "support@shop.example"})
GROUP = (
    "Precedence: list\r\nMailing-list: list help@shop.example; contact help+owners@shop.example\r\n"
    "List-ID: <help.shop.example>\r\nX-Google-Group-Id: 1234\r\n"
    "List-Post: <https://groups.google.com/a/shop.example/group/help/post>, <mailto:help@shop.example>\r\n"
    "List-Help: <https://support.google.com/a/shop.example/bin/topic.py?topic=25838>\r\n"
    "List-Unsubscribe: <mailto:googlegroups-manage+1234+unsubscribe@googlegroups.com>,\r\n"
    " <https://groups.google.com/a/shop.example/group/help/subscribe>\r\n"
)
NEWSLETTER = "List-Unsubscribe: <https://news.elsewhere.example/u/1>\r\n"


def kind(headers: str, text: str = "Where is my order?", subject: str = "Order") -> str:
    raw = f"From: Ann <ann@customer.example>\r\nTo: help@shop.example\r\nSubject: {subject}\r\n{headers}\r\n{text}"
    return parse(raw.encode(), own=OWN).kind


def test_a_person_who_writes_through_our_own_group_is_a_person() -> None:
    assert kind(GROUP) == "person"
    assert kind("List-Id: Help <HELP.shop.example>\r\n") == "person"
    assert kind("List-Post: <mailto:Help@Shop.Example>\r\nPrecedence: bulk\r\n") == "person"
    assert (
        kind("List-Id: <support.lists.shop.example>\r\nList-Post: <mailto:support@shop.example>\r\n")
        == "person"
    )


@pytest.mark.parametrize("headers", [
    GROUP.replace("shop.example", "elsewhere.example"),
    GROUP + NEWSLETTER,
    GROUP + "List-Id: <news.elsewhere.example>\r\n",
    GROUP + "List-Post: <mailto:news@elsewhere.example>\r\n",
    "List-Id: <news.shop.example>\r\n",
    "List-Id: <help.shop.example.evil.example>\r\n",
    "Precedence: list\r\n",
    NEWSLETTER,
])  # fmt: skip
def test_what_went_to_somebody_elses_list_stays_bulk(headers: str) -> None:
    assert kind(headers) == "bulk"


def test_a_machine_that_writes_through_our_own_group_stays_a_machine() -> None:
    assert kind(GROUP + "Auto-Submitted: auto-replied\r\n") == "auto_reply"
    assert kind(GROUP + "Auto-Submitted: auto-generated\r\n") == "auto_reply"
    assert kind(GROUP, subject="Automatic reply: Order") == "auto_reply"
    absent = "I am out of the office and will be back on Monday. In urgent cases please call my colleague."
    assert kind(GROUP, absent) == "auto_reply"


def test_the_groups_address_stands_with_the_inbox(store: Store) -> None:
    text = '[inbox.support]\nkind = "folder"\npath = "/mail"\nfrom_address = "support@shop.example"\n'
    raw = mail(list_id="<help.shop.example>", precedence="list")
    without = deliver(store, raw, inboxes=dict(read(text)))
    assert (without.kind, ticket(store, without.ticket_id).status) == ("automated", "automated")
    inboxes = read(text + 'own_addresses = ["help@shop.example"]\n')
    again = raw.replace(b"<one@", b"<two@")
    taken = deliver(store, again, inboxes=inboxes)
    assert (taken.kind, ticket(store, taken.ticket_id).status) == ("message", "received")
    assert message(store, taken.message_id).kind == "person"
