"""Form bodies read without their header: multipart by the boundary that they begin with, else urlencoded."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl

from pipeline.ingest.webhooks.building import File
from pipeline.ingest.webhooks.shape import NotUnderstood

_MOST_FIELDS = 1_000
_NAME = re.compile(rb'\bname="((?:[^"\\]|\\.)*)"', re.IGNORECASE)
_FILENAME = re.compile(rb'\bfilename="((?:[^"\\]|\\.)*)"', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Form:
    """The fields of a form, the last of a name; files apart, each with the name of its field."""

    fields: dict[str, bytes]
    files: tuple[tuple[str, File], ...]

    def text(self, name: str, charset: str = "utf-8") -> str:
        data = self.fields.get(name, b"")
        try:
            return data.decode(charset)
        except (LookupError, UnicodeDecodeError):
            return data.decode("utf-8", "replace")


def read_form(body: bytes) -> Form:
    """Raises `NotUnderstood` for what is neither form."""
    return _multipart(body) if body.startswith(b"--") else _urlencoded(body)


def _urlencoded(body: bytes) -> Form:
    try:
        pairs = parse_qsl(
            body.decode("ascii"), keep_blank_values=True, max_num_fields=_MOST_FIELDS, encoding="latin-1"
        )
    except (UnicodeDecodeError, ValueError):
        raise NotUnderstood("the body is not a form") from None
    return Form({name: value.encode("latin-1") for name, value in pairs}, ())


def _multipart(body: bytes) -> Form:
    first, line_end, _ = body.partition(b"\r\n")
    boundary = first[2:].rstrip()
    if not line_end or not boundary or len(boundary) > 200:
        raise NotUnderstood("the body is not a form")
    pieces = (b"\r\n" + body).split(b"\r\n--" + boundary, _MOST_FIELDS + 1)
    if len(pieces) > _MOST_FIELDS:
        raise NotUnderstood(f"the form has more than {_MOST_FIELDS} fields")
    fields: dict[str, bytes] = {}
    files: list[tuple[str, File]] = []
    for piece in pieces[1:]:
        if piece.startswith(b"--"):
            break
        head, gap, data = piece.partition(b"\r\n\r\n")
        name = _NAME.search(head)
        if not gap or name is None:
            continue
        field = name[1].decode("utf-8", "replace")
        filename = _FILENAME.search(head)
        if filename is None:
            fields[field] = data
        else:
            files.append((field, _file(head, filename[1].decode("utf-8", "replace"), data)))
    return Form(fields, tuple(files))


def _file(head: bytes, name: str, data: bytes) -> File:
    kind = re.search(rb"(?im)^content-type:\s*([^\r\n;]+)", head)
    return File(
        name, kind[1].decode("ascii", "replace").strip() if kind else "application/octet-stream", data
    )
