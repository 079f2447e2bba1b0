"""What a model must return as a draft, the JSON schema that says so, and the check of what came back."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from pipeline.errors import ModelOutputInvalid
from pipeline.models.prompts import clean

SCHEMA_NAME = "draft"
SOURCES = ("thread", "account", "policy", "nothing")
MAX_REPLY_CHARS = 6000


Clean = Annotated[str, AfterValidator(clean)]
"""Text as a reader sees it: what prints as nothing could carry anything past the checks to the customer."""


class ClaimAnswer(BaseModel):
    """A statement of the reply, quoted, and what the model says it rests on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    text: Clean
    supported_by: Literal["thread", "account", "policy", "nothing"]


class DraftAnswer(BaseModel):
    """A draft as a model returns it. `asks` are the questions that stand in the reply."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    reply: Clean
    language: str
    asks: list[Clean]
    why: Clean
    claims: list[ClaimAnswer]


# Every key required and none besides: what the strict modes of both providers accept. No lengths or
# counts: one provider takes them as hints, the other refuses some; `read_answer` checks them.
ANSWER_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "reply": {
            "type": "string",
            "description": "The whole reply as plain text, from the greeting to the sign-off.",
        },
        "language": {"type": "string", "description": "ISO 639-1 code of the reply's language."},
        "asks": {
            "type": "array",
            "items": {"type": "string"},
            "description": "The questions in the reply, word for word; at most one.",
        },
        "why": {"type": "string", "description": "One sentence for the agent: why this reply."},
        "claims": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "text": {"type": "string", "description": "A statement of fact, word for word."},
                    "supported_by": {"type": "string", "enum": list(SOURCES)},
                },
                "required": ["text", "supported_by"],
                "additionalProperties": False,
            },
        },
    },
    "required": ["reply", "language", "asks", "why", "claims"],
    "additionalProperties": False,
}

_PLACEHOLDER = re.compile(
    r"\{\{.{0,80}?\}\}|\{[a-z_]{2,30}\}|<[a-z]+(?:[ _][a-z]+){1,4}>"
    r"|\[(?!\.{3}|…)[^\W\d_](?:[^\W_]|[ '’/_.\-]){1,50}\](?!\s*[(:\[])",
    re.IGNORECASE,
)
_MARK = re.compile(r"\W*customer-text-[0-9a-f]*\W*", re.IGNORECASE)
"""The marks around a customer's text in a prompt: they belong in no sentence for an agent either."""
_FENCED = re.compile(r"\s*```(?:json)?\s*\n(.*)\n\s*```\s*", re.DOTALL | re.IGNORECASE)


def read_answer(text: str) -> DraftAnswer:
    """Parse and check a model's answer.

    Raises `ModelOutputInvalid` with a sentence that the model can mend its answer by; it holds none of
    the customer's text.
    """
    fenced = _FENCED.fullmatch(text)
    try:
        answer = DraftAnswer.model_validate_json(fenced[1] if fenced else text)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the answer"
        raise ModelOutputInvalid(f"{where}: {first['msg']}") from None
    reply = answer.reply.strip()
    if not reply:
        raise ModelOutputInvalid("reply: is empty; write the reply to the customer")
    if len(reply) > MAX_REPLY_CHARS:
        raise ModelOutputInvalid(f"reply: is longer than {MAX_REPLY_CHARS} characters; write less")
    if not re.fullmatch(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]+)*", answer.language):
        raise ModelOutputInvalid("language: must be an ISO 639-1 code such as en or de")
    if _PLACEHOLDER.search(reply):
        raise ModelOutputInvalid(
            "reply: holds a placeholder in brackets or braces; fill it from the facts, or leave it out"
        )
    return answer.model_copy(
        update={
            "reply": reply,
            "language": answer.language.lower().replace("_", "-").split("-")[0],
            "asks": [ask.strip() for ask in answer.asks if _stands(ask, reply)][:5],
            "why": " ".join(_MARK.sub(" ", answer.why).split())[:500],
            "claims": answer.claims[:50],
        }
    )


def _stands(ask: str, reply: str) -> bool:
    """Whether a question is one of the reply's: the page shows them apart, and a customer never sees others."""
    return bool(ask.strip()) and " ".join(ask.split()) in " ".join(reply.split())
