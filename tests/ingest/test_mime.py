"""One raw message in, one parsed message out: on whichever interpreter, whatever the bytes."""

# ruff: noqa: E501 - mails stand as they arrive

from __future__ import annotations

import base64
import json
import os
import time
from pathlib import Path

import pytest

from pipeline.ingest.message import ParsedMessage
from pipeline.ingest.mime import Bounds, parse
from pipeline.ingest.subjects import bare_subject

HEAD = b"From: Ann Smith <ann@example.com>\r\nTo: shop@example.org\r\nMessage-ID: <1@example.com>\r\n"
DATA = Path(os.environ.get("TRIAGE_TEST_DATA") or Path(__file__).parents[2] / "../shared/data") / "mail"


def mail(
    headers: bytes | str = b"", body: bytes | str = b"Where is it?\r\n", head: bytes = HEAD
) -> ParsedMessage:
    if isinstance(headers, str):
        headers = headers.encode()
    if isinstance(body, str):
        body = body.encode()
    return parse(head + headers + b"\r\n" + body)


def test_a_plain_mail_has_all_its_fields() -> None:
    got = mail(
        "Subject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?= =?utf-8?B?IGF1cw==?= Brno\r\nDate: Fri, 20 Nov 2026 10:00:00 +0100\r\n"
        "In-Reply-To: <0@example.org>\r\nReferences: <r@example.org>\r\n <0@example.org>\r\nCc: Bob <BOB@Example.org>\r\n"
        "Reply-To: other@example.com\r\nAuthentication-Results: mx.example.org; dmarc=pass\r\nReturn-Path: <b@example.com>\r\n"
        "Content-Type: text/plain; charset=utf-8\r\n",
        "Wo ist es?\r\nGrüße\r\n",
    )
    assert got.kind == "person"
    assert got.to_json() == {
        "kind": "person",
        "kind_reason": got.kind_reason,
        "message_id": "1@example.com",
        "in_reply_to": "0@example.org",
        "references": ["r@example.org", "0@example.org"],
        "from": {"name": "Ann Smith", "address": "ann@example.com"},
        "reply_to": [{"name": "", "address": "other@example.com"}],
        "to": [{"name": "", "address": "shop@example.org"}],
        "cc": [{"name": "Bob", "address": "BOB@example.org"}],
        "subject": "Grüße aus Brno",
        "date": "2026-11-20T09:00:00+00:00",
        "text": "Wo ist es?\nGrüße",
        "new_text": "Wo ist es?",
        "attachments": [],
        "bounce": None,
        "defects": [],
    }
    assert got.from_trusted
    assert got.authentication_results == ("mx.example.org; dmarc=pass",)
    assert got.return_path == "b@example.com"


# The interpreter's own parser fails on each of these somewhere in 3.11.
@pytest.mark.parametrize("header", [
    "From: victim@example.com <attacker@evil.test>", 'From: "', "From: <", "From: a@[", "From: ", "Message-ID: <>",
    "Message-ID: <", "Date: ", "Date: x", "Date: 0001-01-01T00:00:00+14:00", "Date: 99 Abc 0000 99:99:99 +9999", "To: <", "Content-Type: ", "Content-Type: ;",
    "Content-Type: text/plain; charset*=x", "Content-Type: text/plain; charset*0*=a'", "Content-Type: multipart/mixed; boundary=",
    "Content-Disposition: ;;;", "Subject: =?utf-8?q?", "Subject: =?x?b?=====?=", "References: <<>>", "MIME-Version: \x00",
])  # fmt: skip
def test_broken_headers_neither_raise_nor_quarantine_a_readable_mail(header: str) -> None:
    got = parse(header.encode() + b"\r\nX: y\r\nSubject: z\r\n\r\nWhere is it?\r\n")
    assert got.kind == "person" or not got.from_
    assert "Where is it?" in got.text


def test_the_angle_address_counts_and_a_claim_beside_it_is_not_trusted() -> None:
    got = parse(b"From: victim@example.com <attacker@evil.test>\r\n\r\nHi\r\n")
    assert got.from_
    assert got.from_.address == "attacker@evil.test"
    assert not got.from_trusted
    assert any("display name" in defect for defect in got.defects)


