"""Where the cheap route failed: calls that failed, readings that were corrected, routine drafts that were not used.

The report groups them (`grouped`), the failures page lists them one by one (`listed`) with the prompt, what the
model said, what the agent did and why.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from pipeline.db.store import Store
from pipeline.db.tables import corrections, drafts, model_calls, reviews, triages
from pipeline.errors import ConfigError, InputError
from pipeline.models.prompts import read_prompt
from pipeline.reports.queries import of_prompt, within
from pipeline.reports.rates import REWRITE
from pipeline.reports.spending import FAILED
from pipeline.reports.weeks import Week

KINDS = ("draft", "reading", "call")
"""A routine draft that was not used, a reading that was corrected, a call of a cheap task that failed."""
FILTERS = ("kind", "prompt", "what", "before", "after")
MOST_GROUPS = 10
EXAMPLES = 3
NOBODY = "nobody"
"""What stands for the next attempt after a call where none was made: a person has it then."""
PERSONAL = "fields"
"""The field of a reading whose values are a customer's own: they are listed, and not grouped by."""
PROMPTS = {"routine": "routine/cheap", "triage": "triage/cheap"}
_NAME = re.compile(r"[a-z][a-z0-9_]*/[a-z][a-z0-9_]*")
_READ = ("topic", "language", "urgency", "emotion", "clarity", "fields", "confidence", "summary")


@dataclass(frozen=True)
class FailureGroup:
    """Failures of one prompt that are alike. `prompt` is the task and the first 8 characters of the digest.

    `what` is the draft's outcome, the field that was corrected, or the call's error kind. `before` and
    `after`: of a draft nothing and the reject reason; of a reading the values; of a call its role and that of
    the next attempt, or `NOBODY`. `tickets` are the newest.
    """

    kind: str
    prompt: str
    what: str
    before: str
    after: str
    count: int
    tickets: tuple[int, ...]


@dataclass(frozen=True)
class Failure:
    """One failure. `key` is its place in the list. `prompt_text` is None where the file in force is another.

    `output` is what the model said: the reading as JSON, the draft's text, or the error of a call.
    """

    key: str
    kind: str
    at: datetime
    ticket_id: int | None
    message_id: int | None
    review_id: int | None
    draft_id: int | None
    model: str
    prompt_name: str
    digest: str
    prompt_text: str | None
    what: str
    before: str
    after: str
    output: str
    action: str
    reason: str


@dataclass(frozen=True)
class Failures:
    """A page, the newest first. `next` asks for the page after; `total` counts all of the week."""

    rows: tuple[Failure, ...]
    next: str | None
    total: int


@dataclass
class _Grouping:
    ids: set[int] = field(default_factory=set)
    newest: list[tuple[datetime, int]] = field(default_factory=list)


def grouped(
    connection: sa.Connection, start: datetime, end: datetime, most: int = MOST_GROUPS
) -> tuple[FailureGroup, ...]:
    """The week's failures by prompt and what went wrong, the most frequent first; a corrected reading counts
    once in a group."""
    found: dict[tuple[str, str, str, str, str], _Grouping] = {}
    for kind in KINDS:
        query = _SOURCES[kind][0](start, end, {}).order_by(None).execution_options(yield_per=1000)
        for row in connection.execute(query):
            before, after = ("", "") if row.what == PERSONAL else (_plain(row.before), _plain(row.after))
            prompt = f"{row.task} {row.digest[:8]}"
            group = found.setdefault((kind, prompt, row.what, before, after), _Grouping())
            if row.counted in group.ids:
                continue
            group.ids.add(row.counted)
            group.newest = sorted([*group.newest, (row.at, row.ticket_id or 0)], reverse=True)[:EXAMPLES]
    ordered = sorted(found.items(), key=lambda item: (-len(item[1].ids), item[0]))
    return tuple(
        FailureGroup(*key, len(each.ids), tuple(ticket for _at, ticket in each.newest if ticket))
        for key, each in ordered[:most]
    )


