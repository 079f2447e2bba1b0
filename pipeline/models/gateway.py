"""The one door to a model: the order of attempts, each with its own reservation and its own ledger row.

The order: the first model; once more on it where the failure is worth it (`pipeline.models.policy` is the
table); the backup; the safe default; then `AllModelsFailed`, which is a person. No attempt is made that
is not first reserved at its worst price and written down, and none is made inside a transaction.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from functools import lru_cache
from typing import Any, Generic, TypeVar

import structlog

from pipeline import tracing
from pipeline.db.types import now, seconds
from pipeline.errors import (
    AllModelsFailed,
    BudgetExceeded,
    ModelBusy,
    ModelError,
    ModelNoKey,
    ModelOverloaded,
    ModelPaused,
    Usage,
)
from pipeline.models.base import Cap, Choice, ModelAnswer, ModelRequest, Provider
from pipeline.models.breaker import FIRST_PAUSE_S, Admission, Breaker
from pipeline.models.ledger import Context, Entry, Ledger, Outcome
from pipeline.models.limits import in_turn
from pipeline.models.policy import BUDGET, LARGER, Next, after, policy_rows
from pipeline.models.prices import FREE, Prices
from pipeline.models.prompts import Rendered, clean, marked_off

__all__ = ["Answered", "Context", "Gateway", "Plan", "policy_rows"]

BACKOFF_S = 0.5
LONGEST_CALL_S = 90.0
PATIENCE_S = {"cheap": 5.0, "strong": 20.0}
"""How long a call waits for its turn at a limited model, by tier, before the next model is asked."""

_GRACE_S = 15.0
_SHOWN_ERROR_LENGTH = 1000
_STEP_BYTES = 128
_INVALID = "the answer failed its schema or its checks"

T = TypeVar("T")

log = structlog.get_logger("pipeline.models")


@dataclass(frozen=True)
class Plan:
    """Which models may be asked, in order (model, backup, safe default), and what they may cost.

    `deadline_s` is each call's total deadline by tier; a tier that it lacks gets the longest of them.
    `patience_s` by tier is how long a call may wait for a limited model; a tier that it lacks does not wait.
    """

    choices: tuple[Choice, ...]
    caps: tuple[Cap, ...]
    deadline_s: Mapping[str, float]
    max_output_tokens: int
    patience_s: Mapping[str, float] = field(default_factory=lambda: PATIENCE_S)


@dataclass(frozen=True)
class Answered(Generic[T]):
    """An answer that passed its check.

    `call_id` is its row in `model_calls` (None where the ledger is no store); `prompt` the digest;
    `answered_by` the model name that the provider reported; `cost_usd` and `latency_ms` are sums over all
    attempts; `attempts` their kinds in order, like ("timeout", "overloaded", "ok"); `certainty` the
    probability, 0 to 1, of the value of the `label` that was asked for, None where the API tells none.
    """

    value: T
    choice: Choice
    call_id: int | None
    prompt: str
    answered_by: str
    cost_usd: Decimal
    latency_ms: int
    attempts: tuple[str, ...]
    certainty: float | None = None


@dataclass
class _Wanted(Generic[T]):
    """One answer wanted, and what the attempts at it have come to so far."""

    plan: Plan
    prompt: Rendered
    context: Context
    schema: Mapping[str, Any] | None
    schema_name: str
    input: Mapping[str, Any]
    check: Callable[[str], T]
    label: str | None
    kinds: list[str] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    cost_usd: Decimal = Decimal(0)
    latency_ms: int = 0


@dataclass(frozen=True)
class _Try:
    """One attempt's own: which model, in which role, with which limit, and the error it is to mend."""

    choice: Choice
    role: str
    max_output_tokens: int
    repair: str | None = None