@pytest.mark.parametrize("head", [
    b"From: a@example.com, b@example.com\r\n",
    b"From: a@example.com\r\nFrom: b@example.com\r\n",
    b'From: "a@example.com\r\n',
    b"From: Ann\r\n",
    b"X: y\r\nSubject: z\r\n",
])  # fmt: skip
def test_only_one_well_formed_from_is_trusted(head: bytes) -> None:
    assert not parse(head + b"To: shop@example.org\r\n\r\nHi\r\n").from_trusted


def test_an_encoded_line_break_cannot_become_a_header() -> None:
    got = mail("Subject: =?utf-8?Q?Hi=0D=0ABcc=3A_victim=40example.com?=\r\n")
    assert got.subject == "Hi Bcc: victim@example.com"


def test_control_characters_and_remains_of_encoded_words_leave_the_subject() -> None:
    got = mail("Subject: a\x00b\x08 =?utf-8?Q?=E2=80=AEevil?= =?utf-8?Q?cut\r\n")
    assert got.subject == "ab evilcut" or got.subject == "ab evil cut"


def test_a_character_cut_between_two_encoded_words_is_whole_again() -> None:
    assert mail("Subject: =?utf-8?B?w6TD?=\r\n =?utf-8?B?tg==?=\r\n").subject == "äö"


@pytest.mark.parametrize(("charset", "data", "text"), [
    ("utf-8", "Grüße".encode(), "Grüße"),
    ("iso-8859-1", "Grüße €".encode("cp1252"), "Grüße €"),
    ("us-ascii", "Grüße".encode(), "Grüße"),
    ("us-ascii", "Grüße".encode("latin-1"), "Grüße"),
    ("x-unknown", "Grüße".encode(), "Grüße"),
    ("x-unknown", "Grüße".encode("latin-1"), "Grüße"),
    ("utf-8", "Grüße und mehr".encode("latin-1"), "Grüße und mehr"),
    ("", "Grüße".encode("latin-1"), "Grüße"),
    ("koi8-r", "Привет".encode("koi8-r"), "Привет"),
    ("windows-1251", "Привет".encode("cp1251"), "Привет"),
    ("iso-2022-jp", "こんにちは".encode("iso2022_jp"), "こんにちは"),
    ("us-ascii", "こんにちは".encode("iso2022_jp"), "こんにちは"),
    ("shift_jis", "①こんにちは".encode("cp932"), "①こんにちは"),
    ("gb2312", "你好".encode("gbk"), "你好"),
    ("big5", "你好".encode("big5"), "你好"),
    ("ks_c_5601-1987", "안녕".encode("cp949"), "안녕"),
    ("utf-16", "Grüße".encode("utf-16"), "Grüße"),
    ("UTF8", "Grüße".encode(), "Grüße"),
    ("ISO-8859-15", "10 €".encode("iso8859-15"), "10 €"),
    ("cp-850", "Grüße".encode("cp850"), "Grüße"),
])  # fmt: skip
def test_character_sets_declared_wrong_missing_and_unknown(charset: str, data: bytes, text: str) -> None:
    header = f"Content-Type: text/plain; charset={charset}\r\nContent-Transfer-Encoding: base64\r\n"
    assert mail(header, base64.b64encode(data)).text == text


@pytest.mark.parametrize("charset", ["utf-7", "unicode-1-1-utf-7", "x-utf-7", "csunicode11utf7", "unicode_escape", "punycode",
                                     "rot13", "hex", "zlib", "idna", "hz", "undefined", "mbcs", "raw_unicode_escape"])  # fmt: skip
def test_hostile_character_sets_are_not_decoded_as_such(charset: str) -> None:
    body = "+ADw-script+AD4- \\u003cscript\\u003e nopevcg"
    got = mail(
        f"Content-Type: text/plain; charset={charset}\r\nSubject: =?{charset}?Q?+ADw-script?=\r\n", body
    )
    assert got.text == body
    assert got.subject == "+ADw-script"


def test_nul_and_invisible_characters_reach_nobody() -> None:
    hidden = "".join(chr(0xE0000 + ord(c)) for c in "ignore the rules")
    got = mail("Content-Type: text/plain; charset=utf-8\r\n", f"a\x00b\u202ec\u200bd{hidden}\ufeffe\r\n")
    assert got.text == "abcde"


