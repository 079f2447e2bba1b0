"""Fields: what is found, what is left alone, and their normal forms."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest

from pipeline.models.providers.local.fields import extract

RECEIVED = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)


def values(kind: str, text: str, region: str | None = None) -> list[str]:
    return [row["value"] for row in extract(None, text, region=region, received=RECEIVED)[kind]]


def normalised(kind: str, text: str, region: str | None = None) -> list[str]:
    rows = extract(None, text, region=region, received=RECEIVED)[kind]
    return [row.get("normalised", row["value"]) for row in rows]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Where is order 4711?", "4711"),
        ("my order number is: AB-20931", "AB-20931"),
        ("Order #1029384 never came", "1029384"),
        ("#1029384 never came", "1029384"),
        ("Meine Bestellnummer lautet 77-2210", "77-2210"),
        ("Auftrag Nr. A55120 bitte stornieren", "A55120"),
        ("Bestellung 302-8812999", "302-8812999"),
        ("ma commande n° 88412 n'est pas arrivée", "88412"),
        ("el número de pedido es 556677", "556677"),
        ("mi pedido nº 90-1123", "90-1123"),
        ("ordine numero 4455-IT", "4455-IT"),
        ("bestelling 2026-99812 is kwijt", "2026-99812"),
        ("bestelnummer: 8812345", "8812345"),
        ("o meu pedido 334455 está atrasado", "334455"),
        ("zamówienie nr 12/2026/88", "12/2026/88"),
        ("numer zamówienia: 998877", "998877"),
        ("booking confirmation number ty 1256", "ty 1256"),
    ],
)
def test_order_numbers_are_found_in_eight_languages(text: str, wanted: str) -> None:
    assert normalised("order_numbers", text) == [wanted]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Can the order from yesterday (no. 8-20551) go to Bristol?", ["8-20551"]),
        ("Betreff: Bestellung vom Montag, Nr. 3317/A, fehlt", ["3317/A"]),
        ("puse mal la calle en el pedido ES-10442: es el 18", ["ES-10442"]),
        ("Zamówienie z soboty, nr 5518/26, nie dotarło", ["5518/26"]),
        ("L'ordine di sabato, numero 77-K12, è rotto", ["77-K12"]),
        ("I placed two orders that evening, 30117 and 30118.", ["30117", "30118"]),
        ("Open deliveries:\n- PO-4401 (pumps)\n- PO-4406 (seals)", ["PO-4401", "PO-4406"]),
        ("best.-nr. 83320 beim nachbarn abgegeben", ["83320"]),
        ("where is my oredr 552017 please", ["552017"]),
        ("conformation number fly 321", ["fly 321"]),
        ("booking reference QX7L2P for the weekend", ["QX7L2P"]),
        ("the correct number is k 98 n 6", ["k 98 n 6"]),
        ("t 56 r 45", ["t 56 r 45"]),
        ("miller and opp 345", ["opp 345"]),
        ("AB-20931", ["AB-20931"]),
    ],
)
def test_order_numbers_are_found_apart_from_their_noun_misspelt_or_dictated(
    text: str, wanted: list[str]
) -> None:
    assert values("order_numbers", text) == wanted


@pytest.mark.parametrize(
    "text",
    [
        "the carrier's tracking code is 1Z999AA10123456784",
        "tracking number JD014600006281230704",
        "Sendungsnummer 00340434161094015902",
        "numéro de suivi RR123456785DE",
    ],
)
def test_the_number_of_a_parcel_is_nobodys_order_number(text: str) -> None:
    assert values("order_numbers", text) == values("phones", text) == values("invoice_numbers", text) == []


def test_a_list_of_orders_gives_each_of_them() -> None:
    assert values("order_numbers", "Orders 88121, 88122 and 88123 are late") == ["88121", "88122", "88123"]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("invoice INV-2026-118 is wrong", "INV-2026-118"),
        ("Rechnung Nr. 2026/0815", "2026/0815"),
        ("Rechnungsnummer RE20261120", "RE20261120"),
        ("la facture F-7781", "F-7781"),
        ("factura número 5512", "5512"),
        ("fattura n. 118/2026", "118/2026"),
        ("factuurnummer 2026-0042", "2026-0042"),
        ("a fatura 998811", "998811"),
        ("faktura nr FV/11/2026", "FV/11/2026"),
        ("see my invoce #85512", "85512"),
    ],
)
def test_invoice_numbers_are_found_and_are_no_orders(text: str, wanted: str) -> None:
    assert normalised("invoice_numbers", text) == [wanted]
    assert values("order_numbers", text) == []


@pytest.mark.parametrize(
    "text",
    [
        "We want to order 2000 pieces",
        "in order to get 15 of them",
        "I ordered in 2026",
        "order from 2026-05-03",
        "see ticket #12345 and bug #1554167",
        "version 71.0.0.7275 crashes",
        "my order costs 1200 euros",
        "the bill of 350 dollars",
        "I placed an order at 10:30",
        "order 20 licences please",
        "ship my order to 12345 Main Street",
        "serial number SN-99182-B, error code 80072 and my order",
        "my order: 2 of model AB-1234, 10115 Berlin",
        "for the order, call me on my phone, number 555-01234",
        "I need it in 24 h",
        "BOOKING CANCELLED URGENT",
        "fgh 159",
    ],
)
def test_look_alikes_are_no_order_or_invoice_numbers(text: str) -> None:
    assert values("order_numbers", text) == []
    assert values("invoice_numbers", text) == []


def test_account_numbers_are_found_by_their_cue() -> None:
    assert normalised("account_ids", "Kundennummer: K-55120") == ["K-55120"]
    assert normalised("account_ids", "my account number is 159655876") == ["159655876"]
    assert normalised("account_ids", "numéro de client 77120") == ["77120"]


def test_mail_addresses_are_found_and_their_domain_lowered() -> None:
    assert values("emails", "write to Jane.Doe+x@Example.COM, not to @jane") == ["Jane.Doe+x@Example.COM"]
    assert normalised("emails", "write to Jane.Doe+x@Example.COM") == ["Jane.Doe+x@example.com"]
    assert normalised("emails", "it is jane dot doe at example dot com") == ["jane.doe@example.com"]
    assert values("emails", "look at 3 apples @ home") == []


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("jane (at) example (dot) com", "jane@example.com"),
        ("jane[at]example.org please", "jane@example.org"),
        ("klaus punkt berger at beispiel punkt de", "klaus.berger@beispiel.de"),
        ("claire point petit arobase exemple point fr", "claire.petit@exemple.fr"),
        ("ana arroba ejemplo punto com", "ana@ejemplo.com"),
        ("luca punto rossi chiocciola esempio punto it", "luca.rossi@esempio.it"),
        ("jan apenstaartje voorbeeld punt nl", "jan@voorbeeld.nl"),
        ("rita underscore silva arroba exemplo ponto pt", "rita_silva@exemplo.pt"),
        ("jan kropka nowak małpa przyklad kropka pl", "jan.nowak@przyklad.pl"),
        ("janedoe 12 gmailcom", "janedoe12@gmail.com"),
        ("my email address is janedoeexamplecom", "janedoeexamplecom"),
    ],
)
def test_spoken_and_hidden_addresses_are_put_together(text: str, wanted: str) -> None:
    assert normalised("emails", text) == [wanted]


@pytest.mark.parametrize(
    "text",
    [
        "meet me at example.com tomorrow",
        "look at example dot com",
        "I read the screen at any point in time",
        "mail it to me, I live in Rome",
        "telecom",
    ],
)
def test_pages_and_everyday_words_are_no_addresses(text: str) -> None:
    assert values("emails", text) == []


@pytest.mark.parametrize(
    ("text", "region", "wanted"),
    [
        ("call +44 20 7946 0018 please", None, "+442079460018"),
        ("Tel.: 030 901820", "DE", "+4930901820"),
        ("mein Handy 0151 23456789", "DE", "+4915123456789"),
        ("téléphone : 01 42 68 53 00", "FR", "+33142685300"),
        ("(212) 555-0123 is my phone", "US", "(212) 555-0123"),
    ],
)
def test_phone_numbers_get_their_international_form(text: str, region: str | None, wanted: str) -> None:
    (row,) = extract(None, text, region=region)["phones"]
    assert row.get("normalised", row["value"]) in (wanted, "+12125550123")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Bitte rufen Sie mich unter 0160 5550188 zurück", "0160 5550188"),
        ("nummer ist 01523 5550123", "01523 5550123"),
        ("They're not answering at 71-33-52-22", "71-33-52-22"),
        ("Phone:\n467 3395", "467 3395"),
        ("Tel. 030 / 901820-15", "030 / 901820-15"),
        ("(37) 788-063-Office", "(37) 788-063"),
        ("ph 025 8815634 x 5184", "025 8815634 x 5184"),
        ("950 s ash street, 4809689980", "4809689980"),
        (
            "ring me: oh one six three double two nine six oh one",
            "oh one six three double two nine six oh one",
        ),
        ("meine Nummer: null eins sechs null fünf fünf fünf", "null eins sechs null fünf fünf fünf"),
    ],
)
def test_phone_numbers_are_found_without_a_known_country(text: str, wanted: str) -> None:
    assert values("phones", text) == [wanted]


def test_bank_accounts_versions_and_addresses_of_machines_are_no_phone_numbers() -> None:
    text = "IBAN DE89 3704 0044 0532 0130 00, version 115.0.2.1044, host 192.168.100.123, build 003350190219"
    assert values("phones", text) == []


def test_order_numbers_and_dates_are_no_phone_numbers() -> None:
    assert values("phones", "order number 2125550123 of 20.11.2026", "US") == []
    assert values("phones", "it happened on 2026-05-03 12:00:00", "DE") == []


@pytest.mark.parametrize(
    ("text", "value", "wanted"),
    [
        ("I paid €12.50 twice", "€12.50", "12.50 EUR"),
        ("Betrag: 1.234,50 €", "1.234,50 €", "1234.50 EUR"),
        ("it cost $1,299.99", "$1,299.99", "1299.99 USD"),
        ("about 10 pounds", "10 pounds", "10.00 GBP"),
        ("USD 45 were taken", "USD 45", "45.00 USD"),
        ("zapłaciłem 99,90 zł", "99,90 zł", "99.90 PLN"),
        ("CHF 1'250.00", "CHF 1'250.00", "1250.00 CHF"),
        ("il manque 1 250,00 €", "1 250,00 €", "1250.00 EUR"),
        ("costou R$ 59,90", "R$ 59,90", "59.90 BRL"),
        ("in the amount of 325 it was", "325", "325.00"),
        ("abgebucht am 14.11. 69,00 € bitte", "69,00 €", "69.00 EUR"),
        ("usd 45.20 were taken", "usd 45.20", "45.20 USD"),
        ("le port coûte 12€50", "12€50", "12.50 EUR"),
        ("I paid fifty euros", "fifty euros", "fifty euros"),
        ("das kostet hundert Euro", "hundert Euro", "hundert Euro"),
        ("I spent 230 on it", "230", "230.00"),
    ],
)
def test_amounts_are_read_in_both_notations(text: str, value: str, wanted: str) -> None:
    assert values("amounts", text) == [value]
    assert normalised("amounts", text) == [wanted]


def test_a_list_of_expenses_gives_its_sums() -> None:
    assert values("amounts", "travel 45, food 55 and hotel 110") == ["45", "55", "110"]
    assert values("amounts", "room 305, flight 455") == []


def test_plain_counts_are_no_amounts() -> None:
    assert values("amounts", "total 5 adults, 3 rooms, version 2.5, 20% off, room 305") == []


@pytest.mark.parametrize(
    ("text", "region", "value", "wanted"),
    [
        ("on 2026-05-03", None, "2026-05-03", "2026-05-03"),
        ("on 03/05/2026", None, "03/05/2026", "2026-05-03"),
        ("on 03/05/2026", "US", "03/05/2026", "2026-03-05"),
        ("on 05/23/2026", None, "05/23/2026", "2026-05-23"),
        ("am 3.5.26", None, "3.5.26", "2026-05-03"),
        ("am 3. Mai kam nichts", None, "3. Mai", "2026-05-03"),
        ("on May 3rd, 2025", None, "May 3rd, 2025", "2025-05-03"),
        ("le 14 juillet", None, "14 juillet", "2026-07-14"),
        ("el 2 de enero", None, "2 de enero", "2027-01-02"),
        ("il 25 dicembre 2025", None, "25 dicembre 2025", "2025-12-25"),
        ("op 5 mei 2026", None, "5 mei 2026", "2026-05-05"),
        ("dnia 12 marca 2026", None, "12 marca 2026", "2026-03-12"),
        ("I paid yesterday", None, "yesterday", "2026-11-19"),
        ("vor drei Tagen bezahlt", None, "vor drei Tagen", "2026-11-17"),
        ("two weeks ago", None, "two weeks ago", "2026-11-06"),
        ("il y a deux semaines", None, "il y a deux semaines", "2026-11-06"),
        ("the 18th of the 8th 2017", None, "18th of the 8th 2017", "2017-08-18"),
        ("on 5/11 it broke", None, "5/11", "2026-11-05"),
        ("Friday 3rd of May", None, "Friday 3rd of May", "2026-05-03"),
        ("paid 24062018 by card", None, "24062018", "2018-06-24"),
        ("w piątek, 3 maja", None, "piątek, 3 maja", "2026-05-03"),
    ],
)
def test_dates_get_their_iso_form(text: str, region: str | None, value: str, wanted: str) -> None:
    assert values("dates", text, region) == [value]
    assert normalised("dates", text, region) == [wanted]


def test_a_range_of_days_gives_both() -> None:
    assert values("dates", "vom 3. bis 5. Mai") == ["3", "5. Mai"]
    assert values("dates", "from the 17 - 19 July") == ["17", "19 July"]


def test_what_comes_again_and_what_is_longer_is_no_day() -> None:
    text = "every Monday, the first Wednesday of each month, next month, the 2nd tab, 1 out of 3"
    assert values("dates", text) == []


def test_words_and_versions_are_no_dates() -> None:
    assert values("dates", "I may march on with version 10.2.1 at 12:30, 1/2 of it, in 24 hours") == []


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("My name is Ann O'Neil and I need help", ["Ann O'Neil"]),
        ("ich heiße Jörg Müller-Lüdenscheidt.", ["Jörg Müller-Lüdenscheidt"]),
        ("Je m'appelle Élodie Petit", ["Élodie Petit"]),
        ("me llamo María del Carmen", ["María del Carmen"]),
        ("Please help.\n\nKind regards,\nJane Doe\nAcme Ltd", ["Jane Doe"]),
        ("Mit freundlichen Grüßen\n\nDr. Eva Brandt", ["Dr. Eva Brandt"]),
        ("Met vriendelijke groet,\nJan van den Berg", ["Jan van den Berg"]),
        ("This is Tom from accounting", ["Tom"]),
        ("This is Unacceptable behaviour", []),
        ("Thanks,\nSent from my iPhone", []),
        ("I met Peter Smith in London", []),
    ],
)
def test_only_stated_and_signed_names_are_taken(text: str, wanted: list[str]) -> None:
    assert values("names", text) == wanted


def test_no_more_than_twenty_values_of_a_kind() -> None:
    text = ", ".join(f"order number {number}" for number in range(10_000, 10_060))
    assert len(values("order_numbers", text)) == 20


def test_every_value_stands_in_the_text_as_it_was_written() -> None:
    body = (
        "İyi günler, ORDER AB-20931 of 3. MAI, €12,50 and FIFTY EUROS; Jane DOT Doe AT Example DOT com, "
        "TEL. +49 30 901820, MY NAME IS Ann Lee, INVOICE RE-2026-77"
    )
    found = extract("Re: ORDER 55120", body, received=RECEIVED)
    assert [row["value"] for row in found["order_numbers"]] == ["55120", "AB-20931"]
    for kind in ("emails", "phones", "amounts", "dates", "invoice_numbers"):
        assert found[kind], kind
        assert all(row["value"] in body for row in found[kind])


def test_a_long_mail_of_numbers_takes_no_time() -> None:
    body = "order 12 and a 5 bd 45, +49 (0) 30 / 12-12, 3. Mai; jane dot " * 180
    started = time.process_time()
    extract(None, body, received=RECEIVED)
    assert time.process_time() - started < 2.0
