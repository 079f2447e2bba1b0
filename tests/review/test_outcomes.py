import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.review.diff import diff
from pipeline.review.letters import take_apart
from pipeline.review.outcomes import Thresholds, grade, measure, tokens

DRAFT = (
    "Hi Anna,\n\nThanks for writing. Your order 4711 left our warehouse on Monday and should arrive by Friday. "
    "If it does not, please tell us and we will send another one at once.\n\nBest regards,\nThe Shop team"
)


def test_a_draft_sent_as_it_is_is_as_is() -> None:
    measured = measure(DRAFT, DRAFT, "en")
    assert (measured.outcome, measured.edit_share, measured.hter, measured.why) == ("as_is", 0.0, 0.0, "")


def test_another_greeting_and_sign_off_are_no_rewrite_and_are_told() -> None:
    sent = DRAFT.replace("Hi Anna", "Hello Ms. Smith").replace("Best regards", "Kind regards")
    measured = measure(DRAFT, sent, "en")
    assert (measured.outcome, measured.edit_share) == ("as_is", 0.0)
    assert measured.why == "the greeting and the sign-off changed too, which does not count"


@pytest.mark.parametrize(
    ("language", "draft", "sent"),
    [
        (
            "de",
            "Hallo Jan,\n\nder Betrag ist da.\n\nViele Grüße\nIhr Team",
            "Sehr geehrter Herr Maier,\n\nder Betrag ist da.\n\nMit freundlichen Grüßen\nA. Weiss",
        ),
        (
            "fr",
            "Bonjour Camille,\n\nle colis part demain.\n\nCordialement,\nL'équipe",
            "Chère Madame,\n\nle colis part demain.\n\nBien cordialement",
        ),
        (
            "es",
            "Hola Lucía:\n\nel pedido sale hoy.\n\nUn saludo\nShop",
            "Buenos días:\n\nel pedido sale hoy.\n\nAtentamente",
        ),
        (
            "it",
            "Ciao Luca,\n\nil pacco parte oggi.\n\nCordiali saluti\nShop",
            "Gentile Luca,\n\nil pacco parte oggi.\n\nSaluti",
        ),
        (
            "nl",
            "Beste Jan,\n\nhet pakket is weg.\n\nMet vriendelijke groet,\nShop",
            "Hoi Jan,\n\nhet pakket is weg.\n\nGroeten",
        ),
        (
            "pt",
            "Olá Ana,\n\no pacote saiu hoje.\n\nAtenciosamente,\nShop",
            "Bom dia,\n\no pacote saiu hoje.\n\nUm abraço",
        ),
        (
            "ja",
            "田中様\n\nご注文は発送されました。\n\nよろしくお願いいたします。\n店",
            "こんにちは。\nご注文は発送されました。\n\n敬具",
        ),
    ],
)
def test_greetings_and_sign_offs_of_seven_languages_stand_apart(language: str, draft: str, sent: str) -> None:
    assert measure(draft, sent, language).edit_share == 0.0


def test_a_thank_you_within_the_text_is_not_a_sign_off() -> None:
    letter = take_apart("Hello,\n\nThank you for your patience with us.\nThe parts arrive on Monday.")
    assert letter.sign_off == ""
    assert letter.body.startswith("Thank you for your patience")


def test_white_space_quotes_and_signature_do_not_count() -> None:
    sent = DRAFT.replace("\n\n", "\n\n\n").replace(" order", "  order")
    sent += "\n\n-- \nShop GmbH, Main Street 1\n\nOn Mon, 2 Nov 2026, Anna wrote:\n> where is my order?"
    assert measure(DRAFT, sent, "en").edit_share == 0.0


def test_shares_are_tokens_changed_of_the_longer_text() -> None:
    measured = measure("one two three four", "one two three five six", "en")
    assert measured.edit_share == pytest.approx(2 / 5)
    assert measured.hter == pytest.approx(2 / 5)
    assert measure("a b c d e f g h", "a b", "en").hter == pytest.approx(3.0)


def test_the_style_of_marks_is_no_change() -> None:
    typed = """The "Pause" button - it's in (your) profile, isn't it?"""
    assert measure(typed, "The „Pause“ button – it’s in (your) profile, isn’t it?", "en").edit_share == 0.0
    assert measure("本日(3月)発送、確認済み!", "本日（３月）発送、確認済み！", "ja").edit_share == 0.0


def test_the_thresholds_fall_where_they_are_written() -> None:
    shares = {0.0: "as_is", 0.05: "as_is", 0.0501: "light", 0.399: "light"}
    shares |= {0.40: "heavy", 0.599: "heavy", 0.60: "rewritten", 1.0: "rewritten"}
    assert {share: grade(share) for share in shares} == shares
    assert grade(0.3, Thresholds(as_is=0.0, heavy=0.2, rewritten=0.25)) == "rewritten"


def test_languages_without_spaces_are_compared_by_characters() -> None:
    measured = measure("ご注文は明日届きます。", "ご注文は明後日届きます。", "ja")
    assert measured.outcome == "light"
    assert measured.edit_share == pytest.approx(1 / 12)
    # the script decides too, should the language have been read wrongly
    assert measure("ご注文は明日届きます。", "ご注文は明後日届きます。", "en").edit_share == pytest.approx(
        1 / 12
    )


def test_an_order_number_is_one_token_in_every_language() -> None:
    assert "A-4711" in tokens("注文A-4711は", "en")
    assert tokens("12.50 EUR", "en") == ["12.50", "EUR"]


def test_an_answer_in_another_language_is_a_rewrite() -> None:
    sent = "Hallo Anna,\n\nIhre Bestellung hat unser Lager am Montag verlassen.\n\nViele Grüße"
    assert measure(DRAFT, sent, "en").outcome == "rewritten"


def test_a_reply_of_a_greeting_only_is_compared_whole() -> None:
    assert measure("Thanks!", "Thanks!", "en").outcome == "as_is"
    assert measure("Thanks!", "The refund is on its way to you now.", "en").outcome == "rewritten"


def test_what_cannot_be_compared_says_why() -> None:
    measured = measure("", "Hello there, it works now.", "en")
    assert (measured.outcome, measured.edit_share) == ("unscorable", None)
    assert "no words" in measured.why
    assert "too long" in measure("word " * 20_001, "word", "en").why


@given(st.text(max_size=200), st.text(max_size=200), st.sampled_from(["en", "ja", "th", "de"]))
def test_any_two_texts_give_a_share_between_zero_and_one(draft: str, sent: str, language: str) -> None:
    measured = measure(draft, sent, language)
    assert measured.edit_share is None or 0.0 <= measured.edit_share <= 1.0
    back = measure(sent, draft, language)
    assert (back.edit_share is None) == (measured.edit_share is None)
    assert back.edit_share == measured.edit_share


@given(st.text(max_size=120), st.text(max_size=120), st.sampled_from(["", "en", "ja"]))
def test_the_pieces_of_a_diff_are_both_texts(draft: str, text: str, language: str) -> None:
    pieces = diff(draft, text, language)
    assert "".join(p.text for p in pieces if p.kind != "added") == draft.replace("\r\n", "\n")
    assert "".join(p.text for p in pieces if p.kind != "removed") == text.replace("\r\n", "\n")


def test_neighbouring_changes_read_as_one() -> None:
    pieces = diff("we will refund it now.", "we can not pay it now.", "en")
    assert [(p.kind, p.text) for p in pieces] == [
        ("same", "we "), ("removed", "will refund"), ("added", "can not pay"), ("same", " it now."),
    ]  # fmt: skip
