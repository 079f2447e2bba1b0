"""Reads routes.toml and refuses what cannot work, naming the line to mend."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from pipeline.errors import ConfigError
from pipeline.models.base import Price
from pipeline.models.prices import check_price
from pipeline.routing.table import (
    BUILT_IN,
    Budgets,
    Costly,
    Data,
    Model,
    Routes,
    Rule,
    Task,
    Topic,
)

TASKS = {"triage": "cheap", "routine": "cheap", "draft": "strong"}
"""The tasks that must stand in the table, and the route that each belongs to."""

DERIVED = {"summary": "cheap", "writing": "cheap", "shadow": "strong"}
"""Tasks that follow another one where the table has no block of theirs: see `_derived`."""

ROUTES = {**TASKS, **DERIVED}


def _dollars(value: object) -> Decimal:
    return Decimal(str(value)).quantize(Decimal("0.01")) if isinstance(value, int | float) else Decimal("-1")


Dollars = Annotated[Decimal, BeforeValidator(_dollars), Field(ge=0)]
PerMillion = Annotated[
    str, BeforeValidator(lambda value: str(value) if isinstance(value, int | float) else value)
]
Clarity = Literal["clear", "vague", "mixed"]
Emotion = Literal["calm", "worried", "frustrated", "angry"]
Urgency = Literal["low", "normal", "high", "critical"]


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Task(_Closed):
    route: Literal["cheap", "strong"]
    when: str
    model: str
    backup: str | list[str] = []
    safe_default: str | None = None
    second_model: str | None = None
    at_cap: Literal["cheaper", "human", "ask"] = "cheaper"
    owner: str
    max_output_tokens: int = Field(1500, ge=50, le=64_000)


class _Over(_Closed):
    over: Dollars | None = None
    why: str


class _Rule(_Closed):
    confidence_below: float = Field(0.7, ge=0, le=1)
    confidence_below_uncalibrated: float | None = Field(None, ge=0, le=1)
    shadow_share: float = Field(0.02, ge=0, le=1)
    clarity: list[Clarity] = ["vague", "mixed"]
    emotion: list[Emotion] = ["angry"]
    urgency: list[Urgency] = ["critical"]
    thread_longer_than: int = Field(6, ge=1)
    contradicting_topics: list[tuple[str, str]] = []
    costly: dict[str, str | _Over] = {}
    words: dict[str, list[str]] = {}


class _Budget(_Closed):
    day: Dollars | None = None
    week: Dollars | None = None
    month: Dollars | None = None
    ticket: Dollars | None = None
    customer_day: Dollars | None = None
    agent_day: Dollars | None = None
    task_day: dict[str, Dollars] = {}
    route_day: dict[Literal["cheap", "strong"], Dollars] = {}
    inbox_day: dict[str, Dollars] = {}
    alarm_at: Annotated[float, Field(gt=0, le=1)] = 0.8


DataClass = Literal["public", "customer", "sensitive"]


class _Data(_Closed):
    default: DataClass = "customer"
    redact: list[Literal["cards", "secrets", "emails", "phones", "ibans", "names"]] = ["cards", "secrets"]


class _Price(_Closed):
    input_usd: PerMillion
    output_usd: PerMillion
    cached_input_usd: PerMillion | None = None


class _Model(_Closed):
    provider: Literal["openai", "anthropic", "local"]
    tier: Literal["cheap", "strong"]
    name: str | None = None
    price: _Price | None = None
    region: str | None = None
    domain: str | None = None
    sees: list[DataClass] = ["public", "customer"]
    at_once: int | None = Field(None, ge=1)
    per_minute: int | None = Field(None, ge=1)


class _Topic(_Closed):
    description: str = Field(min_length=3)
    team: str
    owner: str
    data: DataClass | None = None


class _Table(_Closed):
    languages: list[Annotated[str, Field(pattern=r"^[a-z]{2,3}(-[a-z]{2,8})?$")]] = Field(min_length=1)
    region: Annotated[str, Field(pattern=r"^[A-Z]{2}$")] | None = None
    task: dict[str, _Task]
    rule: _Rule
    budget: _Budget = _Budget()
    data: _Data = _Data()
    models: dict[str, _Model] = {}
    topics: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")], _Topic] = Field(min_length=2)


def read(path: Path) -> Routes:
    """The routing table at `path`; raises `ConfigError` with file, line and mend."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from None
    try:
        table = _Table.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: {error}") from None
    except RecursionError:
        raise ConfigError(f"{path}: it is nested too deeply") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = [str(part) for part in first["loc"]]
        words = {"extra_forbidden": "unknown key", "missing": "is missing"}.get(first["type"], first["msg"])
        raise _refuse(path, text, where, words) from None
    _refuse_impossible(path, text, table)
    return _frozen(path, table)


