"""The mail that is built from an approved reply."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from html import unescape
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.delivery.compose import Outgoing, Sender, compose, flow, wire_bytes
from pipeline.delivery.markup import as_html
from pipeline.errors import InputError

TOKEN = "0123456789abcdef0123456789abcdef"


def outgoing(**changes: Any) -> Outgoing:
    values: dict[str, Any] = {
        "reply_id": 1,
        "ticket_id": 7,
        "inbox": "support",
        "attempt": 1,
        "message_id": "abc@shop.example",
        "to_address": "ana@customer.example",
        "to_name": "Ana Müller",
        "subject": "Re: Wo ist mein Päckchen?",
        "text": "Hallo Ana,\n\nes ist unterwegs.",
        "sender": Sender("support@shop.example", "Shop, Support", "Your Shop"),
        "reply_token": TOKEN,
        "approved_at": datetime(2026, 11, 20, 9, 0, tzinfo=UTC),
        "in_reply_to": "q1@customer.example",
        "references": ("q0@customer.example", "q1@customer.example"),
    }
    return Outgoing(**{**values, **changes})


def read(out: Outgoing) -> EmailMessage:
    data, _utf8 = wire_bytes(compose(out))
    message = BytesParser(policy=policy.default).parsebytes(data)
    assert isinstance(message, EmailMessage)
    return message


def test_a_reply_stands_in_the_customers_thread() -> None:
    message = read(outgoing())
    assert message["From"] == '"Shop, Support" <support@shop.example>'
    assert message["To"] == "Ana Müller <ana@customer.example>"
    assert message["Subject"] == "Re: Wo ist mein Päckchen?"
    assert message["Message-ID"] == "<abc@shop.example>"
    assert message["In-Reply-To"] == "<q1@customer.example>"
    assert message["References"].split() == ["<q0@customer.example>", "<q1@customer.example>"]
    assert message["Reply-To"] == f'"Shop, Support" <support+{TOKEN}@shop.example>'
    assert message["Date"].datetime == datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
    assert message["Auto-Submitted"] is None
    assert message["Precedence"] is None
    assert [part.get_content_type() for part in message.walk()] == [
        "multipart/alternative", "text/plain", "text/html",
    ]  # fmt: skip
    assert body(message, "plain") == "Hallo Ana,\n\nes ist unterwegs.\n\n-- \nYour Shop\n"


def body(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    assert part is not None
    return str(part.get_content()).replace("\r\n", "\n")


def html(text: str, signature: str = "") -> str:
    """What stands between the body tags."""
    whole = body(read(outgoing(text=text, sender=Sender("support@shop.example", "", signature))), "html")
    return whole.partition('<body dir="auto">\n')[2].partition("\n</body>")[0]


def test_the_html_has_the_same_words_in_paragraphs_and_the_signature_below() -> None:
    assert html("Hello Ana,\n\nline one\nline two\n\n\nBye", "Shop\nStreet 1") == (
        "<p>Hello Ana,</p>\n<p>line one<br>\nline two</p>\n<p>Bye</p>\n<div>-- <br>\nShop<br>\nStreet 1</div>"
    )


def test_nothing_in_the_text_becomes_markup() -> None:
    text = '<script>alert(1)</script> <img src=x onerror="x"> &amp; a < b'
    assert "<script" not in html(text)
    assert "<img" not in html(text)
    assert unescape(re.sub("<[^>]*>", "", html(text))) == text


@pytest.mark.parametrize(
    ("text", "links"),
    [
        ("see https://shop.example/a?b=1&c=2.", ["https://shop.example/a?b=1&c=2"]),
        ("(https://shop.example/x(1))", ["https://shop.example/x(1)"]),
        ("javascript:alert(1) data:text/html,x www.shop.example mailto:a@b.example", []),
        ('https://x.example/"onmouseover="alert(1)', ["https://x.example/"]),
        ("http://one.example, http://two.example", ["http://one.example", "http://two.example"]),
    ],
)
def test_links_are_those_that_stand_in_the_text(text: str, links: list[str]) -> None:
    shown = re.findall(r'<a href="([^"]*)">([^<]*)</a>', html(text))
    assert [unescape(target) for target, _ in shown] == links
    assert all(target == words for target, words in shown)


@given(st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp")), max_size=200))
def test_the_html_says_what_the_plain_text_says(text: str) -> None:
    kept = unescape(re.sub("<[^>]*>", "", as_html(text))).replace("\u00a0", " ")
    assert kept.split() == text.replace("\u00a0", " ").split()


def test_a_second_attempt_sends_the_same_bytes() -> None:
    assert wire_bytes(compose(outgoing())) == wire_bytes(compose(outgoing(attempt=2)))


def test_a_line_break_in_a_subject_or_a_name_adds_no_header() -> None:
    message = read(
        outgoing(
            subject="hi\r\nBcc: evil@evil.test",
            to_name="Ana\nBcc: evil@evil.test",
            sender=Sender("support@shop.example", "Shop\r\nX-Evil: 1"),
            references=("a@b\r\nBcc: x@evil.test", "ok@b.example"),
        )
    )
    assert "Bcc" not in message
    assert "X-Evil" not in message
    assert message["Subject"] == "hi Bcc: evil@evil.test"
    assert message["References"].split() == ["<ok@b.example>", "<q1@customer.example>"]


@given(st.text(max_size=200), st.text(max_size=60))
def test_no_subject_and_no_name_changes_the_headers_there_are(subject: str, name: str) -> None:
    message = read(outgoing(subject=subject, to_name=name))
    expected = ["From", "To", "Subject", "Date", "Message-ID", "Reply-To", "In-Reply-To", "References"]
    expected += ["MIME-Version", "Content-Type"]
    assert sorted(message.keys()) == sorted(expected)
    assert [a.addr_spec for a in message["To"].addresses] == ["ana@customer.example"]


@pytest.mark.parametrize(
    "address",
    [
        "",
        "ana",
        "ana@",
        "@x.example",
        "a b@x.example",
        "a@x.example\r\nBcc: b@c.example",
        "a@x.example,b@c.example",
    ],
)
def test_an_address_that_cannot_stand_in_a_header_is_refused(address: str) -> None:
    with pytest.raises(InputError):
        compose(outgoing(to_address=address))


def test_an_encoded_line_break_in_the_subject_stays_text() -> None:
    message = read(
        outgoing(subject="=?utf-8?q?a=0ABcc:_evil@evil.test?=", to_name="=?utf-8?q?=0D=0ABcc:_x?=")
    )
    assert "Bcc" not in message
    assert message["Subject"] == "= ?utf-8?q?a=0ABcc:_evil@evil.test?="


def test_a_message_id_that_was_tampered_with_is_refused() -> None:
    with pytest.raises(InputError):
        compose(outgoing(message_id="a>\r\nBcc: x@y.example"))


def test_long_references_are_kept_as_they_are() -> None:
    ids = tuple(f"{'x' * 120}{n}@customer.example" for n in range(30))
    data, _utf8 = wire_bytes(compose(outgoing(references=ids, in_reply_to=ids[-1])))
    raw = BytesParser(policy=policy.compat32).parsebytes(data)["References"].split()
    assert raw[0] == f"<{ids[0]}>"
    assert raw[1:] == [f"<{item}>" for item in ids[-19:]]
    assert max(len(line) for line in data.split(b"\r\n")) < 998


def test_an_international_domain_is_sent_in_its_ascii_form() -> None:
    message, utf8 = wire_bytes(compose(outgoing(to_address="ana@bücher.example")))
    assert b"xn--bcher-kva.example" in message
    assert not utf8


def test_a_non_ascii_mailbox_needs_smtputf8() -> None:
    _data, utf8 = wire_bytes(compose(outgoing(to_address="jörg@customer.example")))
    assert utf8


def test_flowed_text_reads_back_as_it_was_written() -> None:
    text = "A long line " + "of many words " * 20 + "end.\n\n> a quote\nFrom here\n  indented\n-- \nsig"
    flowed = flow(text)
    assert max(len(line) for line in flowed.split("\n")) <= 78
    assert unflow(flowed) == text


def test_two_hyphens_before_a_long_word_begin_no_signature() -> None:
    text = "Your tracking page:\n-- https://example.com/" + "x" * 90 + " and what follows"
    flowed = flow(text)
    assert "-- " not in flowed.split("\n")
    assert unflow(flowed) == text


@given(
    st.lists(
        st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp")), max_size=150),
        max_size=5,
    )
)
def test_any_text_survives_being_flowed(lines: list[str]) -> None:
    text = "\n".join(line.rstrip(" ") for line in lines)
    assert unflow(flow(text)) == text


def unflow(text: str) -> str:
    """RFC 3676, section 4, as a mail client does it (no DelSp)."""
    out: list[str] = []
    joining = False
    for line in text.split("\n"):
        line = line[1:] if line.startswith(" ") else line
        soft = line.endswith(" ") and line != "-- "
        if joining:
            out[-1] += line
        else:
            out.append(line)
        joining = soft
    return "\n".join(out)
