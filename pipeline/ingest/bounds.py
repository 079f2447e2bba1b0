"""How much of a message the parser is willing to look at; over any bound the message is quarantined."""

from __future__ import annotations

import time
from dataclasses import dataclass


class OverBound(Exception):
    """A bound was passed; the text names it, with the limit, as it is shown in quarantine."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """The limits, with the defaults that an inbox starts with.

    They lie well above what people and their programs send (a mail to 500 people, 50 parts in a newsletter,
    25 MB of attachments) and well below what costs more than a second or two.
    """

    raw_bytes: int = 60_000_000
    """The whole message as received."""
    header_bytes: int = 262_144
    """One header block, of the message or of one of its parts."""
    header_count: int = 1_000
    """Header lines in one block."""
    parts: int = 1_000
    """MIME parts, containers included."""
    depth: int = 30
    """Containers inside one another."""
    addresses: int = 3_000
    """Addresses in one header."""
    parameters: int = 200
    """Parameters of one Content-Type or Content-Disposition."""
    decoded_bytes: int = 80_000_000
    """All parts together after base64 and quoted-printable."""
    text_chars: int = 3_000_000
    """One text body, as plain text or as HTML."""
    seconds: float = 8.0
    """Wall time for one message, looked at between parts and between stages."""


DEFAULT_BOUNDS = Bounds()


class Meter:
    """Counts what one message has used and raises OverBound when a limit is passed."""

    __slots__ = ("_deadline", "_decoded", "_parts", "bounds")

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        self._parts = 0
        self._decoded = 0
        self._deadline = time.monotonic() + bounds.seconds

    def part(self, depth: int) -> None:
        self._parts += 1
        if self._parts > self.bounds.parts:
            raise OverBound(f"more than {self.bounds.parts} parts")
        if depth > self.bounds.depth:
            raise OverBound(f"parts nested deeper than {self.bounds.depth}")
        self.clock()

    def decoded(self, size: int) -> None:
        self._decoded += size
        if self._decoded > self.bounds.decoded_bytes:
            raise OverBound(f"more than {self.bounds.decoded_bytes} bytes after decoding")

    def text(self, size: int) -> None:
        if size > self.bounds.text_chars:
            raise OverBound(f"a text of more than {self.bounds.text_chars} characters")

    def clock(self) -> None:
        if time.monotonic() > self._deadline:
            raise OverBound(f"more than {self.bounds.seconds:g} seconds to parse")