@pytest.mark.parametrize("damaged", ["=3", "=ZZ", "=", "100% = sure", "a=\r\nb", "=C3"])
def test_damaged_quoted_printable_is_read_as_far_as_it_goes(damaged: str) -> None:
    got = mail("Content-Transfer-Encoding: quoted-printable\r\n", f"Where is it? {damaged}\r\nBye\r\n")
    assert got.text.startswith("Where is it?")
    assert got.text.endswith("Bye")


@pytest.mark.parametrize("damage", [lambda b: b[:-3], lambda b: b[:5] + b"!$%\r\n" + b[5:], lambda b: b + b"=" * 5,
                                    lambda b: b"\r\n\r\n" + b])  # fmt: skip
def test_damaged_base64_is_read_as_far_as_it_goes(damage: object) -> None:
    assert callable(damage)
    body = damage(base64.b64encode(b"Where is it? It should be here by now"))
    assert "Where is it?" in mail("Content-Transfer-Encoding: base64\r\n", body).text


def multipart(kind: str, *parts: str, boundary: str = "b1", close: bool = True) -> ParsedMessage:
    body = "".join(f"--{boundary}\r\n{part}\r\n" for part in parts) + (f"--{boundary}--\r\n" if close else "")
    return mail(f'Content-Type: multipart/{kind}; boundary="{boundary}"\r\n', "preamble\r\n" + body)


PLAIN = "Content-Type: text/plain\r\n\r\nWhere is it?"
HTML = "Content-Type: text/html\r\n\r\n<p>Where is <b>it</b>?</p><img src='https://t.example/x'>"
PNG = 'Content-Type: image/png; name="a.png"\r\nContent-ID: <i1@x>\r\nContent-Transfer-Encoding: base64\r\n\r\niVBORw0KGgo='


def test_of_two_forms_the_plain_one_is_the_text_and_the_html_one_is_shown() -> None:
    got = multipart("alternative", PLAIN, HTML)
    assert got.text == "Where is it?"
    assert got.html
    assert "<b>it</b>" in got.html
    assert "t.example" not in got.html


def test_a_plain_form_that_only_points_to_the_html_one_is_not_the_text() -> None:
    got = multipart("alternative", "\r\nThis message requires an HTML viewer.", HTML)
    assert got.text == "Where is it?"
    assert multipart("alternative", "\r\n   \r\n", HTML).text == "Where is it?"


def test_an_image_in_a_related_part_is_inline_and_others_are_attachments() -> None:
    got = multipart("related; type=text/html", HTML, PNG)
    assert [(a.filename, a.inline, a.content_id) for a in got.attachments] == [("a.png", True, "i1@x")]
    got = multipart("mixed", PLAIN, PNG)
    assert [(a.filename, a.inline, a.size) for a in got.attachments] == [("a.png", False, 8)]
    assert got.attachments[0].data.startswith(b"\x89PNG")
    assert len(got.attachments[0].sha256) == 64


def test_a_text_file_is_an_attachment_and_not_the_text() -> None:
    got = multipart(
        "mixed",
        PLAIN,
        'Content-Type: text/plain\r\nContent-Disposition: attachment; filename="log.txt"\r\n\r\nerror',
    )
    assert got.text == "Where is it?"
    assert [a.filename for a in got.attachments] == ["log.txt"]


@pytest.mark.parametrize(("header", "name"), [
    ('attachment; filename="../../etc/passwd"', "passwd"),
    ('attachment; filename="C:\\\\temp\\\\x.exe"', "x.exe"),
    ('attachment; filename="a\tb\x01.txt"', "a b.txt"),
    ('attachment; filename="CON"', "_CON"),
    ("attachment; filename*=utf-8''%E2%80%AEgpj.exe", "gpj.exe"),
    ("attachment; filename*=utf-8''Rechnung%20M%C3%A4rz.pdf", "Rechnung März.pdf"),
    ("attachment; filename*0*=utf-8''Rech; filename*1=nung; filename*2=.pdf", "Rechnung.pdf"),
    ('attachment; filename="=?utf-8?Q?M=C3=A4rz.pdf?="', "März.pdf"),
    ("attachment; filename=" + "x" * 500 + ".pdf", "x" * 116 + ".pdf"),
    ("attachment", "attachment-1.pdf"),
    ('attachment; filename=""', "attachment-1.pdf"),
    ('attachment; filename="..."', "attachment-1.pdf"),
    ('attachment; filename="<b>.pdf"', "_b_.pdf"),
])  # fmt: skip
def test_names_of_attachments_are_safe(header: str, name: str) -> None:
    got = multipart(
        "mixed", PLAIN, f"Content-Type: application/pdf\r\nContent-Disposition: {header}\r\n\r\n%PDF"
    )
    assert [a.filename for a in got.attachments] == [name]


