"""The biggest movers on rows made for one cause each, their figures counted by hand."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from pipeline.db.store import Store
from pipeline.db.tables import agents, reviews
from pipeline.reports.movers import NO_CAUSE, Mover, Movers, chance, movers, words
from pipeline.reports.rates import Share
from pipeline.reports.weeks import Week
from tests.reports.conftest import WEEK, Seed, hour

THIS = Week.parse(WEEK)


@contextmanager
def seeding(store: Store) -> Iterator[Seed]:
    with store.write() as connection:
        for number in (1, 2, 3):
            row = {"id": number, "email": f"{number}@shop.example", "role": "agent", "created_at": hour(-999)}
            connection.execute(agents.insert().values(**row))
        yield Seed(connection)


def judge(seed: Seed, at: float, bad: int, good: int, by: int = 1, **draft: Any) -> None:
    """So many drafts a minute apart, the rewritten ones among the others."""
    for n in range(bad + good):
        moment = hour(at) + timedelta(minutes=n)
        turn = (n + 1) * bad // (bad + good) > n * bad // (bad + good)
        _ticket, review = seed.judged(moment, "rewritten" if turn else "as_is", **draft)
        seed.connection.execute(reviews.update().where(reviews.c.id == review).values(decided_by=by))


def found(store: Store, **only: str) -> Movers:
    with store.read() as connection:
        return movers(connection, THIS, "Europe/Berlin", only)


def group(of: Movers, *key: str) -> Mover:
    return next(mover for mover in of.groups if mover.key == key)


STRONG = {"route": "strong", "task": "draft", "model": "big", "topic": "refund", "prompt": "a1b2c3d4aaaa"}


def test_two_shares_are_compared_by_chance() -> None:
    # 20 of 100 against 40 of 100: pooled 0.3, (0.2 - 0.01) / sqrt(0.3 * 0.7 * 0.02) = 2.932 → 0.0034
    assert round(chance(Share(20, 100), Share(40, 100)), 4) == 0.0034
    assert chance(Share(5, 10), Share(5, 10)) == 1.0
    assert chance(Share(0, 0), Share(5, 10)) == 1.0
    assert chance(Share(0, 10), Share(0, 10)) == 1.0
    assert chance(Share(0, 9), Share(1, 11)) == 1.0  # nearer to each other than the correction


def test_a_changed_prompt_is_named_with_its_day(store: Store) -> None:
    with seeding(store) as seed:
        for week in (1, 2, 3, 4):
            judge(seed, -168 * week + 10, 2, 18, **STRONG)  # 8 of 80 before
        judge(seed, 2, 1, 9, **STRONG)  # Monday, still the old prompt: 1 of 10
        judge(seed, 30, 15, 15, **STRONG | {"prompt": "e5f6a7b8bbbb"})  # from Tuesday 17 November on
        judge(seed, -150, 20, 20)  # another route, unchanged
        judge(seed, 40, 20, 20)
    of = found(store)
    assert of.weeks == ("2026-W43", "2026-W44", "2026-W45", "2026-W46")
    mover = group(of, "refund", "strong")
    assert (mover.before, mover.now) == (Share(8, 80), Share(16, 40))
    (cause,) = mover.causes
    assert cause.words == "prompt draft/strong changed on Tuesday 17 November (a1b2c3d4 → e5f6a7b8)"
    # 30 of 40 drafts, rewritten 15/30 against 9/90 of the old prompt: 0.75 * 0.4 of a change of 0.3
    assert cause.explains == pytest.approx(1.0)
    assert cause.at == hour(30) - timedelta(minutes=1)  # the first draft, a minute before it was judged
    assert (mover.mix, mover.rate) == (0.0, pytest.approx(0.3))
    assert words(mover) == "+30 points (mix +0, rate +30)"
    uneven = replace(mover, now=Share(141, 1000), before=Share(205, 1000), mix=0.004, rate=-0.068)
    assert words(uneven) == "-6 points (mix +0, rate -6)"  # the parts add up as they are shown
    assert not any("billing" in mover.key for mover in of.groups)


def test_a_prompt_that_changed_after_the_rate_did_is_no_cause(sqlite_store: Store) -> None:
    with seeding(sqlite_store) as seed:
        judge(seed, -150, 8, 72, **STRONG)
        judge(seed, 2, 15, 15, **STRONG)  # Monday: worse already
        judge(seed, 30, 10, 10, **STRONG | {"prompt": "e5f6a7b8bbbb"})
    assert group(found(sqlite_store), "refund", "strong").why == NO_CAUSE


def test_a_prompt_that_was_there_before_is_not_said_to_have_changed(sqlite_store: Store) -> None:
    other = STRONG | {"prompt": "e5f6a7b8bbbb"}
    with seeding(sqlite_store) as seed:
        judge(seed, -170, 0, 10, **other)  # went first, and came back
        judge(seed, -150, 8, 72, **STRONG)
        judge(seed, 2, 20, 20, **other)
    assert "changed" not in group(found(sqlite_store), "refund", "strong").why


def test_a_prompt_that_did_well_for_weeks_is_no_cause_now(sqlite_store: Store) -> None:
    other = STRONG | {"prompt": "e5f6a7b8bbbb"}
    with seeding(sqlite_store) as seed:
        judge(seed, -400, 4, 36, **STRONG)
        judge(seed, -300, 4, 36, **other)
        judge(seed, 2, 20, 20, **other)
    assert group(found(sqlite_store), "refund", "strong").why == NO_CAUSE


def test_a_changed_model_is_named(sqlite_store: Store) -> None:
    with seeding(sqlite_store) as seed:
        judge(seed, -150, 4, 36)
        judge(seed, 50, 20, 20, model="mini-2")  # Wednesday
    (cause,) = group(found(sqlite_store), "billing", "cheap").causes
    assert cause.words == "model of routine changed from mini to mini-2 on Wednesday 18 November"


def test_a_new_mix_is_mix_and_not_rate(store: Store) -> None:
    """Refunds are always rewritten, the rest never; only their share grows, from 10% to 50%."""
    with seeding(store) as seed:
        judge(seed, -150, 10, 0, topic="refund")
        judge(seed, -140, 0, 90)
        judge(seed, 2, 40, 0, topic="refund")
        judge(seed, 4, 0, 40)
    of = found(store)
    assert of.whole is not None
    assert of.beyond_chance
    assert (of.whole.before, of.whole.now) == (Share(10, 100), Share(40, 80))
    assert (of.whole.mix, of.whole.rate) == (pytest.approx(0.4), pytest.approx(0.0))
    assert of.whole.causes[0].words == "new topic mix: refund 10% → 50%"
    # route, language, inbox, model and prompt hold the very same drafts: told once
    assert [mover.by for mover in of.groups] == [("route",)]


def test_the_backup_an_agent_and_a_language_are_found_in_the_rows(sqlite_store: Store) -> None:
    with seeding(sqlite_store) as seed:
        judge(seed, -150, 4, 56)
        judge(seed, -145, 4, 36, by=2)
        judge(seed, 2, 1, 19)
        call = seed.call(hour(5), role="backup", model="other")
        judge(seed, 5, 15, 5, call_id=call, model="other")
        judge(seed, 8, 18, 2, language="pl", topic="sales")
        judge(seed, 20, 2, 18, by=3, topic="bug_report")
    why = {mover.key: mover.why for mover in found(sqlite_store).groups}
    assert why["billing", "cheap"] == "the backup answered 50% of calls (0% before)"
    assert "language pl 0% → 25%" in why["cheap",]
    assert all("one agent" not in each for each in why.values())  # bug reports: judged by one, but not harder


def test_one_strict_agent_is_seen_and_not_named(sqlite_store: Store) -> None:
    with seeding(sqlite_store) as seed:
        judge(seed, -150, 4, 56)
        judge(seed, -145, 14, 6, by=2)
        judge(seed, 2, 2, 18)
        judge(seed, 5, 42, 18, by=2)
    (mover,) = found(sqlite_store).groups
    assert mover.causes[0].words == "one agent judged 75% of them (25% before)"


def test_chance_and_few_cases_move_nothing(sqlite_store: Store) -> None:
    with seeding(sqlite_store) as seed:
        judge(seed, -150, 10, 40)
        judge(seed, 2, 13, 37)  # 20% → 26%
        judge(seed, -145, 0, 9, topic="sales")
        judge(seed, 5, 9, 0, topic="sales")  # 9 before: too few
    of = found(sqlite_store)
    assert not [mover for mover in of.groups if "sales" in mover.key or "billing" in mover.key]
    empty = found(sqlite_store, topic="nothing")
    assert (empty.whole, empty.groups, empty.tested) == (None, (), 0)
