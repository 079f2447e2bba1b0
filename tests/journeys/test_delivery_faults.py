"""Faults at every point of a delivery: no reply is accepted twice by the server's own journal, and none is lost.

Each cell of the matrix is one approved reply, sent by the pipeline's own step (`steps.advance`) to a server
that fails once at one point, or by a worker process that is killed there; then all is well again, and the
step goes on until it needs a person, who settles what is uncertain by what the server's journal says.

The suite runs every fault of a server, and kills at the points that decide; `TRIAGE_TEST_FAULTS=all` kills
at every point.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import structlog

from pipeline import steps
from pipeline.assembly import Parts
from pipeline.db import leases
from pipeline.db.tables import messages, replies, reviews, tickets, ways_out
from pipeline.db.types import now
from pipeline.delivery.compose import Outgoing
from pipeline.delivery.outcomes import Outcome
from pipeline.delivery.switched_off import switch_on
from pipeline.review import agents
from pipeline.review.agents import Agent
from tests.delivery.conftest import approve_one
from tests.kit import sending_process
from tests.kit.faulty_servers import SMTP_POINTS, Fault, FaultyMailServer, FaultyReceiver, FaultyServer
from tests.kit.live import INBOXES, live_parts
from tests.kit.places import wait_for

ALL = os.environ.get("TRIAGE_TEST_FAULTS") == "all"
IMPATIENT_S = 1.5
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

BY_ITSELF, A_PERSON, UNCERTAIN = "answered", "in_review", "send_uncertain"

CALLBACK = f"""
[inbox.support]
kind = "webhook"
secret = "{SECRET}"
from_address = "support@shop.example"
[inbox.support.send]
callback_url = "URL"
callback_secret = "{SECRET}"
allow_private = true
"""


@dataclass(frozen=True)
class Cell:
    """One fault, and where the ticket stands before any person has touched it. `taken`: by the journal."""

    fault: Fault
    ends: tuple[str, ...]
    taken: int
    killed: str = ""

    @property
    def name(self) -> str:
        what = "killed" if self.killed else self.fault.kind
        return f"{self.killed or self.fault.point:9} {what:10}{' (taken)' if self.fault.taken else ''}"


def by_smtp() -> list[Cell]:
    cells = [Cell(Fault("connect", "refused"), (BY_ITSELF,), 1)]
    for point in SMTP_POINTS:
        whole_server = point in ("greeting", "ehlo", "auth")
        if point != "text":
            cells.append(Cell(Fault(point, "temporary"), (BY_ITSELF,), 1))
            end = (BY_ITSELF, 1) if whole_server else (A_PERSON, 0)
            cells.append(Cell(Fault(point, "permanent"), (end[0],), end[1]))
        for kind in ("lost", "silent"):
            ends: tuple[str, ...] = (UNCERTAIN,) if point in ("text", "dot") else (BY_ITSELF,)
            if (point, kind) == ("text", "lost"):
                # a short mail may all be on its way, dot and all, before the cut is noticed
                ends = (UNCERTAIN, BY_ITSELF)
            cells.append(Cell(Fault(point, kind), ends, 0 if UNCERTAIN in ends else 1))
    cells += [Cell(Fault("dot", kind, taken=True), (UNCERTAIN,), 1) for kind in ("lost", "silent")]
    for point in SMTP_POINTS if ALL else ("rcpt", "data", "text", "dot"):
        cells.append(Cell(Fault(point, "silent"), (UNCERTAIN,), 0, killed=point))
    cells.append(Cell(Fault("dot", "silent", taken=True), (UNCERTAIN,), 1, killed="dot"))
    cells.append(Cell(Fault("commit", "blinks"), (BY_ITSELF,), 1))
    cells.append(Cell(Fault("commit", "away"), (UNCERTAIN,), 1))
    cells.append(Cell(Fault("", ""), (UNCERTAIN,), 0, killed="claim"))
    cells.append(Cell(Fault("", ""), (UNCERTAIN,), 1, killed="answer"))
    cells.append(Cell(Fault("", ""), (BY_ITSELF,), 1, killed="commit"))
    return cells


def by_callback() -> list[Cell]:
    cells = [Cell(Fault("connect", "refused"), (BY_ITSELF,), 1)]
    for point in ("request", "answer"):
        cells += [Cell(Fault(point, kind), (BY_ITSELF,), 1) for kind in ("lost", "silent")]
    cells += [Cell(Fault("answer", kind, taken=True), (BY_ITSELF,), 1) for kind in ("lost", "silent")]
    cells += [Cell(Fault("answer", status), (BY_ITSELF,), 1) for status in ("429", "500", "503")]
    cells += [Cell(Fault("answer", "500", taken=True), (BY_ITSELF,), 1)]
    # 410 ends the way out for the whole inbox: a test of its own
    cells += [Cell(Fault("answer", status), (A_PERSON,), 0) for status in ("302", "404")]
    for fault in (Fault("request", "silent"), Fault("answer", "silent"), Fault("answer", "silent", True)):
        cells.append(Cell(fault, (BY_ITSELF,), 1, killed=fault.point))
    cells += [Cell(Fault("commit", kind), (BY_ITSELF,), 1) for kind in ("blinks", "away")]
    cells += [Cell(Fault("", ""), (BY_ITSELF,), 1, killed=hold) for hold in ("claim", "answer", "commit")]
    return cells


@dataclass
class Place:
    """One cell's installation: the store is shared, the server and the parts are its own."""

    home: Path
    database_url: str
    server: FaultyServer
    agent: Agent

    def settings(self, timeout_s: float) -> dict[str, Any]:
        if isinstance(self.server, FaultyMailServer):
            return {"smtp_url": f"{self.server.url}?timeout_s={timeout_s}", "inboxes": INBOXES}
        return {"inboxes": CALLBACK.replace("URL", self.server.url)}

    def parts(self, timeout_s: float = 60) -> Parts:
        parts = live_parts(self.home, self.database_url, **self.settings(timeout_s))
        if isinstance(self.server, FaultyReceiver) and timeout_s < 20:
            way: Any = parts.mailers("support")
            object.__setattr__(way.address, "timeout_s", timeout_s)
        return parts


