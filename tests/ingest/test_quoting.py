"""New text: what the author of a mail wrote now, in the wordings of many mail programs and languages."""

# ruff: noqa: E501 - mails stand as they arrive

from __future__ import annotations

import textwrap

import pytest

from pipeline.ingest.quoting import split

WHO = "Cody Hart <cody@example.com>"

# As Gmail, Apple Mail and Thunderbird write them.
ATTRIBUTIONS = {
    "en gmail": f"On Mon, Jun 3, 2024 at 12:53 AM {WHO} wrote:",
    "en gmail narrow space": f"On Mon, Jun 3, 2024 at 12:53\u202fAM {WHO} wrote:",
    "en apple": f"On 3 Jun 2024, at 12:53, {WHO} wrote:",
    "en thunderbird": "On 6/3/24 12:53, Cody Hart wrote:",
    "en thunderbird iso": "On 2024-06-03 12:53, Cody Hart wrote:",
    "en no comma": "On May 30, 2020, 4:15 PM Cody cody@example.com wrote:",
    "en weekday": "On Tuesday, April 3, 2012 at 4:55 PM, Cody wrote:",
    "en yahoo": f"    On Monday, June 3, 2024 at 12:53:10 PM GMT+2, {WHO} wrote:",
    "en proton": f"On Monday, June 3rd, 2024 at 12:53, {WHO} wrote:",
    "en name first": f"{WHO} wrote on 3 June 2024 at 12:53:",
    "en list": "On Mon, 03 Jun 2024 12:53:10 +0200, cody@example.com wrote:",
    "de gmail": f"Am Mo., 3. Juni 2024 um 12:53 Uhr schrieb {WHO}:",
    "de apple": f"Am 03.06.2024 um 12:53 schrieb {WHO}:",
    "de thunderbird": "Am 03.06.24 um 12:53 schrieb Cody Hart:",
    "de gmx": "Gesendet: Montag, 03. Juni 2024 um 12:53 Uhr schrieb Cody Hart:",
    "de web": f"{WHO} hat am 03.06.2024 12:53 geschrieben:",
    "fr gmail": f"Le lun. 3 juin 2024 à 12:53, {WHO} a écrit :",
    "fr apple": f"Le 3 juin 2024 à 12:53, {WHO} a écrit :",
    "fr thunderbird": "Le 03/06/2024 à 12:53, Cody Hart a écrit\u00a0:",
    "es gmail": "El lun, 3 jun 2024 a las 12:53, Cody Hart (<cody@example.com>) escribió:",
    "es apple": f"El 3 jun 2024, a las 12:53, {WHO} escribió:",
    "es thunderbird": "El 3/6/24 a las 12:53, Cody Hart escribió:",
    "pt-br gmail": f"Em seg., 3 de jun. de 2024 às 12:53, {WHO} escreveu:",
    "pt gmail": f"{WHO} escreveu (segunda, 3/06/2024 à(s) 12:53):",
    "pt apple": f"No dia 03/06/2024, às 12:53, {WHO} escreveu:",
    "pt thunderbird": "Em 03/06/2024 12:53, Cody Hart escreveu:",
    "it gmail": f"Il giorno lun 3 giu 2024 alle ore 12:53 {WHO} ha scritto:",
    "it thunderbird": "Il 03/06/24 12:53, Cody Hart ha scritto:",
    "nl gmail": f"Op ma 3 jun 2024 om 12:53 schreef {WHO}:",
    "nl apple": f"Op 3 jun. 2024 om 12:53 heeft {WHO} het volgende geschreven:",
    "nl thunderbird": "Op 03-06-2024 om 12:53 schreef Cody Hart:",
    "pl gmail": f"pon., 3 cze 2024 o 12:53 {WHO} napisał(a):",
    "pl apple": f"Wiadomość napisana przez {WHO} w dniu 3 cze 2024, o godz. 12:53:",
    "pl thunderbird": "W dniu 03.06.2024 o 12:53, Cody Hart pisze:",
    "pl day": f"Dnia 3 czerwca 2024 12:53 {WHO} napisał(a):",
    "sv gmail": f"Den mån 3 juni 2024 kl 12:53 skrev {WHO}:",
    "sv apple": f"3 juni 2024 kl. 12:53 skrev {WHO}:",
    "sv thunderbird": "Den 2024-06-03 kl. 12:53, skrev Cody Hart:",
    "da gmail": f"Den man. 3. jun. 2024 kl. 12.53 skrev {WHO}:",
    "no gmail": f"man. 3. juni 2024 kl. 12:53 skrev {WHO}:",
    "no apple": f"3. jun. 2024 kl. 12:53 skrev {WHO}:",
    "fi gmail": "ma 3. kesäk. 2024 klo 12.53 Cody Hart (cody@example.com) kirjoitti:",
    "fi apple": f"{WHO} kirjoitti 3.6.2024 kello 12.53:",
    "fi thunderbird": "Cody Hart kirjoitti 3.6.2024 klo 12.53:",
    "cs gmail": f"po 3. 6. 2024 v 12:53 odesílatel {WHO} napsal:",
    "cs thunderbird": "Dne 03. 06. 24 v 12:53 Cody Hart napsal(a):",
    "cs seznam": f"---------- Původní e-mail ----------\nOd: {WHO}\nKomu: ja@example.cz\nDatum: 3. 6. 2024 12:53:10\nPředmět: Dotaz",
    "ja gmail": f"2024年6月3日(月) 12:53 {WHO}:",
    "ja apple": f"2024/06/03 12:53、{WHO}のメール:",
    "zh-cn gmail": f"{WHO} 于2024年6月3日周一 12:53写道：",
    "zh-tw gmail": f"{WHO} 於 2024年6月3日 週一 下午12:53寫道：",
    "zh apple": f"在 2024年6月3日，12:53，{WHO} 写道：",
    "tr gmail": f"{WHO}, 3 Haz 2024 Pzt, 12:53 tarihinde şunu yazdı:",
    "tr apple": f"3 Haz 2024 tarihinde 12:53 saatinde, {WHO} şunları yazdı:",
    "ru gmail": f"пн, 3 июн. 2024 г. в 12:53, {WHO}:",
    "ru apple": f"3 июня 2024 г., в 12:53, {WHO} написал(а):",
    "ru thunderbird": "03.06.2024 12:53, Cody Hart пишет:",
    "ru yandex": '03.06.2024, 12:53, "Cody Hart" <cody@example.com>:',
    "ru mail.ru": "Понедельник, 3 июня 2024, 12:53 +03:00 от Cody Hart <cody@example.com>:",
    "uk gmail": f"пн, 3 черв. 2024 р. о 12:53 {WHO} пише:",
    "hu gmail": f"{WHO} ezt írta (időpont: 2024. jún. 3., H, 12:53):",
    "ro gmail": f"În lun., 3 iun. 2024 la 12:53, {WHO} a scris:",
    "ko gmail": f"2024년 6월 3일 (월) 오후 12:53, {WHO}님이 작성:",
    "el gmail": f"Στις Δευ 3 Ιουν 2024 στις 12:53 μ.μ., ο/η {WHO} έγραψε:",
}

