"""What a provider's failure means, whichever SDK met it: HTTP answers and network errors into our tree."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from pipeline.errors import (
    ModelCredit,
    ModelError,
    ModelOverloaded,
    ModelRefused,
    ModelRejected,
    ModelTimeout,
    ModelTooLong,
    ModelTransport,
    ModelUndecodable,
    Usage,
)
from pipeline.models.base import ModelRequest

NOTHING = Usage()
"""Known to have used nothing, as against None: nobody can know."""

_MAYBE_ANSWERED = frozenset({502, 504, 520, 522, 524})
"""Statuses of a gateway in between: the model's server may have worked, and charge for it."""

_CREDIT_CODES = frozenset(
    {"insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "billing_error"}
)
_FILTER_CODES = frozenset(
    {"content_filter", "content_policy_violation", "invalid_prompt", "responsibleaipolicyviolation"}
)
_TOO_LONG_CODES = frozenset(
    {"context_length_exceeded", "string_above_max_length", "request_too_large", "exceed_context_size_error"}
)
_CREDIT_WORDS = re.compile(
    r"credit balance|insufficient (credit|fund|balance|quota)|(out of|more|purchase) credits"
    r"|\bbilling\b|\bquota\b|payment (method|required)|your payment",
    re.I,
)
_SPEND_LIMIT_WORDS = re.compile(
    r"spend(ing)? limit|credit balance|usage limits?\b.*(regain|reset|reached)", re.I
)
_TOO_LONG_WORDS = re.compile(
    r"prompt is too long|maximum context length|context (window|limit|length|size)|input is too long"
    r"|exceeds? the (available )?context|too many tokens",
    re.I,
)
_KEY = re.compile(r"\b(sk|key|pk)-[\w*.-]{4,}|\bBearer\s+\S+", re.I)
_WORDS_LENGTH = 200
_QUOTE_LENGTH = 16


def from_status(
    provider: str, status: int, headers: Mapping[str, str], body: bytes | str, request: ModelRequest
) -> ModelError:
    """The error for an HTTP answer that is not a 200. Its text holds no key and nothing of the request."""
    error_type, code, message = _told(body)
    codes = {error_type, code}
    said = _harmless(message, request)
    text = f"{provider} answered {status}{f' {code or error_type}' if code or error_type else ''}"
    text = f"{text}: {said}" if said else text

    if status == 413 or codes & _TOO_LONG_CODES:
        return ModelTooLong(text, usage=NOTHING, status=status)
    if status == 429:
        if codes & _CREDIT_CODES or _SPEND_LIMIT_WORDS.search(message):
            return ModelCredit(text, usage=NOTHING, status=status)
        if message.startswith("Request too large"):
            return ModelTooLong(text, usage=NOTHING, status=status)
        return ModelOverloaded(text, usage=NOTHING, status=status, retry_after_s=retry_after_s(headers))
    if status in (408, 409) or status >= 500:
        usage = None if status in _MAYBE_ANSWERED else NOTHING
        return ModelOverloaded(text, usage=usage, status=status, retry_after_s=retry_after_s(headers))
    if codes & _CREDIT_CODES or (status in (400, 402) and _CREDIT_WORDS.search(message)):
        return ModelCredit(text, usage=NOTHING, status=status)
    if status == 400 and codes & _FILTER_CODES:
        return ModelRefused(text, usage=NOTHING, status=status)
    if status in (400, 422) and _TOO_LONG_WORDS.search(message):
        return ModelTooLong(text, usage=NOTHING, status=status)
    return ModelRejected(text, usage=NOTHING, status=status)


def from_network(provider: str, error: BaseException) -> ModelError:
    """The error for a call that got no whole HTTP answer; looks through what the SDK wrapped around it."""
    import httpx2

    from pipeline.models.deadline import AnswerTooLarge

    chain = list(_causes(error))
    for cause in chain:
        if isinstance(cause, AnswerTooLarge):
            return ModelUndecodable(f"{provider}: {cause}")
        if isinstance(cause, httpx2.ConnectTimeout | httpx2.PoolTimeout):
            return ModelTimeout(f"{provider} could not be connected to in time", usage=NOTHING)
        if isinstance(cause, httpx2.TimeoutException):
            return ModelTimeout(f"{provider} gave no whole answer before the call's deadline")
        if isinstance(cause, httpx2.ConnectError | httpx2.ProxyError):
            return ModelTransport(f"{provider} cannot be reached: {cause}", usage=NOTHING)
        if isinstance(cause, httpx2.UnsupportedProtocol | httpx2.InvalidURL | httpx2.LocalProtocolError):
            return ModelRejected(
                f"{provider}: the request cannot be sent ({cause}); see its base address and key",
                usage=NOTHING,
            )
        if isinstance(cause, httpx2.TransportError):
            return ModelTransport(f"the connection to {provider} failed: {cause}")
    kind = type(chain[-1]).__name__
    return ModelRejected(
        f"{provider}: the request could not be made ({kind}); see its key and base address", usage=NOTHING
    )


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """The provider's own word on when to come back, in seconds; None where it gave none that makes sense."""
    lowered = {name.lower(): value for name, value in headers.items()}
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        value = lowered.get(name, "").strip()
        if not value:
            continue
        try:
            seconds = float(value) * unit
        except ValueError:
            try:
                at = parsedate_to_datetime(value)
            except (ValueError, IndexError):
                continue
            at = at.replace(tzinfo=UTC) if at.tzinfo is None else at
            seconds = at.timestamp() - datetime.now(UTC).timestamp()
        if seconds == seconds and abs(seconds) != float("inf"):
            return max(0.0, seconds)
    return None


def answer_object(provider: str, content: bytes) -> dict[str, Any]:
    """A 200's body as a JSON object. Raises `ModelUndecodable`."""
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        start = content[:200].lstrip().lower()
        what = "HTML" if start.startswith((b"<!doctype", b"<html")) else "no JSON"
        raise ModelUndecodable(f"{provider} answered 200 with {what}", status=200) from None
    if not isinstance(body, dict):
        raise ModelUndecodable(f"{provider} answered 200 with JSON that is no object", status=200)
    return body


def count(value: object) -> int:
    """A number of tokens as a server told it; what is no count is 0."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def _told(body: bytes | str) -> tuple[str, str, str]:
    """(type, code, message) of an error body of either provider, lower-cased but for the message."""
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):
        return "", "", ""
    error = parsed.get("error") if isinstance(parsed, dict) else None
    if isinstance(error, str):
        return "", "", error
    if not isinstance(error, dict):
        return "", "", ""
    kind, code, message = (error.get(name) for name in ("type", "code", "message"))
    return (
        kind.lower() if isinstance(kind, str) else "",
        code.lower() if isinstance(code, str) else "",
        message if isinstance(message, str) else "",
    )


def _harmless(message: str, request: ModelRequest) -> str:
    """The provider's own words, short, without keys; nothing at all if they quote what we sent."""
    words = _KEY.sub("…", " ".join(message.split()))[:_WORDS_LENGTH]
    sent = " ".join(request.user.split())
    for start in range(0, max(1, len(words) - _QUOTE_LENGTH + 1)):
        piece = words[start : start + _QUOTE_LENGTH]
        if len(piece) == _QUOTE_LENGTH and piece in sent:
            return ""
    return words


def _causes(error: BaseException | None) -> Any:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
