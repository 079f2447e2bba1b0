"""Saved views: an agent's own and a lead's for everybody; nobody changes what is not theirs."""

from __future__ import annotations

import pytest

from pipeline.db.store import Store
from pipeline.errors import ConflictError, InputError, NotFoundError
from pipeline.review.saved_views import change, delete, save, views
from tests.web import seed


def test_shared_views_come_first_and_own_ones_are_ones_own(store: Store) -> None:
    who = seed.people(store)
    save(store, who["anna"], " German   refunds ", "language=de&topic=refund")
    save(store, who["lea"], "Angry", "urgency=critical", shared=True)
    assert [(v.name, v.shared, v.mine) for v in views(store, who["anna"])] == [
        ("Angry", True, False), ("German refunds", False, True),
    ]  # fmt: skip
    assert [v.name for v in views(store, who["ben"])] == ["Angry"]


def test_only_a_lead_shares_and_names_are_told_apart(store: Store) -> None:
    who = seed.people(store)
    with pytest.raises(InputError, match="lead"):
        save(store, who["anna"], "Mine", "topic=refund", shared=True)
    view = save(store, who["anna"], "Mine", "topic=refund")
    with pytest.raises(InputError, match="lead"):
        change(store, who["anna"], view, name="Mine", shared=True)
    with pytest.raises(ConflictError):
        save(store, who["anna"], "Mine", "topic=billing")
    save(store, who["ben"], "Mine", "topic=billing")
    for name in ("", "  ", "x" * 41, "a\u202eb"):
        with pytest.raises(InputError):
            save(store, who["anna"], name, "")


def test_a_view_is_renamed_and_deleted_by_its_owner_and_a_shared_one_by_any_lead(store: Store) -> None:
    who = seed.people(store)
    own = save(store, who["anna"], "Mine", "topic=refund")
    shared = save(store, who["lea"], "Ours", "topic=billing", shared=True)
    for view in (own, shared):
        with pytest.raises(NotFoundError):
            change(store, who["ben"], view, name="Stolen")
        with pytest.raises(NotFoundError):
            delete(store, who["ben"], view)
    with pytest.raises(NotFoundError):
        delete(store, who["ada"], own)  # not even an admin looks into somebody's own
    change(store, who["anna"], own, name="Refunds", query="topic=refund&language=de")
    change(store, who["ada"], shared, name="Billing", shared=True)
    assert [(v.name, v.query) for v in views(store, who["anna"])] == [
        ("Billing", "topic=billing"), ("Refunds", "topic=refund&language=de"),
    ]  # fmt: skip
    delete(store, who["anna"], own)
    delete(store, who["ada"], shared)
    assert views(store, who["anna"]) == views(store, who["lea"]) == []
