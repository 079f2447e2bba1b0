"""Mutated mail: `parse` never raises, never hangs, and never lets a control character through.

The seeds are our own; with the mail corpora at hand they are mutated too. A run is small by default and of fixed
seed; `TRIAGE_FUZZ_SECONDS` sets how long it goes on, `TRIAGE_FUZZ_SEED` where it starts, `TRIAGE_FUZZ_KEEP` the
folder that a mail is written to on which it fails. (`TRIAGE_TEST_FUZZ_…` are the same names.)
"""

# ruff: noqa: E501 - mails stand as they arrive

from __future__ import annotations

import json
import os
import random
import re
import time
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.ingest.mime import parse

DATA = Path(os.environ.get("TRIAGE_TEST_DATA") or Path(__file__).parents[2] / "../shared/data") / "mail"
SECONDS = float(os.environ.get("TRIAGE_FUZZ_SECONDS") or os.environ.get("TRIAGE_TEST_FUZZ_SECONDS") or 3)
SEED = int(os.environ.get("TRIAGE_FUZZ_SEED") or os.environ.get("TRIAGE_TEST_FUZZ_SEED") or 20261120)
KEEP = os.environ.get("TRIAGE_FUZZ_KEEP") or os.environ.get("TRIAGE_TEST_FUZZ_KEEP")

SEEDS = [
    b"From: Ann <ann@example.com>\r\nTo: shop@example.org\r\nSubject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?=\r\nDate: Fri, 20 Nov 2026 "
    b"10:00:00 +0100\r\nMessage-ID: <1@example.com>\r\nContent-Type: text/plain; charset=utf-8; format=flowed\r\n\r\n"
    b"Where is it?\r\n\r\nBest regards,\r\nAnn\r\n\r\nOn Mon, Jun 3, 2024 at 12:53 AM Cody <c@example.com> wrote:\r\n> Hi\r\n",
    b'From: "Smith, A" <a@example.com>\r\nContent-Type: multipart/mixed; boundary="b1"\r\n\r\n--b1\r\nContent-Type: '
    b'multipart/alternative; boundary="b2"\r\n\r\n--b2\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: '
    b"quoted-printable\r\n\r\na=3Db=\r\n\r\n--b2\r\nContent-Type: text/html; charset=windows-1252\r\n\r\n<div class=gmail_quote>"
    b'On x wrote:<blockquote type="cite">q</blockquote></div><p style="display:none">h</p>\r\n--b2--\r\n--b1\r\nContent-Type: '
    b"image/png; name*0*=utf-8''a%20; name*1=b.png\r\nContent-Transfer-Encoding: base64\r\n\r\niVBORw0KGgo=\r\n--b1\r\n"
    b"Content-Type: message/rfc822\r\n\r\nFrom: x@y.example\r\n\r\ninner\r\n--b1--\r\n",
    b"Return-Path: <>\r\nFrom: MAILER-DAEMON@mx.example.com\r\nSubject: failure notice\r\nContent-Type: multipart/report; "
    b'report-type=delivery-status; boundary="r"\r\n\r\n--r\r\n\r\nThe following addresses failed:\r\n\r\n<n@example.net>: 550 '
    b"unknown\r\n--r\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; x\r\n\r\nFinal-Recipient: rfc822; "
    b"n@example.net\r\nAction: failed\r\nStatus: 5.1.1\r\n--r--\r\n",
    b"Von: Cody\nGesendet: Montag\nAn: x\nBetreff: y\n\nText\n-- \nAnn\nbegin 644 a.bin\n#0V%T\n`\nend\n",
]  # fmt: skip
FRAGMENTS = [
    b"\r\n", b"\n", b"\r", b"\x00", b"--b1", b"--b1--", b"=?utf-8?B?", b"?=", b"=?", b"<", b">", b'"', b"(", b"\\", b"@", b";", b":",
    b"boundary=", b"Content-Type: multipart/mixed; boundary=b1\r\n", b"Content-Type: message/rfc822\r\n\r\n", b"charset=utf-7",
    b"charset=utf-16", b"Content-Transfer-Encoding: base64\r\n", b"\xff\xfe", b"\xed\xa0\x80", b"\xe2\x80\xae", b"From: ", b"From ",
    b"> ", b"On 3 Jun 2024 wrote:", b"-----Original Message-----", b"<div>", b"</div>", b"<blockquote>", b"<!--", b"&#x202e;", b"&#0;",
    b"begin 644 x\n", b"\nend\n", b"*0*=", b"%", b"=", b"=\r\n", b"begin 644 a/b\n#0V%T\n`\nend\n", b"\x1b$B", b"_" * 40, b"-- \n",
]  # fmt: skip
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\ud800-\udfff]")


