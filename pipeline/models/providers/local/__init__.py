"""The built-in model: classifies mail without a key, a server or a network."""

from pipeline.models.providers.local.provider import LocalProvider

__all__ = ["LocalProvider"]