def listed(
    store: Store,
    week: Week,
    zone: str,
    only: Mapping[str, str] | None = None,
    after: str | None = None,
    limit: int = 50,
    prompts: Path | None = None,
) -> Failures:
    """A page of the week's failures, from the one whose `key` is `after` on.

    `only` filters by `FILTERS`, as a `FailureGroup` words them; `prompts` is the folder of the prompts in
    force. Raises `InputError` for a filter or a place in the list that cannot be.
    """
    only = {name: value for name, value in (only or {}).items() if value}
    if wrong := [name for name in only if name not in FILTERS]:
        raise InputError(f"failures are not filtered by {wrong[0]!r}; there are {', '.join(FILTERS)}")
    if only.get("kind", KINDS[0]) not in KINDS:
        raise InputError(f"{only['kind']!r} is no kind of failure; there are {', '.join(KINDS)}")
    place = None if after is None else _place(after)
    start, end = week.bounds(zone)
    texts = _Texts(prompts)
    with store.read() as connection:
        rows: list[tuple[tuple[datetime, int, int], str, sa.Row[Any]]] = []
        total = 0
        for kind in KINDS:
            if only.get("kind") not in (None, kind):
                continue
            query = _SOURCES[kind][0](start, end, only)
            count = sa.select(sa.func.count()).select_from(query.order_by(None).subquery())
            total += connection.execute(count).scalar_one()
            for row in connection.execute(_from(kind, query, place).limit(limit + 1)):
                rows.append(((row.at, -KINDS.index(kind), row.id), kind, row))
    rows.sort(key=lambda each: each[0], reverse=True)
    shown = tuple(_failure(kind, row, texts) for _place, kind, row in rows[:limit])
    return Failures(shown, shown[-1].key if len(rows) > limit else None, int(total))


OF_READINGS = ("field", "by", "model", "prompt", "old", "new")
"""How corrected readings are narrowed: what was corrected by whom, whose reading it was, and the values."""


def corrected_readings(
    connection: sa.Connection, start: datetime, end: datetime, query: Mapping[str, str]
) -> list[int]:
    """The ids of the week's readings with a correction of that `field`, `by` that kind, from `old` to `new`, by
    readings of that `model` or `prompt`."""
    names = {"field": "what", "old": "before", "new": "after", "prompt": "prompt"}
    only = {names[name]: value for name, value in query.items() if name in names}
    found = _readings(start, end, only).with_only_columns(triages.c.id).order_by(None)
    if "by" in query:
        found = found.where(corrections.c.by_kind == query["by"])
    if "model" in query:
        found = found.where(triages.c.model == query["model"])
    return sorted(set(connection.execute(found).scalars()))


# --- the three kinds ----------------------------------------------------------------------------------


def _drafts(start: datetime, end: datetime, only: Mapping[str, str]) -> sa.Select[Any]:
    why = sa.case((reviews.c.outcome == "rejected", reviews.c.reject_reason))
    query = _columns(
        drafts, reviews.c.decided_at, reviews.c.id, drafts.c.task, reviews.c.outcome, sa.null(), why
    )
    query = query.add_columns(
        reviews.c.id.label("counted"),
        reviews.c.id.label("review_id"),
        drafts.c.id.label("draft_id"),
        drafts.c.text,
        drafts.c.language,
        *(reviews.c[name] for name in ("note", "reject_reason", "sent_text", "edit_share")),
    )
    return (
        query.select_from(reviews)
        .join(drafts, drafts.c.id == reviews.c.draft_id)
        .where(
            within(reviews.c.decided_at, start, end),
            drafts.c.task == "routine",
            reviews.c.outcome.in_(REWRITE),
            *_filtered(only, drafts.c.prompt, drafts.c.task, reviews.c.outcome),
            *([reviews.c.reject_reason == only["after"]] if "after" in only else ()),
        )
    )