def judged(raw: bytes) -> None:
    start = time.process_time()
    got = parse(raw)
    spent = time.process_time() - start
    assert spent < 2, spent
    assert not got.kind_reason.startswith("it could not be read ("), got.kind_reason
    document = got.to_json()
    json.dumps(document).encode()
    for text in (got.text, got.new_text, got.html or ""):
        assert not _CONTROL.search(text), _CONTROL.search(text)
        text.encode()
    names = [a.name + a.address for a in (got.from_, *got.to, *got.cc, *got.reply_to) if a]
    for line in (got.subject, got.message_id, got.in_reply_to or "", *got.references, *names, got.return_path or "",
                 *got.authentication_results, *(a.filename for a in got.attachments), *got.defects):  # fmt: skip
        assert not _CONTROL.search(line), line
        assert "\n" not in line, line
    for attachment in got.attachments:
        assert "/" not in attachment.filename
        assert "\\" not in attachment.filename
        assert attachment.filename
    if got.text.strip():
        assert got.new_text.strip()


def mutated(dice: random.Random, raw: bytes, others: list[bytes]) -> bytes:
    data = bytearray(raw)
    for _ in range(dice.choice((1, 1, 2, 3, 5, 9, 20))):
        at = dice.randrange(len(data) + 1)
        span = dice.choice((1, 1, 2, 4, 16, 80, 400))
        match dice.randrange(8):
            case 0:
                data[at : at + span] = b""
            case 1:
                data[at:at] = dice.choice(FRAGMENTS)
            case 2:
                data[at : at + span] = dice.choice(FRAGMENTS)
            case 3:
                data[at : at + span] = dice.randbytes(min(span, 16))
            case 4:
                piece = bytes(data[at : at + span])
                data[at:at] = piece * dice.choice((1, 2, 10, 60))
            case 5:
                other = dice.choice(others)
                cut = dice.randrange(len(other) + 1)
                data[at : at + span] = other[cut : cut + dice.choice((20, 200, 2_000))]
            case 6:
                data[at:at] = dice.choice(FRAGMENTS) * dice.choice((2, 30, 300))
            case _:
                if data:
                    data[at % len(data)] = dice.randrange(256)
        del data[200_000:]
    return bytes(data)


def test_mutated_mail_never_raises_hangs_or_leaks_control_characters() -> None:
    dice = random.Random(SEED)
    seeds = list(SEEDS)
    if DATA.is_dir():
        files = sorted(
            p for p in DATA.rglob("*") if p.is_file() and p.suffix != ".jsonl" and p.suffix != ".json"
        )
        seeds += [raw for raw in (p.read_bytes() for p in files) if len(raw) < 60_000]
    until = time.monotonic() + SECONDS
    rounds = 0
    while time.monotonic() < until:
        raw = mutated(dice, dice.choice(seeds), seeds)
        try:
            judged(raw)
        except BaseException:
            if KEEP:
                Path(KEEP, f"fuzz-{SEED}-{rounds}.eml").write_bytes(raw)
            print(f"round {rounds} of seed {SEED}: {raw[:2_000]!r}")
            raise
        rounds += 1
    assert rounds > 5


@settings(
    max_examples=int(60 * max(1.0, SECONDS / 3)), deadline=None, suppress_health_check=list(HealthCheck)
)
@given(st.binary(max_size=2_000))
def test_any_bytes_are_parsed(raw: bytes) -> None:
    judged(raw)


@settings(
    max_examples=int(60 * max(1.0, SECONDS / 3)), deadline=None, suppress_health_check=list(HealthCheck)
)
@given(st.lists(st.sampled_from([*FRAGMENTS, b"a", b" ", b"Subject: x", b"\r\n\r\n"]), max_size=60))
def test_any_sequence_of_fragments_is_parsed(pieces: list[bytes]) -> None:
    judged(b"From: a@example.com\r\n" + b"".join(pieces))
