"""HTML two ways: as readable plain text (links, lists and quotes kept), and sanitised for display."""

# ruff: noqa: SIM905 - a list of words reads best as words

from __future__ import annotations

import re
from html import unescape
from itertools import islice
from typing import Any

from pipeline.ingest.attribution import FORWARD_MARK
from pipeline.ingest.charsets import clean_text
from pipeline.ingest.sanitising import flattened, sanitise, without_tags

__all__ = [
    "FORWARD_BELOW",
    "REPLY_BELOW",
    "SIGNATURE_END",
    "SIGNATURE_START",
    "sanitise",
    "to_text",
    "without_marks",
]

# Private-use marks on lines of their own that tell the quote finder what the HTML said; `without_marks`
# takes them out, and charsets.clean_text takes them out of whatever a sender writes.
REPLY_BELOW = "\ue0f1"
SIGNATURE_START = "\ue0f2"
SIGNATURE_END = "\ue0f3"
FORWARD_BELOW = "\ue0f4"
_FOREIGN_MARKS = re.compile("[\ue0f0-\ue0ff]")
_MARK_LINES = re.compile("^(?:> ?)*[\ue0f1-\ue0f4]\n?", re.M)

_SKIPPED = frozenset(
    "head style script title template noscript iframe object embed applet svg math select textarea audio"
    " video"
    " canvas map frameset".split()
)
_BLOCKS = frozenset(
    "div section article header footer main nav aside address center form fieldset figure figcaption tr table"
    " tbody thead tfoot caption dl dt dd ul ol li h1 h2 h3 h4 h5 h6 p pre blockquote hr body html details"
    " summary menu dir".split()
)
_SPACED = frozenset("p h1 h2 h3 h4 h5 h6 pre blockquote ul ol dl table".split())
_SPACES = re.compile(r"[ \t\r\n\f]+")
_HIDDEN = re.compile(
    r"display\s*:\s*none|visibility\s*:\s*hidden|mso-hide\s*:\s*all|font-size\s*:\s*0(?:px|pt|em)?\s*(?:;|$"
    r"|!)",
    re.I,
)
_HIDING = ("none", "hidden", "mso-hide", "font-size")
_NO_BORDER = re.compile(r"border(?:-left)?\s*:\s*(?:none|0)\b", re.I)
_TOP_BORDER = re.compile(r"border-top(?:-style)?\s*:\s*[^;]*\bsolid|border\s*:\s*none\s*;\s*border-top", re.I)
_HEADER_START = re.compile(r"\s*\*?[^\W\d_][^\W\d_ -]{0,15}(?: ?[^\W\d_]{1,12})?\s?\*?[:：]")
_OUTLOOK_BELOW = frozenset(
    (
        "appendonsend",
        "divrplyfwdmsg",
        "olk_src_body_section",
        "mail-editor-reference-message-container",
        "ms-outlook-mobile-reference-message",
        "stopspelling",
        "zwchr",
        "reply-intro",
        "replyforwardmessage",
    )
)
_SIGNATURE_CLASSES = frozenset(
    (
        "gmail_signature",
        "moz-signature",
        "protonmail_signature_block",
        "ms-outlook-mobile-signature",
        "elided-text-signature",
        "mobile-signature",
        "yahoo-signature",
        "zmail_signature",
        "airmail_signature",
        "bloop_sign",
        "signature",
        "email-signature",
        "mimestream_signature",
        "tutanota_signature",
    )
)
_SIGNATURE_IDS = frozenset(
    (
        "signature",
        "applemailsignature",
        "applelinescontentmarker-signature",
        "ms-outlook-mobile-signature",
        "apple-mail-signature",
        "gmail_signature",
        "yahoo-signature",
        "divtagdefaultsignature",
    )
)
_QUOTE_CONTAINERS = frozenset(
    ("yahoo_quoted", "protonmail_quote", "zmail_extra", "moz-cite-prefix", "gmail_attr", "tutanota_quote",
     "zoho_quote", "acymailing_quote", "hn-quote", "x_gmail_attr", "ydpyahoo_quoted", "quoted-reply",
     "front-blockquote", "mimestream_quote")
)  # fmt: skip


def to_text(html: str) -> str:
    """Readable text with the private marks still in (see `without_marks`). Never raises on markup."""
    from lxml import etree

    flat = flattened(html)
    parser = etree.HTMLParser(
        encoding="utf-8",
        recover=True,
        no_network=True,
        remove_comments=True,
        remove_pis=True,
        huge_tree=False,
    )
    try:
        root = etree.fromstring(flat.encode("utf-8", "replace"), parser)
    except (etree.XMLSyntaxError, ValueError):
        root = None
    if root is None:
        return _squeeze(clean_text(unescape(without_tags(flat))).split("\n"))
    writer = _Writer()
    writer.walk(root)
    # Entities can bring back what was cleaned from the bytes.
    return _squeeze(clean_text("\n".join(writer.finish()), keep_marks=True).split("\n"))


