import threading
from datetime import timedelta

import sqlalchemy as sa

from pipeline.db.store import Store
from pipeline.db.tables import presences
from pipeline.db.types import now
from pipeline.review.agents import disable
from pipeline.review.presence import HOLDS, gone, here, others
from tests.web import seed


def test_others_are_seen_while_they_are_there_and_typing(store: Store) -> None:
    people = seed.people(store)
    ticket_id = seed.ticket(store)
    here(store, ticket_id, people["anna"])
    here(store, ticket_id, people["ben"], typing=True)
    seen = others(store, ticket_id, people["anna"])
    assert [(one.shown, one.typing) for one in seen] == [("ben@shop.example", True)]
    here(store, ticket_id, people["ben"])  # he pauses
    assert [one.typing for one in others(store, ticket_id, people["anna"])] == [False]
    assert [one.shown for one in others(store, ticket_id, people["ben"])] == ["Anna Weiss"]
    gone(store, ticket_id, people["ben"])
    assert others(store, ticket_id, people["anna"]) == ()


def test_who_stays_silent_or_is_disabled_is_gone(store: Store) -> None:
    people = seed.people(store)
    first, second = seed.ticket(store), seed.ticket(store)
    here(store, first, people["ben"])
    here(store, first, people["lea"])
    with store.write() as c:
        c.execute(
            presences.update()
            .where(presences.c.agent_id == people["ben"].id)
            .values(seen_at=now() - HOLDS - timedelta(seconds=1))
        )
    disable(store, people["lea"].email)
    assert others(store, first, people["anna"]) == ()
    with store.write() as c:
        c.execute(presences.update().values(seen_at=now() - timedelta(hours=2)))
    here(store, second, people["ben"])  # and what is old goes
    with store.read() as c:
        kept = c.execute(
            sa.select(presences.c.ticket_id).where(presences.c.agent_id == people["ben"].id)
        ).scalars()
        assert list(kept) == [second]


def test_many_signs_at_once_are_one_row(store: Store) -> None:
    agent = seed.people(store)["anna"]
    ticket_id = seed.ticket(store)
    threads = [threading.Thread(target=here, args=(store, ticket_id, agent)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    with store.read() as c:
        assert c.execute(sa.select(sa.func.count()).select_from(presences)).scalar_one() == 1