HEADERS = {
    "en": "From: Cody Hart\nSent: Monday, June 3, 2024 12:53 PM\nTo: Support\nSubject: RE: Order",
    "en cc": "From: Cody Hart <cody@example.com>\nSent: 03 June 2024 12:53\nTo: Support; Ann Lee\n<ann@example.com>\nCc: Bob\nSubject: Order",
    "en bold": "*From:* Cody Hart [mailto:cody@example.com]\n*Sent:* Monday, June 3, 2024 12:53 PM\n*To:* Support\n*Subject:* Order",
    "en order": "Date: Mon, 3 Jun 2024 12:53:45 +0400\nSubject: Order\nFrom: cody@example.com\nTo: shop@example.com",
    "de": "Von: Cody Hart\nGesendet: Montag, 3. Juni 2024 12:53\nAn: Support\nBetreff: AW: Bestellung",
    "de date": "Von: Cody Hart <cody@example.com>\nDatum: Montag, 3. Juni 2024 um 12:53\nAn: Support\nBetreff: AW",
    "fr": "De : Cody Hart\nEnvoyé : lundi 3 juin 2024 12:53\nÀ : Support\nObjet : RE: Commande",
    "es": "De: Cody Hart\nEnviado el: lunes, 3 de junio de 2024 12:53\nPara: Soporte\nAsunto: RE: Pedido",
    "pt": "De: Cody Hart\nEnviada em: segunda-feira, 3 de junho de 2024 12:53\nPara: Suporte\nAssunto: RES: Pedido",
    "it": "Da: Cody Hart\nInviato: lunedì 3 giugno 2024 12:53\nA: Assistenza\nOggetto: R: Ordine",
    "nl": "Van: Cody Hart\nVerzonden: maandag 3 juni 2024 12:53\nAan: Support\nOnderwerp: RE: Bestelling",
    "pl": "Od: Cody Hart\nWysłano: poniedziałek, 3 czerwca 2024 12:53\nDo: Pomoc\nTemat: ODP: Zamówienie",
    "sv": "Från: Cody Hart\nSkickat: den 3 juni 2024 12:53\nTill: Support\nÄmne: SV: Order",
    "da": "Fra: Cody Hart\nSendt: 3. juni 2024 12:53\nTil: Support\nEmne: SV: Ordre",
    "fi": "Lähettäjä: Cody Hart\nLähetetty: maanantai 3. kesäkuuta 2024 12.53\nVastaanottaja: Tuki\nAihe: VS: Tilaus",
    "cs": "Od: Cody Hart\nOdesláno: pondělí 3. června 2024 12:53\nKomu: Podpora\nPředmět: RE: Objednávka",
    "ja": "差出人: Cody Hart\n送信日時: 2024年6月3日 12:53\n宛先: サポート\n件名: RE: 注文",
    "zh-cn": "发件人: Cody Hart\n发送时间: 2024年6月3日 12:53\n收件人: 支持\n主题: 回复: 订单",
    "zh-tw": "寄件者: Cody Hart\n寄件日期: 2024年6月3日 12:53\n收件者: 支援\n主旨: RE: 訂單",
    "zh wide": "发件人： Cody Hart <cody@example.com>\n发送时间： 2024年6月3日 12:53\n收件人： a@example.com\n主题： 订单",
    "tr": "Kimden: Cody Hart\nGönderme Tarihi: 3 Haziran 2024 Pazartesi 12:53\nKime: Destek\nKonu: RE: Sipariş",
    "ru": "От: Cody Hart\nОтправлено: 3 июня 2024 г. 12:53\nКому: Поддержка\nТема: RE: Заказ",
}

