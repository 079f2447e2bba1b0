"""A mail cut into the sentences that are worth reading, bounded in number and length."""

from __future__ import annotations

import re
import unicodedata

from pipeline.models.providers.local.cues import alternatives

__all__ = ["MAX_CHARS", "clean", "mail_sentences", "reading_text", "sentences", "without_signature"]

MAX_CHARS = 6_000
_FIRST_SENTENCES = 14
_LAST_SENTENCES = 6
_MAX_SENTENCE_CHARS = 220

_END = re.compile(r"(?<=[.!?…。？！])[\"'”»)]{0,2}\s+|\s*\n\s*")
_URL = re.compile(r"\b(?:https?://|www\.)\S{1,300}", re.IGNORECASE)
_ORDERED = re.compile(r"^[\s>*\-–•·#=_+|~]+")
_LETTERS = re.compile(r"[^\W\d_]{2}")
_BLANKS = re.compile(r"[ \t\u00a0\u2000-\u200a\u202f\u3000]+")
_ABBREVIATED = re.compile(
    r"\b(?:mr|mrs|ms|dr|nr|no|st|bzw|z\.b|ca|e\.g|i\.e|sr|sra|art|tel|etc|vs)\.$", re.IGNORECASE
)

_SIGN_OFF = re.compile(rf"{alternatives('names', 'sign_off')}[\s,.!–-]{{0,4}}")
_POSTSCRIPT = re.compile(r"(?:ps|p\.s\.|p\.?-?s\.?:)(?!\w)")


def clean(text: str) -> str:
    """`text` without characters that cannot be seen (zero-width, bidi, control), in NFC; line breaks stay."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    kept = "".join(
        ch for ch in text if ch in "\n\t" or unicodedata.category(ch) not in ("Cc", "Cf", "Co", "Cs")
    )
    return unicodedata.normalize("NFC", kept)


def reading_text(subject: str | None, body: str) -> tuple[str, str]:
    """Subject and body as they are read: cleaned, and cut so that no mail can take long."""
    return clean((subject or "")[:400]).strip(), clean(body[:MAX_CHARS]).strip()


def without_signature(found: list[str]) -> list[str]:
    """The sentences of a letter up to its closing formula, and what a postscript adds after it."""
    for at, sentence in enumerate(found):
        if _SIGN_OFF.fullmatch(sentence.lower()):
            after = (i for i in range(at + 1, len(found)) if _POSTSCRIPT.match(found[i].lower()))
            return found[:at] + found[next(after, len(found)) :]
    return found


def mail_sentences(head: str, text: str) -> list[str]:
    """What is read of a mail, in order: its subject, and the sentences of its body up to the signature."""
    return ([head] if head else []) + without_signature(sentences(text))


def _goes_on(before: str, after: str) -> bool:
    """Whether `after` is the rest of the sentence that `before` began."""
    if _ABBREVIATED.search(before):
        return True
    greeting = before.endswith(",") and len(before) < 40
    return after[0].islower() and before[-1] not in ".!?…:;" and not greeting


def sentences(text: str) -> list[str]:
    """The sentences of `text` in order, at most 20 of at most 220 characters.

    Lines that a mail program wrapped are joined again where the next begins in lower case. In a longer text
    the first fourteen and the last six are kept: people ask at the start or at the end.
    """
    found: list[str] = []
    for piece in _END.split(text):
        piece = _BLANKS.sub(" ", _URL.sub(" ", _ORDERED.sub("", piece))).strip()
        if not piece:
            continue
        if found and _goes_on(found[-1], piece):
            joined = f"{found[-1]} {piece}"
            if len(joined) <= _MAX_SENTENCE_CHARS:
                found[-1] = joined
                continue
        found.append(piece[:_MAX_SENTENCE_CHARS])
    found = [sentence for sentence in found if _LETTERS.search(sentence)]
    if len(found) > _FIRST_SENTENCES + _LAST_SENTENCES:
        found = [*found[:_FIRST_SENTENCES], *found[-_LAST_SENTENCES:]]
    return found
