"""Whose data it is: every spelling of an address, and the person's name and sentences where others quote them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from pipeline.errors import InputError
from pipeline.retention.columns import GONE

QUOTED_FROM = 20
"""Characters from which on a line is taken for a quotation; shorter ones ("Kind regards") are anybody's."""
_HEAD = re.compile(r"^[\s>|]+")


def key_of(address: str) -> str:
    """One key for all spellings: case, and what follows a plus, are left out."""
    local, _, domain = address.strip().casefold().rpartition("@")
    return f"{local.partition('+')[0]}@{domain}"


def line_of(text: str) -> str:
    """A line as it is compared: without quotation marks before it."""
    return _HEAD.sub("", text).strip()


@dataclass(frozen=True)
class Person:
    """One mailbox, with the names that it was seen with and the lines that it wrote.

    Names of one word are left out: they are too many people's.
    """

    address: str
    names: frozenset[str] = frozenset()
    lines: frozenset[str] = frozenset()
    _key: str = field(init=False, default="")

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[^\s@]+@[^\s@]+", self.address.strip()):
            raise InputError(f"{self.address!r} is not a mail address; write it like ann@example.com")
        object.__setattr__(self, "_key", key_of(self.address))

    @property
    def key(self) -> str:
        return self._key

    @property
    def local(self) -> str:
        return self.key.rpartition("@")[0]

    @property
    def domain(self) -> str:
        return self.key.rpartition("@")[2]

    def is_(self, address: str | None) -> bool:
        """Whether this is a spelling of the person's address."""
        return bool(address) and "@" in str(address) and key_of(str(address)) == self.key

    def known_as(self, names: Iterable[str | None], lines: Iterable[str]) -> Person:
        """The same with these names and sentences."""
        long = {" ".join(name.split()) for name in names if name}
        return Person(
            self.address,
            frozenset(name for name in long if len(name.split()) > 1 and not self.is_(name)),
            frozenset(line for text in lines if len(line := line_of(text)) >= QUOTED_FROM),
        )

    @cached_property
    def written(self) -> re.Pattern[str]:
        """The address in a text, however it is spelt; an at sign may be percent-encoded."""
        return re.compile(
            rf"(?<![\w.+%-]){re.escape(self.local)}(?:(?:\+|%2b)[\w.=-]*)?(?:@|%40){re.escape(self.domain)}(?![\w-])",
            re.IGNORECASE,
        )

    @cached_property
    def in_bytes(self) -> re.Pattern[bytes]:
        """The address in a raw mail, as it stands in a header."""
        return re.compile(
            rb"(?<![\w.+%-])"
            + re.escape(self.local.encode())
            + rb"(?:\+[^\s@<>]*)?@"
            + re.escape(self.domain.encode()),
            re.IGNORECASE,
        )

    @cached_property
    def named(self) -> re.Pattern[str] | None:
        if not self.names:
            return None
        words = (r"\s+".join(re.escape(word) for word in name.split()) for name in sorted(self.names))
        return re.compile(rf"(?<!\w)(?:{'|'.join(words)})(?!\w)", re.IGNORECASE)

    @cached_property
    def like(self) -> str:
        """A pattern of LIKE (lower case, escaped by a backslash) that every text with the address fits, and few
        others: letters beyond ASCII stand open, as SQLite lowers none of them and its JSON escapes them."""
        local, domain = (
            "".join(f"\\{c}" if c in "\\%_" else c if c.isascii() else "%" for c in part)
            for part in (self.local, self.domain)
        )
        return f"%{local}%{domain}%"

    def cut(self, value: Any) -> Any:
        """The value without the person: in texts and in every text of a list or object. Their own entry of a
        list of addresses goes whole."""
        if isinstance(value, str):
            return self._cut_text(value)
        if isinstance(value, list):
            return [self.cut(item) for item in value if not self._is_entry(item)]
        if isinstance(value, dict):
            return {self._cut_text(str(name)): self.cut(item) for name, item in value.items()}
        return value

    def _is_entry(self, item: Any) -> bool:
        return isinstance(item, dict) and self.is_(item.get("address"))

    def _cut_text(self, text: str) -> str:
        cut = self.written.sub(GONE, text)
        if self.named is not None:
            cut = self.named.sub(GONE, cut)
        if not self.lines:
            return cut
        # of a line that has lost its address the original is looked at: it may be a quotation
        pairs = zip(text.split("\n"), cut.split("\n"), strict=False)
        if text.count("\n") != cut.count("\n"):
            pairs = zip(cut.split("\n"), cut.split("\n"), strict=True)
        return "\n".join(self._cut_line(old, new) for old, new in pairs)

    def _cut_line(self, old: str, new: str) -> str:
        bare = line_of(old)
        if bare in self.lines:
            return new[: len(old) - len(_HEAD.sub("", old))] + GONE
        for line in self._within(bare):
            new = new.replace(line, GONE)
        return new

    def _within(self, bare: str) -> list[str]:
        """The person's lines that stand within another, as in a text of one line."""
        return [line for line in self.lines if line in bare] if len(bare) > QUOTED_FROM else []

    def quotes(self, text: str) -> bool:
        """Whether a text names the person's address or holds a line of theirs."""
        return bool(self.written.search(text)) or any(line in text for line in self.lines)
