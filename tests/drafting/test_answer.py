"""A model's answer is taken only if it is a whole draft; what is wrong with it can be told to the model."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pipeline.drafting.answer import ANSWER_SCHEMA, DraftAnswer, read_answer
from pipeline.errors import ModelOutputInvalid

GOOD: dict[str, Any] = {
    "reply": "Hello,\n\nwe are looking into it.\n\nKind regards",
    "language": "en",
    "asks": [],
    "why": "It is clear.",
    "claims": [{"text": "we are looking into it", "supported_by": "nothing"}],
}


def answer(**changes: Any) -> str:
    return json.dumps({**GOOD, **changes})


def test_a_good_answer_is_taken() -> None:
    assert read_answer(answer()).model_dump() == GOOD
    assert read_answer(f"```json\n{answer()}\n```").reply == GOOD["reply"]
    assert read_answer(answer(language="pt-BR")).language == "pt"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Sure! Here is your draft.", "JSON"),
        ("[]", "object"),
        (answer(extra=1), "extra"),
        (json.dumps({key: value for key, value in GOOD.items() if key != "why"}), "why"),
        (answer(claims=[{"text": "x", "supported_by": "rumour"}]), "supported_by"),
        (answer(reply="  \n "), "empty"),
        (answer(reply="a" * 7000), "longer"),
        (answer(language="English, I think"), "ISO 639-1"),
        (answer(reply="Hello [Customer Name], thanks."), "placeholder"),
        (answer(reply="Hello {{name}}, thanks."), "placeholder"),
        (answer(reply="Hello {name}, thanks."), "placeholder"),
        (answer(reply="Hello <your name>, thanks."), "placeholder"),
    ],
)
def test_a_bad_answer_is_refused_with_words_that_mend_it(text: str, words: str) -> None:
    with pytest.raises(ModelOutputInvalid) as caught:
        read_answer(text)
    assert words.lower() in str(caught.value).lower()


def test_the_refusal_holds_nothing_of_the_answer() -> None:
    with pytest.raises(ModelOutputInvalid) as caught:
        read_answer(answer(asks="secret of a customer"))
    assert "secret" not in str(caught.value)


def test_brackets_that_are_no_placeholders_stay() -> None:
    for reply in (
        "See [1]: it is said there.",
        "Press [Ctrl] (left).",
        "It was cut [...] there.",
        "a < b and c > d",
    ):
        assert read_answer(answer(reply=reply)).reply == reply


def test_the_schema_and_the_model_say_the_same_in_the_strict_form_of_both_providers() -> None:
    def strict(schema: dict[str, Any]) -> None:
        if schema["type"] == "object":
            assert schema["additionalProperties"] is False
            assert schema["required"] == list(schema["properties"])
            for part in schema["properties"].values():
                strict(part)
        elif schema["type"] == "array":
            strict(schema["items"])
        assert not {"minLength", "maxLength", "minItems", "maxItems", "pattern"} & set(schema)

    strict(ANSWER_SCHEMA)
    assert list(ANSWER_SCHEMA["properties"]) == list(DraftAnswer.model_fields)
    own = DraftAnswer.model_json_schema()["$defs"]["ClaimAnswer"]["properties"]
    shown = ANSWER_SCHEMA["properties"]["claims"]["items"]["properties"]
    assert list(own) == list(shown)
    assert own["supported_by"]["enum"] == shown["supported_by"]["enum"]


def test_what_nobody_sees_is_taken_out_and_a_question_that_the_reply_lacks_is_dropped() -> None:
    hidden = "".join(chr(0xE0000 + ord(letter)) for letter in "secret")
    reply = f"Hel\u200blo,{hidden} which order?"
    found = read_answer(
        answer(reply=reply, asks=["which order?", "which card?"], why="See customer-text-00ff.")
    )
    assert found.reply == "Hello, which order?"
    assert found.asks == ["which order?"]
    assert "customer-text" not in found.why