def run(place: Place, cell: Cell) -> str:
    """Drive one cell to its end; returns its line of the matrix. Every `assert` of a promise stands here."""
    parts = place.parts()
    try:
        ticket = approve_one(parts.store)
        fail_once(place, cell, ticket)
        drive(parts, ticket)
        found = standing(parts, ticket)
        taken = place.server.journal.count(found.message_id)
        first = f"{found.status} after {found.attempts}"
        assert found.status in cell.ends, (cell, found.status, found.server_words)
        if found.status == BY_ITSELF:
            assert taken == 1, "answered, and the customer has nothing"
        else:
            assert taken == cell.taken, (cell, taken)
            row = open_row(parts, ticket)
            assert row is not None, "no person sees it: lost"
            assert row.reason == ("send_uncertain" if found.status == UNCERTAIN else "send_failed")
        if found.status == UNCERTAIN:
            settle(parts, ticket, place.agent, "sent" if taken else "resend")
            drive(parts, ticket)
            found = standing(parts, ticket)
            assert found.status == BY_ITSELF
            assert place.server.journal.count(found.message_id) == 1
        assert outbound(parts, ticket) == place.server.journal.count(found.message_id) <= 1
        return f"{cell.name:32} {first:24} journal {taken}, at the end {outbound(parts, ticket)}"
    finally:
        parts.store.close()


def fail_once(place: Place, cell: Cell, ticket: int) -> None:
    """The first attempt, with the fault."""
    if cell.killed:
        killed(place, cell, ticket)
        return
    if cell.fault.kind == "refused":
        place.server.close()
    elif cell.fault.point != "commit":
        place.server.fault = cell.fault
    parts = place.parts(IMPATIENT_S if cell.fault.kind == "silent" else 60)
    if cell.fault.point == "commit":
        refuse_commits(parts, 1 if cell.fault.kind == "blinks" else 4)
    try:
        assert steps.advance(parts, ticket) is not None
    finally:
        parts.store.close()
    if cell.fault.kind == "refused":
        place.server.open(place.server.port)


def refuse_commits(parts: Parts, times: int) -> None:
    """Once the server has answered, the database takes no commit for so many times."""
    real, left = parts.mailers, [0]

    class Away:
        where = "the real way out, with a database that goes away behind it"

        def send(self, outgoing: Outgoing) -> Outcome:
            outcome = real("support").send(outgoing)
            left[0] = times
            return outcome

    def commit(_connection: sa.Connection) -> None:
        if left[0]:
            left[0] -= 1
            raise sa.exc.OperationalError("COMMIT", {}, Exception("database is locked"))

    parts.__dict__["mailers"] = lambda _inbox: Away()
    sa.event.listen(parts.store.engine, "commit", commit)


def killed(place: Place, cell: Cell, ticket: int) -> None:
    """A worker process, dead by SIGKILL at the point; the next sweep frees what it held."""
    place.server.fault = cell.fault if cell.fault.point else None
    context = multiprocessing.get_context("forkserver")
    here, there = context.Pipe()
    arguments = (place.home, place.database_url, place.settings(60), ticket, cell.killed, there)
    worker = context.Process(target=sending_process.work, args=arguments, daemon=True)
    worker.start()
    there.close()
    if cell.fault.point:
        wait_for(place.server.reached.is_set, f"the worker to come to {cell.name}", 60)
        time.sleep(0.05)  # so that it waits for the answer
    else:
        assert here.poll(60), f"the worker never came to {cell.name}"
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGKILL)
    worker.join(20)
    here.close()
    parts = place.parts()
    with parts.store.write() as connection:
        leases.free_the_dead(connection)
    parts.store.close()


