"""One stage alone, row in and row out, without a database: what `triage classify` and `triage draft` do."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.assembly import Brain
from pipeline.db.types import now
from pipeline.drafting.draft import write_draft
from pipeline.drafting.threads import Thread, ThreadMessage
from pipeline.errors import AllModelsFailed, InputError
from pipeline.models.gateway import Context
from pipeline.triage.reading import Reading, only, read
from pipeline.triage.schema import FIELD_KINDS


class _Row(BaseModel):
    # Rows come from anywhere; columns that we do not know are other people's business.
    model_config = ConfigDict(extra="ignore", coerce_numbers_to_str=True)

    id: str


RowT = TypeVar("RowT", bound=_Row)


class ClassifyRow(_Row):
    subject: str | None = None
    body: str | None = None


class DraftMessage(BaseModel):
    model_config = ConfigDict(extra="ignore")

    role: Literal["customer", "agent"]
    text: str
    created: datetime | None = None


class DraftRow(_Row):
    messages: list[DraftMessage] = Field(min_length=1)
    account: dict[str, Any] | None = None
    policy: str | None = None


def classify_row(brain: Brain, row: dict[str, Any], model: str | None = None) -> dict[str, Any]:
    """The cheap stage's result for one message, in the shape that CONTRACT.md gives. Raises `InputError`."""
    given = _checked(ClassifyRow, row)
    try:
        reading = _read(brain, given.subject, given.body or "", model, 1)
    except AllModelsFailed as error:
        return _unread(given.id, str(error))
    answer, answered = reading.answer, reading.answered
    return {
        "id": given.id,
        "topic": answer.topic,
        "other_topics": answer.other_topics,
        "confidence": round(answer.confidence, 4),
        "calibrated": reading.calibrated,
        "language": answer.language,
        "urgency": answer.urgency,
        "emotion": answer.emotion,
        "clarity": answer.clarity,
        "fields": answer.fields.to_json(),
        "summary": answer.summary,
        "route": reading.decision.route,
        "reasons": list(reading.decision.reasons),
        "model": answered.choice.key,
        "prompt": answered.prompt,
        "latency_ms": reading.latency_ms,
        "cost_usd": format(reading.cost_usd, "f"),
    }


def draft_row(brain: Brain, row: dict[str, Any], model: str | None = None) -> dict[str, Any]:
    """A strong draft for one whole thread, in the shape that CONTRACT.md gives. Raises `InputError`.

    The customer's messages are read first for topic, language and fields, the newest one on top.
    """
    given = _checked(DraftRow, row)
    customers = [message.text for message in given.messages if message.role == "customer"]
    if not customers:
        raise InputError("messages: none of them is a customer's")
    try:
        reading = _read(brain, None, "\n\n".join(reversed(customers)), None, len(given.messages))
        thread = Thread(
            messages=tuple(
                ThreadMessage(role=message.role, text=message.text, created=message.created)
                for message in given.messages
            ),
            subject="",
            topic=reading.answer.topic,
            language=reading.answer.language,
            fields=reading.answer.fields.to_json(),
            emotion=reading.answer.emotion,
            customer_name=None,
            sender_name="",
            account=given.account,
            policy=given.policy if given.policy is not None else brain.policy,
            reasons=reading.decision.reasons,
        )
        written = write_draft(
            brain.gateway,
            brain.prompts,
            brain.plan("draft", model=model),
            Context(task="draft", route="strong"),
            thread,
            strong=True,
        )
    except AllModelsFailed as error:
        return {
            "id": given.id,
            "reply": "",
            "language": "",
            "asks": [],
            "why": str(error),
            "claims": [],
            "blocked": ["No model could write a draft."],
            "model": "",
            "prompt": "",
            "latency_ms": 0,
            "cost_usd": "0",
        }
    return {
        "id": given.id,
        **written.to_json(),
        "model": written.choice.key,
        "prompt": written.prompt,
        "latency_ms": written.latency_ms,
        "cost_usd": format(written.cost_usd, "f"),
    }


def _read(brain: Brain, subject: str | None, body: str, model: str | None, thread_length: int) -> Reading:
    second = brain.routes.tasks["triage"].second_model
    return read(
        brain.gateway,
        brain.prompts,
        brain.plan("triage", model=model),
        Context(task="triage", route="cheap"),
        brain.routes,
        subject=subject,
        body=body,
        received=now(),
        thread_length=thread_length,
        calibration=brain.calibration,
        second=only(brain.plan("triage", model=second), second) if second else None,
    )


def _unread(row_id: str, why: str) -> dict[str, Any]:
    return {
        "id": row_id,
        "topic": "other",
        "other_topics": [],
        "confidence": 0.0,
        "calibrated": False,
        "language": "en",
        "urgency": "normal",
        "emotion": "calm",
        "clarity": "vague",
        "fields": {kind: [] for kind in FIELD_KINDS},
        "summary": "",
        "route": "human",
        "reasons": [why],
        "model": "",
        "prompt": "",
        "latency_ms": 0,
        "cost_usd": "0",
    }


def _checked(kind: type[RowT], row: dict[str, Any]) -> RowT:
    try:
        return kind.model_validate_json(json.dumps(row))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InputError(f"{where}: {first['msg']}") from None
