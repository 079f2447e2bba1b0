"""Measures `triage ingest` of 5,000 mails of about 20 kB against the bare interpreter's parse; Markdown to stdout.

.venv/bin/python -m tests.bench.ingest [--mails N] [--keep DIR]
"""

# ruff: noqa: SIM905 - a list of words reads best as words

from __future__ import annotations

import argparse
import contextlib
import email
import email.policy
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path

from tests.bench.classify import table
from tests.kit import places

TRIAGE = Path(sys.executable).with_name("triage")
SEED = 20261123
MAIL_BYTES = 20_000

_WORDS = (
    "order invoice parcel account password refund delivery address card the a my our your and but when since "
    "yesterday still not arrived please could you help me with this again thanks nothing happens after I click "
    "button page says error code number which is shown below we have been waiting for two weeks now it would be "
    "great to hear from somebody soon für größer façade niño świat"
).split()


@dataclass(frozen=True, slots=True)
class Spent:
    """Seconds on the clock, and seconds of the processor of this side of the work."""

    wall_s: float
    cpu_s: float


def sentence(dice: random.Random) -> str:
    words = dice.choices(_WORDS, k=dice.randint(6, 18))
    return " ".join(words).capitalize() + dice.choice((".", ".", "?", "!"))


def prose(dice: random.Random, size: int) -> str:
    """Paragraphs of about `size` characters, lines of at most 78."""
    lines: list[str] = []
    length = 0
    while length < size:
        line = ""
        for word in " ".join(sentence(dice) for _ in range(dice.randint(2, 5))).split():
            if len(line) + len(word) > 76:
                lines.append(line)
                length += len(line) + 1
                line = ""
            line = f"{line} {word}".strip()
        lines += [line, ""]
        length += len(line) + 2
    return "\n".join(lines)


