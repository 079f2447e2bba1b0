from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from pipeline import steps
from pipeline.assembly import Parts
from pipeline.db import leases
from pipeline.db.tables import moves, replies, reviews, tickets
from pipeline.delivery.compose import Outgoing
from pipeline.delivery.outcomes import Outcome, Uncertain
from pipeline.errors import ConflictError
from pipeline.review import agents
from tests.delivery.conftest import approve_one
from tests.kit.live import live_parts


class Doubt:
    where = "a server that never answers the final dot"

    def send(self, outgoing: Outgoing) -> Outcome:
        return Uncertain("the whole reply was handed over, then no answer came")


@pytest.fixture
def parts(tmp_path: Path, database_url: str) -> Iterator[Parts]:
    parts = live_parts(tmp_path / "home", database_url)
    parts.__dict__["mailers"] = lambda _inbox: Doubt()
    yield parts
    parts.store.close()


def test_closing_a_ticket_of_an_uncertain_reply_settles_the_reply(parts: Parts) -> None:
    ann = agents.add(parts.store, "ann@shop.example", "agent", "Ann")
    ticket = approve_one(parts.store)
    steps.advance(parts, ticket)
    with parts.store.read() as connection:
        row = connection.execute(sa.select(reviews.c.id).where(reviews.c.state == "open")).one()
        version = connection.execute(sa.select(tickets.c.version)).scalar_one()
    done = parts.desk.close(row.id, ann, version, "the customer called")
    with parts.store.read() as connection:
        reply = connection.execute(sa.select(replies)).one()
        move = connection.execute(sa.select(moves).order_by(moves.c.id.desc())).first()
        assert leases.due(connection) == []
    assert move is not None
    assert reply.state == "withdrawn", "nothing counts it as waiting for a person's word"
    assert "no answer came" in reply.server_words
    assert (move.to_status, "nobody knows whether the last reply arrived" in move.why) == ("closed", True)
    with pytest.raises(ConflictError):
        parts.desk.resolve_uncertain(row.id, ann, done.version, "resend")
