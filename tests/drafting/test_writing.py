"""An agent's own text, reworked: the words may change, what it says may not."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.db.store import Store
from pipeline.db.tables import metadata, model_calls
from pipeline.drafting.rubric import spoken_language
from pipeline.drafting.threads import Thread, ThreadMessage
from pipeline.drafting.writing import (
    TOOLS,
    Case,
    Written,
    changes,
    faults_in,
    marks,
    prompt_for,
    read_cases,
    write,
)
from pipeline.errors import AllModelsFailed, InputError
from pipeline.models.base import Choice, Provider
from pipeline.models.gateway import Context, Gateway, Plan
from pipeline.models.ledger import StoreLedger
from pipeline.models.prices import Prices
from pipeline.models.prompts import Prompts
from pipeline.models.providers.anthropic import AnthropicProvider
from pipeline.models.providers.openai import OpenAIProvider
from pipeline.models.redaction import Redactor
from tests.kit import model_replies as replies
from tests.kit.model_server import ModelServer

ROOT = Path(__file__).parents[2]
PROMPTS = Prompts(ROOT / "prompts")
CASES = ROOT / "prompts" / "writing" / "cases.jsonl"
OPENAI = Choice("gpt-6-luna", "openai", "gpt-6-luna", "cheap")
ANTHROPIC = Choice("claude-haiku-5-5", "anthropic", "claude-haiku-5-5", "cheap", role="backup")
TEXT = (
    "Hello Dana, we has sent 49 € for order BC-20417 to you on 3 May. Look at https://help.harbor.example/pay"
)
MENDED = TEXT.replace("we has sent", "we have sent")


@pytest.fixture(scope="module")
def wire() -> Iterator[tuple[ModelServer, dict[str, Provider]]]:
    with ModelServer() as server:
        openai = OpenAIProvider("sk-test", server.openai_url)
        anthropic = AnthropicProvider("sk-ant-test", server.anthropic_url)
        yield server, {"openai": openai, "anthropic": anthropic}
        openai.close()
        anthropic.close()


@pytest.fixture
def server(wire: tuple[ModelServer, dict[str, Provider]]) -> ModelServer:
    wire[0].forget()
    return wire[0]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(f"sqlite:///{tmp_path / 'triage.db'}")
    metadata.create_all(store.engine)
    yield store
    store.close()


Rework = Callable[..., Written]


@pytest.fixture
def rework(wire: tuple[ModelServer, dict[str, Provider]], server: ModelServer, store: Store) -> Rework:
    gateway = Gateway(wire[1], StoreLedger(store), Prices(), backoff_s=0.01)

    def ask(*choices: Choice, tool: str = "grammar", text: str = TEXT, **more: Any) -> Written:
        plan = Plan(choices, (), {"cheap": 20.0}, max_output_tokens=2000)
        context = Context(task="writing", route="cheap")
        return write(gateway, PROMPTS, plan, context, tool=tool, text=text, **{"language": "en", **more})

    return ask


@pytest.mark.parametrize("choice", [OPENAI, ANTHROPIC])
def test_a_text_comes_back_reworked_with_its_ledger_row(
    rework: Rework, server: ModelServer, store: Store, choice: Choice
) -> None:
    server.script(replies.ok({"text": MENDED}))
    thread = Thread((ThreadMessage("customer", "Where is my money?"),))
    result = rework(choice, thread=thread)
    assert (result.text, result.model, result.warnings) == (MENDED, choice.key, ())
    seen = server.journal[0].seen
    assert TOOLS["grammar"].instruction in seen.user
    assert "| Where is my money?" in seen.user
    assert "BC-20417" not in seen.system
    with store.read() as connection:
        (row,) = connection.execute(model_calls.select()).all()
    assert (row.id, row.task, row.state, row.prompt) == (result.call_id, "writing", "ok", result.prompt)
    assert row.cost_usd == result.cost_usd > 0


def test_a_result_that_changes_a_number_is_mended_in_one_more_try(
    rework: Rework, server: ModelServer
) -> None:
    server.script(replies.ok({"text": MENDED.replace("BC-20417", "BC-20471")}), replies.ok({"text": MENDED}))
    assert rework(OPENAI).text == MENDED
    assert "BC-20417 of the original is missing" in server.journal[1].seen.user


def test_a_result_that_tells_the_prompt_is_never_shown(rework: Rework, server: ModelServer) -> None:
    server.answer_by(lambda seen: {"text": f"{MENDED} {seen.system[200:520]}"})
    with pytest.raises(AllModelsFailed):
        rework(OPENAI)
    server.answer_by(lambda seen: {"text": f"{MENDED} {seen.user.split('<<')[1].split('>>')[0]}"})
    with pytest.raises(AllModelsFailed):
        rework(OPENAI)


def test_a_promise_that_the_text_did_not_hold_is_told_to_the_agent(
    rework: Rework, server: ModelServer
) -> None:
    text = "Hello Dana, we are looking at the broken grinder and come back to you."
    server.script(replies.ok({"text": "Hello Dana, we will refund you the grinder within two days."}))
    warnings = rework(OPENAI, tool="friendly", text=text).warnings
    assert any("money back" in warning for warning in warnings)
    assert any("within two days" in warning for warning in warnings)


def test_without_a_model_nothing_is_made_up(rework: Rework) -> None:
    with pytest.raises(AllModelsFailed):
        rework()


@pytest.mark.parametrize(
    ("wrong", "why"),
    [({"tool": "poem"}, "no writing tool"), ({"text": " "}, "no text"), ({"text": "a" * 12_001}, "longer")],
)
def test_what_cannot_be_worked_on_is_refused_before_any_call(
    rework: Rework, server: ModelServer, wrong: dict[str, str], why: str
) -> None:
    with pytest.raises(InputError, match=why):
        rework(OPENAI, **wrong)
    assert server.journal == []


# --- what must hold ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "result"),
    [
        (
            "Your refund of 1,234.50 € for BC-20417 comes on May 3, 2026 at 2 pm.",
            "Die Erstattung von 1.234,50 € für BC-20417 kommt am 3. Mai 2026 um 14 Uhr.",
        ),
        ("We close at 2:30 pm.", "Nous fermons à 14h30."),
        ("We close at 2 pm.", "Cerramos a las 14 horas."),
        ("You have 10,000 points.", "Vous avez 10 000 points."),
        ("Cancelled as of 30 November.", "Zum 30.11. gekündigt."),
        ("Wait 24 hours.", "Attendez 24 h."),
    ],
)
def test_another_spelling_of_a_figure_is_no_change(text: str, result: str) -> None:
    assert list(changes(text, result)) == []


@pytest.mark.parametrize(
    ("text", "result", "why"),
    [
        ("It costs 49 €.", "It costs $49.", "another currency"),
        ("It costs 49 €.", "It costs 59 €.", "figure 49 of the original is missing"),
        ("Call +49 30 123456.", "Call +49 30 123457.", "+49 30 123457 does not stand"),
        ("Write to a@b.example.", "Write to a@c.example.", "a@b.example of the original"),
        ("See https://b.example/x.", "See https://b.example/y.", "https://b.example/y does not stand"),
        ("On 3 May.", "On 4 May.", "figure 4 does not stand"),
        ("At 2 pm.", "At 3 pm.", "figure 3:00 does not stand"),
        ("A discount.", "A 10 % discount.", "figure 10 does not stand"),
    ],
)
def test_a_figure_link_or_address_that_changed_is_found(text: str, result: str, why: str) -> None:
    assert any(why in change for change in changes(text, result))


def test_a_result_must_be_what_the_tool_says() -> None:
    text = "Thank you for writing to us about your parcel; we are looking into it today."
    german = "Vielen Dank für Ihre Nachricht zu Ihrem Paket; wir gehen der Sache heute nach."
    assert list(faults_in("translate", text, german, "de")) == []
    assert list(faults_in("translate", text, text, "de")) == ["is not in the language de"]
    assert list(faults_in("formal", text, german, "en")) == ["is not in the language en"]
    assert list(faults_in("shorten", text, f"{text} Yes.", "en")) == ["is not shorter than the original"]
    assert list(faults_in("grammar", text, "", "en")) == ["is empty; give the whole reworked text"]
    assert list(faults_in("formal", text, f"Dear [Customer Name], {text}", "en")) == [
        "holds the placeholder [Customer Name]"
    ]


# --- the cases --------------------------------------------------------------------------------------------


def cases() -> list[Case]:
    return read_cases(CASES)


def test_the_cases_are_consistent_and_cover_every_tool_in_several_languages() -> None:
    assert len(cases()) >= 20
    for tool in TOOLS:
        languages = {case.rubric.language for case in cases() if case.tool == tool}
        assert len(languages) >= 4 - (tool == "refine"), tool
    known = {"en", "de", "fr", "es", "it", "nl", "pt", "pl"}
    assert {case.rubric.language for case in cases()} == known
    for case in cases():
        assert spoken_language(case.text) == case.text_language, case.id
        assert (case.tool == "translate") == (case.text_language != case.rubric.language), case.id
        for pattern in case.rubric.must_mention:
            if re.search(r"\d", re.sub(r"\\.|\[.*?\]|\{.*?\}", "", pattern)):
                figure = re.sub(r"\D", "", pattern.split("|")[0])
                assert figure in re.sub(r"\D", "", case.text), (case.id, pattern)
        for pattern in case.rubric.must_not_mention:
            re.compile(pattern)
        if case.tool == "shorten":
            assert case.rubric.max_words < len(case.text.split()) * 0.85, case.id
        if case.rubric.must_not_mention and case.tool in ("grammar", "formal"):
            assert not marks(case, case.text)["must_not_mention"], case.id


GOOD = {
    "grammar-de": "Guten Tag Herr Yıldız,\n\nvielen Dank für Ihre Geduld. Wir haben gesehen, dass die Rechnung "
    "R-7781 über 89,90 € doppelt gebucht wurde, und klären das mit der Buchhaltung.\n\nViele "
    "Grüße\nIhr Team",
    "grammar-pl": "Dzień dobry Pani Nowicka,\n\ndziękujemy za wiadomość. Sprawdziliśmy zamówienie KR-2208 i "
    "wygląda na to, że kurier nie zastał nikogo pod adresem w dniu 12.11.\n\nPozdrawiamy\nKoło i "
    "Rama",
    "shorten-it": "Gentile signora Ricci,\n\ngrazie per la pazienza. Può spostare l'appuntamento qui: "
    "https://agenda.rifugio.example/sposta entro le 18:00 di oggi.\n\nCordiali saluti,\nRifugio "
    "Viaggi",
    "shorten-es": "Hola, Sr. Ibarra:\n\nSu paquete con el pedido LM-30077 ha llegado a nuestro almacén y ahora "
    "lo revisa el taller.\n\nUn saludo,\nLa Montura",
    "formal-fr": "Bonjour Chloé, soyez rassurée : votre facture FA-3021 est bien réglée. Nous vous envoyons le "
    "reçu dans la journée. Cordialement, Karim",
    "friendly-en": "Thank you for your message. I am sorry, but we cannot take the item back: the return period "
    "of 30 days ended on 2 November. If it turns out to be faulty, please do write to us again.",
    "translate-en-de": "Sehr geehrter Herr Vogt,\n\ndie Erstattung von 1.250,00 EUR für die Buchung RF-6011 wurde am "
    "3. November 2026 um 14:30 Uhr überwiesen. Bitte prüfen Sie Ihr Konto.\n\nMit freundlichen "
    "Grüßen\nRifugio Travel",
    "translate-en-nl": "Onze werkplaats gaat om 9.00 uur open en sluit om 18.00 uur. Uw fiets VW-80231 staat sinds "
    "maandag klaar, dus u kunt hem ophalen wanneer het u uitkomt.",
    "translate-de-pl": "Dzień dobry, Pani Kowalczyk, Pani paczka VW-71220 czeka od 11.11. w punkcie odbioru. Proszę "
    "zabrać ze sobą dowód tożsamości.",
    "refine-es": "Hola, Sra. Fuentes: Su cuenta se bloqueó por tres intentos. Para desbloquearla, pulse en el "
    "enlace que enviamos a la dirección de la cuenta. Saludos, Tallyroom",
}  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_the_marks_and_checks_pass_a_good_result(name: str) -> None:
    case = next(case for case in cases() if case.id == name)
    assert list(faults_in(case.tool, case.text, GOOD[name], case.rubric.language)) == []
    assert set(marks(case, GOOD[name]).values()) == {True}, marks(case, GOOD[name])


def test_the_marks_fail_a_bad_result() -> None:
    case = next(case for case in cases() if case.id == "shorten-es")
    bad = f"{case.text.replace('LM-30077', 'LM-30078')} And we are so very happy about it. " * 2
    assert not any(marks(case, bad)[name] for name in ("kept", "max_words", "shorter", "must_mention"))


def test_a_known_customers_name_is_redacted_in_text_and_thread() -> None:
    said = "The parcel for Brunhilde Kowalczyk is late."
    thread = Thread((ThreadMessage("customer", said),), customer_name="Brunhilde Kowalczyk")
    prompts = Prompts(ROOT / "prompts", Redactor(("names",)))
    prompt = prompt_for(prompts, tool="formal", text=said, language="en", thread=thread)
    assert "Kowalczyk" not in prompt.user
    assert prompt.restore("[name 1]", json=False) == "Brunhilde Kowalczyk"