def without_marks(text: str) -> str:
    """The text for people: the marks' lines are gone."""
    if any(mark in text for mark in (REPLY_BELOW, SIGNATURE_START, SIGNATURE_END, FORWARD_BELOW)):
        text = _MARK_LINES.sub("", text)
    return text.strip("\n")


def _squeeze(lines: list[str]) -> str:
    """No trailing blanks and at most one empty line in a row."""
    out: list[str] = []
    for line in lines:
        line = line.rstrip()
        if line.strip("> ") or (out and out[-1].strip("> ")):
            out.append(line)
    while out and not out[-1].strip("> "):
        out.pop()
    return "\n".join(out)


class _Writer:
    """Walks the tree once, without recursion, and writes lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.line: list[str] = []
        self.quote = 0
        self.pre = 0
        self.space = False
        self.lists: list[int | None] = []
        self.bullet = ""
        self.looks = 0
        self.borders = 0

    def walk(self, root: Any) -> None:
        # (element, True) is the element's end; each carries what its start changed.
        stack: list[tuple[Any, bool, tuple[str, ...]]] = [(root, False, ())]
        while stack:
            element, ending, undo = stack.pop()
            if ending:
                self._end(element, undo)
                if element.tail:
                    self.text(element.tail)
                continue
            tag = element.tag if isinstance(element.tag, str) else ""
            if not tag or tag in _SKIPPED or self._hidden(element):
                if element.tail and element is not root:
                    self.text(element.tail)
                continue
            undo = self._start(element, tag)
            if element.text:
                self.text(element.text)
            stack.append((element, True, undo))
            stack.extend((child, False, ()) for child in reversed(element))

    def finish(self) -> list[str]:
        self.newline()
        return self.lines

    @staticmethod
    def _hidden(element: Any) -> bool:
        style = element.get("style")
        if style and any(word in style.lower() for word in _HIDING) and _HIDDEN.search(style):
            return True
        return element.get("hidden") is not None

    def text(self, text: str) -> None:
        if self.pre:
            head, *rest = text.replace("\r\n", "\n").split("\n")
            self._put(head)
            for line in rest:
                self.newline(force=True)
                self._put(line)
            return
        words = text.split()
        if not words:
            self.space = True
            return
        if text[0].isspace():
            self.space = True
        trailing = text[-1].isspace()
        self._put(" ".join(words))
        self.space = trailing

    def _put(self, text: str) -> None:
        if not text:
            return
        if not self.line:
            if self.bullet:
                self.line.append(self.bullet)
                self.bullet = ""
        elif self.space:
            self.line.append(" ")
        self.space = False
        if not text.isascii():
            text = _FOREIGN_MARKS.sub("", text).replace("\xa0", " ")
        self.line.append(text)

    def newline(self, force: bool = False) -> None:
        if self.line or force:
            self.lines.append("> " * self.quote + "".join(self.line))
            self.line = []
        self.space = False

    def blank(self) -> None:
        self.newline()
        if self.lines and self.lines[-1].strip("> "):
            self.lines.append(("> " * self.quote).rstrip())

    def mark(self, mark: str) -> None:
        self.newline()
        self.lines.append("> " * self.quote + mark)

    def _start(self, element: Any, tag: str) -> tuple[str, ...]:
        undo: list[str] = []
        names = (element.get("class") or "").lower().split() if element.get("class") else []
        name = (element.get("id") or "").lower()
        if tag == "br":
            self.newline(force=True)
            return ()
        if tag == "img":
            alt = (element.get("alt") or "").strip()
            if alt:
                self._put(f"[{_SPACES.sub(' ', alt)}]")
            return ()
        if tag in _BLOCKS:
            if tag in _SPACED and not (tag == "p" and not self.lines):
                self.blank() if tag != "p" or not _no_margin(element) else self.newline()
            else:
                self.newline()
        if tag == "a":
            undo.append("link")
        elif tag in ("td", "th"):
            if self.line:
                self.line.append("  ")
                self.space = False
        elif tag == "li":
            number = self.lists[-1] if self.lists else None
            if number is not None and self.lists:
                self.bullet = "  " * (len(self.lists) - 1) + f"{number}. "
                self.lists[-1] = number + 1
            else:
                self.bullet = "  " * max(len(self.lists) - 1, 0) + "- "
        elif tag in ("ul", "ol"):
            self.lists.append(_list_start(element) if tag == "ol" else None)
            undo.append("list")
        elif tag == "pre":
            self.pre += 1
            undo.append("pre")
        elif tag == "blockquote":
            style = element.get("style") or ""
            if not (_NO_BORDER.search(style) and not element.get("type") and not names) and self.quote < 20:
                self.quote += 1
                undo.append("quote")
        # Looking ahead into a subtree costs its size, so only so many elements may ask for it.
        if (name or names or element.get("data-signatureblock")) and self.looks < 500:
            self.looks += 1
            undo.extend(self._provider(element, name, names))
        if tag == "div" and self.borders < 200 and element.get("style") and _outlook_border(element):
            self.borders += 1
            self.mark(REPLY_BELOW)
        return tuple(undo)

    def _provider(self, element: Any, name: str, names: list[str]) -> list[str]:
        """What the mail programs' own class names and ids say about quotes and signatures."""
        undo: list[str] = []
        bare = name.removeprefix("x_")
        plain_names = [n.removeprefix("x_").removeprefix("ecx") for n in names]
        if bare in _OUTLOOK_BELOW or any(n in _OUTLOOK_BELOW for n in plain_names):
            self.mark(REPLY_BELOW)
        elif "moz-forward-container" in plain_names:
            self.mark(FORWARD_BELOW)
        elif element.tag != "blockquote" and any(n in _QUOTE_CONTAINERS for n in plain_names):
            if _forward(element):
                self.mark(FORWARD_BELOW)
            elif self.quote < 20:
                self.newline()
                self.quote += 1
                undo.append("quote")
        elif "gmail_quote" in plain_names and element.tag != "blockquote":
            if _forward(element):
                self.mark(FORWARD_BELOW)
            elif not _has_blockquote(element):
                self.mark(REPLY_BELOW)
        if (
            bare in _SIGNATURE_IDS
            or any(n in _SIGNATURE_CLASSES for n in plain_names)
            or element.get("data-signatureblock")
        ):
            self.mark(SIGNATURE_START)
            undo.append("signature")
        return undo

    def _end(self, element: Any, undo: tuple[str, ...]) -> None:
        tag = element.tag
        if "link" in undo:
            self._link(element)
        if tag in _BLOCKS:
            self.newline()
            if tag in _SPACED and not (tag == "p" and _no_margin(element)):
                self.blank()
        for change in undo:
            if change == "quote":
                self.newline()
                self.quote -= 1
            elif change == "list":
                self.lists.pop()
                self.bullet = ""
            elif change == "pre":
                self.pre -= 1
            elif change == "signature":
                self.mark(SIGNATURE_END)

    def _link(self, element: Any) -> None:
        href = (element.get("href") or "").strip()
        if not href.lower().startswith(("http://", "https://", "mailto:")) or len(href) > 2_000:
            return
        target = href[7:].partition("?")[0] if href.lower().startswith("mailto:") else href
        shown = "".join(_first_text(element, len(target) + 40).split())
        bare = re.sub(r"(?i)^https?://(www\.)?|/$", "", target)
        if not shown or bare.lower() not in shown.lower():
            self.line.append(f" <{_SPACES.sub('', target)}>" if self.line else f"<{_SPACES.sub('', target)}>")


