"""Drafts and texts that an agent asks a model for: another draft, two to compare, a polish, help with a text.

Each is one wish at one named model, in the thread of whoever asks: the ticket is looked at, the model is asked
outside any transaction, and what it wrote is recorded in a short one that looks at the ticket again. Who asks
pays from their own cap of the day; a cap that may be passed is passed on their word only, and that is written
down. A model that may not see the ticket's class of data is refused, whoever asks.
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

import sqlalchemy as sa

from pipeline.accounts.lookup import LookedUp, other_open_tickets, together
from pipeline.db.tables import account_facts, messages, triages
from pipeline.drafting import routine, writing
from pipeline.drafting import strong as strong_route
from pipeline.drafting.answer import ANSWER_SCHEMA
from pipeline.drafting.claims import check_claims
from pipeline.drafting.draft import DraftResult, from_a_stranger, write_draft
from pipeline.drafting.rubric import spoken_language
from pipeline.drafting.summaries import Summary, summarise
from pipeline.drafting.threads import Thread, load_thread
from pipeline.drafting.writing import TOOLS, WRITTEN_SCHEMA, Written, write
from pipeline.errors import AllModelsFailed, ConflictError, InputError, OneSided, TriageError
from pipeline.models.base import Cap
from pipeline.models.gateway import Context, Plan
from pipeline.models.prompts import Rendered
from pipeline.review import preferences, typed
from pipeline.review.agents import Agent
from pipeline.review.holding import Held, hold, lock_ticket, refuse_done, review_row
from pipeline.routing.planning import hashed
from pipeline.steps.at_cap import worst_price
from pipeline.steps.drafting import store_draft
from pipeline.steps.wishes import Wish, agreed, failed, granted, named, no_room, room_for_all

if TYPE_CHECKING:
    from pipeline.assembly import Parts

TASK_OF = {"strong": "draft", "cheap": "routine"}
"""A model drafts as its tier does: a strong one from the whole thread, a cheap one from the short prompt."""

HELP = tuple(name for name in TOOLS if name != "refine")
"""The writing tools for an agent's own text."""


@dataclass(frozen=True)
class _Case:
    """What an agent asks about, as it was when they asked."""

    row: Held
    agent: Agent
    version: int
    message_id: int
    thread: Thread
    found: tuple[LookedUp, ...]

    @property
    def whose(self) -> dict[str, Any]:
        ticket = self.row.ticket
        return {
            "ticket_id": ticket["id"],
            "customer": ticket["customer_address"],
            "inbox": ticket["inbox"],
            "topic": ticket["topic"],
            "agent_id": self.agent.id,
        }

    def context(self, task: str, route: str) -> Context:
        customer = self.row.ticket["customer_address"]
        return Context(
            task=task,
            route=route,
            ticket_id=self.row.ticket["id"],
            message_id=self.message_id,
            agent_id=self.agent.id,
            end_user=hashed(customer) if customer else None,
        )


def redraft(
    parts: Parts,
    review_id: int,
    agent: Agent,
    version: int,
    model: str,
    *,
    confirmed: bool = False,
    text: str | None = None,
) -> int:
    """Have a draft written by a model of the agent's choice; it becomes the row's. Returns the draft's id.

    `version` is the ticket's as the agent saw it; `text` what stood in their editor, kept as a note where it
    was no longer the draft. Raises `InputError` for a model that may not be asked and at a cap that nobody
    can pass, `NeedsAgreement` at one that can (`confirmed` is the agent's word), `AllModelsFailed` where the
    model did not do it, `ConflictError` where the ticket moved on, then the new draft is kept as a stale one.
    """
    case = _case(parts, review_id, agent, version)
    wish, strong = _draft_wish(parts, case, model)
    written, passed = granted(
        parts, wish, lambda plan: _write(parts, case, plan, strong=strong), confirmed=confirmed
    )
    first = case.row.review["draft_id"] is None
    why = f"{agent.shown} had {'a draft' if first else 'the draft'} written{'' if first else ' anew'} by {model}"
    detail = f"Drafted by {model}, as {agent.shown} asked."
    return _record(parts, case, strong, written, detail, why + agreed(passed), text=text)


