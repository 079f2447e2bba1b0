"""Every reply template renders, in every language, with nothing unfilled and nothing invented."""

from __future__ import annotations

import itertools
import re

import pytest

from pipeline.drafting import templates
from pipeline.drafting.claims import check_claims
from pipeline.drafting.deadlines import deadlines_in
from pipeline.drafting.known import known_facts, shown_name
from pipeline.drafting.promises import promises_in
from pipeline.drafting.rubric import spoken_language
from pipeline.drafting.threads import Thread, ThreadMessage
from pipeline.routing.reading import read

FIELDS = {
    "order_numbers": ["BC-20417", {"value": "20418"}],
    "invoice_numbers": ["GN-2026-0311"],
    "account_ids": ["HL-4471"],
    "amounts": [{"value": "49,90 €", "normalised": "49.90 EUR"}],
    "dates": [{"value": "3.5.", "normalised": "2026-05-03"}],
    "emails": ["kim@duinweg.example"],
}
TEXT = "BC-20417 and 20418, GN-2026-0311, HL-4471, 49,90 €, 3.5., kim@duinweg.example"
EVERY = list(
    itertools.product(
        templates.NEEDS,
        templates.LANGUAGES,
        ("calm", "worried", "frustrated", "angry"),
        ({}, FIELDS),
        (None, "Eva Maier"),
    )
)


def test_there_is_a_template_for_each_topic_of_the_shipped_routing_table(pytestconfig: pytest.Config) -> None:
    shipped = read(pytestconfig.rootpath / "routes.toml")
    for language in templates.LANGUAGES:
        assert set(templates.load(language).topics) == set(shipped.topics) == set(templates.NEEDS)


def test_nothing_is_left_unfilled_in_any_template() -> None:
    for topic, language, emotion, fields, name in EVERY:
        reply = templates.reply(topic, language, fields, name, emotion, "Harbor Line")
        assert not re.search(r"[{}\[\]<>]|None|  |\.\.", reply.text), reply.text
        assert reply.text.endswith("\nHarbor Line")
        assert (name or "Eva") not in reply.text if name is None else name in reply.text
        assert reply.language == language


def test_no_template_promises_sets_a_time_or_claims_what_nobody_said() -> None:
    for topic, language, emotion, fields, name in EVERY:
        reply = templates.reply(topic, language, fields, name, emotion, "Harbor Line")
        thread = Thread((ThreadMessage("customer", TEXT if fields else ""),), sender_name="Harbor Line")
        checked = check_claims(reply.text, thread)
        assert checked.blocked == (), reply.text
        assert [claim for claim in checked.claims if claim.supported_by == "nothing"] == [], reply.text
        assert not promises_in(reply.text), reply.text
        assert not deadlines_in(reply.text), reply.text


def test_each_template_reads_as_its_own_language() -> None:
    for topic, language in itertools.product(templates.NEEDS, templates.LANGUAGES):
        assert spoken_language(templates.reply(topic, language, {}).text) == language


def test_an_order_without_its_number_is_asked_for_and_with_it_is_not() -> None:
    without = templates.reply("order_shipping", "en", {})
    assert without.asks == ("Could you please send us your order number?",)
    assert without.asks[0] in without.text
    given = templates.reply("order_shipping", "en", {"order_numbers": ["BC-20417"]})
    assert given.asks == ()
    assert "?" not in given.text
    assert "order number BC-20417" in given.text


def test_at_most_one_thing_is_asked() -> None:
    for topic, language, emotion, fields, name in EVERY:
        reply = templates.reply(topic, language, fields, name, emotion)
        assert reply.text.count("?") <= 1
        assert len(reply.asks) == reply.text.count("?")


def test_what_the_customer_wrote_is_not_asked_for() -> None:
    text = "It closes by itself on my iPhone 15."
    assert templates.reply("bug_report", "en", {}, text="It closes by itself.").asks
    assert not templates.reply("bug_report", "en", {}, text=text).asks
    assert not templates.reply("sales", "es", {}, text="para 12 usuarios").asks


def test_an_angry_customer_gets_an_apology_first() -> None:
    words = {"en": "apologise", "de": "entschuldigen", "fr": "excuses", "es": "disculpas"}
    words |= {"it": "scusiamo", "nl": "excuses", "pt": "desculpas"}
    for language, word in words.items():
        angry = templates.reply("billing", language, {}, emotion="angry").text
        assert word in angry.split("\n\n")[1]
        assert word not in templates.reply("billing", language, {}, emotion="calm").text


def test_an_unknown_topic_is_answered_as_other_and_an_unknown_language_in_english() -> None:
    assert templates.reply("warranty", "de", {}).topic == "other"
    assert templates.reply("warranty", "de", {}).text == templates.reply("other", "de", {}).text
    assert templates.reply("billing", "ja", {}).language == "en"
    assert templates.reply("billing", "de-AT", {}).language == "de"
    assert templates.reply("billing", "PT_br", {}).language == "pt"


def test_a_field_value_that_is_not_what_it_claims_to_be_is_not_shown() -> None:
    hostile = {
        "order_numbers": ["http://evil.example/1", "see evil.example/2", "1" * 80, "<b>12</b>"],
        "amounts": ["49 € sent to kim@evil.example", "{sender}"],
        "dates": ["3 May, visit www.evil.example"],
    }
    assert known_facts(hostile) == {}
    assert "evil" not in templates.reply("other", "en", hostile).text


def test_a_greeting_shows_names_only() -> None:
    assert shown_name("KELLER, MARIA") == "Maria Keller"
    assert shown_name("Jean-Luc d'Arc") == "Jean-Luc d'Arc"
    assert shown_name("山田 太郎") == "山田 太郎"
    for odd in (None, "", "http://evil.example", "kim@x.example", "Support Team", "Win 500 EUR", "a" * 60):
        assert shown_name(odd) is None


def test_the_digest_tells_the_version_of_the_language_file() -> None:
    digests = {templates.load(language).digest for language in templates.LANGUAGES}
    assert len(digests) == len(templates.LANGUAGES)
    assert all(re.fullmatch(r"[0-9a-f]{12}", digest) for digest in digests)