def drive(parts: Parts, ticket: int) -> None:
    """Until no step is due: whatever the ticket waits for comes at once; then twice more, for good measure."""
    idle = 0
    for _ in range(20):
        with parts.store.write() as connection:
            waits = tickets.c.due_at.is_not(None) & (tickets.c.id == ticket)
            connection.execute(tickets.update().where(waits).values(due_at=now()))
        idle = idle + 1 if steps.advance(parts, ticket) is None else 0
        if idle == 3:
            return
    pytest.fail("the ticket never comes to rest")


def settle(parts: Parts, ticket: int, agent: Agent, choice: str) -> None:
    row = open_row(parts, ticket)
    with parts.store.read() as connection:
        version = connection.execute(sa.select(tickets.c.version).where(tickets.c.id == ticket)).scalar_one()
    parts.desk.resolve_uncertain(row.id, agent, version, choice)


def standing(parts: Parts, ticket: int) -> Any:
    query = (
        sa.select(tickets.c.status, replies.c.attempts, replies.c.message_id, replies.c.server_words)
        .join(replies, replies.c.ticket_id == tickets.c.id)
        .where(tickets.c.id == ticket)
    )
    with parts.store.read() as connection:
        return connection.execute(query).one()


def open_row(parts: Parts, ticket: int) -> Any:
    query = sa.select(reviews).where(reviews.c.ticket_id == ticket, reviews.c.state == "open")
    with parts.store.read() as connection:
        return connection.execute(query).one_or_none()


def outbound(parts: Parts, ticket: int) -> int:
    query = sa.select(sa.func.count()).where(
        messages.c.ticket_id == ticket, messages.c.direction == "outbound"
    )
    with parts.store.read() as connection:
        return int(connection.execute(query).scalar_one())


@pytest.fixture
def agent(tmp_path: Path, database_url: str) -> Iterator[Agent]:
    parts = live_parts(tmp_path / "first", database_url)
    yield agents.add(parts.store, "lead@shop.example", "lead", "Lea")
    parts.store.close()


def matrix(
    cells: list[Cell], server: Callable[[], FaultyServer], folder: Path, database_url: str, agent: Agent
) -> list[str]:
    multiprocessing.get_context("forkserver").set_forkserver_preload(["tests.kit.sending_process"])

    def one(number: int) -> str:
        place = Place(folder / f"cell-{number}", database_url, server(), agent)
        try:
            return run(place, cells[number])
        finally:
            place.server.end()

    with structlog.testing.capture_logs(), ThreadPoolExecutor(6) as pool:
        return list(pool.map(one, range(len(cells))))


@pytest.mark.timeout(900)
@pytest.mark.parametrize("way", ["smtp", "callback"])
def test_a_fault_at_any_point_sends_no_reply_twice_and_loses_none(
    tmp_path: Path, database_url: str, agent: Agent, way: str, capsys: pytest.CaptureFixture[str]
) -> None:
    begun = time.monotonic()
    cells = by_smtp() if way == "smtp" else by_callback()
    server = FaultyMailServer if way == "smtp" else FaultyReceiver
    lines = matrix(cells, server, tmp_path, database_url, agent)
    with capsys.disabled():
        kind = database_url.partition(":")[0]
        print(f"\n{way} on {kind}: {len(cells)} faults in {time.monotonic() - begun:.0f} s")
        print("\n".join(f"  {line}" for line in lines))
    assert len(lines) == len(cells)


def test_a_receiver_that_wants_no_more_is_left_alone_until_a_person_says_so(
    tmp_path: Path, database_url: str, agent: Agent
) -> None:
    server = FaultyReceiver()
    try:
        place = Place(tmp_path / "home", database_url, server, agent)
        parts = place.parts()
        first, second, third = (approve_one(parts.store) for _ in range(3))
        server.fault = Fault("answer", "410")
        drive(parts, first)
        assert "triage inbox enable support" in open_row(parts, first).detail
        drive(parts, second)
        assert standing(parts, second).attempts == 0
        assert open_row(parts, second).reason == "send_failed"
        assert len(server.times) == 1, "nothing is sent there any more"
        with parts.store.write() as connection:
            assert connection.execute(sa.select(ways_out.c.inbox)).scalars().all() == ["support"]
            assert switch_on(connection, "support")
            assert not switch_on(connection, "support")
        drive(parts, third)
        assert standing(parts, third).status == "answered"
        doubtful = approve_one(parts.store)
        server.fault = Fault("answer", "lost", taken=True)
        assert steps.advance(parts, doubtful) is not None
        server.fault = Fault("answer", "410")
        drive(parts, approve_one(parts.store))
        drive(parts, doubtful)
        assert standing(parts, doubtful).status == UNCERTAIN, "its first attempt may have been taken"
        parts.store.close()
    finally:
        server.end()