def refine(
    parts: Parts,
    review_id: int,
    agent: Agent,
    version: int,
    model: str,
    *,
    confirmed: bool = False,
    text: str | None = None,
) -> int:
    """Have a model polish the row's draft, and check anew what it claims. Returns and raises as `redraft`."""
    case = _case(parts, review_id, agent, version)
    draft = case.row.draft
    if draft is None:
        raise InputError("there is no draft here to polish")
    wish, prompt = _writing_wish(parts, case, "refine", draft["text"], draft["language"], model)

    def polish(plan: Plan) -> DraftResult:
        written = write(
            parts.gateway, parts.prompts, plan, case.context("writing", "cheap"),
            tool="refine", text=draft["text"], language=draft["language"], thread=case.thread,
        )  # fmt: skip
        return _polished(case, draft, plan, prompt, written)

    written, passed = granted(parts, wish, polish, confirmed=confirmed)
    why = f"{agent.shown} had the draft by {draft['model']} polished by {model}" + agreed(passed)
    detail = f"Drafted by {draft['model']}, polished by {model}, as {agent.shown} asked."
    strong = draft["route"] == "strong"
    return _record(parts, case, strong, written, detail, why, text=text, refines_id=draft["id"])


def compare(
    parts: Parts,
    review_id: int,
    agent: Agent,
    version: int,
    models: Sequence[str],
    *,
    confirmed: bool = False,
    text: str | None = None,
) -> int:
    """Have two models draft side by side; returns the comparison's id. The row keeps its draft until one is
    chosen (`pipeline.review.preferences.choose`). Raises as `redraft`; nothing is asked of either model where
    the caps lack room for both. Where one of them fails all the same, what the other wrote was paid for: it
    becomes the row's draft as if asked for alone, with `text` as in `redraft`, and `OneSided` says so."""
    if len(set(models)) != 2 or len(models) != 2:
        raise InputError("choose two different models to compare")
    case = _case(parts, review_id, agent, version)
    wishes = [_draft_wish(parts, case, model) for model in models]
    room_for_all(parts, [wish for wish, _ in wishes], confirmed)

    def one(wish: Wish, strong: bool) -> tuple[DraftResult, list[Cap]]:
        return granted(
            parts, wish, lambda plan: _write(parts, case, plan, strong=strong), confirmed=confirmed
        )

    with ThreadPoolExecutor(2, thread_name_prefix="compare") as pool:
        asked = [pool.submit(contextvars.copy_context().run, one, wish, strong) for wish, strong in wishes]
    errors = [future.exception() for future in asked]
    lost = next((error for error in errors if error is not None), None)
    if lost is not None:
        if None not in errors or not isinstance(lost, TriageError):
            raise lost
        came = errors.index(None)
        _keep_the_one(parts, case, wishes[came], *asked[came].result(), lost, text)
    done = [future.result() for future in asked]
    left, right = preferences.shuffled(
        *((written, strong) for (written, _), (_, strong) in zip(done, wishes, strict=True))
    )
    passed = {cap.scope: cap for _, caps in done for cap in caps}
    with parts.store.write() as connection:
        row = hold(connection, review_id, agent, version)
        preferences.refuse_undraftable(row)
        _keep_facts(connection, case)
        ids = [
            store_draft(connection, row.ticket["id"], case.message_id, strong, written, asked_by=agent.id)
            for written, strong in (left, right)
        ]
        why = f"{agent.shown} had two models draft it side by side" + agreed(list(passed.values()))
        return preferences.open_comparison(connection, row, agent, ids[0], ids[1], why)


def _keep_the_one(
    parts: Parts,
    case: _Case,
    wish: tuple[Wish, bool],
    written: DraftResult,
    passed: Sequence[Cap],
    lost: TriageError,
    text: str | None,
) -> NoReturn:
    model, strong = wish[0].model, wish[1]
    why = f"{case.agent.shown} wanted two models' drafts side by side; only {model} wrote one"
    detail = f"Drafted by {model}, as {case.agent.shown} asked."
    _record(parts, case, strong, written, detail, why + agreed(passed), text=text)
    raise OneSided(
        f"{lost}. There is nothing to compare: the draft by {model} came, and is the ticket's draft now",
        kinds=lost.kinds if isinstance(lost, AllModelsFailed) else (),
    ) from lost


