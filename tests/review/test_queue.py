import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from pipeline.db.moves import touch
from pipeline.db.store import Store
from pipeline.db.tables import corrections, tickets
from pipeline.errors import ConflictError, InputError, NotFoundError
from pipeline.review import queue, searching
from pipeline.review.corrections import correct
from pipeline.review.desk import Desk
from pipeline.review.queue import Filters
from pipeline.review.sight import set_inboxes
from pipeline.review.view import view
from tests.bench.queue_page import fill
from tests.web import seed

TEAMS = {"billing": "billing", "order_shipping": "orders", "other": "support"}


def all_ids(store: Store, filters: Filters, limit: int) -> list[int]:
    found: list[int] = []
    after = None
    while True:
        page = queue.page(store, filters, after=after, limit=limit)
        found += [row.ticket_id for row in page.rows]
        after = page.next
        if after is None:
            return found


def test_the_queue_is_sorted_by_urgency_then_age_and_pages_meet(store: Store) -> None:
    ids = [
        seed.ticket(store, urgency=urgency, waited=timedelta(minutes=minutes))
        for urgency, minutes in (
            ("normal", 5), ("critical", 1), ("low", 900), ("normal", 60), ("high", 2), ("normal", 5),
        )
    ]  # fmt: skip
    expected = [ids[1], ids[4], ids[3], ids[0], ids[5], ids[2]]
    for limit in (1, 2, 4, 50):
        assert all_ids(store, Filters(), limit) == expected
    with pytest.raises(InputError):
        queue.page(store, Filters(), after="nonsense")
    with pytest.raises(InputError):
        queue.page(store, Filters(), after=f"1~2026-01-01T00:00:00~{'9' * 40}")
    for moment in ("0001-01-01T00:00:00+23:00", "9999-12-31T23:59:59-23:00"):  # they have no UTC
        with pytest.raises(InputError):
            queue.page(store, Filters(), after=f"0~{moment}~1")
        with pytest.raises(InputError):
            queue.page(store, Filters("decided"), after=f"{moment}~1")


def test_filters_search_and_counts(store: Store) -> None:
    who = seed.people(store)
    mine = seed.ticket(store, topic="billing", language="de", urgency="high", subject="50% zu viel_bezahlt")
    other = seed.ticket(store, reason="budget", draft=None, address="zoe@example.com", name="Zoë")
    old = seed.ticket(store, text="my order is ORD-99812", waited=timedelta(days=2))
    desk = Desk(store)
    desk.claim(queue.page(store, Filters(topic="billing")).rows[0].review_id, who["anna"])

    def ids(**wanted: object) -> set[int]:
        return set(all_ids(store, Filters(**wanted), 50))  # type: ignore[arg-type]

    assert ids() == {mine, other, old}
    assert ids(topic="billing") == ids(language="de") == ids(urgency="high") == {mine}
    assert ids(reason="budget") == {other}
    assert ids(assignee=who["anna"].id) == {mine}
    assert ids(waited=timedelta(days=1)) == {old}
    assert ids(search="ord-99812") == {old}
    assert ids(search="ZOE@EXAMPLE") == {other}
    assert ids(search="Zoe\u0308") == ids(search="ZOË") == {other}
    assert ids(search="50% zu viel_") == {mine}
    assert ids(search="%") == set()  # no word, and no wildcard
    assert ids(search=f"#{other}") == {other}
    assert ids(state="decided") == set()
    counts = queue.counts(store)
    assert counts.total == 3
    assert counts.by["reason"] == {"budget": 1, "draft": 2}
    assert counts.by["urgency"] == {"high": 1, "normal": 2}
    row = next(row for row in queue.page(store, Filters()).rows if row.ticket_id == mine)
    assert (row.claimed_by_email, row.model) == ("anna@shop.example", "gpt-6-luna")


def test_an_order_number_is_found_with_and_without_its_sign(store: Store) -> None:
    number = {"order_numbers": [{"value": "ord 77120", "normalised": "ORD-77120"}]}
    ticket_id = seed.ticket(store, text="see the picture", subject="Hello", fields=number)
    other = seed.ticket(store, subject="My parcel #55531", text="nothing yet")
    for search, found in {
        "ORD-77120": ticket_id, "#ORD-77120": ticket_id, "55531": other, "#55531": other, "order_numbers": None,
    }.items():  # fmt: skip
        rows = all_ids(store, Filters(search=search), 50)
        assert rows == ([found] if found else []), search


