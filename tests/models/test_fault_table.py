"""Every row of the door's table, driven over the wire by both real SDKs: attempts, ledger, money, outcome."""

from __future__ import annotations

import pickle
import re
from dataclasses import dataclass, replace
from decimal import Decimal

import pytest

from pipeline.errors import AllModelsFailed, BudgetExceeded, ModelError, Usage
from pipeline.models.base import Choice, ModelRequest, Price
from pipeline.models.gateway import Context, Gateway, Plan
from pipeline.models.ledger import Entry, StoreLedger
from pipeline.models.policy import LONG_WAIT, NO_ACCESS, POLICY, Health, Next, policy_rows
from tests.kit import model_replies as replies
from tests.kit.model_replies import Reply
from tests.models.conftest import CHOICES, LONG_S, PROMPT, SCHEMA, Door, check

BACKUP = {"openai": "anthropic", "anthropic": "openai"}


@dataclass(frozen=True)
class Fault:
    """What the first model answers each time it is asked, and what has to come of it.

    `booked` of each failed attempt: nothing, used (by the reported tokens) or worst (unknown).
    """

    reply: Reply
    kind: str
    next: Next
    booked: str
    only: str | None = None


FAULTS = [
    Fault(replies.rate_limited("0"), "overloaded", Next.AGAIN, "nothing"),
    Fault(replies.rate_limited(), "overloaded", Next.AGAIN, "nothing"),
    Fault(replies.rate_limited("11"), "overloaded", Next.ONWARD, "nothing"),
    Fault(replies.overloaded(), "overloaded", Next.AGAIN, "nothing"),
    Fault(replies.failing(500), "overloaded", Next.AGAIN, "nothing"),
    Fault(replies.failing(503), "overloaded", Next.AGAIN, "nothing"),
    Fault(replies.failing(408), "overloaded", Next.AGAIN, "nothing"),
    Fault(replies.failing(409), "overloaded", Next.AGAIN, "nothing"),
    Fault(replies.failing(502), "overloaded", Next.AGAIN, "worst"),
    Fault(replies.hang(), "timeout", Next.AGAIN, "worst"),
    Fault(replies.drip("headers"), "timeout", Next.AGAIN, "worst"),
    Fault(replies.drip("body"), "timeout", Next.AGAIN, "worst"),
    Fault(replies.reset(), "transport", Next.AGAIN, "worst"),
    Fault(replies.cut_body(), "transport", Next.AGAIN, "worst"),
    Fault(replies.html(), "undecodable", Next.AGAIN, "worst"),
    Fault(replies.broken_json(), "undecodable", Next.AGAIN, "worst"),
    Fault(replies.no_choices(), "undecodable", Next.AGAIN, "worst"),
    Fault(replies.huge(5_000_000), "undecodable", Next.AGAIN, "worst"),
    Fault(replies.packed(), "undecodable", Next.AGAIN, "worst"),
    Fault(replies.length_cut(), "cut", Next.LARGER, "used"),
    Fault(replies.paused(), "cut", Next.LARGER, "used", only="anthropic"),
    Fault(replies.invalid_json(), "invalid", Next.REPAIR, "used"),
    Fault(replies.wrong_schema(), "invalid", Next.REPAIR, "used"),
    Fault(replies.tool_call(), "invalid", Next.REPAIR, "used"),
    Fault(replies.refusal(), "refused", Next.ONWARD, "used"),
    Fault(replies.content_filter(), "refused", Next.ONWARD, "used"),
    Fault(replies.bad_request("no", code="content_filter"), "refused", Next.ONWARD, "nothing", only="openai"),
    Fault(replies.too_long(), "too_long", Next.ONWARD, "nothing"),
    Fault(replies.bad_request("too big", status=413), "too_long", Next.ONWARD, "nothing"),
    Fault(replies.out_of_credit(), "credit", Next.ONWARD, "nothing"),
    Fault(replies.refused_key(), "rejected", Next.ONWARD, "nothing"),
    Fault(replies.bad_request("no", status=402), "rejected", Next.ONWARD, "nothing"),
    Fault(replies.bad_request("no", status=403), "rejected", Next.ONWARD, "nothing"),
    Fault(replies.unknown_model(), "rejected", Next.ONWARD, "nothing"),
    Fault(replies.bad_request("unknown field"), "rejected", Next.ONWARD, "nothing"),
    Fault(
        Reply("redirect", status=302, raw=b"", headers={"location": "http://127.0.0.1:1/"}),
        "rejected",
        Next.ONWARD,
        "nothing",
    ),
]
CASES = [
    pytest.param(fault, provider, id=f"{provider}-{number:02d}-{fault.reply.kind}")
    for number, fault in enumerate(FAULTS)
    for provider in ("openai", "anthropic")
    if fault.only in (None, provider)
]


