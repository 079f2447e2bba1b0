"""Bytes to text: declared, wrong, missing and hostile character sets; control characters go, afterwards."""

from __future__ import annotations

import re

# Names that mail really carries, to the codec that reads most of what is sent under that name. What is not
# listed is unknown: so utf-7, hz, punycode, unicode_escape and the byte transforms are never decoded as such.
_CODECS = {
    "ascii": "ascii",
    "usascii": "ascii",
    "ansix341968": "ascii",
    "646": "ascii",
    "ansix31101983": "cp1252",
    "t61": "cp1252",
    "utf8": "utf-8",
    "utf8mb4": "utf-8",
    "unicode11utf8": "utf-8",
    "utf16": "utf-16",
    "utf16le": "utf-16-le",
    "utf16be": "utf-16-be",
    "utf32": "utf-32",
    "iso88591": "cp1252",
    "latin1": "cp1252",
    "88591": "cp1252",
    "l1": "cp1252",
    "ansi": "cp1252",
    "iso885915": "iso8859-15",
    "latin9": "iso8859-15",
    "iso88599": "cp1254",
    "latin5": "cp1254",
    "iso88598i": "iso8859-8",
    "iso88598e": "iso8859-8",
    "iso885911": "cp874",
    "tis620": "cp874",
    "koi8r": "koi8-r",
    "koi8u": "koi8-u",
    "koi8ru": "koi8-u",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "gb18030": "gb18030",
    "cngb": "gb18030",
    "eucgb2312cn": "gb18030",
    "euccn": "gb18030",
    "cp936": "gb18030",
    "big5": "big5hkscs",
    "big5hkscs": "big5hkscs",
    "cnbig5": "big5hkscs",
    "cp950": "cp950",
    "euctw": "big5hkscs",
    "shiftjis": "cp932",
    "sjis": "cp932",
    "xsjis": "cp932",
    "mskanji": "cp932",
    "cp932": "cp932",
    "windows31j": "cp932",
    "eucjp": "euc_jis_2004",
    "ujis": "euc_jis_2004",
    "iso2022jp": "iso2022_jp_ext",
    "iso2022jp1": "iso2022_jp_ext",
    "iso2022jp2": "iso2022_jp_2",
    "iso2022jp3": "iso2022_jp_3",
    "iso2022jpms": "iso2022_jp_ext",
    "cp50220": "iso2022_jp_ext",
    "cp50221": "iso2022_jp_ext",
    "iso2022kr": "iso2022_kr",
    "euckr": "cp949",
    "ksc56011987": "cp949",
    "ksc5601": "cp949",
    "cp949": "cp949",
    "johab": "johab",
    "macintosh": "mac_roman",
    "macroman": "mac_roman",
    "maccyrillic": "mac_cyrillic",
    "maccentraleurope": "mac_latin2",
    "macce": "mac_latin2",
    "ibm437": "cp437",
    "cp437": "cp437",
    "ibm850": "cp850",
    "cp850": "cp850",
    "ibm852": "cp852",
    "cp852": "cp852",
    "ibm866": "cp866",
    "cp866": "cp866",
    "cp874": "cp874",
}
for _number in (*range(2, 11), 13, 14, 16):
    _CODECS.setdefault(f"iso8859{_number}", f"iso8859-{_number}")
for _number in (2, 3, 4, 6, 7, 8, 10):
    _CODECS.setdefault(f"latin{_number}", f"iso8859-{ {6: 10, 7: 13, 8: 14, 10: 16}.get(_number, _number) }")
for _number in range(1250, 1259):
    _CODECS[f"windows{_number}"] = _CODECS[f"cp{_number}"] = f"cp{_number}"

# C0 without tab and newline, DEL, C1, lone surrogates, zero-width and invisible marks, bidi overrides and
# isolates, tag characters (text that only a model would see), noncharacters, our own HTML marks.
_INVISIBLE = (
    "\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u200b\u2060-\u2064\ufeff\u202a-\u202e\u2066-\u206f"
    "\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff\U000e0000-\U000e007f"
)
_UNWANTED = re.compile(f"[{_INVISIBLE}\ue0f0-\ue0ff]+")
_UNWANTED_BUT_MARKS = re.compile(f"[{_INVISIBLE}]+")
_ASCII_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f]+")
_ASCII_UNWANTED = bytes([*range(0, 9), 11, 12, *range(14, 32), 127])
_LINE_ENDS = re.compile("\r\n?|\x0b|\x0c|\x85|\u2028|\u2029")
_META_CHARSET = re.compile(rb"<meta[^>]{0,200}charset\s*=\s*[\"']?\s*([\w.:+-]{2,40})", re.I)


