"""Names that their bearers state: "my name is", and the line under the closing formula."""

from __future__ import annotations

import re

from pipeline.models.providers.local.fields.spans import Found

__all__ = ["names"]

_NAME = r"[A-ZÀ-ÖØ-ÞĀ-Ž][\w'’.-]{1,24}(?: (?:(?:van|von|de|der|den|da|di|du|la|le|dos|zu|el|al|bin|ten) ){0,2}[A-ZÀ-ÖØ-ÞĀ-Ž][\w'’.-]{0,24}){0,3}"
_TITLE = r"(?:(?:Mr|Mrs|Ms|Dr|Prof|Herr|Frau|M|Mme|Sr|Sra|Sig|Pan|Pani)\.? ){0,2}"
_CUE = (
    r"(?:[Mm]y (?:full |last |first )?name(?: is|'s|:)|[Mm]y name is|[Ii] am called|[Tt]his is(?= [A-Z][\w'’-]+(?: [A-Z][\w'’-]+)?(?: (?:from|at|speaking|calling|of|here)|[,.]))"
    r"|[Mm]ein [Nn]ame ist|[Ii]ch heiße|[Ii]ch heisse|[Jj]e m'appelle|[Jj]e me nomme|[Mm]on nom est|[Mm]e llamo|[Mm]i nombre es"
    r"|[Mm]i chiamo|[Ii]l mio nome è|[Mm]ijn naam is|[Ii]k heet|[Mm]eu nome é|[Oo] meu nome é|[Cc]hamo-me|[Mm]e chamo"
    r"|[Nn]azywam się|[Mm]am na imię|[Jj]menuji se|[Jj]ag heter|[Mm]itt namn är|[Aa]dım|(?:[Nn]ame|NAME|[Nn]om|[Nn]ombre|[Nn]aam):)"
)
_STATED = re.compile(rf"(?<!\w){_CUE}\s{{1,3}}(?P<name>{_TITLE}{_NAME})")
# Chat writers keep to lower case: then at most two words, none of them an everyday one.
_LOWER = re.compile(
    r"(?<!\w)(?:my name is|myself|my full name is|mein name ist|me llamo|je m'appelle|mi chiamo)\s(?P<name>[^\W\d_][\w'’-]{1,20}(?: [^\W\d_][\w'’-]{2,20})?)"
)
_COMMON = words("names", "common")
_CLOSING = alternatives("names", "closing")
_SIGNED = re.compile(
    rf"(?im:^[ \t]*{_CLOSING}[ \t]*[,.!\-–]?[ \t]*)(?:\n[ \t]*){{1,2}}(?P<name>{_TITLE}{_NAME})[ \t]*(?=[,\n|]|$)"
)
_SIGNED_INLINE = re.compile(rf"(?im:(?:^|[.!?]\s)[ \t]*{_CLOSING}),? (?P<name>{_NAME})\.?\s*$")
_NOT_NAMES = re.compile(
    r"(?i:\b(?:sent|team|support|customer|service|gmbh|ltd|inc|llc|from|tel|phone|iphone|advance|regards|hello|hi|dear|the|please|und|for)\b)"
)


def names(text: str) -> list[Found]:
    """Explicitly stated names only, first the stated, then the signed ones; a name in the middle of a story is none."""
    found: list[Found] = []
    for pattern in (_STATED, _SIGNED, _SIGNED_INLINE):
        for match in pattern.finditer(text):
            found.append(_trimmed(match.group("name"), match.start("name")))
    for match in _LOWER.finditer(text):
        words = match.group("name").split(" ")
        if words[0].lower() in _COMMON:
            continue
        kept = words if len(words) == 1 or words[1].lower() not in _COMMON else words[:1]
        value = " ".join(kept)
        found.append(Found(match.start("name"), match.start("name") + len(value), value))
    return [one for one in found if len(one.value) > 1 and not _NOT_NAMES.search(one.value)]


def _trimmed(value: str, start: int) -> Found:
    bare = value.rstrip(" .,-'’")
    return Found(start, start + len(bare), bare)
