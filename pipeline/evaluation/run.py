"""Puts every case to every model, each model alone: no backup, no safe default; keeps what comes as it comes."""

from __future__ import annotations

import shutil
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import partial
from typing import TypeVar

from pipeline.assembly import Brain
from pipeline.errors import (
    AllModelsFailed,
    ConfigError,
    ModelBusy,
    ModelCredit,
    ModelNoKey,
    ModelOverloaded,
    ModelPaused,
    ModelRejected,
    ModelTransport,
)
from pipeline.evaluation import judging
from pipeline.evaluation.marks import Question
from pipeline.evaluation.money import Booking, Limit, Listening, Purse
from pipeline.evaluation.planning import Exam, Wish, exams, root_of
from pipeline.evaluation.results import Result, load
from pipeline.evaluation.runs import RunFolder
from pipeline.models.base import Choice
from pipeline.models.gateway import Gateway, Plan
from pipeline.models.policy import BUDGET
from pipeline.models.prices import FREE, Prices
from pipeline.models.providers.local import LocalProvider

AT_ONCE = 8
"""Cases under way at one model; built-in ones only compute, so they take one at a time."""

IN_A_BATCH = 400
"""Cases under way where calls travel in batches: each waits in a thread, and all that wait are one batch."""

PATIENCE_S = 600.0
"""How long a case waits for its turn at a model that routes.toml limits: nobody waits for the answer."""

_UNSERVED = {
    error.kind
    for error in (
        ModelNoKey,
        ModelCredit,
        ModelRejected,
        ModelTransport,
        ModelOverloaded,
        ModelPaused,
        ModelBusy,
    )
}
"""Failures that say nothing of a model's quality. One whose first case ends so is not asked the others."""

T = TypeVar("T")


def evaluate(brain: Brain, wish: Wish, step: Callable[[], None]) -> list[Result]:
    """One result per task; see `Evaluation`."""
    return Evaluation(brain, wish).run(step)


class Evaluation:
    """An evaluation, read and checked; nothing is asked before `run`."""

    def __init__(self, brain: Brain, wish: Wish) -> None:
        """Raises as `planning.exams` does."""
        self._brain = brain
        self._wish = wish
        self._exams = exams(brain, wish)

    @property
    def notes(self) -> list[str]:
        """What who asked should know before it begins."""
        return [note for exam in self._exams for note in exam.notes]

    @property
    def total(self) -> int:
        """How many answers and verdicts are missing, at most."""
        return sum(_missing(self._brain, exam) for exam in self._exams)

    def run(self, step: Callable[[], None]) -> list[Result]:
        """One result per task; `step` is called after each answer, from this thread.

        At the cap it stops asking, and what is left can be gone on with; so it can after Ctrl-C or a killed
        process. A model that cannot be asked is in the result with the reason. Raises `ConfigError` where
        none of the models that were named can be asked, `ConflictError` where another process works on the
        run, `StoreError` where its files cannot be written: then nothing more is asked.
        """
        spent = sum((exam.folder.spent_usd() for exam in self._exams if exam.folder), Decimal(0))
        purse = Purse(self._limit(), spent)
        results = [self._sit(exam, purse, step) for exam in self._exams]
        if self._wish.models and not any(result.tried for result in results):
            reasons = dict.fromkeys(f"{m.model}: {m.not_tried}" for result in results for m in result.models)
            raise ConfigError(f"none of the models could be tried: {'; '.join(reasons)}")
        return results

    def _limit(self) -> Limit | None:
        if self._wish.cap_usd is not None:
            return Limit(self._wish.cap_usd, f"the cap of ${self._wish.cap_usd:f} (--cap)")
        day = self._brain.routes.budgets.day
        return (
            None if day is None else Limit(day, f"the cap of ${day:f} (budget.day of routes.toml; or --cap)")
        )

    def _sit(self, exam: Exam, purse: Purse, step: Callable[[], None]) -> Result:
        task = exam.header.task
        own = None if self._wish.cap_usd is not None else self._brain.routes.budgets.task_day.get(task)
        if own is not None:
            words = f"the cap of ${own:f} (budget.task_day.{task} of routes.toml; or --cap)"
            before = exam.folder.spent_usd() if exam.folder else Decimal(0)
            purse = Purse(Limit(own, words), before, beside=purse)
        folder = exam.folder or RunFolder.create(
            root_of(self._brain), exam.header, [question.to_json() for question in exam.questions]
        )
        with folder.held():
            sitting = _Sitting(self._brain, exam, folder, purse, step)
            try:
                why = sitting.run()
            except KeyboardInterrupt:
                sitting.end("interrupted")
                raise
            sitting.end(why)
            result = load(folder)
        if exam.folder is None and not result.tried and not result.spent_usd:
            with suppress(OSError):
                shutil.rmtree(folder.path)  # nothing was asked: no run to look at
        return result


