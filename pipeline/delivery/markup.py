"""An approved text as HTML: the same words, escaped; nothing is added but paragraphs and what makes the text's
own web addresses clickable."""

from __future__ import annotations

import re
from html import escape

_LINK = re.compile(r"https?://[^\s<>\"'`{}|\\^\u2028\u2029]+", re.IGNORECASE)
_ENDS = ".,;:!?…"
_PAIRS = {")": "(", "]": "["}


def as_html(text: str) -> str:
    """A whole document. `text` is what `pipeline.delivery.compose.body_text` makes: clean, the signature below
    its `-- ` line."""
    body, mark, signature = text.rstrip("\n").rpartition("\n-- \n")
    if not mark:
        body, signature = signature, ""
    parts = _paragraphs(body)
    if mark:
        parts.append(f"<div>-- <br>\n{_lines(signature)}</div>")
    inside = "\n".join(parts)
    return (
        '<!DOCTYPE html>\n<html>\n<head><meta charset="utf-8"></head>\n'
        f'<body dir="auto">\n{inside}\n</body>\n</html>\n'
    )


def _paragraphs(text: str) -> list[str]:
    blocks = re.split(r"\n{2,}", text.strip("\n"))
    return [f"<p>{_lines(block)}</p>" for block in blocks if block.strip()]


def _lines(text: str) -> str:
    return "<br>\n".join(_line(line) for line in text.split("\n"))


def _line(line: str) -> str:
    """Escaped, with links where an address stands; runs of spaces stay as wide as they were typed."""
    out, end = [], 0
    for found in _LINK.finditer(line):
        address = _without_its_sentence(found[0])
        out.append(_text(line[end : found.start()]))
        shown = escape(address)
        out.append(f'<a href="{shown}">{shown}</a>')
        end = found.start() + len(address)
    out.append(_text(line[end:]))
    return "".join(out)


def _text(text: str) -> str:
    wide = re.sub(r"  +|^ |\t", lambda run: "\u00a0" * (4 if run[0] == "\t" else len(run[0])), text)
    return escape(wide)


def _without_its_sentence(address: str) -> str:
    """Without the full stop or bracket that ends the sentence around it."""
    while address and (
        address[-1] in _ENDS
        or (address[-1] in _PAIRS and address.count(address[-1]) > address.count(_PAIRS[address[-1]]))
    ):
        address = address[:-1]
    return address
