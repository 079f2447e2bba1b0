"""The built-in model behind the same door as any other: it reads mail, and writes nothing."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import ModelRejected, ModelTimeout, Usage
from pipeline.models.base import ModelAnswer, ModelRequest

if TYPE_CHECKING:
    from pipeline.models.providers.local.reader import Reader

__all__ = ["LEARNED_FILE", "LocalProvider"]

LEARNED_FILE = "learned.jsonl"
"""What `triage learn` writes into TRIAGE_HOME."""


class LocalProvider:
    """The built-in model: topic, language, urgency, emotion, clarity, fields and summary of one mail, free.

    `cache_dir` keeps the trained weights between starts (None: trained at each start, about 6 s of CPU);
    `extra_seeds` are a team's own example lines by topic, also for topics that the package does not know;
    `learned` is the file that `triage learn` writes, read when the model is loaded (ConfigError if it is broken).
    One instance serves all threads of a process.
    """

    name = "local"

    def __init__(
        self,
        cache_dir: Path | None = None,
        *,
        extra_seeds: Mapping[str, Sequence[str]] | None = None,
        learned: Path | None = None,
    ) -> None:
        self._cache_dir = cache_dir
        self._learned = learned
        self._extra_seeds = {topic: tuple(lines) for topic, lines in (extra_seeds or {}).items()}
        self._lock = threading.Lock()
        self._reader: Reader | None = None

    def warm(self) -> None:
        """Load or train now, so that the first mail does not wait for it."""
        self._get_reader()

    def complete(self, request: ModelRequest, *, deadline_s: float) -> ModelAnswer:
        """The triage answer as JSON text, with no tokens used.

        Raises ModelRejected for any task but "triage", and for an input without a body; ModelTimeout when
        the answer came after the deadline.
        """
        if request.task != "triage":
            raise ModelRejected("the local model only reads; it does not write", usage=Usage())
        started = time.monotonic()
        given = request.input
        body = given.get("body")
        if not isinstance(body, str):
            raise ModelRejected("the local model needs the mail's body as input", usage=Usage())
        received = given.get("received")
        answer = self._get_reader().read(
            subject=given.get("subject") or None,
            body=body,
            topics=tuple(given.get("topics") or ()),
            languages=tuple(given.get("languages") or ()),
            region=given.get("default_region") or None,
            received=received if isinstance(received, datetime) else None,
        )
        took_s = time.monotonic() - started
        if took_s > deadline_s:
            raise ModelTimeout(
                f"the local model took {took_s:.1f} s, allowed were {deadline_s:g} s", usage=Usage()
            )
        return ModelAnswer(text=_json(answer), usage=Usage(), model=request.model or self.name)

    def reader(self) -> Reader:
        """The loaded model itself, for what the provider's door does not carry (benchmarks, ranking)."""
        return self._get_reader()

    def _get_reader(self) -> Reader:
        with self._lock:
            if self._reader is None:
                # Imported here: numpy and the encoder take a second, and the command line should not pay it.
                from pipeline.models.providers.local.reader import Reader

                self._reader = Reader(self._cache_dir, self._extra_seeds, self._learned)
            return self._reader


def _json(answer: Mapping[str, Any]) -> str:
    return json.dumps(answer, ensure_ascii=False)