def reply(dice: random.Random, size: int) -> str:
    """New text above a signature and two levels of quotes."""
    old = prose(dice, size // 2).split("\n")
    older = prose(dice, size // 4).split("\n")
    return "\n".join(
        [
            prose(dice, size // 4),
            "Kind regards,",
            "Ann Miller",
            "",
            "On Mon, 23 Nov 2026 at 09:00, Support <support@shop.example> wrote:",
            *(f"> {line}" for line in old),
            "> On Sun, 22 Nov 2026 at 08:00, Ann Miller <ann@customer.example> wrote:",
            *(f">> {line}" for line in older),
        ]
    )


def page(text: str) -> str:
    """The text as a mail program's HTML."""
    style = "font-family:Arial,Helvetica,sans-serif;font-size:14px;color:#222222;margin:0 0 12px 0"
    body = "".join(
        f'<div style="{style}"><span>{paragraph}</span>'
        f'<a href="https://shop.example/help?q={number}">see here</a></div>\n'
        for number, paragraph in enumerate(text.replace("&", "&amp;").split("\n\n"))
    )
    return f"<!DOCTYPE html><html><head><style>p {{ margin: 0 }}</style></head><body>{body}</body></html>"


def mail(dice: random.Random, number: int, size: int = MAIL_BYTES) -> bytes:
    """One mail of about `size` bytes, by turns plain, plain and HTML, HTML alone, a reply, with a file."""
    message = EmailMessage(policy=email.policy.SMTP)
    message["From"] = f"Ann Miller {number % 977} <ann.{number % 977}@customer.example>"
    message["To"] = "Shop support <support@shop.example>"
    message["Subject"] = ("Re: " if number % 5 == 3 else "") + sentence(dice)[:60]
    message["Date"] = f"Mon, {1 + number % 28:02} Nov 2026 {number % 24:02}:{number % 60:02}:00 +0100"
    message["Message-ID"] = f"<{dice.getrandbits(64):x}.{number}@customer.example>"
    for hop in range(4):
        message["Received"] = (
            f"from mx{hop}.customer.example (mx{hop}.customer.example [192.0.2.{hop + 1}]) by mail{hop}.shop"
            f".example with ESMTPS id {dice.getrandbits(64):x} for <support@shop.example>; "
            "Mon, 23 Nov 2026 09:00:00 +0100"
        )
    message["DKIM-Signature"] = "v=1; a=rsa-sha256; d=customer.example; s=m; h=from:to; b=" + "A" * 172
    kind = number % 5
    if kind == 0:
        message.set_content(prose(dice, size - 2_000), cte="8bit")
    elif kind == 1:
        text = prose(dice, size // 4)
        message.set_content(text, cte="quoted-printable")
        message.add_alternative(page(text + prose(dice, size // 4)), subtype="html", cte="quoted-printable")
    elif kind == 2:
        message.set_content(page(prose(dice, size * 2 // 3)), subtype="html", cte="8bit")
    elif kind == 3:
        message.set_content(reply(dice, size - 2_000), cte="8bit")
    else:
        message.set_content(prose(dice, size // 6))
        message.add_attachment(
            dice.randbytes(size * 5 // 9), maintype="image", subtype="jpeg", filename=f"photo-{number}.jpg"
        )
    return message.as_bytes()


def write_mails(folder: Path, count: int, seed: int = SEED) -> int:
    """`count` mails as files in `folder`; returns their bytes."""
    dice = random.Random(seed)
    total = 0
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        raw = mail(dice, number)
        (folder / f"{number:06}.eml").write_bytes(raw)
        total += len(raw)
    return total


def bare_compat32(raw: bytes) -> object:
    return email.message_from_bytes(raw, policy=email.policy.compat32)


def bare_default(raw: bytes) -> object:
    """The interpreter's modern parse, and the text of the body: what a program at least asks for."""
    message = email.message_from_bytes(raw, policy=email.policy.default)
    body = message.get_body(("plain", "html"))
    return body.get_content() if body is not None else ""


def bare_headers(raw: bytes) -> object:
    """The same, and the headers that any program about mail reads; the interpreter parses them when asked."""
    message = email.message_from_bytes(raw, policy=email.policy.default)
    names = ("from", "to", "cc", "subject", "date", "message-id", "in-reply-to", "references")
    headers = [str(message[name]) for name in names]
    body = message.get_body(("plain", "html"))
    return headers, body.get_content() if body is not None else ""


def ours(raw: bytes) -> object:
    from pipeline.ingest.mime import parse

    parsed = parse(raw)
    assert parsed.kind == "person", parsed.kind_reason
    return parsed


def timed_parse(files: Sequence[Path], parse: Callable[[bytes], object]) -> Spent:
    wall, cpu = time.monotonic(), time.process_time()
    for path in files:
        parse(path.read_bytes())
    return Spent(time.monotonic() - wall, time.process_time() - cpu)


def timed_ingest(folder: Path, home: Path, database: str, expected: int) -> Spent:
    """The command itself, start-up included, into a migrated store; its counts are checked."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TRIAGE_")}
    environment = {**kept, "TRIAGE_HOME": str(home), "TRIAGE_DATABASE_URL": database}
    subprocess.run(
        [TRIAGE, "migrate"], check=True, env=environment, cwd=home, capture_output=True, timeout=120
    )
    before, wall = os.times(), time.monotonic()
    done = subprocess.run(
        [TRIAGE, "ingest", folder, "--json"],
        check=True,
        env=environment,
        cwd=home,
        capture_output=True,
        text=True,
    )
    spent = time.monotonic() - wall
    after = os.times()
    counts = json.loads(done.stdout)
    assert counts["received"] == counts["messages"] == expected, counts
    cpu_s = after.children_user - before.children_user + after.children_system - before.children_system
    return Spent(spent, cpu_s)


@contextlib.contextmanager
def databases(home: Path) -> Iterator[list[tuple[str, str]]]:
    """(name, address) of each database, fresh."""
    with places.postgres_server() as server, places.scratch_database(server) as postgres:
        yield [("SQLite", f"sqlite:///{home}/triage.db"), ("PostgreSQL", postgres)]


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--mails", type=int, default=5_000)
    arguments.add_argument("--keep", type=Path, help="write the mails there and keep them")
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="triage-bench-") as name:
        home = Path(name)
        folder = options.keep or home / "mails"
        total = write_mails(folder, options.mails)
        files = sorted(folder.glob("*.eml"))
        base_name = "the interpreter, policy.default and the body's text"
        spent = {
            "the interpreter, policy.compat32": timed_parse(files, bare_compat32),
            base_name: timed_parse(files, bare_default),
            "the interpreter, policy.default, eight headers and the text": timed_parse(files, bare_headers),
            "our parse alone (text, new text, clean HTML, files)": timed_parse(files, ours),
        }
        with databases(home) as fresh:
            for database, url in fresh:
                spent[f"`triage ingest` into {database}"] = timed_ingest(folder, home, url, len(files))
        spent[f"{base_name}, again"] = timed_parse(files, bare_default)
    base = Spent(
        (spent[base_name].wall_s + spent[f"{base_name}, again"].wall_s) / 2,
        (spent[base_name].cpu_s + spent[f"{base_name}, again"].cpu_s) / 2,
    )
    print(
        f"{len(files)} mails, {total / len(files) / 1000:.1f} kB on average: plain, plain and HTML, HTML, replies "
        "with quotes, with a file. Ratios are against the mean of the two runs of policy.default.\n"
    )
    rows = [
        [
            what,
            f"{one.wall_s:.1f}",
            f"{one.cpu_s:.1f}",
            f"{len(files) / one.wall_s:.0f}",
            f"{one.wall_s / base.wall_s:.2f}",
            f"{one.cpu_s / base.cpu_s:.2f}",
        ]
        for what, one in spent.items()
    ]
    print(table(["what", "wall s", "CPU s", "mails/s", "ratio of wall", "ratio of CPU"], rows))
    print(
        "\nThe CPU of `triage ingest` is the command's own, its start included; not the PostgreSQL server's."
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
