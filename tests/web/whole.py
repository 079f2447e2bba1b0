"""A served place with everything on it: mail and webhooks taken for real, models, evaluations, the report."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pipeline.assembly import Parts, weekly_report
from pipeline.evaluation import runs
from pipeline.ingest.inboxes import WebhookInbox
from pipeline.ingest.webhooks.receiving import Receipt, receive
from pipeline.review import sessions
from pipeline.review.agents import Agent, everyone
from pipeline.review.totp import SecondFactors
from tests.kit.browsing import CHROMIUM
from tests.kit.live import INBOXES, close, live_parts
from tests.kit.model_server import ModelServer
from tests.web import running, seed

__all__ = ["CHROMIUM", "SECRET", "Whole", "whole"]

SECRET = "whsec_" + "c2VjcmV0" * 4
SHOP = f"""
[inbox.shop]
kind = "webhook"
adapter = "generic"
secret = "{SECRET}"
from_address = "support@shop.example"
"""
KEY = "k" * 32


@dataclass(frozen=True)
class Whole:
    """`ids` are the seeded tickets by name, `people` accounts by name; `factors` are the second factors."""

    url: str
    parts: Parts
    ids: dict[str, int]
    people: dict[str, Agent]
    factors: SecondFactors

    def cookie(self, who: str) -> dict[str, str]:
        """The cookie of a new session, as a browser takes it."""
        token, _session = sessions.start(self.parts.store, self.people[who])
        return {"name": "triage_session", "value": token, "url": self.url}


@contextlib.contextmanager
def whole(home: Path, migrated: Path | str, server: ModelServer) -> Iterator[Whole]:
    """Serve it from `home`, on a copy of the migrated SQLite file, or on the empty database of that address."""
    if isinstance(migrated, Path):
        shutil.copy(migrated, home / "triage.db")
    parts = live_parts(
        home, migrated if isinstance(migrated, str) else f"sqlite:///{home / 'triage.db'}", inboxes=INBOXES + SHOP,
        openai_api_key="k", openai_base_url=server.openai_url,
        anthropic_api_key="k", anthropic_base_url=server.anthropic_url,
    )  # fmt: skip
    ids = seed.inbox_of_a_day(parts.store)
    people = {agent.email.split("@")[0]: agent for agent, *_ in everyone(parts.store)}
    factors = SecondFactors(parts.store, KEY)

    def take(source: str, headers: Mapping[str, str], body: bytes) -> Receipt:
        inbox = parts.inboxes[source]
        assert isinstance(inbox, WebhookInbox)
        return receive(parts.store, inbox, headers, body, inboxes=parts.inboxes)

    web = running.parts_for(
        parts.store, desk=parts.desk, routes=parts.routes, models=parts, receive_webhook=take,
        second_factors=factors, evaluations=parts.home / runs.FOLDER, inbox_names=tuple(parts.inboxes),
        report=partial(weekly_report, parts.settings, parts.store, parts.routes),
    )  # fmt: skip
    with running.serving(web) as url:
        yield Whole(url, parts, ids, people, factors)
    close(parts)
