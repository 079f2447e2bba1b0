"""A mail made of what an event says, so that events pass the same parser, bounds and cleaning as mail."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from pipeline.ingest.message import ParsedMessage
from pipeline.ingest.threading import OURS
from pipeline.ingest.webhooks.shape import NotUnderstood

_CONTROLS = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]+")
_BOUNDARY = "triage-event-part"
_LEFT_OUT = frozenset(("mime-version", "content-type", "content-transfer-encoding", "content-disposition"))


@dataclass(frozen=True, slots=True)
class File:
    """An attachment of an event."""

    name: str
    content_type: str
    data: bytes
    content_id: str | None = None


class Payload(BaseModel):
    """What a source sends, of which we name only what we use: its makers add to it as they like."""

    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)


def document(body: bytes) -> dict[str, Any]:
    """A JSON object. Raises `NotUnderstood`."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        raise NotUnderstood("the body is not JSON") from None
    if not isinstance(found, dict):
        raise NotUnderstood("the body is not a JSON object")
    return found


def understood(error: ValidationError) -> NotUnderstood:
    """The first thing that is wrong with a payload, without its values."""
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "the body"
    return NotUnderstood(f"{where}: {first['msg'].removeprefix('Value error, ')}")


def mailbox(name: str | None, address: str | None) -> str:
    """`"Name" <address>` for a header; only the name where there is no address."""
    shown = _CONTROLS.sub(" ", name or "").replace("\\", "").replace('"', "").strip()[:300]
    where = _CONTROLS.sub("", address or "").strip(" <>")
    if any(character in where for character in '<>,;:"\\ ()') or where.count("@") != 1:
        where = ""
    if not where:
        return f'"{shown}"' if shown else ""
    return f'"{shown}" <{where}>' if shown else f"<{where}>"


def message_id(text: str | None) -> str:
    """`<id>` for a header, from an id with or without its brackets; empty for what cannot be one."""
    bare = re.sub(r"[\s<>\x00-\x20]", "", text or "")[:900]
    return f"<{bare}>" if bare else ""


def thread_id(source: str, thread: str) -> str:
    """An id that all messages of a source's conversation refer to; see `pipeline.ingest.threading.OURS`."""
    return f"<{re.sub(r'[^A-Za-z0-9._-]', '-', thread)[:200]}.thread@{source}{OURS}>"


def date_header(value: str | datetime | int | float | None) -> str:
    """A Date for a header, from ISO text or seconds since 1970; empty where it is neither."""
    from datetime import UTC

    try:
        if isinstance(value, int | float):
            value = datetime.fromtimestamp(value / 1000 if value > 1e11 else value, tz=UTC)
        if isinstance(value, str):
            value = datetime.fromisoformat(value)
    except (ValueError, OverflowError, OSError):
        return ""
    if value is None:
        return ""
    return format_datetime(value if value.tzinfo else value.replace(tzinfo=UTC))


def parsed_mail(
    headers: Iterable[tuple[str, str | None]],
    text: str | None,
    html: str | None = None,
    files: Sequence[File] = (),
) -> ParsedMessage:
    """Parse what `as_mail` makes of these."""
    from pipeline.ingest.mime import parse

    return parse(as_mail(headers, text, html, files))


def as_mail(
    headers: Iterable[tuple[str, str | None]],
    text: str | None,
    html: str | None = None,
    files: Sequence[File] = (),
) -> bytes:
    """The bytes of a mail with these headers and bodies. A line break in a header becomes a blank."""
    lines = []
    for name, value in headers:
        name = re.sub(r"[^A-Za-z0-9-]", "", name)
        if value and name and name.lower() not in _LEFT_OUT:
            lines.append(f"{name}: {_CONTROLS.sub(' ', value).strip()}")
    parts = []
    if text or not html:
        parts.append(_part("text/plain; charset=utf-8", (text or "").encode("utf-8", "replace")))
    if html:
        parts.append(_part("text/html; charset=utf-8", html.encode("utf-8", "replace")))
    both = len(parts) == 2
    head = "\r\n".join([*lines, "MIME-Version: 1.0", ""])
    body = _container("alternative", "a", parts) if both else parts[0]
    if files:
        body = _container("mixed", "m", [body, *(_file(one) for one in files)])
    return head.encode("utf-8", "replace") + body


def _container(kind: str, mark: str, parts: Sequence[bytes]) -> bytes:
    # parts are base64, so no line of theirs can be a boundary
    boundary = f"{_BOUNDARY}-{mark}"
    head = f'Content-Type: multipart/{kind}; boundary="{boundary}"\r\n\r\n'.encode()
    inside = b"".join(b"--" + boundary.encode() + b"\r\n" + part + b"\r\n" for part in parts)
    return head + inside + b"--" + boundary.encode() + b"--\r\n"


def _part(content_type: str, data: bytes, extra: str = "") -> bytes:
    head = f"Content-Type: {content_type}\r\n{extra}Content-Transfer-Encoding: base64\r\n\r\n"
    return head.encode("utf-8", "replace") + base64.encodebytes(data)


def _file(one: File) -> bytes:
    kind = one.content_type.split(";")[0].strip().lower()
    if not re.fullmatch(r"[a-z0-9.+-]{1,100}/[a-z0-9.+-]{1,100}", kind) or kind.startswith(
        ("multipart/", "message/")
    ):
        kind = "application/octet-stream"
    name = _CONTROLS.sub(" ", one.name).replace("\\", "").replace('"', "")[:300]
    disposition = "inline" if one.content_id else "attachment"
    extra = f'Content-Disposition: {disposition}; filename="{name}"\r\n'
    if one.content_id:
        extra += f"Content-ID: {message_id(one.content_id)}\r\n"
    return _part(kind, one.data, extra)
