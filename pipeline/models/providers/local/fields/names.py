"""Names that their bearers state: "my name is", and the line under the closing formula."""

from __future__ import annotations

import re

from pipeline.models.providers.local.cues import alternatives, phrases, words
from pipeline.models.providers.local.fields.spans import Found

__all__ = ["names"]

_CAPITAL = r"[A-ZÀ-ÖØ-ÞĀ-Ž]"
_PARTICLE = r"(?:(?:van|von|de|del|della|do|das|der|den|da|di|du|la|le|dos|zu|el|al|bin|ten) ){0,2}"
_NAME = rf"{_CAPITAL}[\w'’.-]{{1,24}}(?: {_PARTICLE}{_CAPITAL}[\w'’.-]{{0,24}}){{0,3}}"
_TITLE = r"(?:(?:Mr|Mrs|Ms|Dr|Prof|Herr|Frau|M|Mme|Sr|Sra|Sig|Pan|Pani)\.? ){0,2}"
_STATED = re.compile(rf"(?<!\w)(?i:{alternatives('names', 'stated')})\s{{1,3}}(?P<name>{_TITLE}{_NAME})")
# "This is Jane from Acme": only where something after the name shows that a person introduces herself.
_INTRODUCED = re.compile(
    rf"(?<!\w)[Tt]his is (?P<name>{_NAME})(?= (?:from|at|speaking|calling|here)\b|\s?[,.])"
)
# Chat writers keep to lower case: then at most two words, none of them an everyday one.
_LOWER = re.compile(
    rf"(?<!\w)(?:{alternatives('names', 'stated_in_chat')})\s"
    r"(?P<name>[^\W\d_][\w'’-]{1,20}(?: [^\W\d_][\w'’-]{2,20})?)",
    re.IGNORECASE,
)
_COMMON = words("names", "common")
_CLOSING = alternatives("names", "closing")
_SIGNED = re.compile(
    rf"(?im:^[ \t]*{_CLOSING}[ \t]*[,.!\-–]?[ \t]*)(?:\n[ \t]*){{1,2}}(?P<name>{_TITLE}{_NAME})[ \t]*(?=[,\n|]|$)"
)
_SIGNED_INLINE = re.compile(rf"(?im:(?:^|[.!?]\s)[ \t]*{_CLOSING}),? (?P<name>{_NAME})\.?\s*$")
_NOT_NAMES = phrases("names", "not_a_name", ignore_case=True)


def names(text: str) -> list[Found]:
    """Explicitly stated names only, first the stated, then the signed ones; a name in the middle of a story is none."""
    found: list[Found] = []
    for pattern in (_STATED, _INTRODUCED, _SIGNED, _SIGNED_INLINE):
        for match in pattern.finditer(text):
            found.append(_trimmed(match.group("name"), match.start("name")))
    for match in _LOWER.finditer(text):
        parts = match.group("name").split(" ")
        if parts[0].lower() in _COMMON:
            continue
        kept = parts if len(parts) == 1 or parts[1].lower() not in _COMMON else parts[:1]
        value = " ".join(kept)
        found.append(Found(match.start("name"), match.start("name") + len(value), value))
    return [one for one in found if len(one.value) > 1 and not _NOT_NAMES.search(one.value)]


def _trimmed(value: str, start: int) -> Found:
    bare = value.rstrip(" .,-'’")
    return Found(start, start + len(bare), bare)
