"""A reply taken apart: what agents of many languages write above and below a text is not its body."""

import pytest

from pipeline.review.letters import take_apart

BODY = "The order left on Monday. It comes soon."

GREETINGS = """
Hi there | Hi, Anna, | Hallo, Frau Weber, | Sehr geehrte Frau Dr. Lindqvist, | Guten Tag Herr von der Au,
Salut Thomas ! | Madame, Monsieur, | Cher Monsieur Diallo, | Hola, Marta: | Buenas tardes, don Luis:
Estimada Sra. Vidal: | Gentile dott.ssa Rossi, | Geachte heer De Vries, | Dag Fleur, | Witaj Anno, | Olá, Beatriz,
Oi, Bia! | お客様 | 佐藤 由美 様 | 株式会社みどり 御中 | 王女士: | 王女士,您好: | 亲爱的客户: | 您好!
안녕하세요, 김민수님.
"""
CLOSINGS = """
Best wishes,/Tom from Northwind | Kind regards from Bath,/Tom | Have a great day!/Tom | Viele Grüße aus Leipzig/Nils
Schönen Tag noch/Nils | Belle journée,/Aurélie | À bientôt,/Aurélie | Un abrazo,/Inés | Reciba un cordial saludo,/Ventas
Nous vous prions d'agréer nos salutations distinguées./Aurélie | Un caro saluto,/Paolo | A presto,/Il team
Hoogachtend,/Noor | Fijne dag,/Noor | Pozdrawiamy/Zespół | Serdecznie pozdrawiam,/Ewa | Z wyrazami szacunku/Ewa
Abraços,/Equipe | Att.,/Rafa | どうぞよろしくお願い申し上げます。/森 | 此致敬礼/小李 | 此致/敬礼/小李 | 谢谢!/小李
"""
BELOW = [
    "On Tue, 3 Mar 2026 at 09:14, Ann Reyes\n<ann@reyes.example> wrote:\n> where is it?",
    "2026年3月2日(月) 10:15 山本 <yamamoto@mail.example>:\n> 届きません",
    "在 2026年3月2日,王 <wang@mail.example> 写道:\n> 还没到",
    "wt., 3 mar 2026 o 09:14 Ewa <ewa@poczta.example> napisał(a):\n> gdzie?",
    "From: Ann <ann@reyes.example>\nSent: Monday\nTo: shop\nSubject: where\n\nWhere is it?",
    "Von: Jan <jan@post.example>\nGesendet: Montag\nAn: shop\nBetreff: wo\n\nWo ist es?",
    "De : Léa <lea@poste.example>\nEnvoyé : lundi\nÀ : shop\nObjet : où\n\nOù est-il ?",
    "Envoyé de mon iPhone",
    "Verstuurd vanaf mijn iPhone",
    "iPhoneから送信",
    "发自我的iPhone",
]  # fmt: skip


def _phrases(listed: str) -> list[str]:
    return [phrase.strip() for line in listed.strip().splitlines() for phrase in line.split(" | ")]


@pytest.mark.parametrize("greeting", _phrases(GREETINGS))
def test_a_greeting_is_not_the_body(greeting: str) -> None:
    letter = take_apart(f"{greeting}\n\n{BODY}")
    assert (letter.greeting, letter.body) == (greeting, BODY)


@pytest.mark.parametrize("closing", _phrases(CLOSINGS))
def test_a_sign_off_is_not_the_body(closing: str) -> None:
    lines = closing.replace("/", "\n")
    letter = take_apart(f"{BODY}\n\n{lines}")
    assert (letter.body, letter.sign_off) == (BODY, lines)


@pytest.mark.parametrize("below", BELOW)
def test_what_a_mail_client_puts_below_is_left_out(below: str) -> None:
    letter = take_apart(f"{BODY}\n\n{below}")
    assert (letter.body, letter.sign_off) == (BODY, "")


@pytest.mark.parametrize(
    "text",
    [
        "Hi, it works now.\nPlease try again.",
        "Hello, we sent it!\n\nIt comes on Monday.",
        "On Monday we got your mail.\nIn it you wrote:\nthe lamp is broken. We send another one.",
        "2026年3月の料金は次のとおりです:\n基本料金は千円です。",
        "From: Leeds\nTo: Bath\nThe parcel goes this way.",
        "ご注文の品は東京の倉庫から送信\n明日届きます。",
    ],
)
def test_text_that_only_looks_like_it_stays_in_the_body(text: str) -> None:
    assert text.splitlines()[-1] in take_apart(text).body
    assert take_apart(text).body.splitlines()[0].split(", ")[-1] == text.splitlines()[0].split(", ")[-1]