def help_write(parts: Parts, review_id: int, agent: Agent, tool: str, text: str) -> Written:
    """Rework the agent's own text by the table's model for it; stores nothing but the call.

    Raises `InputError` for an unknown tool, an empty text, and at a cap; `AllModelsFailed`; `ConflictError`
    where the row is done with.
    """
    if tool not in HELP:
        raise InputError(f"there is no writing tool {tool!r}; there are {', '.join(HELP)}")
    case = _case(parts, review_id, agent, None, look_up=False)
    language = case.row.ticket["language"] if tool == "translate" else spoken_language(text)
    if not language:
        raise InputError("the customer's language is not known: put it right on the ticket first")
    wish, _ = _writing_wish(parts, case, tool, text, language, None)
    plan = wish.plan(False)
    try:
        return write(
            parts.gateway, parts.prompts, plan, case.context("writing", "cheap"),
            tool=tool, text=text, language=language, thread=case.thread,
        )  # fmt: skip
    except AllModelsFailed as error:
        if "budget" not in error.kinds:
            raise failed(wish.what, error) from error
        full = no_room(parts, plan, wish.worst_usd, error)
        raise InputError(f"{named(full)} is reached: {wish.what} is not to be had now") from error


# --- what is asked about -------------------------------------------------------------------------------


def _case(parts: Parts, review_id: int, agent: Agent, version: int | None, *, look_up: bool = True) -> _Case:
    with parts.store.write() as connection:  # locks for a moment, changes nothing
        if version is None:
            review = review_row(connection, review_id)
            refuse_done(connection, review)
            row = Held(review, lock_ticket(connection, review["ticket_id"], None), None)
        else:
            row = hold(connection, review_id, agent, version)
            preferences.refuse_undraftable(row)
        ticket = row.ticket
        answers = connection.execute(
            sa.select(messages.c.id, messages.c.verified)
            .where(
                messages.c.ticket_id == ticket["id"],
                messages.c.direction == "inbound",
                messages.c.kind == "person",
            )
            .order_by(messages.c.id.desc())
        ).first()
        fields = connection.execute(
            sa.select(triages.c.fields)
            .where(triages.c.ticket_id == ticket["id"])
            .order_by(triages.c.id.desc())
        ).scalar()
        if answers is None:
            raise InputError("there is no customer's message here to answer")
        thread = load_thread(
            connection, ticket["id"], policy=parts.policy, sender_name=parts.sender_name(ticket["inbox"])
        )
    found: list[LookedUp] = []
    known = None
    if look_up and ticket["customer_verified"] and answers.verified:
        orders = [str(v.get("normalised") or v["value"]) for v in (fields or {}).get("order_numbers", [])]
        found = parts.look_up(ticket["customer_address"], order_numbers=orders)
        with parts.store.read() as connection:
            others = other_open_tickets(connection, ticket["customer_address"], ticket["id"])
        facts = together(found, others)
        known = {"facts": facts.lines()} if facts else None
    return _Case(row, agent, ticket["version"], answers.id, replace(thread, account=known), tuple(found))


def _draft_wish(parts: Parts, case: _Case, model: str) -> tuple[Wish, bool]:
    """The wish for a draft by this model, and whether it drafts as a strong one."""
    known = parts.routes.models.get(model)
    if known is None:
        raise InputError(f"there is no model {model!r} in the routing table")
    strong = known.tier == "strong"
    plan = partial(_plan, parts, case, TASK_OF[known.tier], model)
    route = strong_route if strong else routine
    prompt = parts.prompts.load(*route.PROMPT).render(**route.variables(case.thread))
    return Wish(model, f"a draft by {model}", plan, worst_price(plan(False), prompt, ANSWER_SCHEMA)), strong


def _writing_wish(
    parts: Parts, case: _Case, tool: str, text: str, language: str, model: str | None
) -> tuple[Wish, Rendered]:
    if "writing" not in parts.routes.tasks:
        raise InputError("the routing table has no task `writing`: nobody helps with texts here")
    plan = partial(_plan, parts, case, "writing", model)
    prompt = writing.prompt_for(parts.prompts, tool=tool, text=text, language=language, thread=case.thread)
    what = f"a polish by {model}" if model else f"“{TOOLS[tool].label}”"
    return Wish(model or "", what, plan, worst_price(plan(False), prompt, WRITTEN_SCHEMA)), prompt


