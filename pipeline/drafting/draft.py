"""Writes one draft: the prompt, the gateway, the checks on what came back. Nothing here sends anything."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from pipeline.drafting import routine, strong, templates
from pipeline.drafting.answer import ANSWER_SCHEMA, SCHEMA_NAME, DraftAnswer, read_answer
from pipeline.drafting.claims import Claim, check_claims
from pipeline.drafting.template_provider import NAME as TEMPLATES
from pipeline.drafting.threads import Thread
from pipeline.models.base import Choice
from pipeline.models.gateway import Context, Gateway, Plan
from pipeline.models.prompts import Prompts


@dataclass(frozen=True)
class DraftResult:
    """A draft with what it took, ready for the `drafts` table. It is never sent without a person.

    `source` is model or template. `prompt` is the digest of the prompt file, of a template's file for a
    template. `blocked` are plain sentences why it may not be approved as it stands; empty if it may.
    `cost_usd`, `latency_ms` and `attempts` count every attempt that led here.
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

    def to_json(self) -> dict[str, Any]:
        """The part that `triage draft` and the `drafts` table show of the text itself."""
        return {
            "reply": self.reply,
            "language": self.language,
            "asks": list(self.asks),
            "why": self.why,
            "claims": [claim.to_json() for claim in self.claims],
            "blocked": list(self.blocked),
        }


def write_draft(
    gateway: Gateway,
    prompts: Prompts,
    plan: Plan,
    context: Context,
    thread: Thread,
    *,
    strong: bool,
) -> DraftResult:
    """A routine or a strong draft by the models of the plan, in their order, its claims checked.

    Where the plan ends with the reply templates (the safe default, and all there is without a key), a
    template comes back once every model failed, and says so. Not to be called inside a transaction.
    Raises `AllModelsFailed` where the plan holds no template, `ConfigError` for a damaged prompt file.
    """
    (task, route), variables = _ROUTES[strong]
    prompt = prompts.load(task, route).render(**variables(thread))
    answered = gateway.ask(
        plan,
        prompt,
        context,
        schema=ANSWER_SCHEMA,
        schema_name=SCHEMA_NAME,
        input=structured(thread),
        check=read_answer,
    )
    answer: DraftAnswer = answered.value
    checked = check_claims(
        answer.reply,
        thread,
        stated=[(claim.text, claim.supported_by) for claim in answer.claims],
        instructions=prompt.system,
        fence=prompt.fence,
    )
    from_template = answered.choice.provider == TEMPLATES
    blocked = checked.blocked
    if thread.stranger:
        blocked = (
            f"The last message came from {thread.stranger}, not from {thread.customer_address}: "
            "see that nothing of one goes to the other.",
            *blocked,
        )
    return DraftResult(
        reply=answer.reply,
        language=answer.language,
        asks=tuple(answer.asks),
        why=answer.why,
        claims=checked.claims,
        blocked=blocked,
        source="template" if from_template else "model",
        choice=answered.choice,
        answered_by=answered.answered_by,
        prompt=templates.load(answer.language).digest if from_template else answered.prompt,
        call_id=answered.call_id,
        cost_usd=answered.cost_usd,
        latency_ms=answered.latency_ms,
        attempts=answered.attempts,
    )


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


_ROUTES = {
    False: (routine.PROMPT, routine.variables),
    True: (strong.PROMPT, strong.variables),
}
