"""Delivery reports: RFC 3464 ones, and the many that mail servers word in their own way."""

from __future__ import annotations

import re

from pipeline.ingest.addresses import normalise_address
from pipeline.ingest.bounce_phrases import (
    ADDRESS,
    AFTER_INTRO,
    COPIED,
    DAEMON_ADDRESS,
    DAEMON_NAME,
    FAILED,
    FAILED_ELSEWHERE,
    LABELLED,
    NOT_RECIPIENT,
    ORIGINAL_PHRASE,
    PERMANENT,
    REPLY_CODE,
    RETURNED,
    RETURNED_HEADER,
    SELF,
    STATUS,
    STILL_TRYING,
    SUBJECT,
    TEMPORARY,
)
from pipeline.ingest.bounds import DEFAULT_BOUNDS, Meter, OverBound
from pipeline.ingest.charsets import decode
from pipeline.ingest.headers import Headers, as_text, decode_text, message_ids, read_block
from pipeline.ingest.message import Bounce, BouncedRecipient
from pipeline.ingest.structure import Part, read_tree


def is_report(root: Part) -> bool:
    """Whether the tree holds a machine-readable delivery report."""
    return any(
        p.content_type in ("message/delivery-status", "message/global-delivery-status") for p in root.walk()
    ) or (
        root.content_type == "multipart/report"
        and root.parameters.get("report-type", "delivery-status").lower() == "delivery-status"
    )


def read_bounce(root: Part, headers: Headers, text: str, subject: str) -> tuple[Bounce, str] | None:
    """The report and a plain reason, when the message is one; None for every other mail.

    `text` is the message's own text. A report that says "delivered" or "relayed" is no bounce.
    """
    recipients, successes = _from_status(root)
    if not recipients and not successes and from_daemon(headers):
        recipients = _from_enclosed(root)
    if recipients:
        return _bounce(root, text, recipients), "a delivery report names the recipients that were not reached"
    if successes:
        return None
    named = [
        a
        for value in headers.raw_all("x-failed-recipients")
        for a in _addresses(as_text(value).replace(",", " "))
    ]
    if not named and not _looks_like_report(root, headers, subject, text):
        return None
    own = _own_addresses(headers)
    body = _report_text(root, text)
    if not named:
        told, passing = _from_text(body, own)
        elsewhere, passing_there = ([], []) if told else _from_text(_other_text(root, body), own)
        # A name that the report introduces is better evidence than an address that stands in its advice.
        named = told or elsewhere or _bare_names(body, headers) or passing or passing_there
    temporary = _is_temporary(subject, body)
    status = STATUS.search(body)
    permanent = not temporary
    code = status.group(1) if status else None
    found = [BouncedRecipient(a, permanent, code) for a in dict.fromkeys(named)]
    if not found and not is_report(root) and not _clear_failure(root, headers, subject, body):
        return None
    reason = "the mail system says that a mail was not delivered"
    if not found:
        reason += ", without naming the recipient"
    elif temporary:
        reason = "the mail system says that a mail is delayed"
    return _bounce(root, text, found), reason


def _bounce(root: Part, text: str, recipients: list[BouncedRecipient]) -> Bounce:
    original, references = _original_ids(root, text)
    return Bounce(tuple(recipients[:1_000]), original, references)


def _from_status(root: Part) -> tuple[list[BouncedRecipient], int]:
    """Recipients of the RFC 3464 parts that failed or are delayed, and how many were served."""
    found: dict[str, BouncedRecipient] = {}
    successes = 0
    for part in root.walk():
        if part.content_type not in ("message/delivery-status", "message/global-delivery-status"):
            continue
        for fields in _status_blocks(part):
            action = fields.get("action", "").lower().strip()
            address = _recipient(fields)
            if not address:
                continue
            if action.startswith(("deliver", "relay", "expand")):
                successes += 1
                continue
            status = STATUS.search(fields.get("status", "")) or STATUS.search(
                fields.get("diagnostic-code", "")
            )
            code = status.group(1) if status else None
            if not action and not code:
                continue
            temporary = action.startswith("delay") or (
                not action.startswith("fail") and (code or "").startswith("4")
            )
            found.setdefault(address, BouncedRecipient(address, not temporary, code))
    return list(found.values()), successes


def _from_enclosed(root: Part) -> list[BouncedRecipient]:
    """Gateways pass a report on as an attached mail: the one inside is the report."""
    for part in root.walk():
        if part.content_type == "message/rfc822" and not part.children:
            try:
                inner = read_tree(part.raw, Meter(DEFAULT_BOUNDS), [], part.start, part.end)
            except OverBound:
                continue
            if inner.content_type == "multipart/report":
                return _from_status(inner)[0]
    return []


