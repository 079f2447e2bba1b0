"""What a model returned is believed only where it meets the schema and stands in the text."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pipeline.errors import ModelOutputInvalid
from pipeline.triage.checks import checked
from pipeline.triage.schema import FIELD_KINDS, json_schema

TOPICS = ["billing", "refund", "other"]
SOURCE = "Refund please\nMy order 48213 cost 12,50 €.\nWrite to jane@example.com"


def answer(**changes: Any) -> str:
    fields: dict[str, Any] = {kind: [] for kind in FIELD_KINDS}
    fields |= changes.pop("fields", {})
    whole = {
        "topic": "refund",
        "other_topics": [],
        "confidence": 0.9,
        "language": "en",
        "urgency": "normal",
        "emotion": "calm",
        "clarity": "clear",
        "fields": fields,
        "summary": "wants money back",
    }
    return json.dumps(whole | changes)


def test_a_sound_answer_is_taken() -> None:
    found = checked(
        answer(fields={"order_numbers": [{"value": "48213", "normalised": None}]}),
        source=SOURCE,
        topics=TOPICS,
    )
    assert found.fields.order_numbers[0].value == "48213"
    assert found.fields.to_json()["order_numbers"] == [{"value": "48213"}]


def test_a_value_may_differ_in_white_space_only() -> None:
    text = "order\n 48 213"
    assert checked(
        answer(fields={"order_numbers": [{"value": "48 213", "normalised": "48213"}]}),
        source=text,
        topics=TOPICS,
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            answer(fields={"order_numbers": [{"value": "99999", "normalised": None}]}),
            "does not stand verbatim",
        ),
        (answer(topic="sales"), "'sales' is not one of"),
        (answer(other_topics=["sales"]), "'sales' is not one of"),
        (answer(confidence=1.4), "confidence"),
        (answer(urgency="very"), "urgency"),
        (answer(extra="x"), "extra"),
        (answer(language="English"), "language"),
        ("I would say it is a refund.", "JSON"),
        ("[]", "object"),
        ("", "JSON"),
    ],
)
def test_an_unsound_answer_is_refused_with_what_is_wrong(given: str, said: str) -> None:
    with pytest.raises(ModelOutputInvalid, match=f"(?i){said}"):
        checked(given, source=SOURCE, topics=TOPICS)


def test_the_refusal_does_not_repeat_the_customers_words() -> None:
    with pytest.raises(ModelOutputInvalid) as caught:
        checked(answer(urgency="jane@example.com"), source=SOURCE, topics=TOPICS)
    assert "jane" not in str(caught.value)


def test_a_fenced_answer_is_read() -> None:
    assert checked(f"```json\n{answer()}\n```", source=SOURCE, topics=TOPICS).topic == "refund"


def test_the_topic_is_not_repeated_among_the_others() -> None:
    found = checked(answer(other_topics=["refund", "billing", "billing"]), source=SOURCE, topics=TOPICS)
    assert found.other_topics == ["billing"]


def test_the_schema_requires_everything_and_allows_nothing_else() -> None:
    def walk(schema: dict[str, Any]) -> None:
        if schema.get("type") == "object":
            assert schema["required"] == list(schema["properties"])
            assert schema["additionalProperties"] is False
            for inner in schema["properties"].values():
                walk(inner)
        assert not isinstance(schema.get("type"), list), "the anthropic SDK takes no list of types"
        if schema.get("type") == "array":
            walk(schema["items"])

    schema = json_schema(TOPICS)
    walk(schema)
    assert schema["properties"]["topic"]["enum"] == TOPICS


def test_a_regional_language_code_is_folded_unless_the_team_names_it() -> None:
    assert checked(answer(language="pt-BR"), source=SOURCE, topics=TOPICS, languages=["pt"]).language == "pt"
    assert (
        checked(answer(language="pt_br"), source=SOURCE, topics=TOPICS, languages=["pt-br"]).language
        == "pt-br"
    )
