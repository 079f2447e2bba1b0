"""Cue words and phrases in many languages, read from the text files beside this module.

A file has `[section]` headings; each further line holds alternatives of one regular expression, joined by
`|` (or, where a module says so, words or `key: value`), in lower case. Lines that begin with `# ` are
comments.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

__all__ = ["alternatives", "lines", "phrases", "words"]


@lru_cache(maxsize=64)
def lines(file: str, section: str) -> tuple[str, ...]:
    """The lines of one section. Raises KeyError for one that the package does not ship."""
    found_lines: list[str] = []
    inside = found = False
    for line in (Path(__file__).parent / f"{file}.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("[") and line.endswith("]") and line[1:-1].isidentifier():
            inside = line[1:-1] == section
            found = found or inside
        elif inside and line.strip() and not line.startswith("# "):
            found_lines.append(line)
    if not found:
        raise KeyError(f"{file}.txt has no section [{section}]")
    return tuple(found_lines)


def alternatives(file: str, section: str) -> str:
    """The section as one group, to be put into a larger expression."""
    return f"(?:{'|'.join(lines(file, section))})"


def phrases(file: str, section: str, *, ignore_case: bool = False) -> re.Pattern[str]:
    """The section as an expression that matches whole words only.

    It is for lower-cased text, which is searched twice as fast, unless `ignore_case` is set for those who need
    the places in the text as it was written.
    """
    return re.compile(rf"(?<!\w){alternatives(file, section)}(?!\w)", re.IGNORECASE if ignore_case else 0)


def words(file: str, section: str) -> frozenset[str]:
    """The section as a set of plain words."""
    return frozenset(" ".join(lines(file, section)).split())
