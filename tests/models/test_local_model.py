"""The built-in model as its callers see it: one question in, one JSON answer out."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import ModelRejected, ModelTimeout, Usage
from pipeline.models.base import ModelRequest, Provider
from pipeline.models.providers.local import LocalProvider
from pipeline.models.providers.local.fields import KINDS

TOPICS = (
    *("billing", "refund", "order_shipping", "account_access", "bug_report", "how_to", "sales"),
    *("feature_request", "cancellation", "complaint", "other"),
)
Answer = dict[str, Any]
Reads = Callable[..., Answer]


def question(body: str, subject: str | None = None, **given: Any) -> ModelRequest:
    facts = {
        "subject": subject,
        "body": body,
        "topics": list(TOPICS),
        "languages": ["en", "de", "fr", "es", "pt", "it", "nl", "pl"],
        "default_region": None,
        "received": datetime(2026, 11, 20, 9, 0, tzinfo=UTC),
    }
    return ModelRequest(task="triage", model="local", system="", user="", input={**facts, **given})


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all test modules of a run: what is trained once serves them all."""
    return tmp_path_factory.getbasetemp() / "local-model"


@pytest.fixture(scope="module")
def provider(cache: Path) -> LocalProvider:
    one = LocalProvider(cache)
    one.warm()
    return one


@pytest.fixture(scope="module")
def reads(provider: LocalProvider) -> Reads:
    def read(body: str, subject: str | None = None, **given: Any) -> Answer:
        answer: Answer = json.loads(provider.complete(question(body, subject, **given), deadline_s=30).text)
        return answer

    return read


def test_the_answer_has_every_part_and_costs_no_tokens(provider: LocalProvider) -> None:
    door: Provider = provider  # the door that all providers share
    answer = door.complete(question("Where is my parcel? Order 88123"), deadline_s=30)
    said = json.loads(answer.text)
    assert answer.usage == Usage()
    assert answer.model == "local"
    assert set(said) == {
        *(
            "topic",
            "other_topics",
            "confidence",
            "language",
            "urgency",
            "emotion",
            "clarity",
            "fields",
            "summary",
        )
    }
    assert set(said["fields"]) == set(KINDS)
    assert 0.0 <= said["confidence"] <= 1.0


def test_it_does_not_write(provider: LocalProvider) -> None:
    with pytest.raises(ModelRejected, match="only reads"):
        provider.complete(ModelRequest(task="draft", model="local", system="", user=""), deadline_s=5)


def test_a_question_without_a_body_is_refused(provider: LocalProvider) -> None:
    with pytest.raises(ModelRejected, match="body"):
        provider.complete(ModelRequest(task="triage", model="local", system="", user=""), deadline_s=5)


def test_an_answer_after_the_deadline_is_a_timeout(provider: LocalProvider) -> None:
    with pytest.raises(ModelTimeout):
        provider.complete(question("Where is my parcel?"), deadline_s=0.0)


@pytest.mark.parametrize(
    ("body", "topic"),
    [
        ("Hi, the card was debited two times for one and the same basket, can you look into it?", "billing"),
        ("Guten Tag, auf der letzten Rechnung fehlt unsere Bestellreferenz. Bitte korrigieren.", "billing"),
        ("Bonjour, j'ai renvoyé la veste il y a dix jours et j'attends toujours mon argent.", "refund"),
        ("¿Me pueden devolver lo que pagué por la lámpara rota?", "refund"),
        ("het volgnummer van mijn pakje beweegt al een week niet", "order_shipping"),
        ("Potete spedire la lampada al mio ufficio invece che a casa?", "order_shipping"),
        ("the login page says my password is wrong although I just reset it", "account_access"),
        ("Não recebo o e-mail para redefinir a senha.", "account_access"),
        ("Every time I open the statistics tab the program closes itself.", "bug_report"),
        ("Od wczoraj raport eksportuje pusty plik, wyskakuje błąd 500.", "bug_report"),
        ("Where do I set the time zone of my workspace?", "how_to"),
        ("Wie kann ich eine zweite Mailadresse hinterlegen?", "how_to"),
        ("We are a school of 60 teachers and would like an offer for your yearly plan.", "sales"),
        ("It would be lovely if the calendar could show week numbers one day.", "feature_request"),
        ("Hiermit kündige ich meinen Vertrag zum Monatsende.", "cancellation"),
        ("Please cancel the order I placed this morning.", "cancellation"),
        ("I wish to lodge a formal complaint about your driver, who shouted at my mother.", "complaint"),
        ("Can I please talk to somebody who is not a robot?", "other"),
        ("What is the highest mountain in Africa?", "other"),
    ],
)
def test_mails_in_many_languages_and_registers_get_their_topic(reads: Reads, body: str, topic: str) -> None:
    assert reads(body)["topic"] == topic


def test_greeting_signature_and_disclaimer_do_not_drown_the_question(reads: Reads) -> None:
    mail = (
        "Dear Sir or Madam,\n\nI hope this message finds you well.\n\nThe invoice for October shows the wrong "
        "VAT number.\n\nThank you very much in advance for your kind help.\n\nKind regards,\nPetra Lindholm\n"
        "Head of Accounting, Lindholm Shipping AB\nTel: +46 8 123 456 00 | www.lindholm.example\n\nThis e-mail "
        "is confidential and intended solely for the addressee. If you are not the intended recipient, please "
        "delete it.\nPlease consider the environment before printing.\nSent from my iPhone"
    )
    answer = reads(mail, "Question")
    assert answer["topic"] == "billing"
    assert answer["confidence"] > 0.8
    assert answer["summary"] == "The invoice for October shows the wrong VAT number."
    assert answer["fields"]["names"] == [{"value": "Petra Lindholm"}]


