"""The whole pipeline in one table: what a ticket in each status needs, and `advance`, which does it.

A worker claims the step, thinks outside any transaction, and records in a short one that is refused
when its lease is stale. What fails is tried again after a while; after `max_attempts` starts it is a
row of the review table.
"""

from __future__ import annotations

import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa
import structlog

from pipeline import tracing
from pipeline.db import leases
from pipeline.db.leases import Lease
from pipeline.db.moves import move
from pipeline.db.reviews import open_review
from pipeline.db.tables import messages, tickets
from pipeline.db.types import now
from pipeline.delivery import send
from pipeline.errors import LeaseLost, ModelError, TriageError
from pipeline.lifecycle import Status
from pipeline.steps.drafting import draft
from pipeline.steps.reading import triage
from pipeline.steps.shadowing import TASK, take_shadows

if TYPE_CHECKING:
    from pipeline.assembly import Parts

log = structlog.get_logger(__name__)

RETRY_AFTER = (timedelta(seconds=5), timedelta(seconds=60), timedelta(seconds=300))
"""How long a failed step waits before its second, third, ... start."""

LONGEST_UNDO_WAIT = timedelta(seconds=60)


@dataclass(frozen=True)
class Step:
    """What is done for a ticket in one status. `work` returns what it did, in a few words."""

    name: str
    words: str
    work: Callable[[Parts, Lease], str]
    max_attempts: int
    gives_up_as: str


def _send(parts: Parts, lease: Lease) -> str:
    return parts.deliver(lease)


STEPS: dict[Status, Step] = {
    Status.RECEIVED: Step("triage", "the cheap model reads the message", triage, 3, "failed_triage"),
    Status.ROUTINE: Step("routine", "the cheap model drafts a routine reply", draft, 3, "failed_draft"),
    Status.ESCALATED: Step(
        "draft", "the strong model drafts from the whole thread", draft, 3, "failed_draft"
    ),
    Status.APPROVED: Step("send", "the approved reply is sent", _send, 8, "send_failed"),
}


@dataclass(frozen=True)
class Advanced:
    """What one `advance` did. `done` is False where the step failed and will be tried again."""

    ticket_id: int
    step: str
    what: str
    done: bool


def advance(parts: Parts, ticket_id: int) -> Advanced | None:
    """Do what the ticket is due for; None where nothing is, or another worker has it."""
    with parts.store.write() as connection:
        lease = leases.claim(connection, ticket_id, parts.owner, timedelta(seconds=parts.settings.lease_s))
    if lease is None:
        return None
    step = STEPS[lease.status]
    said: tracing.Attributes = {"triage.step": step.name, "triage.attempt": lease.attempt}
    with (
        structlog.contextvars.bound_contextvars(ticket=ticket_id, step=step.name),
        tracing.span(f"step {step.name}", ticket_id, said) as span,
    ):
        done = _run(parts, lease, step)
        span.note({"triage.result": done.what, "triage.done": done.done})
        return done


def _run(parts: Parts, lease: Lease, step: Step) -> Advanced:
    def result(what: str, done: bool) -> Advanced:
        return Advanced(lease.ticket_id, step.name, what, done)

    if lease.attempt > step.max_attempts:
        _give_up(parts, lease, step)
        return result("gave up; a person decides", True)
    try:
        what = step.work(parts, lease)
    except LeaseLost:
        with parts.store.write() as connection:
            # does nothing where the step was taken away; where only the ticket changed, it is due at once
            leases.release(connection, lease)
        log.info("result dropped: the ticket moved on meanwhile")
        return result("dropped: the ticket moved on meanwhile", False)
    except Exception as error:  # the one place where a step's failure is turned into a later try
        words = _words(error)
        log.warning("step failed", attempt=lease.attempt, error=words)
        wait = RETRY_AFTER[min(lease.attempt, len(RETRY_AFTER)) - 1]
        with parts.store.write() as connection:
            leases.release(connection, lease, due_in=wait, error=words)
        return result("failed; due again later", False)
    log.info("step done", result=what)  # route, model or status: never a customer's address or words
    return result(what, True)


def _give_up(parts: Parts, lease: Lease, step: Step) -> None:
    with parts.store.write() as connection:
        leases.hold(connection, lease)
        last_error = connection.execute(
            sa.select(tickets.c.last_error).where(tickets.c.id == lease.ticket_id)
        ).scalar_one()
        why = f"{step.words[:1].upper()}{step.words[1:]}: given up after {step.max_attempts} starts."
        if last_error:
            why += f" The last error: {last_error}"
        if step.name == "triage":  # or the same messages would bring the ticket back here for ever
            connection.execute(
                messages.update()
                .where(messages.c.ticket_id == lease.ticket_id, messages.c.triaged_at.is_(None))
                .values(triaged_at=now())
            )
        if step.name == "send":
            send.give_up(connection, lease.ticket_id, why)
            return
        move(
            connection,
            lease.ticket_id,
            Status.IN_REVIEW,
            who=step.name,
            why=why,
            route="human",
            decision=why,
            confirmed_by=None,
        )
        open_review(connection, lease.ticket_id, step.gives_up_as, why)
    log.warning("step given up", attempts=step.max_attempts)


def _words(error: Exception) -> str:
    """What may be stored and logged of an error: our own words, or its type and place; never its text."""
    if isinstance(error, TriageError):
        return (
            f"{getattr(error, 'kind', type(error).__name__)}: {error}"
            if isinstance(error, ModelError)
            else str(error)
        )
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} at {Path(frame.filename).name}:{frame.lineno}"


def run_until_idle(
    parts: Parts, *, threads: int, on_step: Callable[[Advanced], None] | None = None
) -> dict[str, int]:
    """Work off everything that is due now, without a broker; returns how often each step was done.

    Tickets whose next start lies in the future (a failed step's next try, an undo window) are left. The
    sample of kept messages that the strong model reads too comes last.
    """
    done = _work_off(parts, threads, on_step)
    if shadowed := take_shadows(parts):
        done[TASK] = shadowed
    return done


def run_until_sent(
    parts: Parts, *, threads: int, on_step: Callable[[Advanced], None] | None = None
) -> dict[str, int]:
    """As `run_until_idle`, but replies in their undo window are waited for: they would stay behind."""
    done = Counter(run_until_idle(parts, threads=threads, on_step=on_step))
    while (wait := send.untried_due_in(parts.store)) is not None and wait <= LONGEST_UNDO_WAIT:
        time.sleep(wait.total_seconds())
        done.update(run_until_idle(parts, threads=threads, on_step=on_step))
    return dict(done)


def _work_off(parts: Parts, threads: int, on_step: Callable[[Advanced], None] | None) -> dict[str, int]:
    from concurrent.futures import ThreadPoolExecutor

    done: dict[str, int] = {}
    with ThreadPoolExecutor(max_workers=threads, thread_name_prefix="step") as pool:
        while True:
            with parts.store.read() as connection:
                batch = leases.due(connection, limit=threads * 25)
            if not batch:
                return done
            progressed = False
            for outcome in pool.map(lambda ticket_id: advance(parts, ticket_id), [row[0] for row in batch]):
                if outcome is None:
                    continue
                progressed = True
                key = outcome.step if outcome.done else f"{outcome.step}_failed"
                done[key] = done.get(key, 0) + 1
                if on_step:
                    on_step(outcome)
            if not progressed:  # other workers have all of it
                return done
