"""What the cheap stage answers about one message: the pydantic model, and the JSON schema made from the topics."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

URGENCIES = ("low", "normal", "high", "critical")
EMOTIONS = ("calm", "worried", "frustrated", "angry")
CLARITIES = ("clear", "vague", "mixed")
FIELD_KINDS = (
    "order_numbers",
    "account_ids",
    "emails",
    "phones",
    "amounts",
    "dates",
    "names",
    "invoice_numbers",
)


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


# PostgreSQL keeps no NUL, and nobody means one.
_clean = AfterValidator(lambda text: text.replace("\0", ""))


class FieldValue(_Closed):
    """A value verbatim from the text, with its normal form beside it where that makes sense."""

    value: Annotated[str, Field(min_length=1, max_length=500)]
    normalised: Annotated[str, _clean] | None = None


Values = Annotated[list[FieldValue], Field(max_length=100)]


class Fields(_Closed):
    order_numbers: Values = []
    account_ids: Values = []
    emails: Values = []
    phones: Values = []
    amounts: Values = []
    dates: Values = []
    names: Values = []
    invoice_numbers: Values = []

    def to_json(self) -> dict[str, list[dict[str, str]]]:
        """As CONTRACT shows it: `normalised` only where there is one."""
        return {
            kind: [value.model_dump(exclude_none=True) for value in getattr(self, kind)]
            for kind in FIELD_KINDS
        }


def _lower(value: object) -> object:
    return value.lower().replace("_", "-") if isinstance(value, str) else value


class TriageAnswer(_Closed):
    """One reading of one message.

    `confidence`, 0 to 1, is the probability that topic, urgency, emotion and clarity are all right as far as
    the route hangs on them: the reader's own, and after `calibration` the measured one.
    """

    topic: str
    other_topics: list[str] = []
    confidence: Annotated[float, Field(ge=0, le=1)]
    language: Annotated[str, BeforeValidator(_lower), Field(pattern=r"^[a-z]{2,3}(-[a-z]{2,8})?$")]
    urgency: Literal["low", "normal", "high", "critical"]
    emotion: Literal["calm", "worried", "frustrated", "angry"]
    clarity: Literal["clear", "vague", "mixed"]
    fields: Fields = Fields()
    summary: Annotated[str, _clean, Field(max_length=400)]


def json_schema(topics: Collection[str]) -> dict[str, Any]:
    """The schema in the subset that both providers' strict modes take: all required, nothing further."""
    value = {
        "type": "object",
        "properties": {
            "value": {"type": "string", "description": "verbatim from the message"},
            "normalised": {  # not a list of types: the anthropic SDK's schema check refuses those
                "anyOf": [{"type": "string"}, {"type": "null"}],
                "description": "ISO date, E.164 phone, `12.50 EUR`; null where none makes sense",
            },
        },
        "required": ["value", "normalised"],
        "additionalProperties": False,
    }
    properties: dict[str, Any] = {
        "topic": {"type": "string", "enum": list(topics)},
        "other_topics": {"type": "array", "items": {"type": "string", "enum": list(topics)}},
        "confidence": {
            "type": "number",
            "description": "0 to 1: your probability that topic, urgency, emotion and clarity are all right",
        },
        "language": {"type": "string", "description": "ISO 639-1 code of the message"},
        "urgency": {"type": "string", "enum": list(URGENCIES)},
        "emotion": {"type": "string", "enum": list(EMOTIONS)},
        "clarity": {"type": "string", "enum": list(CLARITIES)},
        "fields": {
            "type": "object",
            "properties": {kind: {"type": "array", "items": value} for kind in FIELD_KINDS},
            "required": list(FIELD_KINDS),
            "additionalProperties": False,
        },
        "summary": {"type": "string", "description": "one line"},
    }
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