def test_an_agent_with_inboxes_of_their_own_sees_no_other(store: Store) -> None:
    who = seed.people(store)
    shop, _sales = seed.ticket(store, inbox="shop"), seed.ticket(store, inbox="sales", topic="billing")
    set_inboxes(store, "anna@shop.example", ["shop"])
    anna, ben = who["anna"].id, who["ben"].id
    assert all_ids(store, Filters(reader=anna), 50) == [shop]
    assert len(all_ids(store, Filters(reader=ben), 50)) == 2
    assert queue.counts(store, anna).by["inbox"] == {"shop": 1}
    assert queue.newer(store, Filters(reader=anna), 0) == 1
    review = queue.page(store, Filters(reader=anna)).rows[0].review_id
    assert queue.neighbour(store, Filters(reader=anna), review) is None


def test_whose_a_row_is_can_be_asked(store: Store) -> None:
    who = seed.people(store)
    taken, assigned, free = (seed.ticket(store) for _ in range(3))
    Desk(store).claim(queue.page(store, Filters()).rows[0].review_id, who["anna"])
    with store.write() as c:
        touch(c, assigned, assignee_id=who["anna"].id)
    assert set(all_ids(store, Filters(assignee=who["anna"].id), 50)) == {taken, assigned}
    assert all_ids(store, Filters(unassigned=True), 50) == [free]


def test_what_is_put_right_moves_the_row_in_the_queue(store: Store) -> None:
    agent = seed.people(store)["anna"]
    seed.ticket(store, urgency="high", waited=timedelta(days=1))
    late = seed.ticket(store, urgency="low")
    version = view(store, late).ticket["version"]
    correct(store, late, agent, version, {"urgency": "critical", "topic": "billing"}, TEAMS)
    assert all_ids(store, Filters(), 50)[0] == late
    assert all_ids(store, Filters(topic="billing", urgency="critical"), 50) == [late]
    assert queue.counts(store).by["urgency"] == {"critical": 1, "high": 1}


@pytest.fixture
def postgres_store(postgres_url: str) -> Iterator[Store]:
    store = Store(postgres_url)
    yield store
    store.close()


def test_many_rows_are_counted_only_so_far(postgres_store: Store) -> None:
    store = postgres_store
    fill(store, 1200)
    found = queue.counts(store)
    assert (found.total, found.most) == (queue.COUNTED + 1, queue.COUNTED_EACH)
    assert found.by["topic"]["billing"] == queue.COUNTED_EACH + 1
    assert found.by["topic"]["complaint"] == 1
    assert set(found.by["urgency"]) == {"low", "normal", "high", "critical"}


@pytest.mark.parametrize(
    "wanted",
    [
        {},
        {"topic": "billing"},
        {"inbox": "sales"},
        {"waited": timedelta(hours=1)},
        {"urgency": "low"},
        {"team": "money"},
    ],
    ids=str,
)
def test_no_page_reads_or_sorts_a_whole_table(postgres_store: Store, wanted: dict[str, Any]) -> None:
    store = postgres_store
    fill(store, 5000)
    asked: list[tuple[str, Any]] = []

    def listen(_c: Any, _cursor: Any, statement: str, parameters: Any, *_rest: Any) -> None:
        asked.append((statement, parameters))

    sa.event.listen(store.engine, "before_cursor_execute", listen)
    first = queue.page(store, Filters(**wanted))
    assert first.next
    queue.page(store, Filters(**wanted), after=first.next)
    queue.counts(store)
    sa.event.remove(store.engine, "before_cursor_execute", listen)
    for statement, parameters in asked:
        if "FROM reviews" in statement and "JOIN tickets" not in statement:  # that join is of 50 given ids
            with store.engine.connect() as c:
                plan = "\n".join(c.exec_driver_sql(f"EXPLAIN {statement}", parameters).scalars())
            assert not re.search("Seq Scan on (reviews|tickets|drafts)", plan), plan
            sorted_rows = [int(rows) for rows in re.findall(r"Sort  \(cost=\S+ rows=(\d+)", plan)]
            assert max(sorted_rows, default=0) < 500, plan  # of a hundred, sorting is the cheaper way


