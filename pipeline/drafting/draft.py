"""Writes one draft: the prompt, the gateway, the checks on what came back. Nothing here sends anything."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from pipeline.drafting import routine, templates
from pipeline.drafting import strong as strong_route
from pipeline.drafting.answer import ANSWER_SCHEMA, SCHEMA_NAME, DraftAnswer, read_answer
from pipeline.drafting.claims import Claim, check_claims
from pipeline.drafting.summaries import Summary
from pipeline.drafting.template_provider import NAME as TEMPLATES
from pipeline.drafting.threads import Thread, ThreadMessage, older_messages, shortened
from pipeline.errors import AllModelsFailed, ModelTooLong
from pipeline.models.base import Choice
from pipeline.models.gateway import Answered, Context, Gateway, Plan
from pipeline.models.prompts import Prompts, Rendered


@dataclass(frozen=True)
class DraftResult:
    """A draft with what it took, ready for the `drafts` table. It is never sent without a person.

    `source` is model or template. `prompt` is the digest of the prompt file, of a template's file for a
    template. `blocked` are plain sentences why it may not be approved as it stands; empty if it may.
    `summary` is what the model saw of the older messages, None where it saw them as they are.
    `attempts` are those at the draft, and `cost_usd` and `latency_ms` count the summary too; a first round
    in which every model failed told no cost, and has it in the ledger.
    """

    reply: str
    language: str
    asks: tuple[str, ...]
    why: str
    claims: tuple[Claim, ...]
    blocked: tuple[str, ...]
    source: str
    choice: Choice
    answered_by: str
    prompt: str
    call_id: int | None
    cost_usd: Decimal
    latency_ms: int
    attempts: tuple[str, ...]
    summary: Summary | None = None

    def to_json(self) -> dict[str, Any]:
        """The part that `triage draft` and the `drafts` table show of the text itself."""
        return {
            "reply": self.reply,
            "language": self.language,
            "asks": list(self.asks),
            "why": self.why,
            "claims": [claim.to_json() for claim in self.claims],
            "blocked": list(self.blocked),
            "summarised": self.summary is not None,
        }


def write_draft(
    gateway: Gateway,
    prompts: Prompts,
    plan: Plan,
    context: Context,
    thread: Thread,
    *,
    strong: bool,
    summariser: Callable[[Thread], Summary] | None = None,
) -> DraftResult:
    """A routine or a strong draft by the models of the plan, in their order, its claims checked.

    Where the plan ends with the reply templates (the safe default, and all there is without a key), a
    template comes back once every model failed, and says so. `summariser` sums up the older messages of a
    thread that is too long for the prompt's room or for the models; they are asked once more then, and
    what fails after that is for a person. Claims are checked against the whole thread all the same. Not
    to be called inside a transaction. Raises `AllModelsFailed` where the plan holds no template or the
    thread stays too long, `ConfigError` for a damaged prompt file.
    """
    prompt, answered, summary = _asked(gateway, prompts, plan, context, thread, strong, summariser)
    answer: DraftAnswer = answered.value
    from_template = answered.choice.provider == TEMPLATES
    checked = check_claims(
        answer.reply,
        thread,
        stated=[(claim.text, claim.supported_by) for claim in answer.claims],
        instructions=prompt.system,
        fence="" if from_template else prompt.fence,
    )
    seen = None if from_template else summary  # a template reads the messages as they are
    blocked = (*from_a_stranger(thread), *checked.blocked)
    return DraftResult(
        reply=answer.reply,
        language=answer.language,
        asks=tuple(answer.asks),
        why=answer.why if seen is None else f"{answer.why} {_by_summary(seen)}".strip(),
        claims=checked.claims,
        blocked=blocked,
        source="template" if from_template else "model",
        choice=answered.choice,
        answered_by=answered.answered_by,
        prompt=templates.load(answer.language).digest if from_template else answered.prompt,
        call_id=answered.call_id,
        cost_usd=answered.cost_usd + (summary.cost_usd if summary else 0),
        latency_ms=answered.latency_ms + (summary.latency_ms if summary else 0),
        attempts=answered.attempts,
        summary=seen,
    )


def from_a_stranger(thread: Thread) -> tuple[str, ...]:
    """Why no draft on this thread may go out unseen: another address than the customer's wrote last."""
    if not thread.stranger:
        return ()
    return (
        f"The last message came from {thread.stranger}, not from {thread.customer_address}: "
        "see that nothing of one goes to the other.",
    )


def _asked(
    gateway: Gateway,
    prompts: Prompts,
    plan: Plan,
    context: Context,
    thread: Thread,
    strong: bool,
    summariser: Callable[[Thread], Summary] | None,
) -> tuple[Rendered, Answered[DraftAnswer], Summary | None]:
    """The answer, the prompt that it answers, and the summary that stood in it for the older messages."""
    route = _ROUTES[strong]
    template = prompts.load(*route.PROMPT)

    def ask(shown: Thread, plan: Plan) -> tuple[Rendered, Answered[DraftAnswer]]:
        prompt = template.render(**route.variables(shown))
        answered = gateway.ask(
            plan,
            prompt,
            context,
            schema=ANSWER_SCHEMA,
            schema_name=SCHEMA_NAME,
            input=structured(thread),
            check=read_answer,
        )
        return prompt, answered

    models = replace(plan, choices=tuple(choice for choice in plan.choices if choice.provider != TEMPLATES))
    older = older_messages(thread)
    if summariser is None or not models.choices or _chars(older) < WORTH_CHARS:
        return (*ask(thread, plan), None)
    earlier: Answered[DraftAnswer] | None = None
    if _chars(thread.messages) <= route.THREAD_CHARS:
        try:
            prompt, earlier = ask(thread, plan)
        except AllModelsFailed as error:
            if ModelTooLong.kind not in error.kinds:
                raise
        else:
            if earlier.choice.provider != TEMPLATES or ModelTooLong.kind not in earlier.attempts:
                return prompt, earlier, None
        plan = models
    summary = summariser(replace(thread, messages=older))
    short = shortened(thread, summary.as_text(route.THREAD_CHARS // 6), route.THREAD_CHARS)
    prompt, answered = ask(short, plan)
    if answered.choice.provider == TEMPLATES and ModelTooLong.kind in answered.attempts:
        raise AllModelsFailed(f"the thread stays too long for {context.task}", kinds=answered.attempts)
    if earlier is not None:
        answered = replace(
            answered,
            cost_usd=earlier.cost_usd + answered.cost_usd,
            latency_ms=earlier.latency_ms + answered.latency_ms,
        )
    return prompt, answered, summary


WORTH_CHARS = 2_000
"""Older messages that are shorter than this do not make a prompt too long: a summary of them is no help."""


def _chars(messages: Iterable[ThreadMessage]) -> int:
    return sum(len(message.text) for message in messages)


def _by_summary(summary: Summary) -> str:
    how = f"summarised by {summary.by}" if summary.by else "cut down by program"
    return f"The thread was too long: its older messages were {how} before this was written."


def structured(thread: Thread) -> dict[str, Any]:
    """The thread as `ModelRequest.input` has it for task "draft", with the emotion beside it."""
    return {
        "messages": [
            {
                "role": message.role,
                "text": message.text,
                "created": message.created.isoformat() if message.created else None,
            }
            for message in thread.messages
        ],
        "topic": thread.topic,
        "language": thread.language,
        "fields": dict(thread.fields),
        "account": dict(thread.account) if thread.account else None,
        "customer_name": thread.customer_name,
        "sender_name": thread.sender_name,
        "emotion": thread.emotion,
    }


_ROUTES = {False: routine, True: strong_route}
