"""Prints how far our reading of mail agrees with what other projects expect of theirs, beside two libraries.

    python tests/bench/replies.py [--list] [--data DIR]

The corpora are read in place and never copied; each brings an `expected.json` in its own terms. Those terms are
turned into checks on results that all three readers have: the new text, the text with its signature, the signature,
and the messages of the thread. White space and lines of rules do not count. `--list` prints every disagreement.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.ingest import html as html_text
from pipeline.ingest.attribution import FORWARD_MARK, ORIGINAL_MARK, attributions, header_block, is_rule
from pipeline.ingest.mime import parse
from pipeline.ingest.quoting import split
from pipeline.ingest.subjects import bare_subject

Json = dict[str, Any]


@dataclass(frozen=True)
class Post:
    """One message of a thread as a reader sees it."""

    headers: str
    body: str
    signature: str
    content: str


@dataclass(frozen=True)
class Reading:
    """What a reader makes of one text; `reply` still has its signature on."""

    new_text: str
    reply: str
    signature: str
    posts: tuple[Post, ...]


Reader = Callable[[str, str, list[str]], Reading]


def ours(text: str, sender: str, languages: list[str]) -> Reading:
    posts: list[Post] = []
    rest, head = text, ""
    for _ in range(30):
        parts = split(rest, "", sender if not posts else "")
        posts.append(Post(head, parts.new_text, parts.signature, f"{head}\n{parts.reply}"))
        below = parts.quoted if parts.quoted.strip() else parts.forwarded
        if not below.strip() or below.strip() == rest.strip():
            break
        head, rest = _beneath(below)
        if not rest.strip():
            break
    first = split(text, "", sender)
    if first.new_text.strip() == text.strip() and first.quoted and len(posts) > 1:
        posts = posts[1:] if not first.reply.strip() else posts
    return Reading(first.new_text, first.reply, first.signature, tuple(posts))


def _beneath(quoted: str) -> tuple[str, str]:
    """`(headers, text)` of what was quoted, one level of quote marks taken off."""
    lines = quoted.split("\n")
    head: list[str] = []
    for _ in range(4):
        while lines and (
            not lines[0].strip()
            or is_rule(lines[0])
            or any(m.match(lines[0]) for m in (ORIGINAL_MARK, FORWARD_MARK))
        ):
            head.append(lines.pop(0))
        if not lines:
            break
        end = attributions(lines[:8]).get(0) or header_block(lines, 0)
        if end is None:
            break
        head.extend(lines[:end])
        lines = lines[end:]
    if lines and sum(line.startswith(">") for line in lines) * 2 >= sum(1 for line in lines if line.strip()):
        lines = [re.sub(r"^> ?", "", line) for line in lines]
    return "\n".join(head), "\n".join(lines)


def mail_parser_reply(text: str, sender: str, languages: list[str]) -> Reading:
    from mailparser_reply import EmailReplyParser

    mail = EmailReplyParser(languages=languages or ["en", "de", "fr", "es", "it", "nl", "pl", "ja"]).read(
        text
    )
    posts = tuple(
        Post(r.headers or "", r.body or "", r.signatures or "", r.content or "") for r in mail.replies
    )
    first = posts[0] if posts else Post("", "", "", "")
    return Reading(mail.latest_reply or "", first.content, first.signature, posts)


def email_reply_parser(text: str, sender: str, languages: list[str]) -> Reading:
    from email_reply_parser import EmailReplyParser  # type: ignore[import-untyped]

    message = EmailReplyParser.read(text)
    shown = [f.content for f in message.fragments if not f.quoted and not f.headers]
    signature = "\n".join(f.content for f in message.fragments if f.signature)
    quoted = "\n".join(f.content for f in message.fragments if f.quoted or f.headers)
    posts = [Post("", message.reply, signature, message.text)]
    if quoted.strip():
        posts.append(Post(quoted, quoted, "", quoted))
    return Reading(message.reply, "\n".join(shown), signature, tuple(posts))


READERS: dict[str, Reader] = {
    "triage": ours,
    "mail-parser-reply": mail_parser_reply,
    "email-reply-parser": email_reply_parser,
}


def same(one: str, other: str) -> bool:
    return squeezed(one) == squeezed(other)


def squeezed(text: str) -> str:
    lines = [line for line in text.split("\n") if not is_rule(line)]
    return " ".join(" ".join(lines).split())


def check_talon(entry: Json, folder: Path, reader: Reader) -> str | None:
    path = folder / entry["file"]
    raw = path.read_bytes()
    if not path.exists():
        return "the file is missing"
    if path.suffix == ".html":
        text = html_text.to_text(raw.decode("utf-8", "replace"))
    elif path.suffix == ".eml":
        text = parse(raw).text
    else:
        text = raw.decode("utf-8", "replace")
    if reader is not ours:
        text = html_text.without_marks(text)
    got = reader(text, entry.get("sender", ""), [])
    if entry["task"].startswith("strip_quotes"):
        wanted = entry["expected_reply"]
        # Whether a signature belongs to the reply is another question than where the quote begins.
        if same(got.reply, wanted) or same(got.new_text, wanted):
            return None
        return f"reply {got.reply!r}, expected {wanted!r}"
    wanted = entry["expected_signature"] or ""
    return None if same(got.signature, wanted) else f"signature {got.signature!r}, expected {wanted!r}"


def check_fragments(entry: Json, folder: Path, reader: Reader) -> str | None:
    text = (folder / entry["file"]).read_text("utf-8").replace("\r\n", "\n")
    got = reader(text, "", ["en"])
    if "visible_text" in entry:
        wanted = entry["visible_text"]
        return None if same(got.new_text, wanted) else f"new text {got.new_text!r}, expected {wanted!r}"
    if entry.get("n_fragments") == 1 and len(entry) <= 3:
        return None if same(got.new_text, text) else f"new text {got.new_text!r}, expected all of it"
    hidden = entry.get("hidden", [])
    quoted = entry.get("quoted", [])
    for number, wanted, is_regex in [
        *((int(n), w, False) for n, w in entry.get("fragment_equals", {}).items()),
        *((n, w, True) for n, w in entry.get("fragment_matches_regex", [])),
    ]:
        if not is_regex and not wanted.strip():
            continue
        if number < len(quoted) and quoted[number]:
            visible = False
        elif number < len(hidden):
            visible = not hidden[number]
        else:
            visible = number == 0
        if is_regex:
            found = re.search(wanted, got.new_text, re.M) is not None
        else:
            found = squeezed(wanted) in squeezed(got.new_text)
        if found != visible:
            return f"{wanted!r} is {'missing from' if visible else 'in'} the new text {got.new_text!r}"
    return None


_REPLY = re.compile(r"mail\.replies\[(\d+)\]\.(body|content|headers|signatures)$")


def check_replies(entry: Json, folder: Path, reader: Reader) -> str | None:
    text = (folder / entry["file"]).read_text("utf-8").replace("\r\n", "\n")
    got = reader(text, "", list(entry["languages"] or []))
    for check in entry["expect"]:
        expression, op, wanted = check["expr"], check["op"], check["value"]
        match = _REPLY.match(expression)
        if match:
            number = int(match.group(1))
            if number >= len(got.posts):
                return f"{expression}: only {len(got.posts)} messages"
            post = got.posts[number]
            value = {
                "body": post.body,
                "content": post.content,
                "headers": post.headers,
                "signatures": post.signature,
            }[match.group(2)]
            plain, target = re.sub(r"(?m)^(?:> ?)+", "", value), re.sub(r"(?m)^(?:> ?)+", "", str(wanted))
            holds = {
                "eq": same(plain, target),
                "contains": squeezed(target) in squeezed(plain),
                "not_contains": squeezed(target) not in squeezed(plain),
            }[op]
        elif expression == "len(mail.replies)":
            value = str(len(got.posts))
            holds = len(got.posts) == wanted
        elif expression.startswith("len(mail.latest_reply.split"):
            value = str(len(got.new_text.strip().split("\n")))
            holds = int(value) == wanted
        else:
            return f"a check that is not understood: {expression}"
        if not holds:
            return f"{expression} is {value[:300]!r}, expected {op} {wanted!r}"
    return None


def check_bounce(entry: Json, folder: Path, reader: Reader) -> str | None:
    parsed = parse((folder / entry["file"]).read_bytes())
    recipients = parsed.bounce.recipients if parsed.bounce else ()
    got = {r.address.lower() for r in recipients}
    wanted = {a.lower() for case in entry["cases"] for a in case["addresses"]}
    if got != wanted:
        return f"{parsed.kind}: {sorted(got)}, expected {sorted(wanted)}"
    temporary = any(case["temporary"] for case in entry["cases"])
    if wanted and any(r.permanent == temporary for r in recipients):
        return f"permanent is {temporary}, expected {not temporary}"
    return None


def check_subject(entry: Json, folder: Path, reader: Reader) -> str | None:
    got = bare_subject(entry["original_subject"], tags=False)
    wanted = entry["stripped_subject"]
    return None if same(got, wanted) else f"{entry['original_subject']!r}: {got!r}, expected {wanted!r}"


CORPORA: list[tuple[str, str, Callable[[Json, Path, Reader], str | None], bool]] = [
    ("talon", "expected.json", check_talon, True),
    ("email_reply_parser", "expected.json", check_fragments, True),
    ("mail-parser-reply", "expected.json", check_replies, True),
    ("flufl-bounce", "expected.json", check_bounce, False),
    ("zulip", "subjects.json", check_subject, False),
]


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--list", action="store_true", help="print every disagreement of ours")
    arguments.add_argument("--list-all", action="store_true", help="print those of the libraries too")
    default = os.environ.get("TRIAGE_TEST_DATA") or str(Path(__file__).parents[2] / "../shared/data")
    arguments.add_argument("--data", default=default, help="the folder that holds mail/")
    options = arguments.parse_args()
    mail = Path(options.data) / "mail"
    if not mail.is_dir():
        print(f"no mail corpora in {mail}: set TRIAGE_TEST_DATA or --data", file=sys.stderr)
        return 1
    total = dict.fromkeys(READERS, 0)
    cases_in_all = 0
    lines: list[str] = []
    print(f"| corpus | cases | {' | '.join(READERS)} |\n|---|---|{'---|' * len(READERS)}")
    for corpus, file, check, comparable in CORPORA:
        entries = json.loads((mail / corpus / file).read_text("utf-8"))
        scores: dict[str, str] = {}
        for name, reader in READERS.items():
            if not comparable and reader is not ours:
                scores[name] = "–"
                continue
            agreed = 0
            for entry in entries:
                problem = check(entry, mail / corpus, reader)
                agreed += problem is None
                if problem and (reader is ours or options.list_all):
                    lines.append(
                        f"{name}: {corpus}/{entry.get('file', '')} {entry.get('test', '')}: {problem}"
                    )
            scores[name] = str(agreed)
            total[name] += agreed if comparable else 0
        cases_in_all += len(entries) if comparable else 0
        print(f"| {corpus} | {len(entries)} | {' | '.join(scores.values())} |")
    print(f"| replies and signatures together | {cases_in_all} | {' | '.join(map(str, total.values()))} |")
    if options.list or options.list_all:
        print("\nDisagreements:\n" + "\n".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
