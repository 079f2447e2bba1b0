from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.assembly import Brain, open_brain
from pipeline.models.providers.anthropic import AnthropicProvider
from pipeline.models.providers.openai import OpenAIProvider
from pipeline.settings import load
from tests.kit.live import CACHE
from tests.kit.model_server import ModelServer


@pytest.fixture(scope="session")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Brain:
    """Table, prompts and built-in models as shipped, without a key."""
    home = tmp_path_factory.mktemp("shipped")
    CACHE.mkdir(parents=True, exist_ok=True)
    (home / "cache").symlink_to(CACHE, target_is_directory=True)
    return open_brain(load(home=home))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Where a test's own runs are kept."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "cache").symlink_to(CACHE, target_is_directory=True)
    return home


@pytest.fixture
def brain(shipped: Brain, home: Path) -> Brain:
    return replace(shipped, settings=shipped.settings.model_copy(update={"home": home}))


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer() as server:
        yield server


@pytest.fixture
def with_key(brain: Brain, server: ModelServer) -> Iterator[Brain]:
    """Both providers' real SDKs against the server."""
    openai = OpenAIProvider("sk-test", server.openai_url)
    anthropic = AnthropicProvider("sk-ant-test", server.anthropic_url)
    yield replace(brain, providers={**brain.providers, "openai": openai, "anthropic": anthropic})
    openai.close()
    anthropic.close()
