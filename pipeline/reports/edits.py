"""Small changes to routes.toml and to prompt files as diffs that `git apply` and `patch -p1` take.

A file of a team keeps its comments and its order: only the lines in question change. What cannot be changed so
that it then says just what was meant is not changed at all.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Edit:
    """`file` is the name in the diff; `before` and `after` are the lines that change, one below the other."""

    file: str
    before: str
    after: str
    diff: str


def read(path: Path) -> str | None:
    """The text of a file with its own line ends; None where it cannot be read."""
    try:
        return path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError):
        return None


def edit(file: str, old: str, new: str | None) -> Edit | None:
    """The change from one text to another; None where there is none."""
    if new is None or new == old:
        return None
    names = (f"a/{file}", f"b/{file}")
    lines = list(difflib.unified_diff(old.splitlines(True), new.splitlines(True), *names))
    whole = [line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines]

    def side(mark: str) -> str:
        return "\n".join(line[1:].strip() for line in lines[2:] if line.startswith(mark))

    return Edit(file, side("-"), side("+"), "".join(whole))


# --- TOML ---------------------------------------------------------------------------------------------


def set_value(text: str, table: Sequence[str], key: str, value: Any) -> str | None:
    """The TOML text with a key of a table set to a value: its line replaced (a comment behind it stays), or
    added at the table's end, or with the table at the file's. None where that would say anything else."""
    lines = text.splitlines(True)
    end = "\r\n" if "\r\n" in text else "\n"
    head, last = _table(lines, table)
    line = f"{_key(key)} = {_literal(value)}"
    if head is None:
        lines += [
            "" if not lines or lines[-1].endswith("\n") else end,
            end,
            f"[{'.'.join(map(_key, table))}]{end}",
        ]
        lines.append(line + end)
    elif (at := _line_of(lines, head, last, key)) is not None:
        comment = re.match(r"[^#]*?(\s+#.*)?$", lines[at].rstrip("\r\n"))
        lines[at] = f"{line}{(comment[1] or '') if comment else ''}{end}"
    else:
        while last > head + 1 and not lines[last - 1].split("#")[0].strip():
            last -= 1
        if not lines[last - 1].endswith("\n"):
            lines[last - 1] += end
        lines.insert(last, line + end)
    return _checked(text, "".join(lines), [*table, key], value)


def drop_key(text: str, table: Sequence[str], key: str) -> str | None:
    """The TOML text without a key of a table that stands in one line."""
    lines = text.splitlines(True)
    head, last = _table(lines, table)
    at = None if head is None else _line_of(lines, head, last, key)
    if at is None:
        return None
    del lines[at]
    return _checked(text, "".join(lines), [*table, key], None)


def _table(lines: Sequence[str], table: Sequence[str]) -> tuple[int | None, int]:
    """The line of a table's head, and the line after its last."""
    wanted = list(table)
    head = None
    for number, line in enumerate(lines):
        if match := re.match(r"\s*\[([^\[\]]+)\]", line):
            if head is not None:
                return head, number
            if [part.strip().strip("\"'") for part in re.findall(r'"[^"]*"|[^.]+', match[1])] == wanted:
                head = number
    return head, len(lines)


def _line_of(lines: Sequence[str], head: int, last: int, key: str) -> int | None:
    pattern = re.compile(rf"\s*[\"']?{re.escape(key)}[\"']?\s*=")
    return next((n for n in range(head + 1, last) if pattern.match(lines[n])), None)


def _checked(old: str, new: str, path: Sequence[str], value: Any) -> str | None:
    """The new text if it says what the old one said and the change, and nothing else."""
    try:
        meant, found = tomllib.loads(old), tomllib.loads(new)
    except tomllib.TOMLDecodeError:
        return None
    inner = meant
    for name in path[:-1]:
        inner = inner.setdefault(name, {})
    if value is None:
        inner.pop(path[-1], None)
    else:
        inner[path[-1]] = value
    return new if meant == found else None


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _literal(key)


def _literal(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.2f}"
    if isinstance(value, list):
        return f"[{', '.join(map(_literal, value))}]"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return str(value)


# --- prompts ------------------------------------------------------------------------------------------


def add_rule(text: str, rule: str, near: str) -> str | None:
    """A prompt with one more rule in its system part: after the first line of a list that names `near`, else
    after the last line of its first list; numbered where the list is. None where there is no list."""
    lines = text.splitlines(True)
    heads = [n for n, line in enumerate(lines) if re.match(r"# (system|user)\s*$", line)]
    if len(heads) != 2 or "{{" in rule:
        return None
    listed = [n for n in range(heads[0] + 1, heads[1]) if re.match(r"(- |\d+\. )", lines[n])]
    if not listed:
        return None
    first = [listed[0]]
    for n in listed[1:]:
        if n == first[-1] + 1:
            first.append(n)
    numbered = re.match(r"(\d+)\. ", lines[first[-1]])
    named = [n for n in listed if near and near in lines[n].lower() and not lines[n].startswith("- `")]
    at = first[-1] if numbered or not named else named[0]
    end = "\r\n" if lines[at].endswith("\r\n") else "\n"
    lines.insert(at + 1, (f"{int(numbered[1]) + 1}. " if numbered else "- ") + rule + end)
    return "".join(lines)
