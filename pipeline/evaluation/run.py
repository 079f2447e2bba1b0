"""Puts every case to every model, each model alone: no backup, no safe default, a ledger in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path

from pipeline.assembly import Brain
from pipeline.errors import (
    AllModelsFailed,
    ConfigError,
    InputError,
    ModelCredit,
    ModelNoKey,
    ModelRejected,
    ModelTransport,
)
from pipeline.evaluation.questions import DraftQuestion, Marked, Question, TriageQuestion, questions
from pipeline.evaluation.results import ModelResult, Result, read_bar
from pipeline.models.base import Choice, ModelAnswer, ModelRequest, Provider
from pipeline.models.gateway import Gateway, Plan
from pipeline.models.ledger import ScratchLedger
from pipeline.models.policy import BUDGET
from pipeline.models.prices import FREE, Prices
from pipeline.models.providers.local import LocalProvider
from pipeline.routing import planning
from pipeline.routing.table import LOCAL, TEMPLATES

AT_ONCE = 8
"""Cases under way at one model; built-in ones only compute, so they take one at a time."""

_UNSERVED = {ModelNoKey.kind, ModelCredit.kind, ModelRejected.kind, ModelTransport.kind}
"""Failures that say nothing of a model's quality. One whose first case ends so is not asked the others."""

_MEASURES = {
    "triage": TriageQuestion.MEASURES,
    "routine": DraftQuestion.MEASURES,
    "draft": DraftQuestion.MEASURES,
}


def evaluate(
    brain: Brain,
    task: str | None,
    models: list[str] | None,
    cases: Path | None,
    step: Callable[[], None],
) -> list[Result]:
    """One result per task (all, where `task` is None); `step` is called after each case.

    `models` are keys of routes.toml, or local / templates; without them, those that the table names for
    the task now, and the built-in one. A model that cannot be asked is in the result with the reason. The
    table's caps hold for the whole run. Raises `InputError` for the arguments and the cases, `ConfigError`
    for the table and the prompts, and where none of the models that were named can be asked.
    """
    tasks = list(_MEASURES)
    if task is not None and task not in tasks:
        raise InputError(f"there is no task {task}; known are {', '.join(tasks)}")
    if cases is not None and task is None:
        raise InputError(f"say which task {cases} is for: triage eval TASK --cases {cases}")
    if models == []:
        raise InputError("--models names no model; routes.toml lists them, local and templates are built in")
    exams = [
        exam
        for name in ([task] if task else tasks)
        if (exam := _exam(brain, name, models, cases, task is not None)) is not None
    ]
    ledger = ScratchLedger()
    results = [exam.result(ledger, step) for exam in exams]
    if models and not any(result.tried for result in results):
        reasons = dict.fromkeys(f"{m.model}: {m.not_tried}" for result in results for m in result.models)
        raise ConfigError(f"none of the models could be tried: {'; '.join(reasons)}")
    return results


def _exam(
    brain: Brain, task: str, models: list[str] | None, cases: Path | None, asked_for: bool
) -> _Exam | None:
    """Everything about one task, read and checked before any model is asked.

    None where all tasks are run and none of the models that were named does this one.
    """
    built_in = LOCAL if task == "triage" else TEMPLATES
    if models is None:
        keys = list(_usual(brain, task, built_in))
    else:
        others = {LOCAL, TEMPLATES} - {built_in}
        keys = [name for name in dict.fromkeys(models) if asked_for or name not in others]
    choices = [_choice(brain, task, key) for key in keys]
    if not choices:
        return None
    prompt = brain.prompts.load(task, brain.routes.tasks[task].route)
    path = cases or brain.prompts.folder / task / "cases.jsonl"
    found = questions(brain, task, path)
    return _Exam(brain, task, path, found, choices, read_bar(prompt, _MEASURES[task]))


def _usual(brain: Brain, task: str, built_in: str) -> dict[str, None]:
    """The models that the table names for a task, with a key or without, and the built-in one."""
    providers = {model.provider for model in brain.routes.models.values()}
    named = planning.choices(brain.routes, brain.routes.tasks[task], providers)
    return dict.fromkeys([*(choice.key for choice in named), built_in])


