"""HTML made harmless: for display to agents, and flat enough for tree builders."""

# ruff: noqa: SIM905 - a list of words reads best as words

from __future__ import annotations

import re

from pipeline.ingest.charsets import clean_text

_MAX_DEPTH = 400

_ALLOWED_TAGS = frozenset(
    "a abbr b big blockquote br caption center cite code col colgroup dd del details div dl dt em figcaption"
    " figure font h1 h2 h3 h4 h5 h6 hr i img ins kbd li mark ol p pre q s samp small span strike strong sub"
    " summary sup table tbody td tfoot th thead tr tt u ul var".split()
)
_ALLOWED_ATTRIBUTES = {
    "*": {"dir", "lang", "title", "align"},
    "a": {"href", "title"},
    "img": {"alt", "width", "height", "src"},
    "td": {"colspan", "rowspan", "align", "valign"},
    "th": {"colspan", "rowspan", "align", "valign"},
    "col": {"span"},
    "colgroup": {"span"},
    "ol": {"start", "type"},
    "font": {"color"},
}


def sanitise(html: str) -> str:
    """HTML that may be shown to an agent: nothing is fetched, run or submitted; links http(s)/mailto only.

    Images keep their alternative text; `cid:` images are the one source that stays, as they come with the mail.
    """
    import nh3

    shown = nh3.clean(
        flattened(html),
        tags=set(_ALLOWED_TAGS),
        clean_content_tags={"script", "style", "title", "template", "noscript", "svg", "math"},
        attributes={tag: set(names) for tag, names in _ALLOWED_ATTRIBUTES.items()},
        attribute_filter=_only_local_images,
        url_schemes={"http", "https", "mailto", "cid"},
        link_rel="noopener noreferrer nofollow",
        strip_comments=True,
    )
    return clean_text(shown)  # entities can bring back what was cleaned from the bytes


def _only_local_images(tag: str, attribute: str, value: str) -> str | None:
    if attribute == "src":
        return value if value.lower().startswith("cid:") else None
    if attribute == "href":
        bare = value.strip().lower()
        return value if bare.startswith(("http://", "https://", "mailto:")) else None
    return value


_OPENING = re.compile(r"<(?:/?)([a-zA-Z][a-zA-Z0-9]*)")
_QUOTED_VALUE = re.compile(r"\"[^\"]*\"|'[^']*'")
_LONG_TAG = re.compile(r"<[a-zA-Z][^<>]{1500}[^<>]*")
_VOID = frozenset("br img hr input meta link area base col embed source track wbr param".split())


def flattened(html: str) -> str:
    """Nesting or attributes beyond what any mail program writes make tree builders slow: such a text loses its
    tags."""
    for tag in _LONG_TAG.finditer(html):
        if len(_QUOTED_VALUE.sub("", tag.group()).split(None, 401)) > 400:
            return without_tags(html)
    if html.count("<") < 4 * _MAX_DEPTH:
        return html
    depth = deepest = 0
    for match in _OPENING.finditer(html):
        if html[match.start() + 1] == "/":
            depth -= 1
        elif match.group(1).lower() not in _VOID:
            depth += 1
            deepest = max(deepest, depth)
    # Unclosed <p>, <li> and <font> are common and flat in truth, so the limit is generous.
    return html if deepest < 4 * _MAX_DEPTH else without_tags(html)


def without_tags(html: str) -> str:
    body = re.sub(r"(?is)<(script|style|head|title)\b[^>]*>.*?(?:</\1\s*>|\Z)", " ", html)
    return re.sub(r"<[^<>]*>", " ", body)