def _readings(start: datetime, end: datetime, only: Mapping[str, str]) -> sa.Select[Any]:
    task: sa.ColumnElement[str] = sa.literal("triage")
    query = _columns(
        triages, triages.c.created_at, corrections.c.id, task, corrections.c.field, corrections.c.old,
        corrections.c.new,
    )  # fmt: skip
    query = query.add_columns(
        triages.c.id.label("counted"),
        *(triages.c[name].label(f"read_{name}") for name in _READ),
        *(corrections.c[name] for name in ("by_kind", "by_name")),
    )
    return (
        query.select_from(triages)
        .join(corrections, corrections.c.triage_id == triages.c.id)
        .where(
            within(triages.c.created_at, start, end),
            *_filtered(only, triages.c.prompt, task, corrections.c.field),
            *(
                sa.cast(corrections.c[column], sa.Text) == json.dumps(only[name])
                for name, column in (("before", "old"), ("after", "new"))
                if name in only
            ),
        )
    )


def _calls(start: datetime, end: datetime, only: Mapping[str, str]) -> sa.Select[Any]:
    calls = model_calls.c
    what, follow = sa.func.coalesce(calls.error_kind, calls.state), _next_role()
    query = _columns(model_calls, calls.started_at, calls.id, calls.task, what, calls.role, follow)
    query = query.add_columns(calls.id.label("counted"), calls.error, calls.prompt_name)
    return query.where(
        within(calls.started_at, start, end),
        calls.route == "cheap",
        calls.state.in_(FAILED),
        *_filtered(only, calls.prompt, calls.task, what),
        *([calls.role == only["before"]] if "before" in only else ()),
        *([followed_by(only["after"])] if "after" in only else ()),
    )


def followed_by(role: str) -> sa.ColumnElement[bool]:
    """Calls after which an attempt of that role was made for the same answer, or none (`NOBODY`)."""
    return _next_role() == role


def _next_role() -> sa.ColumnElement[str]:
    calls, later = model_calls.c, model_calls.alias("later")
    follow = (
        sa.select(later.c.role)
        .where(
            later.c.ticket_id == calls.ticket_id,
            later.c.message_id == calls.message_id,
            later.c.task == calls.task,
            later.c.attempt == calls.attempt + 1,
            later.c.id > calls.id,
        )
        .order_by(later.c.id)
        .limit(1)
        .scalar_subquery()
    )
    return sa.func.coalesce(follow, NOBODY)


def _columns(
    table: sa.Table, at: Any, id: Any, task: Any, what: Any, before: Any, after: Any
) -> sa.Select[Any]:
    """What all kinds have in common, under one name each."""
    named = {"at": at, "id": id, "task": task, "what": what, "before": before, "after": after}
    columns = [column.label(name) for name, column in named.items()]
    return sa.select(
        *columns, table.c.prompt.label("digest"), table.c.ticket_id, table.c.message_id, table.c.model
    ).order_by(at.desc(), id.desc())


def _filtered(
    only: Mapping[str, str], digest: Any, task: sa.ColumnElement[str], what: Any
) -> Iterable[sa.ColumnElement[bool]]:
    if "prompt" in only:
        yield of_prompt(task, digest, only["prompt"])
    if "what" in only:
        yield what == only["what"]


_Source = Callable[[datetime, datetime, Mapping[str, str]], sa.Select[Any]]
_SOURCES: dict[str, tuple[_Source, sa.Column[datetime], sa.Column[int]]] = {
    "draft": (_drafts, reviews.c.decided_at, reviews.c.id),
    "reading": (_readings, triages.c.created_at, corrections.c.id),
    "call": (_calls, model_calls.c.started_at, model_calls.c.id),
}
"""Each finds its rows by an index on the time by which they are listed."""


# --- one failure --------------------------------------------------------------------------------------


def _from(kind: str, query: sa.Select[Any], place: tuple[datetime, int, int] | None) -> sa.Select[Any]:
    """The rows after a place of the list: earlier ones, and of the same moment those of later rank."""
    if place is None:
        return query
    at, rank, last = place
    mine, (_source, time, id) = KINDS.index(kind), _SOURCES[kind]
    if mine == rank:
        return query.where(sa.or_(time < at, sa.and_(time == at, id < last)))
    return query.where(time <= at if mine > rank else time < at)


