"""The one shape that every webhook source has: verify the bytes, then read them.

An adapter is a module with these four names. It never touches the database or the network; `verify` sees
headers, body and secrets, `read` sees the body alone, so that what was stored can be read again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from pipeline.errors import InputError
from pipeline.ingest.message import ParsedMessage

MAIL_BODY_BYTES = 30_000_000
EVENT_BODY_BYTES = 1_000_000
"""The body limits: what carries whole mails with their files, and what carries an event."""


class SignatureRefused(InputError):
    """The request does not prove that it comes from the source: 401, and nothing is kept."""


class NotUnderstood(InputError):
    """The request is genuine, but its body is not what the source sends: 422, kept in quarantine."""


@dataclass(frozen=True, slots=True)
class Verified:
    """A request that proved its origin; `event_id` is the source's own id of the event, if it has one.

    `answer` is what the source wants sent back word for word (Front's challenge).
    """

    event_id: str
    answer: str | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """What a body says. `message` is None where it is not a customer's message, `note` then says what it is.

    `is_mail`: the sender is judged by the mail's own Authentication-Results. Otherwise `sender_verified`
    says whether the source vouches for the sender.
    """

    message: ParsedMessage | None
    sender_verified: bool = False
    is_mail: bool = False
    note: str | None = None


class Adapter(Protocol):
    """`headers` have lower-cased names. `content_types` are the media types that the source sends."""

    @property
    def NAME(self) -> str: ...

    @property
    def MAX_BODY_BYTES(self) -> int: ...

    @property
    def CONTENT_TYPES(self) -> tuple[str, ...]: ...

    def verify(
        self, headers: Mapping[str, str], body: bytes, secrets: Sequence[str], at: datetime
    ) -> Verified:
        """Raises `SignatureRefused`. Compares in constant time, over the raw bytes, before any parsing."""
        ...

    def read(self, body: bytes, source: str) -> Event:
        """`source` is the inbox's name, for ids of our own making. Raises `NotUnderstood`."""
        ...