def _refuse_impossible(path: Path, text: str, table: _Table) -> None:
    for name in TASKS:
        if name not in table.task:
            raise _refuse(path, text, ["task"], f"the task {name!r} is missing; add a [task.{name}] block")
    for name, task in table.task.items():
        if name not in ROUTES:
            raise _refuse(path, text, ["task", name], f"unknown task; known are {', '.join(ROUTES)}")
        if task.route != ROUTES[name]:
            raise _refuse(path, text, ["task", name, "route"], f'must be "{ROUTES[name]}" for this task')
        default = BUILT_IN.get(name)
        seconds = [task.second_model] if task.second_model else []
        if seconds and name != "triage":
            raise _refuse(path, text, ["task", name, "second_model"], "only triage has a second reader")
        if seconds == [task.model]:
            words = "must be another model than the task's own"
            raise _refuse(path, text, ["task", name, "second_model"], words)
        for key, models in (
            ("model", [task.model]),
            ("backup", _listed(task.backup)),
            ("second_model", seconds),
        ):
            for model in models:
                if model not in table.models and model != default:
                    known = ", ".join([*table.models, *([default] if default else [])])
                    raise _refuse(
                        path,
                        text,
                        ["task", name, key],
                        f"{model!r} is not among the models; known are {known}",
                    )
        if task.safe_default not in (None, default):
            words = f'can only be "{default}" here' if default else "there is none for this task"
            raise _refuse(path, text, ["task", name, "safe_default"], words)
    for name, named in table.models.items():
        if price := _price(named.price):
            line = _line_of(text, ["models", name, "price"])
            check_price(price, f"{path}{f':{line}' if line else ''}: models.{name}.price")
    for first, second in table.rule.contradicting_topics:
        _known_topics(path, text, ["rule", "contradicting_topics"], (first, second), table)
    for topic in table.rule.costly:
        _known_topics(path, text, ["rule", "costly", topic], (topic,), table)
    for name in table.budget.task_day:
        if name not in ROUTES:
            raise _refuse(
                path, text, ["budget", "task_day", name], f"no such task; known are {', '.join(ROUTES)}"
            )
    if "other" not in table.topics:
        raise _refuse(path, text, ["topics"], 'the topic "other" is missing; it takes what fits nowhere else')


def _known_topics(path: Path, text: str, where: list[str], topics: Iterable[str], table: _Table) -> None:
    for topic in topics:
        if topic not in table.topics:
            raise _refuse(path, text, where, f"{topic!r} is not among the topics")