def _plan(parts: Parts, case: _Case, task: str, model: str | None, confirmed: bool) -> Plan:
    """The plan for the wish: the wished model alone, so that what comes back is of that model or not at all."""
    if model is not None and model not in parts.routes.models:
        raise InputError(f"there is no model {model!r} in the routing table")
    plan = parts.plan(task, **case.whose, model=model, confirmed=confirmed)
    chosen = tuple(choice for choice in plan.choices if model is None or choice.key == model)
    if not chosen:
        ticket = case.row.ticket
        kind = parts.data_class(topic=ticket["topic"], inbox=ticket["inbox"], ticket_id=ticket["id"])
        raise InputError(
            f"{model or 'no model'} may be asked about this ticket: its data is {kind}"
            if model is None
            else f"{model} may not be asked about this ticket: it has no key, or may not see {kind} data"
        )
    return replace(plan, choices=chosen)


def _write(parts: Parts, case: _Case, plan: Plan, *, strong: bool) -> DraftResult:
    task, route = ("draft", "strong") if strong else ("routine", "cheap")
    context = case.context(task, route)

    def summary(thread: Thread) -> Summary:
        over = not any(cap.confirmable for cap in plan.caps)
        own = parts.plan("summary", **case.whose, confirmed=over)
        asked = replace(context, task="summary", route="cheap")
        return summarise(parts.gateway, parts.prompts, own, asked, thread)

    return write_draft(
        parts.gateway, parts.prompts, plan, context, case.thread, strong=strong, summariser=summary
    )


def _polished(
    case: _Case, draft: sa.RowMapping, plan: Plan, prompt: Rendered, written: Written
) -> DraftResult:
    """The polished text as a draft: its claims are checked as if it were new, and so it is."""
    checked = check_claims(
        written.text,
        case.thread,
        stated=[(claim["text"], claim["supported_by"]) for claim in draft["claims"]],
        instructions=prompt.system,
        fence=prompt.fence,
    )
    shown = " ".join(written.text.split())
    return DraftResult(
        reply=written.text,
        language=draft["language"],
        asks=tuple(ask for ask in draft["asks"] if " ".join(ask.split()) in shown),
        why=" ".join([draft["why"], *written.warnings]).strip(),
        claims=checked.claims,
        blocked=(*from_a_stranger(case.thread), *checked.blocked),
        source="model",
        choice=plan.choices[0],
        answered_by=written.model,
        prompt=written.prompt,
        call_id=written.call_id,
        cost_usd=written.cost_usd,
        latency_ms=written.latency_ms,
        attempts=("ok",),
    )


# --- what is written down ------------------------------------------------------------------------------


def _record(
    parts: Parts,
    case: _Case,
    strong: bool,
    written: DraftResult,
    detail: str,
    why: str,
    *,
    text: str | None,
    refines_id: int | None = None,
) -> int:
    """Lay the new draft before people; where the ticket moved on meanwhile, keep it as a stale one."""
    review, agent = case.row.review, case.agent
    keep: Callable[[sa.Connection], int] = partial(
        store_draft,
        ticket_id=case.row.ticket["id"],
        message_id=case.message_id,
        strong=strong,
        written=written,
        asked_by=agent.id,
        refines_id=refines_id,
    )
    try:
        with parts.store.write() as connection:
            row = hold(connection, review["id"], agent, case.version)
            preferences.refuse_undraftable(row)
            _keep_facts(connection, case)
            draft_id = keep(connection)
            before = row.draft["text"] if row.draft is not None else ""
            if text and text.split() != before.split():
                typed.put(connection, review["id"], agent.id, text, instead=False)
            preferences.lay_before(connection, row, agent, draft_id, detail, why)
            return draft_id
    except ConflictError as error:
        with parts.store.write() as connection:
            preferences.stale(connection, keep(connection))
        raise ConflictError(f"{error}. What {written.choice.key} wrote meanwhile is not used") from error


def _keep_facts(connection: sa.Connection, case: _Case) -> None:
    for one in case.found:
        connection.execute(account_facts.insert().values(**one.as_row(case.row.ticket["id"])))
