"""How many calls a model gets at once and in a minute, counted over all workers where routes.toml says so.

At once: the calls under way are the rows of `model_calls` that are still reserved. A minute: the generic
cell rate algorithm (GCRA), one time per model that says when the next call may begin. Both are looked at
in the transaction that reserves the call, under a lock of the model's row, so that nobody slips past.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from pipeline.db.tables import model_calls, model_states
from pipeline.db.types import now
from pipeline.errors import ModelBusy
from pipeline.models.base import Choice

BURST_SHARE = 0.1
"""How much of a minute's calls may begin at the same moment."""

_FIRST_LOOK_S, _LONGEST_LOOK_S = 0.05, 1.0

T = TypeVar("T")


def limited(choice: Choice) -> bool:
    """Whether the model has any limit; the others cost nothing here."""
    return choice.at_once is not None or choice.per_minute is not None


def admit(connection: sa.Connection, model: str, choice: Choice, longest_s: float) -> None:
    """Let one more call begin, in the caller's transaction; raises `ModelBusy` with nothing changed.

    A row that is reserved for longer than `longest_s` is a dead worker's, and no call under way. The lock
    that is taken here lasts until the transaction ends; it comes before the locks of any cap.
    """
    at = now()
    (next_at,) = locked(connection, model, model_states.c.next_at)
    if choice.at_once is not None:
        under_way = connection.execute(
            sa.select(sa.func.count())
            .select_from(model_calls)
            .where(
                model_calls.c.state == "reserved",
                model_calls.c.started_at > at - timedelta(seconds=longest_s),
                model_calls.c.provider == choice.provider,
                model_calls.c.model == choice.key,
            )
        ).scalar_one()
        check_at_once(under_way, choice.at_once)
    if choice.per_minute is not None:
        connection.execute(
            model_states.update()
            .where(model_states.c.model == model)
            .values(next_at=next_slot(next_at, at, choice.per_minute))
        )


def check_at_once(under_way: int, at_once: int) -> None:
    """Raise `ModelBusy` where so many calls are under way that no further one may begin."""
    if under_way >= at_once:
        raise ModelBusy(f"{at_once} at once are under way already")


def next_slot(next_at: datetime | None, at: datetime, per_minute: int) -> datetime:
    """The new `next_at` after a call that begins at `at`; raises `ModelBusy` if it is too early for one.

    A tenth of the calls may come at once, the others are spread so that no minute sees more than
    `per_minute` of them, the burst included.
    """
    burst = max(1, int(per_minute * BURST_SHARE))
    apart = timedelta(microseconds=math.ceil(60_000_000 / (per_minute - burst + 1)))
    slot = max(next_at or at, at)
    early = slot - (burst - 1) * apart - at
    if early > timedelta(0):
        raise ModelBusy(f"{per_minute} a minute are begun already", retry_in_s=early.total_seconds())
    return slot + apart


def in_turn(begin: Callable[[], T], patience_s: float) -> T:
    """What `begin` gives, tried again while it raises `ModelBusy`, for at most `patience_s`; then that."""
    give_up_at = time.monotonic() + patience_s
    look_s = _FIRST_LOOK_S
    while True:
        try:
            return begin()
        except ModelBusy as busy:
            left_s = give_up_at - time.monotonic()
            wait_s = look_s if busy.retry_in_s is None else max(busy.retry_in_s, _FIRST_LOOK_S)
            if wait_s > left_s:
                raise
            # those who wait must not all come back in the same moment
            time.sleep(min(left_s, wait_s * random.uniform(1.0, 1.5)))
            look_s = min(_LONGEST_LOOK_S, look_s * 1.5)


def locked(connection: sa.Connection, model: str, *columns: sa.Column[Any]) -> tuple[Any, ...]:
    """These columns of the model's row, which is made if need be and locked until the transaction ends."""
    insert: Any = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    statement = insert(model_states).values(model=model, updated_at=now())
    statement = statement.on_conflict_do_update(
        index_elements=[model_states.c.model], set_={"updated_at": statement.excluded.updated_at}
    ).returning(*columns)
    return tuple(connection.execute(statement).one())