@dataclass
class _Sitting:
    """One session of one run."""

    brain: Brain
    exam: Exam
    folder: RunFolder
    purse: Purse
    step: Callable[[], None]
    not_tried: dict[str, str] = field(default_factory=dict)
    unasked: dict[str, Counter[str]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def _cap(self) -> str:
        return f"{self.purse.refused or 'a cap'} is reached"

    def run(self) -> str:
        """Ask all that is missing; returns how it ended."""
        answers = self.folder.answers()
        for choice in self.exam.choices:
            left = [question for question in self.exam.questions if (choice.key, question.id) not in answers]
            if left:
                self._ask(choice, left)
        if self.exam.judge is not None:
            self._judge(self.exam.judge)
        return "unfinished" if self.unasked else "finished"

    def end(self, why: str) -> None:
        self.folder.end(why, self.not_tried, {model: dict(whys) for model, whys in self.unasked.items()})

    def _ask(self, choice: Choice, questions: Sequence[Question]) -> None:
        provider = self.brain.providers.get(choice.provider)
        if provider is None:
            key = f"{choice.provider.upper()}_API_KEY"
            self.not_tried[choice.key] = f"no key is set for {choice.provider}: set {key}"
            return
        if isinstance(provider, LocalProvider):
            provider.warm()  # its training is no latency of the first case
        plan = _alone(self.brain.plan(self.exam.header.task, model=choice.key), choice)
        booking = Booking(self.purse, self.folder, choice.key)
        gateway = Listening({choice.provider: provider}, booking, Prices(batch=self.brain.in_batches))
        put = partial(self._put, booking, gateway, plan)
        if self.brain.in_batches and choice.provider not in FREE:  # one case alone would wait as long as all
            self._all(questions, partial(self._late, choice.key, put), choice)
            return
        try:
            put(questions[0])
        except _Capped as error:
            self._leave(choice.key, str(error))
        except _Unserved as error:
            self.not_tried[choice.key] = str(error)
            self._leave(choice.key, str(error), len(questions))
            return
        self.step()
        self._all(questions[1:], partial(self._late, choice.key, put), choice)

    def _all(self, items: Sequence[T], work: Callable[[T], None], choice: Choice) -> None:
        """Work on all of them; `step` is called from this thread alone. What is under way is let end."""
        at_once = min(AT_ONCE, choice.at_once or AT_ONCE)
        if self.brain.in_batches:
            at_once = IN_A_BATCH
        if choice.provider in FREE:
            at_once = 1
        with ThreadPoolExecutor(at_once) as pool:
            waiting = [pool.submit(work, item) for item in items]
            try:
                for done in as_completed(waiting):
                    done.result()
                    self.step()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                if self.brain.in_batches:  # nobody waits a day for them
                    self.brain.close_batches()
                raise

    def _put(self, booking: Booking, gateway: Gateway, plan: Plan, question: Question) -> None:
        """Ask one question and keep its answer. Raises `_Unserved` where it was not really put."""
        with booking.case(question.id) as tally:
            try:
                marked = question.ask(gateway, plan)
            except AllModelsFailed as error:
                if BUDGET in error.kinds:
                    raise _Capped(self._cap) from None
                if set(error.kinds) <= _UNSERVED:
                    raise _Unserved(str(error)) from None
                marked = question.unanswered(str(error))
            marks = marked.marks if tally.first is None else marked.marks | question.soundness(tally.first)
            marked = replace(marked, marks=marks, cost_usd=tally.cost_usd)
            if self.brain.in_batches:
                marked = replace(marked, latency_ms=None)  # how long a batch took says nothing of the model
            self.folder.answer(plan.choices[0].key, marked)

    def _late(self, model: str, put: Callable[[Question], None], question: Question) -> None:
        try:
            put(question)
        except _Unserved as error:  # it served us before: a cap, credit used up, a line cut
            self._leave(model, str(error))

    def _leave(self, model: str, why: str, number: int = 1) -> None:
        with self._lock:
            self.unasked.setdefault(model, Counter())[why] += number

    def _judge(self, judge: Choice) -> None:
        """Have every answer judged that has not been; a verdict that cannot be had is none."""
        by_id = {question.id: question for question in self.exam.questions}
        told = self.folder.verdicts()
        wanted = [
            (model, case, brief)
            for (model, case), marked in self.folder.answers().items()
            if marked.answer is not None
            and case in by_id
            and (judge.key, model, case) not in told
            and (brief := by_id[case].brief(marked.answer)) is not None
        ]
        plan = _alone(self.brain.plan("draft", model=judge.key), judge)
        plan = replace(plan, max_output_tokens=judging.MAX_OUTPUT_TOKENS)
        booking = Booking(self.purse, self.folder, f"judge {judge.key}")
        gateway = Gateway(
            {judge.provider: self.brain.providers[judge.provider]},
            booking,
            Prices(batch=self.brain.in_batches),
        )

        def ask(one: tuple[str, str, Mapping[str, str]]) -> None:
            model, case, brief = one
            with booking.case(case):
                try:
                    verdict = judging.judge(gateway, self.brain.prompts, plan, model, case, brief)
                except AllModelsFailed as error:
                    capped = BUDGET in error.kinds
                    self._leave(f"judge {judge.key}", self._cap if capped else str(error))
                    return
                self.folder.judge(verdict)

        self._all(wanted, ask, judge)


class _Unserved(Exception):
    """The question was not put, or the provider does not serve us, whatever it is asked."""


class _Capped(_Unserved):
    """The cap is reached."""


def _alone(plan: Plan, choice: Choice) -> Plan:
    """The plan for one model and nobody in its place; the run's purse is the cap."""
    return replace(
        plan,
        choices=(choice,),
        caps=(),
        patience_s=dict.fromkeys(("cheap", "strong"), PATIENCE_S),
    )


def _missing(brain: Brain, exam: Exam) -> int:
    answered = set(exam.folder.answers()) if exam.folder else set()
    sat = [choice for choice in exam.choices if choice.provider in brain.providers]
    missing = sum((c.key, q.id) not in answered for c in sat for q in exam.questions)
    if exam.judge is not None:
        told = exam.folder.verdicts() if exam.folder else {}
        missing += len(sat) * len(exam.questions) - sum(by == exam.judge.key for by, _, _ in told)
    return missing