def _choice(brain: Brain, task: str, key: str) -> Choice:
    """The model of that name. Raises `ConfigError` where the table has none."""
    providers = {model.provider for model in brain.routes.models.values()}
    found = planning.choices(brain.routes, brain.routes.tasks[task], providers, key)
    return replace(found[0], role="model")


@dataclass(frozen=True)
class _Exam:
    """One task's cases and the models that sit it."""

    brain: Brain = field(repr=False)
    task: str
    cases: Path
    questions: Sequence[Question]
    choices: Sequence[Choice]
    bar: Mapping[str, float]

    def result(self, ledger: ScratchLedger, step: Callable[[], None]) -> Result:
        prompt = self.brain.prompts.load(self.task, self.brain.routes.tasks[self.task].route)
        done = tuple(self._sit(choice, ledger, step) for choice in self.choices)
        return Result(self.task, prompt, self.cases, done, len(self.questions))

    def _sit(self, choice: Choice, ledger: ScratchLedger, step: Callable[[], None]) -> ModelResult:
        provider = self.brain.providers.get(choice.provider)
        if provider is None:
            key = f"{choice.provider.upper()}_API_KEY"
            return ModelResult(choice, not_tried=f"no key is set for {choice.provider}: set {key}")
        if isinstance(provider, LocalProvider):
            provider.warm()  # its training is no latency of the first case
        prices = Prices()
        plan = replace(self.brain.plan(self.task, model=choice.key), choices=(choice,))
        before = len(ledger.rows())

        def put(question: Question) -> Marked:
            return _put(question, plan, provider, ledger, prices)

        first, *others = self.questions
        try:
            marked = [put(first)]
        except _Unserved as error:
            return ModelResult(choice, not_tried=str(error))
        step()
        marked += _all(others, put, 1 if choice.provider in FREE else AT_ONCE, step)
        spent = sum((outcome.cost_usd for _, outcome in ledger.rows()[before:] if outcome), Decimal(0))
        return ModelResult(choice, tuple(marked), self.bar, spent, prices.known(choice))


def _all(
    questions: Sequence[Question], put: Callable[[Question], Marked], at_once: int, step: Callable[[], None]
) -> list[Marked]:
    """The questions' marks in their order; `step` is called from this thread alone."""

    def late(question: Question) -> Marked:
        try:
            return put(question)
        except _Unserved as error:  # it served us before: credit used up, a line cut
            return Marked(question.id, {}, (), unasked=str(error))

    with ThreadPoolExecutor(at_once) as pool:
        waiting = [pool.submit(late, question) for question in questions]
        try:
            for done in as_completed(waiting):
                done.result()
                step()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return [done.result() for done in waiting]


class _Unserved(Exception):
    """The provider does not serve us, whatever it is asked."""


def _put(question: Question, plan: Plan, provider: Provider, ledger: ScratchLedger, prices: Prices) -> Marked:
    heard = _Heard(provider)
    gateway = Gateway({plan.choices[0].provider: heard}, ledger, prices)
    try:
        marked = question.ask(gateway, plan)
    except AllModelsFailed as error:
        kinds = set(error.kinds)
        if kinds == {BUDGET}:
            why = "a cap of routes.toml is reached; raise it under [budget] for this run"
            return Marked(question.id, {}, (), unasked=why)
        if kinds <= _UNSERVED:
            raise _Unserved(str(error)) from None
        marked = question.unanswered(str(error))
    if heard.first is None:
        return marked
    return replace(marked, marks=marked.marks | question.soundness(heard.first))


class _Heard:
    """A provider that keeps the first raw answer, so that it can be marked before it was repaired."""

    def __init__(self, provider: Provider) -> None:
        self.name = provider.name
        self.first: str | None = None
        self._provider = provider

    def complete(self, request: ModelRequest, *, deadline_s: float) -> ModelAnswer:
        answer = self._provider.complete(request, deadline_s=deadline_s)
        if self.first is None:
            self.first = answer.text
        return answer
