"""Carries the plan out: every mail, reading, draft, decision and reply goes through what real work goes through.

Only the mail server, the models and the time are the simulation's own.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, replace
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cached_property, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import sqlalchemy as sa

from pipeline.assembly import Parts
from pipeline.db.store import Store
from pipeline.db.tables import tickets
from pipeline.db.types import by_clock
from pipeline.delivery.compose import Outgoing
from pipeline.delivery.outcomes import Accepted, Mailer, Outcome, Permanent
from pipeline.drafting.template_provider import TemplateProvider
from pipeline.errors import InputError
from pipeline.models.gateway import Gateway
from pipeline.models.ledger import StoreLedger
from pipeline.models.prices import Prices
from pipeline.models.prompts import Prompts
from pipeline.models.redaction import Redactor
from pipeline.reports.weeks import Week
from pipeline.review import agents
from pipeline.review.agents import Agent
from pipeline.review.desk import Desk
from pipeline.review.second_reads import Sample
from pipeline.routing.table import LOCAL, TEMPLATES, Routes
from pipeline.simulation.desk import DeskWork
from pipeline.simulation.people import AGENTS
from pipeline.simulation.plan import Case, Plan, Turn
from pipeline.simulation.provider import Clock, PlannedProvider, Stage
from pipeline.simulation.truth import Truth
from pipeline.steps.reporting import timetable, write_due
from pipeline.steps.shadowing import take_shadows
from pipeline.triage.calibration import Calibration

TICKETS_A_WEEK = 400
"""So many the shipped caps are for; a busier shop has larger ones."""

SECOND_READS = 0.05
"""The share of approvals that are read a second time: enough to be seen in a week of few tickets."""

Event = Callable[[], None]


class SimulatedParts(Parts):
    """The parts of a worker whose way out is the simulation's own mail server."""

    post: Mailer
    sample: Sample

    @cached_property
    def desk(self) -> Desk:
        """As any desk, but that the seed and not a secret draws which approvals are read a second time."""
        return replace(super().desk, second_reads=self.sample)

    @cached_property
    def mailers(self) -> Callable[[str], Mailer]:
        return lambda _inbox: self.post


class Post:
    """A mail server that takes every reply, but for addresses that it does not know."""

    where = "the simulation's own mail server"

    def __init__(self) -> None:
        self.refuses: set[str] = set()

    def send(self, outgoing: Outgoing) -> Outcome:
        if outgoing.to_address in self.refuses:
            return Permanent("550 5.1.1 there is no such mailbox")
        return Accepted("250 2.0.0 taken")


def simulate(parts: Parts, plan: Plan, *, on_ticket: Callable[[], None] = lambda: None) -> Truth:
    """Do the whole plan in the store of `parts`; returns what is true of it.

    Raises `InputError` where the store has tickets already.
    """
    with parts.store.read() as connection:
        if connection.execute(sa.select(tickets.c.id).limit(1)).first() is not None:
            raise InputError("the store has tickets already; simulate into a new one: --dir FOLDER")
    with TemporaryDirectory(prefix="triage-simulation-") as scratch, _quick(parts.store):
        return Quarter(parts, plan, Path(scratch)).run(on_ticket)


@contextmanager
def _quick(store: Store) -> Iterator[None]:
    """While the history is written, SQLite need not wait for the disk: a crash means starting anew anyway."""
    if store.engine.dialect.name != "sqlite":
        yield
        return

    def careless(connection: Any, _record: Any) -> None:
        connection.execute("PRAGMA synchronous = OFF")

    store.close()
    sa.event.listen(store.engine, "connect", careless)
    try:
        yield
    finally:
        sa.event.remove(store.engine, "connect", careless)
        store.close()