@pytest.mark.parametrize(("fault", "provider"), CASES)
def test_a_fault_takes_its_documented_path_to_the_backup(door: Door, fault: Fault, provider: str) -> None:
    first, backup = CHOICES[provider].key, CHOICES[BACKUP[provider]].key
    tries = 1 if fault.next is Next.ONWARD else 2
    door.server.script(*[fault.reply] * tries, model=first)

    deadline_s = 0.15 if fault.kind == "timeout" else LONG_S

    answered = door.ask(door.plan(provider, BACKUP[provider], "local", deadline_s=deadline_s))

    assert answered.attempts == (*[fault.kind] * tries, "ok")
    assert answered.value == "billing"
    assert answered.choice.key == backup
    assert door.server.kinds == [(first, fault.reply.kind)] * tries + [(backup, "ok")]
    assert POLICY[_row_of(fault)].next is fault.next

    rows = door.rows()
    second_role = "repair" if fault.next is Next.REPAIR else "retry"
    assert [row.model for row in rows] == [first] * tries + [backup]
    assert [row.role for row in rows] == ["model", *[second_role] * (tries - 1), "backup"]
    assert [row.attempt for row in rows] == list(range(1, tries + 2))
    failed_state = "unknown" if fault.booked == "worst" else "failed"
    assert [row.state for row in rows] == [failed_state] * tries + ["ok"]
    assert [row.error_kind for row in rows] == [fault.kind] * tries + [None]
    for row, served in zip(rows, door.server.journal, strict=True):
        tokens = served.tokens
        if row.state == "unknown":
            assert row.cost_usd == row.reserved_usd > 0
        elif tokens is None:
            assert row.cost_usd == 0
        else:
            choice = CHOICES[row.provider]
            assert row.cost_usd == door.prices.cost(choice, Usage(tokens.plain, 0, 0, tokens.output)) > 0
            assert (row.input_tokens, row.output_tokens) == (tokens.plain, tokens.output)
        assert row.cost_usd <= row.reserved_usd
    assert answered.cost_usd == sum(row.cost_usd for row in rows)
    assert door.spent() == (answered.cost_usd, Decimal(0))


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_a_passing_fault_is_mended_by_the_second_try_on_the_same_model(door: Door, provider: str) -> None:
    for fault in (replies.rate_limited("0"), replies.failing(500), replies.reset(), replies.html()):
        door.server.forget()
        door.server.script(fault)
        answered = door.ask(door.plan(provider, BACKUP[provider], "local"))
        assert answered.choice.provider == provider
        assert len(answered.attempts) == 2
        assert answered.attempts[1] == "ok"


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_when_every_provider_fails_the_safe_default_answers_for_nothing(door: Door, provider: str) -> None:
    door.server.answer_by(lambda seen: replies.out_of_credit())
    answered = door.ask(door.plan(provider, BACKUP[provider], "local"))
    assert answered.attempts == ("credit", "credit", "ok")
    assert (answered.choice.key, answered.value, answered.cost_usd) == ("local", "other", Decimal(0))
    assert [row.role for row in door.rows()] == ["model", "backup", "safe_default"]


def test_when_there_is_no_safe_default_a_person_is_told_every_attempt(door: Door) -> None:
    door.server.answer_by(lambda seen: replies.overloaded())
    with pytest.raises(AllModelsFailed) as caught:
        door.ask(door.plan("openai", "anthropic"))
    assert caught.value.kinds == ("overloaded", "overloaded", "overloaded")
    assert "gpt-6-luna: openai answered 529" in str(caught.value)
    assert "claude-haiku-5-5: anthropic answered 529" in str(caught.value)


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_a_cut_answer_gets_twice_the_limit_at_the_second_try(door: Door, provider: str) -> None:
    door.server.script(replies.length_cut())
    door.ask(door.plan(provider))
    name = "max_completion_tokens" if provider == "openai" else "max_tokens"
    assert [line.seen.body[name] for line in door.server.journal] == [200, 400]


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_the_repair_try_shows_the_error_and_keeps_the_prefix(door: Door, provider: str) -> None:
    door.server.script(replies.wrong_schema())
    door.ask(door.plan(provider))
    first, second = (line.seen for line in door.server.journal)
    assert second.system == first.system
    assert second.user.startswith(first.user)
    assert "`topic` must be billing or other." in second.user.removeprefix(first.user)


