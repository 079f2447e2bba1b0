"""What the author of a mail wrote now: the quoted mails and the signature are taken out of its text."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pipeline.ingest.attribution import (
    FORWARD_MARK,
    ORIGINAL_MARK,
    attributions,
    header_block,
    is_rule,
    is_ruled_title,
    label_of,
    loose_attribution,
)
from pipeline.ingest.html import FORWARD_BELOW, REPLY_BELOW, SIGNATURE_END, SIGNATURE_START
from pipeline.ingest.signatures import cut_signature, without_banner
from pipeline.ingest.subjects import is_forward

_QUOTED = re.compile(r"\s{0,3}(?:>|＞|[A-Z]{1,3}> )")
_FROM_ESCAPE = re.compile(r">From [^\s:]")
_CLEARSIGNED = re.compile(
    r"-----BEGIN PGP SIGNED MESSAGE-----\n(?:Hash:[^\n]*\n|Charset:[^\n]*\n)*\n?(.*?)\n"
    r"-----BEGIN PGP SIGNATURE-----.*?(?:-----END PGP SIGNATURE-----|\Z)",
    re.S,
)


@dataclass(frozen=True, slots=True)
class Split:
    """A text taken apart. `new_text` is never empty unless the text is.

    `reply` is the author's text with the signature still on; `quoted` is what was quoted, as it stands.
    """

    new_text: str
    reply: str
    signature: str
    quoted: str
    forwarded: str


def split(text: str, subject: str = "", sender: str = "") -> Split:
    """New text, signature and quotes of a body (HTML's private marks may still be in it).

    `subject` tells a forward from a reply where both quote alike; what somebody forwards is new to the thread
    and stays (it is `forwarded`, too). `sender` is the display name, by which a bare name at the end is known
    as a signature.
    """
    whole = text
    if "-----BEGIN PGP SIGNED" in text:
        text = _CLEARSIGNED.sub(r"\1", text)
    author = _Author(text.strip("\n").split("\n"), is_forward(subject))
    author.read()
    segments = [s for s in author.segments if any(line.strip() for line in s)]
    if not segments and not author.forwarded:
        return _whole(whole, author.quoted)
    reply = "\n\n".join(_join(s) for s in segments)
    signatures: list[str] = list(author.signatures)
    kept = [list(s) for s in segments]
    for index in sorted({0, len(kept) - 1}) if kept else ():
        kept[index], signature = cut_signature(kept[index], sender, all_of_it=index > 0)
        signatures.extend(signature)
    if kept:
        kept[0] = without_banner(kept[0])
    new_text = "\n\n".join(joined for joined in (_join(s) for s in kept) if joined)
    if author.forwarded:
        forwarded = _join(author.forwarded)
        new_text = f"{new_text}\n\n{forwarded}" if new_text else forwarded
        reply = f"{reply}\n\n{forwarded}" if reply else forwarded
    signature_text = "\n".join(signatures).strip("\n")
    quoted = "\n".join(author.quoted).strip("\n")
    if not new_text.strip():
        if not reply.strip():
            return _whole(whole, author.quoted)
        new_text = reply
    return Split(new_text, reply, signature_text, quoted, _join(author.forwarded))


def _whole(text: str, quoted: list[str]) -> Split:
    kept = _join(text.split("\n"))
    return Split(kept, kept, "", "\n".join(quoted).strip("\n"), "")


_MARKS = frozenset((FORWARD_BELOW, REPLY_BELOW, SIGNATURE_END, SIGNATURE_START))


_MANY_EMPTY = re.compile(r"\n{4,}")


def _join(lines: list[str]) -> str:
    joined = "\n".join([line.rstrip() for line in lines]).strip("\n")
    if not joined.isascii() and any(mark in joined for mark in _MARKS):
        joined = "\n".join(
            line for line in joined.split("\n") if not (line and line.strip("> ") in _MARKS)
        ).strip("\n")
    return _MANY_EMPTY.sub("\n\n\n", joined) if "\n\n\n\n" in joined else joined


class _Author:
    """One pass over the lines: the author's segments, the quotes between them, and where the rest is quoted."""

    def __init__(self, lines: list[str], forward_subject: bool) -> None:
        self.lines = lines
        self.forward_subject = forward_subject
        self.segments: list[list[str]] = []
        self.current: list[str] = []
        self.says = False
        self.quoted: list[str] = []
        self.signatures: list[str] = []
        self.forwarded: list[str] = []

    def read(self) -> None:
        lines = self.lines
        wrote = attributions(lines)
        at = 0
        while at < len(lines):
            line = lines[at]
            first = line[:1]
            if first in _MARKS:
                following = self._mark(at, line)
            elif first in (">", "＞") or (
                (first in (" ", "\t") or line[1:4].find("> ") >= 0) and _QUOTED.match(line)
            ):
                following = self._quote(at)
            elif at in wrote:
                following = self._attribution(at, wrote[at])
            elif first and len(line) < _MAX_OPENING and self._may_open(line):
                following = self._opening(at)
            else:
                following = None
            if following is None:
                self.current.append(line)
                self.says = self.says or bool(line.strip() and not is_rule(line))
                following = at + 1
            at = following
        self._close()

    def _close(self) -> None:
        """Ends a segment; one that holds nothing but empty lines and rules is none."""
        if self._current_says():
            self.segments.append(self.current)
        self.current = []
        self.says = False

    def _current_says(self) -> bool:
        return self.says and any(line.strip() and not is_rule(line) for line in self.current)

    def _wrote_something(self) -> bool:
        return bool(self.segments) or self.says

    def _rest_is_quoted(self, at: int) -> int:
        """Rules and empty lines above the cut belong to it."""
        while self.current and (not self.current[-1].strip() or is_rule(self.current[-1])):
            self.current.pop()
        self._close()
        self.quoted.extend(self.lines[at:])
        return len(self.lines)

    def _rest_is_forwarded(self, at: int) -> int:
        self._close()
        self.forwarded = self.lines[at:]
        return len(self.lines)

    def _mark(self, at: int, line: str) -> int | None:
        if line == REPLY_BELOW:
            if not self._wrote_something():
                return at + 1
            if self.forward_subject or self._forward_mark_near(at + 1):
                return self._rest_is_forwarded(at + 1)
            return self._rest_is_quoted(at + 1)
        if line == FORWARD_BELOW:
            return self._rest_is_forwarded(at + 1)
        if line == SIGNATURE_START:
            end = at + 1
            while end < len(self.lines) and self.lines[end] != SIGNATURE_END:
                end += 1
            if not self._wrote_something():
                return at + 1
            self.signatures.extend(inner for inner in self.lines[at + 1 : end] if inner[:1] not in _MARKS)
            return end + 1
        return at + 1

    def _forward_mark_near(self, at: int) -> bool:
        return any(FORWARD_MARK.match(line[:_MAX_OPENING]) for line in self.lines[at : at + 3])

    def _quote(self, at: int) -> int | None:
        lines = self.lines
        if _FROM_ESCAPE.match(lines[at]) and not (at + 1 < len(lines) and lines[at + 1][:1] == ">"):
            return None
        if len(lines[at]) < _MAX_OPENING and FORWARD_MARK.match(lines[at]) and not self._wrote_something():
            return self._rest_is_forwarded(at)
        end = at + 1
        while end < len(lines):
            if lines[end][:1] == ">" or _QUOTED.match(lines[end]):
                end += 1
            elif (
                # The rest of a quoted line that was wrapped on its way.
                end + 1 < len(lines)
                and lines[end].strip()
                and len(lines[end - 1]) >= 60
                and len(lines[end]) <= 40
                and lines[end][:1] not in _MARKS
                and _QUOTED.match(lines[end + 1])
            ):
                end += 2
            else:
                break
        above = len(self.current) - 1
        while above >= 0 and not self.current[above].strip():
            above -= 1
        if above >= 0 and len(self.current) - above <= 3 and loose_attribution(self.current[above]):
            self.quoted.extend(self.current[above:])
            del self.current[above:]
        self._close()
        self.quoted.extend(lines[at:end])
        return end

    def _attribution(self, at: int, end: int) -> int:
        following = end
        while following < len(self.lines) and not self.lines[following].strip("\u200b \t"):
            following += 1
        if (
            following < len(self.lines)
            and not _QUOTED.match(self.lines[following])
            and self._wrote_something()
        ):
            return self._rest_is_quoted(at)
        self._close()
        self.quoted.extend(self.lines[at:end])
        return end

    @staticmethod
    def _may_open(line: str) -> bool:
        """Cheap: only lines with a colon, a dash, a rule or a known word can open a quoted mail."""
        return (
            ":" in line
            or "：" in line
            or line.lstrip()[:1] in _OPENERS
            or "riginal" in line
            or "above" in line
        )

    def _opening(self, at: int) -> int | None:
        lines = self.lines
        line = lines[at]
        if FORWARD_MARK.match(line):
            return self._rest_is_forwarded(at)
        if ORIGINAL_MARK.match(line):
            if self._wrote_something():
                return self._rest_is_forwarded(at) if self.forward_subject else self._rest_is_quoted(at)
            return at + 1
        start = at
        if is_rule(line) or is_ruled_title(line):
            start += 1
            while start < min(len(lines), at + 4) and not lines[start].strip():
                start += 1
            if start >= len(lines) or not label_of(lines[start]):
                return None
        end = header_block(lines, start)
        if end is None:
            return None
        if not self._wrote_something():
            # Nobody wrote above it: a bare forward, or a header pasted with the text. All of it is the message.
            self.current.extend(lines[at:end])
            self.says = True
            return end
        if self.forward_subject:
            return self._rest_is_forwarded(at)
        return self._rest_is_quoted(at)


_MAX_OPENING = 400
_OPENERS = frozenset("-_=*#–—[")
