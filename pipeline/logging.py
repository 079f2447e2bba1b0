"""Structured logs: JSON for machines, readable lines on a terminal; secrets and customer text never.

Ticket, step, call and inbox are bound as context variables by those who work on them. Whatever is
logged under a key that could hold a customer's words or a secret is replaced before it is written, and
what looks like a card number or a secret anywhere else. Of an exception the type and the place are told; its
text only where it is ours or the operating system's, for a library's may quote what it choked on.
"""

from __future__ import annotations

import logging
import re
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any

import structlog

from pipeline.errors import TriageError
from pipeline.models.redaction import scrub

HIDDEN_KEYS = frozenset(
    [
        "body",
        "text",
        "new_text",
        "html",
        "subject",
        "reply",
        "draft",
        "content",
        "prompt",
        "password",
        "secret",
        "token",
        "api_key",
        "authorization",
        "cookie",
        "credentials",
        "raw",
        "summary",
    ]
)
_TELLING = re.compile(
    r"passw|secret|token|cookie|authoriz|credential|api_?key|private_?key|session|csrf", re.I
)
_SECRETS = re.compile(
    r"(?i:sk-[A-Za-z0-9_\-]{8,}|whsec_[A-Za-z0-9+/=]{8,}|(?<=://)[^\s/:@]*:[^\s@]+(?=@)|(?:Bearer|Basic)\s+\S+)"
    # what is random and long, as the tokens of sessions, links and the API: capitals, small letters and digits
    r"|(?<![\w/+.-])(?=[\w-]*[A-Z])(?=[\w-]*[a-z])(?=[\w-]*\d)[A-Za-z0-9_-]{32,}(?![\w/+.-])"
)


_MARK = re.compile(r"\[(?:card|secret)\]")


def configure(log_format: str = "auto", level: str = "info") -> None:
    """Set logging up for this process; everything goes to standard error."""
    as_json = log_format == "json" or (log_format == "auto" and not sys.stderr.isatty())
    number = getattr(logging, level.upper())
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: list[Any] = (
        [_exception_as_data, redact, structlog.processors.JSONRenderer()]
        if as_json
        else [_exception_as_lines, redact, structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
    )
    structlog.configure(
        processors=[*shared, *renderer],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        # what sys.stderr is at the time of a line, not at the time of this call: it may have been closed since
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
        cache_logger_on_first_use=False,
    )
    # The libraries' own loggers (celery, uvicorn, ...) go through the same renderer.
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(number, logging.WARNING))


def take_over() -> None:
    """Log what would be printed past the log: an exception that ends a thread. For processes that stay."""

    def ended(found: threading.ExceptHookArgs) -> None:
        if found.exc_value is not None:
            structlog.get_logger(__name__).error(
                "a thread ended by an exception",
                thread=found.thread.name if found.thread else None,
                exc_info=found.exc_value,
            )

    threading.excepthook = ended


def redact(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace what stands under a telling key, and whatever looks like a secret or a card anywhere else."""
    for key, value in event.items():
        event[key] = "[hidden]" if _hides(key, value) else _scrubbed(value)
    return event


def _hides(key: str, value: Any) -> bool:
    if value is None or isinstance(value, bool | int | float):
        return False  # a count of tokens is no token
    return key.lower() in HIDDEN_KEYS or _TELLING.search(key) is not None


def _scrubbed(value: Any) -> Any:
    if isinstance(value, str):
        return scrub(_SECRETS.sub("[secret]", value))
    if isinstance(value, Mapping):
        return {key: "[hidden]" if _hides(str(key), item) else _scrubbed(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_scrubbed(item) for item in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return scrub(_SECRETS.sub("[secret]", str(value)))  # as the renderer would write it


# --- exceptions -----------------------------------------------------------------------------------------


def _exception_as_data(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    if (error := _taken(event)) is not None:
        event["exception"] = [
            {
                "type": type(one).__name__,
                "words": _words(one),
                "frames": [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in _frames(one)],
            }
            for one in _chain(error)
        ]
    return event


def _exception_as_lines(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    if (error := _taken(event)) is not None:
        lines = []
        for one in _chain(error):
            lines += [f"  {frame.filename}:{frame.lineno} {frame.name}" for frame in _frames(one)]
            lines.append(f"{type(one).__name__}: {_words(one)}")
        event["exception"] = "\n".join(lines)
    return event


def _taken(event: MutableMapping[str, Any]) -> BaseException | None:
    found = event.pop("exc_info", None)
    if isinstance(found, BaseException):
        return found
    if isinstance(found, tuple):
        return found[1] if isinstance(found[1], BaseException) else None
    return sys.exc_info()[1] if found else None


def _words(error: BaseException) -> str:
    if isinstance(error, TriageError):
        return str(error)
    if isinstance(error, OSError):
        return error.strerror or ""
    # that a card or a secret was in it is worth knowing
    return " ".join(["[hidden]", *_MARK.findall(_scrubbed(str(error)))])


def _frames(error: BaseException) -> list[traceback.FrameSummary]:
    """Where it arose, without the lines of code and the local variables."""
    return list(traceback.extract_tb(error.__traceback__))[-30:]


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The cause first, as tracebacks have it; not more than ten."""
    found: list[BaseException] = []
    one: BaseException | None = error
    while one is not None and one not in found and len(found) < 10:
        found.append(one)
        one = one.__cause__ or (None if one.__suppress_context__ else one.__context__)
    return reversed(found)