MARKS = [
    "-----Original Message-----",
    "----- Original Message -----",
    "--------------- Original Message ---------------",
    "-----Ursprüngliche Nachricht-----",
    "-------- Original-Nachricht --------",
    "-----Message d'origine-----",
    "-------- Message original --------",
    "-----Mensaje original-----",
    "-----Mensagem original-----",
    "-----Messaggio originale-----",
    "-----Oorspronkelijk bericht-----",
    "-----Oryginalna wiadomość-----",
    "-----Wiadomość oryginalna-----",
    "-----Ursprungligt meddelande-----",
    "-----Oprindelig meddelelse-----",
    "-----Opprinnelig melding-----",
    "-----Alkuperäinen viesti-----",
    "-----Původní zpráva-----",
    "-----邮件原件-----\n发件人: Cody\n发送时间: 2024年6月3日 12:53\n收件人: a\n主题: b",
    "-----原始邮件-----",
    "-----元のメッセージ-----",
    "-----Orijinal Mesaj-----",
    "-----Исходное сообщение-----",
    "________________________________\nFrom: Cody Hart\nSent: Monday, June 3, 2024 12:53 PM\nTo: A\nSubject: B",
    "##- Please type your reply above this line -##",
]

OWN = "The parcel is still not here.\n\nCan you look where it is?"


@pytest.mark.parametrize("name", ATTRIBUTIONS)
def test_an_attribution_above_a_quote_goes_with_it(name: str) -> None:
    text = f"{OWN}\n\n{ATTRIBUTIONS[name]}\n\n> It was sent on Friday.\n>\n> Cody\n"
    assert split(text).new_text == OWN


@pytest.mark.parametrize("name", ATTRIBUTIONS)
def test_an_attribution_above_an_unmarked_quote_ends_the_new_text(name: str) -> None:
    text = f"{OWN}\n\n{ATTRIBUTIONS[name]}\n\nIt was sent on Friday.\n\nCody\n"
    assert split(text).new_text == OWN


@pytest.mark.parametrize(
    "name", [n for n in ATTRIBUTIONS if "\n" not in ATTRIBUTIONS[n] and not n.startswith(("ja", "zh"))]
)
@pytest.mark.parametrize("width", [48, 72])
def test_an_attribution_may_be_wrapped_over_lines(name: str, width: int) -> None:
    wrapped = "\n".join(textwrap.wrap(ATTRIBUTIONS[name], width))
    assert split(f"{OWN}\n\n{wrapped}\n\n> It was sent on Friday.\n").new_text == OWN


@pytest.mark.parametrize("language", HEADERS)
@pytest.mark.parametrize("above", ["", "________________________________\n", "-----\n\n"])
def test_a_header_block_ends_the_new_text(language: str, above: str) -> None:
    text = f"{OWN}\n\n{above}{HEADERS[language]}\n\nDear customer,\n\nit was sent on Friday.\n"
    assert split(text).new_text == OWN


@pytest.mark.parametrize("mark", MARKS)
def test_a_line_that_announces_the_original_ends_the_new_text(mark: str) -> None:
    assert split(f"{OWN}\n\n{mark}\n\nIt was sent on Friday.\n").new_text == OWN


