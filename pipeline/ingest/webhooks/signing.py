"""Comparing what a request proves itself with, in constant time, against every secret that holds."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pipeline.ingest.webhooks.shape import SignatureRefused, Verified


def check_hmac(
    given: str | None,
    message: bytes,
    secrets: Sequence[str],
    algorithm: Literal["sha1", "sha256"],
    encoding: Literal["hex", "base64"],
) -> None:
    """Raise `SignatureRefused` unless `given` is the HMAC of `message` under one of the secrets."""
    if not given:
        raise SignatureRefused("the signature is missing")
    held = False
    for secret in secrets:
        digest = hmac.new(secret.encode(), message, getattr(hashlib, algorithm)).digest()
        expected = digest.hex() if encoding == "hex" else base64.b64encode(digest).decode()
        held |= same(given.lower() if encoding == "hex" else given, expected)
    if not held:
        raise SignatureRefused("the signature does not match")


def check_secret(given: str | None, secrets: Sequence[str]) -> None:
    """Raise `SignatureRefused` unless `given` is one of the secrets, for sources that sign nothing."""
    if not given:
        raise SignatureRefused("the secret is missing")
    held = False
    for secret in secrets:
        held |= same(given, secret)
    if not held:
        raise SignatureRefused("the secret does not match")


def same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode("utf-8", "replace"))


def event_id(body: bytes, *path: str) -> Verified:
    """The event's id out of a body that has just been verified; empty where there is none."""
    try:
        found: Any = json.loads(body)
    except (ValueError, RecursionError):
        return Verified("")
    for key in path:
        found = found.get(key) if isinstance(found, Mapping) else None
    text = str(found) if isinstance(found, str | int) and not isinstance(found, bool) else ""
    return Verified(text[:255])