def test_only_configured_topics_are_chosen(reads: Reads) -> None:
    left = ["how_to", "cancellation", "other"]
    assert reads("I forgot my password and cannot log in", topics=left)["topic"] in left
    assert reads("I want my money back", topics=["returns_desk"]) == {
        **reads("I want my money back", topics=["returns_desk"]),
        "topic": "returns_desk",
        "confidence": 0.0,
        "clarity": "vague",
    }


def test_a_topic_of_the_teams_own_is_chosen_once_it_has_lines(tmp_path: Path) -> None:
    lines = [
        "Our dog needs an appointment for a vaccination",
        "Can I bring my cat in tomorrow for her shots?",
        "book a vet visit for my rabbit",
        "My puppy is limping, when can the vet see him?",
        "Impftermin für unsere Katze",
        "Je voudrais un rendez-vous chez le vétérinaire",
    ]
    own = LocalProvider(tmp_path, extra_seeds={"vet_visits": lines})
    asked = question("When could the vet look at my hamster?", topics=[*TOPICS, "vet_visits"])
    assert json.loads(own.complete(asked, deadline_s=60).text)["topic"] == "vet_visits"


def test_confidence_is_high_where_it_is_plain_and_low_where_there_is_nothing(reads: Reads) -> None:
    assert reads("Please cancel my subscription")["confidence"] > 0.9
    assert reads("Hello, thank you, best regards")["confidence"] < 0.2


def test_a_good_cache_is_used_and_a_broken_one_is_made_again(
    provider: LocalProvider, cache: Path, tmp_path: Path
) -> None:
    body = "Where is my parcel?"
    wanted = provider.complete(question(body), deadline_s=60).text
    (made,) = cache.glob("*.npz")
    kept = tmp_path / made.name
    shutil.copy(made, kept)
    before = kept.stat().st_mtime_ns
    assert LocalProvider(tmp_path).complete(question(body), deadline_s=60).text == wanted
    assert kept.stat().st_mtime_ns == before, "the cache was not used"
    kept.write_bytes(kept.read_bytes()[:4000])
    assert LocalProvider(tmp_path).complete(question(body), deadline_s=60).text == wanted
    assert kept.stat().st_size == made.stat().st_size, "the broken cache was not replaced"
    assert [path.name for path in tmp_path.iterdir()] == [kept.name]


def test_a_cache_folder_that_cannot_be_made_is_no_obstacle(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    answer = LocalProvider(blocked / "cache").complete(question("Where is my parcel?"), deadline_s=60)
    assert json.loads(answer.text)["topic"] == "order_shipping"


def test_many_threads_get_the_same_answers_as_one(provider: LocalProvider) -> None:
    bodies = [
        "Where is my parcel?",
        "I forgot my PIN",
        "Bitte kündigen Sie mein Abo",
        "J'ai été débité deux fois",
    ] * 6
    alone = [provider.complete(question(body), deadline_s=60).text for body in bodies]

    def ask(body: str) -> str:
        return provider.complete(question(body), deadline_s=60).text

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, bodies)) == alone


@pytest.mark.parametrize(
    "body",
    [
        "a" * 1_000_000,
        "order " * 170_000,
        "1" * 1_000_000,
        "order number " + "# " * 300_000,
        "€" * 200_000 + "1.000" * 100_000,
        "by " * 300_000,
        "+49 (30) " * 100_000,
        "best regards\n" * 80_000,
        "a@" * 300_000,
        "my name is " * 90_000,
        "\u200b\u202e" * 300_000,
        "!?" * 500_000,
        "need need need " * 60_000,
        "订单" * 300_000,
        "Where? " * 140_000,
    ],
    ids=lambda body: repr(body[:12]),
)
def test_no_mail_takes_longer_than_a_second(reads: Reads, body: str) -> None:
    started = time.process_time()
    answer = reads(body, body[:3000])
    assert time.process_time() - started < 1.0
    assert answer["topic"] in TOPICS


@pytest.mark.parametrize("body", ["", " \n\t ", "\x00\x01", "???", "👍", "1234567"])
def test_mails_with_nothing_in_them_are_vague(reads: Reads, body: str) -> None:
    answer = reads(body)
    assert answer["clarity"] == "vague"
    assert answer["confidence"] < 0.5


def test_every_field_value_stands_in_the_text(reads: Reads) -> None:
    subject = "Order 4711-A / Rechnung Nr. RE-2026-118"
    body = (
        "My name is Ann O'Neil. I paid € 1.234,50 on 3 May 2026 for order no. 99812 and 99813, "
        "call me: +44 20 7946 0018 or ann@Example.COM. Kundennummer: K-55120\u200b."
    )
    answer = reads(body, subject)
    for kind, rows in answer["fields"].items():
        assert rows, kind
        for row in rows:
            assert row["value"] in subject or row["value"] in body