def _frozen(path: Path, table: _Table) -> Routes:
    return Routes(
        path=path,
        languages=tuple(table.languages),
        region=table.region,
        tasks=_derived({name: _task(name, task) for name, task in table.task.items()}),
        rule=Rule(
            confidence_below=table.rule.confidence_below,
            confidence_below_uncalibrated=max(
                table.rule.confidence_below,
                table.rule.confidence_below_uncalibrated or table.rule.confidence_below,
            ),
            shadow_share=table.rule.shadow_share,
            clarity=tuple(table.rule.clarity),
            emotion=tuple(table.rule.emotion),
            urgency=tuple(table.rule.urgency),
            thread_longer_than=table.rule.thread_longer_than,
            contradicting_topics=tuple(table.rule.contradicting_topics),
            costly=tuple(
                Costly(topic, why, None) if isinstance(why, str) else Costly(topic, why.why, why.over)
                for topic, why in table.rule.costly.items()
            ),
            words=tuple((kind, tuple(words)) for kind, words in table.rule.words.items()),
        ),
        budgets=Budgets(
            day=table.budget.day,
            week=table.budget.week,
            month=table.budget.month,
            ticket=table.budget.ticket,
            customer_day=table.budget.customer_day,
            agent_day=table.budget.agent_day,
            task_day=dict(table.budget.task_day),
            route_day={str(route): limit for route, limit in table.budget.route_day.items()},
            inbox_day=dict(table.budget.inbox_day),
            alarm_at=table.budget.alarm_at,
        ),
        data=Data(
            default=table.data.default,
            redact=tuple(dict.fromkeys(["cards", "secrets", *table.data.redact])),
        ),
        models={
            key: Model(
                key=key,
                provider=model.provider,
                name=model.name or key,
                tier=model.tier,
                price=_price(model.price),
                region=model.region,
                domain=model.domain,
                sees=tuple(model.sees),
                at_once=model.at_once,
                per_minute=model.per_minute,
            )
            for key, model in table.models.items()
        },
        topics={
            name: Topic(name, topic.description, topic.team, topic.owner, topic.data)
            for name, topic in table.topics.items()
        },
    )


def _task(name: str, task: _Task) -> Task:
    return Task(
        name=name,
        route=task.route,
        when=task.when,
        model=task.model,
        backups=tuple(_listed(task.backup)),
        safe_default=task.safe_default,
        at_cap=task.at_cap,
        owner=task.owner,
        max_output_tokens=task.max_output_tokens,
        second_model=task.second_model,
    )


def _derived(tasks: dict[str, Task]) -> dict[str, Task]:
    """The tasks, with those that a table may leave out: they use the model of the task they resemble."""
    for name, like, when in (
        ("summary", "routine", "a thread is too long for the model that drafts"),
        ("writing", "routine", "an agent wants help with their own text"),
        ("shadow", "draft", "a ticket that was kept cheap is read once more, to find missed escalations"),
    ):
        if name not in tasks:
            tasks[name] = replace(tasks[like], name=name, when=when, safe_default=None, at_cap="human")
    return tasks


def _price(price: _Price | None) -> Price | None:
    return None if price is None else Price(price.input_usd, price.output_usd, price.cached_input_usd)


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def _refuse(path: Path, text: str, where: list[str], words: str) -> ConfigError:
    line = _line_of(text, where)
    return ConfigError(f"{path}{f':{line}' if line else ''}: {'.'.join(where)}: {words}")


def _line_of(text: str, where: list[str]) -> int | None:
    """The line (from 1) that holds the key at `where`, or the nearest table above it."""
    table: list[str] = []
    best: tuple[int, int] | None = None
    for number, line in enumerate(text.splitlines(), 1):
        if match := re.match(r"\s*\[+([^\]]+)\]", line):
            table = _keys(match[1])
            here = table
        elif match := re.match(r"\s*((?:[\w-]+|\"[^\"]*\")(?:\s*\.\s*(?:[\w-]+|\"[^\"]*\"))*)\s*=", line):
            here = [*table, *_keys(match[1])]
        else:
            continue
        shared = len(here) if here == where[: len(here)] else 0
        if shared and (best is None or shared > best[0]):
            best = (shared, number)
    return best[1] if best else None


def _keys(dotted: str) -> list[str]:
    return [part.strip().strip('"') for part in re.findall(r'"[^"]*"|[^.]+', dotted) if part.strip(" .")]
