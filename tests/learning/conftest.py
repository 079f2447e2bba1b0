"""A store with a week of judged drafts, written by the tests that say what agents made of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.assembly import Parts
from pipeline.db.store import Store
from pipeline.db.tables import agents
from pipeline.reports.weeks import Week
from tests.kit.live import close, live_parts
from tests.reports.conftest import WEEK, Seed, hour

LAST = Week.parse(WEEK)
POLICY = "# Policy\n\n- Devices may be returned within **30 days** of delivery.\n- Orders leave in 3 days.\n"
DRAFT = "Hi {name},\n\nThank you for writing. Your parcel is on its way.\n\nBest regards,\nThe Shop"
SENT = "Hi {name},\n\nThank you for writing. Your parcel is on its way. {more}\n\nBest regards,\nThe Shop"
FACT = "Parcels to Norway take 6 to 9 working days."


@pytest.fixture
def parts(tmp_path: Path, sqlite_url: str) -> Iterator[Parts]:
    (tmp_path / "policy.md").write_text(POLICY, encoding="utf-8")
    parts = live_parts(tmp_path, sqlite_url)
    with parts.store.write() as connection:
        connection.execute(
            agents.insert().values(id=1, email="ann@shop.example", role="agent", created_at=hour(-100))
        )
    yield parts
    close(parts)


def edited(
    store: Store, draft: str, sent: str, *, customer: str, at: float = 10, name: str = "Kim", **more: object
) -> int:
    """A ticket of that customer whose draft was edited in that hour of the week; returns its review."""
    with store.write() as connection:
        seed = Seed(connection)
        ticket = seed.ticket(
            hour(at - 1), customer_address=customer, customer_name=name, reply_token=f"t{customer}{at}"
        )
        message = seed.message(ticket, hour(at - 1), fingerprint=f"f{customer}{at}", new_text="Where is it?")
        fields = more.pop("fields", {})
        seed.triage(ticket, message, hour(at - 1), fields=fields)
        made = seed.draft(
            ticket, message, hour(at), **{"text": draft, "task": "draft", "route": "strong", **more}
        )
        return seed.review(
            ticket, hour(at), draft_id=made, decided_at=hour(at + 0.5), decided_by=1, action="edit",
            outcome="light", edit_share=0.2, sent_text=sent,
        )  # fmt: skip


def added(store: Store, more: str, *, tickets: int = 3, customers: int = 2, **values: object) -> list[int]:
    """So many tickets in whose answers agents added the same."""
    return [
        edited(
            store, DRAFT.format(name="Kim"), SENT.format(name="Kim", more=more),
            customer=f"c{n % customers}@mail.example", at=10 + n, **values,
        )
        for n in range(tickets)
    ]  # fmt: skip