def test_the_providers_own_retry_after_is_waited_for(door: Door) -> None:
    door.backoff_s = 60.0
    door.server.script(replies.rate_limited("0.2"))
    answered = door.ask(door.plan("openai"))
    assert answered.attempts == ("overloaded", "ok")


@pytest.mark.parametrize(("fault", "provider"), CASES)
def test_a_failure_crosses_a_process_border_without_the_sdk(door: Door, fault: Fault, provider: str) -> None:
    """What a provider raises is ours alone, and whole again on the other side."""
    door.server.script(fault.reply)
    request = ModelRequest("triage", CHOICES[provider].name, "", "Hello", schema=SCHEMA)
    deadline_s = 0.15 if fault.kind == "timeout" else LONG_S
    with pytest.raises(ModelError) as caught:
        check(door.providers[provider].complete(request, deadline_s=deadline_s).text)
    error, packed = caught.value, pickle.dumps(caught.value)
    copy = pickle.loads(packed)
    assert (type(copy), str(copy), vars(copy)) == (type(error), str(error), vars(error))
    assert not re.search(rb"openai\.|anthropic\.|httpx2|httpcore2", packed)


def test_the_ends_of_all_attempts_cross_a_process_border() -> None:
    for error in (AllModelsFailed("none", kinds=("timeout", "budget")), BudgetExceeded("$1", scope="day")):
        copy = pickle.loads(pickle.dumps(error))
        assert (type(copy), str(copy), vars(copy)) == (type(error), str(error), vars(error))


def test_what_is_not_sent_takes_its_documented_path(door: Door) -> None:
    """The rows of the table without a request: no key, paused, busy, budget."""
    plan = door.plan("openai", "anthropic", "local")

    def kinds(gateway: Gateway, plan: Plan, expected: str) -> None:
        before = len(door.server.journal)
        context = Context("triage", "cheap")
        answered = gateway.ask(
            plan, PROMPT, context, schema=SCHEMA, schema_name="triage", input={}, check=check
        )
        assert answered.attempts == (expected, "ok")
        assert POLICY[expected].next is Next.ONWARD
        row = door.rows()[-2]
        assert (row.state, row.error_kind, row.cost_usd, row.reserved_usd) == ("not_called", expected, 0, 0)
        assert [line.seen.provider for line in door.server.journal[before:]] == ["anthropic"]

    without_key = Gateway({"anthropic": door.providers["anthropic"]}, StoreLedger(door.store), door.prices)
    kinds(without_key, plan, "no_key")

    limited = replace(plan.choices[0], per_minute=1)
    busy = replace(plan, choices=(limited, *plan.choices[1:]), patience_s={})
    gateway = door.gateway()
    StoreLedger(door.store).open(entry_of(limited))
    kinds(gateway, busy, "busy")

    dear = replace(plan.choices[0], price=Price("1000", "1000"))
    kinds(gateway, replace(plan, choices=(dear, *plan.choices[1:])), "budget")

    door.server.script(replies.out_of_credit(), model=plan.choices[0].name)
    door.ask(plan)
    kinds(door.gateway(), plan, "paused")


def entry_of(choice: Choice) -> Entry:
    return Entry(Context("triage", "cheap"), choice, 1, "model", "d", "triage/cheap", (), Decimal(0))


def test_the_table_has_a_row_for_every_kind_of_failure() -> None:
    from pipeline import errors

    def leaves(cls: type[errors.ModelError]) -> set[str]:
        below = cls.__subclasses__()
        return {cls.kind} if not below else set().union(*(leaves(sub) for sub in below))

    kinds = leaves(errors.ModelError)
    assert kinds <= set(POLICY)
    not_sent = {step.kind for step in POLICY.values() if step.health is Health.NOT_ASKED}
    assert not_sent == {"no_key", "paused", "busy", "budget"}
    assert {_row_of(fault) for fault in FAULTS} == set(POLICY) - not_sent
    assert len(policy_rows()) == len(POLICY)
    assert all(all(cell.strip() for cell in row) for row in policy_rows())


def _row_of(fault: Fault) -> str:
    if fault.kind == "overloaded" and fault.next is Next.ONWARD:
        return LONG_WAIT
    if fault.kind == "rejected" and (
        fault.reply.error_type in ("authentication", "not_found") or fault.reply.status == 402
    ):
        return NO_ACCESS
    return fault.kind
