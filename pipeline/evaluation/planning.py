"""What an evaluation is asked to do, read and checked before any model is asked; and which run it goes on with."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from pipeline.assembly import Brain, Parts
from pipeline.db.types import now
from pipeline.errors import ConfigError, InputError
from pipeline.evaluation.judging import PROMPT as JUDGE_PROMPT
from pipeline.evaluation.marks import Question
from pipeline.evaluation.questions import MEASURES, OF_TICKETS, of_tickets, questions
from pipeline.evaluation.results import BESIDES, read_bar
from pipeline.evaluation.runs import FOLDER, NAME, Header, RunFolder, Sitter, every, find
from pipeline.evaluation.ticket_cases import gather
from pipeline.models.base import Choice
from pipeline.models.prices import Prices
from pipeline.routing import planning
from pipeline.routing.table import BUILT_IN, DATA_CLASSES, LOCAL, TEMPLATES

TICKETS = "tickets"


@dataclass(frozen=True)
class Wish:
    """What to evaluate. `task` None is all tasks; `models` are keys of routes.toml, or local / templates;
    without them, those that the table names for the task now, and the built-in one.

    The cases are those beside the prompt, of the file `cases`, or of the team's own tickets that were
    reviewed `since` then (`since_words` as it was asked). `run` names the run. The newest run that asked
    the same and lacks an answer is gone on with, unless `fresh`; with `resume` there must be one.
    """

    task: str | None = None
    models: Sequence[str] | None = None
    cases: Path | None = None
    since: datetime | None = None
    since_words: str = ""
    run: str | None = None
    resume: bool = False
    fresh: bool = False
    cap_usd: Decimal | None = None
    judge: str | None = None


@dataclass(frozen=True)
class Exam:
    """One task's cases and the models that sit it. `folder` is the run that is gone on with, None a new one.

    `notes` are plain sentences for who asked.
    """

    header: Header
    questions: Sequence[Question] = field(repr=False)
    choices: Sequence[Choice]
    folder: RunFolder | None
    judge: Choice | None = None
    notes: tuple[str, ...] = ()


def root_of(brain: Brain) -> Path:
    """Where runs are kept."""
    return brain.settings.home.expanduser().resolve() / FOLDER


def exams(brain: Brain, wish: Wish) -> list[Exam]:
    """Raises `InputError` for the arguments and the cases, `ConfigError` for the table and the prompts."""
    if wish.task is not None and wish.task not in MEASURES:
        raise InputError(f"there is no task {wish.task}; known are {', '.join(MEASURES)}")
    if wish.since is not None and wish.task is not None and wish.task not in OF_TICKETS:
        raise InputError(f"reviewed tickets show nothing of {wish.task}; they do of {', '.join(OF_TICKETS)}")
    if wish.cases is not None and wish.task is None:
        raise InputError(f"say which task {wish.cases} is for: triage eval TASK --cases {wish.cases}")
    if wish.cases is not None and wish.since is not None:
        raise InputError("either --cases or --tickets: the cases come from one place")
    if wish.models is not None and not wish.models:
        raise InputError("--models names no model; routes.toml lists them, local and templates are built in")
    if wish.run is not None and not NAME.fullmatch(wish.run):
        raise InputError(f"--run {wish.run!r}: letters, digits, dots, dashes and underscores make a name")
    if wish.cap_usd is not None and wish.cap_usd < 0:
        raise InputError("--cap must be a number of dollars, zero or more")
    if wish.task is not None and wish.task not in brain.routes.tasks:
        raise ConfigError(f"{brain.routes.path} has no [task.{wish.task}], so there is no model to evaluate")
    names = [wish.task] if wish.task else list(OF_TICKETS if wish.since else MEASURES)
    there = [name for name in names if name in brain.routes.tasks]
    found = [exam for name in there if (exam := _exam(brain, wish, name)) is not None]
    if wish.resume and not any(exam.folder for exam in found):
        raise InputError("there is no unfinished run of this; leave --resume out to begin one")
    return found


def _exam(brain: Brain, wish: Wish, task: str) -> Exam | None:
    """None where all tasks are run and none of the models that were named does this one."""
    name = _name(wish, task)
    named = find(root_of(brain), name) if wish.run else None
    wish, source = _as_begun(wish, named.header(), task) if named else (wish, None)
    keys = _usual(brain, task) if wish.models is None else _named(wish, task)
    choices = [choice_of(brain, task, key) for key in keys]
    if not choices:
        return None
    prompt = brain.prompts.load(task, brain.routes.tasks[task].route)
    path = (wish.cases or brain.prompts.folder / task / "cases.jsonl").absolute()
    of_file = None if wish.since else questions(brain, task, path)
    measures = OF_TICKETS[task] if wish.since else MEASURES[task]
    bar = read_bar(prompt, list(dict.fromkeys((*MEASURES[task], *measures))))
    prices = Prices()
    wanted = Header(
        run=name,
        task=task,
        prompt=prompt.digest,
        prompt_path=str(prompt.path),
        bar=bar,
        unmeasured=tuple(name for name in bar if name not in (*measures, *BESIDES)),
        source=source or (f"reviewed tickets, {wish.since_words} back" if wish.since else str(path)),
        cases=TICKETS if wish.since else hashlib.sha256(path.read_bytes()).hexdigest()[:12],
        of=len(of_file or ()),
        models=tuple(
            Sitter(choice.key, choice.provider, choice.name, choice.tier, prices.known(choice))
            for choice in choices
        ),
        started=now(),
        batch=brain.in_batches,
    )
    judge = _judge(brain, wish.judge, task)
    folder = _run_of(brain, wish, wanted, named, choices, judge)
    if folder is not None:
        header = folder.header()
        for choice in (*choices, *([judge] if judge else [])):
            for data in header.data:
                if not _sees(brain, choice, data):
                    raise ConfigError(
                        f"{choice.key} may not see {data} data, which the run {header.run} holds"
                    )
        put = of_file if of_file is not None else of_tickets(brain, task, folder.cases())
        return Exam(header, put, choices, folder, judge, (f"{task}: goes on with the run {header.run}",))
    if of_file is not None:
        return Exam(wanted, of_file, choices, None, judge)
    return _of_tickets(brain, wish, wanted, choices, judge)


def _as_begun(wish: Wish, header: Header, task: str) -> tuple[Wish, str | None]:
    """What the wish leaves open, as the run of that name was begun; and where its tickets came from."""
    if header.task != task:
        return wish, None
    tickets = header.cases == TICKETS and wish.cases is None and wish.since is None
    of_file = header.cases != TICKETS and wish.cases is None and wish.since is None
    begun = replace(
        wish,
        models=[model.key for model in header.models] if wish.models is None else wish.models,
        cases=Path(header.source) if of_file else wish.cases,
        since=header.started if tickets else wish.since,
    )
    return begun, header.source if tickets else None


def _of_tickets(
    brain: Brain, wish: Wish, wanted: Header, choices: Sequence[Choice], judge: Choice | None
) -> Exam:
    if not isinstance(brain, Parts):
        raise InputError("--tickets needs the store")
    assert wish.since is not None
    asked = [*choices, *([judge] if judge else [])]
    hidden = [name for name in DATA_CLASSES if not all(_sees(brain, choice, name) for choice in asked)]
    gathered = gather(brain, wanted.task, wish.since, hidden)
    notes = [f"{wanted.task}: {number} left out ({why})" for why, number in gathered.left_out.items()]
    if wanted.task == "triage":
        notes.append(
            "triage: what agents let stand counts as right, which favours the model that read it first"
        )
    put = of_tickets(brain, wanted.task, gathered.rows)
    header = replace(wanted, of=len(put), data=gathered.data)
    return Exam(header, put, choices, None, judge, tuple(notes))


def _run_of(
    brain: Brain,
    wish: Wish,
    wanted: Header,
    named: RunFolder | None,
    choices: Sequence[Choice],
    judge: Choice | None,
) -> RunFolder | None:
    """The run to go on with: the one of that name, else the newest that asked the same and lacks an answer."""
    if named is not None:
        header = named.header()
        if header.same != wanted.same:
            differs = [
                word
                for word, was, is_ in zip(
                    ("the task", "the prompt", "the cases' place", "the cases", "the models", "--batch"),
                    header.same,
                    wanted.same,
                    strict=True,
                )
                if was != is_
            ]
            raise InputError(
                f"the run {wanted.run} asked something else ({', '.join(differs)} differ); "
                "name another with --run"
            )
        return named
    if wish.fresh or wish.run is not None:
        return None
    same = [folder for folder in every(root_of(brain)) if _header(folder, wanted) is not None]
    newest = max(same, key=lambda folder: folder.header().started, default=None)
    return newest if newest and _lacks(brain, newest, choices, judge) else None


def _header(folder: RunFolder, wanted: Header) -> Header | None:
    try:
        header = folder.header()
    except InputError:  # a run of another version is none of ours
        return None
    return header if header.same == wanted.same else None


def _lacks(brain: Brain, folder: RunFolder, choices: Sequence[Choice], judge: Choice | None) -> bool:
    """Whether an answer or a verdict is missing that could be had."""
    answers, verdicts = folder.answers(), folder.verdicts()
    of = folder.header().of
    for choice in choices:
        own = [case for (model, case), marked in answers.items() if model == choice.key]
        if choice.provider in brain.providers and len(own) < of:
            return True
    if judge is None:
        return False
    told = {(model, case) for (by, model, case) in verdicts if by == judge.key}
    return any(key not in told for key, marked in answers.items() if marked.answer is not None)


def _name(wish: Wish, task: str) -> str:
    if wish.run is None:
        return f"{task}-{now():%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
    return wish.run if wish.task else f"{wish.run}-{task}"


def _usual(brain: Brain, task: str) -> list[str]:
    """The models that the table names for a task, with a key or without, and the built-in one."""
    providers = {model.provider for model in brain.routes.models.values()}
    named = planning.choices(brain.routes, brain.routes.tasks[task], providers)
    built_in = BUILT_IN.get(task)
    return list(dict.fromkeys([*(choice.key for choice in named), *([built_in] if built_in else [])]))


def _named(wish: Wish, task: str) -> list[str]:
    others = {LOCAL, TEMPLATES} - {BUILT_IN.get(task)}
    return [name for name in dict.fromkeys(wish.models or ()) if wish.task or name not in others]


def choice_of(brain: Brain, task: str, key: str) -> Choice:
    """The model of that name. Raises `ConfigError` where the table has none, or may not show it the cases."""
    providers = {model.provider for model in brain.routes.models.values()}
    found = planning.choices(brain.routes, brain.routes.tasks[task], providers, key)
    chosen = next((choice for choice in found if choice.key == key), None)
    if chosen is None:
        default = brain.routes.data.default
        raise ConfigError(
            f"{brain.routes.path}: {key} may not see {default} data; its `sees` says what it may be shown"
        )
    return replace(chosen, role="model")


def _sees(brain: Brain, choice: Choice, data_class: str) -> bool:
    model = brain.routes.models.get(choice.key)
    return model is None or data_class in model.sees


def _judge(brain: Brain, key: str | None, task: str) -> Choice | None:
    if key is None or task in ("triage", "writing"):
        return None
    choice = choice_of(brain, "draft", key)
    if choice.provider not in brain.providers:
        variable = f"{choice.provider.upper()}_API_KEY"
        raise ConfigError(f"no key is set for the judge {key}: set {variable}")
    if choice.provider in (LOCAL, TEMPLATES):
        raise InputError(f"{key} cannot judge; name a model of routes.toml")
    brain.prompts.load(*JUDGE_PROMPT)
    return choice
