"""Structured logs: JSON for machines, readable lines on a terminal; secrets and customer text never.

Ticket, step, call and inbox are bound as context variables by those who work on them. Whatever is
logged under a key that could hold a customer's words or a secret is replaced before it is written, and
what looks like a card number or a secret anywhere else, an exception's text included.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any

import structlog

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
_SECRETS = re.compile(
    r"sk-[A-Za-z0-9_\-]{8,}|whsec_[A-Za-z0-9+/=]{8,}|(?<=://)[^\s/:@]+:[^\s/@]+(?=@)|Bearer\s+\S+",
    re.IGNORECASE,
)


# Local variables hold customer text, so a traceback goes without them.
_TRACEBACKS = structlog.processors.ExceptionRenderer(
    structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
)
_PLAIN_TRACEBACKS = structlog.processors.ExceptionRenderer()


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
        [_TRACEBACKS, redact, structlog.processors.JSONRenderer()]
        if as_json
        else [
            _PLAIN_TRACEBACKS,
            redact,
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
            ),
        ]
    )
    structlog.configure(
        processors=[*shared, *renderer],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
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


def redact(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace what stands under a telling key, and whatever looks like a secret or a card anywhere else."""
    for key, value in event.items():
        event[key] = "[hidden]" if key.lower() in HIDDEN_KEYS else _scrubbed(value)
    return event


def _scrubbed(value: Any) -> Any:
    if isinstance(value, str):
        return scrub(_SECRETS.sub("[secret]", value))
    if isinstance(value, Mapping):
        return {
            key: "[hidden]" if str(key).lower() in HIDDEN_KEYS else _scrubbed(item)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [_scrubbed(item) for item in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return scrub(_SECRETS.sub("[secret]", str(value)))  # as the renderer would write it