def test_both_ways_of_a_search_find_the_same_rows_in_the_same_order(
    postgres_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = postgres_store
    fill(store, 600)
    everything = all_ids(store, Filters(), 200)
    searches = {"monday": 600, "word31": 12, "#ORD-100300": 1, "c77@example.net": 1, "#300": 1, "zebra": 0}
    for sample, walked, common in (
        (1000, 1000, 0),  # all texts are read
        (40, 0, 30_000),  # the words are looked up
        (40, 0, 0),  # and are too many for that
        (40, 300, 2),
        (searching.SAMPLE, searching.WALKED, searching.COMMON),
    ):
        monkeypatch.setattr(searching, "SAMPLE", sample)
        monkeypatch.setattr(searching, "WALKED", walked)
        monkeypatch.setattr(searching, "COMMON", common)
        for search, expected in searches.items():
            found = all_ids(store, Filters(search=search), 100)
            assert len(found) == expected, search
            assert found == [one for one in everything if one in set(found)]
            assert queue.newer(store, Filters(search=search), 0) == min(expected, 100)


def test_a_team_is_asked_for_as_its_tickets_stand(store: Store) -> None:
    agent = seed.people(store)["anna"]
    ticket_id = seed.ticket(store)
    seed.ticket(store)
    correct(store, ticket_id, agent, view(store, ticket_id).ticket["version"], {"topic": "billing"}, TEAMS)
    assert all_ids(store, Filters(team="billing"), 50) == [ticket_id]


def test_new_rows_are_counted_from_a_known_one(store: Store) -> None:
    seed.ticket(store)
    since = queue.newest_id(store)
    assert queue.newer(store, Filters(), since) == 0
    seed.ticket(store, topic="billing")
    assert queue.newer(store, Filters(), since) == 1
    assert queue.newer(store, Filters(topic="other"), since) == 0


def test_after_a_decision_the_next_row_follows(store: Store) -> None:
    agent = seed.people(store)["anna"]
    first, second, third = (seed.ticket(store, waited=timedelta(hours=h)) for h in (3, 2, 1))
    rows = {row.ticket_id: row for row in queue.page(store, Filters()).rows}
    Desk(store).approve(rows[second].review_id, agent, rows[second].version)
    assert queue.neighbour(store, Filters(), rows[second].review_id) == third
    assert queue.neighbour(store, Filters(), rows[third].review_id) == first  # round to the first
    assert queue.neighbour(store, Filters(topic="billing"), rows[first].review_id) is None
    done = queue.page(store, Filters(state="decided")).rows
    assert [(row.ticket_id, row.outcome) for row in done] == [(second, "as_is")]


def test_a_correction_moves_the_ticket_to_the_right_team(store: Store) -> None:
    agent = seed.people(store)["anna"]
    ticket_id = seed.ticket(store)
    version = view(store, ticket_id).ticket["version"]
    changes = {"topic": "billing", "urgency": "critical", "language": "en", "clarity": "vague"}
    changed = correct(store, ticket_id, agent, version, changes, TEAMS)
    assert changed == {
        "topic": ("order_shipping", "billing"), "urgency": ("normal", "critical"), "clarity": ("clear", "vague"),
    }  # fmt: skip
    found = view(store, ticket_id)
    assert (found.ticket["topic"], found.ticket["team"], found.ticket["urgency_rank"]) == (
        "billing",
        "billing",
        3,
    )
    assert found.ticket["version"] == version + 1
    assert found.triage is not None
    assert found.triage["clarity"] == "vague"
    with store.read() as c:
        rows = c.execute(sa.select(corrections).order_by(corrections.c.id)).all()
    assert [(row.field, row.old, row.new, row.by_kind, row.by_name) for row in rows] == [
        ("topic", "order_shipping", "billing", "agent", "agent:anna@shop.example"),
        ("urgency", "normal", "critical", "agent", "agent:anna@shop.example"),
        ("clarity", "clear", "vague", "agent", "agent:anna@shop.example"),
    ]
    with pytest.raises(ConflictError):
        correct(store, ticket_id, agent, version, {"topic": "other"}, TEAMS)
    assert correct(store, ticket_id, agent, version + 1, {"clarity": "vague"}, TEAMS) == {}


@pytest.mark.parametrize(
    "changes",
    [
        {"topic": "nope"}, {"urgency": "soon"}, {"emotion": "x"}, {"language": "English!"},
        {"status": "closed"}, {"fields": 1},
    ],
)  # fmt: skip
def test_unknown_values_are_refused(sqlite_store: Store, changes: dict[str, object]) -> None:
    agent = seed.people(sqlite_store)["anna"]
    ticket_id = seed.ticket(sqlite_store)
    version = view(sqlite_store, ticket_id).ticket["version"]
    with pytest.raises(InputError):
        correct(sqlite_store, ticket_id, agent, version, changes, TEAMS)
    with sqlite_store.read() as c:
        assert c.execute(sa.select(tickets.c.version)).scalar_one() == version


def test_a_view_holds_all_of_a_ticket(store: Store) -> None:
    ids = seed.inbox_of_a_day(store)
    found = view(store, ids["double"])
    assert found.unsupported == ["We have refunded the second payment of 49.00 EUR", "within 2 days"]
    assert found.answers_to() == "jonas.berg@example.org"
    assert found.messages[0]["attachments"][0]["filename"] == "statement 11-2026.pdf"
    assert [move["to_status"] for move in found.moves] == ["received", "escalated", "in_review"]
    assert len(found.calls) == 2
    assert found.fields["invoice_numbers"] == [{"value": "INV-20931"}]
    assert found.facts[0]["facts"]["flags"][0]["kind"] == "double_charge"
    unsure = view(store, ids["uncertain"])
    assert unsure.prior_reply is not None
    assert unsure.prior_reply["state"] == "uncertain"
    with pytest.raises(NotFoundError):
        view(store, 999)