class Gateway:
    """Asks models, in order, within the caps and limits. What it keeps is the ledger's: threads share one.

    `providers` by `Choice.provider`; one that is not there is a provider without a key.
    """

    def __init__(
        self,
        providers: Mapping[str, Provider],
        ledger: Ledger,
        prices: Prices,
        *,
        backoff_s: float = BACKOFF_S,
        first_pause_s: float = FIRST_PAUSE_S,
    ) -> None:
        self._providers = dict(providers)
        self._ledger = ledger
        self._prices = prices
        self._worst = lru_cache(4096)(self._worst_on)
        self._breaker = Breaker(ledger.states, first_pause_s)
        self._backoff_s = backoff_s

    def over(self, providers: Mapping[str, Provider], prices: Prices) -> Gateway:
        """A gateway on the same ledger whose calls go to other providers, at their prices."""
        return Gateway(providers, self._ledger, prices, backoff_s=self._backoff_s)

    def ask(
        self,
        plan: Plan,
        prompt: Rendered,
        context: Context,
        *,
        schema: Mapping[str, Any] | None,
        schema_name: str,
        input: Mapping[str, Any],
        check: Callable[[str], T],
        label: str | None = None,
    ) -> Answered[T]:
        """Ask until one answer passes `check`, which returns its value or raises `ModelOutputInvalid`.

        `check` is called outside any transaction and must be quick; its error is shown to the model in the
        one repair try. `label` is a property of the schema whose value's probability is wanted. Not to be
        called inside a transaction. Raises `AllModelsFailed`, and the store's errors when the ledger
        cannot be written: then nothing (more) was called.
        """
        wanted = _Wanted(plan, prompt, context, schema, schema_name, input, check, label)
        second_try = True
        for choice in plan.choices:
            attempt = _Try(choice, choice.role, plan.max_output_tokens)
            result = self._attempt(wanted, attempt)
            if isinstance(result, Answered):
                return result
            if result is None:
                continue
            follow = _second(result, attempt) if second_try and choice.provider not in FREE else None
            second_try = False
            if follow is None:
                continue
            if follow.role == "retry" and follow.max_output_tokens == attempt.max_output_tokens:
                self._wait(result)
            again = self._attempt(wanted, follow)
            if isinstance(again, Answered):
                return again
        log.warning("all_models_failed", task=context.task, ticket=context.ticket_id, attempts=wanted.kinds)
        raise AllModelsFailed(
            f"no model answered for {context.task}: {'; '.join(wanted.words) or 'there is none to ask'}",
            kinds=tuple(wanted.kinds),
        )

    def _attempt(self, wanted: _Wanted[T], attempt: _Try) -> Answered[T] | ModelError | None:
        """One attempt with its ledger row: the answer, the error, or None where nothing was called."""
        choice, context, plan = attempt.choice, wanted.context, wanted.plan
        request = _request(wanted, attempt)
        entry = Entry(
            context=context,
            choice=choice,
            number=len(wanted.kinds) + 1,
            role=attempt.role,
            prompt=wanted.prompt.digest,
            prompt_name=wanted.prompt.name,
            caps=plan.caps,
            worst_usd=self._worst(choice, _bytes(request), attempt.max_output_tokens, now().date()),
            longest_s=max([LONGEST_CALL_S, *plan.deadline_s.values()]) + _GRACE_S,
        )
        provider = self._providers.get(choice.provider)
        if provider is None:
            words = f"{'no such part' if choice.provider in FREE else 'no key is set for'} {choice.provider}"
            self._skip(wanted, entry, ModelNoKey.kind, words)
            return None
        patience_s = plan.patience_s.get(choice.tier, 0.0)
        admission: Admission | None = None
        try:
            if choice.provider not in FREE:
                lease_s = patience_s + self._deadline_s(plan, choice) + _GRACE_S
                admission = self._breaker.enter(choice, lease_s)
            call_id = in_turn(lambda: self._ledger.open(entry), patience_s)
        except (ModelPaused, ModelBusy, BudgetExceeded) as error:
            self._breaker.give_back(admission)
            self._skip(wanted, entry, BUDGET if isinstance(error, BudgetExceeded) else error.kind, str(error))
            return None
        except BaseException:
            self._breaker.give_back(admission)
            raise
        return self._call(wanted, entry, call_id, provider, request, admission)

    def _call(
        self,
        wanted: _Wanted[T],
        entry: Entry,
        call_id: int,
        provider: Provider,
        request: ModelRequest,
        admission: Admission | None,
    ) -> Answered[T] | ModelError:
        choice = entry.choice
        answer: ModelAnswer | None = None
        started = seconds()

        def ended(state: str, usage: Usage | None, kind: str | None = None, words: str | None = None) -> None:
            """Complete the row, and count the attempt."""
            known = usage is not None or choice.provider in FREE
            outcome = Outcome(
                state=state if known or state == "ok" else "unknown",
                cost_usd=self._prices.cost(choice, usage or Usage()) if known else entry.worst_usd,
                latency_ms=round((seconds() - started) * 1000),
                usage=usage,
                answered_by=None if answer is None else answer.model,
                request_id=None if answer is None else answer.request_id,
                error_kind=kind,
                error=words,
            )
            wanted.cost_usd += outcome.cost_usd
            wanted.latency_ms += outcome.latency_ms
            wanted.kinds.append(kind or "ok")
            self._ledger.close(call_id, outcome)
            self._log(entry, call_id, outcome)

        try:
            answer = provider.complete(request, deadline_s=self._deadline_s(wanted.plan, choice))
            value = wanted.check(_restored(answer, choice, wanted))
        except ModelError as error:
            # what our own check says of an answer may quote the customer: it does not go into the ledger
            words = str(error) if answer is None else _INVALID
            ended("failed", error.usage if answer is None else _told(answer, choice), error.kind, words)
            wanted.words.append(f"{choice.key}: {words}")
            self._breaker.failed(admission, error)
            return error
        except BaseException as error:
            usage = None if answer is None else _told(answer, choice)
            ended("failed", usage, "error", f"the call ended in {type(error).__name__}")
            self._breaker.give_back(admission)
            raise
        ended("ok", _told(answer, choice))
        self._breaker.answered(admission)
        return Answered(
            value=value,
            choice=choice,
            call_id=call_id if self._ledger.durable else None,
            prompt=entry.prompt,
            answered_by=answer.model,
            cost_usd=wanted.cost_usd,
            latency_ms=wanted.latency_ms,
            attempts=tuple(wanted.kinds),
            certainty=answer.certainty,
        )

    def _worst_on(self, choice: Choice, input_bytes: int, max_output_tokens: int, _day: date) -> Decimal:
        """The worst price as the price data has it that day; looking it up costs more than all else here."""
        return self._prices.worst(choice, input_bytes, max_output_tokens)

    def _skip(self, wanted: _Wanted[T], entry: Entry, kind: str, words: str) -> None:
        call_id = self._ledger.skip(entry, kind=kind, error=words)
        wanted.kinds.append(kind)
        wanted.words.append(f"{entry.choice.key}: {words}")
        self._log(entry, call_id, Outcome("not_called", Decimal(0), 0, error_kind=kind, error=words))

    def _wait(self, error: ModelError) -> None:
        """A short wait before the second try: the provider's own word, or a moment with jitter."""
        told_s = error.retry_after_s if isinstance(error, ModelOverloaded) else None
        time.sleep(self._backoff_s * (0.5 + random.random()) if told_s is None else told_s)

    @staticmethod
    def _deadline_s(plan: Plan, choice: Choice) -> float:
        return plan.deadline_s.get(choice.tier) or max(plan.deadline_s.values(), default=LONGEST_CALL_S)

    @staticmethod
    def _log(entry: Entry, call_id: int, outcome: Outcome) -> None:
        bound = log.bind(ticket=entry.context.ticket_id, task=entry.context.task, call=call_id)
        write = bound.debug if outcome.state == "ok" else bound.warning
        write(
            "model_call",
            state=outcome.state,
            model=entry.choice.key,
            role=entry.role,
            kind=outcome.error_kind,
            error=outcome.error,
            latency_ms=outcome.latency_ms,
            cost_usd=f"{outcome.cost_usd:f}",
        )
        usage = outcome.usage or Usage()
        tracing.record(
            f"model {entry.context.task}",
            entry.context.ticket_id,
            outcome.latency_ms / 1000,
            {
                "gen_ai.operation.name": "chat",
                "gen_ai.provider.name": entry.choice.provider,
                "gen_ai.request.model": entry.choice.name,
                "gen_ai.usage.input_tokens": usage.input_tokens,
                "gen_ai.usage.output_tokens": usage.output_tokens,
                "triage.task": entry.context.task,
                "triage.role": entry.role,
                "triage.call": call_id,
                "triage.outcome": outcome.error_kind or outcome.state,
                "triage.cost_usd": float(outcome.cost_usd),
            },
            failed=outcome.state != "ok",
        )
        if outcome.cost_usd > entry.worst_usd:
            bound.error("cost_above_reservation", reserved_usd=f"{entry.worst_usd:f}")


