"""A store with one week of work whose every figure is written beside it, and noise before and after it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any

import pytest
import sqlalchemy as sa

from pipeline.db.store import Store
from pipeline.db.tables import (
    agents,
    attachments,
    corrections,
    drafts,
    messages,
    model_calls,
    moves,
    raw_messages,
    replies,
    reviews,
    spend,
    tickets,
    triages,
)

MONDAY = datetime(2026, 11, 16, tzinfo=UTC)  # 2026-W47, in UTC
WEEK = "2026-W47"


def hour(hours: float) -> datetime:
    return MONDAY + timedelta(hours=hours)


@dataclass
class Seed:
    """Writes rows with just what a test cares about; everything else is filled in."""

    connection: sa.Connection
    numbers: Any = field(default_factory=lambda: count(1))

    def ticket(self, at: datetime, **values: Any) -> int:
        n = next(self.numbers)
        row = {
            "inbox": "support",
            "subject": f"ticket {n}",
            "status": "in_review",
            "reply_token": f"token{n}",
        }
        row |= {"created_at": at, "updated_at": at, "topic": "billing", "language": "en"}
        return self._insert(tickets, row | values)

    def message(self, ticket: int, at: datetime, **values: Any) -> int:
        row = {"ticket_id": ticket, "inbox": "support", "direction": "inbound", "kind": "person"}
        row |= {"received_at": at, "body_hash": "x", "fingerprint": f"f{next(self.numbers)}"}
        return self._insert(messages, row | {"new_text": "hello", **values})

    def triage(self, ticket: int, message: int, at: datetime, **values: Any) -> int:
        row = {
            "ticket_id": ticket,
            "message_id": message,
            "topic": "billing",
            "confidence": 0.9,
            "language": "en",
        }
        row |= {
            "urgency": "normal",
            "emotion": "calm",
            "clarity": "clear",
            "route": "cheap",
            "model": "local",
        }
        return self._insert(triages, row | {"prompt": "p", "created_at": at, "reasons": [], **values})

    def draft(self, ticket: int, message: int, at: datetime, **values: Any) -> int:
        row = {
            "ticket_id": ticket,
            "message_id": message,
            "route": "cheap",
            "task": "routine",
            "source": "model",
        }
        row |= {
            "provider": "openai",
            "model": "mini",
            "tier": "cheap",
            "prompt": "aaaaaaaabbbb",
            "language": "en",
        }
        return self._insert(drafts, row | {"text": "Hello.", "created_at": at, **values})

    def review(self, ticket: int, at: datetime, **values: Any) -> int:
        row = {"ticket_id": ticket, "reason": "draft", "detail": "a draft waits", "state": "decided"}
        return self._insert(reviews, row | {"opened_at": at, **values})

    def call(self, at: datetime, **values: Any) -> int:
        row = {"task": "routine", "route": "cheap", "attempt": 1, "role": "model", "provider": "openai"}
        row |= {
            "model": "mini",
            "tier": "cheap",
            "prompt": "p",
            "reserved_usd": Decimal("0.01"),
            "state": "ok",
        }
        return self._insert(model_calls, row | {"started_at": at, **values})

    def judged(self, at: datetime, outcome: str, **draft: Any) -> tuple[int, int]:
        """A ticket whose draft a person judged at that time, a minute after its row was opened."""
        topic = draft.pop("topic", "billing")
        ticket = self.ticket(at - timedelta(hours=1), topic="another by now")
        message = self.message(ticket, at - timedelta(hours=1))
        self.triage(ticket, message, at - timedelta(hours=1), topic=topic, route=draft.get("route", "cheap"))
        made = self.draft(ticket, message, at - timedelta(minutes=1), **draft)
        action = {"as_is": "approve", "rejected": "reject", "replaced": "replace"}.get(outcome, "edit")
        opened = at - timedelta(minutes=1)
        review = self.review(
            ticket,
            opened,
            draft_id=made,
            decided_at=at,
            decided_by=1,
            action=action,
            outcome=outcome,
            first_viewed_at=at - timedelta(seconds=30),
        )
        return ticket, review

    def _insert(self, table: sa.Table, row: dict[str, Any]) -> int:
        return int(self.connection.execute(table.insert().values(**row).returning(table.c.id)).scalar_one())


@pytest.fixture
def seeded(store: Store) -> Store:
    """2026-W47 in UTC: 12 reviewed drafts, 5 of them rewritten, replaced or rejected (41.7%)."""
    with store.write() as connection:
        seed = Seed(connection)
        connection.execute(
            agents.insert().values(id=1, email="ann@shop.example", role="agent", created_at=hour(-100))
        )
        # the week itself: cheap/billing 4 as_is, 1 light, 1 rewritten; strong/refund 2 as_is, 1 replaced, 3 rejected
        for n in range(4):
            seed.judged(hour(2 + n), "as_is")
        seed.judged(hour(10), "light", language="de")
        seed.judged(hour(11), "rewritten", language="de")
        strong = {
            "route": "strong",
            "task": "draft",
            "model": "big",
            "topic": "refund",
            "prompt": "ccccccccdddd",
        }
        seed.judged(hour(20), "as_is", **strong)
        seed.judged(hour(21), "as_is", text="x" * 401, **strong)
        seed.judged(hour(22), "replaced", **strong)
        for n in range(3):
            ticket, review = seed.judged(hour(30 + n), "rejected", **strong)
        seed.judged(hour(40), "unscorable")
        # superseded in the week, never judged
        ticket = seed.ticket(hour(41))
        message = seed.message(ticket, hour(41))
        stale = seed.draft(ticket, message, hour(42), superseded_at=hour(43))
        seed.review(ticket, hour(42), draft_id=stale, state="superseded", outcome="expired")
        # the first and the last moment of the week, and the moments beside it
        seed.judged(hour(7 * 24) - timedelta(microseconds=1), "expired")
        seed.judged(hour(-0.0001), "rejected")
        seed.judged(hour(7 * 24), "rejected")
        for n in range(3):  # the week before: 4 reviewed, 1 of them rejected (with the one above)
            seed.judged(hour(-20 - n), "as_is")
        # a failure that came to a person, and one that still waits
        ticket = seed.ticket(hour(50))
        seed.review(ticket, hour(50), reason="budget", decided_at=hour(51), decided_by=1, action="close")
        seed.review(ticket, hour(52), reason="budget", state="open")
        # approvals: 2 s after it was opened on the page; never opened
        ticket, review = seed.judged(hour(60), "unscorable")
        connection.execute(
            reviews.update()
            .where(reviews.c.id == review)
            .values(action="approve", first_viewed_at=hour(60) - timedelta(seconds=2))
        )
        ticket, review = seed.judged(hour(61), "unscorable")
        connection.execute(
            reviews.update().where(reviews.c.id == review).values(action="approve", first_viewed_at=None)
        )
        # what the cheap model read, beyond the 17 readings that the judged ones brought into the week
        ticket = seed.ticket(hour(70))
        first = seed.triage(
            ticket,
            seed.message(ticket, hour(70)),
            hour(70),
            route="strong",
            reasons=["confidence 0.52 is below 0.70", "the customer is angry"],
        )
        second = seed.triage(
            ticket,
            seed.message(ticket, hour(71)),
            hour(71),
            route="human",
            reasons=["confidence 0.31 is below 0.70"],
        )
        for triage, name, by, at in (
            (first, "topic", "agent", 72),
            (first, "topic", "model", 73),
            (second, "topic", "agent", 999),  # later, but of a reading of this week
            (second, "language", "check", 71),
        ):
            connection.execute(
                corrections.insert().values(
                    ticket_id=ticket,
                    triage_id=triage,
                    field=name,
                    old="a",
                    new="b",
                    by_kind=by,
                    by_name="x",
                    at=hour(at),
                )
            )
        # calls: cheap 10, 20, …, 100 ms at $0.001; one failed, unknown usage; strong 2 at $0.05
        for n in range(1, 11):
            seed.call(
                hour(n),
                ticket_id=ticket,
                latency_ms=n * 10,
                cost_usd=Decimal("0.001"),
                input_tokens=100,
                cached_input_tokens=40,
                output_tokens=7,
            )
        seed.call(
            hour(12),
            ticket_id=ticket,
            state="failed",
            error_kind="timeout",
            latency_ms=30_000,
            cost_usd=Decimal("0.002"),
        )
        seed.call(hour(13), state="not_called", error_kind="budget", cost_usd=Decimal(0))
        for n in range(2):
            seed.call(
                hour(20 + n),
                ticket_id=1,
                task="draft",
                route="strong",
                model="big",
                provider="anthropic",
                latency_ms=4000 + n,
                cost_usd=Decimal("0.05"),
            )
        seed.call(hour(-1), ticket_id=2, latency_ms=9, cost_usd=Decimal(9))
        seed.call(hour(168), ticket_id=2, latency_ms=9, cost_usd=Decimal(9))
        for scope, usd in (
            ("day:2026-11-16", "0.112"),
            ("task:draft:2026-11-17", "0.1"),
            ("day:2026-11-23", "7"),
        ):
            connection.execute(
                spend.insert().values(scope=scope, spent_usd=Decimal(usd), reserved_usd=0, updated_at=hour(1))
            )
        seed.message(ticket, hour(80), kind="auto_reply")
        seed.message(ticket, hour(81), kind="reply", direction="outbound", agent_id=1)
        connection.execute(
            raw_messages.insert().values(
                inbox="support",
                format="rfc822",
                sha256="s1",
                size=3,
                body=b"xyz",
                received_at=hour(3),
                state="quarantined",
                reason="broken",
            )
        )
        reply = {"ticket_id": 1, "answers_id": 1, "agent_id": 1, "to_address": "a@b.example", "subject": "Re"}
        for n, (state, at) in enumerate((("sent", 5), ("sent", 6), ("sent", -5), ("failed", 7))):
            connection.execute(
                replies.insert().values(
                    review_id=n + 1,
                    message_id=f"m{n}@shop.example",
                    text="Hello",
                    state=state,
                    created_at=hour(at),
                    sent_at=hour(at) if state == "sent" else None,
                    **reply,
                )
            )
        connection.execute(
            attachments.insert().values(
                message_id=1, filename="=cmd.csv", content_type="text/csv", size=3, sha256="s", inline=False
            )
        )
        connection.execute(
            moves.insert().values(
                ticket_id=1, to_status="received", version=1, who="ingest", why="a mail came", at=hour(1)
            )
        )
    return store