class Quarter:
    def __init__(self, parts: Parts, plan: Plan, scratch: Path) -> None:
        self.plan = plan
        self.clock = Clock(plan.start)
        self.stage: Stage | None = None
        self._bodies: dict[str, Stage] = {}
        self._queue: list[tuple[datetime, int, Event]] = []
        self._count = itertools.count()
        self.post = Post()
        self._eras = _eras(parts, plan, scratch, self._providers(parts.routes))
        self.sample = Sample(f"seed {plan.seed}", SECOND_READS)
        for era in self._eras.values():
            era.post, era.sample = self.post, self.sample
        self.truth = Truth(parts.settings.zone)

    def run(self, on_ticket: Callable[[], None]) -> Truth:
        with by_clock(self.clock):
            self._run(on_ticket)
        return self.truth

    def _run(self, on_ticket: Callable[[], None]) -> None:
        store = self._eras["now"].store
        desk = DeskWork(self, _agents(store))
        for case in self.plan.cases:
            self.at(case.turns[0].at, self._opening(desk, case, on_ticket))
        for at, mark in self.plan.broken:
            self.at(at, partial(desk.broken_mail, at, mark))
        week = Week.of(self.plan.start, self.plan.zone)
        while (at := timetable(self._eras["now"].settings).moment(week)) < self.plan.until:
            self.at(at, partial(self._report, at))
            week = Week.of(at, self.plan.zone)
        day = self.plan.start + timedelta(hours=20)
        while day < self.plan.until:
            self.at(day, partial(self._evening, day))
            day += timedelta(days=1)
        while self._queue:
            at, _, event = heapq.heappop(self._queue)
            self.clock.go_to(at)
            event()

    def at(self, moment: datetime, event: Event) -> None:
        """Have something done then; of two at the same moment, the one that was put in first."""
        heapq.heappush(self._queue, (moment, next(self._count), event))

    def parts(self, at: datetime, *, capped: bool = False) -> Parts:
        """The parts as they were at that time: prompt, table and caps."""
        if capped:
            return self._eras["capped" if at >= self.plan.prompt_at else "capped before"]
        if at < self.plan.prompt_at:
            return self._eras["before"]
        return self._eras["between" if at < self.plan.model_at else "now"]

    def staged(self, case: Case, turn: Turn, body: str | None = None) -> Stage:
        self.stage = Stage(case, turn)
        if body is not None:
            self._bodies[body] = self.stage
        return self.stage

    def _opening(self, desk: DeskWork, case: Case, on_ticket: Callable[[], None]) -> Event:
        def event() -> None:
            desk.open(case)
            on_ticket()

        return event

    def _report(self, at: datetime) -> None:
        """The schedule writes the week that is over."""
        write_due(self.parts(at))

    def _evening(self, at: datetime) -> None:
        """The sample of what was kept cheap is read by the strong model."""
        taken = take_shadows(self.parts(at))
        if taken:
            self.truth.count(at, "shadows", taken)

    def _providers(self, routes: Routes) -> dict[str, Any]:
        def stage() -> Stage:
            assert self.stage is not None
            return self.stage

        def of_body(body: str) -> Stage:
            found = self._bodies[body]
            turn, teams = found.turn, {name: topic.team for name, topic in routes.topics.items()}
            if turn.shadow_missed or turn.costly or teams[turn.topic] != teams[turn.read_topic]:
                self.truth.count(self.clock(), "shadows_missed")
            return Stage(found.case, found.turn)

        names = {model.provider for model in routes.models.values()}
        made: dict[str, Any] = {
            name: PlannedProvider(name, self.clock, stage, of_body) for name in sorted({*names, LOCAL})
        }
        return made | {TEMPLATES: TemplateProvider()}


def _eras(parts: Parts, plan: Plan, scratch: Path, providers: Mapping[str, Any]) -> dict[str, SimulatedParts]:
    """The parts of each stretch of the quarter; the last stretch has table and prompts as they are now."""
    per_week = len(plan.cases) / plan.weeks
    routes = _with_caps(parts.routes, max(1, round(per_week / TICKETS_A_WEEK)))
    task = routes.tasks["routine"]
    other = next((one for one in task.backups if one != task.model), task.model)
    before = replace(
        routes,
        tasks={**routes.tasks, "routine": replace(task, model=other, backups=(task.model, *task.backups))},
    )
    redactor = Redactor(routes.data.redact, routes.region)
    prompts = Prompts(parts.prompts.folder, redactor)
    older = Prompts(_older_prompts(parts.prompts.folder, scratch), redactor)
    ledger = StoreLedger(parts.store)
    given = {field.name: getattr(parts, field.name) for field in fields(Parts) if field.init}
    given |= {
        "providers": providers,
        "gateway": Gateway(providers, ledger, Prices(), backoff_s=0.0),
        "calibration": Calibration(),
        "connectors": [],
    }

    def made(routes: Routes, prompts: Prompts) -> SimulatedParts:
        return SimulatedParts(**given | {"routes": routes, "prompts": prompts})

    poor = replace(
        before,
        budgets=replace(before.budgets, task_day={**before.budgets.task_day, "draft": Decimal("0.01")}),
    )
    return {
        "before": made(before, older),
        "between": made(before, prompts),
        "now": made(routes, prompts),
        "capped": made(poor, prompts),
        "capped before": made(poor, older),
    }


def _with_caps(routes: Routes, times: int) -> Routes:
    budgets = routes.budgets
    if times == 1:
        return routes
    scaled = {
        name: value * times
        for name in ("day", "week", "month")
        if (value := getattr(budgets, name)) is not None
    }
    return replace(
        routes,
        budgets=replace(
            budgets, **scaled, task_day={name: value * times for name, value in budgets.task_day.items()}
        ),
    )


def _older_prompts(folder: Path, scratch: Path) -> Path:
    """The prompts as they were before the change: the strong draft's had one sentence more."""
    for path in folder.glob("*/*.md"):
        older = scratch / path.parent.name / path.name
        older.parent.mkdir(exist_ok=True)
        text = path.read_text(encoding="utf-8")
        if (path.parent.name, path.stem) == ("draft", "strong"):
            text = text.replace(
                "# system\n", "# system\nExplain everything at length, from the beginning.\n\n", 1
            )
        older.write_text(text, encoding="utf-8")
    return scratch


def _agents(store: Store) -> list[Agent]:
    known = {agent.email: agent for agent, _, _ in agents.everyone(store)}
    return [
        known.get(address) or agents.add(store, address, role=role, name=name)
        for address, name, role in AGENTS
    ]
