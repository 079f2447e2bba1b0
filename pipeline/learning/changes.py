"""Approved proposals as one diff to the team's files. Nothing is written: a person applies it and commits it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.learning.proposals import Draft
from pipeline.reports import edits

if TYPE_CHECKING:
    from pipeline.assembly import Parts

HEADING = "## From our agents' answers"
NEAR = "in the language named"
"""The rule of a prompt beside which one about words belongs."""


@dataclass(frozen=True)
class Changes:
    """`diff` is for `git apply` or `patch -p1`, empty where all is in the files; `notes` say in a line each where
    a file stands that is changed, and what could not be put into its file; `changed` are the files' names."""

    diff: str
    notes: tuple[str, ...]
    changed: tuple[str, ...]


def changes(parts: Parts, found: Iterable[Draft]) -> Changes:
    """The changes that these proposals make together, without those that the files have already."""
    texts: dict[str, tuple[str | None, str]] = {}
    notes = []
    for one in found:
        old, text = texts.get(one.file) or _read(parts, one.file)
        changed = changed_text(text, one)
        if changed is None:
            notes.append(
                f"“{one.title}” does not fit into {one.file} as it stands now; change it by hand, or dismiss it"
            )
            continue
        texts[one.file] = old, changed
    pieces, names = [], []
    for file, (old, text) in sorted(texts.items()):
        made = edits.edit(file, old or "", text)
        if made is None:
            continue
        pieces.append(
            made.diff if old is not None else made.diff.replace(f"--- a/{file}", "--- /dev/null", 1)
        )
        names.append(file)
        notes.append(f"{file} stands at {where(parts, file)}")
    return Changes("".join(pieces), tuple(notes), tuple(names))


def changed_text(text: str, found: Draft) -> str | None:
    """A file's text with one proposal in it; the same text where it holds it already, None where it does not fit."""
    end = "\r\n" if "\r\n" in text else "\n"
    content = found.content
    if found.kind == "fact":
        return _with_fact(text, " ".join(str(content["text"]).split()), end)
    if found.kind == "phrase":
        rule = f"In {content['language']}, write “{content['new']}”, not “{content['old']}”."
        return text if rule in text else edits.add_rule(text, rule, NEAR)
    if found.kind == "threshold":
        return _with_threshold(text, str(content["key"]), float(content["old"]), float(content["new"]))
    if found.kind == "case":
        return _with_case(text, str(content["line"]), end)
    return None


def where(parts: Parts, file: str) -> Path:
    """Where a file of a proposal stands: as the settings have it."""
    if file == "routes.toml":
        return parts.routes.path
    if file.startswith("prompts/"):
        return parts.prompts.folder / file.removeprefix("prompts/")
    return parts.settings.file("policy.md", parts.settings.policy, shipped=False) or parts.home / "policy.md"


def _read(parts: Parts, file: str) -> tuple[str | None, str]:
    text = edits.read(where(parts, file))
    return text, text or ""


def _with_fact(text: str, fact: str, end: str) -> str:
    if fact in " ".join(text.split()):
        return text
    lines = text.splitlines(True)
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += end
    head = next((n for n, line in enumerate(lines) if line.strip() == HEADING), None)
    if head is None:
        gap = [end] if lines and lines[-1].strip() else []
        return "".join([*lines, *gap, HEADING + end, end, f"- {fact}{end}"])
    last = next((n for n in range(head + 1, len(lines)) if lines[n].startswith("#")), len(lines))
    while last > head + 2 and not lines[last - 1].strip():
        last -= 1
    return "".join([*lines[:last], f"- {fact}{end}", *lines[last:]])


def _with_threshold(text: str, key: str, old: float, new: float) -> str | None:
    import tomllib

    try:
        now = float(tomllib.loads(text)["rule"][key])
    except (tomllib.TOMLDecodeError, KeyError, TypeError, ValueError):
        return None
    if now == new:
        return text
    return edits.set_value(text, ["rule"], key, new) if now == old else None


def _with_case(text: str, line: str, end: str) -> str | None:
    try:
        name = json.loads(line)["id"]
        there = {json.loads(one).get("id") for one in text.lstrip("\ufeff").split("\n") if one.strip()}
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    if name in there:
        return text
    return f"{text}{'' if not text or text.endswith(chr(10)) else end}{line}{end}"
