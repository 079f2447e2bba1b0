"""Checks of a reading by program: its schema, its topics, and that every field value stands in the text."""

from __future__ import annotations

import re
from collections.abc import Collection

from pydantic import ValidationError

from pipeline.errors import ModelOutputInvalid
from pipeline.models.prompts import clean
from pipeline.triage.schema import FIELD_KINDS, TriageAnswer


def checked(
    answer: str, *, source: str, topics: Collection[str], languages: Collection[str] = ()
) -> TriageAnswer:
    """The answer's text as a value; raises `ModelOutputInvalid` with what is wrong, fit to show the model.

    `source` is subject and body as the model saw them. A value that does not stand there verbatim
    (white space aside) is invented or altered, and nobody may act on it.
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
    summary = " ".join(reading.summary.split())
    return reading.model_copy(update={"other_topics": others, "language": language, "summary": summary})


def _squeezed(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()


def _unfenced(answer: str) -> str:
    """Compatible servers without enforced schemas like to wrap JSON in a Markdown fence."""
    match = re.fullmatch(r"\s*```(?:json)?\s*(.*?)\s*```\s*", answer, re.DOTALL)
    return match[1] if match else answer
