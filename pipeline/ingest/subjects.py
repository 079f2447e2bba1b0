"""Subjects without what mail programs put around them: reply and forward prefixes, list tags."""

from __future__ import annotations

import re

_REPLY = (
    r"re|aw|antw|antwort|sv|vs|vá|ang|odp|ynt|yan|回复|回覆|答复|答覆|返信|ref|rép|rep|r|rif|rv|res|resp|enc?|bls|atb"
    r"|ηαπ|απ"
    r"|σχετ|отв|отговор|odg|回信|תשובה|رد|hồi âm|trả lời|回|svar|vast"
)
_FORWARD = (
    r"fwd?|wg|weitergeleitet|tr|fs|vb|vl|i|rv|reenv|enc|encam|pd|vid|vidarebefordrat|videresendt|doorst"
    r"|doorgestuurd|fw|trs"
    r"|转发|轉寄|転送|пересл|ilt|tov|továbbítás|πρθ|ftv|redir|inoltro|inoltra|전달|إعادة توجيه|chuyển tiếp"
)
_MARK = re.compile(
    rf"\s*(?:\((?:re|fwd?)\)\s*|(?:{_REPLY}|{_FORWARD})\s*(?:\[\d+\]|\(\d+\)|\d{{1,3}})?\s*(?:[:;：]\s*)+"
    rf"|[:;]\s*(?=(?:{_REPLY}|{_FORWARD})\s*[:;]))",
    re.I,
)
_IS_FORWARD = re.compile(rf"\s*(?:\[[^\]]{{1,40}}\]\s*)?\[?\s*(?:{_FORWARD})\s*(?:\[\d+\])?\s*[:：]", re.I)
_TAG = re.compile(r"\s*\[(?!\s*(?:re|fwd?|aw|wg)\b)[^\[\]]{1,60}\]\s*", re.I)
_BRACKETED = re.compile(r"\s*\[\s*((?:re|fwd?|aw|wg|tr|sv)\s*:.*)\]\s*\Z", re.I | re.S)
_EMPTY_BRACKET = re.compile(r"\s*\[\s*(?:re|fwd?)\s*:?\s*\]\s*", re.I)
_TRAILING = re.compile(r"\s*\((?:re|fwd?)\)\s*\Z", re.I)
_ONLY = re.compile(r"\s*(?:re|fwd?|aw|wg)\s*[-:;]*\s*\Z", re.I)


def bare_subject(subject: str, *, tags: bool = True) -> str:
    """The subject that a thread has in common: `Re: [Fwd: AW: [shop] Order]` is `Order`.

    `tags=False` keeps `[tags]`, which on some desks carry the ticket number.
    """
    bare = subject[:2_000]
    stripped = False
    for _ in range(60):
        before = bare
        match = _MARK.match(bare)
        if match and match.end():
            bare = bare[match.end() :]
            stripped = True
        bracketed = _BRACKETED.match(bare)
        if bracketed:
            bare = bracketed.group(1)
        empty = _EMPTY_BRACKET.match(bare)
        if empty:
            bare = bare[empty.end() :]
        bare = _TRAILING.sub("", bare)
        if tags:
            tag = _TAG.match(bare)
            if tag and tag.end() < len(bare):
                bare = bare[tag.end() :]
        if bare == before:
            break
    if _ONLY.match(bare) and (stripped or re.search(r"[-:;]\s*\Z", bare)):
        bare = ""
    return bare.strip()


def is_forward(subject: str) -> bool:
    """Whether the outermost prefix says that the mail was forwarded (FW, WG, TR, Fwd, …)."""
    match = _IS_FORWARD.match(subject[:200])
    return match is not None