def _status_blocks(part: Part) -> list[dict[str, str]]:
    try:
        data = part.decode(Meter(DEFAULT_BOUNDS), [])
    except OverBound:
        return []
    blocks: list[dict[str, str]] = []
    for block in re.split(rb"\r?\n[ \t]*\r?\n", data[:1_000_000])[:2_000]:
        try:
            headers, _ = read_block(block.lstrip() + b"\n", 0, len(block) + 1, DEFAULT_BOUNDS)
        except OverBound:
            continue
        fields: dict[str, str] = {}
        for name, value in headers.fields:
            fields.setdefault(name, decode_text(as_text(value)))
        if fields:
            blocks.append(fields)
    return blocks


def _recipient(fields: dict[str, str]) -> str | None:
    """The address that was written to (Original-Recipient) rather than the one it was forwarded to."""
    for name in ("original-recipient", "final-recipient", "x-actual-recipient"):
        value = fields.get(name, "")
        kind, semicolon, address = value.partition(";")
        if semicolon and kind.strip().lower() not in (
            "rfc822",
            "utf-8",
            "smtp",
            "rfc-822",
            "internet",
            "unknown",
        ):
            continue
        found = _addresses(address if semicolon else value)
        if found:
            return found[0]
    return None


def _looks_like_report(root: Part, headers: Headers, subject: str, text: str) -> bool:
    if is_report(root):
        return True
    titled = bool(SUBJECT.search(subject[:300]))
    if from_daemon(headers):
        return titled or _says_failed(text)
    if null_return_path(headers):
        return titled or (not re.match(r"(?i)\s*(?:re|aw|auto|automat)", subject) and _says_failed(text))
    # No known sender: only a subject and a text that both say so, and no sign that a person answers.
    if not titled or "in-reply-to" in headers or "references" in headers:
        return False
    return _says_failed(text)


def _says_failed(text: str) -> bool:
    head = text[:3_000]
    return bool(FAILED.search(head) or FAILED_ELSEWHERE.search(head))


def _clear_failure(root: Part, headers: Headers, subject: str, body: str) -> bool:
    returned = any(p.content_type in RETURNED for p in root.walk())
    says = bool(SUBJECT.search(subject)) and bool(FAILED.search(body[:3_000]))
    return says and (returned or from_daemon(headers) or null_return_path(headers))


def from_daemon(headers: Headers) -> bool:
    """Whether From (or Sender) is a mail system."""
    for name in ("from", "sender"):
        value = headers.text(name)
        if not value:
            continue
        if DAEMON_ADDRESS.search(value):
            return True
        display = value.partition("<")[0].strip(' "')
        if display and "@" not in display and DAEMON_NAME.search(display):
            return True
        if name == "from":
            break
    return False


def null_return_path(headers: Headers) -> bool:
    value = headers.raw("return-path")
    return value is not None and value.strip() in (b"<>", b"< >", b"<MAILER-DAEMON>", b"<mailer-daemon>")


def _own_addresses(headers: Headers) -> set[str]:
    """Whom the report went to and who sent it: none of them is the recipient that failed."""
    own: set[str] = set()
    for name in ("to", "from", "sender", "return-path", "delivered-to", "envelope-to", "errors-to"):
        for value in headers.raw_all(name):
            own.update(a.lower() for a in _addresses(as_text(value)))
    return own


def _addresses(text: str) -> list[str]:
    found = []
    for match in ADDRESS.findall(text):
        address = normalise_address(re.sub(r"(?i)^(?:smtp|rfc-?822|mailto)[=:]", "", match.strip(".'`*=!&")))
        if address:
            found.append(address)
    return found


def _report_text(root: Part, text: str) -> str:
    """The report's own words: the text up to where the original begins."""
    return _before_original(text)


def _before_original(text: str) -> str:
    text = text[:200_000]
    first = ADDRESS.search(text)
    at = text.find("\n", first.end()) if first else -1
    while at >= 0:
        stop = text.find("\n", at + 1)
        if _is_original_mark(text[at + 1 : stop if stop >= 0 else len(text)]):
            return text[:at]
        at = stop
    return text


def _is_original_mark(line: str) -> bool:
    """Whether the mail that bounced begins below this line."""
    bare = line.strip(" \t>|*")
    if not bare or len(bare) > 200:
        return False
    if bare[:2] in ("--", "==", "__", "##", "++"):
        core = bare.strip("-=_+*# |:\t").lower()
        about = "message" in core or "mail" in core or "header" in core
        return about and "to the following" not in core and any(word in core for word in COPIED)
    return ORIGINAL_PHRASE.match(bare) is not None


