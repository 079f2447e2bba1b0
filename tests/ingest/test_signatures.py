"""Signatures come off the end, in many languages, and nothing else does."""

# ruff: noqa: E501 - mails stand as they arrive

from __future__ import annotations

import pytest

from pipeline.ingest.quoting import split

OWN = "The parcel is still not here.\n\nCan you look where it is?"

SIGN_OFFS = [
    "Best regards,\nAnn Smith",
    "Kind regards\n\nAnn Smith\nHead of Purchasing\nACME Ltd.\nTel. +44 20 7946 0000",
    "Many thanks and best regards,\nAnn",
    "Yours sincerely,\n\nAnn Smith",
    "Cheers,\nAnn",
    "Regards, Ann",
    "Thanks,\nAnn",
    "Thank you!\n\nAnn Smith",
    "Thanks in advance,\nAnn",
    "Mit freundlichen Grüßen\n\nAnna Schmidt\n\nBeispiel GmbH\nMusterstraße 1\n10115 Berlin\nTel.: 030 1234567",
    "Mit freundlichen Grüssen\nAnna",
    "Viele Grüße aus Hamburg\nAnna",
    "LG\nAnna",
    "MfG Anna Schmidt",
    "Vielen Dank und beste Grüße\nAnna",
    "Danke,\nAnna",
    "Cordialement,\nAnne Martin",
    "Bien à vous,\n\nAnne",
    "Merci d'avance,\nAnne",
    "Saludos cordiales,\nAna García",
    "Un saludo,\nAna",
    "Atentamente,\n\nAna García",
    "Gracias,\nAna",
    "Atenciosamente,\nAna Silva",
    "Com os melhores cumprimentos,\nAna Silva",
    "Obrigada,\nAna",
    "Cordiali saluti,\nAnna Rossi",
    "Distinti saluti\nAnna Rossi",
    "Grazie,\nAnna",
    "Met vriendelijke groet,\n\nAnna de Vries",
    "Groetjes,\nAnna",
    "Alvast bedankt,\nAnna",
    "Pozdrawiam,\nAnna",
    "Z poważaniem\nAnna Nowak",
    "Med vänliga hälsningar,\nAnna Svensson",
    "Mvh\nAnna",
    "Hälsningar\nAnna\n070-123 45 67",
    "Med venlig hilsen\nAnna Jensen",
    "Kh\nAnna",
    "Vennlig hilsen\nAnna Hansen",
    "Ystävällisin terveisin\nAnna Virtanen",
    "Terveisin Anna",
    "S pozdravem\nAnna Nováková",
    "S pozdravem Anna Nováková",
    "Děkuji,\nAnna",
    "Saygılarımla,\nAyşe Yılmaz",
    "İyi çalışmalar\nAyşe",
    "С уважением,\nАнна Иванова",
    "Спасибо,\nАнна",
    "З повагою,\nОлена",
    "よろしくお願いいたします。\n\n田中花子\n株式会社サンプル\nTEL: 03-1234-5678",
    "此致\n敬礼\n王芳",
    "祝好\n王芳",
    "-- \nAnn\nSmith & Co",
    "--\nAnn Smith\nSmith & Co",
    "—\nAnn Smith",
    "-Ann Smith",
    "/Ann",
    "Sent from my iPhone",
    "Sent from my Samsung Galaxy smartphone.",
    "Sent from Yahoo Mail on Android",
    "Sent from Outlook for Android",
    "Sent from Mail for Windows",
    "Sent via BlackBerry from T-Mobile",
    "Sent with Proton Mail secure email.",
    "Get Outlook for iOS<https://aka.ms/o0ukef>",
    "Get Outlook for Android",
    "Von meinem iPhone gesendet",
    "Gesendet von meinem iPad",
    "Gesendet von Outlook für iOS",
    "Gesendet mit der GMX Mail App",
    "Diese Nachricht wurde von meinem Android-Gerät mit GMX Mail gesendet.",
    "Envoyé de mon iPhone",
    "Envoyé depuis mon appareil Galaxy",
    "Télécharger Outlook pour Android",
    "Enviado desde mi iPhone",
    "Obtener Outlook para iOS",
    "Enviado do meu iPhone",
    "Enviado a partir do Outlook para iOS",
    "Inviato da iPhone",
    "Inviato dal mio telefono",
    "Verstuurd vanaf mijn iPhone",
    "Verzonden vanuit Outlook voor Android",
    "Wysłane z iPhone'a",
    "Wysłano z mojego iPhone’a",
    "Skickat från min iPhone",
    "Sendt fra min iPhone",
    "Lähetetty iPhonesta",
    "Odesláno z iPhonu",
    "iPhone'umdan gönderildi",
    "Отправлено с iPhone",
    "Отправлено из мобильной Почты Mail.ru",
    "iPhoneから送信",
    "发自我的iPhone",
    "從我的 iPhone 傳送",
    "Best regards,\nAnn\n\nSent from my iPhone",
    "Best regards,\nAnn\n\n________________________________\nThis e-mail and any attachments are confidential and intended "
    "solely for the addressee. If you are not the intended recipient, please delete it.",
    "Mit freundlichen Grüßen\nAnna Schmidt\n\nDiese E-Mail enthält vertrauliche Informationen. Wenn Sie nicht der "
    "richtige Adressat sind, informieren Sie bitte den Absender.",
    "Ce message est confidentiel et destiné exclusivement à son destinataire.",
    "_______________________________________________\nshop-users mailing list\nshop-users@lists.example.com\n"
    "https://lists.example.com/listinfo/shop-users",
    '-- \nYou received this message because you are subscribed to the Google Groups "x" group.\nTo unsubscribe '
    "from this group, send an email to x+unsubscribe@googlegroups.com.",
]