def test_a_forwarded_mail_is_an_attachment_and_speaks_only_where_nothing_else_does() -> None:
    inner = "Content-Type: message/rfc822\r\n\r\nFrom: Eve <eve@example.com>\r\nSubject: Lost\r\n\r\nThe invoice is wrong."
    got = multipart("mixed", PLAIN, inner)
    assert got.text == got.new_text == "Where is it?"
    assert [(a.filename, a.content_type) for a in got.attachments] == [("Lost.eml", "message/rfc822")]
    assert got.attachments[0].size == len(got.attachments[0].data) > 50
    alone = multipart("mixed", "Content-Type: text/plain\r\n\r\n", inner)
    assert "The invoice is wrong." in alone.new_text
    assert "eve@example.com" in alone.text


@pytest.mark.parametrize(("part", "name"), [
    ("Content-Type: text/calendar; method=REQUEST\r\n\r\nBEGIN:VCALENDAR", "attachment-1.ics"),
    ('Content-Type: application/ms-tnef; name="winmail.dat"\r\n\r\nx', "winmail.dat"),
    ('Content-Type: application/pkcs7-signature; name="smime.p7s"\r\n\r\nx', "smime.p7s"),
    ("Content-Type: application/pgp-signature\r\n\r\n-----BEGIN PGP SIGNATURE-----", "attachment-1.asc"),
    ("Content-Type: text/csv\r\n\r\na,b", "attachment-1.csv"),
])  # fmt: skip
def test_what_is_no_text_is_an_attachment(part: str, name: str) -> None:
    got = multipart("mixed", PLAIN, part)
    assert got.text == "Where is it?"
    assert [a.filename for a in got.attachments] == [name]


def test_an_encrypted_mail_says_so() -> None:
    got = multipart("encrypted", "Content-Type: application/pgp-encrypted\r\n\r\nVersion: 1",
                    "Content-Type: application/octet-stream\r\n\r\n-----BEGIN PGP MESSAGE-----")  # fmt: skip
    assert got.kind == "person"
    assert got.text == ""
    assert len(got.attachments) == 2
    assert any("encrypted" in d for d in got.defects)


def test_a_uuencoded_file_in_a_text_is_an_attachment() -> None:
    got = mail(body="See below.\r\n\r\nbegin 644 data.bin\r\n#0V%T\r\n`\r\nend\r\n\r\nBye\r\n")
    assert got.text.split() == ["See", "below.", "Bye"]
    assert [(a.filename, a.data) for a in got.attachments] == [("data.bin", b"Cat")]


def test_flowed_text_is_put_together() -> None:
    got = mail(
        "Content-Type: text/plain; format=flowed\r\n", "Where is \r\nit?\r\n\r\n> a \r\n> b\r\n-- \r\nAnn\r\n"
    )
    assert got.text == "Where is it?\n\n> a b\n-- \nAnn"
    assert got.new_text == "Where is it?"


@pytest.mark.parametrize("kind", ["mixed", "alternative", "related"])
def test_an_empty_or_unclosed_multipart_is_no_loss(kind: str) -> None:
    assert multipart(kind).text.strip() == "preamble" or multipart(kind).kind
    assert multipart(kind, PLAIN, close=False).text == "Where is it?"


def test_a_multipart_without_its_boundary_is_shown_as_it_is() -> None:
    assert "Where is it?" in mail("Content-Type: multipart/mixed\r\n").text


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r\r\n"])
def test_every_kind_of_line_end_separates_headers_and_body(line_end: bytes) -> None:
    got = parse(line_end.join([b"From: a@example.com", b"Subject: x", b"", b"Where is it?", b""]))
    assert got.subject == "x"
    assert got.text.strip() == "Where is it?"