def codec_for(charset: str) -> str | None:
    """The codec that a declared charset is read with; None when it is unknown or not to be trusted."""
    return _CODECS.get(re.sub(r"^(x-|cs)|[^a-z0-9]+", "", charset.lower()[:60]))


def decode(data: bytes, charset: str | None, *, html: bool = False) -> tuple[str, str | None]:
    """`(text, defect)`: line ends are newlines, control and invisible characters are gone. Never raises."""
    if data.isascii() and b"\x1b" not in data:
        # Whatever was declared, 7 bits without escapes read the same, but for UTF-16 and the like.
        wide = charset is not None and charset.lower().startswith(("utf-16", "utf-32", "utf16", "utf32"))
        if not wide:
            plain = data.translate(None, _ASCII_UNWANTED).decode("ascii")
            defect = None
            if charset and codec_for(charset) is None:
                defect = f"unknown character set {_quoted(charset)}"
            if "\r" in plain:
                plain = plain.replace("\r\n", "\n")
            return (_LINE_ENDS.sub("\n", plain) if "\r" in plain else plain), defect
    text, defect = _decode(data, charset, html)
    return clean_text(text), defect


def clean_text(text: str, *, keep_marks: bool = False) -> str:
    """Text with newlines as line ends and without control, invisible and direction-changing characters.

    `keep_marks` leaves our own marks in (see html), for text that we wrote them into.
    """
    if "\r" in text:
        text = text.replace("\r\n", "\n")
    if text.isascii():
        if "\r" in text or "\x0b" in text or "\x0c" in text:
            text = _LINE_ENDS.sub("\n", text)
        return text if _is_plain(text) else _ASCII_CONTROL.sub("", text)
    if _is_plain(text):
        return text
    return (_UNWANTED_BUT_MARKS if keep_marks else _UNWANTED).sub("", _LINE_ENDS.sub("\n", text))


def _is_plain(text: str) -> bool:
    """Whether there is surely nothing to clean: all that we take out counts as unprintable in Unicode, and
    asking for that is many times faster than looking for it."""
    return text.replace("\n", "").replace("\t", "").replace("\xa0", "").isprintable()


def clean_line(text: str) -> str:
    """One line for a header value: as clean_text, and every run of white space is one space."""
    return " ".join(_UNWANTED.sub("", _LINE_ENDS.sub(" ", text)).split())


def _decode(data: bytes, charset: str | None, html: bool) -> tuple[str, str | None]:
    for mark, marked in ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")):
        if data.startswith(mark):
            return data.decode(marked, "replace"), None
    if html and not charset:
        found = _META_CHARSET.search(data, 0, 4096)
        if found:
            charset = found.group(1).decode("ascii")
    codec = codec_for(charset) if charset else None
    defect = f"unknown character set {_quoted(charset)}" if charset and codec is None else None
    if codec in (None, "ascii") and b"\x1b$" in data:
        codec = "iso2022_jp_ext"
    if codec and codec != "ascii":
        try:
            return data.decode(codec), defect
        except (UnicodeDecodeError, ValueError):
            defect = f"the text is not {_quoted(charset or codec)} throughout"
    elif codec == "ascii":
        defect = "eight-bit text declared as ASCII"
    try:
        return data.decode("utf-8"), defect
    except UnicodeDecodeError:
        pass
    if codec and codec not in ("ascii", "utf-8"):
        return data.decode(codec, "replace"), defect
    as_utf8 = data.decode("utf-8", "replace")
    # A damaged UTF-8 text has few bad places; another charset has one at nearly every accent.
    beyond_ascii = sum(1 for c in as_utf8[:20_000] if c > "\x7f")
    damage = as_utf8[:20_000].count("\ufffd") * (2 if codec == "utf-8" else 4)
    if damage < beyond_ascii:
        return as_utf8, defect or "damaged UTF-8"
    return _windows(data), defect or "no character set declared for eight-bit text"


def _windows(data: bytes) -> str:
    try:
        return data.decode("cp1252")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _quoted(name: str) -> str:
    return '"' + clean_line(name)[:40] + '"'
