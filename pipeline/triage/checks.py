"""Checks of a reading by program: its schema, its topics, and that every field value stands in the text."""

from __future__ import annotations

import re
from collections.abc import Collection

from pydantic import ValidationError

from pipeline.errors import ModelOutputInvalid
from pipeline.models.prompts import clean
from pipeline.routing.manipulation import signs_in
from pipeline.triage.cues import urgency_at_least
from pipeline.triage.schema import FIELD_KINDS, Fields, TriageAnswer

_MARK = re.compile(r"[</]*customer-text-[0-9a-f]*>*", re.IGNORECASE)
"""The marks around a message in its prompt: a call's secret, and no part of what its author wants."""
_CODES = ("order_numbers", "account_ids", "invoice_numbers")


def checked(
    answer: str, *, source: str, topics: Collection[str], languages: Collection[str] = ()
) -> TriageAnswer:
    """The answer's text as a value; raises `ModelOutputInvalid` with what is wrong, fit to show the model.

    `source` is subject and body as the model saw them. A value that does not stand there verbatim
    (white space aside) is invented or altered, and nobody may act on it. Nor is a number's normal form
    another number, and the urgency is at least what the program's own cues find in the text.
    """
    try:
        reading = TriageAnswer.model_validate_json(_unfenced(answer))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the answer"
        raise ModelOutputInvalid(f"{where}: {first['msg']}") from None
    unknown = [topic for topic in (reading.topic, *reading.other_topics) if topic not in topics]
    if unknown:
        raise ModelOutputInvalid(f"topic: {unknown[0][:60]!r} is not one of {', '.join(topics)}")
    text = _squeezed(clean(source))
    for kind in FIELD_KINDS:
        for number, value in enumerate(getattr(reading.fields, kind)):
            if _squeezed(clean(value.value)) not in text:
                raise ModelOutputInvalid(
                    f"fields.{kind}[{number}].value does not stand verbatim in the message"
                )
    others = [topic for topic in dict.fromkeys(reading.other_topics) if topic != reading.topic]
    language = reading.language
    if language not in languages:  # "pt-br" is answered in "pt" where a team keeps no closer variant
        language = language.partition("-")[0]
    summary = " ".join(_MARK.sub(" ", clean(reading.summary)).split())
    return reading.model_copy(
        update={
            "other_topics": others,
            "language": language,
            "summary": summary,
            "fields": _sound(reading.fields),
            "urgency": urgency_at_least(reading.urgency, text, to_a_machine=bool(signs_in(source))),
        }
    )


def _sound(fields: Fields) -> Fields:
    """The fields without a normal form that is another number: accounts are looked up by it."""
    return fields.model_copy(
        update={
            kind: [
                value
                if value.normalised is None or _code(value.normalised) == _code(value.value)
                else value.model_copy(update={"normalised": None})
                for value in getattr(fields, kind)
            ]
            for kind in _CODES
        }
    )


def _code(text: str) -> str:
    return re.sub(r"[\W_]", "", text).upper()


def _squeezed(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()


def _unfenced(answer: str) -> str:
    """Compatible servers without enforced schemas like to wrap JSON in a Markdown fence."""
    match = re.fullmatch(r"\s*```(?:json)?\s*(.*?)\s*```\s*", answer, re.DOTALL)
    return match[1] if match else answer