def _second(error: ModelError, first: _Try) -> _Try | None:
    """The second try on the same model, if the failure is worth one."""
    step = after(error).next
    if step is Next.AGAIN:
        return _Try(first.choice, "retry", first.max_output_tokens)
    if step is Next.LARGER:
        return _Try(first.choice, "retry", first.max_output_tokens * LARGER)
    if step is Next.REPAIR:
        return _Try(first.choice, "repair", first.max_output_tokens, repair=str(error))
    return None


def _request(wanted: _Wanted[Any], attempt: _Try) -> ModelRequest:
    user = wanted.prompt.user
    if attempt.repair is not None:
        shown = wanted.prompt.hide(clean(attempt.repair))[:_SHOWN_ERROR_LENGTH]
        if wanted.prompt.fence:  # the error may quote the customer, so it is data too
            shown = marked_off(shown, wanted.prompt.fence)
        user += (
            "\n\nYour last answer to this could not be used. What was wrong with it:\n"
            f"{shown}\nAnswer once more, in the form that was asked for and with nothing around it."
        )
    return ModelRequest(
        task=wanted.context.task,
        model=attempt.choice.name,
        system=wanted.prompt.system,
        user=user,
        schema=wanted.schema,
        schema_name=wanted.schema_name,
        input=wanted.input,
        max_output_tokens=attempt.max_output_tokens,
        end_user=wanted.context.end_user,
        label=wanted.label,
    )


def _restored(answer: ModelAnswer, choice: Choice, wanted: _Wanted[Any]) -> str:
    """The answer's text with what was redacted put back; the parts of this process saw it all anyway."""
    if choice.provider in FREE:
        return answer.text
    return wanted.prompt.restore(answer.text, json=wanted.schema is not None)


def _bytes(request: ModelRequest) -> int:
    """The size of what is sent, rounded up, so that requests of like size share one worst price."""
    schema = "" if request.schema is None else json.dumps(request.schema) + request.schema_name
    texts = (request.system, request.user, schema)
    return -(-sum(len(text.encode("utf-8", "surrogatepass")) for text in texts) // _STEP_BYTES) * _STEP_BYTES


def _told(answer: ModelAnswer, choice: Choice) -> Usage | None:
    """The usage that came with an answer; None where the server told none, which is booked at its worst."""
    usage = answer.usage
    if choice.provider not in FREE and usage.input_tokens <= 0:
        return None
    return usage