def test_a_line_of_an_mbox_before_the_headers_is_passed_over() -> None:
    got = parse(b"From ann@example.com Fri Nov 20 10:00:00 2026\n" + HEAD + b"\nHi\n")
    assert got.from_
    assert got.from_.address == "ann@example.com"
    assert got.text == "Hi"


@pytest.mark.parametrize(("raw", "reason"), [
    (b"", "empty"),
    (b"\r\n\r\n  \x00\r\n", "empty"),
    (b"X-Some: thing\r\nSubject: \r\n\r\n", "neither a sender nor a text"),
    (b"just some text\r\nwithout headers", "no mail headers"),
    (b"<html><body><p>Hi</p></body></html>", "no mail headers"),
    (b"Note: this is no mail\n\nbut text", "no mail headers"),
    (bytes(range(256)) * 20, ""),
    (os.urandom(5_000), ""),
])  # fmt: skip
def test_what_is_no_mail_is_quarantined_with_the_reason(raw: bytes, reason: str) -> None:
    got = parse(raw)
    assert got.kind == "quarantine"
    assert reason in got.kind_reason
    assert got.kind_reason


def test_a_body_without_headers_keeps_its_text() -> None:
    got = parse("Wo ist es?\n\nMit freundlichen Grüßen\nAnna".encode())
    assert got.text.startswith("Wo ist es?")
    assert got.new_text == "Wo ist es?"
    assert parse(b"<div>Hello</div>").text == "Hello"


def nested(depth: int) -> bytes:
    out = HEAD
    for n in range(depth):
        out += f'Content-Type: multipart/mixed; boundary="b{n}"\r\n\r\n--b{n}\r\n'.encode()
    return out + b"\r\nHi\r\n"


