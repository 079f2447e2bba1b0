"""A text in one plain form, and what stands in it in disguise: encoded, mirrored, spelled with figures.

For checks that look for words; what comes out is not for showing.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import re
import unicodedata
from collections.abc import Callable, Iterator
from functools import lru_cache
from urllib.parse import unquote

MAX_PIECES = 20
"""So many encoded pieces of a text are decoded."""

LONGEST_RESPELT = 12_000
"""Characters; longer texts are not mirrored, shifted and respelt, which takes the time of reading them again."""

_LETTERS = str.maketrans(
    {"ł": "l", "ø": "o", "đ": "d", "æ": "ae", "œ": "oe", "ı": "i"}
    | dict.fromkeys("‘’‚‛′`´", "'")
    | dict.fromkeys("“”„‟″«»‹›", '"')
    | dict(zip("аеорсухікмтвнзјѕԁɡ", "aeopcyxikmtbh3jsdg", strict=True))
)
"""Letters without a decomposition, quotation marks, and the Cyrillic ones that pass for Latin ones."""


@lru_cache(maxsize=64)  # policy and instructions are the same from draft to draft
def folded(text: str) -> str:
    """Lower case, no accents, straight quotation marks, no characters that nobody sees, single blanks."""
    text = unicodedata.normalize("NFKD", _tags(text).casefold())
    text = "".join(c for c in text if c in "\n\t" or unicodedata.category(c) not in ("Mn", "Cf", "Cc"))
    return re.sub(r"[^\S\n]+", " ", text.translate(_LETTERS))


def decoded(text: str) -> Iterator[str]:
    """What a text may say in disguise, folded: each encoded piece, and the whole mirrored, shifted, respelt."""
    for _, said in encoded(text):
        yield folded(said)
    flat = folded(text)
    if len(flat) > LONGEST_RESPELT:
        return
    yield codecs.encode(flat, "rot13")
    yield flat[::-1]
    if re.search(r"[a-z][0134578$@]+[a-z]", flat):
        yield _WITH_FIGURES.sub(lambda match: match[0].translate(_FIGURES), flat)
    if _SPACED.search(flat):
        yield _SPACED.sub(lambda match: f"{re.sub(r'[ .*_-]', '', match[0])} ", flat)


def encoded(text: str) -> Iterator[tuple[str, str]]:
    """(the piece as it stands, what it says) of each encoded piece that decodes to readable text."""
    pieces = 0
    for pattern, decode in _CODECS:
        for match in pattern.finditer(text):
            if pieces == MAX_PIECES:
                return
            if said := _readable(decode, match[0]):
                pieces += 1
                yield match[0], said


_WITH_FIGURES = re.compile(r"[a-z0-9$@!|]*[a-z][a-z0-9$@!|]*|\b[0134578][0-9]{1,3}\b")
_FIGURES = str.maketrans("013457$@!|8", "oieastsail" + "b")
_SPACED = re.compile(r"(?<!\w)\w(?:[ .*_-]\w){4,}(?!\w) ?")


def _readable(decode: Callable[[str], str | None], piece: str) -> str | None:
    """What a piece decodes to, if that is text: almost all of it letters, figures and blanks."""
    try:
        said = decode(piece)
    except (ValueError, binascii.Error, UnicodeError, OverflowError):
        return None
    if said is None or len(said) < 8:
        return None
    plain = sum(character.isalnum() or character in " .,:;!?'\"\n@/-_" for character in said)
    return said if plain / len(said) > 0.85 else None


def _utf8(data: bytes) -> str:
    return data.decode("utf-8")


def _base64(piece: str) -> str:
    piece = re.sub(r"\s", "", piece).rstrip("=").translate(str.maketrans("-_", "+/"))
    return _utf8(
        base64.b64decode(
            piece[: len(piece) // 4 * 4] if len(piece) % 4 == 1 else piece + "=" * (-len(piece) % 4)
        )
    )


def _base32(piece: str) -> str:
    piece = piece.rstrip("=")
    return _utf8(base64.b32decode(piece + "=" * (-len(piece) % 8)))


def _hex(piece: str) -> str:
    return _utf8(bytes.fromhex(re.sub(r"0x|[^0-9a-fA-F]", "", piece)))


def _binary(piece: str) -> str:
    return _utf8(bytes(int(octet, 2) for octet in piece.split()))


def _ascii85(piece: str) -> str:
    return _utf8(base64.a85decode(piece, adobe=True))


def _base85(piece: str) -> str:
    return _utf8(base64.b85decode(piece))


def _morse(piece: str) -> str:
    words = re.split(r" / |\s{2,}|/", piece.strip())
    return " ".join("".join(_MORSE.get(code, "?") for code in word.split()) for word in words)


def _escaped(piece: str) -> str:
    return re.sub(r"\\u([0-9a-fA-F]{4})|\\x([0-9a-fA-F]{2})", lambda m: chr(int(m[1] or m[2], 16)), piece)


def _entities(piece: str) -> str:
    return re.sub(
        r"&#(?:x([0-9a-fA-F]{1,6})|(\d{1,7}));?", lambda m: chr(int(m[1], 16) if m[1] else int(m[2])), piece
    )


_MORSE = {
    ".-": "a", "-...": "b", "-.-.": "c", "-..": "d", ".": "e", "..-.": "f", "--.": "g", "....": "h", "..": "i",
    ".---": "j", "-.-": "k", ".-..": "l", "--": "m", "-.": "n", "---": "o", ".--.": "p", "--.-": "q", ".-.": "r",
    "...": "s", "-": "t", "..-": "u", "...-": "v", ".--": "w", "-..-": "x", "-.--": "y", "--..": "z",
}  # fmt: skip
_CODECS: tuple[tuple[re.Pattern[str], Callable[[str], str]], ...] = (
    (re.compile(r"<~[!-u\s]{10,4000}~>"), _ascii85),
    (re.compile(r"(?:[01]{8}\s){3,}[01]{8}"), _binary),
    (re.compile(r"(?<![0-9a-zA-Z])(?:[0-9a-fA-F]{2}){8,}(?![0-9a-zA-Z])"), _hex),
    (re.compile(r"(?:(?:0x|\\x)?[0-9a-fA-F]{2}[\s,:]+){8,}(?:0x|\\x)?[0-9a-fA-F]{2}"), _hex),
    (re.compile(r"(?<![A-Za-z0-9])[A-Z2-7]{16,}={0,6}"), _base32),
    (re.compile(r"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{16,}={0,2}"), _base64),
    (re.compile(r"(?<!\S)(?=\S*[^\w\s])[!#-&(-+\-0-9;-Z^-~_`a-z]{40,}(?!\S)"), _base85),
    (re.compile(r"(?:[.-]{1,5}(?: / | +|/)){8,}[.-]{1,5}"), _morse),
    (re.compile(r"(?<!\S)[^\s%]{0,2000}(?:%[0-9a-fA-F]{2}[^\s%]{0,200}){2,}"), unquote),
    (re.compile(r"(?:\\u[0-9a-fA-F]{4}|\\x[0-9a-fA-F]{2}){8,}"), _escaped),
    (re.compile(r"(?:&#(?:x[0-9a-fA-F]{1,6}|\d{1,7});?){6,}"), _entities),
)


def _tags(text: str) -> str:
    """The text with what its tag characters spell: they print as nothing, and machines read them."""
    if not any("\U000e0000" <= character <= "\U000e007f" for character in text):
        return text
    return "".join(
        chr(ord(character) - 0xE0000) if "\U000e0020" <= character <= "\U000e007e" else character
        for character in text
    )