def _key(kind: str, row: sa.Row[Any]) -> str:
    return f"{row.at.isoformat()}|{kind}|{row.id}"


def _place(key: str) -> tuple[datetime, int, int]:
    at, _, rest = key.partition("|")
    kind, _, id = rest.partition("|")
    try:
        moment = datetime.fromisoformat(at.replace(" ", "+"))  # a plus that an address made a space of
        if moment.tzinfo is None or not (id.isascii() and id.isdigit() and len(id) < 19):
            raise ValueError
        return moment.astimezone(UTC), KINDS.index(kind), int(id)
    except (ValueError, OverflowError):
        raise InputError(f"{key[:60]!r} is no place in this list") from None


def _failure(kind: str, row: sa.Row[Any], texts: _Texts) -> Failure:
    output, action, reason = _SAID[kind](row)
    name = getattr(row, "prompt_name", "") or PROMPTS.get(row.task, row.task)
    return Failure(
        key=_key(kind, row),
        kind=kind,
        at=row.at,
        ticket_id=row.ticket_id,
        message_id=row.message_id,
        review_id=getattr(row, "review_id", None),
        draft_id=getattr(row, "draft_id", None),
        model=row.model,
        prompt_name=name,
        digest=row.digest,
        prompt_text=texts.of(name, row.digest),
        what=row.what,
        before=_plain(row.before),
        after=_plain(row.after),
        output=output,
        action=action,
        reason=reason,
    )


def _of_draft(row: sa.Row[Any]) -> tuple[str, str, str]:
    done = {"rejected": "rejected the draft", "replaced": "answered without the draft"}
    action = done.get(row.what, "rewrote the draft")
    if row.edit_share is not None:
        action += f" ({row.edit_share:.0%} changed)"
    if row.sent_text:
        action += f" and sent: {row.sent_text}"
    return (
        row.text,
        action,
        ": ".join(each for each in ((row.reject_reason or "").replace("_", " "), row.note) if each),
    )


def _of_reading(row: sa.Row[Any]) -> tuple[str, str, str]:
    read = {name: getattr(row, f"read_{name}") for name in _READ}
    by = row.by_name.removeprefix("agent:") if row.by_kind == "agent" else f"{row.by_kind} {row.by_name}"
    action = (
        f"{by} changed {row.what} from {_plain(row.before) or 'nothing'} to {_plain(row.after) or 'nothing'}"
    )
    return json.dumps(read, ensure_ascii=False), action, f"corrected by {row.by_kind}"


def _of_call(row: sa.Row[Any]) -> tuple[str, str, str]:
    ways = {
        "retry": "asked once more",
        "repair": "shown its error and asked once more",
        "backup": "the backup was asked",
        "safe_default": "the built-in part did it",
    }
    return (
        row.error or "",
        ways.get(row.after or "", "nothing else was asked: a person"),
        row.what.replace("_", " "),
    )


_SAID: dict[str, Callable[[sa.Row[Any]], tuple[str, str, str]]] = {
    "draft": _of_draft,
    "reading": _of_reading,
    "call": _of_call,
}


def _plain(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)


class _Texts:
    """The prompts in force, each read once."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._found: dict[str, tuple[str, str] | None] = {}

    def of(self, name: str, digest: str) -> str | None:
        """The text of a prompt file whose digest is still this one."""
        if name not in self._found:
            self._found[name] = self._read(name)
        found = self._found[name]
        return found[1] if found is not None and found[0] == digest else None

    def _read(self, name: str) -> tuple[str, str] | None:
        if self._folder is None or not _NAME.fullmatch(name):
            return None
        path = self._folder / f"{name}.md"
        try:
            return read_prompt(path, name).digest, path.read_text(encoding="utf-8-sig")
        except ConfigError:
            return None