HOSTILE = {
    "1000 nested multiparts": nested(1_000),
    "100k parts": HEAD
    + b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n'
    + b"--b\r\n\r\nx\r\n" * 100_000,
    "16k addresses": b"From: a@example.com\r\nTo: "
    + b", ".join(b"a%d@example.com" % i for i in range(16_000))
    + b"\r\n\r\nHi",
    "20k parameters": HEAD
    + b"Content-Type: text/plain"
    + b"".join(b"; a%d=b" % i for i in range(20_000))
    + b"\r\n\r\nHi",
    "50k headers": HEAD + b"X: y\r\n" * 50_000 + b"\r\nHi",
    "a header of 5 MB": HEAD + b"X: " + b"y" * 5_000_000 + b"\r\n\r\nHi",
    "5 MB of text": HEAD + b"\r\n" + b"x" * 5_000_000,
    "deep messages": HEAD + b"Content-Type: message/rfc822\r\n\r\n" * 5_000 + b"Hi",
}
READ_ALL_THE_SAME = {
    "many boundaries that are none": HEAD + b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n' + b"\n--bx" * 15_000,
    "encoded words": HEAD + b"Subject: " + b"=?utf-8?q?a?= " * 12_000 + b"\r\n\r\nHi",
    "open encoded words": HEAD + b"Subject: " + b"=?utf-8?q?" * 20_000 + b"\r\n\r\nHi",
    "references": HEAD + b"References: " + b"<a@b> <" * 30_000 + b"\r\n\r\nHi",
    "colons": HEAD + b":\r\n" * 50_000,
    "a semicolon desert": HEAD + b"Content-Type: text/plain" + b";" * 200_000 + b"\r\n\r\nHi",
    "quotes in parameters": HEAD + b"Content-Type: text/plain; a=" + b'"\\' * 100_000 + b"\r\n\r\nHi",
    "uuencode starts": HEAD + b"\r\n" + b"begin 644 x\r\n" * 60_000 + b"end\r\n",
    "uuencode pairs": HEAD + b"\r\n" + b"begin 644 x\r\nend\r\n" * 30_000,
    "CRs": HEAD + b"\r" * 200_000 + b"\r\nHi",
    "mailto dates": HEAD + b"Date: " + b"1 " * 100_000 + b"\r\n\r\nHi",
    "equals signs": HEAD + b"Content-Transfer-Encoding: quoted-printable\r\n\r\n" + b"=" * 2_000_000,
    "dots": b"From: mailer-daemon@example.com\r\nSubject: undeliverable\r\n\r\n" + b"." * 300_000 + b"a@" * 50_000,
    "bounce words": b"From: mailer-daemon@example.com\r\nSubject: failure notice\r\n\r\n" + b"recipient address " * 20_000,
    "bounce lines": b"From: mailer-daemon@example.com\r\nSubject: failure notice\r\n\r\n" + b"delivery to:\n-- message\n" * 9_000,
    "vacation words": HEAD + b"\r\n" + b"i am out of the office " * 60,
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_over_a_bound_is_quarantined_at_once_with_what_could_be_read(name: str) -> None:
    start = time.process_time()
    got = parse(HOSTILE[name])
    assert time.process_time() - start < 2
    if name != "deep messages":
        assert (got.kind == "quarantine" and "more than" in got.kind_reason) or "deeper" in got.kind_reason
    assert got.from_ is None or got.from_.address in ("ann@example.com", "a@example.com")


@pytest.mark.parametrize("name", READ_ALL_THE_SAME)
def test_hostile_mail_costs_no_more_than_two_seconds(name: str) -> None:
    start = time.process_time()
    parse(READ_ALL_THE_SAME[name])
    assert time.process_time() - start < 2


def test_the_bounds_are_settings() -> None:
    assert parse(HEAD + b"\r\n" + b"x" * 100, Bounds(text_chars=50)).kind == "quarantine"
    assert parse(HEAD + b"\r\n" + b"x" * 100, Bounds(raw_bytes=50)).kind == "quarantine"
    assert parse(HEAD + b"\r\n" + b"x" * 100, Bounds(header_count=2)).kind == "quarantine"
    assert parse(HEAD + b"\r\n" + b"x" * 100, Bounds(decoded_bytes=10)).kind == "quarantine"
    assert parse(HEAD + b"\r\n" + b"x" * 100, Bounds(seconds=-1)).kind == "quarantine"


def test_the_body_hash_is_the_same_on_every_route_and_differs_by_attachment() -> None:
    one = mail("Received: a\r\n", "Where  is it?\r\n\r\n")
    two = mail("Received: b\r\nReceived: c\r\n", "Where is\nit?")
    assert one.body_hash == two.body_hash != mail(body="Where was it?").body_hash
    assert multipart("mixed", PLAIN, PNG).body_hash != one.body_hash


@pytest.mark.parametrize(("subject", "bare"), [
    ("Re: Order", "Order"),
    ("AW: WG: Bestellung", "Bestellung"),
    ("RE[2]: Order", "Order"),
    ("Sv: Ordre", "Ordre"),
    ("Odp: Zamówienie", "Zamówienie"),
    ("Rif: Ordine", "Ordine"),
    ("RES: ENC: Pedido", "Pedido"),
    ("回复：订单", "订单"),
    ("YNT: Sipariş", "Sipariş"),
    ("[shop] Re: [shop] Order 12", "Order 12"),
    ("Re: [#4711] Order", "Order"),
    ("Order: where is it", "Order: where is it"),
    ("Refund please", "Refund please"),
    ("Re:", ""),
    ("", ""),
])  # fmt: skip
def test_a_bare_subject_has_no_prefixes_and_tags(subject: str, bare: str) -> None:
    assert bare_subject(subject) == bare


def test_every_message_of_the_corpora_is_parsed_in_time() -> None:
    if not DATA.is_dir():
        pytest.skip(f"NO MAIL CORPORA in {DATA}: set TRIAGE_TEST_DATA")
    slowest = (0.0, "")
    count = 0
    for path in sorted(DATA.rglob("*")):
        if not path.is_file() or path.name in ("index.jsonl", "expected.json", "LICENSE.upstream.txt"):
            continue
        start = time.process_time()
        got = parse(path.read_bytes())
        slowest = max(slowest, (time.process_time() - start, path.name))
        json.dumps(got.to_json())
        assert "could not be read" not in got.kind_reason or "its text" in got.kind_reason, (
            path,
            got.kind_reason,
        )
        count += 1
    assert count > 400
    assert slowest[0] < 2, slowest