def test_an_answer_below_the_quote_is_kept() -> None:
    text = f"{ATTRIBUTIONS['en gmail']}\n> Where do you live?\n> Cody\n\nIn Prague, as before.\n"
    assert split(text).new_text == "In Prague, as before."


def test_answers_between_quotes_are_kept_in_order() -> None:
    text = (
        f"Hi Cody,\n\n{ATTRIBUTIONS['de apple']}\n> Which order?\nNumber 4711.\n\n> Which address?\n\n"
        "The one in Brno.\n\n> Bye\n"
    )
    assert split(text).new_text == "Hi Cody,\n\nNumber 4711.\n\nThe one in Brno."


def test_a_short_attribution_is_known_by_the_quote_below_it() -> None:
    assert split("Cody Hart wrote:\n> Where?\n\nIn Brno.").new_text == "In Brno."


def test_a_quoted_line_that_was_broken_on_its_way_stays_a_quote() -> None:
    quote = "> this line of the quote was too long for some relay on its way and so it was\nbroken here\n> and goes on"
    assert split(f"Yes.\n\n{ATTRIBUTIONS['en apple']}\n{quote}\n").new_text == "Yes."


@pytest.mark.parametrize(
    "text",
    [
        "On your server you can run:\n\n    telnet 127.0.0.1\n\nThat should work.",
        "I ordered on 3 May 2024 and it says:\n\nnot available\n\nWhy?",
        "From: Berlin\nTo: Prague\nDate: 3 May\n\nCan I still change this trip?",
        "My details:\n\nName: Ann\nOrder: 12\nDate: 3 May 2024\n\nPlease check.",
        "Here is the log at 12:53:\n\nerror 5\n\nWhat now?",
        "Two things:\n- the first\n- the second\n\nAnd a third.",
        "The total was:\n\n----------\n\n12.50 EUR in all, I think.",
        "One more thing -- this is not a signature.\n\nBye then",
    ],
)
def test_what_only_looks_like_a_quote_stays(text: str) -> None:
    assert split(text).new_text == text


@pytest.mark.parametrize("mark", ["---------- Forwarded message ---------", "Begin forwarded message:",
                                  "---------- Weitergeleitete Nachricht ---------", "Début du message réexpédié :"])  # fmt: skip
def test_what_somebody_forwards_is_new_to_the_thread(mark: str) -> None:
    text = f"Please see below.\n\n{mark}\n{HEADERS['en']}\n\nThe invoice is wrong."
    got = split(text)
    assert got.new_text.startswith("Please see below.")
    assert "The invoice is wrong." in got.new_text
    assert "The invoice is wrong." in got.forwarded


def test_the_subject_tells_a_forward_from_a_reply() -> None:
    text = f"Please see below.\n\n{HEADERS['en']}\n\nThe invoice is wrong."
    assert "The invoice is wrong." in split(text, subject="FW: Invoice").new_text
    assert split(text, subject="RE: Invoice").new_text == "Please see below."


def test_a_bare_forward_keeps_its_text() -> None:
    got = split(f"{HEADERS['en']}\n\nThe invoice is wrong.\n\n{ATTRIBUTIONS['en gmail']}\n> Here it is.")
    assert "The invoice is wrong." in got.new_text
    assert "Here it is." not in got.new_text


def test_if_nothing_is_left_the_whole_text_is_kept() -> None:
    text = f"{ATTRIBUTIONS['en gmail']}\n\n> It was sent on Friday.\n> Cody"
    assert split(text).new_text == text


def test_a_clearsigned_text_is_read_without_its_armour() -> None:
    text = (
        "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nThe key has changed.\n"
        "-----BEGIN PGP SIGNATURE-----\n\niQEzBAEBCAAdFiEE\n-----END PGP SIGNATURE-----\n"
    )
    assert split(text).new_text == "The key has changed."


def test_a_from_line_escaped_by_a_mailbox_is_not_a_quote() -> None:
    text = "It came late.\n>From what I see, it was lost.\nBye"
    assert split(text).new_text == text


def test_long_lines_and_many_lines_are_split_in_linear_time() -> None:
    import time

    hostile = [
        "On " * 60_000,
        "> " * 60_000,
        "wrote:\n" * 20_000,
        "On 3 Jun 2024 at 12:53\n" * 8_000,
        "From: a\n" * 20_000,
        "-" * 200_000,
        ("_" * 50 + "\n") * 4_000,
        "a: b\n" * 30_000,
        "Best regards,\n" * 10_000,
        "a@b.c " * 30_000,
        "\n" * 200_000,
        "-- \n" * 50_000,
        (">" * 300 + "\n") * 800,
        "tel. 0123 456 789 " * 10_000,
    ]
    for text in hostile:
        start = time.process_time()
        split(text)
        assert time.process_time() - start < 2, text[:30]