def _list_start(element: Any) -> int:
    start = element.get("start") or ""
    return int(start) if start.isascii() and start.isdigit() and len(start) < 7 else 1


_MARGIN_ZERO = re.compile(r"margin(?:-top|-bottom)?\s*:\s*0")


def _no_margin(element: Any) -> bool:
    """Outlook writes each line as a paragraph without margins."""
    style = element.get("style")
    if style and _MARGIN_ZERO.search(style):
        return True
    return "MsoNormal" in (element.get("class") or "")


def _forward(element: Any) -> bool:
    return bool(FORWARD_MARK.search(_first_text(element, 200)))


def _has_blockquote(element: Any) -> bool:
    return any(e.tag == "blockquote" for e in islice(element.iter(), 3_000))


def _first_text(element: Any, limit: int) -> str:
    """The beginning of an element's text, looking at a few hundred elements at most."""
    out: list[str] = []
    size = 0
    for inner in islice(element.iter(), 300):
        for text in (inner.text, inner.tail if inner is not element else None):
            if text and isinstance(inner.tag, str):
                out.append(text)
                size += len(text.strip())
        if size > limit:
            break
    return " ".join(out)


def _outlook_border(element: Any) -> bool:
    """Outlook draws a line above the quoted mail's header block; nothing else there starts with `From:`."""
    style = element.get("style")
    if not style or not _TOP_BORDER.search(style):
        return False
    return bool(_HEADER_START.match(_first_text(element, 60).strip()))
