"""The built-in model: classifies mail without a key, a server or a network."""

from pipeline.models.providers.local.provider import LEARNED_FILE, LocalProvider

__all__ = ["LEARNED_FILE", "LocalProvider"]