def _other_text(root: Part, body: str) -> str:
    """Texts that are attachments, where the words of the report themselves name nobody."""
    out: list[str] = []
    for part in root.walk():
        if part.children or part.maintype != "text":
            continue
        try:
            out.append(
                decode(part.decode(Meter(DEFAULT_BOUNDS), []), part.parameters.get("charset"))[0][:20_000]
            )
        except OverBound:
            continue
        if len(out) > 3:
            break
    joined = "\n".join(out)
    return "" if joined.strip() == body.strip() else _before_original(joined)


def _from_text(text: str, own: set[str]) -> tuple[list[str], list[str]]:
    """Addresses in the report's words: those below an introduction, else on a line that tells of the failure or
    is labelled; and apart from them the first that is nobody's own."""
    lines = text[:60_000].split("\n")[:1_500]
    introduced: list[str] = []
    telling: list[str] = []
    other: list[str] = []
    since_intro = 99
    for index, line in enumerate(lines):
        if AFTER_INTRO.search(line):
            since_intro = 0
        elif "transcript" in line.lower() or line.lstrip()[:2] in ("--", "=="):
            since_intro = 99
        elif line.strip():
            since_intro += 1
        if "@" not in line:
            continue
        if NOT_RECIPIENT.search(line) and not LABELLED.match(line):
            continue
        found = [a for a in _addresses(line) if a.lower() not in own and not SELF.match(a)]
        if not found:
            continue
        leading = re.match(r"[\s>*|\-\"'(]*<?[^\s<]*@", line) is not None
        near = " ".join(lines[index : index + 3])
        if (
            since_intro > 8
            and re.match(r"(?i)\s*to:", line)
            and RETURNED_HEADER.search("\n".join(lines[index : index + 4]))
        ):
            continue  # the head of the returned mail, repeated: whom it went to is not whom it did not reach
        if (
            (since_intro <= 8 and leading)
            or (since_intro == 1 and "=" in line)
            or (since_intro <= 3 and len(line.strip()) < len(found[0]) + 30)
        ):
            introduced.append(found[0])
            since_intro = min(since_intro, 1)
        elif LABELLED.match(line) or FAILED.search(line) or REPLY_CODE.search(line):
            telling.extend(found[:1])
        elif leading and (FAILED.search(near) or REPLY_CODE.search(near)):
            telling.append(found[0])
        else:
            other.extend(found)
    return list(dict.fromkeys(introduced or telling)), other[:1]


_BARE_NAME = re.compile(r"[ \t]*([A-Za-z0-9_.+-]{2,64})(?:\s*$|\t| {2,}\S)")


def _bare_names(text: str, headers: Headers) -> list[str]:
    """Servers that name their own users without a domain: it is that of the server.

    The name stands alone on the line below the introduction, or is set off from the reason beside it.
    """
    domain = next((a.rpartition("@")[2] for a in _addresses(headers.text("from"))), "")
    if not domain or not from_daemon(headers):
        return []
    lines = [line for line in text[:20_000].split("\n") if line.strip()]
    for index, line in enumerate(lines[:60]):
        if AFTER_INTRO.search(line):
            named = _BARE_NAME.match(lines[index + 1]) if index + 1 < len(lines) else None
            if named and not named.group(1).isdigit():
                return [f"{named.group(1)}@{domain}"]
    return []


def _is_temporary(subject: str, body: str) -> bool:
    head = body[:4_000]
    if STILL_TRYING.search(head):
        return True
    final = PERMANENT.search(head) or re.search(r"(?i)fail|undeliver|return|unknown", subject)
    return not final and bool(TEMPORARY.search(head) or re.search(r"(?i)\bwarning\b|\bdelay", subject))


def _original_ids(root: Part, text: str) -> tuple[str | None, tuple[str, ...]]:
    """Message-ID and References of the mail that bounced, out of its returned headers."""
    for part in root.walk():
        if part.content_type in RETURNED:
            try:
                headers, _ = read_block(part.raw, part.start, part.end, DEFAULT_BOUNDS)
            except OverBound:
                continue
            ids = message_ids(headers.plain("message-id"))
            if ids:
                return ids[0], message_ids(headers.plain("references"))
    match = re.search(r"(?im)^[ \t>]*message-id:\s*<([^<>\s]{3,300})>", text)
    return (match.group(1) if match else None), ()
