"""The routing table as people read it: on a terminal, as a document, and in Markdown for the README."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from pipeline.routing.planning import choices
from pipeline.routing.table import Routes, Task


def as_document(routes: Routes, available: Collection[str]) -> dict[str, Any]:
    """The whole table as JSON-able values; `asked` are the models that would be asked now, in order."""
    return {
        "file": str(routes.path),
        "languages": list(routes.languages),
        "tasks": [
            {
                "task": task.name,
                "route": task.route,
                "when": task.when,
                "model": task.model,
                "backups": list(task.backups),
                "safe_default": task.safe_default,
                "at_cap": task.at_cap,
                "owner": task.owner,
                "asked": [choice.key for choice in choices(routes, task, available)],
            }
            for task in routes.tasks.values()
        ],
        "rule": rule_sentences(routes),
        "budget": budget_sentences(routes),
        "topics": [
            {"topic": t.name, "description": t.description, "team": t.team, "owner": t.owner}
            for t in routes.topics.values()
        ],
    }


def as_lines(routes: Routes, available: Collection[str]) -> list[str]:
    """The table for a terminal."""
    rows = [("task", "route", "when", "asked, in this order", "owner")]
    rows += [
        (task.name, task.route, task.when, asked(routes, task, available), task.owner)
        for task in routes.tasks.values()
    ]
    lines = [f"{routes.path}", "", *_columns(rows), ""]
    lines += ["Escalate to the strong route when:", *(f"  - {words}" for words in rule_sentences(routes)), ""]
    lines += ["Budgets:", *(f"  - {words}" for words in budget_sentences(routes)), ""]
    topics = [("topic", "team", "owner", "description")]
    topics += [(t.name, t.team, t.owner, t.description) for t in routes.topics.values()]
    return lines + _columns(topics)


def asked(routes: Routes, task: Task, available: Collection[str]) -> str:
    """The models that would be asked now; those whose provider has no key are named after it."""
    now = [choice.key for choice in choices(routes, task, available)]
    everything = [
        choice.key for choice in choices(routes, task, {model.provider for model in routes.models.values()})
    ]
    without = [key for key in everything if key not in now]
    return " → ".join([*now, "a person"]) + (f"   (no key: {', '.join(without)})" if without else "")


def rule_sentences(routes: Routes) -> list[str]:
    """The escalation rule, one plain sentence per line."""
    rule = routes.rule
    found = [
        f"confidence is below {rule.confidence_below:.2f}",
        "the model's answer failed its check",
    ]
    if rule.clarity:
        found.append(f"the message is {' or '.join(rule.clarity)}")
    if rule.emotion:
        found.append(f"the customer is {' or '.join(rule.emotion)}")
    if rule.urgency:
        found.append(f"the urgency is {' or '.join(rule.urgency)}")
    found += [f"the topics {a} and {b} come together" for a, b in rule.contradicting_topics]
    found.append(f"the thread has more than {rule.thread_longer_than} messages")
    for costly in rule.costly:
        over = "" if costly.over is None else f" and an amount is over {costly.over}"
        found.append(f"the topic is {costly.topic}{over} ({costly.why})")
    found += [f"the message speaks of {kind} matters ({len(words)} words)" for kind, words in rule.words]
    return found


_AT_CAP = {
    "cheaper": "then the cheaper way",
    "human": "then a person",
    "ask": "then an agent is asked whether to go on",
}


def budget_sentences(routes: Routes) -> list[str]:
    """The caps, one per line."""
    budgets = routes.budgets
    found = []
    for limit, words in (
        (budgets.day, "a day"),
        (budgets.week, "a week"),
        (budgets.month, "a month"),
        (budgets.ticket, "a ticket"),
        (budgets.customer_day, "a day for one customer"),
        (budgets.agent_day, "a day for what one agent asks for by hand"),
    ):
        if limit is not None:
            found.append(f"${limit} {words}")
    for name, limit in budgets.task_day.items():
        at_cap = _AT_CAP[routes.tasks[name].at_cap]
        found.append(f"${limit} a day for {name}, {at_cap}")
    found += [f"${limit} a day for the {name} route" for name, limit in budgets.route_day.items()]
    found += [f"${limit} a day for the inbox {name}" for name, limit in budgets.inbox_day.items()]
    if found:
        found.append(f"an alarm at {budgets.alarm_at:.0%} of each")
    return found or ["none"]


def markdown(routes: Routes) -> str:
    """The tasks as a Markdown table, for the README."""
    rows = ["| task | when | model | backup | then | owner |", "|---|---|---|---|---|---|"]
    for task in routes.tasks.values():
        providers = {model.provider for model in routes.models.values()}
        found = choices(routes, task, providers)
        backup = next((f"`{c.key}`" for c in found if c.role == "backup"), "none")
        last = "the built-in model" if task.name == "triage" else "a reply template"
        then = f"{last}, then a person" if task.safe_default else "a person"
        rows.append(f"| {task.name} | {task.when} | `{task.model}` | {backup} | {then} | {task.owner} |")
    return "\n".join(rows)


def _columns(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