@pytest.mark.parametrize("signature", SIGN_OFFS)
def test_a_signature_comes_off(signature: str) -> None:
    got = split(f"{OWN}\n\n{signature}\n")
    assert got.new_text == OWN
    assert got.signature


@pytest.mark.parametrize("signature", SIGN_OFFS[:14])
def test_a_signature_above_a_quote_comes_off(signature: str) -> None:
    text = f"{OWN}\n\n{signature}\n\nOn Mon, Jun 3, 2024 at 12:53 AM Cody <c@example.com> wrote:\n> It was sent.\n"
    assert split(text).new_text == OWN


@pytest.mark.parametrize("tail", [
    "Ann Smith",
    "Ann Smith\nvia mobile",
    "Ann Smith\nann@example.com\n(555) 346-9947\nwww.example.com",
    "Ann",
])  # fmt: skip
def test_the_senders_own_name_opens_a_signature(tail: str) -> None:
    assert split(f"{OWN}\n\n{tail}", sender="Ann Smith").new_text == OWN


@pytest.mark.parametrize("logo", ["LOGO_SMALL", "[cid:image001.png@01D9]", "logo.png"])
def test_a_rule_and_a_logo_above_a_contact_block_belong_to_it(logo: str) -> None:
    block = (
        "Ann Smith\n\nACME Ltd.\n\nt. 020 7946 0000\n\nhttps://acme.example/\n\nhttps://people.example/ann"
    )
    kept = split(f"{OWN}\n\n----------------\n\n{logo}\n\n{block}", sender="Ann Smith")
    assert kept.new_text == OWN
    without_a_rule = split(f"{OWN}\n\nIt is order\n\nAB_12\n\n{block}", sender="Ann Smith")
    assert without_a_rule.new_text.endswith("AB_12")


def test_a_contact_block_comes_off_without_a_sign_off() -> None:
    tail = "Ann Smith\nPurchasing\nTel: +44 20 7946 0000\nwww.example.com"
    assert split(f"{OWN}\n\n{tail}").new_text == OWN


@pytest.mark.parametrize("text", [
    "Here is another mail\n\nSent from my desk, is much easier than my mobile phone.",
    "My address is:\n\nAnn Smith\nann@example.com\n+44 20 7946 0000",
    "Please call me:\n+44 20 7946 0000",
    "I need:\n\n- Apples\n- Pears",
    "The prizes:\n\n-- Amazon\n-- REI",
    "Thanks for the parcel. It works.",
    "Where is my order?\n\nThanks for your help",
    "My order number is 4711.\nMy name is Ann Smith.",
    "Thank you for the answer, but the invoice is still wrong. What now?",
    "Regards to your team, they did well, but the parcel is broken.",
    "I would like to cancel.\n\nPlease send a confirmation to ann@example.com.",
    "Best wishes came with the parcel but no invoice.",
    "Merci de me rappeler au 01 23 45 67 89",
    "Danke für die Antwort, aber wo ist mein Paket?",
    "1 L Male\n1 M Male\n\nto 111 Example Street 94133\n\nThat'd be great! Really cool shirts!",
])  # fmt: skip
def test_what_only_looks_like_a_signature_stays(text: str) -> None:
    assert split(text).new_text == text


def test_a_mail_that_is_only_a_signature_keeps_it() -> None:
    assert split("Best regards,\nAnn Smith").new_text == "Best regards,\nAnn Smith"


@pytest.mark.parametrize("banner", [
    "CAUTION: This email originated from outside of the organization. Do not click links or open attachments unless "
    "you recognize the sender and know the content is safe.",
    "[EXTERNAL EMAIL] Do not click links unless you know the sender.",
    "ACHTUNG: Diese E-Mail kommt von einem externen Absender.",
    "You don't often get email from ann@example.com. Learn why this is important",
])  # fmt: skip
def test_a_gateways_banner_is_not_new_text(banner: str) -> None:
    assert split(f"{banner}\n\n{OWN}").new_text == OWN
